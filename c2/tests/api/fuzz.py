# SPDX-License-Identifier: Apache-2.0 OR MIT
"""`python fuzz.py MODE`: schemathesis over the OpenAPI document of a real server. The last line
says how many cases there were."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import conftest
from callers import Http
from server import Server

# Not among them: what a valid request is depends on the mode and on what is there; a topic takes
# the rest of a path, so that a path of another call with another method may be a topic's; and
# strangers are sent away with 429 after a while.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "use_after_free",
    "ensure_resource_availability",
]


def populate(server: Server) -> None:
    """What the examples of the document name."""
    caller = Http(server)
    for name in ["pump-1", "gauge-1"]:
        caller.call("NewClient", client={"name": name}, key=conftest.key(server.mode))
        caller.call("NewTopic", topic="plant/pressure")
        caller.call("NewTopicClient", client={"name": name}, topic="plant/pressure")
    if server.mode == "public-key":
        pair: dict[str, Any] = {"sourceClient": {"name": "gauge-1"}, "targetClient": {"name": "pump-1"}}
        caller.call("LinkClient", **pair)
        caller.call("SendClientPubKey", **pair)
    caller.close()


def run(server: Server, directory: Path, options: list[str]) -> int:
    command = [str(Path(sys.executable).parent / "schemathesis"), "run"]
    command += [f"{server.http}/openapi.json", "--tls-verify", str(server.ca)]
    command += ["--header", f"Authorization: Bearer {server.token}"]
    command += ["--checks", ",".join(CHECKS), "--request-timeout", "30", "--continue-on-failure"]
    done = subprocess.run(command + options, cwd=directory, stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    count = re.search(r"^\s+(\d+) generated", done.stdout, re.MULTILINE)
    if done.returncode != 0 or not count:
        sys.exit(f"{server.mode}: schemathesis ended with {done.returncode}")
    return int(count[1])


def main() -> None:
    mode, *options = sys.argv[1:]
    options = options or ["--max-examples", "40", "--seed", "4"]
    with tempfile.TemporaryDirectory() as directory:
        server = Server(Path(directory) / "data", mode)
        try:
            populate(server)
            # Events have no end. What revokes tokens finds the one in use: it comes alone, and last.
            most = ["--exclude-operation-id", "SubscribeToEventStream"]
            most += ["--exclude-operation-id", "RevokeToken"]
            cases = run(server, Path(directory), most + options)
            cases += run(server, Path(directory), ["--include-operation-id", "RevokeToken", *options])
            # It is well, and nothing that it logged is an error.
            caller = Http(server)
            assert caller.call("HealthCheck") == {"Code": "0", "Status": "OK"}
            caller.close()
        finally:
            server.stop()
        errors = [line for line in server.log if '"ERROR"' in line or "panicked" in line]
        assert not errors, errors[:5]
    print(f"{cases} passed, {mode}")


main()
