//! What the configuration says of people: which clients' tokens are bound how, who stands in for whom.
//!
//! ```toml
//! [identity]
//! dpop_nonces = true
//! [[binding]]
//! kind = "clerk"
//! rule = "required"
//! [[post]]
//! first = "https://id.example#C-0001"
//! deputy = "https://id.example#C-0002"
//! org = "W-440305-01"
//! [[introspection]]
//! issuer = "https://id.example"
//! client_id = "gw-440305"
//! client_secret_file = "certs/id.secret"
//! token_prefix = "id_"
//! ```

use std::path::Path;

use super::credentials::credentials;
use crate::gateway::duty::Pair;
use crate::gateway::opaque::Introspected;
use crate::gateway::rooms::PeopleRules;
use crate::gateway::sign_in::SignIn;
use crate::identity::book::{BindingRule, Kind};
use crate::terms::strict_toml::Table;

/// What an issuer says of a token is believed for so long, in seconds: a revocation counts after that at the latest.
const BELIEVED_S: u32 = 5;

/// Reads `[identity]`, `[[binding]]`, `[[post]]`, `[[introspection]]` and `[sign_in]`. Files are relative to `base`.
pub(super) fn read(root: &Table<'_, '_>, base: &Path) -> PeopleRules {
    let mut rules = PeopleRules::default();
    if let Some(table) = root.table("identity") {
        rules.nonces = table.bool("dpop_nonces").unwrap_or(false);
        table.done();
    }
    for table in root.tables("binding") {
        let rule = word::<BindingRule>(&table, "rule", "required, dpop, certificate or optional");
        let (client, kind) = (table.str("client").map(str::to_owned), table.has("kind"));
        match (client, kind) {
            (Some(client), false) => {
                rules.bindings.clients.extend(rule.map(|rule| (client, rule)));
            }
            (None, true) => {
                let kind = word::<Kind>(&table, "kind", "citizen, clerk, outlet, auditor, operator or system");
                rules.bindings.kinds.extend(kind.zip(rule));
            }
            _ => table.wrong(
                "client",
                "or `kind` names whom the rule is for",
                "write client = \"…\" or kind = \"clerk\"",
            ),
        }
        table.done();
    }
    for table in root.tables("post") {
        let (first, deputy) = (table.need_str("first"), table.need_str("deputy"));
        let org = table.str("org").map(str::to_owned);
        table.done();
        let (Some(first), Some(deputy)) = (first, deputy) else { continue };
        if [first, deputy].iter().any(|name| name.split_once('#').is_none_or(|(i, s)| i.is_empty() || s.is_empty())) {
            table.wrong("first", "and `deputy` are issuer and subject", "write e.g. \"https://id.example#C-0001\"");
        } else if first == deputy || rules.posts.iter().any(|pair| pair.deputy == deputy) {
            table.wrong("deputy", "is a deputy of oneself, or twice", "name another person for each pair of posts");
        } else {
            rules.posts.push(Pair { first: first.to_owned(), deputy: deputy.to_owned(), org });
        }
    }
    for table in root.tables("introspection") {
        let believed_s = table.int("believed_s", 1..=60).unwrap_or(BELIEVED_S);
        let prefix = table.str("token_prefix").unwrap_or_default().to_owned();
        let callers =
            table.list::<String>("callers", "terminals, e.g. [\"window:W-1\", \"portal\"]").unwrap_or_default();
        let (issuer, credentials) = (table.need_str("issuer"), credentials(&table, base));
        table.done();
        let Some((issuer, credentials)) = issuer.zip(credentials) else { continue };
        let one = Introspected { issuer: issuer.to_owned(), credentials, believed_s, prefix, callers };
        if let Some(other) = rules.introspected.iter().find(|other| other.overlaps(&one)) {
            table.wrong(
                "issuer",
                format_args!("and {}: a token might be either's, and is shown to one only", other.issuer),
                "tell them apart by token_prefix or callers",
            );
        } else {
            rules.introspected.push(one);
        }
    }
    if let Some(table) = root.table("sign_in") {
        let (issuer, credentials) = (table.need_str("issuer"), credentials(&table, base));
        let scope = table.str("scope").unwrap_or("openid").to_owned();
        if !scope.split(' ').any(|word| word == "openid") {
            table.wrong("scope", "lacks `openid`", "write scope = \"openid …\"");
        }
        table.done();
        rules.sign_in = issuer.zip(credentials).map(|(issuer, credentials)| SignIn {
            issuer: issuer.to_owned(),
            credentials,
            scope,
        });
    }
    rules
}

/// A word of an enum that is spelt in snake case.
fn word<T: serde::de::DeserializeOwned>(table: &Table<'_, '_>, key: &'static str, form: &str) -> Option<T> {
    let text = table.need_str(key)?;
    let read = serde_json::from_value(serde_json::Value::from(text)).ok();
    if read.is_none() {
        table.wrong(key, "is no word known here", format_args!("write {form}"));
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::strict_toml::File;

    #[test]
    fn rules_about_people_are_read_strictly() {
        let read = |text: &str| {
            File::read("x.toml", text, |root| {
                let rules = read(root, Path::new("/nowhere"));
                root.done();
                Some(rules)
            })
        };
        let good = read(
            "[identity]\ndpop_nonces = true\n[[binding]]\nclient = \"desk\"\nrule = \"dpop\"\n[[binding]]\nkind = \"outlet\"\n\
             rule = \"certificate\"\n[[post]]\nfirst = \"i#a\"\ndeputy = \"i#b\"\norg = \"o\"\n",
        )
        .unwrap_or_else(|m| panic!("{m}"));
        assert!(good.nonces);
        assert_eq!(good.bindings.clients["desk"], BindingRule::Dpop);
        assert_eq!(good.bindings.kinds[&Kind::Outlet], BindingRule::Certificate);
        assert_eq!(good.posts, [Pair { first: "i#a".into(), deputy: "i#b".into(), org: Some("o".into()) }]);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s"), "secret").unwrap();
        let two = |first: &str, second: &str| {
            let one = |issuer: &str, hint: &str| {
                format!(
                    "[[introspection]]\nissuer = \"{issuer}\"\nclient_id = \"c\"\nclient_secret_file = \"s\"\n{hint}\n"
                )
            };
            let text = one("https://i", first) + &one("https://j", second);
            let read = File::read("x.toml", &text, |root| {
                let rules = super::read(root, folder.path());
                root.done();
                Some(rules)
            });
            read.map(|rules| rules.introspected.len()).map_err(|mistakes| mistakes.to_string())
        };
        assert!(two("", "").is_err_and(|told| told.contains("https://i")), "either's");
        assert_eq!(two("token_prefix = \"i_\"", "token_prefix = \"j_\""), Ok(2));
        assert_eq!(two("callers = [\"window:W-1\"]", "callers = [\"portal\"]"), Ok(2));
        assert!(two("callers = [\"portal\"]", "").is_err());
        for bad in [
            "[identity]\ndpop_nonce = true\n",
            "[[binding]]\nrule = \"dpop\"\n",
            "[[binding]]\nkind = \"clark\"\nrule = \"dpop\"\n",
            "[[binding]]\nkind = \"clerk\"\nrule = \"dpopp\"\n",
            "[[post]]\nfirst = \"i#a\"\ndeputy = \"i#a\"\n",
            "[[post]]\nfirst = \"a\"\ndeputy = \"i#b\"\n",
            "[[post]]\nfirst = \"i#a\"\n",
            "[[introspection]]\nissuer = \"https://i\"\nclient_id = \"c\"\nclient_secret_file = \"none\"\n",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
