//! What a file may ask of us: work that would grow with the square of its size, and memory with it, is bounded, and what is left out is
//! told.

use std::time::{Duration, Instant};

use super::kit::{Cms, Draft, World};
use crate::licences::{NoDatum, Report, names};

/// Far more than any of this takes, and far less than it would without the bounds.
const PATIENCE: Duration = Duration::from_secs(60);

fn at_once(world: &World, draft: &Draft) -> Report {
    let package = draft.package(world);
    let start = Instant::now();
    let report = world.judged("f", package, draft);
    assert!(start.elapsed() < PATIENCE, "{:?}: {}", start.elapsed(), report.to_text());
    report
}

#[test]
fn a_list_that_many_documents_name_is_read_once() {
    let mut draft = Draft::default();
    let body = "<ofd:DocBody><ofd:Signatures>Doc_0/Signs/Signatures.xml</ofd:Signatures></ofd:DocBody>";
    draft.edit("OFD.xml", move |text| text.replace("</ofd:OFD>", &format!("{}</ofd:OFD>", body.repeat(15_000))).into());
    draft.edit("Signatures.xml", |text| {
        text.replace("</ofd:Signatures>", &format!("{}</ofd:Signatures>", "<v/>".repeat(9_000))).into()
    });
    let report = at_once(&World::new(), &draft);
    assert!(report.passed() && report.signatures.len() == 1, "{}", report.to_text());
}

/// A licence whose custom tags point to objects of a page.
fn tagged(references: &str, objects: &str) -> Draft {
    const PAGES: &str =
        "<ofd:CustomTags>Tags/CustomTags.xml</ofd:CustomTags><ofd:Pages><ofd:Page ID=\"7\" BaseLoc=\"Pages/7.xml\"/>";
    const LIST: &str = "<CustomTags><CustomTag><FileLoc>CustomTag.xml</FileLoc></CustomTag></CustomTags>";
    let mut draft = Draft::default();
    draft.replace("Document.xml", "<ofd:Pages>", PAGES);
    draft.files.push(("Doc_0/Tags/CustomTags.xml", LIST.into()));
    draft.files.push(("Doc_0/Tags/CustomTag.xml", format!("<v>{references}</v>").into()));
    draft.files.push(("Doc_0/Pages/7.xml", format!("<ofd:Page xmlns:ofd=\"o\">{objects}</ofd:Page>").into()));
    draft
}

fn object(id: usize, text: &str) -> String {
    format!("<ofd:TextObject ID=\"{id}\"><ofd:TextCode>{text}</ofd:TextCode></ofd:TextObject>")
}

fn pointing(name: &str, ids: impl Iterator<Item = usize>) -> String {
    let references: String = ids.map(|id| format!("<ObjectRef PageRef=\"7\">{id}</ObjectRef>")).collect();
    format!("<{name}>{references}</{name}>")
}

#[test]
fn tags_that_point_to_a_page_are_resolved_in_one_look() {
    let world = World::new();
    // In the order of the references, not of the page; one that points nowhere adds nothing.
    let draft = tagged(&pointing(names::NAME, [3, 9, 1].into_iter()), &(object(1, "执照") + &object(3, "营业")));
    let report = at_once(&world, &draft);
    let name = report.data.get(names::NAME).unwrap();
    assert_eq!((name.value.as_str(), name.file.as_str(), name.covered), ("营业执照", "Doc_0/Pages/7.xml", true));
    // A page of many objects, and a tag that points to the last of them again and again.
    let page: String = (0..20_000).map(|id| object(id, "x")).collect();
    let tags = pointing(names::NUMBER, std::iter::repeat_n(19_999, 30_000)) + &pointing(names::NAME, [7].into_iter());
    let report = at_once(&world, &tagged(&tags, &page));
    assert_eq!(report.data.get(names::NAME).map(|d| d.value.as_str()), Ok("x"));
    assert_eq!(report.data.get(names::NUMBER), Err(NoDatum::Missing), "longer than any value");
}

#[test]
fn more_values_than_a_licence_has_are_none() {
    let world = World::new();
    let attached = |count: usize| {
        let mut draft = Draft::default();
        let values: String = (0..count).map(|n| format!("<certificateNumber>{n}</certificateNumber>")).collect();
        draft.replace("Document.xml", "<ofd:Pages>", "<ofd:Attachments>Attachs/List.xml</ofd:Attachments><ofd:Pages>");
        let list = "<Attachments><Attachment ID=\"1\"><FileLoc>data.xml</FileLoc></Attachment></Attachments>";
        draft.files.push(("Doc_0/Attachs/List.xml", list.into()));
        draft
            .files
            .push(("Doc_0/Attachs/data.xml", format!("<d><certificateName>a</certificateName>{values}</d>").into()));
        at_once(&world, &draft)
    };
    for (count, want) in [(1, Ok("a")), (499, Ok("a")), (500, Err(NoDatum::Conflict)), (30_000, Err(NoDatum::Conflict))]
    {
        let report = attached(count);
        assert_eq!(report.data.get(names::NAME).map(|d| d.value.as_str()), want, "{count} values");
        let told = report.findings.iter().any(|f| f.code == "LICENCE_DATA_TOO_MANY");
        assert!(report.passed() && told == want.is_err() && report.data.data.len() <= 500, "{count} values");
    }
}

/// What a signature covers is told of each of its signers.
#[test]
fn many_signers_of_many_files() {
    const FILES: usize = 1_100;
    let world = World::new();
    for (name_octets, signers, want) in
        [(4, 2, None), (4, 64, Some("SIG_TOO_MANY")), (900, 2, None), (900, 3, Some("SIG_TOO_MANY"))]
    {
        let form = Cms { attributes: true, signers, ..Cms::default() };
        let mut draft = Draft { cms: Some(form), ..Draft::default() };
        let name = |n| -> &'static str { format!("Doc_0/Res/{n:0>name_octets$}.xml").leak() };
        draft.files.extend((0..FILES).map(|n| (name(n), Vec::new())));
        let report = at_once(&world, &draft);
        assert_eq!(report.code, want, "{signers} signers, {name_octets}: {}", report.indication);
        let told: usize = report.signatures.iter().map(|s| s.covered.len()).sum();
        assert!(report.passed() == want.is_none() && told <= 48 << 10, "{told}");
    }
}
