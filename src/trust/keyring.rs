//! Trust lists: which authority is trusted for what, where, and from when until when.
//!
//! ```text
//!  certs/trust.toml + PEM/DER files ──all mistakes at once──▶ TrustList
//!                                                                │ ask(purpose, division, licence type, at)
//!                                                                ▼
//!                                             anchors for path::judge: what was trusted THEN
//! ```
//! An anchor that is taken off the list stays in the file with an end date: a licence sealed before that day is still
//! judged by what was trusted on it. `certs/README.md` explains the format to the people who write it.

use std::io;
use std::path::Path;

use super::certificate::Certificate;
use super::crl::Crl;
use super::pem;
use crate::terms::mistake::Mistakes;
use crate::terms::strict_toml::{File, Table};
use crate::terms::words::words;
use crate::terms::{Day, Digest, DivisionCode, UnixMillis};

words! {
    /// What an anchor is trusted for. One anchor may serve several; none serves a purpose it does not name.
    pub enum AnchorPurpose {
        Signer = "signer", "电子签名人", "signers of documents";
        SealMaker = "seal_maker", "电子印章制作机构", "makers of electronic seals";
        LicenceIssuer = "licence_issuer", "证照签发机关", "issuers of licences";
        TimeStamping = "time_stamping", "时间戳机构", "time-stamp authorities";
        Envelope = "envelope", "办件封装机构", "bodies that seal case files";
        TlsServer = "tls_server", "服务器证书机构", "TLS servers";
        TlsClient = "tls_client", "客户端证书机构", "TLS clients";
    }
}

/// The name of the list inside its folder.
pub const FILE: &str = "trust.toml";
/// Most octets of one certificate or list file.
const LONGEST: u64 = 32 << 20;

/// One anchor with its limits.
#[derive(Clone, Debug)]
pub struct Anchor {
    pub certificate: Certificate,
    pub purposes: Vec<AnchorPurpose>,
    /// Empty: everywhere. A province stands for all of its divisions.
    pub divisions: Vec<DivisionCode>,
    /// Empty: licences of every type. Type codes of GB/T 36904, or the beginning of them.
    pub licence_types: Vec<String>,
    /// First and last day of trust, both included; Shanghai days.
    pub from: Option<Day>,
    pub to: Option<Day>,
}

/// Everything that is trusted, and what helps to get there.
#[derive(Clone, Debug, Default)]
pub struct TrustList {
    anchors: Vec<Anchor>,
    pub intermediates: Vec<Certificate>,
    pub crls: Vec<Crl>,
}

/// What is asked of the list.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub purpose: AnchorPurpose,
    /// Where the signer belongs; `None` finds only anchors without a limit of place.
    pub division: Option<DivisionCode>,
    /// Type code of the licence; `None` finds only anchors without a limit of type.
    pub licence_type: Option<&'a str>,
    /// The moment whose trust counts: of signing, of the time-stamp, or now.
    pub at: UnixMillis,
}

impl Anchor {
    /// Whether this anchor may answer `ask`.
    pub fn serves(&self, ask: &Ask<'_>) -> bool {
        self.purposes.contains(&ask.purpose)
            && self.lasts(ask.at.day())
            && (self.divisions.is_empty() || ask.division.is_some_and(|d| self.covers(d)))
            && (self.licence_types.is_empty()
                || ask.licence_type.is_some_and(|t| self.licence_types.iter().any(|own| t.starts_with(own.as_str()))))
    }

    fn lasts(&self, day: Day) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }

    fn covers(&self, division: DivisionCode) -> bool {
        let up = [division, division.prefecture(), division.province()];
        self.divisions.iter().any(|own| up.contains(own))
    }
}

impl TrustList {
    /// A list made by hand, e.g. from the federation's directory.
    pub fn new(anchors: Vec<Anchor>, intermediates: Vec<Certificate>, crls: Vec<Crl>) -> Self {
        Self { anchors, intermediates, crls }
    }

    /// Reads `folder/trust.toml` and every file it names.
    ///
    /// # Errors
    /// All mistakes at once: a trust list with a mistake is no trust list.
    pub fn load(folder: &Path) -> Result<Self, Mistakes> {
        let text = limited(&folder.join(FILE)).and_then(|octets| String::from_utf8(octets).map_err(io::Error::other));
        match text {
            Ok(text) => Self::read(&text, &mut |name| limited(&folder.join(name))),
            Err(error) => {
                let mut mistakes = Mistakes::default();
                mistakes.add(FILE, 0, "file", format_args!("cannot be read: {error}"), "see certs/README.md");
                Err(mistakes)
            }
        }
    }

    /// Reads a list from its text; `file` gives the octets of a file it names.
    pub fn read(text: &str, file: &mut dyn FnMut(&str) -> io::Result<Vec<u8>>) -> Result<Self, Mistakes> {
        File::read(FILE, text, |root| {
            let mut list = Self::default();
            let mut good = true;
            for table in root.tables("anchor") {
                let one = anchor(&table, file);
                table.done();
                good &= one.is_some();
                list.anchors.extend(one.into_iter().flatten());
            }
            for table in root.tables("intermediate") {
                let found = certificates(&table, file);
                table.done();
                good &= found.is_some();
                list.intermediates.extend(found.into_iter().flatten());
            }
            for table in root.tables("crl") {
                let found = lists(&table, file);
                table.done();
                good &= found.is_some();
                list.crls.extend(found.into_iter().flatten());
            }
            root.done();
            good.then_some(list)
        })
    }

    pub fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// The certificates that answer `ask`, for [`super::path::judge`].
    pub fn ask(&self, ask: &Ask<'_>) -> Vec<Certificate> {
        self.anchors.iter().filter(|a| a.serves(ask)).map(|a| a.certificate.clone()).collect()
    }

    /// The certificates trusted for one of these purposes at a time, whatever their limits of place and type: those are
    /// asked about when it is known what was signed.
    pub fn trusted(&self, purposes: &[AnchorPurpose], at: UnixMillis) -> impl Iterator<Item = &Certificate> {
        let day = at.day();
        let fits = move |anchor: &&Anchor| anchor.purposes.iter().any(|p| purposes.contains(p)) && anchor.lasts(day);
        self.anchors.iter().filter(fits).map(|anchor| &anchor.certificate)
    }

    /// Names this list in evidence.
    pub fn digest(&self) -> Digest {
        let mut all = ring::digest::Context::new(&ring::digest::SHA256);
        let mut part = |octets: &[u8]| {
            all.update(&(octets.len() as u64).to_be_bytes());
            all.update(octets);
        };
        for anchor in &self.anchors {
            part(anchor.certificate.der());
            let limits = (&anchor.purposes, &anchor.divisions, &anchor.licence_types, anchor.from, anchor.to);
            part(format!("{limits:?}").as_bytes());
        }
        self.intermediates.iter().for_each(|certificate| part(certificate.der()));
        self.crls.iter().for_each(|list| part(list.der()));
        Digest(all.finish().as_ref().try_into().unwrap_or_default())
    }
}

fn limited(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.len() > LONGEST {
        return Err(io::Error::other("larger than any list or certificate"));
    }
    std::fs::read(path)
}

type Files<'a> = &'a mut dyn FnMut(&str) -> io::Result<Vec<u8>>;

/// One `[[anchor]]`: as many anchors as its file has certificates.
fn anchor(table: &Table<'_, '_>, file: Files<'_>) -> Option<Vec<Anchor>> {
    let found = certificates(table, file);
    let purposes = table.need_words::<AnchorPurpose>("purposes");
    let divisions = optional(table, "divisions", |t| t.list("divisions", "six digits, e.g. 440000"));
    let types = optional(table, "licence_types", |t| t.list::<String>("licence_types", "a type code"));
    let from = optional(table, "from", |t| t.parse::<Day>("from", "a day, e.g. 2024-01-01").map(Some));
    let to = optional(table, "to", |t| t.parse::<Day>("to", "a day, e.g. 2034-12-31").map(Some));
    let digest = optional(table, "sha256", |t| t.parse::<Digest>("sha256", "64 hexadecimal digits").map(Some));
    let (found, purposes, from, to) = (found?, purposes?, from?, to?);
    let (divisions, licence_types, digest) = (divisions?, types?, digest?);
    if purposes.is_empty() {
        table.wrong("purposes", "is empty", "name at least one purpose");
        return None;
    }
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        table.wrong("to", "is before `from`", "write the last day of trust");
        return None;
    }
    if let Some(digest) = digest
        && (found.len() != 1 || found[0].fingerprint() != digest)
    {
        table.wrong("sha256", "is not the digest of the one certificate in the file", "compare both with their source");
        return None;
    }
    let one = |certificate| Anchor {
        certificate,
        purposes: purposes.clone(),
        divisions: divisions.clone(),
        licence_types: licence_types.clone(),
        from,
        to,
    };
    Some(found.into_iter().map(one).collect())
}

/// Absent is the default; present must be right.
fn optional<T: Default>(
    table: &Table<'_, '_>,
    key: &'static str,
    read: impl FnOnce(&Table<'_, '_>) -> Option<T>,
) -> Option<T> {
    if table.has(key) { read(table) } else { Some(T::default()) }
}

fn octets(table: &Table<'_, '_>, file: Files<'_>) -> Option<Vec<u8>> {
    let name = table.need_str("file")?;
    let plain =
        !name.starts_with('/') && name.split('/').all(|part| !matches!(part, "" | "." | "..")) && !name.contains('\\');
    if !plain {
        table.wrong("file", "leaves the folder of the list", "write a path inside the folder, with `/`");
        return None;
    }
    match file(name) {
        Ok(octets) => Some(octets),
        Err(error) => {
            table.wrong("file", format_args!("cannot be read: {error}"), "put the file there");
            None
        }
    }
}

fn certificates(table: &Table<'_, '_>, file: Files<'_>) -> Option<Vec<Certificate>> {
    let octets = octets(table, file)?;
    let read = pem::certificates(&octets).map_err(|e| e.to_string()).and_then(|all| {
        all.iter().map(|der| Certificate::parse(der).map_err(|e| e.to_string())).collect::<Result<Vec<_>, _>>()
    });
    match read {
        Ok(all) if !all.is_empty() => Some(all),
        Ok(_) => {
            table.wrong("file", "has no certificate", "write PEM with CERTIFICATE blocks, or DER");
            None
        }
        Err(error) => {
            table.wrong("file", error, "obtain the certificate again");
            None
        }
    }
}

fn lists(table: &Table<'_, '_>, file: Files<'_>) -> Option<Vec<Crl>> {
    let octets = octets(table, file)?;
    let ders = match pem::lists(&octets) {
        Ok(ders) => ders,
        Err(error) => {
            table.wrong("file", error, "write PEM with X509 CRL blocks, or DER");
            return None;
        }
    };
    let read = ders.iter().map(|der| Crl::parse(der).map_err(|e| e.to_string())).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(all) if !all.is_empty() => Some(all),
        Ok(_) => {
            table.wrong("file", "has no revocation list", "write PEM with X509 CRL blocks, or DER");
            None
        }
        Err(error) => {
            table.wrong("file", error, "obtain the list again");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::issue::{self, Issuer, Subject, Use};
    use crate::trust::suite::{SignatureAlgorithm, Signer, SigningKey};

    fn root() -> Vec<u8> {
        let key = SigningKey::from_pkcs8(&SigningKey::generate(SignatureAlgorithm::Sm2Sm3).unwrap()).unwrap();
        let subject = Subject::named("根", "测试");
        let (from, to) = (UnixMillis(0), UnixMillis(4_000_000_000_000));
        issue::certificate(&Issuer::root(&key, &subject), &subject, &key.public_key().to_spki(), Use::Root, from, to)
            .unwrap()
    }

    fn read(text: &str, root: &[u8]) -> Result<TrustList, Mistakes> {
        TrustList::read(text, &mut |name| match name {
            "root.der" => Ok(root.to_vec()),
            "two.pem" => Ok(pem::encode("CERTIFICATE", root).repeat(2).into_bytes()),
            "empty.pem" => Ok(b"nothing here".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        })
    }

    #[test]
    fn trust_has_a_purpose_a_place_a_kind_and_a_time() {
        let root = root();
        let text = "[[anchor]]\nfile = \"root.der\"\npurposes = [\"signer\", \"licence_issuer\"]\n\
                    divisions = [\"440000\", \"310115\"]\nlicence_types = [\"11100000DT0000019Q\"]\n\
                    from = \"2024-01-01\"\nto = \"2025-12-31\"\n";
        let list = read(text, &root).unwrap();
        for (purpose, division, kind, at, want) in [
            ("signer", "440305", "11100000DT0000019Q001", "2025-06-01T00:00:00Z", true),
            ("signer", "440000", "11100000DT0000019Q001", "2025-06-01T00:00:00Z", true),
            ("signer", "310115", "11100000DT0000019Q001", "2025-06-01T00:00:00Z", true),
            ("signer", "310104", "11100000DT0000019Q001", "2025-06-01T00:00:00Z", false), // another district
            ("signer", "", "11100000DT0000019Q001", "2025-06-01T00:00:00Z", false),       // nobody said where
            ("signer", "440305", "12100000DT0000019Q001", "2025-06-01T00:00:00Z", false), // another body's type
            ("seal_maker", "440305", "11100000DT0000019Q001", "2025-06-01T00:00:00Z", false),
            ("signer", "440305", "11100000DT0000019Q001", "2023-12-31T15:59:59Z", false), // a second before its first day
            ("signer", "440305", "11100000DT0000019Q001", "2023-12-31T16:00:00Z", true),
            ("signer", "440305", "11100000DT0000019Q001", "2025-12-31T15:59:59Z", true), // the last second of its last day
            ("signer", "440305", "11100000DT0000019Q001", "2025-12-31T16:00:00Z", false),
        ] {
            let ask = Ask {
                purpose: purpose.parse().unwrap(),
                division: division.parse().ok(),
                licence_type: Some(kind),
                at: UnixMillis::parse_rfc3339(at).unwrap(),
            };
            assert_eq!(!list.ask(&ask).is_empty(), want, "{purpose} {division} {kind} {at}");
        }
    }

    #[test]
    fn an_anchor_without_limits_serves_everywhere_and_always() {
        let list = read("[[anchor]]\nfile = \"two.pem\"\npurposes = [\"time_stamping\"]\n", &root()).unwrap();
        let ask = Ask { purpose: AnchorPurpose::TimeStamping, division: None, licence_type: None, at: UnixMillis(0) };
        assert_eq!(list.ask(&ask).len(), 2);
        assert_eq!(list.ask(&Ask { purpose: AnchorPurpose::Signer, ..ask }).len(), 0);
    }

    #[test]
    fn all_mistakes_at_once() {
        let root = root();
        let text = "[[anchor]]\nfile = \"root.der\"\npurposes = []\n\
                    [[anchor]]\nfile = \"../root.der\"\npurposes = [\"signer\"]\n\
                    [[anchor]]\nfile = \"empty.pem\"\npurposes = [\"signr\"]\n\
                    [[anchor]]\nfile = \"root.der\"\npurposes = [\"signer\"]\nform = \"2024-01-01\"\n\
                    [[anchor]]\nfile = \"root.der\"\npurposes = [\"signer\"]\nfrom = \"2025-01-02\"\nto = \"2025-01-01\"\n\
                    [[anchor]]\nfile = \"two.pem\"\npurposes = [\"signer\"]\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n\
                    [[crl]]\nfile = \"root.der\"\n\
                    [[intermediate]]\nfile = \"gone.der\"\n";
        let mistakes = read(text, &root).unwrap_err();
        let lines: Vec<_> = mistakes.list().iter().map(|m| (m.line, m.wrong.clone())).collect();
        for (line, wrong) in [
            (3, "is empty"),
            (5, "leaves the folder of the list"),
            (8, "has no certificate"),
            (9, "`signr` is not valid"),
            (13, "is not a known field"),
            (18, "is before `from`"),
            (22, "is not the digest of the one certificate in the file"),
            (24, "certificate: "),
            (26, "cannot be read: "),
        ] {
            assert!(lines.iter().any(|(l, w)| *l == line && w.starts_with(wrong)), "{line} {wrong}: {lines:#?}");
        }
    }
}
