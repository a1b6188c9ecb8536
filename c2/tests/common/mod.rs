// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The program under test, and a Mosquitto of its own for a test.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub mod browser;
pub mod database;
pub mod fleet;
pub mod postgres;
pub mod world;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

pub fn e4() -> Command {
    Command::new(env!("CARGO_BIN_EXE_e4"))
}

/// For servers beside each other: the interface takes any port.
pub const ANY_PORTS: [&str; 4] = ["--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until somebody listens on a port of this machine.
pub fn wait_for_port(what: &str, port: u16) {
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} does not listen");
}

/// What is not installed is skipped with a word; with E4_REQUIRE=all that is a failure.
pub fn not_installed(what: &str) {
    let required = std::env::var("E4_REQUIRE").is_ok_and(|value| value == "all");
    assert!(!required, "{what} is not installed");
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap().insert(what.into()) {
        // Past the output of the test, which nobody sees where it passes.
        let _ = writeln!(std::io::stderr(), "skipped: {what} is not installed");
    }
}

pub struct Mosquitto {
    child: Option<Child>,
    arguments: Vec<String>,
    port: u16,
}

impl Mosquitto {
    /// `None`, with a word, where Mosquitto is not installed; with E4_REQUIRE=all a failure.
    pub fn start() -> Option<Self> {
        let port = free_port();
        Self::start_with(port, vec!["-p".into(), port.to_string()])
    }

    /// The same, with sessions and messages in a directory.
    pub fn persistent(directory: &Path) -> Option<Self> {
        let port = free_port();
        let config = directory.join("mosquitto.conf");
        // As root it changes to a user of its own, who has to be able to write there.
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n\
             persistence_location {}/\nautosave_interval 2\nuser {}\n",
            directory.display(),
            std::env::var("USER").unwrap_or_else(|_| "root".into()),
        );
        std::fs::write(&config, text).unwrap();
        Self::start_with(port, vec!["-c".into(), config.display().to_string()])
    }

    fn start_with(port: u16, arguments: Vec<String>) -> Option<Self> {
        let mut broker = Self { child: None, arguments, port };
        if broker.spawn() {
            wait_for_port("mosquitto", port);
            return Some(broker);
        }
        not_installed("mosquitto");
        None
    }

    /// Starts it where it does not run; false if it is not installed.
    pub fn spawn(&mut self) -> bool {
        if self.child.is_none() {
            self.child = ["mosquitto", "/usr/sbin/mosquitto"].iter().find_map(|name| {
                let mut command = Command::new(name);
                command.args(&self.arguments).stdout(Stdio::null()).stderr(Stdio::null());
                command.spawn().ok()
            });
        }
        self.child.is_some()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}
