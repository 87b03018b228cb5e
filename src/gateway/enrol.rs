//! Enrolling a terminal: one command at the terminal, one signed approval, a short-lived certificate.
//!
//! ```text
//!  terminal: key, request ─▶ approval: an operator's order for this terminal, once ─┐
//!                        └─▶ or the certificate it has, before it runs out ─────────┴─▶ contract lists it? ─▶ line ─▶ certificate
//! ```
//! The key never leaves the terminal. The name in the certificate is the contract's, whatever the request says.

use std::sync::Arc;

use serde::Deserialize;

use super::entrusted;
use super::ledger::{self, Trace};
use super::orders::{self, Judged, Order, Signed};
use super::rooms::Rooms;
use super::who::Terminal;
use crate::audit::entry::{Evidence, Outcome};
use crate::audit::{Committed, Kind};
use crate::partners::{Contract, PartnerError, TerminalId};
use crate::terms::refusal::tolds;
use crate::terms::{Digest, Explain, Next, Refusal, UnixMillis};
use crate::trust::certificate::Certificate;
use crate::trust::issue::{self, Issuer, Subject, Use};
use crate::trust::suite::SigningKey;
use crate::trust::{pem, request};

tolds! {
    /// This gateway issues no certificates for terminals.
    pub const NO_AUTHORITY = "TB-GW-0611", 404,
        "本网关未开通终端证书签发。",
        "This gateway issues no certificates for terminals.",
        Next::AskOperator;
    /// The certification request is not one.
    pub const BAD_REQUEST = "TB-GW-0612", 422,
        "证书申请无效，请在终端上重新生成。",
        "The certification request does not hold: make it again at the terminal.",
        Next::CorrectAndResend;
}

const DAY_S: i64 = 86_400;

/// The authority that issues certificates for terminals.
pub struct Authority {
    pub key: SigningKey,
    pub certificate: Certificate,
    /// How long a certificate lives, in days.
    pub days: u32,
}

/// What a terminal sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// PKCS#10, PEM.
    pub request: String,
    /// The operator's order; a terminal that renews shows its certificate instead.
    #[serde(default)]
    pub approval: Option<String>,
}

/// A certificate, and where its line lies.
#[derive(Debug)]
pub struct Issued {
    /// PEM, the authority's last.
    pub chain: String,
    pub not_after: UnixMillis,
    pub committed: Committed,
}

/// Issues a certificate to a terminal that a contract lists.
///
/// # Errors
/// `TB-GW-0601` and the rules' no for the approval, `TB-GW-0602` for a second use, `TB-GW-0612` for the request,
/// `TB-PAR-…` where the contract does not list the terminal, is switched off, has not begun or has ended, or its mandate does
/// not hold.
pub async fn enrol(rooms: &Arc<Rooms>, trace: &Trace, terminal: &Terminal, wanted: Wanted) -> Result<Issued, Refusal> {
    let now = trace.at;
    let authority = rooms.enrolment.load_full();
    let authority = authority.as_ref().as_ref().ok_or_else(|| Refusal::new(&NO_AUTHORITY, "not configured"))?;
    let spki = key(&wanted.request)?;
    match wanted.approval {
        Some(order) => {
            let judged = orders::given(rooms, trace, Signed { order, approval: None })?.judge(rooms, now)?;
            let Order::Enrol { outlet, terminal, key } = &judged.claims.order else {
                return Err(Refusal::new(&orders::BAD_ORDER, "the order is for something else"));
            };
            if key.is_some_and(|key| key != Digest::of(&spki)) {
                return Err(Refusal::new(&orders::BAD_ORDER, "the order is for another key"));
            }
            let contract = rooms.contracts.load().get(outlet).cloned().ok_or(PartnerError::UnknownTerminal)?;
            let made = make(rooms, trace, authority, &contract, terminal, &spki).await?;
            approved(rooms, &judged, &made, trace).await
        }
        None => {
            let Terminal::Outlet { contract, terminal } = terminal else {
                return Err(Refusal::new(&orders::BAD_ORDER, "no approval, and no certificate of a terminal to renew"));
            };
            let made = make(rooms, trace, authority, contract, &terminal.id, &spki).await?;
            let entry = trace.about(
                rooms,
                Kind::PartnerChange,
                None,
                &Terminal::Outlet { contract: contract.clone(), terminal: terminal.clone() },
            );
            let entry = entry.evidence(made.leaf()).out(Outcome { status: Some(200), ..Outcome::default() });
            let entry = ledger::facts(entry, &[("order", "renew")]);
            Ok(made.issued(rooms.log.append(&entry).await?))
        }
    }
}

async fn approved(rooms: &Rooms, judged: &Judged, made: &Made, trace: &Trace) -> Result<Issued, Refusal> {
    let mut tx = rooms.store.begin().await?;
    judged.use_up(&mut tx, trace.at).await?;
    let committed = rooms.log.append(&judged.line(rooms, trace).evidence(made.leaf())).await?;
    tx.commit(()).await?;
    Ok(made.issued(committed))
}

/// The key of a request whose maker holds it.
fn key(text: &str) -> Result<Vec<u8>, Refusal> {
    let wrong = |why: String| Refusal::new(&BAD_REQUEST, why);
    let blocks = pem::decode(text.as_bytes()).map_err(|e| wrong(e.to_string()))?;
    let is_request = |label: &str| matches!(label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST");
    let block = blocks.iter().find(|block| is_request(&block.label));
    let block = block.ok_or_else(|| wrong("no CERTIFICATE REQUEST in it".into()))?;
    request::read(&block.octets).map_err(|e| wrong(e.to_string()))
}

struct Made {
    der: Vec<u8>,
    chain: String,
    not_after: UnixMillis,
}

impl Made {
    fn leaf(&self) -> Evidence {
        let digest = Some(Digest::of(&self.der));
        Evidence { r#type: ledger::word("certificate"), digest, ..Evidence::default() }
    }

    fn issued(&self, committed: Committed) -> Issued {
        Issued { chain: self.chain.clone(), not_after: self.not_after, committed }
    }
}

/// A certificate for a terminal of a contract in force; it ends no later than the contract.
async fn make(
    rooms: &Rooms,
    trace: &Trace,
    authority: &Authority,
    contract: &Contract,
    terminal: &TerminalId,
    spki: &[u8],
) -> Result<Made, Refusal> {
    let now = trace.at;
    let outlet = contract.outlet.clone();
    let listed = contract.terminals.iter().find(|listed| listed.id == *terminal);
    let (Some(listed), TerminalId::Uri(uri)) = (listed, terminal) else {
        return Err(PartnerError::UnknownTerminal.into()); // a fingerprint names a certificate that is there already
    };
    if listed.revoked {
        return Err(PartnerError::TerminalRevoked { outlet }.into());
    }
    if contract.suspended.is_some() || rooms.stopped.load().has_outlet(&contract.outlet) {
        return Err(PartnerError::Suspended { outlet }.into());
    }
    if now >= contract.to.end() {
        return Err(PartnerError::Ended { outlet, to: contract.to }.into());
    }
    entrusted::stands(rooms, trace, contract).await?;
    let not_after = now.plus_seconds(i64::from(authority.days) * DAY_S).min(contract.to.end());
    let not_after = not_after.min(authority.certificate.not_after());
    let uris = [uri.as_str()];
    let name = contract.name_zh.as_str();
    let subject = Subject { uris: &uris, ..Subject::named(contract.outlet.as_str(), name) };
    let issuer = Issuer::of(&authority.key, &authority.certificate);
    let der = issue::certificate(&issuer, &subject, spki, Use::TlsClient, now, not_after);
    let der = der.map_err(|e| Refusal::new(e.told(), e.to_string()))?;
    let chain = [&der[..], authority.certificate.der()].map(|der| pem::encode("CERTIFICATE", der)).concat();
    Ok(Made { der, chain, not_after })
}
