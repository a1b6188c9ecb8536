// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is put in can be read.

use e4::Mode;
use e4_c2::domain::{Credential, Error, Operation, Page, State, What};
use e4_c2::service::Service;
use e4_c2::store::Tx;

use crate::Open;
use crate::common::database::{
    NOON, ann, attempt, join, leave, new_client, new_topic, service, store,
};
use crate::common::fleet::apply;

const ALL: Page = Page { after: None, offset: 0, limit: 100 };

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_string()).collect()
}

fn missing(what: What, name: &str) -> Error {
    Error::NotFound { what, name: name.into() }
}

/// What a client is to be told, by name and epoch.
fn wanted(service: &Service, client: &str) -> Vec<(&'static str, String, i64)> {
    let state = service.client_state(client).unwrap();
    state.deliveries.into_iter().map(|item| (item.what, item.name, item.epoch)).collect()
}

pub fn clients_come_are_replaced_and_go(open: Open) {
    let service = service(open(), Mode::Symmetric);
    assert_eq!(service.count_clients(), Ok(0));
    let made = apply(&service, new_client("pump"));
    assert!(made.created && made.epoch == Some(1));
    assert_eq!(made.secret.unwrap().0.len(), 32);
    let credential = Credential::Password("a long password of hers".to_string().into());
    let made = apply(&service, Operation::NewClient { client: "fan".into(), credential });
    assert!(made.created && made.secret.is_none());
    assert_eq!(service.clients(&ALL).unwrap(), names(&["fan", "pump"]));

    apply(&service, new_topic("plant/a"));
    apply(&service, join("plant/a", "pump"));
    let key = e4::IdKey::from_slice(&[9; 32]).unwrap();
    let credential = Credential::Key(vec![9; 32].into());
    let made = apply(&service, Operation::NewClient { client: "pump".into(), credential });
    assert!(!made.created && made.epoch == Some(2));
    assert_eq!(service.count_clients(), Ok(2));
    let read = |tx: &mut Tx| {
        let client = tx.client("pump")?;
        let keys = tx.client_keys(client.row, 0)?;
        assert_eq!((keys.len(), keys[0].epoch), (1, 2), "the old key is forgotten");
        assert!(matches!(&keys[0].key, e4_c2::store::KeyOfClient::Id(id) if id.ct_eq(&key)));
        Ok(())
    };
    service.store().read(read).unwrap();
    // It stays a client of its topics, and is told again.
    assert_eq!(service.topics_of_client("pump", &ALL).unwrap(), names(&["plant/a"]));
    assert_eq!(service.client_state("pump").unwrap().due_at, Some(NOON));

    let made = apply(&service, Operation::NewClientKey { client: "pump".into() });
    assert_eq!(made.epoch, Some(3));
    assert!(made.secret.is_none(), "it is for the client alone");
    let own = &service.client_state("pump").unwrap().deliveries[0];
    assert_eq!((own.what, own.epoch, own.state), ("own key", 3, State::Queued));

    apply(&service, Operation::RemoveClient { client: "pump".into(), rotate: false });
    assert_eq!(service.clients(&ALL).unwrap(), names(&["fan"]));
    assert_eq!(service.count_clients_of_topic("plant/a"), Ok(0));
    assert_eq!(service.client_state("pump").unwrap_err(), missing(What::Client, "pump"));
    // A new one of that name has nothing of the old one.
    assert!(apply(&service, new_client("pump")).created);
    assert_eq!(service.topics_of_client("pump", &ALL).unwrap(), names(&[]));
}

pub fn topics_come_are_rotated_and_go(open: Open) {
    let service = service(open(), Mode::Symmetric);
    let made = apply(&service, new_topic("plant/a"));
    assert!(made.created && made.epoch == Some(1) && made.secret.is_none());
    let key = |epoch: i64| {
        let newest = |tx: &mut Tx| {
            let topic = tx.topic("plant/a")?;
            assert_eq!(topic.epoch, epoch);
            let mut keys = tx.topic_keys(&topic)?;
            assert_eq!(keys.len(), usize::try_from(epoch.min(2)).unwrap());
            Ok(keys.remove(0).0)
        };
        service.store().read(newest).unwrap()
    };
    let mut before = key(1);
    for epoch in 2..5 {
        let made = apply(&service, new_topic("plant/a"));
        assert!(!made.created && made.epoch == Some(epoch));
        let after = key(epoch);
        assert!(!after.ct_eq(&before));
        before = after;
    }
    apply(&service, new_client("pump"));
    apply(&service, join("plant/a", "pump"));
    apply(&service, Operation::RemoveTopic { topic: "plant/a".into() });
    assert_eq!(service.count_topics(), Ok(0));
    assert_eq!(service.topic_state("plant/a"), Err(missing(What::Topic, "plant/a")));
    assert_eq!(service.topics_of_client("pump", &ALL).unwrap(), names(&[]));
    // Made again it is another topic, of which nobody is a client.
    assert!(apply(&service, new_topic("plant/a")).created);
    assert_eq!(service.count_clients_of_topic("plant/a"), Ok(0));
    assert!(!key(1).ct_eq(&before));
}

pub fn memberships(open: Open) {
    let service = service(open(), Mode::Symmetric);
    for name in ["pump", "fan"] {
        apply(&service, new_client(name));
    }
    for topic in ["plant/a", "plant/b"] {
        apply(&service, new_topic(topic));
        apply(&service, join(topic, "pump"));
    }
    assert!(apply(&service, join("plant/a", "fan")).created);
    assert!(!apply(&service, join("plant/a", "fan")).created, "it was already");
    assert_eq!(service.topics_of_client("pump", &ALL).unwrap(), names(&["plant/a", "plant/b"]));
    assert_eq!(service.clients_of_topic("plant/a", &ALL).unwrap(), names(&["fan", "pump"]));
    assert_eq!(service.count_clients_of_topic("plant/a"), Ok(2));
    assert_eq!(service.count_topics_of_client("pump"), Ok(2));
    let progress = service.topic_state("plant/a").unwrap().clients;
    assert_eq!((progress.queued, progress.confirmed), (2, 0));

    apply(&service, leave("plant/a", "fan"));
    assert_eq!(service.clients_of_topic("plant/a", &ALL).unwrap(), names(&["pump"]));
    let again = attempt(&service, leave("plant/a", "fan")).unwrap_err();
    assert_eq!(again, missing(What::Member, "fan of plant/a"));
    for (topic, client, what, name) in
        [("plant/a", "nobody", What::Client, "nobody"), ("plant/x", "fan", What::Topic, "plant/x")]
    {
        for operation in [join(topic, client), leave(topic, client)] {
            assert_eq!(attempt(&service, operation).unwrap_err(), missing(what, name));
        }
    }
}

pub fn links_and_public_keys(open: Open) {
    let service = service(open(), Mode::PublicKey);
    for name in ["pump", "fan", "eye"] {
        assert_eq!(apply(&service, new_client(name)).secret.unwrap().0.len(), 64);
    }
    let link = |source: &str| Operation::LinkClient { source: source.into(), target: "eye".into() };
    assert!(apply(&service, link("pump")).created);
    assert!(apply(&service, link("fan")).created);
    assert!(!apply(&service, link("fan")).created);
    assert_eq!(service.linked_clients("eye", &ALL).unwrap(), names(&["fan", "pump"]));
    assert_eq!(service.linked_clients("pump", &ALL).unwrap(), names(&[]));
    let unlink = || Operation::UnlinkClient { source: "fan".into(), target: "eye".into() };
    apply(&service, unlink());
    assert_eq!(attempt(&service, unlink()).unwrap_err(), missing(What::Link, "fan to eye"));
    assert_eq!(service.count_linked_clients("eye"), Ok(1));
    // A link says only what happens later.
    assert_eq!(wanted(&service, "eye").len(), 2);

    let peers = || {
        let mut all = wanted(&service, "eye");
        all.retain(|(what, ..)| what.ends_with("public key"));
        all
    };
    apply(&service, Operation::NewClientKey { client: "pump".into() });
    apply(&service, Operation::NewClientKey { client: "fan".into() });
    assert_eq!(peers(), [("public key", "pump".to_string(), 2)]);
    let send = || Operation::SendClientPubKey { source: "fan".into(), target: "eye".into() };
    let made = apply(&service, send());
    assert!(made.created && made.epoch == Some(2));
    assert!(!apply(&service, send()).created);
    assert_eq!(peers().len(), 2);

    // What was never sent needs no removal.
    let remove = |source: &str| Operation::RemoveClientPubKey {
        source: source.into(),
        target: "eye".into(),
    };
    apply(&service, remove("fan"));
    let again = attempt(&service, remove("fan")).unwrap_err();
    assert_eq!(again, missing(What::PublicKey, "of fan at eye"));
    assert_eq!(peers().len(), 1);
    apply(&service, Operation::ResetClientPubKeys { target: "eye".into() });
    assert_eq!(peers().len(), 0);
    let reset = |tx: &mut Tx| Ok(tx.client("eye")?.reset);
    assert_eq!(service.store().read(reset), Ok(e4_c2::domain::RESET_PEERS));

    // A source that is removed is forgotten by its targets.
    apply(&service, send());
    let sent = |tx: &mut Tx| {
        let (eye, fan) = (tx.client("eye")?.row, tx.client("fan")?.row);
        let kind = e4_c2::domain::Kind::Peer;
        let sent =
            e4_c2::store::Sent { kind, subject: fan, target: 2, siv: [1; 16], stamp: 1_800_000 };
        tx.sent(eye, &sent, NOON)
    };
    service.store().write(sent).unwrap();
    apply(&service, Operation::RemoveClient { client: "fan".into(), rotate: false });
    assert_eq!(peers(), [("removed public key", "fan".to_string(), 0)]);
    assert_eq!(service.client_state("eye").unwrap().due_at, Some(NOON));

    let before = service.c2_public_key().unwrap();
    assert_eq!(apply(&service, Operation::NewC2Key).epoch, Some(2));
    assert!(before.as_bytes() != service.c2_public_key().unwrap().as_bytes());
    // Nobody has confirmed it.
    service.store().write(|tx| tx.forget_c2_keys()).unwrap();
    assert_eq!(service.store().read(|tx| Ok(tx.c2_keys()?.len())), Ok(2));
}

/// Names in the order of their bytes, which is that of no dictionary.
const ODD: [&str; 9] =
    ["#x", "A", "Z pump", "_under", "a", "a b", "zoo", "\u{e4}pfel", "\u{1f600}"];

pub fn lists_by_cursor_and_offset(open: Open) {
    let service = service(open(), Mode::Symmetric);
    let mut expected = names(&ODD);
    expected.extend((0..241).map(|number| format!("n{number:03}")));
    expected.sort();
    let all: Vec<Operation> = expected.iter().rev().map(|name| new_client(name)).collect();
    for result in service.apply_all(&ann(), &all).unwrap() {
        result.unwrap();
    }
    let topics: Vec<String> = expected.iter().filter(|name| !name.contains('#')).cloned().collect();
    let all: Vec<Operation> = topics
        .iter()
        .flat_map(|topic| [new_topic(topic), join(topic, "n000"), join("a", topic)])
        .collect();
    service.apply_all(&ann(), &all).unwrap();
    assert_eq!(service.count_clients(), Ok(250));
    assert_eq!(service.count_topics(), Ok(249));
    assert_eq!(service.count_topics_of_client("n000"), Ok(249));
    // Joined before topic "a" was there, one was refused.
    let members: Vec<String> = topics.iter().filter(|name| name.as_str() >= "a").cloned().collect();

    type List<'a> = &'a dyn Fn(&Page) -> Vec<String>;
    let lists: [(List, &[String]); 4] = [
        (&|page| service.clients(page).unwrap(), &expected),
        (&|page| service.topics(page).unwrap(), &topics),
        (&|page| service.topics_of_client("n000", page).unwrap(), &topics),
        (&|page| service.clients_of_topic("a", page).unwrap(), &members),
    ];
    for (list, expected) in lists {
        let mut page = Page::first(7);
        let mut found = Vec::new();
        loop {
            let part = list(&page);
            let Some(last) = part.last() else { break };
            assert!(part.len() <= 7);
            page = Page::after(last, 7);
            found.extend(part);
        }
        assert_eq!(found, expected, "by cursor");
        let found: Vec<String> = (0..)
            .map(|number| list(&Page { after: None, offset: number * 90, limit: 90 }))
            .take_while(|part| !part.is_empty())
            .flatten()
            .collect();
        assert_eq!(found, expected, "by offset");
        assert_eq!(list(&Page::first(1_000_000)).len(), 100, "never more than a hundred");
        for (offset, limit) in [(0, 0), (0, -1), (0, i64::MIN), (10_000, 5), (i64::MAX, 5)] {
            assert!(list(&Page { after: None, offset, limit }).is_empty(), "{offset} {limit}");
        }
        assert_eq!(list(&Page { after: None, offset: -5, limit: 1 }), expected[..1]);
        let both = Page { after: Some(expected[3].clone()), offset: 2, limit: 2 };
        assert_eq!(list(&both), expected[6..8]);
        // A cursor need not be a name that exists, nor one that could.
        for after in ["n0005", "n000\0x", "n000\u{1}"] {
            let first = list(&Page::after(after, 1));
            let next = expected.iter().find(|name| name.as_str() > after);
            assert_eq!(first.first(), next, "{after:?}");
        }
    }
    assert_eq!(service.troubled_clients(&ALL).unwrap(), names(&[]));
}

pub fn longest_topics(open: Open) {
    let service = service(open(), Mode::Symmetric);
    // Text that does not shrink.
    let mut noise = vec![0; 65_530 / 2];
    getrandom::fill(&mut noise).unwrap();
    let noise = hex::encode(noise);
    let long: Vec<String> = ["", "a", "b", "bcdef"].map(|end| format!("{noise}{end}")).into();
    for topic in &long {
        assert!(apply(&service, new_topic(topic)).created);
    }
    assert_eq!(long[3].len(), 65_535);
    assert_eq!(apply(&service, new_topic(&long[2])).epoch, Some(2));
    let mut found = Vec::new();
    let mut page = Page::first(1);
    while let Some(name) = service.topics(&page).unwrap().pop() {
        page = Page::after(&name, 1);
        found.push(name);
    }
    assert_eq!(found, long);
    apply(&service, new_client(&"n".repeat(255)));
    apply(&service, join(&long[3], &"n".repeat(255)));
    apply(&service, Operation::RemoveTopic { topic: long[3].clone() });
    assert_eq!(service.count_topics(), Ok(3));
}

pub fn names_that_nobody_has(open: Open) {
    let service = service(open(), Mode::Symmetric);
    for name in ["", "pump", "pu\0mp", "\0", "\u{fffd}", &"long".repeat(50_000)] {
        let client = Err(missing(What::Client, name));
        assert_eq!(service.count_topics_of_client(name), client, "{name:.9?}");
        let topic = Err(missing(What::Topic, name));
        assert_eq!(service.count_clients_of_topic(name), topic, "{name:.9?}");
    }
}

pub fn removal_of_a_client_can_rotate_its_topics(open: Open) {
    let service = service(open(), Mode::Symmetric);
    apply(&service, new_client("pump"));
    for number in 0..120 {
        apply(&service, new_topic(&format!("t{number:03}")));
        if number % 10 != 0 {
            apply(&service, join(&format!("t{number:03}"), "pump"));
        }
    }
    apply(&service, Operation::RemoveClient { client: "pump".into(), rotate: true });
    let epoch = |number: i64| {
        let epoch = |tx: &mut Tx| Ok(tx.topic(&format!("t{number:03}"))?.epoch);
        service.store().read(epoch).unwrap()
    };
    for number in 0..120 {
        assert_eq!(epoch(number), if number % 10 == 0 { 1 } else { 2 }, "{number}");
    }
}

pub fn a_reset_forgets_memberships(open: Open) {
    let service = service(open(), Mode::Symmetric);
    apply(&service, new_client("pump"));
    for topic in ["plant/a", "plant/b"] {
        apply(&service, new_topic(topic));
        apply(&service, join(topic, "pump"));
    }
    apply(&service, Operation::ResetClient { client: "pump".into() });
    assert_eq!(service.topics_of_client("pump", &ALL).unwrap(), names(&[]));
    assert_eq!(service.count_clients_of_topic("plant/a"), Ok(0));
    // A rotation afterwards is none of its business.
    apply(&service, new_topic("plant/a"));
    assert_eq!(wanted(&service, "pump").len(), 1);
    let reset = |tx: &mut Tx| Ok(tx.client("pump")?.reset);
    assert_eq!(service.store().read(reset), Ok(e4_c2::domain::RESET_TOPICS));
}

pub fn all_clients_of_a_change_are_told(open: Open) {
    let service = crate::common::database::service(open(), Mode::Symmetric);
    let mut all = vec![new_topic("plant/a")];
    for number in 0..25 {
        let name = format!("n{number:02}");
        all.push(new_client(&name));
        if number % 2 == 0 {
            all.push(join("plant/a", &name));
        }
    }
    service.apply_all(&ann(), &all).unwrap();
    let at_rest = |tx: &mut Tx| {
        for client in tx.due_clients(i64::MAX, 100)? {
            tx.move_due(client.row, NOON, None)?;
        }
        Ok(())
    };
    let told = |operation: Operation| {
        service.store().write(at_rest).unwrap();
        assert_eq!(service.store().read(|tx| tx.next_due()), Ok(None));
        apply(&service, operation);
        let mut pages = 0;
        // A later time shows that it was this.
        while service.store().write(|tx| tx.fan_out_page(5, NOON)).unwrap() {
            pages += 1;
        }
        (pages, service.store().write(|tx| tx.due_clients(NOON, 100)).unwrap().len())
    };
    // The last page is the one that is empty.
    assert_eq!(told(new_topic("plant/a")), (4, 13));
    assert_eq!(told(Operation::Resync { client: None }), (6, 25));
    assert_eq!(told(Operation::Resync { client: Some("n03".into()) }), (0, 1));
    assert_eq!(told(Operation::RemoveTopic { topic: "plant/a".into() }), (4, 13));
    drop(service);
    // Nothing of it was in memory alone.
    let again = store(open(), Mode::Symmetric);
    assert_eq!(again.read(|tx| tx.next_due()), Ok(Some(NOON)));
}
