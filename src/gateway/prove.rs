//! Is it so? Licences are verified from the very bytes that will cross; shared data are looked up for this case.

use std::sync::Arc;

use super::concern::Concern;
use super::consents::{self, Consent, Use};
use super::filing::{Allowed, Evidence, Proven};
use super::intake::{FORM, TOO_MANY_FILINGS, Upload};
use super::lookup::{self, Asking};
use super::rooms::Rooms;
use super::who::Terminal;
use super::{demands, ledger, status, submit};
use crate::audit::Kind;
use crate::audit::entry::Evidence as Leaf;
use crate::catalogue::items::Item;
use crate::catalogue::words::Source;
use crate::exchange::message::{FileRef, Material};
use crate::exchange::{records, vault::Reading};
use crate::federation::Directory;
use crate::formats::zip::Source as Octets;
use crate::licences::{
    self, Anchors, CoverageRule, Holder, Need, Profile, Report, Revocation, TimeBasis, VerifiedLicence,
};
use crate::lookups::{BAD_ANSWER, Fact, LookupError, NO_PROVIDER, PROVIDER_DOWN, UNKNOWN_SUBJECT};
use crate::policy::{Ask, Demand, Permit};
use crate::store::counter;
use crate::terms::{CaseNo, Digest, Refusal, ResidentId, Told, UnixMillis};
use crate::trust::certificate::Certificate;

pub async fn ask(mut allowed: Allowed, rooms: &Arc<Rooms>) -> Result<Proven, Refusal> {
    let catalogue = rooms.catalogue.load_full();
    let item = catalogue.item(allowed.placed.known.filing.request.item)?;
    let named = &allowed.placed.known.filing.request.materials;
    let twice = named.iter().enumerate().any(|(n, m)| named[..n].iter().any(|o| o.no == m.no || o.file == m.file));
    if twice {
        return Err(Refusal::new(&FORM, "a material or a file is named twice"));
    }
    let case = number(&allowed, rooms).await?;
    // The lines of the examinations begin the chain of the case: a refusal is its end.
    allowed.placed.known.trace.concerns(Concern { case: Some(case), ..allowed.placed.concern(rooms) });
    let mut materials = Vec::new();
    let mut found = Vec::new();
    let mut demanded = Vec::new();
    for material in &item.materials {
        let upload = upload_for(&allowed, material.no)?;
        let mut verdict = None;
        if upload.is_some() && allowed.placed.known.is_at_counter() {
            demanded.extend(demands::shareable(&catalogue, material));
        }
        match (material.source, upload) {
            (Source::Licence, Some(upload)) => {
                let kind = material.reference.as_deref().and_then(|id| catalogue.licence_types.get(id));
                let type_code = kind.map(|kind| kind.type_code.as_str());
                let (word, verified) = licence(&allowed, rooms, case, upload, type_code).await?;
                verdict = Some(word);
                if let Some(kind) = kind {
                    let status = status::ask(&allowed, rooms, item, case, &verified, &kind.id).await;
                    found.push(status.map_err(|refusal| refusal.with("material", upload.field.clone()))?);
                }
            }
            // An outlet sees nothing of the person's data: the owner looks it up.
            (Source::Shared, _) if matches!(allowed.placed.known.terminal, Terminal::Outlet { .. }) => {
                verdict = Some("OWNER_LOOKS_UP".to_owned());
            }
            (Source::Shared, _) => {
                let resource = material.reference.clone().unwrap_or_default();
                match shared(&allowed, rooms, item, case, &resource).await {
                    Ok(fact) => {
                        verdict = fact.stale().then(|| "STALE".to_owned());
                        found.push(lookup::reference(&fact));
                    }
                    Err(refusal) => match without(&refusal, material.required && upload.is_none()) {
                        Some(word) => verdict = Some(word.to_owned()),
                        None => return Err(refusal),
                    },
                }
            }
            (Source::Citizen, None) if material.required && material.deferrable_days.is_none() => {
                let why = format!("material {} ({}) is missing", material.no, material.name);
                return Err(Refusal::new(&FORM, why).with("material", material.no));
            }
            _ => {}
        }
        // What sharing has nothing of, only the applicant has.
        if matches!(verdict.as_deref(), Some("NOT_FOUND" | "NO_SOURCE")) {
            demanded.retain(|demand: &Demand| Some(&demand.material) != material.reference.as_ref());
        }
        materials.push(Material {
            no: material.no.into(),
            name: material.name.clone(),
            source: material.source.word().to_owned(),
            file: upload.map(file_ref),
            verdict,
        });
    }
    let known_no = |no: u8| item.materials.iter().any(|m| m.no == no);
    if let Some(extra) = allowed.placed.known.filing.request.materials.iter().find(|m| !known_no(m.no)) {
        return Err(Refusal::new(&FORM, format!("the guide has no material {}", extra.no)));
    }
    let used = |upload: &Upload| allowed.placed.known.filing.request.materials.iter().any(|m| m.file == upload.field);
    if let Some(extra) = allowed.placed.known.filing.uploads.iter().find(|upload| !used(upload)) {
        return Err(Refusal::new(&FORM, format!("no material names the file part {}", extra.field)));
    }
    if !demanded.is_empty() {
        allowed.permit = without_demands(&allowed, rooms, item, demanded)?;
    }
    Ok(Proven { allowed, evidence: Evidence { case, materials, facts: found } })
}

/// The rules once more, now that it is known what a counter took though sharing gives it.
fn without_demands(allowed: &Allowed, rooms: &Rooms, item: &Item, demanded: Vec<Demand>) -> Result<Permit, Refusal> {
    let mut ask = submit::asked(&allowed.placed, rooms, item, allowed.quota.is_some());
    if let Ask::File(filing) = &mut ask {
        filing.demanded = demanded;
    }
    let permit = rooms.policies.decide(&ask, allowed.placed.known.trace.at);
    permit.map_err(|denial| denial.refusal())
}

/// What stands for shared data that could not be had: nobody is sent home because a source is down or talks nonsense, or
/// because none is connected; the owner sees that it is missing.
fn without(refusal: &Refusal, required: bool) -> Option<&'static str> {
    match refusal.told.code {
        code if code == PROVIDER_DOWN.code => Some("SOURCE_DOWN"),
        code if code == BAD_ANSWER.code => Some("BAD_ANSWER"),
        code if code == NO_PROVIDER.code => Some("NO_SOURCE"),
        code if code == UNKNOWN_SUBJECT.code && !required => Some("NOT_FOUND"),
        _ => None,
    }
}

/// What the clerk does about a material whose source said nothing of use.
pub fn gap(material: &Material) -> Option<&'static Told> {
    match material.verdict.as_deref()? {
        "SOURCE_DOWN" => Some(&PROVIDER_DOWN),
        "BAD_ANSWER" => Some(&BAD_ANSWER),
        "NO_SOURCE" => Some(&NO_PROVIDER),
        _ => None,
    }
}

/// The number is given before the lookups, which must name their case. A refusal later leaves a gap in the numbers, so
/// that one applicant gets only so many in a day: nobody uses up an owner's numbers with filings that are refused.
async fn number(allowed: &Allowed, rooms: &Rooms) -> Result<CaseNo, Refusal> {
    let known = &allowed.placed.known;
    let day = known.trace.at.day();
    let mut tx = rooms.store.begin().await?;
    let most = rooms.bounds.load().filings;
    let tries = counter::Counter { key: format!("filings:{}", known.citizen.pseudonym(rooms)), limit: i64::from(most) };
    if counter::take(&mut tx, &[tries], day).await?.is_err() {
        let why = format!("more than {most} filings today");
        return Err(Refusal::new(&TOO_MANY_FILINGS, why).header("retry-after", "3600"));
    }
    let case = records::next_number(&mut tx, allowed.placed.owner.region, day, rooms.slot()?).await?;
    Ok(tx.commit(case).await?.into_inner())
}

fn upload_for(allowed: &Allowed, no: u8) -> Result<Option<&Upload>, Refusal> {
    let filing = &allowed.placed.known.filing;
    let Some(named) = filing.request.materials.iter().find(|m| m.no == no) else { return Ok(None) };
    let upload = filing.uploads.iter().find(|u| u.field == named.file);
    upload.map(Some).ok_or_else(|| Refusal::new(&FORM, format!("no file part named {}", named.file)))
}

fn file_ref(upload: &Upload) -> FileRef {
    FileRef {
        path: format!("materials/{}", upload.field),
        media: upload.media.clone(),
        size: upload.kept.size,
        digest: upload.kept.digest,
    }
}

/// A vault file as the parsers read it.
pub struct VaultFile(pub Reading);

impl Octets for VaultFile {
    fn size(&self) -> std::io::Result<u64> {
        Ok(self.0.len())
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        self.0.read_at(offset, buf)
    }
}

/// What a seal is judged by here and now: the directory in force, and the lists fetched beside it.
pub fn judged_by(rooms: &Rooms, now: UnixMillis) -> Profile {
    let mut profile = profile(&rooms.directory.load(), now);
    rooms.statuses.load().put_into(&mut profile);
    rooms.certificate_status.inform(&mut profile);
    let trusted = rooms.trusted.load();
    profile.intermediates.extend_from_slice(&trusted.list.intermediates);
    profile.crls.extend_from_slice(&trusted.list.crls);
    profile.trust = trusted.list.clone();
    profile.time_basis = trusted.time_basis;
    profile.strengths = trusted.strengths.clone();
    profile
}

/// What a seal is judged by: the anchors and lists of the directory in force.
pub fn profile(directory: &Directory, now: UnixMillis) -> Profile {
    let certificates = |list: &[crate::federation::directory::Octets]| {
        list.iter().filter_map(|o| Certificate::parse(&o.0).ok()).collect::<Vec<_>>()
    };
    let mut profile = Profile::new(now);
    profile.anchors = Anchors {
        signers: certificates(&directory.anchors.signers),
        makers: certificates(&directory.anchors.makers),
        tsas: Vec::new(),
    };
    profile.intermediates = certificates(&directory.anchors.intermediates);
    profile.crls = directory.revocation_lists().to_vec();
    profile.time_basis = TimeBasis::Claimed;
    profile.coverage = CoverageRule::Protect;
    profile.revocation = Revocation::Require;
    profile
}

/// Verifies a licence on the blocking pool and keeps the verdict, good or bad.
async fn licence(
    allowed: &Allowed,
    rooms: &Arc<Rooms>,
    case: CaseNo,
    upload: &Upload,
    type_code: Option<&str>,
) -> Result<(String, VerifiedLicence), Refusal> {
    let known = &allowed.placed.known;
    let reading = rooms.vault.read(&known.key, &upload.kept).map_err(crate::exchange::ExchangeError::from)?;
    let profile = judged_by(rooms, known.trace.at);
    let (name, keeper) = (upload.field.clone(), rooms.clone());
    let report = tokio::task::spawn_blocking(move || {
        (keeper.materials.keep(&profile), licences::verify(&name, VaultFile(reading), &profile))
    });
    let (trust, report) =
        report.await.map_err(|_| Refusal::new(&crate::store::UNAVAILABLE, "verification was cut off"))?;
    rooms.certificate_status.notice(&report, known.trace.at);
    let resident = known.citizen.resident.as_ref();
    let holder = resident.ok_or_else(|| Refusal::new(&super::who::NO_SUBJECT, "no resident number in the token"))?;
    let need = Need {
        type_code,
        issuer: None,
        sealed_by_issuer: rooms.trusted.load().sealed_by_issuer,
        holder: Holder::Person(holder),
        today: known.trace.at.day(),
    };
    let judged = licences::judge(&report, &need);
    let word = verdict(&report);
    let entry = allowed.line(rooms, Kind::LicenceCheck).case(rooms.pseudonyms.case(case));
    let entry = entry.evidence(examined(&report, upload.kept.digest, trust));
    rooms.log.append(&entry).await?;
    judged.map(|verified| (word, verified)).map_err(|error| Refusal::from(error).with("material", upload.field.clone()))
}

fn verdict(report: &Report) -> String {
    report.code.map_or_else(|| report.indication.word().to_owned(), str::to_owned)
}

/// What the log says of an examination: whoever has the document and what it was judged by can make it again.
pub fn examined(report: &Report, document: Digest, trust: Option<Digest>) -> Leaf {
    let signer = report.signatures.first().and_then(|s| s.certificates.first());
    Leaf {
        r#type: ledger::word("licence"),
        digest: Some(document),
        verdict: ledger::word(&verdict(report)),
        seal: signer.and_then(|s| ledger::word(&s.serial)),
        signer: signer.map(|s| s.sha256),
        trust,
        ..Leaf::default()
    }
}

async fn shared(
    allowed: &Allowed,
    rooms: &Arc<Rooms>,
    item: &Item,
    case: CaseNo,
    resource: &str,
) -> Result<Fact, Refusal> {
    let subject = allowed.placed.known.citizen.resident.as_ref();
    let subject = subject.ok_or_else(|| LookupError::UnknownSubject(resource.to_owned()))?;
    let agreed = agreed(allowed, rooms, item, case, subject, resource).await?;
    let asking = Asking { agreed: agreed.as_ref(), ..allowed.asks(rooms, item, case, subject, resource) };
    let fact = lookup::ask(&asking, rooms).await;
    match agreed {
        Some(agreed) => agreed.close(rooms, &allowed.placed.known.trace, fact).await,
        None => Ok(fact?),
    }
}

/// What the applicant agrees to, where the data need it, wherever they are: as signed, for a flag is nobody's signature. Who
/// signed in themselves and agrees now gives a paper now: for this case and these data, once.
async fn agreed(
    allowed: &Allowed,
    rooms: &Arc<Rooms>,
    item: &Item,
    case: CaseNo,
    subject: &ResidentId,
    resource: &str,
) -> Result<Option<Consent>, Refusal> {
    let (placed, known) = (&allowed.placed, &allowed.placed.known);
    let (department, place) = (placed.authority(), placed.owner.region);
    let fields = {
        let catalogue = rooms.catalogue.load();
        if !catalogue.resources.get(resource).is_some_and(|r| r.needs_consent) {
            return Ok(None);
        }
        lookup::wanted(&catalogue, Some(item.code), resource, None)
    };
    let agreed = Use {
        person: subject,
        department: &department,
        item: Some(item.code),
        resource,
        fields: &fields,
        purpose: Some("case"),
        case: Some(case),
        place,
    };
    match &known.filing.request.consent_paper {
        Some(paper) => Ok(Some(consents::consented(rooms, &known.trace, paper, agreed).await?)),
        // An agent's word is not the person's; the rules will say that consent is missing.
        None if !known.filing.request.consent || known.actor.paper.is_some() => Ok(None),
        None => Ok(Some(consents::given_now(rooms, &known.trace, (&known.citizen, &known.terminal), agreed).await?)),
    }
}
