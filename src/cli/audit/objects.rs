//! An archived log in object storage: `s3://BUCKET/PREFIX`, with the address and credentials of the environment, as other
//! tools for S3 take them.

use std::io;
use std::path::Path;

use tokio::runtime::Runtime;

use crate::audit::verify::Fetch;
use crate::upstream::objects::{Credentials, Objects, Place};
use crate::upstream::tls::certificates;
use crate::upstream::{Client, ClientTls};

/// A bucket and prefix with the C2SP layout below it.
pub struct Bucket {
    objects: Objects,
    runtime: Runtime,
}

impl Bucket {
    /// # Errors
    /// A sentence for the terminal: what of the environment is missing, an address that is none.
    pub fn open(word: &str, ca: Option<&Path>) -> Result<Self, String> {
        let wanted = || format!("{word}: 应为 s3://桶/前缀 · s3://BUCKET/PREFIX is wanted");
        let rest = word.strip_prefix("s3://").ok_or_else(wanted)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(wanted());
        }
        let url =
            std::env::var("AWS_ENDPOINT_URL").map_err(|_| "未设置 AWS_ENDPOINT_URL · AWS_ENDPOINT_URL is not set")?;
        let region = std::env::var("AWS_REGION").unwrap_or_else(|_| "us-east-1".into());
        let anchors = match (ca, url.starts_with("https://")) {
            (Some(file), _) => certificates(file).map_err(|e| e.to_string())?,
            (None, true) => super::url::system_anchors()?,
            (None, false) => Vec::new(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|e| e.to_string())?;
        let _inside = runtime.enter();
        let client = Client::new(&ClientTls::new(&anchors, None).map_err(|e| e.to_string())?);
        let prefix = prefix.trim_matches('/').to_owned();
        let place = Place { url, bucket: bucket.to_owned(), prefix, region };
        let objects = Objects::new(place, Credentials::from_env()?, &client)?;
        drop(_inside);
        Ok(Self { objects, runtime })
    }
}

impl Fetch for Bucket {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let found = self.runtime.block_on(self.objects.get(path)).map_err(io::Error::other)?;
        Ok(found.map(Vec::from))
    }
}
