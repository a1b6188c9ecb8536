// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Two devices, a key server, no network: the whole protocol in one page.
//!
//! `cargo run --example quickstart`

use e4::protect::{open_answer, protect_command};
use e4::{
    Client, ClientId, Command, IdKey, Identity, MemoryStorage, Timestamp, TopicHash, TopicKey,
    Unprotected,
};

fn main() -> e4::Result<()> {
    let now = Timestamp::now();
    let topic = "plant/pressure";

    // At the factory: each device gets an id key of its own; C2 keeps a copy.
    let (pump_key, panel_key) = (IdKey::random()?, IdKey::random()?);
    let mut pump = provision("pump", &pump_key)?;
    let mut panel = provision("panel", &panel_key)?;

    // C2 makes a key for the topic and sends it to both, each time protected for that device.
    let topic_key = TopicKey::random()?;
    for (device, id_key) in [(&mut pump, &pump_key), (&mut panel, &panel_key)] {
        let key = TopicKey::from_slice(topic_key.expose())?;
        let command = Command::SetTopicKey { topic: TopicHash::from_topic(topic)?, key };
        let protected = protect_command(id_key, now, &command)?;

        // What the device does when it arrives on its control topic.
        let control = device.control_topic();
        if let Unprotected::CommandApplied(opcode) =
            device.unprotect_to_vec(now, &control, &protected)?
        {
            println!("{}: {opcode} applied", device.id());
        }

        // It answers, and C2 knows that it holds the key.
        if let Some(answer) = device.answer(now)? {
            let (_, answer) = open_answer(id_key, &answer)?;
            println!("C2: confirmed: {}", answer.command == Some(protected.siv()));
        }
    }

    // From here on the two talk, whatever lies between them.
    let on_the_wire = pump.protect_to_vec(now, topic, b"4.2 bar")?;
    println!("on the wire: {} bytes", on_the_wire.len());
    if let Unprotected::Message(message) = panel.unprotect_to_vec(now, topic, &on_the_wire)? {
        println!("panel reads: {}", String::from_utf8_lossy(&message.plaintext));
    }
    Ok(())
}

fn provision(name: &str, key: &IdKey) -> e4::Result<Client<MemoryStorage>> {
    let key = IdKey::from_slice(key.expose())?;
    Client::provision(MemoryStorage::new(), Identity::symmetric(ClientId::from_name(name)?, key))
}
