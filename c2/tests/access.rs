// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who may call: every route without a token, with a wrong one and with the wrong role.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use common::database::{Hands, NOON, ann, attempt, new_client, new_topic, store};
use common::e4;
use common::world::World;
use e4::Mode;
use e4_c2::api::{Api, Routes, Settings, pb, tls};
use e4_c2::domain::Permission::{Admin, Messages, Operate, Provision, Read as Look};
use e4_c2::domain::{AuditRecord, Permission, Role};
use e4_c2::reconcile::Engine;
use e4_c2::service::{NewToken, Service};
use e4_c2::store::Sqlite;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// Method, verb, path, and what it needs. A route that is not here, or is here in another way,
/// fails the test.
const TABLE: [(&str, &str, &str, Permission); 62] = [
    ("NewClient", "POST", "/e4/client/{client.name}", Provision),
    ("RemoveClient", "DELETE", "/e4/client/{client.name}", Operate),
    ("ResetClient", "PUT", "/e4/client/{client.name}", Operate),
    ("NewClientKey", "PATCH", "/e4/client/{client.name}", Operate),
    ("NewTopic", "POST", "/e4/topic/{topic=**}", Operate),
    ("RemoveTopic", "DELETE", "/e4/topic/{topic=**}", Operate),
    ("NewTopicClient", "PUT", "/e4/client/{client.name}/topic/{topic=**}", Operate),
    ("RemoveTopicClient", "DELETE", "/e4/client/{client.name}/topic/{topic=**}", Operate),
    ("CountTopicsForClient", "GET", "/e4/client/{client.name}/topics/count", Look),
    ("GetTopicsForClient", "GET", "/e4/client/{client.name}/topics", Look),
    ("CountClientsForTopic", "GET", "/e4/topic/{topic=**}/clients/count", Look),
    ("GetClientsForTopic", "GET", "/e4/topic/{topic=**}/clients", Look),
    ("CountClients", "GET", "/e4/clients/count", Look),
    ("GetClients", "GET", "/e4/clients", Look),
    ("CountTopics", "GET", "/e4/topics/count", Look),
    ("GetTopics", "GET", "/e4/topics", Look),
    ("LinkClient", "POST", "/e4/client/{targetClient.name}/link/{sourceClient.name}", Operate),
    (
        "UnlinkClient",
        "DELETE",
        "/e4/client/{targetClient.name}/unlink/{sourceClient.name}",
        Operate,
    ),
    ("CountLinkedClients", "GET", "/e4/client/{client.name}/link/count", Look),
    ("GetLinkedClients", "GET", "/e4/client/{client.name}/link", Look),
    ("SendClientPubKey", "POST", "/e4/send-client-pubkey", Operate),
    ("RemoveClientPubKey", "POST", "/e4/remove-client-pubkey", Operate),
    ("ResetClientPubKeys", "POST", "/e4/reset-client-pubkeys", Operate),
    ("NewC2Key", "POST", "/e4/new-c2-key", Operate),
    ("ProtectMessage", "POST", "/e4/protect-message", Messages),
    ("UnprotectMessage", "POST", "/e4/unprotect-message", Messages),
    ("SubscribeToEventStream", "GET", "/e4/events", Look),
    ("HealthCheck", "GET", "/e4/health-check", Look),
    ("GetCryptoMode", "GET", "/e4/crypto-mode", Look),
    ("Batch", "POST", "/e4/batch", Provision),
    ("GetClientState", "GET", "/e4/client/{client.name}/state", Look),
    ("GetTopicState", "GET", "/e4/topic/{topic=**}/state", Look),
    ("GetOperation", "GET", "/e4/operation/{number}", Look),
    ("Resync", "POST", "/e4/resync", Operate),
    ("GetStatistics", "GET", "/e4/statistics", Look),
    ("GetC2PublicKey", "GET", "/e4/c2-public-key", Look),
    ("ListAudit", "GET", "/e4/audit", Admin),
    ("VerifyAudit", "GET", "/e4/audit/verify", Admin),
    ("CreateToken", "POST", "/e4/tokens", Admin),
    ("ListTokens", "GET", "/e4/tokens", Admin),
    ("RevokeToken", "DELETE", "/e4/tokens/{name}", Admin),
    ("ChangePassphrase", "POST", "/e4/passphrase", Admin),
    ("Backup", "GET", "/e4/backup", Admin),
    ("SetLabel", "POST", "/e4/labels/set", Operate),
    ("RemoveLabel", "POST", "/e4/labels/remove", Operate),
    ("GetLabels", "GET", "/e4/labels", Look),
    ("RotateTopic", "POST", "/e4/rotate-topic", Operate),
    ("GetRotationPlan", "GET", "/e4/topic/{topic=**}/plan", Look),
    ("CreatePolicy", "POST", "/e4/policies", Operate),
    ("UpdatePolicy", "PUT", "/e4/policies/{name}", Operate),
    ("ListPolicies", "GET", "/e4/policies", Look),
    ("GetPolicy", "GET", "/e4/policies/{name}", Look),
    ("PausePolicy", "POST", "/e4/policies/{name}/pause", Operate),
    ("ResumePolicy", "POST", "/e4/policies/{name}/resume", Operate),
    ("RunPolicy", "POST", "/e4/policies/{name}/run", Operate),
    ("DeletePolicy", "DELETE", "/e4/policies/{name}", Operate),
    ("ListCampaigns", "GET", "/e4/campaigns", Look),
    ("GetCampaign", "GET", "/e4/campaigns/{number}", Look),
    ("ListCampaignItems", "GET", "/e4/campaigns/{number}/items", Look),
    ("PauseCampaign", "POST", "/e4/campaigns/{number}/pause", Operate),
    ("ResumeCampaign", "POST", "/e4/campaigns/{number}/resume", Operate),
    ("CancelCampaign", "POST", "/e4/campaigns/{number}/cancel", Operate),
];

/// Refusals in a minute of an address that are looked into.
const REFUSALS: usize = 30;

/// A service with a server over it that can be restarted.
struct Place {
    service: Service,
    clock: Arc<Hands>,
    engine: Engine,
}

impl Place {
    fn new() -> Self {
        let store = store(Box::new(Sqlite::memory().unwrap()), Mode::Symmetric);
        let clock = Hands::at(NOON);
        let service = Service::new(Arc::new(store), clock.clone());
        let engine = World::new().engine(&service);
        Self { service, clock, engine }
    }

    fn serve(&self, tls: Option<Arc<rustls::ServerConfig>>, open: bool) -> (Api, SocketAddr) {
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let api = Api::start(
            Settings { listen, tls, open, automation: Vec::new() },
            &self.service,
            &self.engine,
        )
        .unwrap();
        let address = api.addresses()[0];
        (api, address)
    }

    fn let_in(&self, new: NewToken) -> Option<String> {
        self.service.create_token(&ann(), &new).unwrap().map(|token| token.to_string())
    }

    fn token(&self, name: &str, role: Role, messages: bool, expires_at: Option<i64>) -> String {
        let name = name.to_string();
        self.let_in(NewToken { name, role, messages, expires_at, certificate: None }).unwrap()
    }

    /// The records since one, and the newest.
    fn records(&self, after: &mut i64) -> Vec<AuditRecord> {
        let records = self.service.audit_records(*after, 500).unwrap();
        *after = records.last().map_or(*after, |record| record.seq);
        records
    }
}

/// Calls over gRPC with an empty message, and returns how that began.
async fn grpc(channel: &Channel, path: &str, authorization: Option<&str>) -> Code {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let mut request = tonic::Request::new(());
    if let Some(value) = authorization {
        request.metadata_mut().insert("authorization", value.parse().unwrap());
    }
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    match client.server_streaming(request, path.parse().unwrap(), codec).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}

async fn channel(address: SocketAddr) -> Channel {
    Endpoint::new(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// Calls over HTTP on a stream; of an answer without an end the head is enough.
fn http_on(
    mut stream: impl Read + Write,
    verb: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, Value) {
    let mut head = format!("{verb} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str("host: localhost\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let (mut status, mut length) = (None, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        if status.is_none() {
            status = line.split(' ').nth(1).and_then(|number| number.parse().ok());
        } else if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    (status.unwrap(), serde_json::from_slice(&body).unwrap_or_default())
}

fn http(
    at: SocketAddr,
    verb: &str,
    path: &str,
    authorization: Option<&str>,
    body: &str,
) -> (u16, Value) {
    let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
    http_on(TcpStream::connect(at).unwrap(), verb, path, &headers, body)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A path of a template.
fn example(template: &str) -> String {
    let words = template.split('/').map(|segment| match segment {
        "{topic=**}" => "plant/pressure",
        "{number}" => "1",
        segment if segment.starts_with('{') => "pump",
        segment => segment,
    });
    words.collect::<Vec<_>>().join("/")
}

#[test]
fn the_table_is_the_router() {
    let of_table: BTreeSet<_> = TABLE
        .iter()
        .map(|(method, verb, path, needs)| format!("{method} {verb} {path} {needs:?}"))
        .collect();
    let of_router: BTreeSet<_> = Routes::load()
        .unwrap()
        .all()
        .iter()
        .map(|route| {
            let (method, needs) = (route.method.name(), route.permission.unwrap());
            format!("{method} {} {} {needs:?}", route.verb, route.template)
        })
        .collect();
    let forgotten: Vec<_> = of_router.difference(&of_table).collect();
    let gone: Vec<_> = of_table.difference(&of_router).collect();
    assert!(forgotten.is_empty() && gone.is_empty(), "not here: {forgotten:?}; gone: {gone:?}");
    assert_eq!(of_table.len(), TABLE.len());
}

/// Who may, written out once more.
fn may(role: Role, needs: Permission) -> bool {
    match (role, needs) {
        (Role::Admin, Look | Provision | Operate | Admin) => true,
        (Role::Operator, Look | Provision | Operate) => true,
        (Role::Reader, Look) => true,
        (Role::DeviceProvisioner, Provision) => true,
        (_, _) => false,
    }
}

#[test]
fn every_route_refuses_who_may_not() {
    let place = Place::new();
    let mut callers = Vec::new();
    for role in Role::ALL {
        let token = place.token(role.name(), role, false, None);
        callers.push((role.name(), Some(role), false, format!("Bearer {token}")));
    }
    let speaks = place.token("speaks", Role::DeviceProvisioner, true, None);
    callers.push(("speaks", Some(Role::DeviceProvisioner), true, format!("Bearer {speaks}")));
    let expired = place.token("expired", Role::Admin, true, Some(NOON + 1000));
    place.clock.turn(2000);
    let unknown = format!("Bearer e4_{}", "A".repeat(43));
    let strangers = [
        None,
        Some(unknown.clone()),
        Some(format!("Bearer {expired}")),
        Some(unknown.replace("Bearer", "Basic")),
        Some("Bearer".into()),
        Some(format!("Bearer {}", &callers[0].3["Bearer ".len()..callers[0].3.len() - 1])),
    ];
    let runtime = runtime();
    let mut seen = 0;
    place.records(&mut seen);
    for (method, verb, template, needs) in &TABLE {
        // Each has a server of its own, which refuses so many and no more.
        let (api, at) = place.serve(None, false);
        let channel = runtime.block_on(channel(at));
        let (call, path) = (format!("/pb.C2/{method}"), example(template));
        let mut refused = Vec::new();
        for who in &strangers {
            let who = who.as_deref();
            let code = runtime.block_on(grpc(&channel, &call, who));
            assert_eq!(code, Code::Unauthenticated, "{method}: {who:?}");
            let (status, answer) = http(at, verb, &path, who, "");
            assert_eq!((status, &answer["code"]), (401, &json!(16)), "{method}: {who:?}");
            refused.extend(["stranger"; 2]);
        }
        for (name, role, messages, token) in &callers {
            let allowed = match needs {
                Messages => *messages,
                needs => may(role.unwrap(), *needs),
            };
            let code = runtime.block_on(grpc(&channel, &call, Some(token)));
            let (status, answer) = http(at, verb, &path, Some(token), "");
            if allowed {
                // What an empty request is answered is another matter.
                let let_in = ![Code::Unauthenticated, Code::PermissionDenied].contains(&code);
                assert!(let_in, "{method}: {name}: {code}");
                assert!(![401, 403, 429].contains(&status), "{method}: {name}: {status}");
            } else {
                assert_eq!(code, Code::PermissionDenied, "{method}: {name}");
                assert_eq!((status, &answer["code"]), (403, &json!(7)), "{method}: {name}");
                refused.extend([name; 2]);
            }
        }
        assert!(refused.len() <= REFUSALS);
        let records = place.records(&mut seen);
        let noted: Vec<_> = records.iter().filter(|record| record.action == "refused").collect();
        let actors: Vec<_> = noted.iter().map(|record| record.actor.as_str()).collect();
        assert_eq!(actors, refused, "{method}");
        for record in noted {
            let detail: Value = serde_json::from_str(&record.detail).unwrap();
            assert_eq!(detail["call"], json!(call));
            assert!(!detail["why"].as_str().unwrap().is_empty());
            assert!(record.origin.starts_with("127.0.0.1:"), "{}", record.origin);
        }
        drop((channel, api));
    }
}

#[test]
fn a_stranger_is_not_told_what_there_is() {
    let place = Place::new();
    let admin = format!("Bearer {}", place.token("admin", Role::Admin, true, None));
    let (_api, at) = place.serve(None, false);
    let runtime = runtime();
    let channel = runtime.block_on(channel(at));
    for (verb, path, known) in [
        ("GET", "/openapi.json", 200),
        ("GET", "/e4/nothing", 404),
        ("PATCH", "/e4/clients", 405),
        ("GET", "/nothing", 404),
    ] {
        assert_eq!(http(at, verb, path, None, "").0, 401, "{verb} {path}");
        assert_eq!(http(at, verb, path, Some(&admin), "").0, known, "{verb} {path}");
    }
    for path in ["/pb.C2/Nothing", "/pb.C2/", "/other.Service/Call"] {
        assert_eq!(runtime.block_on(grpc(&channel, path, None)), Code::Unauthenticated, "{path}");
        let code = runtime.block_on(grpc(&channel, path, Some(&admin)));
        assert!([Code::PermissionDenied, Code::Unimplemented].contains(&code), "{path}: {code}");
    }
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    assert_eq!(runtime.block_on(grpc(&channel, reflection, None)), Code::Unauthenticated);
    assert_eq!(runtime.block_on(grpc(&channel, reflection, Some(&admin))), Code::Ok);
    // Who only watches whether it lives needs no token.
    assert_eq!(runtime.block_on(grpc(&channel, "/grpc.health.v1.Health/Check", None)), Code::Ok);
    for path in ["/live", "/ready"] {
        assert_eq!(http(at, "GET", path, None, "").0, 200, "{path}");
    }
}

#[test]
fn refusals_of_an_address_are_limited_and_others_are_let_in() {
    let place = Place::new();
    let reader = format!("Bearer {}", place.token("reader", Role::Reader, false, None));
    let (_api, at) = place.serve(None, false);
    let runtime = runtime();
    let channel = runtime.block_on(channel(at));
    let mut seen = 0;
    place.records(&mut seen);
    for _ in 0..REFUSALS {
        assert_eq!(http(at, "GET", "/e4/clients", None, "").0, 401);
    }
    // One of them may have become free in the meantime.
    let late: Vec<_> = (0..5).map(|_| http(at, "GET", "/e4/clients", None, "")).collect();
    let limited: Vec<_> = late.iter().filter(|(status, _)| *status == 429).collect();
    assert!(limited.len() >= 2, "{late:?}");
    assert!(limited.iter().all(|(_, answer)| answer["code"] == json!(8)));
    let code = runtime.block_on(grpc(&channel, "/pb.C2/GetClients", None));
    let again = runtime.block_on(grpc(&channel, "/pb.C2/GetClients", None));
    assert!([code, again].contains(&Code::ResourceExhausted), "{code} {again}");
    let noted = place.records(&mut seen).len();
    assert!((REFUSALS..REFUSALS + 5).contains(&noted), "{noted}");
    // Who has a token is not held up by neighbours.
    assert_eq!(http(at, "GET", "/e4/clients/count", Some(&reader), "").0, 200);
    let count = grpc(&channel, "/pb.C2/CountClients", Some(&reader));
    assert_eq!(runtime.block_on(count), Code::Ok);
}

#[test]
fn a_device_provisioner_adds_clients_and_no_more() {
    let place = Place::new();
    let token = place.token("line", Role::DeviceProvisioner, false, None);
    let (_api, at) = place.serve(None, false);
    let bearer = format!("Bearer {token}");
    let post = |path: &str, body: Value| http(at, "POST", path, Some(&bearer), &body.to_string());
    let key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    attempt(&place.service, new_client("old")).unwrap();
    let before = place.service.client_state("old").unwrap();
    assert_eq!(post("/e4/client/new", json!({ "key": key })).0, 200);
    for again in [json!({ "key": key }), json!({ "generate": true })] {
        let (status, answer) = post("/e4/client/old", again);
        assert_eq!((status, &answer["code"]), (409, &json!(6)), "{answer}");
    }
    let new = |name: &str| json!({ "newClient": { "client": { "name": name }, "key": key } });
    let (status, answer) =
        post("/e4/batch", json!({ "changes": [new("a"), new("old"), new("b")] }));
    assert_eq!(status, 200, "{answer}");
    let codes: Vec<_> =
        answer["results"].as_array().unwrap().iter().map(|at| &at["code"]).collect();
    assert_eq!(codes, [&json!(0), &json!(6), &json!(0)]);
    let client = json!({ "name": "old" });
    for other in [
        json!({ "removeClient": { "client": client } }),
        json!({ "resetClient": { "client": client } }),
        json!({ "newClientKey": { "client": client } }),
        json!({ "newTopic": { "topic": "plant" } }),
        json!({ "newTopicClient": { "topic": "plant", "client": client } }),
        json!({ "resync": {} }),
    ] {
        let (status, answer) = post("/e4/batch", json!({ "changes": [new("c"), other] }));
        assert_eq!((status, &answer["code"]), (403, &json!(7)), "{other}: {answer}");
    }
    assert!(place.service.client_state("c").is_err(), "a batch that is refused changes nothing");
    let after = place.service.client_state("old").unwrap();
    assert_eq!(after.deliveries[0].epoch, before.deliveries[0].epoch);
    // Over gRPC the same.
    runtime().block_on(async {
        let mut c2 = pb::c2_client::C2Client::new(channel(at).await);
        let client = Some(pb::Client { name: "old".into() });
        let message = pb::NewClientRequest { client, key: vec![1; 32], ..Default::default() };
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("authorization", bearer.parse().unwrap());
        assert_eq!(c2.new_client(request).await.unwrap_err().code(), Code::AlreadyExists);
    });
}

#[test]
fn messages_are_a_permission_of_their_own() {
    let place = Place::new();
    attempt(&place.service, new_topic("plant")).unwrap();
    let admin = format!("Bearer {}", place.token("admin", Role::Admin, false, None));
    let reader = format!("Bearer {}", place.token("speaks", Role::Reader, true, None));
    let (_api, at) = place.serve(None, false);
    let protect = json!({ "topic": "plant", "binaryData": "aGVsbG8=" }).to_string();
    let (status, answer) = http(at, "POST", "/e4/protect-message", Some(&admin), &protect);
    assert_eq!((status, &answer["code"]), (403, &json!(7)));
    let (status, mut answer) = http(at, "POST", "/e4/protect-message", Some(&reader), &protect);
    assert_eq!(status, 200, "{answer}");
    let protected = answer["protectedBinaryData"].take();
    let open = json!({ "topic": "plant", "protectedBinaryData": protected }).to_string();
    let (status, answer) = http(at, "POST", "/e4/unprotect-message", Some(&reader), &open);
    assert_eq!((status, &answer["binaryData"]), (200, &json!("aGVsbG8=")));
    assert_eq!(http(at, "POST", "/e4/unprotect-message", Some(&admin), &open).0, 403);
    assert_eq!(http(at, "POST", "/e4/topic/plant", Some(&reader), "").0, 403);
}

/// An authority, and certificates of it.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

struct Shown {
    certificate: String,
    key: String,
    der: Vec<u8>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn client(&self, name: &str) -> Shown {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let der = certificate.der().to_vec();
        Shown { certificate: certificate.pem(), key: key.serialize_pem(), der }
    }
}

/// Calls over HTTP and TLS; `None` where TLS itself refuses.
fn https(at: SocketAddr, ca: &str, shown: Option<&Shown>, verb: &str, path: &str) -> Option<u16> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown {
        None => builder.with_no_client_auth(),
        Some(shown) => {
            let chain = CertificateDer::from_pem_slice(shown.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![chain], key).unwrap()
        }
    };
    let name = "localhost".try_into().unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, TcpStream::connect(at).unwrap());
    let request = format!("{verb} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    line.split(' ').nth(1)?.parse().ok()
}

async fn grpcs(at: SocketAddr, ca: &str, shown: Option<&Shown>, call: &str) -> Option<Code> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    if let Some(shown) = shown {
        tls = tls.identity(Identity::from_pem(&shown.certificate, &shown.key));
    }
    let endpoint = Endpoint::new(format!("https://localhost:{}", at.port())).unwrap();
    let channel = endpoint.tls_config(tls).unwrap().connect().await.ok()?;
    Some(grpc(&channel, call, None).await)
}

#[test]
fn a_client_certificate_stands_in_place_of_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::new();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let shown = |authority: &Authority, name: &str, role, expires_at| {
        let shown = authority.client(name);
        let (name, certificate) = (name.to_string(), Some(shown.der.clone()));
        place.let_in(NewToken { name, role, messages: false, expires_at, certificate });
        shown
    };
    let admin = shown(&ours, "admin", Role::Admin, None);
    let reader = shown(&ours, "reader", Role::Reader, None);
    let expired = shown(&ours, "expired", Role::Admin, Some(NOON + 1000));
    let revoked = shown(&ours, "revoked", Role::Admin, None);
    // Its name is known, but not to the authority.
    let foreign = shown(&theirs, "foreign", Role::Admin, None);
    let unknown = ours.client("admin");
    place.clock.turn(2000);
    place.service.revoke_token(&ann(), "revoked").unwrap();

    let write =
        |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).map_err(|error| error.to_string());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    let files = tls::own(directory.path(), &[], now, write).unwrap();
    let client_ca = directory.path().join("clients.pem");
    std::fs::write(&client_ca, &ours.pem).unwrap();
    let tls = tls::load(&tls::Files { client_ca: Some(client_ca), ..files }).unwrap();
    let ca = std::fs::read_to_string(directory.path().join("ca.pem")).unwrap();
    let (_api, at) = place.serve(Some(Arc::new(tls)), false);
    let runtime = runtime();
    let cases = [
        ("admin", Some(&admin), 200, Code::Ok),
        ("reader", Some(&reader), 403, Code::PermissionDenied),
        ("expired", Some(&expired), 401, Code::Unauthenticated),
        ("revoked", Some(&revoked), 401, Code::Unauthenticated),
        ("unknown", Some(&unknown), 401, Code::Unauthenticated),
        ("none", None, 401, Code::Unauthenticated),
    ];
    for (name, shown, status, code) in cases {
        assert_eq!(https(at, &ca, shown, "GET", "/e4/tokens"), Some(status), "{name}");
        let call = grpcs(at, &ca, shown, "/pb.C2/ListTokens");
        assert_eq!(runtime.block_on(call), Some(code), "{name}");
        // Where a page sends to the sign-in page, nobody was known.
        let page = if status == 401 { 303 } else { status };
        assert_eq!(https(at, &ca, shown, "GET", "/tokens"), Some(page), "{name}");
    }
    assert_eq!(https(at, &ca, Some(&foreign), "GET", "/e4/tokens"), None);
    // Who does not speak TLS hears nothing.
    let mut plain = TcpStream::connect(at).unwrap();
    plain.write_all(b"GET /e4/tokens HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut heard = Vec::new();
    // A reset is an answer as well.
    let _ = plain.read_to_end(&mut heard);
    assert!(!heard.starts_with(b"HTTP"));
}

#[test]
fn without_authentication_only_programs_of_this_machine_are_served() {
    let place = Place::new();
    let (_api, at) = place.serve(None, true);
    let call = |headers: &[(&str, &str)]| {
        let stream = TcpStream::connect(at).unwrap();
        http_on(stream, "GET", "/e4/tokens", headers, "").0
    };
    let (name, address) = (format!("localhost:{}", at.port()), at.to_string());
    assert_eq!(call(&[]), 200);
    assert_eq!(call(&[("host", &name)]), 200);
    assert_eq!(call(&[("host", &address)]), 200);
    // A page in a browser, and another name for the loopback.
    assert_eq!(call(&[("origin", "https://example.org")]), 403);
    assert_eq!(call(&[("host", "e4.example.org")]), 403);

    let directory = tempfile::tempdir().unwrap();
    for flag in ["--no-auth", "--no-tls"] {
        for listen in ["--grpc-listen", "--http-listen"] {
            let mut command = e4();
            command.args(["serve", "--embedded-listen", "127.0.0.1:0", flag]);
            command.args(common::ANY_PORTS.chunks(2).filter(|at| at[0] != listen).flatten());
            command.args([listen, "0.0.0.0:0", "--data"]).arg(directory.path().join("data"));
            let output = command.output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains(&format!("error: {flag} is for the loopback alone")), "{text}");
            assert!(text.contains("hint: "), "{text}");
        }
    }
}
