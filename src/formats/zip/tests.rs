use std::io::Read;

use proptest::prelude::*;

use super::*;

fn archive(files: &[(&str, Packing, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), DosTime::EPOCH);
    for (name, packing, bytes) in files {
        writer.add(name, *packing, bytes).unwrap();
    }
    writer.finish().unwrap()
}

fn code_of(bytes: &[u8]) -> &'static str {
    match Archive::open(bytes, &Limits::default()).and_then(|a| a.check_all()) {
        Ok(()) => "ok",
        Err(e) => e.code(),
    }
}

/// Replaces every occurrence: headers and directory alike.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut out = bytes.to_vec();
    for at in 0..=out.len() - from.len() {
        if &out[at..at + from.len()] == from {
            out[at..at + from.len()].copy_from_slice(to);
        }
    }
    out
}

#[test]
fn written_archives_are_read_back_and_are_the_same_twice() {
    let big = vec![7u8; 100_000];
    let files: &[(&str, Packing, &[u8])] = &[
        ("mimetype", Packing::Stored, b"application/x"),
        ("文/办.xml", Packing::Deflated, &big),
        ("empty", Packing::Deflated, b""),
        ("dir/", Packing::Stored, b""),
    ];
    let bytes = archive(files);
    assert_eq!(bytes, archive(files));
    let zip = Archive::open(bytes.as_slice(), &Limits::default()).unwrap();
    assert!(zip.findings().is_empty());
    assert_eq!((zip.entries()[0].header_at, zip.entries()[0].stored, zip.entries()[0].has_extra), (0, true, false));
    for (name, _, want) in files {
        assert_eq!(&zip.read(name, 1 << 20).unwrap(), want, "{name}");
    }
    assert_eq!(zip.read("no", 1).map_err(|e| e.code()), Err("ZIP_MISSING_ENTRY"));
    assert_eq!(zip.read("mimetype", 1).map_err(|e| e.code()), Err("ZIP_TOO_BIG"));
}

#[test]
fn streamed_entries_have_descriptors_and_come_back() {
    let mut writer = Writer::new(Vec::new(), DosTime::EPOCH);
    let text = b"one two three ".repeat(5_000);
    assert_eq!(writer.add_from("a", Packing::Deflated, &mut text.as_slice()).unwrap(), text.len() as u64);
    writer.add_from("b", Packing::Stored, &mut text.as_slice()).unwrap();
    let bytes = writer.finish().unwrap();
    let zip = Archive::open(bytes.as_slice(), &Limits::default()).unwrap();
    for name in ["a", "b"] {
        let mut got = Vec::new();
        zip.reader(zip.find(name).unwrap()).read_to_end(&mut got).unwrap();
        assert_eq!(got, text);
    }
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &bytes).unwrap();
    assert_eq!(Archive::open(file, &Limits::default()).unwrap().read("a", 1 << 20).unwrap(), text);
}

/// Octets that do not lie in memory, as far as a reader can tell.
struct Elsewhere<'a>(&'a [u8]);

impl Source for Elsewhere<'_> {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buf)
    }
}

#[test]
fn where_the_octets_lie_makes_no_difference() {
    fn all<S: Source>(source: S, whole: bool) -> Result<Vec<Vec<u8>>, String> {
        let zip = Archive::open(source, &Limits::default()).map_err(|e| e.to_string())?;
        let one = |entry: &Entry| {
            let mut out = Vec::new();
            match whole {
                true => zip.read(&entry.name, u64::MAX).map_err(|e| e.to_string()),
                false => zip.reader(entry).read_to_end(&mut out).map_err(|e| e.to_string()).map(|_| out),
            }
        };
        let first: Vec<_> = zip.files().map(one).collect::<Result<_, _>>()?;
        let again: Vec<_> = zip.files().map(one).collect::<Result<_, _>>()?;
        assert_eq!(first, again, "small ones were kept");
        Ok(first)
    }
    let (small, noise) =
        (b"one two three ".repeat(9), (0..70_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect::<Vec<_>>());
    let files: [(&str, Packing, &[u8]); 5] = [
        ("small", Packing::Stored, &small),
        ("packed", Packing::Deflated, &small),
        ("big", Packing::Stored, &noise),
        ("big packed", Packing::Deflated, &noise),
        ("empty", Packing::Stored, b""),
    ];
    let good = archive(&files);
    assert_eq!(all(&good[..], true).unwrap(), files.map(|(_, _, octets)| octets.to_vec()));
    for at in (0..good.len()).filter(|at| *at < 300 || at % 997 == 0 || good.len() - at < 400) {
        let mut bent = good.clone();
        bent[at] ^= 4;
        let want = all(&bent[..], false);
        for (got, how) in [
            (all(&bent[..], true), "in memory, whole"),
            (all(Elsewhere(&bent), false), "elsewhere, streamed"),
            (all(Elsewhere(&bent), true), "elsewhere, whole"),
        ] {
            assert_eq!(got, want, "octet {at}, {how}");
        }
    }
}

/// What is unpacked at once and what is streamed is the same, and so is what is refused. (Of two things that are wrong each may meet
/// another one first.)
#[test]
fn small_entries_are_unpacked_as_large_ones_are() {
    let text = "<ofd:Reference FileRef=\"/Doc_0/Document.xml\"/>\n".repeat(40);
    let noise: Vec<u8> = (0..600u32).map(|n| (n * n % 251) as u8).collect();
    for content in [text.as_bytes(), &noise, b"", b"x"] {
        let bytes = archive(&[("a", Packing::Deflated, content)]);
        let entry = Archive::open(bytes.as_slice(), &Limits::default()).unwrap().entries()[0].clone();
        let (from, to) = (entry.data_at as usize, (entry.data_at + entry.packed) as usize);
        let (mut damaged, mut inflate, mut room) = (0, Decompress::new(false), Vec::new());
        let mut ask = |bytes: &[u8], entry: &Entry| {
            assert!(entry::is_small(entry));
            let at_once = entry::at_once(&bytes, entry, &mut inflate, &mut room).map_err(|e| e.code());
            let at_once = at_once.map(|()| room.clone());
            let mut streamed = Vec::new();
            let all = EntryReader::new(&bytes, entry).each(&mut |piece| streamed.extend_from_slice(piece));
            let streamed = all.map(|()| streamed).map_err(|e| ZipError::from_io(e).code());
            damaged += u32::from(at_once.is_err());
            assert_eq!(at_once, streamed);
            at_once
        };
        assert_eq!(ask(&bytes, &entry).as_deref(), Ok(content));
        for at in from..to {
            for bit in 0..8 {
                let mut bent = bytes.clone();
                bent[at] ^= 1 << bit;
                let _ = ask(&bent, &entry);
            }
        }
        for (size, packed) in [(1, 0), (-1, 0), (0, 1), (0, -1), (3, 2), (-9, 0)] {
            let size = entry.size.checked_add_signed(size).unwrap_or_default();
            let packed = entry.packed.checked_add_signed(packed).unwrap_or_default();
            let _ = ask(&bytes, &Entry { size, packed, ..entry.clone() });
        }
        assert!(damaged > 8, "{damaged}");
    }
}

#[test]
fn what_two_readers_could_understand_differently_is_refused() {
    let good = archive(&[("aaaa", Packing::Stored, b"1234"), ("bbbb", Packing::Deflated, b"5678")]);
    let local = |from: &[u8], to: &[u8]| {
        let mut out = good.clone(); // first occurrence only: the local header
        let at = out.windows(from.len()).position(|w| w == from).unwrap();
        out[at..at + to.len()].copy_from_slice(to);
        out
    };
    let central_at = good.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let central = |offset: usize, to: &[u8]| {
        let mut out = good.clone();
        out[central_at + offset..central_at + offset + to.len()].copy_from_slice(to);
        out
    };
    let (hidden, commented) = ([&good[..38], good.as_slice()].concat(), {
        let mut out = good.clone();
        let at = out.len() - 2;
        out[at] = 22; // the comment is another end record
        out.extend(&good[good.len() - 22..]);
        out
    });
    // Octets before the second record; its place and that of the directory move.
    let gap = |octets: &[u8]| {
        let second = good.windows(4).skip(1).position(|w| w == b"PK\x03\x04").unwrap() + 1;
        let mut out = [&good[..second], octets, &good[second..]].concat();
        let (directory, end) = (central_at + octets.len(), out.len() - 22);
        let of_second = directory + out[directory + 4..].windows(4).position(|w| w == b"PK\x01\x02").unwrap() + 4;
        out[of_second + 42..of_second + 46].copy_from_slice(&((second + octets.len()) as u32).to_le_bytes());
        out[end + 16..end + 20].copy_from_slice(&(directory as u32).to_le_bytes());
        out
    };
    let prefixed = [b"vendor", good.as_slice()].concat();
    let trailed = [good.as_slice(), b"vendor"].concat();
    for (what, bytes, want) in [
        ("as written", good.clone(), "ok"),
        ("octets before", prefixed, "ok"),
        ("octets after", trailed, "ok"),
        ("same name", replace(&good, b"bbbb", b"aaaa"), "ZIP_DUPLICATE_ENTRY"),
        ("same name but for case", replace(&good, b"bbbb", b"aAaa"), "ZIP_DUPLICATE_ENTRY"),
        ("two files of one folder", replace(&replace(&good, b"aaaa", b"bb/a"), b"bbbb", b"bb/b"), "ok"),
        ("climbs out", replace(&good, b"bbbb", b"a/.."), "ZIP_PATH_TRAVERSAL"),
        ("backslash", replace(&good, b"bbbb", b"b\\bb"), "ZIP_BAD_NAME"),
        ("absolute", replace(&good, b"bbbb", b"/bbb"), "ZIP_BAD_NAME"),
        ("NUL", replace(&good, b"bbbb", b"bb\0b"), "ZIP_BAD_NAME"),
        ("drive", replace(&good, b"bbbb", b"C:bb"), "ZIP_BAD_NAME"),
        ("other name in local header", local(b"aaaa", b"cccc"), "ZIP_LOCAL_NAME_MISMATCH"),
        (
            "other method in local header",
            local(b"PK\x03\x04\x14\0\0\x08\0\0", b"PK\x03\x04\x14\0\0\x08\x08\0"),
            "ZIP_LOCAL_MISMATCH",
        ),
        ("encrypted", central(8, &[1, 8]), "ZIP_ENCRYPTED"),
        ("a link", central(38, &[0, 0, 0xff, 0xa1]), "ZIP_SYMLINK"),
        ("a device", central(38, &[0, 0, 0xff, 0x61]), "ZIP_SYMLINK"),
        ("method 12", central(10, &[12, 0]), "ZIP_METHOD"),
        ("CRC", central(16, &[0; 4]), "ZIP_LOCAL_MISMATCH"),
        ("an unlisted record in front", hidden, "ZIP_HIDDEN_ENTRY"),
        ("an unlisted record in octets before", [b"vendor", &good[..38], &good].concat(), "ZIP_HIDDEN_ENTRY"),
        ("another archive before, and something before that", [b"v", &good[..], &good].concat(), "ZIP_HIDDEN_ENTRY"),
        ("an unlisted record far in", [&vec![0; 65_534], &good[..38], &good].concat(), "ZIP_HIDDEN_ENTRY"),
        ("many octets before", [&vec![0; 200_000], &good[..]].concat(), "ok"),
        ("an unlisted record after it all", [&good[..], b"vendor", &good[..38]].concat(), "ZIP_HIDDEN_ENTRY"),
        ("an unlisted record between two", gap(&[b"vendor", &good[..38]].concat()), "ZIP_HIDDEN_ENTRY"),
        ("octets between two", gap(b"vendor"), "ok"),
        ("an end record in the comment", commented, "ZIP_AMBIGUOUS"),
        ("the directory looks past the first record", central(42, &[0xf0, 0, 0, 0]), "ZIP_HIDDEN_ENTRY"),
        ("data changed", local(b"1234", b"1235"), "ZIP_DATA"),
        ("cut off", good[..good.len() - 30].to_vec(), "ZIP_NO_EOCD"),
        ("nothing", Vec::new(), "ZIP_NO_EOCD"),
    ] {
        assert_eq!(code_of(&bytes), want, "{what}");
    }
    let mut shared = good.clone(); // both directory records point to one local header
    let second_at = good.len() - 22 - 50;
    shared[second_at + 42..second_at + 46].copy_from_slice(&[0; 4]);
    assert_eq!(code_of(&shared), "ZIP_OVERLAP");
    let folder = archive(&[("aa", Packing::Stored, b""), ("aa/b", Packing::Stored, b"")]);
    assert_eq!(code_of(&folder), "ZIP_BAD_NAME", "a file that is a folder too");
}

/// Whether an archive is as a careful maker writes it, to the last bit.
fn is_exact(bytes: &[u8]) -> bool {
    let Ok(zip) = Archive::open(bytes, &Limits::default()) else { return false };
    zip.findings().is_empty() && zip.check_all().is_ok() && matches!(zip.loose_end(), Ok(None))
}

#[test]
fn no_octet_is_another_one_unnoticed() {
    let mut writer = Writer::new(Vec::new(), DosTime::day_of(crate::terms::UnixMillis(1_790_000_000_000)));
    writer.add("mimetype", Packing::Stored, b"application/x").unwrap();
    writer.add("文/a.xml", Packing::Deflated, b"<a>one two three, one two three</a>").unwrap();
    writer.add("dir/", Packing::Stored, b"").unwrap();
    writer.add_from("b", Packing::Deflated, &mut &b"streamed, with a descriptor"[..]).unwrap();
    let bytes = writer.finish().unwrap();
    assert!(is_exact(&bytes));
    let mut loose = 0;
    for at in 0..bytes.len() {
        for change in 1..=u8::MAX {
            let mut bent = bytes.clone();
            bent[at] ^= change;
            assert!(!is_exact(&bent), "octet {at} xor {change:#04x}");
            loose += u32::from(
                code_of(&bent) == "ok" && Archive::open(&*bent, &Limits::default()).unwrap().findings().is_empty(),
            );
        }
    }
    assert!(loose > 0, "some changes are found by the loose end only");
}

#[test]
fn bombs_are_seen_before_they_are_opened() {
    let zeros = vec![0; 8 << 20];
    assert_eq!(code_of(&archive(&[("z", Packing::Deflated, &zeros)])), "ZIP_BOMB");
    // A liar that declares less than it holds stops at what it declared.
    let mut liar = archive(&[("z", Packing::Deflated, &zeros[..90_000])]);
    let size = 90_000u32.to_le_bytes();
    for at in 0..liar.len() - 4 {
        if liar[at..at + 4] == size {
            liar[at..at + 4].copy_from_slice(&10u32.to_le_bytes());
        }
    }
    assert_eq!(code_of(&liar), "ZIP_DATA");
    let many: Vec<String> = (0..50).map(|n| format!("f{n}")).collect();
    let many: Vec<(&str, Packing, &[u8])> = many.iter().map(|n| (n.as_str(), Packing::Stored, &b""[..])).collect();
    let limits = Limits { entries: 49, ..Limits::default() };
    assert_eq!(Archive::open(archive(&many), &limits).map_err(|e| e.code()).err(), Some("ZIP_TOO_BIG"));
}

#[test]
fn zip64_sizes_of_small_entries_are_read() {
    // Local header with ZIP64 sizes, directory with plain ones, as Java's streams write them.
    let mut bytes = Vec::new();
    bytes.extend(b"PK\x03\x04\x2d\0\0\0\0\0\0\0\x21\0");
    bytes.extend(crc32fast::hash(b"abc").to_le_bytes());
    bytes.extend([0xff; 8]);
    bytes.extend([1, 0, 20, 0, b'f', 1, 0, 16, 0]);
    bytes.extend(3u64.to_le_bytes());
    bytes.extend(3u64.to_le_bytes());
    bytes.extend(b"abc");
    let directory_at = bytes.len() as u32;
    bytes.extend(b"PK\x01\x02\x14\x03\x2d\0\0\0\0\0\0\0\x21\0");
    bytes.extend(crc32fast::hash(b"abc").to_le_bytes());
    bytes.extend([3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'f']);
    let size = bytes.len() as u32 - directory_at;
    bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    bytes.extend(size.to_le_bytes());
    bytes.extend(directory_at.to_le_bytes());
    bytes.extend([0, 0]);
    assert_eq!(Archive::open(bytes.as_slice(), &Limits::default()).unwrap().read("f", 10).unwrap(), b"abc");
}

proptest! {
    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = code_of(&bytes);
    }

    #[test]
    fn no_damage_panics(at in 0usize..400, to in any::<u8>(), cut in 0usize..400) {
        let mut bytes = archive(&[("aaaa", Packing::Stored, b"1234"), ("bb/b", Packing::Deflated, &[9; 500])]);
        let len = bytes.len();
        bytes[at % len] = to;
        bytes.truncate(len - cut % 50);
        let _ = code_of(&bytes);
    }
}
