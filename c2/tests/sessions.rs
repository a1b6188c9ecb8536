// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The command line as people use it: recorded sessions, each against an `e4 serve` of its own.
//!
//! A file in `sessions/` holds commands (`$ …`, for `sh`) and what they print; `? N` is an exit
//! code other than 0. `SNAPSHOTS=overwrite cargo test --test sessions` records them anew.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use common::free_port;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use regex::Regex;
use snapbox::{Assert, Data, Redactions};

/// What sessions may use beyond the commands of the system.
const PRELUDE: &str = r#"
# Repeats a command until it succeeds.
until_ok() {
    for i in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
    echo "gave up: $*"; "$@"
}
# e4 serve in the background, with the ports of this session.
serve() {
    e4 serve --grpc-listen "127.0.0.1:$GRPC" --http-listen "127.0.0.1:$HTTP" \
        --embedded-listen "127.0.0.1:$MQTT" --log-format text "$@" >>serve.log 2>&1 &
    echo $! >serve.pid
    until_ok grep -q 'e4 serves' serve.log
}
# A server and an administrator who is logged in.
begin() {
    serve "$@"
    e4 token create admin --role admin --data e4-data --out admin.token &&
        e4 login --token-file admin.token
}
# A device in the background.
device() {
    name=$1; shift
    e4 device --name "$name" --broker "127.0.0.1:$MQTT" "$@" --linger 600 </dev/null >"$name.log" 2>&1 &
    echo $! >"$name.pid"
}
"#;

struct Session {
    directory: tempfile::TempDir,
    ports: [(&'static str, u16); 3],
}

impl Session {
    fn new() -> Self {
        let ports = ["GRPC", "HTTP", "MQTT"].map(|name| (name, free_port()));
        let session = Self { directory: tempfile::tempdir().unwrap(), ports };
        session.certificates();
        session
    }

    /// A client certificate, and its authority.
    fn certificates(&self) {
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let write = |name: &str, text: String| {
            std::fs::write(self.directory.path().join(name), text).unwrap();
        };
        write("client-ca.pem", authority.self_signed(&key).unwrap().pem());
        let issuer = Issuer::new(authority, key);
        let key = KeyPair::generate().unwrap();
        let mut billing = CertificateParams::default();
        billing.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        write("billing.pem", billing.signed_by(&key, &issuer).unwrap().pem());
        write("billing.key", key.serialize_pem());
    }

    fn run(&self, script: &str) -> (String, i32) {
        let program = Path::new(env!("CARGO_BIN_EXE_e4")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("timeout");
        command.args(["120", "sh", "-c"]).arg(format!("exec 2>&1\n{PRELUDE}\n{script}"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("E4_")) {
            command.env_remove(name);
        }
        command
            .env("PATH", path)
            .env("HOME", self.directory.path())
            .env("COLUMNS", "100")
            .env("USER", "tester");
        command
            .env_remove("XDG_CONFIG_HOME")
            .envs(self.ports.map(|(name, port)| (name, port.to_string())));
        command.env("E4_ENDPOINT", format!("https://127.0.0.1:{}", self.ports[0].1));
        let output = command.current_dir(&self.directory).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (text, output.status.code().unwrap_or(-1))
    }

    /// What differs from run to run.
    fn redactions(&self) -> Redactions {
        let mut all = Redactions::new();
        let directory = self.directory.path().canonicalize().unwrap();
        all.insert("[DIR]", directory.display().to_string()).unwrap();
        for (name, port) in self.ports {
            let name = match name {
                "GRPC" => "[GRPC]",
                "HTTP" => "[HTTP]",
                _ => "[MQTT]",
            };
            all.insert(name, port.to_string()).unwrap();
        }
        for (name, pattern) in [
            ("[TOKEN]", r"e4_[A-Za-z0-9_-]{43}"),
            ("[TIME]", r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+0[12]:00 \(CES?T\))"),
            ("[KEY]", r"\b([0-9a-f]{128}|[0-9a-f]{64})\b"),
            ("[BYTES]", r"(?<redacted>\d{5,}) bytes"),
            ("[MILLIS]", r"_at.?.?:(?<redacted>\d{13})"),
            ("[PORT]", r"127\.0\.0\.1:(?<redacted>\d+)"),
        ] {
            all.insert(name, Regex::new(pattern).unwrap()).unwrap();
        }
        all
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.directory).unwrap().flatten() {
            if entry.path().extension().is_some_and(|kind| kind == "pid") {
                let pid = std::fs::read_to_string(entry.path()).unwrap();
                // It may have ended.
                let _ = Command::new("kill").arg(pid.trim()).stderr(Stdio::null()).status();
            }
        }
    }
}

fn play(name: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "sessions", name].iter().collect();
    let recorded = std::fs::read_to_string(&path).unwrap();
    let session = Session::new();
    let mut lines = recorded.lines().peekable();
    let mut played = String::new();
    while let Some(line) = lines.next() {
        if let Some(remark) = line.strip_prefix("# ") {
            played += &format!("# {remark}\n");
            continue;
        }
        let Some(command) = line.strip_prefix("$ ") else { continue };
        let mut script = command.to_string();
        played += &format!("$ {command}\n");
        while let Some(more) = lines.next_if(|line| line.starts_with("> ")) {
            script += &format!("\n{}", &more[2..]);
            played += &format!("{more}\n");
        }
        let (text, code) = session.run(&script);
        played += &text;
        if !text.is_empty() && !text.ends_with('\n') {
            played += "\n";
        }
        if code != 0 {
            played += &format!("? {code}\n");
        }
    }
    if let Ok(log) = std::fs::read_to_string(session.directory.path().join("serve.log")) {
        println!("{log}");
    }
    let played = session.redactions().redact(&played);
    Assert::new().action_env("SNAPSHOTS").eq(played, Data::read_from(&path, None).raw());
}

#[test]
fn the_first_run() {
    play("first-run.txt");
}

#[test]
fn what_goes_wrong() {
    play("errors.txt");
}

#[test]
fn a_fleet() {
    play("fleet.txt");
}

#[test]
fn who_may_call() {
    play("tokens.txt");
}

#[test]
fn public_keys() {
    play("public-key.txt");
}

#[test]
fn devices_from_qr_codes() {
    play("qr.txt");
}

#[test]
fn devices_from_qr_codes_with_public_keys() {
    play("qr-pk.txt");
}

#[test]
fn keys_that_rotate_by_themselves() {
    play("policies.txt");
}

#[test]
fn an_import() {
    play("import.txt");
}

#[test]
fn ten_thousand_clients_from_a_file() {
    let session = Session::new();
    let (text, code) = session.run("begin");
    assert_eq!(code, 0, "{text}");
    // Every third has a key, and there are three wrong rows.
    let mut file = String::from("name,key,topics\n");
    for number in 0..10_000 {
        file += &match number {
            1_233 => "meter-1233,no key,plant/a\n".to_string(),
            5_677 => ",,plant/a\n".to_string(),
            9_999 => "meter-0,,plant/a\n".to_string(),
            _ if number % 3 == 0 => {
                format!("meter-{number},{:064x},plant/a;plant/b\n", number + 1)
            }
            _ => format!("meter-{number},,plant/a\n"),
        };
    }
    let at = |name: &str| session.directory.path().join(name);
    std::fs::write(at("fleet.csv"), file).unwrap();
    let import = |number: u32| {
        let start = Instant::now();
        let (text, code) = session.run(&format!(
            "e4 import csv fleet.csv --create-topics --json --out keys-{number}.csv >{number}.json"
        ));
        println!("import {number}: {:.1} s\n{text}", start.elapsed().as_secs_f64());
        assert_eq!(code, 1, "{text}");
        let results = std::fs::read(at(&format!("{number}.json"))).unwrap();
        let results: Vec<serde_json::Value> = serde_json::from_slice(&results).unwrap();
        (text, results, std::fs::read(at(&format!("keys-{number}.csv"))).unwrap())
    };
    let records = || {
        let (text, code) = session.run("e4 status --json");
        assert_eq!(code, 0, "{text}");
        let status: serde_json::Value = serde_json::from_str(&text).unwrap();
        status["auditRecords"].as_i64().unwrap()
    };

    let (text, results, keys) = import(1);
    assert!(text.contains("3 of 10000 rows failed, the first is fleet.csv:1235: key: "), "{text}");
    assert_eq!(results.len(), 10_000);
    let failed: Vec<i64> = results
        .iter()
        .filter(|row| row["result"] == "failed")
        .map(|row| row["line"].as_i64().unwrap())
        .collect();
    assert_eq!(failed, [1_235, 5_679, 10_001]);
    assert!(results.iter().all(|row| row["result"] == "failed" || row["result"] == "created"));
    // One line for each key that C2 made, and the head.
    assert_eq!(keys.iter().filter(|byte| **byte == b'\n').count(), 6_666);
    let (text, _) = session.run("e4 client list | wc -l; e4 topic clients plant/b --json");
    let (count, members) = text.split_once('\n').unwrap();
    assert_eq!(count.trim(), "9997");
    let members: Vec<String> = serde_json::from_str(members).unwrap();
    assert_eq!(members.len(), 3_332);

    let before = records();
    let (text, again, keys_again) = import(2);
    assert!(text.contains("nothing has changed"), "{text}");
    assert!(results == again && keys == keys_again);
    assert_eq!(records(), before);
}
