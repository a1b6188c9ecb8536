// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 client …`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use e4_c2::api::pb;
use e4_c2::domain::{BrokerAddress, FirstKeys, Provision};
use serde_json::json;
use zeroize::Zeroizing;

use super::super::failure::Failure;
use super::change::{self, Change, Wish, client};
use super::files::NewFile;
use super::list::{self, Part};
use super::output::{self, confirm, hex, shown};
use super::server::{self, Server};
use super::{Common, status};

/// Add, show and remove devices; give them new keys
#[derive(Args)]
#[command(after_help = "\
Examples:
  e4 client create pump-1 --out pump-1.key
  e4 client show pump-1
  e4 client remove pump-1 --rotate-topics")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Add a client, with a key that C2 makes, a key of yours, or a password
    ///
    /// A key that C2 makes is shown once, or written to the file of --out, as `e4 keygen` writes
    /// it: `e4 device --key` takes that.
    #[command(after_help = "\
Examples:
  e4 client create pump-1 --out pump-1.key         # C2 makes the key
  e4 client create pump-1 --key-file pump-1.key    # one of `e4 keygen`, or hexadecimal digits
  e4 client create pump-1 --password               # asks for it, twice
  e4 client create pump-1 --qr                     # a code for the device to read
  e4 client create pump-1 --replace --out new.key  # the device was provisioned anew")]
    Create(Create),
    /// Remove clients and forget their keys
    #[command(after_help = "\
Examples:
  e4 client remove pump-1 --rotate-topics    # what it knew is worth nothing any more
  e4 client remove pump-1 pump-2 --yes")]
    Remove {
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// Give the topics whose keys it knew new ones
        #[arg(long)]
        rotate_topics: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Have clients forget all keys but their own, and forget their topics
    #[command(after_help = "Example:\n  e4 client reset pump-1")]
    Reset {
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Give clients new keys of their own
    #[command(
        after_help = "Example:\n  e4 client new-key pump-1 && e4 status --client pump-1 --wait"
    )]
    NewKey {
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// List the clients by name
    #[command(after_help = "\
Examples:
  e4 client list
  e4 client list --troubled
  e4 client list --json | jq length")]
    List {
        /// Only clients that cannot be brought to what they should hold
        #[arg(long)]
        troubled: bool,
        #[command(flatten)]
        part: Part,
    },
    /// Show what a client should hold, and how far that has come
    #[command(after_help = "Example:\n  e4 client show pump-1")]
    Show { name: String },
    /// List the topics of a client
    #[command(after_help = "Example:\n  e4 client topics pump-1")]
    Topics {
        name: String,
        #[command(flatten)]
        part: Part,
    },
    /// List the clients whose public keys a client is sent (public-key mode)
    #[command(after_help = "Example:\n  e4 client links gauge")]
    Links {
        name: String,
        #[command(flatten)]
        part: Part,
    },
    /// Send TARGET the public key of SOURCE whenever that changes (public-key mode)
    #[command(
        after_help = "Example:\n  e4 client link pump-1 gauge   # gauge follows pump-1's key"
    )]
    Link(Pair),
    /// No longer (public-key mode)
    #[command(after_help = "Example:\n  e4 client unlink pump-1 gauge")]
    Unlink(Pair),
    /// Send TARGET the public key of SOURCE (public-key mode)
    #[command(after_help = "Example:\n  e4 client send-pubkey pump-1 gauge   # gauge reads pump-1")]
    SendPubkey(Pair),
    /// Take the public key of SOURCE from TARGET (public-key mode)
    #[command(after_help = "Example:\n  e4 client remove-pubkey pump-1 gauge")]
    RemovePubkey(Pair),
    /// Take all public keys from a client (public-key mode)
    #[command(after_help = "Example:\n  e4 client reset-pubkeys gauge")]
    ResetPubkeys {
        #[arg(value_name = "TARGET")]
        target: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Send everything that clients should hold again
    #[command(after_help = "\
Examples:
  e4 client resync pump-1
  e4 client resync --all")]
    Resync {
        #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
        names: Vec<String>,
        /// All clients
        #[arg(long)]
        all: bool,
    },
}

#[derive(Args)]
struct Pair {
    source: String,
    target: String,
}

#[derive(Args)]
struct Create {
    name: String,
    /// File with its key, raw or in hexadecimal digits: symmetric (32 bytes), Ed25519 private (64;
    /// only the public half is sent) or Ed25519 public (32)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["password", "password_file", "generate"])]
    key_file: Option<PathBuf>,
    /// Ask for the password of the device, 16 bytes at least
    #[arg(long, conflicts_with_all = ["password_file", "generate"])]
    password: bool,
    /// File whose first line is the password, instead of asking for it
    #[arg(long, value_name = "FILE", conflicts_with = "generate")]
    password_file: Option<PathBuf>,
    /// Have C2 make the key; this is the default
    #[arg(long)]
    generate: bool,
    /// File for the key that C2 makes, mode 0600, in place of showing it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_file", "password", "password_file"])]
    out: Option<PathBuf>,
    /// Show a QR code with everything that the device needs; `e4 device --qr` takes what it holds
    #[arg(long, conflicts_with_all = ["key_file", "password", "password_file", "json"])]
    qr: bool,
    /// File for the text of that code, mode 0600
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_file", "password", "password_file"])]
    qr_out: Option<PathBuf>,
    /// Overwrite the files of --out and --qr-out
    #[arg(long)]
    force: bool,
    /// Replace the key of a client that exists: its device was provisioned anew
    #[arg(long)]
    replace: bool,
}

/// Does what was asked for.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let json = arguments.common.json;
    let connect = || arguments.common.connect();
    match &arguments.task {
        Task::Create(create) => create.run(&arguments.common),
        Task::Remove { names, rotate_topics, yes } => {
            remove(&connect()?, names, *rotate_topics, *yes, json)
        }
        Task::Reset { names, yes } => {
            if !yes {
                confirm(&format!("Have {} forget all topic keys?", listed(names)), "--yes")?;
            }
            let wish = |name: &String| Wish {
                about: vec![("client", name.clone())],
                done: format!("client {name} is told to forget its topics"),
                change: Change::ResetClient(pb::ResetClientRequest { client: client(name) }),
            };
            change::make(&connect()?, names.iter().map(wish).collect(), json)
        }
        Task::NewKey { names } => {
            let wish = |name: &String| Wish {
                about: vec![("client", name.clone())],
                done: format!("client {name} gets a new key"),
                change: Change::NewClientKey(pb::NewClientKeyRequest { client: client(name) }),
            };
            change::make(&connect()?, names.iter().map(wish).collect(), json)
        }
        Task::List { troubled, part } => {
            let server = connect()?;
            let names = part.names(|after, count| {
                let request =
                    pb::GetClientsRequest { offset: 0, count, after, troubled: *troubled };
                let found = server.call(async |c2| c2.get_clients(request).await)?;
                Ok(list::clients(found.clients))
            })?;
            list::print(&names, json)
        }
        Task::Show { name } => status::client(&connect()?, name, json),
        Task::Topics { name, part } => {
            list::print(&list::topics_of(&connect()?, name, part)?, json)
        }
        Task::Links { name, part } => {
            let server = connect()?;
            let names = part.names(|after, count| {
                let request =
                    pb::GetLinkedClientsRequest { client: client(name), offset: 0, count, after };
                let found = server.call(async |c2| c2.get_linked_clients(request).await)?;
                Ok(list::clients(found.clients))
            })?;
            list::print(&names, json)
        }
        Task::Link(pair) => pair.make(
            &connect()?,
            json,
            |source, target| format!("{target} gets the public key of {source} as it changes"),
            |source_client, target_client| {
                Change::LinkClient(pb::LinkClientRequest { source_client, target_client })
            },
        ),
        Task::Unlink(pair) => pair.make(
            &connect()?,
            json,
            |source, target| format!("{target} is not told new public keys of {source} any more"),
            |source_client, target_client| {
                Change::UnlinkClient(pb::UnlinkClientRequest { source_client, target_client })
            },
        ),
        Task::SendPubkey(pair) => pair.make(
            &connect()?,
            json,
            |source, target| format!("{target} is sent the public key of {source}"),
            |source_client, target_client| {
                Change::SendClientPubKey(pb::SendClientPubKeyRequest {
                    source_client,
                    target_client,
                })
            },
        ),
        Task::RemovePubkey(pair) => pair.make(
            &connect()?,
            json,
            |source, target| format!("{target} is told to forget the public key of {source}"),
            |source_client, target_client| {
                Change::RemoveClientPubKey(pb::RemoveClientPubKeyRequest {
                    source_client,
                    target_client,
                })
            },
        ),
        Task::ResetPubkeys { target, yes } => {
            if !yes {
                confirm(&format!("Have {} forget all public keys?", shown(target)), "--yes")?;
            }
            let request = pb::ResetClientPubKeysRequest { target_client: client(target) };
            let wish = Wish {
                about: vec![("client", target.clone())],
                done: format!("client {target} is told to forget all public keys"),
                change: Change::ResetClientPubKeys(request),
            };
            change::make(&connect()?, vec![wish], json)
        }
        Task::Resync { names, all } => {
            let everybody = all.then(|| Wish {
                about: Vec::new(),
                done: "everything is sent again to all clients".into(),
                change: Change::Resync(pb::ResyncRequest { client: None }),
            });
            let wish = |name: &String| Wish {
                about: vec![("client", name.clone())],
                done: format!("client {name} is sent everything again"),
                change: Change::Resync(pb::ResyncRequest { client: client(name) }),
            };
            let wishes = everybody.into_iter().chain(names.iter().map(wish)).collect();
            change::make(&connect()?, wishes, json)
        }
    }
}

impl Pair {
    fn make(
        &self,
        server: &Server,
        json: bool,
        done: impl Fn(&str, &str) -> String,
        change: impl Fn(Option<pb::Client>, Option<pb::Client>) -> Change,
    ) -> Result<(), Failure> {
        let wish = Wish {
            about: vec![("source", self.source.clone()), ("target", self.target.clone())],
            done: done(&self.source, &self.target),
            change: change(client(&self.source), client(&self.target)),
        };
        change::make(server, vec![wish], json)
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [name] => format!("client {}", shown(name)),
        names => format!("{} clients", names.len()),
    }
}

fn remove(
    server: &Server,
    names: &[String],
    rotate: bool,
    yes: bool,
    json: bool,
) -> Result<(), Failure> {
    let mut known = Vec::new();
    if !rotate {
        for name in names {
            for topic in list::topics_of(server, name, &Part::default())? {
                if !known.contains(&topic) {
                    known.push(topic);
                }
            }
        }
    }
    let topics: Vec<String> = known.iter().take(10).map(|topic| shown(topic)).collect();
    let more = known.len() - topics.len();
    let topics = match more {
        0 => topics.join(", "),
        more => format!("{} and {more} more", topics.join(", ")),
    };
    if !yes {
        let who = listed(names);
        let question = match (rotate, known.is_empty()) {
            (true, _) => format!("Remove {who} and give its topics new keys?"),
            (false, true) => format!("Remove {who}?"),
            (false, false) => format!(
                "Remove {who}? The keys of {topics} stay as they are (see --rotate-topics)."
            ),
        };
        confirm(&question, "--yes")?;
    }
    let wish = |name: &String| Wish {
        about: vec![("client", name.clone())],
        done: match rotate {
            true => format!("client {name} removed; its topics get new keys"),
            false => format!("client {name} removed"),
        },
        change: Change::RemoveClient(pb::RemoveClientRequest {
            client: client(name),
            rotate_topics: rotate,
        }),
    };
    change::make(server, names.iter().map(wish).collect(), json)?;
    if !known.is_empty() && !json {
        output::line(&format!("it knew the keys of: {topics}"))?;
        output::line("to shut it out of them: e4 topic rotate TOPIC")?;
    }
    Ok(())
}

impl Create {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        let name = &self.name;
        let mut request = pb::NewClientRequest {
            client: client(name),
            must_be_new: !self.replace,
            ..Default::default()
        };
        let made = self.key_file.is_none() && self.password_file.is_none() && !self.password;
        let key = self.key_file.as_deref().map(Given::read).transpose()?;
        if let Some(key) = &key {
            request.key = key.bytes.to_vec();
        } else if let Some(path) = &self.password_file {
            request.password = super::super::first_line(path)?;
        } else if self.password {
            request.password = ask_password(name)?.to_string();
        } else {
            request.generate = true;
        }
        let reserve = |path: &Option<PathBuf>| -> Result<Option<NewFile>, Failure> {
            path.as_ref().map(|path| NewFile::reserve(path, self.force)).transpose()
        };
        let (mut out, code_out) =
            (reserve(&self.out)?.zip(self.out.as_ref()), reserve(&self.qr_out)?);
        let server = common.connect()?;
        if let (Some(key), Some(path)) = (&key, &self.key_file)
            && !key.fits(&server)?
        {
            return Err(Failure::new(format!("{} is an Ed25519 private key", path.display()))
                .hint("symmetric mode needs a key of 32 bytes: e4 keygen --type symmetric"));
        }
        let answer = server.answer(async |c2| c2.new_client(request).await)?;
        let operation = server::operation(&answer);
        let answer = answer.into_inner();
        let key = answer.key.map(Zeroizing::new);
        if made && key.is_none() {
            return Err(Failure::new(format!("the key of client {} did not come", shown(name)))
                .hint("make it again: e4 client create --replace"));
        }
        let mut written = None;
        if let (Some((mut file, path)), Some(key)) = (out.take(), &key) {
            file.write(key).and_then(|()| file.finish()).map_err(|failure| {
                failure.hint("the client has a key that nobody knows: create it again, --replace")
            })?;
            written = Some(path);
        }
        let code = match &key {
            Some(key) if self.qr || code_out.is_some() => {
                let c2 = answer.c2_public_key.as_deref();
                Some(self.code(key, c2, answer.device_broker.as_deref())?)
            }
            _ => None,
        };
        if let (Some(mut file), Some(code)) = (code_out, &code) {
            let bytes = Zeroizing::new(format!("{}\n", code.as_str()));
            file.write(bytes.as_bytes()).and_then(|()| file.finish())?;
        }
        let c2_key = answer.c2_public_key.map(|key| hex(&key));
        if common.json {
            return output::json(&json!({
                "client": name,
                "operation": operation,
                "key": key.as_ref().filter(|_| written.is_none()).map(|key| hex(key)),
                "keyFile": written.map(|path| path.display().to_string()),
                "c2PublicKey": c2_key,
            }));
        }
        let number = operation.map_or(String::new(), |number| format!(" (operation {number})"));
        let done = if self.replace { "provisioned anew" } else { "created" };
        output::line(&format!("client {} {done}{number}", shown(name)))?;
        match (written, &key) {
            (Some(path), _) => output::line(&format!("its key: {}", path.display()))?,
            // The code holds it.
            (None, Some(_)) if code.is_some() => {}
            (None, Some(key)) => {
                output::line(&format!("its key, shown this once: {}", *Zeroizing::new(hex(key))))?;
            }
            (None, None) => {}
        }
        if let Some(path) = &self.qr_out {
            output::line(&format!("the text of its QR code: {}", path.display()))?;
        }
        if let (true, Some(code)) = (self.qr, &code) {
            output::line("everything that it needs, shown this once:")?;
            output::line(&e4_c2::qr::terminal(code)?)?;
        }
        if let Some(key) = c2_key {
            output::line(&format!("C2's public key: {key}"))?;
            output::line("as a file for the device: e4 c2-key show --out c2.pub")?;
        }
        Ok(())
    }
}

impl Create {
    /// The text of a QR code with everything that the device needs.
    fn code(
        &self,
        key: &[u8],
        c2: Option<&[u8]>,
        broker: Option<&str>,
    ) -> Result<Zeroizing<String>, Failure> {
        let c2 = c2.map(e4::C2PublicKey::from_slice).transpose()?;
        let keys = FirstKeys::new(key, c2)?;
        let broker = broker.map(|broker| BrokerAddress::parse(broker, false)).transpose()?;
        Ok(Provision { name: self.name.clone(), keys, broker }.to_text())
    }
}

/// A key of a device, and whether it is a private one of which C2 gets the public half.
pub struct Given {
    pub bytes: Zeroizing<Vec<u8>>,
    pub private: bool,
}

impl Given {
    /// A key raw.
    pub fn raw(bytes: &[u8]) -> Option<Self> {
        match bytes.len() {
            32 => Some(Self { bytes: Zeroizing::new(bytes.to_vec()), private: false }),
            64 => {
                let key = e4::SigningKey::from_slice(bytes).ok()?;
                let bytes = Zeroizing::new(key.public().as_bytes().to_vec());
                Some(Self { bytes, private: true })
            }
            _ => None,
        }
    }

    /// A key raw or in hexadecimal digits.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let digits = std::str::from_utf8(bytes).ok().map(str::trim).and_then(from_hex);
        Self::raw(digits.as_ref().map_or(bytes, |digits| digits))
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::read(path).map(Zeroizing::new);
        let bytes = bytes.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Self::parse(&bytes).ok_or_else(|| {
            Failure::new(format!("{} is no key", path.display()))
                .hint("32 bytes, or an Ed25519 private key of 64; raw or in hexadecimal digits")
        })
    }

    /// Whether a server takes it: for one with symmetric keys a public half would be a secret that
    /// is none.
    pub fn fits(&self, server: &Server) -> Result<bool, Failure> {
        Ok(!self.private || mode(server)? == pb::CryptoMode::CryptomodePubkey)
    }
}

/// The mode of the server.
pub fn mode(server: &Server) -> Result<pb::CryptoMode, Failure> {
    let request = pb::GetCryptoModeRequest {};
    Ok(server.call(async |c2| c2.get_crypto_mode(request).await)?.crypto_mode())
}

/// 32 or 64 bytes in hexadecimal digits.
pub fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits = || text.chars().map(|digit| digit.to_digit(16));
    if !matches!(text.len(), 64 | 128) || digits().any(|digit| digit.is_none()) {
        return None;
    }
    let digits: Zeroizing<Vec<u8>> =
        Zeroizing::new(digits().flatten().filter_map(|digit| u8::try_from(digit).ok()).collect());
    let bytes = digits.chunks_exact(2).map(|pair| match pair {
        [high, low] => high << 4 | low,
        _ => 0,
    });
    Some(Zeroizing::new(bytes.collect()))
}

fn ask_password(name: &str) -> Result<Zeroizing<String>, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("there is no terminal to ask for the password on")
            .hint("give --password-file FILE"));
    }
    let ask = |what: &str| {
        let answer = rpassword::prompt_password(format!("{what} of {}: ", shown(name)));
        answer.map(Zeroizing::new).map_err(|error| Failure::new(format!("no password: {error}")))
    };
    let password = ask("Password")?;
    match *ask("Again, the password")? == *password {
        true => Ok(password),
        false => Err(Failure::new("the two passwords differ")),
    }
}

#[cfg(test)]
mod tests {
    use super::Given;

    fn key(bytes: &[u8]) -> Option<Vec<u8>> {
        Given::parse(bytes).map(|key| key.bytes.to_vec())
    }

    #[test]
    fn keys_raw_and_in_digits() {
        let raw = [0xa5; 32];
        assert_eq!(key(&raw).unwrap(), raw);
        let digits = super::hex(&raw) + "\n";
        assert_eq!(key(digits.as_bytes()).unwrap(), raw);
        let private = e4::SigningKey::random().unwrap();
        assert!(Given::raw(&*private.expose()).unwrap().private);
        let public = private.public().as_bytes().to_vec();
        assert_eq!(key(&*private.expose()).unwrap(), public);
        assert_eq!(key(super::hex(&*private.expose()).as_bytes()).unwrap(), public);
        assert!(key(&raw[1..]).is_none() && key(b"").is_none());
    }
}
