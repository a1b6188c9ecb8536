// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rotations in two stages, and what a rotation would meet.

use super::Tx;
use super::database::{Row, params};
use crate::domain::{Kind, Millis, Result, RotationPlan, TopicRow};

/// A topic in the middle of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// Row of the topic.
    pub topic: i64,
    /// Its name.
    pub name: String,
    /// The newest epoch.
    pub epoch: i64,
    /// [`RECEIVERS`](Self::RECEIVERS) or [`SENDERS`](Self::SENDERS).
    pub stage: i64,
    /// When the stage ends at the latest.
    pub until: Millis,
}

/// Whether a member of a topic (`h`, `c`) is through with the epoch ?2, as far as C2 can know.
macro_rules! through {
    () => {
        "((h.confirmed >= ?2 AND h.sent >= ?2) \
         OR (c.answers = 0 AND h.handed = 1 AND h.sent >= ?2))"
    };
}

/// Whether a client (`c`) that answers did not answer what it was sent more than once. Then it is
/// not at rest, which is seen sooner.
macro_rules! asleep {
    () => {
        "(c.due_at IS NOT NULL AND (c.key_tries >= 2 OR c.c2_tries >= 2 OR EXISTS \
         (SELECT o.subject FROM holdings o WHERE o.client = c.id AND o.tries >= 2)))"
    };
}

impl Staged {
    /// Those that only receive get the newest key.
    pub const RECEIVERS: i64 = 1;
    /// The others get it as well.
    pub const SENDERS: i64 = 2;
}

fn staged(row: &Row) -> Result<Staged> {
    Ok(Staged {
        topic: row.int(0)?,
        name: row.text(1)?,
        epoch: row.int(2)?,
        stage: row.int(3)?,
        until: row.int(4)?,
    })
}

impl Tx<'_> {
    /// Topics in the middle of a rotation, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn staged(&mut self, limit: i64) -> Result<Vec<Staged>> {
        let rows = self.query(
            "SELECT id, name, epoch, stage, stage_until FROM topics \
             WHERE stage <> 0 AND removed = 0 ORDER BY stage_until, id LIMIT ?1",
            params![limit],
        )?;
        rows.iter().map(staged).collect()
    }

    /// Where a topic is in a rotation; none if in none.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn stage(&mut self, topic: i64) -> Result<Option<Staged>> {
        let row = self.query_one(
            "SELECT id, name, epoch, stage, stage_until FROM topics WHERE id = ?1 AND stage <> 0",
            params![topic],
        )?;
        row.as_ref().map(staged).transpose()
    }

    /// Goes on to a stage; 0 for none.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn set_stage(&mut self, topic: i64, stage: i64, until: Millis) -> Result<()> {
        self.execute(
            "UPDATE topics SET stage = ?2, stage_until = ?3 WHERE id = ?1",
            params![topic, stage, until],
        )?;
        Ok(())
    }

    /// Whether anybody whose turn it is in a stage is not through with it.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn stage_waits(&mut self, at: &Staged) -> Result<bool> {
        let row = self.query_one(
            concat!(
                "SELECT 1 FROM holdings h JOIN clients c ON c.id = h.client WHERE h.kind = 1 \
                 AND h.subject = ?1 AND h.wish <> 0 AND h.receives = ?3 AND NOT ",
                through!(),
                " LIMIT 1"
            ),
            params![at.topic, at.epoch, at.stage == Staged::RECEIVERS],
        )?;
        Ok(row.is_some())
    }

    /// Whether a client that is awake has not confirmed the present key of a topic.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn is_restless(&mut self, topic: &TopicRow) -> Result<bool> {
        let row = self.query_one(
            concat!(
                "SELECT 1 FROM holdings h JOIN clients c ON c.id = h.client WHERE h.kind = 1 \
                 AND h.subject = ?1 AND h.wish <> 0 AND c.answers = 1 AND h.tries < 2 AND NOT ",
                through!(),
                " LIMIT 1"
            ),
            params![topic.row, topic.epoch],
        )?;
        Ok(row.is_some())
    }

    /// Forgets who only receives on a topic.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn forget_receivers(&mut self, topic: i64) -> Result<()> {
        self.execute(
            "UPDATE holdings SET receives = 0 WHERE kind = 1 AND subject = ?1 AND receives <> 0",
            params![topic],
        )?;
        Ok(())
    }

    /// Notes that a client only receives on a topic; false if it is none of its clients.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn set_receiver(&mut self, topic: i64, client: i64) -> Result<bool> {
        let changed = self.execute(
            "UPDATE holdings SET receives = 1 \
             WHERE client = ?1 AND kind = ?2 AND subject = ?3 AND wish <> 0",
            params![client, Kind::Topic as i64, topic],
        )?;
        Ok(changed > 0)
    }

    /// What a rotation would meet, but for the estimate.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn rotation_plan(&mut self, topic: &TopicRow, names: i64) -> Result<RotationPlan> {
        let row = self.query_one(
            concat!(
                "SELECT COUNT(*), COUNT(CASE WHEN c.answers = 0 THEN 1 END), \
                 COUNT(CASE WHEN c.answers = 1 AND ",
                asleep!(),
                " THEN 1 END), COUNT(CASE WHEN h.receives = 1 THEN 1 END) \
                 FROM holdings h JOIN clients c ON c.id = h.client \
                 WHERE h.kind = 1 AND h.subject = ?1 AND h.wish <> 0"
            ),
            params![topic.row],
        )?;
        let number = |column| row.as_ref().map_or(Ok(0), |row| row.int(column));
        let (members, silent, asleep) = (number(0)?, number(1)?, number(2)?);
        let receivers = number(3)?;
        let rows = self.query(
            concat!(
                "SELECT c.name FROM holdings h JOIN clients c ON c.id = h.client \
                 WHERE h.kind = 1 AND h.subject = ?1 AND h.wish <> 0 AND c.answers = 1 AND ",
                asleep!(),
                " ORDER BY c.name LIMIT ?2"
            ),
            params![topic.row, names],
        )?;
        Ok(RotationPlan {
            topic: topic.name.clone(),
            epoch: topic.epoch,
            members,
            awake: members - silent - asleep,
            asleep,
            asleep_names: rows.iter().map(|row| row.text(0)).collect::<Result<_>>()?,
            silent,
            receivers,
            expected_seconds: 0,
            under_way_until: self.stage(topic.row)?.map(|at| at.until),
        })
    }
}
