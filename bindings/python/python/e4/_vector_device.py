# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A client, and beside it the tables that its commands must have made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import e4

from ._vector_rules import CheckFailed, Facts, Json, Peer, State, clock, compare

_SETUP = 1
_PROBE = "probe/of the runner"
Step = e4.Message | e4.CommandApplied | e4.E4Error


def sha3(data: bytes) -> bytes:
    return hashlib.sha3_256(data).digest()


def same(what: str, expected: object, got: object) -> None:
    """Compares, and says which differ."""
    if expected != got:
        raise CheckFailed(f"{what}: expected {expected!r}, got {got!r}")


def unhex(value: Json, name: str) -> bytes:
    return bytes.fromhex(value[name])


def hex_map(value: Json, name: str) -> dict[bytes, bytes]:
    pairs = (value.get(name) or {}).items()
    return {bytes.fromhex(at): bytes.fromhex(held) for at, held in pairs}


def own_keys(value: Json) -> tuple[bytes, bytes | None]:
    """The keys of a client as the cases of every kind name them."""
    for name in ("client_key", "receiver_key", "key"):
        if value.get(name) is not None:
            return unhex(value, name), None
    for name in ("client_ed_private", "receiver_ed_private", "private_key"):
        if value.get(name) is not None:
            c2 = "c2_pub" if value.get("c2_pub") is not None else "c2_x_public"
            return unhex(value, name), unhex(value, c2)
    raise CheckFailed("the case has no key of a client")


def state_of(value: Json) -> State:
    """The state in e4go's form: 40 bytes under the hash of a topic hash are a replaced key."""
    state = State(unhex(value, "id"), *own_keys(value))
    entries = hex_map(value, "topic_keys")
    for topic, key in entries.items():
        if len(key) != 32:
            continue
        state.topics[topic] = key
        old = entries.get(sha3(topic)[:16], b"")
        if len(old) == 40:
            state.previous[topic] = old[:32], int.from_bytes(old[32:], "little")
    state.peers = hex_map(value, "pub_keys")
    return state


def initial(value: Json) -> State:
    """What a case says of its client: ``client_id`` and ``initial_*``, or ``receiver_*``."""
    name = "client_id" if value.get("client_id") is not None else "receiver_id"
    state = State(unhex(value, name), *own_keys(value))
    state.topics = hex_map(value, "initial_topic_keys")
    # Those of a receiver are named by the topic itself.
    for topic, key in (value.get("receiver_topic_keys") or {}).items():
        state.topics[sha3(topic.encode())[:16]] = bytes.fromhex(key)
    initial_peers = value.get("initial_pub_keys") is not None
    state.peers = hex_map(value, "initial_pub_keys" if initial_peers else "receiver_pub_keys")
    return state


def command_key(state: State) -> e4.IdKey | e4.SharedKey:
    if state.c2 is None:
        return e4.IdKey(state.own)
    return e4.SharedKey.for_client(e4.SigningKey(state.own), e4.C2PublicKey(state.c2))


class Device:
    """A client under test, and the tables that it must hold."""

    def __init__(self, client: e4.Client, state: State, options: int = 0) -> None:
        self.client, self.state, self.options = client, state, options
        self.rules: list[tuple[int, str]] = []
        self.diverged = False

    @classmethod
    def provision(
        cls, state: State, settings: e4.Settings | None = None, options: int = 0
    ) -> Device:
        """Provisions a client and gives it its keys by commands."""
        settings = settings or e4.Settings()
        id = e4.ClientId(state.id)
        if state.c2 is None:
            client = e4.Client.provision(id, e4.IdKey(state.own), settings=settings)
        else:
            c2 = e4.C2PublicKey(state.c2)
            key = e4.SigningKey(state.own)
            client = e4.Client.provision(id, key, c2_key=c2, settings=settings)
        topics = (b"\3" + key + topic for topic, key in state.topics.items())
        peers = (b"\6" + key + peer for peer, key in state.peers.items())
        for plain in (*topics, *peers):
            protected = e4.Command.decode(plain).protect_for(command_key(state), now=_SETUP)
            client.unprotect(state.control_topic, protected, now=_SETUP)
        client.answer(now=_SETUP)
        device = cls(client, state.copy(), options)
        device.check_state()
        return device

    @classmethod
    def imported(cls, client: e4.Client, state: State) -> Device:
        same("imported id", state.id, bytes(client.id))
        device = cls(client, state.copy())
        device.check_state()
        return device

    def check_state(self) -> None:
        """Everything that the API shows of the state."""
        keys = (b"\1" + at + sha3(self.state.topics[at]) for at in sorted(self.state.topics))
        peers = (b"\2" + at + self.state.peers[at] for at in sorted(self.state.peers))
        same("digest", sha3(b"".join((*keys, *peers)))[:16], self.client.digest())
        counts = len(self.state.topics), len(self.state.peers)
        same("counts", counts, (self.client.topic_count, self.client.peer_count))
        public = None if self.state.c2 is None else e4.PublicKey(self.state.own[32:])
        same("public key", public, self.client.public_key)

    def receive(self, now: int, topic: str, protected: bytes) -> tuple[Step, bytes | None]:
        """Gives the client what arrived; returns that, and the plaintext of an authentic command."""
        state, plain = self.state, None
        is_command = topic == state.control_topic
        if is_command and len(protected) >= 24:
            key = command_key(state)
            try:
                sealing = e4.TopicKey(key.expose())
                plain = e4.siv_open(sealing, protected[8:], protected[:8])
            except e4.InvalidTagError:
                plain = None
            if plain is not None:
                self._check_producer(plain, key, protected)
        try:
            ours: Step = self.client.unprotect(topic, protected, now=now)
        except e4.E4Error as error:
            ours = error
        if isinstance(ours, e4.CommandApplied):
            if plain is None:
                raise CheckFailed("a command was applied that does not authenticate")
            self._apply(plain, now)
        elif plain is not None and plain[:1] == b"\7" and isinstance(ours, e4.InvalidKeyError):
            state.refused_c2 = plain[1:]
        if is_command:
            self._check_answer(now, protected, ours, plain)
        self.check_state()
        return ours, plain

    @staticmethod
    def _check_producer(plain: bytes, key: e4.IdKey | e4.SharedKey, protected: bytes) -> None:
        try:
            command = e4.Command.decode(plain)
        except e4.E4Error:
            return  # What cannot be decoded cannot be built.
        same("encoded command", plain, command.encode())
        time = int.from_bytes(protected[:8], "little")
        same("protected command", protected, command.protect_for(key, now=time))

    def _apply(self, plain: bytes, now: int) -> None:
        state, rest = self.state, plain[1:]
        match plain[0]:
            case 0:
                state.topics.pop(rest, None)
                state.previous.pop(rest, None)
            case 1:
                state.topics.clear()
                state.previous.clear()
            case 2:
                state.own = rest
            case 3:
                key, topic = rest[:32], rest[32:]
                old = state.topics.get(topic)
                if old is not None and old != key:
                    state.previous[topic] = old, now
                state.topics[topic] = key
            case 4:
                if rest in state.peers:
                    state.removed[rest] = state.peers.pop(rest)
            case 5:
                state.peers.clear()
                state.removed.clear()
            case 6:
                state.removed.pop(rest[32:], None)
                state.peers[rest[32:]] = rest[:32]
            case 7:
                state.c2 = rest

    def _check_answer(self, now: int, protected: bytes, ours: Step, plain: bytes | None) -> None:
        """A command that authenticated is answered unless it is a replay; nothing else is."""
        unanswered = (e4.ReplayedError, e4.TimestampInFutureError, e4.TimestampTooOldError)
        answer = self.client.answer(now=now)
        if plain is None or isinstance(ours, unanswered):
            return same("answer", None, answer)
        if answer is None:
            raise CheckFailed("no answer to a command that authenticated")
        opened = e4.open_answer(command_key(self.state), answer)
        same("SIV of the answer", protected[8:24], opened.command)
        same("digest of the answer", self.client.digest(), opened.digest)
        status = ours.number if isinstance(ours, e4.E4Error) else 0
        same("status of the answer", status, opened.status)

    def step(self, now: int, topic: str, protected: bytes, peers: list[Peer]) -> tuple[Step, Any]:
        """Receives; then the peers' answers are held against what came."""
        before = self.state.copy()
        ours, plain = self.receive(now, topic, protected)
        settings = self.client.settings
        self.diverged = False
        for peer in peers:
            facts = Facts(
                before, settings.past, settings.future, settings.transition, self.options,
                clock(peer.value) or now, topic, protected, plain, ours,
                self._by_previous(before, topic, protected, ours),
            )
            rule = compare(facts, peer)
            if rule is not None:
                self.rules.append(rule)
            self.diverged |= peer.accepted == isinstance(ours, e4.E4Error)
        allowed = (e4.InvalidKeyError, e4.ReplayedError, e4.SignerUnknownError)
        if len(peers) == 2 and all(peer.accepted for peer in peers):
            if isinstance(ours, e4.E4Error) and not isinstance(ours, allowed):
                raise CheckFailed(f"both peers accept, refused with {ours!r}")
        if len(peers) == 2 and not any(peer.accepted for peer in peers):
            if not isinstance(ours, e4.E4Error):
                raise CheckFailed("both peers refuse, accepted")
        return ours, plain

    @staticmethod
    def _by_previous(before: State, topic: str, protected: bytes, ours: Step) -> bool:
        """Whether only a replaced key opens the message."""
        if not isinstance(ours, e4.Message):
            return False
        sealed = protected[8:] if before.c2 is None else protected[24:-64]
        key = e4.TopicKey(before.topics[bytes(e4.TopicHash.from_topic(topic))])
        try:
            e4.siv_open(key, sealed, protected[:8])
        except e4.InvalidTagError:
            return True
        return False

    def same_as(self, who: str, value: Json) -> None:
        """Compares the tables with the state of a peer."""
        theirs, ours = state_of(value), self.state
        same(f"id in {who}'s state", theirs.id, ours.id)
        same(f"topics in {who}'s state", theirs.topics, ours.topics)
        peers = dict(ours.peers)
        if who == "libe4":
            peers.update(ours.removed)  # Section 10: it keeps what was removed.
        same(f"public keys in {who}'s state", theirs.peers, peers)
        same(f"own key in {who}'s state", theirs.own, ours.own)
        # Section 4: a refused command changes nothing; e4go keeps the C2 key that it refused.
        if who == "libe4" or theirs.c2 != ours.refused_c2:
            same(f"C2 key in {who}'s state", theirs.c2, ours.c2)
        if who == "e4go":
            # The clock is read within the call, and may show the next second.
            same("replaced keys", set(theirs.previous), set(ours.previous))
            for topic, (key, time) in ours.previous.items():
                same("a replaced key", theirs.previous[topic][0], key)
                if abs(theirs.previous[topic][1] - time) > 1:
                    raise CheckFailed("the time of replacement differs")

    def trial(self, now: int, topics: Iterable[str]) -> None:
        """Tries the keys by using them: messages, and a fresh command."""
        for topic in topics:
            key = self.state.topics.get(bytes(e4.TopicHash.from_topic(topic)))
            same(f"has_topic({topic!r})", key is not None, self.client.has_topic(topic))
            if key is None:
                continue
            made = self.client.protect(topic, b"trial", now=now)
            sealed = made[8:] if self.state.c2 is None else made[24:-64]
            same("trial", b"trial", e4.siv_open(e4.TopicKey(key), sealed, made[:8]))
        command = e4.Command.set_topic_key(_PROBE, e4.TopicKey(b"Z" * 32))
        for time in (now, now + 600):  # A command of the case may be ahead of the clock.
            protected = command.protect_for(command_key(self.state), now=time)
            ours, _ = self.receive(time, self.state.control_topic, protected)
            if isinstance(ours, e4.CommandApplied):
                return
        raise CheckFailed(f"a fresh command under the expected key: {ours!r}")
