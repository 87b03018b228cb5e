//! PDF that holds as much of everything as is read, and more.

use std::io::Write;

use tongban::formats::pdf::{Document, Store};
use tongban::trust::certificate::Certificate;
use tongban::trust::crl::Crl;

use super::is_bounded;

/// A file that is written object by object.
struct Pdf {
    octets: Vec<u8>,
    /// Number and place of the objects of this revision; free ones have none.
    objects: Vec<(usize, Option<usize>)>,
    previous: Option<usize>,
    /// Where the numbers of a signature's range stand, and those known so far.
    ranges: Vec<(usize, usize, usize)>,
}

impl Pdf {
    fn new() -> Self {
        Self { octets: b"%PDF-1.7\n".to_vec(), objects: Vec::new(), previous: None, ranges: Vec::new() }
    }

    fn object(&mut self, number: usize, body: impl AsRef<[u8]>) {
        self.objects.push((number, Some(self.octets.len())));
        writeln!(self.octets, "{number} 0 obj").expect("memory");
        self.octets.extend(body.as_ref());
        self.octets.extend(b"\nendobj\n");
    }

    fn stream(&mut self, number: usize, dictionary: &str, octets: &[u8]) {
        let head = format!("<<{dictionary}/Length {}>>stream\n", octets.len());
        self.object(number, [head.as_bytes(), octets, b"\nendstream"].concat());
    }

    /// Objects that are listed as free.
    fn free(&mut self, numbers: std::ops::Range<usize>) {
        self.objects.extend(numbers.map(|number| (number, None)));
    }

    /// A signature over all but its own value, to the end of this revision.
    fn signature(&mut self, number: usize, digits: &str) {
        self.objects.push((number, Some(self.octets.len())));
        write!(self.octets, "{number} 0 obj\n<</Type/Sig/SubFilter/ETSI.CAdES.detached/ByteRange[").expect("memory");
        let range = self.octets.len();
        write!(self.octets, "{}]/Contents", " ".repeat(44)).expect("memory");
        let from = self.octets.len();
        write!(self.octets, "<{digits}>").expect("memory");
        self.ranges.push((range, from, self.octets.len()));
        self.octets.extend(b">>\nendobj\n");
    }

    /// Ends a revision with its table, `more` in the trailer.
    fn end(&mut self, more: &str) {
        self.objects.sort_unstable();
        let start = self.octets.len();
        self.octets.extend(b"xref\n");
        let mut rest = &self.objects[..];
        while let Some((first, _)) = rest.first() {
            let run = rest.iter().enumerate().take_while(|(n, (number, _))| *number == first + n).count();
            writeln!(self.octets, "{first} {run}").expect("memory");
            for (_, place) in &rest[..run] {
                let kind = if place.is_some() { 'n' } else { 'f' };
                write!(self.octets, "{:010} 00000 {kind}\r\n", place.unwrap_or(0)).expect("memory");
            }
            rest = &rest[run..];
        }
        let previous = self.previous.map(|at| format!("/Prev {at}")).unwrap_or_default();
        write!(self.octets, "trailer\n<</Root 1 0 R{previous}{more}>>\nstartxref\n{start}\n%%EOF\n").expect("memory");
        self.previous = Some(start);
        self.objects.clear();
        for (range, from, to) in self.ranges.drain(..) {
            let numbers = format!("0 {from} {to} {}", self.octets.len() - to);
            self.octets[range..range + numbers.len()].copy_from_slice(numbers.as_bytes());
        }
    }
}

const FIELD: &str = "<</FT/Sig/T(a)/V 4 0 R>>";

/// Twice the same catalog, with a signature in between: both are held when they are compared.
fn twice(catalog: &str, more: &dyn Fn(&mut Pdf)) -> Vec<u8> {
    let mut pdf = Pdf::new();
    pdf.object(1, catalog);
    pdf.object(2, "<</Fields[3 0 R]>>");
    pdf.object(3, FIELD);
    pdf.signature(4, "3000");
    more(&mut pdf);
    pdf.end("");
    pdf.object(1, catalog);
    pdf.object(9, "<<>>");
    pdf.end("");
    pdf.octets
}

fn many(n: usize, one: &dyn Fn(usize) -> String) -> String {
    (0..n).map(one).collect()
}

fn deflated(octets: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(octets).expect("memory");
    encoder.finish().expect("memory")
}

/// A catalog with a form, and this besides.
fn catalog(more: &str) -> String {
    format!("<</Type/Catalog/AcroForm 2 0 R{more}>>")
}

#[test]
fn what_is_read_of_pdf_is_bounded() {
    const READ: &str = "SIGNED_VALUE_DER";
    const TOO_BIG: &str = "PDF_TOO_BIG";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("f.pdf");
    let nothing = |_: &mut Pdf| {};
    let of = |more: &str| twice(&catalog(more), &nothing);

    // As many objects as there may be, all of them looked at.
    let objects = |signed: usize, later: usize| {
        let mut pdf = Pdf::new();
        pdf.object(1, catalog(""));
        pdf.object(2, "<</Fields[3 0 R]>>");
        pdf.object(3, FIELD);
        pdf.signature(4, "3000");
        pdf.free(10..signed);
        pdf.end("");
        pdf.free(signed..signed + later);
        pdf.end("");
        pdf.octets
    };
    let keys = |n| many(n, &|n| format!("/K{n:06} {n}"));
    let lists = |n| format!("/L[{}]", "<</A 0>>".repeat(n));
    let packed = || {
        let mut pdf = Pdf::new();
        let count = 190_000;
        let index = many(count, &|n| format!("{} {} ", 10 + n, n * 2));
        let body = "0 ".repeat(count);
        let stream = deflated(format!("{index}{body}").as_bytes());
        let dictionary = format!("/Type/ObjStm/N {count}/First {}/Filter/FlateDecode", index.len());
        pdf.object(2, "<</Fields[3 0 R]>>");
        pdf.object(3, FIELD);
        pdf.signature(4, "3000");
        pdf.object(1, catalog(""));
        pdf.stream(5, &dictionary, &stream);
        let start = pdf.octets.len();
        let mut rows = Vec::new();
        let placed: Vec<_> = pdf.objects.clone();
        for number in 0..count + 10 {
            let place = placed.iter().find(|(of, _)| *of == number).and_then(|(_, place)| *place);
            match place {
                Some(at) => rows.extend([&[1][..], &(at as u32).to_be_bytes(), &[0; 4]].concat()),
                None if number >= 10 => {
                    rows.extend([&[2][..], &5u32.to_be_bytes(), &(number as u32 - 10).to_be_bytes()].concat());
                }
                None => rows.extend([0; 9]),
            }
        }
        let dictionary = format!("/Type/XRef/Size {}/Root 1 0 R/W[1 4 4]/Filter/FlateDecode", count + 10);
        pdf.stream(6, &dictionary, &deflated(&rows));
        write!(pdf.octets, "startxref\n{start}\n%%EOF\n").expect("memory");
        for (range, from, to) in pdf.ranges.drain(..) {
            let numbers = format!("0 {from} {to} {}", pdf.octets.len() - to);
            pdf.octets[range..range + numbers.len()].copy_from_slice(numbers.as_bytes());
        }
        pdf.previous = Some(start);
        pdf.objects.clear();
        pdf.object(1, catalog("/X 1"));
        // The form after a table in a stream is that of a table too: readers of this kind do not mind.
        pdf.end("");
        pdf.octets
    };
    let signatures = |n: usize, digits: usize| {
        let mut pdf = Pdf::new();
        pdf.object(1, catalog(""));
        pdf.object(2, format!("<</Fields[{}]>>", many(n, &|n| format!("{} 0 R ", 10 + 2 * n))));
        for field in 0..n {
            pdf.object(10 + 2 * field, format!("<</FT/Sig/T(f{field})/V {} 0 R>>", 11 + 2 * field));
            pdf.signature(11 + 2 * field, &"41".repeat(digits / 2));
        }
        pdf.end("");
        pdf.octets
    };
    let fields = |names: usize, n: usize| {
        let mut pdf = Pdf::new();
        pdf.object(1, catalog(""));
        pdf.object(2, "<</Fields[3 0 R 5 0 R]>>");
        pdf.object(3, FIELD);
        pdf.signature(4, "3000");
        let kids = many(n, &|n| format!("{} 0 R ", 10 + n));
        pdf.object(5, format!("<</FT/Tx/T({})/Kids[{kids}]>>", "n".repeat(names)));
        for kid in 0..n {
            pdf.object(10 + kid, "<<>>");
        }
        pdf.end("");
        pdf.object(1, catalog(""));
        pdf.end("");
        pdf.octets
    };
    let direct = |depth: usize| {
        let mut pdf = Pdf::new();
        pdf.object(1, catalog(""));
        pdf.object(2, "<</Fields[10 0 R]>>");
        for level in 0..depth {
            let kids = "<</A 0>>".repeat(3_000);
            pdf.object(10 + level, format!("<</Kids[{} 0 R {kids}]>>", 11 + level));
        }
        pdf.end("");
        pdf.octets
    };
    let trailers = |n: usize| {
        let mut pdf = Pdf::new();
        pdf.object(1, catalog(""));
        pdf.object(2, "<</Fields[3 0 R]>>");
        pdf.object(3, FIELD);
        pdf.signature(4, "3000");
        pdf.end("");
        for _ in 0..n {
            pdf.object(9, "<<>>");
            pdf.end(&lists(3_800));
        }
        pdf.octets
    };
    // A security store: lists of revocation with as many entries as fit, or a list of streams without end.
    let revoked = deflated(&super::der::crl(8_000_000));
    let store = |more: &dyn Fn(&mut Pdf)| twice(&catalog("/DSS 20 0 R"), more);
    let with_list = |pdf: &mut Pdf| {
        pdf.object(20, "<</CRLs[21 0 R]>>");
        pdf.stream(21, "/Filter/FlateDecode", &revoked);
    };
    let certificate = super::der::certificate_with_names(1);
    let with_long_list = |pdf: &mut Pdf| {
        pdf.object(20, format!("<</Certs[{}]>>", "22 0 R ".repeat(74_000)));
        pdf.stream(22, "", &certificate);
    };
    let certificates: Vec<u8> = super::der::certificate_with_names(1_000);
    let with_certificates = |pdf: &mut Pdf| {
        pdf.object(20, format!("<</Certs[{}]>>", many(250, &|n| format!("{} 0 R ", 100 + n))));
        (0..250).for_each(|n| pdf.stream(100 + n, "", &certificates));
    };
    let deep =
        |n: usize| format!("/D{}{}", "[".repeat(30), "]".repeat(30)).replace("[]", &format!("[{}]", "[]".repeat(n)));
    let big_value: String = super::der::hex(&super::der::signed_with_lists(3_900_000));
    let one_big = {
        let mut pdf = Pdf::new();
        pdf.object(1, catalog(""));
        pdf.object(2, "<</Fields[3 0 R]>>");
        pdf.object(3, FIELD);
        pdf.signature(4, &big_value);
        pdf.end("");
        pdf.octets
    };
    // What is read of a store is read to its end: certificates and lists.
    for (name, octets, read) in [
        ("a list of revocation", store(&with_list), (0, 1)),
        ("a long list of streams", store(&with_long_list), (1, 0)),
        ("certificates of many names", store(&with_certificates), (250, 0)),
    ] {
        let Store { certificates, crls, left_out, .. } = Document::open(&octets).expect(name).security_store();
        let certificates = certificates.iter().filter(|der| Certificate::parse(der).is_ok()).count();
        let crls = crls.into_iter().filter_map(|der| Crl::of(der).ok()).count();
        assert_eq!((certificates, crls, left_out), (read.0, read.1, 0), "{name}");
    }
    for (name, octets, code) in [
        ("objects", objects(450_000, 49_000), READ),
        ("more objects than may be", objects(450_000, 150_000), TOO_BIG),
        ("keys of the catalog", of(&keys(14_000)), READ),
        ("more keys than may be", of(&keys(100_000)), TOO_BIG),
        ("dictionaries in a list", of(&lists(3_800)), READ),
        ("more dictionaries than may be", of(&lists(100_000)), TOO_BIG),
        ("numbers in a list", of(&format!("/N[{}]", "1 ".repeat(74_000))), READ),
        ("lists in lists", of(&deep(74_000)), READ),
        ("one text", of(&format!("/T({})", "t".repeat(8_000_000))), READ),
        ("texts", of(&many(60, &|n| format!("/T{n}({})", "t".repeat(60_000)))), READ),
        ("objects in a stream", packed(), READ),
        ("signatures", signatures(60, 190_000), "PDF_CONTENTS_TRAILING"),
        ("larger signatures", signatures(60, 400_000), TOO_BIG),
        ("many signatures", signatures(10_000, 64), "SIG_TOO_MANY"),
        ("fields", fields(80, 49_000), READ),
        ("names of fields", fields(60_000, 68), READ),
        ("more names than may be", fields(60_000, 1_000), TOO_BIG),
        ("more fields than may be", fields(8, 60_000), TOO_BIG),
        ("fields that are no objects", direct(30), TOO_BIG),
        ("trailers", trailers(900), READ),
        ("a list of revocation", store(&with_list), READ),
        ("a long list of streams", store(&with_long_list), READ),
        ("certificates of many names", store(&with_certificates), READ),
        ("one signature with lists of revocation", one_big, "CMS_DIGEST_MISMATCH"),
    ] {
        std::fs::write(&file, octets).expect("written");
        is_bounded(name, &file, None, code);
    }
}
