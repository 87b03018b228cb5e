//! The options of `tongban verify`, and the policy file that says the same.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::trust::suite::{Accepted, Curve, DigestAlgorithm, RsaBits};

/// Check sealed and signed files, offline: OFD, PDF, ASiC, CMS, seals, credentials.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// Files or folders; `-` reads one file from standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// One JSON object a line and file.
    #[arg(long)]
    pub json: bool,
    /// What a detached signature (CMS, or the value of a seal's signature) is over.
    #[arg(long, value_name = "FILE")]
    pub content: Option<PathBuf>,
    /// Trust this certificate (DER or PEM) for signers and seal makers. Nothing in a certificate tells a maker from a signer: whoever has
    /// one under it can make a seal in another's name. Where that matters, use --signer-anchor and --maker-anchor.
    #[arg(long, value_name = "FILE")]
    pub anchor: Vec<PathBuf>,
    /// Trust this certificate for signers only.
    #[arg(long, value_name = "FILE")]
    pub signer_anchor: Vec<PathBuf>,
    /// Trust this certificate for seal makers only.
    #[arg(long, value_name = "FILE")]
    pub maker_anchor: Vec<PathBuf>,
    /// Trust this certificate for time-stamps.
    #[arg(long, value_name = "FILE")]
    pub tsa_anchor: Vec<PathBuf>,
    /// Trust list: a folder with trust.toml, which says for what, where and when each anchor is trusted.
    #[arg(long, value_name = "FOLDER")]
    pub trust: Option<PathBuf>,
    /// May help to build a chain; not trusted by itself.
    #[arg(long, value_name = "FILE")]
    pub intermediate: Vec<PathBuf>,
    /// Revocation list (DER or PEM).
    #[arg(long, value_name = "FILE")]
    pub crl: Vec<PathBuf>,
    /// Answer of an OCSP responder (DER), fetched or archived.
    #[arg(long, value_name = "FILE")]
    pub ocsp: Vec<PathBuf>,
    /// Lists and answers older than this are stale, whatever they say; no bound by default.
    #[arg(long, value_name = "HOURS")]
    pub status_max_age_h: Option<u32>,
    /// Metadata of an issuer of credentials, with its keys (JSON: issuer, jwks).
    #[arg(long, value_name = "FILE")]
    pub issuer_keys: Vec<PathBuf>,
    /// Status list of credentials (statuslist+jwt).
    #[arg(long, value_name = "FILE")]
    pub status_list: Vec<PathBuf>,
    /// Whom a credential must be presented to (aud).
    #[arg(long, value_name = "TEXT")]
    pub audience: Option<String>,
    /// The number given out for its presentation (nonce).
    #[arg(long, value_name = "TEXT")]
    pub nonce: Option<String>,
    /// Whether the holder must have signed a credential's presentation [default: if-available].
    #[arg(long, value_enum)]
    pub key_binding: Option<BindingArg>,
    /// Time of validation, e.g. 2025-06-01T00:00:00Z; now by default.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Which time certificates are judged at [default: timestamp].
    #[arg(long, value_enum)]
    pub time_basis: Option<BasisArg>,
    /// Which files must be sealed [default: protect].
    #[arg(long, value_enum)]
    pub coverage: Option<CoverageArg>,
    /// Whether certificate status must be known [default: if-available].
    #[arg(long, value_enum)]
    pub revocation: Option<RevocationArg>,
    /// Which archives are taken [default: any].
    #[arg(long, value_enum)]
    pub container: Option<ContainerArg>,
    /// Digest that counts (sm3, sha256, sha384, sha512), and perhaps its last day, e.g. "sha256 until 2030-12-31" [default: all].
    #[arg(long, value_name = "NAME")]
    pub digest: Vec<Accepted<DigestAlgorithm>>,
    /// Curve that counts (sm2, p256, p384, p521, ed25519), and perhaps its last day [default: all].
    #[arg(long, value_name = "NAME")]
    pub curve: Vec<Accepted<Curve>>,
    /// Least bits of an RSA key, and perhaps the last day, e.g. "2048 until 2028-12-31" beside 3072 [default: 2048].
    #[arg(long, value_name = "BITS")]
    pub rsa: Vec<Accepted<RsaBits>>,
    /// All of the above from a TOML file; options given here count more.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
}

/// See [`crate::licences::TimeBasis`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BasisArg {
    Claimed,
    Timestamp,
    Now,
}

/// See [`crate::licences::CoverageRule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CoverageArg {
    Protect,
    Strict,
}

/// See [`crate::licences::Revocation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationArg {
    Require,
    IfAvailable,
    Ignore,
}

/// Whether [`crate::licences::Binding::required`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindingArg {
    Require,
    IfAvailable,
}

/// What a file may hold besides what its seals speak for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerArg {
    /// Comments, attributes, gaps: seen in genuine files, and told.
    Any,
    /// Nothing: an octet changed anywhere in the file is found, also where no seal speaks for it.
    Exact,
}

/// The policy file: the same names as the options, paths relative to the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PolicyFile {
    pub anchor: Vec<PathBuf>,
    pub signer_anchor: Vec<PathBuf>,
    pub maker_anchor: Vec<PathBuf>,
    pub tsa_anchor: Vec<PathBuf>,
    pub trust: Option<PathBuf>,
    pub intermediate: Vec<PathBuf>,
    pub crl: Vec<PathBuf>,
    pub ocsp: Vec<PathBuf>,
    pub status_max_age_h: Option<u32>,
    pub issuer_keys: Vec<PathBuf>,
    pub status_list: Vec<PathBuf>,
    pub audience: Option<String>,
    pub nonce: Option<String>,
    pub key_binding: Option<BindingArg>,
    pub at: Option<String>,
    pub time_basis: Option<BasisArg>,
    pub coverage: Option<CoverageArg>,
    pub revocation: Option<RevocationArg>,
    pub container: Option<ContainerArg>,
    pub digest: Vec<String>,
    pub curve: Vec<String>,
    pub rsa: Vec<String>,
}
