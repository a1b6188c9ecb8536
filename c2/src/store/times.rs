// SPDX-License-Identifier: Apache-2.0 OR MIT
//! When keys were made, to measure how long they took to arrive.

use super::Tx;
use super::database::{Row, params};
use crate::domain::{Kind, Millis, Result};

fn time(row: Option<Row>) -> Result<Option<Millis>> {
    row.map(|row| row.int(0)).transpose()
}

impl Tx<'_> {
    /// When the topic key was made that a client was sent with this SIV, if it held the one before
    /// and did not confirm this one yet.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn rotated_at(&mut self, client: i64, siv: &[u8; 16]) -> Result<Option<Millis>> {
        time(self.query_one(
            "SELECT k.made_at FROM holdings h JOIN topic_keys k ON k.topic = h.subject \
             AND k.epoch = h.sent WHERE h.client = ?1 AND h.kind = ?2 AND h.siv = ?3 \
             AND h.confirmed > 0 AND h.confirmed < h.sent",
            params![client, Kind::Topic as i64, siv],
        )?)
    }

    /// When a topic key was made.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn topic_key_made_at(&mut self, topic: i64, epoch: i64) -> Result<Option<Millis>> {
        time(self.query_one(
            "SELECT made_at FROM topic_keys WHERE topic = ?1 AND epoch = ?2",
            params![topic, epoch],
        )?)
    }

    /// When a client's own key was made.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn client_key_made_at(&mut self, client: i64, epoch: i64) -> Result<Option<Millis>> {
        time(self.query_one(
            "SELECT made_at FROM client_keys WHERE client = ?1 AND epoch = ?2",
            params![client, epoch],
        )?)
    }

    /// When a key of C2's was made.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn c2_key_made_at(&mut self, epoch: i64) -> Result<Option<Millis>> {
        time(self.query_one("SELECT made_at FROM c2_keys WHERE epoch = ?1", params![epoch])?)
    }
}
