// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How clients and topics stand, for pages.

use e4::Mode;
use e4_c2::domain::{Error, Filter, Operation, Place, Standing, Standings, What};
use e4_c2::service::Service;
use e4_c2::store::{Handed, Sent, Tx};

use crate::Open;
use crate::common::database::{NOON, attempt, join, leave, meddle, new_client, new_topic, service};
use crate::common::fleet::apply;

/// What becomes of a command.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Sent,
    Handed,
    Refused,
    Confirmed,
}

/// Sends a client what it lacks, as the reconciler does, and has it at rest when nothing is left.
fn send(service: &Service, name: &str, fate: Fate) {
    let work = |tx: &mut Tx| {
        let mut client = tx.client(name)?;
        for (number, holding) in (1u8..).zip(tx.unsettled(client.row)?) {
            let siv = [number; 16];
            let (kind, subject, target) = (holding.kind, holding.subject, holding.target);
            let sent = Sent { kind, subject, target, siv, stamp: NOON / 1000 };
            tx.sent(client.row, &sent, NOON)?;
            if fate == Fate::Handed {
                tx.handed(client.row, &Handed::Holding(kind, subject, siv), NOON)?;
            } else if fate != Fate::Sent {
                let error = (fate == Fate::Refused).then_some(-107);
                tx.answered(client.row, &siv, error, NOON)?;
            }
        }
        tx.forget_removals(client.row)?;
        if matches!(fate, Fate::Refused | Fate::Confirmed) {
            (client.answers, client.seen_at) = (true, Some(NOON));
        }
        client.due_at = (fate != Fate::Confirmed).then_some(NOON);
        tx.update_client(&client)
    };
    service.store().write(work).unwrap();
}

fn all() -> Filter {
    Filter::default()
}

/// The overview counts in another way, and comes to the same.
fn tallied(service: &Service) {
    let tally = service.tally().unwrap();
    assert_eq!(tally.clients, service.device_standings().unwrap());
    let listed = service.topic_views(&all(), &Place::First, 100).unwrap();
    assert_eq!(listed.rows.len(), tally.topics.len());
    let topics = service.store().read(|tx| tx.tally_topics()).unwrap();
    for tallied in [&tally.topics, &topics] {
        for (one, other) in listed.rows.iter().zip(tallied) {
            assert_eq!((&one.name, one.epoch), (&other.name, other.epoch));
            assert_eq!(one.members, other.members, "{}", one.name);
        }
    }
    assert_eq!(topics.len(), tally.topics.len());
}

fn standing(service: &Service, name: &str) -> Standing {
    tallied(service);
    let filter = Filter { search: name.into(), ..all() };
    let listed = service.devices(&filter, &Place::First, 10).unwrap();
    let row = listed.part.rows.iter().find(|row| row.name == name).unwrap();
    let detail = service.device(name).unwrap();
    // The list and the page of the device are two ways to the same.
    assert_eq!(detail.device.standing, row.standing, "{name}");
    assert_eq!(detail.device.behind, row.behind, "{name}");
    assert_eq!(detail.device.topics, row.topics, "{name}");
    row.standing
}

fn told(service: &Service) {
    while service.store().write(|tx| tx.fan_out_page(100, NOON)).unwrap() {}
}

pub fn a_client_comes_along(open: Open) {
    let service = service(open(), Mode::Symmetric);
    apply(&service, new_client("pump"));
    // Nothing was heard of it yet.
    assert_eq!(standing(&service, "pump"), Standing::Handed);
    apply(&service, new_topic("a"));
    apply(&service, join("a", "pump"));
    assert_eq!(standing(&service, "pump"), Standing::OnItsWay);
    send(&service, "pump", Fate::Sent);
    assert_eq!(standing(&service, "pump"), Standing::OnItsWay);
    send(&service, "pump", Fate::Handed);
    assert_eq!(standing(&service, "pump"), Standing::Handed);
    send(&service, "pump", Fate::Confirmed);
    assert_eq!(standing(&service, "pump"), Standing::Confirmed);

    // A rotation of which it was not told yet counts at once.
    apply(&service, new_topic("a"));
    assert_eq!(standing(&service, "pump"), Standing::OnItsWay);
    told(&service);
    assert_eq!(standing(&service, "pump"), Standing::OnItsWay);
    send(&service, "pump", Fate::Handed);
    assert_eq!(standing(&service, "pump"), Standing::OnItsWay);
    // It was called again and does not answer.
    send(&service, "pump", Fate::Handed);
    assert_eq!(standing(&service, "pump"), Standing::Waiting);
    send(&service, "pump", Fate::Sent);
    assert_eq!(standing(&service, "pump"), Standing::Waiting);
    // Something new is on its way beside what waits.
    apply(&service, new_topic("b"));
    apply(&service, join("b", "pump"));
    assert_eq!(standing(&service, "pump"), Standing::OnItsWay);
    send(&service, "pump", Fate::Refused);
    assert_eq!(standing(&service, "pump"), Standing::Failed);
    send(&service, "pump", Fate::Confirmed);
    assert_eq!(standing(&service, "pump"), Standing::Confirmed);
    // What it has to forget is outstanding as well.
    apply(&service, leave("b", "pump"));
    assert_eq!(standing(&service, "pump"), Standing::OnItsWay);
    send(&service, "pump", Fate::Confirmed);
    assert_eq!(standing(&service, "pump"), Standing::Confirmed);
    meddle(&*open(), "UPDATE clients SET trouble = 'it differs'");
    assert_eq!(standing(&service, "pump"), Standing::Failed);
    let detail = service.device("pump").unwrap();
    assert_eq!(detail.device.trouble.as_deref(), Some("it differs"));
}

pub fn keys_of_its_own_count(open: Open) {
    let service = service(open(), Mode::PublicKey);
    for name in ["pump", "old"] {
        apply(&service, new_client(name));
        apply(&service, new_topic("a"));
        apply(&service, join("a", name));
    }
    send(&service, "pump", Fate::Confirmed);
    // One that answers no one, and yet is known to hold everything: it was brought over.
    send(&service, "old", Fate::Confirmed);
    meddle(&*open(), "UPDATE clients SET answers = 0, seen_at = NULL WHERE name = 'old'");
    assert_eq!(standing(&service, "old"), Standing::Confirmed);

    let set = |what: &str| meddle(&*open(), &format!("UPDATE clients SET {what}, due_at = 1"));
    for (epoch, confirmed, handed, tries) in [
        (
            "key_epoch = key_epoch + 1",
            "key_confirmed = key_epoch",
            "key_handed = key_epoch",
            "key_tries",
        ),
        ("c2_confirmed = 0, c2_handed = 0", "c2_confirmed = 1", "c2_handed = 1", "c2_tries"),
    ] {
        set(epoch);
        for name in ["pump", "old"] {
            assert_eq!(standing(&service, name), Standing::OnItsWay, "{name} {epoch}");
        }
        set(&format!("{handed}, {tries} = 1"));
        assert_eq!(standing(&service, "pump"), Standing::OnItsWay);
        assert_eq!(standing(&service, "old"), Standing::Handed);
        set(&format!("{tries} = 2"));
        assert_eq!(standing(&service, "pump"), Standing::Waiting);
        assert_eq!(standing(&service, "old"), Standing::Handed);
        set(&format!("{confirmed}, {tries} = 0"));
        assert_eq!(standing(&service, "pump"), Standing::Confirmed);
    }
    set("reset = 1, drift = 0");
    assert_eq!(standing(&service, "pump"), Standing::OnItsWay);
    set("reset = 1, drift = 3");
    assert_eq!(standing(&service, "pump"), Standing::Waiting);
    assert_eq!(standing(&service, "old"), Standing::OnItsWay);
    set("reset = 0, drift = 0");

    // The public key of another one.
    let pair = |source: &str, target: &str| (source.to_string(), target.to_string());
    let (source, target) = pair("old", "pump");
    apply(&service, Operation::LinkClient { source, target });
    let links = service.links(("", ""), 10).unwrap();
    assert_eq!((links.total, links.rows[0].standing), (1, None));
    let (source, target) = pair("old", "pump");
    apply(&service, Operation::SendClientPubKey { source, target });
    assert_eq!(standing(&service, "pump"), Standing::OnItsWay);
    let links = service.links(("", ""), 10).unwrap();
    assert_eq!(links.rows[0].standing, Some(Standing::OnItsWay));
    let detail = service.device("pump").unwrap();
    assert_eq!((detail.sources, detail.peers.len()), (vec!["old".to_string()], 1));
    assert_eq!(service.device("old").unwrap().targets, ["pump"]);
    send(&service, "pump", Fate::Confirmed);
    assert_eq!(standing(&service, "pump"), Standing::Confirmed);
    let links = service.links(("", ""), 10).unwrap();
    assert_eq!(links.rows[0].standing, Some(Standing::Confirmed));
    assert!(service.links(("pump", "old"), 10).unwrap().rows.is_empty());
}

pub fn lists_are_searched_sorted_and_leafed_through(open: Open) {
    let service = service(open(), Mode::Symmetric);
    apply(&service, new_topic("a"));
    for number in 0..25 {
        let name = format!("Pump-{number:02}");
        apply(&service, new_client(&name));
        if number % 5 == 0 {
            apply(&service, join("a", &name));
            send(&service, &name, Fate::Confirmed);
        }
    }
    apply(&service, new_client("gauge"));
    let names = |filter: &Filter, place: Place| {
        let listed = service.devices(filter, &place, 10).unwrap();
        let part = listed.part;
        let names: Vec<String> = part.rows.iter().map(|row| row.name.clone()).collect();
        (names, part.total, part.before, part.after)
    };
    let (first, total, before, after) = names(&all(), Place::First);
    assert_eq!((first.len(), total, before, after), (10, 26, false, true));
    let (second, _, before, after) = names(&all(), Place::After(first[9].clone()));
    assert_eq!((second.len(), before, after), (10, true, true));
    let (third, _, before, after) = names(&all(), Place::After(second[9].clone()));
    assert_eq!((third.len(), before, after), (6, true, false));
    let (back, _, before, after) = names(&all(), Place::Before(third[0].clone()));
    assert_eq!((back, before, after), (second.clone(), true, true));
    let (back, _, before, after) = names(&all(), Place::Before(second[0].clone()));
    assert_eq!((back, before, after), (first.clone(), false, true));

    let pumps = Filter { search: "pUMP-1".into(), ..all() };
    assert_eq!(names(&pumps, Place::First).1, 10);
    let listed = service.devices(&pumps, &Place::First, 3).unwrap();
    let counts = Standings { confirmed: 2, handed: 8, ..Standings::default() };
    assert_eq!((listed.standings, listed.part.rows.len()), (counts, 3));
    let confirmed = Filter { standing: Some(Standing::Confirmed), ..all() };
    let (found, total, ..) = names(&confirmed, Place::First);
    assert_eq!((found.len(), total), (5, 5));
    assert_eq!(found[1], "Pump-05");
    let all_of = Standings { confirmed: 5, handed: 21, ..Standings::default() };
    assert_eq!(service.device_standings().unwrap(), all_of);

    meddle(
        &*open(),
        "INSERT INTO labels (kind, subject, name, value) VALUES (2, 1, 'site', 'north')",
    );
    meddle(
        &*open(),
        "INSERT INTO labels (kind, subject, name, value) VALUES (2, 2, 'site', 'south')",
    );
    meddle(
        &*open(),
        "INSERT INTO labels (kind, subject, name, value) VALUES (1, 3, 'site', 'north')",
    );
    let label = |name: &str, value: Option<&str>| {
        let label = Some((name.to_string(), value.map(String::from)));
        names(&Filter { label, ..all() }, Place::First).0
    };
    assert_eq!(label("site", None), ["Pump-00", "Pump-01"]);
    assert_eq!(label("site", Some("south")), ["Pump-01"]);
    assert!(label("site", Some("")).is_empty() && label("", None).is_empty());
    assert!(label("si\0te", None).is_empty() && label("Site", None).is_empty());
    let listed = service.devices(&all(), &Place::First, 1).unwrap();
    assert_eq!(listed.part.rows[0].labels, [("site".to_string(), "north".to_string())]);
}

pub fn topics_and_their_members(open: Open) {
    let service = service(open(), Mode::Symmetric);
    for number in 0..12 {
        apply(&service, new_topic(&format!("Plant/{number:02}")));
    }
    let fates = [
        ("c0", vec![Fate::Confirmed]),
        ("c1", vec![]),
        ("c2", vec![Fate::Handed]),
        ("c3", vec![Fate::Refused]),
        ("c4", vec![Fate::Confirmed]),
        ("c5", vec![Fate::Sent]),
    ];
    for (name, fates) in fates {
        apply(&service, new_client(name));
        apply(&service, join("Plant/00", name));
        for fate in fates {
            send(&service, name, fate);
        }
    }
    // c4 answered, and then slept through two commands.
    apply(&service, join("Plant/01", "c4"));
    send(&service, "c4", Fate::Handed);
    send(&service, "c4", Fate::Handed);
    let view = service.topic_view("Plant/00").unwrap();
    let members = Standings { confirmed: 2, on_its_way: 2, waiting: 0, handed: 1, failed: 1 };
    assert_eq!((view.members, view.epoch, view.stage), (members, 1, 0));
    assert_eq!(view.rotated_at, Some(NOON));
    let one = service.topic_view("Plant/01").unwrap();
    assert_eq!(one.members, Standings { waiting: 1, ..Standings::default() });

    let sorted = service.members("Plant/00", &all(), &Place::First, 3).unwrap();
    assert_eq!((sorted.standings, sorted.part.total), (members, 6));
    let names: Vec<&str> = sorted.part.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!((names, sorted.part.after), (vec!["c0", "c1", "c2"], true));
    let failed = Filter { standing: Some(Standing::Failed), ..all() };
    let sorted = service.members("Plant/00", &failed, &Place::First, 3).unwrap();
    assert_eq!((sorted.part.rows[0].name.as_str(), sorted.part.total), ("c3", 1));
    let missing = service.members("nowhere", &all(), &Place::First, 3);
    assert!(matches!(missing, Err(Error::NotFound { what: What::Topic, .. })));

    let names = |filter: &Filter, place: Place| {
        let part = service.topic_views(filter, &place, 5).unwrap();
        let names: Vec<String> = part.rows.iter().map(|row| row.name.clone()).collect();
        (names, part.total, part.before, part.after)
    };
    let (first, total, before, after) = names(&all(), Place::First);
    assert_eq!((first.len(), total, before, after), (5, 12, false, true));
    let (second, _, before, after) = names(&all(), Place::After(first[4].clone()));
    assert_eq!((second.len(), before, after), (5, true, true));
    let (back, _, before, after) = names(&all(), Place::Before(second[0].clone()));
    assert_eq!((back, before, after), (first, false, true));
    let tens = Filter { search: "pLANT/1".into(), ..all() };
    assert_eq!(names(&tens, Place::First).0, ["Plant/10", "Plant/11"]);

    // Stage 1 of a rotation: who only receives is to have the newest key, the others the one before.
    attempt(&service, new_topic("Plant/00")).unwrap();
    meddle(&*open(), "UPDATE topics SET stage = 1, stage_until = 5 WHERE name = 'Plant/00'");
    meddle(
        &*open(),
        "UPDATE holdings SET receives = 1 WHERE subject = 1 AND client IN \
         (SELECT id FROM clients WHERE name = 'c4')",
    );
    let view = service.topic_view("Plant/00").unwrap();
    assert_eq!((view.stage, view.stage_until, view.epoch), (1, Some(5), 2));
    let members = Standings { confirmed: 1, on_its_way: 3, waiting: 0, handed: 1, failed: 1 };
    assert_eq!(view.members, members);
    let sorted = service.members("Plant/00", &all(), &Place::First, 10).unwrap();
    assert_eq!(sorted.standings, members);
    assert!(sorted.part.rows[4].receives && !sorted.part.rows[0].receives);
    told(&service);
    assert_eq!(standing(&service, "c0"), Standing::Confirmed);
    assert_eq!(standing(&service, "c4"), Standing::OnItsWay);
    let held = &service.device("c4").unwrap().topics[0];
    assert!(held.receives && held.epoch == 2 && held.confirmed == 1);
}

pub fn histories(open: Open) {
    let service = service(open(), Mode::Symmetric);
    for name in ["pump", "Pump", "pump-1", "50%_!\"\\"] {
        apply(&service, new_client(name));
        apply(&service, new_topic(name));
    }
    apply(&service, join("pump-1", "pump"));
    let actions = |name: &str| -> Vec<String> {
        let history = service.client_history(name, None).unwrap();
        assert_eq!(history.looked_to, 0);
        history.records.into_iter().map(|record| record.action).collect()
    };
    assert_eq!(actions("pump"), ["new_topic_client", "new_client"]);
    assert_eq!(actions("Pump"), ["new_client"]);
    assert_eq!(actions("50%_!\"\\"), ["new_client"]);
    assert!(actions("nobody").is_empty() && actions("pu\0mp").is_empty());
    let of_topic = service.topic_history("pump-1", None).unwrap();
    assert_eq!(of_topic.records.len(), 2);
    // Page by page, backwards.
    for _ in 0..120 {
        apply(&service, Operation::NewClientKey { client: "pump".into() });
    }
    let (mut before, mut found, mut pages) = (None, 0, 0);
    loop {
        let history = service.client_history("pump", before).unwrap();
        found += history.records.len();
        pages += 1;
        if history.looked_to == 0 {
            break;
        }
        before = Some(history.looked_to + 1);
    }
    assert_eq!((found, pages), (122, 3));
}
