// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Many callers of the interface beside a rotation that never ends: calls per second, how long they
//! take, errors, and the memory of the server.
//!
//! `cargo bench -p e4-c2 --bench api [-- callers=200 seconds=60 clients=2000]`. Half of the callers
//! speak gRPC, half HTTP/1.1, each over a TLS connection of its own that is kept; one call in five
//! changes something. The topic that is rotated has `clients` clients, of which none answers; the
//! next rotation begins when the broker took the last key.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use e4_c2::api::pb;
use pb::c2_client::C2Client;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

const TOPIC: &str = "load/rotated";

/// `e4 serve`, killed at the end.
struct Server {
    child: Child,
    grpc: String,
    http: String,
    token: String,
    ca: Vec<u8>,
}

impl Server {
    fn start(data: &Path) -> Self {
        let program = env!("CARGO_BIN_EXE_e4");
        let mut command = Command::new(program);
        command.args(["serve", "--log-format", "json", "--log", "info"]);
        for listen in ["--embedded-listen", "--grpc-listen", "--http-listen"] {
            command.args([listen, "127.0.0.1:0"]);
        }
        let mut child = command.arg("--data").arg(data).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut found = BTreeMap::new();
        for line in lines.by_ref() {
            let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            let message = line.pointer("/fields/message").and_then(|text| text.as_str()).unwrap();
            if let Some((what, url)) = message.split_once(": https://") {
                found.insert(what.to_string(), url.to_string());
            }
            if message.starts_with("e4 serves") {
                break;
            }
        }
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line.contains("\"WARN\"") || line.contains("\"ERROR\"") {
                    eprintln!("{line}");
                }
            }
        });
        let token = data.join("load.token");
        let mut create = Command::new(program);
        create.args(["token", "create", "load", "--role", "admin", "--data"]).arg(data);
        let made = create.arg("--out").arg(&token).stdout(Stdio::null()).status().unwrap();
        assert!(made.success());
        Self {
            child,
            grpc: found.remove("gRPC").unwrap(),
            http: found.remove("HTTP").unwrap(),
            token: std::fs::read_to_string(token).unwrap().trim().into(),
            ca: std::fs::read(data.join("tls").join("ca.pem")).unwrap(),
        }
    }

    /// Megabytes of memory by a name in /proc; 0 where there is none.
    fn memory(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) / 1024
    }

    async fn grpc(&self) -> Grpc {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca));
        let endpoint = Endpoint::new(format!("https://{}", self.grpc)).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect().await.unwrap();
        Grpc { c2: C2Client::new(channel), token: format!("Bearer {}", self.token) }
    }

    async fn http(&self) -> Http {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(&self.http).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let name = "localhost".try_into().unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        Http { stream: tokio::io::BufReader::new(stream), token: self.token.clone() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Grpc {
    c2: C2Client<Channel>,
    token: String,
}

impl Grpc {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.token.parse().unwrap());
        request
    }

    async fn call(&mut self, number: usize, name: &str) -> Result<(), Status> {
        let client = Some(pb::Client { name: name.into() });
        let (topic, count) = (format!("load/{name}"), 100);
        match number % 10 {
            0 | 5 if number.is_multiple_of(4) => {
                let request = self.request(pb::NewTopicClientRequest { client, topic });
                self.c2.new_topic_client(request).await.map(drop)
            }
            0 | 5 => {
                let request = self.request(pb::NewTopicRequest { topic });
                self.c2.new_topic(request).await.map(drop)
            }
            1 | 6 => {
                let message = pb::GetClientsRequest { count, ..Default::default() };
                self.c2.get_clients(self.request(message)).await.map(drop)
            }
            2 | 7 => {
                let request = self.request(pb::GetClientStateRequest { client });
                self.c2.get_client_state(request).await.map(drop)
            }
            3 | 8 => {
                let message = pb::GetTopicsForClientRequest { client, count, ..Default::default() };
                self.c2.get_topics_for_client(self.request(message)).await.map(drop)
            }
            _ => self.c2.count_topics(self.request(pb::CountTopicsRequest {})).await.map(drop),
        }
    }
}

struct Http {
    stream: tokio::io::BufReader<TlsStream<TcpStream>>,
    token: String,
}

impl Http {
    async fn call(&mut self, number: usize, name: &str) -> Result<(), String> {
        let (verb, path) = match number % 10 {
            0 | 5 if number.is_multiple_of(4) => {
                ("PUT", format!("/e4/client/{name}/topic/load/{name}"))
            }
            0 | 5 => ("POST", format!("/e4/topic/load/{name}")),
            1 | 6 => ("GET", "/e4/clients?count=100".into()),
            2 | 7 => ("GET", format!("/e4/client/{name}/state")),
            3 | 8 => ("GET", format!("/e4/client/{name}/topics?count=100")),
            _ => ("GET", "/e4/topics/count".into()),
        };
        self.send(verb, &path).await.map_err(|error| format!("{verb} {path}: {error}"))
    }

    async fn send(&mut self, verb: &str, path: &str) -> Result<(), std::io::Error> {
        let token = &self.token;
        let head = format!(
            "{verb} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
             content-length: 0\r\n\r\n"
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.flush().await?;
        let (mut first, mut length) = (String::new(), 0);
        self.stream.read_line(&mut first).await?;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await?;
            match line.to_lowercase().strip_prefix("content-length:") {
                Some(number) => length = number.trim().parse().unwrap(),
                None if line.trim().is_empty() => break,
                None => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        match first.split(' ').nth(1) {
            Some("200") => Ok(()),
            _ => Err(std::io::Error::other(format!("{first}{}", String::from_utf8_lossy(&body)))),
        }
    }
}

/// What callers saw: microseconds of reads and changes, and what went wrong.
#[derive(Default)]
struct Seen {
    reads: Vec<u64>,
    changes: Vec<u64>,
    errors: Vec<String>,
}

impl Seen {
    fn note(&mut self, number: usize, start: Instant, done: Result<(), String>) {
        let took = u64::try_from(start.elapsed().as_micros()).unwrap();
        match done {
            Ok(()) if number.is_multiple_of(5) => self.changes.push(took),
            Ok(()) => self.reads.push(took),
            Err(error) => self.errors.push(error),
        }
    }

    fn add(&mut self, other: Self) {
        self.reads.extend(other.reads);
        self.changes.extend(other.changes);
        self.errors.extend(other.errors);
    }

    fn show(what: &str, mut all: Vec<u64>, seconds: u64) {
        all.sort_unstable();
        let at = |share: usize| all.get(all.len() * share / 100).copied().unwrap_or(0) as f64 / 1e3;
        let last = all.last().copied().unwrap_or(0) as f64 / 1e3;
        let rate = all.len() as u64 / seconds.max(1);
        println!(
            "{what:<16} {:>8} calls {rate:>6}/s  p50 {:>7.1} ms  p99 {:>7.1} ms  longest {last:>7.1} ms",
            all.len(),
            at(50),
            at(99),
        );
    }
}

/// Clients, and which of them have the topic that is rotated.
async fn fill(server: &Server, clients: usize, callers: usize) {
    use pb::change::Change as Is;
    let mut c2 = server.grpc().await;
    let client = |name: &str| Some(pb::Client { name: name.into() });
    let mut changes = vec![Is::NewTopic(pb::NewTopicRequest { topic: TOPIC.into() })];
    for number in 0..clients {
        let name = format!("device-{number:06}");
        let new =
            pb::NewClientRequest { client: client(&name), generate: true, ..Default::default() };
        changes.push(Is::NewClient(new));
        let (client, topic) = (client(&name), TOPIC.into());
        changes.push(Is::NewTopicClient(pb::NewTopicClientRequest { client, topic }));
    }
    for number in 0..callers {
        let name = format!("caller-{number}");
        let new =
            pb::NewClientRequest { client: client(&name), generate: true, ..Default::default() };
        changes.push(Is::NewClient(new));
        changes.push(Is::NewTopic(pb::NewTopicRequest { topic: format!("load/{name}") }));
    }
    for some in changes.chunks(1000) {
        let changes =
            some.iter().map(|change| pb::Change { change: Some(change.clone()) }).collect();
        let request = c2.request(pb::BatchRequest { changes, ..Default::default() });
        let results = c2.c2.batch(request).await.unwrap().into_inner().results;
        assert!(results.iter().all(|result| result.code == 0));
    }
}

/// Rotates until the end, each time when the broker has the keys of the last one.
async fn rotate(server: Arc<Server>, end: Instant) -> (usize, Vec<String>) {
    let (mut c2, mut rotations, mut errors) = (server.grpc().await, 0, Vec::new());
    while Instant::now() < end {
        let request = c2.request(pb::NewTopicRequest { topic: TOPIC.into() });
        if let Err(status) = c2.c2.new_topic(request).await {
            errors.push(format!("rotation: {status}"));
        }
        rotations += 1;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let request = c2.request(pb::GetTopicStateRequest { topic: TOPIC.into() });
            match c2.c2.get_topic_state(request).await {
                Ok(state) if state.get_ref().clients.is_some_and(|counts| counts.queued == 0) => {
                    break;
                }
                Ok(_) if Instant::now() < end => {}
                Ok(_) => break,
                Err(status) => errors.push(format!("state: {status}")),
            }
        }
    }
    (rotations, errors)
}

async fn run(callers: usize, seconds: u64, clients: usize) {
    let directory = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::start(&directory.path().join("data")));
    fill(&server, clients, callers).await;
    println!("{callers} callers for {seconds} s, a topic of {clients} clients in rotation");
    println!("memory at the start: {} MB", server.memory("VmRSS"));
    let mut speakers: Vec<(Option<Grpc>, Option<Http>)> = Vec::new();
    for number in 0..callers {
        speakers.push(match number % 2 {
            0 => (Some(server.grpc().await), None),
            _ => (None, Some(server.http().await)),
        });
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let rotation = tokio::spawn(rotate(server.clone(), end));
    let tasks: Vec<_> = speakers
        .into_iter()
        .enumerate()
        .map(|(number, (mut grpc, mut http))| {
            tokio::spawn(async move {
                let (name, mut seen) = (format!("caller-{number}"), Seen::default());
                for number in number.. {
                    let start = Instant::now();
                    if start >= end {
                        break;
                    }
                    let done = match (&mut grpc, &mut http) {
                        (Some(grpc), _) => {
                            let called = grpc.call(number, &name).await;
                            called.map_err(|status| status.to_string())
                        }
                        (_, Some(http)) => http.call(number, &name).await,
                        _ => Ok(()),
                    };
                    seen.note(number, start, done);
                }
                (grpc.is_some(), seen)
            })
        })
        .collect();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(seconds) / 6).await;
        println!("memory: {} MB", server.memory("VmRSS"));
    }
    let (mut over_grpc, mut over_http) = (Seen::default(), Seen::default());
    for task in tasks {
        let (is_grpc, seen) = task.await.unwrap();
        if is_grpc { over_grpc.add(seen) } else { over_http.add(seen) }
    }
    let (rotations, mut errors) = rotation.await.unwrap();
    println!(
        "rotations: {rotations}, {} keys taken by the broker or more",
        rotations.saturating_sub(1) * clients
    );
    for (name, seen) in [("gRPC", over_grpc), ("HTTP", over_http)] {
        Seen::show(&format!("{name} reads"), seen.reads, seconds);
        Seen::show(&format!("{name} changes"), seen.changes, seconds);
        errors.extend(seen.errors);
    }
    println!("most memory: {} MB", server.memory("VmHWM"));
    println!("errors: {}", errors.len());
    for error in errors.iter().take(5) {
        println!("  {error}");
    }
    assert!(errors.is_empty());
}

fn main() {
    let argument = |name: &str, default: u64| {
        let given =
            std::env::args().find_map(|at| at.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
        given.unwrap_or(default)
    };
    let size = |name: &str, default: u64| usize::try_from(argument(name, default)).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run(size("callers", 200), argument("seconds", 60), size("clients", 2000)));
}
