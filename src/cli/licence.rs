//! `tongban licence make`: test material for integrators and vendors, genuine and broken, with the verdict each file must get.
//!
//! ```text
//!  --out DIR ─▶ pki/            roots, seal maker, signers, time-stamp authority, lists: to be thrown away
//!               ofd/… pdf/… …   one file a variation
//!               policy.toml     for `tongban verify --policy`
//!               manifest.json   what each file is, and its verdict
//! ```

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::catalogue::Catalogue;
use crate::catalogue::words::{Holder, Validity};
use crate::licences::make::specimen::{Form, Kind, Making, Pki, Variation};
use crate::terms::UnixMillis;

/// Test material for licences (证照测试材料)
#[derive(Args)]
pub struct LicenceArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make licences of nobody, genuine and broken, under keys to be thrown away (制作测试证照)
    Make(MakeArgs),
}

#[derive(Args)]
struct MakeArgs {
    /// A folder that is not there yet, or empty (输出目录)
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    out: Option<PathBuf>,
    /// Type of licence in the catalogue (证照类型)
    #[arg(long = "type", value_name = "ID", default_value = "LT-ID")]
    type_id: String,
    /// Formats; all of them when absent (格式)
    #[arg(long, value_enum)]
    format: Vec<FormArg>,
    /// Variations by name, or `all`; the genuine one when absent (变体)
    #[arg(long, value_name = "NAME")]
    variation: Vec<String>,
    /// Name of the holder; 测试 is put before it (持证人)
    #[arg(long, default_value = "测试人员 TEST")]
    holder: String,
    /// The time by which files are to be judged, e.g. 2026-06-01T00:00:00Z; now by default (核验时间)
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// List formats and variations with their verdicts, and make nothing (列出变体)
    #[arg(long)]
    list: bool,
}

/// See [`Form`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormArg {
    Ofd,
    Pdf,
    Asic,
    SdJwt,
}

impl FormArg {
    fn form(self) -> Form {
        match self {
            Self::Ofd => Form::Ofd,
            Self::Pdf => Form::Pdf,
            Self::Asic => Form::Asic,
            Self::SdJwt => Form::SdJwt,
        }
    }
}

/// Runs the command.
pub fn run(args: &LicenceArgs) -> ExitCode {
    let What::Make(args) = &args.what;
    let done = match &args.out {
        _ if args.list => list(),
        Some(out) => make(args, out),
        None => Err("--out DIR is missing".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("tongban licence: {why}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    for form in Form::ALL {
        for variation in form.variations() {
            let (indication, sub, code) = variation.expected;
            let sub = sub.map_or_else(String::new, |sub| format!("/{}", sub.word()));
            let code = code.unwrap_or("-");
            let (zh, en) = variation.what;
            let line = format!("{} {} {}{sub} {code}  {zh} · {en}", form.word(), variation.name, indication.word());
            match writeln!(out, "{line}") {
                Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.map_err(|e| e.to_string())?,
            }
        }
    }
    Ok(())
}

/// The forms and variations that are asked for; a name that no form knows is a mistake.
fn wanted(args: &MakeArgs) -> Result<Vec<(Form, &'static Variation)>, String> {
    let forms: Vec<Form> = match args.format.is_empty() {
        true => Form::ALL.to_vec(),
        false => args.format.iter().map(|form| form.form()).collect(),
    };
    let all = args.variation.iter().any(|name| name == "all");
    let known = |name: &String| forms.iter().any(|form| form.variations().iter().any(|v| v.name == name));
    if let Some(strange) = args.variation.iter().find(|name| *name != "all" && !known(name)) {
        return Err(format!("--variation {strange}: no such variation of these formats; see --list"));
    }
    let asked = |n: usize, variation: &Variation| match args.variation.is_empty() {
        true => n == 0,
        false => all || args.variation.iter().any(|name| name == variation.name),
    };
    let of = |form: Form| {
        let all = form.variations().iter().enumerate();
        all.filter(|(n, variation)| asked(*n, variation))
            .map(move |(_, variation)| (form, variation))
            .collect::<Vec<_>>()
    };
    Ok(forms.into_iter().flat_map(of).collect())
}

fn make(args: &MakeArgs, out: &Path) -> Result<(), String> {
    let said = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let at = match &args.at {
        None => UnixMillis::now(),
        Some(text) => UnixMillis::parse_rfc3339(text).ok_or_else(|| format!("--at {text}: not an RFC 3339 time"))?,
    };
    let catalogue = Catalogue::embedded().map_err(|e| e.to_string())?;
    let kind = catalogue.licence_types.get(&args.type_id);
    let kind = kind.ok_or_else(|| format!("--type {}: the catalogue has no such type of licence", args.type_id))?;
    let wanted = wanted(args)?;
    std::fs::create_dir_all(out).map_err(|e| said(out, &e))?;
    if std::fs::read_dir(out).map_err(|e| said(out, &e))?.next().is_some() {
        return Err(format!("{}: is not empty; nothing is overwritten", out.display()));
    }
    let pki = Pki::new(at).map_err(|e| e.to_string())?;
    for (name, octets, secret) in pki.files().map_err(|e| e.to_string())? {
        write(&out.join("pki").join(name), &octets, secret)?;
    }
    write(&out.join("policy.toml"), pki.policy("pki").as_bytes(), false)?;
    let kind = Kind {
        name: &kind.name_zh,
        type_code: &kind.type_code,
        body: kind.holder == Holder::Legal,
        dated: kind.validity == Validity::Dated,
    };
    let making = Making { pki: &pki, kind, holder: &args.holder };
    let mut files = Vec::new();
    for (form, variation) in wanted {
        let name = format!("{}/{}.{}", form.word(), variation.name, form.ending());
        let octets = making.file(form, variation).map_err(|e| format!("{name}: {e}"))?;
        write(&out.join(&name), &octets, false)?;
        files.push(described(&name, form, variation));
    }
    let manifest = json!({ "policy": "policy.toml", "at": at.to_string(), "files": files });
    write(&out.join("manifest.json"), format!("{manifest:#}\n").as_bytes(), false)?;
    println!("{}: {} 份测试材料 · files, policy.toml, manifest.json", out.display(), files.len());
    Ok(())
}

fn described(name: &str, form: Form, variation: &Variation) -> Value {
    let (indication, sub, code) = variation.expected;
    json!({
        "file": name,
        "format": form.word(),
        "variation": variation.name,
        "what": { "zh": variation.what.0, "en": variation.what.1 },
        "expect": { "indication": indication.word(), "sub_indication": sub.map(|sub| sub.word()), "code": code },
    })
}

/// Writes a file that is not there yet.
fn write(path: &Path, octets: &[u8], secret: bool) -> Result<(), String> {
    let said = |e: std::io::Error| format!("{}: {e}", path.display());
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(said)?;
    let mode = if secret { 0o600 } else { 0o644 };
    let file = std::fs::File::options().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(octets)).map_err(said)
}
