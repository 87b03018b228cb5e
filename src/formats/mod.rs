//! Floor 1: file formats read strictly, once.
//!
//! ```text
//!  bytes ──▶ zip · xml · der · pdf · json ──▶ values whose shape nobody has to doubt again
//!                 │no
//!                 ▼
//!            a named error, and a fine code a report can print (ZIP_…, XML_…, PDF_…)
//! ```
//! Two programs that read one file differently are a way to show one text and sign another. So what is ambiguous is
//! refused here, and what is merely odd (vendor octets around an archive) is told as a finding.

pub mod ber;
pub mod der;
pub mod json;
pub mod pdf;
pub mod xml;
pub mod zip;

use crate::terms::{Explain, Next, Told, refusal::tolds};

tolds! {
    /// A ZIP archive that readers could understand in two ways, that is damaged, or that is larger than allowed.
    pub const ARCHIVE = "TB-FMT-0101", 422,
        "文件已损坏或格式不规范，请重新获取电子文件。",
        "The file is damaged or not a proper archive: obtain the electronic file again.",
        Next::CorrectAndResend;
    /// An archive beyond the limits of size, number or ratio.
    pub const ARCHIVE_TOO_BIG = "TB-FMT-0102", 413,
        "文件过大或压缩异常，无法受理。",
        "The file is too large, or compressed beyond what is plausible.",
        Next::CorrectAndResend;
    /// An XML file that is not well formed, uses what is forbidden, or is larger than allowed.
    pub const XML = "TB-FMT-0201", 422,
        "文件内容格式不规范，请重新获取电子文件。",
        "The content of the file is not proper XML: obtain the electronic file again.",
        Next::CorrectAndResend;
}

/// All answers of this room.
pub fn tolds() -> Vec<&'static Told> {
    TOLDS.to_vec()
}

impl Explain for zip::ZipError {
    fn told(&self) -> &'static Told {
        match self {
            Self::TooBig(_) | Self::Bomb(_) => &ARCHIVE_TOO_BIG,
            _ => &ARCHIVE,
        }
    }
}

impl Explain for xml::XmlError {
    fn told(&self) -> &'static Told {
        &XML
    }
}
