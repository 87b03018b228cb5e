//! Pages as text: Chinese first, no script, everything from outside escaped.

use serde_json::Value;

use crate::catalogue::Catalogue;
use crate::exchange::records::Record;
use crate::gateway::sign_in::Visitor;
use crate::terms::{Lang, Refusal};

const STYLE: &str = "body{font-family:sans-serif;margin:2rem auto;max-width:48rem;padding:0 1rem;line-height:1.6}\
    table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;padding:.4rem;text-align:left}\
    small{color:#555}button{padding:.4rem 1rem}";

/// Text as it stands in a page.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn framed(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"zh-CN\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><body>{body}</body></html>"
    )
}

/// Who looked up what about the person, as `gateway::about_me` tells it.
fn looked_up(looked: &Value) -> String {
    let lines = looked["lookups"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: String = lines
        .iter()
        .map(|line| {
            let text = |pointer: &str| escaped(line.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
            let who = match line["who"]["myself"] == true {
                true => "本人".to_owned(),
                false => format!("{} {}", text("/who/at"), text("/who/staff")),
            };
            let what = match line["what"].as_str() {
                Some("licence") => "证照核验".to_owned(),
                Some("data") if line["result"] == "refused" => {
                    format!("{}（被拒绝 <small>refused</small>）", text("/name"))
                }
                Some("data") => text("/name"),
                Some("contact") => format!("接触：{}", text("/contact/name")),
                _ => "办件".to_owned(),
            };
            let why = format!("{} {}", text("/why/item_name"), text("/why/purpose"));
            format!("<tr><td>{}</td><td>{who}</td><td>{what}</td><td>{why}</td></tr>", text("/at"))
        })
        .collect();
    format!(
        "<h2>谁查过我 <small>Who looked up what about me</small></h2><table><tr><th>时间<br><small>When</small></th>\
         <th>何人<br><small>Who</small></th><th>何事<br><small>What</small></th><th>为何<br><small>Why</small></th></tr>\
         {rows}</table>"
    )
}

pub(super) fn me(visitor: &Visitor, cases: &[Record], looked: &Value, catalogue: &Catalogue) -> String {
    let looked = looked_up(looked);
    let person = &visitor.person;
    let rows: String = cases
        .iter()
        .map(|case| {
            let item =
                case.item.parse().ok().and_then(|code| catalogue.item(code).ok().map(|item| item.name(Lang::Zh)));
            format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escaped(&case.case.no.to_string()),
                escaped(&item.map_or_else(|| case.item.clone(), |name| name.to_string())),
                escaped(case.case.state.zh()),
                escaped(&case.updated.to_string())
            )
        })
        .collect();
    let none = if cases.is_empty() { "<p>没有办件。<small>No cases.</small></p>" } else { "" };
    framed(
        "我的办件",
        &format!(
            "<h1>我的办件 <small>My cases</small></h1><p>{}，实名等级 {} <small>real-name level</small></p>\
             <table><tr><th>办件编号<br><small>Case</small></th><th>事项<br><small>Item</small></th>\
             <th>状态<br><small>State</small></th><th>更新<br><small>Updated</small></th></tr>{rows}</table>{none}{looked}\
             <form method=\"post\" action=\"/sign-out\"><input type=\"hidden\" name=\"key\" value=\"{}\">\
             <button>退出登录 · Sign out</button></form>",
            escaped(person.name.as_deref().unwrap_or("—")),
            person.level,
            escaped(&visitor.form_key),
        ),
    )
}

pub(super) fn signed_out() -> String {
    framed(
        "已退出",
        "<h1>已退出登录 <small>You are signed out</small></h1><p><a href=\"/sign-in\">重新登录 · Sign in</a></p>",
    )
}

pub(super) fn refusal(refusal: &Refusal, trace: &str) -> String {
    let told = refusal.told;
    let (zh, en) = told.next.sentence();
    framed(
        told.code,
        &format!(
            "<h1>{}</h1><p>{zh}</p><p><small>{} {en}</small></p><p><small>{} · {}</small></p>\
             <p><a href=\"/sign-in\">重新登录 · Sign in</a></p>",
            escaped(told.zh),
            escaped(told.en),
            told.code,
            escaped(trace),
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_text() {
        let line =
            serde_json::json!({"at": "2026-11-26", "what": "data", "name": "<b>户籍</b>", "who": {"at": "window:W"}});
        let page = looked_up(&serde_json::json!({ "lookups": [line] }));
        assert!(page.contains("&lt;b&gt;户籍") && page.contains("window:W"), "{page}");
        assert_eq!(escaped("<b onclick='x'>\"&"), "&lt;b onclick=&#39;x&#39;&gt;&quot;&amp;");
    }
}
