//! Which program runs: the log names it, so that an auditor can ask for exactly that one.

use std::fs::File;
use std::io;
use std::sync::OnceLock;

use crate::terms::Digest;

/// SHA-256 of this program's file, as `sha256sum` prints it; read once, before an upgrade can put another in its place.
/// `None` where the file cannot be read.
pub fn digest() -> Option<Digest> {
    static DIGEST: OnceLock<Option<Digest>> = OnceLock::new();
    *DIGEST.get_or_init(|| {
        // The kernel's link stands for the file that was started, whatever lies under its name by now.
        let file = File::open("/proc/self/exe").or_else(|_| File::open(std::env::current_exe()?));
        read(file.ok()?).ok()
    })
}

fn read(mut file: impl io::Read) -> io::Result<Digest> {
    let mut hasher = ring::digest::Context::new(&ring::digest::SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(hasher.finish().as_ref());
    Ok(Digest(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_file() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(digest(), Some(Digest::of(&own)));
        assert_eq!(read(&b"abc"[..]).unwrap(), Digest::of(b"abc"));
    }
}
