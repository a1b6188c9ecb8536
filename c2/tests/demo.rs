// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The demo, at the embedded broker and at Mosquitto.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Mosquitto, e4};
use serde_json::Value;

#[test]
fn passes_at_the_embedded_broker() {
    let output = e4().arg("demo").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for words in [
        "reads \"hello bob, the door code is 4711\"",
        "authentication failed",
        "message was seen before",
        "topic key not found",
        "signer public key not found",
        "invalid signature",
        "alice confirmed",
        "bob confirmed",
        "PASSED",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains('\x1b'), "colour in a pipe");
}

#[test]
fn every_line_of_json_is_an_event() {
    let output = e4().args(["demo", "--json"]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(events.first().unwrap()["event"], "start");
    assert_eq!(events.last().unwrap()["ok"], true);
    let wires = events.iter().filter(|event| event["event"] == "wire").count();
    // Six commands with their answers; two messages; an altered, a repeated and two forged ones.
    assert_eq!(wires, 6 * 2 + 2 + 4);
    let shut_out = events.iter().filter(|event| event["entitled"] == false).count();
    assert_eq!(shut_out, 6);
}

#[test]
fn passes_at_mosquitto() {
    let Some(broker) = Mosquitto::start() else { return };
    let output = e4().args(["demo", "--broker", &broker.address()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn no_broker_is_a_clear_error() {
    let output = e4().args(["demo", "--broker", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("FAILED  observer: connection to the broker"), "{text}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("error: ") && text.contains("\nhint: "), "{text}");
}
