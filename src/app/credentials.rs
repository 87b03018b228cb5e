//! What the configuration says of who we are at an issuer.
//!
//! ```toml
//! client_id = "gw-440305"
//! client_auth = "private_key_jwt"      # client_secret_basic when absent
//! client_key_file = "certs/id.key"     # PKCS#8, PEM
//! ```

use std::path::{Path, PathBuf};

use jsonwebtoken::Algorithm;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::gateway::client_auth::{ClientCertificate, Credentials, Way};
use crate::identity::issue::SigningKey;
use crate::terms::strict_toml::Table;
use crate::upstream::tls::Identity;

/// As the metadata of a client name it (RFC 7591 §2, OpenID Connect Core 1.0 §9, RFC 8705 §2).
const WAYS: &str =
    "client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth or self_signed_tls_client_auth";

/// Our name at an issuer and how we show it; secrets and keys are in files of their own.
pub(super) fn credentials(table: &Table<'_, '_>, base: &Path) -> Option<Credentials> {
    let client_id = table.need_str("client_id");
    let way = match table.str("client_auth").unwrap_or("client_secret_basic") {
        "client_secret_basic" => secret(table, base).map(Way::Basic),
        "client_secret_post" => secret(table, base).map(Way::Post),
        "private_key_jwt" => {
            let kid = table.str("client_key_id").map(str::to_owned);
            named(table, base, "client_key_file")
                .and_then(|file| key(table, &file))
                .map(|key| Way::Key(Box::new(key), kid))
        }
        "tls_client_auth" | "self_signed_tls_client_auth" => certificate(table, base).map(Way::Certificate),
        _ => {
            table.wrong("client_auth", "is no way we can be known in", format_args!("write {WAYS}"));
            None
        }
    };
    Some(Credentials::new(client_id?, way?))
}

fn named(table: &Table<'_, '_>, base: &Path, key: &'static str) -> Option<PathBuf> {
    table.need_str(key).map(|file| base.join(file))
}

fn secret(table: &Table<'_, '_>, base: &Path) -> Option<Zeroizing<String>> {
    const KEY: &str = "client_secret_file";
    let file = named(table, base, KEY)?;
    match std::fs::read_to_string(&file).map(Zeroizing::new) {
        Ok(secret) if !secret.trim().is_empty() => Some(Zeroizing::new(secret.trim().to_owned())),
        Ok(_) => {
            table.wrong(KEY, "is empty", "name a file with the client's secret");
            None
        }
        Err(error) => {
            table.wrong(KEY, format_args!("{}: {error}", file.display()), "name a file that can be read");
            None
        }
    }
}

/// What the key is, it says itself: a word is signed in the one way that fits it.
fn key(table: &Table<'_, '_>, file: &Path) -> Option<SigningKey> {
    let read = PrivatePkcs8KeyDer::from_pem_file(file).map_err(|e| format!("{}: {e}", file.display()));
    let read = read.and_then(|der| {
        let ways = [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256];
        let mut fits = ways.iter().filter_map(|way| SigningKey::from_pkcs8(*way, der.secret_pkcs8_der()).ok());
        fits.next().ok_or_else(|| format!("{}: no key that we sign with", file.display()))
    });
    read.map_err(|why| table.wrong("client_key_file", why, "name a P-256, P-384, Ed25519 or RSA key as PKCS#8, PEM"))
        .ok()
}

fn certificate(table: &Table<'_, '_>, base: &Path) -> Option<ClientCertificate> {
    let (chain, key) = (named(table, base, "client_certificate_file"), named(table, base, "client_key_file"));
    let own = Identity::read(&chain?, &key?).and_then(ClientCertificate::new);
    let mend = "name a certificate chain and, in client_key_file, its key, PEM";
    own.map_err(|why| table.wrong("client_certificate_file", why, mend)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::demo::lay;
    use crate::terms::strict_toml::File;

    #[test]
    fn each_way_needs_its_own_files_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let world = lay(folder.path(), 20_000, None).unwrap();
        let base = folder.path();
        let (certificate, key) = world.client("W-440305-01");
        std::fs::copy(certificate, base.join("own.pem")).unwrap();
        std::fs::copy(key, base.join("own.key")).unwrap();
        std::fs::write(base.join("secret"), " s3cret \n").unwrap();
        std::fs::write(base.join("empty"), "\n").unwrap();
        std::fs::copy(world.client("audit-440305").1, base.join("other.key")).unwrap();
        let read = |lines: &str| {
            let text = format!("client_id = \"c\"\n{lines}");
            let read = File::read("x.toml", &text, |root| {
                let found = credentials(root, base);
                root.done();
                found
            });
            read.map(|found| match &*found.way {
                Way::Basic(secret) => format!("basic {}", **secret),
                Way::Post(secret) => format!("post {}", **secret),
                Way::Key(key, kid) => format!("{:?} {kid:?}", key.algorithm()),
                Way::Certificate(_) => "certificate".to_owned(),
            })
            .map_err(|mistakes| mistakes.to_string())
        };
        for (lines, want) in [
            ("client_secret_file = \"secret\"", "basic s3cret"),
            ("client_auth = \"client_secret_post\"\nclient_secret_file = \"secret\"", "post s3cret"),
            ("client_auth = \"private_key_jwt\"\nclient_key_file = \"own.key\"", "ES256 None"),
            (
                "client_auth = \"private_key_jwt\"\nclient_key_file = \"own.key\"\nclient_key_id = \"k\"",
                "ES256 Some(\"k\")",
            ),
            (
                "client_auth = \"tls_client_auth\"\nclient_certificate_file = \"own.pem\"\nclient_key_file = \"own.key\"",
                "certificate",
            ),
        ] {
            assert_eq!(read(lines).as_deref(), Ok(want), "{lines}");
        }
        for (lines, want) in [
            ("", "client_secret_file"),
            ("client_secret_file = \"none\"", "none"),
            ("client_secret_file = \"empty\"", "is empty"),
            ("client_auth = \"none\"", "private_key_jwt"),
            ("client_auth = \"private_key_jwt\"", "client_key_file"),
            ("client_auth = \"private_key_jwt\"\nclient_key_file = \"secret\"", "client_key_file"),
            (
                "client_auth = \"private_key_jwt\"\nclient_key_file = \"own.key\"\nclient_secret_file = \"secret\"",
                "secret",
            ),
            ("client_auth = \"tls_client_auth\"\nclient_key_file = \"own.key\"", "client_certificate_file"),
            (
                "client_auth = \"tls_client_auth\"\nclient_certificate_file = \"own.pem\"\nclient_key_file = \"other.key\"",
                "client_certificate_file",
            ),
        ] {
            let told = read(lines).expect_err(lines);
            assert!(told.contains(want), "{lines}: {told}");
        }
    }
}
