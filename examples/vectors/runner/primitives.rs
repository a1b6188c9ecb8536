// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Kinds without a client: ids, keys, sealing, agreement, plain commands.

use e4::crypto::agree::{to_x25519, to_x25519_secret};
use e4::crypto::keys::SharedKey;
use e4::crypto::{hash::sha3_256, password, siv};
use e4::{
    C2PublicKey, C2SecretKey, ClientId, ClientTopic, Command, Error, PublicKey, SigningKey,
    TopicHash, TopicKey,
};
use serde_json::Value;

use super::Case;
use super::clients::{id_key, provision_pk, same_error};
use super::json::{Check, array, bytes, field, optional, same, same_as, text, text_bytes};
use super::model;
use super::rules::Rule;

type Rules = Check<Vec<&'static Rule>>;

fn shown<T>(result: e4::Result<T>) -> Check<T> {
    result.map_err(|error| format!("expected success, got {}", error.name()))
}

fn error_text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    optional(value, name).and_then(Value::as_str)
}

/// Compares with every one of some fields that is there.
fn same_as_all(value: &Value, names: &[&str], got: &[u8]) -> Check {
    let mut present = names.iter().filter(|name| optional(value, name).is_some());
    present.try_for_each(|name| same_as(value, name, got))
}

/// The id of a name, refused where section 1 refuses the name.
pub fn id_from_alias(case: &Case<'_>) -> Rules {
    let (input, out) = (case.input, case.out()?);
    let alias = text_bytes(input, "alias")?;
    // The hash itself takes anything.
    let hash = sha3_256(&[&alias]);
    let hash = hash.get(..16).unwrap_or_default();
    same_as_all(out, &["id", "libe4_id"], hash)?;
    let theirs = error_text(out, "e4go_validate_name_error");
    let got =
        std::str::from_utf8(&alias).map_err(|_| Error::InvalidName).and_then(ClientId::from_name);
    match (got, theirs) {
        (Ok(id), None) => {
            same("id", hash, id.as_bytes())?;
            let topic = text(out, "receiving_topic")?;
            same("receiving_topic", topic.as_bytes(), ClientTopic::control(id).as_bytes())?;
        }
        (Err(error), Some(text)) => same_error(Some(text), error)?,
        (got, theirs) => return Err(format!("e4go says {theirs:?}, got {got:?}")),
    }
    Ok(Vec::new())
}

/// The hash of a topic.
pub fn topic_hash(case: &Case<'_>) -> Rules {
    let (input, out) = (case.input, case.out()?);
    let topic = text_bytes(input, "topic")?;
    let hash = sha3_256(&[&topic]);
    let hash = hash.get(..16).unwrap_or_default();
    same_as_all(out, &["hash", "libe4_hash"], hash)?;
    same_as_all(out, &["hash_of_hash"], sha3_256(&[hash]).get(..16).unwrap_or_default())?;
    // Section 1: 1 to 65,535 bytes of UTF-8; e4go's own limit of 512 bytes is not on the wire.
    let legal = std::str::from_utf8(&topic).is_ok() && (1..=65_535).contains(&topic.len());
    let got = std::str::from_utf8(&topic)
        .map_err(|_| Error::InvalidTopic)
        .and_then(TopicHash::from_topic);
    match got {
        Ok(got) if legal => same("hash", hash, got.as_bytes())?,
        Err(Error::InvalidTopic) if !legal => {}
        got => return Err(format!("a topic of {} bytes: got {got:?}", topic.len())),
    }
    if error_text(out, "e4go_validate_topic_error").is_none() && !legal {
        return Err("e4go takes a topic that section 1 refuses".into());
    }
    Ok(Vec::new())
}

/// Keys from passwords.
pub fn from_password(case: &Case<'_>) -> Rules {
    let out = case.out()?;
    let secret = bytes(case.input, "password_hex")?;
    let pair = optional(out, "seed").is_some() || case.kind == "password_ed25519";
    let secret = std::str::from_utf8(&secret).map_err(|_| Error::InvalidPassword);
    let got = secret.and_then(|secret| {
        if pair {
            let key = password::signing_key_from_password(secret)?;
            Ok((key.expose().to_vec(), Some(key.public())))
        } else {
            Ok((password::id_key_from_password(secret)?.expose().to_vec(), None))
        }
    });
    let accepted = field(out, "ok")?.as_bool() == Some(true);
    match got {
        Ok((key, public)) if accepted => {
            same_as_all(out, &["key", "private"], &key)?;
            same_as_all(out, &["seed"], key.get(..32).unwrap_or_default())?;
            public.map_or(Ok(()), |public| same_as_all(out, &["public"], public.as_bytes()))?;
        }
        Err(error) if !accepted => same_error(error_text(out, "error"), error)?,
        got => return Err(format!("e4go: {accepted}, got {:?}", got.map(|_| "a key"))),
    }
    Ok(Vec::new())
}

/// Ed25519 keys as X25519 keys.
pub fn conversion(case: &Case<'_>) -> Rules {
    let (input, out) = (case.input, case.out()?);
    let signing = shown(SigningKey::from_seed(&bytes(input, "ed_seed")?))?;
    same_as(input, "ed_private", &*signing.expose())?;
    same_as(input, "ed_public", signing.public().as_bytes())?;
    let whole = shown(SigningKey::from_slice(&bytes(input, "ed_private")?))?;
    let secret = to_x25519_secret(&whole);
    let public = to_x25519(&shown(PublicKey::from_slice(&bytes(input, "ed_public")?))?);
    same_as_all(out, &["x_public", "x_private_times_base", "libe4_x_public"], &public)?;
    same_as_all(out, &["x_private", "libe4_x_private"], &*secret)?;
    let times_base = shown(C2SecretKey::from_slice(&*secret))?.public();
    same("x_private times base", &public, times_base.as_bytes())?;
    if optional(out, "libe4_expanded_private").is_some() {
        let expanded = bytes(out, "libe4_expanded_private")?;
        same("libe4_expanded_private", expanded.get(..32).unwrap_or_default(), &*secret)?;
    }
    Ok(Vec::new())
}

/// Public keys at the edge. Section 4 refuses what is undecodable or of small order, whatever the
/// peers make of it; the others convert as theirs do.
pub fn conversion_edge(case: &Case<'_>) -> Rules {
    let out = case.out()?;
    let key: [u8; 32] = array(case.input, "ed_public")?;
    match (PublicKey::from_slice(&key), model::usable_peer(&key)) {
        (Err(Error::InvalidKey), false) => {}
        (Ok(got), true) => {
            for who in ["e4go", "libe4"] {
                let answer = field(out, who)?;
                if field(answer, "ok")?.as_bool() != Some(true) {
                    return Err(format!("{who} refuses a key that is accepted"));
                }
                same_as(answer, "x_public", &to_x25519(&got))?;
            }
        }
        (got, usable) => return Err(format!("usable by section 4: {usable}, got {got:?}")),
    }
    Ok(Vec::new())
}

/// The key of section 6, from both sides.
pub fn shared_key(case: &Case<'_>) -> Rules {
    let (input, out) = (case.input, case.out()?);
    let signing = shown(SigningKey::from_slice(&bytes(input, "client_ed_private")?))?;
    same_as(input, "client_ed_public", signing.public().as_bytes())?;
    let secret = shown(C2SecretKey::from_slice(&bytes(input, "c2_x_private")?))?;
    let public = shown(C2PublicKey::from_slice(&bytes(input, "c2_x_public")?))?;
    same_as(input, "c2_x_public", secret.public().as_bytes())?;
    let client = shown(SharedKey::for_client(&signing, &public))?;
    let c2 = shown(SharedKey::for_c2(&secret, &signing.public()))?;
    same("both sides", client.expose(), c2.expose())?;
    same_as_all(out, &["shared_key", "e4go_c2_side", "libe4_client_side"], client.expose())?;
    same("SHA3 of x25519", client.expose(), &sha3_256(&[&bytes(out, "x25519")?]))?;
    Ok(Vec::new())
}

/// C2 keys that agree on nothing (section 6: an all-zero result is an error; libe4 goes on).
pub fn shared_key_negative(case: &Case<'_>) -> Rules {
    let (input, out) = (case.input, case.out()?);
    let private = bytes(input, "client_ed_private")?;
    let c2 = bytes(input, "c2_x_public")?;
    let theirs = field(out, "e4go")?;
    let signing = shown(SigningKey::from_slice(&private))?;
    let got = C2PublicKey::from_slice(&c2).and_then(|c2| SharedKey::for_client(&signing, &c2));
    match (got, field(theirs, "ok")?.as_bool() == Some(true)) {
        (Ok(key), true) => {
            same_as_all(theirs, &["shared_key"], key.expose())?;
            same_as_all(out, &["libe4_shared_key"], key.expose())?;
        }
        (Err(error), false) => {
            same_error(error_text(theirs, "error"), error)?;
            match provision_pk([3; 16], &private, &c2) {
                Err(Error::InvalidKey) => {}
                other => return Err(format!("provision: expected InvalidKey, got {other:?}")),
            }
        }
        (got, theirs) => return Err(format!("e4go: {theirs}, got {got:?}")),
    }
    Ok(Vec::new())
}

/// AES-SIV both ways.
pub fn aes_siv(case: &Case<'_>) -> Rules {
    let (input, out) = (case.input, case.out()?);
    let key: [u8; 32] = array(input, "key")?;
    let (ad, plain) = (bytes(input, "ad")?, bytes(input, "pt")?);
    let mut sealed = vec![0; plain.len()];
    let mut tag = [0; 16];
    shown(siv::seal(&key, &[&ad], &mut tag, &plain, &mut sealed))?;
    same_as(out, "ct", &[&tag[..], &sealed].concat())?;
    let mut opened = vec![0; plain.len()];
    shown(siv::open(&key, &[&ad], &tag, &sealed, &mut opened))?;
    same("pt", &plain, &opened)?;
    Ok(Vec::new())
}

/// AES-SIV refused. The key type refuses what is zero or has another length, and a type holds the
/// tag: fewer than 16 bytes cannot be given.
pub fn aes_siv_negative(case: &Case<'_>) -> Rules {
    let (input, out) = (case.input, case.out()?);
    let (ad, ct) = (bytes(input, "ad")?, bytes(input, "ct")?);
    let mut plain = vec![0xee; ct.len().saturating_sub(16)];
    let got = TopicKey::from_slice(&bytes(input, "key")?).and_then(|key| {
        let (tag, ct) = ct.split_first_chunk().ok_or(Error::MessageTooShort)?;
        siv::open(key.expose(), &[&ad], tag, ct, &mut plain)
    });
    let theirs = field(out, "e4go")?;
    match (got, field(theirs, "ok")?.as_bool() == Some(true)) {
        (Ok(()), true) => same_as_all(theirs, &["payload", "pt"], &plain)?,
        (Err(error), false) => {
            same_error(error_text(theirs, "error"), error)?;
            if error == Error::InvalidTag && plain.iter().any(|byte| *byte != 0) {
                return Err("the output was not wiped".into());
            }
        }
        (got, theirs) => return Err(format!("e4go: {theirs}, got {got:?}")),
    }
    Ok(Vec::new())
}

/// The plaintext of commands, built and read.
pub fn commands_plain(case: &Case<'_>) -> Rules {
    let (input, out) = (case.input, case.out()?);
    let got = build(text(case.value, "command")?, input)?;
    if field(out, "ok")?.as_bool() != Some(true) {
        return match got {
            Ok(command) => Err(format!("e4go refuses, built {command:?}")),
            Err(error) => same_error(error_text(out, "error"), error).map(|()| Vec::new()),
        };
    }
    let plain = bytes(out, "command")?;
    match got {
        Ok(command) => {
            same("command", &plain, &command.encode())?;
            same("command read again", &plain, &shown(Command::decode(&plain))?.encode())?;
        }
        // Section 4: such a key is refused; e4go builds the command.
        Err(Error::InvalidKey) if has_unusable_key(&plain) => {
            same("command", &plain, &by_hand(text(case.value, "command")?, input)?)?;
            if let Ok(command) = Command::decode(&plain) {
                return Err(format!("read {command:?} with a key that section 4 refuses"));
            }
        }
        Err(error) => return Err(format!("e4go builds it, got {}", error.name())),
    }
    Ok(Vec::new())
}

/// The plaintext of a command that sets a key, whatever the key.
fn by_hand(name: &str, input: &Value) -> Check<Vec<u8>> {
    let hashed = |name: &str| text_bytes(input, name).map(|text| model::short(&text));
    Ok(match name {
        "set_id_key" => [vec![2], bytes(input, "key")?].concat(),
        "set_topic_key" => [&[3][..], &bytes(input, "key")?, &hashed("topic")?].concat(),
        "set_pub_key" => [&[6][..], &bytes(input, "ed_pub")?, &hashed("name")?].concat(),
        "set_c2_key" => [vec![7], bytes(input, "c2_pub")?].concat(),
        other => return Err(format!("{other} sets no key")),
    })
}

fn has_unusable_key(plain: &[u8]) -> bool {
    let key =
        || plain.get(1..).and_then(|rest| rest.first_chunk::<32>()).copied().unwrap_or_default();
    match (plain.first(), plain.len()) {
        (Some(2), 65) => !model::usable_pair(plain.get(1..).unwrap_or_default()),
        (Some(2 | 3), _) => key() == [0; 32],
        (Some(6), _) => !model::usable_peer(&key()),
        (Some(7), _) => !model::usable_c2(&key()),
        _ => false,
    }
}

fn build(name: &str, input: &Value) -> Check<e4::Result<Command>> {
    let key = |name: &str| bytes(input, name);
    let topic = || -> Check<e4::Result<TopicHash>> {
        let topic = text_bytes(input, "topic")?;
        Ok(std::str::from_utf8(&topic)
            .map_err(|_| Error::InvalidTopic)
            .and_then(TopicHash::from_topic))
    };
    let id = || -> Check<e4::Result<ClientId>> {
        let name = text_bytes(input, "name")?;
        Ok(std::str::from_utf8(&name).map_err(|_| Error::InvalidName).and_then(ClientId::from_name))
    };
    Ok(match name {
        "remove_topic" => topic()?.map(|topic| Command::RemoveTopic { topic }),
        "reset_topics" => Ok(Command::ResetTopics),
        "set_topic_key" => {
            let key = TopicKey::from_slice(&key("key")?);
            topic()?.and_then(|topic| Ok(Command::SetTopicKey { topic, key: key? }))
        }
        "set_id_key" => {
            let key = key("key")?;
            if key.len() > 48 {
                SigningKey::from_slice(&key).map(|key| Command::SetSigningKey { key })
            } else {
                id_key(&key).map(|key| Command::SetIdKey { key })
            }
        }
        "remove_pub_key" => id()?.map(|id| Command::RemovePubKey { id }),
        "reset_pub_keys" => Ok(Command::ResetPubKeys),
        "set_pub_key" => {
            let key = PublicKey::from_slice(&key("ed_pub")?);
            id()?.and_then(|id| Ok(Command::SetPubKey { id, key: key? }))
        }
        "set_c2_key" => {
            C2PublicKey::from_slice(&key("c2_pub")?).map(|key| Command::SetC2Key { key })
        }
        other => return Err(format!("unknown command {other:?}")),
    })
}
