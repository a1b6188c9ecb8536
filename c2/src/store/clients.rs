// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Clients, and when the reconciler looks at them.

use e4::{ClientId, Mode};

use super::Tx;
use super::database::{Row, params};
use crate::domain::{ClientRow, Error, Millis, Result, What};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, e4_id, name, key_epoch, key_confirmed, key_handed, key_tries, \
             c2_confirmed, c2_handed, c2_tries, answers, answered, answer_siv, seen_at, stamp, \
             reset, drift, due_at, trouble FROM clients ",
            $rest
        )
    };
}

fn client_row(row: &Row) -> Result<ClientRow> {
    Ok(ClientRow {
        row: row.int(0)?,
        id: ClientId::from_bytes(row.array(1)?),
        name: row.text(2)?,
        key_epoch: row.int(3)?,
        key_confirmed: row.int(4)?,
        key_handed: row.int(5)?,
        key_tries: row.int(6)?,
        c2_confirmed: row.int(7)?,
        c2_handed: row.int(8)?,
        c2_tries: row.int(9)?,
        answers: row.bool(10)?,
        answered: row.int(11)?,
        answer_sivs: row.blob(12).map(<[u8]>::to_vec).unwrap_or_default(),
        seen_at: row.int_or_null(13)?,
        stamp: row.int(14)?,
        reset: row.int(15)?,
        drift: row.int(16)?,
        due_at: row.int_or_null(17)?,
        trouble: row.text_or_null(18)?,
    })
}

impl Tx<'_> {
    /// A client by its name. Its row is locked in a transaction that writes.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn client(&mut self, name: &str) -> Result<ClientRow> {
        self.find_client(name)?
            .ok_or_else(|| Error::NotFound { what: What::Client, name: name.into() })
    }

    /// A client by its name, if it exists. Its row is locked in a transaction that writes.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn find_client(&mut self, name: &str) -> Result<Option<ClientRow>> {
        if name.contains('\0') {
            return Ok(None);
        }
        // Who writes what it read here must not undo what another process wrote meanwhile.
        let sql = match self.write {
            true => select!("WHERE name = ?1 AND removed = 0 FOR UPDATE"),
            false => select!("WHERE name = ?1 AND removed = 0"),
        };
        let row = self.query_one(sql, params![name])?;
        row.as_ref().map(client_row).transpose()
    }

    /// A client by its id.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn client_by_id(&mut self, id: ClientId) -> Result<Option<ClientRow>> {
        let row =
            self.query_one(select!("WHERE e4_id = ?1 AND removed = 0"), params![id.as_bytes()])?;
        row.as_ref().map(client_row).transpose()
    }

    /// A client by its id, with its row locked: for a transaction that writes.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn lock_client_by_id(&mut self, id: ClientId) -> Result<Option<ClientRow>> {
        let row = self.query_one(
            select!("WHERE e4_id = ?1 AND removed = 0 FOR UPDATE"),
            params![id.as_bytes()],
        )?;
        row.as_ref().map(client_row).transpose()
    }

    /// Adds a client that holds its first key and C2's present one; none if it exists.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn insert_client(
        &mut self,
        name: &str,
        id: ClientId,
        now: Millis,
    ) -> Result<Option<ClientRow>> {
        let row = self.next("clients")?;
        let c2 = match self.mode() {
            Mode::Symmetric => 0,
            Mode::PublicKey => self.c2_epoch()?,
        };
        let added = self.execute(
            "INSERT INTO clients (id, e4_id, name, removed, made_at, key_epoch, key_confirmed, \
             key_handed, key_tries, c2_confirmed, c2_handed, c2_tries, answers, answered, stamp, \
             reset, drift) VALUES (?1, ?2, ?3, 0, ?4, 1, 1, 1, 0, ?5, ?5, 0, 0, 0, 0, 0, 0) \
             ON CONFLICT DO NOTHING",
            params![row, id.as_bytes(), name, now, c2],
        )?;
        let client = ClientRow {
            row,
            id,
            name: name.into(),
            key_epoch: 1,
            key_confirmed: 1,
            key_handed: 1,
            key_tries: 0,
            c2_confirmed: c2,
            c2_handed: c2,
            c2_tries: 0,
            answers: false,
            answered: 0,
            answer_sivs: Vec::new(),
            seen_at: None,
            stamp: 0,
            reset: 0,
            drift: 0,
            due_at: None,
            trouble: None,
        };
        Ok((added > 0).then_some(client))
    }

    /// Stores how a client stands and when it is due.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn update_client(&mut self, client: &ClientRow) -> Result<()> {
        self.execute(
            "UPDATE clients SET key_epoch = ?2, key_confirmed = ?3, key_handed = ?4, \
             key_tries = ?5, c2_confirmed = ?6, c2_handed = ?7, c2_tries = ?8, answers = ?9, \
             answered = ?10, answer_siv = ?11, seen_at = ?12, stamp = ?13, reset = ?14, \
             drift = ?15, due_at = ?16, trouble = ?17 WHERE id = ?1",
            params![
                client.row,
                client.key_epoch,
                client.key_confirmed,
                client.key_handed,
                client.key_tries,
                client.c2_confirmed,
                client.c2_handed,
                client.c2_tries,
                client.answers,
                client.answered,
                client.answer_sivs.as_slice(),
                client.seen_at,
                client.stamp,
                client.reset,
                client.drift,
                client.due_at,
                client.trouble.as_deref(),
            ],
        )?;
        Ok(())
    }

    /// Marks a client as removed and forgets its keys and what it should hold; its row stays until
    /// others have forgotten its public key.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn remove_client(&mut self, client: &ClientRow, now: Millis) -> Result<()> {
        let row = client.row;
        self.execute("UPDATE clients SET removed = 1, due_at = NULL WHERE id = ?1", params![row])?;
        self.execute("DELETE FROM client_keys WHERE client = ?1", params![row])?;
        self.remove_labels(super::Subject::CLIENT, row)?;
        self.left_all(row)?;
        self.execute("DELETE FROM holdings WHERE client = ?1", params![row])?;
        self.execute("DELETE FROM links WHERE target = ?1 OR source = ?1", params![row])?;
        self.execute(
            "UPDATE clients SET due_at = ?2 WHERE id IN \
             (SELECT client FROM holdings WHERE kind = 2 AND subject = ?1)",
            params![row, now],
        )?;
        Ok(())
    }

    /// Notes that a client leaves all of its topics.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn left_all(&mut self, client: i64) -> Result<()> {
        let sql = "SELECT subject FROM holdings WHERE client = ?1 AND kind = 1 AND wish <> 0";
        for row in self.query(sql, params![client])? {
            self.moved(row.int(0)?, client, false);
        }
        Ok(())
    }

    /// Has the reconciler look at a client at once.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn make_due(&mut self, client: i64, now: Millis) -> Result<()> {
        self.execute("UPDATE clients SET due_at = ?2 WHERE id = ?1", params![client, now])?;
        Ok(())
    }

    /// Clients that are due, longest first. Their rows are locked; those that another process has
    /// locked are left out.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn due_clients(&mut self, now: Millis, limit: i64) -> Result<Vec<ClientRow>> {
        let rows = self.query(
            select!("WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2 FOR UPDATE SKIP LOCKED"),
            params![now, limit],
        )?;
        rows.iter().map(client_row).collect()
    }

    /// Notes a round: the newest timestamp, how often the ladder was sent, when to look again.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn end_round(&mut self, client: &ClientRow) -> Result<()> {
        self.execute(
            "UPDATE clients SET stamp = ?2, due_at = ?3, key_tries = ?4, c2_tries = ?5, \
             reset = ?6, drift = ?7, trouble = ?8 WHERE id = ?1",
            params![
                client.row,
                client.stamp,
                client.due_at,
                client.key_tries,
                client.c2_tries,
                client.reset,
                client.drift,
                client.trouble.as_deref(),
            ],
        )?;
        Ok(())
    }

    /// Moves the time at which a client is due, unless something else has moved it already.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn move_due(&mut self, client: i64, from: Millis, to: Option<Millis>) -> Result<()> {
        self.execute(
            "UPDATE clients SET due_at = ?3 WHERE id = ?1 AND due_at = ?2",
            params![client, from, to],
        )?;
        Ok(())
    }

    /// When the next client is due.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn next_due(&mut self) -> Result<Option<Millis>> {
        let row =
            self.query_one("SELECT MIN(due_at) FROM clients WHERE due_at IS NOT NULL", &[])?;
        row.map_or(Ok(None), |row| row.int_or_null(0))
    }

    /// Links a source to a target; false if it was.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn link(&mut self, source: i64, target: i64) -> Result<bool> {
        let added = self.execute(
            "INSERT INTO links (target, source) VALUES (?2, ?1) ON CONFLICT DO NOTHING",
            params![source, target],
        )?;
        Ok(added > 0)
    }

    /// Unlinks a source from a target; false if it was not linked.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn unlink(&mut self, source: i64, target: i64) -> Result<bool> {
        let removed = self.execute(
            "DELETE FROM links WHERE target = ?2 AND source = ?1",
            params![source, target],
        )?;
        Ok(removed > 0)
    }
}
