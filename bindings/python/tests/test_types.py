# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Errors, wrong arguments, secrets that must not show."""

from __future__ import annotations

import copy
import pickle
import traceback
from typing import Any

import pytest
from conftest import NOW, TOPIC, make, with_topic
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

import e4

SECRET = bytes(range(100, 132))
PAIR = e4.SigningKey.from_seed(SECRET)
SECRETS: list[Any] = [
    e4.IdKey(SECRET),
    e4.TopicKey(SECRET),
    e4.SharedKey(SECRET),
    e4.C2SecretKey(SECRET),
    PAIR,
]
ERRORS = [each for each in vars(e4).values() if isinstance(each, type)]
ERRORS = [each for each in ERRORS if issubclass(each, e4.E4Error) and each is not e4.E4Error]


def test_the_tree_of_errors() -> None:
    numbers = [each.number for each in ERRORS]
    assert sorted(numbers, reverse=True) == list(range(-100, -126, -1))
    for each in ERRORS:
        assert each.__name__.endswith("Error") and each.__module__ == "e4"
        assert str(each.number) in (each.__doc__ or "")
    values = {each.__name__ for each in ERRORS if issubclass(each, ValueError)}
    expected = "InvalidParameter InvalidKey InvalidName InvalidTopic InvalidPassword"
    assert values == {name + "Error" for name in expected.split()}


def test_an_error_says_what_happened() -> None:
    with pytest.raises(e4.TopicKeyMissingError) as caught:
        make("sk").client.protect(TOPIC, b"")
    assert (str(caught.value), caught.value.number) == ("topic key not found", -105)


@pytest.mark.parametrize("kind", [type(each) for each in SECRETS] + [e4.PublicKey, e4.C2PublicKey])
def test_keys_of_wrong_length_or_type(kind: Any) -> None:
    length = 64 if kind is e4.SigningKey else 32
    for wrong in (0, length - 1, length + 1):
        with pytest.raises(ValueError, match=str(length)) as caught:
            kind(b"x" * wrong)
        assert not isinstance(caught.value, e4.E4Error)
    with pytest.raises(e4.InvalidKeyError):
        kind(bytes(length))
    for other in ("x" * length, None, 5, [1] * length):
        with pytest.raises(TypeError):
            kind(other)


@pytest.mark.parametrize("kind", [e4.ClientId, e4.TopicHash])
def test_ids(kind: Any) -> None:
    id = kind(bytes(range(16)))
    assert kind.from_hex(id.hex()) == id and kind.from_hex(str(id).upper()) == id
    assert bytes(id) == bytes(range(16)) and hash(id) == hash(kind(bytes(id)))
    assert id < kind(b"\xff" * 16) and repr(id) == f"{kind.__name__}.from_hex('{id.hex()}')"
    assert id != bytes(id)
    for wrong in (b"", bytes(15), bytes(17)):
        with pytest.raises(ValueError):
            kind(wrong)
    for digits in ("", "0" * 31, "g" * 32, "é" * 16):
        with pytest.raises(ValueError):
            kind.from_hex(digits)
    assert e4.ClientId.random() != e4.ClientId.random()


def test_swapped_arguments_are_type_errors() -> None:
    calls: list[Any] = [
        lambda: e4.Command.set_topic_key(e4.ClientId.random(), e4.TopicKey.random()),
        lambda: e4.Command.set_topic_key(TOPIC, e4.IdKey.random()),
        lambda: e4.Command.set_id_key(e4.TopicKey.random()),
        lambda: e4.Command.remove_pub_key(e4.TopicHash.from_topic(TOPIC)),
        lambda: e4.Command.reset_topics().protect_for(e4.TopicKey.random()),
        lambda: e4.Client.provision("pump", SECRET),
        lambda: e4.Client.provision("pump", PAIR),
        lambda: e4.Client.provision("pump", SECRETS[0], c2_key=e4.C2SecretKey(SECRET).public()),
        lambda: e4.Client.provision("pump", SECRETS[0], storage=7),
        lambda: make("sk").client.protect(TOPIC, "text"),
        lambda: make("sk").client.protect(b"topic", b""),
        lambda: make("sk").client.protect_many([b"x"]),
        lambda: e4.Command.protect_for_many([(e4.Command.reset_topics(), SECRET)]),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()


def test_names_and_topics() -> None:
    for name in ("", "x" * 256):
        with pytest.raises(e4.InvalidNameError):
            e4.Client.provision(name, SECRETS[0])
    for topic in ("", "x" * 65_536):
        with pytest.raises(e4.InvalidTopicError):
            e4.TopicHash.from_topic(topic)
    for topic in ("a/+", "#", "$SYS", "e4", "e4/x", "a\0"):
        with pytest.raises(e4.InvalidTopicError):
            e4.check_topic_for_key(topic)
    e4.check_topic_for_key(TOPIC)
    client = make("sk").client
    with pytest.raises(e4.InvalidTopicError):
        client.protect(client.control_topic, b"")


@pytest.mark.parametrize("secret", SECRETS, ids=lambda each: type(each).__name__)
def test_secrets_do_not_show(secret: Any) -> None:
    shown = f"{secret!r} {secret!s} {secret:}"
    for form in (SECRET.hex(), str(SECRET), str(list(SECRET)), "102"):
        assert form not in shown
    assert bytes(secret.expose()[:32]) == SECRET
    assert secret == type(secret)(secret.expose()) and secret != type(secret)(b"y" * 32) \
        if type(secret) is not e4.SigningKey else secret == PAIR
    with pytest.raises(TypeError):
        hash(secret)
    with pytest.raises(TypeError):
        bytes(secret)


def test_nothing_with_a_secret_is_pickled_or_copied() -> None:
    pair = with_topic("sk")
    command = e4.Command.set_topic_key(TOPIC, e4.TopicKey(SECRET))
    for each in (*SECRETS, pair.client, command):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="holds secrets"):
                pickle.dumps(each, protocol)
        for duplicate in (copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                duplicate(each)
        with pytest.raises(AttributeError):
            each.new_attribute = 1


def test_tracebacks_and_reprs_hold_no_secret() -> None:
    pair = with_topic("sk")
    command = e4.Command.set_topic_key(TOPIC, e4.TopicKey(SECRET))
    protected = pair.client.protect(TOPIC, b"plain words", now=NOW)
    taken = pair.client.unprotect(TOPIC, protected, now=NOW)
    text = f"{command!r} {taken!r} {pair.client!r} {pair.client!s} {e4.SigningKey.random()!r}"
    with pytest.raises(e4.E4Error) as caught:
        pair.client.unprotect(TOPIC, command.protect_for(pair.key, now=NOW), now=NOW)
    lines = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    text += "".join(line for line in lines if "taken" not in line)
    for secret in ("plain words", SECRET.hex(), repr(SECRET)[2:-1], pair.key.expose().hex()):
        assert secret not in text


def test_a_closed_client() -> None:
    client = make("sk").client
    with client as same:
        assert same is client
    client.close()
    assert repr(client) == "<e4.Client closed>"
    for call in (client.hello, client.digest, lambda: client.id, client.forget):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_every_length_is_sealed_as_cryptography_does() -> None:
    """Under one key, which is made ready once and then kept."""
    raw = bytes(range(1, 33))
    key, theirs = e4.TopicKey(raw), AESSIV(raw + raw)
    stamp = NOW.to_bytes(8, "little")
    for length in [*range(1, 100), 256, 511, 512, 1023, 1040]:
        message = bytes(at % 251 for at in range(length))
        sealed = theirs.encrypt(message, [stamp])
        assert e4.siv_seal(key, message, stamp) == sealed
        assert key.protect(message, now=NOW) == stamp + sealed
        assert e4.siv_open(key, sealed, stamp) == message
        assert key.unprotect(stamp + sealed, now=NOW) == message
