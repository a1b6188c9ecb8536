// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What does each client still need? Protect it now, publish, wait, try again.
//!
//! Everything that matters is in the database: a process that ends at any point loses nothing but
//! time, and several of them may work on one database.

mod answer;
mod patience;
mod round;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use e4::{ClientId, ClientTopic, Mode};
use tokio::sync::broadcast;
use tracing::{debug, error, info, trace_span, warn};

use crate::domain::{Clock, Millis, Result};
use crate::store::{Handed, Store};
use crate::timing::{Recent, Timing};
use answer::{Heard, Measured, hear};
pub use patience::Patience;
use round::{Batch, Letter, Round, round};

/// Clients in one transaction.
const CLIENTS: i64 = 200;
/// Events in one transaction.
const EVENTS: usize = 1000;
/// Clients that are told of a change in one transaction.
const FANOUT: i64 = 5000;
/// How often what nobody needs any more is forgotten.
const CLEANING: Duration = Duration::from_secs(60);
/// How long to wait after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// What takes commands to clients.
pub trait Publisher: Send {
    /// Publishes, not retained, and returns a number by which the end of it is told as
    /// [`Event::Published`] or [`Event::Dropped`].
    ///
    /// # Errors
    /// The topic is not one to publish on.
    fn publish(&self, topic: &str, payload: &[u8]) -> std::result::Result<u64, String>;
}

/// What the reconciler hears.
#[derive(Debug)]
pub enum Event {
    /// Commands can be published.
    Connected,
    /// They cannot.
    Lost(String),
    /// The broker took a command.
    Published(u64),
    /// Nobody knows whether the broker took a command.
    Dropped(u64),
    /// Whether answers of clients can be heard.
    Listening(bool),
    /// Somebody published this on a topic for answers.
    Answer {
        /// The topic.
        topic: String,
        /// The bytes.
        payload: Vec<u8>,
    },
    /// Something was changed.
    Wake,
    /// It is time to end.
    Stop,
}

/// What an engine hears of clients and the broker, for whoever wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A client said how it stands, and that is as it should be.
    Confirmed(String),
    /// A client said how it stands, and something is missing.
    Behind(String),
    /// Something was published in the name of a client that none of its keys opens.
    Foreign(String),
    /// Commands can be published.
    BrokerConnected,
    /// They cannot.
    BrokerLost,
}

/// Notices that a slow listener may be behind.
const NOTICES: usize = 4096;

/// Numbers since the start, for people and tests.
#[derive(Debug, Default)]
pub struct Figures {
    /// Commands handed to the transport.
    pub sent: AtomicU64,
    /// Commands that the broker took.
    pub handed: AtomicU64,
    /// Answers that clients gave.
    pub answers: AtomicU64,
    /// Whether commands can be published now.
    pub connected: AtomicBool,
    /// Whether answers can be heard now.
    pub listening: AtomicBool,
    /// Commands of which nobody knows whether the broker took them.
    pub lost: AtomicU64,
    /// Answers by which a client refused a command.
    pub refused: AtomicU64,
    /// What was published in the name of clients and opens under none of their keys.
    pub foreign: AtomicU64,
    /// Attempts that ended because the database failed.
    pub failures: AtomicU64,
    /// From handing a command to the transport until the broker took it.
    pub publish: Timing,
    /// From a new key until a client that held the one before confirmed it.
    pub lag: Timing,
    /// The newest of these.
    pub recent_lags: Recent,
}

/// A running reconciler; it stops when dropped.
pub struct Engine {
    events: Sender<Event>,
    thread: Option<JoinHandle<()>>,
    figures: Arc<Figures>,
    notices: broadcast::Sender<Notice>,
}

impl Engine {
    /// Starts. `connect` gets the sender for events and returns what publishes.
    ///
    /// # Errors
    /// What `connect` returns; the system has no threads left.
    pub fn start<P: Publisher + 'static>(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        patience: Patience,
        connect: impl FnOnce(&Sender<Event>) -> std::result::Result<P, String>,
    ) -> std::result::Result<Self, String> {
        let (sender, events) = channel();
        let publisher = connect(&sender)?;
        let figures = Arc::new(Figures::default());
        let (notices, _) = broadcast::channel(NOTICES);
        let mut work = Work {
            store,
            clock,
            patience,
            publisher,
            figures: figures.clone(),
            notices: notices.clone(),
            connected: false,
            warned: false,
            letters: HashMap::new(),
            rounds: HashMap::new(),
            news: News::default(),
            last_round: 0,
            reported: 0,
        };
        let thread = std::thread::Builder::new()
            .name("reconcile".into())
            .spawn(move || work.run(&events))
            .map_err(|error| error.to_string())?;
        Ok(Self { events: sender, thread: Some(thread), figures, notices })
    }

    /// Has it look at once; it finds changes by itself a moment later.
    pub fn wake(&self) {
        // It fails only when the thread has ended.
        let _ = self.events.send(Event::Wake);
    }

    /// Where to send events.
    pub fn events(&self) -> Sender<Event> {
        self.events.clone()
    }

    /// What it hears from now on.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Numbers since the start.
    pub fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It fails only when the thread has ended.
        let _ = self.events.send(Event::Stop);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has printed why.
            let _ = thread.join();
        }
    }
}

/// A command that the broker has not taken yet.
struct Flying {
    begun: Instant,
    round: u64,
    client: i64,
    about: Handed,
}

/// The commands of one client of which the broker has not taken all.
struct Open {
    client: i64,
    lease: Millis,
    wait: Millis,
    left: usize,
    lost: bool,
}

/// What was heard and is not stored yet.
#[derive(Default)]
struct News {
    /// Commands that the broker took, by row of the client.
    done: Vec<(i64, Handed)>,
    /// Answers.
    heard: Vec<(ClientId, Vec<u8>)>,
    /// Rounds of which no command is on its way any more.
    ended: Vec<Open>,
}

struct Work<P> {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    patience: Patience,
    publisher: P,
    figures: Arc<Figures>,
    notices: broadcast::Sender<Notice>,
    connected: bool,
    /// Whether it was said that there is no connection.
    warned: bool,
    letters: HashMap<u64, Flying>,
    rounds: HashMap<u64, Open>,
    news: News,
    last_round: u64,
    /// Commands sent when that was last said.
    reported: u64,
}

impl<P: Publisher> Work<P> {
    fn run(&mut self, events: &Receiver<Event>) {
        let mut cleaned: Option<Instant> = None;
        let mut batch = Vec::new();
        let mut wait = Duration::ZERO;
        loop {
            if let Ok(event) = events.recv_timeout(wait) {
                batch.push(event);
                batch.extend(events.try_iter().take(EVENTS));
            }
            if batch.iter().any(|event| matches!(event, Event::Stop)) {
                return;
            }
            let worked = self.take(&mut batch).and_then(|()| {
                if cleaned.is_none_or(|at| at.elapsed() > CLEANING) {
                    self.clean()?;
                    cleaned = Some(Instant::now());
                }
                self.work()
            });
            wait = match worked {
                Ok(true) => Duration::ZERO,
                Ok(false) => {
                    self.report();
                    self.pause()
                }
                Err(failure) => {
                    self.figures.failures.fetch_add(1, Ordering::Relaxed);
                    error!("{failure}");
                    DATABASE_PAUSE
                }
            };
        }
    }

    /// Says what was done, once everything that was begun has ended.
    fn report(&mut self) {
        let figures = &self.figures;
        let sent = figures.sent.load(Ordering::Relaxed);
        if sent == self.reported || !self.letters.is_empty() {
            return;
        }
        self.reported = sent;
        let handed = figures.handed.load(Ordering::Relaxed);
        let answers = figures.answers.load(Ordering::Relaxed);
        info!(sent, handed, answers, "since the start");
    }

    /// Until the next client is due, but not longer than changes by others may go unnoticed.
    fn pause(&self) -> Duration {
        let next = self.store.read(|tx| tx.next_due()).ok().flatten();
        let rest = next.map(|at| at.saturating_sub(self.clock.now()).max(0));
        // A client that is due and yet was not taken belongs to another process.
        let rest = rest.and_then(|rest| u64::try_from(rest.max(10)).ok());
        rest.map_or(self.patience.poll, |rest| Duration::from_millis(rest).min(self.patience.poll))
    }

    /// Forgets what nobody needs any more.
    fn clean(&self) -> Result<()> {
        let now = self.clock.now();
        self.store.write(|tx| {
            tx.purge()?;
            tx.purge_batches(now)?;
            if tx.mode() == Mode::PublicKey && tx.c2_keys()?.len() > 1 {
                tx.forget_c2_keys()?;
            }
            Ok(())
        })
    }

    /// Takes events in. What follows from them for the database is one transaction: a process that
    /// ends between a command that was taken and the time of its repetition would leave the client
    /// to its lease. When the database fails it stays, and is tried again.
    fn take(&mut self, batch: &mut Vec<Event>) -> Result<()> {
        for event in batch.drain(..) {
            match event {
                Event::Connected => {
                    info!("connected to the broker");
                    self.set_connected(true);
                }
                Event::Lost(why) => {
                    // It is tried each second; the first time is news.
                    if self.connected || !self.warned {
                        warn!("no connection to the broker, trying again: {why}");
                        self.warned = true;
                    } else {
                        debug!("no connection to the broker: {why}");
                    }
                    self.set_connected(false);
                }
                Event::Published(token) => self.close(token, false),
                Event::Dropped(token) => self.close(token, true),
                Event::Listening(now) => self.figures.listening.store(now, Ordering::Relaxed),
                Event::Answer { topic, payload } => {
                    let id = ClientTopic::client_of_answer(&topic);
                    self.news.heard.extend(id.map(|id| (id, payload)));
                }
                Event::Wake | Event::Stop => {}
            }
        }
        let News { done, heard, ended } = &mut self.news;
        // Several servers hear the same answers: they lock clients in the same order, which keeps
        // that of each client's own.
        done.sort_by_key(|(client, _)| *client);
        heard.sort_by_key(|(id, _)| *id.as_bytes());
        ended.sort_by_key(|round| round.client);
        if done.is_empty() && heard.is_empty() && ended.is_empty() {
            return Ok(());
        }
        let _span = trace_span!("reconcile.heard", answers = heard.len()).entered();
        let now = self.clock.now();
        let (notices, measured) = self.store.write(|tx| {
            let mut notices = Vec::new();
            let mut measured = Measured::default();
            for (client, about) in &*done {
                tx.handed(*client, about, now)?;
            }
            for (id, payload) in &*heard {
                let heard = hear(tx, *id, payload, now, &mut measured)?;
                debug!(client = %id, ?heard, "answer");
                notices.extend(match heard {
                    Heard::Ignored => None,
                    Heard::Foreign(name) => {
                        warn!(client = name, "an answer opens under none of the client's keys");
                        Some(Notice::Foreign(name))
                    }
                    Heard::Behind(name) => Some(Notice::Behind(name)),
                    Heard::Confirmed(name) => Some(Notice::Confirmed(name)),
                });
            }
            for round in &*ended {
                // Nobody knows what arrived of a round that was cut off: at once again.
                let wait = if round.lost { 0 } else { round.wait };
                tx.move_due(round.client, round.lease, Some(now + wait))?;
            }
            Ok((notices, measured))
        })?;
        for lag in measured.lags {
            let lag = Duration::from_millis(u64::try_from(lag).unwrap_or_default());
            self.figures.lag.observe(lag);
            self.figures.recent_lags.observe(lag);
        }
        self.figures.refused.fetch_add(measured.refused, Ordering::Relaxed);
        for notice in notices {
            if let Notice::Foreign(_) = notice {
                self.figures.foreign.fetch_add(1, Ordering::Relaxed);
            }
            // Nobody has to listen.
            let _ = self.notices.send(notice);
        }
        self.figures.handed.fetch_add(done.len() as u64, Ordering::Relaxed);
        self.figures.answers.fetch_add(heard.len() as u64, Ordering::Relaxed);
        self.news = News::default();
        Ok(())
    }

    fn set_connected(&mut self, connected: bool) {
        if connected != self.connected {
            let notice = if connected { Notice::BrokerConnected } else { Notice::BrokerLost };
            // Nobody has to listen.
            let _ = self.notices.send(notice);
        }
        self.connected = connected;
        self.figures.connected.store(connected, Ordering::Relaxed);
    }

    /// One command less is on its way; its round ends if it was the last.
    fn close(&mut self, token: u64, lost: bool) {
        let Some(flying) = self.letters.remove(&token) else { return };
        if lost {
            self.figures.lost.fetch_add(1, Ordering::Relaxed);
        } else {
            self.figures.publish.observe(flying.begun.elapsed());
            self.news.done.push((flying.client, flying.about));
        }
        let Some(open) = self.rounds.get_mut(&flying.round) else { return };
        open.left = open.left.saturating_sub(1);
        open.lost |= lost;
        if open.left == 0 {
            self.news.ended.extend(self.rounds.remove(&flying.round));
        }
    }

    /// Does the next piece of work; false if there is none.
    fn work(&mut self) -> Result<bool> {
        let _span = trace_span!("reconcile.work").entered();
        let now = self.clock.now();
        let fanned = self.store.write(|tx| tx.fan_out_page(FANOUT, now))?;
        let room = self.patience.backlog.saturating_sub(self.letters.len());
        if !self.connected || room == 0 {
            return Ok(fanned);
        }
        let limit = CLIENTS.min(i64::try_from(room).unwrap_or(CLIENTS));
        let patience = &self.patience;
        let (found, rounds) = self.store.write(|tx| {
            let clients = tx.due_clients(now, limit)?;
            let found = !clients.is_empty();
            if !found {
                return Ok((false, Vec::new()));
            }
            let mut batch = Batch::load(tx)?;
            let mut rounds = Vec::with_capacity(clients.len());
            for client in clients {
                rounds.extend(round(tx, &mut batch, client, patience, now)?);
            }
            Ok((found, rounds))
        })?;
        for round in rounds {
            self.publish(round);
        }
        Ok(fanned || found)
    }

    fn publish(&mut self, round: Round) {
        self.last_round += 1;
        let number = self.last_round;
        let mut left = 0;
        for Letter { id, payload, about } in round.letters {
            match self.publisher.publish(&ClientTopic::control(id), &payload) {
                Ok(token) => {
                    let flying = Flying {
                        begun: Instant::now(),
                        round: number,
                        client: round.client,
                        about,
                    };
                    self.letters.insert(token, flying);
                    left += 1;
                }
                // The lease sees to it that the client is looked at again.
                Err(why) => error!(client = %id, "not published: {why}"),
            }
        }
        self.figures.sent.fetch_add(left as u64, Ordering::Relaxed);
        debug!(client = round.client, commands = left, again = round.again, "sent");
        if left > 0 {
            let (client, lease, wait) = (round.client, round.lease, round.wait);
            self.rounds.insert(number, Open { client, lease, wait, left, lost: false });
        }
    }
}
