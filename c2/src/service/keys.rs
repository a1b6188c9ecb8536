// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys of clients, public keys that others hold, and C2's own.

use e4::{IdKey, Mode, SigningKey};

use crate::domain::{Error, Kind, Millis, Outcome, RESET_PEERS, Result, What};
use crate::store::{Fanout, KeyOfClient, Tx};

pub fn new_client_key(tx: &mut Tx, now: Millis, name: &str) -> Result<Outcome> {
    let mut client = tx.client(name)?;
    let key = match tx.mode() {
        Mode::Symmetric => KeyOfClient::Id(IdKey::random().map_err(Error::Message)?),
        Mode::PublicKey => {
            let key = SigningKey::random().map_err(Error::Message)?;
            KeyOfClient::Public(key.public(), Some(Box::new(key)))
        }
    };
    client.key_epoch += 1;
    client.key_tries = 0;
    client.due_at = Some(now);
    tx.insert_client_key(client.row, client.key_epoch, &key, now)?;
    tx.update_client(&client)?;
    if let Mode::PublicKey = tx.mode() {
        tx.wish_linked(client.row, client.key_epoch, now)?;
    }
    Ok(Outcome { epoch: Some(client.key_epoch), ..Outcome::default() })
}

pub fn link(tx: &mut Tx, source: &str, target: &str) -> Result<Outcome> {
    let (source, target) = (tx.client(source)?, tx.client(target)?);
    let created = tx.link(source.row, target.row)?;
    Ok(Outcome { created, ..Outcome::default() })
}

pub fn unlink(tx: &mut Tx, source: &str, target: &str) -> Result<Outcome> {
    let (from, to) = (tx.client(source)?, tx.client(target)?);
    if !tx.unlink(from.row, to.row)? {
        let name = format!("{source} to {target}");
        return Err(Error::NotFound { what: What::Link, name });
    }
    Ok(Outcome::default())
}

pub fn send(tx: &mut Tx, now: Millis, source: &str, target: &str) -> Result<Outcome> {
    let (source, target) = (tx.client(source)?, tx.client(target)?);
    let created = tx.wish_peer(target.row, source.row, source.key_epoch, now)?;
    if created {
        tx.make_due(target.row, now)?;
    }
    Ok(Outcome { created, epoch: Some(source.key_epoch), ..Outcome::default() })
}

pub fn remove(tx: &mut Tx, now: Millis, source: &str, target: &str) -> Result<Outcome> {
    let (from, to) = (tx.client(source)?, tx.client(target)?);
    if !tx.unwish(to.row, Kind::Peer, from.row)? {
        let name = format!("of {source} at {target}");
        return Err(Error::NotFound { what: What::PublicKey, name });
    }
    tx.make_due(to.row, now)?;
    Ok(Outcome::default())
}

pub fn reset(tx: &mut Tx, now: Millis, target: &str) -> Result<Outcome> {
    let mut client = tx.client(target)?;
    tx.forget_holdings(client.row, Kind::Peer)?;
    client.reset |= RESET_PEERS;
    (client.drift, client.trouble, client.key_tries) = (0, None, 0);
    client.due_at = Some(now);
    tx.update_client(&client)?;
    Ok(Outcome::default())
}

pub fn new_c2_key(tx: &mut Tx, now: Millis) -> Result<Outcome> {
    let epoch = tx.new_c2_key(now)?;
    tx.fan_out(Fanout::Everyone)?;
    Ok(Outcome { epoch: Some(epoch), ..Outcome::default() })
}
