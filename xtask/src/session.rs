// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A program that is talked to line by line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A running program, stopped when dropped.
pub struct Session {
    child: Child,
    lines: Receiver<String>,
    name: String,
}

impl Session {
    /// Starts it; its output is shown behind the name.
    pub fn start(command: &mut Command, name: &str) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        let (sender, lines) = channel();
        let out = child.stdout.take();
        let who = name.to_owned();
        std::thread::spawn(move || {
            for line in out.into_iter().flat_map(|out| BufReader::new(out).lines()).flatten() {
                println!("{who:>6} | {line}");
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines, name: name.to_owned() })
    }

    /// Writes a line to its input.
    pub fn say(&mut self, line: &str) -> Result<(), String> {
        let input = self.child.stdin.as_mut().ok_or("no standard input")?;
        writeln!(input, "{line}").and_then(|()| input.flush()).map_err(|error| error.to_string())
    }

    /// Waits for a line.
    pub fn wait_for(&mut self, text: &str) -> Result<(), String> {
        self.wait_until(text, |line| line == text)
    }

    /// Waits for a line that starts like this.
    pub fn wait_for_start(&mut self, text: &str) -> Result<(), String> {
        self.wait_until(text, |line| line.starts_with(text))
    }

    fn wait_until(&mut self, text: &str, is_it: impl Fn(&str) -> bool) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if is_it(&line) => return Ok(()),
                Ok(_) => {}
                Err(_) => return Err(format!("{} did not print {text:?}", self.name)),
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The end of its input ends it; a state file must survive a kill as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
