// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Kinds that need a client: messages, commands, sequences, imported states.

use e4::client::import::Imported;
use e4::{
    C2PublicKey, Client, ClientId, Error, IdKey, Identity, MemoryStorage, SigningKey, Timestamp,
    TopicHash, TopicKey, protect,
};
use serde_json::Value;

use super::Case;
use super::device::{Device, initial, own_keys, state_of, topics_of};
use super::json::{
    Check, array, bytes, clock, field, hex_map, number, optional, same, text, text_bytes,
};
use super::model::{self, Outcome, Own, State, Tolerance, Topic, control_topic};
use super::rules::{Peer, Rule, Who, error_of};

type Rules = Check<Vec<&'static Rule>>;

fn both(out: &Value, e4go: &str, libe4: &str) -> Vec<(Who, Value)> {
    let of = |who, name| out.get(name).cloned().map(|value| (who, value));
    [of(Who::E4go, e4go), of(Who::Libe4, libe4)].into_iter().flatten().collect()
}

fn peers(answers: &[(Who, Value)]) -> Vec<Peer<'_>> {
    answers.iter().filter_map(|(who, value)| Peer::new(*who, Some(value))).collect()
}

/// The clock of a case: given, or that of the first peer asked.
fn case_clock(input: &Value, answers: &[(Who, Value)]) -> Check<u64> {
    optional(input, "receiver_clock_s")
        .and_then(Value::as_u64)
        .or_else(|| answers.iter().find_map(|(_, value)| clock(value)))
        .ok_or_else(|| "the case has no clock".into())
}

/// sk_messages and pk_messages: our bytes are the producer's, and they open again.
pub fn messages(case: &Case<'_>) -> Rules {
    let (input, out) = (case.input, case.out()?);
    let topic = text(input, "topic")?;
    let payload = bytes(input, "payload")?;
    let key: [u8; 32] = array(input, "topic_key")?;
    let protected = bytes(out, "protected")?;
    let sent = number(out, "timestamp")?;
    same("timestamp", &sent.to_le_bytes(), protected.get(..8).unwrap_or_default())?;
    if payload.len() as u64 != number(input, "payload_len")? {
        return Err("payload_len differs from the payload".into());
    }
    let hash = TopicHash::from_topic(topic).map_err(|error| error.to_string())?;
    same("topic_hash", &array::<16>(input, "topic_hash")?, hash.as_bytes())?;
    let topic_key = TopicKey::from_slice(&key).map_err(|error| error.to_string())?;
    let now = Timestamp::from_secs(sent);
    let mut buffer = vec![0; payload.len() + 104];
    // A receiver that holds the topic key and the signer's public key, and a sender.
    let signer = match optional(input, "signer_id") {
        None => None,
        Some(_) => Some((array(input, "signer_id")?, bytes(input, "signer_ed_seed")?)),
    };
    let (made, own) = match &signer {
        None => {
            let made = protect::protect(&topic_key, now, &payload, &mut buffer);
            (made, Own::Symmetric([7; 32]))
        }
        Some((id, seed)) => {
            let signing = SigningKey::from_seed(seed).map_err(|error| error.to_string())?;
            let public = signing.public();
            same("signer_ed_public", &array::<32>(input, "signer_ed_public")?, public.as_bytes())?;
            let id = ClientId::from_bytes(*id);
            let made =
                protect::protect_signed(&topic_key, id, &signing, now, &payload, &mut buffer);
            let mut base = [0; 32];
            base[0] = 9;
            (made, Own::Pair(*signing.expose(), base))
        }
    };
    let made = made.map_err(|error| format!("protect: {error}"))?.to_vec();
    // Section 10: what libe4 signs with a key in our form never verifies; all before the
    // signature is still the same.
    let answers = both(out, "opened_by_e4go", "opened_by_libe4");
    let unsigned = signer.is_some() && peers(&answers).iter().all(|peer| !peer.accepted());
    let compared = if unsigned { protected.len().saturating_sub(64) } else { protected.len() };
    same(
        "protected",
        protected.get(..compared).unwrap_or_default(),
        made.get(..compared).unwrap_or(&made),
    )?;

    let id = signer.as_ref().map_or([3; 16], |(id, _)| *id);
    let mut state = State::new(id, own);
    state.topics.insert(*hash.as_bytes(), Topic { key, previous: None });
    if let Some((id, _)) = &signer {
        state.peers.insert(*id, array(input, "signer_ed_public")?);
    }
    let mut device = Device::provision(&state, Tolerance::default(), 0)?;
    if !unsigned {
        let sent = device.protect(sent, topic, &payload).map_err(|error| error.to_string())?;
        same("protected by the client", &protected, &sent)?;
    }
    let step = device.step(case_clock(input, &answers)?, topic, &protected, &peers(&answers))?;
    match &step.ours {
        Outcome::Message { payload: opened, .. } => same("payload", &payload, opened)?,
        Outcome::Refused(Error::SignatureInvalid) if unsigned => {}
        other => return Err(format!("expected the payload, got {other:?}")),
    }
    Ok(step.rules)
}

/// negative_sk, negative_pk and timestamps: one message for one receiver, or one protect.
pub fn message_for_receiver(case: &Case<'_>) -> Rules {
    let (input, out) = (case.input, case.out()?);
    if optional(input, "op").and_then(Value::as_str) == Some("protect") {
        return protect_refused(case);
    }
    let options = optional(input, "libe4_opts").and_then(Value::as_u64).unwrap_or(0);
    // The options of libe4 that PROTOCOL.md has as settings.
    let wide = if options & 1 != 0 { u64::from(u32::MAX) } else { 600 };
    let tolerance = Tolerance {
        past: wide,
        future: wide,
        unknown_signers: options & 2 != 0,
        ..Tolerance::default()
    };
    let topic = text(input, "topic")?;
    let state = if optional(input, "receiver_topic_keys").is_some() {
        initial(input)?
    } else {
        receiver_of_one_message(input, topic)?
    };
    let protected = bytes(input, "protected")?;
    let answers = both(out, "e4go", "libe4");
    let now = case_clock(input, &answers)?;
    let mut device = Device::provision(&state, tolerance, options)?;
    let step = device.step(now, topic, &protected, &peers(&answers))?;
    if let Outcome::Message { payload, .. } = &step.ours {
        let name =
            if optional(input, "payload").is_some() { "payload" } else { "original_payload" };
        // An altered or replaced message may open to another payload, which a peer then states.
        let stated = answers.iter().any(|(_, value)| optional(value, "payload").is_some());
        if !stated {
            same(name, &bytes(input, name)?, payload)?;
        }
    }
    device.trial(now, &topics_of(input))?;
    Ok(step.rules)
}

fn receiver_of_one_message(input: &Value, topic: &str) -> Check<State> {
    let own = match own_keys(input) {
        Ok(own) => own,
        // The case names the signer alone; any receiver will do.
        Err(_) => {
            let signing = SigningKey::from_seed(&[5; 32]).map_err(|error| error.to_string())?;
            let mut base = [0; 32];
            base[0] = 9;
            Own::Pair(*signing.expose(), base)
        }
    };
    let mut state = State::new([3; 16], own);
    let key = array(input, "topic_key")?;
    state.topics.insert(model::short(topic.as_bytes()), Topic { key, previous: None });
    if optional(input, "signer_id").is_some() {
        state.peers.insert(array(input, "signer_id")?, array(input, "signer_ed_public")?);
    }
    Ok(state)
}

/// `op: protect`: no key, the control topic, or a key that is refused before it is used.
fn protect_refused(case: &Case<'_>) -> Rules {
    let (input, out) = (case.input, case.out()?);
    let topic = text(input, "topic")?;
    let payload = bytes(input, "original_payload")?;
    let id = match optional(input, "receiver_id") {
        Some(_) => array(input, "receiver_id")?,
        None => [3; 16],
    };
    let own = own_keys(input).unwrap_or(Own::Symmetric([7; 32]));
    let mut state = State::new(id, own);
    let key = match optional(input, "topic_key") {
        Some(_) => Some(TopicKey::from_slice(&bytes(input, "topic_key")?)),
        None => None,
    };
    if let Some(Ok(key)) = &key {
        let hash = model::short(topic.as_bytes());
        state.topics.insert(hash, Topic { key: *key.expose(), previous: None });
    }
    let device = Device::provision(&state, Tolerance::default(), 0)?;
    let answers = both(out, "e4go", "libe4");
    let now = case_clock(input, &answers)?;
    let own_topic = topic == control_topic(&id);
    let got = match key {
        Some(Err(error)) => Err(error),
        _ => device.protect(now, topic, &payload),
    };
    for peer in peers(&answers) {
        match (&got, peer.accepted()) {
            // Section 7: the control topic cannot be protected for; libe4 uses the id key, and
            // e4go misses a topic key.
            (Err(Error::InvalidTopic), _) if own_topic => {}
            (Err(error), false) if peer.error() == Some(*error) => {}
            (Ok(made), true) => {
                let theirs = bytes(peer.value, "protected")?;
                let sent = theirs.first_chunk().map_or(0, |time| u64::from_le_bytes(*time));
                let again = device.protect(sent, topic, &payload);
                same("protected", &theirs, again.as_deref().unwrap_or(made))?;
            }
            (got, _) => {
                let theirs = peer.value.get("error");
                return Err(format!("protect: {:?} answers {theirs:?}, got {got:?}", peer.who));
            }
        }
    }
    if own_topic && got != Err(Error::InvalidTopic) {
        return Err(format!("protect for the control topic: expected InvalidTopic, got {got:?}"));
    }
    Ok(Vec::new())
}

/// commands_protected and negative_commands.
pub fn commands(case: &Case<'_>) -> Rules {
    let (input, out) = (case.input, case.out()?);
    let state = initial(input)?;
    let protected = bytes(input, "protected")?;
    let answers = both(out, "e4go", "libe4");
    let now = case_clock(input, &answers)?;
    let topic = text(input, "receiving_topic")?;
    same("receiving_topic", control_topic(&state.id).as_bytes(), topic.as_bytes())?;
    if optional(input, "shared_key").is_some() {
        same("shared_key", &array::<32>(input, "shared_key")?, &state.command_key())?;
    }
    let mut device = Device::provision(&state, Tolerance::default(), 0)?;
    let before = device.client.digest().map_err(|error| error.to_string())?;
    let step = device.step(now, topic, &protected, &peers(&answers))?;
    if let (Some(_), Some(plain)) = (optional(input, "command"), &step.command) {
        same("command", &bytes(input, "command")?, plain)?;
    }
    let after = device.client.digest().map_err(|error| error.to_string())?;
    if matches!(step.ours, Outcome::Refused(_)) && before != after {
        return Err("a refused command changed the state".into());
    }
    for peer in peers(&answers) {
        let taken = !matches!(step.ours, Outcome::Refused(_));
        let Some(theirs) = optional(peer.value, "state").filter(|_| taken == peer.accepted())
        else {
            continue;
        };
        match peer.who {
            Who::E4go => device.same_as_e4go(theirs)?,
            Who::Libe4 => device.same_as_libe4(theirs)?,
        }
    }
    device.trial(now, &topics_of(input))?;
    Ok(step.rules)
}

/// sequences: one client, step by step, from e4go's own state file to e4go's own state file.
pub fn sequences(case: &Case<'_>) -> Rules {
    let input = case.input;
    let state = state_of(field(input, "initial_state")?)?;
    let file = text(input, "initial_e4go_json")?;
    let imported = Imported::from_e4go(file.as_bytes());
    let mut device = Device::import(state, imported, Tolerance::default())?;
    let (mut rules, mut diverged) = (Vec::new(), false);
    let mut last = 0;
    for step in case.steps()? {
        let name = text(step, "step").unwrap_or("step");
        let expect = field(step, "expect")?;
        last = clock(expect).unwrap_or(last);
        let at = |error: String| format!("{name}: {error}");
        if text(step, "do")? == "protect" {
            protect_step(&device, step, expect).map_err(at)?;
            continue;
        }
        let topic = text(step, "topic")?;
        let peer = Peer { who: Who::E4go, value: expect };
        let done = device.step(last, topic, &bytes(step, "protected")?, &[peer]).map_err(at)?;
        if let (Some(_), Some(plain)) = (optional(step, "command"), &done.command) {
            same("command", &bytes(step, "command")?, plain).map_err(at)?;
        }
        // A peer that applies what we refuse and the reverse has another state from there on; not
        // so for a command that changes nothing.
        let same_state = optional(expect, "state").map(|theirs| device.same_as_e4go(theirs));
        match same_state {
            Some(Err(error)) if !(diverged || done.diverged) => return Err(at(error)),
            Some(Err(_)) => diverged = true,
            _ => {}
        }
        rules.extend(done.rules);
    }
    if let (Some(file), false) =
        (case.value.get("final_e4go_json").and_then(Value::as_str), diverged)
    {
        let mut after = device.model.clone();
        after.mark = Default::default();
        match Imported::from_e4go(file.as_bytes()) {
            // Section 4: e4go keeps a C2 key that it refused; we take no such file.
            Err(Error::InvalidKey) if after.refused_c2.is_some() => {}
            imported => drop(Device::import(after, imported, Tolerance::default())?),
        }
    }
    device.trial(last, &topics_of(input))?;
    Ok(rules)
}

fn protect_step(device: &Device, step: &Value, expect: &Value) -> Check {
    let payload = bytes(step, "payload")?;
    let topic = text_bytes(step, "topic")?;
    let peer = Peer { who: Who::E4go, value: expect };
    // Section 1: a topic is UTF-8. The type of the API says so, nothing is left to refuse.
    let Ok(topic) = std::str::from_utf8(&topic) else {
        return if peer.accepted() {
            Err("e4go protects for a topic that is no text".into())
        } else {
            Ok(())
        };
    };
    if !peer.accepted() {
        let now = clock(expect).unwrap_or(0);
        return match device.protect(now, topic, &payload) {
            Err(_) => Ok(()),
            Ok(_) => Err("e4go refuses to protect, accepted".into()),
        };
    }
    let theirs = bytes(expect, "protected")?;
    let sent = theirs.first_chunk().map_or(0, |time| u64::from_le_bytes(*time));
    let made = device.protect(sent, topic, &payload).map_err(|error| error.name().to_string())?;
    same("protected", &theirs, &made)
}

/// transition_expiry: a state file whose replaced key has a given age.
pub fn transition(case: &Case<'_>) -> Rules {
    let (input, out) = (case.input, case.out()?);
    let state = state_of(field(input, "state")?)?;
    let topic = text(input, "topic")?;
    let hash = model::short(topic.as_bytes());
    let held = state.topics.get(&hash).ok_or("the state has no key for the topic")?;
    same("new_key", &bytes(input, "new_key")?, &held.key)?;
    same("transition_entry_key", &bytes(input, "transition_entry_key")?, &model::short(&hash))?;
    let entries = hex_map(field(input, "state")?, "topic_keys")?;
    let stored = entries.get(&model::short(&hash)).ok_or("the state has no replaced key")?;
    if let Some((_, at)) = held.previous {
        same("transition_ts", &number(input, "transition_ts")?.to_le_bytes(), &at.to_le_bytes())?;
        same("old_key", &bytes(input, "old_key")?, stored.get(..32).unwrap_or_default())?;
    }
    // Section 1: the tolerance into the future is a setting; this is e4go's.
    let tolerance = Tolerance { future: 0, ..Tolerance::default() };
    let file = text(input, "e4go_json")?;
    let mut device = Device::import(state, Imported::from_e4go(file.as_bytes()), tolerance)?;
    let answers = both(out, "e4go", "libe4");
    let now = case_clock(input, &answers)?;
    let step = device.step(now, topic, &bytes(input, "protected")?, &peers(&answers))?;
    device.trial(now, &[topic.to_string()])?;
    Ok(step.rules)
}

/// libe4_sequences: from libe4's state file to libe4's state file.
pub fn libe4_sequences(case: &Case<'_>) -> Rules {
    let input = case.input;
    let mut state = initial(input)?;
    let file = bytes(input, "libe4_store_file_before")?;
    // A signer that the receiver knows beside those of its initial state.
    if optional(input, "extra_signer_ed_public").is_some() {
        state
            .peers
            .insert(array(input, "extra_signer_id")?, array(input, "extra_signer_ed_public")?);
    }
    let held = |state: &State| {
        Device::import(state.clone(), Imported::from_libe4(&file), Tolerance::default())
    };
    let mut device = held(&state)?;
    let (mut rules, mut last) = (Vec::new(), 0);
    for step in case.steps()? {
        let name = text(step, "step").unwrap_or("step");
        let at = |error: String| format!("{name}: {error}");
        let expect = field(step, "expect")?;
        last = clock(expect).unwrap_or(last);
        let peer = Peer { who: Who::Libe4, value: expect };
        let topic = text(step, "topic")?;
        let done = device.step(last, topic, &bytes(step, "protected")?, &[peer]).map_err(at)?;
        device.same_as_libe4(field(step, "state")?).map_err(at)?;
        rules.extend(done.rules);
    }
    let mut after = device.model.clone();
    after.mark = Default::default();
    after.topics.values_mut().for_each(|topic| topic.previous = None);
    // Section 10: libe4 keeps what it was told to remove.
    after.peers.append(&mut after.removed);
    let file = bytes(case.value, "libe4_store_file_after")?;
    Device::import(after, Imported::from_libe4(&file), Tolerance::default())?;
    device.trial(last, &topics_of(input))?;
    Ok(rules)
}

/// Whether a client can be made of a PK identity; kept here for the kinds that only need that.
pub fn provision_pk(id: [u8; 16], private: &[u8], c2: &[u8]) -> e4::Result<Client<MemoryStorage>> {
    let signing = SigningKey::from_slice(private)?;
    let c2 = C2PublicKey::from_slice(c2)?;
    let identity = Identity::public_key(ClientId::from_bytes(id), signing, c2)?;
    Client::provision(MemoryStorage::new(), identity)
}

/// The error that a peer's text stands for must be the one that came, where the text is known.
pub fn same_error(expected: Option<&str>, got: Error) -> Check {
    match expected.and_then(error_of) {
        Some(error) if error != got => {
            Err(format!("expected {}, got {}", error.name(), got.name()))
        }
        _ => Ok(()),
    }
}

/// An id key from a case, as the API takes it.
pub fn id_key(bytes: &[u8]) -> e4::Result<IdKey> {
    IdKey::from_slice(bytes)
}
