// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Runs vectors of the peers (vectors/peers/README.md) through the public API. The kind stands in
//! the file; nothing depends on names of files or cases, or on how many there are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

mod clients;
mod device;
mod json;
mod libe4;
pub mod model;
mod primitives;
mod rules;

use json::Check;
use rules::Rule;

/// One case.
pub struct Case<'v> {
    /// The kind of its file.
    pub kind: &'v str,
    /// The whole case.
    pub value: &'v Value,
    /// Its inputs.
    pub input: &'v Value,
}

impl<'v> Case<'v> {
    fn out(&self) -> Check<&'v Value> {
        json::field(self.value, "out")
    }

    fn steps(&self) -> Check<&'v Vec<Value>> {
        json::field(self.value, "steps")?.as_array().ok_or_else(|| "steps are no list".into())
    }
}

type Run = fn(&Case<'_>) -> Check<Vec<&'static Rule>>;

/// What runs a kind.
fn run_of(kind: &str) -> Option<Run> {
    Some(match kind {
        "id_from_alias" => primitives::id_from_alias,
        "topic_hash" => primitives::topic_hash,
        "password_symkey" | "password_ed25519" => primitives::from_password,
        "ed25519_to_x25519" => primitives::conversion,
        "ed25519_to_x25519_edge" => primitives::conversion_edge,
        "shared_key" => primitives::shared_key,
        "shared_key_negative" => primitives::shared_key_negative,
        "aes_siv" => primitives::aes_siv,
        "aes_siv_negative" => primitives::aes_siv_negative,
        "commands_plain" => primitives::commands_plain,
        "sk_messages" | "pk_messages" => clients::messages,
        "negative_sk" | "negative_pk" | "timestamps" => clients::message_for_receiver,
        "commands_protected" | "negative_commands" => clients::commands,
        "sequences" => clients::sequences,
        "transition_expiry" => clients::transition,
        "libe4_sequences" => clients::libe4_sequences,
        _ => return None,
    })
}

/// What a run found.
#[derive(Default)]
pub struct Report {
    /// Cases that passed.
    pub passed: usize,
    /// Cases that failed; a file that cannot be read or has an unknown kind counts as one.
    pub failed: usize,
    /// Cases left out. No kind states a peer's internals alone, so none is.
    pub skipped: usize,
    /// One line for each failure.
    pub failures: Vec<String>,
    /// Passed cases of each kind.
    pub kinds: BTreeMap<String, usize>,
    /// How often each difference between a peer and the protocol was met.
    pub rules: BTreeMap<(u8, &'static str), usize>,
}

impl Report {
    /// Whether everything passed, and there was something.
    pub fn is_good(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    fn fail(&mut self, what: String) {
        self.failed += 1;
        self.failures.push(what);
    }

    /// Runs a file, or all `*.json` files of a folder and the folders in it.
    pub fn run_path(&mut self, path: &Path) {
        let mut files = Vec::new();
        if let Err(error) = collect(path, &mut files) {
            self.fail(format!("{}: {error}", path.display()));
        }
        for file in files {
            let read = std::fs::read(&file).map_err(|error| error.to_string());
            let parsed = read.and_then(|bytes| {
                serde_json::from_slice::<Value>(&bytes).map_err(|error| error.to_string())
            });
            match parsed {
                Ok(value) => self.run_file(&file.display().to_string(), &value),
                Err(error) => self.fail(format!("{}: {error}", file.display())),
            }
        }
    }

    /// Runs what a file holds.
    pub fn run_file(&mut self, name: &str, file: &Value) {
        if let Some(kind) = file.get("kind").and_then(Value::as_str) {
            return self.run_cases(name, kind, file);
        }
        // libe4's own known answers have no kind.
        if let Some(entries) = file.as_array().filter(|entries| !entries.is_empty()) {
            return self.run_answers(name, "libe4 siv", entries, libe4::siv_answer);
        }
        let list = |name: &str| file.get(name).and_then(Value::as_array);
        match (list("commands"), list("topics")) {
            (Some(commands), Some(topics)) => {
                self.run_answers(name, "libe4 commands", commands, libe4::command_answer);
                self.run_answers(name, "libe4 messages", topics, libe4::message_answer);
            }
            _ => self.fail(format!("{name}: not a file of vectors")),
        }
    }

    fn run_cases(&mut self, name: &str, kind: &str, file: &Value) {
        let Some(run) = run_of(kind) else {
            return self.fail(format!("{name}: unknown kind {kind:?}"));
        };
        let Some(cases) = file.get("cases").and_then(Value::as_array) else {
            return self.fail(format!("{name}: no cases"));
        };
        for value in cases {
            let of = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or("?");
            let input = value.get("in").unwrap_or(&Value::Null);
            match run(&Case { kind, value, input }) {
                Ok(rules) => {
                    for rule in rules {
                        *self.rules.entry((rule.section, rule.reason)).or_default() += 1;
                    }
                    self.pass(kind);
                }
                Err(error) => self.fail(format!("{} ({}): {error}", of("id"), of("name"))),
            }
        }
    }

    fn run_answers(&mut self, name: &str, kind: &str, entries: &[Value], run: fn(&Value) -> Check) {
        for (at, entry) in entries.iter().enumerate() {
            match run(entry) {
                Ok(()) => self.pass(kind),
                Err(error) => self.fail(format!("{name}: {kind} {at}: {error}")),
            }
        }
    }

    fn pass(&mut self, kind: &str) {
        self.passed += 1;
        *self.kinds.entry(kind.to_string()).or_default() += 1;
    }
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for entry in entries {
        let json = entry.extension().is_some_and(|extension| extension == "json");
        if entry.is_dir() || json {
            collect(&entry, files)?;
        }
    }
    Ok(())
}
