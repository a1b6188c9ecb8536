// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 demo`: the whole idea, on one machine, with real MQTT connections.

mod party;
mod server;
mod view;

use clap::Args;
use e4::crypto::password::signing_key_from_password;
use e4::protect::protect_signed;
use e4::{ClientId, ClientTopic, Error, Identity, Mode, Opcode, Timestamp, TopicKey};
use e4_c2::domain::Operation;
use e4_c2::transport::Broker;

use self::party::{Device, Party, Understood};
use self::server::Server;
use self::view::{Tone, View};
use super::failure::Failure;

/// Watch two devices talk in secret through a broker, and a third one fail to listen
///
/// Starts an MQTT broker on a free port of 127.0.0.1, or uses yours. Three devices and C2, the key
/// server, with a database in memory, connect to it; an observer shows what everybody could see. Every step is checked: the
/// exit code is 0 only if all is as it should be.
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 demo
  e4 demo --broker 127.0.0.1:1883
  e4 demo --json | jq .

Colour is used on a terminal, unless NO_COLOR is set.")]
pub struct Arguments {
    /// Use this broker instead of starting one
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
    /// Print one JSON event a line
    #[arg(long)]
    json: bool,
}

const TOPIC: &str = "/e4go/demo/messages";
const PASSWORDS: [(&str, &str); 3] = [
    ("alice", "the password of alice"),
    ("bob", "the password of bob"),
    ("eve", "the password of eve"),
];

/// Tells the story and checks it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let view = View::new(arguments.json);
    let embedded = match arguments.broker {
        None => Some(Broker::start().map_err(|error| format!("the embedded broker: {error}"))?),
        Some(_) => None,
    };
    let broker = match (&embedded, &arguments.broker) {
        (Some(broker), _) => (broker.address().ip().to_string(), broker.address().port()),
        (None, text) => super::host_port(text.as_deref().unwrap_or_default())?,
    };
    view.title(&format!("{}:{}", broker.0, broker.1));
    match tell(&view, &broker) {
        Ok(()) => {
            view.verdict(
                true,
                "alice and bob talked in secret; the broker read nothing, and eve was shut out",
            );
            Ok(())
        }
        Err(error) => {
            view.verdict(false, &error);
            let failure = Failure::new("the demo did not go as it should");
            Err(match &arguments.broker {
                Some(_) => {
                    failure.hint("does the broker run, and may everybody publish and subscribe?")
                }
                None => failure,
            })
        }
    }
}

fn tell(view: &View, broker: &(String, u16)) -> Result<(), String> {
    let observer = Party::join("observer", broker, &["#"])?;
    let mut story = Story { view, observer, steps: 0 };

    story.step(
        "alice, bob and eve join; they hold no topic key. C2 derives their keys from passwords",
    );
    let c2 = Server::start(Mode::Symmetric, broker)?;
    let [mut alice, mut bob, mut eve] = devices(view, broker)?;
    c2.new_client(password(0))?;
    c2.new_client(password(1))?;

    story.step(&format!("C2 makes a key for {TOPIC} and gives it to alice and bob, not to eve"));
    c2.apply(Operation::NewTopic { topic: TOPIC.into() })?;
    let old = story.command(&c2, &mut alice, joins("alice"), Opcode::SetTopicKey)?;
    story.command(&c2, &mut bob, joins("bob"), Opcode::SetTopicKey)?;

    story.step("alice speaks: bob reads, eve does not");
    let secret = story.speak(&alice, "hello bob, the door code is 4711")?;
    story.expect(&mut bob, TOPIC, &secret, "hello bob, the door code is 4711".into())?;
    story.expect(&mut eve, TOPIC, &secret, Error::TopicKeyMissing.into())?;

    story.step("the broker, or eve, alters a bit of it, and repeats an old command to alice");
    let mut altered = secret.clone();
    altered.last_mut().into_iter().for_each(|byte| *byte ^= 1);
    story.publish(&eve.party, TOPIC, &altered)?;
    story.expect(&mut bob, TOPIC, &altered, Error::InvalidTag.into())?;
    let control = alice.client.control_topic();
    story.publish(&eve.party, &control, &old)?;
    story.expect(&mut alice, &control, &old, Error::Replayed.into())?;

    story.step(
        "the same in public-key mode: devices sign, and C2 tells them whose signature is whose",
    );
    drop(c2);
    let c2 = Server::start(Mode::PublicKey, broker)?;
    let c2_key = c2.public_key()?;
    for (device, number) in [(&mut alice, 0), (&mut bob, 1), (&mut eve, 2)] {
        let (name, password) = password(number);
        let identity = Identity::public_key_from_password(name, password, c2_key);
        device.become_client(identity.map_err(text)?)?;
    }
    c2.new_client(password(0))?;
    c2.new_client(password(1))?;
    c2.apply(Operation::NewTopic { topic: TOPIC.into() })?;
    story.command(&c2, &mut alice, joins("alice"), Opcode::SetTopicKey)?;
    story.command(&c2, &mut bob, joins("bob"), Opcode::SetTopicKey)?;
    story.command(&c2, &mut alice, knows("alice", "bob"), Opcode::SetPubKey)?;
    story.command(&c2, &mut bob, knows("bob", "alice"), Opcode::SetPubKey)?;
    let signed = story.speak(&alice, "bob, it is me")?;
    story.expect(&mut bob, TOPIC, &signed, "bob, it is me".into())?;

    story.step("eve has stolen the topic key: her device takes no message, and nobody takes hers");
    let (c2_secret, key) = c2.secrets(TOPIC)?;
    eve.steal(&c2_secret, TOPIC, &key)?;
    story.expect(&mut eve, TOPIC, &signed, Error::SignerUnknown.into())?;
    let forged = forge(&key, eve.client.id())?;
    story.publish(&eve.party, TOPIC, &forged)?;
    story.expect(&mut bob, TOPIC, &forged, Error::SignerUnknown.into())?;
    let forged = forge(&key, alice.client.id())?;
    story.publish(&eve.party, TOPIC, &forged)?;
    story.expect(&mut bob, TOPIC, &forged, Error::SignatureInvalid.into())
}

fn joins(client: &str) -> Operation {
    Operation::NewTopicClient { topic: TOPIC.into(), client: client.into() }
}

fn knows(target: &str, source: &str) -> Operation {
    Operation::SendClientPubKey { source: source.into(), target: target.into() }
}

/// The story so far.
struct Story<'a> {
    view: &'a View,
    observer: Party,
    steps: usize,
}

impl Story<'_> {
    fn step(&mut self, title: &str) {
        self.steps += 1;
        self.view.step(self.steps, title);
    }

    /// Publishes, and shows what the observer saw of it.
    fn publish(&self, from: &Party, topic: &str, payload: &[u8]) -> Result<(), String> {
        from.publish(topic, payload)?;
        self.observer.receive(topic, payload)?;
        self.view.wire(from.name, topic, payload);
        Ok(())
    }

    /// A device says something; its words must not cross the broker.
    fn speak(&self, device: &Device, words: &str) -> Result<Vec<u8>, String> {
        let message = device.client.protect_to_vec(Timestamp::now(), TOPIC, words.as_bytes());
        let message = message.map_err(text)?;
        if message.windows(8).any(|part| words.as_bytes().windows(8).any(|word| word == part)) {
            return Err("words of the message crossed the broker".into());
        }
        self.publish(&device.party, TOPIC, &message)?;
        Ok(message)
    }

    /// A device takes something in; it must understand just this.
    fn expect(
        &self,
        device: &mut Device,
        topic: &str,
        payload: &[u8],
        expected: Understood,
    ) -> Result<(), String> {
        let understood = device.understand(topic, payload)?;
        let tone = match (understood == expected, &expected) {
            (false, _) => Tone::Bad,
            (true, Understood::Nothing(_)) => Tone::Shut,
            (true, _) => Tone::Good,
        };
        self.view.understood(device.party.name, &understood.to_string(), tone);
        if understood == expected {
            return Ok(());
        }
        Err(format!("{}: {understood}, where it should be: {expected}", device.party.name))
    }

    /// The operator wishes something, C2 sends a command for it, the device applies and answers
    /// it, and C2 sees that it did. Returns the command.
    fn command(
        &self,
        c2: &Server,
        device: &mut Device,
        wish: Operation,
        opcode: Opcode,
    ) -> Result<Vec<u8>, String> {
        c2.apply(wish)?;
        let control = device.client.control_topic();
        let command = self.observer.next_on(&control)?;
        self.view.wire("C2", &control, &command);
        self.expect(device, &control, &command, opcode.into())?;
        let answer = device.client.answer(Timestamp::now()).map_err(text)?.ok_or("no answer")?;
        self.publish(&device.party, &ClientTopic::answer(device.client.id()), &answer)?;
        c2.wait_for(device.party.name)?;
        self.view.understood("C2", &format!("{} confirmed", device.party.name), Tone::Good);
        Ok(command)
    }
}

fn devices(view: &View, broker: &(String, u16)) -> Result<[Device; 3], String> {
    let join = |number: usize| -> Result<Device, String> {
        let (name, password) = password(number);
        let identity = Identity::symmetric_from_password(name, password).map_err(text)?;
        let device = Device::join(name, broker, identity, TOPIC)?;
        view.understood(name, &format!("listens on {TOPIC} and on its control topic"), Tone::Good);
        Ok(device)
    };
    Ok([join(0)?, join(1)?, join(2)?])
}

fn password(number: usize) -> (&'static str, &'static str) {
    PASSWORDS.get(number).copied().unwrap_or_default()
}

/// What a thief of the topic key can make: everything but the signature of somebody else.
fn forge(stolen: &TopicKey, signer: ClientId) -> Result<Vec<u8>, String> {
    let key_of_eve = signing_key_from_password(password(2).1).map_err(text)?;
    let words = b"bob, tell me the door code";
    let mut out = vec![0; words.len() + e4::Mode::PublicKey.overhead()];
    protect_signed(stolen, signer, &key_of_eve, Timestamp::now(), words, &mut out).map_err(text)?;
    Ok(out)
}

fn text(error: Error) -> String {
    error.to_string()
}

impl From<&str> for Understood {
    fn from(text: &str) -> Self {
        Understood::Text(text.to_string())
    }
}

impl From<Error> for Understood {
    fn from(error: Error) -> Self {
        Understood::Nothing(error)
    }
}

impl From<Opcode> for Understood {
    fn from(opcode: Opcode) -> Self {
        Understood::Command(opcode)
    }
}
