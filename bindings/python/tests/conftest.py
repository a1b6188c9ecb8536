# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What the tests share: clients of both modes, and proof that the wheel is what is tested."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

import e4

NOW = 1_700_000_000
TOPIC = "plant/pressure"
SOURCE = Path(__file__).resolve().parents[1]


def pytest_sessionstart() -> None:
    """The source tree must not stand in for the wheel."""
    where = Path(e4.__file__).resolve()
    assert SOURCE not in where.parents, f"{where} is the source tree, not the installed wheel"


@dataclass
class Pair:
    """A client and the key under which it takes commands."""

    client: e4.Client
    key: e4.IdKey | e4.SharedKey

    def command(self, command: e4.Command, now: int = NOW) -> e4.CommandApplied:
        protected = command.protect_for(self.key, now=now)
        applied = self.client.unprotect(self.client.control_topic, protected, now=now)
        assert isinstance(applied, e4.CommandApplied)
        return applied


def make(mode: str, storage: object = None, name: str = "pump-1", **settings: int | bool) -> Pair:
    given = e4.Settings(**settings)  # type: ignore[arg-type]
    if mode == "sk":
        key = e4.IdKey.random()
        client = e4.Client.provision(name, key, storage=storage, settings=given)  # type: ignore[arg-type]
        return Pair(client, key)
    secret, signing = e4.C2SecretKey.random(), e4.SigningKey.random()
    client = e4.Client.provision(
        name, signing, c2_key=secret.public(), storage=storage, settings=given  # type: ignore[arg-type]
    )
    return Pair(client, e4.SharedKey.for_c2(secret, signing.public()))


def with_topic(mode: str, storage: object = None, **settings: int | bool) -> Pair:
    """A client that holds the key of TOPIC, and (PK) its own public key, to hear itself."""
    pair = make(mode, storage, **settings)
    pair.command(e4.Command.set_topic_key(TOPIC, e4.TopicKey.random()))
    public = pair.client.public_key
    if public is not None:
        pair.command(e4.Command.set_pub_key(pair.client.id, public))
    return pair


@pytest.fixture(params=["sk", "pk"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)
