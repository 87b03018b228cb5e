//! What the person at the window hears when a certificate, key or signature does not count.
//!
//! One file for the small enums of this room; chains, CMS and time-stamps have their own answers.

use super::asic::AsicError;
use super::certificate::CertificateError;
use super::pem::PemError;
use super::suite::SuiteError;
use crate::formats::der::DerError;
use crate::terms::{Explain, Next, Told, refusal::tolds};

tolds! {
    /// A certificate, list or signature that cannot be read.
    pub const MALFORMED = "TB-TRU-0001", 422,
        "签名或证书数据损坏，无法读取，请重新获取原文件。",
        "The signature or certificate data is damaged: obtain the original file again.",
        Next::BringOriginal;
    /// An algorithm that is broken: MD5, SHA-1.
    pub const WEAK = "TB-TRU-0101", 422,
        "签名使用了已淘汰的弱算法，请重新签发。",
        "The signature uses an algorithm that is no longer safe: have it issued again.",
        Next::BringOriginal;
    /// An algorithm, curve or form of key that is not known here.
    pub const UNSUPPORTED = "TB-TRU-0102", 422,
        "签名算法不受支持，请联系签发单位。",
        "The signature algorithm is not supported here: contact the issuer.",
        Next::BringOriginal;
    /// A signature that does not verify.
    pub const BROKEN = "TB-TRU-0103", 422,
        "数字签名未通过核验，请携带原件或重新签发。",
        "The digital signature does not verify: bring the original or have it issued again.",
        Next::BringOriginal;
    /// A key of our own that cannot sign.
    pub const OWN_KEY = "TB-TRU-0104", 500,
        "平台签名密钥不可用，请联系运维人员。",
        "A signing key of this platform cannot be used: call the operator.",
        Next::AskOperator;
    /// A container whose files are not those that were sealed.
    pub const CONTAINER = "TB-TRU-0501", 422,
        "封装文件与签章时的内容不一致，请发送方重新发送。",
        "The container does not hold what was sealed: have the sender send it again.",
        Next::CorrectAndResend;
    /// A container that could not be read or written here.
    pub const STORAGE = "TB-TRU-0502", 503,
        "系统暂时无法读写文件，请稍后再试。",
        "The file cannot be read or written at the moment: try again later.",
        Next::TryLater;
}

impl Explain for DerError {
    fn told(&self) -> &'static Told {
        &MALFORMED
    }
}

impl Explain for PemError {
    fn told(&self) -> &'static Told {
        &MALFORMED
    }
}

impl Explain for SuiteError {
    fn told(&self) -> &'static Told {
        match self {
            Self::Weak(_) => &WEAK,
            Self::UnknownAlgorithm(_) | Self::Key => &UNSUPPORTED,
            Self::Signature | Self::Encoding => &BROKEN,
            Self::PublicKeyMissing | Self::Signing(_) => &OWN_KEY,
        }
    }
}

impl Explain for CertificateError {
    fn told(&self) -> &'static Told {
        match self {
            Self::Suite(error) => error.told(),
            Self::Der(_) | Self::Form(_) => &MALFORMED,
        }
    }
}

impl Explain for AsicError {
    fn told(&self) -> &'static Told {
        match self {
            Self::Zip(error) => error.told(),
            Self::Xml(error) => error.told(),
            Self::Cms(error) => error.told(),
            Self::Io(_) => &STORAGE,
            Self::Form(_) | Self::Changed(_) | Self::Uncovered(_) | Self::Missing(_) => &CONTAINER,
        }
    }
}
