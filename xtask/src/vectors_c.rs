// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The vectors of the peers, as lines that `ctests/vectors.c` reads.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::stage::root;

/// Writes the file; the passwords, which take long under valgrind, on demand.
pub fn write(to: &Path, passwords: bool) -> Result<(), String> {
    let mut text = String::new();
    for case in cases("id_from_alias")? {
        let name = string(&case, "/in/alias_hex")?;
        let good = matches!(name.len() / 2, 1..=255);
        line(&mut text, &["id", &name, &expected(good, &case, "/out/id")?]);
    }
    for case in cases("topic_hash")? {
        let topic = string(&case, "/in/topic_hex")?;
        let good = matches!(topic.len() / 2, 1..=65_535);
        line(&mut text, &["topic", &topic, &expected(good, &case, "/out/hash")?]);
    }
    let kinds =
        [("password_symkey", "password", "/out/key"), ("password_ed25519", "pair", "/out/private")];
    for (file, kind, result) in kinds.into_iter().filter(|_| passwords) {
        for case in cases(file)? {
            let good = case.pointer("/out/ok") == Some(&Value::Bool(true));
            let password = string(&case, "/in/password_hex")?;
            line(&mut text, &[kind, &password, &expected(good, &case, result)?]);
        }
    }
    for (file, kind) in [("sk_messages", "sk"), ("pk_messages", "pk")] {
        for case in cases(file)? {
            // libe4's answers, whose numbers are ours: it takes an empty SK message, as we do
            // (PROTOCOL section 10).
            let result = case.pointer("/out/opened_by_libe4/rc").and_then(Value::as_i64);
            let result = format!("={}", result.ok_or("a case without rc")?);
            let topic = hex(string(&case, "/in/topic")?.as_bytes());
            let key = string(&case, "/in/topic_key")?;
            let payload = string(&case, "/in/payload")?;
            let protected = string(&case, "/out/protected")?;
            let time = time(&case, "/out/timestamp")?;
            let mut words = vec![kind.to_owned(), topic, key, payload, protected, time, result];
            if kind == "pk" {
                let public = string(&case, "/in/signer_ed_public")?;
                words.push(string(&case, "/in/signer_id")?);
                words.push(string(&case, "/in/signer_ed_seed")? + &public);
                words.push(public);
            }
            line(&mut text, &words);
        }
    }
    for case in cases("commands_protected")? {
        command(&mut text, &case)?;
    }
    std::fs::write(to, text).map_err(|error| format!("{}: {error}", to.display()))
}

/// A command, the client before it, and what e4go's client is after it.
fn command(text: &mut String, case: &Value) -> Result<(), String> {
    let mode = string(case, "/in/mode")?;
    let id = string(case, "/in/client_id")?;
    let (key, c2) = if mode == "pk" {
        (string(case, "/in/client_ed_private")?, string(case, "/in/c2_x_private")?)
    } else {
        (string(case, "/in/client_key")?, String::new())
    };
    line(text, &["client", &mode, &id, &key, &c2]);
    given(text, case, "/in/initial_topic_keys", "/in/initial_pub_keys");
    line(text, &["command", &string(case, "/in/protected")?, &time(case, "/in/timestamp")?]);
    // The private half of a new key of C2 is not in the vectors, and without it nothing can be
    // given to a second client.
    if string(case, "/in/command")?.starts_with("07") {
        return Ok(());
    }
    let after = if mode == "pk" { "/out/e4go/state/private_key" } else { "/out/e4go/state/key" };
    line(text, &["then", &mode, &id, &string(case, after)?, &c2]);
    given(text, case, "/out/e4go/state/topic_keys", "/out/e4go/state/pub_keys");
    line(text, &["end"]);
    Ok(())
}

fn given(text: &mut String, case: &Value, topics: &str, peers: &str) {
    for (kind, at) in [("give", topics), ("peer", peers)] {
        let entries = case.pointer(at).and_then(Value::as_object);
        for (name, key) in entries.into_iter().flatten() {
            // 40 bytes are a key that e4go keeps for the transition.
            if let Some(key) = key.as_str().filter(|key| key.len() == 64) {
                line(text, &[kind, name, key]);
            }
        }
    }
}

fn cases(kind: &str) -> Result<Vec<Value>, String> {
    let path = root().join(format!("vectors/peers/{kind}.json"));
    let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let cases = file.get("cases").and_then(Value::as_array).ok_or("a file without cases")?;
    Ok(cases.clone())
}

fn string(case: &Value, at: &str) -> Result<String, String> {
    let value = case.pointer(at).and_then(Value::as_str);
    value.map(Into::into).ok_or_else(|| format!("a case without {at}"))
}

fn time(case: &Value, at: &str) -> Result<String, String> {
    let value = case.pointer(at).and_then(Value::as_u64);
    value.map(|time| format!("={time}")).ok_or_else(|| format!("a case without {at}"))
}

fn expected(good: bool, case: &Value, at: &str) -> Result<String, String> {
    if good { string(case, at) } else { Ok("!".into()) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn line(text: &mut String, words: &[impl AsRef<str>]) {
    let words = words.iter().map(|word| match word.as_ref() {
        "" => "-",
        word => word,
    });
    text.push_str(&words.collect::<Vec<_>>().join(" "));
    text.push('\n');
}
