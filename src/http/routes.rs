//! The routes of the API, as one table: the router, the OpenAPI document and the tests read the same lines.

use http::Method;

/// Who may come this way at all; the rules decide the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Anyone,
    /// A token, and for staff a terminal we know.
    Person,
    /// The client certificate of a department's system.
    Office,
    /// The client certificate of whichever system behind the gateway.
    System,
    /// The client certificate of a member of the federation.
    Peer,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    SearchItems,
    Guide,
    Plan,
    File,
    List,
    Read,
    Watch,
    Withdraw,
    Deliver,
    Document,
    Verify,
    LookUp,
    AboutMe,
    Logout,
    Token,
    Revoke,
    Metadata,
    Jwks,
    Duty,
    WindowAct,
    Contact,
    OfficeContact,
    PaperGive,
    PaperList,
    PaperRevoke,
    OfficePaper,
    OfficePaperRevoke,
    OpenApi,
    Errors,
    Enrol,
    OfficeAct,
    PeerMessage,
    PeerLookup,
    PeerChange,
    PeerPaper,
    PeerPaperUse,
    Change,
    PeerPass,
    Pass,
}

impl Call {
    /// Whether this begins something that must be on record: it waits while the log is without witnesses for too long
    /// (`log.fail_closed_after_s`). What leaves no line goes on, and so does what takes back or ends what was begun: it is told
    /// once, by people who go away and by systems that do not ask again.
    pub fn begins(self) -> bool {
        use Call::*;
        match self {
            // No line.
            SearchItems | Guide | Plan | List | PaperList | Metadata | Jwks | OpenApi | Errors => false,
            // Sessions, tokens, papers, answers that are out of date.
            Logout | Revoke | PaperRevoke | OfficePaperRevoke | PeerPaperUse | Change | PeerChange => false,
            File | Read | Watch | Withdraw | Deliver | Document | Verify | LookUp | AboutMe | Token | Duty
            | WindowAct | Contact | OfficeContact | PaperGive | OfficePaper | Enrol | OfficeAct | PeerMessage
            | PeerLookup | PeerPaper | PeerPass | Pass => true,
        }
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Route {
    /// `None` takes every method.
    pub method: Option<Method>,
    pub template: &'static str,
    pub call: Call,
    pub who: Who,
    pub summary_zh: &'static str,
    pub summary: &'static str,
}

macro_rules! routes {
    ($($method:ident $template:literal $call:ident $who:ident $zh:literal $en:literal;)+) => {
        pub const ROUTES: &[Route] = &[$(Route {
            method: routes!(@ $method), template: $template, call: Call::$call, who: Who::$who, summary_zh: $zh, summary: $en,
        }),+];
    };
    (@ ANY) => { None };
    (@ $method:ident) => { Some(Method::$method) };
}

routes! {
    GET "/v1/items" SearchItems Anyone "查找事项" "Search service items";
    GET "/v1/items/{code}" Guide Anyone "办事指南" "Read the guide of an item";
    POST "/v1/items/{code}/plan" Plan Person "应备材料" "What this person must bring: materials minus what licences and sharing provide";
    POST "/v1/cases" File Person "申请" "File a case: JSON and files as multipart/form-data";
    GET "/v1/cases" List Person "办件列表" "List the cases of this person or collecting point";
    GET "/v1/cases/{no}" Read Person "查看办件" "Read a case";
    GET "/v1/cases/{no}/events" Watch Person "办件动态" "Watch a case (server-sent events)";
    POST "/v1/cases/{no}/withdraw" Withdraw Person "撤回" "Withdraw a case before it is decided";
    POST "/v1/cases/{no}/delivery" Deliver Person "出件送达" "Hand out what was decided, and say how";
    POST "/v1/cases/{no}/acts" WindowAct Person "窗口授权办理" "A window acts for the owner, under its mandate";
    POST "/v1/cases/{no}/contacts" Contact Person "接触登记" "A clerk puts a contact with the applicant on record: the person sees it";
    GET "/v1/cases/{no}/documents/{*path}" Document Person "下载文书" "Fetch a receipt, paper or material of a case";
    POST "/v1/verify" Verify Person "核验证照" "Verify a licence or sealed paper";
    GET "/v1/me/lookups" AboutMe Person "谁查过我" "Who looked up what about me, when and why: for the person alone";
    POST "/v1/lookups" LookUp Person "共享数据查询" "Look up shared data for a case";
    POST "/v1/terminals" Enrol Anyone "终端入网" "A terminal of an outlet gets a certificate: with an operator's approval, or the one it has";
    POST "/v1/backchannel-logout" Logout Anyone "统一注销通知" "An issuer ends a session (OIDC back-channel logout)";
    POST "/v1/token" Token Anyone "换取代办令牌" "Exchange a citizen's and a clerk's or agent's token for one of the gateway (RFC 8693)";
    POST "/v1/revoke" Revoke Anyone "作废代办令牌" "Take an exchanged token back (RFC 7009)";
    GET "/.well-known/oauth-authorization-server" Metadata Anyone "令牌服务说明" "Metadata of the token service (RFC 8414)";
    GET "/v1/jwks" Jwks Anyone "网关公钥" "Keys under which the gateway signs (RFC 7517)";
    POST "/v1/duty" Duty Person "AB岗离岗登记" "A first post goes away or comes back: its deputy may act meanwhile, or no more";
    POST "/v1/papers" PaperGive Person "出具授权文书" "Give a power of attorney or a use consent, registered here";
    GET "/v1/papers" PaperList Person "我出具的授权文书" "The papers this person gave";
    POST "/v1/papers/{id}/revoke" PaperRevoke Person "撤销授权" "Take a paper back: in force at once";
    POST "/office/v1/papers" OfficePaper Office "出具窗口授权书" "A department gives a window mandate";
    POST "/office/v1/papers/{id}/revoke" OfficePaperRevoke Office "撤销窗口授权" "A department takes a window mandate back";
    GET "/v1/openapi.json" OpenApi Anyone "接口说明" "This interface as OpenAPI 3.1";
    GET "/v1/errors" Errors Anyone "错误代码" "All codes with their sentences";
    POST "/office/v1/cases/{no}/acts" OfficeAct Office "部门办理" "An approval system acts on a case: accept, review, decide";
    POST "/office/v1/cases/{no}/contacts" OfficeContact Office "部门接触登记" "An approval system puts a contact of an official with the applicant on record";
    POST "/peer/v1/messages" PeerMessage Peer "接收案卷" "Take a sealed message of another gateway";
    POST "/peer/v1/lookups" PeerLookup Peer "跨区域数据查询" "Answer a lookup of another gateway";
    POST "/peer/v1/changes" PeerChange Peer "跨区域数据变更" "Take another gateway's word that shared data changed";
    POST "/peer/v1/papers" PeerPaper Peer "授权文书核实" "Say what a paper registered here is good for, for one act of another gateway";
    POST "/peer/v1/papers/uses" PeerPaperUse Peer "授权文书使用" "Take note that a paper registered here was used, or given back";
    POST "/provider/v1/changes" Change System "数据变更通知" "A data provider says that its data changed";
    ANY "/peer/v1/pass/{*rest}" PeerPass Peer "跨区域转发" "Pass a live request of another gateway";
    ANY "/pass/{*rest}" Pass Person "业务系统转发" "Pass a live request to a department's system";
}

/// What is asked of a department's own host name goes to that department, whatever the path.
pub const BY_HOST: Route = Route {
    method: None,
    template: "/{*rest}",
    call: Call::Pass,
    who: Who::Person,
    summary_zh: "业务系统转发",
    summary: "Pass a live request to the department's system of this host",
};

/// The line for a request, and the path parameters.
pub struct Found<'p> {
    pub route: &'static Route,
    pub params: Vec<(&'static str, &'p str)>,
}

/// Why no line fits.
pub enum NotFound {
    Path,
    /// The methods that the address takes, as `Allow` lists them (RFC 9110 §10.2.1).
    Method(String),
}

/// Finds the line. Templates are few and short: reading them in order is faster than any map. HEAD goes where GET goes;
/// the connection leaves the body out (RFC 9110 §9.3.2).
pub fn find<'p>(method: &Method, path: &'p str) -> Result<Found<'p>, NotFound> {
    let mut allowed: Vec<&str> = Vec::new();
    let is_head = *method == Method::HEAD;
    for route in ROUTES {
        if let Some(params) = fits(route.template, path) {
            let fits = |m: &Method| m == method || (is_head && *m == Method::GET);
            if route.method.as_ref().is_none_or(fits) {
                return Ok(Found { route, params });
            }
            allowed.extend(route.method.as_ref().map(Method::as_str));
        }
    }
    if allowed.is_empty() {
        return Err(NotFound::Path);
    }
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    Err(NotFound::Method(allowed.join(", ")))
}

fn fits<'p>(template: &'static str, path: &'p str) -> Option<Vec<(&'static str, &'p str)>> {
    let (mut template, mut path) = (template.strip_prefix('/')?, path.strip_prefix('/')?);
    let mut params = Vec::new();
    loop {
        let (part, next) = template.split_once('/').map_or((template, None), |(p, n)| (p, Some(n)));
        if let Some(name) = part.strip_prefix("{*").and_then(|p| p.strip_suffix('}')) {
            return (!path.is_empty()).then(|| {
                params.push((name, path));
                params
            });
        }
        let (segment, rest) = path.split_once('/').map_or((path, None), |(s, r)| (s, Some(r)));
        match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => params.push((name, segment)),
            None if part == segment => {}
            _ => return None,
        }
        match (next, rest) {
            (None, None) => return Some(params),
            (Some(n), Some(r)) => (template, path) = (n, r),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_line() {
        for (method, path, want) in [
            (Method::GET, "/v1/items", Ok((Call::SearchItems, vec![]))),
            (Method::GET, "/v1/items/002009901000", Ok((Call::Guide, vec!["002009901000"]))),
            (Method::GET, "/v1/items/", Err("")),
            (Method::HEAD, "/v1/items/002009901000", Ok((Call::Guide, vec!["002009901000"]))),
            (Method::DELETE, "/v1/cases/x", Err("GET, HEAD")),
            (Method::PUT, "/v1/cases", Err("POST, GET, HEAD")),
            (Method::HEAD, "/v1/lookups", Err("POST")),
            (Method::GET, "/v1/cases/x/documents/papers/a.ofd", Ok((Call::Document, vec!["x", "papers/a.ofd"]))),
            (Method::PATCH, "/pass/social-security/a/b", Ok((Call::Pass, vec!["social-security/a/b"]))),
            (Method::GET, "/pass/", Err("")),
            (Method::GET, "/V1/items", Err("")), // case matters
            (Method::GET, "/v1/items/a/b", Err("")),
        ] {
            let got = match find(&method, path) {
                Ok(found) => Ok((found.route.call, found.params.into_iter().map(|(_, v)| v).collect())),
                Err(NotFound::Method(allowed)) => Err(allowed),
                Err(NotFound::Path) => Err(String::new()),
            };
            assert_eq!(got, want.map_err(str::to_owned), "{method} {path}");
        }
    }
}
