# SPDX-License-Identifier: Apache-2.0 OR MIT
"""libe4's own known answers: two files without a kind, known by their shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import e4

from ._vector_device import Device, same, sha3, unhex
from ._vector_rules import Json, State

Case = tuple[str, str, Callable[[], None]]
_BASE = bytes([9]) + bytes(31)


def cases(file: Any) -> Iterator[Case]:
    """Kind, name and check of each entry; nothing if the file is of another shape."""
    if isinstance(file, list):
        for number, entry in enumerate(file):
            if isinstance(entry, dict) and {"key", "ad", "pt", "ct"} <= entry.keys():
                yield "libe4_siv", f"siv {number}", partial(_siv, entry)
    elif isinstance(file, dict):
        for name, check in (("commands", _commands), ("topics", _message)):
            entries = file.get(name, [])
            for entry in entries if isinstance(entries, list) else [entries]:
                yield f"libe4_{name}", name, partial(check, entry)


def _siv(entry: Json) -> None:
    key = e4.TopicKey(unhex(entry, "key"))
    plain, associated = unhex(entry, "pt"), unhex(entry, "ad")
    sealed = e4.siv_seal(key, plain, associated)
    same("ct", entry["ct"], sealed.hex())
    same("pt", plain, e4.siv_open(key, sealed, associated))


def _commands(entry: Json) -> None:
    for who in ("c2", "dev"):
        signing = e4.SigningKey(unhex(entry, f"{who}_edwards_seckey"))
        same("edwards_pubkey", entry[f"{who}_edwards_pubkey"], signing.public().hex())
        same("montgom_pubkey", entry[f"{who}_montgom_pubkey"], signing.public().to_x25519().hex())
        same("montgom_seckey", entry[f"{who}_montgom_seckey"], signing.to_x25519().hex())
    device = e4.SigningKey(unhex(entry, "dev_edwards_seckey"))
    c2 = e4.C2SecretKey(unhex(entry, "c2_montgom_seckey"))
    same("c2_montgom_pubkey", entry["c2_montgom_pubkey"], c2.public().hex())
    ours = e4.SharedKey.for_client(device, c2.public())
    theirs = e4.SharedKey.for_c2(c2, device.public())
    same("dev_sharedkey", entry["dev_sharedkey"], ours.expose().hex())
    same("c2_sharedkey", entry["c2_sharedkey"], theirs.expose().hex())
    for name in entry:
        if name.startswith("cmd_") and not name.endswith("_plain"):
            plain, protected = unhex(entry, f"{name}_plain"), unhex(entry, name)
            command = e4.Command.decode(plain)
            same(name, plain, command.encode())
            sent = int.from_bytes(protected[:8], "little")
            same(name, protected, command.protect_for(ours, now=sent))


def _message(entry: Json) -> None:
    key = e4.SigningKey(unhex(entry, "otherdevice_seckey"))
    same("otherdevice_pubkey", entry["otherdevice_pubkey"], key.public().hex())
    state = State(unhex(entry, "otherdevice_id"), key.expose(), _BASE)
    topic, protected = str(entry["topicname"]), unhex(entry, "e4_ciphertext")
    state.topics[sha3(topic.encode())[:16]] = unhex(entry, "topickey")
    state.peers[state.id] = bytes(key.public())
    client = Device.provision(state).client
    sent = int.from_bytes(protected[:8], "little")
    same("e4_ciphertext", protected, client.protect(topic, unhex(entry, "plaintext"), now=sent))
    opened = client.unprotect(topic, protected, now=sent)
    same("unprotect gives", True, isinstance(opened, e4.Message))
    if isinstance(opened, e4.Message):
        same("plaintext", entry["plaintext"], opened.plaintext.hex())
