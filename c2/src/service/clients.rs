// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Clients come and go.

use e4::crypto::password::{id_key_from_password, signing_key_from_password};
use e4::{IdKey, Mode, PublicKey, SigningKey};
use zeroize::Zeroizing;

use super::client_id;
use crate::domain::{Credential, Error, Kind, Millis, Outcome, Page, Result, Secret};
use crate::store::{Fanout, KeyOfClient, Tx};

/// The first key of a client, and what of it is handed out. A password costs its time and memory
/// here, before anybody has to wait for the database.
pub struct FirstKey {
    key: KeyOfClient,
    secret: Option<Zeroizing<Vec<u8>>>,
}

pub fn new_client(tx: &mut Tx, now: Millis, name: &str, first: &FirstKey) -> Result<Outcome> {
    let FirstKey { key, secret } = first;
    let secret = secret.clone().map(Secret);
    let id = client_id(name)?;
    // Most are new: first the insertion, then a look at what is in its way.
    if let Some(client) = tx.insert_client(name, id, now)? {
        tx.insert_client_key(client.row, 1, key, now)?;
        return Ok(Outcome { created: true, epoch: Some(1), secret, ..Outcome::default() });
    }
    let mut client = tx.client(name)?;
    // The device was provisioned anew by hand: it holds this key, C2's present one, and no more.
    client.key_epoch += 1;
    client.key_confirmed = client.key_epoch;
    client.key_handed = client.key_epoch;
    client.key_tries = 0;
    client.c2_confirmed = tx.c2_epoch()?;
    client.c2_handed = client.c2_confirmed;
    client.c2_tries = 0;
    (client.answers, client.reset, client.drift, client.trouble) = (false, 0, 0, None);
    // Its clock may be another one.
    (client.answered, client.answer_sivs) = (0, Vec::new());
    client.due_at = Some(now);
    tx.update_client(&client)?;
    tx.insert_client_key(client.row, client.key_epoch, key, now)?;
    tx.forget_client_keys(client.row, client.key_epoch)?;
    tx.tell_again(client.row)?;
    if let Mode::PublicKey = tx.mode() {
        tx.wish_linked(client.row, client.key_epoch, now)?;
    }
    Ok(Outcome { epoch: Some(client.key_epoch), secret, ..Outcome::default() })
}

pub fn first_key(mode: Mode, credential: &Credential) -> Result<FirstKey> {
    let wrong = |error: e4::Error| Error::invalid("key", error);
    let (key, secret) = match (mode, credential) {
        (Mode::Symmetric, Credential::Key(bytes)) => {
            let key = IdKey::from_slice(bytes).map_err(|_| {
                Error::invalid("key", "an id key has 32 bytes that are not all zero")
            })?;
            (KeyOfClient::Id(key), None)
        }
        (Mode::Symmetric, Credential::Password(text)) => {
            let key =
                id_key_from_password(text).map_err(|error| Error::invalid("password", error))?;
            (KeyOfClient::Id(key), None)
        }
        (Mode::Symmetric, Credential::Random) => {
            let key = IdKey::random().map_err(wrong)?;
            let secret = Zeroizing::new(key.expose().to_vec());
            (KeyOfClient::Id(key), Some(secret))
        }
        (Mode::PublicKey, Credential::Key(bytes)) => {
            let key = PublicKey::from_slice(bytes).map_err(|_| {
                Error::invalid(
                    "key",
                    "an Ed25519 public key has 32 bytes that stand for a point of the curve, and \
                     not for one of small order",
                )
            })?;
            (KeyOfClient::Public(key, None), None)
        }
        (Mode::PublicKey, Credential::Password(text)) => {
            let key = signing_key_from_password(text)
                .map_err(|error| Error::invalid("password", error))?;
            (KeyOfClient::Public(key.public(), None), None)
        }
        (Mode::PublicKey, Credential::Random) => {
            let key = SigningKey::random().map_err(wrong)?;
            let secret = Zeroizing::new(key.expose().to_vec());
            (KeyOfClient::Public(key.public(), None), Some(secret))
        }
    };
    Ok(FirstKey { key, secret })
}

pub fn remove_client(tx: &mut Tx, now: Millis, name: &str, rotate: bool) -> Result<Outcome> {
    let client = tx.client(name)?;
    if rotate {
        let mut page = Page::first(Page::MAX);
        loop {
            let names = tx.topics_of_client(client.row, &page)?;
            let Some(last) = names.last() else { break };
            page = Page::after(last, Page::MAX);
            for name in &names {
                super::topics::new_topic(tx, now, name)?;
            }
        }
    }
    tx.remove_client(&client, now)?;
    Ok(Outcome::default())
}

pub fn reset_client(tx: &mut Tx, now: Millis, name: &str) -> Result<Outcome> {
    let mut client = tx.client(name)?;
    tx.left_all(client.row)?;
    tx.forget_holdings(client.row, Kind::Topic)?;
    tx.forget_holdings(client.row, Kind::Peer)?;
    (client.reset, client.drift, client.trouble) = (tx.everything(), 0, None);
    client.key_tries = 0;
    client.due_at = Some(now);
    tx.update_client(&client)?;
    Ok(Outcome::default())
}

pub fn resync(tx: &mut Tx, now: Millis, name: Option<&str>) -> Result<Outcome> {
    let Some(name) = name else {
        tx.fan_out(Fanout::Resync)?;
        return Ok(Outcome::default());
    };
    let mut client = tx.client(name)?;
    tx.tell_again(client.row)?;
    (client.key_tries, client.c2_tries) = (0, 0);
    (client.drift, client.trouble) = (0, None);
    if !client.answers {
        // What became of removals and resets that it was sent, nobody knows.
        client.reset = tx.everything();
    }
    client.due_at = Some(now);
    tx.update_client(&client)?;
    Ok(Outcome::default())
}
