// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Messages that C2 protects and opens for a back end, against the client of the core.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::database::{Hands, NOON, join, new_client, new_topic, store};
use common::fleet::apply;
use e4::protect::protect_command;
use e4::{
    Client, ClientId, Command, IdKey, Identity, MemoryStorage, Mode, SharedKey, SigningKey,
    Timestamp, TopicHash, Unprotected,
};
use e4_c2::domain::{Clock, Error, Operation, What};
use e4_c2::service::Service;
use e4_c2::store::{Sqlite, Tx};

const TOPIC: &str = "plant/a";
const HOUR: i64 = 3_600_000;

struct Site {
    service: Service,
    clock: Arc<Hands>,
}

impl Site {
    fn new(mode: Mode) -> Self {
        let clock = Hands::at(NOON);
        let store = store(Box::new(Sqlite::memory().unwrap()), mode);
        let service = Service::new(Arc::new(store), clock.clone());
        apply(&service, new_topic(TOPIC));
        Self { service, clock }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_secs(u64::try_from(self.clock.now() / 1000).unwrap())
    }

    fn device(&self, name: &str) -> Client<MemoryStorage> {
        let secret = apply(&self.service, new_client(name)).secret.unwrap().0;
        let id = ClientId::from_name(name).unwrap();
        let identity = match self.service.mode() {
            Mode::Symmetric => Identity::symmetric(id, IdKey::from_slice(&secret).unwrap()),
            Mode::PublicKey => {
                let key = SigningKey::from_slice(&secret).unwrap();
                Identity::public_key(id, key, self.service.c2_public_key().unwrap()).unwrap()
            }
        };
        apply(&self.service, join(TOPIC, name));
        Client::provision(MemoryStorage::new(), identity).unwrap()
    }

    /// Brings the newest key of the topic to a device that holds its newest own key.
    fn bring(&self, name: &str, device: &mut Client<MemoryStorage>) {
        let command = |tx: &mut Tx| {
            let topic = tx.topic(TOPIC)?;
            let key = tx.topic_keys(&topic)?.remove(0).0;
            let client = tx.client(name)?;
            let own = tx.client_keys(client.row, 0)?.pop().unwrap().key;
            let command =
                Command::SetTopicKey { topic: TopicHash::from_topic(TOPIC).unwrap(), key };
            let protected = match own {
                e4_c2::store::KeyOfClient::Id(key) => protect_command(&key, self.now(), &command),
                e4_c2::store::KeyOfClient::Public(public, _) => {
                    let c2 = tx.c2_keys()?.pop().unwrap().secret;
                    let shared = SharedKey::for_c2(&c2, &public).unwrap();
                    protect_command(&shared, self.now(), &command)
                }
            };
            Ok(protected.unwrap())
        };
        let command = self.service.store().read(command).unwrap();
        let control = device.control_topic().to_string();
        device.unprotect_to_vec(self.now(), &control, &command).unwrap();
    }
}

fn refused(result: Result<Vec<u8>, Error>, error: e4::Error) {
    assert_eq!(result.unwrap_err(), Error::Message(error));
}

#[test]
fn symmetric() {
    let site = Site::new(Mode::Symmetric);
    let mut pump = site.device("pump");
    site.bring("pump", &mut pump);
    for message in [&b""[..], b"open the valve", &[7; 100_000]] {
        let protected = site.service.protect(TOPIC, message).unwrap();
        assert_eq!(protected.len(), message.len() + 24);
        match pump.unprotect_to_vec(site.now(), TOPIC, &protected).unwrap() {
            Unprotected::Message(opened) => assert_eq!(opened.plaintext, message),
            other => panic!("{other:?}"),
        }
        assert_eq!(site.service.unprotect(TOPIC, &protected).unwrap(), message);
        let protected = pump.protect_to_vec(site.now(), TOPIC, message).unwrap();
        assert_eq!(site.service.unprotect(TOPIC, &protected).unwrap(), message);
    }
    let good = pump.protect_to_vec(site.now(), TOPIC, b"4 bar").unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    refused(site.service.unprotect(TOPIC, &bad), e4::Error::InvalidTag);
    refused(site.service.unprotect(TOPIC, &good[..23]), e4::Error::MessageTooShort);
    refused(site.service.unprotect(TOPIC, b""), e4::Error::MessageTooShort);
    apply(&site.service, new_topic("plant/b"));
    refused(site.service.unprotect("plant/b", &good), e4::Error::InvalidTag);
    for result in [site.service.protect("plant/x", b""), site.service.unprotect("plant/x", &good)] {
        let unknown = Error::NotFound { what: What::Topic, name: "plant/x".into() };
        assert_eq!(result.unwrap_err(), unknown);
    }
    // As long as the window of the core.
    site.clock.turn(600_000);
    assert_eq!(site.service.unprotect(TOPIC, &good).unwrap(), b"4 bar");
    site.clock.turn(1000);
    refused(site.service.unprotect(TOPIC, &good), e4::Error::TimestampTooOld);
    site.clock.turn(-HOUR);
    refused(site.service.unprotect(TOPIC, &good), e4::Error::TimestampInFuture);
}

#[test]
fn signed() {
    let site = Site::new(Mode::PublicKey);
    let mut pump = site.device("pump");
    site.bring("pump", &mut pump);
    let good = pump.protect_to_vec(site.now(), TOPIC, b"4 bar").unwrap();
    assert_eq!(good.len(), 5 + 104);
    assert_eq!(site.service.unprotect(TOPIC, &good).unwrap(), b"4 bar");
    for place in [0, 10, 30, 50, good.len() - 1] {
        let mut bad = good.clone();
        bad[place] ^= 1;
        match site.service.unprotect(TOPIC, &bad).unwrap_err() {
            Error::Message(_) => {}
            other => panic!("{place}: {other}"),
        }
    }
    refused(site.service.unprotect(TOPIC, &good[..103]), e4::Error::MessageTooShort);
    // A message in the format of the other mode.
    let site_sk = Site::new(Mode::Symmetric);
    let symmetric = site_sk.service.protect(TOPIC, &[0; 100]).unwrap();
    assert!(site.service.unprotect(TOPIC, &symmetric).is_err());
    assert!(matches!(site.service.protect(TOPIC, b"x"), Err(Error::WrongMode { .. })));

    // Who holds the topic key and is no client of ours.
    apply(&site.service, Operation::RemoveClient { client: "pump".into(), rotate: false });
    refused(site.service.unprotect(TOPIC, &good), e4::Error::SignerUnknown);
    // Another one of that name has another key.
    apply(&site.service, new_client("pump"));
    refused(site.service.unprotect(TOPIC, &good), e4::Error::SignatureInvalid);
}

#[test]
fn signed_under_either_key_while_a_new_one_is_on_its_way() {
    let site = Site::new(Mode::PublicKey);
    let mut pump = site.device("pump");
    site.bring("pump", &mut pump);
    apply(&site.service, Operation::NewClientKey { client: "pump".into() });
    let old = pump.protect_to_vec(site.now(), TOPIC, b"old").unwrap();
    assert_eq!(site.service.unprotect(TOPIC, &old).unwrap(), b"old");
    let newest = |tx: &mut Tx| {
        let client = tx.client("pump")?;
        match tx.client_keys(client.row, 2)?.pop().unwrap().key {
            e4_c2::store::KeyOfClient::Public(_, Some(key)) => Ok(*key),
            _ => panic!("C2 made it"),
        }
    };
    let key = site.service.store().read(newest).unwrap();
    let id = ClientId::from_name("pump").unwrap();
    let identity = Identity::public_key(id, key, site.service.c2_public_key().unwrap()).unwrap();
    let mut pump = Client::provision(MemoryStorage::new(), identity).unwrap();
    site.bring("pump", &mut pump);
    let new = pump.protect_to_vec(site.now(), TOPIC, b"new").unwrap();
    assert_eq!(site.service.unprotect(TOPIC, &new).unwrap(), b"new");
}

/// The key that was replaced opens messages for an hour, and not for a second longer; the one
/// before it not at all. C2 and a device of the core agree.
#[test]
fn transition_hour() {
    for mode in [Mode::Symmetric, Mode::PublicKey] {
        let site = Site::new(mode);
        let (mut asleep, mut awake) = (site.device("asleep"), site.device("awake"));
        site.bring("asleep", &mut asleep);
        site.bring("awake", &mut awake);
        awake.settings_mut().accept_unknown_signers = true;
        site.clock.turn(5000);
        apply(&site.service, new_topic(TOPIC));
        site.bring("awake", &mut awake);
        let both = |asleep: &mut Client<MemoryStorage>, awake: &mut Client<MemoryStorage>| {
            let old = asleep.protect_to_vec(site.now(), TOPIC, b"old").unwrap();
            let device = awake.unprotect_to_vec(site.now(), TOPIC, &old).map(|_| ());
            (site.service.unprotect(TOPIC, &old), device)
        };
        for wait in [0, 1000, HOUR - 1000] {
            site.clock.turn(wait);
            let (c2, device) = both(&mut asleep, &mut awake);
            assert_eq!((c2.unwrap(), device), (b"old".to_vec(), Ok(())), "{mode:?} {wait}");
        }
        site.clock.turn(1000);
        let (c2, device) = both(&mut asleep, &mut awake);
        assert_eq!(c2.unwrap_err(), Error::Message(e4::Error::InvalidTag), "{mode:?}");
        assert!(device.is_err(), "{mode:?}");
        let new = awake.protect_to_vec(site.now(), TOPIC, b"new").unwrap();
        assert_eq!(site.service.unprotect(TOPIC, &new).unwrap(), b"new");

        // Two rotations at once: the hour is the last one's alone.
        apply(&site.service, new_topic(TOPIC));
        assert_eq!(site.service.unprotect(TOPIC, &new).unwrap(), b"new");
        apply(&site.service, new_topic(TOPIC));
        refused(site.service.unprotect(TOPIC, &new), e4::Error::InvalidTag);
    }
}
