//! One signature more on a PDF: PAdES baseline B-B, and B-T with a time-stamp (ETSI EN 319 142-1 §6); SM2 keys sign in the
//! spelling of GB/T 35275, in the same place.

use super::MakeError;
use crate::formats::pdf::{Document, Labels, PdfError};
use crate::formats::zip::Source;
use crate::terms::UnixMillis;
use crate::trust::certificate::Certificate;
use crate::trust::cms::{self, Spelling, TimeStamp};
use crate::trust::suite::{Hasher, SignatureAlgorithm, Signer};

/// Room for a value beside its certificates, and for a time-stamp with those of its authority, in octets.
const ROOM: usize = 4 << 10;
const STAMP_ROOM: usize = 16 << 10;
/// Times in a PDF are those of Beijing.
const ZONE_S: i64 = 8 * 3600;

/// How a PDF is signed.
pub struct PdfApply<'a> {
    pub signer: &'a dyn Signer,
    /// The signer's certificate first; all of it goes in.
    pub chain: &'a [Certificate],
    pub at: UnixMillis,
    pub time_stamp: Option<TimeStamp<'a>>,
    /// Why, as readers show it.
    pub reason: Option<&'a str>,
}

/// What has to be written after the octets of `file`, which stay as they are: earlier signatures stay good.
///
/// # Errors
/// [`MakeError::Package`] for a file that is no PDF, is encrypted, or allows no change; [`MakeError::Sign`] also when no
/// time-stamp could be had.
pub fn sign_pdf<S: Source>(file: S, with: &PdfApply<'_>) -> Result<Vec<u8>, MakeError> {
    let unfit = |e: PdfError| MakeError::Package(format!("{} {e}", e.code()));
    let certificate = with.chain.first().ok_or_else(|| MakeError::Sign("no certificate".to_owned()))?;
    let document = Document::open(file).map_err(unfit)?;
    let room = with.chain.iter().map(|c| c.der().len()).sum::<usize>()
        + ROOM
        + if with.time_stamp.is_some() { STAMP_ROOM } else { 0 };
    let (date, name) = (date(with.at), certificate.subject_text());
    let labels = Labels { sub_filter: "ETSI.CAdES.detached", date: &date, name: &name, reason: with.reason };
    let place = document.place(&labels, room).map_err(unfit)?;

    let mut hasher = Hasher::new(with.signer.algorithm().digest());
    let (mut at, mut piece) = (0, vec![0; 64 << 10]);
    while at < document.size() {
        let len = (document.size() - at).min(piece.len() as u64) as usize;
        document.source().read_at(at, &mut piece[..len]).map_err(|e| unfit(e.into()))?;
        hasher.update(&piece[..len]);
        at += len as u64;
    }
    let (before, after) = place.signed();
    hasher.update(before);
    hasher.update(after);
    let national = with.signer.algorithm() == SignatureAlgorithm::Sm2Sm3;
    let spelling = if national { Spelling::National } else { Spelling::International };
    // The time claimed is the dictionary's: the attribute must not be there.
    let value = cms::sign_detached_with(with.signer, with.chain, &hasher.finish(), None, spelling, with.time_stamp);
    place.fill(&value.map_err(|e| MakeError::Sign(e.to_string()))?).map_err(unfit)
}

/// `D:20260213100000+08'00'`
fn date(at: UnixMillis) -> String {
    let local = at.plus_seconds(ZONE_S).to_string();
    let digits: String = local.chars().filter(char::is_ascii_digit).take(14).collect();
    format!("D:{digits}+08'00'")
}
