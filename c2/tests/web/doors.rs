// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who sees pages, who may post, what browsers are told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use e4::Mode;
use e4_c2::api::{Api, Settings, tls};
use e4_c2::domain::{Page, Role};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::common::database::{NOON, new_client};
use crate::common::fleet::apply;
use crate::visitor::{Place, serve};

const HOUR: i64 = 3_600_000;

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
    assert!(place.service.tokens(&Page::first(10)).unwrap().len() == 1);
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
    assert_eq!(place.service.tokens(&Page::first(10)).unwrap().len(), 2);
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
