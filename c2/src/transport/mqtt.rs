// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An MQTT client that connects again by itself and says of each publish what became of it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rumqttc::{
    Client, Connection, ConnectionError, MqttOptions, MqttState, Outgoing, Packet, Publish,
    StateError, TlsConfiguration, Transport,
};

pub use rumqttc::QoS as Qos;

/// Publishes under way at once, unless the operator knows the broker: Mosquitto at its defaults
/// loses QoS 2 messages of a wider window without a word.
pub const WINDOW: u16 = 20;
/// How long to wait before connecting again.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest packet that is taken: a topic, a message of 1 MiB and what protection adds.
const PACKET_MAX: usize = (1 << 20) + (1 << 17);
/// Requests that the client underneath may hold: a window of publishes, and subscriptions.
const REQUESTS: usize = 1 << 12;
/// The widest window.
const WINDOW_MAX: u16 = 1 << 11;

/// How to reach a broker.
#[derive(Clone, Debug)]
pub struct Options {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// MQTT client identifier.
    pub client_id: String,
    /// Whether the broker keeps subscriptions and messages while the client is away. Publish with
    /// QoS 2 on a connection that is not: each connection numbers its packets from 1.
    pub persistent: bool,
    /// User name and password for the broker.
    pub login: Option<Login>,
    /// TLS, if wanted.
    pub tls: Option<Tls>,
    /// Seconds between signs of life.
    pub keep_alive: u16,
    /// Publishes under way at once, 1 to 2,048; see [`WINDOW`].
    pub window: u16,
    /// What becomes of a publish whose connection was lost before the broker took it: sent again
    /// on the next one, or reported as [`Event::Dropped`].
    pub resend: bool,
}

impl Options {
    /// A connection without TLS and login that sends again what was lost.
    pub fn new(host: &str, port: u16, client_id: &str) -> Self {
        Self {
            host: host.to_string(),
            port,
            client_id: client_id.to_string(),
            persistent: false,
            login: None,
            tls: None,
            keep_alive: 30,
            window: WINDOW,
            resend: true,
        }
    }
}

/// Who connects. Printing it gives the name alone.
#[derive(Clone)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Files for TLS, in PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Who may have signed the broker's certificate.
    pub ca: PathBuf,
    /// The client's certificate and key, if the broker asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The number of a publish, by which its end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// What happens on a connection.
#[derive(Debug)]
pub enum Event {
    /// Connected, and subscribed again to everything.
    Connected,
    /// The broker confirmed a subscription.
    Subscribed,
    /// A message arrived.
    Message {
        /// Its topic.
        topic: String,
        /// Its bytes.
        payload: Vec<u8>,
    },
    /// The broker took a publish (QoS 0: it left).
    Published(Token),
    /// The connection was lost before the broker took it; nobody knows whether it arrived.
    Dropped(Token),
    /// The connection is gone; it will be tried again in a second.
    Lost(String),
}

type Subscriptions = Arc<Mutex<BTreeMap<String, Qos>>>;

/// A connection to a broker.
pub struct Link {
    client: Client,
    subscriptions: Subscriptions,
    outbox: Arc<Mutex<Outbox>>,
}

impl Link {
    /// Starts to connect; [`Event::Connected`] or [`Event::Lost`] says how that went. Events are
    /// handed to `each`, on a thread of the connection, until that returns false.
    ///
    /// # Errors
    /// TLS files that cannot be read.
    pub fn connect(
        options: &Options,
        each: impl FnMut(Event) -> bool + Send + 'static,
    ) -> Result<Self, String> {
        let mut mqtt = MqttOptions::new(&options.client_id, &options.host, options.port);
        mqtt.set_keep_alive(Duration::from_secs(options.keep_alive.max(1).into()));
        mqtt.set_clean_session(!options.persistent);
        // The window is kept here; the client underneath only numbers packets up to its own.
        mqtt.set_inflight(2 * WINDOW_MAX);
        mqtt.set_max_packet_size(PACKET_MAX, PACKET_MAX);
        if let Some(Login { user, password }) = &options.login {
            mqtt.set_credentials(user, password);
        }
        if let Some(tls) = &options.tls {
            mqtt.set_transport(tls.transport()?);
        }
        let (client, connection) = Client::new(mqtt, REQUESTS);
        let subscriptions = Subscriptions::default();
        let outbox = Arc::new(Mutex::new(Outbox {
            window: usize::from(options.window.clamp(1, WINDOW_MAX)),
            resend: options.resend,
            ..Outbox::default()
        }));
        let worker = Worker {
            client: client.clone(),
            subscriptions: subscriptions.clone(),
            outbox: outbox.clone(),
        };
        std::thread::Builder::new()
            .name("mqtt".into())
            .spawn(move || worker.run(connection, each))
            .map_err(|error| error.to_string())?;
        Ok(Self { client, subscriptions, outbox })
    }

    /// Subscribes to a topic now and after every reconnection.
    ///
    /// # Errors
    /// The topic is not valid for MQTT.
    pub fn subscribe(&self, topic: &str, qos: Qos) -> Result<(), String> {
        // Noted first: a connection that is lost in between takes the request with it.
        lock(&self.subscriptions).insert(topic.to_string(), qos);
        self.client.subscribe(topic, qos).map_err(|error| {
            lock(&self.subscriptions).remove(topic);
            error.to_string()
        })
    }

    /// How many topics it is subscribed to, on this connection or the next.
    pub fn subscriptions(&self) -> usize {
        lock(&self.subscriptions).len()
    }

    /// Unsubscribes from a topic.
    ///
    /// # Errors
    /// The connection was closed for good.
    pub fn unsubscribe(&self, topic: &str) -> Result<(), String> {
        lock(&self.subscriptions).remove(topic);
        self.client.unsubscribe(topic).map_err(|error| error.to_string())
    }

    /// Publishes a message, not retained, as soon as there is a connection and room in the window.
    ///
    /// # Errors
    /// The topic is not valid for MQTT.
    pub fn publish(&self, topic: &str, qos: Qos, payload: &[u8]) -> Result<Token, String> {
        if topic.is_empty() || !rumqttc::valid_topic(topic) {
            return Err("not a topic to publish on".into());
        }
        let mut outbox = lock(&self.outbox);
        outbox.last += 1;
        let token = Token(outbox.last);
        let (topic, payload) = (topic.to_string(), payload.to_vec());
        outbox.waiting.push_back(Letter { token, topic, qos, payload });
        outbox.pump(&self.client);
        Ok(token)
    }

    /// Says good-bye to the broker.
    pub fn disconnect(&self) {
        // The broker may be gone already; there is nothing left to save.
        let _ = self.client.try_disconnect();
    }
}

/// A publish on its way.
struct Letter {
    token: Token,
    topic: String,
    qos: Qos,
    payload: Vec<u8>,
}

/// Publishes in their order: waiting, handed to the client underneath, on the network.
#[derive(Default)]
struct Outbox {
    window: usize,
    resend: bool,
    connected: bool,
    last: u64,
    waiting: VecDeque<Letter>,
    handed: VecDeque<Letter>,
    flying: HashMap<u16, Letter>,
}

impl Outbox {
    fn pump(&mut self, client: &Client) {
        while self.connected && self.handed.len() + self.flying.len() < self.window {
            let Some(letter) = self.waiting.pop_front() else { return };
            let sent =
                client.try_publish(&letter.topic, letter.qos, false, letter.payload.as_slice());
            if sent.is_err() {
                // Subscriptions fill the queue; the next event tries again.
                self.waiting.push_front(letter);
                return;
            }
            self.handed.push_back(letter);
        }
    }

    /// The client underneath has written the oldest letter that it was handed.
    fn flown(&mut self, packet: u16) -> Option<Token> {
        let letter = self.handed.pop_front()?;
        if packet == 0 {
            return Some(letter.token);
        }
        self.flying.insert(packet, letter);
        None
    }

    fn landed(&mut self, packet: u16) -> Option<Token> {
        self.flying.remove(&packet).map(|letter| letter.token)
    }

    /// The connection is gone, and nothing is left in the client underneath.
    fn lost(&mut self) -> Vec<Token> {
        self.connected = false;
        let mut letters: Vec<Letter> = self.flying.drain().map(|(_, letter)| letter).collect();
        letters.extend(self.handed.drain(..));
        letters.sort_by_key(|letter| letter.token);
        if self.resend {
            letters.into_iter().rev().for_each(|letter| self.waiting.push_front(letter));
            return Vec::new();
        }
        // What waits would be too old by the time of the next connection as well.
        letters.extend(self.waiting.drain(..));
        letters.into_iter().map(|letter| letter.token).collect()
    }
}

/// The thread that keeps a connection going.
struct Worker {
    client: Client,
    subscriptions: Subscriptions,
    outbox: Arc<Mutex<Outbox>>,
}

impl Worker {
    fn run(self, mut connection: Connection, mut each: impl FnMut(Event) -> bool) {
        let mut leaving = false;
        while let Ok(event) = connection.recv() {
            let error = match event {
                Ok(event) => {
                    if !self.handle(event, &mut leaving, &mut each) {
                        return;
                    }
                    continue;
                }
                Err(_) if leaving => return,
                Err(error) => error,
            };
            let unsolicited =
                matches!(error, ConnectionError::MqttState(StateError::Unsolicited(_)));
            // What arrived before the loss was acknowledged: it counts.
            while let Some(event) = connection.eventloop.state.events.pop_front() {
                if !self.handle(event, &mut leaving, &mut each) {
                    return;
                }
            }
            let dropped = {
                let mut outbox = lock(&self.outbox);
                connection.eventloop.clean();
                connection.eventloop.pending.clear();
                connection.eventloop.state.collision = None;
                if unsolicited {
                    expect_releases(&mut connection.eventloop.state);
                }
                outbox.lost()
            };
            let told = dropped.into_iter().all(|token| each(Event::Dropped(token)));
            if leaving || !told || !each(Event::Lost(error.to_string())) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn handle(
        &self,
        event: rumqttc::Event,
        leaving: &mut bool,
        each: &mut impl FnMut(Event) -> bool,
    ) -> bool {
        let event = match event {
            rumqttc::Event::Incoming(Packet::ConnAck(_)) => {
                self.subscribe_again();
                let mut outbox = lock(&self.outbox);
                outbox.connected = true;
                outbox.pump(&self.client);
                Some(Event::Connected)
            }
            rumqttc::Event::Incoming(Packet::SubAck(_)) => Some(Event::Subscribed),
            rumqttc::Event::Incoming(Packet::Publish(message)) => {
                let payload = message.payload.to_vec();
                Some(Event::Message { topic: message.topic, payload })
            }
            rumqttc::Event::Incoming(Packet::PubAck(ack)) => self.landed(ack.pkid),
            rumqttc::Event::Incoming(Packet::PubComp(ack)) => self.landed(ack.pkid),
            rumqttc::Event::Outgoing(Outgoing::Publish(packet)) => {
                let mut outbox = lock(&self.outbox);
                let done = outbox.flown(packet);
                if done.is_some() {
                    outbox.pump(&self.client);
                }
                done.map(Event::Published)
            }
            rumqttc::Event::Outgoing(Outgoing::Disconnect) => {
                *leaving = true;
                None
            }
            _ => None,
        };
        event.is_none_or(each)
    }

    fn landed(&self, packet: u16) -> Option<Event> {
        let mut outbox = lock(&self.outbox);
        let done = outbox.landed(packet);
        outbox.pump(&self.client);
        done.map(Event::Published)
    }

    /// A session that the broker has forgotten has no subscriptions.
    fn subscribe_again(&self) {
        for (topic, qos) in lock(&self.subscriptions).iter() {
            // The queue is full only if thousands of requests wait; then the next connection
            // does it.
            let _ = self.client.try_subscribe(topic, *qos);
        }
    }
}

/// Has the client underneath answer whatever release (PUBREL) of a QoS 2 message the broker still
/// has to send, as MQTT asks for (4.3.3). It breaks the connection over one of a message that it
/// does not remember, and it remembers none over connections and restarts; the broker would repeat
/// it in each connection of a session that lasts, and nothing else would ever arrive.
fn expect_releases(state: &mut MqttState) {
    for packet in 1..=u16::MAX {
        let mut message = Publish::new("", Qos::ExactlyOnce, Vec::new());
        message.pkid = packet;
        // The only effect that lasts is that the number is known.
        let _ = state.handle_incoming_packet(Packet::Publish(message));
        state.events.clear();
    }
}

impl Tls {
    fn transport(&self) -> Result<Transport, String> {
        // A provider that was installed before serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let client_auth = match &self.identity {
            Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
            None => None,
        };
        let ca = read(&self.ca)?;
        Ok(Transport::Tls(TlsConfiguration::Simple { ca, alpn: None, client_auth }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
