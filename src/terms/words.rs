//! Closed lists of words: one spelling for machines, one name for people in each language.

/// Which language a text for people is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Lang {
    #[default]
    Zh,
    En,
}

impl Lang {
    /// The one of two texts that is written in this language.
    pub fn pick<'t>(self, zh: &'t str, en: &'t str) -> &'t str {
        match self {
            Self::Zh => zh,
            Self::En => en,
        }
    }
}

/// Declares an enum whose variants are words of a closed list: `Variant = "word", "中文", "English"`.
///
/// The word is what files, records and the API use and never changes; the names are for people.
macro_rules! words {
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($(#[$note:meta])* $variant:ident = $word:literal, $zh:literal, $en:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis enum $name { $($(#[$note])* $variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable word for machines.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The name for people.
            pub fn name(self, lang: $crate::terms::words::Lang) -> &'static str {
                match self { $(Self::$variant => lang.pick($zh, $en)),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::terms::IdentifierError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::terms::IdentifierError::Part),
                }
            }
        }

        $crate::terms::json::as_text!($name);

        impl $crate::terms::words::Word for $name {
            const WORDS: &'static [&'static str] = &[$($word),+];
        }
    };
}
pub(crate) use words;

/// What every closed list can tell: its words, for the mend of a mistake.
pub trait Word: std::str::FromStr + Copy + PartialEq {
    const WORDS: &'static [&'static str];
}

words! {
    /// Kinds of partner outlets.
    pub enum OutletKind {
        Bank = "bank", "银行网点", "bank branch";
        Post = "post", "邮政网点", "post office";
        /// The smallest list of items.
        Shop = "shop", "商超便民服务点", "shop";
        Terminal = "terminal", "自助终端", "self-service terminal";
    }
}

words! {
    /// Who must be at the counter in person. Anything but `none` rules out agents and partner outlets.
    pub enum Presence {
        None = "none", "无须本人到场", "nobody in person";
        /// Face or fingerprints are taken by the authority.
        Biometric = "biometric", "须本人到场采集生物特征", "the person, for biometrics";
        Both = "both", "须双方当事人同时到场", "both parties together";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_as_they_print() {
        for &kind in OutletKind::ALL {
            assert_eq!(kind.word().parse(), Ok(kind));
        }
        assert!("Bank".parse::<OutletKind>().is_err());
        assert_eq!(OutletKind::WORDS, ["bank", "post", "shop", "terminal"]);
        assert_eq!(Presence::Both.name(Lang::Zh), "须双方当事人同时到场");
    }
}
