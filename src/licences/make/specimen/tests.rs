use std::collections::HashSet;

use super::*;
use crate::licences::*;
use crate::terms::{CreditCode, ResidentId};
use crate::trust::crl::Crl;

const KIND: Kind<'_> = Kind { name: "营业执照", type_code: "11100000DT0000019Q001", body: true, dated: false };

fn profile(pki: &Pki) -> Profile {
    let mut profile = Profile::new(pki.at());
    profile.revocation = Revocation::Require;
    profile.anchors.signers = vec![pki.root.certificate.clone(), pki.root_p256.certificate.clone()];
    profile.anchors.makers = vec![pki.maker.certificate.clone()];
    profile.anchors.tsas = vec![pki.root_p256.certificate.clone()];
    for (name, octets, _) in pki.files().unwrap() {
        match name.as_str() {
            "issuer.json" => profile.issuer_keys = IssuerKey::read(&octets).unwrap(),
            "list.jwt" => profile.status_lists = vec![StatusList::parse(&octets).unwrap()],
            name if name.ends_with(".crl") => profile.crls.push(Crl::parse(&octets).unwrap()),
            _ => {}
        }
    }
    profile
}

#[test]
fn every_variation_gets_its_verdict_whenever_it_is_made() {
    let mut wrong = Vec::new();
    for at in ["2026-02-13T02:00:00Z", "2028-02-29T23:59:59.999Z"] {
        let pki = Pki::new(UnixMillis::parse_rfc3339(at).unwrap()).unwrap();
        let profile = profile(&pki);
        let making = Making { pki: &pki, kind: KIND, holder: "某某公司" };
        for form in Form::ALL {
            for variation in form.variations() {
                let octets = making.file(form, variation).unwrap();
                let report = verify(variation.name, octets, &profile);
                if (report.indication, report.sub_indication, report.code) != variation.expected {
                    wrong.push(format!("{} expected {:?}\n{}", form.word(), variation.expected, report.to_text()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_variation_differs_from_the_good_one() {
    let pki = Pki::new(UnixMillis::parse_rfc3339("2026-02-13T02:00:00Z").unwrap()).unwrap();
    let making = Making { pki: &pki, kind: KIND, holder: "某某公司" };
    for form in Form::ALL {
        let names: HashSet<_> = form.variations().iter().map(|v| v.name).collect();
        assert_eq!(names.len(), form.variations().len(), "{}", form.word());
        assert_eq!(form.variations()[0].name, "good");
        let unknown = Variation { name: "no such", what: ("", ""), expected: PASS };
        let (good, other) = (making.file(form, &form.variations()[0]), making.file(form, &unknown));
        assert!(good.unwrap().len().abs_diff(other.unwrap().len()) < 16, "{}", form.word());
    }
}

#[test]
fn nothing_of_it_can_be_taken_for_real() {
    let pki = Pki::new(UnixMillis::parse_rfc3339("2026-02-13T02:00:00Z").unwrap()).unwrap();
    for (kind, code) in [(KIND, COMPANY), (Kind { body: false, dated: true, ..KIND }, PERSON)] {
        let making = Making { pki: &pki, kind, holder: "张三" };
        let report = verify("good", making.file(Form::Ofd, &Form::Ofd.variations()[0]).unwrap(), &profile(&pki));
        let value = |name| report.data.get(name).unwrap().value.clone();
        assert_eq!(value(names::HOLDER_NAME), "测试张三");
        assert_eq!(value(names::HOLDER_CODE), code);
        let id = report.data.identifier().unwrap();
        assert!(id.check_matches() && id.serial().starts_with("TEST") && id.place().is_none(), "{id}");
        let signer = report.signatures[0].certificates.iter().map(|c| c.subject.clone()).collect::<Vec<_>>();
        assert!(!signer.is_empty() && signer.iter().all(|subject| subject.contains("TEST")), "{signer:?}");
    }
    assert!(ISSUER_CODE.parse::<CreditCode>().is_ok() && COMPANY.parse::<CreditCode>().is_ok());
    assert!(PERSON.parse::<ResidentId>().is_ok());
    for (name, octets, secret) in pki.files().unwrap() {
        let key = String::from_utf8_lossy(&octets).contains("PRIVATE KEY");
        assert_eq!(key, secret, "{name}");
    }
}
