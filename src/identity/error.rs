//! How this room says no: one enum, one code word a row of the attack list, the challenge that goes with it.
//!
//! ```text
//!  IdentityError ──told──▶ status · TB-IDN-… · sentence
//!        └─refusal(challenge)─▶ + member `reason` + WWW-Authenticate (RFC 6750 · 9449 · 9470)
//! ```

use crate::terms::refusal::tolds;
use crate::terms::{Explain, Next, Refusal, Told};

tolds! {
    /// No usable credential came with the request.
    pub const TOKEN_MISSING = "TB-IDN-0001", 401,
        "尚未登录，请先完成统一身份认证。", "You are not signed in: sign in first.", Next::SignInAgain;
    pub const TOKEN_MALFORMED = "TB-IDN-0002", 401,
        "登录凭证格式不正确，请重新登录。", "The access token is not well formed: sign in again.", Next::SignInAgain;
    pub const TOKEN_ALG = "TB-IDN-0003", 401,
        "登录凭证的签名算法不被接受。", "The token uses an algorithm that is not accepted here.", Next::SignInAgain;
    pub const TOKEN_SIGNATURE = "TB-IDN-0004", 401,
        "登录凭证未通过签名核验，请重新登录。", "The signature of the token does not verify: sign in again.", Next::SignInAgain;
    pub const TOKEN_KEY = "TB-IDN-0005", 401,
        "登录凭证的签名密钥未知，请重新登录。", "The key that signed the token is not known: sign in again.", Next::SignInAgain;
    pub const TOKEN_CRIT = "TB-IDN-0006", 401,
        "登录凭证含有无法识别的强制要求。", "The token demands an extension that is not known here.", Next::SignInAgain;
    pub const TOKEN_EXPIRED = "TB-IDN-0007", 401,
        "登录已过期，请重新登录。", "Your sign-in has expired: sign in again.", Next::SignInAgain;
    pub const TOKEN_NOT_YET = "TB-IDN-0008", 401,
        "登录凭证尚未生效，请核对终端时间后重试。", "The token is not valid yet: check the clock of this terminal.", Next::SignInAgain;
    pub const TOKEN_LIFETIME = "TB-IDN-0009", 401,
        "登录凭证有效期超过规定上限。", "The token lives longer than policy allows.", Next::SignInAgain;
    pub const TOKEN_AUDIENCE = "TB-IDN-0010", 401,
        "该登录凭证不是签发给本平台的。", "The token was issued for another platform.", Next::SignInAgain;
    pub const TOKEN_ISSUER = "TB-IDN-0011", 401,
        "签发方未被认可，或无权代表该人员或该区域。",
        "The issuer is not recognised, or may not speak for this person or place.", Next::SignInAgain;
    pub const TOKEN_TYPE = "TB-IDN-0012", 401,
        "提交的不是访问凭证，请重新登录。", "What was sent is not an access token: sign in again.", Next::SignInAgain;
    pub const TOKEN_REVOKED = "TB-IDN-0013", 401,
        "登录已注销，请重新登录。", "This sign-in has been ended: sign in again.", Next::SignInAgain;
    pub const TOKEN_BINDING = "TB-IDN-0014", 401,
        "登录凭证与当前设备或证书不匹配。", "The token is bound to another device or certificate.", Next::SignInAgain;
    pub const DPOP_INVALID = "TB-IDN-0015", 401,
        "设备持有证明无效，请重试或重新登录。", "The proof of possession is not valid: try again or sign in again.", Next::SignInAgain;
    pub const DPOP_NONCE = "TB-IDN-0016", 401,
        "设备持有证明需使用平台给出的随机数，请重试。", "The proof must carry the nonce given in this answer: send again.", Next::CorrectAndResend;
    pub const DPOP_REPLAY = "TB-IDN-0017", 401,
        "该设备持有证明已被使用过，请重新发起。", "This proof of possession was used before: make a new one.", Next::CorrectAndResend;
    pub const ACR_INSUFFICIENT = "TB-IDN-0018", 403,
        "本事项要求更高等级或更近时间的实名核验。", "This item needs identity proven at a higher level or more recently.", Next::StepUp;
    pub const SCOPE_MISSING = "TB-IDN-0019", 403,
        "当前登录未获得办理本操作的授权范围。", "This sign-in does not cover the act asked for.", Next::AskOperator;
    pub const ACT_NOT_ALLOWED = "TB-IDN-0020", 403,
        "代为办理的关系不被认可。", "Acting for another in this way is not allowed.", Next::GoToWindow;
    pub const TWO_CREDENTIALS = "TB-IDN-0021", 400,
        "请求中出现多份登录凭证，请只提交一份。", "The request carries more than one credential: send exactly one.", Next::CorrectAndResend;
    pub const KEYS_UNAVAILABLE = "TB-IDN-0022", 503,
        "暂时无法取得签发方的公钥，请稍后再试。", "The issuer's keys cannot be had at the moment: try again shortly.", Next::TryLater;
    pub const ISSUER_SILENT = "TB-IDN-0024", 503,
        "暂时无法向签发方核验登录，请稍后再试。", "The issuer cannot be asked about this sign-in at the moment: try again shortly.", Next::TryLater;
    pub const TOO_MANY_UNKNOWN = "TB-IDN-0025", 429,
        "未知登录凭证的核验过于频繁，请稍后再试。", "Too many sign-ins that no issuer knows came from here: wait a moment, and check the software that sends them.", Next::TryLater;
    /// A fault of our own side: a key that cannot sign.
    pub const CANNOT_SIGN = "TB-IDN-0023", 500,
        "平台签名密钥暂不可用，请联系运维人员。", "The platform's signing key cannot be used: ask the operator.", Next::AskOperator;
}

/// Why a caller is not believed. `&'static str` members say which check failed; nothing the caller sent is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("no access token")]
    TokenMissing,
    #[error("token malformed: {0}")]
    TokenMalformed(&'static str),
    #[error("algorithm not accepted: {0}")]
    TokenAlg(&'static str),
    #[error("signature does not verify")]
    TokenSignature,
    #[error("key not usable: {0}")]
    TokenKey(&'static str),
    /// Issuer known, key id not: whoever is upstairs may refresh the key set and ask again (see [`Needs`]).
    #[error("key of {issuer} not known")]
    UnknownKey { issuer: String, kid: Option<String> },
    #[error("crit in the header")]
    TokenCrit,
    #[error("token expired")]
    TokenExpired,
    #[error("token not valid yet")]
    TokenNotYet,
    #[error("token lives longer than {limit_s} s")]
    TokenLifetime { limit_s: i64 },
    #[error("audience: {0}")]
    TokenAudience(&'static str),
    #[error("issuer: {0}")]
    TokenIssuer(&'static str),
    #[error("typ: {0}")]
    TokenType(&'static str),
    #[error("token revoked")]
    TokenRevoked,
    #[error("holder binding: {0}")]
    TokenBinding(&'static str),
    #[error("DPoP proof: {0}")]
    DpopInvalid(&'static str),
    #[error("DPoP proof without the current nonce")]
    DpopNonce,
    #[error("DPoP proof seen before")]
    DpopReplay,
    #[error("level {have} where {want} is needed, at most {max_age_s:?} s old")]
    AcrInsufficient { have: u8, want: u8, max_age_s: Option<i64>, acr_values: String },
    #[error("scope {0} missing")]
    ScopeMissing(String),
    #[error("acting for another: {0}")]
    ActNotAllowed(&'static str),
    #[error("more than one credential")]
    TwoCredentials,
    #[error("key set of {issuer} is not there or too old")]
    KeysUnavailable { issuer: String },
    /// A token only its issuer can read, and no answer of the issuer.
    #[error("{issuer} does not answer")]
    IssuerSilent { issuer: String },
    /// More tokens that only their issuers can read, and that were never active, than one caller may have them asked about.
    #[error("too many unknown tokens from one caller")]
    TooManyUnknown,
    #[error("cannot sign: {0}")]
    CannotSign(&'static str),
}

impl IdentityError {
    /// The stable code word, as the attack list names it; member `reason` of the refusal.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TokenMissing => "token_missing",
            Self::TokenMalformed(_) => "token_malformed",
            Self::TokenAlg(_) => "token_alg",
            Self::TokenSignature => "token_signature",
            Self::TokenKey(_) | Self::UnknownKey { .. } => "token_key",
            Self::TokenCrit => "token_crit",
            Self::TokenExpired => "token_expired",
            Self::TokenNotYet => "token_not_yet",
            Self::TokenLifetime { .. } => "token_lifetime",
            Self::TokenAudience(_) => "token_audience",
            Self::TokenIssuer(_) => "token_issuer",
            Self::TokenType(_) => "token_type",
            Self::TokenRevoked => "token_revoked",
            Self::TokenBinding(_) => "token_binding",
            Self::DpopInvalid(_) => "dpop_invalid",
            Self::DpopNonce => "dpop_nonce",
            Self::DpopReplay => "dpop_replay",
            Self::AcrInsufficient { .. } => "acr_insufficient",
            Self::ScopeMissing(_) => "scope_missing",
            Self::ActNotAllowed(_) => "act_not_allowed",
            Self::TwoCredentials => "two_credentials",
            Self::KeysUnavailable { .. } => "keys_unavailable",
            Self::IssuerSilent { .. } => "issuer_silent",
            Self::TooManyUnknown => "too_many_unknown",
            Self::CannotSign(_) => "cannot_sign",
        }
    }

    /// What somebody upstairs could fetch before the same question is asked again.
    pub fn needs(&self) -> Option<Needs<'_>> {
        match self {
            Self::UnknownKey { issuer, kid } => Some(Needs::Keys { issuer, kid: kid.as_deref() }),
            Self::KeysUnavailable { issuer } => Some(Needs::Keys { issuer, kid: None }),
            _ => None,
        }
    }

    /// The refusal with its `reason` and the challenge the RFCs ask for.
    pub fn refusal(&self, challenge: &Challenge<'_>) -> Refusal {
        let refusal = Refusal::new(self.told(), self.to_string()).with("reason", self.reason());
        let refusal = match (self, challenge.dpop_nonce) {
            (Self::DpopNonce | Self::DpopInvalid(_), Some(nonce)) => refusal.header("DPoP-Nonce", nonce),
            _ => refusal,
        };
        match challenge.www_authenticate(self) {
            Some(line) => refusal.header("WWW-Authenticate", line),
            None => refusal,
        }
    }
}

impl Explain for IdentityError {
    fn told(&self) -> &'static Told {
        match self {
            Self::TokenMissing => &TOKEN_MISSING,
            Self::TokenMalformed(_) => &TOKEN_MALFORMED,
            Self::TokenAlg(_) => &TOKEN_ALG,
            Self::TokenSignature => &TOKEN_SIGNATURE,
            Self::TokenKey(_) | Self::UnknownKey { .. } => &TOKEN_KEY,
            Self::TokenCrit => &TOKEN_CRIT,
            Self::TokenExpired => &TOKEN_EXPIRED,
            Self::TokenNotYet => &TOKEN_NOT_YET,
            Self::TokenLifetime { .. } => &TOKEN_LIFETIME,
            Self::TokenAudience(_) => &TOKEN_AUDIENCE,
            Self::TokenIssuer(_) => &TOKEN_ISSUER,
            Self::TokenType(_) => &TOKEN_TYPE,
            Self::TokenRevoked => &TOKEN_REVOKED,
            Self::TokenBinding(_) => &TOKEN_BINDING,
            Self::DpopInvalid(_) => &DPOP_INVALID,
            Self::DpopNonce => &DPOP_NONCE,
            Self::DpopReplay => &DPOP_REPLAY,
            Self::AcrInsufficient { .. } => &ACR_INSUFFICIENT,
            Self::ScopeMissing(_) => &SCOPE_MISSING,
            Self::ActNotAllowed(_) => &ACT_NOT_ALLOWED,
            Self::TwoCredentials => &TWO_CREDENTIALS,
            Self::KeysUnavailable { .. } => &KEYS_UNAVAILABLE,
            Self::IssuerSilent { .. } => &ISSUER_SILENT,
            Self::TooManyUnknown => &TOO_MANY_UNKNOWN,
            Self::CannotSign(_) => &CANNOT_SIGN,
        }
    }
}

/// What this room lacks. It never fetches; see [`super::refresh`] for when fetching is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs<'a> {
    /// A newer key set of this issuer.
    Keys { issuer: &'a str, kid: Option<&'a str> },
}

/// What the gateway knows when it writes a `WWW-Authenticate` line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Challenge<'a> {
    pub realm: &'a str,
    /// Whether the refused request used the DPoP scheme.
    pub dpop: bool,
    /// The nonce to give out with a DPoP refusal (RFC 9449 §8, §9).
    pub dpop_nonce: Option<&'a str>,
}

impl Challenge<'_> {
    /// RFC 6750 §3, RFC 9449 §7.1, RFC 9470 §3. `None` for an answer that no credential could mend.
    fn www_authenticate(&self, error: &IdentityError) -> Option<String> {
        let realm = quoted(self.realm);
        let algs = "algs=\"ES256 ES384 EdDSA\"";
        let (word, more) = match error {
            // No credential at all: no error word (RFC 6750 §3.1), both schemes offered.
            IdentityError::TokenMissing => {
                return Some(format!("Bearer realm=\"{realm}\", DPoP realm=\"{realm}\", {algs}"));
            }
            IdentityError::TwoCredentials
            | IdentityError::KeysUnavailable { .. }
            | IdentityError::IssuerSilent { .. }
            | IdentityError::TooManyUnknown
            | IdentityError::CannotSign(_) => {
                return None;
            }
            IdentityError::DpopInvalid(_) | IdentityError::DpopReplay => ("invalid_dpop_proof", String::new()),
            IdentityError::DpopNonce => ("use_dpop_nonce", String::new()),
            IdentityError::AcrInsufficient { max_age_s, acr_values, .. } => {
                let age = max_age_s.map_or(String::new(), |age| format!(", max_age=\"{age}\""));
                // An issuer that tells levels by method only has no value to ask it for.
                let acr = match acr_values.as_str() {
                    "" => String::new(),
                    values => format!(", acr_values=\"{}\"", quoted(values)),
                };
                ("insufficient_user_authentication", format!("{acr}{age}"))
            }
            IdentityError::ScopeMissing(scope) => ("insufficient_scope", format!(", scope=\"{}\"", quoted(scope))),
            IdentityError::ActNotAllowed(_) => return None,
            _ => ("invalid_token", String::new()),
        };
        let proof = word.contains("dpop");
        let scheme = if self.dpop || proof { "DPoP" } else { "Bearer" };
        let algs = if scheme == "DPoP" { format!(", {algs}") } else { String::new() };
        Some(format!(
            "{scheme} realm=\"{realm}\", error=\"{word}\", error_description=\"{}\"{more}{algs}",
            error.reason()
        ))
    }
}

/// Keeps what RFC 6750 allows inside a quoted string: printable ASCII without `"` and `\`.
fn quoted(text: &str) -> String {
    text.chars().filter(|c| matches!(c, ' ' | '!' | '#'..='[' | ']'..='~')).collect()
}
