// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Topics and their keys.

use e4::crypto::hash::sha3_256;
use e4::{TopicHash, TopicKey};

use super::Tx;
use super::database::{Row, params};
use super::vault::Place;
use crate::domain::{Error, Millis, Result, TopicRow, What};

const SEALED: &str = "topic_keys.sealed";

impl Tx<'_> {
    /// A topic by its name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn topic(&mut self, name: &str) -> Result<TopicRow> {
        self.find_topic(name)?
            .ok_or_else(|| Error::NotFound { what: What::Topic, name: name.into() })
    }

    /// A topic by its name, if it exists.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn find_topic(&mut self, name: &str) -> Result<Option<TopicRow>> {
        let Ok(hash) = TopicHash::from_topic(name) else { return Ok(None) };
        let row = self.query_one(
            "SELECT id, hash, name, epoch FROM topics WHERE hash = ?1 AND removed = 0",
            params![hash.as_bytes()],
        )?;
        row.as_ref().map(topic_row).transpose()
    }

    /// A new topic without a key.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn insert_topic(&mut self, name: &str, hash: TopicHash, now: Millis) -> Result<TopicRow> {
        let row = self.next("topics")?;
        self.execute(
            "INSERT INTO topics (id, hash, name, removed, made_at, epoch) \
             VALUES (?1, ?2, ?3, 0, ?4, 0)",
            params![row, hash.as_bytes(), name, now],
        )?;
        Ok(TopicRow { row, hash, name: name.to_string(), epoch: 0 })
    }

    /// The next key of a topic. The keys before the one that it replaces are forgotten.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn insert_topic_key(
        &mut self,
        topic: &TopicRow,
        key: &TopicKey,
        now: Millis,
    ) -> Result<i64> {
        let epoch = topic.epoch + 1;
        let sealed = self.vault().seal(&Place::new(SEALED, topic.row, epoch), key.expose())?;
        let print = sha3_256(&[key.expose()]);
        self.execute(
            "INSERT INTO topic_keys (topic, epoch, sealed, print, made_at) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![topic.row, epoch, sealed.as_slice(), &print, now],
        )?;
        // A rotation in two stages that is under way ends here.
        self.execute(
            "UPDATE topics SET epoch = ?2, stage = 0, stage_until = 0 WHERE id = ?1",
            params![topic.row, epoch],
        )?;
        self.execute(
            "DELETE FROM topic_keys WHERE topic = ?1 AND epoch < ?2",
            params![topic.row, epoch - 1],
        )?;
        Ok(epoch)
    }

    /// Opens the sealed key of a topic.
    ///
    /// # Errors
    /// [`Error::Store`] if it was altered.
    pub fn open_topic_key(&self, topic: i64, epoch: i64, sealed: &[u8]) -> Result<TopicKey> {
        let bytes = self.vault().open(&Place::new(SEALED, topic, epoch), sealed)?;
        TopicKey::from_slice(&bytes).map_err(|_| Error::Store("a stored key is not a key".into()))
    }

    /// The newest keys of a topic, newest first: the present one, and the one before with the time
    /// of its replacement.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn topic_keys(&mut self, topic: &TopicRow) -> Result<Vec<(TopicKey, Millis)>> {
        let rows = self.query(
            "SELECT epoch, sealed, made_at FROM topic_keys WHERE topic = ?1 \
             ORDER BY epoch DESC LIMIT 2",
            params![topic.row],
        )?;
        rows.iter()
            .map(|row| {
                let key = self.open_topic_key(topic.row, row.int(0)?, row.blob(1)?)?;
                Ok((key, row.int(2)?))
            })
            .collect()
    }

    /// Marks a topic as removed and forgets its keys; its row stays until all of its clients have
    /// forgotten theirs.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn remove_topic(&mut self, topic: &TopicRow) -> Result<()> {
        self.execute("UPDATE topics SET removed = 1, stage = 0 WHERE id = ?1", params![topic.row])?;
        self.execute("DELETE FROM topic_keys WHERE topic = ?1", params![topic.row])?;
        self.remove_labels(super::Subject::TOPIC, topic.row)?;
        Ok(())
    }

    /// Forgets removed topics and clients of which nobody has to be told any more.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn purge(&mut self) -> Result<u64> {
        let topics = self.execute(
            "DELETE FROM topics WHERE removed = 1 AND NOT EXISTS \
             (SELECT client FROM holdings WHERE kind = 1 AND subject = topics.id)",
            &[],
        )?;
        let clients = self.execute(
            "DELETE FROM clients WHERE removed = 1 AND NOT EXISTS \
             (SELECT client FROM holdings WHERE kind = 2 AND subject = clients.id)",
            &[],
        )?;
        if topics + clients > 0 {
            self.forget_marks()?;
        }
        Ok(topics + clients)
    }
}

fn topic_row(row: &Row) -> Result<TopicRow> {
    Ok(TopicRow {
        row: row.int(0)?,
        hash: TopicHash::from_bytes(row.array(1)?),
        name: row.text(2)?,
        epoch: row.int(3)?,
    })
}
