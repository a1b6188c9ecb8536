// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 device` over a real broker, with a C2 played by the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Output, Stdio};
use std::time::Duration;

use common::{Mosquitto, e4};
use e4::protect::protect_command;
use e4::{
    C2PublicKey, C2SecretKey, ClientId, ClientTopic, Command, CommandKey, IdKey, PublicKey,
    SharedKey, Timestamp, TopicHash, TopicKey,
};
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};

const TOPIC: &str = "plant/pressure";

/// A device at work.
struct Device {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    said: String,
}

impl Device {
    /// Starts it and waits until it is connected.
    fn start(folder: &Path, broker: &str, name: &str, more: &[&str]) -> Self {
        let mut child = e4()
            .current_dir(folder)
            .args(["device", "--name", name, "--broker", broker, "--subscribe", TOPIC])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut device = Self { child, input, output, said: String::new() };
        device.wait_for("connected to");
        device
    }

    fn wait_for(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "no {words}: {}", self.said);
            self.said.push_str(&line);
        }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Ends its input, and gives everything that it printed.
    fn finish(mut self) -> String {
        drop(self.input.take());
        self.output.read_to_string(&mut self.said).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut self.said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.said);
        std::mem::take(&mut self.said)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// Publishes commands with QoS 2 and returns when the broker has all of them.
fn send(broker: &Mosquitto, commands: &[(ClientId, Vec<u8>)]) {
    let (host, port) = broker
        .address()
        .rsplit_once(':')
        .map(|(h, p)| (h.to_string(), p.parse().unwrap()))
        .unwrap();
    let (client, mut connection) = Client::new(MqttOptions::new("c2", host, port), 50);
    for (id, command) in commands {
        let control = ClientTopic::control(*id);
        client.publish(control.as_str(), QoS::ExactlyOnce, false, command.clone()).unwrap();
    }
    let mut taken = 0;
    while taken < commands.len() {
        if let Event::Incoming(Packet::PubComp(_)) =
            connection.recv_timeout(Duration::from_secs(20)).expect("the broker answers").unwrap()
        {
            taken += 1;
        }
    }
    client.disconnect().unwrap();
}

fn protect(id: ClientId, key: &impl CommandKey, command: &Command) -> (ClientId, Vec<u8>) {
    (id, protect_command(key, Timestamp::now(), command).unwrap().to_vec())
}

fn set_topic_key(key: &[u8; 32]) -> Command {
    let topic = TopicHash::from_topic(TOPIC).unwrap();
    Command::SetTopicKey { topic, key: TopicKey::from_slice(key).unwrap() }
}

fn keygen(folder: &Path, kind: &str, out: &str) -> Vec<u8> {
    let made =
        e4().current_dir(folder).args(["keygen", "--type", kind, "--out", out]).output().unwrap();
    assert!(made.status.success());
    std::fs::read(folder.join(out)).unwrap()
}

fn id(name: &str) -> ClientId {
    ClientId::from_name(name).unwrap()
}

#[test]
fn two_devices_talk_and_remember_in_symmetric_mode() {
    let Some(broker) = Mosquitto::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let secrets = [keygen(folder.path(), "symmetric", "alice.key"), vec![0x5a; 32]];
    std::fs::write(folder.path().join("bob.password"), "the password of bob\n").unwrap();
    let key_of_alice = IdKey::from_slice(&secrets[0]).unwrap();
    let key_of_bob = e4::crypto::password::id_key_from_password("the password of bob").unwrap();
    let address = broker.address();

    let mut alice = Device::start(folder.path(), &address, "alice", &["--key", "alice.key"]);
    let mut bob =
        Device::start(folder.path(), &address, "bob", &["--password-file", "bob.password"]);
    let command = set_topic_key(&[0x5a; 32]);
    send(
        &broker,
        &[protect(id("alice"), &key_of_alice, &command), protect(id("bob"), &key_of_bob, &command)],
    );
    alice.wait_for("SetTopicKey applied");
    bob.wait_for("SetTopicKey applied");
    alice.type_line("send plant/pressure 4.2 bar");
    bob.wait_for("< plant/pressure: 4.2 bar");
    alice.type_line("clear plant/pressure not protected");
    bob.wait_for("< plant/pressure: ");
    alice.type_line("send nowhere x");
    alice.type_line("nonsense");
    alice.type_line("help");
    let said = alice.finish() + &bob.finish();
    for words in
        ["error: nowhere: topic key not found\nhint: ", "error: no such command: nonsense\nhint: "]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    for secret in &secrets {
        assert!(!said.contains(&hex::encode(secret)));
    }

    // After a restart, without any key on the command line.
    let mut bob = Device::start(folder.path(), &address, "bob", &[]);
    let mut alice = Device::start(folder.path(), &address, "alice", &[]);
    alice.type_line("send plant/pressure 4.3 bar");
    bob.wait_for("< plant/pressure: 4.3 bar");
    alice.finish();
    assert!(bob.finish().contains("1 topic keys"));
}

#[test]
fn two_devices_talk_in_public_key_mode() {
    let Some(broker) = Mosquitto::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let c2 = C2SecretKey::from_slice(&keygen(folder.path(), "x25519", "c2.key")).unwrap();
    let mut devices = Vec::new();
    for name in ["carol", "dave"] {
        let file = format!("{name}.key");
        keygen(folder.path(), "ed25519", &file);
        let public = std::fs::read(folder.path().join(format!("{file}.pub"))).unwrap();
        let public = PublicKey::from_slice(&public).unwrap();
        let shared = SharedKey::for_c2(&c2, &public).unwrap();
        let arguments = ["--key", &file, "--c2-key", "c2.key.pub"];
        let device = Device::start(folder.path(), &broker.address(), name, &arguments);
        devices.push((device, public, shared));
    }
    let (mut dave, public_of_dave, with_dave) = devices.pop().unwrap();
    let (mut carol, public_of_carol, with_carol) = devices.pop().unwrap();
    let (id_of_carol, id_of_dave) = (id("carol"), id("dave"));
    send(
        &broker,
        &[
            protect(id_of_carol, &with_carol, &set_topic_key(&[7; 32])),
            protect(id_of_dave, &with_dave, &set_topic_key(&[7; 32])),
            protect(
                id_of_carol,
                &with_carol,
                &Command::SetPubKey { id: id_of_dave, key: public_of_dave },
            ),
        ],
    );
    carol.wait_for("SetPubKey applied");
    dave.wait_for("SetTopicKey applied");
    dave.type_line("send plant/pressure signed");
    carol.wait_for(&format!("< plant/pressure: signed  (signed by {id_of_dave})"));
    // Dave does not know carol's key yet.
    carol.type_line("send plant/pressure from carol");
    dave.wait_for("signer public key not found");
    let command = Command::SetPubKey { id: id_of_carol, key: public_of_carol };
    send(&broker, &[protect(id_of_dave, &with_dave, &command)]);
    dave.wait_for("SetPubKey applied");
    carol.type_line("send plant/pressure again");
    dave.wait_for(&format!("again  (signed by {id_of_carol})"));
    carol.finish();
    dave.finish();
    assert!(
        C2PublicKey::from_slice(&std::fs::read(folder.path().join("c2.key.pub")).unwrap()).is_ok()
    );
}

/// Runs a device without input; it must fail, with a hint or not.
fn fail(folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = e4()
        .current_dir(folder)
        .args(["device", "--broker", "127.0.0.1:1"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    String::from_utf8(stderr).unwrap()
}

#[test]
fn bad_input_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    keygen(folder, "symmetric", "a.key");
    keygen(folder, "ed25519", "b.key");
    keygen(folder, "x25519", "c2.key");
    std::fs::write(folder.join("short"), "too short\n").unwrap();
    std::fs::write(folder.join("junk.e4state"), "junk").unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["--name", "a"], "error: this device is new and needs a key\nhint: "),
        (&["--name", ""], "error: name must be 1 to 255 bytes"),
        (
            &["--name", "a", "--key", "b.key"],
            "error: b.key is not a symmetric key of 32 bytes\nhint: ",
        ),
        (
            &["--name", "a", "--key", "a.key", "--c2-key", "c2.key.pub"],
            "error: a.key is not an ed25519",
        ),
        (&["--name", "a", "--key", "b.key", "--c2-key", "b.key"], "error: b.key is not an x25519"),
        (&["--name", "a", "--key", "none.key"], "error: none.key: "),
        (&["--name", "a", "--password-file", "short"], "error: password must be at least 16 bytes"),
        (&["--name", "junk", "--key", "a.key"], "error: junk.e4state: not a state file"),
        (&["--name", "a", "--key", "a.key"], "error: broker 127.0.0.1:1: "),
        (
            &["--name", "b", "--state", "a.e4state"],
            "error: a.e4state belongs to another device\nhint: ",
        ),
    ];
    for (arguments, words) in cases {
        let said = fail(folder, arguments);
        assert!(said.starts_with(words), "{arguments:?}: {said}");
    }
}
