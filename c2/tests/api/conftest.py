# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Servers and callers for the tests. `E4_PROGRAM` is the program under test."""

from __future__ import annotations

import base64
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HERE = Path(__file__).resolve().parent


def generate() -> None:
    """Makes the stubs of the table, outside the source."""
    from grpc_tools import protoc

    out = tempfile.mkdtemp(prefix="e4-api-")
    arguments = ["protoc", f"-I{HERE}", f"--python_out={out}", f"--grpc_python_out={out}"]
    include = Path(protoc.__file__).parent / "_proto"
    assert protoc.main([*arguments, f"-I{include}", str(HERE / "old.proto")]) == 0
    sys.path[:0] = [out, str(HERE)]


generate()

from callers import Grpc, Http  # noqa: E402
from server import Server  # noqa: E402

MODES = ["symmetric", "public-key"]


def key(mode: str) -> str:
    """The key of a new device, as it is sent to C2: base64."""
    private = Ed25519PrivateKey.generate()
    raw = private.public_key().public_bytes_raw()
    return base64.b64encode(raw if mode == "public-key" else private.private_bytes_raw()).decode()


@pytest.fixture(scope="module", params=MODES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("serve") / "data", request.param)
    yield server
    server.stop()


@pytest.fixture(params=[Grpc, Http], ids=["grpc", "http"])
def caller(server: Server, request: pytest.FixtureRequest) -> Iterator[Grpc | Http]:
    caller = request.param(server)
    yield caller
    caller.close()


@pytest.fixture
def over_http(server: Server) -> Iterator[Http]:
    caller = Http(server)
    yield caller
    caller.close()
