//! The gateways of a demonstration one by one, without it around them: as they are started, signalled and killed.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::Running;

pub const GATEWAYS: [&str; 2] = ["gw-440305", "gw-419001"];

/// A gateway of the folder on its own, without the demonstration around it.
pub fn serve(folder: &Path, gateway: usize) -> Running {
    let output = || File::options().create(true).append(true).open(folder.join("said.txt")).expect("a file");
    let mut command = super::program();
    command.arg("serve").arg("--config").arg(folder.join(GATEWAYS[gateway]).join("tongban.toml")).arg("--with-parent");
    Running(command.stdin(Stdio::piped()).stdout(output()).stderr(output()).spawn().expect("it starts"))
}

/// What all of them said.
pub fn said(folder: &Path) -> String {
    fs::read_to_string(folder.join("said.txt")).unwrap_or_default()
}

/// Whether somebody listens there; without issuers a gateway alone is never ready.
pub fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// SIGKILL: nothing is flushed, nothing is told.
pub fn kill(mut child: Running) {
    let _ = child.kill();
    let _ = child.wait();
}

pub fn signal(pid: u32, signal: Signal) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}
