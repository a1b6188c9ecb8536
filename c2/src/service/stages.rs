// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rotations that lose no message: clients that only receive get the new key first, the others once
//! these have confirmed it. A client opens what is sent under the key before for an hour.

use e4::TopicKey;
use serde_json::json;

use super::Service;
use super::schedule::Advance;
use crate::domain::{
    Caller, Error, Millis, Outcome, Receivers, Result, RotationPlan, Target, What,
};
use crate::store::{Fanout, Staged, Tx};

/// The longest that a stage may take, in seconds: both fit into the hour for which clients keep the
/// key before (PROTOCOL section 7).
pub const DEADLINE_MAX: u32 = 1800;
/// How long it may take unless a caller says so, in seconds.
pub const DEADLINE: u32 = 300;
/// How long the second stage may take, in milliseconds: nobody waits for it but the next rotation.
const SENDERS: Millis = 300_000;
/// Rotations that are looked at in one transaction.
const ROTATIONS: i64 = 500;
/// How often they are looked at.
const LOOK: Millis = 200;
/// Names of those asleep in a plan.
const NAMES: i64 = 100;
/// Clients that are given a key in a second: a careful figure, of what a small machine did with
/// every client answering.
const PER_SECOND: i64 = 400;

/// How long so many clients that are awake take for a new key, about, in seconds.
pub fn expected_seconds(awake: i64) -> i64 {
    1 + awake / PER_SECOND
}

pub fn rotate(
    tx: &mut Tx,
    now: Millis,
    name: &str,
    receivers: &Receivers,
    deadline: u32,
) -> Result<Outcome> {
    let topic = tx.topic(name)?;
    if let Some(staged) = tx.stage(topic.row)? {
        let seconds = (staged.until - now).max(0) / 1000;
        return Err(Error::Busy(format!(
            "a rotation of {name:?} is under way, for {seconds} s at most: wait for it, or give the \
             topic a new key at once"
        )));
    }
    if tx.is_restless(&topic)? {
        return Err(Error::Busy(format!(
            "clients of {name:?} that are awake have not confirmed its present key yet: wait a \
             moment, or give the topic a new key at once"
        )));
    }
    match receivers {
        Receivers::Known => {}
        Receivers::Names(names) => {
            tx.forget_receivers(topic.row)?;
            for client in names {
                let row = tx.client(client)?.row;
                if !tx.set_receiver(topic.row, row)? {
                    let name = format!("{client} of {name}");
                    return Err(Error::NotFound { what: What::Member, name });
                }
            }
        }
        Receivers::Of(selector) => {
            tx.forget_receivers(topic.row)?;
            // Who is selected and is no client of the topic is none of its receivers.
            for subject in tx.select(&Target::Clients(selector.clone()))? {
                tx.set_receiver(topic.row, subject.row)?;
            }
        }
    }
    let key = TopicKey::random().map_err(Error::Message)?;
    let epoch = tx.insert_topic_key(&topic, &key, now)?;
    tx.set_stage(topic.row, Staged::RECEIVERS, now + Millis::from(deadline) * 1000)?;
    tx.fan_out(Fanout::Topic(topic.row))?;
    Ok(Outcome { epoch: Some(epoch), ..Outcome::default() })
}

pub fn check(receivers: &Receivers, deadline: u32) -> Result<()> {
    if deadline == 0 || deadline > DEADLINE_MAX {
        let why = format!("has to be from 1 to {DEADLINE_MAX} seconds");
        return Err(Error::invalid("deadline", why));
    }
    match receivers {
        Receivers::Known => Ok(()),
        Receivers::Names(names) => {
            names.iter().try_for_each(|name| super::check_client("receivers", name))
        }
        Receivers::Of(selector) => super::labels::check_selector("receiversOf", selector),
    }
}

impl Service {
    /// What a rotation of the key of a topic would do now.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn rotation_plan(&self, topic: &str) -> Result<RotationPlan> {
        self.store.read(|tx| {
            let topic = tx.topic(topic)?;
            let mut plan = tx.rotation_plan(&topic, NAMES)?;
            plan.expected_seconds = expected_seconds(plan.awake);
            Ok(plan)
        })
    }

    /// Goes on with the rotations whose stage is over.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn advance_stages(&self) -> Result<Advance> {
        let now = self.clock.now();
        let staged = self.store.read(|tx| tx.staged(ROTATIONS))?;
        if staged.is_empty() {
            return Ok(Advance::default());
        }
        // Most of the time nothing is over: then nobody has to wait for this.
        let any_over = self.store.read(|tx| over(tx, &staged, now).map(|over| !over.is_empty()))?;
        let changed = any_over
            && self.store.write(|tx| {
                tx.lock_audit()?;
                let staged = tx.staged(ROTATIONS)?;
                let over = over(tx, &staged, now)?;
                over.iter().try_for_each(|at| go_on(tx, at, now))?;
                Ok(!over.is_empty())
            })?;
        Ok(Advance { changed, next_at: Some(now + LOOK) })
    }
}

/// Those whose stage is over.
fn over<'a>(tx: &mut Tx, staged: &'a [Staged], now: Millis) -> Result<Vec<&'a Staged>> {
    let mut all = Vec::new();
    for at in staged {
        if at.until <= now || !tx.stage_waits(at)? {
            all.push(at);
        }
    }
    Ok(all)
}

fn go_on(tx: &mut Tx, at: &Staged, now: Millis) -> Result<()> {
    let caller = Caller::new("C2", "rotation");
    let detail = json!({ "topic": at.name, "epoch": at.epoch, "late": at.until <= now });
    if at.stage == Staged::RECEIVERS {
        tx.set_stage(at.topic, Staged::SENDERS, now + SENDERS)?;
        tx.fan_out(Fanout::Topic(at.topic))?;
        tx.audit(now, &caller, "rotation_went_on", &detail)
    } else {
        tx.set_stage(at.topic, 0, 0)?;
        tx.audit(now, &caller, "rotation_ended", &detail)
    }
}
