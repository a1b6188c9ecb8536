// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The topics of the protocol itself: `e4/<id>` for commands, `e4/<id>/ack` for answers.

use core::fmt;
use core::ops::Deref;

use crate::bytes::Bytes;
use crate::id::{ClientId, ID_LEN};

/// Length of a control topic: `e4/` and 32 hexadecimal digits.
pub const CONTROL_TOPIC_LEN: usize = 3 + 2 * ID_LEN;
/// Length of an answer topic: the control topic and `/ack`.
pub const ANSWER_TOPIC_LEN: usize = CONTROL_TOPIC_LEN + 4;

/// A short topic without a heap: the control topic (35 characters) or the answer topic (39) of a
/// client. It reads as a `&str`.
#[derive(Clone)]
pub struct ClientTopic(Bytes<ANSWER_TOPIC_LEN>);

impl ClientTopic {
    /// Where C2 publishes the commands for a client (PROTOCOL section 1).
    pub fn control(id: ClientId) -> Self {
        Self::write(id, b"")
    }

    /// Where a client publishes its answers (PROTOCOL section 8).
    pub fn answer(id: ClientId) -> Self {
        Self::write(id, b"/ack")
    }

    fn write(id: ClientId, suffix: &[u8]) -> Self {
        let mut text = Bytes::of(&[b"e4/"]);
        for digit in id.as_bytes().iter().flat_map(|byte| [byte >> 4, byte & 15]) {
            text.push(&[digit + if digit < 10 { b'0' } else { b'a' - 10 }]);
        }
        text.push(suffix);
        Self(text)
    }

    /// The topic as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The topic as bytes, which are ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The client whose answer topic this is, if it is one.
    pub fn client_of_answer(topic: &str) -> Option<ClientId> {
        ClientId::from_hex(topic.strip_prefix("e4/")?.strip_suffix("/ack")?)
    }
}

impl Deref for ClientTopic {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ClientTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for ClientTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
