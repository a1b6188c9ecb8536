# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A real `e4 serve` on free ports."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path
from urllib.parse import urlsplit


class Server:
    """`e4 serve` with a token over TLS, or open to everybody as tools without a token need it."""

    def __init__(self, data: Path, mode: str, closed: bool = True) -> None:
        program = os.environ["E4_PROGRAM"]
        any_port = "127.0.0.1:0"
        command = [program, "serve", "--data", str(data), "--mode", mode]
        command += ["--log-format", "json", "--embedded-listen", any_port]
        command += ["--grpc-listen", any_port, "--http-listen", any_port]
        if not closed:
            command += ["--no-auth", "--no-tls"]
        self.mode, self.data, self.closed = mode, data, closed
        self.log: list[str] = []
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        found: dict[str, str] = {}
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line)
            message = json.loads(line)["fields"].get("message", "")
            kind, _, url = message.partition(": ")
            if kind in ("gRPC", "HTTP"):
                found[kind] = url
            if message.startswith("e4 serves"):
                break
        else:
            raise RuntimeError("".join(self.log))
        threading.Thread(target=self._drain, daemon=True).start()
        self.grpc, self.http = found["gRPC"], found["HTTP"]
        self.token: str | None = None
        self.ca: Path | None = None
        if closed:
            self.ca = data / "tls" / "ca.pem"
            out = data / "test.token"
            create = [program, "token", "create", "tester", "--role", "admin", "--messages"]
            create += ["--data", str(data), "--out", str(out)]
            subprocess.run(create, check=True, stdout=subprocess.DEVNULL)
            self.token = out.read_text().strip()

    def _drain(self) -> None:
        assert self.process.stderr
        self.log.extend(self.process.stderr)

    @staticmethod
    def address(url: str) -> tuple[str, int]:
        parts = urlsplit(url)
        assert parts.hostname and parts.port
        return parts.hostname, parts.port

    def stop(self) -> None:
        """Ends it, which has to go well."""
        self.process.terminate()
        assert self.process.wait(30) == 0
