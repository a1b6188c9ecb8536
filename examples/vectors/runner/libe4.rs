// SPDX-License-Identifier: Apache-2.0 OR MIT
//! libe4's own known answers: two files without a `kind`, known by their shape.

use e4::crypto::agree::{to_x25519, to_x25519_secret};
use e4::crypto::keys::SharedKey;
use e4::crypto::siv;
use e4::protect::{self, Window};
use e4::{C2PublicKey, C2SecretKey, ClientId, Command, PublicKey, SigningKey, Timestamp, TopicKey};
use serde_json::Value;

use super::json::{Check, array, bytes, same, same_as};
use super::model::shared_key;

fn shown<T>(result: e4::Result<T>) -> Check<T> {
    result.map_err(|error| format!("expected success, got {}", error.name()))
}

/// One entry of siv_kat.json.
pub fn siv_answer(value: &Value) -> Check {
    let key: [u8; 32] = array(value, "key")?;
    let (ad, plain) = (bytes(value, "ad")?, bytes(value, "pt")?);
    let mut sealed = vec![0; plain.len()];
    let mut tag = [0; 16];
    shown(siv::seal(&key, &[&ad], &mut tag, &plain, &mut sealed))?;
    same_as(value, "ct", &[&tag[..], &sealed].concat())?;
    let mut opened = vec![0; plain.len()];
    shown(siv::open(&key, &[&ad], &tag, &sealed, &mut opened))?;
    same("pt", &plain, &opened)
}

/// One entry of `commands` of pubkey_kat.json: conversion, agreement, and every `cmd_*`.
pub fn command_answer(value: &Value) -> Check {
    for who in ["c2", "dev"] {
        let named = |name: &str| format!("{who}_{name}");
        let signing = shown(SigningKey::from_slice(&bytes(value, &named("edwards_seckey"))?))?;
        same_as(value, &named("edwards_pubkey"), signing.public().as_bytes())?;
        same_as(value, &named("montgom_pubkey"), &to_x25519(&signing.public()))?;
        same_as(value, &named("montgom_seckey"), &*to_x25519_secret(&signing))?;
    }
    let device = shown(SigningKey::from_slice(&bytes(value, "dev_edwards_seckey")?))?;
    let c2 = shown(C2SecretKey::from_slice(&bytes(value, "c2_montgom_seckey")?))?;
    let c2_public = shown(C2PublicKey::from_slice(&bytes(value, "c2_montgom_pubkey")?))?;
    same("c2_montgom_pubkey", c2_public.as_bytes(), c2.public().as_bytes())?;
    let ours = shown(SharedKey::for_client(&device, &c2_public))?;
    let theirs = shown(SharedKey::for_c2(&c2, &device.public()))?;
    same_as(value, "dev_sharedkey", ours.expose())?;
    same_as(value, "c2_sharedkey", theirs.expose())?;
    same_as(value, "dev_sharedkey", &shared_key(&device.expose(), c2_public.as_bytes()))?;
    let object = value.as_object().ok_or("not an object")?;
    let names = object.keys().filter(|name| name.starts_with("cmd_") && !name.ends_with("_plain"));
    for name in names {
        let plain = bytes(value, &format!("{name}_plain"))?;
        let protected = bytes(value, name)?;
        let time = protected.first_chunk().map_or(0, |time| u64::from_le_bytes(*time));
        let command = shown(Command::decode(&plain)).map_err(|error| format!("{name}: {error}"))?;
        same(name, &plain, &command.encode())?;
        let made = protect::protect_command(&ours, Timestamp::from_secs(time), &command);
        same(name, &protected, &shown(made)?)?;
    }
    Ok(())
}

/// One entry of `topics` of pubkey_kat.json: a signed message.
pub fn message_answer(value: &Value) -> Check {
    let signing = shown(SigningKey::from_slice(&bytes(value, "otherdevice_seckey")?))?;
    same_as(value, "otherdevice_pubkey", signing.public().as_bytes())?;
    let id = ClientId::from_bytes(array(value, "otherdevice_id")?);
    let key = shown(TopicKey::from_slice(&bytes(value, "topickey")?))?;
    let (plain, protected) = (bytes(value, "plaintext")?, bytes(value, "e4_ciphertext")?);
    let time = protected.first_chunk().map_or(0, |time| u64::from_le_bytes(*time));
    let now = Timestamp::from_secs(time);
    let mut out = vec![0; plain.len() + 104];
    let made = shown(protect::protect_signed(&key, id, &signing, now, &plain, &mut out))?;
    same("e4_ciphertext", &protected, made)?;
    let public = shown(PublicKey::from_slice(&bytes(value, "otherdevice_pubkey")?))?;
    let mut out = vec![0; protected.len()];
    let window = Window::default();
    let opened = protect::unprotect_signed(&key, &public, now, &window, &protected, &mut out);
    same("plaintext", &plain, shown(opened)?)
}
