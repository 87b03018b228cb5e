//! The log: its keys, witnesses, time-stamps, how long it is kept and where it is archived.

use std::path::{Path, PathBuf};

use crate::terms::strict_toml::Table;
use crate::upstream::objects::Place;

/// Days that entries of the log may be kept: at least six months (网络安全法 Art. 21 (3)), at most a century.
const RETENTION_DAYS: std::ops::RangeInclusive<u32> = 184..=36_500;
/// Seconds that the witnesses' quorum may be missing: longer than a round of asking them, at most a day.
const FAIL_CLOSED_S: std::ops::RangeInclusive<u32> = 10..=86_400;

#[derive(Clone, Debug)]
pub struct Log {
    /// Origin line of checkpoints, e.g. `tongban.example/gw-440305`.
    pub origin: String,
    pub key: PathBuf,
    /// Signs beside it while the log changes its key: the next one, then the one before.
    pub second_key: Option<PathBuf>,
    /// An SM2 key that signs checkpoints beside the log's own, and daily SM3 roots; none when absent.
    pub gm_key: Option<PathBuf>,
    /// Witnesses that are asked to cosign, with their addresses and quorum (C2SP tlog-policy); none when absent.
    pub witnesses: Option<PathBuf>,
    /// Seconds without the witnesses' quorum after which nothing new is begun; goes on with an alarm when absent.
    pub fail_closed_after_s: Option<u32>,
    /// Address of a time-stamp authority (RFC 3161), and the certificates trusted for its tokens and its TLS.
    pub tsa: Option<(String, PathBuf)>,
    /// Days that entries are kept on this machine; for ever when absent.
    pub retention_days: Option<u32>,
    /// Object storage for sealed segments; none when absent.
    pub archive: Option<Archive>,
}

impl Log {
    /// `[log]`
    pub(super) fn read(t: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let at = |text: &str| base.join(text);
        let (origin, key, witnesses) = (t.need_str("origin"), t.need_str("key"), t.str("witnesses").map(at));
        let (tsa, trusted) = (t.str("tsa"), t.str("tsa_anchors"));
        if tsa.is_some() != trusted.is_some() {
            t.wrong("tsa_anchors", "and `tsa` go together", "write tsa = \"http://…\" and tsa_anchors = \"FILE\"");
        }
        let fail_closed_after_s = t.int("fail_closed_after_s", FAIL_CLOSED_S);
        if fail_closed_after_s.is_some() && witnesses.is_none() {
            t.wrong("fail_closed_after_s", "without witnesses", "name a file of witnesses, or take it out");
        }
        let (gm_key, second_key) = (t.str("gm_key").map(at), t.str("second_key").map(at));
        let tsa = tsa.zip(trusted).map(|(url, file)| (url.to_owned(), base.join(file)));
        let archive = t.table("archive").and_then(|inner| Archive::read(&inner, base));
        let retention_days = t.table("retention").and_then(|inner| {
            let days = inner.need_int("entries_days", RETENTION_DAYS);
            inner.done();
            days
        });
        t.done();
        Some(Self {
            origin: origin?.to_owned(),
            key: at(key?),
            second_key,
            gm_key,
            witnesses,
            fail_closed_after_s,
            tsa,
            retention_days,
            archive,
        })
    }
}

/// Object storage that speaks S3.
#[derive(Clone, Debug)]
pub struct Archive {
    pub place: Place,
    /// Lines as in `~/.aws/credentials`; the environment's when absent.
    pub credentials: Option<PathBuf>,
    /// TLS anchors for its address.
    pub anchors: Option<PathBuf>,
    /// Days for which objects are locked (S3 Object Lock, compliance mode).
    pub lock_days: Option<u32>,
}

impl Archive {
    /// `[log.archive]`
    fn read(t: &Table<'_, '_>, base: &Path) -> Option<Self> {
        let (url, bucket) = (t.need_str("url"), t.need_str("bucket"));
        let (prefix, region) = (t.str("prefix").unwrap_or_default(), t.str("region").unwrap_or("us-east-1"));
        let (credentials, anchors) =
            (t.str("credentials").map(|f| base.join(f)), t.str("anchors").map(|f| base.join(f)));
        let lock_days = t.int("lock_days", 1..=36_500);
        if let Some(url) = url {
            let secure = url.starts_with("https://");
            if !secure && !url.starts_with("http://") {
                t.wrong("url", format_args!("{url} is not an address"), "write https://HOST:PORT");
            } else if secure != anchors.is_some() {
                t.wrong(
                    "anchors",
                    "and an https address go together",
                    "name a PEM file of the authorities of that address",
                );
            }
        }
        t.done();
        let (url, bucket) = (url?.to_owned(), bucket?.to_owned());
        let prefix = prefix.trim_matches('/').to_owned();
        let place = Place { url, bucket, prefix, region: region.to_owned() };
        Some(Self { place, credentials, anchors, lock_days })
    }
}
