// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Clients and topics as people look at them.

use serde::Serialize;

use super::{AuditRecord, ClientRow, Holding, Millis, TopicRow};

/// How often something was sent without an answer until its client counts as asleep: the second
/// time is after the first wait.
pub const ASLEEP_TRIES: i64 = 2;

/// How a client stands, or one thing that it should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nothing is outstanding, by the word of the client.
    Confirmed,
    /// Something is to be sent, or was sent a moment ago.
    OnItsWay,
    /// All that is outstanding was sent more than once, and the client, which answers when it is
    /// awake, does not.
    Waiting,
    /// The broker took everything, and the client never answered: it was not started yet, or its
    /// make does not answer.
    Handed,
    /// The client refused something, or cannot be brought to what it should hold.
    Failed,
}

impl Standing {
    /// All of them, the best first.
    pub const ALL: [Self; 5] =
        [Self::Confirmed, Self::OnItsWay, Self::Waiting, Self::Handed, Self::Failed];

    /// Its name in addresses.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Confirmed => "confirmed",
            Standing::OnItsWay => "on-its-way",
            Standing::Waiting => "waiting",
            Standing::Handed => "handed",
            Standing::Failed => "failed",
        }
    }

    /// The standing of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.name() == name)
    }

    /// How something stands that a client, which answers or not, should hold.
    pub fn of(holding: &Holding, answers: bool) -> Self {
        let epochs = [holding.target, holding.sent, holding.confirmed];
        Self::new(epochs, holding.handed, holding.failed, holding.tries, answers)
    }

    /// The same, by the epochs that it should hold, that was sent last, that it confirmed.
    pub fn new(
        [target, sent, confirmed]: [i64; 3],
        handed: bool,
        failed: i64,
        tries: i64,
        answers: bool,
    ) -> Self {
        let again = tries >= ASLEEP_TRIES;
        match () {
            () if sent != target => Standing::OnItsWay,
            () if confirmed == target => Standing::Confirmed,
            () if failed != 0 => Standing::Failed,
            () if answers && again => Standing::Waiting,
            () if !answers && (again || handed) => Standing::Handed,
            () => Standing::OnItsWay,
        }
    }

    /// How a client stands of whose things some are not confirmed.
    pub fn of_client(client: &Outstanding) -> Self {
        let Outstanding { answers, trouble, .. } = *client;
        match () {
            () if trouble || client.failed > 0 => Standing::Failed,
            () if client.moving > 0 => Standing::OnItsWay,
            () if client.open > 0 && answers => Standing::Waiting,
            () if client.open > 0 => Standing::Handed,
            // Of whom nothing was ever heard, and who holds nothing, nothing is known.
            () if !answers && !client.holds => Standing::Handed,
            () => Standing::Confirmed,
        }
    }
}

/// What of a client is not confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// Whether it ever answered.
    pub answers: bool,
    /// Whether it cannot be brought to what it should hold.
    pub trouble: bool,
    /// Whether it should hold anything but its own key.
    pub holds: bool,
    /// Things that it has not confirmed.
    pub open: i64,
    /// Those of them that are to be sent, or were sent a moment ago.
    pub moving: i64,
    /// Those of them that it refused.
    pub failed: i64,
}

/// How far a client has come with keys of its own, with C2's and with a reset.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnKeys {
    /// Whether it ever answered.
    pub answers: bool,
    /// Whether it cannot be brought to what it should hold.
    pub trouble: bool,
    /// Its own key: the epoch that it should hold, that it confirmed, that the broker took.
    pub key: [i64; 3],
    /// How often that was sent.
    pub key_tries: i64,
    /// The same of C2's key.
    pub c2: [i64; 3],
    /// How often that was sent.
    pub c2_tries: i64,
    /// See [`ClientRow::reset`].
    pub reset: i64,
    /// See [`ClientRow::drift`].
    pub drift: i64,
}

impl OwnKeys {
    /// Those of a client.
    pub fn of(client: &ClientRow, c2_epoch: i64) -> Self {
        Self {
            answers: client.answers,
            trouble: client.trouble.is_some(),
            key: [client.key_epoch, client.key_confirmed, client.key_handed],
            key_tries: client.key_tries,
            c2: [c2_epoch, client.c2_confirmed, client.c2_handed],
            c2_tries: client.c2_tries,
            reset: client.reset,
            drift: client.drift,
        }
    }

    /// How a key stands.
    pub fn standing(&self, [epoch, confirmed, handed]: [i64; 3], tries: i64) -> Standing {
        match () {
            () if confirmed >= epoch => Standing::Confirmed,
            () if self.answers && tries >= ASLEEP_TRIES => Standing::Waiting,
            () if !self.answers && (tries >= ASLEEP_TRIES || handed >= epoch) => Standing::Handed,
            () => Standing::OnItsWay,
        }
    }

    /// How the reset stands. Of who never answers, it ends when the broker took it.
    fn reset(&self) -> Standing {
        match () {
            () if self.reset == 0 => Standing::Confirmed,
            () if self.answers && self.drift > ASLEEP_TRIES => Standing::Waiting,
            () => Standing::OnItsWay,
        }
    }

    /// What of it is not confirmed.
    pub fn outstanding(&self) -> Outstanding {
        let all = [
            self.standing(self.key, self.key_tries),
            self.standing(self.c2, self.c2_tries),
            self.reset(),
        ];
        let count = |fits: fn(&Standing) -> bool| {
            i64::try_from(all.iter().filter(|standing| fits(standing)).count()).unwrap_or_default()
        };
        Outstanding {
            answers: self.answers,
            trouble: self.trouble,
            open: count(|standing| *standing != Standing::Confirmed),
            moving: count(|standing| *standing == Standing::OnItsWay),
            ..Outstanding::default()
        }
    }
}

/// Numbers by [`Standing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standings {
    /// See [`Standing::Confirmed`].
    pub confirmed: i64,
    /// See [`Standing::OnItsWay`].
    pub on_its_way: i64,
    /// See [`Standing::Waiting`].
    pub waiting: i64,
    /// See [`Standing::Handed`].
    pub handed: i64,
    /// See [`Standing::Failed`].
    pub failed: i64,
}

impl Standings {
    /// How many there are of one.
    pub fn get(&self, standing: Standing) -> i64 {
        match standing {
            Standing::Confirmed => self.confirmed,
            Standing::OnItsWay => self.on_its_way,
            Standing::Waiting => self.waiting,
            Standing::Handed => self.handed,
            Standing::Failed => self.failed,
        }
    }

    /// One more.
    pub fn add(&mut self, standing: Standing) {
        self.add_many(standing, 1);
    }

    /// So many more.
    pub fn add_many(&mut self, standing: Standing, count: i64) {
        *match standing {
            Standing::Confirmed => &mut self.confirmed,
            Standing::OnItsWay => &mut self.on_its_way,
            Standing::Waiting => &mut self.waiting,
            Standing::Handed => &mut self.handed,
            Standing::Failed => &mut self.failed,
        } += count;
    }

    /// All together.
    pub fn all(&self) -> i64 {
        Standing::ALL.into_iter().map(|standing| self.get(standing)).sum()
    }
}

/// Which part of a list, to and fro.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The beginning.
    #[default]
    First,
    /// What comes after a name, in the order by bytes.
    After(String),
    /// What comes before it.
    Before(String),
}

/// Which clients, or which topics or members.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Text in the name, whatever the case; empty for all.
    pub search: String,
    /// How they stand; not for topics.
    pub standing: Option<Standing>,
    /// A label, and its value where that matters.
    pub label: Option<(String, Option<String>)>,
}

/// A part of a list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part<T> {
    /// The rows, in the order of their names.
    pub rows: Vec<T>,
    /// How many there are in the list.
    pub total: i64,
    /// Whether there are rows before these.
    pub before: bool,
    /// Whether there are rows after these.
    pub after: bool,
}

/// A part of a list of clients.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sorted<T> {
    /// The rows.
    pub part: Part<T>,
    /// Those that the filter lets through but for its standing, by how they stand.
    pub standings: Standings,
}

/// A client in a list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Name.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// Topics of which it should hold the key.
    pub topics: i64,
    /// Things that it has not confirmed.
    pub behind: i64,
    /// Whether it ever answered.
    pub answers: bool,
    /// When it last showed itself.
    pub seen_at: Option<Millis>,
    /// Why it cannot be brought to what it should hold.
    pub trouble: Option<String>,
    /// Labels and their values.
    pub labels: Vec<(String, String)>,
}

/// One thing that a client should hold or forget.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Topic or client; empty for the keys of its own.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// The epoch that it should hold, 0 where it is told to forget.
    pub epoch: i64,
    /// The epoch that it confirmed, 0 for none.
    pub confirmed: i64,
    /// How often it was sent without an answer.
    pub attempts: i64,
    /// When its state changed.
    pub changed_at: Option<Millis>,
    /// The client's error, where it refused.
    pub error: Option<String>,
    /// Whether it only receives there.
    pub receives: bool,
}

/// A client by itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceDetail {
    /// As in the list.
    pub device: Device,
    /// Id in hexadecimal digits.
    pub id: String,
    /// When it was added.
    pub made_at: Millis,
    /// When C2 tries again.
    pub due_at: Option<Millis>,
    /// Whether it is told to forget everything first.
    pub resets: bool,
    /// Its own key.
    pub own_key: Held,
    /// C2's key (PK).
    pub c2_key: Option<Held>,
    /// Keys of topics.
    pub topics: Vec<Held>,
    /// Public keys of others (PK).
    pub peers: Vec<Held>,
    /// Clients whose public keys it gets when they change (PK).
    pub sources: Vec<String>,
    /// Clients that get its public key when it changes (PK).
    pub targets: Vec<String>,
}

/// Audit records about one client or topic, newest first.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The records.
    pub records: Vec<AuditRecord>,
    /// Every record after this number was looked at; 0 when that was all.
    pub looked_to: i64,
}

/// A topic in a list, as it is stored.
#[derive(Clone, Debug)]
pub struct TopicStage {
    /// The topic.
    pub topic: TopicRow,
    /// When its key was made.
    pub rotated_at: Option<Millis>,
    /// Stage of a rotation: 0 none, 1 receivers first, 2 the others.
    pub stage: i64,
    /// When the stage ends at the latest.
    pub stage_until: Millis,
}

/// A topic in a list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicView {
    /// Name.
    pub name: String,
    /// Number of its key.
    pub epoch: i64,
    /// Its clients by how they stand.
    pub members: Standings,
    /// When the key was made.
    pub rotated_at: Option<Millis>,
    /// Stage of a rotation: 0 none, 1 receivers first, 2 the others.
    pub stage: i64,
    /// When the stage ends at the latest.
    pub stage_until: Option<Millis>,
    /// Labels and their values.
    pub labels: Vec<(String, String)>,
}

/// A client of a topic.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Name of the client.
    pub name: String,
    /// How it stands with the key of the topic.
    pub standing: Standing,
    /// The epoch that it confirmed, 0 for none.
    pub confirmed: i64,
    /// Whether it only receives.
    pub receives: bool,
    /// When it last showed itself.
    pub seen_at: Option<Millis>,
}

/// A link between clients, and how far the source's key has come (PK).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkView {
    /// Whose public key.
    pub source: String,
    /// Who gets it.
    pub target: String,
    /// How it stands with the target; none if it was not sent yet.
    pub standing: Option<Standing>,
}
