use std::io::Write as _;

use super::*;

fn deflate(octets: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

/// Catalog, form and field in an object stream, the signature as it must be, the table in a stream with a predictor.
fn with_streams(packed_signature: bool) -> Vec<u8> {
    let value = "<</Type/Sig/SubFilter/ETSI.CAdES.detached/Contents<3000>/ByteRange[0 0 0 0]>>";
    let mut packed =
        vec![(1, "<</Type/Catalog/AcroForm 2 0 R>>"), (2, "<</Fields[3 0 R]>>"), (3, "<</FT/Sig/T(a)/V 4 0 R>>")];
    if packed_signature {
        packed.push((4, value));
    }
    packed.push((7, "12")); // a number, with nothing after it
    let (mut index, mut body) = (String::new(), String::new());
    for (number, object) in &packed {
        index += &format!("{number} {} ", body.len());
        body += object;
    }
    let stream = deflate(format!("{index}{body}").as_bytes());
    let mut out = b"%PDF-1.7\n".to_vec();
    let head = |number: u32, dictionary: &str, octets: &[u8]| {
        let head = format!("{number} 0 obj\n<<{dictionary}/Length {}>>stream\r\n", octets.len());
        [head.as_bytes(), octets, b"\nendstream\nendobj\n"].concat()
    };
    let stream_at = out.len();
    let dictionary = format!("/Type/ObjStm/N {}/First {}/Filter/FlateDecode", packed.len(), index.len());
    out.extend(head(5, &dictionary, &stream));
    let value_at = out.len();
    if !packed_signature {
        let text = format!("4 0 obj\n{value}\nendobj\n");
        let from = out.len() + text.find("<3000>").unwrap();
        let to = from + 6;
        let text = text.replace("[0 0 0 0]", &format!("[0 {from} {to} 9]"));
        out.extend(text.into_bytes());
    }
    let table_at = out.len();
    let mut rows = vec![[0u8, 0, 0, 0]];
    for place in 0..3 {
        rows.push([2, 0, 5, place]);
    }
    let at = |place: usize| [1, (place >> 8) as u8, place as u8, 0];
    rows.push(if packed_signature { [2, 0, 5, 3] } else { at(value_at) });
    rows.extend([at(stream_at), at(table_at), [2, 0, 5, packed.len() as u8 - 1]]);
    let mut above = [0u8; 4];
    let mut predicted = Vec::new();
    for row in rows {
        predicted.push(2);
        predicted.extend(row.iter().zip(above).map(|(own, up)| own.wrapping_sub(up)));
        above = row;
    }
    let dictionary = "/Type/XRef/Size 8/Root 1 0 R/W[1 2 1]/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 4>>";
    out.extend(head(6, dictionary, &deflate(&predicted)));
    out.extend(format!("startxref\n{table_at}\n%%EOF\n").into_bytes());
    out
}

#[test]
fn tables_and_objects_in_streams() {
    let pdf = with_streams(false);
    let document = Document::open(pdf.as_slice()).unwrap();
    let found = document.signatures().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(document.object(7, u64::MAX), Ok((super::lex::Object::Integer(12), false)));
    assert_eq!((found[0].field.as_str(), found[0].contents.as_slice()), ("a", &[0x30, 0][..]));
    assert_eq!(
        (&pdf[found[0].first as usize..found[0].second as usize], found[0].kind),
        (&b"<3000>"[..], Kind::Signature)
    );
    // However often streams are asked for again, no more is unpacked of all of them.
    let document = Document::open(pdf.as_slice()).unwrap();
    document.to_unpack.set(20);
    assert!(matches!(document.signatures().unwrap_err(), PdfError::TooBig(_)));
    let packed = with_streams(true);
    let refused = Document::open(packed.as_slice()).unwrap().signatures();
    assert_eq!(refused.unwrap_err(), PdfError::Signature("its dictionary is packed"));
}

#[test]
fn files_that_readers_would_mend_are_refused() {
    let pdf = with_streams(false);
    let replaced = |from: &[u8], to: &[u8]| {
        let at = pdf.windows(from.len()).rposition(|w| w == from).unwrap();
        [&pdf[..at], to, &pdf[at + from.len()..]].concat()
    };
    for (name, bent) in [
        ("octets before", [b"\n", &pdf[..]].concat()),
        ("no startxref", replaced(b"startxref", b"startxxxx")),
        ("a place beyond", replaced(b"startxref\n", b"startxref\n9")),
        ("no catalog", replaced(b"/Root 1 0 R", b"/Root 9 0 R")),
        ("another object there", replaced(b"4 0 obj", b"7 0 obj")),
        ("no object there", replaced(b"4 0 obj", b"4 0 xbj")),
        ("an object stream that is none", replaced(b"/ObjStm/N 4", b"/ObjSxm/N 4")),
        ("cut off", pdf[..pdf.len() / 2].to_vec()),
    ] {
        let read = Document::open(bent.as_slice()).and_then(|document| document.signatures());
        assert!(read.is_err(), "{name}");
    }
}
