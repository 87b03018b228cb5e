//! The configurations from which the gateways of the demonstration start: the same files an operator writes.

use std::fmt::Write as _;

use super::directory::log_origin;
use super::files::{self, PRIVATE, PUBLIC};
use super::mandate;
use super::stamps;
use super::world::{
    A, B, BUREAU, BUREAU_A, CLIENTS, ClientKind, Door, GATEWAYS, OFFICE, OPERATORS, OUTLET, POLICE_B, SMALL_OUTLET,
    SOCIAL_SECURITY_B, SOCIAL_SECURITY_HOST, World,
};
use crate::audit::note::{KeyKind, Signer};
use crate::exchange::Key;
use crate::partners::Act;
use crate::terms::{Day, UnixMillis};

/// Filings a day of each bank outlet; one more is refused.
pub const OUTLETS: [(&str, u32); 2] = [(OUTLET, 200), (SMALL_OUTLET, 2)];
/// What the bank outlet may file: household certificate, and two more that the catalogue opens to banks.
pub const OUTLET_ITEMS: [&str; 2] = ["002009901000", "002014901000"];

/// Writes `tongban.toml` and `partners.toml` of a gateway.
pub(super) fn write(world: &World, gateway: usize, now: UnixMillis) -> Result<(), String> {
    let home = world.gateway(gateway);
    files::write(&home.join("partners.toml"), partners(world, gateway, now)?.as_bytes(), PUBLIC)?;
    files::write(&home.join("witnesses.txt"), witnesses(world, gateway)?.as_bytes(), PUBLIC)?;
    // The address of a store may hold a password.
    files::write(&world.config(gateway), config(world, gateway)?.as_bytes(), PRIVATE)?;
    Ok(())
}

/// Each gateway has the other one cosign its log.
fn witnesses(world: &World, gateway: usize) -> Result<String, String> {
    let other = if gateway == A { B } else { A };
    let file = world.gateway(other).join("data/witness.key");
    let seed = Key::read_or_make(&file).map_err(|e| files::said(&file, e))?;
    let signer = Signer::from_seed(&format!("{}/witness", log_origin(other)), seed.octets());
    let key = signer.map_err(|e| e.to_string())?.verifier(KeyKind::Cosignature);
    Ok(format!("witness {} {key} {}\nquorum {}\n", GATEWAYS[other].id, world.url(Door::Log(other)), GATEWAYS[other].id))
}

/// Whom an outsider trusts for papers and licences of this federation.
pub(super) fn trust(world: &World) -> Result<(), String> {
    let text = "# Written by `tongban demo`; paths are relative to this file.\n\
                # tongban verify --policy trust.toml FILE…\n\
                signer-anchor = [\"federation/signers-ca.pem\"]\n\
                maker-anchor = [\"federation/makers-ca.pem\"]\n\
                crl = [\"federation/signers-ca.crl\", \"federation/makers-ca.crl\"]\n\
                time-basis = \"claimed\"\ncoverage = \"strict\"\nrevocation = \"require\"\n\
                # Our own papers hold nothing that no seal speaks for; licences of other makers may.\n\
                container = \"exact\"\n";
    files::write(&world.trust(), text.as_bytes(), PUBLIC).map(|_| ())
}

fn config(world: &World, gateway: usize) -> Result<String, String> {
    let plan = &GATEWAYS[gateway];
    let address = |door: Door| world.address(door);
    let stamp = |name: &str| {
        format!(
            "{name} = {{ seal = \"certs/{name}.esl\", certificate = \"certs/{name}.pem\", key = \"certs/{name}.key\" }}\n"
        )
    };
    let mut out = format!(
        "# {}: written by `tongban demo`; changes are lost at its next start.\n\
         partners = \"partners.toml\"\n\n\
         [gateway]\nid = {:?}\nname = {:?}\ndivision = {:?}\ndata = \"data\"\nstore = {:?}\nenquiry = \"12345\"\n\n\
         [listen]\napi = \"{}\"\nlog = \"{}\"\nadmin = \"{}\"\nmetrics = \"{}\"\n\n\
         [limits]\nfilings = 1000\n\n\
         # One citizen and one window stand for a whole region here.\n\
         [rates]\ncitizen = {{ per_second = 10000, burst = 20000 }}\nwindow = {{ per_second = 10000, burst = 20000 }}\n\
         system = {{ per_second = 10000, burst = 20000 }}\npeer = {{ per_second = 10000, burst = 20000 }}\n\n\
         [tls]\ncertificate = \"certs/tls.pem\"\nkey = \"certs/tls.key\"\nclient_anchors = \"authorities/clients.pem\"\n\n",
        plan.name,
        plan.id,
        plan.name,
        plan.division,
        world.store_of(gateway),
        address(Door::Api(gateway)),
        address(Door::Log(gateway)),
        address(Door::Admin(gateway)),
        address(Door::Metrics(gateway)),
    );
    let _ = write!(
        out,
        "[seals]\nenvelope = {{ certificate = \"certs/envelope.pem\", key = \"certs/envelope.key\" }}\n{}{}{}\n\
         [assertion]\ncertificate = \"certs/assertion.pem\"\nkey = \"certs/assertion.key\"\n\n\
         [log]\norigin = {:?}\nkey = \"certs/log.key\"\ngm_key = \"certs/log-gm.key\"\nwitnesses = \"witnesses.txt\"\n\n\
         [directory]\nfile = \"../federation.jws\"\nurl = \"{}/v1/directory\"\n\
         anchors = \"../federation/services-ca.pem\"\noperator_key = \"../federation/operator.pem\"\n",
        stamp("collection"),
        stamp("acceptance"),
        stamp("approval"),
        log_origin(gateway),
        world.url(Door::Directory),
    );
    out.push_str(
        "\n[enrolment]\ncertificate = \"authorities/clients.pem\"\nkey = \"authorities/clients.key\"\ndays = 30\n",
    );
    for operator in OPERATORS {
        let _ = write!(out, "\n[[operator]]\nid = {operator:?}\nkey = \"authorities/{operator}.pem\"\n");
    }
    for client in CLIENTS.iter().filter(|c| c.gateway == gateway && c.kind == ClientKind::Window) {
        let _ = write!(
            out,
            "\n[[window]]\nid = {:?}\nname = {:?}\nregion = {:?}\ncertificate = \"{}\"\n",
            client.id,
            client.name,
            client.region,
            fingerprint(world, client.id)?
        );
    }
    for client in CLIENTS.iter().filter(|c| c.gateway == gateway && c.kind == ClientKind::Auditor) {
        let _ = write!(
            out,
            "\n[[auditor]]\nid = {:?}\nkind = \"auditor\"\nplaces = [{:?}]\ncertificate = \"{}\"\n",
            client.id,
            client.region,
            fingerprint(world, client.id)?
        );
    }
    out.push_str(&if gateway == B { systems(world)? } else { bureau(world)? });
    Ok(out)
}

/// What stands behind Nanshan's: a department that gives mandates; it has no items in the demonstration.
fn bureau(world: &World) -> Result<String, String> {
    Ok(format!(
        "\n[[system]]\nid = {BUREAU:?}\nkind = \"office\"\nurl = \"{}\"\nauthority = {BUREAU_A:?}\nregion = {:?}\n\
         anchors = \"authorities/clients.pem\"\ncertificate = \"{}\"\n",
        world.url(Door::Office),
        GATEWAYS[A].division,
        fingerprint(world, BUREAU)?,
    ))
}

/// What stands behind Jiyuan's gateway.
fn systems(world: &World) -> Result<String, String> {
    let region = GATEWAYS[B].division;
    Ok(format!(
        "\n[[system]]\nid = {OFFICE:?}\nkind = \"office\"\nurl = \"{}\"\nauthority = {POLICE_B:?}\nregion = {region:?}\n\
         anchors = \"authorities/clients.pem\"\ncertificate = \"{}\"\n\
         \n[[system]]\nid = \"household-register\"\nkind = \"provider\"\nurl = \"{}\"\nauthority = {POLICE_B:?}\n\
         region = {region:?}\nanchors = \"authorities/clients.pem\"\ncertificate = \"{}\"\nresources = [\"DR-HH\", \"DR-POP\", \"LT-ID\"]\n\
         \n[[system]]\nid = \"social-security\"\nkind = \"proxy\"\nurl = \"{}\"\nauthority = {SOCIAL_SECURITY_B:?}\n\
         region = {region:?}\npath = \"/pass/social-security\"\nhost = \"{SOCIAL_SECURITY_HOST}\"\n",
        world.url(Door::Office),
        fingerprint(world, OFFICE)?,
        world.url(Door::Provider),
        fingerprint(world, "household-register")?,
        world.url(Door::System),
    ))
}

fn fingerprint(world: &World, client: &str) -> Result<String, String> {
    Ok(stamps::certificate(&world.client(client).0)?.fingerprint().to_string())
}

/// The contracts of a gateway. Its year is the one of `now`, so that the demonstration does not run out; it is open at
/// all hours, so that the walk comes out the same on a Sunday night.
fn partners(world: &World, gateway: usize, now: UnixMillis) -> Result<String, String> {
    if gateway != A {
        return Ok("# No partner outlets here.\nschema = 1\n".to_owned());
    }
    let year = now.day().year();
    let acts: Vec<&str> = Act::ALL.iter().map(|act| act.word()).collect();
    let day = |month, day| Day::from_ymd(year, month, day).map(|d| d.to_string()).unwrap_or_default();
    let mut out = "# Written by `tongban demo`; changes are lost at its next start.\nschema = 1\n".to_owned();
    for client in CLIENTS.iter().filter(|c| c.kind == ClientKind::Outlet) {
        let end = Day::from_ymd(year, 12, 31).ok_or("no such year")?.end();
        let mandate = mandate::of(world, client, &OUTLET_ITEMS, end, now)?;
        let daily = OUTLETS.iter().find(|(outlet, _)| *outlet == client.id).map_or(0, |(_, daily)| *daily);
        let _ = write!(
            out,
            "\n[[contract]]\noutlet = {:?}\nname_zh = {:?}\nname_en = \"Demonstration Bank, Nanshan\"\n\
             kind = \"bank\"\nregion = {:?}\nitems = {OUTLET_ITEMS:?}\nacts = {acts:?}\n\
             from = \"{}\"\nto = \"{}\"\nauthority = {BUREAU_A:?}\nmandate = \"{mandate}\"\n\n\
             [[contract.terminal]]\nid = {:?}\n\n\
             [[contract.hours]]\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\n\
             from = \"00:00\"\nto = \"24:00\"\n\n\
             [contract.masking]\nid_number = \"3-2\"\nphone = \"3-2\"\nname = \"1-0\"\n\n\
             [contract.quota]\noutlet = {daily}\ncitizen = 200\n\n\
             [contract.rate]\nper_second = 50\nburst = 100\n",
            client.id,
            client.name,
            client.region,
            day(1, 1),
            day(12, 31),
            client.uri,
        );
    }
    Ok(out)
}
