// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rules by which keys rotate, and how such a run goes.

use serde::{Deserialize, Serialize};

use super::Millis;

/// Which topics or clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selector {
    /// All.
    Any,
    /// The one of this name.
    Name(String),
    /// Those whose name fits: `*` is any text, `?` any one character.
    Wildcard(String),
    /// Those with a label of this name and value.
    Label {
        /// Name.
        name: String,
        /// Value.
        value: String,
    },
}

/// Whose keys rotate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The keys of topics.
    Topics(Selector),
    /// The clients' own keys.
    Clients(Selector),
}

/// When they rotate. Each is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// By the calendar.
    Cron {
        /// Minute, hour, day of the month, month, day of the week.
        expression: String,
        /// Name in the time zone database, such as `Europe/Zurich`.
        zone: String,
    },
    /// A topic's after so many clients joined it, a client's after it joined so many topics.
    Joins(i64),
    /// A topic's after so many clients left it, a client's after it left so many topics.
    Leaves(i64),
    /// Once, now.
    Once,
}

/// A part of the day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When it begins: minutes after midnight.
    pub from: u16,
    /// When it ends; before `from` it ends the next day.
    pub to: u16,
    /// Days of the week on which it begins, 1 Monday to 7 Sunday; none is all.
    pub days: Vec<u8>,
    /// Name in the time zone database.
    pub zone: String,
}

/// How a run goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    /// Keys rotated in a minute at most; 0 for all at once.
    pub per_minute: u32,
    /// How many come first, and have to confirm before the others begin; 0 for none.
    pub canary: u32,
    /// Who comes first, instead of so many.
    pub canary_of: Option<Selector>,
    /// It stops when more than so many in a hundred of those whose turn has come fail; 100 for
    /// never.
    pub abort_percent: u8,
    /// Seconds for a key to be confirmed, after which it counts as failed.
    pub patience: u32,
    /// When keys may rotate.
    pub window: Option<Window>,
    /// Topics rotate in two stages, receivers first.
    pub zero_loss: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            per_minute: 0,
            canary: 0,
            canary_of: None,
            abort_percent: 100,
            patience: 3600,
            window: None,
            zero_loss: false,
        }
    }
}

/// What a rotation policy says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySpec {
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Whose keys.
    pub targets: Vec<Target>,
    /// When.
    pub triggers: Vec<Trigger>,
    /// How.
    #[serde(default)]
    pub pace: Pace,
}

/// A rotation policy as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// Number, never used again.
    pub number: i64,
    /// Name.
    pub name: String,
    /// What it says.
    pub spec: PolicySpec,
    /// Whether it rests.
    pub paused: bool,
    /// When it was made.
    pub made_at: Millis,
    /// When it runs next, by the calendar.
    pub next_at: Option<Millis>,
    /// When it ran last.
    pub last_at: Option<Millis>,
    /// How often it ran.
    pub runs: i64,
}

/// How a campaign stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CampaignState {
    /// It works.
    Running = 1,
    /// Somebody had it wait.
    Paused = 2,
    /// Too many failed.
    Stopped = 3,
    /// Everything had its turn.
    Finished = 4,
    /// Somebody ended it.
    Cancelled = 5,
}

impl CampaignState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Running, Self::Paused, Self::Stopped, Self::Finished, Self::Cancelled];

    /// The state of a number, as it is stored.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i64 == number)
    }
}

/// A run of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Campaign {
    /// Number, never used again.
    pub number: i64,
    /// Number of the policy.
    pub policy: i64,
    /// Name of the policy.
    pub name: String,
    /// How it stands.
    pub state: CampaignState,
    /// Why it stands so, where that needs a word.
    pub why: Option<String>,
    /// When it began.
    pub made_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// When it goes on; none when it rests.
    pub next_at: Option<Millis>,
    /// Keys that it rotates.
    pub total: i64,
    /// Those whose turn has not come.
    pub waiting: i64,
    /// Those that were rotated and are not confirmed yet.
    pub rotated: i64,
    /// Those that are confirmed.
    pub confirmed: i64,
    /// Those that failed.
    pub failed: i64,
    /// Those that went before their turn.
    pub gone: i64,
}

/// How a key of a campaign stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemState {
    /// Its turn has not come.
    Waiting = 0,
    /// It was rotated.
    Rotated = 1,
    /// The new one is confirmed.
    Confirmed = 2,
    /// It was refused, or not confirmed in time.
    Failed = 3,
    /// Its topic or client was removed before.
    Gone = 4,
}

impl ItemState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Waiting, Self::Rotated, Self::Confirmed, Self::Failed, Self::Gone];

    /// The state of a number, as it is stored.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i64 == number)
    }
}

/// A key that a campaign rotates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CampaignItem {
    /// Its place, from 1.
    pub position: i64,
    /// Whether it is the key of a topic, or a client's own.
    pub topic: bool,
    /// Name of that; empty once it is removed for good.
    pub name: String,
    /// Whether it is of those that come first.
    pub canary: bool,
    /// How it stands.
    pub state: ItemState,
    /// Number of the new key; 0 before its turn.
    pub epoch: i64,
    /// When its turn came.
    pub begun_at: Option<Millis>,
    /// When that was known to have worked or not.
    pub ended_at: Option<Millis>,
    /// Why it failed.
    pub why: Option<String>,
}

/// What a run of a policy would do now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PolicyPlan {
    /// Keys of topics.
    pub topics: i64,
    /// Keys of clients.
    pub clients: i64,
    /// The first names, at most 100.
    pub names: Vec<String>,
    /// Seconds that it takes at its rate, without waiting for confirmations and windows.
    pub seconds: i64,
}

/// What a rotation of a topic's key would do now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RotationPlan {
    /// Topic.
    pub topic: String,
    /// Number of its present key.
    pub epoch: i64,
    /// Its clients.
    pub members: i64,
    /// Those that answered what they were sent last.
    pub awake: i64,
    /// Those that did not: they miss the key until they wake.
    pub asleep: i64,
    /// The first of them by name, at most 100.
    pub asleep_names: Vec<String>,
    /// Those that never answer: what they hold is not known.
    pub silent: i64,
    /// Those of whom an earlier rotation said that they only receive.
    pub receivers: i64,
    /// Seconds until those that are awake have confirmed, estimated.
    pub expected_seconds: i64,
    /// When a rotation in two stages that is under way ends at the latest.
    pub under_way_until: Option<Millis>,
}
