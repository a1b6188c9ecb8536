// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Many operations in one transaction, and once only.

use tracing::trace_span;
use zeroize::Zeroizing;

use super::{Service, apply, prepare};
use crate::domain::{Batch, Caller, Error, Operation, Outcome, Result, Secret, What};
use crate::store::KnownBatch;

/// The longest idempotency key, in bytes.
const KEY_MAX: usize = 128;

impl Service {
    /// Does many things in one transaction, each with a result of its own: one that is refused
    /// leaves the others as they are.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Message`]; then nothing of it was stored.
    pub fn apply_all(
        &self,
        who: &Caller,
        operations: &[Operation],
    ) -> Result<Vec<Result<Outcome>>> {
        self.apply_once(who, None, operations).map(|batch| batch.results)
    }

    /// The same, once: a caller that comes again with the same idempotency key within a day gets
    /// the same results, keys that were made among them, and nothing happens. Without a key it
    /// happens each time.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key under which something else was done; [`Error::Store`],
    /// [`Error::Message`]; then nothing of it was stored.
    pub fn apply_once(
        &self,
        who: &Caller,
        key: Option<&str>,
        operations: &[Operation],
    ) -> Result<Batch> {
        let _span = trace_span!("service.batch", operations = operations.len()).entered();
        let now = self.clock.now();
        if let Some(key) = key {
            check_key(key)?;
            // Before passwords cost their time.
            let known = self.store.read(|tx| {
                let known = tx.batch(who, key, now)?;
                known
                    .map(|known| again(&known, tx.batch_digest(operations), operations))
                    .transpose()
            })?;
            if let Some(batch) = known {
                return Ok(batch);
            }
        }
        let prepare = |operation| (operation, prepare(self.mode(), operation));
        let prepared: Vec<_> = operations.iter().map(prepare).collect();
        self.store.write(|tx| {
            // Who calls twice at once finds the results of the first.
            tx.lock_audit()?;
            let digest = key.map(|_| tx.batch_digest(operations)).unwrap_or_default();
            if let Some(key) = key
                && let Some(known) = tx.batch(who, key, now)?
            {
                return again(&known, digest, operations);
            }
            let mut results = Vec::with_capacity(operations.len());
            for (operation, first) in &prepared {
                let first = match first {
                    Ok(first) => first.as_ref(),
                    Err(error) => {
                        results.push(Err(error.clone()));
                        continue;
                    }
                };
                // Every check comes before the first change, so a refusal has changed nothing;
                // what goes wrong later (no randomness) undoes all.
                match apply(tx, now, who, operation, first) {
                    Err(error @ (Error::Store(_) | Error::Message(_))) => return Err(error),
                    result => results.push(result),
                }
            }
            if let Some(key) = key {
                let results = encode(&results);
                tx.insert_batch(who, key, &KnownBatch { digest, results }, now)?;
            }
            Ok(Batch { results, again: false })
        })
    }
}

fn check_key(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > KEY_MAX || key.chars().any(char::is_control) {
        let why = format!("has 1 to {KEY_MAX} bytes and no control characters");
        return Err(Error::invalid("idempotency_key", why));
    }
    Ok(())
}

/// The results of an earlier call, if it asked for the same.
fn again(known: &KnownBatch, digest: [u8; 32], operations: &[Operation]) -> Result<Batch> {
    if known.digest != digest {
        let why = "something else was done under this key within the last day";
        return Err(Error::invalid("idempotency_key", why));
    }
    let results = decode(&known.results, operations)
        .ok_or_else(|| Error::Store("stored results are not understood".into()))?;
    Ok(Batch { results, again: true })
}

const DONE: u8 = 0;
const INVALID: u8 = 1;
const NOT_FOUND: u8 = 2;
const WRONG_MODE: u8 = 3;
const OTHER: u8 = 4;
const EXISTS: u8 = 5;

const WHATS: [What; 5] = [What::Client, What::Topic, What::Member, What::Link, What::PublicKey];

/// The names of inputs that an operation may be refused for.
const FIELDS: [&str; 7] =
    ["client", "key", "password", "topic", "source_client", "target_client", "idempotency_key"];

/// One result after the other: `0 | created (1) | operation (8) | epoch or 0 (8) | secret`, or the
/// kind of an error and its texts. Numbers are little-endian; texts and secrets have their length
/// (4) before them, and a secret of no bytes is none.
fn encode(results: &[Result<Outcome>]) -> Zeroizing<Vec<u8>> {
    // Room for all of it: a vector that grows leaves copies of keys behind.
    let room = |result: &Result<Outcome>| match result {
        Ok(outcome) => 32 + outcome.secret.as_ref().map_or(0, |secret| secret.0.len()),
        Err(Error::Invalid { field, why }) => 16 + field.len() + why.len(),
        Err(error) => 16 + error.to_string().len(),
    };
    let mut out = Zeroizing::new(Vec::with_capacity(results.iter().map(room).sum()));
    for result in results {
        match result {
            Ok(outcome) => {
                out.extend([DONE, outcome.created.into()]);
                out.extend(outcome.operation.to_le_bytes());
                out.extend(outcome.epoch.unwrap_or_default().to_le_bytes());
                put(&mut out, outcome.secret.as_ref().map_or(&[], |secret| &secret.0));
            }
            Err(Error::Invalid { field, why }) => {
                out.push(INVALID);
                put(&mut out, field.as_bytes());
                put(&mut out, why.as_bytes());
            }
            Err(Error::NotFound { what, name }) => {
                out.extend([NOT_FOUND, what_number(*what)]);
                put(&mut out, name.as_bytes());
            }
            Err(Error::Exists { what, name }) => {
                out.extend([EXISTS, what_number(*what)]);
                put(&mut out, name.as_bytes());
            }
            Err(Error::WrongMode { needs, .. }) => {
                out.extend([WRONG_MODE, (*needs == e4::Mode::PublicKey).into()]);
            }
            Err(error) => {
                out.push(OTHER);
                put(&mut out, error.to_string().as_bytes());
            }
        }
    }
    out
}

fn what_number(what: What) -> u8 {
    let number = WHATS.iter().position(|known| *known == what);
    number.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX)
}

fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(part);
}

fn decode(mut rest: &[u8], operations: &[Operation]) -> Option<Vec<Result<Outcome>>> {
    let rest = &mut rest;
    let results: Option<Vec<_>> =
        operations.iter().map(|operation| decode_one(rest, operation)).collect();
    rest.is_empty().then_some(results).flatten()
}

fn decode_one(rest: &mut &[u8], operation: &Operation) -> Option<Result<Outcome>> {
    Some(match byte(rest)? {
        DONE => {
            let created = byte(rest)? != 0;
            let (number, epoch) = (number(rest)?, number(rest)?);
            let secret = part(rest)?;
            let secret = (!secret.is_empty()).then(|| Secret(Zeroizing::new(secret.to_vec())));
            let epoch = (epoch != 0).then_some(epoch);
            Ok(Outcome { operation: number, created, epoch, secret })
        }
        INVALID => {
            let (field, why) = (text(rest)?, text(rest)?);
            Err(match FIELDS.into_iter().find(|known| *known == field) {
                Some(field) => Error::Invalid { field, why },
                None => Error::invalid("change", format!("{field}: {why}")),
            })
        }
        NOT_FOUND => {
            let what = byte(rest)?;
            Err(Error::NotFound { what: *WHATS.get(usize::from(what))?, name: text(rest)? })
        }
        EXISTS => {
            let what = byte(rest)?;
            Err(Error::Exists { what: *WHATS.get(usize::from(what))?, name: text(rest)? })
        }
        WRONG_MODE => {
            let needs = match byte(rest)? {
                0 => e4::Mode::Symmetric,
                _ => e4::Mode::PublicKey,
            };
            Err(Error::WrongMode { operation: operation.name(), needs })
        }
        OTHER => Err(Error::invalid("change", text(rest)?)),
        _ => return None,
    })
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

fn number(rest: &mut &[u8]) -> Option<i64> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(i64::from_le_bytes(*first))
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (first, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(first)
}

fn text(rest: &mut &[u8]) -> Option<String> {
    String::from_utf8(part(rest)?.to_vec()).ok()
}
