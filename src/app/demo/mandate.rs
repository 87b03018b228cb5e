//! Mandates of the demonstration's outlets: what Nanshan's department gave them, as the gateway registered it.

use jsonwebtoken::Algorithm;

use super::files::{self, PUBLIC};
use super::world::{A, BUREAU_A, Client, GATEWAYS, World};
use crate::identity::delegation::{self, Registrar, Uses, WindowMandate, Wording};
use crate::identity::issue::{SigningKey, jwks, random_id};
use crate::identity::{book::Reach, keys::IssuerKeys};
use crate::partners::Act;
use crate::terms::{ItemCode, RegionCode, UnixMillis};
use crate::trust::pem;

/// The mandate of an outlet, good until `end`. The one that is there stays while it says the same.
pub(super) fn of(
    world: &World,
    outlet: &Client,
    items: &[&str],
    end: UnixMillis,
    now: UnixMillis,
) -> Result<String, String> {
    let file = world.gateway(A).join("mandates").join(format!("{}.jwt", outlet.id));
    let key = voice(world)?;
    let place: RegionCode = outlet.region.parse().map_err(|_| format!("{}: no place", outlet.region))?;
    let wording = Wording {
        iss: GATEWAYS[A].id.into(),
        jti: random_id().map_err(|e| e.to_string())?,
        iat: now.seconds(),
        nbf: now.seconds(),
        exp: end.seconds(),
        from: BUREAU_A.into(),
        to: outlet.id.into(),
        items: items
            .iter()
            .map(|item| item.parse())
            .collect::<Result<Vec<ItemCode>, _>>()
            .map_err(|e| e.to_string())?,
        acts: Act::ALL.iter().map(|act| act.word().to_owned()).collect(),
        places: vec![place],
        resources: vec![],
        fields: vec![],
        purpose: None,
        case: None,
        uses: Uses::Many,
        issuer: None,
    };
    let had = files::read(&file)?.and_then(|octets| String::from_utf8(octets).ok());
    if let Some(had) = had
        && says(&had, &wording, &key, place)
    {
        return Ok(had);
    }
    let paper = delegation::sign(WindowMandate, &wording, &key).map_err(|e| e.to_string())?;
    files::write(&file, paper.as_bytes(), PUBLIC)?;
    Ok(paper)
}

/// Whether a paper is under this key and says the same; it keeps its number and the day it was given.
fn says(paper: &str, want: &Wording, key: &SigningKey, place: RegionCode) -> bool {
    let Ok(set) = jwks(&[key]) else { return false };
    let Ok((keys, _)) = IssuerKeys::from_jwks(set.to_string().as_bytes(), &[Algorithm::ES256]) else { return false };
    let registrar =
        Registrar { id: &want.iss, keys: &keys, reach: &Reach::Within(vec![place.division()].into_iter().collect()) };
    delegation::wording::<WindowMandate>(paper, registrar).is_ok_and(|had| {
        had.iat <= want.iat && Wording { jti: want.jti.clone(), iat: want.iat, nbf: want.nbf, ..had } == *want
    })
}

/// The key under which gateway A signs papers.
fn voice(world: &World) -> Result<SigningKey, String> {
    let file = world.gateway(A).join("certs/assertion.key");
    let text = std::fs::read(&file).map_err(|e| files::said(&file, e))?;
    let blocks = pem::decode(&text).map_err(|e| files::said(&file, e))?;
    let block = blocks.first().ok_or_else(|| files::said(&file, "no key in it"))?;
    SigningKey::from_pkcs8(Algorithm::ES256, &block.octets).map_err(|e| files::said(&file, e))
}
