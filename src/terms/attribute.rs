//! What may be told of a person beside what the law of the case itself needs: a closed list, so that an item can say which
//! of it is asked for, and everything else stays where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Lang;
use super::words::words;

words! {
    /// Attributes of an applicant.
    pub enum Attribute {
        Name = "name", "姓名", "name";
        /// Of the identity document. A case is kept under it, and licences and shared data are judged by it.
        Number = "number", "证件号码", "number of the identity document";
        Phone = "phone", "联系电话", "telephone number";
        Email = "email", "电子邮箱", "e-mail address";
        Address = "address", "联系地址", "postal address";
    }
}

impl Attribute {
    /// What travels where an item says nothing.
    pub fn minimal() -> BTreeSet<Self> {
        [Self::Name, Self::Number].into()
    }

    /// The attribute that a field of a form holds by its name: its word, or its Chinese name.
    pub fn of_field(field: &str) -> Option<Self> {
        let field = field.trim();
        let named = |own: &&Self| own.word().eq_ignore_ascii_case(field) || own.name(Lang::Zh) == field;
        Self::ALL.iter().find(named).copied()
    }
}

/// Attributes of one person. Shows which there are, never what they are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Attributes(BTreeMap<Attribute, String>);

impl Attributes {
    pub fn get(&self, which: Attribute) -> Option<&str> {
        self.0.get(&which).map(String::as_str)
    }
}

impl FromIterator<(Attribute, String)> for Attributes {
    fn from_iter<T: IntoIterator<Item = (Attribute, String)>>(all: T) -> Self {
        Self(all.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect())
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys().map(|own| own.word())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_an_attribute_by_its_name() {
        for (field, want) in [
            ("phone", Some(Attribute::Phone)),
            (" Phone ", Some(Attribute::Phone)),
            ("联系电话", Some(Attribute::Phone)),
            ("姓名", Some(Attribute::Name)),
            ("telephone number", None), // people's English names are no field names
            ("use", None),
            ("", None),
        ] {
            assert_eq!(Attribute::of_field(field), want, "{field}");
        }
    }

    #[test]
    fn what_somebody_is_called_is_not_shown() {
        let some = [(Attribute::Phone, "13900000000".to_owned()), (Attribute::Email, " ".to_owned())];
        let all = Attributes::from_iter(some);
        assert_eq!((all.get(Attribute::Phone), all.get(Attribute::Email)), (Some("13900000000"), None));
        assert_eq!(format!("{all:?}"), r#"{"phone"}"#);
    }
}
