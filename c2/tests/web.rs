// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The pages: who sees them, who may post, what they say to browsers, what they never show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use common::database::{Hands, NOON, ann, join, new_client, new_topic, store};
use common::fleet::{apply, service, until};
use common::world::World;
use e4::Mode;
use e4_c2::api::{Api, Settings, tls};
use e4_c2::domain::Role;
use e4_c2::reconcile::Engine;
use e4_c2::service::{NewToken, Service};
use e4_c2::store::Sqlite;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

const HOUR: i64 = 3_600_000;

/// A service with pages over it.
struct Place {
    service: Service,
    clock: Arc<Hands>,
    world: Arc<World>,
    engine: Engine,
    api: Api,
    address: SocketAddr,
}

impl Place {
    fn new(mode: Mode, open: bool) -> Self {
        let store = store(Box::new(Sqlite::memory().unwrap()), mode);
        let clock = Hands::at(NOON);
        Self::over(Service::new(Arc::new(store), clock.clone()), clock, open)
    }

    /// At the time of the system, as the devices of a world have it.
    fn now() -> Self {
        let service = service(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric);
        Self::over(service, Hands::at(NOON), false)
    }

    fn over(service: Service, clock: Arc<Hands>, open: bool) -> Self {
        let world = World::new();
        let engine = world.engine(&service);
        let api = serve(&service, &engine, open);
        let address = api.addresses()[0];
        Self { service, clock, world, engine, api, address }
    }

    fn token(&self, name: &str, role: Role, expires_at: Option<i64>) -> String {
        let name = name.to_string();
        let new = NewToken { name, role, messages: false, expires_at, certificate: None };
        self.service.create_token(&ann(), &new).unwrap().unwrap().to_string()
    }

    fn visitor(&self) -> Visitor {
        Visitor { address: self.address, cookies: BTreeMap::new(), headers: Vec::new() }
    }

    fn signed_in(&self, name: &str, role: Role) -> Visitor {
        let token = self.token(name, role, None);
        let mut visitor = self.visitor();
        assert_eq!(visitor.sign_in(&token).status, 303);
        visitor
    }

    fn refusals(&self) -> Vec<String> {
        let records = self.service.audit_records(0, 1000).unwrap();
        let refused = records.into_iter().filter(|record| record.action == "refused");
        refused.map(|record| format!("{} {}", record.actor, record.detail)).collect()
    }
}

fn serve(service: &Service, engine: &Engine, open: bool) -> Api {
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    Api::start(Settings { listen, tls: None, open, automation: Vec::new() }, service, engine)
        .unwrap()
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What its forms carry.
    fn form_token(&self) -> String {
        let text = self.text();
        let after = text.split("name=\"form-token\" value=\"").nth(1).expect("a form");
        after.split('"').next().unwrap().to_string()
    }
}

/// A browser, as far as it matters here.
#[derive(Clone)]
struct Visitor {
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
    headers: Vec<(&'static str, String)>,
}

impl Visitor {
    fn send(&mut self, verb: &str, path: &str, body: &str) -> TcpStream {
        let host = self.headers.iter().find(|(name, _)| *name == "host");
        let host = host.map_or(self.address.to_string(), |(_, host)| host.clone());
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut head = format!(
            "{verb} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\naccept: text/html\r\n\
             cookie: {}\r\ncontent-length: {}\r\n",
            cookies.join("; "),
            body.len()
        );
        if verb == "POST" {
            head += "content-type: application/x-www-form-urlencoded\r\n";
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != "host") {
            head += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        stream
    }

    fn call(&mut self, verb: &str, path: &str, body: &str) -> Answer {
        let mut bytes = Vec::new();
        self.send(verb, path, body).read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pair = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_string(), value.to_string())
        };
        let headers: Vec<_> = lines.map(pair).collect();
        for (_, value) in headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, rest) = value.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.into(), value.into());
            }
        }
        let chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
        let body = &bytes[end + 4..];
        let body = if chunked { whole(body) } else { body.to_vec() };
        Answer { status, headers, body }
    }

    fn get(&mut self, path: &str) -> Answer {
        self.call("GET", path, "")
    }

    /// Fills the form of a page and posts it.
    fn post(&mut self, page: &str, to: &str, fields: &str) -> Answer {
        let token = self.get(page).form_token();
        self.call("POST", to, &format!("form-token={token}&{fields}"))
    }

    fn sign_in(&mut self, token: &str) -> Answer {
        self.post("/sign-in", "/sign-in", &format!("token={token}"))
    }
}

/// What came in chunks.
fn whole(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|two| two == b"\r\n").expect("a length");
        let length = std::str::from_utf8(&chunks[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend(&chunks[end + 2..end + 2 + length]);
        chunks = &chunks[end + 2 + length + 2..];
    }
}

#[test]
fn signing_in_and_out() {
    let place = Place::new(Mode::Symmetric, false);
    let token = place.token("ann", Role::Admin, None);
    let mut visitor = place.visitor();
    let away = visitor.get("/audit?text=x");
    assert_eq!((away.status, away.header("location")), (303, "/sign-in?next=/audit%3Ftext%3Dx"));
    let page = visitor.get("/sign-in?next=/audit%3Ftext%3Dx");
    assert_eq!(page.status, 200);

    let wrong = visitor.sign_in("e4_wrong");
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("not known here") && !wrong.text().contains("e4_wrong"));
    assert!(place.refusals()[0].starts_with("stranger"), "{:?}", place.refusals());
    assert!(!place.refusals()[0].contains("e4_wrong"));

    let before = visitor.cookies.clone();
    let form = visitor.get("/sign-in?next=/audit%3Ftext%3Dx").form_token();
    let body = format!("form-token={form}&token={token}&next=/audit%3Ftext%3Dx");
    let answer = visitor.call("POST", "/sign-in", &body);
    assert_eq!((answer.status, answer.header("location")), (303, "/audit?text=x"));
    let cookie = answer.header("set-cookie");
    for word in ["e4-session=", "HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    // Nobody who knew the cookie before is signed in by this.
    assert_ne!(before, visitor.cookies);
    let page = visitor.get("/").text();
    assert!(page.contains("ann") && page.contains("admin") && page.contains("Overview"));

    let out = visitor.post("/", "/sign-out", "");
    assert_eq!((out.status, out.header("location")), (303, "/sign-in?why=out"));
    assert_eq!(visitor.get("/").status, 303);
}

#[test]
fn the_way_back_stays_here() {
    let place = Place::new(Mode::Symmetric, false);
    let token = place.token("ann", Role::Reader, None);
    for (next, to) in [
        ("/topics", "/topics"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/%5Cevil.example", "/"),
        ("/%0d%0aset-cookie:a=b", "/"),
        ("/sign-in", "/"),
        ("", "/"),
    ] {
        let body = format!("token={token}&next={next}");
        let answer = place.visitor().post("/sign-in", "/sign-in", &body);
        assert_eq!((answer.status, answer.header("location")), (303, to), "{next}");
    }
}

#[test]
fn forms_come_from_pages_of_the_session() {
    let place = Place::new(Mode::Symmetric, false);
    let mut visitor = place.signed_in("ann", Role::Admin);
    let mut other = place.signed_in("bob", Role::Admin);
    let form = visitor.get("/tokens/new").form_token();
    let foreign = other.get("/tokens/new").form_token();
    let fields = "name=eve&role=admin&ends=0";
    for body in [
        fields.to_string(),
        format!("form-token=&{fields}"),
        format!("form-token={foreign}&{fields}"),
        format!("form-token={}&{fields}", "A".repeat(43)),
    ] {
        assert_eq!(visitor.call("POST", "/tokens/new", &body).status, 403, "{body}");
    }
    // In the address it does not count: that is written down in too many places.
    let path = format!("/tokens/new?form-token={form}");
    assert_eq!(visitor.call("POST", &path, fields).status, 403);
    let body = format!("form-token={form}&{fields}");
    for (name, value) in [
        ("origin", "https://evil.example".to_string()),
        ("origin", "null".into()),
        ("origin", format!("http://evil.{}", place.address)),
        ("sec-fetch-site", "cross-site".into()),
        ("sec-fetch-site", "same-site".into()),
    ] {
        visitor.headers = vec![(name, value.clone())];
        assert_eq!(visitor.call("POST", "/tokens/new", &body).status, 403, "{name}: {value}");
    }
    assert_eq!(place.refusals().len(), 10);
    assert!(place.refusals().iter().all(|refusal| refusal.starts_with("ann")));
    visitor.headers = vec![
        ("origin", format!("http://{}", place.address)),
        ("sec-fetch-site", "same-origin".into()),
    ];
    let made = visitor.call("POST", "/tokens/new", &body);
    assert_eq!(made.status, 200, "{}", made.text());
}

#[test]
fn roles_see_and_do_what_is_theirs() {
    let place = Place::new(Mode::Symmetric, false);
    apply(&place.service, new_client("pump"));
    let mut reader = place.signed_in("rita", Role::Reader);
    let page = reader.get("/").text();
    assert!(page.contains("rita") && !page.contains("href=\"/tokens\""));
    assert!(!page.contains("href=\"/audit\""));
    for path in ["/tokens", "/tokens/new", "/tokens/revoke?name=rita", "/audit", "/audit/export"] {
        assert_eq!(reader.get(path).status, 403, "{path}");
    }
    let refusals = place.refusals().len();
    for (path, fields) in [
        ("/tokens/new", "name=eve&role=admin&ends=0"),
        ("/tokens/revoke", "name=rita"),
        ("/audit/verify", ""),
    ] {
        assert_eq!(reader.post("/", path, fields).status, 403, "{path}");
    }
    assert_eq!(place.refusals().len(), refusals + 3);
    assert!(place.service.tokens(&e4_c2::domain::Page::first(10)).unwrap().len() == 1);
    // Who may only add devices does not look.
    let mut provisioner = place.signed_in("factory", Role::DeviceProvisioner);
    assert_eq!(provisioner.get("/").status, 403);
    assert_eq!(provisioner.get("/updates").status, 403);
}

#[test]
fn sessions_end() {
    let place = Place::new(Mode::Symmetric, false);
    let brief = place.token("brief", Role::Reader, Some(NOON + HOUR));
    let mut brief_visitor = place.visitor();
    brief_visitor.sign_in(&brief);
    let mut visitor = place.signed_in("ann", Role::Admin);
    let mut revoked = place.signed_in("gone", Role::Reader);
    assert_eq!(revoked.get("/").status, 200);
    assert_eq!(brief_visitor.get("/").status, 200);

    let answer = visitor.post("/tokens/revoke?name=gone", "/tokens/revoke", "name=gone");
    assert_eq!((answer.status, answer.header("location")), (303, "/tokens"));
    let page = visitor.get("/tokens").text();
    assert!(page.contains("gone was revoked."));
    assert!(!visitor.get("/tokens").text().contains("gone was revoked."), "it is said once");
    let away = revoked.get("/");
    assert_eq!((away.status, away.header("location")), (303, "/sign-in?why=ended"));

    place.clock.turn(HOUR);
    assert_eq!(brief_visitor.get("/").header("location"), "/sign-in?why=ended");
    assert_eq!(visitor.get("/").status, 200);
    place.clock.turn(7 * HOUR - 1);
    let form = visitor.get("/").form_token();
    assert_eq!(visitor.get("/").status, 200);
    place.clock.turn(1);
    let away = visitor.get("/topics");
    let location = away.header("location");
    assert_eq!((away.status, location), (303, "/sign-in?next=/topics&why=expired"));
    assert!(visitor.get(location).text().contains("expired"));
    let post = visitor.call("POST", "/tokens/revoke", &format!("form-token={form}&name=ann"));
    assert_eq!(post.status, 303);
    assert_eq!(place.service.tokens(&e4_c2::domain::Page::first(10)).unwrap().len(), 2);
}

#[test]
fn sessions_are_of_the_database() {
    let place = Place::new(Mode::Symmetric, false);
    let mut visitor = place.signed_in("ann", Role::Admin);
    // Another server on the same database, and the same after a restart.
    let beside = serve(&place.service, &place.engine, false);
    visitor.address = beside.addresses()[0];
    assert_eq!(visitor.get("/").status, 200);
    drop(place.api);
    assert_eq!(visitor.get("/").status, 200);
    // Another database.
    let other = Place::new(Mode::Symmetric, false);
    visitor.address = other.address;
    assert_eq!(visitor.get("/").status, 303);
    // One bit.
    visitor.address = beside.addresses()[0];
    let cookie = visitor.cookies.get_mut("e4-session").unwrap();
    let first = if cookie.starts_with('A') { "B" } else { "A" };
    cookie.replace_range(0..1, first);
    assert_eq!(visitor.get("/").status, 303);
}

#[test]
fn what_browsers_are_told() {
    let place = Place::new(Mode::Symmetric, false);
    let mut visitor = place.signed_in("ann", Role::Admin);
    for path in ["/", "/sign-in", "/tokens", "/nothing", "/map/topic.png?topic=none"] {
        let answer = visitor.get(path);
        let policy = answer.header("content-security-policy");
        for word in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(word), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
    }
    let page = visitor.get("/").text();
    for inline in ["style=", "<style", "onclick=", "javascript:", "http://", "https://"] {
        assert!(!page.contains(inline), "{inline}");
    }
    for script in page.split("<script").skip(1) {
        assert!(script.starts_with(" src=\"/assets/"), "{script}");
    }
    assert_eq!(visitor.get("/nothing").status, 404);
    let asset = page.split("href=\"/assets/style.css").nth(1).unwrap().split('"').next().unwrap();
    let asset = place.visitor().get(&format!("/assets/style.css{asset}"));
    assert_eq!(asset.status, 200);
    assert!(asset.header("cache-control").contains("immutable"));
    // What is not a page for people is the interface's.
    visitor.headers = vec![("accept", "application/json".into())];
    let answer = visitor.get("/e4/clients");
    assert_eq!((answer.status, answer.header("content-type")), (401, "application/json"));
}

#[test]
fn without_authentication() {
    let place = Place::new(Mode::Symmetric, true);
    let mut visitor = place.visitor();
    let page = visitor.get("/tokens/new");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Nobody is asked who they are"));
    let fields = "name=eve&role=reader&ends=1";
    assert_eq!(visitor.call("POST", "/tokens/new", fields).status, 403);
    let body = format!("form-token={}&{fields}", page.form_token());
    visitor.headers = vec![("origin", "http://evil.example".into())];
    assert_eq!(visitor.call("POST", "/tokens/new", &body).status, 403);
    // Another name of this machine, that a page elsewhere may have had resolved.
    let port = place.address.port();
    visitor.headers = vec![("host", format!("evil.example:{port}"))];
    assert_eq!(visitor.get("/").status, 403);
    visitor.headers = vec![("host", format!("localhost:{port}"))];
    assert_eq!(visitor.get("/").status, 200);
    visitor.headers = vec![("origin", format!("http://{}", place.address))];
    assert_eq!(visitor.call("POST", "/tokens/new", &body).status, 200);
}

#[test]
fn refused_tokens_are_counted() {
    let place = Place::new(Mode::Symmetric, false);
    let mut visitor = place.visitor();
    let form = visitor.get("/sign-in").form_token();
    let statuses: Vec<u16> = (0..40)
        .map(|number| {
            let body = format!("form-token={form}&token=e4_{number}");
            visitor.call("POST", "/sign-in", &body).status
        })
        .collect();
    assert_eq!(statuses[0], 401);
    assert_eq!(*statuses.last().unwrap(), 429, "{statuses:?}");
    // Who has one is not in their way.
    assert_eq!(place.signed_in("ann", Role::Reader).get("/").status, 200);
}

/// What a server answers to a request over TLS.
fn over_tls(address: SocketAddr, ca: &str, request: &str) -> String {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    // The end of a connection need not be announced.
    let _ = stream.read_to_string(&mut text);
    text
}

#[test]
fn over_tls_cookies_are_for_tls_alone() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::now();
    let write = |path: &std::path::Path, bytes: &[u8]| {
        std::fs::write(path, bytes).map_err(|error| error.to_string())
    };
    let now = place.service.clock().now() / 1000;
    let files = tls::own(directory.path(), &[], now, write).unwrap();
    let tls = Some(Arc::new(tls::load(&files).unwrap()));
    let ca = std::fs::read_to_string(directory.path().join("ca.pem")).unwrap();
    let listen = vec!["127.0.0.1:0".parse().unwrap()];
    let settings = Settings { listen, tls, open: false, automation: Vec::new() };
    let api = Api::start(settings, &place.service, &place.engine).unwrap();
    let address = api.addresses()[0];
    let page = over_tls(
        address,
        &ca,
        "GET /sign-in HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    );
    let line = page.lines().find(|line| line.starts_with("set-cookie: ")).unwrap();
    assert!(line.starts_with("set-cookie: __Host-e4-session="), "{line}");
    for word in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(line.contains(word), "{line}");
    }
    assert!(!line.contains("Domain"), "{line}");
    let cookie = line["set-cookie: ".len()..].split(';').next().unwrap();
    let form = page.split("name=\"form-token\" value=\"").nth(1).unwrap();
    let form = form.split('"').next().unwrap();
    let body = format!("form-token={form}&token={}", place.token("ann", Role::Reader, None));
    let request = format!(
        "POST /sign-in HTTP/1.1\r\nhost: localhost\r\norigin: https://localhost\r\n\
         connection: close\r\ncookie: {cookie}\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len()
    );
    let answer = over_tls(address, &ca, &request);
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    assert!(answer.contains("__Host-e4-session="), "{answer}");
}

/// The pages that need no name.
const PAGES: [&str; 12] = [
    "/",
    "/devices",
    "/topics",
    "/policies",
    "/audit",
    "/audit?text=pump&from=2027-01-01&to=2027-02-01",
    "/tokens",
    "/tokens/new",
    "/about",
    "/about/dependencies",
    "/map?topic=plant/pressure",
    "/map/topic.png?topic=plant/pressure",
];

#[test]
fn pages_are_small_and_show_no_secret() {
    let place = Place::new(Mode::PublicKey, false);
    apply(&place.service, new_topic("plant/pressure"));
    let mut secrets = Vec::new();
    for number in 0..200 {
        let name = format!("pump-{number}");
        let outcome = apply(&place.service, new_client(&name));
        let secret = outcome.secret.unwrap();
        secrets.push(hex::encode(&secret.0));
        apply(&place.service, join("plant/pressure", &name));
    }
    let mut visitor = place.signed_in("ann", Role::Admin);
    let made = visitor.post("/tokens/new", "/tokens/new", "name=bob&role=operator&ends=90");
    let text = made.text();
    let token = text.split("e4_").nth(1).unwrap().split('<').next().unwrap();
    assert_eq!(token.len(), 43);
    assert_eq!(text.matches(&format!("e4_{token}")).count(), 1);
    secrets.push(token.to_string());
    secrets.push(hex::encode(place.service.store().form_token(b"")));
    for page in PAGES {
        let answer = visitor.get(page);
        if answer.status == 404 {
            continue;
        }
        assert_eq!(answer.status, 200, "{page}");
        assert!(answer.body.len() < 300_000, "{page}: {} bytes", answer.body.len());
        let text = answer.text();
        for secret in &secrets {
            assert!(!text.contains(secret), "{page}");
        }
    }
    let wrong = visitor.post("/tokens/new", "/tokens/new", "name=bob&role=reader&ends=30");
    assert_eq!(wrong.status, 409);
    let text = wrong.text();
    // What was filled in is there again.
    assert!(text.contains("value=\"bob\"") && text.contains("exists already"), "{text}");
    assert!(text.contains("value=\"30\" selected"), "{text}");
}

#[test]
fn names_are_no_markup() {
    let place = Place::new(Mode::Symmetric, false);
    let name = "<script>alert(1)</script>&\"'";
    apply(&place.service, new_client(name));
    apply(&place.service, new_topic(name));
    apply(&place.service, join(name, name));
    let mut visitor = place.signed_in("ann", Role::Admin);
    let encoded = "%3Cscript%3Ealert(1)%3C/script%3E%26%22'";
    for path in ["/", "/audit", &format!("/map?topic={encoded}")] {
        let page = visitor.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.text().contains("<script>"), "{path}");
        assert!(page.text().contains("&lt;script&gt;"), "{path}");
    }
    let cell = visitor.get(&format!("/map/cell?topic={encoded}?3,3"));
    assert_eq!(cell.status, 303);
    assert!(cell.header("location").starts_with("/device?name=%3Cscript"), "{cell:?}");
}

#[test]
fn the_map_is_a_picture_of_keys() {
    let place = Place::now();
    apply(&place.service, new_topic("plant/pressure"));
    let device = place.world.device(&place.service, "pump", true);
    apply(&place.service, new_client("silent"));
    for name in ["pump", "silent"] {
        apply(&place.service, join("plant/pressure", name));
    }
    place.engine.wake();
    device.hello();
    device.comes_right(&place.service);
    let mut visitor = place.signed_in("ann", Role::Reader);
    let path = "/map/topic.png?topic=plant/pressure";
    // The answer of the device is on its way.
    let mut pixels = Vec::new();
    until("the device has confirmed", || {
        let answer = visitor.get(path);
        assert_eq!(answer.header("content-type"), "image/png");
        let mut decoder = png::Decoder::new(std::io::Cursor::new(answer.body));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        pixels[..4] == [0x2c, 0x9a, 0x56, 0xff]
    });
    // The second cell, 16 pixels on, holds no key; beyond it there is nothing.
    assert_eq!(pixels[16 * 4..17 * 4], [0x8a, 0x93, 0xa3, 0xff]);
    assert_eq!(pixels[32 * 4 + 3], 0);
    let page = visitor.get("/map?topic=plant/pressure").text();
    assert!(page.contains("silent") && page.contains("none confirmed"));
    assert!(!page.contains("/device?name=pump"));
    let there = visitor.get("/map/cell?topic=plant/pressure?17,3");
    assert_eq!(there.header("location"), "/device?name=silent");
    let nowhere = visitor.get("/map/cell?topic=plant/pressure?500,3");
    assert_eq!(nowhere.header("location"), "/map?topic=plant/pressure");
}

#[test]
fn audit_is_searched_checked_and_taken_along() {
    let place = Place::new(Mode::Symmetric, false);
    for name in ["pump-1", "pump-2", "valve"] {
        apply(&place.service, new_client(name));
    }
    apply(&place.service, new_topic("100%_sure"));
    let mut visitor = place.signed_in("ann", Role::Admin);
    let mut rows = |query: &str| {
        let page = visitor.get(&format!("/audit?{query}")).text();
        page.matches("<td class=\"mono\">").count()
    };
    assert_eq!(rows(""), 5);
    assert_eq!(rows("text=PUMP"), 2);
    assert_eq!(rows("text=%25_"), 1);
    assert_eq!(rows("action=new_client"), 3);
    assert_eq!(rows("actor=nobody"), 0);
    assert_eq!(rows("action=new_client&text=valve"), 1);
    // Noon of the tests is 15 January 2027.
    assert_eq!(rows("from=2027-01-15&to=2027-01-15"), 5);
    assert_eq!(rows("from=2027-01-16"), 0);
    assert_eq!(rows("to=2027-01-14"), 0);
    assert_eq!(rows("before=3"), 2);
    let wrong = visitor.get("/audit?from=yesterday").text();
    assert!(wrong.contains("2027-01-31"));

    let lines = visitor.get("/audit/export?format=jsonl&action=new_client").text();
    let names: Vec<_> = lines.matches("pump-1").collect();
    assert_eq!((lines.matches("\"action\":\"new_client\"").count(), names.len()), (3, 1));
    let csv = visitor.get("/audit/export?format=csv");
    assert!(csv.header("content-disposition").contains("e4-audit.csv"));
    assert!(csv.text().contains("number,at,actor,origin,action,detail\n1,2027-01-15T08:00:00Z,"));

    assert_eq!(visitor.post("/audit", "/audit/verify", "").header("location"), "/audit");
    assert!(visitor.get("/audit").text().contains("The chain is intact: 5 records"));
}

#[test]
fn pages_hear_what_happens() {
    let place = Place::now();
    let mut visitor = place.signed_in("ann", Role::Reader);
    let stream = visitor.send("GET", "/updates", "");
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "content-type: text/event-stream"));
    apply(&place.service, new_topic("plant/pressure"));
    let line = lines.find(|line| line.contains("data: {")).unwrap();
    assert!(line.contains("plant/pressure was created") && line.contains("/topic?name="), "{line}");
    place.service.revoke_token(&ann(), "ann").unwrap();
    // It ends, and who comes again is a stranger.
    assert!(!lines.any(|line| line.contains("data: {")));
    assert_eq!(visitor.get("/updates").status, 303);
}
