//! The floor plan holds: a room uses rooms on lower floors only, never its neighbours, never upstairs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by floor, from the ground up; `src/lib.rs` draws the same picture.
const FLOORS: &[&[&str]] = &[
    &["terms"],
    &["formats", "store"],
    &["trust"],
    &["audit", "upstream"],
    &["identity", "licences", "catalogue", "partners", "policy"],
    &["exchange", "federation", "lookups"],
    &["gateway"],
    &["http", "jobs"],
    &["console"],
    &["app"],
    &["cli"],
];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The rooms that a source text names as `crate::<room>`, also inside `use crate::{a, b}`.
fn used(text: &str) -> Vec<String> {
    let code: String = text.lines().map(|l| l.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => rooms.push(word(rest)),
            Some(list) => {
                let mut depth = 0;
                let mut begin = true;
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begin = true,
                        c if begin && !c.is_whitespace() => {
                            rooms.push(word(&list[i..]));
                            begin = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    rooms
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn a_room_uses_lower_floors_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    let mut seen = BTreeMap::new();
    for file in files {
        let inside = file.strip_prefix(&src).expect("below src");
        let Some(room) = inside.components().next().map(|c| c.as_os_str().to_string_lossy().into_owned()) else {
            continue;
        };
        if room.ends_with(".rs") {
            continue; // lib.rs and main.rs hold the house together
        }
        let Some(own) = floor(&room) else {
            wrong.push(format!("{}: room '{room}' has no floor", inside.display()));
            continue;
        };
        seen.insert(room.clone(), ());
        for other in used(&fs::read_to_string(&file).expect("text")) {
            if other == room {
                continue;
            }
            match floor(&other) {
                Some(floor) if floor < own => {}
                Some(_) => wrong.push(format!("{}: '{room}' uses '{other}', which is not below it", inside.display())),
                None => {} // a macro or an item of the crate root
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(seen.len() >= 15, "the plan was read: {seen:?}");
}

#[test]
fn the_plan_can_be_broken() {
    assert_eq!(
        used("use crate::{terms::Day, http::{a, b}, store};\nlet x = crate::cli::run(); // crate::jobs"),
        ["terms", "http", "store", "cli"]
    );
}
