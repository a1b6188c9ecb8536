# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Kinds of vectors without a client: ids, keys, sealing, agreement, plain commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import e4

from ._vector_device import same, sha3, unhex
from ._vector_rules import CheckFailed, Json, State, error_of

Rules = list[tuple[int, str]]


def text_bytes(value: Json, name: str) -> bytes:
    """A text that may also be given in hexadecimal, which then counts: it need not be UTF-8."""
    if value.get(name + "_hex") is not None:
        return unhex(value, name + "_hex")
    return str(value[name]).encode()


def attempt(call: Callable[[], Any], text: bytes = b"") -> Any:
    """The result of a call, or its exception. What is no UTF-8 has no ``str``."""
    try:
        text.decode()
        return call()
    except (e4.E4Error, ValueError) as error:
        return error


def same_error(text: str | None, got: Exception) -> None:
    expected = error_of(text or "")
    if expected is not None and isinstance(got, e4.E4Error):
        same("error", expected, type(got))


def same_as_all(value: Json, names: str, got: bytes) -> None:
    for name in names.split():
        if value.get(name) is not None:
            same(name, value[name], got.hex())


def id_from_alias(given: Json, out: Json, case: Json) -> Rules:
    alias = text_bytes(given, "alias")
    same_as_all(out, "id libe4_id", sha3(alias)[:16])
    got = attempt(lambda: e4.ClientId.from_name(alias.decode()), alias)
    theirs = out.get("e4go_validate_name_error")
    same("accepted", theirs is None, isinstance(got, e4.ClientId))
    if isinstance(got, Exception):
        same_error(theirs, got)
    else:
        same("id", sha3(alias)[:16], bytes(got))
        same("receiving_topic", out["receiving_topic"], State(bytes(got), b"").control_topic)
    return []


def topic_hash(given: Json, out: Json, case: Json) -> Rules:
    topic = text_bytes(given, "topic")
    same_as_all(out, "hash libe4_hash", sha3(topic)[:16])
    same_as_all(out, "hash_of_hash", sha3(sha3(topic)[:16])[:16])
    got = attempt(lambda: e4.TopicHash.from_topic(topic.decode()), topic)
    if isinstance(got, Exception):
        # Section 1: 1 to 65,535 bytes of UTF-8.
        legal = 1 <= len(topic) <= 65_535 and not isinstance(got, UnicodeDecodeError)
        same("refused", False, legal)
        same("e4go takes it", True, out.get("e4go_validate_topic_error") is not None)
    else:
        same("hash", sha3(topic)[:16], bytes(got))
    return []


def password(given: Json, out: Json, case: Json) -> Rules:
    secret = unhex(given, "password_hex")
    pair = case["kind"] == "password_ed25519"
    make: Any = e4.SigningKey.from_password if pair else e4.IdKey.from_password
    got = attempt(lambda: make(secret.decode()), secret)
    same("accepted", out["ok"], not isinstance(got, Exception))
    if isinstance(got, Exception):
        same_error(out.get("error"), got)
        return []
    same_as_all(out, "key private", got.expose())
    same_as_all(out, "seed", got.expose()[:32])
    same_as_all(out, "public", got.expose()[32:])
    return []


def conversion(given: Json, out: Json, case: Json) -> Rules:
    key = e4.SigningKey.from_seed(unhex(given, "ed_seed"))
    same("ed_private", given["ed_private"], key.expose().hex())
    same("ed_public", given["ed_public"], key.public().hex())
    public = e4.PublicKey(unhex(given, "ed_public")).to_x25519()
    same_as_all(out, "x_public x_private_times_base libe4_x_public", public)
    same_as_all(out, "x_private libe4_x_private", key.to_x25519())
    same("times base", public, bytes(e4.C2SecretKey(key.to_x25519()).public()))
    return []


def conversion_edge(given: Json, out: Json, case: Json) -> Rules:
    key = unhex(given, "ed_public")
    got = attempt(lambda: e4.PublicKey(key))
    same("usable by section 4", usable_peer(key), not isinstance(got, Exception))
    if isinstance(got, Exception):
        same("error", e4.InvalidKeyError, type(got))
    else:
        for who in ("e4go", "libe4"):
            same(f"{who} takes it", True, out[who]["ok"])
            same_as_all(out[who], "x_public", got.to_x25519())
    return []


_P = 2**255 - 19


def usable_peer(key: bytes) -> bool:
    """Section 4: canonical, on the curve, not of small order. Written from RFC 8032 5.1.3."""
    number = int.from_bytes(key, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    d = -121665 * pow(121666, -1, _P) % _P
    u, v = (y * y - 1) % _P, (d * y * y + 1) % _P
    square = u * pow(v, -1, _P) % _P
    if y >= _P or (square != 0 and pow(square, (_P - 1) // 2, _P) != 1):
        return False
    if square == 0 and sign:
        return False
    # Of small order if y is that of the points of order 1, 2, 4 or 8: x = 0, y = 0, or 2y doubles
    # to the point of order 4, for which y^2 + x^2 vanishes.
    return square != 0 and y != 0 and (y * y + square) % _P != 0


def shared_key(given: Json, out: Json, case: Json) -> Rules:
    client = e4.SigningKey(unhex(given, "client_ed_private"))
    c2 = e4.C2SecretKey(unhex(given, "c2_x_private"))
    same("client_ed_public", given["client_ed_public"], client.public().hex())
    same("c2_x_public", given["c2_x_public"], c2.public().hex())
    shared = e4.SharedKey.for_client(client, e4.C2PublicKey(unhex(given, "c2_x_public")))
    same("both sides", True, shared == e4.SharedKey.for_c2(c2, client.public()))
    same_as_all(out, "shared_key e4go_c2_side libe4_client_side", shared.expose())
    same("SHA3 of x25519", sha3(unhex(out, "x25519")), shared.expose())
    return []


def shared_key_negative(given: Json, out: Json, case: Json) -> Rules:
    client = e4.SigningKey(unhex(given, "client_ed_private"))
    c2 = unhex(given, "c2_x_public")
    got = attempt(lambda: e4.SharedKey.for_client(client, e4.C2PublicKey(c2)))
    same("accepted", out["e4go"]["ok"], not isinstance(got, Exception))
    if isinstance(got, Exception):
        same_error(out["e4go"].get("error"), got)
    else:
        same_as_all(out["e4go"], "shared_key", got.expose())
    return []


def aes_siv(given: Json, out: Json, case: Json) -> Rules:
    key, ad, plain = e4.TopicKey(unhex(given, "key")), unhex(given, "ad"), unhex(given, "pt")
    same("ct", out["ct"], e4.siv_seal(key, plain, ad).hex())
    same("pt", plain, e4.siv_open(key, unhex(out, "ct"), ad))
    return []


def aes_siv_negative(given: Json, out: Json, case: Json) -> Rules:
    key, ad, ct = unhex(given, "key"), unhex(given, "ad"), unhex(given, "ct")
    got = attempt(lambda: e4.siv_open(e4.TopicKey(key), ct, ad))
    same("accepted", out["e4go"]["ok"], isinstance(got, bytes))
    if isinstance(got, bytes):
        same_as_all(out["e4go"], "payload pt", got)
    else:
        same_error(out["e4go"].get("error"), got)
    return []


def build(name: str, given: Json) -> e4.Command:
    match name:
        case "remove_topic":
            return e4.Command.remove_topic(text_bytes(given, "topic").decode())
        case "reset_topics":
            return e4.Command.reset_topics()
        case "set_topic_key":
            key = e4.TopicKey(unhex(given, "key"))
            return e4.Command.set_topic_key(text_bytes(given, "topic").decode(), key)
        case "set_id_key" if len(unhex(given, "key")) > 48:
            return e4.Command.set_signing_key(e4.SigningKey(unhex(given, "key")))
        case "set_id_key":
            return e4.Command.set_id_key(e4.IdKey(unhex(given, "key")))
        case "remove_pub_key":
            return e4.Command.remove_pub_key(text_bytes(given, "name").decode())
        case "reset_pub_keys":
            return e4.Command.reset_pub_keys()
        case "set_pub_key":
            client = e4.ClientId.from_name(text_bytes(given, "name").decode())
            return e4.Command.set_pub_key(client, e4.PublicKey(unhex(given, "ed_pub")))
        case "set_c2_key":
            return e4.Command.set_c2_key(e4.C2PublicKey(unhex(given, "c2_pub")))
    raise CheckFailed(f"unknown command {name!r}")


def commands_plain(given: Json, out: Json, case: Json) -> Rules:
    got = attempt(lambda: build(case["command"], given))
    if not out["ok"]:
        if not isinstance(got, Exception):
            raise CheckFailed(f"e4go refuses, built {got!r}")
        same_error(out.get("error"), got)
        return []
    plain = unhex(out, "command")
    if isinstance(got, e4.Command):
        same("command", plain, got.encode())
        same("command read again", plain, e4.Command.decode(plain).encode())
        return []
    # Section 4: such a key is refused; e4go builds the command.
    same("error", e4.InvalidKeyError, type(got))
    same("error when read", e4.InvalidKeyError, type(attempt(lambda: e4.Command.decode(plain))))
    return [(4, "a key that is zero, of small order, undecodable or mismatched is refused")]
