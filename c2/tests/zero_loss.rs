// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rotations in two stages under talk: a real `e4 serve`, a real Mosquitto, devices that send all
//! the time and devices that only receive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::database::{ann, new_topic};
use common::fleet::{apply, join, settled, until};
use common::{ANY_PORTS, Mosquitto, e4};
use e4::client::storage::FileStorage;
use e4::{Client, ClientId, IdKey, Identity, Mode, Timestamp};
use e4_c2::domain::{Credential, Error, Operation, Receivers, SystemClock};
use e4_c2::service::Service;
use e4_c2::store::{Sqlite, Store, Unlock};
use e4_c2::transport::{Event, Link, Options, Qos};

const TOPIC: &str = "plant/pressure";
const SENDERS: usize = 3;
const RECEIVERS: usize = 6;
const ROTATIONS: usize = 20;
/// Devices that only receive are slow to take a command, as over a poor radio: messages go by.
const SLOW: Duration = Duration::from_millis(60);
/// Between two messages of a sender.
const PAUSE: Duration = Duration::from_millis(4);

#[derive(Default)]
struct Count {
    sent: AtomicU64,
    opened: AtomicU64,
    failed: AtomicU64,
    /// From this second on, if it is not 0, those that fail are counted here as well.
    rest: AtomicU64,
    failed_after: AtomicU64,
    /// Senders rest.
    quiet: AtomicBool,
}

impl Count {
    fn all(&self) -> [u64; 3] {
        [&self.sent, &self.opened, &self.failed].map(|at| at.load(Ordering::SeqCst))
    }
}

/// A device with its state in a file; a sender talks all the time.
struct Device {
    name: String,
    sends: bool,
    port: u16,
    file: PathBuf,
    running: Mutex<Option<Running>>,
}

/// What a device has while it runs. Its threads end with its link.
struct Running {
    link: Arc<Link>,
    client: Shared,
    alive: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

type Shared = Arc<Mutex<Client<FileStorage>>>;

impl Device {
    fn new(service: &Service, place: &Path, port: u16, name: &str, sends: bool) -> Self {
        let file = place.join(name);
        let operation =
            Operation::NewClient { client: name.into(), credential: Credential::Random };
        let key = apply(service, operation).secret.unwrap();
        let id = ClientId::from_name(name).unwrap();
        let identity = Identity::symmetric(id, IdKey::from_slice(&key.0).unwrap());
        Client::provision(FileStorage::open(&file).unwrap(), identity).unwrap();
        Self { name: name.into(), sends, port, file, running: Mutex::default() }
    }

    /// Takes its state from the file and connects.
    fn start(&self, count: &Arc<Count>) {
        let client = Client::open(FileStorage::open(&self.file).unwrap()).unwrap();
        let client = Arc::new(Mutex::new(client));
        let (to_worker, events) = channel();
        let alive = Arc::new(AtomicBool::new(true));
        let living = alive.clone();
        let options =
            Options { persistent: true, ..Options::new("127.0.0.1", self.port, &self.name) };
        // What a dead device was sent is acknowledged by nobody.
        let link = Link::connect(&options, move |event| {
            living.load(Ordering::SeqCst) && to_worker.send(event).is_ok()
        });
        let link = Arc::new(link.unwrap());
        let control = client.lock().unwrap().control_topic().to_string();
        link.subscribe(&control, Qos::ExactlyOnce).unwrap();
        if !self.sends {
            link.subscribe(TOPIC, Qos::ExactlyOnce).unwrap();
        }
        let (own, wire) = (client.clone(), Arc::downgrade(&link));
        let (commands, late) = channel();
        let mut threads = vec![std::thread::spawn(move || take(&own, &wire, &late))];
        let (own, wire) = (client.clone(), Arc::downgrade(&link));
        let (wait, heard) = (if self.sends { Duration::ZERO } else { SLOW }, count.clone());
        threads.push(std::thread::spawn(move || {
            for event in events {
                hear(&own, &wire, event, &heard, |payload| {
                    let _ = commands.send((Instant::now() + wait, payload));
                });
            }
        }));
        if self.sends {
            let (own, wire, said) = (client.clone(), Arc::downgrade(&link), count.clone());
            threads.push(std::thread::spawn(move || talk(&own, &wire, &said)));
        }
        *self.running.lock().unwrap() = Some(Running { link, client, alive, threads });
    }

    /// It is gone without a word; its file stays.
    fn kill(&self) {
        let Some(running) = self.running.lock().unwrap().take() else { return };
        let Running { link, client, alive, threads } = running;
        alive.store(false, Ordering::SeqCst);
        link.disconnect();
        drop((link, client));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Takes commands in their order, each when it is due.
fn take(client: &Shared, wire: &Weak<Link>, late: &Receiver<(Instant, Vec<u8>)>) {
    for (due, payload) in late {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let Some(link) = wire.upgrade() else { return };
        let (now, mut client) = (Timestamp::now(), client.lock().unwrap());
        let control = client.control_topic();
        // What was for an earlier key of its own it cannot open.
        let _ = client.unprotect_to_vec(now, &control, &payload);
        if let Ok(Some(answer)) = client.answer(now) {
            // Who is being killed says nothing.
            let _ = link.publish(&client.answer_topic(), Qos::AtLeastOnce, &answer);
        }
    }
}

fn hear(
    client: &Shared,
    wire: &Weak<Link>,
    event: Event,
    count: &Count,
    command: impl Fn(Vec<u8>),
) {
    let Some(link) = wire.upgrade() else { return };
    let now = Timestamp::now();
    match event {
        Event::Subscribed => {
            let client = client.lock().unwrap();
            let hello = client.hello(now).unwrap();
            let _ = link.publish(&client.answer_topic(), Qos::AtLeastOnce, &hello);
        }
        Event::Message { topic, payload } if topic == TOPIC => {
            let opened = client.lock().unwrap().unprotect_to_vec(now, &topic, &payload);
            if opened.is_ok() {
                count.opened.fetch_add(1, Ordering::SeqCst);
                return;
            }
            count.failed.fetch_add(1, Ordering::SeqCst);
            // What waited in the broker may be older than the rest.
            let (time, rest) = (payload.first_chunk(), count.rest.load(Ordering::SeqCst));
            let time = u64::from_le_bytes(*time.unwrap());
            let after = rest != 0 && time >= rest;
            count.failed_after.fetch_add(u64::from(after), Ordering::SeqCst);
        }
        Event::Message { payload, .. } => command(payload),
        _ => {}
    }
}

fn talk(client: &Shared, wire: &Weak<Link>, count: &Count) {
    let mut number = 0u64;
    loop {
        std::thread::sleep(PAUSE);
        let Some(link) = wire.upgrade() else { return };
        if count.quiet.load(Ordering::SeqCst) {
            continue;
        }
        number += 1;
        let text = format!("{number}");
        let client = client.lock().unwrap();
        // Before its first key it cannot.
        let sealed = client.protect_to_vec(Timestamp::now(), TOPIC, text.as_bytes());
        if let Ok(sealed) = sealed
            && link.publish(TOPIC, Qos::ExactlyOnce, &sealed).is_ok()
        {
            count.sent.fetch_add(1, Ordering::SeqCst);
        }
    }
}

struct Site {
    // Devices go before the broker.
    devices: Vec<Device>,
    count: Arc<Count>,
    service: Service,
    server: Mutex<Option<Child>>,
    broker: Mutex<Mosquitto>,
    place: tempfile::TempDir,
    _flash: tempfile::TempDir,
}

impl Site {
    fn start() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let broker = Mosquitto::persistent(place.path())?;
        // In memory where it can be: a disk may be slower than the slow devices.
        let memory = Path::new("/dev/shm");
        let flash = tempfile::tempdir_in(if memory.is_dir() { memory } else { place.path() });
        let flash = flash.unwrap();
        std::fs::write(place.path().join("key"), [7; 32]).unwrap();
        let unlock = Unlock::KeyFile(vec![7; 32].into());
        let database = Box::new(Sqlite::file(&place.path().join("c2.sqlite")).unwrap());
        let store = Store::open(database, &unlock, Some(Mode::Symmetric), 0).unwrap();
        let service = Service::new(Arc::new(store), Arc::new(SystemClock));
        apply(&service, new_topic(TOPIC));
        let count = Arc::new(Count::default());
        // Until everybody has the first key.
        count.quiet.store(true, Ordering::SeqCst);
        let mut devices = Vec::new();
        // Senders come first in every round: in one stage they would be too early.
        for number in 0..SENDERS + RECEIVERS {
            let sends = number < SENDERS;
            let name = format!("{}-{number}", if sends { "pump" } else { "screen" });
            let device = Device::new(&service, flash.path(), broker.port(), &name, sends);
            device.start(&count);
            devices.push(device);
            join(&service, TOPIC, &name);
        }
        let server = Mutex::new(Some(serve(place.path(), broker.port())));
        let broker = broker.into();
        let site = Self { devices, count, service, server, broker, place, _flash: flash };
        site.rests();
        site.count.quiet.store(false, Ordering::SeqCst);
        Some(site)
    }

    fn rests(&self) {
        until("all have confirmed", || {
            self.devices.iter().all(|device| settled(&self.service, &device.name))
        });
    }

    /// A rotation in two stages, from its beginning to its end.
    fn rotate(&self) {
        let receivers = (SENDERS..SENDERS + RECEIVERS).map(|number| format!("screen-{number}"));
        let operation = Operation::RotateTopic {
            topic: TOPIC.into(),
            receivers: Receivers::Names(receivers.collect()),
            deadline: 60,
        };
        until("a rotation begins", || match self.service.apply(&ann(), &operation) {
            Ok(_) => true,
            Err(Error::Busy(_)) => false,
            Err(error) => panic!("{error}"),
        });
        until("a rotation ends", || {
            self.service.rotation_plan(TOPIC).unwrap().under_way_until.is_none()
        });
    }

    /// Until everything that was sent has arrived.
    fn hush(&self) {
        self.count.quiet.store(true, Ordering::SeqCst);
        let mut last = [0; 3];
        until("it is quiet", || {
            std::thread::sleep(Duration::from_millis(300));
            let now = self.count.all();
            std::mem::replace(&mut last, now) == now
        });
    }

    fn kill_server(&self) {
        let mut server = self.server.lock().unwrap();
        if let Some(mut child) = server.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        *server = Some(serve(self.place.path(), self.broker.lock().unwrap().port()));
    }

    fn kill_broker(&self) {
        let mut broker = self.broker.lock().unwrap();
        broker.kill();
        std::thread::sleep(Duration::from_millis(200));
        broker.spawn();
    }

    fn kill_device(&self, number: usize) {
        let device = &self.devices[number % self.devices.len()];
        device.kill();
        std::thread::sleep(Duration::from_millis(200));
        device.start(&self.count);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut child) = self.server.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn serve(place: &Path, port: u16) -> Child {
    let (data, key) = (place.join("server"), place.join("key"));
    let database = place.join("c2.sqlite").display().to_string();
    let broker = format!("127.0.0.1:{port}");
    let log = std::fs::File::create(place.join("server.log")).unwrap();
    e4().args(["serve", "--data", &data.display().to_string()])
        .args(ANY_PORTS)
        .args(["--database", &database, "--key-file", &key.display().to_string()])
        .args(["--broker", &broker, "--keep-alive", "3"])
        .args(["--retry-first", "1", "--retry-longest", "4", "--lease", "4"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

#[test]
fn nothing_is_lost_where_receivers_come_first() {
    let Some(site) = Site::start() else { return };
    for _ in 0..ROTATIONS {
        site.rotate();
    }
    site.hush();
    let [sent, opened, failed] = site.count.all();
    println!("{ROTATIONS} rotations in two stages: {sent} sent, {opened} opened, {failed} failed");
    assert_eq!(failed, 0);
    // Every receiver opened every message.
    assert_eq!(opened, sent * RECEIVERS as u64);
    assert!(sent > 500, "{sent}");
    assert_eq!(site.service.topic_state(TOPIC).unwrap().epoch, 1 + ROTATIONS as i64);

    // The same in one stage loses some: it is not that nothing could be lost here.
    site.count.quiet.store(false, Ordering::SeqCst);
    let mut plain = 0;
    until("a rotation in one stage loses a message", || {
        apply(&site.service, new_topic(TOPIC));
        plain += 1;
        std::thread::sleep(Duration::from_millis(50));
        site.rests();
        site.count.all()[2] > 0
    });
    let failed = site.count.all()[2];
    println!("{plain} rotations in one stage: {failed} failed");
}

#[test]
fn none_fails_after_rest_whatever_is_killed() {
    let Some(site) = Site::start() else { return };
    let over = AtomicBool::new(false);
    let kills = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut kills = 0;
            while !over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(400 + 300 * (kills as u64 % 5)));
                match kills % 4 {
                    0 => site.kill_server(),
                    2 => site.kill_broker(),
                    _ => site.kill_device(kills),
                }
                kills += 1;
            }
            kills
        });
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            site.rotate();
        }
        over.store(true, Ordering::SeqCst);
        killer.join().unwrap()
    });
    site.rests();
    site.hush();
    let [sent, opened, failed] = site.count.all();
    println!("{kills} kills: {sent} sent, {opened} opened, {failed} failed on the way");
    let rest = Timestamp::now().as_secs() + 1;
    until("the next second", || Timestamp::now().as_secs() >= rest);
    site.count.rest.store(rest, Ordering::SeqCst);
    site.count.quiet.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        site.rotate();
    }
    site.rests();
    site.hush();
    let after = site.count.all();
    let failed = site.count.failed_after.load(Ordering::SeqCst);
    println!("after rest, with 3 rotations: {} sent, {failed} failed", after[0] - sent);
    assert_eq!(failed, 0);
    assert!(after[0] > sent && after[1] > opened);
}
