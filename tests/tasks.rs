// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ten everyday tasks. `docs/tasks.md` shows what stands between the marks, beside the same in
//! other languages.
#![cfg(all(feature = "std", feature = "pubkey", feature = "password"))]
#![allow(missing_docs, clippy::unwrap_used)]

use e4::crypto::password::id_key_from_password;
use e4::protect::{open_answer, protect_command};
use e4::{
    C2SecretKey, Client, ClientId, Command, Error, FileStorage, IdKey, Identity, MemoryStorage,
    SigningKey, Timestamp, TopicHash, TopicKey, Unprotected,
};

#[test]
fn ten_tasks() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("pump-1.e4state");
    let secret = [7; 32];
    let id_key = IdKey::from_slice(&secret)?;
    let topic_key = TopicKey::random()?;

    // task: provision
    let key = IdKey::from_slice(&secret)?;
    let identity = Identity::symmetric(ClientId::from_name("pump-1")?, key);
    let pump = Client::provision(FileStorage::open(&path)?, identity)?;
    // end
    drop(pump);

    // task: open
    let mut pump = Client::open(FileStorage::open(&path)?)?;
    // end

    // task: give a key
    let topic = TopicHash::from_topic("plant/pressure")?;
    let command = Command::SetTopicKey { topic, key: topic_key };
    let protected = protect_command(&id_key, Timestamp::now(), &command)?;
    // end
    let control = pump.control_topic();
    let applied = pump.unprotect_to_vec(Timestamp::now(), &control, &protected)?;
    assert!(matches!(applied, Unprotected::CommandApplied(_)));

    // task: protect
    let bytes = pump.protect_to_vec(Timestamp::now(), "plant/pressure", b"4.2 bar")?;
    // end

    let mut heard = Vec::new();
    let mut handle = |plaintext: Vec<u8>| heard = plaintext;
    let topic = "plant/pressure";
    // task: unprotect
    match pump.unprotect_to_vec(Timestamp::now(), topic, &bytes)? {
        Unprotected::Message(message) => handle(message.plaintext),
        Unprotected::CommandApplied(opcode) => println!("{opcode}"),
    }
    // end
    assert_eq!(heard, b"4.2 bar");

    let mut published = Vec::new();
    let mut publish = |_: &str, bytes: &[u8]| published = bytes.to_vec();
    // task: answer
    if let Some(answer) = pump.answer(Timestamp::now())? {
        publish(&pump.answer_topic(), &answer);
    }
    // end

    // task: check an answer
    let (_, answer) = open_answer(&id_key, &published)?;
    let confirmed = answer.command == Some(protected.siv()) && answer.status.is_ok();
    // end
    assert!(confirmed);

    let mut asked = false;
    let mut ask_for_key = || asked = true;
    // task: errors
    match pump.protect_to_vec(Timestamp::now(), "unknown", b"4.2 bar") {
        Err(Error::TopicKeyMissing) => ask_for_key(),
        Err(error) => println!("{error} ({})", error.number()),
        Ok(bytes) => send("unknown", &bytes),
    }
    // end
    assert!(asked);

    let c2_key = C2SecretKey::random()?.public();
    // task: key pair
    let key = SigningKey::random()?;
    let public_key = key.public();
    let identity = Identity::public_key(ClientId::from_name("gauge")?, key, c2_key)?;
    let gauge = Client::provision(MemoryStorage::new(), identity)?;
    // end
    assert_eq!(gauge.public_key(), Some(public_key));

    // task: password
    let key = std::thread::spawn(|| id_key_from_password("a password of some length"));
    let key = key.join().unwrap()?;
    // end
    assert_ne!(key.expose(), &[0; 32]);
    Ok(())
}

fn send(topic: &str, _: &[u8]) {
    assert_ne!(topic, "unknown");
}
