// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 serve`, the real one.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::common::ANY_PORTS;
use crate::operator::Place;
use crate::proxy::Wire;

pub struct Server {
    arguments: Vec<String>,
    clock: PathBuf,
    log: PathBuf,
    pub wire: Wire,
    child: Option<Child>,
}

impl Server {
    pub fn new(
        number: usize,
        directory: &Path,
        place: &Place,
        clock: &Path,
        qos: u8,
        wire: Wire,
    ) -> Self {
        let data = directory.join(format!("server-{number}"));
        let broker = format!("127.0.0.1:{}", wire.port);
        let qos = qos.to_string();
        let (data, key) = (data.display().to_string(), place.key.display().to_string());
        let arguments = [
            ["serve", "--data", &data].as_slice(),
            &ANY_PORTS,
            &["--database", &place.database, "--key-file", &key],
            &["--broker", &broker, "--qos", &qos, "--keep-alive", "3"],
            &["--retry-first", "1", "--retry-longest", "4", "--lease", "4"],
            &["--log", "debug", "--log-format", "json"],
        ]
        .concat();
        Self {
            arguments: arguments.into_iter().map(str::to_string).collect(),
            clock: clock.to_path_buf(),
            log: directory.join(format!("server-{number}.log")),
            wire,
            child: None,
        }
    }

    /// From the next start on it works on another database.
    pub fn move_to(&mut self, database: &str) {
        let at = self.arguments.iter().position(|argument| argument == "--database").unwrap();
        self.arguments[at + 1] = database.to_string();
    }

    pub fn start(&mut self) {
        if self.child.is_some() {
            return;
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let mut command = crate::common::e4();
        command.args(&self.arguments).env("E4_TEST_CLOCK", &self.clock);
        self.child = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// SIGKILL; false if it had ended by itself.
    pub fn kill(&mut self) -> bool {
        let Some(mut child) = self.child.take() else { return true };
        let lived = child.try_wait().unwrap().is_none();
        let _ = child.kill();
        child.wait().unwrap();
        lived
    }

    /// Commands that it sent, and how many of them again, by its log; and errors in that.
    pub fn figures(&self) -> (u64, u64, Vec<String>) {
        let (mut sent, mut again, mut errors) = (0, 0, Vec::new());
        for line in std::fs::read_to_string(&self.log).unwrap_or_default().lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                // The last line before a kill may be cut off; others are the last words of one
                // that could not go on.
                if !line.starts_with('{') {
                    errors.push(line.to_string());
                }
                continue;
            };
            let fields = &line["fields"];
            if fields["message"] == "sent" {
                sent += fields["commands"].as_u64().unwrap_or(0);
                again += fields["again"].as_u64().unwrap_or(0);
            }
            if line["level"] == "ERROR" {
                errors.push(fields["message"].as_str().unwrap_or_default().to_string());
            }
        }
        (sent, again, errors)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
