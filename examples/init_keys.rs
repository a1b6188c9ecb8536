// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The key script of the tutorial: makes a topic key and sends it to devices.
//!
//! ```text
//! cargo run --example init_keys -- --topic /e4go/demo/messages --key alice=alice.key --key bob=bob.key
//! cargo run --example init_keys -- --topic /e4go/demo/messages --password alice=alice.pw --password bob=bob.pw
//! cargo run --example init_keys -- --topic /e4go/demo/messages --c2-key c2.key \
//!     --key alice=alice.key.pub --key bob=bob.key.pub
//! ```
//!
//! With --c2-key the devices are in public-key mode: their public keys are given, and each is also
//! sent the public keys of the others. Options: --broker HOST:PORT (default 127.0.0.1:1883).

use std::error::Error;
use std::time::{Duration, Instant};

use e4::crypto::password::{id_key_from_password, signing_key_from_password};
use e4::protect::{open_answer, protect_command};
use e4::{
    Answer, C2SecretKey, ClientId, ClientTopic, Command, IdKey, PublicKey, SharedKey, Timestamp,
    TopicHash, TopicKey,
};
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What C2 has to know of a device.
struct Device {
    name: String,
    id: ClientId,
    key: Key,
}

/// The key that its commands are protected under.
enum Key {
    Symmetric(IdKey),
    Agreed(SharedKey, PublicKey),
}

impl Device {
    fn protect(&self, command: &Command) -> e4::Result<e4::protect::ProtectedCommand> {
        match &self.key {
            Key::Symmetric(key) => protect_command(key, Timestamp::now(), command),
            Key::Agreed(key, _) => protect_command(key, Timestamp::now(), command),
        }
    }

    fn open_answer(&self, answer: &[u8]) -> e4::Result<(Timestamp, Answer)> {
        match &self.key {
            Key::Symmetric(key) => open_answer(key, answer),
            Key::Agreed(key, _) => open_answer(key, answer),
        }
    }
}

fn main() -> Result<()> {
    let (broker, topic, devices) = arguments()?;
    e4::check_topic_for_key(&topic)?;
    let topic_key = TopicKey::random()?;

    // Who gets what.
    let mut sent = Vec::new();
    for device in &devices {
        let key = TopicKey::from_slice(topic_key.expose())?;
        let command = Command::SetTopicKey { topic: TopicHash::from_topic(&topic)?, key };
        sent.push((device, command.opcode(), device.protect(&command)?));
        for other in devices.iter().filter(|other| other.id != device.id) {
            if let Key::Agreed(_, public) = &other.key {
                let command = Command::SetPubKey { id: other.id, key: *public };
                sent.push((device, command.opcode(), device.protect(&command)?));
            }
        }
    }

    // Commands go out with QoS 2 and are not retained; answers come back if the devices give any.
    let mut options = MqttOptions::new("e4-init-keys", broker.0, broker.1);
    options.set_inflight(20);
    let (client, mut connection) = Client::new(options, sent.len() + 10);
    client.subscribe("e4/+/ack", QoS::AtLeastOnce)?;
    for (device, _, command) in &sent {
        let control = ClientTopic::control(device.id);
        client.publish(control.as_str(), QoS::ExactlyOnce, false, command.to_vec())?;
    }
    let (mut handed_over, mut confirmed) = (0, 0);
    let end = Instant::now() + Duration::from_secs(5);
    while confirmed < sent.len() {
        match connection.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Ok(Event::Incoming(Packet::PubComp(_)))) => handed_over += 1,
            Ok(Ok(Event::Incoming(Packet::Publish(message)))) => {
                let from = ClientTopic::client_of_answer(&message.topic);
                for (device, opcode, command) in sent.iter().filter(|(to, ..)| Some(to.id) == from)
                {
                    let Ok((_, answer)) = device.open_answer(&message.payload) else { continue };
                    if answer.command == Some(command.siv()) {
                        println!("{}: {opcode} confirmed", device.name);
                        confirmed += 1;
                    }
                }
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => break,
        }
    }
    println!(
        "{handed_over} of {} commands handed to the broker, {confirmed} confirmed",
        sent.len()
    );
    Ok(())
}

fn arguments() -> Result<((String, u16), String, Vec<Device>)> {
    let mut broker = "127.0.0.1:1883".to_string();
    let (mut topic, mut c2_key, mut keys) = (None, None, Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} needs a value"))?;
        match word.as_str() {
            "--broker" => broker = value,
            "--topic" => topic = Some(value),
            "--c2-key" => c2_key = Some(C2SecretKey::from_slice(&std::fs::read(value)?)?),
            "--key" | "--password" => keys.push((word == "--password", value)),
            _ => return Err(format!("no such option: {word}").into()),
        }
    }
    let (host, port) = broker.rsplit_once(':').ok_or("the broker is HOST:PORT")?;
    let mut devices = Vec::new();
    for (is_password, text) in keys {
        let (name, file) = text.split_once('=').ok_or("a key is NAME=FILE")?;
        let bytes = std::fs::read(file)?;
        let key = if is_password {
            let text = String::from_utf8(bytes)?;
            let password = text.lines().next().unwrap_or_default();
            match &c2_key {
                None => Key::Symmetric(id_key_from_password(password)?),
                Some(c2) => agreed(c2, signing_key_from_password(password)?.public())?,
            }
        } else {
            match &c2_key {
                None => Key::Symmetric(IdKey::from_slice(&bytes)?),
                Some(c2) => agreed(c2, PublicKey::from_slice(&bytes)?)?,
            }
        };
        devices.push(Device { name: name.to_string(), id: ClientId::from_name(name)?, key });
    }
    Ok(((host.to_string(), port.parse()?), topic.ok_or("--topic is missing")?, devices))
}

fn agreed(c2: &C2SecretKey, public: PublicKey) -> Result<Key> {
    Ok(Key::Agreed(SharedKey::for_c2(c2, &public)?, public))
}
