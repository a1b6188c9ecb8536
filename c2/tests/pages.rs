// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The pages of devices, topics and public keys, in this process: what their forms do, and who may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;

use common::browser::{Browser, Page, encoded};
use common::database::{ann, join, new_client, new_topic};
use common::fleet::{apply, service, until};
use common::world::World;
use e4::Mode;
use e4_c2::api::{Api, Settings};
use e4_c2::domain::{BrokerAddress, Filter, Place, Provision, Role, Standing};
use e4_c2::reconcile::Engine;
use e4_c2::service::{NewToken, Service};
use e4_c2::store::Sqlite;

struct Served {
    api: Api,
    _engine: Engine,
    service: Service,
    world: Arc<World>,
}

impl Served {
    fn start(mode: Mode) -> Self {
        let service = service(Box::new(Sqlite::memory().unwrap()), mode);
        let broker = BrokerAddress::parse("mqtts://mqtt.example.org:8883", false).unwrap();
        let service = service.with_device_broker(Some(broker));
        let world = World::new();
        let engine = world.engine(&service);
        let listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        let api = Api::start(
            Settings { listen, automation: Vec::new(), tls: None, open: false },
            &service,
            &engine,
        );
        Self { api: api.unwrap(), _engine: engine, service, world }
    }

    fn browser(&self, role: Role) -> Browser {
        let new = NewToken {
            name: role.name().into(),
            role,
            messages: false,
            expires_at: None,
            certificate: None,
        };
        let token = self.service.create_token(&ann(), &new).unwrap().unwrap();
        Browser::sign_in(self.api.addresses()[0], &token)
    }

    fn names(&self) -> Vec<String> {
        let devices = self.service.devices(&Filter::default(), &Place::First, 100).unwrap();
        devices.part.rows.into_iter().map(|row| row.name).collect()
    }
}

const NEW: &str = "/devices/new";

fn create(browser: &mut Browser, fields: &[(&str, &str)]) -> Page {
    let once = browser.get(NEW).field("once");
    let mut all = fields.to_vec();
    all.push(("once", &once));
    browser.post_from(NEW, NEW, &all)
}

fn device(name: &str) -> String {
    format!("/device?{}", encoded(&[("name", name)]))
}

#[test]
fn a_device_begins_from_its_page() {
    for mode in [Mode::Symmetric, Mode::PublicKey] {
        let served = Served::start(mode);
        let mut browser = served.browser(Role::Operator);
        apply(&served.service, new_topic("plant/pressure"));
        let name = "Pumpe 1 & <b>\"/..";
        let once = browser.get(NEW).field("once");
        let fields = [
            ("name", name),
            ("from", "random"),
            ("topics", "plant/pressure\r\n\r\n"),
            ("once", &once),
        ];
        let page = browser.post_from(NEW, NEW, &fields);
        assert_eq!((page.status, page.header("cache-control")), (201, "no-store"));
        assert!(page.has("Pumpe 1 &amp; &lt;b&gt;") && !page.has("<b>"));
        assert!(page.has("<svg") && !page.has("<?xml") && page.header("location").is_empty());
        let text = page.between("id=\"code\">", "<");
        let provision = Provision::parse(&text).unwrap();
        assert_eq!(provision.name, name);
        let broker = provision.broker.as_ref().unwrap().to_string();
        assert_eq!(broker, "mqtts://mqtt.example.org:8883");
        // The same code as a picture, the same key as a file.
        let picture = e4_c2::qr::svg(&text).unwrap();
        assert!(page.has(picture.split_once("<svg").unwrap().1));
        let hex = page.between("id=\"key\">", "<");
        assert_eq!(hex.len(), if mode == Mode::Symmetric { 64 } else { 128 });

        // A form that is sent again has the same answer; another one finds the device there.
        let again = browser.post_from(NEW, NEW, &fields);
        assert_eq!(again.between("id=\"code\">", "<"), text);
        let other = create(&mut browser, &[("name", name), ("from", "random")]);
        assert_eq!(
            (other.status, other.has("e4:1?"), other.has("exists already")),
            (409, false, true)
        );

        // Nothing shows it any more.
        let page = browser.get(&device(name));
        assert_eq!(page.status, 200);
        assert!(page.has("plant/pressure") && page.has("new client") && !page.has(&hex));
        let code = &text[text.find("key=").unwrap() + 4..][..40];
        for record in served.service.audit_records(0, 100).unwrap() {
            assert!(!record.detail.contains(&hex) && !record.detail.contains(code));
        }

        // A device that begins with it turns green.
        let state =
            |browser: &mut Browser| browser.get(&device(name)).between("id=\"standing\"", "</div>");
        assert!(!state(&mut browser).contains("confirmed"));
        let started = served.world.start(name, provision.into_identity().unwrap(), true);
        started.hello();
        started.comes_right(&served.service);
        until("it is green", || state(&mut browser).contains("badge good"));
    }
}

#[test]
fn keys_that_devices_have() {
    let served = Served::start(Mode::Symmetric);
    let mut browser = served.browser(Role::Operator);
    let secret = "a passphrase of the device";
    let page =
        create(&mut browser, &[("name", "pump"), ("from", "password"), ("password", secret)]);
    assert_eq!((page.status, page.has("e4:1?"), page.has(secret)), (201, false, false));
    let key = "a5".repeat(32);
    let page = create(&mut browser, &[("name", "gauge"), ("from", "key"), ("key", &key)]);
    assert_eq!((page.status, page.has(&key)), (201, false));
    assert_eq!(served.names(), ["gauge", "pump"]);

    let short = ("password", "too short");
    for (status, fields) in [
        (422, vec![("name", ""), ("from", "random")]),
        (422, vec![("name", "new\nline"), ("from", "random")]),
        (422, vec![("name", "valve"), ("from", "password")]),
        (422, vec![("name", "valve"), ("from", "password"), short]),
        (422, vec![("name", "valve"), ("from", "key"), ("key", "a5")]),
        (422, vec![("name", "valve"), ("from", "key"), ("key", &key[1..])]),
        (
            422,
            vec![
                ("name", "valve"),
                ("from", "key"),
                ("key", "+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5+5"),
            ],
        ),
        (404, vec![("name", "valve"), ("from", "random"), ("topics", "missing")]),
        (409, vec![("name", "pump"), ("from", "random")]),
    ] {
        let page = create(&mut browser, &fields);
        assert_eq!(page.status, status, "{fields:?}");
        // It can be mended, and holds nothing secret.
        assert!(page.has("role=\"alert\"") && page.has("id=\"name\""), "{fields:?}");
        assert!(!page.has("too short\"") && !page.has(&key) && !page.has("e4:1?"), "{fields:?}");
    }
    assert_eq!(served.names(), ["gauge", "pump"]);
    let page = create(&mut browser, &[("name", "pump"), ("from", "random"), ("replace", "yes")]);
    assert_eq!((page.status, page.has("provisioned anew")), (201, true));
}

#[test]
fn many_devices_at_once() {
    let served = Served::start(Mode::Symmetric);
    let mut browser = served.browser(Role::Operator);
    apply(&served.service, new_topic("a"));
    for number in 0..6 {
        apply(&served.service, new_client(&format!("pump-{number}")));
    }
    let select = |browser: &mut Browser, action: &str, names: &[&str]| {
        let mut fields = vec![("action", action), ("topic", "a")];
        fields.extend(names.iter().map(|name| ("device", *name)));
        browser.post_from("/devices", "/devices/selected", &fields)
    };
    let page = select(&mut browser, "add", &["pump-0", "pump-1", "pump-2"]);
    assert_eq!((page.status, page.has("Add 3 devices to a?")), (200, true));
    assert_eq!(served.service.count_clients_of_topic("a").unwrap(), 0);

    let change = |browser: &mut Browser, action: &str, once: &str, names: &[&str]| {
        let mut fields =
            vec![("action", action), ("topic", "a"), ("once", once), ("rotate", "yes")];
        fields.extend(names.iter().map(|name| ("device", *name)));
        browser.post_from("/devices", "/devices/change", &fields)
    };
    let page = change(&mut browser, "add", &page.field("once"), &["pump-0", "pump-1", "pump-2"]);
    assert_eq!((page.status, page.text.matches("badge good").count()), (200, 3));
    assert_eq!(served.service.count_clients_of_topic("a").unwrap(), 3);
    for action in ["rotate", "resync"] {
        assert_eq!(
            change(&mut browser, action, action, &["pump-0"]).text.matches("badge good").count(),
            1
        );
    }

    // One of them is not there any more: the others go, and it is said of each.
    let page = select(&mut browser, "remove", &["pump-0", "pump-3", "ghost"]);
    assert!(page.has("<li>ghost</li>") && page.has("name=\"rotate\""));
    let epoch = served.service.topic_view("a").unwrap().epoch;
    let once = page.field("once");
    let page = change(&mut browser, "remove", &once, &["pump-0", "pump-3", "ghost"]);
    let text = page.text.as_str();
    assert!(page.has("2 done, 1 not.") && page.has("Client &quot;ghost&quot; does not exist."));
    assert!(text.find("not done").unwrap() < text.find("badge good").unwrap());
    assert_eq!(served.names(), ["pump-1", "pump-2", "pump-4", "pump-5"]);
    assert_eq!(served.service.topic_view("a").unwrap().epoch, epoch + 1);
    // Sent again, it says the same and does nothing.
    let again = change(&mut browser, "remove", &once, &["pump-0", "pump-3", "ghost"]);
    assert!(again.has("2 done, 1 not."));
    assert_eq!(served.service.topic_view("a").unwrap().epoch, epoch + 1);

    assert_eq!(select(&mut browser, "remove", &[]).status, 422);
    assert_eq!(select(&mut browser, "burn", &["pump-1"]).status, 422);
    assert_eq!(change(&mut browser, "burn", "x", &["pump-1"]).status, 422);
    let fields = [("action", "add"), ("topic", "nowhere"), ("device", "pump-1")];
    assert_eq!(browser.post_from("/devices", "/devices/selected", &fields).status, 404);

    // The list finds them.
    let page = browser.get("/devices?search=PUMP-4");
    assert!(page.has("pump-4") && !page.has("pump-5"));
    let page = browser.get("/devices?state=failed");
    assert!(page.has("No such device") && !page.has("pump-4"));
    let page = browser.get("/devices?label=site%3Dnorth");
    assert!(page.has("No such device"));
}

#[test]
fn topics_from_their_pages() {
    let served = Served::start(Mode::Symmetric);
    let mut browser = served.browser(Role::Operator);
    assert!(browser.get("/topics").has("No topic yet"));
    for name in ["pump-1", "pump-2", "pump-3"] {
        apply(&served.service, new_client(name));
    }
    let topic = "plant/a&b";
    let new = "/topics/new";
    let names = "Name;site\r\npump-1;x\r\npump-2;y\r\nghost;z\r\n";
    let page = browser.post_from(new, new, &[("topic", topic), ("devices", names)]);
    assert_eq!((page.status, page.has("2 done, 1 not.")), (200, true));
    let page = browser.post_from(new, new, &[("topic", topic)]);
    assert_eq!((page.status, page.has("exists already")), (409, true));
    for wrong in ["", "a/#", "e4/x", "$SYS"] {
        let page = browser.post_from(new, new, &[("topic", wrong)]);
        assert_eq!((page.status, page.has("role=\"alert\"")), (422, true), "{wrong}");
    }
    assert_eq!(served.service.topic_view(topic).unwrap().epoch, 1);

    let here = format!("/topic?{}", encoded(&[("name", topic)]));
    let page = browser.get(&here);
    assert!(page.has("plant/a&amp;b") && page.has("pump-1") && !page.has("pump-3"));
    let members = |browser: &mut Browser, fields: &[(&str, &str)]| {
        let all = [&[("name", topic)], fields].concat();
        browser.post_from(&here, "/topic/members", &all)
    };
    let page = members(&mut browser, &[("what", "add"), ("devices", "pump-3\npump-2")]);
    assert!(page.has("2 done."), "{}", page.text);
    let page =
        members(&mut browser, &[("what", "take"), ("device", "pump-2"), ("device", "ghost")]);
    assert!(page.has("1 done, 1 not."));
    assert_eq!(served.service.count_clients_of_topic(topic).unwrap(), 2);
    assert_eq!(members(&mut browser, &[("what", "add"), ("devices", " ")]).status, 422);

    let rotate = format!("/topic/rotate?{}", encoded(&[("name", topic)]));
    let plan = browser.get(&rotate);
    assert!(plan.has("key number 2") && plan.has("<dd>2</dd>") && plan.has("state=handed"));
    assert_eq!(served.service.topic_view(topic).unwrap().epoch, 1);
    let once = plan.field("once");
    // Two clicks on one plan are one rotation.
    for _ in 0..2 {
        let page = browser.post_from(&rotate, "/topic/rotate", &[("name", topic), ("once", &once)]);
        assert_eq!(page.status, 303);
        assert_eq!(served.service.topic_view(topic).unwrap().epoch, 2);
    }
    assert!(browser.get(&here).has("has a new key"));
    let missing = [("name", "nowhere"), ("once", "x")];
    assert_eq!(browser.post_from(&rotate, "/topic/rotate", &missing).status, 404);
    assert_eq!(served.service.count_topics().unwrap(), 1);

    let remove = format!("/topic/remove?{}", encoded(&[("name", topic)]));
    assert!(browser.get(&remove).has("the 2 devices"));
    assert_eq!(browser.post_from(&remove, "/topic/remove", &[("name", topic)]).status, 303);
    assert_eq!(browser.get(&here).status, 404);
}

#[test]
fn a_rotation_that_begins_with_receivers() {
    let served = Served::start(Mode::Symmetric);
    let mut browser = served.browser(Role::Operator);
    apply(&served.service, new_topic("a"));
    let devices = ["pump", "gauge"].map(|name| {
        let device = served.world.device(&served.service, name, true);
        apply(&served.service, join("a", name));
        device.comes_right(&served.service);
        device
    });
    until("they are at rest", || served.service.topic_view("a").unwrap().members.confirmed == 2);
    let path = "/topic/rotate?name=a";
    let rotate = |browser: &mut Browser, fields: &[(&str, &str)]| {
        let once = browser.get(path).field("once");
        let all = [&[("name", "a"), ("how", "stages"), ("once", &once)], fields].concat();
        browser.post_from(path, "/topic/rotate", &all)
    };
    for (status, fields) in [
        (422, vec![("receivers-of", "names"), ("receivers", "gauge"), ("deadline", "0")]),
        (422, vec![("receivers-of", "names"), ("receivers", "gauge"), ("deadline", "-1")]),
        (422, vec![("receivers-of", "label"), ("label", "site")]),
        (404, vec![("receivers-of", "names"), ("receivers", "ghost")]),
    ] {
        let page = rotate(&mut browser, &fields);
        // The plan comes again, with what was typed.
        assert_eq!((page.status, page.has("role=\"alert\"")), (status, true), "{fields:?}");
        assert!(page.has("key number 2") && page.has("name=\"receivers\""), "{fields:?}");
    }
    // The device that only receives sleeps: the other one waits.
    served.world.lose(|device, _| device.name == "gauge");
    let fields = [("receivers-of", "names"), ("receivers", "gauge"), ("deadline", "600")];
    assert_eq!(rotate(&mut browser, &fields).status, 303);
    let page = browser.get("/topic?name=a");
    assert!(page.has("receivers first") && page.has("only receives"));
    let page = rotate(&mut browser, &fields);
    assert_eq!((page.status, page.has("is under way")), (409, true));
    assert!(browser.get(path).has("of whom an earlier rotation said so"));
    assert_eq!(served.service.topic_view("a").unwrap().epoch, 2);
    served.world.lose(|_, _| false);
    drop(devices);
}

#[test]
fn a_device_from_its_page() {
    let served = Served::start(Mode::Symmetric);
    let mut browser = served.browser(Role::Operator);
    let pump = served.world.device(&served.service, "pump", true);
    for topic in ["a", "b"] {
        apply(&served.service, new_topic(topic));
    }
    apply(&served.service, join("a", "pump"));
    let here = device("pump");
    let act = |browser: &mut Browser, path: &str, fields: &[(&str, &str)]| {
        let all = [&[("name", "pump")], fields].concat();
        browser.post_from(&here, path, &all)
    };
    assert_eq!(act(&mut browser, "/device/join", &[("topic", "b")]).status, 303);
    pump.comes_right(&served.service);
    assert_eq!(pump.topics(), 2);
    let page = act(&mut browser, "/device/join", &[("topic", "missing")]);
    assert_eq!(
        (page.status, page.has("role=\"alert\""), page.has("<h1>pump</h1>")),
        (404, true, true)
    );
    assert_eq!(act(&mut browser, "/device/leave", &[("topic", "a")]).status, 303);
    assert_eq!(act(&mut browser, "/device/rotate", &[]).status, 303);
    assert_eq!(act(&mut browser, "/device/resync", &[]).status, 303);
    until("it is at rest", || {
        served.service.device("pump").unwrap().device.standing == Standing::Confirmed
    });
    assert_eq!((pump.topics(), served.service.device("pump").unwrap().own_key.epoch), (1, 2));
    let page = browser.get(&here);
    for done in ["new topic client", "remove topic client", "new client key", "resync"] {
        assert!(page.has(done), "{done}");
    }
    assert!(browser.get("/device/reset?name=pump").has("none of its 1 topics"));
    assert_eq!(act(&mut browser, "/device/reset", &[]).status, 303);
    until("it forgot", || pump.topics() == 0);
    apply(&served.service, join("b", "pump"));
    let page = browser.get("/device/remove?name=pump");
    assert!(page.has("It knows the keys of b") && page.has("name=\"rotate\""));
    assert_eq!(act(&mut browser, "/device/remove", &[("rotate", "yes")]).status, 303);
    assert_eq!(served.service.topic_view("b").unwrap().epoch, 2);
    assert_eq!(browser.get(&here).status, 404);
    assert_eq!(browser.get("/device/remove?name=pump").status, 404);
}

#[test]
fn labels_from_their_pages() {
    let served = Served::start(Mode::Symmetric);
    let mut browser = served.browser(Role::Operator);
    for name in ["pump", "gauge"] {
        apply(&served.service, new_client(name));
        apply(&served.service, new_topic(name));
    }
    for (page, list) in [("/device", "/devices"), ("/topic", "/topics")] {
        let here = format!("{page}?name=pump");
        let label = |browser: &mut Browser, what: &str, label: &str| {
            let fields = [("name", "pump"), ("what", what), ("label", label)];
            browser.post_from(&here, &format!("{page}/label"), &fields).status
        };
        assert_eq!(label(&mut browser, "set", " hall = 9 "), 303);
        assert_eq!(label(&mut browser, "set", "hall"), 422);
        assert_eq!(label(&mut browser, "set", "=north"), 422);
        assert_eq!(label(&mut browser, "take", "ghost"), 404);
        assert!(browser.get(&here).has("hall=9"));
        for query in ["hall%3D9", "hall"] {
            let found = browser.get(&format!("{list}?label={query}"));
            assert!(found.has(">pump<") && !found.has(">gauge<"), "{list} {query}");
        }
        assert_eq!(label(&mut browser, "take", "hall"), 303);
        assert!(!browser.get(&here).has("hall=9"));
    }
}

#[test]
fn public_keys_from_their_page() {
    let served = Served::start(Mode::Symmetric);
    let mut browser = served.browser(Role::Operator);
    let page = browser.get("/links");
    assert!(page.has("symmetric keys") && !page.has("href=\"/links\""));

    let served = Served::start(Mode::PublicKey);
    let mut browser = served.browser(Role::Operator);
    let gauge = served.world.device(&served.service, "gauge", true);
    served.world.device(&served.service, "pump", true);
    let change = |browser: &mut Browser, what: &str, source: &str| {
        let fields = [("what", what), ("source", source), ("target", "gauge")];
        browser.post_from("/links", "/links/change", &fields)
    };
    assert_eq!(change(&mut browser, "link", "pump").status, 303);
    gauge.comes_right(&served.service);
    until("it is confirmed", || {
        let links = served.service.links(("", ""), 10).unwrap();
        links.rows[0].standing == Some(Standing::Confirmed)
    });
    let page = browser.get("/links");
    assert!(page.has("1 links") && page.has("Number 1: "));
    let page = change(&mut browser, "send", "ghost");
    assert_eq!((page.status, page.has("role=\"alert\"")), (404, true));
    assert_eq!(change(&mut browser, "send", "gauge").status, 422);
    assert_eq!(change(&mut browser, "burn", "pump").status, 422);
    assert_eq!(change(&mut browser, "take", "pump").status, 303);
    assert_eq!(change(&mut browser, "unlink", "pump").status, 303);
    assert_eq!(change(&mut browser, "unlink", "pump").status, 404);
    assert_eq!(change(&mut browser, "send", "pump").status, 303);
    let here = browser.get("/links/reset?target=gauge");
    assert!(here.has("It holds 1,"), "{}", here.text);
    let fields = [("target", "gauge")];
    assert_eq!(browser.post_from("/links/reset?target=gauge", "/links/reset", &fields).status, 303);

    let plan = browser.get("/links/c2-key");
    assert!(plan.has("key number 2") && plan.has("about a minute"));
    let once = plan.field("once");
    for _ in 0..2 {
        let page = browser.post_from("/links/c2-key", "/links/c2-key", &[("once", &once)]);
        assert_eq!(page.status, 303);
        assert_eq!(served.service.c2_key_state().unwrap().0, 2);
    }
    until("devices confirmed it", || served.service.c2_key_state().unwrap().1.confirmed == 2);
}

/// Every form.
const ACTS: [&str; 18] = [
    "/devices/selected",
    "/devices/change",
    "/devices/new",
    "/device/join",
    "/device/leave",
    "/device/label",
    "/device/rotate",
    "/device/resync",
    "/device/reset",
    "/device/remove",
    "/topics/new",
    "/topic/label",
    "/topic/members",
    "/topic/rotate",
    "/topic/remove",
    "/links/change",
    "/links/reset",
    "/links/c2-key",
];

/// Every page that asks before something is done.
const ASKS: [&str; 8] = [
    "/devices/new",
    "/device/reset?name=pump",
    "/device/remove?name=pump",
    "/topics/new",
    "/topic/rotate?name=a",
    "/topic/remove?name=a",
    "/links/c2-key",
    "/links/reset?target=pump",
];

/// What would be enough for each of them.
const FIELDS: [(&str, &str); 9] = [
    ("name", "pump"),
    ("topic", "a"),
    ("device", "pump"),
    ("devices", "pump"),
    ("action", "remove"),
    ("source", "pump"),
    ("target", "pump"),
    ("what", "take"),
    ("from", "random"),
];

fn fleet() -> Served {
    let served = Served::start(Mode::PublicKey);
    apply(&served.service, new_topic("a"));
    apply(&served.service, new_client("pump"));
    apply(&served.service, join("a", "pump"));
    served
}

#[test]
fn a_reader_changes_nothing() {
    let served = fleet();
    let mut reader = served.browser(Role::Reader);
    for path in ["/devices", "/device?name=pump", "/topics", "/topic?name=a", "/links"] {
        let page = reader.get(path);
        assert_eq!(page.status, 200, "{path}");
        // It finds nothing to press but what searches and signs out.
        let posts = page.text.matches("method=\"post\"").count();
        assert_eq!(posts, 1, "{path}");
        assert!(page.has("action=\"/sign-out\"") && !page.has("href=\"/devices/new\""), "{path}");
    }
    let posted = ACTS.map(|path| (path, true));
    let asked = ASKS.map(|path| (path, false));
    for (path, post) in posted.into_iter().chain(asked) {
        let served = fleet();
        let mut reader = served.browser(Role::Reader);
        let before = served.service.newest_record().unwrap();
        let page = match post {
            true => reader.post_from("/devices", path, &FIELDS),
            false => reader.get(path),
        };
        assert_eq!(page.status, 403, "{path}");
        let after = served.service.audit_records(before, 1000).unwrap();
        let actions: Vec<&str> = after.iter().map(|record| record.action.as_str()).collect();
        assert_eq!(actions, ["refused"], "{path}");
    }
}

#[test]
fn who_adds_devices_does_that_alone() {
    let served = fleet();
    let mut factory = served.browser(Role::DeviceProvisioner);
    assert_eq!(create(&mut factory, &[("name", "new"), ("from", "random")]).status, 201);
    let fields = [("name", "pump"), ("from", "random"), ("replace", "yes"), ("topics", "a")];
    assert_eq!(create(&mut factory, &fields).status, 409);
    for path in ["/devices", "/device?name=pump", "/topics", "/topic?name=a", "/links"] {
        assert_eq!(factory.get(path).status, 403, "{path}");
    }
    for path in ACTS.into_iter().filter(|path| *path != NEW) {
        let served = fleet();
        let mut factory = served.browser(Role::DeviceProvisioner);
        assert_eq!(factory.post_from(NEW, path, &FIELDS).status, 403, "{path}");
    }
}
