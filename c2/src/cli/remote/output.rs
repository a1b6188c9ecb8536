// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What people and scripts read.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write};

use prost_types::Timestamp;
use serde_json::Value;

use super::super::failure::Failure;

/// Text of somebody else's: what would steer a terminal is escaped.
pub fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        // Control characters, and those that turn the direction of writing.
        let steers = c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match steers {
            true => safe.extend(c.escape_default()),
            false => safe.push(c),
        }
    }
    safe
}

/// Writes to standard output. A reader that has gone, as `head` does, is none of our business.
pub fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        done => done.map_err(|error| Failure::new(format!("standard output: {error}"))),
    }
}

/// Writes a line.
pub fn line(text: &str) -> Result<(), Failure> {
    say(&format!("{text}\n"))
}

/// Writes JSON on a line.
pub fn json(value: &Value) -> Result<(), Failure> {
    line(&value.to_string())
}

/// Writes aligned columns.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    say(&columns(head, rows))
}

fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|text| (*text).to_string()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(&head)
        .filter(|head| !head.is_empty())
        .chain(rows)
        .map(|row| row.iter().map(|cell| shown(cell)).collect())
        .collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string does not fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A time for people and scripts: RFC 3339, UTC, whole seconds.
pub fn time(at: Option<&Timestamp>) -> Option<String> {
    at.map(|at| Timestamp { seconds: at.seconds, nanos: 0 }.to_string())
}

/// Hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line of progress on a terminal's standard error; nothing elsewhere.
pub struct Progress {
    terminal: bool,
}

impl Progress {
    pub fn new() -> Self {
        Self { terminal: io::stderr().is_terminal() }
    }

    pub fn show(&self, text: &str) {
        if self.terminal {
            eprint!("\r\u{1b}[K{text}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show("");
    }
}

/// Asks before something is destroyed. Without a terminal nobody can be asked: `flag` says it.
pub fn confirm(question: &str, flag: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(format!("there is no terminal to ask on: {question}"))
            .hint(format!("say it with {flag}")));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.map_err(|error| Failure::new(format!("standard input: {error}")))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new("nothing was done")),
    }
}

#[cfg(test)]
mod tests {
    use super::{columns, shown};

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(shown("a\u{1b}[2J\nb\u{202e}"), "a\\u{1b}[2J\\nb\\u{202e}");
        assert_eq!(shown("plant/pr\u{e9}ssure \"4\""), "plant/pr\u{e9}ssure \"4\"");
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["pump".into(), "1".into()], vec!["a\tb".into(), String::new()]];
        assert_eq!(columns(&["NAME", "N"], &rows), "NAME  N\npump  1\na\\tb\n");
    }
}
