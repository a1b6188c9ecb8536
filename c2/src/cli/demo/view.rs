// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the demo shows: columns for people, JSON lines for scripts.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};

use serde_json::{Value, json};

/// Where the story is told.
pub struct View {
    json: bool,
    colour: bool,
    /// What crossed the broker, until somebody understands it: the two share a line.
    crossed: RefCell<Option<String>>,
}

/// Colours, by meaning.
#[derive(Clone, Copy)]
pub enum Tone {
    /// Somebody who is entitled understands.
    Good,
    /// Somebody is shut out, as it should be.
    Shut,
    /// It is not as it should be.
    Bad,
}

const WHO: usize = 7;
const TOPIC: usize = 22;
const WIRE: usize = 39;
/// How many bytes of a payload are shown.
const HEAD: usize = 12;

impl View {
    /// Colour only on a terminal, and not where NO_COLOR is set.
    pub fn new(json: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            json,
            colour: wanted && std::io::stdout().is_terminal(),
            crossed: RefCell::default(),
        }
    }

    /// The title and the legend.
    pub fn title(&self, broker: &str) {
        if self.json {
            return self.event(json!({ "event": "start", "broker": broker }));
        }
        self.line(&self.paint(
            "1",
            "E4: two devices talk in secret through a broker that nobody has to trust",
        ));
        self.line(&format!("MQTT broker at {broker}; every party has a connection of its own\n"));
        let heads = row("from", "topic", "what crosses the broker");
        self.line(&self.paint("2", &format!("{heads}who understands what")));
    }

    /// The start of a step.
    pub fn step(&self, number: usize, title: &str) {
        if self.json {
            return self.event(json!({ "event": "step", "number": number, "title": title }));
        }
        self.flush();
        self.line("");
        self.line(&self.paint("1", &format!("{number}. {title}")));
    }

    /// What an observer saw on the broker.
    pub fn wire(&self, from: &str, topic: &str, payload: &[u8]) {
        let head: String = payload.iter().take(HEAD).map(|byte| format!("{byte:02x}")).collect();
        if self.json {
            let length = payload.len();
            return self.event(json!({
                "event": "wire", "from": from, "topic": topic, "length": length, "head": head
            }));
        }
        let more = if payload.len() > HEAD { "…" } else { "" };
        let wire = format!("{:>4} bytes  {head}{more}", payload.len());
        self.flush();
        self.crossed.replace(Some(row(from, &shorten(topic), &wire)));
    }

    /// What somebody made of it.
    pub fn understood(&self, who: &str, what: &str, tone: Tone) {
        if self.json {
            let entitled = matches!(tone, Tone::Good);
            return self.event(json!({
                "event": "understood", "who": who, "what": what, "entitled": entitled
            }));
        }
        let colour = match tone {
            Tone::Good => "32",
            Tone::Shut => "33",
            Tone::Bad => "31",
        };
        let crossed = self.crossed.take().unwrap_or_else(|| row("", "", ""));
        self.line(&format!(
            "{}{who:<WHO$}{}",
            self.paint("36", &crossed),
            self.paint(colour, what)
        ));
    }

    /// The last line.
    pub fn verdict(&self, ok: bool, text: &str) {
        if self.json {
            return self.event(json!({ "event": "verdict", "ok": ok, "text": text }));
        }
        self.flush();
        let (word, colour) = if ok { ("PASSED", "1;32") } else { ("FAILED", "1;31") };
        self.line("");
        self.line(&format!("{}  {text}", self.paint(colour, word)));
    }

    /// Shows what nobody has understood.
    fn flush(&self) {
        self.crossed.take().iter().for_each(|row| self.line(&self.paint("36", row.trim_end())));
    }

    fn event(&self, event: Value) {
        self.line(&event.to_string());
    }

    fn line(&self, line: &str) {
        let mut out = std::io::stdout().lock();
        // A closed pipe ends the telling, not the checking.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

fn row(who: &str, topic: &str, wire: &str) -> String {
    format!("   {who:<WHO$}{topic:<TOPIC$}{wire:<WIRE$}")
}

/// `e4/0123…cdef/ack` for the topics that have an id in them.
fn shorten(topic: &str) -> String {
    match topic.strip_prefix("e4/").map(|rest| rest.split_at_checked(32)) {
        Some(Some((id, rest))) => format!("e4/{}…{rest}", id.get(..8).unwrap_or(id)),
        _ => topic.to_string(),
    }
}
