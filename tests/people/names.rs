//! What an issuer says that somebody is called: it is shown and never believed, splits no line and turns no screen.

use super::attacks::Forge;
use super::*;
use federation::peer::changed;

/// Longest name that is shown, in characters.
const LONGEST: usize = 100;

/// Row 28 of the list for a claim that refuses nobody: somebody may be called anything, and is served.
pub async fn all(house: &House<'_>) {
    let forge = Forge::new(house);
    let portal = house.federation.anybody(0);
    for (n, (what, name)) in [
        ("line ends", "张三\r\nX-Admin: 1\r\n\r\nHTTP/1.1 200 OK".to_owned()),
        ("NUL", "张\u{0}三".to_owned()),
        ("direction marks", "张\u{202e}三\u{2066}四\u{200f}".to_owned()),
        ("line ends of Unicode", "张\u{2028}三\u{2029}四\u{85}五".to_owned()),
        ("what nobody sees", "张\u{200b}\u{feff}三".to_owned()),
        ("a terminal's commands", "张\u{1b}[2J\u{9b}31m三".to_owned()),
        ("mark-up", "<script>alert(1)</script>".to_owned()),
        ("ten thousand octets", "长".repeat(3_000)),
        ("nothing", String::new()),
    ]
    .into_iter()
    .enumerate()
    {
        // An account of its own each: the same person's same filing would be one case.
        let claims = changed(forge.claims(), &json!({"name": name, "sub": format!("called-{n}")}));
        let headers = bearer(&forge.key.sign_with(&forge.header(), &claims).expect("signed"));
        let filed = house.federation.file_as(&portal, &headers, "419001", "online").await;
        assert_eq!(filed.status, 202, "{what}: {}", filed.text());
        let no = filed.json["case"].as_str().expect("a case").to_owned();
        let seen = portal.get(&format!("/v1/cases/{no}"), &headers).await;
        let shown = seen.json["applicant"]["name"].as_str().unwrap_or_else(|| panic!("{what}: {}", seen.text()));
        let odd = |c: char| {
            c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        };
        assert!(!shown.chars().any(odd) && shown.chars().count() <= LONGEST, "{what}: {shown:?}");
        for answer in [&filed, &seen] {
            assert!(!answer.headers.contains_key("x-admin"), "{what}: a header of its own");
        }
        let receipt = portal.get(filed.json["receipt"].as_str().expect("a receipt"), &headers).await;
        assert_eq!(receipt.status, 200, "{what}: {}", receipt.text());
    }
    // Each line of the log is one JSON text (`lines` reads them), and says nobody's name; nor does the gateway's own log.
    let log = house.home.join("data/log").display().to_string();
    let shown = tools::tongban(&["audit", "show", &log]);
    let own = fs::read_to_string(house.world.gateway_log(0)).unwrap_or_default();
    for (which, text) in [("the log", tools::text(&shown)), ("the gateway's own log", own)] {
        for said in ["X-Admin", "\u{1b}[2J", "\u{202e}", "<script>"] {
            assert!(!text.contains(said), "{said:?} stands in {which}");
        }
    }
    assert!(!house.lines("case.event").is_empty());
}
