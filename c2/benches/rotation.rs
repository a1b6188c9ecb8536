// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a topic rotation costs: the call itself, and bringing the new key to every client through a
//! broker. Beside it the way of earlier servers: one publish at a time, each waited for, QoS 2.
//!
//! `cargo bench -p e4-c2 [-- CLIENTS...]`; without numbers 10,000 and 100,000 clients, and the time
//! to start with 1,000,000. Mosquitto has to be installed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use e4::protect::protect_command;
use e4::{ClientId, ClientTopic, IdKey, Mode, Timestamp, TopicHash, TopicKey};
use e4_c2::domain::{Caller, Clock, Credential, Operation, SystemClock};
use e4_c2::reconcile::{Engine, Patience};
use e4_c2::service::Service;
use e4_c2::store::{Sqlite, Store, Unlock};
use e4_c2::transport::{Commands, Event, Link, Options, Qos};

const TOPIC: &str = "plant/pressure";

fn main() {
    let sizes: Vec<usize> =
        std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let all = sizes.is_empty();
    let sizes = if all { vec![10_000, 100_000] } else { sizes };
    let directory = tempfile::tempdir().unwrap();
    for (number, size) in sizes.iter().enumerate() {
        let path = directory.path().join(format!("{number}.sqlite"));
        println!("\n{size} clients of one topic, SQLite in a file");
        fill(&open(&path), *size);
        rotation(&path, *size);
    }
    if all {
        let path = directory.path().join("million.sqlite");
        println!("\n1000000 clients of one topic, SQLite in a file");
        fill(&open(&path), 1_000_000);
        start(&path);
    }
    earlier_servers();
}

fn open(path: &std::path::Path) -> Service {
    let unlock = Unlock::KeyFile(vec![1; 32].into());
    let database = Box::new(Sqlite::file(path).unwrap());
    let clock = Arc::new(SystemClock);
    let store = Store::open(database, &unlock, Some(Mode::Symmetric), clock.now()).unwrap();
    Service::new(Arc::new(store), clock)
}

fn caller() -> Caller {
    Caller::new("bench", "bench")
}

/// Clients that hold the topic's key and said so.
fn fill(service: &Service, size: usize) {
    let begin = Instant::now();
    service.apply(&caller(), &Operation::NewTopic { topic: TOPIC.into() }).unwrap();
    let mut next = 0;
    while next < size {
        let names: Vec<String> =
            (next..size.min(next + 5000)).map(|number| format!("device-{number}")).collect();
        next += names.len();
        let key = |name: &String| {
            Credential::Key(ClientId::from_name(name).unwrap().as_bytes().repeat(2).into())
        };
        let create = names
            .iter()
            .map(|name| Operation::NewClient { client: name.clone(), credential: key(name) });
        let join = names
            .iter()
            .map(|name| Operation::NewTopicClient { topic: TOPIC.into(), client: name.clone() });
        let operations: Vec<Operation> = create.chain(join).collect();
        let results = service.apply_all(&caller(), &operations).unwrap();
        assert!(results.iter().all(Result::is_ok));
    }
    // They need nothing: only the rotation is measured.
    service.store().write(|tx| tx.assume_settled()).unwrap();
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "  created and joined, with audit records:  {:>10.0} operations/s",
        2.0 * size as f64 / seconds
    );
}

fn rotation(path: &std::path::Path, size: usize) {
    for (qos, window, label) in [
        (Qos::AtLeastOnce, 20, "QoS 1, window 20"),
        (Qos::ExactlyOnce, 20, "QoS 2, window 20"),
        (Qos::AtLeastOnce, 500, "QoS 1, window 500, max_inflight_messages 0"),
    ] {
        let broker = Mosquitto::start(window > 20);
        let service = open(path);
        let options = Options { window, ..Options::new("127.0.0.1", broker.port, "bench") };
        let (store, clock) = (service.store().clone(), service.clock().clone());
        let patience = Patience { first: Duration::from_secs(3600), ..Patience::default() };
        let engine = Engine::start(store, clock, patience, |events| {
            Commands::connect(&options, qos, events)
        });
        let engine = engine.unwrap();
        let figures = engine.figures().clone();
        while !figures.connected.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let begin = Instant::now();
        service.apply(&caller(), &Operation::NewTopic { topic: TOPIC.into() }).unwrap();
        let call = begin.elapsed();
        engine.wake();
        while figures.handed.load(Ordering::Relaxed) < size as u64 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let seconds = begin.elapsed().as_secs_f64();
        println!(
            "  rotation through Mosquitto, {label}: the call {:.2} ms; all taken by the broker in \
             {seconds:.2} s, {:.0} clients/s",
            call.as_secs_f64() * 1000.0,
            size as f64 / seconds
        );
    }
}

fn start(path: &std::path::Path) {
    let before = resident();
    let begin = Instant::now();
    let service = open(path);
    let opened = begin.elapsed();
    let broker = Mosquitto::start(false);
    let options = Options::new("127.0.0.1", broker.port, "bench");
    let (store, clock) = (service.store().clone(), service.clock().clone());
    let engine = Engine::start(store, clock, Patience::default(), |events| {
        Commands::connect(&options, Qos::AtLeastOnce, events)
    })
    .unwrap();
    while !engine.figures().connected.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let ready = begin.elapsed();
    std::thread::sleep(Duration::from_secs(1));
    let begin = Instant::now();
    service.apply(&caller(), &Operation::NewTopic { topic: TOPIC.into() }).unwrap();
    let call = begin.elapsed();
    println!(
        "  database open after {:.1} ms, connected and at work after {:.1} ms, resident memory \
         grew by {:.1} MB; the call of a rotation {:.2} ms",
        opened.as_secs_f64() * 1000.0,
        ready.as_secs_f64() * 1000.0,
        (resident() - before) / 1e6,
        call.as_secs_f64() * 1000.0
    );
}

/// Resident memory of this process in bytes, where the system tells.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let kb = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kb.unwrap_or_default() * 1024.0
}

/// Protect, publish with QoS 2, wait for the end of it, next.
fn earlier_servers() {
    const SIZE: usize = 5_000;
    let broker = Mosquitto::start(false);
    let (sender, events) = channel();
    let options = Options { window: 1, ..Options::new("127.0.0.1", broker.port, "bench") };
    let link = Link::connect(&options, move |event| sender.send(event).is_ok()).unwrap();
    while !matches!(events.recv().unwrap(), Event::Connected) {}
    let key = IdKey::random().unwrap();
    let topic = TopicHash::from_topic(TOPIC).unwrap();
    let begin = Instant::now();
    for number in 0..SIZE {
        let id = ClientId::from_name(&format!("device-{number}")).unwrap();
        let command = e4::Command::SetTopicKey { topic, key: TopicKey::random().unwrap() };
        let payload = protect_command(&key, Timestamp::now(), &command).unwrap();
        link.publish(&ClientTopic::control(id), Qos::ExactlyOnce, &payload).unwrap();
        while !matches!(events.recv().unwrap(), Event::Published(_)) {}
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "\nthe way of earlier servers, one publish at a time, QoS 2, nothing stored: {:.0} clients/s",
        SIZE as f64 / seconds
    );
}

struct Mosquitto {
    child: Child,
    port: u16,
    _config: tempfile::NamedTempFile,
}

impl Mosquitto {
    fn start(wide: bool) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let config = tempfile::NamedTempFile::new().unwrap();
        let inflight = if wide { "max_inflight_messages 0\n" } else { "" };
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\n{inflight}");
        std::fs::write(config.path(), text).unwrap();
        let child = ["mosquitto", "/usr/sbin/mosquitto"].iter().find_map(|program| {
            let mut command = Command::new(program);
            command.arg("-c").arg(config.path()).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().ok()
        });
        let child = child.expect("mosquitto is not installed");
        let broker = Self { child, port, _config: config };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        broker
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
