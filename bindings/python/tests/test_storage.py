# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Storage in a file and in objects of one's own, that may raise at any call; threads; memory."""

from __future__ import annotations

import itertools
import os
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import NOW, TOPIC, Pair, make, with_topic

import e4


class Failing(Exception):
    pass


class Records:
    """A storage in Python that raises at a given call, before or after it did its work."""

    def __init__(self) -> None:
        self.held: dict[int, bytes] = {}
        self.calls = 0
        self.fail_at: int | None = None
        self.error: BaseException = Failing("the disk is on fire")

    def _count(self) -> None:
        self.calls += 1
        time.sleep(0)  # Lets other threads run while the client waits.
        if self.fail_at is not None and self.calls >= self.fail_at:
            raise self.error

    def read(self, record: int) -> bytes | None:
        self._count()
        return self.held.get(record)

    def write(self, record: int, data: bytes) -> None:
        self._count()
        assert type(data) is bytes
        self.held[record] = data

    def erase(self, record: int) -> None:
        self._count()
        self.held.pop(record, None)


class Subclassed(Records):
    """A subclass that returns another kind of buffer."""

    def read(self, record: int) -> bytearray | None:  # type: ignore[override]
        found = super().read(record)
        return None if found is None else bytearray(found)


@pytest.mark.parametrize("kind", [Records, Subclassed])
def test_a_storage_in_python(mode: str, kind: type[Records]) -> None:
    storage = kind()
    pair = with_topic(mode, storage)
    before, calls = pair.client.digest(), storage.calls
    protected = pair.client.protect(TOPIC, b"x", now=NOW)
    pair.client.unprotect(TOPIC, protected, now=NOW)
    assert storage.calls == calls, "a message costs no call"
    again = e4.Client.open(storage)
    assert again.digest() == before and again.mode == pair.client.mode
    again.forget()
    assert storage.held == {}
    with pytest.raises(e4.NotProvisionedError):
        e4.Client.open(storage)


def test_a_file(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "pump.e4state"
    pair = with_topic(mode, path)
    assert path.stat().st_mode & 0o777 == 0o600
    before = pair.client.digest()
    with pytest.raises(e4.StorageError) as caught:
        e4.Client.open(path)
    assert isinstance(caught.value.__cause__, BlockingIOError)
    pair.client.close()
    with e4.Client.open(str(path)) as again:
        assert again.digest() == before
    with pytest.raises(e4.AlreadyProvisionedError):
        make(mode, path)
    path.write_bytes(b"something else")
    with pytest.raises(e4.StateIncompatibleError):
        e4.Client.open(path)
    with pytest.raises(e4.StorageError) as caught:
        e4.Client.open(tmp_path / "none" / "x")
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def commands(mode: str) -> list[e4.Command]:
    shared = [
        e4.Command.set_topic_key(TOPIC, e4.TopicKey(b"1" * 32)),
        e4.Command.set_topic_key("other", e4.TopicKey(b"2" * 32)),
        e4.Command.set_topic_key(TOPIC, e4.TopicKey(b"3" * 32)),
        e4.Command.remove_topic("other"),
        e4.Command.remove_topic("unknown"),
        e4.Command.reset_topics(),
    ]
    if mode == "sk":
        return [*shared, e4.Command.set_id_key(e4.IdKey(b"4" * 32))]
    public = e4.SigningKey.random().public()
    signing = e4.SigningKey.random()
    more = [e4.Command.set_pub_key("a", public), e4.Command.remove_pub_key("a")]
    return [*shared, *more, e4.Command.reset_pub_keys(), e4.Command.set_signing_key(signing)]


def attempt(pair: Pair, command: e4.Command, now: int) -> None:
    protected = command.protect_for(pair.key, now=now)
    pair.client.unprotect(pair.client.control_topic, protected, now=now)


def test_a_storage_that_raises_at_any_call(mode: str) -> None:
    """Each command, failing at each of its calls: the old state, in RAM and in the storage, and
    the same bytes again are applied when the storage works."""
    failures = 0
    for at in range(len(commands(mode))):
        for call in itertools.count(1):
            storage = Records()
            pair = make(mode, storage)
            script = commands(mode)
            for n, command in enumerate(script[:at]):
                attempt(pair, command, NOW + n)
            before, public = pair.client.digest(), pair.client.public_key
            protected = script[at].protect_for(pair.key, now=NOW + at)
            storage.fail_at = storage.calls + call
            try:
                pair.client.unprotect(pair.client.control_topic, protected, now=NOW + at)
            except e4.StorageError as error:
                failures += 1
                assert error.__cause__ is storage.error
                storage.fail_at = None
                assert (pair.client.digest(), pair.client.public_key) == (before, public)
                assert e4.Client.open(storage).digest() == before
                applied = pair.client.unprotect(
                    pair.client.control_topic, protected, now=NOW + at
                )
                assert isinstance(applied, e4.CommandApplied)
            else:
                break
            finally:
                storage.fail_at = None
    assert failures >= len(commands(mode))


@pytest.mark.parametrize("action", ["provision", "open", "forget"])
def test_opening_and_forgetting_that_fail(mode: str, action: str) -> None:
    failures = 0
    for call in itertools.count(1):
        storage = Records()
        pair = None if action == "provision" else with_topic(mode, storage)
        storage.fail_at = storage.calls + call
        try:
            if pair is None:
                make(mode, storage)
            elif action == "open":
                e4.Client.open(storage)
            else:
                pair.client.forget()
        except e4.StorageError as error:
            failures += 1
            assert error.__cause__ is storage.error
        else:
            break
        storage.fail_at = None
        try:
            assert e4.Client.open(storage).mode
        except e4.NotProvisionedError:
            assert action != "open"
            make(mode, storage)
    assert failures >= 2


def test_interruptions_are_not_swallowed() -> None:
    storage = Records()
    pair = make("sk", storage)
    storage.fail_at, storage.error = 0, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        attempt(pair, e4.Command.reset_topics(), NOW)
    storage.fail_at = None
    attempt(pair, e4.Command.reset_topics(), NOW)


def test_wrong_storages() -> None:
    storage = Records()
    pair = make("sk", storage)
    storage.read = lambda record: "text"  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(e4.StorageError) as caught:
        e4.Client.open(storage)
    assert isinstance(caught.value.__cause__, TypeError)
    storage.read = lambda record: bytes(5000)  # type: ignore[method-assign]
    with pytest.raises(e4.StorageError) as caught:
        e4.Client.open(storage)
    assert isinstance(caught.value.__cause__, ValueError)
    # A storage that uses the client which it serves would wait for itself.
    storage.write = lambda record, data: pair.client.digest()  # type: ignore
    with pytest.raises(e4.StorageError) as caught:
        attempt(pair, e4.Command.reset_topics(), NOW)
    assert isinstance(caught.value.__cause__, RuntimeError)


def run_threads(work: Callable[[int], None], count: int = 8) -> None:
    """Runs threads and fails if one raises or hangs."""
    raised: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive(), "deadlock"
    assert not raised, raised


def hears_itself(pair: Pair) -> Pair:
    public = pair.client.public_key
    if public is not None:
        attempt(pair, e4.Command.set_pub_key(pair.client.id, public), NOW)
    return pair


def work_on(pair: Pair, stamps: itertools.count[int], number: int, rounds: int) -> None:
    topic = f"topic/{number}"
    for n in range(rounds):
        now = NOW + next(stamps) // 50
        size = 20_000 if n % 10 == 0 else n
        message = bytes([number]) * size
        try:
            attempt(pair, e4.Command.set_topic_key(topic, e4.TopicKey.random()), now)
        except e4.ReplayedError:
            continue  # Another thread was a second ahead.
        taken = pair.client.unprotect(topic, pair.client.protect(topic, message, now=now), now=now)
        assert isinstance(taken, e4.Message) and taken.plaintext == message
        batch = pair.client.protect_many([(topic, message)] * 3, now=now)
        opened = pair.client.unprotect_many([(topic, each) for each in batch], now=now)
        assert all(isinstance(each, e4.Message) for each in opened)
        assert pair.client.has_topic(topic)


@pytest.mark.parametrize("own", [True, False], ids=["storage in Python", "memory"])
def test_eight_threads_on_one_client(mode: str, own: bool) -> None:
    storage = Records() if own else None
    pair, stamps = hears_itself(make(mode, storage)), itertools.count()
    run_threads(lambda number: work_on(pair, stamps, number, 60))
    assert pair.client.topic_count == 8
    if storage is not None:
        assert e4.Client.open(storage).digest() == pair.client.digest()


def test_eight_threads_on_many_clients(mode: str, tmp_path: Path) -> None:
    stamps = itertools.count()
    kinds = [None, Records(), tmp_path / "a", Records(), None, tmp_path / "b", Records(), None]
    pairs = [hears_itself(make(mode, kind, f"client-{n}")) for n, kind in enumerate(kinds)]
    run_threads(lambda number: work_on(pairs[number], stamps, number, 30))
    assert [pair.client.topic_count for pair in pairs] == [1] * 8


def test_the_gil_is_released_for_passwords() -> None:
    ticks = []
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.001):
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    e4.IdKey.from_password("a password of some length")
    end = time.perf_counter()
    done.set()
    thread.join()
    assert sum(start < each < end for each in ticks) >= 3


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux")
def test_memory_does_not_grow_over_a_million_calls() -> None:
    pair = with_topic("sk", replay_cache=16)
    protected = pair.client.protect(TOPIC, b"x" * 40, now=NOW)
    other = e4.TopicKey.random()

    def calls(count: int) -> None:
        for n in range(count // 5):
            pair.client.protect(TOPIC, b"x" * 40, now=NOW + n)
            pair.client.protect(TOPIC, bytearray(40), now=NOW + n)
            for bytes_ in (protected, b"short"):
                try:
                    pair.client.unprotect(TOPIC, bytes_, now=NOW)
                except e4.E4Error:
                    pass
            e4.Command.set_topic_key(TOPIC, other).protect_for(pair.key, now=NOW)

    calls(50_000)
    before = resident()
    calls(1_000_000)
    assert resident() - before < 2_000_000
