// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What happens in a storm, and when: a pure function of the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use e4::Mode;
use e4_c2::domain::{Credential, Operation};
use serde::{Deserialize, Serialize};

/// SplitMix64: a few lines that give the same numbers everywhere and for ever.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// Milliseconds between two numbers of seconds.
    fn seconds(&mut self, from: f64, to: f64) -> Duration {
        let share = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        Duration::from_secs_f64(from + (to - from) * share)
    }

    pub fn key(&mut self) -> [u8; 32] {
        let mut key = [0; 32];
        for chunk in key.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes());
        }
        key
    }
}

/// An operation, as the operator's process takes it. Devices and topics by number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Act {
    NewTopic(usize),
    RemoveTopic(usize),
    Join(usize, usize),
    Leave(usize, usize),
    NewClientKey(usize),
    ResetClient(usize),
    Resync(Option<usize>),
    Link(usize, usize),
    Unlink(usize, usize),
    SendPubKey(usize, usize),
    RemovePubKey(usize, usize),
    ResetPubKeys(usize),
    NewC2Key,
}

pub fn client(number: usize) -> String {
    format!("device-{number:03}")
}

pub fn topic(number: usize) -> String {
    format!("storm/{number}")
}

impl Act {
    pub fn operation(&self) -> Operation {
        match *self {
            Act::NewTopic(at) => Operation::NewTopic { topic: topic(at) },
            Act::RemoveTopic(at) => Operation::RemoveTopic { topic: topic(at) },
            Act::Join(at, who) => {
                Operation::NewTopicClient { topic: topic(at), client: client(who) }
            }
            Act::Leave(at, who) => {
                Operation::RemoveTopicClient { topic: topic(at), client: client(who) }
            }
            Act::NewClientKey(who) => Operation::NewClientKey { client: client(who) },
            Act::ResetClient(who) => Operation::ResetClient { client: client(who) },
            Act::Resync(who) => Operation::Resync { client: who.map(client) },
            Act::Link(from, to) => {
                Operation::LinkClient { source: client(from), target: client(to) }
            }
            Act::Unlink(from, to) => {
                Operation::UnlinkClient { source: client(from), target: client(to) }
            }
            Act::SendPubKey(from, to) => {
                Operation::SendClientPubKey { source: client(from), target: client(to) }
            }
            Act::RemovePubKey(from, to) => {
                Operation::RemoveClientPubKey { source: client(from), target: client(to) }
            }
            Act::ResetPubKeys(who) => Operation::ResetClientPubKeys { target: client(who) },
            Act::NewC2Key => Operation::NewC2Key,
        }
    }
}

/// The wish for a new device, with the key that it was given by hand.
pub fn new_client(number: usize, mode: Mode, seed: &[u8; 32]) -> Operation {
    let bytes = match mode {
        Mode::Symmetric => seed.to_vec(),
        Mode::PublicKey => e4::SigningKey::from_seed(seed).unwrap().public().as_bytes().to_vec(),
    };
    Operation::NewClient { client: client(number), credential: Credential::Key(bytes.into()) }
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The operator's process does these, all in one transaction.
    Operate(Vec<Act>),
    /// A device is thrown away or loses its keys, and comes back with a new key by hand.
    Provision {
        device: usize,
        key: [u8; 32],
        removed: Option<bool>,
    },
    KillServer(usize),
    StartServer(usize),
    KillBroker,
    StartBroker,
    KillOperator,
    KillDevice(usize),
    StartDevice(usize),
    /// The network of a server (the first ones) or device breaks its connections.
    Cut(usize),
    /// It carries nothing for a while, without a word.
    Freeze(usize),
    Thaw(usize),
    /// The time of all goes on by so many seconds at once.
    Jump(i64),
    /// Two devices that hold a key of the topic talk: which ones, by a number.
    Talk {
        topic: usize,
        pick: u64,
    },
}

/// How big a storm is.
#[derive(Clone, Debug)]
pub struct Size {
    pub mode: Mode,
    pub clients: usize,
    pub topics: usize,
    pub servers: usize,
    pub length: Duration,
}

pub struct Plan {
    /// Whether a device is an old one, which never answers.
    pub silent: Vec<bool>,
    /// Whether its session at the broker ends with each connection.
    pub clean: Vec<bool>,
    /// The first key of each.
    pub keys: Vec<[u8; 32]>,
    /// Devices that sleep when the storm ends.
    pub asleep: BTreeSet<usize>,
    /// Quality of service of the commands.
    pub qos: u8,
    /// Operations before anything breaks.
    pub before: Vec<Act>,
    pub steps: Vec<(Duration, Step)>,
}

struct Draft {
    size: Size,
    random: Random,
    topics: BTreeSet<usize>,
    members: BTreeSet<(usize, usize)>,
    asleep: BTreeSet<usize>,
    c2_keys: usize,
    own_keys: BTreeMap<usize, usize>,
    silent: Vec<bool>,
    steps: Vec<(Duration, Step)>,
}

pub fn plan(seed: u64, size: &Size) -> Plan {
    let mut random = Random::new(seed ^ if size.mode == Mode::PublicKey { 1 << 63 } else { 0 });
    let silent: Vec<bool> = (0..size.clients).map(|_| random.below(5) == 0).collect();
    // A session that ends with the connection would leave an old device to chance alone.
    let clean = silent.iter().map(|silent| random.below(4) == 0 && !silent).collect();
    let keys = (0..size.clients).map(|_| random.key()).collect();
    let asleep: BTreeSet<usize> =
        (0..size.clients).filter(|at| random.below(10) == 0 && !silent[*at]).collect();
    let qos = [2, 2, 1, 0][random.below(4)];
    let mut draft = Draft {
        size: size.clone(),
        random,
        topics: (0..size.topics).collect(),
        members: BTreeSet::new(),
        asleep: asleep.clone(),
        c2_keys: 0,
        own_keys: BTreeMap::new(),
        silent: silent.clone(),
        steps: Vec::new(),
    };
    let before = draft.before();
    draft.operations();
    draft.faults();
    let mut steps = draft.steps;
    steps.sort_by_key(|(at, _)| *at);
    Plan { silent, clean, keys, asleep, qos, before, steps }
}

impl Draft {
    fn before(&mut self) -> Vec<Act> {
        let mut acts: Vec<Act> = (0..self.size.topics).map(Act::NewTopic).collect();
        for device in 0..self.size.clients {
            for _ in 0..3 {
                let topic = self.random.below(self.size.topics);
                if self.members.insert((topic, device)) {
                    acts.push(Act::Join(topic, device));
                }
            }
        }
        acts
    }

    /// A moment at which something may begin that takes so long.
    fn moment(&mut self, takes: Duration) -> Duration {
        let last = self.size.length.saturating_sub(takes);
        self.random.seconds(0.0, last.as_secs_f64())
    }

    fn operations(&mut self) {
        let rate = 3.0 + self.size.clients as f64 / 20.0;
        let count = (self.size.length.as_secs_f64() * rate) as usize;
        let mut times: Vec<Duration> = (0..count).map(|_| self.moment(Duration::ZERO)).collect();
        times.sort();
        for at in times {
            let size = if self.random.below(10) == 0 { 2 + self.random.below(8) } else { 1 };
            let acts: Vec<Act> = (0..size).map(|_| self.act()).collect();
            self.steps.push((at, Step::Operate(acts)));
        }
        let talks = (self.size.length.as_secs_f64() * 10.0) as usize;
        for _ in 0..talks {
            let at = self.moment(Duration::ZERO);
            let (topic, pick) = (self.random.below(self.size.topics), self.random.next());
            self.steps.push((at, Step::Talk { topic, pick }));
        }
    }

    fn device(&mut self) -> usize {
        self.random.below(self.size.clients)
    }

    fn two(&mut self) -> (usize, usize) {
        let one = self.device();
        let other = (one + 1 + self.random.below(self.size.clients - 1)) % self.size.clients;
        (one, other)
    }

    fn act(&mut self) -> Act {
        let limit = if self.size.mode == Mode::PublicKey { 100 } else { 76 };
        match self.random.below(limit) {
            0..20 => {
                let topic = self.random.below(self.size.topics);
                self.topics.insert(topic);
                Act::NewTopic(topic)
            }
            20..45 => {
                let (topic, device) = (self.random.below(self.size.topics), self.device());
                if self.topics.contains(&topic) {
                    self.members.insert((topic, device));
                    Act::Join(topic, device)
                } else {
                    self.topics.insert(topic);
                    Act::NewTopic(topic)
                }
            }
            45..58 => {
                let members: Vec<_> = self.members.iter().copied().collect();
                let (topic, device) = members[self.random.below(members.len())];
                // Enough stay to talk.
                if members.len() > self.size.clients {
                    self.members.remove(&(topic, device));
                    Act::Leave(topic, device)
                } else {
                    Act::Join(topic, device)
                }
            }
            58..60 => {
                let topic = self.random.below(self.size.topics);
                self.topics.remove(&topic);
                Act::RemoveTopic(topic)
            }
            60..70 => self.own_key(),
            70..72 => Act::ResetClient(self.device()),
            72..75 => Act::Resync(Some(self.device())),
            75 => Act::Resync(None),
            76..81 => {
                let (from, to) = self.two();
                Act::Link(from, to)
            }
            81..83 => {
                let (from, to) = self.two();
                Act::Unlink(from, to)
            }
            83..93 => {
                let (from, to) = self.two();
                Act::SendPubKey(from, to)
            }
            93..96 => {
                let (from, to) = self.two();
                Act::RemovePubKey(from, to)
            }
            96..98 => Act::ResetPubKeys(self.device()),
            // Each one makes the ladder of every old device longer.
            _ if self.c2_keys < 3 => {
                self.c2_keys += 1;
                Act::NewC2Key
            }
            _ => self.own_key(),
        }
    }

    fn own_key(&mut self) -> Act {
        let device = self.device();
        let keys = self.own_keys.entry(device).or_default();
        if self.silent[device] && *keys >= 3 {
            return Act::Resync(Some(device));
        }
        *keys += 1;
        Act::NewClientKey(device)
    }

    fn faults(&mut self) {
        let seconds = self.size.length.as_secs_f64();
        let times = |every: f64| ((seconds / every).round() as usize).max(1);
        // Downtimes of one thing do not overlap: each has a stretch of the storm.
        for server in 0..self.size.servers {
            self.pairs(
                times(15.0),
                4.0,
                |_| Step::KillServer(server),
                |_| Step::StartServer(server),
            );
        }
        self.pairs(times(20.0), 3.0, |_| Step::KillBroker, |_| Step::StartBroker);
        for _ in 0..times(6.0) {
            let at = self.moment(Duration::ZERO);
            self.steps.push((at, Step::KillOperator));
        }
        let busy = self.size.clients as f64;
        for _ in 0..((seconds * busy / 60.0) as usize).max(4) {
            let takes = self.random.seconds(0.1, 5.0);
            let (at, device) = (self.moment(takes), self.device());
            if !self.asleep.contains(&device) {
                self.steps.push((at, Step::KillDevice(device)));
                self.steps.push((at + takes, Step::StartDevice(device)));
            }
        }
        for _ in 0..((seconds * busy / 60.0) as usize).max(4) {
            let at = self.moment(Duration::from_secs(4));
            // The servers' networks break more often than those of single devices.
            let wire = match self.random.below(6) {
                0 => self.random.below(self.size.servers),
                _ => self.size.servers + self.device(),
            };
            if self.random.below(3) == 0 {
                let takes = self.random.seconds(0.5, 4.0);
                self.steps.push((at, Step::Freeze(wire)));
                self.steps.push((at + takes, Step::Thaw(wire)));
            } else {
                self.steps.push((at, Step::Cut(wire)));
            }
        }
        for _ in 0..times(20.0) {
            let at = self.moment(Duration::from_secs(6));
            let jump = if self.random.below(4) == 0 { 4000 } else { 620 + self.random.below(300) };
            self.steps.push((at + Duration::from_secs(1), Step::Jump(jump as i64)));
            for _ in 0..(self.size.clients / 8).max(2) {
                let device = self.device();
                if !self.asleep.contains(&device) {
                    let wake = Duration::from_secs(1) + self.random.seconds(0.1, 4.0);
                    self.steps.push((at, Step::KillDevice(device)));
                    self.steps.push((at + wake, Step::StartDevice(device)));
                }
            }
        }
        // Some fall asleep in the middle of the storm and do not wake before its end.
        for device in self.asleep.clone() {
            let at = self.random.seconds(0.0, seconds / 2.0);
            self.steps.push((at, Step::KillDevice(device)));
        }
        for _ in 0..((seconds * busy / 600.0) as usize).max(2) {
            let (at, device) = (self.moment(Duration::ZERO), self.device());
            if !self.asleep.contains(&device) {
                let key = self.random.key();
                let removed = [None, Some(false), Some(true)][self.random.below(3)];
                self.steps.push((at, Step::Provision { device, key, removed }));
            }
        }
    }

    fn pairs(
        &mut self,
        count: usize,
        longest: f64,
        down: impl Fn(usize) -> Step,
        up: impl Fn(usize) -> Step,
    ) {
        let stretch = self.size.length.as_secs_f64() / count as f64;
        for number in 0..count {
            let takes = self.random.seconds(0.0, longest.min(stretch / 2.0));
            let room = stretch - takes.as_secs_f64();
            let at =
                Duration::from_secs_f64(stretch * number as f64) + self.random.seconds(0.0, room);
            self.steps.push((at, down(number)));
            self.steps.push((at + takes, up(number)));
        }
    }
}
