// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 serve` and `e4 device`, as the programs that people run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use common::e4;
use common::fleet::{apply, until};
use e4_c2::domain::{Clock, Credential, Operation, State, SystemClock};
use e4_c2::service::Service;
use e4_c2::store::{Sqlite, Store, Unlock};

/// A free port.
const ANY: &str = "127.0.0.1:0";

/// A server with an embedded broker on a free port.
struct Serve {
    child: Child,
    broker: String,
}

impl Serve {
    fn start(data: &Path, listen: &str) -> Self {
        let mut command = e4();
        command.args(["serve", "--log-format", "json", "--embedded-listen", listen]);
        command.args(common::ANY_PORTS);
        command.arg("--data").arg(data).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let broker = lines.find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            line["fields"]["broker"].as_str().map(str::to_string)
        });
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, broker: broker.unwrap() }
    }

    fn stop(mut self) -> Option<i32> {
        signal(&self.child, "TERM");
        self.child.wait().unwrap().code()
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(status.unwrap().success());
}

/// The operations on the same database, as another process would do them.
fn operator(data: &Path) -> Service {
    let unlock = Unlock::KeyFile(std::fs::read(data.join("key")).unwrap().into());
    let database = Sqlite::file(&data.join("c2.sqlite")).unwrap();
    let clock = Arc::new(SystemClock);
    let store = Store::open(Box::new(database), &unlock, None, clock.now()).unwrap();
    Service::new(Arc::new(store), clock)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

fn fails(command: &mut Command, words: &[&str]) {
    let output = command.output().unwrap();
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn a_device_gets_its_keys_and_keeps_them_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("server");
    let serve = Serve::start(&data, ANY);
    let service = operator(&data);
    let topic = "plant/pressure".to_string();
    let key = |name: &str| {
        let credential = Credential::Random;
        let made = apply(&service, Operation::NewClient { client: name.into(), credential });
        let path = directory.path().join(format!("{name}.key"));
        std::fs::write(&path, &*made.secret.unwrap().0).unwrap();
        path
    };
    let device = |name: &str, key: &Path, broker: &str, linger: &str| {
        let mut command = e4();
        command.args(["device", "--name", name, "--broker", broker, "--linger", linger]);
        command.arg("--key").arg(key).args(["--subscribe", "plant/pressure"]);
        command.current_dir(directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    let (pump_key, gauge_key) = (key("pump"), key("gauge"));
    apply(&service, Operation::NewTopic { topic: topic.clone() });
    for client in ["pump", "gauge"] {
        let client = client.to_string();
        apply(&service, Operation::NewTopicClient { topic: topic.clone(), client });
    }
    let settled = |name: &str| {
        let state = service.client_state(name).unwrap();
        state.answers && state.deliveries.iter().all(|one| one.state == State::Confirmed)
    };
    let gauge = device("gauge", &gauge_key, &serve.broker, "60");
    let mut pump = device("pump", &pump_key, &serve.broker, "60");
    until("both confirmed", || settled("pump") && settled("gauge"));

    // A rotation while the server is away.
    let broker = serve.broker.clone();
    assert_eq!(serve.stop(), Some(0));
    apply(&service, Operation::NewTopic { topic });
    assert!(!settled("pump"));
    let serve = Serve::start(&data, &broker);
    until("both confirmed again", || settled("pump") && settled("gauge"));
    assert_eq!(service.topic_state("plant/pressure").unwrap().clients.confirmed, 2);

    pump.stdin.take().unwrap().write_all(b"send plant/pressure 4.2 bar\n").unwrap();
    let mut gauge = gauge;
    let heard = BufReader::new(gauge.stdout.take().unwrap())
        .lines()
        .find(|line| line.as_ref().unwrap().contains("4.2 bar"));
    assert_eq!(heard.unwrap().unwrap(), "< plant/pressure: 4.2 bar");
    for mut child in [pump, gauge] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(serve.stop(), Some(0));
    let verified = e4().args(["audit", "verify", "--data"]).arg(&data).output().unwrap();
    assert!(text(&verified).starts_with("intact: 6 records"), "{}", text(&verified));
}

#[test]
fn one_server_for_a_directory_and_only_with_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("server");
    let serve = Serve::start(&data, ANY);
    fails(e4().args(["serve", "--data"]).arg(&data), &["error: another e4 serve", "hint: "]);
    assert_eq!(serve.stop(), Some(0));

    let mode = ["--mode", "public-key"];
    fails(e4().args(["serve", "--data"]).arg(&data).args(mode), &["the other mode", "hint: "]);
    let pass = directory.path().join("pass");
    std::fs::write(&pass, "a passphrase of a person\n").unwrap();
    let rekey = |old: &[&str], new: &[&str]| {
        let mut command = e4();
        command.args(["rekey", "--data"]).arg(&data).args(old).args(new);
        command.current_dir(directory.path());
        command
    };
    let new = ["--new-passphrase-file", "pass"];
    assert!(rekey(&[], &new).status().unwrap().success());
    fails(&mut rekey(&[], &new), &["error: ", "locked with a passphrase", "hint: "]);
    std::fs::write(&pass, "another passphrase\n").unwrap();
    let old = ["--passphrase-file", "pass"];
    fails(&mut rekey(&old, &["--new-key-file", "key2"]), &["is not the one", "hint: "]);
    std::fs::write(&pass, "a passphrase of a person\n").unwrap();
    assert!(rekey(&old, &["--new-key-file", "key2"]).status().unwrap().success());
    std::fs::write(&pass, "short").unwrap();
    fails(&mut rekey(&["--key-file", "key2"], &new), &["passphrase: shorter than 12 bytes"]);
    fails(e4().args(["audit", "verify", "--data", "nowhere"]), &["does not exist", "hint: "]);
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_what_the_first_start_makes() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("server");
    assert_eq!(Serve::start(&data, ANY).stop(), Some(0));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for name in ["key", "c2.sqlite", "instance"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
}

#[test]
fn flags_come_before_environment_before_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("e4.toml");
    std::fs::write(&file, "qos = 0\nwindow = 7\nkeep-alive = 11\nmode = \"public-key\"\n").unwrap();
    let print = |more: &[&str]| {
        let mut command = e4();
        command.args(["serve", "--print-config", "--config"]).arg(&file).args(more);
        command.env("E4_WINDOW", "9").env("E4_QOS", "1");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let config = print(&["--qos", "2"]);
    for line in ["qos = 2", "window = 9", "keep-alive = 11", "mode = \"public-key\""] {
        assert!(config.lines().any(|at| at == line), "{line}: {config}");
    }
    // What it prints it reads.
    std::fs::write(&file, &config).unwrap();
    assert_eq!(print(&["--qos", "2"]), config);
    std::fs::write(&file, "widnow = 7\n").unwrap();
    fails(
        e4().args(["serve", "--config"]).arg(&file),
        &["there is no setting \"widnow\"", "hint: settings are data"],
    );
    fails(
        e4().args(["serve", "--broker", "nonsense", "--data"]).arg(directory.path()),
        &["HOST:PORT"],
    );
}
