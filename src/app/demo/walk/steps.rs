//! The good way: from signing in to the result.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Answer, Window, filing_key, household, sign_in, tokens};
use super::{Stage, Teller, leaf, path};
use crate::app::demo::files::{self, PRIVATE};
use crate::app::demo::licence::{self, Holder, Under};
use crate::app::demo::people::{Person, ZHANG};
use crate::app::demo::world::{A, B, OUTLET, TOWN_WINDOW, WINDOW};
use crate::federation::Directory;
use crate::gateway::prove::profile;
use crate::licences;
use crate::terms::UnixMillis;

/// Longest wait for the office, in seconds.
const OFFICE_S: u32 = 120;
/// The item of the walk: a certificate of household registration.
const ITEM: &str = "002009901000";

/// Copies of a case's papers, as the window has them.
pub struct Papers {
    pub case: String,
    pub folder: PathBuf,
    /// Digest of each copy, by name of the file.
    pub digests: BTreeMap<String, String>,
}

/// Walks; gives the papers of the case, when it came so far.
pub async fn walk(teller: &mut Teller, stage: &Stage<'_>) -> Option<Papers> {
    teller.chapter("跨省通办：深圳南山窗口办理济源户籍证明", "Cross-province: a Jiyuan certificate filed in Nanshan");
    let mut papers = None;
    if let Err(why) = all(teller, stage, &mut papers).await {
        teller.fail(why);
    }
    papers
}

async fn all(teller: &mut Teller, stage: &Stage<'_>, kept: &mut Option<Papers>) -> Result<(), String> {
    let world = stage.world;
    teller.work("张三登录统一身份认证", "The citizen signs in");
    let citizen = sign_in(world, ZHANG).await?;
    teller.done("OIDC · ES256 · at+jwt · 实名等级 real-name level 3", "");
    teller.work("窗口人员王敏登录", "The clerk signs in");
    let clerk = sign_in(world, "C-0001").await?;
    let window = Window::new(world, WINDOW, A)?;
    teller.done("OIDC · RS256 · 终端证书 terminal certificate (mTLS)", &path(&world.client(WINDOW).0));

    teller.work("查找事项，阅读办事指南", "Search items, read the guide");
    let found = window.call("/v1/items?q=%E6%88%B7%E7%B1%8D", &[], None).await?.good()?;
    let count = found.json["items"].as_array().map_or(0, Vec::len);
    let guide = window.call(&format!("/v1/items/{ITEM}"), &[], None).await?.good()?;
    teller.done(&format!("{count} 项 items"), &format!("{ITEM} {}", guide.json["name"].as_str().unwrap_or_default()));
    let headers = tokens(&clerk, Some(&citizen));
    materials(teller, &window, &headers).await?;

    teller.work(
        "窗口核验张三出示的电子身份证（加盖国密印章的 OFD）",
        "The licence shown: a sealed OFD, verified by the gateway",
    );
    let person = Person::find(ZHANG).and_then(Holder::of).ok_or("no such person")?;
    let id_card = licence::issue(world, Under::Good, "LT-ID", person, UnixMillis::now())?;
    let at_counter = "/v1/verify?purpose=counter&consent=true";
    let checked = window.call(at_counter, &headers, Some(("application/ofd", id_card.clone()))).await?.good()?;
    let verdict = checked.json["indication"].as_str().unwrap_or_default().to_owned();
    if verdict != "TOTAL-PASSED" {
        return Err(format!("the licence is {verdict}"));
    }
    teller.done(&format!("{verdict} · SM2/SM3 · 签章人、制章者、吊销状态 signer, seal maker, revocation"), "");

    teller.work("收件", "The case is filed at the window");
    let (asked, ended) = (stage.calls.count(), stage.ends.count());
    let key = filing_key();
    let filed = window.file(&headers, &key, &household("419001"), &[("id.ofd", &id_card)]).await?.good()?;
    let case = filed.json["case"].as_str().ok_or("no case number")?.to_owned();
    let folder = world.papers(&case);
    let mut papers = Papers { case: case.clone(), folder, digests: BTreeMap::new() };
    let licence_file = papers.keep("attached-licence.ofd", &id_card)?;
    teller.done_as(
        &format!("收件 {case}（收件不是受理）"),
        "Filed at the window: received, not accepted",
        "两人身份 both people · 归属 owner 419001 · 合约、策略、配额 contract, policy, quota · 证照、印章、登记状态 licence, seal, status at the issuer · 共享数据 shared data",
        &format!("{} · 所附证照 licence attached: {licence_file}", leaf(&filed.json)),
    );
    teller.work("同一申请重复提交：同一办件", "The same filing again: the same case");
    let again = window.file(&headers, &key, &household("419001"), &[("id.ofd", &id_card)]).await?.good()?;
    if again.json["case"] != filed.json["case"] {
        return Err("the same filing gave another case".into());
    }
    teller.done("Idempotency-Key", &leaf(&again.json));
    shared_data(teller, stage, &window, &headers, (&case, &id_card), (asked, ended)).await?;

    teller.work("收件凭证", "The collection receipt");
    let receipt = filed.json["receipt"].as_str().ok_or("no receipt")?.to_owned();
    let paper = window.call(&receipt, &headers, None).await?.good()?;
    sealed(teller, stage, &mut papers, ("收件凭证", "Collection receipt"), "collection-receipt.ofd", &paper.bytes)?;

    teller.work(
        "济源：案卷过境、核验、送达、受理、审查、决定、办结",
        "Jiyuan: the sealed case file crosses; the office works",
    );
    let seen = closed(&window, &headers, &case).await?;
    let acts: Vec<_> = seen["events"].as_array().into_iter().flatten().filter_map(|e| e["act"].as_str()).collect();
    teller.done_as(
        "济源：核验封包与发送方、再次决策、送达审批系统、受理、审查、决定、办结",
        "Jiyuan: seal and sender, policy again, the office; accepted, reviewed, granted, closed",
        &acts.join(" → "),
        &format!("{} · {}", path(&world.office().join("messages")), path(&world.gateway(B).join("data/log"))),
    );
    let documents: Vec<&str> =
        seen["documents"].as_array().into_iter().flatten().filter_map(|d| d["path"].as_str()).collect();
    for (mark, file, zh, en) in [
        ("ACCEPTANCE-VOUCHER", "acceptance-voucher.ofd", "受理凭证（业务受理专用章）", "Acceptance voucher"),
        ("GRANT", "decision.ofd", "准予决定（业务审批专用章）", "Decision"),
        ("result", "result-licence.ofd", "结果证照", "Result licence"),
    ] {
        teller.work(zh, en);
        let document =
            documents.iter().find(|d| d.contains(mark)).ok_or_else(|| format!("none among {documents:?}"))?;
        let paper = window.call(&format!("/v1/cases/{case}/documents/{document}"), &headers, None).await?.good()?;
        sealed(teller, stage, &mut papers, (zh, en), file, &paper.bytes)?;
    }
    *kept = Some(papers);
    others(teller, stage, &window, &citizen, &headers, &id_card).await
}

/// What the person must bring: the materials, minus what licences and sharing provide.
async fn materials(teller: &mut Teller, window: &Window, headers: &[(&str, String)]) -> Result<(), String> {
    teller.work("应备材料：证照和共享数据可得的免提交", "What to bring: nothing that licences or sharing provide");
    let body = Some(("application/json", b"{}".to_vec()));
    let plan = window.call(&format!("/v1/items/{ITEM}/plan"), headers, body).await?.good()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = plan.json["materials"].as_array().into_iter().flatten();
    let lines: Vec<_> =
        lines.map(|m| format!("{} ← {} ({})", text(&m["name"]), text(&m["reference"]), text(&m["how"]))).collect();
    if lines.is_empty() || plan.json["bring"] != json!([]) {
        return Err(format!("the plan is {}", plan.json));
    }
    teller.done(&format!("{} · 须提交 to bring: 无 nothing", lines.join("；")), "");
    Ok(())
}

/// Shared data again: from the cache, so that the register was asked once; the log has a line for each.
async fn shared_data(
    teller: &mut Teller,
    stage: &Stage<'_>,
    window: &Window,
    headers: &[(&str, String)],
    (case, id_card): (&str, &[u8]),
    before: (u64, u64),
) -> Result<(), String> {
    /// A gateway that was started again has forgotten its answers: the next lookup fills the cache anew.
    const TRIES: u32 = 5;
    teller
        .work("户籍共享数据：第二次查询来自缓存，同样留痕", "Shared data: the second lookup from cache, still logged");
    let (asked, mut ended) = before;
    for _ in 0..TRIES {
        let ask = json!({"resource": "DR-HH", "case": case, "purpose": "case", "consent": true}).to_string();
        let mut answer = window.call("/v1/lookups", headers, Some(("application/json", ask.into_bytes()))).await?;
        if answer.json["code"] == "TB-POL-0502" {
            // The office was quicker, and a case that is decided justifies no lookup: the next case of this person does.
            answer = next_case(window, headers, id_card).await?;
        }
        let answer = answer.good()?;
        let (made, ends) = (stage.calls.count() - asked, stage.ends.count());
        if answer.json["cached"] == true && (made == 1 || ends != before.1) {
            let fetched = answer.json["fetched_at"].as_str().unwrap_or_default().to_owned();
            teller.done(
                &format!("用途绑定 purpose-bound · 数据源被查询 {made} 次 the register was asked {made}× · {fetched}"),
                &path(&stage.world.gateway(A).join("data/log")),
            );
            return Ok(());
        }
        // Asked for the first time only now: the register's gateway was away when the case was filed.
        let first = made == 1 && answer.json["cached"] == false;
        if ends == ended && !first {
            return Err(format!("the second lookup was not from the cache (calls: {made})"));
        }
        ended = ends;
    }
    Err("no lookup was from the cache".into())
}

/// Files again, and gives the lookup that the new case made.
async fn next_case(window: &Window, headers: &[(&str, String)], id_card: &[u8]) -> Result<Answer, String> {
    let files = [("id.ofd", id_card)];
    let filed = window.file(headers, &filing_key(), &household("419001"), &files).await?.good()?;
    let case = filed.json["case"].as_str().unwrap_or_default().to_owned();
    let mut seen = window.call(&format!("/v1/cases/{case}"), headers, None).await?.good()?;
    let facts = seen.json["facts"].as_array().into_iter().flatten();
    seen.json = facts.clone().find(|fact| fact["resource"] == "DR-HH").cloned().unwrap_or_default();
    Ok(seen)
}

/// The other ways: town to town, a bank outlet, a live request.
async fn others(
    teller: &mut Teller,
    stage: &Stage<'_>,
    window: &Window,
    citizen: &str,
    headers: &[(&'static str, String)],
    id_card: &[u8],
) -> Result<(), String> {
    let world = stage.world;
    teller.chapter("同城跨镇、银行网点、业务系统转发", "Town to town, a bank outlet, a live request");
    teller.work("克井镇窗口收件（跨镇通办）", "Filed town to town");
    let town = Window::new(world, TOWN_WINDOW, B)?;
    let town_clerk = sign_in(world, "C-0002").await?;
    let of_town = tokens(&town_clerk, Some(citizen));
    let files = [("id.ofd", id_card)];
    let filed = town.file(&of_town, &filing_key(), &household("419001"), &files).await?.good()?;
    teller.done("scope: town", &leaf(&filed.json));

    teller.work("银行网点代收", "A bank outlet files an item it may file");
    let bank = Window::new(world, OUTLET, A)?;
    let employee = sign_in(world, "E-9001").await?;
    let of_bank = tokens(&employee, Some(citizen));
    let filed = bank.file(&of_bank, &filing_key(), &household("419001"), &files).await?.good()?;
    teller.done("合约 contract · 终端 terminal · 配额 quota", &leaf(&filed.json));

    teller.work("实时请求经 A 转发到 B 的业务系统", "A live request through A to a system behind B");
    let mut spoofed = headers.to_vec();
    spoofed.push(("x-remote-user", "admin".into()));
    let passed = window.call("/pass/419001/social-security/status", &spoofed, None).await?.good()?.json;
    let identity = &passed["identity"];
    if passed["vouched"] != true || identity["sub"] != "C-0001" || passed["identity_headers_of_client"] != json!([]) {
        return Err(passed.to_string());
    }
    let text = |name: &str| identity[name].as_str().unwrap_or_default();
    teller.done(
        &format!(
            "签名短期令牌 signed hand-off: {} ({}) via {} · 客户端身份头被除去 the client's identity headers did not get through",
            text("sub"),
            text("kind"),
            text("via")
        ),
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

impl Papers {
    /// Keeps a copy; gives its path.
    fn keep(&mut self, name: &str, bytes: &[u8]) -> Result<String, String> {
        let file = self.folder.join(name);
        files::write(&file, bytes, PRIVATE)?;
        self.digests.insert(name.to_owned(), crate::terms::Digest::of(bytes).to_string());
        Ok(path(&file))
    }
}

/// Verifies a paper under the directory, as its receiver does, and keeps a copy.
fn sealed(
    teller: &mut Teller,
    stage: &Stage<'_>,
    papers: &mut Papers,
    (zh, en): (&str, &str),
    name: &str,
    bytes: &[u8],
) -> Result<(), String> {
    let world = stage.world;
    let operator = crate::app::wire::operator_key(&world.federation().join("operator.pem"))?;
    let envelope = std::fs::read_to_string(world.directory()).map_err(|e| e.to_string())?;
    let now = UnixMillis::now();
    let directory = Directory::take(&envelope, &operator, None, now).map_err(|e| e.to_string())?;
    let report = licences::verify(name, bytes, &profile(&directory, now));
    if !report.passed() {
        return Err(report.to_text());
    }
    let seal = report.signatures.first().and_then(|s| s.seal.as_ref()).map_or(String::new(), |s| s.name.clone());
    let file = papers.keep(name, bytes)?;
    teller.done_as(
        &format!("{zh}：印章核验通过"),
        &format!("{en}: the seal is genuine"),
        &format!("{} · {seal}", report.indication.word()),
        &file,
    );
    Ok(())
}
