//! What an anchor of the trust list is limited to, once it is known what the document says: kind, place and type. Step 16.
//!
//! A chain is found among all anchors that the list trusts for signers at that time; whose licences an anchor may stand
//! for can only be asked when the licence has been read.

use super::data::{LicenceData, names};
use super::profile::Profile;
use super::report::{CertificateFacts, Format, Report};
use super::verdict::{Finding, SubIndication::NoCertificateChainFound};
use crate::terms::{Digest, DivisionCode, LicenceId, RegionCode, UnixMillis};
use crate::trust::keyring::{AnchorPurpose, Ask, TrustList};

/// What anchors of signers are listed for; a licence asks for the second.
pub(super) const SIGNERS: &[AnchorPurpose] = &[AnchorPurpose::Signer, AnchorPurpose::LicenceIssuer];
pub(super) const MAKERS: &[AnchorPurpose] = &[AnchorPurpose::SealMaker];
pub(super) const AUTHORITIES: &[AnchorPurpose] = &[AnchorPurpose::TimeStamping];

/// Adds what speaks against anchors that are trusted, but not for this.
pub(super) fn check(profile: &Profile, report: &mut Report) {
    if profile.trust.anchors().is_empty() {
        return;
    }
    let about = About::of(report);
    for verdict in &mut report.signatures {
        let at = verdict.judged_at;
        let beyond = verdict.certificates.iter().filter(|facts| !serves(profile, facts, &about, at));
        let findings: Vec<Finding> = beyond.map(|facts| about.finding(facts)).collect();
        if !findings.is_empty() {
            verdict.findings.extend(findings);
            verdict.conclude();
        }
    }
}

/// What the document is about.
struct About {
    is_licence: bool,
    division: Option<DivisionCode>,
    licence_type: Option<String>,
}

impl About {
    fn of(report: &Report) -> Self {
        let data = &report.data;
        let covered = |name| data.get(name).ok().map(|datum| datum.value.clone());
        let identifier = data.identifier();
        // Said anywhere, covered or not: a licence is one by what it claims to be.
        let claims = |name| data.data.iter().any(|datum| datum.name == name);
        Self {
            is_licence: report.format == Format::SdJwtVc || claims(names::IDENTIFIER) || claims(names::TYPE_CODE),
            division: division(data, identifier.as_ref()),
            licence_type: covered(names::TYPE_CODE).or_else(|| identifier.map(|id| id.type_code().to_owned())),
        }
    }

    fn ask(&self, purpose: AnchorPurpose, at: UnixMillis) -> Ask<'_> {
        Ask { purpose, division: self.division, licence_type: self.licence_type.as_deref(), at }
    }

    fn finding(&self, facts: &CertificateFacts) -> Finding {
        let place = self.division.map_or_else(|| "-".to_owned(), |d| d.to_string());
        let detail = format!("{} {place} {}", facts.role, self.licence_type.as_deref().unwrap_or("-"));
        Finding::doubt(16, "ANCHOR_NOT_FOR_THIS", NoCertificateChainFound, detail)
    }
}

/// Where the issuer is: by its code in the identifier, by its own code, or by the area that is named.
fn division(data: &LicenceData, identifier: Option<&LicenceId>) -> Option<DivisionCode> {
    let covered = |name| data.get(name).ok().map(|datum| datum.value.as_str());
    let of_code = |code: &str| code.get(2..8)?.parse::<RegionCode>().ok();
    let place = identifier.and_then(LicenceId::place);
    let place = place.or_else(|| covered(names::ISSUER_CODE).and_then(of_code));
    let place = place.or_else(|| covered(names::AREA)?.parse().ok());
    place.map(RegionCode::division)
}

fn serves(profile: &Profile, facts: &CertificateFacts, about: &About, at: UnixMillis) -> bool {
    let Some(anchor) = facts.anchor else { return true }; // no chain, and that is told
    let (plain, purpose) = match facts.role {
        "maker" => (&profile.anchors.makers, AnchorPurpose::SealMaker),
        "tsa" => (&profile.anchors.tsas, AnchorPurpose::TimeStamping),
        _ if about.is_licence => (&profile.anchors.signers, AnchorPurpose::LicenceIssuer),
        _ => (&profile.anchors.signers, AnchorPurpose::Signer),
    };
    // An authority's certificate is judged at the time of validation.
    let at = if purpose == AnchorPurpose::TimeStamping { profile.at } else { at };
    plain.iter().any(|certificate| certificate.fingerprint() == anchor)
        || listed(&profile.trust, anchor, &about.ask(purpose, at))
}

fn listed(list: &TrustList, anchor: Digest, ask: &Ask<'_>) -> bool {
    list.anchors().iter().any(|own| own.serves(ask) && own.certificate.fingerprint() == anchor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::licences::make::{self, Paper, PaperKind};
    use crate::licences::variations::kit::{Draft, World, at};
    use crate::licences::{Anchors, Indication, verify};
    use crate::terms::Digest;
    use crate::trust::certificate::Certificate;
    use std::sync::Arc;

    const LICENCE_TYPE: &str = "11100000DT0000131P001";
    /// Sealed on 13 February 2026, Beijing time.
    const SEALED: &str = "2026-02-13T02:00:00Z";

    fn list(text: &str, world: &World) -> Arc<TrustList> {
        let files = |name: &str| -> std::io::Result<Vec<u8>> {
            let certificate: &Certificate = if name == "maker" { &world.maker.cert } else { &world.signer.cert };
            Ok(certificate.der().to_vec())
        };
        let maker = "[[anchor]]\nfile = \"maker\"\npurposes = [\"seal_maker\"]\n";
        let signer = format!("[[anchor]]\nfile = \"signer\"\n{text}\n");
        let text = if text.contains("[[") { text.to_owned() } else { format!("{maker}{signer}") };
        Arc::new(TrustList::read(&text, &mut { files }).unwrap_or_else(|mistakes| panic!("{mistakes}")))
    }

    #[test]
    fn an_anchor_counts_for_what_it_is_listed_for_where_and_when() {
        let world = World::new();
        let seal = Draft::default().seal(&world);
        let identifier = LicenceId::new(LICENCE_TYPE, "11440305007542011A", "202600001", 1).unwrap();
        let data = serde_json::json!({
            "certificateIdentifier": identifier.as_str(), "certificateTypeCode": LICENCE_TYPE,
            "certificateHolderCode": "990101199202290010",
        });
        let sealed = |data: Option<serde_json::Value>| {
            let paper = Paper::new(PaperKind::Licence, "1");
            let paper = match data {
                Some(data) => paper.data(data),
                None => paper,
            };
            make::seal(&paper, &seal, &world.signer.key, &world.signer.cert, at(SEALED)).unwrap()
        };
        let (licence, letter) = (sealed(Some(data)), sealed(None));
        let issuer = "purposes = [\"licence_issuer\"]";
        let passed = (Indication::TotalPassed, None);
        let not_for_this = (Indication::Indeterminate, Some("ANCHOR_NOT_FOR_THIS"));
        let no_chain = (Indication::Indeterminate, Some("NO_ANCHORS"));
        for (what, text, of_licence, of_letter) in [
            ("no limits", issuer.to_owned(), passed, not_for_this),
            ("signers of documents", "purposes = [\"signer\"]".to_owned(), not_for_this, passed),
            ("both", "purposes = [\"signer\", \"licence_issuer\"]".to_owned(), passed, passed),
            ("its province", format!("{issuer}\ndivisions = [\"440000\"]"), passed, not_for_this),
            ("its county", format!("{issuer}\ndivisions = [\"440305\", \"419001\"]"), passed, not_for_this),
            ("another province", format!("{issuer}\ndivisions = [\"410000\"]"), not_for_this, not_for_this),
            ("its type", format!("{issuer}\nlicence_types = [\"11100000DT0000131P\"]"), passed, not_for_this),
            ("another type", format!("{issuer}\nlicence_types = [\"11100000MB\"]"), not_for_this, not_for_this),
            ("its last day", format!("{issuer}\nto = \"2026-02-13\""), passed, not_for_this),
            ("over before it was sealed", format!("{issuer}\nto = \"2026-02-12\""), no_chain, no_chain),
            ("not yet", format!("{issuer}\nfrom = \"2026-02-14\""), no_chain, no_chain),
            ("seal makers", "purposes = [\"seal_maker\"]".to_owned(), no_chain, no_chain),
        ] {
            let mut profile = world.profile();
            (profile.anchors, profile.time_basis) = (Anchors::default(), crate::licences::TimeBasis::Claimed);
            profile.trust = list(&text, &world);
            for (name, file, want) in [("licence", &licence, of_licence), ("letter", &letter, of_letter)] {
                let report = verify(name, file.clone(), &profile);
                assert_eq!((report.indication, report.code), want, "{what}, {name}: {}", report.to_text());
            }
        }
        // A limited anchor beside an unlimited one limits nothing; a maker needs one of its own.
        let mut profile = world.profile();
        profile.trust = list(&format!("{issuer}\ndivisions = [\"410000\"]"), &world);
        assert!(verify("both", licence.clone(), &profile).passed());
        profile.anchors = Anchors::default();
        profile.trust = list(&format!("[[anchor]]\nfile = \"signer\"\n{issuer}"), &world);
        assert_eq!(verify("no maker", licence.clone(), &profile).code, Some("NO_ANCHORS"));
        assert_ne!(list(issuer, &world).digest(), Digest::of(b""));
        assert_ne!(list(issuer, &world).digest(), list(&format!("{issuer}\nto = \"2026-02-13\""), &world).digest());
    }
}
