// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Policies and campaigns as messages of the interface, and back.

use super::convert::timestamp;
use super::pb;
use crate::domain::{
    Campaign, Error, Pace, Policy, PolicySpec, Result, Selector, Target, Trigger, Window,
};

/// The zone of what names none.
const UTC: &str = "UTC";

impl TryFrom<pb::Selector> for Selector {
    type Error = Error;

    fn try_from(message: pb::Selector) -> Result<Self> {
        use pb::selector::Which;
        let none = || Error::invalid("selector", "give one of any, name, wildcard and label");
        Ok(match message.which.ok_or_else(none)? {
            Which::Any(true) => Selector::Any,
            Which::Any(false) => return Err(none()),
            Which::Name(name) => Selector::Name(name),
            Which::Wildcard(pattern) => Selector::Wildcard(pattern),
            Which::Label(pb::Label { name, value }) => Selector::Label { name, value },
        })
    }
}

impl From<Selector> for pb::Selector {
    fn from(selector: Selector) -> Self {
        use pb::selector::Which;
        let which = match selector {
            Selector::Any => Which::Any(true),
            Selector::Name(name) => Which::Name(name),
            Selector::Wildcard(pattern) => Which::Wildcard(pattern),
            Selector::Label { name, value } => Which::Label(pb::Label { name, value }),
        };
        Self { which: Some(which) }
    }
}

fn target(message: pb::PolicyTarget) -> Result<Target> {
    use pb::policy_target::Target as Is;
    let none = || Error::invalid("targets", "each is of topics or of clients");
    Ok(match message.target.ok_or_else(none)? {
        Is::Topics(selector) => Target::Topics(selector.try_into()?),
        Is::Clients(selector) => Target::Clients(selector.try_into()?),
    })
}

fn trigger(message: pb::PolicyTrigger) -> Result<Trigger> {
    use pb::policy_trigger::Trigger as Is;
    let none = || Error::invalid("triggers", "each is one of cron, joins, leaves and once");
    Ok(match message.trigger.ok_or_else(none)? {
        Is::Cron(pb::Cron { expression, zone }) => Trigger::Cron { expression, zone: or_utc(zone) },
        Is::Joins(count) => Trigger::Joins(count),
        Is::Leaves(count) => Trigger::Leaves(count),
        Is::Once(true) => Trigger::Once,
        Is::Once(false) => return Err(none()),
    })
}

fn or_utc(zone: String) -> String {
    if zone.is_empty() { UTC.into() } else { zone }
}

/// `22:00` as minutes after midnight.
///
/// # Errors
/// [`Error::Invalid`] for anything else.
pub fn minutes(text: &str) -> Result<u16> {
    let wrong = || Error::invalid("window", format!("{text:?} is no time of day such as 22:00"));
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str, below: u16| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|at| at.is_ascii_digit());
        text.parse::<u16>().ok().filter(|number| digits && *number < below)
    };
    match (number(hours, 24), number(minutes, 60)) {
        (Some(hours), Some(minutes)) => Ok(hours * 60 + minutes),
        _ => Err(wrong()),
    }
}

/// Minutes after midnight as `22:00`.
pub fn time_of_day(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn window(message: pb::MaintenanceWindow) -> Result<Window> {
    let day = |day: i32| {
        let known = u8::try_from(day).ok().filter(|day| (1..=7).contains(day));
        known.ok_or_else(|| Error::invalid("days", "are numbers from 1, Monday, to 7, Sunday"))
    };
    Ok(Window {
        from: minutes(&message.from)?,
        to: minutes(&message.to)?,
        days: message.days.into_iter().map(day).collect::<Result<_>>()?,
        zone: or_utc(message.zone),
    })
}

fn number<T: TryFrom<i32>>(field: &'static str, number: i32) -> Result<T> {
    T::try_from(number).map_err(|_| Error::invalid(field, "is below 0, or too large"))
}

fn pace(message: pb::Pace) -> Result<Pace> {
    let default = Pace::default();
    Ok(Pace {
        per_minute: number("perMinute", message.per_minute)?,
        canary: number("canary", message.canary)?,
        canary_of: message.canary_of.map(Selector::try_from).transpose()?,
        abort_percent: match message.abort_percent {
            Some(percent) => number("abortPercent", percent)?,
            None => default.abort_percent,
        },
        patience: match message.patience {
            Some(seconds) => number("patience", seconds)?,
            None => default.patience,
        },
        window: message.window.map(window).transpose()?,
        zero_loss: message.zero_loss,
    })
}

/// What a policy says.
///
/// # Errors
/// [`Error::Invalid`].
pub fn spec(message: Option<pb::PolicySpec>) -> Result<PolicySpec> {
    let message = message.unwrap_or_default();
    Ok(PolicySpec {
        description: message.description,
        targets: message.targets.into_iter().map(target).collect::<Result<_>>()?,
        triggers: message.triggers.into_iter().map(trigger).collect::<Result<_>>()?,
        pace: message.pace.map_or_else(|| Ok(Pace::default()), pace)?,
    })
}

/// The same as a message.
pub fn of_spec(spec: PolicySpec) -> pb::PolicySpec {
    let target = |target| {
        use pb::policy_target::Target as Is;
        let target = match target {
            Target::Topics(selector) => Is::Topics(selector.into()),
            Target::Clients(selector) => Is::Clients(selector.into()),
        };
        pb::PolicyTarget { target: Some(target) }
    };
    let trigger = |trigger| {
        use pb::policy_trigger::Trigger as Is;
        let trigger = match trigger {
            Trigger::Cron { expression, zone } => Is::Cron(pb::Cron { expression, zone }),
            Trigger::Joins(count) => Is::Joins(count),
            Trigger::Leaves(count) => Is::Leaves(count),
            Trigger::Once => Is::Once(true),
        };
        pb::PolicyTrigger { trigger: Some(trigger) }
    };
    let Pace { per_minute, canary, canary_of, abort_percent, patience, window, zero_loss } =
        spec.pace;
    let window = window.map(|Window { from, to, days, zone }| pb::MaintenanceWindow {
        from: time_of_day(from),
        to: time_of_day(to),
        days: days.into_iter().map(i32::from).collect(),
        zone,
    });
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    pb::PolicySpec {
        description: spec.description,
        targets: spec.targets.into_iter().map(target).collect(),
        triggers: spec.triggers.into_iter().map(trigger).collect(),
        pace: Some(pb::Pace {
            per_minute: number(per_minute),
            canary: number(canary),
            canary_of: canary_of.map(pb::Selector::from),
            abort_percent: Some(abort_percent.into()),
            patience: Some(number(patience)),
            window,
            zero_loss,
        }),
    }
}

/// A policy as a message.
pub fn of_policy(policy: Policy) -> pb::Policy {
    pb::Policy {
        number: policy.number,
        name: policy.name,
        spec: Some(of_spec(policy.spec)),
        paused: policy.paused,
        created_at: Some(timestamp(policy.made_at)),
        next_at: policy.next_at.map(timestamp),
        last_at: policy.last_at.map(timestamp),
        runs: policy.runs,
    }
}

/// A campaign as a message.
pub fn of_campaign(campaign: Campaign) -> pb::Campaign {
    pb::Campaign {
        number: campaign.number,
        policy: campaign.name,
        state: campaign.state as i32,
        why: campaign.why.unwrap_or_default(),
        created_at: Some(timestamp(campaign.made_at)),
        ended_at: campaign.ended_at.map(timestamp),
        next_at: campaign.next_at.map(timestamp),
        total: campaign.total,
        waiting: campaign.waiting,
        rotated: campaign.rotated,
        confirmed: campaign.confirmed,
        failed: campaign.failed,
        gone: campaign.gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_comes_back_as_it_went() {
        let whole = PolicySpec {
            description: "d".into(),
            targets: vec![
                Target::Topics(Selector::Wildcard("plant/*".into())),
                Target::Clients(Selector::Label { name: "site".into(), value: "b".into() }),
                Target::Clients(Selector::Any),
                Target::Topics(Selector::Name("t".into())),
            ],
            triggers: vec![
                Trigger::Cron { expression: "0 3 1 * *".into(), zone: "Europe/Zurich".into() },
                Trigger::Joins(3),
                Trigger::Leaves(1),
                Trigger::Once,
            ],
            pace: Pace {
                per_minute: 100,
                canary: 10,
                canary_of: Some(Selector::Any),
                abort_percent: 5,
                patience: 60,
                window: Some(Window { from: 1320, to: 300, days: vec![1, 7], zone: "UTC".into() }),
                zero_loss: true,
            },
        };
        assert_eq!(spec(Some(of_spec(whole.clone()))).unwrap(), whole);
        let plain = PolicySpec { pace: Pace::default(), ..whole };
        let mut message = of_spec(plain.clone());
        message.pace = None;
        assert_eq!(spec(Some(message)).unwrap(), plain);
    }

    #[test]
    fn what_is_no_policy() {
        let wrong = |pace: pb::Pace| spec(Some(pb::PolicySpec { pace: Some(pace), ..empty() }));
        assert!(wrong(pb::Pace { per_minute: -1, ..pb::Pace::default() }).is_err());
        assert!(wrong(pb::Pace { abort_percent: Some(256), ..pb::Pace::default() }).is_err());
        assert!(
            spec(Some(pb::PolicySpec { targets: vec![pb::PolicyTarget::default()], ..empty() }))
                .is_err()
        );
        for time in ["", "24:00", "1:60", "+1:00", "a:b", "001:00", "12"] {
            assert!(minutes(time).is_err(), "{time}");
        }
        assert_eq!(minutes("07:05").unwrap(), 425);
        assert_eq!(time_of_day(425), "07:05");
    }

    fn empty() -> pb::PolicySpec {
        pb::PolicySpec::default()
    }
}
