// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 device`: an interactive client.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use clap::Args;
use e4::client::Message;
use e4::{
    C2PublicKey, Client, ClientId, Error, FileStorage, IdKey, Identity, Mode, SigningKey,
    Timestamp, Unprotected,
};

use zeroize::Zeroizing;

use super::failure::Failure;
use e4_c2::domain::{BrokerAddress, Provision};
use e4_c2::transport::{Event, Link, Login, Options, Qos, Tls};

/// Be a device: send, receive, take commands
///
/// The keys that C2 sends are kept in the state file, and so is the device's own key after the
/// first start; --key and the password are needed for that one alone. Lines on standard input:
///
///   send TOPIC TEXT      protect a message and publish it
///   clear TOPIC TEXT     publish without protection
///   subscribe TOPIC      unsubscribe TOPIC
///   help                 quit
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  e4 device --name pump-1 --key pump-1.key
  e4 device --name pump-1 --key pump-1.key --c2-key c2.key.pub     # public-key mode
  e4 device --name pump-1                                          # asks for a password
  echo 'send plant/pressure 4.2 bar' | e4 device --name pump-1 --key pump-1.key
  e4 device --name pump-1 --broker mqtt.example.org:8883 --tls-ca ca.pem
  e4 device --qr pump-1.code               # what a QR code of C2 holds
  zbarimg --raw -q code.png | e4 device --qr - --subscribe plant/pressure"
)]
pub struct Arguments {
    /// Name of the device; its id is the hash of the name
    #[arg(long, required_unless_present = "qr", conflicts_with = "qr")]
    name: Option<String>,
    /// File with the text of a QR code of C2: name, keys and broker; `-` for a line of standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "password_file", "c2_key"])]
    qr: Option<PathBuf>,
    /// Raw key file, as `e4 keygen` makes it: symmetric, or ed25519 with --c2-key
    #[arg(long, value_name = "FILE", conflicts_with = "password_file")]
    key: Option<PathBuf>,
    /// File whose first line is the password, instead of asking for it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// C2's public key (x25519, 32 raw bytes); the device works in public-key mode
    #[arg(long, value_name = "FILE")]
    c2_key: Option<PathBuf>,
    /// Where the broker is [default: that of the QR code, or 127.0.0.1:1883]
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
    /// Use TLS, and trust this authority (PEM)
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Client certificate (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["tls_ca", "tls_key"])]
    tls_cert: Option<PathBuf>,
    /// Key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// User name for the broker
    #[arg(long, requires = "mqtt_password_file")]
    username: Option<String>,
    /// File whose first line is the password for the broker
    #[arg(long, value_name = "FILE", requires = "username")]
    mqtt_password_file: Option<PathBuf>,
    /// Where the device keeps its keys [default: NAME.e4state]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Subscribe to this topic at start; may be given more than once
    #[arg(long, value_name = "TOPIC")]
    subscribe: Vec<String>,
    /// Go on receiving for so long after the end of standard input
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    linger: u64,
}

/// Where the broker is that nobody named.
const BROKER: &str = "127.0.0.1:1883";

/// Who the device is and where its broker is, by flags or by a QR code.
struct Begin {
    name: String,
    broker: String,
    /// What the QR code held.
    provision: Option<Provision>,
}

impl Begin {
    fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let provision = arguments.qr.as_deref().map(read_code).transpose()?;
        let coded = provision.as_ref().and_then(|provision| provision.broker.as_ref());
        let broker = match (&arguments.broker, coded) {
            (Some(broker), _) => broker.clone(),
            (None, Some(coded)) if coded.tls && arguments.tls_ca.is_none() => {
                return Err(Failure::new(format!("the broker {coded} speaks TLS"))
                    .hint("name the authority that it is to be trusted by: --tls-ca FILE"));
            }
            (None, Some(BrokerAddress { host, port, .. })) => match host.contains(':') {
                true => format!("[{host}]:{port}"),
                false => format!("{host}:{port}"),
            },
            (None, None) => BROKER.into(),
        };
        let name = match (&arguments.name, &provision) {
            (Some(name), _) => name.clone(),
            (None, Some(provision)) => provision.name.clone(),
            (None, None) => return Err(Failure::new("the device has no name")),
        };
        Ok(Self { name, broker, provision })
    }
}

/// Reads the text of a QR code. It holds keys: it is on no command line.
fn read_code(path: &Path) -> Result<Provision, Failure> {
    let text = Zeroizing::new(match path.as_os_str() == "-" {
        true => {
            // What comes after it is for the device.
            let mut line = String::with_capacity(CODE_MAX);
            let read = std::io::stdin().lock().take(CODE_MAX as u64).read_line(&mut line);
            read.map_err(|error| Failure::new(format!("standard input: {error}")))?;
            line
        }
        false => std::fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?,
    });
    Provision::parse(&text).map_err(|error| {
        Failure::from(error).or_hint("give the text that the QR code holds, as it is: e4:1?name=…")
    })
}

/// The longest line that is read as the text of a QR code, in bytes.
const CODE_MAX: usize = 4096;

/// What the device waits for.
enum Input {
    Line(String),
    End,
    Network(Event),
}

/// Connects and works until `quit` or the end of standard input.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut begin = Begin::new(arguments)?;
    let client = open(arguments, &begin.name, begin.provision.take())?;
    let options = options(arguments, &begin.broker, client.id())?;
    let (sender, inputs) = channel();
    let network = sender.clone();
    let link = Link::connect(&options, move |event| network.send(Input::Network(event)).is_ok())?;
    let mode = match client.mode() {
        Mode::Symmetric => "symmetric-key",
        Mode::PublicKey => "public-key",
    };
    println!(
        "{}, id {}, {mode} mode, {} topic keys",
        begin.name,
        client.id(),
        client.topic_count()
    );
    link.subscribe(&client.control_topic(), Qos::ExactlyOnce)?;
    for topic in &arguments.subscribe {
        link.subscribe(topic, Qos::AtLeastOnce)?;
    }
    let mut device = Device {
        client,
        link,
        broker: begin.broker,
        hint: match arguments.tls_ca {
            Some(_) => {
                "does the broker speak TLS there, with the name and the files that are given?"
            }
            None => "is a broker running there? for a first try: mosquitto -p 1883",
        },
        interactive: std::io::stdin().is_terminal(),
        connected: false,
        unsubscribed: 0,
        unconfirmed: 0,
    };
    device.work(&inputs, sender, Duration::from_secs(arguments.linger))
}

struct Device {
    client: Client<FileStorage>,
    link: Link,
    broker: String,
    /// What to look at when there is no connection.
    hint: &'static str,
    interactive: bool,
    connected: bool,
    /// Subscriptions that the broker has not confirmed on this connection.
    unsubscribed: usize,
    /// Messages that the broker did not take yet.
    unconfirmed: usize,
}

impl Device {
    fn work(
        &mut self,
        inputs: &Receiver<Input>,
        sender: Sender<Input>,
        linger: Duration,
    ) -> Result<(), Failure> {
        // Lines are read once there is a connection, so that a script's first line is not lost.
        let mut reader = Some(sender);
        let mut end: Option<Instant> = None;
        loop {
            let wait = end.map_or(Duration::from_secs(3600), |end| {
                end.saturating_duration_since(Instant::now())
            });
            match inputs.recv_timeout(wait) {
                Ok(Input::Network(event)) => {
                    self.on_event(event, end.is_some())?;
                    if let Some(sender) = reader.take_if(|_| self.connected) {
                        read_lines(sender);
                        self.prompt();
                    }
                }
                Ok(Input::Line(line)) => {
                    if !self.on_line(line.trim())? {
                        end = Some(Instant::now());
                    }
                    self.prompt();
                }
                Ok(Input::End) => end = Some(Instant::now() + linger),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if end.is_some_and(|end| Instant::now() >= end) && self.unconfirmed == 0 {
                self.link.disconnect();
                return Ok(());
            }
            // Nothing but the broker's word is waited for any more.
            if end.is_some_and(|end| Instant::now() >= end + Duration::from_secs(10)) {
                return Err(Failure::new("the broker did not confirm every message"));
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn on_event(&mut self, event: Event, ending: bool) -> Result<(), Failure> {
        match event {
            Event::Connected => self.unsubscribed = self.link.subscriptions(),
            // What is published from now on arrives.
            Event::Subscribed if self.unsubscribed == 1 => {
                self.unsubscribed = 0;
                self.connected = true;
                self.say(&format!("connected to {}", self.broker));
                match self.client.hello(Timestamp::now()) {
                    Ok(hello) => self.publish(&self.client.answer_topic().clone(), &hello)?,
                    Err(error) => self.say(&format!("no hello: {error}")),
                }
            }
            Event::Lost(error) if !self.connected || ending => {
                return Err(
                    Failure::new(format!("broker {}: {error}", self.broker)).hint(self.hint)
                );
            }
            Event::Lost(error) => {
                self.say(&format!("connection lost: {error}; trying again"));
            }
            Event::Published(_) | Event::Dropped(_) => {
                self.unconfirmed = self.unconfirmed.saturating_sub(1)
            }
            Event::Subscribed => self.unsubscribed = self.unsubscribed.saturating_sub(1),
            Event::Message { topic, payload } => self.on_message(&topic, &payload)?,
        }
        Ok(())
    }

    fn on_message(&mut self, topic: &str, payload: &[u8]) -> Result<(), Failure> {
        let control = *topic == *self.client.control_topic();
        match self.client.unprotect_to_vec(Timestamp::now(), topic, payload) {
            Ok(Unprotected::Message(message)) => self.say(&show(topic, &message)),
            Ok(Unprotected::CommandApplied(opcode)) => self.say(&format!("{opcode} applied")),
            // Retained by the broker, or delivered twice: a normal event.
            Err(Error::Replayed) if control => {}
            Err(error) => {
                let topic = printable(topic);
                self.say(&format!("< {topic}: {error} ({} bytes)", payload.len()));
            }
        }
        if control && let Some(answer) = self.client.answer(Timestamp::now())? {
            self.publish(&self.client.answer_topic().clone(), &answer)?;
        }
        Ok(())
    }

    /// False if that was `quit`.
    fn on_line(&mut self, line: &str) -> Result<bool, Failure> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let (topic, text) =
            rest.trim_start().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        match (word, topic) {
            ("", _) => {}
            ("quit" | "exit", _) => return Ok(false),
            ("help", _) => println!("{HELP}"),
            ("send" | "clear" | "subscribe" | "unsubscribe", "") => {
                eprintln!("error: {word} needs a topic\nhint: help");
            }
            ("send", topic) => {
                match self.client.protect_to_vec(Timestamp::now(), topic, text.as_bytes()) {
                    Ok(message) => self.publish(topic, &message)?,
                    Err(error @ Error::TopicKeyMissing) => {
                        eprintln!(
                            "error: {topic}: {error}\nhint: C2 has to send a key for this topic first"
                        );
                    }
                    Err(error) => eprintln!("error: {topic}: {error}"),
                }
            }
            ("clear", topic) => self.publish(topic, text.as_bytes())?,
            ("subscribe", topic) => report(self.link.subscribe(topic, Qos::AtLeastOnce)),
            ("unsubscribe", topic) => report(self.link.unsubscribe(topic)),
            _ => eprintln!("error: no such command: {word}\nhint: help"),
        }
        Ok(true)
    }

    fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<(), Failure> {
        match self.link.publish(topic, Qos::AtLeastOnce, payload) {
            Ok(_) => self.unconfirmed += 1,
            Err(error) => eprintln!("error: {topic}: {error}"),
        }
        Ok(())
    }

    /// Prints a line, above the prompt where there is one.
    fn say(&self, line: &str) {
        if self.interactive && self.connected {
            println!("\r{line}");
            self.prompt();
        } else {
            println!("{line}");
        }
    }

    fn prompt(&self) {
        if self.interactive {
            print!("> ");
            // A prompt that is not shown harms nobody.
            let _ = std::io::stdout().flush();
        }
    }
}

const HELP: &str = "\
send TOPIC TEXT      protect a message and publish it
clear TOPIC TEXT     publish without protection
subscribe TOPIC      receive what is published on a topic
unsubscribe TOPIC    no longer
help                 this
quit                 leave; the state is kept";

fn report(done: Result<(), String>) {
    done.err().iter().for_each(|error| eprintln!("error: {error}"));
}

/// `< topic: text`, with the signer's id in public-key mode, and hexadecimal digits for bytes that
/// are not text.
fn show(topic: &str, message: &Message<Vec<u8>>) -> String {
    let topic = printable(topic);
    let text = match std::str::from_utf8(&message.plaintext) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_string(),
        _ => message.plaintext.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    match message.signer {
        Some(signer) => format!("< {topic}: {text}  (signed by {})", signer.id),
        None => format!("< {topic}: {text}"),
    }
}

/// Whoever publishes chooses the topic; it must not steer the terminal.
fn printable(topic: &str) -> String {
    topic.replace(char::is_control, "\u{fffd}")
}

fn read_lines(sender: Sender<Input>) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(Input::Line(line)).is_err() {
                return;
            }
        }
        // The device has gone if nobody listens any more.
        let _ = sender.send(Input::End);
    });
}

fn open(
    arguments: &Arguments,
    name: &str,
    provision: Option<Provision>,
) -> Result<Client<FileStorage>, Failure> {
    let id = ClientId::from_name(name)?;
    let path = arguments.state.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.e4state")));
    let storage = || {
        FileStorage::open(&path).map_err(|error| {
            Failure::new(format!("{}: {error}", path.display()))
                .hint("give another file with --state")
        })
    };
    let client = match Client::open(storage()?) {
        Err(Error::NotProvisioned) => {
            let identity = match provision {
                Some(provision) => provision.into_identity()?,
                None => identity(arguments, name, id)?,
            };
            Client::provision(storage()?, identity)
        }
        client => client,
    };
    let client = client.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    if client.id() != id {
        return Err(Failure::new(format!("{} belongs to another device", path.display()))
            .hint(format!("give a file of {name}'s own with --state")));
    }
    Ok(client)
}

fn identity(arguments: &Arguments, name: &str, id: ClientId) -> Result<Identity, Failure> {
    let c2 = match &arguments.c2_key {
        Some(path) => Some(key(path, "an x25519 public key of 32 bytes", C2PublicKey::from_slice)?),
        None => None,
    };
    match (&arguments.key, c2) {
        (Some(path), None) => {
            let key =
                key(path, "a symmetric key of 32 bytes", IdKey::from_slice).map_err(|failure| {
                    failure.hint("for public-key mode, give C2's public key with --c2-key")
                })?;
            Ok(Identity::symmetric(id, key))
        }
        (Some(path), Some(c2)) => {
            let key = key(path, "an ed25519 private key of 64 bytes", SigningKey::from_slice)?;
            Ok(Identity::public_key(id, key, c2)?)
        }
        (None, c2) => {
            let password = password(arguments, name)?;
            match c2 {
                None => Ok(Identity::symmetric_from_password(name, &password)?),
                Some(c2) => Ok(Identity::public_key_from_password(name, &password, c2)?),
            }
        }
    }
}

fn key<K>(path: &Path, what: &str, read: impl Fn(&[u8]) -> e4::Result<K>) -> Result<K, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    read(&bytes).map_err(|_| Failure::new(format!("{} is not {what}", path.display())))
}

fn password(arguments: &Arguments, name: &str) -> Result<String, Failure> {
    if let Some(path) = &arguments.password_file {
        return super::first_line(path);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("this device is new and needs a key")
            .hint("give --key FILE (see e4 keygen) or --password-file FILE"));
    }
    rpassword::prompt_password(format!("Password of {name}: "))
        .map_err(|error| Failure::new(format!("no password: {error}")))
}

fn options(arguments: &Arguments, broker: &str, id: ClientId) -> Result<Options, Failure> {
    let (host, port) = super::host_port(broker)?;
    let login = match (&arguments.username, &arguments.mqtt_password_file) {
        (Some(user), Some(file)) => {
            Some(Login { user: user.clone(), password: super::first_line(file)? })
        }
        _ => None,
    };
    let tls = arguments
        .tls_ca
        .clone()
        .map(|ca| Tls { ca, identity: arguments.tls_cert.clone().zip(arguments.tls_key.clone()) });
    let options = Options::new(&host, port, &id.to_string());
    Ok(Options { persistent: true, login, tls, ..options })
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_topic_cannot_steer_the_terminal() {
        assert_eq!(printable("a/\u{1b}[2J\nb"), "a/\u{fffd}[2J\u{fffd}b");
        assert_eq!(printable("plant/pr\u{e9}ssure"), "plant/pr\u{e9}ssure");
    }
}
