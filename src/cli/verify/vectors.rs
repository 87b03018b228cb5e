//! The profiles of `$TONGBAN_VECTORS/ofd` as a script gives them, by options and by a policy file: what one prints says what the
//! manifest does.

use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::Value;

use super::files::Item;
use super::judge::Judge;
use super::{VerifyArgs, examine};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: VerifyArgs,
}

/// One profile: names and values of options, in their order.
type Options = Vec<(&'static str, String)>;

/// `20201024114537` as an option has it.
fn moment(text: &str) -> String {
    let part = |from: usize, to: usize| &text[from..to];
    format!("{}-{}-{}T{}:{}:{}Z", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12), part(12, 14))
}

fn paths(root: &Path, names: &Value) -> Vec<String> {
    let names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| root.join(name).display().to_string()).collect()
}

/// The same as a policy file: lists where an option can be given again.
fn policy(options: &Options) -> String {
    let lists = ["anchor", "intermediate", "crl"];
    let of =
        |name: &str| options.iter().filter(|(own, _)| *own == name).map(|(_, v)| format!("{v:?}")).collect::<Vec<_>>();
    let lists = lists.iter().map(|name| format!("{name} = [{}]\n", of(name).join(", ")));
    let rest = ["at", "coverage", "revocation"];
    let rest = rest.iter().flat_map(|name| of(name).into_iter().map(move |value| format!("{name} = {value}\n")));
    lists.chain(rest).collect()
}

/// What is printed for the file, by options and by a policy file: one line each, and the same.
fn printed(file: &Path, options: &Options, folder: &Path) -> Value {
    let by_policy = folder.join("policy.toml");
    std::fs::write(&by_policy, policy(options)).unwrap();
    let given: Vec<String> = options.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]).collect();
    let run = |more: Vec<String>| {
        let line =
            ["verify".to_owned(), "--json".to_owned()].into_iter().chain(more).chain([file.display().to_string()]);
        let args = Cli::try_parse_from(line).unwrap_or_else(|e| panic!("{e}")).args;
        let report = examine(&Item { path: file.to_owned(), refused: None }, &Judge::of(&args).unwrap());
        let line = report.to_json().to_string();
        assert!(!line.contains('\n'));
        serde_json::from_str::<Value>(&line).unwrap()
    };
    let (one, other) = (run(given), run(vec!["--policy".to_owned(), by_policy.display().to_string()]));
    assert_eq!(one, other, "{options:?}");
    one
}

/// Nothing where what was printed is what the manifest has.
fn differs(got: &Value, want: &Value) -> Option<String> {
    for member in ["file", "indication", "sub_indication", "code", "signatures"] {
        assert!(got.get(member).is_some(), "{member}: {got}");
    }
    let (indication, sub) = (&got["indication"], &got["sub_indication"]);
    let either: Vec<&Value> = want["either"].as_array().into_iter().flatten().collect();
    let allowed = match either[..] {
        // A pair is an indication with its reason; several indications stand for any reason.
        [i, s] if !s.as_str().is_some_and(|s| s.starts_with("TOTAL") || s.starts_with("INDET")) => {
            (i, s) == (indication, sub)
        }
        ref all => all.contains(&indication),
    };
    let same = (indication, sub) == (&want["indication"], &want["sub"]);
    (!same && !allowed).then(|| format!("{}: {indication} {sub} {}, expected {want}", got["file"], got["code"]))
}

fn read(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn profiles_of_the_manifests_by_options_and_by_policy() {
    let Some(root) = crate::terms::testing::vectors("ofd") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in read(root.join("manifest.json"))["files"].as_array().unwrap() {
        for want in file["expected"].as_array().unwrap() {
            let anchors = paths(&root, &want["anchors"]).into_iter().map(|path| ("anchor", path));
            // Two runs at two moments of now would not say the same.
            let at = ("at", moment(want["at"].as_str().unwrap_or("20261125000000")));
            let coverage = ("coverage", want["coverage"].as_str().unwrap().to_owned());
            let options: Options = anchors.chain([at, coverage]).collect();
            let name = root.join(file["file"].as_str().unwrap());
            wrong.extend(differs(&printed(&name, &options, folder.path()), want));
            count += 1;
        }
    }
    let root = root.join("generated");
    let cases = read(root.join("cases.json"));
    let all = [("anchor", "anchors"), ("intermediate", "intermediates"), ("crl", "crls")];
    let common =
        all.iter().flat_map(|(option, member)| paths(&root, &cases[*member]).into_iter().map(|path| (*option, path)));
    let at = ("at", moment(cases["validation_time"].as_str().unwrap()));
    let common: Options = common.chain([at]).collect();
    for want in cases["cases"].as_array().unwrap() {
        for revocation in ["if-available", "require"] {
            let options = [&common[..], &[("revocation", revocation.to_owned())]].concat();
            let name = root.join(want["file"].as_str().unwrap());
            wrong.extend(differs(&printed(&name, &options, folder.path()), want));
            count += 1;
        }
    }
    assert!(wrong.is_empty() && count > 100, "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
