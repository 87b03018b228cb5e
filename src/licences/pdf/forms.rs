//! Forms filled in after signing: what the document's author allows (DocMDP), what a signer locks (FieldMDP), and what
//! calls itself filling in and is not. Time-stamps and pictures that come after a signature.

use super::tests::{PADES, body, by, fill, party, profile, signature, startxref, token, update};
use crate::licences::variations::kit::Party;
use crate::licences::*;
use crate::trust::cms::Spelling;
use crate::trust::issue::Use;
use crate::trust::suite::SignatureAlgorithm;

use Indication::{Indeterminate, TotalPassed};

const HOLDER: &str =
    "<</FT/Tx/Type/Annot/Subtype/Widget/T(holder)/Rect[9 9 99 30]/DA(/Helv 9 Tf)/AP<</N 10 0 R>>/V()/P 3 0 R>>";
const AGREE: &str =
    "<</FT/Btn/Type/Annot/Subtype/Widget/T(agree)/Rect[9 40 20 50]/AP<</N<</Yes 14 0 R/Off 15 0 R>>>>/AS/Off/V/Off>>";
const TOWN: &str = "<</Type/Annot/Subtype/Widget/T(town)/Parent 12 0 R/Rect[9 60 99 80]/AP<</N 16 0 R>>>>";
const PAGE: &str = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Annots[5 0 R 7 0 R 8 0 R 11 0 R]/Contents 9 0 R\
                    /Resources<</XObject<</Stamp 16 0 R>>>>>>";
const FORM: &str = "<</Fields[5 0 R 7 0 R 8 0 R 12 0 R]/SigFlags 3>>";
const CERTIFIED: &str = "<</Type/Catalog/Pages 2 0 R/AcroForm 4 0 R/Perms<</DocMDP 6 0 R>>>>";
const PLAIN: &str = "<</Type/Catalog/Pages 2 0 R/AcroForm 4 0 R>>";

fn picture(what: &str) -> String {
    format!("<</Type/XObject/Subtype/Form/BBox[0 0 90 20]/Length {}>>stream\n{what}\nendstream", what.len())
}

fn mdp(permission: u8) -> String {
    let parameters = format!("<</Type/TransformParams/V/1.2/P {permission}>>");
    format!("{PADES}/Reference[<</Type/SigRef/TransformMethod/DocMDP/TransformParams{parameters}>>]")
}

fn locking(what: &str) -> String {
    let docmdp = "<</TransformMethod/DocMDP/TransformParams<</P 2>>>>";
    format!("{PADES}/Reference[{docmdp}<</TransformMethod/FieldMDP/TransformParams<</Action{what}>>>>]")
}

/// A form of three fields, one of them below another, signed.
fn form(catalog: &str, value: &str, signer: &Party) -> Vec<u8> {
    let objects = [
        (1, catalog.to_owned()),
        (2, "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned()),
        (3, PAGE.to_owned()),
        (4, FORM.to_owned()),
        (5, "<</FT/Sig/Type/Annot/Subtype/Widget/T(Seal)/Rect[0 0 0 0]/V 6 0 R/P 3 0 R>>".to_owned()),
        (6, signature(value)),
        (7, HOLDER.to_owned()),
        (8, AGREE.to_owned()),
        (9, "<</Length 1>>stream\nq\nendstream".to_owned()),
        (10, picture("q Q")),
        (11, TOWN.to_owned()),
        (12, "<</FT/Tx/T(address)/Kids[11 0 R]>>".to_owned()),
        (14, picture("1")),
        (15, picture("0")),
        (16, picture("town")),
    ];
    let pdf = body(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", None, &objects, "");
    fill(pdf, &by(signer, Spelling::International, None))
}

type Objects<'a> = &'a [(u32, &'a str)];

fn changed(pdf: &[u8], objects: Objects<'_>) -> Vec<u8> {
    let objects: Vec<_> = objects.iter().map(|(n, object)| (*n, (*object).to_owned())).collect();
    update(pdf, &objects)
}

fn asked(pdf: &[u8], profile: &Profile) -> (Indication, Option<&'static str>, Vec<&'static str>, Vec<String>) {
    let report = verify("f.pdf", pdf.to_vec(), profile);
    let told = report.signatures[0].findings.iter().map(|f| f.code).collect();
    (report.indication, report.code, told, report.coverage.uncovered)
}

#[test]
fn a_form_is_filled_in_where_its_author_allows_it_and_the_report_says_so() {
    let signer = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
    let profile = profile(&signer, None);
    let typed = HOLDER.replace("/V()", "/V(Zhang San)").replace("10 0 R", "30 0 R");
    let drawn = picture("BT (Zhang San) Tj ET");
    let ticked = AGREE.replace("/AS/Off/V/Off", "/AS/Yes/V/Yes");
    let own: [(&str, Objects<'_>, &str); 5] = [
        ("typed", &[(7, &typed), (30, &drawn)], "field holder"),
        ("the picture in its place", &[(7, &HOLDER.replace("/V()", "/V(Li Si)")), (10, &drawn)], "field holder"),
        ("another type", &[(7, &typed.replace("/Helv 9 Tf", "0 g /Helv 9 Tf")), (30, &drawn)], "field holder"),
        ("ticked", &[(8, &ticked), (4, &FORM.replace("/SigFlags", "/NeedAppearances false/SigFlags"))], "field agree"),
        ("below another", &[(11, &TOWN.replace(">>>>", ">>/V(Lu'an)>>"))], "field address.town"),
    ];
    for (name, objects, uncovered) in own {
        for (permission, want) in [
            (2, (TotalPassed, None, vec!["PDF_FORM_FILLED"], vec![uncovered.to_owned()])),
            (3, (TotalPassed, None, vec!["PDF_FORM_FILLED"], vec![uncovered.to_owned()])),
            (
                1,
                (
                    Indeterminate,
                    Some("PDF_CHANGED_AGAINST_DOCMDP"),
                    vec!["PDF_CHANGED_AGAINST_DOCMDP"],
                    vec![uncovered.to_owned()],
                ),
            ),
        ] {
            let pdf = form(CERTIFIED, &mdp(permission), &signer);
            assert_eq!(asked(&pdf, &profile), (TotalPassed, None, vec![], vec![]), "{name}: unchanged");
            assert_eq!(asked(&changed(&pdf, objects), &profile), want, "{name}, P {permission}");
        }
        // Who only signs has not said that others may fill in anything; nor has who is not named by the catalog.
        for (catalog, value) in [(PLAIN, PADES.to_owned()), (PLAIN, mdp(2)), (CERTIFIED, PADES.to_owned())] {
            let (indication, code, ..) = asked(&changed(&form(catalog, &value, &signer), objects), &profile);
            assert_eq!((indication, code), (Indeterminate, Some("PDF_CHANGED_AFTER_SIGNING")), "{name}");
        }
    }
}

#[test]
fn what_calls_itself_filling_in_and_draws_elsewhere_is_a_change() {
    let signer = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
    let profile = profile(&signer, None);
    let typed = HOLDER.replace("/V()", "/V(x)");
    let note = "<</Type/Annot/Subtype/FreeText/Rect[0 0 595 842]/AP<</N 30 0 R>>/Contents(void)>>";
    let rows: &[(&str, Objects<'_>)] = &[
        ("moved", &[(7, &typed.replace("[9 9 99 30]", "[0 0 595 842]"))]),
        ("hidden", &[(7, &typed.replace("/P 3 0 R", "/P 3 0 R/F 2"))]),
        ("renamed", &[(7, &typed.replace("(holder)", "(other)"))]),
        ("of another kind", &[(7, &typed.replace("/FT/Tx", "/FT/Ch"))]),
        ("runs something", &[(7, &typed.replace("/P 3 0 R", "/AA<</F 30 0 R>>/P 3 0 R"))]),
        ("shows what is signed elsewhere", &[(7, &typed.replace("10 0 R", "9 0 R"))]),
        ("a button with another face", &[(8, &AGREE.replace("14 0 R", "30 0 R")), (30, &picture("x"))]),
        ("the face of a button drawn anew", &[(14, &picture("x"))]),
        ("a picture that the page shows too", &[(16, &picture("x"))]),
        ("no picture any more", &[(10, "<</Length 1>>stream\nq\nendstream")]),
        ("the page as well", &[(7, &typed), (9, "<</Length 1>>stream\nS\nendstream")]),
        (
            "all pictures to be drawn anew",
            &[(7, &typed), (4, &FORM.replace("/SigFlags", "/NeedAppearances true/SigFlags"))],
        ),
        ("a field taken away", &[(4, "<</Fields[5 0 R 8 0 R 12 0 R]/SigFlags 3>>")]),
        ("a field added", &[(4, &FORM.replace("12 0 R", "12 0 R 30 0 R")), (30, &HOLDER.replace("holder", "more"))]),
        (
            "a comment over the page",
            &[(3, &PAGE.replace("11 0 R]", "11 0 R 31 0 R]")), (30, &picture("x")), (31, note)],
        ),
    ];
    for (name, objects) in rows {
        for permission in [2, 3] {
            let pdf = changed(&form(CERTIFIED, &mdp(permission), &signer), objects);
            let (indication, code, ..) = asked(&pdf, &profile);
            assert_eq!((indication, code), (Indeterminate, Some("PDF_CHANGED_AFTER_SIGNING")), "{name}");
        }
    }
}

#[test]
fn fields_that_a_signer_locks_stay_as_they_are() {
    let signer = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
    let profile = profile(&signer, None);
    let (holder, town) = (HOLDER.replace("/V()", "/V(x)"), TOWN.replace(">>>>", ">>/V(x)>>"));
    for (lock, holder_locked, town_locked) in [
        ("/Include/Fields[(holder)]", true, false),
        ("/Include/Fields[(address)]", false, true),
        ("/Include/Fields[(address.town)]", false, true),
        ("/Include/Fields[(hold)(address.to)]", false, false),
        ("/Exclude/Fields[(holder)]", false, true),
        ("/All", true, true),
        ("/Other", true, true),
    ] {
        let pdf = form(CERTIFIED, &locking(lock), &signer);
        for (object, is_locked) in [((7, holder.as_str()), holder_locked), ((11, town.as_str()), town_locked)] {
            let (indication, code, ..) = asked(&changed(&pdf, &[object]), &profile);
            let want = match is_locked {
                true => (Indeterminate, Some("PDF_CHANGED_AGAINST_FIELDMDP")),
                false => (TotalPassed, None),
            };
            assert_eq!((indication, code), want, "{lock} {}", object.0);
        }
    }
}

/// The author certifies, somebody fills in and signs with a lock, somebody else goes on.
#[test]
fn each_signer_s_word_counts_for_what_came_after_it() {
    let (author, second) =
        (party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer), party(SignatureAlgorithm::Sm2Sm3, Use::Signer));
    let mut profile = profile(&author, None);
    profile.anchors.signers.push(second.cert.clone());
    let fields = FORM.replace("12 0 R", "12 0 R 40 0 R");
    let value = signature(&locking("/Include/Fields[(holder)]"));
    let field = "<</FT/Sig/Type/Annot/Subtype/Widget/T(2)/Rect[0 0 0 0]/V 41 0 R/P 3 0 R>>";
    let page = PAGE.replace("11 0 R]", "11 0 R 40 0 R]");
    let typed = HOLDER.replace("/V()", "/V(Zhang San)");
    let pdf = form(CERTIFIED, &mdp(2), &author);
    let with_second = changed(&pdf, &[(7, &typed), (3, &page), (4, &fields), (40, field), (41, &value)]);
    let both = fill(with_second, &by(&second, Spelling::National, None));
    // What was filled in before the second signature is covered by it.
    assert_eq!(asked(&both, &profile), (TotalPassed, None, vec!["PDF_FORM_FILLED"], vec![]));
    let town = TOWN.replace(">>>>", ">>/V(x)>>");
    let uncovered = vec!["field address.town".to_owned()];
    let went_on = changed(&both, &[(11, &town)]);
    assert_eq!(asked(&went_on, &profile), (TotalPassed, None, vec!["PDF_FORM_FILLED"], uncovered));
    let other = changed(&both, &[(7, &typed.replace("Zhang", "Wang"))]);
    assert_eq!(asked(&other, &profile).1, Some("PDF_CHANGED_AGAINST_FIELDMDP"));
}

#[test]
fn stamps_are_no_change_even_where_nothing_may_be_changed() {
    let (signer, tsa) =
        (party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer), party(SignatureAlgorithm::Sm2Sm3, Use::TimeStamping));
    let profile = profile(&signer, Some(&tsa));
    let fields = FORM.replace("12 0 R", "12 0 R 40 0 R");
    let field = "<</FT/Sig/Type/Annot/Subtype/Widget/T(2)/Rect[0 0 0 0]/V 41 0 R/P 3 0 R>>";
    let page = PAGE.replace("11 0 R]", "11 0 R 40 0 R]");
    let stamp = signature("").replace("/Type/Sig", "/Type/DocTimeStamp/SubFilter/ETSI.RFC3161");
    let store = CERTIFIED.replace("/Perms", "/DSS<</Type/DSS>>/Perms");
    for (permission, value, with, want) in [
        (1, stamp.as_str(), &tsa, (TotalPassed, None)),
        (2, &stamp, &tsa, (TotalPassed, None)),
        (1, &signature(PADES), &signer, (Indeterminate, Some("PDF_CHANGED_AGAINST_DOCMDP"))),
        (2, &signature(PADES), &signer, (TotalPassed, None)),
    ] {
        let pdf = form(CERTIFIED, &mdp(permission), &signer);
        let place = changed(&pdf, &[(1, &store), (3, &page), (4, &fields), (40, field), (41, value)]);
        let sign = by(&signer, Spelling::International, None);
        let pdf = match std::ptr::eq(with, &tsa) {
            true => fill(place, &|octets| token(&tsa, octets)),
            false => fill(place, &sign),
        };
        let (indication, code, told, _) = asked(&pdf, &profile);
        assert_eq!((indication, code), want, "P {permission}: {told:?}");
        // An empty field beside it is no stamp.
        let more = fields.replace("40 0 R", "40 0 R 42 0 R");
        let empty = "<</FT/Sig/Type/Annot/Subtype/Widget/T(3)/Rect[0 0 0 0]/P 3 0 R>>";
        let beside = changed(&pdf, &[(4, &more), (42, empty)]);
        let report = verify("f.pdf", beside, &profile);
        assert_eq!(report.passed(), permission == 2, "P {permission}: {}", report.to_text());
    }
}

/// A picture of a later signature that hides the page is a change, though its signer answers for it.
#[test]
fn a_later_signature_does_not_hide_the_page() {
    let signer = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
    let profile = profile(&signer, None);
    let fields = FORM.replace("12 0 R", "12 0 R 40 0 R");
    let page = PAGE.replace("11 0 R]", "11 0 R 40 0 R]");
    let changed_after = (Indeterminate, Some("PDF_CHANGED_AFTER_SIGNING"));
    for (rect, want) in [
        ("0 0 200 80", (TotalPassed, None)),
        ("100.5 200.25 300.5 280", (TotalPassed, None)),
        ("300 280 100 200", (TotalPassed, None)), // any two corners
        ("0 0 353 353", (TotalPassed, None)),
        ("0 0 354 354", changed_after),
        ("0 0 595 842", changed_after),
        ("595 842 0 0", changed_after),
        ("0 0 200", changed_after),
        ("0 0 /a 80", changed_after),
    ] {
        let field = format!("<</FT/Sig/Type/Annot/Subtype/Widget/T(2)/Rect[{rect}]/AP<</N 42 0 R>>/V 41 0 R/P 3 0 R>>");
        let value = signature(PADES);
        let pdf = form(PLAIN, PADES, &signer);
        let objects = [(3, &*page), (4, &fields), (40, &field), (41, &value), (42, &picture("x"))];
        let pdf = fill(changed(&pdf, &objects), &by(&signer, Spelling::International, None));
        let (indication, code, told, _) = asked(&pdf, &profile);
        assert_eq!((indication, code), want, "{rect}: {told:?}");
    }
}

/// Tables beside streams (§7.5.8.4): readers of old see a part of the objects, all others all of them; both are signed.
#[test]
fn hybrid_tables_and_what_is_hidden_in_them() {
    let signer = party(SignatureAlgorithm::EcdsaP256Sha256, Use::Signer);
    let profile = profile(&signer, None);
    let hybrid = |pdf: &[u8], number: u32, object: &str| {
        let mut out = pdf.to_vec();
        let place = out.len();
        out.extend(format!("{number} 0 obj\n{object}\nendobj\n").into_bytes());
        let stream = out.len();
        let row = [&[1u8][..], &(place as u32).to_be_bytes(), &[0]].concat();
        out.extend(
            format!("60 0 obj\n<</Type/XRef/Size 99/W[1 4 1]/Index[{number} 1]/Length 6>>stream\n").into_bytes(),
        );
        out.extend([&row[..], b"\nendstream\nendobj\n"].concat());
        let table = out.len();
        let head =
            format!("xref\n{number} 1\n0000000000 65535 f\r\ntrailer\n<</Size 99/Root 1 0 R/Prev {}", startxref(pdf));
        out.extend(format!("{head}/XRefStm {stream}>>\nstartxref\n{table}\n%%EOF\n").into_bytes());
        out
    };
    let unsigned = form(PLAIN, PADES, &signer);
    // The page's picture is known to readers of streams only, and the field's value is signed over both.
    let field = "<</FT/Sig/Type/Annot/Subtype/Widget/T(2)/Rect[0 0 0 0]/V 41 0 R/P 3 0 R>>";
    let base = hybrid(&unsigned, 50, &picture("more"));
    let fields = FORM.replace("12 0 R", "12 0 R 40 0 R");
    let place = changed(&base, &[(4, &fields), (40, field), (41, &signature(PADES))]);
    let signed = fill(place, &by(&signer, Spelling::International, None));
    assert_eq!(verify("f.pdf", signed.clone(), &profile).code, None);
    // The same way to change what was signed.
    for (number, object) in [(9, "<</Length 1>>stream\nS\nendstream".to_owned()), (3, PAGE.replace("842", "800"))] {
        let report = verify("f.pdf", hybrid(&signed, number, &object), &profile);
        assert_eq!(report.code, Some("PDF_CHANGED_AFTER_SIGNING"), "{}", report.to_text());
    }
}
