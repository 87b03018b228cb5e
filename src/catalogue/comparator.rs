//! "Three levels, 32 same" (三级三十二同): what must not differ between the implementations of one item.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Catalogue;
use super::items::Item;
use super::owner::Ownership;
use crate::terms::Lang;
use crate::terms::words::words;

words! {
    /// The 32 elements that province, city and county keep identical for an item.
    pub enum Element {
        Name = "name", "事项名称", "name";
        Type = "type", "事项类型", "type";
        Basis = "basis", "设定依据", "basis";
        Level = "level", "行使层级", "level";
        PowerSource = "power_source", "权力来源", "power source";
        Authority = "authority", "实施主体", "authority";
        AuthorityKind = "authority_kind", "实施主体性质", "authority kind";
        EntrustingBody = "entrusting_body", "委托部门", "entrusting body";
        CooperatingBodies = "cooperating_bodies", "联办机构", "cooperating bodies";
        Clients = "clients", "服务对象", "clients";
        CaseKind = "case_kind", "办件类型", "case kind";
        LegalDays = "legal_days", "法定办结时限", "legal days";
        LegalUnit = "legal_unit", "法定办结时限单位", "legal unit";
        PromisedDays = "promised_days", "承诺办结时限", "promised days";
        PromisedUnit = "promised_unit", "承诺办结时限单位", "promised unit";
        Conditions = "conditions", "受理条件", "acceptance conditions";
        Materials = "materials", "申请材料", "materials";
        Forms = "forms", "表单", "forms";
        Flow = "flow", "办理流程", "flow";
        SpecialProcedures = "special_procedures", "特别程序", "special procedures";
        HandlingForm = "handling_form", "办理形式", "handling form";
        Visits = "visits", "到办事现场次数", "visits needed";
        VisitReason = "visit_reason", "必须现场办理原因", "reason for a visit";
        ServiceRange = "service_range", "通办范围", "service range";
        OnlineDepth = "online_depth", "网上办理深度", "online depth";
        ResultName = "result_name", "审批结果名称", "result name";
        ResultType = "result_type", "审批结果类型", "result type";
        ResultSample = "result_sample", "审批结果样本", "result sample";
        FeeFlag = "fee_flag", "是否收费", "fee flag";
        FeeStandard = "fee_standard", "收费标准", "fee standard";
        FeeBasis = "fee_basis", "收费依据", "fee basis";
        QuantityLimit = "quantity_limit", "数量限制", "quantity limit";
    }
}

/// One authority's version of an item, element by element.
pub type Implementation = BTreeMap<Element, String>;

/// An element two implementations do not have the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub element: Element,
    pub left: Option<String>,
    pub right: Option<String>,
}

/// What differs, in the order of the elements. The authority itself and its level always may.
pub fn differences(left: &Implementation, right: &Implementation) -> Vec<Difference> {
    let elements = Element::ALL.iter().filter(|e| !matches!(e, Element::Authority | Element::Level));
    elements
        .filter_map(|&element| {
            let (left, right) = (left.get(&element).map(|t| normal(t)), right.get(&element).map(|t| normal(t)));
            (left != right).then_some(Difference { element, left, right })
        })
        .collect()
}

/// Blanks never make a difference; full-width punctuation does.
fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Catalogue {
    /// The elements this catalogue knows of an item, as one owner implements it.
    pub fn implementation(&self, item: &Item, owner: &Ownership) -> Implementation {
        let join = |words: Vec<&'static str>| words.join("、");
        let zh = Lang::Zh;
        let materials = item.materials.iter().map(|m| {
            let kind = if m.required { "必要" } else { "非必要" };
            format!("{} {} {kind} {}", m.no, m.name, m.source.name(zh))
        });
        let unit = "工作日".to_owned();
        let result = self.licence_types.get(&item.result_licence).map_or(String::new(), |l| l.name_zh.clone());
        let basis = item.basis.as_ref().map_or(String::new(), |basis| basis.text.clone());
        BTreeMap::from([
            (Element::Basis, basis),
            (Element::Name, item.name_zh.clone()),
            (Element::Type, item.item_type.name(zh).to_owned()),
            (Element::Level, owner.level.name(zh).to_owned()),
            (Element::Authority, owner.office.name.clone()),
            (Element::Clients, join(item.subjects.iter().map(|s| s.name(zh)).collect())),
            (Element::CaseKind, item.case_kind.name(zh).to_owned()),
            (Element::LegalDays, item.legal_days.to_string()),
            (Element::LegalUnit, unit.clone()),
            (Element::PromisedDays, item.promised_days.to_string()),
            (Element::PromisedUnit, unit),
            (Element::Materials, materials.collect::<Vec<_>>().join("；")),
            (Element::HandlingForm, join(item.modes.iter().map(|m| m.name(zh)).collect())),
            (Element::VisitReason, item.presence.name(zh).to_owned()),
            (Element::ServiceRange, join(item.scopes.iter().map(|s| s.name(zh)).collect())),
            (Element::ResultName, result),
            (Element::FeeFlag, if item.fee { "是" } else { "否" }.to_owned()),
        ])
    }
}
