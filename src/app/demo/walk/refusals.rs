//! What the gateways refuse: each with status, code, sentence, next step, and its line in the log.

use std::time::Duration;

use serde_json::{Value, json};

use super::Teller;
use super::client::{Answer, Asking, Window, filing_key, household, sign_in, tokens};
use crate::app::demo::World;
use crate::app::demo::licence::{self, Holder, Under};
use crate::app::demo::people::{LI, Person, ZHANG};
use crate::app::demo::tokens::{Options, proof, thumbprint, token_for};
use crate::app::demo::world::{A, OUTLET, SMALL_OUTLET, WINDOW};
use crate::terms::UnixMillis;
use crate::trust::suite::{SignatureAlgorithm, SigningKey};

pub async fn walk(teller: &mut Teller, world: &World) {
    teller.chapter(
        "拒绝：状态、代码、说明、下一步、日志位置",
        "Refusals: status, code, sentence, next step, place in the log",
    );
    if let Err(why) = all(teller, world).await {
        teller.fail(why);
    }
}

/// Tells one refusal, and whether it is the one that must come.
fn told(teller: &mut Teller, name: &str, want: (u16, &str), answer: &Answer) {
    let json = &answer.json;
    let (status, code) = (answer.status.as_u16(), json["code"].as_str().unwrap_or("?"));
    if status != want.0 || code != want.1 {
        teller.fail(format!("{status} {code} ({}) where {} {} must come", json["reason"], want.0, want.1));
        return;
    }
    let leaf = json["leaf"].as_u64();
    let Some(leaf) = leaf else { return teller.fail(format!("{status} {code}, but no place in the log")) };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    teller.done_as(
        &format!("{name} → {status} {code}：{}", text(&json["title"])),
        &text(&json["detail"]),
        &format!("下一步 next: {} {}", text(&json["next"]["zh"]), text(&json["next"]["en"])),
        &format!("gw-440305 #{leaf}"),
    );
}

async fn all(teller: &mut Teller, world: &World) -> Result<(), String> {
    let now = UnixMillis::now;
    let window = Window::new(world, WINDOW, A)?;
    let clerk = sign_in(world, "C-0001").await?;
    let citizen = sign_in(world, ZHANG).await?;
    let headers = tokens(&clerk, Some(&citizen));
    let zhang = Person::find(ZHANG).and_then(Holder::of).ok_or("no such person")?;
    let li = Person::find(LI).and_then(Holder::of).ok_or("no such person")?;
    let good = licence::issue(world, Under::Good, "LT-ID", zhang, now())?;

    teller.work("证照被改一个字节", "A licence with one octet changed");
    let mut bent = good.clone();
    let at = bent.len() / 2;
    bent[at] ^= 0x01;
    let answer = window.file(&headers, &filing_key(), &household("419001"), &[("id.ofd", &bent)]).await?;
    told(teller, "证照被改一个字节", (422, "TB-LIC-0105"), &answer);

    teller.work("签章证书已吊销", "A seal whose certificate is revoked");
    let revoked = licence::issue(world, Under::Revoked, "LT-ID", zhang, now())?;
    let answer = window.file(&headers, &filing_key(), &household("419001"), &[("id.ofd", &revoked)]).await?;
    told(teller, "签章证书已吊销", (422, "TB-LIC-0106"), &answer);

    teller.work("他人的证照", "Somebody else's licence");
    let others = licence::issue(world, Under::Good, "LT-ID", li, now())?;
    let answer = window.file(&headers, &filing_key(), &household("419001"), &[("id.ofd", &others)]).await?;
    told(teller, "他人的证照", (403, "TB-LIC-0201"), &answer);

    teller.work("已挂失的证照", "A licence that its holder reported lost");
    let lost = licence::issue(world, Under::Lost, "LT-ID", zhang, now())?;
    let answer = until_known(&window, &headers, &lost).await?;
    told(teller, "已挂失的证照", (422, "TB-LIC-0401"), &answer);

    teller.work("过期令牌", "An expired token");
    let old = Options { issued: Some(UnixMillis(now().0 - 3_600_000)), ..Options::default() };
    let expired = token_for(world, ZHANG, &old)?;
    let answer =
        window.file(&tokens(&clerk, Some(&expired)), &filing_key(), &household("419001"), &[("id.ofd", &good)]).await?;
    told(teller, "过期令牌", (401, "TB-IDN-0007"), &answer);

    teller.work("持有证明被重放", "A proof of possession sent twice");
    replay(teller, world, &window).await?;

    teller.work("网点清单之外的事项", "An item outside the outlet's list");
    let bank = Window::new(world, OUTLET, A)?;
    let employee = sign_in(world, "E-9001").await?;
    let bank_headers = tokens(&employee, Some(&citizen));
    let answer =
        bank.file(&bank_headers, &filing_key(), &item("001009901000", json!({"destination": "419001"})), &[]).await?;
    told(teller, "网点清单之外的事项", (403, "TB-PAR-0207"), &answer);

    teller.work("网点配额用完", "An outlet's quota used up");
    let small = Window::new(world, SMALL_OUTLET, A)?;
    let small_headers = tokens(&sign_in(world, "E-9002").await?, Some(&citizen));
    let mut answer = small.file(&small_headers, &filing_key(), &household("419001"), &[("id.ofd", &good)]).await?;
    for _ in 0..3 {
        if !answer.status.is_success() {
            break;
        }
        answer = small.file(&small_headers, &filing_key(), &household("419001"), &[("id.ofd", &good)]).await?;
    }
    told(teller, "网点配额用完", (429, "TB-PAR-0301"), &answer);

    teller.work("无人有权办理的事项", "An item nobody owns there");
    let answer = window.file(&headers, &filing_key(), &household("710000"), &[("id.ofd", &good)]).await?;
    told(teller, "无人有权办理的事项", (422, "TB-CAT-0201"), &answer);

    teller.work("须本人到场的事项由网点代办", "An item that needs presence, at an outlet");
    let presence = presence_item(&bank).await?;
    let answer = bank.file(&bank_headers, &filing_key(), &item(&presence, json!({"household": "419001"})), &[]).await?;
    told(teller, "须本人到场的事项由网点代办", (403, "TB-PAR-0206"), &answer);

    teller.work("没有办件依据的数据查询", "A lookup that no case justifies");
    let ask = json!({"resource": "DR-HH", "purpose": "case"}).to_string();
    let answer = window.call("/v1/lookups", &headers, Some(("application/json", ask.into_bytes()))).await?;
    told(teller, "没有办件依据的数据查询", (403, "TB-POL-0502"), &answer);
    Ok(())
}

/// Files with a licence until its issuer's register answers: while that gateway is being started again, the case is taken
/// with "status unknown", for the owner to weigh.
async fn until_known(window: &Window, headers: &[(&str, String)], licence: &[u8]) -> Result<Answer, String> {
    const TRIES: u32 = 45;
    const PAUSE: Duration = Duration::from_secs(2); // a breaker rests for up to 30 s
    let mut answer = window.file(headers, &filing_key(), &household("419001"), &[("id.ofd", licence)]).await?;
    for _ in 1..TRIES {
        if !answer.status.is_success() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        answer = window.file(headers, &filing_key(), &household("419001"), &[("id.ofd", licence)]).await?;
    }
    Ok(answer)
}

fn item(code: &str, places: Value) -> Value {
    json!({"item": code, "places": places, "present": true, "consent": true})
}

/// An item that needs somebody in person.
async fn presence_item(window: &Window) -> Result<String, String> {
    let all = window.call("/v1/items", &[], None).await?.good()?;
    let found = all.json["items"].as_array().into_iter().flatten().find(|i| i["presence"] != "none");
    found.and_then(|i| i["code"].as_str()).map(str::to_owned).ok_or_else(|| "no item needs presence".to_owned())
}

/// A token bound to a key, its proof sent twice.
async fn replay(teller: &mut Teller, world: &World, window: &Window) -> Result<(), String> {
    /// A first use that broke off is made again, with another proof.
    const TRIES: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(300);
    let pkcs8 = SigningKey::generate(SignatureAlgorithm::EcdsaP256Sha256).map_err(|e| e.to_string())?;
    let key = SigningKey::from_pkcs8(&pkcs8).map_err(|e| e.to_string())?;
    let options = Options { jkt: Some(thumbprint(&key)?), ..Options::default() };
    let token = token_for(world, "C-0001", &options)?;
    let url = window.url("/v1/cases");
    let mut last = String::new();
    for _ in 0..TRIES {
        let proof = proof(&key, "GET", &url, Some(&token), UnixMillis::now())?;
        let headers = [("authorization", format!("DPoP {token}")), ("dpop", proof)];
        let window = Window::new(world, WINDOW, A)?; // without memory of failures
        match window.once(&Asking { path: "/v1/cases", headers: &headers, body: None }).await.and_then(Answer::good) {
            Ok(_) => {
                let answer = window.call("/v1/cases", &headers, None).await?;
                told(teller, "持有证明被重放", (401, "TB-IDN-0017"), &answer);
                return Ok(());
            }
            Err(why) => last = why,
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(format!("the first use was not taken: {last}"))
}
