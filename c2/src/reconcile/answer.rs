// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a client says of itself (PROTOCOL section 8): an answer to a command, or a hello.

use e4::protect::{StateDigester, Window, open_answer};
use e4::wire::answer::{ANSWER_LEN, Answer};
use e4::{ClientId, Mode, SharedKey, Timestamp};

use crate::domain::{ClientRow, Holding, Kind, Millis, Result};
use crate::store::{Answered, C2Key, ClientKey, KeyOfClient, Tx};

/// How old a command may be before its client, when it shows itself, is sent it again.
const FRESH: Millis = 3_000;
/// Resets that did not help an awake client so often will not help at all. Of a network that loses
/// one command in five, half of them do not arrive as a whole.
const RESETS_MAX: i64 = 12;
/// SIVs of answers of one second that are remembered, in bytes.
const SIVS_MAX: usize = 64 * 16;

/// What was made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Not from a client that is known, or too old, or seen before.
    Ignored,
    /// It opens under none of the keys that the client may hold, for the first time.
    Foreign(String),
    /// The client said how it stands, and something is missing.
    Behind(String),
    /// The client said how it stands, and that is as it should be.
    Confirmed(String),
}

/// What is measured on the way.
#[derive(Debug, Default)]
pub struct Measured {
    /// From a new key until it was confirmed, in milliseconds.
    pub lags: Vec<Millis>,
    /// Commands that were refused.
    pub refused: u64,
}

impl Measured {
    fn confirmed(&mut self, made_at: Option<Millis>, now: Millis) {
        self.lags.extend(made_at.map(|at| now.saturating_sub(at).max(0)));
    }
}

/// Takes an answer in.
///
/// # Errors
/// [`Error::Store`](crate::domain::Error::Store).
pub fn hear(
    tx: &mut Tx,
    id: ClientId,
    payload: &[u8],
    now: Millis,
    measured: &mut Measured,
) -> Result<Heard> {
    if payload.len() != ANSWER_LEN {
        return Ok(Heard::Ignored);
    }
    let Some(mut client) = tx.lock_client_by_id(id)? else { return Ok(Heard::Ignored) };
    let keys = tx.client_keys(client.row, client.key_confirmed)?;
    let c2 = match tx.mode() {
        Mode::Symmetric => Vec::new(),
        Mode::PublicKey => tx.c2_keys()?,
    };
    let (Some(time), Some(siv)) = (payload.first_chunk(), payload.get(8..24)) else {
        return Ok(Heard::Ignored);
    };
    let time = Timestamp::from_secs(u64::from_le_bytes(*time));
    let clock = Timestamp::from_secs(u64::try_from(now.div_euclid(1000)).unwrap_or_default());
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    // Several servers hear the same answer, and a broker may deliver it twice.
    let repeated = seconds == client.answered && client.answer_sivs.chunks(16).any(|at| at == siv);
    if Window::default().check(time, clock).is_err() || seconds < client.answered || repeated {
        return Ok(Heard::Ignored);
    }
    let Some((key, pair, answer)) = open(&client, &keys, &c2, payload) else {
        // Anybody may publish there: once is enough, in the database and in the log.
        if client.trouble.is_some() {
            return Ok(Heard::Ignored);
        }
        client.trouble = Some(
            "what it says opens under none of the keys that C2 has for it: it was given \
             another one, or C2 was restored from an older backup. Provision it again"
                .into(),
        );
        tx.update_client(&client)?;
        return Ok(Heard::Foreign(client.name));
    };
    client.answers = true;
    if seconds > client.answered {
        client.answer_sivs.clear();
    }
    let room = client.answer_sivs.len().saturating_sub(SIVS_MAX - 16);
    client.answer_sivs.drain(..room);
    client.answer_sivs.extend_from_slice(siv);
    client.answered = seconds;
    client.seen_at = Some(now);
    if client.drift == 0 {
        // It speaks under a key that C2 knows.
        client.trouble = None;
    }
    confirm_keys(tx, &mut client, [key, pair], now, measured)?;
    let newest = c2.last().map_or(0, |key| key.epoch);
    let right = take(tx, &mut client, &answer, newest, now, measured)?;
    tx.update_client(&client)?;
    Ok(if right { Heard::Confirmed(client.name) } else { Heard::Behind(client.name) })
}

/// The newest key that opens it says where the client stands.
fn open(
    client: &ClientRow,
    keys: &[ClientKey],
    c2: &[C2Key],
    payload: &[u8],
) -> Option<(i64, i64, Answer)> {
    keys.iter().rev().find_map(|key| match &key.key {
        KeyOfClient::Id(id) => {
            open_answer(id, payload).ok().map(|(_, answer)| (key.epoch, 0, answer))
        }
        KeyOfClient::Public(public, _) => {
            c2.iter().rev().filter(|pair| pair.epoch >= client.c2_confirmed).find_map(|pair| {
                let shared = SharedKey::for_c2(&pair.secret, public).ok()?;
                let (_, answer) = open_answer(&shared, payload).ok()?;
                Some((key.epoch, pair.epoch, answer))
            })
        }
    })
}

fn confirm_keys(
    tx: &mut Tx,
    client: &mut ClientRow,
    [key, c2]: [i64; 2],
    now: Millis,
    measured: &mut Measured,
) -> Result<()> {
    if key > client.key_confirmed {
        measured.confirmed(tx.client_key_made_at(client.row, key)?, now);
        (client.key_confirmed, client.key_tries) = (key, 0);
        client.key_handed = client.key_handed.max(key);
        tx.forget_client_keys(client.row, key)?;
    }
    if c2 > client.c2_confirmed {
        measured.confirmed(tx.c2_key_made_at(c2)?, now);
        (client.c2_confirmed, client.c2_tries) = (c2, 0);
        client.c2_handed = client.c2_handed.max(c2);
    }
    Ok(())
}

/// Whether the client stands as it should.
fn take(
    tx: &mut Tx,
    client: &mut ClientRow,
    answer: &Answer,
    c2_epoch: i64,
    now: Millis,
    measured: &mut Measured,
) -> Result<bool> {
    let hello = answer.command.is_none();
    let answered = match &answer.command {
        None => Answered::Other,
        Some(siv) => {
            let error = answer.status.err().map(|error| i64::from(error.number()));
            measured.refused += u64::from(error.is_some());
            if error.is_none() {
                measured.confirmed(tx.rotated_at(client.row, siv)?, now);
            }
            let answered = tx.answered(client.row, siv, error, now)?;
            if answered == Answered::Newest && error.is_none() {
                tx.forget_removals(client.row)?;
            }
            answered
        }
    };
    let unsettled = tx.unsettled(client.row)?;
    let ladder = client.ladder_tries(c2_epoch).is_some();
    if answered != Answered::Newest || unsettled.is_empty() {
        // The client says what it holds: that is worth more than all that was counted here.
        let wanted = tx.wanted_digest(client.row)?;
        if wanted == answer.digest {
            for item in &unsettled {
                if item.kind == Kind::Topic && item.confirmed > 0 && item.confirmed < item.target {
                    measured.confirmed(tx.topic_key_made_at(item.subject, item.target)?, now);
                }
            }
            tx.settle(client, &unsettled, now)?;
            (client.reset, client.drift, client.trouble) = (0, 0, None);
            client.due_at = ladder.then_some(now);
            return Ok(!ladder);
        }
        if hello && client.drift > 1 {
            // It may have slept through all that was tried.
            client.drift = i64::from(client.reset != 0);
            client.trouble = None;
        }
        // An answer to something else may be older than what was confirmed since: it is no reason
        // for a reset.
        let certain = match answered {
            Answered::Newest => true,
            Answered::Other => client.reset == 0 && (hello || client.drift == 0),
            Answered::Known => false,
        };
        if unsettled.is_empty() && !ladder && certain {
            drifted(tx, client, now)?;
            return Ok(false);
        }
    }
    // It is awake: what it was sent while it slept is sent again at once.
    let waits = |item: &Holding| item.sent != item.target || item.changed_at < now - FRESH;
    let stale = unsettled.iter().any(waits) || (ladder && client.key_tries + client.c2_tries == 0);
    if hello || stale {
        tx.try_again(client.row)?;
        (client.key_tries, client.c2_tries) = (0, 0);
        client.due_at = Some(now);
    }
    Ok(unsettled.is_empty() && !ladder)
}

/// The client confirmed everything, and yet holds something else: it is told everything again, and
/// if that does not help it forgets everything first.
fn drifted(tx: &mut Tx, client: &mut ClientRow, now: Millis) -> Result<()> {
    if client.drift >= RESETS_MAX {
        (client.reset, client.due_at) = (0, None);
        client.trouble = Some("its state differs from what it should be, even after resets".into());
        return Ok(());
    }
    let nothing = tx.holdings(client.row)?.iter().all(|holding| holding.target == 0);
    if client.drift == 0 && !nothing {
        client.drift = 1;
    } else {
        client.drift = client.drift.max(1);
        client.reset = tx.everything();
    }
    tx.tell_again(client.row)?;
    client.due_at = Some(now);
    Ok(())
}

impl Tx<'_> {
    /// The digest of a client that holds exactly what it should (PROTOCOL section 11).
    ///
    /// # Errors
    /// [`Error::Store`](crate::domain::Error::Store).
    pub fn wanted_digest(&mut self, client: i64) -> Result<e4::wire::answer::StateDigest> {
        let mut holdings = self.holdings(client)?;
        holdings.retain(|holding| holding.target != 0);
        holdings.sort_by_key(|holding| (holding.kind, holding.id));
        let mut digest = StateDigester::default();
        for holding in &holdings {
            let Some(print) = &holding.print else { continue };
            match holding.kind {
                Kind::Topic => digest.topic(&holding.id, print),
                Kind::Peer => digest.peer(&holding.id, print),
            }
        }
        Ok(digest.finish())
    }
}
