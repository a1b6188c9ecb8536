// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The database of an earlier C2: its clients, topics, keys, memberships and links. Devices keep
//! their keys and go on as they are.
//!
//! Keys are sealed there as E4 seals everything: AES-SIV under `K | K` with one string of associated
//! data, here an empty one, so that a sealed key is not bound to its row. `K` is the legacy
//! derivation of a passphrase (PROTOCOL section 5).

use std::collections::{HashMap, HashSet};

use e4::crypto::password::id_key_from_password;
use e4::crypto::siv;
use e4::{C2SecretKey, ClientId, IdKey, Mode, PublicKey, TopicHash, TopicKey};
use serde_json::json;
use zeroize::Zeroizing;

use crate::domain::{Caller, Error, Millis, Result};
use crate::service::{check_client, check_topic};
use crate::store::{Connection, Database, Fanout, Fault, KeyOfClient, Param, Row, Store, Tx};

/// SIV and key.
const SEALED_LEN: usize = 48;
/// Rows that are read at once.
const PAGE: i64 = 1000;

/// What the keys of the old database are sealed under. Printing it shows nothing.
pub struct OldKey(IdKey);

impl std::fmt::Debug for OldKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OldKey")
    }
}

impl OldKey {
    /// The key of a passphrase: 64 MiB of memory for a moment.
    ///
    /// # Errors
    /// [`Error::Invalid`] below 16 bytes: an earlier C2 took none of those.
    pub fn from_passphrase(passphrase: &str) -> Result<Self> {
        let key = id_key_from_password(passphrase);
        key.map(Self).map_err(|error| Error::invalid("old passphrase", error))
    }

    fn open(&self, sealed: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let (siv, ciphertext) = sealed.split_first_chunk()?;
        let mut plain = Zeroizing::new([0; 32]);
        if sealed.len() != SEALED_LEN {
            return None;
        }
        siv::open(self.0.expose(), &[&[]], siv, ciphertext, &mut *plain).ok()?;
        Some(plain)
    }
}

/// A row that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its table.
    pub table: &'static str,
    /// Its numbers.
    pub row: String,
    /// The name in it, if there is one.
    pub name: String,
    /// Why.
    pub why: String,
}

struct OldClient {
    row: i64,
    name: String,
    id: ClientId,
    key: KeyOfClient,
}

struct OldTopic {
    row: i64,
    name: String,
    hash: TopicHash,
    key: TopicKey,
}

/// What was found in an old database.
pub struct Found {
    mode: Mode,
    clients: Vec<OldClient>,
    topics: Vec<OldTopic>,
    members: Vec<(i64, i64)>,
    links: Vec<(i64, i64)>,
    /// Rows that cannot be taken, and what hangs on them.
    pub refused: Vec<Refused>,
}

/// How much of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Clients.
    pub clients: usize,
    /// Topics.
    pub topics: usize,
    /// Clients of topics.
    pub memberships: usize,
    /// Links between clients.
    pub links: usize,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("size", &self.size()).finish_non_exhaustive()
    }
}

fn pages(
    connection: &mut dyn Connection,
    sql: &'static str,
    key: usize,
    mut each: impl FnMut(&Row) -> Result<()>,
) -> Result<()> {
    let mut after = vec![i64::MIN; key];
    loop {
        let mut params: Vec<Param> = after.iter().map(|at| Param::Int(*at)).collect();
        params.push(Param::Int(PAGE));
        let page = connection.query(sql, &params).map_err(unreadable)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = (0..key).map(|at| last.int(at)).collect::<Result<_>>()?;
        page.iter().try_for_each(&mut each)?;
    }
}

fn unreadable(fault: Fault) -> Error {
    Error::invalid("old database", fault)
}

impl Found {
    /// Reads an old database, in one transaction, and opens every key of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another layout, or a passphrase under which no key opens.
    pub fn read(database: &dyn Database, mode: Mode, key: &OldKey) -> Result<Self> {
        let mut connection = database.connect().map_err(unreadable)?;
        connection.begin(false).map_err(unreadable)?;
        let mut found = Self {
            mode,
            clients: Vec::new(),
            topics: Vec::new(),
            members: Vec::new(),
            links: Vec::new(),
            refused: Vec::new(),
        };
        let done = found.tables(&mut *connection, key);
        connection.rollback();
        done.map(|()| found)
    }

    /// How much can be taken.
    pub fn size(&self) -> Imported {
        Imported {
            clients: self.clients.len(),
            topics: self.topics.len(),
            memberships: self.members.len(),
            links: self.links.len(),
        }
    }

    fn refuse(&mut self, table: &'static str, row: impl ToString, name: &str, why: impl ToString) {
        let (row, why) = (row.to_string(), why.to_string());
        self.refused.push(Refused { table, row, name: name.into(), why });
    }

    fn tables(&mut self, connection: &mut dyn Connection, key: &OldKey) -> Result<()> {
        // How many keys opened, and how many did not.
        let (mut opened, mut closed) = (0usize, 0usize);
        let mut open = |sealed: &[u8]| {
            let plain = key.open(sealed);
            *if plain.is_some() { &mut opened } else { &mut closed } += 1;
            plain.ok_or("its key does not open: the row was altered")
        };
        let mut names = HashSet::new();
        let sql = "SELECT CAST(id AS BIGINT), e4_id, CAST(name AS TEXT), key FROM clients \
                   WHERE id > CAST(?1 AS BIGINT) ORDER BY id LIMIT ?2";
        pages(connection, sql, 1, |row| {
            let (number, name) = (row.int(0)?, row.text_or_null(2)?.unwrap_or_default());
            let sealed = row.blob(3).unwrap_or_default();
            let client = open(sealed).map_err(str::to_string).and_then(|plain| {
                let key = self.client_key(&plain)?;
                let id = client_id(&name, row.blob(1).unwrap_or_default())?;
                Ok(OldClient { row: number, name: name.clone(), id, key })
            });
            match client {
                Ok(_) if !names.insert(name.clone()) => {
                    self.refuse("clients", number, &name, "another one has this name");
                }
                Ok(client) => self.clients.push(client),
                Err(why) => self.refuse("clients", number, &name, why),
            }
            Ok(())
        })?;
        names.clear();
        let sql = "SELECT CAST(id AS BIGINT), CAST(topic AS TEXT), key FROM topic_keys \
                   WHERE id > CAST(?1 AS BIGINT) ORDER BY id LIMIT ?2";
        pages(connection, sql, 1, |row| {
            let (number, name) = (row.int(0)?, row.text_or_null(1)?.unwrap_or_default());
            let sealed = row.blob(2).unwrap_or_default();
            let topic = open(sealed).map_err(str::to_string).and_then(|plain| {
                check_topic(&name).map_err(|error| error.to_string())?;
                let hash = TopicHash::from_topic(&name).map_err(|error| error.to_string())?;
                let key = TopicKey::from_slice(&*plain).map_err(|error| error.to_string())?;
                Ok(OldTopic { row: number, name: name.clone(), hash, key })
            });
            match topic {
                Ok(_) if !names.insert(name.clone()) => {
                    self.refuse("topic_keys", number, &name, "another one is of this topic");
                }
                Ok(topic) => self.topics.push(topic),
                Err(why) => self.refuse("topic_keys", number, &name, why),
            }
            Ok(())
        })?;
        if closed > 0 && opened == 0 {
            return Err(Error::invalid(
                "old passphrase",
                "no key of the old database opens with it",
            ));
        }
        self.pairs(connection)
    }

    /// Memberships and links, of what was taken.
    fn pairs(&mut self, connection: &mut dyn Connection) -> Result<()> {
        const GONE: &str = "one of the two was not taken, or does not exist";
        const TWICE: &str = "it is there twice";
        let clients: HashSet<i64> = self.clients.iter().map(|client| client.row).collect();
        let topics: HashSet<i64> = self.topics.iter().map(|topic| topic.row).collect();
        let sql = "SELECT CAST(client_id AS BIGINT), CAST(topic_key_id AS BIGINT) \
                   FROM clients_topickeys WHERE (client_id, topic_key_id) > \
                   (CAST(?1 AS BIGINT), CAST(?2 AS BIGINT)) \
                   ORDER BY client_id, topic_key_id LIMIT ?3";
        pages(connection, sql, 2, |row| {
            let (client, topic) = (row.int(0)?, row.int(1)?);
            let pair = format!("{client}, {topic}");
            if !clients.contains(&client) || !topics.contains(&topic) {
                self.refuse("clients_topickeys", pair, "", GONE);
            } else if self.members.last() == Some(&(client, topic)) {
                self.refuse("clients_topickeys", pair, "", TWICE);
            } else {
                self.members.push((client, topic));
            }
            Ok(())
        })?;
        let sql = "SELECT CAST(client_id AS BIGINT), CAST(clientkey_id AS BIGINT) \
                   FROM clients_clientkeys WHERE (client_id, clientkey_id) > \
                   (CAST(?1 AS BIGINT), CAST(?2 AS BIGINT)) \
                   ORDER BY client_id, clientkey_id LIMIT ?3";
        pages(connection, sql, 2, |row| {
            let (target, source) = (row.int(0)?, row.int(1)?);
            let pair = format!("{target}, {source}");
            if self.mode == Mode::Symmetric {
                let why = "links exist in public-key mode only";
                self.refuse("clients_clientkeys", pair, "", why);
            } else if !clients.contains(&target) || !clients.contains(&source) {
                self.refuse("clients_clientkeys", pair, "", GONE);
            } else if target == source {
                self.refuse("clients_clientkeys", pair, "", "a client is linked to itself");
            } else if self.links.last() == Some(&(target, source)) {
                self.refuse("clients_clientkeys", pair, "", TWICE);
            } else {
                self.links.push((target, source));
            }
            Ok(())
        })
    }

    fn client_key(&self, plain: &[u8; 32]) -> std::result::Result<KeyOfClient, String> {
        match self.mode {
            Mode::Symmetric => {
                IdKey::from_slice(plain).map(KeyOfClient::Id).map_err(|error| error.to_string())
            }
            Mode::PublicKey => match PublicKey::from_slice(plain) {
                Ok(key) => Ok(KeyOfClient::Public(key, None)),
                Err(_) => Err("its key is no Ed25519 public key; is it a database of the other \
                               mode?"
                    .into()),
            },
        }
    }

    /// Brings it into a database that has no clients and no topics: all of it or nothing. In PK mode
    /// with C2's key pair, which devices know. The reconciler then tells every client everything.
    /// `progress` is told how many of the [`size`](Self::size) are done; it may begin again.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a database that is not empty, a mode that is not its own, a key of C2
    /// that is missing or not wanted; [`Error::Store`].
    pub fn write(
        &self,
        store: &Store,
        c2: Option<&C2SecretKey>,
        who: &Caller,
        now: Millis,
        mut progress: impl FnMut(Imported),
    ) -> Result<Imported> {
        if store.mode() != self.mode {
            return Err(Error::invalid("mode", "this database was set up for the other mode"));
        }
        match (self.mode, c2) {
            (Mode::Symmetric, Some(_)) => {
                return Err(Error::invalid("c2 key", "exists in public-key mode only"));
            }
            (Mode::PublicKey, None) => {
                let why = "is missing: without it no device understands this server";
                return Err(Error::invalid("c2 key", why));
            }
            _ => {}
        }
        store.write(|tx| {
            tx.lock_audit()?;
            if tx.count_clients()? > 0 || tx.count_topics()? > 0 {
                return Err(Error::invalid("database", "has clients or topics already"));
            }
            if let Some(key) = c2 {
                tx.replace_c2_key(key, now)?;
            }
            self.rows(tx, now, &mut progress)?;
            let size = self.size();
            let detail = json!({
                "clients": size.clients,
                "topics": size.topics,
                "memberships": size.memberships,
                "links": size.links,
                "refused": self.refused.len(),
            });
            tx.audit(now, who, "import", &detail)?;
            tx.fan_out(Fanout::Everyone)?;
            Ok(size)
        })
    }

    fn rows(&self, tx: &mut Tx, now: Millis, progress: &mut impl FnMut(Imported)) -> Result<()> {
        let mut done = Imported::default();
        let mut step = |done: &Imported| {
            let Imported { clients, topics, memberships, links } = *done;
            if (clients + topics + memberships + links).is_multiple_of(1000) {
                progress(*done);
            }
        };
        let (mut clients, mut topics) = (HashMap::new(), HashMap::new());
        for old in &self.clients {
            let known = || Error::invalid("database", format!("{:?} is there already", old.name));
            let client = tx.insert_client(&old.name, old.id, now)?.ok_or_else(known)?;
            tx.insert_client_key(client.row, client.key_epoch, &old.key, now)?;
            clients.insert(old.row, client.row);
            done.clients += 1;
            step(&done);
        }
        for old in &self.topics {
            let topic = tx.insert_topic(&old.name, old.hash, now)?;
            tx.insert_topic_key(&topic, &old.key, now)?;
            topics.insert(old.row, topic.row);
            done.topics += 1;
            step(&done);
        }
        for (client, topic) in &self.members {
            if let (Some(client), Some(topic)) = (clients.get(client), topics.get(topic)) {
                tx.wish_topic(*client, *topic, now)?;
            }
            done.memberships += 1;
            step(&done);
        }
        for (target, source) in &self.links {
            if let (Some(target), Some(source)) = (clients.get(target), clients.get(source)) {
                tx.link(*source, *target)?;
            }
            done.links += 1;
            step(&done);
        }
        Ok(())
    }
}

fn client_id(name: &str, id: &[u8]) -> std::result::Result<ClientId, String> {
    check_client("name", name).map_err(|error| error.to_string())?;
    let own = ClientId::from_name(name).map_err(|error| error.to_string())?;
    if own.as_bytes() != id {
        return Err("its id is not the hash of its name".into());
    }
    Ok(own)
}
