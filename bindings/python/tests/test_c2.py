# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The client of C2 against a real `e4 serve`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import e4
from e4.c2 import C2, C2Error, Change, NotFoundError, RefusedError, read_token

PROGRAM = os.environ.get("E4_PROGRAM")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="E4_PROGRAM is not set")
TOPIC = "plant/pressure"


@dataclass
class Served:
    url: str
    data: Path
    token: str
    broker: str

    def connect(self, token: str | None = None) -> C2:
        return C2(self.url, token or self.token, ca=self.data / "tls" / "ca.pem", timeout=30)


@pytest.fixture(scope="module", params=["symmetric", "public-key"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    assert PROGRAM is not None
    data = tmp_path_factory.mktemp("c2") / "data"
    ports = ["--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
    serve = [PROGRAM, "serve", "--log-format", "json", "--embedded-listen", "127.0.0.1:0", *ports]
    command = [*serve, "--mode", request.param, "--data", str(data)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        url = ""
        for line in server.stderr:
            fields = json.loads(line)["fields"]
            if fields["message"].startswith("HTTP: "):
                url = fields["message"].removeprefix("HTTP: ")
            if "broker" in fields:
                break
        token = data / "ann.token"
        make = [PROGRAM, "token", "create", "ann", "--role", "admin", "--messages"]
        subprocess.run([*make, "--data", str(data), "--out", str(token)], check=True)
        yield Served(url, data, read_token(token), fields["broker"])
        server.terminate()


@pytest.fixture
def c2(served: Served) -> Iterator[C2]:
    with served.connect() as c2:
        yield c2


def test_a_device_gets_its_keys(served: Served, c2: C2, tmp_path: Path) -> None:
    assert PROGRAM is not None
    assert c2.health() == "OK"
    new = c2.new_client("pump")
    assert new.key is not None and len(new.key) == (32 if c2.mode() == "symmetric" else 64)
    assert "key=" not in repr(new).replace("c2_public_key=", "")
    key = tmp_path / "pump.key"
    key.write_bytes(new.key)
    device = [PROGRAM, "device", "--name", "pump", "--key", str(key), "--broker", served.broker]
    if new.c2_public_key is not None:
        assert new.c2_public_key == c2.c2_public_key()
        (tmp_path / "c2.pub").write_bytes(new.c2_public_key)
        device += ["--c2-key", str(tmp_path / "c2.pub")]
    c2.new_topic(TOPIC)
    number = c2.new_topic_client("pump", TOPIC)
    with pytest.raises(TimeoutError):
        c2.wait(number, timeout=0)
    quiet = subprocess.DEVNULL
    with subprocess.Popen(device, stdin=subprocess.PIPE, stdout=quiet, cwd=tmp_path) as pump:
        assert c2.wait(number).clients.confirmed == 1
        rotated = c2.wait(c2.new_topic(TOPIC))
        assert (rotated.action, rotated.actor) == ("new_topic", "ann")
        assert c2.topic_state(TOPIC)[0] == 2
        state = c2.client_state("pump")
        assert state.answers and state.seen_at is not None and not state.trouble
        assert {one.state for one in state.deliveries} == {"CONFIRMED"}
        c2.wait(c2.new_client_key("pump"))
        pump.terminate()
    c2.resync("pump")
    c2.remove_client("pump", rotate_topics=True)
    assert c2.topic_state(TOPIC)[0] == 3
    c2.remove_topic(TOPIC)


def test_lists_go_through_all_pages(c2: C2) -> None:
    names = [f"device {number:03}/ä" for number in range(250)]
    changes = [Change.new_topic("a/b"), *map(Change.new_client, names)]
    changes += [Change.new_topic_client(name, "a/b") for name in names]
    results = c2.batch(changes, idempotency_key="first")
    assert all(result.ok and result.operation for result in results)
    assert results[1].key is not None
    assert c2.batch(changes, idempotency_key="first") == results
    assert list(c2.clients()) == names == list(c2.clients_of("a/b"))
    assert list(c2.topics_of(names[7])) == ["a/b"] == list(c2.topics())
    again = c2.batch([Change.remove_topic("nowhere"), Change.remove_topic("a/b")])
    assert [result.ok for result in again] == [False, True]
    assert "nowhere" in again[0].message
    assert all(result.ok for result in c2.batch(map(Change.remove_client, names)))


def test_messages_and_public_keys(c2: C2) -> None:
    c2.new_topic("t")
    c2.new_client("one")
    c2.new_client("two")
    if c2.mode() == "symmetric":
        protected = c2.protect("t", b"4.2 bar")
        assert c2.unprotect("t", protected) == b"4.2 bar"
        with pytest.raises(C2Error):
            c2.unprotect("t", protected[:-1])
        with pytest.raises(C2Error, match="public-key mode only") as refused:
            c2.link_client("one", "two")
        assert refused.value.status == 400
    else:
        for change in (c2.link_client, c2.send_client_pubkey, c2.remove_client_pubkey):
            assert change("one", "two") > 0
        assert c2.reset_client_pubkeys("two") < c2.unlink_client("one", "two")
        before = c2.c2_public_key()
        c2.new_c2_key()
        assert c2.c2_public_key() != before
        with pytest.raises(C2Error, match="symmetric-key mode only"):
            c2.protect("t", b"4.2 bar")


def test_events_are_told(c2: C2) -> None:
    number = c2.new_client("ears").operation
    events = c2.events(after=number - 1)
    first = next(event for event in events if event.number)
    assert (first.type, first.source, first.number) == ("CLIENT_CREATED", "ears", number)
    c2.reset_client("ears")
    second = next(event for event in events if event.number)
    assert (second.type, second.actor, second.number) == ("CLIENT_RESET", "ann", number + 1)
    events.close()  # type: ignore[attr-defined]


def test_refusals_have_classes(served: Served, c2: C2) -> None:
    with pytest.raises(NotFoundError, match="does not exist") as missing:
        c2.client_state("nobody")
    assert missing.value.status == 404
    assert isinstance(missing.value, e4.E4Error)
    with pytest.raises(C2Error, match="key: "):
        c2.new_client("short", key=b"short")
    with pytest.raises(C2Error, match="e4 or below it"):
        c2.new_topic("e4/x")
    with served.connect("e4_unknown") as stranger, pytest.raises(RefusedError) as refused:
        stranger.mode()
    assert refused.value.status == 401
    with C2(served.url, served.token) as distrustful, pytest.raises(C2Error, match="certificate"):
        distrustful.mode()
    with C2("https://127.0.0.1:1") as nobody, pytest.raises(C2Error) as absent:
        nobody.mode()
    assert absent.value.status == 0
    for url in ("127.0.0.1:8888", "ftp://127.0.0.1", "https://", "https://c2/e4"):
        with pytest.raises(ValueError, match="is not http"):
            C2(url)
    with pytest.raises(ValueError, match="not both"):
        c2.new_client("x", key=bytes(32), password="a password of a device")
    assert served.token not in repr(c2)
