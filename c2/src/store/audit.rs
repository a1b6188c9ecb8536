// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who did what: records that are chained, so that none can be changed, taken out or put in
//! unnoticed by anyone who does not have the data key.
//!
//! `mac = SHA3-256(audit key | mac before | at (8, little-endian) | length (8) and text of each of
//! actor, origin, action, detail)`, from a mac of zeros on. The sponge makes this a MAC. The end of
//! the chain is stored with a mac of its own, so that records cut off are missed as well. Only who
//! puts the whole database back to an earlier state is not noticed here: keep a copy of the end.

use e4::crypto::hash::sha3_256;
use serde_json::Value;

use super::database::{Connection, params};
use super::{Store, Tx};
use crate::domain::{AuditRecord, Caller, Error, Millis, Result, What};

const HEAD: &str = "audit head";
const PAGE: i64 = 1000;

/// The end of the chain: a copy of it, kept elsewhere, shows whether records were cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// Number of the newest record, 0 when there is none.
    pub seq: i64,
    /// Its mac.
    pub mac: [u8; 32],
}

impl AuditHead {
    /// Before the first record.
    const NONE: Self = Self { seq: 0, mac: [0; 32] };

    /// Reads `seq (8, little-endian) | mac (32) | SHA3-256(audit key | "end" | seq | mac)`.
    fn decode(key: &[u8; 32], bytes: &[u8]) -> Option<Self> {
        let (seq, rest) = bytes.split_first_chunk()?;
        let (mac, tag) = rest.split_first_chunk()?;
        let head = Self { seq: i64::from_le_bytes(*seq), mac: *mac };
        equal(&head.tag(key), tag.try_into().ok()?).then_some(head)
    }

    fn encode(&self, key: &[u8; 32]) -> Vec<u8> {
        [self.seq.to_le_bytes().as_slice(), &self.mac, &self.tag(key)].concat()
    }

    /// Shorter than what any record is hashed from, so never the mac of one.
    fn tag(&self, key: &[u8; 32]) -> [u8; 32] {
        sha3_256(&[key, b"end", &self.seq.to_le_bytes(), &self.mac])
    }
}

/// What a check of the chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Every record is as it was written.
    Intact(AuditHead),
    /// The first record that is not, and why.
    Broken {
        /// Its number.
        seq: i64,
        /// What is wrong.
        why: &'static str,
    },
}

pub(super) fn begin(connection: &mut dyn Connection, key: &[u8; 32]) -> Result<()> {
    let head = AuditHead::NONE.encode(key);
    connection.execute(
        "INSERT INTO meta (name, value) VALUES (?1, ?2)",
        params![HEAD, head.as_slice()],
    )?;
    Ok(())
}

fn mac(key: &[u8; 32], before: &[u8; 32], record: &AuditRecord) -> [u8; 32] {
    let texts = [&record.actor, &record.origin, &record.action, &record.detail];
    let lengths = texts.map(|text| (text.len() as u64).to_le_bytes());
    let at = record.at.to_le_bytes();
    let mut parts: Vec<&[u8]> = vec![key, before, &at];
    for (length, text) in lengths.iter().zip(texts) {
        parts.extend([length.as_slice(), text.as_bytes()]);
    }
    sha3_256(&parts)
}

impl Tx<'_> {
    /// Takes the end of the chain for this transaction: changes happen one after the other.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn lock_audit(&mut self) -> Result<AuditHead> {
        // It is taken already.
        if let Some(head) = &self.audited {
            return Ok(head.clone());
        }
        let row = self
            .query_one("SELECT value FROM meta WHERE name = ?1 FOR UPDATE", params![HEAD])?
            .ok_or_else(|| Error::Store("no end of the audit records".into()))?;
        AuditHead::decode(&self.store.audit_key, row.blob(0)?)
            .ok_or_else(|| Error::Store("the end of the audit records was altered".into()))
    }

    /// Whether a record is there.
    pub(super) fn has_record(&mut self, head: &AuditHead) -> Result<bool> {
        let row = self.query_one("SELECT mac FROM audit WHERE seq = ?1", params![head.seq])?;
        Ok(row.is_some_and(|row| row.blob(0).is_ok_and(|mac| mac == head.mac)))
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn audit(&mut self, now: Millis, who: &Caller, action: &str, detail: &Value) -> Result<()> {
        let head = self.lock_audit()?;
        let record = AuditRecord {
            seq: head.seq + 1,
            at: now,
            actor: who.actor.clone(),
            origin: who.origin.clone(),
            action: action.to_string(),
            detail: detail.to_string(),
        };
        let mac = mac(&self.store.audit_key, &head.mac, &record);
        self.execute(
            "INSERT INTO audit (seq, at, actor, origin, action, detail, mac) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                record.seq,
                now,
                record.actor.as_str(),
                record.origin.as_str(),
                action,
                record.detail.as_str(),
                &mac
            ],
        )?;
        self.audited = Some(AuditHead { seq: record.seq, mac });
        Ok(())
    }

    /// Number of the newest record of this transaction, 0 if there is none.
    pub fn audited(&self) -> i64 {
        self.audited.as_ref().map_or(0, |head| head.seq)
    }

    /// Moves the end of the chain to the newest record of this transaction: once, however many.
    pub(super) fn end_audit(&mut self) -> Result<()> {
        let Some(head) = self.audited.clone() else { return Ok(()) };
        self.set_meta(HEAD, &head.encode(&self.store.audit_key))
    }

    /// Records after a number, at most `limit`, with their macs.
    fn audit_page(&mut self, after: i64, limit: i64) -> Result<Vec<(AuditRecord, [u8; 32])>> {
        let rows = self.query(
            "SELECT seq, at, actor, origin, action, detail, mac FROM audit WHERE seq > ?1 \
             ORDER BY seq LIMIT ?2",
            params![after, limit],
        )?;
        rows.iter()
            .map(|row| {
                let record = AuditRecord {
                    seq: row.int(0)?,
                    at: row.int(1)?,
                    actor: row.text(2)?,
                    origin: row.text(3)?,
                    action: row.text(4)?,
                    detail: row.text(5)?,
                };
                Ok((record, row.array(6)?))
            })
            .collect()
    }

    /// The record of a number.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn audit_record(&mut self, number: i64) -> Result<AuditRecord> {
        let page = match number {
            1.. => self.audit_page(number - 1, 1)?,
            _ => Vec::new(),
        };
        let record = page.into_iter().map(|(record, _)| record).find(|found| found.seq == number);
        record.ok_or(Error::NotFound { what: What::Operation, name: number.to_string() })
    }

    /// Number of the newest record, 0 if there is none.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn newest_record(&mut self) -> Result<i64> {
        self.count("SELECT COALESCE(MAX(seq), 0) FROM audit", &[])
    }

    /// Records after a number, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn audit_records(&mut self, after: i64, limit: i64) -> Result<Vec<AuditRecord>> {
        let page = self.audit_page(after, limit)?;
        Ok(page.into_iter().map(|(record, _)| record).collect())
    }
}

impl Store {
    /// Checks the whole chain.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn verify_audit(&self) -> Result<Verified> {
        self.read(|tx| {
            let row = tx.query_one("SELECT value FROM meta WHERE name = ?1", params![HEAD])?;
            let Some(row) = row else {
                return Ok(Verified::Broken { seq: 0, why: "the end of the chain is missing" });
            };
            let Some(head) = AuditHead::decode(&self.audit_key, row.blob(0)?) else {
                return Ok(Verified::Broken { seq: 0, why: "the end of the chain was altered" });
            };
            let mut last = AuditHead::NONE;
            loop {
                // The first record has number 1; what was put before it is seen.
                let after = if last == AuditHead::NONE { i64::MIN } else { last.seq };
                let page = tx.audit_page(after, PAGE)?;
                if page.is_empty() {
                    break;
                }
                for (record, stored) in page {
                    let expected = mac(&self.audit_key, &last.mac, &record);
                    if record.seq != last.seq + 1 {
                        let seq = last.seq + 1;
                        return Ok(Verified::Broken { seq, why: "the record is missing" });
                    }
                    if !equal(&expected, &stored) {
                        let why = "the record was altered";
                        return Ok(Verified::Broken { seq: record.seq, why });
                    }
                    last = AuditHead { seq: record.seq, mac: stored };
                }
            }
            if last != head {
                let why = "records at the end are missing, or were added without the key";
                return Ok(Verified::Broken { seq: last.seq, why });
            }
            Ok(Verified::Intact(head))
        })
    }
}

/// In constant time.
pub(super) fn equal(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other)) == 0
}
