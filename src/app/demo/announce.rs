//! `federation.json`: where everything is, for any outside program. Written when all is ready, and kept current: a gateway
//! that is started again has another `pid`, one that is down has none.

use serde_json::{Value, json};

use super::files::{self, PRIVATE};
use super::people::PEOPLE;
use super::settings::{OUTLET_ITEMS, OUTLETS};
use super::stamps;
use super::world::{B, CLIENTS, Door, GATEWAYS, World};
use crate::federation::Directory;
use crate::federation::directory::MemberLog;
use crate::terms::UnixMillis;

/// `pids` are the gateways' processes.
pub(super) fn write(world: &World, pids: [Option<u32>; 2], now: UnixMillis) -> Result<(), String> {
    let directory = &super::directory::read(world, now)?;
    let gateways: Vec<Value> = pids.iter().enumerate().map(|(g, pid)| gateway(world, g, *pid, directory)).collect();
    let clients: Vec<Value> = CLIENTS
        .iter()
        .map(|c| {
            let (cert, key) = world.client(c.id);
            json!({ "name": c.id, "title": c.name, "kind": c.kind.word(), "gateway": GATEWAYS[c.gateway].id,
                "region": c.region, "cert": cert, "key": key })
        })
        .collect();
    let people: Vec<Value> = PEOPLE
        .iter()
        .map(|p| json!({ "user": p.user, "name": p.name, "kind": p.kind, "roles": p.roles, "places": p.places }))
        .collect();
    let issuer = stamps::issuer(world);
    let told = json!({
        "federation": directory.federation,
        "port_base": world.port_base,
        "store": world.store,
        "gateways": gateways,
        "clients": clients,
        "issuers": [{
            "issuer": world.issuer(),
            "discovery": format!("{}/.well-known/openid-configuration", world.issuer()),
            "jwks": format!("{}/jwks", world.issuer()),
            "token": format!("{}/token", world.issuer()),
            "ca": world.service_anchors(),
        }],
        "people": people,
        "directory": {
            "url": format!("{}/v1/directory", world.url(Door::Directory)),
            "file": world.directory(),
            "ca": world.service_anchors(),
            "operator_key": world.federation().join("operator.pem"),
        },
        "systems": {
            "provider": { "url": world.url(Door::Provider), "ca": world.client_anchors(B) },
            "office": { "url": world.url(Door::Office), "ca": world.client_anchors(B) },
            "social-security": { "url": world.url(Door::System) },
        },
        "licence_issuer": { "seal": issuer.seal, "cert": issuer.certificate,
            "anchors": world.federation().join("signers-ca.pem"), "makers": world.federation().join("makers-ca.pem"),
            "crl": world.federation().join("signers-ca.crl") },
        "outlets": OUTLETS.map(|(id, daily)| json!({ "outlet": id, "daily": daily, "items": OUTLET_ITEMS })),
    });
    let text = serde_json::to_string_pretty(&told).map_err(|e| e.to_string())?;
    files::write(&world.announcement(), format!("{text}\n").as_bytes(), PRIVATE).map(|_| ())
}

/// What an earlier demonstration said is no longer so.
pub(super) fn take_back(world: &World) -> Result<(), String> {
    let file = world.announcement();
    match std::fs::remove_file(&file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(files::said(&file, e)),
        _ => Ok(()),
    }
}

fn gateway(world: &World, gateway: usize, pid: Option<u32>, directory: &Directory) -> Value {
    let plan = &GATEWAYS[gateway];
    let log = directory.member(plan.id).and_then(|member| member.logs.first());
    json!({
        "name": plan.id,
        "title": plan.name,
        "division": plan.division,
        "api": world.url(Door::Api(gateway)),
        "admin": world.url(Door::Admin(gateway)),
        "metrics": world.url(Door::Metrics(gateway)),
        "log": world.url(Door::Log(gateway)),
        "log_origin": log.map(MemberLog::origin),
        "log_key": log.and_then(|log| log.keys.first()).map(ToString::to_string),
        "ca": world.tls_anchors(gateway),
        "pid": pid,
        "config": world.config(gateway),
        "output": world.gateway_log(gateway),
        "data": world.gateway(gateway).join("data"),
    })
}
