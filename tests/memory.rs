//! Memory stays small whatever a file says: 256 MiB of content, the longest directory, the fullest XML; PDF and DER in `memory`.

#[path = "memory/der.rs"]
mod der;
#[path = "memory/pdf.rs"]
mod pdf;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tongban::formats::zip::{DosTime, Packing, Writer};

/// Resident memory that one examination may take, in KiB.
const MOST_KIB: u64 = 64 << 10;

/// Octets that do not pack well, without end.
struct Noise(u64);

impl Read for Noise {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        for chunk in out.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            chunk.copy_from_slice(&self.0.to_le_bytes()[..chunk.len()]);
        }
        Ok(out.len())
    }
}

fn writer(path: &Path) -> Writer<File> {
    Writer::new(File::create(path).expect("a file"), DosTime::EPOCH)
}

const ENTRANCE: &str =
    "<OFD><DocBody><DocRoot>Doc_0/Document.xml</DocRoot><Signatures>S.xml</Signatures></DocBody></OFD>";
const LIST: &str = "<Signatures><Signature ID='1' BaseLoc='T.xml'/></Signatures>";

/// A package whose signature lists `references`, beside what `more` adds.
fn package(path: &Path, references: &str, more: &dyn Fn(&mut Writer<File>)) {
    let signature = format!(
        "<Signature><SignedInfo><References CheckMethod='SM3'>{references}</References></SignedInfo><SignedValue>V</SignedValue></Signature>"
    );
    let mut out = writer(path);
    for (name, text) in [("OFD.xml", ENTRANCE), ("S.xml", LIST), ("T.xml", &signature), ("V", "0")] {
        out.add(name, Packing::Stored, text.as_bytes()).expect("written");
    }
    more(&mut out);
    out.finish().expect("written");
}

/// Most resident memory of `tongban verify FILE`, in KiB, and what it printed.
fn verify(path: &Path, through_stdin: bool) -> (u64, String) {
    verify_with(path, through_stdin, None)
}

/// As [`verify`], with what a detached signature is over.
fn verify_with(path: &Path, through_stdin: bool, content: Option<&Path>) -> (u64, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tongban"));
    let out = tempfile::NamedTempFile::new().expect("a file");
    command.args(["verify", "--json"]).stdout(out.reopen().expect("a file"));
    if let Some(content) = content {
        command.arg("--content").arg(content);
    }
    if through_stdin {
        command.arg("-").stdin(Stdio::piped());
    } else {
        command.arg(path);
    }
    let mut child = command.spawn().expect("the binary runs");
    let feeder = child.stdin.take().map(|mut pipe| {
        let mut file = File::open(path).expect("the file");
        std::thread::spawn(move || io::copy(&mut file, &mut pipe).expect("all is read"))
    });
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().expect("a child").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0);
        most = most.max(now);
        std::thread::sleep(Duration::from_millis(2));
    }
    if let Some(feeder) = feeder {
        feeder.join().expect("all was read");
    }
    (most, std::fs::read_to_string(out.path()).expect("its output"))
}

/// Examines a file; its memory must stay below the bound, and its report must have the code.
fn is_bounded(name: &str, path: &Path, content: Option<&Path>, code: &str) {
    let (most, said) = verify_with(path, false, content);
    println!("{name}: {most} KiB");
    assert!(said.contains(&format!("\"code\":\"{code}\"")), "{name}: {}", &said[..said.len().min(1_200)]);
    assert!(most > 0 && most < MOST_KIB, "{name}: {most} KiB");
}

#[test]
fn resident_memory_is_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("f.ofd");
    let big = |out: &mut Writer<File>| {
        for n in 0..4 {
            let packing = if n % 2 == 0 { Packing::Stored } else { Packing::Deflated };
            let name = format!("Doc_0/Res/{n}.bin");
            out.add_from(&name, packing, &mut Noise(n + 1).take(64 << 20)).expect("written");
        }
    };
    let long = |out: &mut Writer<File>| {
        for n in 0..4_900 {
            out.add(&format!("{n:05}/{}", "长".repeat(265)), Packing::Stored, b"").expect("written");
        }
    };
    let reference = "<Reference FileRef='/a'><CheckValue>AAAA</CheckValue></Reference>";
    let references = |n: usize| (0..n).map(|n| reference.replace("/a", &format!("/{n}"))).collect::<String>();
    let none = |_: &mut Writer<File>| {};
    let far = format!("/{}", "n".repeat(900));
    let named = |n: usize| (0..n).map(|n| reference.replace("/a", &format!("{far}{n}"))).collect::<String>();
    for (name, references, more, stdin, code) in [
        ("256 MiB", references(1), &big as &dyn Fn(&mut Writer<File>), false, "SIGNED_VALUE_DER"),
        ("256 MiB through a pipe", references(1), &big, true, "SIGNED_VALUE_DER"),
        ("long names", references(1), &long, false, "SIGNED_VALUE_DER"),
        ("2 MiB of names", named(2_300), &none, false, "SIGNED_VALUE_DER"),
        ("4 MiB of names", named(4_300), &none, false, "SIG_TOO_MANY"),
        ("20,000 references", references(20_000), &none, false, "SIGNED_VALUE_DER"),
        ("only elements", "<a/>".repeat(1_000_000), &none, false, "XML_TOO_BIG"),
    ] {
        package(&file, &references, more);
        let (most, said) = verify(&file, stdin);
        println!("{name}: {most} KiB");
        assert!(said.contains(&format!("\"code\":\"{code}\"")), "{name}: {}", &said[..said.len().min(600)]);
        assert!(most > 0 && most < MOST_KIB, "{name}: {most} KiB");
    }
}

/// A package of these files.
fn packed(path: &Path, files: &[(String, String)]) {
    let mut out = writer(path);
    for (name, text) in files {
        out.add(name, Packing::Stored, text.as_bytes()).expect("written");
    }
    out.finish().expect("written");
}

/// Files that hold as much of everything as is looked at, and more: what a licence says, documents, signatures.
#[test]
fn what_is_read_of_xml_is_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("f.ofd");
    let many = |n: usize, one: &dyn Fn(usize) -> String| (0..n).map(one).collect::<String>();
    let entrance = |inside: &str| ("OFD.xml".to_owned(), format!("<OFD>{inside}</OFD>"));
    let named = |name: &str, text: String| (name.to_owned(), text);
    let document = "<DocBody><DocRoot>D/R.xml</DocRoot></DocBody>";
    let custom = many(19_000, &|n| format!("<CustomData Name='certificateNumber'>{n:0>150}</CustomData>"));
    let custom = format!("<DocBody><DocInfo><CustomDatas>{custom}</CustomDatas></DocInfo></DocBody>");
    let elements = "<a/>".repeat(119_000);
    let attributes = many(250, &|n| format!(" b{n}=''"));
    let attributes = format!("<a{attributes}/>").repeat(900);
    let tagged = |filling: &str| {
        let root =
            format!("<D><CustomTags>L.xml</CustomTags><Pages><Page ID='7' BaseLoc='P.xml'/></Pages>{filling}</D>");
        let tag = format!("<v><certificateName><ObjectRef PageRef='7'>1</ObjectRef></certificateName>{filling}</v>");
        vec![
            entrance(document),
            named("D/R.xml", root),
            named("D/L.xml", format!("<L><CustomTag><FileLoc>T.xml</FileLoc></CustomTag>{filling}</L>")),
            named("D/T.xml", tag),
            named("D/P.xml", format!("<P><o ID='1'><TextCode>x</TextCode></o>{filling}</P>")),
        ]
    };
    let listed = many(30, &|n| format!("<Attachment><FileLoc>{n}.json</FileLoc></Attachment>"));
    let mut json = vec![
        entrance(document),
        named("D/R.xml", format!("<D><Attachments>L.xml</Attachments>{elements}</D>")),
        named("D/L.xml", format!("<L>{listed}</L>")),
    ];
    json.extend((0..30).map(|n| (format!("D/{n}.json"), format!("[{}0]", "0,".repeat(130_000)))));
    let reference = |n| format!("<Reference FileRef='/{n}'><CheckValue>AAAA</CheckValue></Reference>");
    let references = many(20_000, &reference);
    let signature = format!(
        "<Signature><SignedInfo><References CheckMethod='SM3'>{references}</References></SignedInfo><SignedValue>V</SignedValue></Signature>"
    );
    let lines = many(48, &|n| format!("<Signature ID='{n}' BaseLoc='{n}.xml'/>"));
    let mut signed =
        vec![named("OFD.xml", ENTRANCE.to_owned()), named("S.xml", format!("<Signatures>{lines}</Signatures>"))];
    signed.extend((0..48).map(|n| (format!("{n}.xml"), signature.clone())));
    let documents =
        many(15_000, &|n| format!("<DocBody><Signatures>{n}/{}.xml</Signatures></DocBody>", "s".repeat(150)));
    let digest = "<DigestMethod Algorithm='http://www.w3.org/2001/04/xmlenc#sha256'/><DigestValue>AAAA</DigestValue>";
    let object = |n| format!("<DataObjectReference URI='f{n}'>{digest}</DataObjectReference>");
    let objects = many(10_500, &object);
    let manifest = |n| {
        let text = format!("<ASiCManifest><SigReference URI='META-INF/s{n}.p7s'/>{objects}</ASiCManifest>");
        (format!("META-INF/ASiCManifest{n}.xml"), text)
    };
    let manifests: Vec<_> = (0..16).map(manifest).collect();
    for (name, files, code) in [
        ("manifests", manifests, "REF_FILE_MISSING"),
        ("values", vec![entrance(&custom)], "NOT_SIGNED"),
        ("documents", vec![entrance(&documents)], "SIGNATURES_XML_MISSING"),
        ("signatures", signed, "REF_FILE_MISSING"),
        ("elements", tagged(&elements), "NOT_SIGNED"),
        ("attributes", tagged(&attributes), "NOT_SIGNED"),
        ("JSON", json, "NOT_SIGNED"),
        ("more than OFD.xml may hold", vec![entrance(&documents.repeat(2))], "ZIP_TOO_BIG"),
    ] {
        packed(&file, &files);
        let (most, said) = verify(&file, false);
        println!("{name}: {most} KiB");
        assert!(said.contains(&format!("\"code\":\"{code}\"")), "{name}: {}", &said[..said.len().min(600)]);
        assert!(most > 0 && most < MOST_KIB, "{name}: {most} KiB");
    }
}
