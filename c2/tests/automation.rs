// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The automation interface of earlier servers: rules over policies, by gRPC and by HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::database::ann;
use common::fleet::service;
use common::world::World;
use e4_c2::api::pb::c2_automation_engine_client::C2AutomationEngineClient;
use e4_c2::api::{Api, Settings, pb};
use e4_c2::domain::{Pace, Policy, PolicySpec, Role, Selector, Target, Trigger};
use e4_c2::reconcile::Engine;
use e4_c2::service::{NewToken, Service};
use e4_c2::store::Sqlite;
use serde_json::{Value, json};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

struct Served {
    api: Api,
    service: Service,
    _engine: Engine,
}

impl Served {
    fn start(automation: bool) -> Self {
        let service = service(Box::new(Sqlite::memory().unwrap()), e4::Mode::Symmetric);
        let engine = World::new().engine(&service);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let automation = if automation { vec![any] } else { Vec::new() };
        let settings = Settings { listen: vec![any], tls: None, open: false, automation };
        let api = Api::start(settings, &service, &engine).unwrap();
        Self { api, service, _engine: engine }
    }

    fn token(&self, name: &str, role: Role) -> String {
        let new = NewToken {
            name: name.into(),
            role,
            messages: false,
            expires_at: None,
            certificate: None,
        };
        self.service.create_token(&ann(), &new).unwrap().unwrap().to_string()
    }

    fn policies(&self) -> Vec<Policy> {
        self.service.policies(&e4_c2::domain::Page::first(100)).unwrap()
    }
}

fn http(address: SocketAddr, token: &str, verb: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    write!(
        stream,
        "{verb} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

fn settings(value: &Value) -> String {
    STANDARD.encode(value.to_string())
}

/// As old tools have it.
fn nightly() -> Value {
    json!({
        "description": "every night",
        "action": "KEY_ROTATION",
        "triggers": [
            { "type": "TIME_INTERVAL", "settings": settings(&json!({ "expr": "0 0 3 * * *" })) },
            { "type": "EVENT", "settings": settings(
                &json!({ "eventType": "CLIENT_UNSUBSCRIBED", "maxOccurrence": 2 })) },
        ],
        "targets": [{ "type": "TOPIC", "expr": "plant/*" }, { "type": "CLIENT", "expr": "pump-1" }],
    })
}

#[test]
fn rules_come_and_go_over_http() {
    let served = Served::start(true);
    let at = served.api.addresses()[1];
    let token = served.token("ann", Role::Operator);
    let call = |verb: &str, path: &str, body: &Value| http(at, &token, verb, path, body);
    assert_eq!(call("GET", "/rules", &Value::Null), (200, json!({ "rules": [] })));

    let (status, added) = call("POST", "/rules", &json!({ "rule": nightly() }));
    assert_eq!(status, 200, "{added}");
    let rule = &added["rule"];
    let id = rule["id"].as_i64().unwrap();
    assert_eq!(rule["description"], "every night");
    // Five fields: the seconds are gone.
    assert_eq!(rule["triggers"][0]["settings"], settings(&json!({ "expr": "0 3 * * *" })));
    let policy = served.policies().remove(0);
    assert_eq!(policy.number, id);
    assert_eq!(
        policy.spec.targets,
        [
            Target::Topics(Selector::Wildcard("plant/*".into())),
            Target::Clients(Selector::Name("pump-1".into()))
        ]
    );
    assert_eq!(policy.spec.triggers[1], Trigger::Leaves(2));
    assert!(policy.next_at.is_some());

    let path = format!("/rules/{id}");
    assert_eq!(call("GET", &path, &Value::Null), (200, added.clone()));
    let mut changed = rule.clone();
    changed["description"] = json!("each hour");
    changed["triggers"] =
        json!([{ "type": "TIME_INTERVAL", "settings": settings(&json!({ "expr": "@hourly" })) }]);
    changed["targets"] = json!([{ "type": "ANY", "expr": "" }]);
    let (status, answer) = call("PUT", "/rules", &json!({ "rule": changed }));
    assert_eq!((status, &answer["rule"]["description"]), (200, &json!("each hour")), "{answer}");
    let policy = served.policies().remove(0);
    assert_eq!(
        policy.spec.targets,
        [Target::Topics(Selector::Any), Target::Clients(Selector::Any)]
    );
    assert_eq!(call("DELETE", &path, &Value::Null), (200, json!({})));
    assert_eq!(call("GET", &path, &Value::Null).0, 404);
    assert!(served.policies().is_empty());
    let (status, health) = call("GET", "/health-check", &Value::Null);
    assert_eq!((status, &health["Status"]), (200, &json!("OK")));
}

#[test]
fn what_is_no_rule_is_refused() {
    let served = Served::start(true);
    let at = served.api.addresses()[1];
    let token = served.token("ann", Role::Operator);
    let with = |field: &str, value: Value| {
        let mut rule = nightly();
        rule[field] = value;
        http(at, &token, "POST", "/rules", &json!({ "rule": rule })).0
    };
    assert_eq!(with("action", json!("UNDEFINED_ACTION")), 400);
    assert_eq!(with("targets", json!([])), 400);
    assert_eq!(with("triggers", json!([])), 400);
    for (kind, value) in [
        ("TIME_INTERVAL", json!({ "expr": "@every 5s" })),
        ("TIME_INTERVAL", json!({ "expr": "* * * * * *" })),
        ("TIME_INTERVAL", json!({ "expr": "0 25 * * *" })),
        ("TIME_INTERVAL", json!({ "eventType": "CLIENT_SUBSCRIBED", "maxOccurrence": 1 })),
        ("EVENT", json!({ "eventType": "MOON", "maxOccurrence": 1 })),
        ("EVENT", json!({ "eventType": "CLIENT_SUBSCRIBED", "maxOccurrence": 0 })),
        ("UNDEFINED_TRIGGER", json!({})),
    ] {
        let trigger = json!([{ "type": kind, "settings": settings(&value) }]);
        assert_eq!(with("triggers", trigger), 400, "{kind} {value}");
    }
    assert_eq!(with("triggers", json!([{ "type": "EVENT", "settings": "bm8=" }])), 400);
    assert!(served.policies().is_empty());
    // Nobody without a token, and no reader changes anything.
    assert_eq!(http(at, "e4_nobody", "GET", "/rules", &Value::Null).0, 401);
    let reader = served.token("eve", Role::Reader);
    assert_eq!(http(at, &reader, "GET", "/rules", &Value::Null).0, 200);
    assert_eq!(http(at, &reader, "POST", "/rules", &json!({ "rule": nightly() })).0, 403);
    assert_eq!(http(at, &reader, "DELETE", "/rules/1", &Value::Null).0, 403);
}

#[test]
fn rules_over_grpc_and_what_they_cannot_say() {
    let served = Served::start(true);
    let at = served.api.addresses()[1];
    let token = served.token("ann", Role::Operator);
    let spec = PolicySpec {
        description: "careful".into(),
        targets: vec![Target::Clients(Selector::Label { name: "site".into(), value: "b".into() })],
        triggers: vec![Trigger::Cron {
            expression: "0 3 * * *".into(),
            zone: "Europe/Zurich".into(),
        }],
        pace: Pace { canary: 5, ..Pace::default() },
    };
    let policy = served.service.create_policy(&ann(), "careful", &spec).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bearer: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
        let asks = |mut request: Request<()>| {
            request.metadata_mut().insert("authorization", bearer.clone());
            Ok(request)
        };
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{at}")).unwrap();
        let channel = channel.connect().await.unwrap();
        let mut client = C2AutomationEngineClient::with_interceptor(channel, asks);
        let rules = client.list_rules(pb::ListRulesRequest {}).await.unwrap().into_inner().rules;
        assert_eq!(rules.len(), 1);
        let mut rule = rules[0].clone();
        assert_eq!((i64::from(rule.id), rule.targets[0].expr.as_str()), (policy.number, "site=b"));
        rule.description = "said otherwise".into();
        client.update_rule(pb::UpdateRuleRequest { rule: Some(rule) }).await.unwrap();
        let missing = client.get_rule(pb::GetRuleRequest { rule_id: 99 }).await.unwrap_err();
        assert_eq!(missing.code(), Code::NotFound);
        let health = client.health_check(pb::AutomationHealthCheckRequest {}).await.unwrap();
        assert_eq!(health.into_inner().code, 0);
    });
    // Label, zone and pace are as they were.
    let expected = PolicySpec { description: "said otherwise".into(), ..spec };
    assert_eq!(served.policies().remove(0).spec, expected);
}

#[test]
fn it_is_off_unless_configured_and_apart_from_the_interface() {
    let served = Served::start(false);
    assert_eq!(served.api.addresses().len(), 1);
    let token = served.token("ann", Role::Admin);
    let main = served.api.addresses()[0];
    assert_eq!(http(main, &token, "GET", "/rules", &Value::Null).0, 404);
    let served = Served::start(true);
    let token = served.token("ann", Role::Admin);
    let at = served.api.addresses()[1];
    assert_eq!(http(at, &token, "GET", "/e4/clients", &Value::Null).0, 404);
}
