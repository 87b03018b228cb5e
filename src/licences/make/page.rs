//! One A4 page of an OFD document (GB/T 33190), with text that every reader can show and copy.

use std::fmt::Write as _;

use serde_json::Value;

use super::Paper;
use crate::formats::xml::escape;
use crate::terms::{Digest, UnixMillis};

/// Files of a package, in the order they are written.
pub(super) type Files = Vec<(String, Vec<u8>)>;

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const NS: &str = "xmlns:ofd=\"http://www.ofdspec.org/2016\"";
/// A4, in millimetres.
const WIDTH: f64 = 210.0;
const HEIGHT: f64 = 297.0;
const MARGIN: f64 = 25.0;
/// Where values begin, right of their labels.
const VALUE_X: f64 = 62.0;
const TITLE_SIZE: f64 = 7.0;
const TEXT_SIZE: f64 = 4.2;
const LINE: f64 = 8.0;
/// Nothing is written below: the seal stands there.
const BOTTOM: f64 = 240.0;

/// All files of an unsealed document.
pub(super) fn files(paper: &Paper, at: UnixMillis) -> Files {
    let data_xml = data_xml(paper);
    let data_json = serde_json::to_vec(&sorted(&paper.data)).unwrap_or_default();
    let mut identity = format!("{}\n{}\n{at}\n", paper.title, paper.number).into_bytes();
    identity.extend(&data_json);
    let doc_id = &Digest::of(&identity).to_string()[..32];
    let day = at.day();
    let mut custom = String::new();
    for (name, value) in &paper.custom {
        let _ = write!(custom, "<ofd:CustomData Name=\"{}\">{}</ofd:CustomData>", escape(name), escape(value));
    }
    let ofd = format!(
        "{HEAD}<ofd:OFD {NS} Version=\"1.0\" DocType=\"OFD\"><ofd:DocBody><ofd:DocInfo><ofd:DocID>{doc_id}</ofd:DocID>\
         <ofd:Title>{}</ofd:Title><ofd:CreationDate>{day}</ofd:CreationDate><ofd:Creator>Tongban</ofd:Creator>\
         <ofd:CreatorVersion>{}</ofd:CreatorVersion><ofd:CustomDatas>{custom}</ofd:CustomDatas></ofd:DocInfo>\
         <ofd:DocRoot>Doc_0/Document.xml</ofd:DocRoot><ofd:Signatures>/Doc_0/Signs/Signatures.xml</ofd:Signatures>\
         </ofd:DocBody></ofd:OFD>",
        escape(&paper.title),
        env!("CARGO_PKG_VERSION"),
    );
    let (content, last_id) = content(paper);
    let document = format!(
        "{HEAD}<ofd:Document {NS}><ofd:CommonData><ofd:MaxUnitID>{last_id}</ofd:MaxUnitID><ofd:PageArea>\
         <ofd:PhysicalBox>0 0 {WIDTH} {HEIGHT}</ofd:PhysicalBox></ofd:PageArea><ofd:PublicRes>PublicRes.xml</ofd:PublicRes>\
         </ofd:CommonData><ofd:Pages><ofd:Page ID=\"1\" BaseLoc=\"Pages/Page_0/Content.xml\"/></ofd:Pages>\
         <ofd:Attachments>Attachs/Attachments.xml</ofd:Attachments></ofd:Document>"
    );
    let resources = format!(
        "{HEAD}<ofd:Res {NS} BaseLoc=\"Res\"><ofd:Fonts><ofd:Font ID=\"2\" FontName=\"宋体\" FamilyName=\"宋体\"/>\
         </ofd:Fonts></ofd:Res>"
    );
    let attachments = format!(
        "{HEAD}<ofd:Attachments {NS}><ofd:Attachment ID=\"1\" Name=\"data.xml\" Format=\"xml\" CreationDate=\"{day}\" \
         Visible=\"true\"><ofd:FileLoc>data.xml</ofd:FileLoc></ofd:Attachment><ofd:Attachment ID=\"2\" Name=\"data.json\" \
         Format=\"json\" CreationDate=\"{day}\" Visible=\"true\"><ofd:FileLoc>data.json</ofd:FileLoc></ofd:Attachment>\
         </ofd:Attachments>"
    );
    let file = |name: &str, bytes: Vec<u8>| (name.to_owned(), bytes);
    vec![
        file("OFD.xml", ofd.into_bytes()),
        file("Doc_0/Document.xml", document.into_bytes()),
        file("Doc_0/PublicRes.xml", resources.into_bytes()),
        file("Doc_0/Pages/Page_0/Content.xml", content.into_bytes()),
        file("Doc_0/Attachs/Attachments.xml", attachments.into_bytes()),
        file("Doc_0/Attachs/data.xml", data_xml.into_bytes()),
        file("Doc_0/Attachs/data.json", data_json),
    ]
}

fn sorted(value: &Value) -> Value {
    let mut value = value.clone();
    value.sort_all_objects();
    value
}

/// The page, and the highest object number on it.
fn content(paper: &Paper) -> (String, u32) {
    let mut page = Page { xml: String::new(), id: 10 };
    let title_width = advance(&paper.title, TITLE_SIZE).iter().sum::<f64>();
    page.text(&paper.title, TITLE_SIZE, ((WIDTH - title_width) / 2.0).max(MARGIN), 30.0);
    let number = format!("编号：{}", paper.number);
    let number_width = advance(&number, TEXT_SIZE).iter().sum::<f64>();
    page.text(&number, TEXT_SIZE, (WIDTH - MARGIN - number_width).max(MARGIN), 44.0);
    page.rule(52.0);
    let mut y = 58.0;
    for (label, value) in &paper.fields {
        if y > BOTTOM {
            break; // the rest is in the data files, which are sealed as well
        }
        page.text(label, TEXT_SIZE, MARGIN, y);
        for line in wrap(value, TEXT_SIZE, WIDTH - MARGIN - VALUE_X) {
            if y > BOTTOM {
                break;
            }
            page.text(&line, TEXT_SIZE, VALUE_X, y);
            y += LINE;
        }
    }
    let last = page.id;
    let xml = format!(
        "{HEAD}<ofd:Page {NS}><ofd:Area><ofd:PhysicalBox>0 0 {WIDTH} {HEIGHT}</ofd:PhysicalBox></ofd:Area><ofd:Content>\
         <ofd:Layer ID=\"3\" Type=\"Body\">{}</ofd:Layer></ofd:Content></ofd:Page>",
        page.xml
    );
    (xml, last)
}

struct Page {
    xml: String,
    id: u32,
}

impl Page {
    /// One line; `y` is the top of the box, in millimetres from the top of the page.
    fn text(&mut self, text: &str, size: f64, x: f64, y: f64) {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        if text.is_empty() {
            return;
        }
        self.id += 1;
        let widths = advance(&text, size);
        let total: f64 = widths.iter().sum();
        let deltas: Vec<String> = widths.iter().take(widths.len() - 1).map(|w| format!("{w:.2}")).collect();
        let deltas = if deltas.is_empty() { String::new() } else { format!(" DeltaX=\"{}\"", deltas.join(" ")) };
        let _ = write!(
            self.xml,
            "<ofd:TextObject ID=\"{}\" Boundary=\"{x:.2} {y:.2} {:.2} {:.2}\" Font=\"2\" Size=\"{size}\">\
             <ofd:TextCode X=\"0\" Y=\"{size:.2}\"{deltas}>{}</ofd:TextCode></ofd:TextObject>",
            self.id,
            total + 0.5,
            size * 1.4,
            escape(&text),
        );
    }

    /// A thin line over the width of the text.
    fn rule(&mut self, y: f64) {
        self.id += 1;
        let width = WIDTH - 2.0 * MARGIN;
        let _ = write!(
            self.xml,
            "<ofd:PathObject ID=\"{}\" Boundary=\"{MARGIN} {y} {width} 1\" LineWidth=\"0.3\">\
             <ofd:AbbreviatedData>M 0 0.5 L {width} 0.5</ofd:AbbreviatedData></ofd:PathObject>",
            self.id
        );
    }
}

/// Widths of the characters: full for Chinese, half for the rest.
fn advance(text: &str, size: f64) -> Vec<f64> {
    text.chars().map(|c| if c.is_ascii() { size / 2.0 } else { size }).collect()
}

fn wrap(text: &str, size: f64, width: f64) -> Vec<String> {
    let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0.0);
    for c in text.chars() {
        let w = if c.is_ascii() { size / 2.0 } else { size };
        if c == '\n' || used + w > width {
            lines.push(std::mem::take(&mut line));
            used = 0.0;
        }
        if c != '\n' {
            line.push(c);
            used += w;
        }
    }
    lines.push(line);
    lines
}

/// The data once more as XML, for readers that know GB/T 36903 names.
fn data_xml(paper: &Paper) -> String {
    let mut out = format!("{HEAD}<paper kind=\"{}\" number=\"{}\">", paper.kind.word(), escape(&paper.number));
    element(&mut out, &sorted(&paper.data));
    out.push_str("</paper>");
    out
}

fn element(out: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::Object(map) => {
            for (name, value) in map {
                let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
                let (open, close) = if plain {
                    (name.clone(), name.clone())
                } else {
                    (format!("field name=\"{}\"", escape(name)), "field".to_owned())
                };
                let _ = write!(out, "<{open}>");
                element(out, value);
                let _ = write!(out, "</{close}>");
            }
        }
        Value::Array(items) => {
            for item in items {
                out.push_str("<item>");
                element(out, item);
                out.push_str("</item>");
            }
        }
        Value::String(text) => out.push_str(&escape(text)),
        other => out.push_str(&other.to_string()),
    }
}
