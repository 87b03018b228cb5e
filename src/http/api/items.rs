//! Items: search, guides, and what this person has to bring.

use http::{Request, Response};
use serde::Deserialize;
use serde_json::json;

use super::input::{self, lang, query};
use super::{Asked, ok};
use crate::catalogue::materials::{Availability, Circumstances};
use crate::catalogue::search::Filters;
use crate::terms::{ItemCode, Refusal};
use crate::upstream::Body;

/// Most items of one answer.
const PAGE: usize = 100;

pub fn search(asked: &Asked) -> Result<Response<Body>, Refusal> {
    let catalogue = asked.rooms.catalogue.load();
    let lang = lang(asked);
    let hits = catalogue.search(&query(asked, "q").unwrap_or_default(), &Filters::default(), PAGE);
    let items: Vec<_> = hits
        .iter()
        .map(|hit| {
            json!({"code": hit.item.code, "name": hit.item.name(lang), "sector": hit.item.sector,
            "scopes": hit.item.scopes, "modes": hit.item.modes, "presence": hit.item.presence})
        })
        .collect();
    Ok(ok(&json!({"items": items, "catalogue": catalogue.version()})))
}

fn item_code(text: &str) -> Result<ItemCode, Refusal> {
    Ok(text.parse::<ItemCode>()?)
}

pub fn guide(asked: &Asked, code: &str) -> Result<Response<Body>, Refusal> {
    let catalogue = asked.rooms.catalogue.load();
    let item = catalogue.item(item_code(code)?)?;
    let guide = catalogue.guide(item, None, lang(asked));
    Ok(ok(&serde_json::to_value(guide).unwrap_or_default()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanIn {
    #[serde(default)]
    by_agent: bool,
    /// Licence types the person holds no electronic licence of.
    #[serde(default)]
    without: Vec<String>,
}

pub async fn plan(asked: &Asked, code: &str, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let code = item_code(code)?;
    if let Some(errand) = &asked.errand {
        errand.is_for_item(code)?;
    }
    let wanted: PlanIn = input::json(request, input::JSON_MAX).await?;
    let catalogue = asked.rooms.catalogue.load();
    let item = catalogue.item(code)?;
    let circumstances = Circumstances {
        by_agent: wanted.by_agent,
        sources: wanted.without.into_iter().map(|id| (id, Availability::Absent)).collect(),
        consent_needed: Vec::new(),
    };
    let plan = catalogue.plan(item, &circumstances, lang(asked));
    let bring: Vec<_> = plan.iter().filter(|p| p.in_hand() && p.required).map(|p| p.no).collect();
    Ok(ok(&json!({"item": item.code, "materials": plan, "bring": bring, "guide": item.version()})))
}
