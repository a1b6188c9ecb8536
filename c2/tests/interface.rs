// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The interface of a real engine, in this process: events over HTTP, JSON, limits, certificates.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use common::database::ann;
use common::fleet::{apply, service};
use common::world::World;
use e4_c2::api::{Api, Settings, tls};
use e4_c2::domain::{Credential, Operation, Role};
use e4_c2::reconcile::Engine;
use e4_c2::service::{NewToken, Service};
use e4_c2::store::Sqlite;
use serde_json::{Value, json};

struct Served {
    api: Api,
    engine: Engine,
    service: Service,
    world: std::sync::Arc<World>,
    token: String,
}

impl Served {
    fn start(open: bool) -> Self {
        let service = service(Box::new(Sqlite::memory().unwrap()), e4::Mode::Symmetric);
        let world = World::new();
        let engine = world.engine(&service);
        let listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        let api = Api::start(
            Settings { listen, tls: None, open, automation: Vec::new() },
            &service,
            &engine,
        )
        .unwrap();
        let new = NewToken {
            name: "ann".into(),
            role: Role::Admin,
            messages: true,
            expires_at: None,
            certificate: None,
        };
        let token = service.create_token(&ann(), &new).unwrap().unwrap().to_string();
        Self { api, engine, service, world, token }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.api.addresses()[0]).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Sends a request, and returns what is behind the head of the answer.
    fn send(&self, verb: &str, path: &str, more: &str, body: &str) -> BufReader<TcpStream> {
        let mut stream = self.connect();
        let token = &self.token;
        write!(
            stream,
            "{verb} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
             connection: close\r\ncontent-length: {}\r\n{more}\r\n{body}",
            body.len()
        )
        .unwrap();
        BufReader::new(stream)
    }

    fn call(&self, verb: &str, path: &str, more: &str, body: &str) -> (u16, Vec<String>, Value) {
        let mut answer = String::new();
        self.send(verb, path, more, body).read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let headers = head.lines().skip(1).map(str::to_lowercase).collect();
        (status, headers, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

/// The next event of a stream of server-sent events: its id, name and data.
fn next_event(lines: &mut impl Iterator<Item = String>) -> (Option<i64>, String, Value) {
    let (mut id, mut name) = (None, String::new());
    for line in lines {
        if let Some(text) = line.strip_prefix("id: ") {
            id = Some(text.parse().unwrap());
        } else if let Some(text) = line.strip_prefix("event: ") {
            name = text.into();
        } else if let Some(text) = line.strip_prefix("data: ") {
            return (id, name, serde_json::from_str(text).unwrap());
        }
    }
    panic!("the stream ended");
}

/// The next event that has a number, and that.
fn recorded(lines: &mut impl Iterator<Item = String>) -> (i64, String) {
    loop {
        if let (Some(id), name, _) = next_event(lines) {
            return (id, name);
        }
    }
}

fn events(answer: BufReader<TcpStream>) -> impl Iterator<Item = String> {
    answer.lines().map(|line| line.unwrap())
}

#[test]
fn events_are_told_as_they_happen_and_again_after_a_number() {
    let served = Served::start(false);
    let mut live = events(served.send("GET", "/e4/events", "", ""));
    live.find(|line| line.is_empty()).unwrap();
    let device = served.world.device(&served.service, "pump", true);
    assert_eq!(served.call("POST", "/e4/topic/plant/pressure", "", "").0, 200);
    let (status, headers, body) =
        served.call("PUT", "/e4/client/pump/topic/plant/pressure", "", "");
    assert_eq!((status, body), (200, json!({})));
    let number = headers.iter().find_map(|line| line.strip_prefix("e4-operation: ")).unwrap();
    let number: i64 = number.parse().unwrap();
    // Told by the engine, between the others.
    let mut told: Vec<(Option<i64>, String, Value)> = Vec::new();
    while told.iter().filter(|(id, ..)| id.is_some()).count() < 3
        || !told.iter().any(|(_, name, _)| name == "CLIENT_CONFIRMED")
    {
        told.push(next_event(&mut live));
    }
    device.comes_right(&served.service);
    let (confirmed, written): (Vec<_>, Vec<_>) =
        told.into_iter().partition(|(id, ..)| id.is_none());
    assert!(
        confirmed
            .iter()
            .all(|(_, name, event)| name != "CLIENT_CONFIRMED" || event["source"] == "pump")
    );
    let names: Vec<&str> = written.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(names, ["CLIENT_CREATED", "TOPIC_CREATED", "CLIENT_SUBSCRIBED"]);
    let (id, _, event) = &written[2];
    assert_eq!(*id, Some(number));
    assert_eq!(event["source"], "pump");
    assert_eq!(event["target"], "plant/pressure");
    assert_eq!(event["actor"], "ann");
    assert_eq!(event["number"], number.to_string());
    assert!(event["timestamp"].as_str().unwrap().starts_with("20"));

    // Another server writes; a listener that comes back misses nothing and hears nothing twice.
    let leave =
        Operation::RemoveTopicClient { topic: "plant/pressure".into(), client: "pump".into() };
    apply(&served.service, leave);
    let back = format!("last-event-id: {}\r\n", number - 1);
    let mut again = events(served.send("GET", "/e4/events", &back, ""));
    assert_eq!(recorded(&mut again), (number, "CLIENT_SUBSCRIBED".into()));
    assert_eq!(recorded(&mut again), (number + 1, "CLIENT_UNSUBSCRIBED".into()));
    assert_eq!(recorded(&mut live), (number + 1, "CLIENT_UNSUBSCRIBED".into()));
    apply(&served.service, Operation::NewTopic { topic: "plant/pressure".into() });
    assert_eq!(recorded(&mut again), (number + 2, "TOPIC_ROTATED".into()));
    assert_eq!(recorded(&mut live), (number + 2, "TOPIC_ROTATED".into()));
    drop(served.engine);
}

#[test]
fn figures_and_the_document_are_for_those_who_may_look() {
    let mut served = Served::start(false);
    let mut text = String::new();
    served.send("GET", "/metrics", "", "").read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(text.contains("\ne4_") && text.trim_end().ends_with("# EOF"), "{text}");
    served.token = "e4_unknown".into();
    for path in ["/metrics", "/openapi.json", "/e4", "/e4/clients"] {
        assert_eq!(served.call("GET", path, "", "").0, 401, "{path}");
    }
    let mut text = String::new();
    served.send("GET", "/live", "", "").read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[test]
fn a_stream_ends_with_its_token_and_with_the_server() {
    let served = Served::start(false);
    let mut stream = events(served.send("GET", "/e4/events?after=999", "", ""));
    stream.find(|line| line.is_empty()).unwrap();
    // What is after a number that was never given is what comes.
    apply(&served.service, Operation::NewTopic { topic: "t".into() });
    assert_eq!(recorded(&mut stream).1, "TOPIC_CREATED");
    served.service.revoke_token(&ann(), "ann").unwrap();
    let end: Vec<String> = stream.collect();
    assert!(end.iter().any(|line| line.contains("was revoked")), "{end:?}");

    let mut served = Served::start(false);
    let ends_at = Some(served.service.clock().now() + 1500);
    let new = NewToken {
        name: "short".into(),
        role: Role::Reader,
        messages: false,
        expires_at: ends_at,
        certificate: None,
    };
    served.token = served.service.create_token(&ann(), &new).unwrap().unwrap().to_string();
    let stream = events(served.send("GET", "/e4/events", "", ""));
    let end: Vec<String> = stream.collect();
    assert!(end.iter().any(|line| line.contains("has expired")), "{end:?}");

    let served = Served::start(false);
    let mut stream = events(served.send("GET", "/e4/events", "", ""));
    stream.find(|line| line.is_empty()).unwrap();
    drop(served.api);
    // The chunk that says that this is the whole of it: the connection was not cut.
    assert!(stream.any(|line| line == "0"));
}

#[test]
fn passwords_are_few_at_a_time_also_where_a_name_must_be_new() {
    let served = Served::start(false);
    let change = |number: usize, new: bool| {
        json!({ "newClient": {
            "client": { "name": format!("c{number}") },
            "password": "a password of a device",
            "mustBeNew": new,
        } })
    };
    for new in [false, true] {
        let changes: Vec<Value> = (0..33).map(|number| change(number, new)).collect();
        let body = json!({ "changes": changes }).to_string();
        let (status, _, answer) = served.call("POST", "/e4/batch", "", &body);
        assert_eq!(status, 400, "{answer}");
        assert!(answer["message"].as_str().unwrap().contains("more than 32 with a password"));
    }
    assert_eq!(served.service.count_clients().unwrap(), 0);
    assert_eq!(served.call("DELETE", "/e4/tokens/a%00b", "", "").0, 404);
    assert_eq!(served.call("GET", "/e4/tokens?count=9&after=%00", "", "").0, 200);
}

#[test]
fn a_change_is_followed_by_its_number() {
    let served = Served::start(false);
    let device = served.world.device(&served.service, "pump", true);
    served.call("POST", "/e4/topic/t", "", "");
    let (_, headers, _) = served.call("PUT", "/e4/client/pump/topic/t", "", "");
    let number = headers.iter().find_map(|line| line.strip_prefix("e4-operation: ")).unwrap();
    device.comes_right(&served.service);
    common::fleet::until("the operation is confirmed", || {
        let (status, _, body) = served.call("GET", &format!("/e4/operation/{number}"), "", "");
        assert_eq!((status, &body["action"]), (200, &json!("new_topic_client")));
        body["clients"] == json!({"queued": "0", "handed": "0", "failed": "0", "confirmed": "1"})
    });
    assert_eq!(served.call("GET", "/e4/operation/999", "", "").0, 404);
}

#[test]
fn what_is_not_understood_is_refused_with_a_reason_and_without_the_input() {
    let served = Served::start(false);
    let secret = "c2VjcmV0c2VjcmV0c2VjcmV0";
    let cases: [(&str, &str, String, u16, &str); 14] = [
        ("POST", "/e4/client/a", "{".into(), 400, "the body: it is not JSON"),
        ("POST", "/e4/client/a", "[]".into(), 400, "the body"),
        ("POST", "/e4/client/a", format!("{{\"key\": [\"{secret}\"]}}"), 400, "the body"),
        ("POST", "/e4/client/a", format!("{{\"kex\": \"{secret}\"}}"), 400, "kex"),
        ("POST", "/e4/client/a", format!("{{\"key\": \"{secret}\"}}"), 400, "key: "),
        (
            "POST",
            "/e4/client/a",
            format!("{{\"key\": \"{secret}\", \"generate\": true}}"),
            400,
            "one of",
        ),
        ("POST", "/e4/client/a", format!("{{\"key\": \"!{secret}\"}}"), 400, "the body"),
        ("GET", "/e4/clients?count=many", String::new(), 400, "count: is no number"),
        ("GET", "/e4/clients?count=-1", String::new(), 400, "count: is below 0"),
        ("GET", "/e4/clients?cuont=1", String::new(), 400, "there is no field cuont"),
        ("GET", "/e4/client/a/state?client.name=b", String::new(), 400, "in the path already"),
        ("GET", "/e4/client/a/state", String::new(), 404, "client \"a\" does not exist"),
        ("PATCH", "/e4/clients", String::new(), 405, "not with this method"),
        ("GET", "/e4", String::new(), 404, "there is no such path"),
    ];
    for (verb, path, body, status, why) in cases {
        let (got, _, answer) = served.call(verb, path, "", &body);
        let text = answer["message"].as_str().unwrap();
        assert_eq!(got, status, "{verb} {path} {body}: {text}");
        assert!(text.contains(why), "{verb} {path} {body}: {text}");
        assert!(!answer.to_string().contains("c2VjcmV0"), "{text}");
    }
    let long = " ".repeat(e4_c2::api::MESSAGE_MAX + 1);
    let (status, _, answer) = served.call("POST", "/e4/client/a", "", &long);
    assert_eq!(status, 400, "{answer}");
    assert_eq!(served.service.count_clients().unwrap(), 0);
}

#[test]
fn without_authentication_no_page_of_a_browser_gets_in() {
    let served = Served::start(true);
    assert_eq!(served.call("POST", "/e4/topic/t", "", "").0, 200);
    let page = "origin: https://elsewhere.example\r\n";
    assert_eq!(served.call("POST", "/e4/topic/u", page, "").0, 403);
    let mut stream = served.connect();
    write!(
        stream,
        "GET /e4/topics?count=9 HTTP/1.1\r\nhost: rebound.example:8888\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(served.service.count_topics().unwrap(), 1);
}

#[test]
fn a_certificate_of_our_own_is_renewed_and_its_authority_stays() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let write =
        |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).map_err(|error| error.to_string());
    let read = |name: &str| std::fs::read(place.join(name)).unwrap();
    let day = 86_400;
    let now = 1_800_000_000;
    let files = tls::own(place, &[], now, write).unwrap();
    tls::load(&files).unwrap();
    let (ca, first) = (read("ca.pem"), read("cert.pem"));
    tls::own(place, &[], now + 300 * day, write).unwrap();
    assert_eq!(read("cert.pem"), first);
    let names = ["c2.example.org".to_string(), "192.0.2.7".to_string()];
    tls::own(place, &names, now + 300 * day, write).unwrap();
    let named = read("cert.pem");
    assert_ne!(named, first);
    tls::load(&tls::own(place, &names, now + 680 * day, write).unwrap()).unwrap();
    assert_ne!(read("cert.pem"), named);
    assert_eq!(read("ca.pem"), ca);
    assert!(tls::own(place, &["no name".to_string()], now, write).unwrap_err().contains("no name"));
    std::fs::write(place.join("key.pem"), "not a key").unwrap();
    let error = tls::load(&files).unwrap_err();
    assert!(error.contains("key.pem") && !error.contains("not a key"), "{error}");
}

#[test]
fn secrets_of_messages_are_not_printed() {
    use e4_c2::api::pb;
    let client = pb::NewClientRequest {
        key: vec![7; 32],
        password: "a password of a device".into(),
        ..pb::NewClientRequest::default()
    };
    assert_eq!(format!("{client:?}"), "NewClientRequest");
    let change = pb::Change { change: Some(pb::change::Change::NewClient(client)) };
    assert!(!format!("{change:?}").contains("password of"));
    let key = Credential::Password("a password of a device".to_string().into());
    assert!(!format!("{key:?}").contains("password of"));
}
