// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Storage that fails or loses power at any call leaves the old state or the new one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use e4::{Client, Error, FileStorage, Result, Storage, Timestamp};

use super::*;

type Records = BTreeMap<u32, Vec<u8>>;

/// Records in memory; takes a picture after each change, and fails at a given call.
#[derive(Default)]
struct Trial {
    records: Records,
    pictures: RefCell<Vec<Records>>,
    calls: Cell<usize>,
    fail_at: Option<usize>,
}

impl Trial {
    fn with(records: Records, fail_at: Option<usize>) -> Self {
        Self { records, fail_at, ..Self::default() }
    }

    fn call(&self) -> Result<()> {
        let number = self.calls.get();
        self.calls.set(number + 1);
        if self.fail_at == Some(number) { Err(Error::Storage) } else { Ok(()) }
    }
}

impl Storage for Trial {
    fn read(&self, record: u32, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.call()?;
        let Some(bytes) = self.records.get(&record) else { return Ok(None) };
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok(Some(bytes.len()))
    }

    fn write(&mut self, record: u32, bytes: &[u8]) -> Result<()> {
        self.call()?;
        self.records.insert(record, bytes.to_vec());
        self.pictures.borrow_mut().push(self.records.clone());
        Ok(())
    }

    fn erase(&mut self, record: u32) -> Result<()> {
        self.call()?;
        self.records.remove(&record);
        self.pictures.borrow_mut().push(self.records.clone());
        Ok(())
    }
}

fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

/// The records of a client after some commands, and the model of it.
fn prepared(public_key: bool) -> (Records, State, Vec<Vec<u8>>) {
    let (identity, mut model) = start(public_key);
    let mut trial = Trial::default();
    let mut client = Client::provision(&mut trial, identity).unwrap();
    let mut plains = vec![set_topic("t0", 1), set_topic("t1", 2), set_topic("t0", 3)];
    plains.extend(public_key.then(|| set_peer(3, 7)));
    let mut sent = Vec::new();
    for plain in plains {
        let bytes = command(&model, NOW, &plain);
        let control = client.control_topic();
        client.unprotect_to_vec(now(), &control, &bytes).unwrap();
        model.receive(Some(NOW), &Default::default(), &control, &bytes);
        sent.push(bytes);
    }
    drop(client);
    (trial.records, model, sent)
}

fn plains(public_key: bool) -> Vec<Vec<u8>> {
    let remove = |topic: &str| [&[0][..], &model::short(topic.as_bytes())].concat();
    let mut all =
        vec![set_topic("t0", 9), set_topic("new", 9), remove("t0"), remove("no"), vec![1]];
    if public_key {
        all.extend([set_peer(3, 6), set_peer(4, 6), [&[4][..], &[3; 16]].concat(), vec![5]]);
        all.push([&[2][..], &*SigningKey::from_seed(&[6; 32]).unwrap().expose()].concat());
    } else {
        all.push([&[2][..], &[6; 32]].concat());
    }
    all
}

/// A restart from these records: old or new state, and no command that was applied is taken again.
fn check_restart(
    records: Records,
    old: &State,
    new: &State,
    bytes: &[u8],
    sent: &[Vec<u8>],
) -> bool {
    let mut client = Client::open(Trial::with(records, None)).unwrap();
    let digest = client.digest().unwrap().0;
    assert!(digest == old.digest() || digest == new.digest());
    let control = client.control_topic();
    for again in sent {
        let got = client.unprotect_to_vec(now(), &control, again).unwrap_err();
        // Under a new own key an old command does not authenticate; it is not applied either way.
        assert!(matches!(got, Error::Replayed | Error::InvalidTag), "{got:?}");
    }
    assert_eq!(client.digest().unwrap().0, digest);
    // The command itself: taken if the state is the old one, and replayed if it is the new one.
    let took = client.unprotect_to_vec(now(), &control, bytes).is_ok();
    assert_eq!(client.digest().unwrap().0, new.digest());
    took
}

#[test]
fn power_that_is_lost_after_any_write_leaves_old_or_new() {
    for public_key in [false, true] {
        let (records, old, sent) = prepared(public_key);
        for plain in plains(public_key) {
            let mut new = old.clone();
            let bytes = command(&old, NOW, &plain);
            let mut trial = Trial::with(records.clone(), None);
            let mut client = Client::open(&mut trial).unwrap();
            let control = client.control_topic();
            client.unprotect_to_vec(now(), &control, &bytes).unwrap();
            new.receive(Some(NOW), &Default::default(), &control, &bytes);
            assert_eq!(client.digest().unwrap().0, new.digest());
            drop(client);
            assert!(check_restart(records.clone(), &old, &new, &bytes, &sent));
            let pictures = trial.pictures.into_inner();
            assert!(!pictures.is_empty());
            let took: Vec<bool> = pictures
                .into_iter()
                .map(|picture| check_restart(picture, &old, &new, &bytes, &sent))
                .collect();
            // Once it is applied it stays applied, and the last picture is the new state.
            assert!(took.is_sorted_by(|before, after| before >= after), "{took:?}");
            assert_eq!(took.last(), Some(&false));
        }
    }
}

#[test]
fn a_storage_that_fails_at_any_call_leaves_old_or_new_in_ram_and_storage_alike() {
    for public_key in [false, true] {
        let (records, old, sent) = prepared(public_key);
        for plain in plains(public_key) {
            let bytes = command(&old, NOW, &plain);
            let mut failures = 0;
            for fail_at in 0.. {
                let mut trial = Trial::with(records.clone(), None);
                let client = Client::open(&mut trial).unwrap();
                let control = client.control_topic();
                let mut new = old.clone();
                new.receive(Some(NOW), &Default::default(), &control, &bytes);
                drop(client);
                let reads = trial.calls.get();
                let mut trial = Trial::with(records.clone(), Some(reads + fail_at));
                let mut client = Client::open(&mut trial).unwrap();
                let got = client.unprotect_to_vec(now(), &control, &bytes);
                let in_ram = client.digest().unwrap().0;
                let state = if got.is_ok() { &new } else { &old };
                assert_eq!(in_ram, state.digest());
                if let Err(error) = got {
                    assert_eq!(error, Error::Storage);
                    failures += 1;
                }
                drop(client);
                let all = trial.calls.get() <= reads + fail_at;
                let reopened = Client::open(Trial::with(trial.records.clone(), None)).unwrap();
                assert_eq!(reopened.digest().unwrap().0, in_ram);
                check_restart(trial.records, &old, &new, &bytes, &sent);
                if all {
                    break;
                }
            }
            assert!(failures > 0, "no call of {plain:02x?} could fail");
        }
    }
}

#[test]
fn open_provision_and_forget_survive_a_failure_at_any_call() {
    for public_key in [false, true] {
        let (records, old, _) = prepared(public_key);
        for fail_at in 0..40 {
            let mut trial = Trial::with(records.clone(), Some(fail_at));
            if let Ok(client) = Client::open(&mut trial) {
                let _ = client.forget();
            }
            for picture in trial.pictures.take() {
                match Client::open(Trial::with(picture, None)) {
                    Ok(client) => assert_eq!(client.digest().unwrap().0, old.digest()),
                    Err(error) => assert_eq!(error, Error::NotProvisioned),
                }
            }
            let mut trial = Trial::with(Records::new(), Some(fail_at));
            if let Err(error) = Client::provision(&mut trial, start(public_key).0) {
                assert_eq!(error, Error::Storage);
                let whole = Client::open(Trial::with(trial.records.clone(), None));
                assert!(whole.is_ok() || whole.unwrap_err() == Error::NotProvisioned);
            }
        }
    }
}

#[test]
fn every_changed_or_cut_record_is_an_error_and_never_a_panic() {
    for public_key in [false, true] {
        let (records, ..) = prepared(public_key);
        for (number, bytes) in &records {
            for bit in 0..bytes.len() * 8 {
                let mut records = records.clone();
                records.get_mut(number).unwrap()[bit / 8] ^= 1 << (bit % 8);
                let error = Client::open(Trial::with(records, None)).unwrap_err();
                assert!(matches!(error, Error::StateCorrupt | Error::StateIncompatible));
            }
            for length in 0..bytes.len() {
                let mut records = records.clone();
                records.get_mut(number).unwrap().truncate(length);
                assert!(Client::open(Trial::with(records, None)).is_err());
            }
        }
    }
}

/// A client in a file with a few keys.
fn in_file(path: &std::path::Path) -> [u8; 16] {
    let mut client = Client::provision(FileStorage::open(path).unwrap(), start(true).0).unwrap();
    let control = client.control_topic();
    for plain in [set_topic("t0", 1), set_peer(3, 7)] {
        let bytes = command(&start(true).1, NOW, &plain);
        client.unprotect_to_vec(now(), &control, &bytes).unwrap();
    }
    client.digest().unwrap().0
}

#[test]
fn a_state_file_survives_is_locked_and_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let digest = in_file(&path);
    let storage = FileStorage::open(&path).unwrap();
    let second = FileStorage::open(&path).map(drop).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(Client::open(storage).unwrap().digest().unwrap().0, digest);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // A file that an interrupted write left beside it does not disturb the next one.
    std::fs::write(folder.path().join("state.new"), b"half").unwrap();
    let client = Client::open(FileStorage::open(&path).unwrap()).unwrap();
    client.forget().unwrap();
    let gone = Client::open(FileStorage::open(&path).unwrap());
    assert_eq!(gone.unwrap_err(), Error::NotProvisioned);
}

#[test]
fn a_damaged_or_cut_state_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let digest = in_file(&path);
    let whole = std::fs::read(&path).unwrap();
    let open = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        FileStorage::open(&path).ok().map(Client::open)
    };
    for length in 0..whole.len() {
        assert!(open(&whole[..length]).is_none(), "length {length}");
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x41;
        assert!(open(&damaged).is_none(), "byte {at}");
    }
    let restored = open(&whole).unwrap().unwrap();
    assert_eq!(restored.digest().unwrap().0, digest);
}
