// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any sequence of commands and messages: clients with tables of every size, with restarts, do
//! what the model of PROTOCOL.md does.

use std::cell::RefCell;
use std::rc::Rc;

use e4::client::memory::{KeyPlace, Memory, SliceMemory};
use e4::{Client, Error, MemoryStorage, Settings, Storage, Timestamp, Unprotected};
use model::{Outcome, Tolerance};
use proptest::prelude::*;

use super::*;

/// Records that outlive the client, as a disk does.
#[derive(Clone, Default)]
struct Disk(Rc<RefCell<MemoryStorage>>);

impl Storage for Disk {
    fn read(&self, record: u32, buffer: &mut [u8]) -> e4::Result<Option<usize>> {
        self.0.borrow().read(record, buffer)
    }

    fn write(&mut self, record: u32, bytes: &[u8]) -> e4::Result<()> {
        self.0.borrow_mut().write(record, bytes)
    }

    fn erase(&mut self, record: u32) -> e4::Result<()> {
        self.0.borrow_mut().erase(record)
    }
}

#[derive(Clone, Debug)]
enum Act {
    Command { plain: Vec<u8>, step: i64 },
    Again(usize),
    Message { topic: u8, key: u8, signer: u8, age: u64 },
    Wait(u64),
    Restart,
}

fn plain() -> impl Strategy<Value = Vec<u8>> {
    let topic = |number: u8| model::short(format!("t{number}").as_bytes());
    prop_oneof![
        6 => (0u8..5, 1u8..4).prop_map(|(topic, key)| set_topic(&format!("t{topic}"), key)),
        3 => (0u8..5).prop_map(move |number| [&[0][..], &topic(number)].concat()),
        1 => Just(vec![1]),
        3 => (0u8..5, 1u8..4).prop_map(|(id, seed)| set_peer(id, seed)),
        2 => (0u8..5).prop_map(|id| [&[4][..], &[id; 16]].concat()),
        1 => Just(vec![5]),
        1 => (1u8..4).prop_map(|key| [&[2][..], &[key; 32]].concat()),
        1 => (1u8..4).prop_map(|seed| {
            [&[2][..], &*SigningKey::from_seed(&[seed; 32]).unwrap().expose()].concat()
        }),
        1 => (1u8..4).prop_map(|key| {
            let secret = C2SecretKey::from_slice(&[key; 32]).unwrap();
            [&[7][..], secret.public().as_bytes()].concat()
        }),
        1 => prop::collection::vec(any::<u8>(), 0..70),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        10 => (plain(), -1i64..3).prop_map(|(plain, step)| Act::Command { plain, step }),
        2 => (0usize..8).prop_map(Act::Again),
        6 => (0u8..5, 1u8..4, 0u8..5, 0u64..700)
            .prop_map(|(topic, key, signer, age)| Act::Message { topic, key, signer, age }),
        1 => prop_oneof![1u64..20, 3590u64..3610].prop_map(Act::Wait),
        2 => Just(Act::Restart),
    ]
}

/// What a client says of one act, and its digest after it.
fn did<S: Storage, M: Memory>(
    client: &mut Client<S, M>,
    now: Option<u64>,
    topic: &str,
    bytes: &[u8],
) -> (Result<Option<Vec<u8>>, Error>, [u8; 16]) {
    let mut out = vec![0; bytes.len()];
    let got = client.unprotect(now.map(Timestamp::from_secs), topic, bytes, &mut out);
    let got = got.map(|got| match got {
        Unprotected::Message(message) => Some(message.plaintext.to_vec()),
        Unprotected::CommandApplied(_) => None,
    });
    (got, client.digest().unwrap().0)
}

fn expected(
    model: &mut State,
    now: Option<u64>,
    topic: &str,
    bytes: &[u8],
) -> (Result<Option<Vec<u8>>, Error>, [u8; 16]) {
    let got = match model.receive(now, &Tolerance::default(), topic, bytes) {
        Outcome::Message { payload, .. } => Ok(Some(payload)),
        Outcome::Command(_) => Ok(None),
        Outcome::Refused(error) => Err(error),
    };
    // At least the last sixteen SIVs are remembered; the sequences here are shorter.
    (got, model.digest())
}

fn message(model: &State, topic: &str, key: u8, signer: u8, time: u64) -> Vec<u8> {
    let time = time.to_le_bytes();
    let mut ct = vec![0; 5];
    let mut tag = [0; 16];
    e4::crypto::siv::seal(&[key; 32], &[&time], &mut tag, b"hello", &mut ct).unwrap();
    match model.own {
        Own::Symmetric(_) => [&time[..], &tag, &ct].concat(),
        Own::Pair(..) => {
            let _ = topic;
            let signed = [&time[..], &[signer; 16], &tag, &ct].concat();
            let signing = SigningKey::from_seed(&[key; 32]).unwrap();
            [&signed[..], &signing.sign(&signed)].concat()
        }
    }
}

fn run(public_key: bool, clock: bool, acts: &[Act]) {
    let (identity, mut model) = start(public_key);
    let disk = Disk::default();
    let mut heap = Client::provision(disk.clone(), identity).unwrap();
    let mut stores = [MemoryStorage::new(), MemoryStorage::new()];
    for store in &mut stores {
        drop(Client::provision(&mut *store, start(public_key).0).unwrap());
    }
    let [small, none] = &mut stores;
    let (mut two, mut no_places) = ([KeyPlace::EMPTY, KeyPlace::EMPTY], []);
    let settings = Settings::default();
    let mut small =
        Client::open_with(small, SliceMemory::new(&mut two, &mut []), settings).unwrap();
    let mut none =
        Client::open_with(none, SliceMemory::new(&mut no_places, &mut []), settings).unwrap();
    let control = heap.control_topic().to_string();
    let (mut now, mut sent) = (NOW, Vec::<Vec<u8>>::new());
    for act in acts {
        let (topic, bytes) = match act {
            Act::Command { plain, step } => {
                let time = now.checked_add_signed(*step).unwrap();
                let bytes = command(&model, time, plain);
                now = now.max(time);
                sent.push(bytes.clone());
                (control.clone(), bytes)
            }
            Act::Again(at) => match sent.get(*at) {
                Some(bytes) => (control.clone(), bytes.clone()),
                None => continue,
            },
            Act::Message { topic, key, signer, age } => {
                let topic = format!("t{topic}");
                let bytes = message(&model, &topic, *key, *signer, now - age);
                (topic, bytes)
            }
            Act::Wait(seconds) => {
                now += seconds;
                continue;
            }
            Act::Restart => {
                // As by a power cut: what is in RAM is gone.
                heap = Client::open(disk.clone()).unwrap();
                continue;
            }
        };
        let clock = clock.then_some(now);
        let right = expected(&mut model, clock, &topic, &bytes);
        assert_eq!(did(&mut heap, clock, &topic, &bytes), right, "{act:?}");
        assert_eq!(did(&mut small, clock, &topic, &bytes), right, "two places: {act:?}");
        assert_eq!(did(&mut none, clock, &topic, &bytes), right, "no place: {act:?}");
        let counts = (heap.topic_count() as usize, heap.peer_count() as usize);
        assert_eq!(counts, (model.topics.len(), model.peers.len()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_sequence_gives_the_state_of_the_model(
        public_key: bool,
        clock in prop::bool::weighted(0.7),
        acts in prop::collection::vec(act(), 1..40),
    ) {
        run(public_key, clock, &acts);
    }
}
