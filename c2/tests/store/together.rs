// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Several processes on one database, here as several stores, each with its own connections.

use std::collections::BTreeSet;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use e4::{ClientId, Mode};
use e4_c2::domain::Operation;
use e4_c2::service::Service;
use e4_c2::store::{Store, Tx, Verified};

use crate::Open;
use crate::common::database::{
    NOON, ann, attempt, dump, join, leave, new_client, new_topic, service, store,
};
use crate::common::fleet::{apply, unlock};
use crate::common::postgres::server;

fn intact(service: &Service) -> i64 {
    match service.store().verify_audit().unwrap() {
        Verified::Intact(head) => head.seq,
        broken => panic!("{broken:?}"),
    }
}

pub fn many_create_it_at_once(open: Open) {
    let together = Barrier::new(6);
    let databases: Vec<_> = (0..6).map(|_| open()).collect();
    std::thread::scope(|scope| {
        let all: Vec<_> = databases
            .into_iter()
            .map(|database| {
                scope.spawn(|| {
                    together.wait();
                    let store = Store::open(database, &unlock(), Some(Mode::PublicKey), NOON);
                    let store = store.unwrap_or_else(|error| panic!("{error}"));
                    let service =
                        Service::new(Arc::new(store), crate::common::database::Hands::at(NOON));
                    *service.c2_public_key().unwrap().as_bytes()
                })
            })
            .collect();
        let keys: BTreeSet<[u8; 32]> = all.into_iter().map(|one| one.join().unwrap()).collect();
        assert_eq!(keys.len(), 1, "one database, one key");
    });
}

pub fn who_calls_twice_at_once_gets_one_result(open: Open) {
    let services: Vec<Service> = (0..4).map(|_| service(open(), Mode::Symmetric)).collect();
    let together = Barrier::new(services.len());
    let work = |service: &Service| {
        together.wait();
        let batch = service.apply_once(&ann(), Some("k"), &[new_client("pump")]).unwrap();
        (batch.again, batch.results[0].as_ref().unwrap().secret.as_ref().unwrap().0.to_vec())
    };
    let all: Vec<(bool, Vec<u8>)> = std::thread::scope(|scope| {
        let all: Vec<_> = services.iter().map(|service| scope.spawn(|| work(service))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(all.iter().filter(|(again, _)| !again).count(), 1);
    assert!(all.iter().all(|(_, key)| *key == all[0].1), "one key");
    assert_eq!(intact(&services[0]), 1);
}

pub fn many_work_at_once(open: Open) {
    const PROCESSES: i64 = 5;
    const ROUNDS: i64 = 12;
    let first = service(open(), Mode::Symmetric);
    for name in ["pump", "fan"] {
        apply(&first, new_client(name));
    }
    apply(&first, new_topic("plant/a"));
    let made = intact(&first);
    let pump = ClientId::from_name("pump").unwrap();
    let services: Vec<Service> = (0..PROCESSES).map(|_| service(open(), Mode::Symmetric)).collect();
    let epochs = std::thread::scope(|scope| {
        let all: Vec<_> = (1..)
            .zip(&services)
            .map(|(number, service)| {
                scope.spawn(move || {
                    let mut epochs = (Vec::new(), Vec::new());
                    for round in 0..ROUNDS {
                        epochs.0.extend(apply(service, new_topic("plant/a")).epoch);
                        let key = Operation::NewClientKey { client: "pump".into() };
                        epochs.1.extend(apply(service, key).epoch);
                        // The reconciler's way to change a client.
                        let stamp = |tx: &mut Tx| {
                            let mut client = tx.lock_client_by_id(pump)?.unwrap();
                            client.stamp += 1;
                            tx.update_client(&client)
                        };
                        service.store().write(stamp).unwrap();
                        let name = format!("n{number}-{round}");
                        apply(service, new_client(&name));
                        apply(service, join("plant/a", &name));
                        // Both may be refused, if another was faster.
                        let _ = attempt(service, join("plant/a", "fan"));
                        let _ = attempt(service, leave("plant/a", "fan"));
                        service.store().write(|tx| tx.fan_out_page(7, NOON + round)).unwrap();
                    }
                    epochs
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    let all = PROCESSES * ROUNDS;
    let (topic, key): (Vec<_>, Vec<_>) = epochs.into_iter().unzip();
    let topic: BTreeSet<i64> = topic.into_iter().flatten().collect();
    assert_eq!(topic, (2..=all + 1).collect(), "each rotation has an epoch of its own");
    let key: BTreeSet<i64> = key.into_iter().flatten().collect();
    assert_eq!(key, (2..=all + 1).collect());
    let state = |tx: &mut Tx| {
        let client = tx.client("pump")?;
        assert_eq!(tx.client_keys(client.row, 0)?.len(), usize::try_from(all).unwrap() + 1);
        Ok((client.stamp, client.key_epoch, tx.topic("plant/a")?.epoch))
    };
    assert_eq!(first.store().read(state), Ok((all, all + 1, all + 1)), "no update is lost");
    assert_eq!(first.count_clients(), Ok(all + 2));
    let members = first.count_clients_of_topic("plant/a").unwrap();
    assert!((all..=all + 1).contains(&members));
    let records = intact(&first) - made;
    assert!((all * 5..=all * 6).contains(&records), "{records}");
}

/// An operation that waits for a client whom another process has locked takes in what that one
/// wrote.
pub fn who_waits_for_a_client_reads_it_anew(open: Open) {
    let (one, other) = (service(open(), Mode::Symmetric), service(open(), Mode::Symmetric));
    apply(&one, new_client("pump"));
    for operation in [
        Operation::NewClientKey { client: "pump".into() },
        Operation::ResetClient { client: "pump".into() },
        Operation::Resync { client: Some("pump".into()) },
        new_client("pump"),
    ] {
        let before = one.store().read(|tx| Ok(tx.client("pump")?.stamp)).unwrap();
        std::thread::scope(|scope| {
            let (locked, wait) = channel();
            let holder = &one;
            scope.spawn(move || {
                let stamp = |tx: &mut Tx| {
                    let mut client = tx.client("pump")?;
                    locked.send(()).unwrap();
                    std::thread::sleep(Duration::from_millis(150));
                    client.stamp += 1;
                    tx.update_client(&client)
                };
                holder.store().write(stamp).unwrap();
            });
            wait.recv().unwrap();
            apply(&other, operation);
        });
        let after = one.store().read(|tx| Ok(tx.client("pump")?.stamp)).unwrap();
        assert_eq!(after, before + 1);
    }
}

/// Transactions that lock the same clients in opposite orders all end.
pub fn crossing_locks_end(open: Open) {
    let first = service(open(), Mode::Symmetric);
    for name in ["a", "b"] {
        apply(&first, new_client(name));
    }
    std::thread::scope(|scope| {
        for names in [["a", "b"], ["b", "a"], ["a", "b"]] {
            let store = store(open(), Mode::Symmetric);
            scope.spawn(move || {
                for _ in 0..5 {
                    let cross = |tx: &mut Tx| {
                        for name in names {
                            let mut client = tx.client(name)?;
                            std::thread::sleep(Duration::from_millis(5));
                            client.stamp += 1;
                            tx.update_client(&client)?;
                        }
                        Ok(())
                    };
                    store.write(cross).unwrap();
                }
            });
        }
    });
    for name in ["a", "b"] {
        assert_eq!(first.store().read(|tx| Ok(tx.client(name)?.stamp)), Ok(15));
    }
}

/// Two processes share the clients that are due, and none waits for the other.
#[test]
fn due_clients_are_shared_in_postgres() {
    crate::postgres(&|open: Open| {
        let (one, other) = (service(open(), Mode::Symmetric), service(open(), Mode::Symmetric));
        let mut all = vec![new_topic("plant/a")];
        for number in 0..60 {
            let name = format!("n{number}");
            all.extend([new_client(&name), join("plant/a", &name)]);
        }
        one.apply_all(&ann(), &all).unwrap();
        let claim = |tx: &mut Tx| {
            let rows = tx.due_clients(NOON, 40)?;
            Ok(rows.iter().map(|client| client.row).collect::<BTreeSet<i64>>())
        };
        let outer = |tx: &mut Tx| {
            let mine = claim(tx)?;
            // The transaction of the one is open while the other takes its share.
            let theirs = other.store().write(claim)?;
            assert_eq!((mine.len(), theirs.len()), (40, 20));
            assert!(mine.is_disjoint(&theirs));
            // Nor does a change of C2's keep the other from telling.
            tx.fan_out_page(5, NOON)?;
            other.store().write(|tx| tx.fan_out_page(5, NOON)).map(|_| ())
        };
        one.store().write(outer).unwrap();
        // Claimed is claimed: who sets the time takes them from the list.
        let take = |tx: &mut Tx| {
            for client in tx.due_clients(NOON, 40)? {
                tx.move_due(client.row, NOON, Some(NOON + 60_000))?;
            }
            Ok(())
        };
        one.store().write(take).unwrap();
        assert_eq!(other.store().write(claim).map(|rows| rows.len()), Ok(20));
    });
}

/// The server falls again and again: what was reported done is done, once.
#[test]
fn a_postgres_server_that_falls() {
    if server().is_none() {
        return;
    }
    // Not the one that other tests use.
    let Some(server) = crate::common::postgres::Server::start() else { return };
    let address = server.database();
    let open = || Box::new(e4_c2::store::Postgres::new(&address, None, None).unwrap());
    let first = service(open(), Mode::Symmetric);
    apply(&first, new_topic("plant/a"));
    let done = std::sync::atomic::AtomicBool::new(false);
    let (made, unknown) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|number| {
                let (service, done) = (service(open(), Mode::Symmetric), &done);
                scope.spawn(move || {
                    let (mut made, mut unknown) = (Vec::new(), 0);
                    for round in 0.. {
                        if done.load(std::sync::atomic::Ordering::SeqCst) {
                            break;
                        }
                        let name = format!("n{number}-{round}");
                        match attempt(&service, new_client(&name)) {
                            Ok(outcome) => {
                                assert!(outcome.created, "{name} was made twice");
                                made.push(name);
                            }
                            Err(error) => {
                                let text = error.to_string();
                                unknown += i64::from(text.contains("it is not known"));
                            }
                        }
                        assert!(service.count_topics().is_ok_and(|count| count == 1));
                    }
                    (made, unknown)
                })
            })
            .collect();
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(700));
            server.crash();
        }
        std::thread::sleep(Duration::from_secs(2));
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        let all: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        let unknown: i64 = all.iter().map(|(_, unknown)| unknown).sum();
        (all.into_iter().flat_map(|(made, _)| made).collect::<Vec<String>>(), unknown)
    });
    let records = intact(&first);
    let clients = first.count_clients().unwrap();
    assert_eq!(records, clients + 1, "one record for each change");
    let made_count = i64::try_from(made.len()).unwrap();
    assert!((made_count..=made_count + unknown).contains(&clients));
    for name in made {
        first.client_state(&name).unwrap();
    }
    assert!(dump(&*open()).len() > 5);
}
