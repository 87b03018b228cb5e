//! The good way: from signing in to the result.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Window, household, sign_in, tokens};
use super::{Teller, leaf};
use crate::app::demo::licence::{self, Holder, Under};
use crate::app::demo::people::{Person, ZHANG};
use crate::app::demo::world::{A, B, OUTLET, TOWN_WINDOW, WINDOW};
use crate::app::demo::{World, provider};
use crate::federation::Directory;
use crate::gateway::prove::profile;
use crate::licences;
use crate::terms::UnixMillis;

/// Longest wait for the office, in seconds.
const OFFICE_S: u32 = 60;

pub async fn walk(teller: &mut Teller, world: &World, calls: &provider::Calls) {
    if let Err(why) = all(teller, world, calls).await {
        teller.fail("the walk of the case", why);
    }
}

async fn all(teller: &mut Teller, world: &World, calls: &provider::Calls) -> Result<(), String> {
    teller.chapter("跨省通办：深圳南山窗口办理济源户籍证明", "Cross-province: a Jiyuan certificate filed in Nanshan");
    let citizen = sign_in(world, ZHANG).await?;
    teller.step("张三登录统一身份认证", "The citizen signs in", "ES256 · at+jwt · 实名等级 level 3", "");
    let clerk = sign_in(world, "C-0001").await?;
    let window = Window::new(world, WINDOW, A)?;
    teller.step("窗口人员王敏登录", "The clerk signs in", "RS256 · 终端证书 terminal certificate", "");

    let found = window.call("/v1/items?q=%E6%88%B7%E7%B1%8D", &[], None).await?.good()?;
    let count = found.json["items"].as_array().map_or(0, Vec::len);
    let guide = window.call("/v1/items/002009901000", &[], None).await?.good()?;
    teller.step(
        "查找事项，阅读办事指南",
        "Search items, read the guide",
        &format!("{count} 项 items"),
        &guide.json["name"].to_string(),
    );
    let headers = tokens(&clerk, Some(&citizen));
    let plan = window
        .call("/v1/items/002009901000/plan", &headers, Some(("application/json", b"{}".to_vec())))
        .await?
        .good()?;
    teller.step(
        "应备材料：证照和共享数据可得的免提交",
        "What to bring: nothing that licences or sharing provide",
        &format!("须提交 to bring: {}", plan.json["bring"]),
        "",
    );

    let person = Person::find(ZHANG).and_then(Holder::of).ok_or("no such person")?;
    let id_card = licence::issue(world, Under::Good, "LT-ID", person, UnixMillis::now())?;
    let before = calls.count();
    let mut filing = headers.clone();
    filing.push(("idempotency-key", format!("demo-{}", UnixMillis::now().0)));
    let filed = window.file(&filing, &household("419001"), &[("id.ofd", &id_card)]).await?.good()?;
    let case = filed.json["case"].as_str().ok_or("no case number")?.to_owned();
    teller.step(
        &format!("收件 {case}（收件不是受理）"),
        "Filed: received, not accepted",
        "身份 who · 归属 owner 419001 · 合约与策略 contract, policy · 证照与印章 licence, seal · 共享数据 shared data",
        &leaf(&filed.json),
    );
    let again = window.file(&filing, &household("419001"), &[("id.ofd", &id_card)]).await?.good()?;
    if again.json["case"] != filed.json["case"] {
        return Err("the same filing gave another case".into());
    }
    teller.step(
        "同一申请重复提交：同一办件",
        "The same filing again: the same case",
        "Idempotency-Key",
        &leaf(&again.json),
    );

    let ask = json!({"resource": "DR-HH", "case": case, "purpose": "case", "consent": true}).to_string();
    let second = window.call("/v1/lookups", &headers, Some(("application/json", ask.into_bytes()))).await?.good()?;
    let made = calls.count() - before;
    if second.json["cached"] != true || made != 1 {
        return Err(format!("the second lookup was not from the cache (calls: {made})"));
    }
    teller.step(
        "户籍共享数据：第二次查询来自缓存，同样留痕",
        "Shared data: the second lookup from cache, still logged",
        "用途绑定 purpose-bound · 1 call",
        "",
    );

    let receipt = filed.json["receipt"].as_str().ok_or("no receipt")?.to_owned();
    let paper = window.call(&receipt, &headers, None).await?.good()?;
    sealed(teller, world, "收件凭证", "Collection receipt", &paper.bytes, &receipt)?;

    let seen = closed(&window, &headers, &case).await?;
    let acts: Vec<_> = seen["events"].as_array().into_iter().flatten().filter_map(|e| e["act"].as_str()).collect();
    teller.step(
        "济源：核验封包、再次决策、送达审批系统、受理、审查、决定、办结",
        "Jiyuan: seal, policy again, office, accepted, reviewed, granted, closed",
        &acts.join(" → "),
        "",
    );
    let documents: Vec<String> = seen["documents"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|d| d["path"].as_str().map(str::to_owned))
        .collect();
    for (mark, zh, en) in [
        ("ACCEPTANCE-VOUCHER", "受理凭证（业务受理专用章）", "Acceptance voucher"),
        ("result", "结果证照", "Result licence"),
    ] {
        let path = documents.iter().find(|d| d.contains(mark)).ok_or_else(|| format!("no {en} among {documents:?}"))?;
        let paper = window.call(&format!("/v1/cases/{case}/documents/{path}"), &headers, None).await?.good()?;
        sealed(teller, world, zh, en, &paper.bytes, path)?;
    }

    teller.chapter("同城跨镇、银行网点、业务系统转发", "Town to town, a bank outlet, a live request");
    let town = Window::new(world, TOWN_WINDOW, B)?;
    let town_clerk = sign_in(world, "C-0002").await?;
    let headers_b = tokens(&town_clerk, Some(&citizen));
    let filed = town.file(&headers_b, &household("419001"), &[("id.ofd", &id_card)]).await?.good()?;
    teller.step("克井镇窗口收件（跨镇通办）", "Filed town to town", "scope: town", &leaf(&filed.json));

    let bank = Window::new(world, OUTLET, A)?;
    let employee = sign_in(world, "E-9001").await?;
    let headers_o = tokens(&employee, Some(&citizen));
    let filed = bank.file(&headers_o, &household("419001"), &[("id.ofd", &id_card)]).await?.good()?;
    teller.step("银行网点代收", "A bank outlet files", "合约 contract · 配额 quota", &leaf(&filed.json));

    let mut spoofed = headers.clone();
    spoofed.push(("x-remote-user", "admin".into()));
    let passed = window.call("/pass/419001/social-security/status", &spoofed, None).await?.good()?;
    teller.step(
        "实时请求经 A 转发到 B 的业务系统",
        "A live request through A to a system behind B",
        &passed.json.to_string(),
        "",
    );
    Ok(())
}

/// Waits until the office has closed the case and the window sees it.
async fn closed(window: &Window, headers: &[(&str, String)], case: &str) -> Result<Value, String> {
    let mut last = Value::Null;
    for _ in 0..OFFICE_S * 4 {
        let seen = window.call(&format!("/v1/cases/{case}"), headers, None).await?.good()?;
        if seen.json["state"] == "closed" {
            return Ok(seen.json);
        }
        last = seen.json["state"].clone();
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Err(format!("the case is still {last} after {OFFICE_S} s"))
}

/// Verifies a paper offline, as anybody with the directory can.
fn sealed(teller: &mut Teller, world: &World, zh: &str, en: &str, bytes: &[u8], path: &str) -> Result<(), String> {
    let operator = crate::app::wire::operator_key(&world.federation().join("operator.pem"))?;
    let envelope = std::fs::read_to_string(world.directory()).map_err(|e| e.to_string())?;
    let now = UnixMillis::now();
    let directory = Directory::take(&envelope, &operator, None, now).map_err(|e| e.to_string())?;
    let report = licences::verify(path, bytes, &profile(&directory, now));
    if !report.passed() {
        return Err(format!("{en}: {}", report.to_text()));
    }
    let seal = report.signatures.first().and_then(|s| s.seal.as_ref()).map_or(String::new(), |s| s.name.clone());
    teller.step(
        &format!("{zh}：印章核验通过"),
        &format!("{en}: seal verified offline"),
        &format!("{} · {seal}", report.indication.word()),
        path,
    );
    Ok(())
}
