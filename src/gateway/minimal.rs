//! What is told of an applicant: what the item asks for, and nothing else.
//!
//! ```text
//!  form ─ a field the item does not ask for? ─▶ refused, before anything is kept
//!  token ─ attributes of the item ─▶ dossier ─ sealed ─▶ owner: more than its item asks for? ─▶ refused
//! ```

use super::who::Person;
use crate::catalogue::items::Item;
use crate::exchange::message::{Applicant, Dossier};
use crate::terms::refusal::tolds;
use crate::terms::{Attribute, Next, Refusal};

use std::collections::BTreeSet;

tolds! {
    /// The form says more than the item asks for.
    pub const NOT_ASKED = "TB-GW-0006", 422,
        "该事项不需要所填的部分信息，请删除后重新提交。",
        "The item does not ask for some of what was filled in: leave it out and send again.",
        Next::CorrectAndResend;
    /// Another gateway tells more of an applicant than the item asks for. Its catalogue may be newer than ours, so that it
    /// may ask again.
    pub const TOLD_MORE = "TB-GW-0205", 403,
        "对方网关发送的申请人信息超出该事项所需，未予接收。",
        "The other gateway tells more of the applicant than the item asks for; it was not taken.",
        Next::AskOperator;
}

/// The applicant as the dossier tells of them.
pub fn applicant(citizen: &Person, asked: &BTreeSet<Attribute>) -> Applicant {
    let asked_for = |attribute| asked.contains(&attribute);
    let contact = |which| citizen.contact.get(which).filter(|_| asked_for(which)).map(str::to_owned);
    Applicant {
        name: citizen.name.clone().filter(|_| asked_for(Attribute::Name)).unwrap_or_default(),
        code_type: "111".into(),
        code: citizen.resident.as_ref().map_or_else(String::new, |number| number.reveal().to_owned()),
        level: citizen.level,
        level_at: citizen.level_at,
        phone: contact(Attribute::Phone),
        email: contact(Attribute::Email),
        address: contact(Attribute::Address),
    }
}

/// Whether a form has only what the item asks for.
///
/// # Errors
/// `TB-GW-0006`, with the names of the fields that are too many.
pub fn form(item: &Item, form: &serde_json::Value) -> Result<(), Refusal> {
    match item.not_asked(form) {
        extra if extra.is_empty() => Ok(()),
        extra => {
            // Names of fields are the caller's words, and a refusal is kept: a few, and short.
            let named: Vec<String> = extra.iter().take(10).map(|field| field.chars().take(64).collect()).collect();
            Err(Refusal::new(&NOT_ASKED, format!("{} fields too many", extra.len())).with("fields", named))
        }
    }
}

/// Whether a case file that came from `peer` tells only what the item asks for, by our own catalogue.
///
/// # Errors
/// `TB-GW-0205`, with the names of the attributes and fields that are too many.
pub fn received(item: &Item, dossier: &Dossier, peer: &str) -> Result<(), Refusal> {
    let attributes = dossier.applicant.attributes().filter(|told| !item.attributes.contains(told));
    let mut extra: Vec<String> = attributes.map(|told| told.word().to_owned()).collect();
    extra.extend(item.not_asked(&dossier.form).iter().take(10).map(|field| field.chars().take(64).collect()));
    match extra.is_empty() {
        true => Ok(()),
        false => Err(Refusal::new(&TOLD_MORE, format!("{peer}: {} too many", extra.len())).with("fields", extra)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalogue::{Catalogue, EMBEDDED, Files};
    use crate::gateway::who::PersonKind;
    use crate::policy::Post;
    use crate::terms::{Attributes, Digest, UnixMillis};

    fn citizen() -> Person {
        let contact = [
            (Attribute::Phone, "+86 100 0000 0000"),
            (Attribute::Email, "zhangsan@example.com"),
            (Attribute::Address, "演示路1号"),
        ];
        Person {
            kind: PersonKind::Citizen,
            subject: "iss#1".into(),
            id: "1".into(),
            issuer: "iss".into(),
            name: Some("张三".into()),
            resident: "990101199202290010".parse().ok(),
            contact: Attributes::from_iter(contact.map(|(which, value)| (which, value.to_owned()))),
            level: 3,
            level_at: UnixMillis(1),
            method: None,
            org: None,
            roles: vec![],
            places: vec![],
            scopes: vec![],
            session: Digest([0; 32]),
            bound: false,
            paper: None,
            post: Post::A,
            stands_in_for: None,
            behalf: None,
        }
    }

    /// What an item writes, what of the applicant travels, and which fields of a form pass.
    #[test]
    fn an_item_is_told_what_it_asks_for() {
        let item = |lines: &str| {
            let items = EMBEDDED.items.split("\n[[item]]").take(2).collect::<Vec<_>>().join("\n[[item]]");
            let items = items.replace("fee = false\n", &format!("fee = false\n{lines}"));
            let read = Catalogue::read(&Files { items: &items, ..EMBEDDED }).unwrap_or_else(|e| panic!("{lines}: {e}"));
            read.items.values().next().unwrap().clone()
        };
        for (lines, travels, form, too_many) in [
            ("", "name number", json!({"use": "入学", "phone": "1"}), vec!["phone"]),
            ("", "name number", json!({"use": "入学", "联系电话": "1", "name": "张三"}), vec!["联系电话"]),
            ("", "name number", json!(null), vec![]),
            ("attributes = [\"number\"]\n", "number", json!({"name": "张三", "use": 1}), vec!["name"]),
            ("attributes = [\"number\", \"phone\"]\n", "number phone", json!({"phone": "1"}), vec![]),
            (
                "attributes = [\"name\", \"number\", \"email\", \"address\"]\n",
                "name number email address",
                json!({}),
                vec![],
            ),
            ("form = [\"use\"]\n", "name number", json!({"use": "入学", "why": "", "number": ""}), vec!["why"]),
            ("form = []\n", "name number", json!({"use": "入学"}), vec!["use"]),
        ] {
            let item = item(lines);
            let told = applicant(&citizen(), &item.attributes);
            let words: Vec<_> = told.attributes().map(Attribute::word).collect();
            assert_eq!(words.join(" "), travels, "{lines}");
            let octets = serde_json::to_string(&told).unwrap();
            for (which, value) in
                [("phone", "0000 0000"), ("email", "example.com"), ("address", "演示路"), ("name", "张三")]
            {
                assert_eq!(octets.contains(value), words.contains(&which), "{lines}: {which}");
            }
            let refused = super::form(&item, &form).err();
            let named = refused.map(|no| no.members.into_iter().map(|(_, fields)| fields).collect::<Vec<_>>());
            assert_eq!(
                named.unwrap_or_default(),
                if too_many.is_empty() { vec![] } else { vec![json!(too_many)] },
                "{lines}{form}"
            );
        }
    }
}
