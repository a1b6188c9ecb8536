// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What pages show, do, and never show.

use std::io::{BufRead, BufReader};

use e4::Mode;
use e4_c2::domain::Role;

use crate::common::database::{ann, join, new_client, new_topic};
use crate::common::fleet::{apply, until};
use crate::visitor::Place;

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

#[test]
fn policies_are_made_run_and_deleted() {
    let place = Place::now();
    for topic in ["plant/pressure", "plant/heat", "office"] {
        apply(&place.service, new_topic(topic));
    }
    let mut reader = place.signed_in("rita", Role::Reader);
    let mut visitor = place.signed_in("ann", Role::Operator);
    let empty = visitor.get("/policies").text();
    assert!(empty.contains("No policy yet") && empty.contains("href=\"/policies/new\""));
    assert!(!reader.get("/policies").text().contains("href=\"/policies/new\""));
    assert_eq!(reader.get("/policies/new").status, 403);

    let fields = "name=monthly&description=plants&whose-1=topics&how-1=wildcard&which-1=plant/*\
                  &whose-2=clients&how-2=label&which-2=site=north\
                  &whose-3=topics&how-3=name&which-3=a&whose-4=topics&how-4=name&which-4=b&cron=0+3+1+*+*\
                  &zone=Europe/Zurich&joins=&leaves=5&per-minute=30&canary=0\
                  &canary-how=label&canary-which=stage=first&abort=20&patience=15\
                  &from=22:00&to=04:30&day=6&day=7&window-zone=UTC&zero-loss=yes";
    let answer = visitor.post("/policies/new", "/policies/new", fields);
    assert_eq!((answer.status, answer.header("location")), (303, "/policy?name=monthly"));
    let policy = place.service.policy("monthly").unwrap();
    let spec = serde_json::to_value(&policy.spec).unwrap();
    assert_eq!(
        spec,
        serde_json::json!({
            "description": "plants",
            "targets": [
                { "topics": { "wildcard": "plant/*" } },
                { "clients": { "label": { "name": "site", "value": "north" } } },
                { "topics": { "name": "a" } },
                { "topics": { "name": "b" } },
            ],
            "triggers": [
                { "cron": { "expression": "0 3 1 * *", "zone": "Europe/Zurich" } },
                { "leaves": 5 },
            ],
            "pace": {
                "per_minute": 30, "canary": 0, "abort_percent": 20,
                "canary_of": { "label": { "name": "stage", "value": "first" } },
                "patience": 900, "zero_loss": true,
                "window": { "from": 1320, "to": 270, "days": [6, 7], "zone": "UTC" },
            },
        })
    );
    // What the form for a change shows is what was said: saved again, nothing has changed.
    let page = visitor.get("/policy/change?name=monthly").text();
    assert!(page.contains("value=\"plant/*\"") && page.contains("value=\"22:00\""));
    assert!(!page.contains("cannot show all"));
    // All rows are filled in: there is one more.
    assert!(page.contains("which-5") && !page.contains("which-6"));

    for (wrong, why) in [
        ("name=other&whose-1=topics&how-1=any&cron=often", "five fields"),
        ("name=other&whose-1=topics&how-1=any", "nothing is filled in"),
        ("name=other&cron=0+3+1+*+*", "nothing is chosen"),
        ("name=other&whose-1=topics&how-1=name&which-1=&once=yes", "row 1 has no name"),
        ("name=other&whose-1=topics&how-1=any&once=yes&abort=101", "between 0 and 100"),
        ("name=other&whose-1=topics&how-1=any&once=yes&from=25:00&to=1:00", "22:30"),
    ] {
        let answer = visitor.post("/policies/new", "/policies/new", wrong);
        assert_eq!(answer.status, 422, "{wrong}");
        assert!(answer.text().contains(why), "{wrong}");
        assert!(answer.text().contains("value=\"other\""), "{wrong}");
    }

    let plan = visitor.get("/policy/run?name=monthly").text();
    assert!(plan.contains("2 keys of topics") && plan.contains("plant/heat"));
    let only_looks = reader.get("/policy/run?name=monthly").text();
    assert!(only_looks.contains("2 keys of topics") && !only_looks.contains("Run now<"));
    let refused = reader.post("/policy/run?name=monthly", "/policy/run", "name=monthly");
    assert_eq!(refused.status, 403);
    let begun = visitor.post("/policy/run?name=monthly", "/policy/run", "name=monthly");
    assert_eq!((begun.status, begun.header("location")), (303, "/campaign?number=1"));
    assert!(visitor.get("/campaign?number=1").text().contains("Run 1 of"));
    let busy = visitor.post("/policy/run?name=monthly", "/policy/run", "name=monthly");
    assert_eq!(busy.header("location"), "/policy?name=monthly");
    let page = visitor.get("/policy?name=monthly").text();
    assert!(page.contains("notice bad") && page.contains("Campaign 1"), "{page}");
    let paused = visitor.post("/campaign?number=1", "/campaign/pause", "number=1");
    assert_eq!(paused.status, 303);
    assert!(visitor.get("/campaign?number=1").text().contains("paused"));
    assert!(visitor.get("/").text().contains("Runs of policies"));
    visitor.post("/campaign?number=1", "/campaign/resume", "number=1");
    visitor.post("/campaign/cancel?number=1", "/campaign/cancel", "number=1");
    assert!(visitor.get("/campaign?number=1").text().contains("cancelled"));

    visitor.post("/policy?name=monthly", "/policy/pause", "name=monthly");
    assert!(place.service.policy("monthly").unwrap().paused);
    visitor.post("/policy?name=monthly", "/policy/resume", "name=monthly");
    assert!(!place.service.policy("monthly").unwrap().paused);
    let gone = visitor.post("/policy/delete?name=monthly", "/policy/delete", "name=monthly");
    assert_eq!(gone.header("location"), "/policies");
    assert_eq!(visitor.get("/policy?name=monthly").status, 404);
}
