// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The vectors of the peers through the runner of `examples/vectors`, and the runner itself: one
//! that cannot fail would show nothing.
#![cfg(all(feature = "std", feature = "pubkey", feature = "password"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs)]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

#[path = "../examples/vectors/runner/mod.rs"]
mod runner;

use runner::Report;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn run(value: &Value) -> Report {
    let mut report = Report::default();
    report.run_file("test", value);
    report
}

#[test]
fn the_vectors_of_the_peers_pass() {
    let mut report = Report::default();
    report.run_path(&root().join("vectors/peers"));
    assert!(report.is_good(), "{}", report.failures.join("\n"));
    assert_eq!(report.skipped, 0);
    // Every case of every file was counted.
    let cases = |path: &PathBuf| read(path)["cases"].as_array().unwrap().len();
    let all: usize = files(&root().join("vectors/peers")).iter().map(cases).sum();
    assert_eq!(report.passed, all);
}

#[test]
fn the_known_answers_of_libe4_pass() {
    let folder = std::env::var_os("E4_LIBE4_VECTORS")
        .map_or_else(|| root().join("../shared/vectors/libe4"), PathBuf::from);
    if !folder.is_dir() {
        eprintln!("not run: {} is absent; E4_LIBE4_VECTORS names another", folder.display());
        return;
    }
    let mut report = Report::default();
    report.run_path(&folder);
    assert!(report.is_good(), "{}", report.failures.join("\n"));
    for kind in ["libe4 siv", "libe4 commands", "libe4 messages"] {
        assert!(report.kinds[kind] > 0, "{kind}");
    }
}

/// The strings of a case that its peers or the protocol answer for.
const ANSWERS: &[&str] = &[
    "id",
    "libe4_id",
    "hash",
    "hash_of_hash",
    "libe4_hash",
    "key",
    "private",
    "public",
    "seed",
    "x_public",
    "x_private",
    "x_private_times_base",
    "libe4_x_public",
    "libe4_x_private",
    "shared_key",
    "e4go_c2_side",
    "libe4_client_side",
    "x25519",
    "ct",
    "command",
    "protected",
    "payload",
    "receiving_topic",
];

/// Flips the last digit of the first answer in a value. Returns what was flipped.
fn flip(value: &mut Value) -> Option<String> {
    match value {
        Value::Object(object) => object.iter_mut().find_map(|(name, value)| match value {
            Value::String(text) if ANSWERS.contains(&name.as_str()) && !text.is_empty() => {
                let last = text.pop().unwrap();
                text.push(if last == '0' { '1' } else { '0' });
                Some(name.clone())
            }
            value => flip(value).map(|inner| format!("{name}.{inner}")),
        }),
        Value::Array(list) => list.iter_mut().find_map(flip),
        _ => None,
    }
}

/// Turns every `ok` of a value round. Returns how many there were.
fn turn(value: &mut Value) -> usize {
    match value {
        Value::Object(object) => object
            .iter_mut()
            .map(|(name, value)| match value {
                Value::Bool(ok) if name == "ok" => {
                    *ok = !*ok;
                    1
                }
                value => turn(value),
            })
            .sum(),
        Value::Array(list) => list.iter_mut().map(turn).sum(),
        _ => 0,
    }
}

#[test]
fn a_flipped_digit_in_an_expected_output_fails_the_case() {
    let (mut kinds, mut missed) = (0, Vec::new());
    for path in files(&root().join("vectors/peers")) {
        let file = read(&path);
        let kind = file["kind"].as_str().unwrap().to_string();
        let (mut flipped, mut seen) = (0, 0);
        for case in file["cases"].as_array().unwrap().iter().take(40) {
            // What a peer gives where the protocol refuses (a state, a plaintext, a message for
            // the control topic) is not asked for.
            let untouched = run(&json!({ "kind": kind, "cases": [case] }));
            let taken = |reason: &str| {
                reason.ends_with("the peer takes it") || reason.contains("libe4 takes")
            };
            if case["in"]["op"] == "protect"
                || untouched.rules.keys().any(|(_, reason)| taken(reason))
            {
                continue;
            }
            // Nor what the peers make of a key that the protocol refuses (section 4).
            let key = case["in"]["ed_public"].as_str().map(|key| hex::decode(key).unwrap());
            if key.is_some_and(|key| e4::PublicKey::from_slice(&key).is_err()) {
                continue;
            }
            let mut case = case.clone();
            let answers = if case.get("out").is_some() { "out" } else { "steps" };
            // A signature that no peer takes is no expectation: any other wrong one is as good.
            let unsigned = kind == "pk_messages" && case["out"]["opened_by_e4go"]["ok"] == false;
            if unsigned || flip(&mut case[answers]).is_none() {
                continue;
            }
            flipped += 1;
            seen += run(&json!({ "kind": kind, "cases": [case] })).failed;
        }
        kinds += usize::from(flipped > 0);
        if seen != flipped {
            missed.push(format!("{kind}: {seen} of {flipped} flipped digits seen"));
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
    assert!(kinds > 12, "only {kinds} kinds had something to flip");
}

#[test]
fn an_answer_turned_round_fails_the_case() {
    for path in files(&root().join("vectors/peers")) {
        let file = read(&path);
        let kind = file["kind"].as_str().unwrap().to_string();
        let (mut turned, mut seen) = (0, 0);
        for case in file["cases"].as_array().unwrap().iter().take(12) {
            let mut case = case.clone();
            let answers = if case.get("out").is_some() { "out" } else { "steps" };
            if turn(&mut case[answers]) > 0 {
                turned += 1;
                seen += run(&json!({ "kind": kind, "cases": [case] })).failed;
            }
        }
        // Where the protocol decides against both peers, what they say is not asked.
        assert!(turned == 0 || seen > 0, "{kind}: {seen} of {turned} seen");
    }
}

#[test]
fn what_is_no_file_of_vectors_fails() {
    for value in [
        json!({ "kind": "unheard_of", "cases": [] }),
        json!({ "kind": "aes_siv" }),
        json!({}),
        json!([]),
        json!("text"),
        json!({ "kind": "aes_siv", "cases": [{}] }),
    ] {
        let report = run(&value);
        assert_eq!((report.passed, report.failed), (0, 1), "{value}");
        assert!(!report.is_good());
    }
    let empty = run(&json!({ "kind": "aes_siv", "cases": [] }));
    assert!(!empty.is_good(), "a run of nothing is no success");
    let mut absent = Report::default();
    absent.run_path(Path::new("/there/is/no/such/file.json"));
    assert!(!absent.is_good());
}

#[test]
fn every_rule_names_a_section_of_the_protocol() {
    let mut report = Report::default();
    report.run_path(&root().join("vectors/peers"));
    assert!(!report.rules.is_empty());
    assert!(
        report
            .rules
            .keys()
            .all(|(section, reason)| (1..=11).contains(section) && !reason.is_empty())
    );
}
