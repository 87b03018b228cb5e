//! What a department's system does with a case beyond the common way: a special procedure and its end, to the superior and back
//! (转报), and no longer limit: nothing shows there that the head approved.

use super::federation::peer::Closed;
use super::*;

pub async fn the_common_way(federation: &Federation) {
    let closed = Closed::new(federation); // the demonstration's office leaves the case alone
    let (window, office) = (federation.client("W-419001-02", 1), federation.client("office-419001", 1));
    let both = beside(federation, "C-0002");
    let no = number(&file(federation, &window, &both, &household(&json!({}))).await);
    let path = format!("/office/v1/cases/{no}/acts");
    for (what, act, by, note, want, state) in [
        ("nothing goes up before acceptance", "escalate", "O-0002", None, (409, "TB-EXC-0001"), "received"),
        ("accepted", "accept", "O-0001", None, (200, ""), "accepted"),
        ("examined", "begin_review", "O-0002", None, (200, ""), "in_review"),
        ("a special procedure without reasons", "suspend", "O-0003", None, (422, "TB-POL-0304"), "in_review"),
        ("a special procedure", "suspend", "O-0003", Some("专家评审"), (200, ""), "suspended"),
        ("no decision meanwhile", "grant", "O-0003", None, (409, "TB-EXC-0001"), "suspended"),
        ("its end", "resume", "O-0003", Some("评审结束"), (200, ""), "in_review"),
        ("to the superior", "escalate", "O-0002", None, (200, ""), "escalated"),
        ("and back", "come_back", "O-0002", None, (200, ""), "in_review"),
        ("a longer limit without reasons", "extend", "O-0003", None, (422, "TB-POL-0304"), "in_review"),
        (
            "a longer limit, on its word alone",
            "extend",
            "O-0003",
            Some("负责人批准"),
            (403, "TB-POL-0301"),
            "in_review",
        ),
        ("granted", "grant", "O-0003", None, (200, ""), "decided_granted"),
    ] {
        let order = json!({"act": act, "by": by, "note": note});
        let answer = office.send("POST", &path, &Headers::new(), body(&order)).await;
        assert_eq!(code(&answer), want, "{what}: {}", answer.text());
        let seen = window.get(&format!("/v1/cases/{no}"), &both).await;
        assert_eq!(seen.json["state"], state, "{what}: {}", seen.text());
    }
    drop(closed);
}
