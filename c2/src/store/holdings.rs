// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What each client should hold, what it was sent, what it confirmed.

use super::Tx;
use super::database::{Row, params};
use crate::domain::{ClientRow, Holding, Kind, Millis, Result, UNKNOWN};

/// The wish for a topic key: always the newest.
const NEWEST: i64 = -1;

/// The epoch of a topic (`t`) that a client should hold (`h`): in the first stage of a rotation the
/// newest is for those alone that only receive.
macro_rules! target {
    () => {
        "CASE WHEN h.wish = 0 OR t.removed = 1 THEN 0 \
         WHEN t.stage = 1 AND h.receives = 0 THEN t.epoch - 1 ELSE t.epoch END"
    };
}
pub(super) use target;

macro_rules! topics {
    ($($rest:expr),*) => {
        concat!(
            "SELECT h.subject, t.hash, t.name, ",
            target!(),
            ", h.sent, h.handed, h.confirmed, h.failed, h.siv, h.stamp, h.changed_at, h.tries, \
             k.sealed, k.print FROM holdings h JOIN topics t ON t.id = h.subject \
             LEFT JOIN topic_keys k ON k.topic = t.id AND h.wish <> 0 AND k.epoch = ",
            target!(),
            " WHERE h.client = ?1 AND h.kind = 1"
            $(, $rest)*
        )
    };
}

macro_rules! peers {
    ($rest:literal) => {
        concat!(
            "SELECT h.subject, c.e4_id, c.name, \
             CASE WHEN c.removed = 1 THEN 0 ELSE h.wish END, \
             h.sent, h.handed, h.confirmed, h.failed, h.siv, h.stamp, h.changed_at, h.tries, \
             k.public, k.public FROM holdings h JOIN clients c ON c.id = h.subject \
             LEFT JOIN client_keys k ON k.client = c.id AND k.epoch = h.wish \
             WHERE h.client = ?1 AND h.kind = 2",
            $rest
        )
    };
}

/// A change that concerns many clients: they are told to look page by page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fanout {
    /// All clients of a topic are due.
    Topic(i64),
    /// All clients are due.
    Everyone,
    /// All clients are sent everything again.
    Resync,
}

/// A command for a holding, as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Topic key or public key.
    pub kind: Kind,
    /// Row of the topic or client.
    pub subject: i64,
    /// The epoch that was sent.
    pub target: i64,
    /// SIV of the command.
    pub siv: [u8; 16],
    /// Its timestamp, in seconds.
    pub stamp: i64,
}

/// A command that the broker took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// The key of a topic or of another client, by the SIV of the command.
    Holding(Kind, i64, [u8; 16]),
    /// The client's own key of this epoch.
    ClientKey(i64),
    /// C2's key of this epoch.
    C2Key(i64),
    /// A reset.
    Reset,
}

/// What an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The command that was sent last of something, and was not confirmed.
    Newest,
    /// One that was sent last of something, which was confirmed already.
    Known,
    /// Another one: an older one, or one of the client's own keys, or a reset; or it is a hello.
    Other,
}

fn holding(kind: Kind, row: &Row) -> Result<Holding> {
    Ok(Holding {
        kind,
        subject: row.int(0)?,
        id: row.array(1)?,
        name: row.text(2)?,
        target: row.int(3)?,
        sent: row.int(4)?,
        handed: row.bool(5)?,
        confirmed: row.int(6)?,
        failed: row.int(7)?,
        siv: row.array_or_null(8)?,
        stamp: row.int(9)?,
        changed_at: row.int(10)?,
        tries: row.int(11)?,
        key: row.blob(12).ok().map(<[u8]>::to_vec),
        print: row.array_or_null(13)?,
    })
}

impl Tx<'_> {
    /// Everything that a client should hold or forget.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn holdings(&mut self, client: i64) -> Result<Vec<Holding>> {
        let topics = self.query(topics!(" ORDER BY h.subject"), params![client])?;
        let peers = self.query(peers!(" ORDER BY h.subject"), params![client])?;
        collect(&topics, &peers)
    }

    /// What of it the client has not confirmed.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn unsettled(&mut self, client: i64) -> Result<Vec<Holding>> {
        let topics = self.query(
            topics!(
                " AND (h.confirmed <> ",
                target!(),
                " OR h.sent <> h.confirmed) ORDER BY h.subject"
            ),
            params![client],
        )?;
        let peers = match self.mode() {
            e4::Mode::Symmetric => Vec::new(),
            e4::Mode::PublicKey => self.query(
                peers!(
                    " AND (h.confirmed <> CASE WHEN c.removed = 1 THEN 0 ELSE h.wish END \
                     OR h.sent <> h.confirmed) ORDER BY h.subject"
                ),
                params![client],
            )?,
        };
        collect(&topics, &peers)
    }

    /// Has a client hold the newest key of a topic; false if it should already.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn wish_topic(&mut self, client: i64, topic: i64, now: Millis) -> Result<bool> {
        self.wish(client, Kind::Topic, topic, NEWEST, now)
    }

    /// Has a client hold a public key of another; false if it should already.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn wish_peer(&mut self, client: i64, peer: i64, epoch: i64, now: Millis) -> Result<bool> {
        self.wish(client, Kind::Peer, peer, epoch, now)
    }

    fn wish(
        &mut self,
        client: i64,
        kind: Kind,
        subject: i64,
        wish: i64,
        now: Millis,
    ) -> Result<bool> {
        let changed = self.execute(
            "INSERT INTO holdings (client, kind, subject, wish, sent, handed, confirmed, failed, \
             stamp, changed_at, tries) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, 0, ?6, 0) \
             ON CONFLICT (client, kind, subject) DO UPDATE SET wish = EXCLUDED.wish, tries = 0 \
             WHERE holdings.wish <> EXCLUDED.wish",
            params![client, kind as i64, subject, wish, UNKNOWN, now],
        )?;
        Ok(changed > 0)
    }

    /// Has a client forget a key; false if it should not hold it anyway. What was never sent is
    /// forgotten here and now.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn unwish(&mut self, client: i64, kind: Kind, subject: i64) -> Result<bool> {
        let changed = self.execute(
            "UPDATE holdings SET wish = 0, tries = 0 \
             WHERE client = ?1 AND kind = ?2 AND subject = ?3 AND wish <> 0",
            params![client, kind as i64, subject],
        )?;
        self.execute(
            "DELETE FROM holdings WHERE client = ?1 AND kind = ?2 AND subject = ?3 AND wish = 0 \
             AND sent = ?4 AND confirmed = 0",
            params![client, kind as i64, subject, UNKNOWN],
        )?;
        Ok(changed > 0)
    }

    /// Gives the clients that a source is linked to its public key of an epoch.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn wish_linked(&mut self, source: i64, epoch: i64, now: Millis) -> Result<()> {
        self.execute(
            "INSERT INTO holdings (client, kind, subject, wish, sent, handed, confirmed, failed, \
             stamp, changed_at, tries) \
             SELECT target, 2, ?1, ?2, -1, 0, 0, 0, 0, ?3, 0 FROM links WHERE source = ?1 \
             ON CONFLICT (client, kind, subject) DO UPDATE SET wish = EXCLUDED.wish, tries = 0",
            params![source, epoch, now],
        )?;
        self.execute(
            "UPDATE clients SET due_at = ?2 WHERE id IN \
             (SELECT target FROM links WHERE source = ?1)",
            params![source, now],
        )?;
        Ok(())
    }

    /// Forgets everything that a client should hold of a kind.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn forget_holdings(&mut self, client: i64, kind: Kind) -> Result<u64> {
        self.execute(
            "DELETE FROM holdings WHERE client = ?1 AND kind = ?2",
            params![client, kind as i64],
        )
    }

    /// Has a client be told everything again. Removals that it did not confirm stay.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn tell_again(&mut self, client: i64) -> Result<()> {
        self.execute(
            "UPDATE holdings SET sent = -1, confirmed = -1, handed = 0, siv = NULL, tries = 0 \
             WHERE client = ?1",
            params![client],
        )?;
        Ok(())
    }

    /// Has every client be told everything again, with no command older than now; those that
    /// never answer are told to forget everything first. Not for a fleet at work: it is one change
    /// of every row.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn tell_everybody_again(&mut self, now: Millis) -> Result<()> {
        let everything = self.everything();
        self.execute(
            "UPDATE holdings SET sent = -1, confirmed = -1, handed = 0, siv = NULL, tries = 0",
            &[],
        )?;
        self.execute(
            "UPDATE clients SET key_tries = 0, c2_tries = 0, drift = 0, trouble = NULL, \
             due_at = ?1, stamp = CASE WHEN stamp < ?2 THEN ?2 ELSE stamp END, \
             reset = CASE WHEN answers = 0 THEN ?3 ELSE reset END WHERE removed = 0",
            params![now, now.div_euclid(1000), everything],
        )?;
        Ok(())
    }

    /// Starts counting the attempts for a client anew.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn try_again(&mut self, client: i64) -> Result<()> {
        self.execute(
            "UPDATE holdings SET tries = 0 WHERE client = ?1 AND tries <> 0",
            params![client],
        )?;
        Ok(())
    }

    /// Notes what is about to be sent.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn sent(&mut self, client: i64, sent: &Sent, now: Millis) -> Result<()> {
        self.execute(
            "UPDATE holdings SET sent = ?4, handed = 0, failed = 0, siv = ?5, stamp = ?6, \
             changed_at = ?7, tries = tries + 1 WHERE client = ?1 AND kind = ?2 AND subject = ?3",
            params![
                client,
                sent.kind as i64,
                sent.subject,
                sent.target,
                &sent.siv,
                sent.stamp,
                now
            ],
        )?;
        Ok(())
    }

    /// Notes what the broker took.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn handed(&mut self, client: i64, handed: &Handed, now: Millis) -> Result<()> {
        match handed {
            Handed::Holding(kind, subject, siv) => self.execute(
                "UPDATE holdings SET handed = 1, changed_at = ?5 WHERE client = ?1 \
                 AND kind = ?2 AND subject = ?3 AND siv = ?4 AND handed = 0",
                params![client, *kind as i64, *subject, siv, now],
            )?,
            Handed::ClientKey(epoch) => self.execute(
                "UPDATE clients SET key_handed = ?2 WHERE id = ?1 AND key_handed < ?2",
                params![client, *epoch],
            )?,
            Handed::C2Key(epoch) => self.execute(
                "UPDATE clients SET c2_handed = ?2 WHERE id = ?1 AND c2_handed < ?2",
                params![client, *epoch],
            )?,
            // Who never answers cannot say that it forgot everything.
            Handed::Reset => self.execute(
                "UPDATE clients SET reset = 0 WHERE id = ?1 AND answers = 0",
                params![client],
            )?,
        };
        Ok(())
    }

    /// Takes nothing that a client confirmed of a kind for granted: it is about to be told to forget
    /// all of it.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn unconfirm(&mut self, client: i64, kind: Kind) -> Result<()> {
        self.execute(
            "UPDATE holdings SET confirmed = -1 WHERE client = ?1 AND kind = ?2 \
             AND confirmed <> -1",
            params![client, kind as i64],
        )?;
        Ok(())
    }

    /// Notes what a client says of the command with this SIV.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn answered(
        &mut self,
        client: i64,
        siv: &[u8; 16],
        error: Option<i64>,
        now: Millis,
    ) -> Result<Answered> {
        let changed = match error {
            None => self.execute(
                "UPDATE holdings SET confirmed = sent, handed = 1, failed = 0, tries = 0, \
                 changed_at = ?3 WHERE client = ?1 AND siv = ?2 AND confirmed <> sent",
                params![client, siv, now],
            )?,
            Some(number) => self.execute(
                "UPDATE holdings SET failed = ?4, handed = 1, changed_at = ?3 \
                 WHERE client = ?1 AND siv = ?2",
                params![client, siv, now, number],
            )?,
        };
        if changed > 0 {
            return Ok(Answered::Newest);
        }
        let known = self.count(
            "SELECT COUNT(*) FROM holdings WHERE client = ?1 AND siv = ?2",
            params![client, siv],
        )?;
        Ok(if known > 0 { Answered::Known } else { Answered::Other })
    }

    /// Notes that a client holds exactly what it should.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn settle(&mut self, client: &ClientRow, unsettled: &[Holding], now: Millis) -> Result<()> {
        for holding in unsettled {
            self.execute(
                "UPDATE holdings SET sent = ?4, confirmed = ?4, handed = 1, failed = 0, \
                 tries = 0, changed_at = ?5 WHERE client = ?1 AND kind = ?2 AND subject = ?3",
                params![client.row, holding.kind as i64, holding.subject, holding.target, now],
            )?;
        }
        self.forget_removals(client.row)
    }

    /// Forgets removals that the client confirmed.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn forget_removals(&mut self, client: i64) -> Result<()> {
        self.execute(
            "DELETE FROM holdings WHERE client = ?1 AND sent = 0 AND confirmed = 0 AND (wish = 0 \
             OR (kind = 1 AND EXISTS \
             (SELECT id FROM topics WHERE id = holdings.subject AND removed = 1)) \
             OR (kind = 2 AND EXISTS \
             (SELECT id FROM clients WHERE id = holdings.subject AND removed = 1)))",
            params![client],
        )?;
        Ok(())
    }

    /// Forgets a removal that something newer has made void.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn forget_holding(&mut self, client: i64, kind: Kind, subject: i64) -> Result<()> {
        self.execute(
            "DELETE FROM holdings WHERE client = ?1 AND kind = ?2 AND subject = ?3",
            params![client, kind as i64, subject],
        )?;
        Ok(())
    }

    /// Takes for granted that every client holds exactly what it should: for a fleet that was
    /// brought over from another server, and was in order there.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn assume_settled(&mut self) -> Result<()> {
        self.execute(
            "UPDATE holdings SET sent = (SELECT epoch FROM topics WHERE id = subject), \
             confirmed = (SELECT epoch FROM topics WHERE id = subject), handed = 1, tries = 0 \
             WHERE kind = 1 AND wish <> 0",
            &[],
        )?;
        self.execute(
            "UPDATE holdings SET sent = wish, confirmed = wish, handed = 1, tries = 0 \
             WHERE kind = 2 AND wish <> 0",
            &[],
        )?;
        self.execute("UPDATE clients SET due_at = NULL WHERE due_at IS NOT NULL", &[])?;
        Ok(())
    }

    /// Notes a change that concerns many clients. It writes the same few rows however many.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn fan_out(&mut self, fanout: Fanout) -> Result<()> {
        let (kind, subject) = match fanout {
            Fanout::Topic(topic) => (1, topic),
            Fanout::Everyone => (2, 0),
            Fanout::Resync => (3, 0),
        };
        self.execute(
            "DELETE FROM fanouts WHERE kind = ?1 AND subject = ?2",
            params![kind, subject],
        )?;
        let id = self.next("fanouts")?;
        self.execute(
            "INSERT INTO fanouts (id, kind, subject, done_to) VALUES (?1, ?2, ?3, 0)",
            params![id, kind, subject],
        )?;
        Ok(())
    }

    /// Whether clients are still to be told of changes.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn fans_out(&mut self) -> Result<bool> {
        Ok(self.query_one("SELECT id FROM fanouts LIMIT 1", &[])?.is_some())
    }

    /// Tells the next clients of a change to look, at most `limit` of them; false if there was
    /// nothing to do.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn fan_out_page(&mut self, limit: i64, now: Millis) -> Result<bool> {
        let row = self.query_one(
            "SELECT id, kind, subject, done_to FROM fanouts ORDER BY id LIMIT 1 \
             FOR UPDATE SKIP LOCKED",
            &[],
        )?;
        let Some(row) = row else { return Ok(false) };
        let (id, kind, subject, from) = (row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?);
        let last = match kind {
            1 => self.query_one(
                "SELECT MAX(client) FROM (SELECT client FROM holdings WHERE kind = 1 \
                 AND subject = ?1 AND client > ?2 ORDER BY client LIMIT ?3) AS page",
                params![subject, from, limit],
            )?,
            _ => self.query_one(
                "SELECT MAX(id) FROM (SELECT id FROM clients WHERE id > ?1 AND removed = 0 \
                 ORDER BY id LIMIT ?2) AS page",
                params![from, limit],
            )?,
        };
        let Some(last) = last.map_or(Ok(None), |row| row.int_or_null(0))? else {
            self.execute("DELETE FROM fanouts WHERE id = ?1", params![id])?;
            return Ok(true);
        };
        match kind {
            1 => self.execute(
                "UPDATE clients SET due_at = ?4 WHERE id IN (SELECT client FROM holdings \
                 WHERE kind = 1 AND subject = ?1 AND client > ?2 AND client <= ?3)",
                params![subject, from, last, now],
            )?,
            _ => self.execute(
                "UPDATE clients SET due_at = ?3 WHERE id > ?1 AND id <= ?2 AND removed = 0",
                params![from, last, now],
            )?,
        };
        if kind == 1 {
            // The clients of a topic that was removed leave it here: it may have many.
            self.execute(
                "UPDATE clients SET leaves = leaves + 1 WHERE id IN (SELECT client FROM holdings \
                 WHERE kind = 1 AND subject = ?1 AND client > ?2 AND client <= ?3 AND wish <> 0) \
                 AND EXISTS (SELECT id FROM topics WHERE id = ?1 AND removed = 1)",
                params![subject, from, last],
            )?;
        }
        match kind {
            1 => self.execute(
                "UPDATE holdings SET tries = 0 WHERE kind = 1 AND subject = ?1 AND client > ?2 \
                 AND client <= ?3 AND tries <> 0",
                params![subject, from, last],
            )?,
            2 => self.execute(
                "UPDATE clients SET c2_tries = 0 WHERE id > ?1 AND id <= ?2",
                params![from, last],
            )?,
            _ => {
                self.execute(
                    "UPDATE clients SET key_tries = 0, c2_tries = 0, drift = 0, trouble = NULL \
                     WHERE id > ?1 AND id <= ?2",
                    params![from, last],
                )?;
                self.execute(
                    "UPDATE holdings SET sent = -1, confirmed = -1, handed = 0, siv = NULL, tries = 0 \
                     WHERE client > ?1 AND client <= ?2",
                    params![from, last],
                )?
            }
        };
        self.execute("UPDATE fanouts SET done_to = ?2 WHERE id = ?1", params![id, last])?;
        Ok(true)
    }
}

fn collect(topics: &[Row], peers: &[Row]) -> Result<Vec<Holding>> {
    let topics = topics.iter().map(|row| holding(Kind::Topic, row));
    topics.chain(peers.iter().map(|row| holding(Kind::Peer, row))).collect()
}
