# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Runs interoperability vectors through the Python API: ``python -m e4.vectors PATH...``

A path is a file or a folder of ``*.json`` files in the format of vectors/peers/README.md. The kind
stands in the file; nothing depends on names of files or cases, or on how many there are.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import e4

from . import _vector_libe4 as libe4
from . import _vector_plain as plain
from ._vector_device import (
    Device,
    command_key,
    hex_map,
    initial,
    own_keys,
    same,
    sha3,
    state_of,
    unhex,
)
from ._vector_rules import CheckFailed, Json, Peer, State, clock

__all__ = ["Report", "main"]

Rules = list[tuple[int, str]]
_BASE = bytes([9]) + bytes(31)


def _peers(out: Json, e4go: str = "e4go", libe4: str = "libe4") -> list[Peer]:
    named = (("e4go", e4go), ("libe4", libe4))
    return [Peer(who, out[at]) for who, at in named if isinstance(out.get(at), dict)]


def _clock(given: Json, peers: list[Peer]) -> int:
    times = [given.get("receiver_clock_s"), *(clock(peer.value) for peer in peers)]
    return next(int(time) for time in times if time is not None)


def _topics(given: Json) -> list[str]:
    own = given.get("topic") or "e4/"
    named = [*(given.get("initial_topics") or ()), *(given.get("receiver_topic_keys") or ())]
    return named if own.startswith("e4/") else [*named, own]


def _messages(given: Json, out: Json, case: Json) -> Rules:
    topic, payload = given["topic"], unhex(given, "payload")
    protected, sent = unhex(out, "protected"), out["timestamp"]
    same("timestamp", sent.to_bytes(8, "little"), protected[:8])
    same("payload_len", given["payload_len"], len(payload))
    hash = bytes(e4.TopicHash.from_topic(topic))
    same("topic_hash", given["topic_hash"], hash.hex())
    peers = _peers(out, "opened_by_e4go", "opened_by_libe4")
    signed = given.get("signer_id") is not None
    if signed:
        key = e4.SigningKey.from_seed(unhex(given, "signer_ed_seed"))
        same("signer_ed_public", given["signer_ed_public"], key.public().hex())
        state = State(unhex(given, "signer_id"), key.expose(), _BASE)
        state.peers[state.id] = unhex(given, "signer_ed_public")
    else:
        state = State(bytes([3] * 16), bytes([7] * 32))
        made = e4.TopicKey(unhex(given, "topic_key")).protect(payload, now=sent)
        same("protected without a client", protected, made)
    state.topics[hash] = unhex(given, "topic_key")
    device = Device.provision(state)
    # Section 10: what libe4 signs with a key in our form never verifies; all before it is the same.
    unsigned = signed and not any(peer.accepted for peer in peers)
    length = len(protected) - 64 if unsigned else len(protected)
    made = device.client.protect(topic, payload, now=sent)
    same("protected", protected[:length], made[:length])
    ours, _ = device.step(_clock(given, peers), topic, protected, peers)
    if unsigned:
        same("refused with", e4.SignatureInvalidError, type(ours))
    elif not isinstance(ours, e4.Message) or ours.plaintext != payload:
        raise CheckFailed(f"expected the payload, got {ours!r}")
    return device.rules


def _one_message(given: Json, out: Json, case: Json) -> Rules:
    if given.get("op") == "protect":
        return _protect_refused(given, out)
    options = given.get("libe4_opts") or 0
    wide = 2**32 - 1 if options & 1 else 600
    settings = e4.Settings(past=wide, future=wide, accept_unknown_signers=bool(options & 2))
    topic = given["topic"]
    if given.get("receiver_topic_keys") is not None:
        state = initial(given)
    else:
        state = _any_receiver(given)
        state.topics[sha3(topic.encode())[:16]] = unhex(given, "topic_key")
        if given.get("signer_id") is not None:
            state.peers[unhex(given, "signer_id")] = unhex(given, "signer_ed_public")
    peers = _peers(out)
    now = _clock(given, peers)
    device = Device.provision(state, settings, options)
    ours, _ = device.step(now, topic, unhex(given, "protected"), peers)
    stated = any(peer.value.get("payload") is not None for peer in peers)
    if isinstance(ours, e4.Message) and not stated:
        name = "payload" if given.get("payload") is not None else "original_payload"
        same(name, given[name], ours.plaintext.hex())
    device.trial(now, _topics(given))
    return device.rules


def _any_receiver(given: Json) -> State:
    id = unhex(given, "receiver_id") if given.get("receiver_id") is not None else bytes([3] * 16)
    try:
        return State(id, *own_keys(given))
    except CheckFailed:  # The case names the signer, or nobody; any receiver will do.
        if given.get("signer_id") is None:
            return State(id, bytes([7] * 32))
        return State(id, e4.SigningKey.from_seed(bytes([5] * 32)).expose(), _BASE)


def _protect_refused(given: Json, out: Json) -> Rules:
    topic, payload = given["topic"], unhex(given, "original_payload")
    state = _any_receiver(given)
    key = given.get("topic_key")
    made = None if key is None else plain.attempt(lambda: e4.TopicKey(bytes.fromhex(key)))
    if isinstance(made, e4.TopicKey):
        state.topics[sha3(topic.encode())[:16]] = made.expose()
    device, peers = Device.provision(state), _peers(out)
    now = _clock(given, peers)
    got = plain.attempt(lambda: device.client.protect(topic, payload, now=now))
    if isinstance(made, Exception):
        got = made
    own_topic = topic == state.control_topic
    if own_topic:
        # Section 7; libe4 uses the id key, and e4go misses a topic key.
        same("protect for the control topic", e4.InvalidTopicError, type(got))
        return []
    for peer in peers:
        if peer.accepted:
            sent = int.from_bytes(unhex(peer.value, "protected")[:8], "little")
            again = device.client.protect(topic, payload, now=sent)
            same("protected", peer.value["protected"], again.hex())
        elif peer.error is not type(got) and not isinstance(got, ValueError):
            raise CheckFailed(f"protect: {peer.who} answers {peer.text!r}, got {got!r}")
    return []


def _commands(given: Json, out: Json, case: Json) -> Rules:
    state, peers = initial(given), _peers(out)
    now, topic = _clock(given, peers), given["receiving_topic"]
    same("receiving_topic", topic, state.control_topic)
    if given.get("shared_key") is not None:
        same("shared_key", given["shared_key"], command_key(state).expose().hex())
    device = Device.provision(state)
    ours, command = device.step(now, topic, unhex(given, "protected"), peers)
    if given.get("command") is not None and command is not None:
        same("command", given["command"], command.hex())
    taken = not isinstance(ours, e4.E4Error)
    for peer in peers:
        if peer.value.get("state") is not None and taken == peer.accepted:
            device.same_as(peer.who, peer.value["state"])
    device.trial(now, _topics(given))
    return device.rules


def _sequences(given: Json, out: Json, case: Json) -> Rules:
    client = e4.Client.import_e4go(given["initial_e4go_json"].encode())
    device = Device.imported(client, state_of(given["initial_state"]))
    last, diverged = 0, False
    for step in case["steps"]:
        expect = Peer("e4go", step["expect"])
        last = clock(expect.value) or last
        if step["do"] == "protect":
            _protect_step(device, step, expect, last)
            continue
        done = device.step(last, step["topic"], unhex(step, "protected"), [expect])
        if step.get("command") is not None and done[1] is not None:
            same("command", step["command"], done[1].hex())
        # A peer that applies what we refuse, or the reverse, has another state from there on.
        if expect.value.get("state") is not None:
            try:
                device.same_as("e4go", expect.value["state"])
            except CheckFailed:
                if not (diverged or device.diverged):
                    raise
                diverged = True
    file = case.get("final_e4go_json")
    if file is not None and not diverged:
        after = plain.attempt(lambda: e4.Client.import_e4go(file.encode()))
        # Section 4: e4go keeps a C2 key that it refused; we take no such file.
        if not (isinstance(after, e4.InvalidKeyError) and device.state.refused_c2):
            Device.imported(after, device.state)
    device.trial(last, _topics(given))
    return device.rules


def _protect_step(device: Device, step: Json, expect: Peer, now: int) -> None:
    topic, payload = plain.text_bytes(step, "topic"), unhex(step, "payload")
    if not expect.accepted:
        got = plain.attempt(lambda: device.client.protect(topic.decode(), payload, now=now), topic)
        return same("refused as by e4go", True, isinstance(got, Exception))
    theirs = unhex(expect.value, "protected")
    sent = int.from_bytes(theirs[:8], "little")
    same("protected", theirs, device.client.protect(topic.decode(), payload, now=sent))


def _transition(given: Json, out: Json, case: Json) -> Rules:
    state, topic = state_of(given["state"]), given["topic"]
    hash = sha3(topic.encode())[:16]
    same("new_key", given["new_key"], state.topics[hash].hex())
    same("transition_entry_key", given["transition_entry_key"], sha3(hash)[:16].hex())
    stored = hex_map(given["state"], "topic_keys")[sha3(hash)[:16]]
    if hash in state.previous:
        same("transition_ts", given["transition_ts"], state.previous[hash][1])
        same("old_key", given["old_key"], stored[:32].hex())
    # Section 1: the tolerance into the future is a setting; this is e4go's.
    settings = e4.Settings(future=0)
    client = e4.Client.import_e4go(given["e4go_json"].encode(), settings=settings)
    device, peers = Device.imported(client, state), _peers(out)
    now = _clock(given, peers)
    device.step(now, topic, unhex(given, "protected"), peers)
    device.trial(now, [topic])
    return device.rules


def _libe4_sequences(given: Json, out: Json, case: Json) -> Rules:
    state = initial(given)
    if given.get("extra_signer_ed_public") is not None:
        state.peers[unhex(given, "extra_signer_id")] = unhex(given, "extra_signer_ed_public")
    client = e4.Client.import_libe4(unhex(given, "libe4_store_file_before"))
    device, last = Device.imported(client, state), 0
    for step in case["steps"]:
        expect = Peer("libe4", step["expect"])
        last = clock(expect.value) or last
        device.step(last, step["topic"], unhex(step, "protected"), [expect])
        device.same_as("libe4", step["state"])
    after = device.state.copy()
    after.peers.update(after.removed)  # Section 10: libe4 keeps what it was told to remove.
    Device.imported(e4.Client.import_libe4(unhex(case, "libe4_store_file_after")), after)
    device.trial(last, _topics(given))
    return device.rules


_KINDS: dict[str, Callable[[Json, Json, Json], Rules]] = {
    "id_from_alias": plain.id_from_alias,
    "topic_hash": plain.topic_hash,
    "password_symkey": plain.password,
    "password_ed25519": plain.password,
    "ed25519_to_x25519": plain.conversion,
    "ed25519_to_x25519_edge": plain.conversion_edge,
    "shared_key": plain.shared_key,
    "shared_key_negative": plain.shared_key_negative,
    "aes_siv": plain.aes_siv,
    "aes_siv_negative": plain.aes_siv_negative,
    "commands_plain": plain.commands_plain,
    "sk_messages": _messages,
    "pk_messages": _messages,
    "negative_sk": _one_message,
    "negative_pk": _one_message,
    "timestamps": _one_message,
    "commands_protected": _commands,
    "negative_commands": _commands,
    "sequences": _sequences,
    "transition_expiry": _transition,
    "libe4_sequences": _libe4_sequences,
}


class Report:
    """What a run found; a file that cannot be read or has an unknown kind counts as a failure."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.rules: Counter[tuple[int, str]] = Counter()
        self.failures: list[str] = []

    @property
    def passed(self) -> int:
        """How many cases passed."""
        return sum(self.kinds.values())

    def run_path(self, path: Path) -> None:
        """Runs a file, or all ``*.json`` files of a folder and the folders in it."""
        if not path.exists():
            self.failures.append(f"{path}: does not exist")
        files = sorted(path.rglob("*.json")) if path.is_dir() else [path] if path.exists() else []
        for file in files:
            try:
                content = json.loads(file.read_bytes())
            except (OSError, ValueError) as error:
                self.failures.append(f"{file}: {error}")
                continue
            self.run_file(str(file), content)

    def run_file(self, name: str, file: Any) -> None:
        """Runs what a file holds."""
        kind = file.get("kind") if isinstance(file, dict) else None
        if kind is None:
            found = list(libe4.cases(file))
            if not found:
                self.failures.append(f"{name}: it has no kind")
            for kind, case_name, check in found:
                self.check(kind, f"{name}, {case_name}", check)
            return
        run, cases = _KINDS.get(kind), file.get("cases")
        if run is None or not isinstance(cases, list):
            self.failures.append(f"{name}: unknown kind {kind!r}, or no cases")
            return
        for case in cases:
            given = (case.get("in", {}), case.get("out", {}), {**case, "kind": kind})
            self.check(kind, f"{case.get('id')} ({case.get('name')})", partial(run, *given))

    def check(self, kind: str, name: str, run: Callable[[], Rules | None]) -> None:
        """Runs a case; whatever happens in it is its failure."""
        try:
            rules = run()
        except Exception as error:
            self.failures.append(f"{name}: {type(error).__name__}: {error}")
        else:
            self.kinds[kind] += 1
            self.rules.update(rules or [])


def main(arguments: list[str]) -> int:
    """Runs the paths, prints what was found, and returns the exit status."""
    if not arguments:
        print("usage: python -m e4.vectors PATH...", file=sys.stderr)
        return 2
    report = Report()
    for path in arguments:
        report.run_path(Path(path))
    for kind, count in sorted(report.kinds.items()):
        print(f"{kind:<24} {count:>5} passed")
    for (section, reason), count in sorted(report.rules.items()):
        print(f"section {section:>2}, {count:>3} times: {reason}")
    for failure in report.failures:
        print(f"FAILED {failure}")
    print(f"{report.passed} passed, {len(report.failures)} failed")
    return 0 if report.passed and not report.failures else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
