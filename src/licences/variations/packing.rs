//! ZIP archives as different packers write them, octet by octet: our own writer has one habit only.

use std::io::Write;

/// The habits of a packer.
#[derive(Clone, Default)]
pub struct Shape {
    pub deflated: bool,
    /// Sizes after the data, in the layouts found.
    pub descriptor: Option<Descriptor>,
    /// 64-bit sizes of small files in the local headers.
    pub zip64: bool,
    /// Entries for folders.
    pub folders: bool,
    pub before: Vec<u8>,
    pub after: Vec<u8>,
    pub comment: Vec<u8>,
    /// Names in GB 18030 and no mark.
    pub gb_names: bool,
    /// Names a second time, in UTF-8 (Info-ZIP).
    pub unicode_path: bool,
    /// Names outside ASCII in UTF-8 without the mark.
    pub unmarked: bool,
}

#[derive(Clone, Copy)]
pub struct Descriptor {
    pub signed: bool,
    pub wide: bool,
}

pub fn pack(files: &[(String, Vec<u8>)], shape: &Shape) -> Vec<u8> {
    let mut out = shape.before.clone();
    let mut directory = Vec::new();
    let mut count = 0u16;
    let mut folders: Vec<String> = Vec::new();
    if shape.folders {
        for (name, _) in files {
            for (at, _) in name.match_indices('/') {
                let folder = name[..=at].to_owned();
                if !folders.contains(&folder) {
                    folders.push(folder);
                }
            }
        }
    }
    let all =
        folders.iter().map(|name| (name.as_str(), &[][..])).chain(files.iter().map(|(n, b)| (n.as_str(), &b[..])));
    for (name, content) in all {
        let stored = !shape.deflated || content.is_empty();
        let packed = if stored { content.to_vec() } else { deflate(content) };
        let crc = crc32fast::hash(content);
        let raw =
            if shape.gb_names { encoding_rs::GB18030.encode(name).0.into_owned() } else { name.as_bytes().to_vec() };
        let descriptor = shape.descriptor.filter(|_| !name.ends_with('/'));
        let marked = !shape.gb_names && !shape.unmarked && !name.is_ascii();
        let flags: u16 = if marked { 1 << 11 } else { 0 } | if descriptor.is_some() { 8 } else { 0 };
        let mut extra = Vec::new();
        if shape.unicode_path {
            extra.extend(0x7075u16.to_le_bytes());
            extra.extend((name.len() as u16 + 5).to_le_bytes());
            extra.push(1);
            extra.extend(crc32fast::hash(&raw).to_le_bytes());
            extra.extend(name.as_bytes());
        }
        let (mut local_extra, mut sizes) = (extra.clone(), [packed.len() as u32, content.len() as u32]);
        let mut local_crc = crc;
        if descriptor.is_some() {
            (sizes, local_crc) = ([0, 0], 0);
        } else if shape.zip64 {
            sizes = [u32::MAX; 2];
            local_extra.extend(1u16.to_le_bytes());
            local_extra.extend(16u16.to_le_bytes());
            local_extra.extend((content.len() as u64).to_le_bytes());
            local_extra.extend((packed.len() as u64).to_le_bytes());
        }
        let offset = out.len() - shape.before.len();
        let method: u16 = if stored { 0 } else { 8 };
        let common = |crc: u32, sizes: [u32; 2], extra: &[u8]| {
            let mut head = Vec::new();
            for short in [if shape.zip64 { 45 } else { 20 }, flags, method, 0x6000, 0x5a21] {
                head.extend(short.to_le_bytes());
            }
            for long in [crc, sizes[0], sizes[1]] {
                head.extend(long.to_le_bytes());
            }
            head.extend((raw.len() as u16).to_le_bytes());
            head.extend((extra.len() as u16).to_le_bytes());
            head
        };
        out.extend(b"PK\x03\x04");
        out.extend(common(local_crc, sizes, &local_extra));
        out.extend(&raw);
        out.extend(&local_extra);
        out.extend(&packed);
        if let Some(Descriptor { signed, wide }) = descriptor {
            if signed {
                out.extend(b"PK\x07\x08");
            }
            out.extend(crc.to_le_bytes());
            for size in [packed.len(), content.len()] {
                let octets = (size as u64).to_le_bytes();
                out.extend(if wide { &octets[..] } else { &octets[..4] });
            }
        }
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(common(crc, [packed.len() as u32, content.len() as u32], &extra));
        // Length of a comment, disk, attributes inside and outside.
        directory.extend([0; 10]);
        directory.extend((offset as u32).to_le_bytes());
        directory.extend(&raw);
        directory.extend(&extra);
        count += 1;
    }
    let start = out.len() - shape.before.len();
    let size = directory.len() as u32;
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend((start as u32).to_le_bytes());
    out.extend((shape.comment.len() as u16).to_le_bytes());
    out.extend(&shape.comment);
    out.extend(&shape.after);
    out
}

fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
