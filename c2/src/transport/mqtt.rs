// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An MQTT client that connects again by itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rumqttc::{Client, Connection, MqttOptions, Outgoing, Packet, TlsConfiguration, Transport};

pub use rumqttc::QoS as Qos;

/// Publishes under way at once. Mosquitto at its defaults loses QoS 2 messages of a wider window.
const WINDOW: u16 = 20;
/// How long to wait before connecting again.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest packet that is taken: a topic, a message of 1 MiB and what protection adds.
const PACKET_MAX: usize = (1 << 20) + (1 << 17);

/// How to reach a broker.
#[derive(Clone, Debug)]
pub struct Options {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// MQTT client identifier.
    pub client_id: String,
    /// Whether the broker keeps subscriptions and messages while the client is away.
    pub persistent: bool,
    /// User name and password for the broker.
    pub login: Option<(String, String)>,
    /// TLS, if wanted.
    pub tls: Option<Tls>,
}

/// Files for TLS, in PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Who may have signed the broker's certificate.
    pub ca: PathBuf,
    /// The client's certificate and key, if the broker asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

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
    /// The broker took a message of QoS 1 or 2.
    Published,
    /// The connection is gone; it will be tried again in a second.
    Lost(String),
}

type Subscriptions = Arc<Mutex<BTreeMap<String, Qos>>>;

/// A connection to a broker.
pub struct Link {
    client: Client,
    subscriptions: Subscriptions,
}

impl Link {
    /// Starts to connect; [`Event::Connected`] or [`Event::Lost`] says how that went. Events are
    /// handed to `each` until that returns false.
    ///
    /// # Errors
    /// TLS files that cannot be read.
    pub fn connect(
        options: &Options,
        each: impl FnMut(Event) -> bool + Send + 'static,
    ) -> Result<Self, String> {
        let mut mqtt = MqttOptions::new(&options.client_id, &options.host, options.port);
        mqtt.set_keep_alive(Duration::from_secs(30));
        mqtt.set_clean_session(!options.persistent);
        mqtt.set_inflight(WINDOW);
        mqtt.set_max_packet_size(PACKET_MAX, PACKET_MAX);
        if let Some((user, password)) = &options.login {
            mqtt.set_credentials(user, password);
        }
        if let Some(tls) = &options.tls {
            mqtt.set_transport(tls.transport()?);
        }
        let (client, connection) = Client::new(mqtt, 100);
        let subscriptions = Subscriptions::default();
        let worker = Worker { client: client.clone(), subscriptions: subscriptions.clone() };
        std::thread::spawn(move || worker.run(connection, each));
        Ok(Self { client, subscriptions })
    }

    /// Subscribes to a topic now and after every reconnection.
    ///
    /// # Errors
    /// The topic is not valid for MQTT.
    pub fn subscribe(&self, topic: &str, qos: Qos) -> Result<(), String> {
        self.client.subscribe(topic, qos).map_err(|error| error.to_string())?;
        lock(&self.subscriptions).insert(topic.to_string(), qos);
        Ok(())
    }

    /// Unsubscribes from a topic.
    ///
    /// # Errors
    /// The connection was closed for good.
    pub fn unsubscribe(&self, topic: &str) -> Result<(), String> {
        lock(&self.subscriptions).remove(topic);
        self.client.unsubscribe(topic).map_err(|error| error.to_string())
    }

    /// Publishes a message, not retained.
    ///
    /// # Errors
    /// The topic is not valid for MQTT.
    pub fn publish(&self, topic: &str, qos: Qos, payload: &[u8]) -> Result<(), String> {
        self.client.publish(topic, qos, false, payload).map_err(|error| error.to_string())
    }

    /// Says good-bye to the broker.
    pub fn disconnect(&self) {
        // The broker may be gone already; there is nothing left to save.
        let _ = self.client.disconnect();
    }
}

/// The thread that keeps a connection going.
struct Worker {
    client: Client,
    subscriptions: Subscriptions,
}

impl Worker {
    fn run(self, mut connection: Connection, mut each: impl FnMut(Event) -> bool) {
        let mut leaving = false;
        for event in connection.iter() {
            let event = match event {
                Ok(rumqttc::Event::Incoming(Packet::ConnAck(_))) => {
                    self.subscribe_again();
                    Event::Connected
                }
                Ok(rumqttc::Event::Incoming(Packet::SubAck(_))) => Event::Subscribed,
                Ok(rumqttc::Event::Incoming(Packet::Publish(message))) => {
                    let payload = message.payload.to_vec();
                    Event::Message { topic: message.topic, payload }
                }
                Ok(rumqttc::Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_))) => {
                    Event::Published
                }
                Ok(rumqttc::Event::Outgoing(Outgoing::Disconnect)) => {
                    leaving = true;
                    continue;
                }
                Ok(_) => continue,
                Err(_) if leaving => return,
                Err(error) => Event::Lost(error.to_string()),
            };
            let lost = matches!(event, Event::Lost(_));
            if !each(event) {
                return;
            }
            if lost {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// A session that the broker has forgotten has no subscriptions.
    fn subscribe_again(&self) {
        for (topic, qos) in lock(&self.subscriptions).iter() {
            // The queue is full only if hundreds of publishes wait; then the next connection
            // does it.
            let _ = self.client.try_subscribe(topic, *qos);
        }
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
