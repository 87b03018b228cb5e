//! The licence issuer: sealed OFD licences for the people of the demonstration, and one under a revoked seal.

use serde_json::json;

use super::files;
use super::people::Person;
use super::stamps::{self, Stamp};
use super::world::{POLICE_B, POLICE_B_NAME, World};
use crate::catalogue::Catalogue;
use crate::licences::make::{self, Paper, PaperKind};
use crate::terms::{Digest, LicenceId, UnixMillis};
use crate::trust::suite::load_key;

/// Under which seal a licence is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    Good,
    /// The certificate is on the revocation list.
    Revoked,
    /// A good seal of a body that issues no licences: a gateway's, for its receipts.
    Another,
    /// A good seal on the licence before the present one, which its holder has reported lost (挂失).
    Lost,
}

/// The version of a licence that is in force, and the one that was lost before.
pub const IN_FORCE: u16 = 2;
pub const REPORTED_LOST: u16 = 1;

/// The holder of a licence.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    pub name: &'a str,
    /// Number of the resident identity card; on the page only its ends are shown.
    pub code: &'a str,
}

impl<'a> Holder<'a> {
    pub fn of(person: &'a Person) -> Option<Self> {
        Some(Self { name: person.name, code: person.resident? })
    }
}

/// Years a dated licence is valid.
const YEARS: i32 = 10;

/// Makes a sealed licence of a type of the catalogue (`LT-ID`, `LT-HHC`, …) in the name of the police of Jiyuan.
///
/// # Errors
/// A sentence: a type nobody knows, or a seal that cannot be used.
pub fn issue(world: &World, under: Under, kind: &str, holder: Holder<'_>, now: UnixMillis) -> Result<Vec<u8>, String> {
    let catalogue = Catalogue::embedded().map_err(|e| e.to_string())?;
    let kind = catalogue.licence_types.get(kind).ok_or_else(|| format!("no licence type {kind}"))?;
    let today = now.day();
    let version = if under == Under::Lost { REPORTED_LOST } else { IN_FORCE };
    // The same person's licence of the same day has the same number.
    let serial = Digest::of(format!("{}|{}|{today}", kind.id, holder.code).as_bytes()).to_string();
    let serial = serial[..16].to_uppercase();
    let id = LicenceId::new(&kind.type_code, POLICE_B, &serial, version).map_err(|e| e.to_string())?;
    let from = today.to_string();
    let to = match kind.validity {
        crate::catalogue::words::Validity::Dated => expiry(today).unwrap_or_default(),
        _ => "长期".to_owned(),
    };
    let mut paper = Paper::new(PaperKind::Licence, serial.clone())
        .field("证照名称", kind.name_zh.as_str())
        .field("证照编号", serial.as_str())
        .field("持证主体", holder.name)
        .field("证件号码", masked(holder.code))
        .field("发证机关", POLICE_B_NAME)
        .field("颁证日期", from.as_str())
        .field("有效期截止日期", to.as_str())
        .data(json!({
            "certificateIdentifier": id.as_str(),
            "certificateName": kind.name_zh,
            "certificateTypeName": kind.name_zh,
            "certificateTypeCode": kind.type_code,
            "certificateNumber": serial,
            "certificateIssuedDate": from,
            "certificateIssuingAuthorityName": POLICE_B_NAME,
            "certificateIssuingAuthorityCode": POLICE_B,
            "certificateHolderName": holder.name,
            "certificateHolderCode": holder.code,
            "certificateHolderTypeCode": "111",
            "certificateEffectiveDate": from,
            "certificateExpiringDate": to,
            "certificateAreaCode": "419001",
        }));
    paper.title = kind.name_zh.clone();
    let stamp = match under {
        Under::Good | Under::Lost => stamps::issuer(world),
        Under::Revoked => stamps::revoked(world),
        Under::Another => stamps::collection(world),
    };
    seal(&paper, &stamp, now)
}

fn seal(paper: &Paper, stamp: &Stamp, now: UnixMillis) -> Result<Vec<u8>, String> {
    let seal = std::fs::read(&stamp.seal).map_err(|e| files::said(&stamp.seal, e))?;
    let (key, certificate) = (load_key(&stamp.key)?, stamps::certificate(&stamp.certificate)?);
    make::seal(paper, &seal, &key, &certificate, now).map_err(|e| e.to_string())
}

/// The day before the same date, [`YEARS`] on; the last of February for the 29th.
fn expiry(day: crate::terms::Day) -> Option<String> {
    let digits = day.digits();
    let (month, date) = (digits[4..6].parse().ok()?, digits[6..].parse().ok()?);
    let year = day.year() + YEARS;
    let end =
        crate::terms::Day::from_ymd(year, month, date).or_else(|| crate::terms::Day::from_ymd(year, month, 28))?;
    Some(end.to_string())
}

/// First three and last two characters.
fn masked(code: &str) -> String {
    let count = code.chars().count();
    code.chars().enumerate().map(|(n, c)| if n < 3 || n + 2 >= count { c } else { '*' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::demo::lay::lay_at;
    use crate::app::demo::people::ZHANG;
    use crate::licences::{Profile, verify};
    use crate::trust::crl::Crl;

    #[test]
    fn a_licence_verifies_under_the_directory_and_a_revoked_or_changed_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let now = UnixMillis(1_790_000_000_000);
        let world = lay_at(folder.path(), 22_000, None, now).unwrap();
        let own = world.federation();
        let mut profile = Profile::new(now.plus_seconds(60)).strict();
        profile.anchors.signers = vec![stamps::certificate(&own.join("signers-ca.pem")).unwrap()];
        profile.anchors.makers = vec![stamps::certificate(&own.join("makers-ca.pem")).unwrap()];
        profile.crls = ["signers-ca.crl", "makers-ca.crl"]
            .map(|name| Crl::parse(&std::fs::read(own.join(name)).unwrap()).unwrap())
            .to_vec();
        let holder = Holder::of(Person::find(ZHANG).unwrap()).unwrap();
        let made = |under| issue(&world, under, "LT-ID", holder, now).unwrap();
        let judged = |bytes: Vec<u8>| verify("licence.ofd", bytes, &profile);
        let good = judged(made(Under::Good));
        assert!(good.passed(), "{}", good.to_text());
        assert!(!judged(made(Under::Revoked)).passed());
        let mut bent = made(Under::Good);
        let middle = bent.len() / 2;
        bent[middle] ^= 1;
        assert!(!judged(bent).passed());
        assert!(issue(&world, Under::Good, "LT-NONE", holder, now).is_err());
    }

    #[test]
    fn licences_end_on_a_day_that_exists() {
        let day = |y, m, d| crate::terms::Day::from_ymd(y, m, d).unwrap();
        assert_eq!(expiry(day(2026, 2, 13)).as_deref(), Some("2036-02-13"));
        assert_eq!(expiry(day(2028, 2, 29)).as_deref(), Some("2038-02-28"));
        assert_eq!(masked("990101199202290010"), "990*************10");
    }
}
