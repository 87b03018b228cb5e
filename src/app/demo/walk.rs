//! The walk: one case across provinces, then what the gateways refuse; narrated, timed, and checked at every step.

mod client;
mod refusals;
mod steps;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

use super::world::{A, B, Door, GATEWAYS};
use super::{World, lay, provider, start};
use crate::app::config::Config;
use crate::app::serve::{self, Running};
use crate::audit::note::VerifierKey;
use crate::audit::verify::{Options as VerifyOptions, verify};
pub use client::Window;

/// Tells the story on the terminal and counts what came out as it must.
pub struct Teller {
    begun: Instant,
    last: Instant,
    number: u32,
    wrong: Vec<String>,
}

impl Teller {
    fn new() -> Self {
        Self { begun: Instant::now(), last: Instant::now(), number: 0, wrong: Vec::new() }
    }

    /// A heading.
    pub fn chapter(&self, zh: &str, en: &str) {
        println!("\n━━ {zh} · {en}");
    }

    /// One step that came out: what was done, what was checked, where the evidence lies.
    pub fn step(&mut self, zh: &str, en: &str, checked: &str, evidence: &str) {
        self.number += 1;
        let ms = self.last.elapsed().as_millis();
        println!("{:>3}. {zh}\n     {en}  [{ms} ms]", self.number);
        if !checked.is_empty() {
            println!("     核验 checked: {checked}");
        }
        if !evidence.is_empty() {
            println!("     存证 evidence: {evidence}");
        }
        self.last = Instant::now();
    }

    /// One step that did not.
    pub fn fail(&mut self, en: &str, why: impl std::fmt::Display) {
        self.number += 1;
        println!("{:>3}. ✗ {en}: {why}", self.number);
        self.wrong.push(format!("{en}: {why}"));
        self.last = Instant::now();
    }
}

/// Where a line of the log is named in an answer.
pub(super) fn leaf(value: &Value) -> String {
    match (value["leaf"]["index"].as_u64(), value["leaf"].as_u64()) {
        (Some(index), _) => format!("{} #{index}", value["leaf"]["origin"].as_str().unwrap_or_default()),
        (None, Some(index)) => format!("#{index}"),
        _ => String::new(),
    }
}

/// Lays the federation, starts everything, walks, and (unless `once`) keeps serving until told to stop.
/// `true` when every step and every refusal came out as it must.
///
/// # Errors
/// A sentence, when something cannot even start.
pub async fn run(folder: &Path, port_base: u16, store: Option<&str>, once: bool) -> Result<bool, String> {
    let mut teller = Teller::new();
    println!("通办网关演示 · Tongban demonstration\n数据 data: {}", folder.display());
    let world = lay(folder, port_base, store)?;
    world.make_schemas().await?;
    let (send, stop) = watch::channel(false);
    let calls = provider::Calls::default();
    let parties = {
        let (world, calls, stop) = (world.clone(), calls.clone(), stop.clone());
        tokio::spawn(async move { start(&world, calls, stop).await })
    };
    let mut running = Vec::new();
    for gateway in [A, B] {
        let config = Config::load(&world.config(gateway)).map_err(|m| m.to_string())?;
        running.push(serve::start(&config, stop.clone()).await?);
    }
    ready(&running).await?;
    let parts = format!(
        "{} · {} · 身份认证 identity · 数据 register · 审批 office · 业务系统 system",
        world.url(Door::Api(A)),
        world.url(Door::Api(B))
    );
    teller.step(
        "联盟已启动：两个网关、身份认证、数据提供方、审批系统、业务系统",
        "The federation is up",
        &parts,
        "federation.json",
    );
    steps::walk(&mut teller, &world, &calls).await;
    refusals::walk(&mut teller, &world).await;
    if once {
        let _ = send.send(true);
        for gateway in running {
            gateway.drained().await;
        }
        let _ = parties.await;
        logs(&mut teller, &world);
        return Ok(conclude(&teller));
    }
    let well = conclude(&teller);
    addresses(&world);
    until_told().await;
    let _ = send.send(true);
    for gateway in running {
        gateway.drained().await;
    }
    let _ = parties.await;
    logs(&mut teller, &world);
    Ok(well && teller.wrong.is_empty())
}

/// SIGTERM or Ctrl-C.
async fn until_told() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

/// Both gateways know the issuers' keys.
async fn ready(running: &[Running]) -> Result<(), String> {
    for _ in 0..200 {
        let known = |r: &Running| r.rooms.issuers.load().issuers().all(|i| i.keys.is_some());
        if running.iter().all(known) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err("the identity provider's keys did not arrive within 10 s".into())
}

/// Verifies both logs with the auditor's verifier, from the files alone.
fn logs(teller: &mut Teller, world: &World) {
    teller.chapter("离线核验", "Offline verification");
    for gateway in [A, B] {
        let id = GATEWAYS[gateway].id;
        let folder = world.gateway(gateway).join("data/log");
        match log_key(world, gateway) {
            Ok(key) => {
                let report = verify(&folder, &VerifyOptions::new(key), &mut |_, _| {});
                let checked = report.text();
                let first = checked.lines().next().unwrap_or_default().to_owned();
                if report.exit_code() == 0 {
                    teller.step(
                        &format!("{id} 日志核验通过"),
                        &format!("log of {id} proven"),
                        &first,
                        &folder.display().to_string(),
                    );
                } else {
                    teller.fail(&format!("log of {id}"), checked);
                }
            }
            Err(why) => teller.fail(&format!("log key of {id}"), why),
        }
    }
}

fn log_key(world: &World, gateway: usize) -> Result<VerifierKey, String> {
    let text = std::fs::read_to_string(world.folder.join("federation.json")).map_err(|e| e.to_string())?;
    let told: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let key = told["gateways"][gateway]["log_key"].as_str().ok_or("federation.json names no log_key")?;
    key.parse().map_err(|e| format!("{e}"))
}

fn conclude(teller: &Teller) -> bool {
    let seconds = teller.begun.elapsed().as_secs_f32();
    if teller.wrong.is_empty() {
        println!(
            "\n✓ 全部 {} 步符合预期，用时 {seconds:.1} 秒 · all {} steps came out as they must",
            teller.number, teller.number
        );
        true
    } else {
        println!(
            "\n✗ {} 步不符合预期 · {} steps did not come out as they must:",
            teller.wrong.len(),
            teller.wrong.len()
        );
        for wrong in &teller.wrong {
            println!("  - {wrong}");
        }
        false
    }
}

fn addresses(world: &World) {
    let (cert, key) = world.client(super::world::WINDOW);
    println!("\n━━ 手工试用 · Try it by hand (Ctrl-C ends)");
    for gateway in [A, B] {
        println!(
            "  {}: api {} · log {} · admin {} · metrics {}",
            GATEWAYS[gateway].id,
            world.url(Door::Api(gateway)),
            world.url(Door::Log(gateway)),
            world.url(Door::Admin(gateway)),
            world.url(Door::Metrics(gateway))
        );
    }
    let ca = world.tls_anchors(A).display().to_string();
    println!("  curl --cacert {ca} {}/v1/items?q=%E6%88%B7%E7%B1%8D", world.url(Door::Api(A)));
    println!(
        "  curl --cacert {ca} --cert {} --key {} -H \"Authorization: Bearer $(tongban demo token --data {} --as clerk)\" {}/v1/cases",
        cert.display(),
        key.display(),
        world.folder.display(),
        world.url(Door::Api(A))
    );
    println!("  curl --cacert {ca} {}/checkpoint", world.url(Door::Log(A)));
}
