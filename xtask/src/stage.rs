// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A stage of the tests: what it is called, what became of it.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What became of a stage that did not fail.
pub enum Outcome {
    /// It ran; with a remark for the table, such as a count.
    Passed(String),
    /// It did not run here; with the reason.
    Skipped(String),
    /// It did not run here, and need not anywhere (E4_REQUIRE does not ask for it).
    NotHere(String),
}

/// Passed or skipped; a failure says what failed.
pub type Stage = Result<Outcome, String>;

/// The top of the project.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo builds: `CARGO_TARGET_DIR`, or `target` at the top.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A command that runs at the top of the project.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// `cargo`, the one that runs this.
pub fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command with its output shown; a status other than 0 is a failure that names it.
pub fn run(command: &mut Command) -> Result<(), String> {
    println!("$ {}", show(command));
    let status = command.status().map_err(|error| format!("{}: {error}", show(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", show(command))) }
}

/// Runs a command with its output shown, and counts what the lines `test result: ok. N passed` and
/// `N passed, ...` say.
pub fn run_counting(command: &mut Command) -> Result<u64, String> {
    let mut count = 0;
    run_lines(command, |line| {
        let result = line.strip_prefix("test result: ok. ").unwrap_or(line);
        if let Some((number, _)) = result.split_once(" passed") {
            count += number.trim().parse::<u64>().unwrap_or(0);
        }
    })?;
    Ok(count)
}

/// Runs a command with its output shown, and hands over each line of it.
pub fn run_lines(command: &mut Command, mut each: impl FnMut(&str)) -> Result<(), String> {
    println!("$ {}", show(command));
    let fail = |error: std::io::Error| format!("{}: {error}", show(command));
    let mut child = Command::new(command.get_program());
    child.args(command.get_args()).current_dir(root()).stdout(Stdio::piped());
    let mut child = child.spawn().map_err(fail)?;
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.map_err(fail)?;
        println!("{line}");
        each(&line);
    }
    let status = child.wait().map_err(fail)?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", show(command))) }
}

/// Mosquitto on a free port of 127.0.0.1, stopped when dropped.
pub struct Mosquitto {
    child: Child,
    port: u16,
}

impl Mosquitto {
    /// Where Debian puts it, or on the path.
    pub fn program() -> Option<PathBuf> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let places = std::env::split_paths(&paths).chain(["/usr/sbin".into()]);
        places.map(|place| place.join("mosquitto")).find(|program| program.is_file())
    }

    /// Starts it and waits until it takes connections.
    pub fn start() -> Result<Self, String> {
        let program = Self::program().ok_or("mosquitto is not installed")?;
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
        let port = free.map_err(|error| error.to_string())?.port();
        // Without a configuration, -p listens on the loopback alone.
        let child = Command::new(program)
            .args(["-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("mosquitto: {error}"))?;
        let broker = Self { child, port };
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(broker);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("mosquitto does not take connections".into())
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a program of this name can be started.
pub fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(program).is_file())
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
