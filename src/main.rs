//! The one binary: everything it does is in `tongban::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tongban::cli::main()
}
