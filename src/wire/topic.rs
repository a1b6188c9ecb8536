// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The topics of the protocol itself: `e4/<id>` for commands, `e4/<id>/ack` for answers.

use core::fmt;
use core::ops::Deref;

use crate::bytes::put_short;
use crate::id::{ClientId, ID_LEN};

/// Length of a control topic: `e4/` and 32 hexadecimal digits.
pub const CONTROL_TOPIC_LEN: usize = 3 + 2 * ID_LEN;
/// Length of an answer topic: the control topic and `/ack`.
pub const ANSWER_TOPIC_LEN: usize = CONTROL_TOPIC_LEN + 4;

/// A short topic without a heap: the control topic (35 characters) or the answer topic (39) of a
/// client. It reads as a `&str`.
#[derive(Clone)]
pub struct ClientTopic {
    text: [u8; ANSWER_TOPIC_LEN],
    len: usize,
}

impl ClientTopic {
    /// Where C2 publishes the commands for a client (PROTOCOL section 1).
    pub fn control(id: ClientId) -> Self {
        Self { len: CONTROL_TOPIC_LEN, ..Self::answer(id) }
    }

    /// Where a client publishes its answers (PROTOCOL section 8).
    pub fn answer(id: ClientId) -> Self {
        let mut text = [0; ANSWER_TOPIC_LEN];
        put(id.as_bytes(), &mut text);
        Self { text, len: ANSWER_TOPIC_LEN }
    }

    /// The topic as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The topic as bytes, which are ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }

    /// The client whose answer topic this is, if it is one.
    pub fn client_of_answer(topic: &str) -> Option<ClientId> {
        ClientId::from_hex(topic.strip_prefix("e4/")?.strip_suffix("/ack")?)
    }
}

/// Writes the answer topic of a client, or its control topic where there is no room for that.
#[cfg_attr(not(feature = "std"), inline(never))]
pub(crate) fn put(id: &[u8; ID_LEN], topic: &mut [u8]) {
    put_short(topic, 0, *b"e4/");
    put_short(topic, CONTROL_TOPIC_LEN, *b"/ack");
    let digits = topic.get_mut(3..CONTROL_TOPIC_LEN).unwrap_or_default().as_chunks_mut().0;
    for (pair, byte) in digits.iter_mut().zip(id) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
}

/// A hexadecimal digit of a number below 16.
fn digit(number: u8) -> u8 {
    number + if number < 10 { b'0' } else { b'a' - 10 }
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
