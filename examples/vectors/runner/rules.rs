// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where e4go and libe4 differ from PROTOCOL.md, PROTOCOL.md decides. Each difference is a rule
//! over the inputs of a case, with its section; a difference without a rule is a failure.

use e4::Error;
use serde_json::Value;

use super::json::{Check, clock, optional};
use super::model::{Outcome, Own, State, Tolerance, control_topic};

/// Which implementation answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Who {
    /// The Go implementation.
    E4go,
    /// The C implementation.
    Libe4,
}

/// What a peer answered.
pub struct Peer<'v> {
    /// Which one.
    pub who: Who,
    /// The whole answer.
    pub value: &'v Value,
}

impl<'v> Peer<'v> {
    /// The answer of a peer, where there is one.
    pub fn new(who: Who, value: Option<&'v Value>) -> Option<Self> {
        value.filter(|value| value.is_object()).map(|value| Self { who, value })
    }

    fn flag(&self, name: &str) -> bool {
        self.value.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether it accepted.
    pub fn accepted(&self) -> bool {
        self.flag("ok")
    }

    fn took_command(&self) -> bool {
        self.flag("command_processed")
    }

    fn text(&self) -> &str {
        self.value.get("error").and_then(Value::as_str).unwrap_or("")
    }

    /// Its error in our words, if we have a word for it.
    pub fn error(&self) -> Option<Error> {
        error_of(self.text())
    }

    /// When it was asked, in Unix seconds.
    pub fn clock(&self) -> Option<u64> {
        clock(self.value)
    }
}

/// The error that a peer's text or name stands for.
pub fn error_of(text: &str) -> Option<Error> {
    const EXACT: &[(&str, Error)] = &[
        ("siv: authentication failed", Error::InvalidTag),
        ("aes256_decrypt_siv nonzero", Error::InvalidTag),
        ("timestamp received is in the future", Error::TimestampInFuture),
        ("timestamp too old", Error::TimestampTooOld),
        ("ciphertext too short", Error::MessageTooShort),
        ("too short ciphertext", Error::MessageTooShort),
        ("invalid length of protected message", Error::MessageTooShort),
        ("topic key not found", Error::TopicKeyMissing),
        ("signer public key not found", Error::SignerUnknown),
        ("invalid signature", Error::SignatureInvalid),
        ("invalid command", Error::InvalidCommand),
        ("this operation is not supported", Error::InvalidCommand),
        ("topic must not be empty", Error::InvalidTopic),
        ("topic cannot be empty", Error::InvalidTopic),
        ("name must not be empty", Error::InvalidName),
        ("E4_ERROR_INVALID_TAG", Error::InvalidTag),
        ("E4_ERROR_TIMESTAMP_IN_FUTURE", Error::TimestampInFuture),
        ("E4_ERROR_TIMESTAMP_TOO_OLD", Error::TimestampTooOld),
        ("E4_ERROR_CIPHERTEXT_TOO_SHORT", Error::MessageTooShort),
        ("E4_ERROR_TOPICKEY_MISSING", Error::TopicKeyMissing),
        ("E4_ERROR_DEVICEPK_MISSING", Error::SignerUnknown),
        ("E4_ERROR_PK_SIGVERIF_FAILED", Error::SignatureInvalid),
        ("E4_ERROR_INVALID_COMMAND", Error::InvalidCommand),
    ];
    const STARTS: &[(&str, Error)] = &[
        ("name length is inval", Error::InvalidName),
        ("topic too long", Error::InvalidTopic),
        ("invalid password", Error::InvalidPassword),
        ("no public key exists for id", Error::SignerUnknown),
        ("invalid symmetric key", Error::InvalidKey),
        ("invalid private key", Error::InvalidKey),
        ("invalid public key", Error::InvalidKey),
        ("invalid c2 public key", Error::InvalidKey),
        ("invalid old topic key", Error::InvalidKey),
        ("invalid key length", Error::InvalidKey),
        ("curve25519 X25519 failed", Error::InvalidKey),
        ("invalid RemoveTopic length", Error::InvalidCommand),
        ("invalid ResetTopics length", Error::InvalidCommand),
        ("invalid SetIDKey length", Error::InvalidCommand),
        ("invalid SetTopicKey length", Error::InvalidCommand),
        ("invalid RemovePubKey length", Error::InvalidCommand),
        ("invalid ResetPubKeys length", Error::InvalidCommand),
        ("invalid SetPubKey length", Error::InvalidCommand),
        ("invalid SetC2Key length", Error::InvalidCommand),
    ];
    let exact = EXACT.iter().find(|(known, _)| text == *known);
    let start = || STARTS.iter().find(|(known, _)| text.starts_with(known));
    exact.or_else(start).map(|(_, error)| *error)
}

/// What went in, and what PROTOCOL.md says must come out.
pub struct Facts<'a> {
    /// The client before.
    pub before: &'a State,
    /// What it was told to tolerate.
    pub tolerance: &'a Tolerance,
    /// Options that libe4 was given: 1 ignore timestamps, 2 ignore a missing public key.
    pub libe4_options: u64,
    /// The clock.
    pub now: u64,
    /// The topic.
    pub topic: &'a str,
    /// What arrived.
    pub protected: &'a [u8],
    /// The plaintext of a command that authenticates.
    pub command: Option<&'a [u8]>,
    /// The ruling.
    pub ours: &'a Outcome,
}

impl Facts<'_> {
    fn sent(&self) -> u64 {
        self.protected.first_chunk().map_or(0, |time| u64::from_le_bytes(*time))
    }

    fn refused(&self) -> Option<Error> {
        match self.ours {
            Outcome::Refused(error) => Some(*error),
            _ => None,
        }
    }

    fn is_command(&self) -> bool {
        self.topic == control_topic(&self.before.id)
    }

    fn is_signed(&self) -> bool {
        !self.is_command() && matches!(self.before.own, Own::Pair(..))
    }

    fn opcode(&self) -> Option<u8> {
        self.command.and_then(|plain| plain.first().copied())
    }

    fn signer(&self) -> Option<&[u8; 16]> {
        self.protected.get(8..).and_then(|rest| rest.first_chunk()).filter(|_| self.is_signed())
    }
}

/// A difference between a peer and the protocol.
pub struct Rule {
    /// The section of PROTOCOL.md that decides.
    pub section: u8,
    /// Why ours is as it is.
    pub reason: &'static str,
    applies: fn(&Facts<'_>, &Peer<'_>) -> bool,
}

/// The order of checks of section 3, and then those of a command.
fn rank(error: Error) -> u8 {
    match error {
        Error::TopicKeyMissing => 0,
        Error::MessageTooShort => 1,
        Error::TimestampInFuture | Error::TimestampTooOld => 2,
        Error::SignerUnknown => 3,
        Error::SignatureInvalid => 4,
        Error::InvalidTag => 5,
        _ => 6,
    }
}

/// Go holds a time as seconds since year 1; Unix seconds beyond this wrap around.
const GO_TIME_MAX: u64 = i64::MAX as u64 - 62_135_596_800;

/// The order of the Ed25519 base point, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn is_below_order(scalar: &[u8; 32]) -> bool {
    scalar.iter().rev().lt(ORDER.iter().rev())
}

/// Every difference that is known.
pub const RULES: &[Rule] = &[
    Rule {
        section: 1,
        reason: "a timestamp up to the tolerance ahead is taken; e4go tolerates 0",
        applies: |facts, peer| {
            let ahead = facts.sent().saturating_sub(facts.now);
            peer.who == Who::E4go
                && peer.error() == Some(Error::TimestampInFuture)
                && ahead > 0
                && ahead <= facts.tolerance.future
        },
    },
    Rule {
        section: 1,
        reason: "age is counted in whole seconds; e4go counts fractions and refuses the last one",
        applies: |facts, peer| {
            peer.who == Who::E4go
                && peer.error() == Some(Error::TimestampTooOld)
                && facts.now.saturating_sub(facts.sent()) == facts.tolerance.past
        },
    },
    Rule {
        section: 1,
        reason: "a timestamp is unsigned; e4go's wraps around beyond 2^63",
        applies: |facts, peer| {
            peer.who == Who::E4go
                && peer.error() == Some(Error::TimestampTooOld)
                && facts.refused() == Some(Error::TimestampInFuture)
                && facts.sent() > GO_TIME_MAX
        },
    },
    Rule {
        section: 10,
        reason: "an SK message may be empty; e4go refuses 24 bytes before it looks at them",
        applies: |facts, peer| {
            peer.who == Who::E4go
                && peer.error() == Some(Error::MessageTooShort)
                && facts.protected.len() == 24
                && !facts.is_signed()
        },
    },
    Rule {
        section: 3,
        reason: "a PK message has 104 bytes at least; e4go finds another fault with shorter ones",
        applies: |facts, peer| !peer.accepted() && facts.is_signed() && facts.protected.len() < 104,
    },
    Rule {
        section: 3,
        reason: "of two faults the first in the order of checks counts; the peer checks another first",
        applies: |facts, peer| match (facts.refused(), peer.error()) {
            (Some(ours), Some(theirs)) => rank(ours) < rank(theirs),
            _ => false,
        },
    },
    Rule {
        section: 3,
        reason: "signatures are checked strictly; libe4 takes an S of the group order or above",
        applies: |facts, peer| {
            let s = facts.protected.last_chunk::<32>();
            peer.who == Who::Libe4
                && peer.accepted()
                && facts.refused() == Some(Error::SignatureInvalid)
                && s.is_some_and(|s| !is_below_order(s))
        },
    },
    Rule {
        section: 3,
        reason: "a receiver may be set to accept unknown signers, as libe4 was; e4go has no such setting",
        applies: |facts, peer| {
            let known = facts.signer().is_some_and(|id| facts.before.peers.contains_key(id));
            peer.who == Who::E4go
                && facts.libe4_options & 2 != 0
                && peer.error() == Some(Error::SignerUnknown)
                && !known
        },
    },
    Rule {
        section: 1,
        reason: "the validity is a setting, as wide as libe4 was told; e4go keeps 600 s",
        applies: |facts, peer| {
            peer.who == Who::E4go
                && facts.libe4_options & 1 != 0
                && matches!(peer.error(), Some(Error::TimestampTooOld | Error::TimestampInFuture))
        },
    },
    Rule {
        section: 4,
        reason: "a key that is zero, of small order, undecodable or mismatched is refused; the peer takes it",
        applies: |facts, peer| {
            peer.accepted()
                && facts.refused() == Some(Error::InvalidKey)
                && matches!(facts.opcode(), Some(2 | 3 | 6))
        },
    },
    Rule {
        section: 4,
        reason: "removing what is not there succeeds; libe4 reports the topic, e4go the public key",
        applies: |facts, peer| {
            let ours = matches!(facts.ours, Outcome::Command(_));
            let name = facts.command.and_then(|plain| plain.get(1..)?.try_into().ok());
            match (peer.who, facts.opcode(), name) {
                (Who::Libe4, Some(0), Some(topic)) => {
                    ours && !facts.before.topics.contains_key::<[u8; 16]>(&topic)
                        && peer.error() == Some(Error::TopicKeyMissing)
                }
                (Who::E4go, Some(4), Some(id)) => {
                    ours && !facts.before.peers.contains_key::<[u8; 16]>(&id)
                        && peer.error() == Some(Error::SignerUnknown)
                }
                _ => false,
            }
        },
    },
    Rule {
        section: 4,
        reason: "RemoveTopic and RemovePubKey have 17 bytes; libe4 does not look at the length",
        applies: |facts, peer| {
            peer.who == Who::Libe4
                && facts.refused() == Some(Error::InvalidCommand)
                && matches!(facts.opcode(), Some(0 | 4))
                && facts.command.is_some_and(|plain| plain.len() != 17)
                && (peer.accepted()
                    || matches!(peer.error(), Some(Error::TopicKeyMissing | Error::SignerUnknown)))
        },
    },
    Rule {
        section: 4,
        reason: "SetIdKey with a key of the other mode has a wrong length; e4go calls the key invalid",
        applies: |facts, peer| {
            peer.who == Who::E4go
                && facts.refused() == Some(Error::InvalidCommand)
                && facts.opcode() == Some(2)
                && peer.error() == Some(Error::InvalidKey)
        },
    },
    Rule {
        section: 10,
        reason: "SetC2Key is a command; libe4 does not know it",
        applies: |facts, peer| {
            peer.who == Who::Libe4
                && facts.opcode() == Some(7)
                && peer.error() == Some(Error::InvalidCommand)
        },
    },
    Rule {
        section: 10,
        reason: "RemovePubKey removes the key; libe4 keeps it and goes on taking its messages",
        applies: |facts, peer| {
            peer.who == Who::Libe4
                && peer.accepted()
                && facts.refused() == Some(Error::SignerUnknown)
                && facts.signer().is_some_and(|id| facts.before.removed.contains_key(id))
        },
    },
    Rule {
        section: 7,
        reason: "a replaced topic key lives on for the transition; libe4 has none",
        applies: |facts, peer| {
            peer.who == Who::Libe4
                && peer.error() == Some(Error::InvalidTag)
                && matches!(facts.ours, Outcome::Message { previous: true, .. })
        },
    },
    Rule {
        section: 7,
        reason: "a command that was applied, or is older than the newest, is refused; peers run it again",
        applies: |facts, _| facts.is_command() && facts.refused() == Some(Error::Replayed),
    },
    Rule {
        section: 7,
        reason: "a replaced key that has expired opens nothing; e4go reports its age or length",
        applies: |facts, peer| {
            peer.who == Who::E4go
                && facts.refused() == Some(Error::InvalidTag)
                && matches!(
                    peer.error(),
                    Some(Error::TimestampTooOld | Error::TimestampInFuture | Error::InvalidKey)
                )
        },
    },
    Rule {
        section: 7,
        reason: "a replaced key lives 3600 whole seconds; e4go counts fractions and refuses the last one",
        applies: |facts, peer| {
            let topic = facts.before.topics.get(&super::model::short(facts.topic.as_bytes()));
            let previous = topic.and_then(|topic| topic.previous);
            peer.who == Who::E4go
                && peer.error() == Some(Error::TimestampTooOld)
                && matches!(facts.ours, Outcome::Message { previous: true, .. })
                && previous.is_some_and(|(_, at)| {
                    facts.now.saturating_sub(at) == facts.tolerance.transition
                })
        },
    },
];

/// Compares a peer's answer with the ruling: equal, or different by a rule, which is returned.
pub fn compare(facts: &Facts<'_>, peer: &Peer<'_>) -> Check<Option<&'static Rule>> {
    let agree = match facts.ours {
        Outcome::Message { payload, .. } => {
            let theirs = optional(peer.value, "payload").and_then(Value::as_str);
            if peer.accepted() && theirs.is_some_and(|theirs| theirs != hex::encode(payload)) {
                return Err(format!("{:?} opened another plaintext than the protocol", peer.who));
            }
            peer.accepted() && !peer.took_command()
        }
        Outcome::Command(_) => peer.accepted() && peer.took_command(),
        Outcome::Refused(error) => !peer.accepted() && peer.error() == Some(*error),
    };
    if agree {
        return Ok(None);
    }
    // A text that is not in the table still says that the peer refused.
    let unnamed = !peer.accepted() && peer.error().is_none() && facts.refused().is_some();
    let rule = RULES.iter().find(|rule| (rule.applies)(facts, peer));
    match rule {
        Some(rule) => Ok(Some(rule)),
        None if unnamed => Ok(None),
        None => Err(format!(
            "{:?} answers {}, PROTOCOL.md {:?}, and no rule decides",
            peer.who,
            if peer.accepted() { "ok" } else { peer.text() },
            facts.ours
        )),
    }
}
