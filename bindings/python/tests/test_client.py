# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Round trips, results, errors, settings, time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from conftest import NOW, TOPIC, make, with_topic
from hypothesis import given
from hypothesis import strategies as st

import e4


def test_round_trip(mode: str) -> None:
    pair = with_topic(mode)
    protected = pair.client.protect(TOPIC, b"4.2 bar", now=NOW)
    assert len(protected) == 7 + (24 if mode == "sk" else 104)
    match pair.client.unprotect(TOPIC, protected, now=NOW + 5):
        case e4.Message(plaintext, timestamp, signer):
            assert (plaintext, timestamp) == (b"4.2 bar", NOW)
        case other:
            pytest.fail(f"{other!r}")
    if mode == "sk":
        assert signer is None
    else:
        assert signer == signer and signer is not None
        assert signer.id == pair.client.id and signer.verified


def test_a_command_is_not_an_empty_message(mode: str) -> None:
    pair = with_topic(mode)
    empty = pair.client.unprotect(TOPIC, pair.client.protect(TOPIC, b"", now=NOW), now=NOW)
    assert isinstance(empty, e4.Message) and empty.plaintext == b""
    applied = pair.command(e4.Command.reset_topics(), NOW + 1)
    match applied:
        case e4.CommandApplied(opcode, name):
            assert opcode == e4.Opcode.RESET_TOPICS and name == "ResetTopics"
    assert not isinstance(applied, bytes)
    assert not pair.client.has_topic(TOPIC)


@given(message=st.binary(max_size=20_000), now=st.integers(0, 2**40))
def test_any_message_any_time(message: bytes, now: int) -> None:
    for pair in PAIRS:
        protected = pair.client.protect(TOPIC, message, now=now)
        taken = pair.client.unprotect(TOPIC, protected, now=now)
        assert isinstance(taken, e4.Message) and taken.plaintext == message


@given(message=st.binary(max_size=200), data=st.data())
def test_any_flipped_bit_is_refused(message: bytes, data: st.DataObject) -> None:
    for pair in PAIRS:
        protected = bytearray(pair.client.protect(TOPIC, message, now=NOW))
        bit = data.draw(st.integers(0, len(protected) * 8 - 1))
        protected[bit // 8] ^= 1 << bit % 8
        with pytest.raises(e4.E4Error):
            pair.client.unprotect(TOPIC, protected, now=NOW)


@given(noise=st.binary(max_size=300))
def test_noise_is_refused_and_changes_nothing(noise: bytes) -> None:
    for pair in PAIRS:
        before = pair.client.digest()
        for topic in (TOPIC, pair.client.control_topic):
            with pytest.raises(e4.E4Error):
                pair.client.unprotect(topic, noise, now=NOW)
        assert pair.client.digest() == before


@given(message=st.binary(max_size=100))
def test_any_buffer_goes_in(message: bytes) -> None:
    pair = PAIRS[0]
    forms = (message, bytearray(message), memoryview(message), memoryview(bytearray(message)))
    made = {pair.client.protect(TOPIC, form, now=NOW) for form in forms}
    assert len(made) == 1
    assert all(type(each) is bytes for each in made)
    double = memoryview(bytes(byte for byte in message for _ in "ab"))[::2]
    assert pair.client.protect(TOPIC, double, now=NOW) in made


@given(plain=st.binary(max_size=80))
def test_commands_decode_to_what_they_encode(plain: bytes) -> None:
    try:
        command = e4.Command.decode(plain)
    except e4.E4Error as error:
        assert error.number in (-107, -114)
    else:
        assert command.encode() == plain


def test_every_command_and_its_opcode() -> None:
    topic_key, client = e4.TopicKey.random(), e4.ClientId.random()
    signing, c2 = e4.SigningKey.random(), e4.C2SecretKey.random()
    commands = [
        (e4.Command.remove_topic(TOPIC), e4.Opcode.REMOVE_TOPIC, 17),
        (e4.Command.reset_topics(), e4.Opcode.RESET_TOPICS, 1),
        (e4.Command.set_id_key(e4.IdKey.random()), e4.Opcode.SET_ID_KEY, 33),
        (e4.Command.set_signing_key(signing), e4.Opcode.SET_ID_KEY, 65),
        (e4.Command.set_topic_key(TOPIC, topic_key), e4.Opcode.SET_TOPIC_KEY, 49),
        (e4.Command.remove_pub_key(client), e4.Opcode.REMOVE_PUB_KEY, 17),
        (e4.Command.reset_pub_keys(), e4.Opcode.RESET_PUB_KEYS, 1),
        (e4.Command.set_pub_key(client, signing.public()), e4.Opcode.SET_PUB_KEY, 49),
        (e4.Command.set_c2_key(c2.public()), e4.Opcode.SET_C2_KEY, 33),
    ]
    for command, opcode, length in commands:
        assert command.opcode == opcode
        assert len(command.encode()) == length
        assert e4.Command.decode(command.encode()).encode() == command.encode()
    assert e4.Command.remove_topic(e4.TopicHash.from_topic(TOPIC)).encode() == commands[0][0].encode()


def test_time_is_the_system_clock_or_given_or_unknown(mode: str) -> None:
    pair = make(mode)
    with pytest.raises(e4.ClockUnknownError):
        pair.client.hello(now=None)
    pair.command(e4.Command.set_topic_key(TOPIC, e4.TopicKey.random()))
    assert pair.client.protect(TOPIC, b"", now=None)[:8] == NOW.to_bytes(8, "little")
    sent = int.from_bytes(pair.client.protect(TOPIC, b"")[:8], "little")
    assert abs(sent - time.time()) < 5
    for wrong, error in ((-1, ValueError), (2**64, ValueError), (1.5, TypeError), ("1", TypeError)):
        with pytest.raises(error):
            pair.client.protect(TOPIC, b"", now=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        e4.Command.reset_topics().protect_for(pair.key, now=None)  # type: ignore[arg-type]


def test_timestamps_and_settings() -> None:
    pair = with_topic("sk", past=10, future=0)
    protected = pair.client.protect(TOPIC, b"x", now=NOW)
    assert isinstance(pair.client.unprotect(TOPIC, protected, now=NOW + 10), e4.Message)
    with pytest.raises(e4.TimestampTooOldError):
        pair.client.unprotect(TOPIC, protected, now=NOW + 11)
    with pytest.raises(e4.TimestampInFutureError):
        pair.client.unprotect(TOPIC, protected, now=NOW - 1)
    pair.client.settings = e4.Settings(past=20, future=5)
    assert isinstance(pair.client.unprotect(TOPIC, protected, now=NOW - 1), e4.Message)
    assert pair.client.settings == e4.Settings(past=20, future=5)
    with pytest.raises(ValueError):
        pair.client.settings = e4.Settings(replay_cache=3)


def test_key_transition() -> None:
    pair = with_topic("sk", transition=100, past=1000)
    old = pair.client.protect(TOPIC, b"old", now=NOW)
    pair.command(e4.Command.set_topic_key(TOPIC, e4.TopicKey.random()), NOW + 1)
    assert isinstance(pair.client.unprotect(TOPIC, old, now=NOW + 101), e4.Message)
    with pytest.raises(e4.InvalidTagError):
        pair.client.unprotect(TOPIC, old, now=NOW + 102)


def test_replays(mode: str) -> None:
    pair = with_topic(mode, replay_cache=4)
    protected = pair.client.protect(TOPIC, b"x", now=NOW)
    pair.client.unprotect(TOPIC, protected, now=NOW)
    with pytest.raises(e4.ReplayedError):
        pair.client.unprotect(TOPIC, protected, now=NOW)
    command = e4.Command.reset_topics().protect_for(pair.key, now=NOW + 1)
    pair.client.unprotect(pair.client.control_topic, command, now=NOW + 1)
    with pytest.raises(e4.ReplayedError):
        pair.client.unprotect(pair.client.control_topic, command, now=NOW + 1)


def test_unknown_signers() -> None:
    sender, receiver = with_topic("pk"), make("pk", name="other", accept_unknown_signers=True)
    key = e4.TopicKey.random()
    for pair in (sender, receiver):
        pair.command(e4.Command.set_topic_key(TOPIC, key), NOW + 1)
    protected = sender.client.protect(TOPIC, b"x", now=NOW + 1)
    taken = receiver.client.unprotect(TOPIC, protected, now=NOW + 1)
    assert isinstance(taken, e4.Message) and taken.signer is not None
    assert not taken.signer.verified and taken.signer.id == sender.client.id
    receiver.client.settings = e4.Settings()
    with pytest.raises(e4.SignerUnknownError):
        receiver.client.unprotect(TOPIC, protected, now=NOW + 1)
    public = sender.client.public_key
    assert public is not None
    receiver.command(e4.Command.set_pub_key(sender.client.id, public), NOW + 2)
    with pytest.raises(e4.SignatureInvalidError):
        broken = protected[:-70] + bytes([protected[-70] ^ 1]) + protected[-69:]
        receiver.client.unprotect(TOPIC, broken, now=NOW + 2)


def test_answers_and_hello(mode: str) -> None:
    pair = make(mode)
    client = pair.client
    assert client.answer(now=NOW) is None
    command = e4.Command.reset_topics().protect_for(pair.key, now=NOW)
    client.unprotect(client.control_topic, command, now=NOW)
    protected = client.answer(now=NOW)
    assert protected is not None and len(protected) == 58
    assert client.answer(now=NOW) is None
    answer = e4.open_answer(pair.key, protected)
    assert (answer.timestamp, answer.command) == (NOW, e4.siv_of(command))
    assert (answer.status, answer.error, answer.digest) == (0, None, client.digest())
    hello = e4.open_answer(pair.key, client.hello(now=NOW))
    assert hello.command is None
    other = e4.TopicKey(pair.key.expose())
    sealed = e4.siv_seal(other, b"\x09", NOW.to_bytes(8, "little"))
    with pytest.raises(e4.InvalidCommandError):
        client.unprotect(client.control_topic, NOW.to_bytes(8, "little") + sealed, now=NOW)
    refused = client.answer(now=NOW)
    assert refused is not None
    assert e4.open_answer(pair.key, refused).error is e4.InvalidCommandError
    with pytest.raises(e4.InvalidTagError):
        e4.open_answer(pair.key, command + bytes(33))


def test_batches(mode: str) -> None:
    pair = with_topic(mode)
    messages = [(TOPIC, bytes([n]) * n * 200) for n in range(60)]
    protected = pair.client.protect_many(messages, now=NOW)
    assert protected == [pair.client.protect(*each, now=NOW) for each in messages]
    items = [(TOPIC, each) for each in protected]
    command = e4.Command.reset_topics().protect_for(pair.key, now=NOW)
    items[30:30] = [("unknown", b""), (pair.client.control_topic, command)]
    taken = pair.client.unprotect_many(items, now=NOW)
    assert len(taken) == 62
    assert isinstance(taken[30], e4.TopicKeyMissingError)
    assert isinstance(taken[31], e4.CommandApplied)
    assert all(isinstance(each, e4.TopicKeyMissingError) for each in taken[32:])
    plain = [each.plaintext for each in taken[:30] if isinstance(each, e4.Message)]
    assert plain == [message for _, message in messages[:30]]
    with pytest.raises(e4.TopicKeyMissingError):
        pair.client.protect_many(messages, now=NOW)


def test_commands_for_a_fleet() -> None:
    fleet = [make(mode, name=f"{mode}-{n}") for n in range(20) for mode in ("sk", "pk")]
    command = e4.Command.set_topic_key(TOPIC, e4.TopicKey.random())
    made = e4.Command.protect_for_many(((command, each.key) for each in fleet), now=NOW)
    assert made == [command.protect_for(each.key, now=NOW) for each in fleet]
    for each, protected in zip(fleet, made, strict=True):
        assert each.client.unprotect(each.client.control_topic, protected, now=NOW)
        assert each.client.has_topic(TOPIC)


def test_shared_keys() -> None:
    secret, signing = e4.C2SecretKey.random(), e4.SigningKey.random()
    ours = e4.SharedKey.for_c2(secret, signing.public())
    assert ours == e4.SharedKey.for_client(signing, secret.public())
    assert ours != e4.SharedKey.for_c2(e4.C2SecretKey.random(), signing.public())


def test_passwords() -> None:
    password = "a password of some length"
    client = e4.Client.provision_from_password("pump-1", password)
    key = e4.IdKey.from_password(password)
    command = e4.Command.reset_topics().protect_for(key)
    assert isinstance(client.unprotect(client.control_topic, command), e4.CommandApplied)
    c2 = e4.C2SecretKey.random()
    pk = e4.Client.provision_from_password("pump-1", password, c2_key=c2.public())
    assert pk.public_key == e4.SigningKey.from_password(password).public()
    assert (client.mode, pk.mode) == (e4.Mode.SYMMETRIC, e4.Mode.PUBLIC_KEY)
    for wrong in ("too short", ""):
        with pytest.raises(e4.InvalidPasswordError):
            e4.IdKey.from_password(wrong)


def test_state_of_other_clients(tmp_path: Path) -> None:
    topic = bytes(e4.TopicHash.from_topic(TOPIC))
    file = b"E41P" + bytes(range(16)) + b"k" * 32 + b"\1\0" + topic + b"t" * 32
    path = tmp_path / "state"
    with e4.Client.import_libe4(file, storage=path, settings=e4.Settings(replay_cache=2)) as client:
        assert bytes(client.id) == bytes(range(16)) and client.has_topic(TOPIC)
        assert client.settings.replay_cache == 2
    with pytest.raises(e4.AlreadyProvisionedError):
        e4.Client.import_libe4(file, storage=path)
    assert e4.Client.open(path).protect(TOPIC, b"x", now=NOW) == e4.TopicKey(b"t" * 32).protect(
        b"x", now=NOW
    )
    for reader in (e4.Client.import_libe4, e4.Client.import_e4go):
        with pytest.raises(e4.StateIncompatibleError):
            reader(b"nothing")


PAIRS = [with_topic("sk"), with_topic("pk")]
