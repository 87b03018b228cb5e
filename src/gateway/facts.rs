//! The rules' view of what other rooms know.

use super::rooms::Rooms;
use super::who::{Person, PersonKind, Terminal};
use crate::catalogue::items::Item;
use crate::catalogue::listed;
use crate::catalogue::registers::DataResource;
use crate::catalogue::words as cw;
use crate::exchange::State;
use crate::exchange::message::{self, Dossier};
use crate::exchange::records::Record;
use crate::policy::{self, CaseFacts, CaseLink, ItemFacts, Kind, Outlet, Who};
use crate::terms::{OutletKind, Presence, RegionCode, UnixMillis};

pub fn presence(presence: Presence) -> policy::Presence {
    match presence {
        Presence::None => policy::Presence::None,
        Presence::Biometric => policy::Presence::Biometric,
        Presence::Both => policy::Presence::Both,
    }
}

pub fn mode(mode: cw::Mode) -> policy::Mode {
    match mode {
        cw::Mode::Online => policy::Mode::Online,
        cw::Mode::Proxy => policy::Mode::Proxy,
        cw::Mode::Joint => policy::Mode::Joint,
    }
}

pub fn scope(scope: cw::Scope) -> policy::Scope {
    match scope {
        cw::Scope::Town => policy::Scope::Town,
        cw::Scope::City => policy::Scope::City,
        cw::Scope::Province => policy::Scope::Province,
        cw::Scope::Nation => policy::Scope::Nation,
    }
}

fn outlet_kind(kind: OutletKind) -> policy::OutletKind {
    match kind {
        OutletKind::Bank => policy::OutletKind::Bank,
        OutletKind::Post => policy::OutletKind::Post,
        OutletKind::Shop => policy::OutletKind::Shop,
        OutletKind::Terminal => policy::OutletKind::Terminal,
    }
}

pub fn item(item: &Item, owner: RegionCode) -> ItemFacts {
    ItemFacts {
        code: item.code,
        owner,
        presence: presence(item.presence),
        min_level: item.min_identity_level,
        max_level_age_min: item.max_identity_age_min,
        modes: item.modes.iter().map(|m| mode(*m)).collect(),
        // An item open to the nation is open nearer as well.
        scopes: policy::Scope::ALL.iter().copied().filter(|s| *s <= scope(item.widest_scope())).collect(),
        outlet_kinds: item.outlet_kinds.iter().map(|k| outlet_kind(*k)).collect(),
        agents: item.presence == Presence::None,
        excluded: item.excluded.is_some(),
        basis: item.basis.is_some(),
    }
}

/// The principal. `outlet_allowed`: the contract was asked and said yes.
pub fn who(
    rooms: &Rooms,
    person: &Person,
    terminal: &Terminal,
    outlet_allowed: bool,
    present: bool,
    now: UnixMillis,
) -> Who {
    let kind = match (person.kind, terminal) {
        (PersonKind::Citizen, _) if person.paper.is_some() => Kind::Agent,
        (PersonKind::Citizen, _) => Kind::Citizen,
        (PersonKind::Auditor, _) => Kind::Auditor,
        (PersonKind::Operator, _) => Kind::Operator,
        (_, Terminal::Outlet { .. }) => Kind::Outlet,
        (PersonKind::Clerk | PersonKind::Outlet | PersonKind::System, _) => Kind::Clerk,
    };
    let id = match (kind, terminal) {
        (Kind::Citizen | Kind::Agent, _) => person.pseudonym(rooms).to_string(),
        (Kind::Outlet, Terminal::Outlet { contract, .. }) => contract.outlet.to_string(),
        _ => person.id.clone(),
    };
    let outlet = match terminal {
        Terminal::Outlet { contract, terminal } => Some(Outlet {
            kind: outlet_kind(contract.kind),
            live: contract.suspended.is_none() && (contract.from.start()..contract.to.end()).contains(&now),
            item_listed: outlet_allowed,
            act_listed: outlet_allowed,
            in_hours: contract.hours.is_open(now),
            at_place: contract.place_of(terminal).is_ok_and(|place| contract.covers(place)),
            customer_present: present,
        }),
        _ => None,
    };
    Who {
        level: person.level,
        level_age_min: person.level_age_min(now),
        org: match terminal {
            Terminal::Outlet { contract, .. } => Some(contract.outlet.to_string()),
            Terminal::Window(window) => Some(window.id.clone()),
            _ => person.org.clone(),
        },
        places: match terminal.region() {
            Some(region) if !matches!(kind, Kind::Citizen | Kind::Agent) => vec![region],
            _ => person.places.clone(),
        },
        roles: person.roles.clone(),
        scopes: person.scopes.clone(),
        post: person.post,
        paper: person.paper.clone(),
        outlet,
        ..Who::new(kind, id)
    }
}

pub fn state(state: State) -> policy::State {
    match state {
        State::Draft => policy::State::Draft,
        State::Filed => policy::State::Filed,
        State::Received => policy::State::Received,
        State::SupplementPending => policy::State::SupplementPending,
        State::Accepted => policy::State::Accepted,
        State::InReview => policy::State::InReview,
        State::Escalated => policy::State::Escalated,
        State::Suspended => policy::State::Suspended,
        State::DecidedGranted | State::DecidedRefused | State::Closed => policy::State::Decided,
        State::Delivering => policy::State::Delivering,
        State::Delivered
        | State::NotAccepted
        | State::Returned
        | State::Withdrawn
        | State::Terminated
        | State::Archived => policy::State::Ended,
    }
}

/// Organisation of the point that collected: what follows the first colon of `window:W-1`, or of
/// `peer:gw-440305/window:W-1` for a point of another gateway.
pub fn collected_by(collector: &str) -> Option<String> {
    collector.split_once(':').map(|(_, id)| id.to_owned())
}

/// Whether everything that the guide requires is at hand: a file, or a fact that was looked up. What was put off (容缺)
/// or could not be looked up yet is for the owner to judge.
pub fn complete(guide: &[listed::Material], handed_in: &[message::Material], facts: &[message::FactRef]) -> bool {
    let has_file = |no: u8| handed_in.iter().any(|m| m.no == u32::from(no) && m.file.is_some());
    let known = |resource: &str| facts.iter().any(|fact| fact.resource == resource);
    guide.iter().filter(|m| m.required).all(|m| match m.source {
        cw::Source::Shared => m.reference.as_deref().is_some_and(known),
        _ => has_file(m.no),
    })
}

pub fn case(record: &Record, dossier: &Dossier, item: Option<&Item>) -> CaseFacts {
    CaseFacts {
        no: record.case.no,
        item: dossier.item,
        owner: dossier.owner,
        authority: dossier.authority.clone(),
        applicant: record.subject.clone(),
        agent: None,
        state: state(record.case.state),
        receiver: record.case.receiver.clone(),
        examiners: record.case.examiner.iter().cloned().collect(),
        collected_by: collected_by(&record.collector),
        collected_at: record.window,
        presence: item.map_or(policy::Presence::None, |i| presence(i.presence)),
        immediate: item.is_some_and(|i| i.case_kind == cw::CaseKind::Immediate),
        supplements: u32::from(record.case.notice_given),
        extended: record.case.extended,
    }
}

pub fn link(record: &Record, dossier: &Dossier) -> CaseLink {
    CaseLink {
        no: record.case.no,
        item: dossier.item,
        applicant: record.subject.clone(),
        open: record.case.state.is_undecided(),
        authority: dossier.authority.clone(),
        collected_by: collected_by(&record.collector),
    }
}

pub fn resource(resource: &DataResource, provider: RegionCode, fields: Vec<String>) -> policy::DataResource {
    policy::DataResource {
        id: resource.id.clone(),
        class: match resource.class {
            cw::SharingClass::Unconditional => policy::SharingClass::Unconditional,
            cw::SharingClass::Conditional => policy::SharingClass::Conditional,
            cw::SharingClass::Denied => policy::SharingClass::Denied,
        },
        answers: match resource.answers_yes_no() {
            true => policy::AnswerForm::YesNo,
            false => policy::AnswerForm::Fields,
        },
        provider,
        sensitivity: resource.sensitivity,
        fields,
        needs_consent: resource.needs_consent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::Digest;

    #[test]
    fn what_was_put_off_or_not_looked_up_is_not_complete() {
        let needs = |no, source, required| listed::Material {
            no,
            name: "材料".into(),
            source,
            reference: (source == cw::Source::Shared).then(|| "DR-HH".to_owned()),
            required,
            deferrable_days: Some(5),
            fields: None,
            basis: None,
            purposes: [listed::CASE.to_owned()].into(),
        };
        let guide = [
            needs(1, cw::Source::Citizen, true),
            needs(2, cw::Source::Shared, true),
            needs(3, cw::Source::Licence, false),
        ];
        let file = |no| message::Material {
            no,
            name: "材料".into(),
            source: "citizen".into(),
            file: (no > 0).then(|| message::FileRef {
                path: "m".into(),
                media: "text/plain".into(),
                size: 1,
                digest: Digest([0; 32]),
            }),
            verdict: None,
        };
        let promised = message::Material { no: 1, ..file(0) };
        let fact = |resource: &str| message::FactRef {
            resource: resource.into(),
            purpose: "case".into(),
            fetched_at: UnixMillis(0),
            cached: false,
            values: serde_json::Value::Null,
        };
        for (why, handed_in, facts, want) in [
            ("all that is required", vec![file(1)], vec![fact("DR-HH")], true),
            ("put off", vec![promised], vec![fact("DR-HH")], false),
            ("nothing of it", vec![], vec![fact("DR-HH")], false),
            ("the register was away", vec![file(1)], vec![], false),
            ("another fact", vec![file(1)], vec![fact("DR-PERMIT")], false),
            ("a file does not stand for a fact", vec![file(1), file(2)], vec![], false),
        ] {
            assert_eq!(complete(&guide, &handed_in, &facts), want, "{why}");
        }
    }
}
