// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a client still needs, as commands that are protected now.
//!
//! Order and timestamps: a client refuses a command that is older than the newest one it applied
//! (PROTOCOL section 7), so the timestamps of one client never decrease. Within one second the order
//! of arrival is the broker's; hence a command that contradicts one of the same second waits for
//! the next, and a reset, and new keys before it, are stamped a second before what follows. Where
//! the newest timestamp is ahead of the clock, because the clock went back or another server's is
//! ahead, and not by a moment, the next second is taken at once.

use std::collections::{HashMap, HashSet};

use e4::protect::{ProtectedCommand, protect_command};
use e4::{
    ClientId, Command, IdKey, Mode, PublicKey, SharedKey, SigningKey, Timestamp, TopicHash,
    TopicKey,
};

use super::patience::Patience;
use crate::domain::{ClientRow, Error, Holding, Kind, Millis, RESET_PEERS, RESET_TOPICS, Result};
use crate::store::{C2Key, ClientKey, Handed, KeyOfClient, Sent, Tx};

/// How far ahead of the clock, in seconds, the newest timestamp of a client may be for what
/// contradicts it to wait. Between servers, or behind a lock, clocks differ that much.
const MOMENT: i64 = 3;

/// A command on its way.
pub struct Letter {
    /// Whose.
    pub id: ClientId,
    /// The bytes.
    pub payload: ProtectedCommand,
    /// What it is about.
    pub about: Handed,
}

/// The commands for one client, and when to look again.
pub struct Round {
    /// Row of the client.
    pub client: i64,
    /// When the client is due if nothing is heard of these commands.
    pub lease: Millis,
    /// How long to wait once the broker took them.
    pub wait: Millis,
    /// In this order.
    pub letters: Vec<Letter>,
    /// How many of them repeat what was sent before.
    pub again: usize,
}

/// What a batch of rounds shares.
pub struct Batch {
    c2: Vec<C2Key>,
    topics: HashMap<(i64, i64), TopicKey>,
}

impl Batch {
    /// Loads C2's keys.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn load(tx: &mut Tx) -> Result<Self> {
        let c2 = match tx.mode() {
            Mode::Symmetric => Vec::new(),
            Mode::PublicKey => tx.c2_keys()?,
        };
        Ok(Self { c2, topics: HashMap::new() })
    }

    fn c2_epoch(&self) -> i64 {
        self.c2.last().map_or(0, |key| key.epoch)
    }

    fn topic_key(&mut self, tx: &Tx, holding: &Holding) -> Result<Option<TopicKey>> {
        let Some(sealed) = &holding.key else { return Ok(None) };
        let place = (holding.subject, holding.target);
        if let std::collections::hash_map::Entry::Vacant(entry) = self.topics.entry(place) {
            entry.insert(tx.open_topic_key(holding.subject, holding.target, sealed)?);
        }
        let copy = self.topics.get(&place).map(|key| TopicKey::from_slice(key.expose()));
        copy.transpose().map_err(Error::Message)
    }
}

/// A key under which a client may take commands.
enum Under {
    Id(IdKey),
    Shared(SharedKey),
}

impl Under {
    /// The key that a client and C2 share if the client holds these; `None` if they cannot.
    fn of(key: &ClientKey, c2: Option<&C2Key>) -> Option<Self> {
        match (&key.key, c2) {
            (KeyOfClient::Id(key), _) => IdKey::from_slice(key.expose()).ok().map(Under::Id),
            (KeyOfClient::Public(public, _), Some(c2)) => {
                SharedKey::for_c2(&c2.secret, public).ok().map(Under::Shared)
            }
            (KeyOfClient::Public(..), None) => None,
        }
    }

    fn protect(&self, stamp: i64, command: &Command) -> Result<ProtectedCommand> {
        let stamp = Timestamp::from_secs(u64::try_from(stamp).unwrap_or_default());
        match self {
            Under::Id(key) => protect_command(key, stamp, command),
            Under::Shared(key) => protect_command(key, stamp, command),
        }
        .map_err(Error::Message)
    }
}

/// Looks at a client that is due, stores what is about to be sent, and returns it.
///
/// # Errors
/// [`Error::Store`].
pub fn round(
    tx: &mut Tx,
    batch: &mut Batch,
    mut client: ClientRow,
    patience: &Patience,
    now: Millis,
) -> Result<Option<Round>> {
    let reset = client.reset != 0;
    // A reset takes away what was confirmed as well: all of it goes along, each time.
    if client.reset & RESET_TOPICS != 0 {
        tx.unconfirm(client.row, Kind::Topic)?;
    }
    if client.reset & RESET_PEERS != 0 {
        tx.unconfirm(client.row, Kind::Peer)?;
    }
    let unsettled = tx.unsettled(client.row)?;
    let unsettled = without_void(tx, &client, unsettled)?;
    let seconds = now.div_euclid(1000);
    let mut stamp = seconds.max(client.stamp);
    let silent = !client.answers;
    let worth = |tries: i64| !silent || tries < patience.silent_tries;

    let mut contradicts = unsettled.contradicts(stamp);
    let items: Vec<&Holding> = unsettled
        .items
        .iter()
        .filter(|item| reset || item.sent != item.target || worth(item.tries))
        .filter(|item| item.target == 0 || item.key.is_some())
        .collect();
    let ladder = client.ladder_tries(batch.c2_epoch());
    if items.is_empty() && !reset && !ladder.is_some_and(worth) {
        client.due_at = None;
        tx.end_round(&client)?;
        return Ok(None);
    }
    // A reset needs a second of its own before the present one.
    contradicts |= reset && client.stamp == stamp;
    if contradicts && stamp <= seconds + MOMENT {
        client.due_at = Some((stamp + 1) * 1000);
        tx.end_round(&client)?;
        return Ok(None);
    }
    stamp += i64::from(contradicts);

    let keys = tx.client_keys(client.row, client.key_confirmed)?;
    let c2: Vec<&C2Key> = batch.c2.iter().filter(|key| key.epoch >= client.c2_confirmed).collect();
    let mut letters = Letters { id: client.id, all: Vec::new() };
    // The client takes no reset that is older than the keys before it.
    let first = if reset { stamp - 1 } else { stamp };
    let newest = match letters.ladder(&client, &keys, &c2, first)? {
        Some(under) => under,
        None => {
            client.due_at = None;
            client.trouble = Some("C2 holds no key that the client may know".into());
            tx.end_round(&client)?;
            return Ok(None);
        }
    };
    if client.reset & RESET_TOPICS != 0 {
        let payload = newest.protect(first, &Command::ResetTopics)?;
        letters.push(payload, Handed::Reset);
    }
    if client.reset & RESET_PEERS != 0 {
        let payload = newest.protect(first, &Command::ResetPubKeys)?;
        letters.push(payload, Handed::Reset);
    }
    let mut tries = i64::MAX;
    let mut again = if ladder.is_some_and(|before| before > 0) { letters.all.len() } else { 0 };
    for item in items {
        let Some(command) = command(tx, batch, item)? else { continue };
        let payload = newest.protect(stamp, &command)?;
        let siv = payload.siv();
        let sent = Sent { kind: item.kind, subject: item.subject, target: item.target, siv, stamp };
        tx.sent(client.row, &sent, now)?;
        letters.push(payload, Handed::Holding(item.kind, item.subject, siv));
        let repeats = item.sent == item.target;
        again += usize::from(repeats);
        tries = tries.min(if repeats { item.tries + 1 } else { 1 });
    }
    if let Some(before) = ladder {
        tries = tries.min(before + 1);
        client.key_tries += 1;
        client.c2_tries += 1;
    }
    if reset && client.answers {
        client.drift = client.drift.max(1) + 1;
        tries = tries.min(client.drift);
    }
    client.stamp = stamp;
    client.due_at = Some(now + patience.lease());
    tx.end_round(&client)?;
    Ok(Some(Round {
        client: client.row,
        lease: now + patience.lease(),
        wait: patience.wait(tries),
        letters: letters.all,
        again,
    }))
}

/// What a client has not confirmed, and the timestamps of removals that something newer made void.
struct Unsettled {
    items: Vec<Holding>,
    void: Vec<(Kind, [u8; 16], i64)>,
}

impl Unsettled {
    /// Whether something is to be sent that contradicts what was sent in this second.
    fn contradicts(&self, stamp: i64) -> bool {
        self.items.iter().any(|item| {
            let before = item.stamp == stamp && item.sent != item.target;
            let void = |(kind, id, at): &(Kind, [u8; 16], i64)| {
                *kind == item.kind && *id == item.id && *at == stamp
            };
            before || self.void.iter().any(void)
        })
    }
}

/// A topic that was removed and created again is another one of the same name: its key makes the
/// removal void. The same goes for clients.
fn without_void(tx: &mut Tx, client: &ClientRow, items: Vec<Holding>) -> Result<Unsettled> {
    if items.iter().all(|item| item.target != 0) {
        return Ok(Unsettled { items, void: Vec::new() });
    }
    let wanted: HashSet<(Kind, [u8; 16])> = tx
        .holdings(client.row)?
        .iter()
        .filter(|holding| holding.target != 0)
        .map(|holding| (holding.kind, holding.id))
        .collect();
    let (void, items): (Vec<Holding>, Vec<Holding>) = items
        .into_iter()
        .partition(|item| item.target == 0 && wanted.contains(&(item.kind, item.id)));
    for item in &void {
        tx.forget_holding(client.row, item.kind, item.subject)?;
    }
    Ok(Unsettled {
        items,
        void: void.iter().map(|item| (item.kind, item.id, item.stamp)).collect(),
    })
}

fn command(tx: &Tx, batch: &mut Batch, item: &Holding) -> Result<Option<Command>> {
    Ok(match (item.kind, item.target) {
        (Kind::Topic, 0) => Some(Command::RemoveTopic { topic: TopicHash::from_bytes(item.id) }),
        (Kind::Topic, _) => batch
            .topic_key(tx, item)?
            .map(|key| Command::SetTopicKey { topic: TopicHash::from_bytes(item.id), key }),
        (Kind::Peer, 0) => Some(Command::RemovePubKey { id: ClientId::from_bytes(item.id) }),
        (Kind::Peer, _) => {
            let key = item.key.as_deref().map(PublicKey::from_slice).transpose();
            key.map_err(|_| Error::Store("a stored public key is none".into()))?
                .map(|key| Command::SetPubKey { id: ClientId::from_bytes(item.id), key })
        }
    })
}

/// Commands of a round, in their order.
struct Letters {
    id: ClientId,
    all: Vec<Letter>,
}

impl Letters {
    fn push(&mut self, payload: ProtectedCommand, about: Handed) {
        self.all.push(Letter { id: self.id, payload, about });
    }

    /// The keys of the client's own and of C2 under each pair that the client may still hold, and
    /// the key under which everything else goes: the one that it holds after that.
    fn ladder(
        &mut self,
        client: &ClientRow,
        keys: &[ClientKey],
        c2: &[&C2Key],
        stamp: i64,
    ) -> Result<Option<Under>> {
        let Some((newest, older)) = keys.split_last() else { return Ok(None) };
        let pairs: Vec<Option<&C2Key>> = match &newest.key {
            KeyOfClient::Id(_) => vec![None],
            KeyOfClient::Public(..) => c2.iter().copied().map(Some).collect(),
        };
        let Some((newest_c2, older_c2)) = pairs.split_last() else { return Ok(None) };
        for (key, pair) in older.iter().flat_map(|key| pairs.iter().map(move |pair| (key, pair))) {
            if let (Some(under), Some(command)) = (Under::of(key, *pair), set_client_key(newest)?) {
                let payload = under.protect(stamp, &command)?;
                self.push(payload, Handed::ClientKey(client.key_epoch));
            }
        }
        for pair in older_c2 {
            if let (Some(under), Some(newest_c2)) = (Under::of(newest, *pair), newest_c2) {
                let payload = under.protect(stamp, &Command::SetC2Key { key: newest_c2.public })?;
                self.push(payload, Handed::C2Key(newest_c2.epoch));
            }
        }
        Ok(Under::of(newest, *newest_c2))
    }
}

fn set_client_key(newest: &ClientKey) -> Result<Option<Command>> {
    Ok(match &newest.key {
        KeyOfClient::Id(key) => {
            let key = IdKey::from_slice(key.expose()).map_err(Error::Message)?;
            Some(Command::SetIdKey { key })
        }
        KeyOfClient::Public(_, Some(key)) => {
            let key = SigningKey::from_slice(&*key.expose()).map_err(Error::Message)?;
            Some(Command::SetSigningKey { key })
        }
        // The device made its key itself.
        KeyOfClient::Public(_, None) => None,
    })
}
