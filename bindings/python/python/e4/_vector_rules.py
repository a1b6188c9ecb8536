# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Where e4go and libe4 differ from PROTOCOL.md, PROTOCOL.md decides. Each difference is a rule over
the inputs of a case, with its section; a difference without a rule is a failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import e4

Json = dict[str, Any]


class CheckFailed(Exception):
    """A check of a case failed; the text says what was expected and what came."""


_EXACT = {
    "siv: authentication failed": e4.InvalidTagError,
    "aes256_decrypt_siv nonzero": e4.InvalidTagError,
    "timestamp received is in the future": e4.TimestampInFutureError,
    "timestamp too old": e4.TimestampTooOldError,
    "ciphertext too short": e4.MessageTooShortError,
    "too short ciphertext": e4.MessageTooShortError,
    "invalid length of protected message": e4.MessageTooShortError,
    "topic key not found": e4.TopicKeyMissingError,
    "signer public key not found": e4.SignerUnknownError,
    "invalid signature": e4.SignatureInvalidError,
    "invalid command": e4.InvalidCommandError,
    "this operation is not supported": e4.InvalidCommandError,
    "topic must not be empty": e4.InvalidTopicError,
    "topic cannot be empty": e4.InvalidTopicError,
    "name must not be empty": e4.InvalidNameError,
    "E4_ERROR_INVALID_TAG": e4.InvalidTagError,
    "E4_ERROR_TIMESTAMP_IN_FUTURE": e4.TimestampInFutureError,
    "E4_ERROR_TIMESTAMP_TOO_OLD": e4.TimestampTooOldError,
    "E4_ERROR_CIPHERTEXT_TOO_SHORT": e4.MessageTooShortError,
    "E4_ERROR_TOPICKEY_MISSING": e4.TopicKeyMissingError,
    "E4_ERROR_DEVICEPK_MISSING": e4.SignerUnknownError,
    "E4_ERROR_PK_SIGVERIF_FAILED": e4.SignatureInvalidError,
    "E4_ERROR_INVALID_COMMAND": e4.InvalidCommandError,
}
_STARTS = {
    "name length is inval": e4.InvalidNameError,
    "topic too long": e4.InvalidTopicError,
    "invalid password": e4.InvalidPasswordError,
    "no public key exists for id": e4.SignerUnknownError,
    "invalid symmetric key": e4.InvalidKeyError,
    "invalid private key": e4.InvalidKeyError,
    "invalid public key": e4.InvalidKeyError,
    "invalid c2 public key": e4.InvalidKeyError,
    "invalid old topic key": e4.InvalidKeyError,
    "invalid key length": e4.InvalidKeyError,
    "curve25519 X25519 failed": e4.InvalidKeyError,
    "invalid RemoveTopic length": e4.InvalidCommandError,
    "invalid ResetTopics length": e4.InvalidCommandError,
    "invalid SetIDKey length": e4.InvalidCommandError,
    "invalid SetTopicKey length": e4.InvalidCommandError,
    "invalid RemovePubKey length": e4.InvalidCommandError,
    "invalid ResetPubKeys length": e4.InvalidCommandError,
    "invalid SetPubKey length": e4.InvalidCommandError,
    "invalid SetC2Key length": e4.InvalidCommandError,
}

Refusal = type[e4.E4Error]


def error_of(text: str) -> Refusal | None:
    """The error that a peer's text or name stands for."""
    if text in _EXACT:
        return _EXACT[text]
    return next((error for start, error in _STARTS.items() if text.startswith(start)), None)


def clock(value: Json) -> int | None:
    """Unix seconds out of ``clock_ns: [before, after]``."""
    times = value.get("clock_ns")
    return times[0] // 1_000_000_000 if times else None


@dataclass
class Peer:
    """What an implementation answered."""

    who: str
    value: Json

    @property
    def accepted(self) -> bool:
        return self.value.get("ok") is True

    @property
    def took_command(self) -> bool:
        return self.value.get("command_processed") is True

    @property
    def text(self) -> str:
        return self.value.get("error") or ""

    @property
    def error(self) -> Refusal | None:
        return error_of(self.text)


@dataclass
class State:
    """The keys of a client, as a case gives them and as commands change them."""

    id: bytes
    own: bytes
    c2: bytes | None = None
    topics: dict[bytes, bytes] = field(default_factory=dict)
    previous: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    peers: dict[bytes, bytes] = field(default_factory=dict)
    removed: dict[bytes, bytes] = field(default_factory=dict)
    refused_c2: bytes | None = None

    @property
    def control_topic(self) -> str:
        return "e4/" + self.id.hex()

    def copy(self) -> State:
        tables = (dict(self.topics), dict(self.previous), dict(self.peers), dict(self.removed))
        return State(self.id, self.own, self.c2, *tables, self.refused_c2)


@dataclass
class Facts:
    """What went in, and what the client made of it."""

    before: State
    past: int
    future: int
    transition: int
    libe4_options: int
    now: int
    topic: str
    protected: bytes
    command: bytes | None
    ours: e4.Message | e4.CommandApplied | e4.E4Error
    by_previous: bool

    @property
    def sent(self) -> int:
        return int.from_bytes(self.protected[:8], "little")

    def refused(self, error: Refusal) -> bool:
        return type(self.ours) is error

    @property
    def is_command(self) -> bool:
        return self.topic == self.before.control_topic

    @property
    def is_signed(self) -> bool:
        return not self.is_command and self.before.c2 is not None

    @property
    def opcode(self) -> int | None:
        return self.command[0] if self.command else None

    @property
    def signer(self) -> bytes:
        return self.protected[8:24] if self.is_signed else b""


_ORDER = 2**252 + 27742317777372353535851937790883648493
_GO_TIME_MAX = 2**63 - 1 - 62_135_596_800
_RANK: dict[Refusal, int] = {
    e4.TopicKeyMissingError: 0,
    e4.MessageTooShortError: 1,
    e4.TimestampInFutureError: 2,
    e4.TimestampTooOldError: 2,
    e4.SignerUnknownError: 3,
    e4.SignatureInvalidError: 4,
    e4.InvalidTagError: 5,
}
_TIMES = (e4.TimestampTooOldError, e4.TimestampInFutureError)


def _ranked_first(f: Facts, p: Peer) -> bool:
    if not isinstance(f.ours, e4.E4Error) or p.error is None:
        return False
    return _RANK.get(type(f.ours), 6) < _RANK.get(p.error, 6)


def _removing_nothing(f: Facts, p: Peer) -> bool:
    if not isinstance(f.ours, e4.CommandApplied) or f.command is None:
        return False
    if p.who == "libe4" and f.opcode == 0:
        return f.command[1:] not in f.before.topics and p.error is e4.TopicKeyMissingError
    absent = f.command[1:] not in f.before.peers
    return p.who == "e4go" and f.opcode == 4 and absent and p.error is e4.SignerUnknownError


def _age_of_previous(f: Facts) -> int | None:
    entry = f.before.previous.get(bytes(e4.TopicHash.from_topic(f.topic)))
    return None if entry is None else max(f.now - entry[1], 0)


Applies = Callable[[Facts, Peer], bool]
RULES: list[tuple[int, str, Applies]] = [
    (1, "a timestamp up to the tolerance ahead is taken; e4go tolerates 0",
     lambda f, p: p.who == "e4go" and p.error is e4.TimestampInFutureError
     and 0 < f.sent - f.now <= f.future),
    (1, "age is counted in whole seconds; e4go counts fractions and refuses the last one",
     lambda f, p: p.who == "e4go" and p.error is e4.TimestampTooOldError
     and f.now - f.sent == f.past),
    (1, "a timestamp is unsigned; e4go's wraps around beyond 2^63",
     lambda f, p: p.who == "e4go" and p.error is e4.TimestampTooOldError
     and f.refused(e4.TimestampInFutureError) and f.sent > _GO_TIME_MAX),
    (10, "an SK message may be empty; e4go refuses 24 bytes before it looks at them",
     lambda f, p: p.who == "e4go" and p.error is e4.MessageTooShortError
     and len(f.protected) == 24 and not f.is_signed),
    (3, "a PK message has 104 bytes at least; e4go finds another fault with shorter ones",
     lambda f, p: not p.accepted and f.is_signed and len(f.protected) < 104),
    (3, "of two faults the first in the order of checks counts; the peer checks another first",
     _ranked_first),
    (3, "signatures are checked strictly; libe4 takes an S of the group order or above",
     lambda f, p: p.who == "libe4" and p.accepted and f.refused(e4.SignatureInvalidError)
     and int.from_bytes(f.protected[-32:], "little") >= _ORDER),
    (3, "a receiver may accept unknown signers, as libe4 was set; e4go has no such setting",
     lambda f, p: p.who == "e4go" and f.libe4_options & 2 != 0
     and p.error is e4.SignerUnknownError and f.signer not in f.before.peers),
    (1, "the validity is a setting, as wide as libe4 was told; e4go keeps 600 s",
     lambda f, p: p.who == "e4go" and f.libe4_options & 1 != 0 and p.error in _TIMES),
    (4, "a key that is zero, of small order, undecodable or mismatched is refused",
     lambda f, p: p.accepted and f.refused(e4.InvalidKeyError) and f.opcode in (2, 3, 6)),
    (4, "removing what is not there succeeds; libe4 reports the topic, e4go the public key",
     _removing_nothing),
    (4, "RemoveTopic and RemovePubKey have 17 bytes; libe4 does not look at the length",
     lambda f, p: p.who == "libe4" and f.refused(e4.InvalidCommandError) and f.opcode in (0, 4)
     and len(f.command or b"") != 17
     and (p.accepted or p.error in (e4.TopicKeyMissingError, e4.SignerUnknownError))),
    (4, "SetIdKey with a key of the other mode has a wrong length; e4go calls the key invalid",
     lambda f, p: p.who == "e4go" and f.refused(e4.InvalidCommandError) and f.opcode == 2
     and p.error is e4.InvalidKeyError),
    (10, "SetC2Key is a command; libe4 does not know it",
     lambda f, p: p.who == "libe4" and f.opcode == 7 and p.error is e4.InvalidCommandError),
    (10, "RemovePubKey removes the key; libe4 keeps it and goes on taking its messages",
     lambda f, p: p.who == "libe4" and p.accepted and f.refused(e4.SignerUnknownError)
     and f.signer in f.before.removed),
    (7, "a replaced topic key lives on for the transition; libe4 has none",
     lambda f, p: p.who == "libe4" and p.error is e4.InvalidTagError and f.by_previous),
    (7, "a command that was applied, or is older than the newest, is refused; peers run it again",
     lambda f, p: f.is_command and f.refused(e4.ReplayedError)),
    (7, "a replaced key that has expired opens nothing; e4go reports its age or length",
     lambda f, p: p.who == "e4go" and f.refused(e4.InvalidTagError)
     and p.error in (*_TIMES, e4.InvalidKeyError)),
    (7, "a replaced key lives 3600 whole seconds; e4go counts fractions and refuses the last one",
     lambda f, p: p.who == "e4go" and p.error is e4.TimestampTooOldError and f.by_previous
     and _age_of_previous(f) == f.transition),
]


def compare(facts: Facts, peer: Peer) -> tuple[int, str] | None:
    """Compares a peer's answer with ours: equal, or different by a rule, which is returned."""
    match facts.ours:
        case e4.Message(plaintext):
            theirs = peer.value.get("payload")
            if peer.accepted and theirs is not None and theirs != plaintext.hex():
                raise CheckFailed(f"{peer.who} opened another plaintext")
            agree = peer.accepted and not peer.took_command
        case e4.CommandApplied():
            agree = peer.accepted and peer.took_command
        case error:
            agree = not peer.accepted and peer.error is type(error)
    if agree:
        return None
    for section, reason, applies in RULES:
        if applies(facts, peer):
            return section, reason
    # A text that is not in the table still says that the peer refused.
    if not peer.accepted and peer.error is None and isinstance(facts.ours, e4.E4Error):
        return None
    answer = "ok" if peer.accepted else peer.text
    raise CheckFailed(f"{peer.who} answers {answer!r}, ours is {facts.ours!r}, no rule decides")
