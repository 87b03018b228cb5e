//! The issuers of the directory, as tokens are checked against them.

use crate::federation::Directory;
use crate::identity::book::{IssuerBook, IssuerEntry, Kind as PersonKind, Reach};
use crate::policy::Role;

/// Clock difference to issuers that is forgiven, in seconds.
const LEEWAY_S: i64 = 10;

/// The book of issuers; key sets come later, in the background. `me` is this gateway's id.
///
/// # Errors
/// In words: an issuer with a population or role that is none, or one that [`IssuerBook::new`] does not take.
pub fn book(directory: &Directory, me: &str) -> Result<IssuerBook, String> {
    let api = directory.member(me).map(|member| member.api.clone());
    let entries = directory.issuers.iter().map(|issuer| {
        let told = |why: String| format!("issuer {}: {why}", issuer.issuer);
        let populations = issuer.populations.iter().map(|word| population(word).map_err(told));
        let populations = populations.collect::<Result<Vec<_>, _>>()?.concat();
        // A role that no rule knows is a slip of the pen: whoever should have had it would be refused, and nobody knew why.
        let strange = |word: &&String| !Role::ALL.iter().any(|role| role.word() == word.as_str());
        if let Some(word) = issuer.roles.iter().find(strange) {
            let all: Vec<_> = Role::ALL.iter().map(|role| role.word()).collect();
            return Err(told(format!("role {word:?} is none: write {}", all.join(", "))));
        }
        Ok(IssuerEntry {
            issuer: issuer.issuer.clone(),
            // A token is for us when it names us, by id or address (RFC 8707): one that was taken to another gateway is
            // of no use here.
            audiences: [me.to_owned()].into_iter().chain(api.clone()).collect(),
            algorithms: issuer.algorithms.iter().filter_map(|a| crate::identity::jose::algorithm(a)).collect(),
            profile: issuer.profile,
            claims: issuer.claims.clone(),
            populations,
            roles: issuer.roles.iter().cloned().collect(),
            reach: match issuer.places.is_empty() {
                true => Reach::Everywhere,
                false => Reach::Within(issuer.places.iter().map(|p| p.division()).collect()),
            },
            acr_levels: issuer.levels.clone(),
            amr_levels: issuer.methods.clone(),
            actors: issuer.actors.clone(),
            binding: issuer.binding,
            max_lifetime_s: issuer.max_lifetime_s as i64,
            leeway_s: LEEWAY_S,
        })
    });
    IssuerBook::new(entries.collect::<Result<Vec<_>, String>>()?).map_err(|e| e.to_string())
}

/// Kinds of people by the directory's word for them.
fn population(word: &str) -> Result<Vec<PersonKind>, String> {
    Ok(match word {
        "citizen" => vec![PersonKind::Citizen],
        "clerk" => vec![PersonKind::Clerk],
        "outlet" => vec![PersonKind::Outlet],
        "staff" => vec![PersonKind::Clerk, PersonKind::Outlet],
        // Whoever reads logs or gives orders is said to, never understood to.
        "auditor" => vec![PersonKind::Auditor],
        "operator" => vec![PersonKind::Operator],
        "machine" => vec![PersonKind::System],
        _ => {
            let all = "citizen, clerk, outlet, staff, auditor, operator or machine";
            return Err(format!("population {word:?} is none: write {all}"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::demo::{directory, lay};
    use crate::terms::UnixMillis;

    #[test]
    fn an_issuer_speaks_for_whom_the_directory_says() {
        use PersonKind::{Auditor, Citizen, Clerk, Operator, Outlet, System};
        let folder = tempfile::tempdir().unwrap();
        let world = lay(folder.path(), 20_000, None).unwrap();
        let mut told = directory::read(&world, UnixMillis::now()).unwrap();
        for (words, kinds) in [
            (vec!["citizen"], vec![Citizen]),
            (vec!["clerk"], vec![Clerk]),
            (vec!["outlet"], vec![Outlet]),
            (vec!["staff"], vec![Clerk, Outlet]), // as older directories say it; nobody who audits or commands
            (vec!["auditor", "operator"], vec![Auditor, Operator]),
            (vec!["machine"], vec![System]),
        ] {
            told.issuers[0].populations = words.iter().map(|word| (*word).to_owned()).collect();
            let book = book(&told, "gw-440305").unwrap();
            assert_eq!(book.issuers().next().unwrap().entry.populations, kinds, "{words:?}");
        }
        let good = told.issuers[0].clone();
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for (what, populations, roles, want) in [
            ("for nobody", list(&[]), list(&[]), "no population"),
            (
                "for people whom nobody knows",
                list(&["citizen", "king"]),
                list(&[]),
                "\"king\" is none: write citizen, ",
            ),
            ("a word spelt otherwise", list(&["Citizen"]), list(&[]), "\"Citizen\" is none"),
            (
                "a role that no rule knows",
                list(&["clerk"]),
                list(&["receive", "recieve"]),
                "\"recieve\" is none: write ",
            ),
        ] {
            told.issuers[0] = crate::federation::directory::Issuer { populations, roles, ..good.clone() };
            let why = book(&told, "gw-440305").unwrap_err();
            assert!(why.contains(want) && why.contains(&good.issuer), "{what}: {why}");
        }
    }
}
