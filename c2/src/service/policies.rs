// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rotation policies: which keys rotate when. A run of one is a campaign.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::calendar::{self, Calendar};
use super::schedule::Advance;
use super::{Service, labels};
use crate::domain::{
    Caller, Campaign, CampaignState, Error, Millis, Page, Policy, PolicyPlan, PolicySpec, Result,
    Target, Trigger, What,
};
use crate::store::{CampaignRow, Subject, Tx};

/// The longest name of a policy, in bytes.
const NAME_MAX: usize = 64;
/// The longest description, in bytes.
const DESCRIPTION_MAX: usize = 1000;
/// Targets, and triggers, of a policy.
const PARTS_MAX: usize = 32;
/// Names in a plan.
const NAMES: usize = 100;
/// Campaigns of a policy that are kept once they have ended, and keys of all of them.
const CAMPAIGNS_KEPT: i64 = 1000;
const KEYS_KEPT: i64 = 100_000;
/// Seconds of patience: 10 to a week.
const PATIENCE: std::ops::RangeInclusive<u32> = 10..=604_800;

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        let why = format!("has 1 to {NAME_MAX} bytes and no control characters");
        return Err(Error::invalid("name", why));
    }
    Ok(())
}

fn check(spec: &PolicySpec, now: Millis) -> Result<()> {
    if spec.description.len() > DESCRIPTION_MAX {
        return Err(Error::invalid("description", format!("has {DESCRIPTION_MAX} bytes at most")));
    }
    for (field, count) in [("targets", spec.targets.len()), ("triggers", spec.triggers.len())] {
        if count == 0 || count > PARTS_MAX {
            return Err(Error::invalid(field, format!("are 1 to {PARTS_MAX}")));
        }
    }
    for target in &spec.targets {
        let (Target::Topics(selector) | Target::Clients(selector)) = target;
        labels::check_selector("targets", selector)?;
    }
    for trigger in &spec.triggers {
        match trigger {
            Trigger::Cron { expression, zone } => {
                if Calendar::new(expression, zone)?.after(now)?.is_none() {
                    return Err(Error::invalid("cron", format!("{expression:?} never comes")));
                }
            }
            Trigger::Joins(count) | Trigger::Leaves(count) => {
                if !(1..=1_000_000).contains(count) {
                    return Err(Error::invalid("triggers", "count from 1 to 1,000,000"));
                }
            }
            Trigger::Once => {}
        }
    }
    let pace = &spec.pace;
    if pace.abort_percent > 100 {
        return Err(Error::invalid("abortPercent", "is from 0 to 100"));
    }
    if !PATIENCE.contains(&pace.patience) {
        return Err(Error::invalid("patience", "is from 10 seconds to a week"));
    }
    if pace.canary > 0 && pace.canary_of.is_some() {
        return Err(Error::invalid("canary", "is a number or a selector, not both"));
    }
    if let Some(selector) = &pace.canary_of {
        labels::check_selector("canaryOf", selector)?;
    }
    pace.window.as_ref().map_or(Ok(()), calendar::check)
}

/// When it is due next: now for once, else by the calendar.
fn next(policy: &Policy, now: Millis) -> Result<Option<Millis>> {
    if policy.runs == 0 && policy.spec.triggers.contains(&Trigger::Once) {
        return Ok(Some(now));
    }
    let mut first = None;
    for trigger in &policy.spec.triggers {
        if let Trigger::Cron { expression, zone } = trigger {
            let at = Calendar::new(expression, zone)?.after(now)?;
            first = match (first, at) {
                (Some(first), Some(at)) => Some(std::cmp::min::<Millis>(first, at)),
                (first, at) => first.or(at),
            };
        }
    }
    Ok(first)
}

/// How many joins and leaves are needed; 0 where they do not count.
fn moves(spec: &PolicySpec) -> (i64, i64) {
    spec.triggers.iter().fold((0, 0), |(joins, leaves), trigger| {
        // The smaller one is reached first.
        let less = |known: i64, count: i64| if known == 0 { count } else { known.min(count) };
        match trigger {
            Trigger::Joins(count) => (less(joins, *count), leaves),
            Trigger::Leaves(count) => (joins, less(leaves, *count)),
            Trigger::Cron { .. } | Trigger::Once => (joins, leaves),
        }
    })
}

/// Those whose keys it rotates, each once, those that come first first.
fn subjects(tx: &mut Tx, spec: &PolicySpec) -> Result<Vec<(Subject, bool)>> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for target in &spec.targets {
        let found = tx.select(target)?;
        all.extend(found.into_iter().filter(|subject| seen.insert((subject.kind, subject.row))));
    }
    let mut first = HashSet::new();
    if let Some(selector) = &spec.pace.canary_of {
        for target in [Target::Topics(selector.clone()), Target::Clients(selector.clone())] {
            first.extend(tx.select(&target)?.into_iter().map(|at| (at.kind, at.row)));
        }
    }
    let canaries = usize::try_from(spec.pace.canary).unwrap_or(usize::MAX);
    let all = all.into_iter().enumerate().map(|(place, subject)| {
        let canary = place < canaries || first.contains(&(subject.kind, subject.row));
        (subject, canary)
    });
    let (mut canaries, others): (Vec<_>, Vec<_>) = all.partition(|(_, canary)| *canary);
    canaries.extend(others);
    Ok(canaries)
}

/// Begins a run.
fn run(
    tx: &mut Tx,
    now: Millis,
    who: &Caller,
    policy: &mut Policy,
    subjects: &[(Subject, bool)],
) -> Result<CampaignRow> {
    let mut campaign = CampaignRow {
        number: 0,
        policy: policy.number,
        name: policy.name.clone(),
        pace: policy.spec.pace.clone(),
        state: CampaignState::Running,
        why: None,
        made_at: now,
        resumed_at: now,
        ended_at: None,
        next_at: Some(now),
    };
    tx.insert_campaign(&mut campaign, subjects)?;
    tx.mark_items(policy.number, campaign.number)?;
    tx.forget_campaigns(policy.number, CAMPAIGNS_KEPT, KEYS_KEPT)?;
    policy.last_at = Some(now);
    policy.runs += 1;
    // What was due until now is this run.
    if policy.next_at.is_some_and(|at| at <= now) {
        policy.next_at = next(policy, now)?;
    }
    tx.update_policy(policy)?;
    let detail = json!({
        "policy": policy.name,
        "campaign": campaign.number,
        "keys": subjects.len(),
    });
    tx.audit(now, who, "start_campaign", &detail)?;
    Ok(campaign)
}

/// Begins what is due of a policy; false if that is nothing.
fn begin(tx: &mut Tx, now: Millis, policy: &mut Policy) -> Result<bool> {
    let due = policy.next_at.is_some_and(|at| at <= now);
    let (joins, leaves) = moves(&policy.spec);
    if !due && joins + leaves == 0 {
        return Ok(false);
    }
    // One run after the other: what is missed is made up once every key of that had its turn.
    if tx.busy_campaign(policy.number)?.is_some() {
        return Ok(false);
    }
    let mut subjects = subjects(tx, &policy.spec)?;
    if !due {
        let mut reached = HashSet::new();
        for kind in [Subject::TOPIC, Subject::CLIENT] {
            let rows = tx.moved_since(policy.number, kind, joins, leaves)?;
            reached.extend(rows.into_iter().map(|row| (kind, row)));
        }
        subjects.retain(|(subject, _)| reached.contains(&(subject.kind, subject.row)));
        if subjects.is_empty() {
            return Ok(false);
        }
    }
    let who = Caller::new(&format!("policy:{}", policy.name), "schedule");
    run(tx, now, &who, policy, &subjects)?;
    Ok(true)
}

impl Service {
    /// Adds a policy.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Exists`] if the name is taken; [`Error::Store`].
    pub fn create_policy(&self, who: &Caller, name: &str, spec: &PolicySpec) -> Result<Policy> {
        let now = self.clock.now();
        check_name(name)?;
        check(spec, now)?;
        let mut policy = Policy {
            number: 0,
            name: name.into(),
            spec: spec.clone(),
            paused: false,
            made_at: now,
            next_at: None,
            last_at: None,
            runs: 0,
        };
        policy.next_at = next(&policy, now)?;
        self.store.write(|tx| {
            tx.lock_audit()?;
            if !tx.insert_policy(&mut policy)? {
                return Err(Error::Exists { what: What::Policy, name: name.into() });
            }
            tx.mark_all(policy.number)?;
            tx.audit(now, who, "create_policy", &json!({ "policy": name, "spec": spec }))?;
            Ok(policy.clone())
        })
    }

    /// Has a policy say something else. What joined and left before does not count for it.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::NotFound`], [`Error::Store`].
    pub fn update_policy(&self, who: &Caller, name: &str, spec: &PolicySpec) -> Result<Policy> {
        let now = self.clock.now();
        check(spec, now)?;
        let detail = json!({ "policy": name, "spec": spec });
        self.change_policy(who, "update_policy", name, &detail, |tx, policy| {
            policy.spec = spec.clone();
            policy.next_at = if policy.paused { None } else { next(policy, now)? };
            tx.mark_all(policy.number)
        })
    }

    /// Has a policy rest: nothing of the time until it goes on is made up.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn pause_policy(&self, who: &Caller, name: &str) -> Result<Policy> {
        self.change_policy(who, "pause_policy", name, &json!({ "policy": name }), |_, policy| {
            (policy.paused, policy.next_at) = (true, None);
            Ok(())
        })
    }

    /// Has a policy go on.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn resume_policy(&self, who: &Caller, name: &str) -> Result<Policy> {
        let now = self.clock.now();
        let detail = json!({ "policy": name });
        self.change_policy(who, "resume_policy", name, &detail, |tx, policy| {
            if policy.paused {
                (policy.paused, policy.next_at) = (false, next(policy, now)?);
                tx.mark_all(policy.number)?;
            }
            Ok(())
        })
    }

    fn change_policy(
        &self,
        who: &Caller,
        action: &str,
        name: &str,
        detail: &Value,
        mut change: impl FnMut(&mut Tx, &mut Policy) -> Result<()>,
    ) -> Result<Policy> {
        let now = self.clock.now();
        self.store.write(|tx| {
            tx.lock_audit()?;
            let mut policy = tx.policy(name)?;
            change(tx, &mut policy)?;
            tx.update_policy(&policy)?;
            tx.audit(now, who, action, detail)?;
            Ok(policy)
        })
    }

    /// Forgets a policy. A run of it that has not ended is cancelled.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn delete_policy(&self, who: &Caller, name: &str) -> Result<()> {
        let now = self.clock.now();
        self.store.write(|tx| {
            tx.lock_audit()?;
            let policy = tx.policy(name)?;
            for mut campaign in tx.open_campaigns(policy.number)? {
                campaign.state = CampaignState::Cancelled;
                campaign.why = Some("its policy was deleted".into());
                (campaign.ended_at, campaign.next_at) = (Some(now), None);
                tx.update_campaign(&campaign)?;
            }
            tx.remove_policy(policy.number)?;
            tx.audit(now, who, "delete_policy", &json!({ "policy": name }))
        })
    }

    /// The policies, by name.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn policies(&self, page: &Page) -> Result<Vec<Policy>> {
        self.store.read(|tx| tx.policies(page))
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn policy(&self, name: &str) -> Result<Policy> {
        self.store.read(|tx| tx.policy(name))
    }

    /// Runs a policy now, whether it rests or not.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Busy`] while keys of an earlier run wait for their turn; [`Error::Store`].
    pub fn run_policy(&self, who: &Caller, name: &str) -> Result<Campaign> {
        let now = self.clock.now();
        self.store.write(|tx| {
            tx.lock_audit()?;
            let mut policy = tx.policy(name)?;
            if let Some(busy) = tx.busy_campaign(policy.number)? {
                return Err(Error::Busy(format!(
                    "campaign {busy} of {name:?} has keys that wait for their turn: wait for it, or \
                     cancel it"
                )));
            }
            let subjects = subjects(tx, &policy.spec)?;
            let campaign = run(tx, now, who, &mut policy, &subjects)?;
            tx.with_counts(campaign)
        })
    }

    /// What a run of a policy would do now.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn plan_policy(&self, name: &str) -> Result<PolicyPlan> {
        self.store.read(|tx| {
            let policy = tx.policy(name)?;
            let subjects = subjects(tx, &policy.spec)?;
            let topics = subjects.iter().filter(|(at, _)| at.kind == Subject::TOPIC).count();
            let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
            let all = count(subjects.len());
            let rate = i64::from(policy.spec.pace.per_minute);
            Ok(PolicyPlan {
                topics: count(topics),
                clients: all - count(topics),
                names: subjects.into_iter().take(NAMES).map(|(at, _)| at.name).collect(),
                seconds: if rate == 0 { 1 + all / 400 } else { (all * 60).div_euclid(rate) + 1 },
            })
        })
    }

    /// Begins the runs that are due. `seen` is the newest audit record of the last look: who joined
    /// and left since is looked at if there are newer ones.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(super) fn advance_policies(&self, seen: &mut i64) -> Result<Advance> {
        let now = self.clock.now();
        let (newest, policies) = self.store.read(|tx| {
            // Some leave while clients are told of a topic that was removed.
            let newest = if tx.fans_out()? { -1 } else { tx.newest_record()? };
            Ok((newest, tx.active_policies()?))
        })?;
        let moved = newest != *seen || newest < 0;
        let counts = |policy: &Policy| moves(&policy.spec) != (0, 0);
        let due = |policy: &Policy| policy.next_at.is_some_and(|at| at <= now);
        let mut changed = false;
        for policy in policies.iter().filter(|at| due(at) || (moved && counts(at))) {
            changed |= self.store.write(|tx| {
                tx.lock_audit()?;
                // Another server may have been here.
                match tx.policy(&policy.name) {
                    Ok(mut policy) if !policy.paused => begin(tx, now, &mut policy),
                    Ok(_) | Err(Error::NotFound { .. }) => Ok(false),
                    Err(error) => Err(error),
                }
            })?;
        }
        *seen = newest;
        let next_at = policies.iter().filter_map(|policy| policy.next_at).filter(|at| *at > now);
        Ok(Advance { changed, next_at: next_at.min() })
    }
}
