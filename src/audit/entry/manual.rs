//! `docs/audit-entries.md`, written from the types.

use std::fmt::Write;

use super::fields::PARTS;
use super::{Kind, MAX_ENTRY, Role, VERSION};

/// Members at the top of an entry that are not parts of their own.
const TOP: &[(&str, &str)] = &[
    ("v", "Version of the format. A verifier cannot judge another version."),
    ("kind", "What is recorded; the list is below. A verifier cannot judge another kind."),
    ("ts", "Unix time in milliseconds, UTC."),
    ("nonce", "32 random bytes, hexadecimal: public leaf hashes hide what could be guessed."),
    ("trace", "W3C trace id."),
    ("case", "`id` pseudonym of the case, `seq` from 1 without gaps, `prev` leaf hash of the case's entry before."),
    ("of", "Leaf hash of the intent that this entry closes; in every closing kind, in no other."),
    (
        "enc",
        "The sealed part: `alg` A256GCM, `kid` name of the key, `box` base64 of nonce 12, ciphertext, tag 16; what is in it stands below.",
    ),
    ("facts", "Names and values for which no member exists, e.g. a key id."),
];

/// What is in the sealed part.
const SEALED: &str = "
## The sealed part

`enc` of a case's lines, opened with the log key of the case, is a JSON object:

| member | meaning |
|---|---|
| `applicant` | `name` and `number` of whom the case is about (resident number or credit code); in the line by which a case comes into being. |
| `note` | Free text of the act: reasons, what is to be supplemented, remarks; at most 6,000 octets, a longer one ends in `…` and stands whole in the act's paper. |

The log key is HMAC-SHA256(key of the case, `tongban audit enc v1`); `kid` is the first 32 hexadecimal digits of
SHA-256(`tongban audit kid v1` ‖ log key). The box is AES-256-GCM with the additional data `enc` ‖ 0 ‖ `kid` ‖ 0 ‖ the 16 octets
of the case's pseudonym. Whoever has the log key opens the lines of this case and none of its files. Destroying the key of
the case (`key.shred`) makes every `enc` of it noise, in every mirror and archive; hashes and proofs stay as they are.
";

/// The manual page, Markdown.
pub fn manual() -> String {
    let mut page = format!(
        "# Audit entries\n\nWritten from the types in `src/audit/entry`; a test fails when this page is out of date \
         (`UPDATE_DOCS=1` rewrites it).\n\nAn entry is one JSON object: UTF-8, keys sorted, no insignificant blanks, \
         no floats, integers below 2^53, at most {MAX_ENTRY} bytes. The bytes as stored are hashed. Version {VERSION}. \
         Members that say nothing are left out. In clear there are only codes (1–128 visible ASCII characters), numbers of official documents (青监〔2026〕17号), \
         digests and pseudonyms; names, numbers and free text are in `enc`.\n\n## Members\n\n| member | meaning |\n|---|---|\n"
    );
    for (name, about) in TOP {
        let _ = writeln!(page, "| `{name}` | {about} |");
    }
    for (_, about, _) in PARTS.iter().filter(|(_, about, _)| !about.contains("up.receipt")) {
        let (name, about) = about.trim().split_once(':').unwrap_or((about, ""));
        let _ = writeln!(page, "| {name} | {} |", about.trim());
    }
    page.push_str("\n## Kinds\n\n| kind | role | recorded when |\n|---|---|---|\n");
    for kind in Kind::ALL {
        let role = match kind.role() {
            Role::Intent => "intent",
            Role::Closing => "closing",
            Role::Plain => "",
        };
        let _ = writeln!(page, "| `{kind}` | {role} | {} |", kind.about().trim());
    }
    let _ = write!(page, "{SEALED}");
    page.push_str("\n## Parts\n");
    for (_, about, members) in PARTS {
        let _ = writeln!(
            page,
            "\n### {}\n\n| member | type | meaning |\n|---|---|---|",
            about.trim().trim_end_matches('.')
        );
        for (name, kind, meaning) in *members {
            let name = name.trim_start_matches("r#");
            let kind = kind.replace(' ', "");
            let kind = kind.trim_start_matches("Option<").trim_end_matches('>');
            let kind = if let Some(item) = kind.strip_prefix("Vec<") { format!("list of {item}") } else { kind.into() };
            let _ = writeln!(page, "| `{name}` | {kind} | {} |", meaning.trim());
        }
    }
    page
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_manual_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit-entries.md");
        let page = super::manual();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
            std::fs::write(path, &page).unwrap();
        }
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(stored, page, "run this test with UPDATE_DOCS=1");
    }
}
