// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `e4 protect`, `e4 unprotect`

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use e4_c2::api::pb;
use serde_json::json;

use super::super::failure::Failure;
use super::files::NewFile;
use super::{Common, output};

/// Protect a message under the key of a topic (symmetric mode)
///
/// It needs a token with the permission for messages: e4 token create --messages.
#[derive(Args)]
#[command(after_help = "\
Examples:
  echo -n open | e4 protect plant/valve | mosquitto_pub -t plant/valve -s
  e4 protect plant/valve order.bin --out order.e4
  echo -n open | e4 protect plant/valve --json")]
pub struct Protect {
    #[command(flatten)]
    message: Message,
}

/// Open a message of a topic
///
/// It needs a token with the permission for messages: e4 token create --messages.
#[derive(Args)]
#[command(after_help = "\
Examples:
  mosquitto_sub -t plant/valve -C 1 -N | e4 unprotect plant/valve
  e4 unprotect plant/valve order.e4 --out order.bin")]
pub struct Unprotect {
    #[command(flatten)]
    message: Message,
}

#[derive(Args)]
struct Message {
    #[command(flatten)]
    common: Common,
    topic: String,
    /// The message; standard input without one
    file: Option<PathBuf>,
    /// Where the result goes, mode 0600, in place of standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite the file of --out
    #[arg(long, requires = "out")]
    force: bool,
}

/// Protects.
pub fn protect(arguments: &Protect) -> Result<(), Failure> {
    let message = &arguments.message;
    let bytes = message.read()?;
    let request = pb::ProtectMessageRequest { topic: message.topic.clone(), binary_data: bytes };
    let server = message.common.connect()?;
    let answer = server.call(async |c2| c2.protect_message(request).await)?;
    message.write(&answer.protected_binary_data, "protectedBinaryData")
}

/// Opens.
pub fn unprotect(arguments: &Unprotect) -> Result<(), Failure> {
    let message = &arguments.message;
    let protected_binary_data = message.read()?;
    let topic = message.topic.clone();
    let request = pb::UnprotectMessageRequest { topic, protected_binary_data };
    let server = message.common.connect()?;
    let answer = server.call(async |c2| c2.unprotect_message(request).await)?;
    message.write(&answer.binary_data, "binaryData")
}

impl Message {
    fn read(&self) -> Result<Vec<u8>, Failure> {
        let file = self.file.as_deref().filter(|path| *path != Path::new("-"));
        let read = match file {
            Some(path) => std::fs::read(path),
            None => {
                let mut bytes = Vec::new();
                std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
            }
        };
        let place = file.map_or("standard input".into(), |path| path.display().to_string());
        read.map_err(|error| Failure::new(format!("{place}: {error}")))
    }

    fn write(&self, bytes: &[u8], name: &str) -> Result<(), Failure> {
        if let Some(path) = &self.out {
            let mut file = NewFile::reserve(path, self.force)?;
            file.write(bytes)?;
            return file.finish();
        }
        if self.common.json {
            return output::json(&json!({ "topic": self.topic, name: BASE64.encode(bytes) }));
        }
        let mut out = std::io::stdout().lock();
        let plain = std::str::from_utf8(bytes)
            .is_ok_and(|text| text.lines().all(|line| output::shown(line) == line));
        if out.is_terminal() && !plain {
            return Err(Failure::new("that is no text for a terminal")
                .hint("send it on with a pipe, --out FILE, or --json"));
        }
        let written = out.write_all(bytes).and_then(|()| out.flush());
        written.map_err(|error| Failure::new(format!("standard output: {error}")))
    }
}
