//! The people of the demonstration. Nobody is real: division 990101 does not exist.

use super::world::POLICE_B;

/// What the identity provider knows of somebody.
#[derive(Debug, PartialEq, Eq)]
pub struct Person {
    /// What one signs in with; also the end of `sub`.
    pub user: &'static str,
    pub name: &'static str,
    /// `citizen`, `clerk`, `outlet`, `auditor`: the word of the claim `kind`.
    pub kind: &'static str,
    /// Number of the resident identity card, citizens only.
    pub resident: Option<&'static str>,
    /// Real-name level, 1–4.
    pub level: u8,
    pub org: Option<&'static str>,
    pub roles: &'static [&'static str],
    /// Where one may act.
    pub places: &'static [&'static str],
}

impl Person {
    /// `citizen` words the names a command line uses, too: the first of a kind answers to the kind.
    pub fn find(word: &str) -> Option<&'static Self> {
        PEOPLE.iter().find(|p| p.user == word || p.name == word).or_else(|| PEOPLE.iter().find(|p| p.kind == word))
    }

    pub fn is_citizen(&self) -> bool {
        self.kind == "citizen"
    }

    /// The `sub` of tokens: staff go by their number in rules and records.
    pub fn sub(&self) -> &'static str {
        self.user
    }
}

const STAFF: Person =
    Person { user: "", name: "", kind: "clerk", resident: None, level: 3, org: None, roles: &[], places: &[] };

/// The applicant: lives in Nanshan, household in Jiyuan.
pub const ZHANG: &str = "zhangsan";
/// Somebody else.
pub const LI: &str = "lisi";

pub const PEOPLE: &[Person] = &[
    Person { user: ZHANG, name: "张三", kind: "citizen", resident: Some("990101199202290010"), level: 3, ..STAFF },
    Person { user: LI, name: "李四", kind: "citizen", resident: Some("990101198506150020"), level: 3, ..STAFF },
    Person {
        user: "C-0001",
        name: "王敏",
        org: Some("W-440305-01"),
        roles: &["receive", "issue"],
        places: &["440305"],
        ..STAFF
    },
    Person {
        user: "C-0003",
        name: "李娜",
        org: Some("W-440305-01"),
        roles: &["receive", "issue"],
        places: &["440305"],
        ..STAFF
    },
    Person {
        user: "C-0002",
        name: "赵强",
        org: Some("W-419001-02"),
        roles: &["receive", "issue"],
        places: &["419001"],
        ..STAFF
    },
    Person {
        user: "E-9001",
        name: "陈静",
        kind: "outlet",
        org: Some("bank-440305-01"),
        roles: &["receive"],
        places: &["440305"],
        ..STAFF
    },
    Person {
        user: "E-9002",
        name: "林峰",
        kind: "outlet",
        org: Some("bank-440305-02"),
        roles: &["receive"],
        places: &["440305"],
        ..STAFF
    },
    Person {
        user: "A-0001",
        name: "周正",
        kind: "auditor",
        org: Some("gw-440305"),
        roles: &["audit"],
        places: &["440305", "419001"],
        ..STAFF
    },
    Person { user: "O-0001", name: "孙丽", org: Some(POLICE_B), roles: &["accept"], places: &["419001"], ..STAFF },
    Person { user: "O-0002", name: "吴刚", org: Some(POLICE_B), roles: &["examine"], places: &["419001"], ..STAFF },
    Person { user: "O-0003", name: "郑华", org: Some(POLICE_B), roles: &["approve"], places: &["419001"], ..STAFF },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::ResidentId;

    #[test]
    fn numbers_are_well_formed_and_nobody_is_there_twice() {
        for person in PEOPLE {
            assert_eq!(Person::find(person.user), Some(person));
            assert_eq!(person.resident.is_some(), person.is_citizen(), "{}", person.user);
            assert!(person.resident.is_none_or(|id| id.parse::<ResidentId>().is_ok()), "{}", person.user);
        }
        assert_eq!(Person::find("citizen").map(|p| p.user), Some(ZHANG));
        assert_eq!(Person::find("nobody"), None);
    }
}
