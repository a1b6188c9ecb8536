// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The program under test, and a Mosquitto of its own for a test.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub mod database;
pub mod fleet;
pub mod postgres;
pub mod world;

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub fn e4() -> Command {
    Command::new(env!("CARGO_BIN_EXE_e4"))
}

pub struct Mosquitto {
    child: Child,
    port: u16,
}

impl Mosquitto {
    /// `None`, with a word, where Mosquitto is not installed; with E4_REQUIRE=all a failure.
    pub fn start() -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let binary = ["mosquitto", "/usr/sbin/mosquitto"].iter().find_map(|name| {
            Command::new(name)
                .args(["-p", &port.to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .ok()
        });
        let Some(child) = binary else {
            let required = std::env::var("E4_REQUIRE").is_ok_and(|value| value == "all");
            assert!(!required, "mosquitto is not installed");
            println!("skipped: mosquitto is not installed");
            return None;
        };
        let broker = Self { child, port };
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(broker);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("mosquitto does not listen");
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
