// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How far changes have come.

use e4::Mode;
use e4_c2::domain::{Behind, Counts, Error, Operation, Statistics, What};
use e4_c2::service::Service;
use e4_c2::store::{Handed, Sent, Tx};

use crate::Open;
use crate::common::database::{
    NOON, ann, attempt, join, leave, meddle, new_client, new_topic, service,
};
use crate::common::fleet::apply;

fn counts(queued: i64, handed: i64, failed: i64, confirmed: i64) -> Counts {
    Counts { queued, handed, failed, confirmed }
}

fn done(service: &Service, operation: Operation) -> i64 {
    attempt(service, operation).unwrap().operation
}

fn progress(service: &Service, number: i64) -> Counts {
    let state = service.operation(number).unwrap();
    assert_eq!(state.record.seq, number);
    state.clients
}

/// What becomes of a command.
#[derive(Clone, Copy)]
enum Fate {
    Sent,
    Handed,
    Refused,
    Confirmed,
}

/// Sends a client what it lacks, as the reconciler does.
fn send(service: &Service, name: &str, fate: Fate) {
    let work = |tx: &mut Tx| {
        let client = tx.client(name)?;
        for (number, holding) in (1u8..).zip(tx.unsettled(client.row)?) {
            let siv = [number; 16];
            let (kind, subject, target) = (holding.kind, holding.subject, holding.target);
            let sent = Sent { kind, subject, target, siv, stamp: NOON / 1000 };
            tx.sent(client.row, &sent, NOON)?;
            match fate {
                Fate::Sent => {}
                Fate::Handed => {
                    tx.handed(client.row, &Handed::Holding(kind, subject, siv), NOON)?;
                }
                Fate::Refused => drop(tx.answered(client.row, &siv, Some(-107), NOON)?),
                Fate::Confirmed => drop(tx.answered(client.row, &siv, None, NOON)?),
            }
        }
        tx.forget_removals(client.row)
    };
    service.store().write(work).unwrap();
}

fn fill(service: &Service) {
    for name in ["c0", "c1", "c2", "c3"] {
        apply(service, new_client(name));
    }
    apply(service, new_topic("plant/a"));
    for name in ["c0", "c1", "c2", "c3"] {
        apply(service, join("plant/a", name));
        send(service, name, Fate::Confirmed);
    }
}

pub fn a_rotation_comes_along(open: Open) {
    let service = service(open(), Mode::Symmetric);
    fill(&service);
    let first = done(&service, new_topic("plant/a"));
    assert_eq!(progress(&service, first), counts(4, 0, 0, 0));
    send(&service, "c0", Fate::Sent);
    send(&service, "c1", Fate::Handed);
    send(&service, "c2", Fate::Refused);
    send(&service, "c3", Fate::Confirmed);
    assert_eq!(progress(&service, first), counts(1, 1, 1, 1));
    let state = service.topic_state("plant/a").unwrap();
    assert_eq!((state.epoch, state.clients), (2, counts(1, 1, 1, 1)));
    // A newer one: who confirmed the one before did.
    let second = done(&service, new_topic("plant/a"));
    assert_eq!(progress(&service, second), counts(4, 0, 0, 0));
    assert_eq!(progress(&service, first).confirmed, 1);
    for name in ["c0", "c1", "c2"] {
        send(&service, name, Fate::Confirmed);
    }
    assert_eq!(progress(&service, second), counts(1, 0, 0, 3));
    assert_eq!(progress(&service, first), counts(0, 0, 0, 4));
    // Who left does not count any more.
    apply(&service, leave("plant/a", "c0"));
    assert_eq!(progress(&service, second), counts(1, 0, 0, 2));
    let state = service.operation(first).unwrap();
    assert_eq!((state.record.action.as_str(), state.record.actor.as_str()), ("new_topic", "ann"));
}

pub fn a_membership_comes_along(open: Open) {
    let service = service(open(), Mode::PublicKey);
    fill(&service);
    apply(&service, new_topic("plant/b"));
    let joined = done(&service, join("plant/b", "c0"));
    assert_eq!(progress(&service, joined), counts(1, 0, 0, 0));
    send(&service, "c0", Fate::Handed);
    assert_eq!(progress(&service, joined), counts(0, 1, 0, 0));
    send(&service, "c0", Fate::Confirmed);
    assert_eq!(progress(&service, joined), counts(0, 0, 0, 1));
    // The key was replaced since: the membership had come all the way.
    apply(&service, new_topic("plant/b"));
    assert_eq!(progress(&service, joined), counts(0, 0, 0, 1));
    let left = done(&service, leave("plant/b", "c0"));
    send(&service, "c0", Fate::Refused);
    assert_eq!(progress(&service, left), counts(0, 0, 1, 0));
    send(&service, "c0", Fate::Confirmed);
    let answers = |tx: &mut Tx| {
        let mut client = tx.client("c0")?;
        client.answers = true;
        tx.update_client(&client)
    };
    service.store().write(answers).unwrap();
    assert_eq!(progress(&service, left), counts(0, 0, 0, 1));
    assert_eq!(progress(&service, joined), counts(0, 0, 0, 1), "replaced by what was confirmed");
    let (source, target) = (|| "c1".to_string(), || "c0".to_string());
    let sent = done(&service, Operation::SendClientPubKey { source: source(), target: target() });
    assert_eq!(progress(&service, sent), counts(1, 0, 0, 0));
    send(&service, "c0", Fate::Confirmed);
    assert_eq!(progress(&service, sent), counts(0, 0, 0, 1));
    let taken =
        done(&service, Operation::RemoveClientPubKey { source: source(), target: target() });
    assert_eq!(progress(&service, taken), counts(1, 0, 0, 0));
    apply(&service, Operation::RemoveClient { client: "c0".into(), rotate: false });
    assert_eq!(progress(&service, taken), Counts::default());
}

pub fn own_keys_come_along(open: Open) {
    let service = service(open(), Mode::PublicKey);
    fill(&service);
    let own = done(&service, Operation::NewClientKey { client: "c0".into() });
    let c2 = done(&service, Operation::NewC2Key);
    assert_eq!(progress(&service, own), counts(1, 0, 0, 0));
    assert_eq!(progress(&service, c2), counts(4, 0, 0, 0));
    let take = |name: &str, confirmed: bool| {
        let work = |tx: &mut Tx| {
            let mut client = tx.client(name)?;
            tx.handed(client.row, &Handed::ClientKey(client.key_epoch), NOON)?;
            tx.handed(client.row, &Handed::C2Key(2), NOON)?;
            if confirmed {
                client = tx.client(name)?;
                (client.key_confirmed, client.c2_confirmed) = (client.key_epoch, 2);
                tx.update_client(&client)?;
            }
            Ok(())
        };
        service.store().write(work).unwrap();
    };
    take("c0", false);
    assert_eq!(progress(&service, own), counts(0, 1, 0, 0));
    assert_eq!(progress(&service, c2), counts(3, 1, 0, 0));
    take("c0", true);
    take("c1", true);
    assert_eq!(progress(&service, own), counts(0, 0, 0, 1));
    assert_eq!(progress(&service, c2), counts(2, 0, 0, 2));
    let newer = done(&service, Operation::NewClientKey { client: "c0".into() });
    assert_eq!(progress(&service, newer), counts(1, 0, 0, 0));
    assert_eq!(progress(&service, own), counts(0, 0, 0, 1));
}

pub fn a_removed_topic_is_forgotten(open: Open) {
    let service = service(open(), Mode::Symmetric);
    fill(&service);
    let made = done(&service, new_topic("plant/a"));
    let removed = done(&service, Operation::RemoveTopic { topic: "plant/a".into() });
    assert_eq!(progress(&service, removed), counts(4, 0, 0, 0));
    assert_eq!(progress(&service, made), counts(4, 0, 0, 0));
    send(&service, "c0", Fate::Handed);
    send(&service, "c1", Fate::Refused);
    send(&service, "c2", Fate::Confirmed);
    // Who confirmed is forgotten, and the rest is what is left.
    assert_eq!(progress(&service, removed), counts(1, 1, 1, 0));
    // Another topic of the same name is another topic.
    apply(&service, new_topic("plant/a"));
    apply(&service, join("plant/a", "c3"));
    assert_eq!(progress(&service, removed), counts(1, 1, 1, 0));
    assert_eq!(service.topic_state("plant/a").unwrap().clients, counts(1, 0, 0, 0));
}

pub fn a_reset_comes_along(open: Open) {
    let service = service(open(), Mode::PublicKey);
    fill(&service);
    let reset = done(&service, Operation::ResetClient { client: "c0".into() });
    let peers = done(&service, Operation::ResetClientPubKeys { target: "c1".into() });
    assert_eq!(progress(&service, reset), counts(1, 0, 0, 0));
    assert_eq!(progress(&service, peers), counts(1, 0, 0, 0));
    for name in ["c0", "c1"] {
        let row = service.store().read(|tx| tx.client(name)).unwrap().row;
        service.store().write(|tx| tx.handed(row, &Handed::Reset, NOON)).unwrap();
    }
    assert_eq!(progress(&service, reset), counts(0, 1, 0, 0));
    assert_eq!(progress(&service, peers), counts(0, 1, 0, 0));
}

pub fn who_is_not_told_does_not_count(open: Open) {
    let service = service(open(), Mode::PublicKey);
    fill(&service);
    let (source, target) = ("c0".to_string(), "c1".to_string());
    for operation in [
        new_client("c9"),
        new_client("c0"),
        Operation::LinkClient { source: source.clone(), target: target.clone() },
        Operation::UnlinkClient { source, target },
        Operation::Resync { client: None },
        Operation::RemoveClient { client: "c9".into(), rotate: true },
    ] {
        let number = done(&service, operation);
        assert_eq!(progress(&service, number), Counts::default());
    }
    // Nobody holds it.
    let number = done(&service, new_topic("plant/empty"));
    assert_eq!(progress(&service, number), Counts::default());
    for number in [-1, 0, number + 1, i64::MAX, i64::MIN] {
        let missing = Error::NotFound { what: What::Operation, name: number.to_string() };
        assert_eq!(service.operation(number).unwrap_err(), missing);
    }
}

pub fn numbers_over_everything(open: Open) {
    let service = service(open(), Mode::Symmetric);
    assert_eq!(service.statistics().unwrap(), Statistics::default());
    fill(&service);
    apply(&service, new_topic("plant/b"));
    apply(&service, join("plant/b", "c0"));
    send(&service, "c0", Fate::Refused);
    apply(&service, new_topic("plant/a"));
    send(&service, "c1", Fate::Handed);
    apply(&service, new_client("gone"));
    apply(&service, join("plant/b", "gone"));
    apply(&service, Operation::RemoveClient { client: "gone".into(), rotate: false });
    apply(&service, new_topic("plant/gone"));
    apply(&service, join("plant/gone", "c0"));
    apply(&service, Operation::RemoveTopic { topic: "plant/gone".into() });
    apply(&service, leave("plant/a", "c3"));
    let work = |tx: &mut Tx| {
        let mut client = tx.client("c2")?;
        (client.trouble, client.due_at, client.answers) = (Some("why".into()), None, true);
        tx.update_client(&client)
    };
    service.store().write(work).unwrap();
    let numbers = service.statistics().unwrap();
    let expected = Statistics {
        clients: 4,
        topics: 2,
        memberships: 4,
        deliveries: counts(2, 1, 1, 0),
        due_clients: 3,
        troubled_clients: 1,
        answering_clients: 1,
        audit_records: service.newest_record().unwrap(),
    };
    assert_eq!(numbers, expected);
    assert_eq!(numbers.audit_records, 19);
    let behind = service.store().read(|tx| tx.behind()).unwrap();
    assert_eq!(behind, Behind { none: 0, one: 3, more: 0, unknown: 1 });
}

pub fn pages_of_records_are_capped(open: Open) {
    let service = service(open(), Mode::Symmetric);
    let all: Vec<Operation> = (0..1005).map(|_| new_topic("plant/a")).collect();
    service.apply_all(&ann(), &all).unwrap();
    assert_eq!(service.audit_records(0, i64::MAX).unwrap().len(), 1000);
    assert_eq!(service.audit_records(1000, 2000).unwrap().len(), 5);
    assert_eq!(service.audit_records(0, 0).unwrap().len(), 0);
    assert_eq!(service.audit_records(0, -1).unwrap().len(), 0);
    assert_eq!(service.newest_record().unwrap(), 1005);
}

pub fn numbers_over_a_large_fleet(open: Open) {
    const CLIENTS: usize = 10_000;
    const TOPICS: usize = 50;
    let service = service(open(), Mode::Symmetric);
    let clients = (0..CLIENTS).map(|number| new_client(&format!("c{number:05}")));
    let topics = (0..TOPICS).map(|number| new_topic(&format!("plant/{number:02}")));
    let all: Vec<Operation> = clients.chain(topics).collect();
    service.apply_all(&ann(), &all).unwrap();
    meddle(
        &*open(),
        "INSERT INTO holdings (client, kind, subject, wish, sent, handed, confirmed, failed, \
         stamp, changed_at, tries) SELECT c.id, 1, t.id, -1, -1, 0, 0, 0, 0, 0, 0 \
         FROM clients c CROSS JOIN topics t",
    );
    let start = std::time::Instant::now();
    let numbers = service.statistics().unwrap();
    let took = start.elapsed();
    println!("{}: {took:?}", service.store().describe());
    assert_eq!(numbers.memberships, 500_000);
    let state = service.topic_state("plant/07").unwrap();
    assert_eq!(state.clients.queued, 10_000);
}
