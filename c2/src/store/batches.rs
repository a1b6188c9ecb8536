// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What was done under an idempotency key, for a day.

use e4::crypto::hash::sha3_256;
use zeroize::Zeroizing;

use super::Tx;
use super::database::params;
use super::vault::Place;
use crate::domain::{Caller, Credential, Millis, Operation, Result};

const RESULTS: &str = "batches.results";
/// How long a key is known, in milliseconds.
const KNOWN: Millis = 24 * 3600 * 1000;

/// What was done under a key.
pub struct KnownBatch {
    /// A fingerprint of what was asked.
    pub digest: [u8; 32],
    /// What came of it: keys that were made are among it.
    pub results: Zeroizing<Vec<u8>>,
}

/// Results stand where their number and fingerprint are.
fn place(id: i64, digest: &[u8; 32]) -> Place {
    let first = digest.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes));
    Place::new(RESULTS, id, first)
}

impl Tx<'_> {
    /// A fingerprint of operations and everything that they bring along, under a key of this
    /// database: without it nobody can try what a password may have been.
    pub fn batch_digest(&self, operations: &[Operation]) -> [u8; 32] {
        let key = self.vault().batch_key();
        let each = operations.iter().map(|operation| {
            let subject = operation.subject().to_string();
            let (kind, secret): (u8, &[u8]) = match operation.credential() {
                None => (0, &[]),
                Some(Credential::Key(bytes)) => (1, bytes),
                Some(Credential::Password(text)) => (2, text.as_bytes()),
                Some(Credential::Random) => (3, &[]),
            };
            // The two have one name.
            let add = matches!(operation, Operation::AddClient { .. });
            let length = |part: &[u8]| (part.len() as u64).to_le_bytes();
            sha3_256(&[
                &*key,
                operation.name().as_bytes(),
                &[add.into(), kind],
                &length(subject.as_bytes()),
                subject.as_bytes(),
                &length(secret),
                secret,
            ])
        });
        let each: Vec<[u8; 32]> = each.collect();
        sha3_256(&[&*key, b"all", each.as_flattened()])
    }

    /// What a caller had done under a key within a day.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store) if it was altered.
    pub fn batch(&mut self, who: &Caller, name: &str, now: Millis) -> Result<Option<KnownBatch>> {
        let row = self.query_one(
            "SELECT id, digest, results FROM batches WHERE actor = ?1 AND name = ?2 \
             AND made_at > ?3",
            params![who.actor.as_str(), name, now - KNOWN],
        )?;
        let Some(row) = row else { return Ok(None) };
        let digest = row.array(1)?;
        let results = self.vault().open(&place(row.int(0)?, &digest), row.blob(2)?)?;
        Ok(Some(KnownBatch { digest, results }))
    }

    /// Keeps what a caller had done under a key.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn insert_batch(
        &mut self,
        who: &Caller,
        name: &str,
        batch: &KnownBatch,
        now: Millis,
    ) -> Result<()> {
        // One that is older than a day.
        self.execute(
            "DELETE FROM batches WHERE actor = ?1 AND name = ?2",
            params![who.actor.as_str(), name],
        )?;
        let id = self.next("batches")?;
        let results = self.vault().seal(&place(id, &batch.digest), &batch.results)?;
        self.execute(
            "INSERT INTO batches (id, name, actor, digest, results, made_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![id, name, who.actor.as_str(), &batch.digest, results.as_slice(), now],
        )?;
        Ok(())
    }

    /// Forgets what was done longer than a day ago.
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn purge_batches(&mut self, now: Millis) -> Result<u64> {
        self.execute("DELETE FROM batches WHERE made_at <= ?1", params![now - KNOWN])
    }
}
