// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Topics, their keys and their clients.

use e4::{TopicHash, TopicKey};

use crate::domain::{Error, Kind, Millis, Outcome, Result, What};
use crate::store::{Fanout, Tx};

/// However many clients a topic has, the same few rows are written.
pub fn new_topic(tx: &mut Tx, now: Millis, name: &str) -> Result<Outcome> {
    let hash = TopicHash::from_topic(name).map_err(|error| Error::invalid("topic", error))?;
    let key = TopicKey::random().map_err(Error::Message)?;
    let (topic, created) = match tx.find_topic(name)? {
        Some(topic) => (topic, false),
        None => (tx.insert_topic(name, hash, now)?, true),
    };
    let epoch = tx.insert_topic_key(&topic, &key, now)?;
    if !created {
        tx.fan_out(Fanout::Topic(topic.row))?;
    }
    Ok(Outcome { created, epoch: Some(epoch), ..Outcome::default() })
}

pub fn remove_topic(tx: &mut Tx, name: &str) -> Result<Outcome> {
    let topic = tx.topic(name)?;
    tx.remove_topic(&topic)?;
    tx.fan_out(Fanout::Topic(topic.row))?;
    Ok(Outcome::default())
}

pub fn new_topic_client(tx: &mut Tx, now: Millis, topic: &str, client: &str) -> Result<Outcome> {
    let topic = tx.topic(topic)?;
    let client = tx.client(client)?;
    let created = tx.wish_topic(client.row, topic.row, now)?;
    if created {
        tx.moved(topic.row, client.row, true);
        tx.make_due(client.row, now)?;
    }
    Ok(Outcome { created, epoch: Some(topic.epoch), ..Outcome::default() })
}

pub fn remove_topic_client(
    tx: &mut Tx,
    now: Millis,
    topic_name: &str,
    client: &str,
) -> Result<Outcome> {
    let topic = tx.topic(topic_name)?;
    let client = tx.client(client)?;
    if !tx.unwish(client.row, Kind::Topic, topic.row)? {
        let name = format!("{} of {topic_name}", client.name);
        return Err(Error::NotFound { what: What::Member, name });
    }
    tx.moved(topic.row, client.row, false);
    tx.make_due(client.row, now)?;
    Ok(Outcome::default())
}
