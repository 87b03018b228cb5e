//! Nothing is generated: with a build script, this crate's wish for `cc` counts (see Cargo.toml).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
