// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How long each page takes, and what it weighs, with a fleet stored: 10,000 devices and 50 topics,
//! ten of which have all devices, in the middle of a rotation.
//!
//! `cargo bench -p e4-c2 --bench pages [-- devices=10000 rounds=20 database=postgres]`. SQLite in a
//! file, or a PostgreSQL server of its own; one caller at a time over HTTP/1.1 on the loopback,
//! signed in with a token. It fails where the median of a page is over 100 ms or the page is over
//! 300 KB.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use e4::{ClientId, Mode};
use e4_c2::api::{Api, Settings};
use e4_c2::domain::{Caller, Clock, Credential, Operation, Role, SystemClock};
use e4_c2::reconcile::{Engine, Patience, Publisher};
use e4_c2::service::{NewToken, Service};
use e4_c2::store::{Database, Postgres, Sqlite, Store, Unlock};

const MOST: Duration = Duration::from_millis(100);
const KILOBYTES: usize = 300;
const TOPICS: usize = 50;
/// Topics that have all devices; the others have one in forty.
const FULL: usize = 10;

/// Every page that there is.
const PAGES: [&str; 30] = [
    "/",
    "/devices",
    "/devices?search=device-0099",
    "/devices?state=confirmed",
    "/devices?state=waiting",
    "/devices?state=failed",
    "/devices?after=device-05000",
    "/devices/new",
    "/device?name=device-00017",
    "/device/remove?name=device-00017",
    "/topics",
    "/topics?search=full",
    "/topics/new",
    "/topic?name=full/0",
    "/topic?name=part/20",
    "/topic/rotate?name=full/0",
    "/topic/remove?name=full/0",
    "/map?topic=full/0",
    "/map/topic.png?topic=full/0",
    "/map/topic.png?topic=part/20",
    "/policies",
    "/policies/new",
    "/audit",
    "/audit?text=device-00017",
    "/audit?text=nothing+has+this",
    "/tokens",
    "/tokens/new",
    "/about",
    "/about/dependencies",
    "/assets/style.css",
];

#[path = "../tests/common/postgres.rs"]
mod postgres;

fn not_installed(what: &str) {
    panic!("{what} is not installed");
}

struct Nobody;

impl Publisher for Nobody {
    fn publish(&self, _: &str, _: &[u8]) -> Result<u64, String> {
        Err("there is no broker".into())
    }
}

fn argument(name: &str, or: usize) -> usize {
    let prefix = format!("{name}=");
    let found = std::env::args().find_map(|word| word.strip_prefix(&prefix)?.parse().ok());
    found.unwrap_or(or)
}

fn main() {
    let (devices, rounds) = (argument("devices", 10_000), argument("rounds", 20));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pages.sqlite");
    let database = || -> Box<dyn Database> {
        if on_postgres() {
            static ADDRESS: OnceLock<String> = OnceLock::new();
            let address = ADDRESS.get_or_init(|| postgres::server().unwrap().database());
            return Box::new(Postgres::new(address, None, None).unwrap());
        }
        Box::new(Sqlite::file(&path).unwrap())
    };
    let unlock = Unlock::KeyFile(vec![1; 32].into());
    let clock = Arc::new(SystemClock);
    let store = Store::open(database(), &unlock, Some(Mode::Symmetric), clock.now());
    let service = Service::new(Arc::new(store.unwrap()), clock);
    let begin = Instant::now();
    fill(&service, devices);
    stand(&*database(), service.clock().now());
    println!("{devices} devices and {TOPICS} topics stored in {:.1?}", begin.elapsed());

    let (stored, clock) = (service.store().clone(), service.clock().clone());
    let engine = Engine::start(stored, clock, Patience::default(), |_| Ok(Nobody)).unwrap();
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let api = Api::start(
        Settings { listen, tls: None, open: false, automation: Vec::new() },
        &service,
        &engine,
    )
    .unwrap();
    let address = *api.addresses().first().unwrap();
    let cookie = sign_in(address, &token(&service));

    println!("{:<40} {:>8} {:>8} {:>8}", "page", "median", "worst", "KB");
    let mut slow = Vec::new();
    for page in PAGES {
        let mut times = Vec::new();
        let mut length = 0;
        for _ in 0..rounds {
            let begin = Instant::now();
            let answer = get(address, page, &cookie);
            times.push(begin.elapsed());
            // A page of a part that is not there is no page.
            assert!(answer.status == 200 || answer.status == 404, "{page}: {}", answer.status);
            length = if answer.status == 200 { answer.body.len() } else { 0 };
            // The overview counts once a second: each time anew is what it costs at most.
            if page == "/" {
                std::thread::sleep(Duration::from_millis(1050));
            }
        }
        if length == 0 {
            println!("{page:<40} is not there");
            continue;
        }
        times.sort_unstable();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        println!("{page:<40} {:>8.1} {:>8.1} {:>8}", ms(median), ms(worst), length.div_ceil(1000));
        if median > MOST || length > KILOBYTES * 1000 {
            slow.push(page);
        }
    }
    assert!(slow.is_empty(), "over {MOST:?} or {KILOBYTES} KB: {slow:?}");
}

fn fill(service: &Service, devices: usize) {
    let caller = Caller::new("bench", "bench");
    let topic = |number: usize| match number {
        0..FULL => format!("full/{number}"),
        _ => format!("part/{number}"),
    };
    let topics = (0..TOPICS).map(|number| Operation::NewTopic { topic: topic(number) });
    service.apply_all(&caller, &topics.collect::<Vec<_>>()).unwrap();
    let numbers: Vec<usize> = (0..devices).collect();
    for part in numbers.chunks(1000) {
        let mut operations = Vec::new();
        for number in part {
            let client = format!("device-{number:05}");
            let key = ClientId::from_name(&client).unwrap().as_bytes().repeat(2);
            let credential = Credential::Key(key.into());
            operations.push(Operation::NewClient { client: client.clone(), credential });
            for place in 0..TOPICS {
                if place < FULL || number % (TOPICS - FULL) == place - FULL {
                    let topic = topic(place);
                    operations.push(Operation::NewTopicClient { topic, client: client.clone() });
                }
            }
        }
        let results = service.apply_all(&caller, &operations).unwrap();
        assert!(results.iter().all(Result::is_ok));
    }
}

/// Past the code: as after a rotation that two thirds of the devices have confirmed.
fn stand(database: &dyn Database, now: i64) {
    let later = now + 3_600_000;
    let script = format!(
        "UPDATE holdings SET sent = 1, confirmed = 1, handed = 1, changed_at = {now};
         UPDATE topics SET epoch = 2;
         INSERT INTO topic_keys (topic, epoch, sealed, print, made_at)
           SELECT topic, 2, sealed, print, made_at FROM topic_keys;
         UPDATE holdings SET sent = 2, confirmed = 2 WHERE client % 3 <> 0;
         UPDATE holdings SET sent = 2, tries = 3 WHERE client % 3 = 0;
         UPDATE holdings SET failed = -100 WHERE client % 100 = 0 AND subject = 1;
         UPDATE clients SET answers = 1, seen_at = {now}, due_at = NULL;
         UPDATE clients SET due_at = {later} WHERE id % 3 = 0;"
    );
    let mut connection = database.connect().unwrap();
    connection.script(&script).unwrap();
    if on_postgres() {
        // What the server does by itself a minute after so many changes.
        connection.script("VACUUM ANALYZE").unwrap();
    }
}

fn on_postgres() -> bool {
    std::env::args().any(|word| word == "database=postgres")
}

fn token(service: &Service) -> String {
    let (name, role) = ("bench".to_string(), Role::Admin);
    let new = NewToken { name, role, messages: false, expires_at: None, certificate: None };
    service.create_token(&Caller::new("bench", "bench"), &new).unwrap().unwrap().to_string()
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

fn call(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

fn get(address: SocketAddr, path: &str, cookie: &str) -> Answer {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: text/html\r\ncookie: {cookie}\r\n\
         connection: close\r\n\r\n"
    );
    call(address, &request)
}

/// The cookie of a session.
fn sign_in(address: SocketAddr, token: &str) -> String {
    let cookie = |answer: &Answer| {
        let line = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        line.unwrap().split(';').next().unwrap().to_string()
    };
    let page = get(address, "/sign-in", "");
    let first = cookie(&page);
    let text = String::from_utf8(page.body).unwrap();
    let form = text.split("name=\"form-token\" value=\"").nth(1).unwrap();
    let form = form.split('"').next().unwrap();
    let body = format!("form-token={form}&token={token}");
    let request = format!(
        "POST /sign-in HTTP/1.1\r\nhost: {address}\r\ncookie: {first}\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = call(address, &request);
    assert_eq!(answer.status, 303, "{}", answer.head);
    cookie(&answer)
}
