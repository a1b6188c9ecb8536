// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A storm over servers, broker, network, operator and devices; then rest, and what must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use e4::wire::answer::StateDigest;
use e4::{C2PublicKey, Mode, Unprotected};
use e4_c2::domain::{Caller, ClientState, Clock, Kind, Millis, Operation, Page, State};
use e4_c2::service::Service;
use e4_c2::store::Verified;
use e4_c2::transport::Qos;

use crate::clock::StormClock;
use crate::common::Mosquitto;
use crate::device::{Device, Talked, Tally, talk};
use crate::operator::{Operator, Place};
use crate::plan::{self, Plan, Size, Step};
use crate::proxy::Network;
use crate::server::Server;

#[path = "loss.rs"]
mod loss;

/// How long the fleet may take until it is at rest.
fn patience(size: &Size) -> Duration {
    Duration::from_secs(90) + Duration::from_millis(500) * u32::try_from(size.clients).unwrap()
}

struct Storm {
    size: Size,
    plan: Plan,
    clock: Arc<StormClock>,
    tally: Arc<Tally>,
    service: Service,
    broker: Mosquitto,
    servers: Vec<Server>,
    devices: Vec<Device>,
    kills: BTreeMap<&'static str, u64>,
    /// What must not have happened.
    wrong: Vec<String>,
    talks: u64,
}

/// Where a storm happens.
pub struct Site<'a> {
    /// An address of PostgreSQL, or nothing for a file.
    pub database: Option<String>,
    /// Another one, for what is restored.
    pub spare: Option<String>,
    /// For everything that a server keeps.
    pub directory: &'a Path,
    /// For the devices' files: where one disk for all of them is no bottleneck.
    pub flash: &'a Path,
}

/// Figures, or what went wrong.
pub fn run(seed: u64, size: &Size, site: &Site) -> Result<String, String> {
    let plan = plan::plan(seed, size);
    let clock = Arc::new(StormClock::new(site.directory));
    let key = site.directory.join("key");
    std::fs::write(&key, plan::Random::new(seed).key()).unwrap();
    let file = site.directory.join("c2.sqlite").display().to_string();
    let place = Place { database: site.database.clone().unwrap_or(file), key };
    let service = place.open(Some(size.mode), clock.clone());
    let sessions = site.directory.join("broker");
    std::fs::create_dir(&sessions).unwrap();
    let broker = Mosquitto::persistent(&sessions).ok_or("no broker")?;
    let network = Network::new(([127, 0, 0, 1], broker.port()).into());
    let servers = (0..size.servers)
        .map(|at| Server::new(at, site.directory, &place, clock.file(), plan.qos, network.wire()));
    let devices = (0..size.clients)
        .map(|at| Device::new(at, plan.silent[at], plan.clean[at], site.flash, network.wire()));
    let mut storm = Storm {
        size: size.clone(),
        servers: servers.collect(),
        devices: devices.collect(),
        plan,
        clock,
        tally: Arc::default(),
        service,
        broker,
        kills: BTreeMap::new(),
        wrong: Vec::new(),
        talks: 0,
    };
    let operator = Operator::start(&place, storm.clock.file(), &storm.tally);
    let begun = Instant::now();
    storm.begin(&operator);
    storm.rage(&operator, site);
    let over = Instant::now();
    let operated = storm.calm(operator);
    storm.wrong.extend(operated);
    storm.settle(&storm.awake());
    let rest = over.elapsed();
    storm.check_awake();
    storm.wake_sleepers();
    storm.lose_everything(site);
    let figures = storm.figures(begun, rest);
    for device in &mut storm.devices {
        device.kill();
    }
    if storm.wrong.is_empty() { Ok(figures) } else { Err(storm.report(&figures)) }
}

impl Storm {
    fn apply(&self, operation: &Operation) {
        self.service.apply(&Caller::new("harness", "storm"), operation).unwrap();
        self.tally.add("operations", 1);
    }

    fn c2_key(&self) -> Option<C2PublicKey> {
        (self.size.mode == Mode::PublicKey).then(|| self.service.c2_public_key().unwrap())
    }

    fn begin(&mut self, operator: &Operator) {
        let c2 = self.c2_key();
        for at in 0..self.devices.len() {
            self.apply(&plan::new_client(at, self.size.mode, &self.plan.keys[at]));
            self.devices[at].provision(&self.plan.keys[at], c2);
        }
        for acts in self.plan.before.chunks(50) {
            operator.operate(acts.to_vec());
        }
        self.servers.iter_mut().for_each(Server::start);
        for at in 0..self.devices.len() {
            self.start(at);
        }
    }

    fn start(&mut self, device: usize) {
        self.devices[device].start(&self.clock, self.size.topics, &self.tally);
    }

    fn count(&mut self, what: &'static str) {
        *self.kills.entry(what).or_default() += 1;
    }

    fn rage(&mut self, operator: &Operator, site: &Site) {
        let begun = Instant::now();
        let mut backup = Some(self.size.length / 2);
        for (at, step) in std::mem::take(&mut self.plan.steps) {
            if backup.take_if(|half| *half <= at).is_some() {
                self.back_up(site);
            }
            std::thread::sleep(at.saturating_sub(begun.elapsed()));
            self.step(step, operator);
        }
    }

    fn step(&mut self, step: Step, operator: &Operator) {
        match step {
            Step::Operate(acts) => operator.operate(acts),
            Step::Provision { device, key, removed } => {
                self.devices[device].kill();
                if let Some(rotate) = removed {
                    let client = plan::client(device);
                    self.apply(&Operation::RemoveClient { client, rotate });
                }
                self.apply(&plan::new_client(device, self.size.mode, &key));
                let c2 = self.c2_key();
                self.devices[device].provision(&key, c2);
                self.start(device);
                self.count("devices provisioned anew");
            }
            Step::KillServer(at) => {
                self.count("servers killed");
                if !self.servers[at].kill() {
                    self.wrong.push(format!("server {at} ended by itself; see its log"));
                }
            }
            Step::StartServer(at) => self.servers[at].start(),
            Step::KillBroker => {
                self.count("broker killed");
                self.broker.kill();
            }
            Step::StartBroker => assert!(self.broker.spawn()),
            Step::KillOperator => {
                self.count("operator killed");
                operator.kill();
            }
            Step::KillDevice(at) => {
                self.count("devices killed");
                self.devices[at].kill();
            }
            Step::StartDevice(at) => self.start(at),
            Step::Cut(wire) => {
                self.count("connections cut");
                self.wire(wire).cut();
            }
            Step::Freeze(wire) => {
                self.count("connections frozen");
                self.wire(wire).freeze(true);
            }
            Step::Thaw(wire) => self.wire(wire).freeze(false),
            Step::Jump(seconds) => {
                self.count("jumps of the clock");
                self.clock.jump(seconds);
            }
            Step::Talk { topic, pick } => self.talk(topic, pick),
        }
    }

    fn wire(&self, at: usize) -> &crate::proxy::Wire {
        match self.servers.get(at) {
            Some(server) => &server.wire,
            None => &self.devices[at - self.servers.len()].wire,
        }
    }

    /// Whoever holds the same key of a topic understands each other, in the middle of everything.
    fn talk(&mut self, topic: usize, pick: u64) {
        let name = plan::topic(topic);
        let holds = |at: &usize| {
            let running = self.devices[*at].running.as_ref();
            running.is_some_and(|device| device.client.lock().unwrap().has_topic(&name).unwrap())
        };
        let holders: Vec<usize> = (0..self.devices.len()).filter(holds).collect();
        if holders.len() < 2 {
            return;
        }
        let mut pick = plan::Random::new(pick);
        let one = pick.below(holders.len());
        let other = (one + 1 + pick.below(holders.len() - 1)) % holders.len();
        let (from, to) = (holders[one], holders[other]);
        let (Some(one), Some(other)) = (&self.devices[from].running, &self.devices[to].running)
        else {
            return;
        };
        self.talks += 1;
        let text = format!("{} to {}, {}", from, to, self.talks);
        let said = one.client.lock().unwrap().protect_to_vec(
            self.clock.timestamp(),
            &name,
            text.as_bytes(),
        );
        if let Ok(said) = said {
            one.link.publish(&name, Qos::AtLeastOnce, &said).unwrap();
            self.tally.add("messages sent", 1);
        }
        match talk(&one.client, &other.client, &self.clock, &name, text.as_bytes()) {
            Talked::NotTogether => self.tally.add("talks without a common key", 1),
            Talked::Understood => self.tally.add("talks understood", 1),
            Talked::SignatureOfAnother => self.tally.add("talks with a public key of before", 1),
            Talked::Failed(error) => self.wrong.push(format!(
                "{name}: {} and {} hold the same key, and yet: {error}",
                plan::client(from),
                plan::client(to)
            )),
        }
    }

    /// Everything runs again but for those who sleep, and the operator tidies up.
    fn calm(&mut self, operator: Operator) -> Vec<String> {
        assert!(self.broker.spawn());
        self.servers.iter_mut().for_each(Server::start);
        for at in 0..self.servers.len() + self.devices.len() {
            self.wire(at).freeze(false);
        }
        let wrong = operator.finish();
        for at in 0..self.devices.len() {
            if self.plan.asleep.contains(&at) {
                self.devices[at].kill();
            } else {
                self.start(at);
            }
        }
        // An old one can be sent something only while it is there to receive it.
        std::thread::sleep(Duration::from_secs(3));
        self.resync();
        wrong
    }

    /// What an operator does after a storm: old devices are sent everything again, and so are those
    /// with a trouble. One that was provisioned anew has it when a word of the time before comes
    /// late; where it is true, it is said again.
    fn resync(&mut self) {
        let old = (0..self.devices.len()).filter(|at| self.plan.silent[*at]).map(plan::client);
        let mut names: BTreeSet<String> = old.collect();
        let troubled = self.service.troubled_clients(&Page::first(Page::MAX)).unwrap();
        self.tally.add("troubles after the storm", troubled.len() as u64);
        names.extend(troubled);
        for name in names {
            self.apply(&Operation::Resync { client: Some(name) });
        }
    }

    fn awake(&self) -> BTreeSet<usize> {
        (0..self.devices.len()).filter(|at| self.devices[*at].running.is_some()).collect()
    }

    fn wanted(&self, device: usize) -> StateDigest {
        let name = plan::client(device);
        let digest = self.service.store().read(|tx| {
            let client = tx.client(&name)?;
            tx.wanted_digest(client.row)
        });
        digest.unwrap()
    }

    fn state(&self, device: usize) -> ClientState {
        self.service.client_state(&plan::client(device)).unwrap()
    }

    /// Why a device is not at rest.
    fn unrest(&self, device: usize) -> Option<String> {
        if self.devices[device].digest() != Some(self.wanted(device)) {
            return Some("it holds something else than C2 wants".into());
        }
        if self.plan.silent[device] {
            return None;
        }
        let state = self.state(device);
        if let Some(trouble) = state.trouble {
            return Some(format!("C2 says: {trouble}"));
        }
        let open = state.deliveries.iter().find(|delivery| delivery.state != State::Confirmed);
        open.map(|open| format!("C2 does not know that it holds {} {}", open.what, open.name))
    }

    /// Waits until all of them are at rest and stay so.
    fn settle(&self, devices: &BTreeSet<usize>) {
        let begun = Instant::now();
        let mut left = devices.clone();
        while begun.elapsed() < patience(&self.size) {
            left.retain(|device| self.unrest(*device).is_some());
            if left.is_empty() {
                // Nothing that is still under way may change that.
                std::thread::sleep(Duration::from_secs(2));
                left = devices.clone();
                left.retain(|device| self.unrest(*device).is_some());
                if left.is_empty() {
                    return;
                }
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn check_awake(&mut self) {
        for device in self.awake() {
            if let Some(why) = self.unrest(device) {
                let told = self.tell(device);
                self.wrong.push(format!("{}: {why}\n{told}", plan::client(device)));
            }
        }
        self.check_topics();
        match self.service.store().verify_audit() {
            Ok(Verified::Intact(head)) => self.tally.add("audit records", head.seq as u64),
            other => self.wrong.push(format!("audit: {other:?}")),
        }
    }

    /// One member of each topic speaks through the broker, and all that are awake understand.
    fn check_topics(&mut self) {
        for topic in 0..self.size.topics {
            let name = plan::topic(topic);
            let Ok(members) = self.service.clients_of_topic(&name, &Page::first(Page::MAX)) else {
                continue;
            };
            let number = |name: &String| name.rsplit('-').next().unwrap().parse::<usize>().unwrap();
            let members: Vec<usize> = members.iter().map(number).collect();
            let awake = |at: &&usize| self.devices[**at].running.is_some();
            let members: Vec<usize> = members.iter().filter(awake).copied().collect();
            let Some((speaker, listeners)) = members.split_first() else { continue };
            let text = format!("the last word on {name}").into_bytes();
            let Some(one) = &self.devices[*speaker].running else { continue };
            let now = self.clock.timestamp();
            let said = match one.client.lock().unwrap().protect_to_vec(now, &name, &text) {
                Ok(said) => said,
                Err(error) => {
                    self.wrong
                        .push(format!("{name}: {} is silent: {error}", plan::client(*speaker)));
                    continue;
                }
            };
            let wanting = |at: &&usize| self.understands(**at, *speaker);
            let listeners: BTreeSet<usize> = listeners.iter().filter(wanting).copied().collect();
            let end = Instant::now() + Duration::from_secs(20);
            let mut left = listeners.clone();
            while !left.is_empty() && Instant::now() < end {
                one.link.publish(&name, Qos::AtLeastOnce, &said).unwrap();
                std::thread::sleep(Duration::from_millis(300));
                left.retain(|at| {
                    let running = self.devices[*at].running.as_ref().unwrap();
                    !running.heard.lock().unwrap().contains(&text)
                });
            }
            self.tally.add("last words understood", (listeners.len() - left.len()) as u64);
            for at in left {
                let running = self.devices[at].running.as_ref().unwrap();
                let direct = running.client.lock().unwrap().unprotect_to_vec(now, &name, &said);
                let direct = match direct {
                    Ok(Unprotected::Message(_)) => "understood when handed over".to_string(),
                    Ok(_) => "taken for a command".to_string(),
                    Err(error) => error.to_string(),
                };
                let (from, to) = (plan::client(*speaker), plan::client(at));
                self.wrong.push(format!("{name}: {to} does not understand {from}: {direct}"));
            }
        }
    }

    /// In PK mode a device may have been told an older public key of another, and not linked.
    fn understands(&self, listener: usize, speaker: usize) -> bool {
        let (listener, speaker) = (plan::client(listener), plan::client(speaker));
        let fits = self.service.store().read(|tx| {
            let (listener, speaker) = (tx.client(&listener)?, tx.client(&speaker)?);
            let mut holdings = tx.holdings(listener.row)?.into_iter();
            Ok(holdings.all(|holding| {
                holding.kind != Kind::Peer
                    || holding.subject != speaker.row
                    || holding.target == 0
                    || holding.target == speaker.key_epoch
            }))
        });
        fits.unwrap()
    }

    /// Who slept through the end of the storm comes to hold everything as well.
    fn wake_sleepers(&mut self) {
        self.clock.jump(1000);
        let sleepers = self.plan.asleep.clone();
        for at in &sleepers {
            self.start(*at);
        }
        self.settle(&sleepers);
        for device in sleepers {
            if let Some(why) = self.unrest(device) {
                let told = self.tell(device);
                let name = plan::client(device);
                self.wrong.push(format!("{name}, which slept: {why}\n{told}"));
            }
        }
    }

    fn tell(&self, device: usize) -> String {
        let mut text = String::new();
        let name = plan::client(device);
        let rows = self.service.store().read(|tx| {
            let client = tx.client(&name)?;
            let holdings = tx.holdings(client.row)?;
            Ok((client, holdings))
        });
        let (client, holdings) = rows.unwrap();
        let now: Millis = self.clock.now();
        let silent = self.plan.silent[device];
        let _ = writeln!(text, "    silent: {silent}, now {now}\n    {client:?}");
        for holding in &holdings {
            let _ = writeln!(
                text,
                "    {:?} {} target {} sent {} handed {} confirmed {} failed {} tries {} stamp {}",
                holding.kind,
                holding.name,
                holding.target,
                holding.sent,
                holding.handed,
                holding.confirmed,
                holding.failed,
                holding.tries,
                holding.stamp
            );
        }
        if let Some(running) = &self.devices[device].running {
            let client = running.client.lock().unwrap();
            let held: Vec<_> = (0..self.size.topics)
                .map(plan::topic)
                .filter(|topic| client.has_topic(topic).unwrap())
                .collect();
            let peers = client.peer_count();
            let _ = writeln!(text, "    it holds {held:?} and {peers} public keys");
        }
        text
    }

    fn figures(&mut self, begun: Instant, rest: Duration) -> String {
        let (mut sent, mut again) = (0, 0);
        let mut errors = BTreeMap::new();
        for server in &mut self.servers {
            if !server.kill() {
                self.wrong.push("a server ended by itself; see its log".into());
            }
            let (by, repeated, wrong) = server.figures();
            (sent, again) = (sent + by, again + repeated);
            for error in wrong {
                *errors.entry(error).or_insert(0u64) += 1;
            }
        }
        let mut text = String::new();
        let silent = self.plan.silent.iter().filter(|silent| **silent).count();
        let _ = writeln!(
            text,
            "  {} devices, {silent} of them old, {} asleep at the end; {} topics, {} servers, QoS {}",
            self.devices.len(),
            self.plan.asleep.len(),
            self.size.topics,
            self.size.servers,
            self.plan.qos
        );
        for (what, number) in &self.kills {
            let _ = writeln!(text, "  {what}: {number}");
        }
        let _ = writeln!(text, "  commands sent: {sent}, of which again: {again}");
        for (what, number) in self.tally.all() {
            let _ = writeln!(text, "  {what}: {number}");
        }
        for (error, number) in errors {
            let _ = writeln!(text, "  servers' log, {number} times: {error}");
        }
        let _ = writeln!(
            text,
            "  time to rest: {:.1} s (2 s of it to see that it lasts); all together {:.0} s",
            rest.as_secs_f64(),
            begun.elapsed().as_secs_f64()
        );
        text
    }

    fn report(&self, figures: &str) -> String {
        let mut text = figures.to_string();
        for wrong in &self.wrong {
            let _ = writeln!(text, "  WRONG: {wrong}");
        }
        text
    }
}
