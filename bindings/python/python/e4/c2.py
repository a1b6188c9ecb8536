# SPDX-License-Identifier: Apache-2.0 OR MIT
"""C2, the key server, over its HTTP interface: a small client on the standard library alone.

>>> from e4.c2 import C2, read_token
>>> with C2("https://c2.example.org:8888", read_token("me.token"), ca="ca.pem") as c2:  # doctest: +SKIP
...     key = c2.new_client("pump-1").key
...     c2.new_topic("plant/pressure")
...     c2.wait(c2.new_topic_client("pump-1", "plant/pressure"))

A change is stored when its method returns; C2 then works until each device has it. The number that it
returns is that of its audit record: ``wait`` and ``operation`` say how far it has come.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from . import E4Error

__all__ = [
    "C2",
    "C2Error",
    "Change",
    "ClientState",
    "Counts",
    "Delivery",
    "Event",
    "NewClient",
    "NotFoundError",
    "Operation",
    "RefusedError",
    "Result",
    "read_token",
]

_PAGE = 100
State = Literal["QUEUED", "HANDED", "FAILED", "CONFIRMED"]


class C2Error(E4Error):
    """C2 refused a call, or could not be asked. ``status`` is that of HTTP, 0 without an answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class NotFoundError(C2Error):
    """There is no such client, topic, link or operation."""


class RefusedError(C2Error):
    """The token is not known, has expired, or does not allow the call."""


@dataclass(frozen=True, slots=True)
class NewClient:
    """What C2 made for a new client. Printing it does not show the key."""

    operation: int
    key: bytes | None = field(repr=False)
    """32 bytes (symmetric mode), or the Ed25519 private key of 64; ``None`` if you brought one."""
    c2_public_key: bytes | None = None
    """X25519, 32 bytes, in public-key mode when C2 made the key."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Clients by how far a change has come."""

    queued: int
    handed: int
    failed: int
    confirmed: int


@dataclass(frozen=True, slots=True)
class Operation:
    """A change, and how far it has come."""

    number: int
    at: datetime
    actor: str
    action: str
    clients: Counts


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing that a client should hold or forget."""

    what: str
    name: str
    epoch: int
    state: State
    attempts: int
    changed_at: datetime | None
    error: str


@dataclass(frozen=True, slots=True)
class ClientState:
    """A client, and how far everything has come."""

    name: str
    id: str
    answers: bool
    seen_at: datetime | None
    trouble: str
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. ``number`` is 0 where nothing was changed."""

    type: str
    source: str
    target: str
    at: datetime
    number: int
    actor: str


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one change of a batch. Printing it does not show the key."""

    ok: bool
    message: str
    operation: int
    created: bool
    key: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Change:
    """A change for :meth:`C2.batch`, made by its class methods. Printing it shows its kind alone."""

    kind: str
    body: Mapping[str, Any] = field(repr=False)

    @classmethod
    def new_client(
        cls, name: str, *, key: bytes | None = None, password: str | None = None
    ) -> Change:
        """As :meth:`C2.new_client`."""
        return cls("newClient", {"client": {"name": name}} | _credential(key, password))

    @classmethod
    def remove_client(cls, name: str, *, rotate_topics: bool = False) -> Change:
        """As :meth:`C2.remove_client`."""
        body = {"client": {"name": name}, "rotateTopics": rotate_topics}
        return cls("removeClient", body)

    @classmethod
    def new_topic(cls, topic: str) -> Change:
        """As :meth:`C2.new_topic`."""
        return cls("newTopic", {"topic": topic})

    @classmethod
    def remove_topic(cls, topic: str) -> Change:
        """As :meth:`C2.remove_topic`."""
        return cls("removeTopic", {"topic": topic})

    @classmethod
    def new_topic_client(cls, client: str, topic: str) -> Change:
        """As :meth:`C2.new_topic_client`."""
        return cls("newTopicClient", {"client": {"name": client}, "topic": topic})

    @classmethod
    def remove_topic_client(cls, client: str, topic: str) -> Change:
        """As :meth:`C2.remove_topic_client`."""
        return cls("removeTopicClient", {"client": {"name": client}, "topic": topic})


def read_token(path: str | Path) -> str:
    """The first line of a file, as ``e4 token create --out`` writes it."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    if not lines or not lines[0].strip():
        raise ValueError(f"{path}: no token in it")
    return lines[0].strip()


def _credential(key: bytes | None, password: str | None) -> dict[str, Any]:
    if key is not None and password is not None:
        raise ValueError("give a key or a password, not both")
    if key is not None:
        return {"key": base64.b64encode(key).decode()}
    return {"password": password} if password is not None else {"generate": True}


def _quote(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _bytes(text: object) -> bytes | None:
    return base64.b64decode(text) if isinstance(text, str) else None


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _counts(body: Mapping[str, Any]) -> Counts:
    return Counts(*(int(body[name]) for name in ("queued", "handed", "failed", "confirmed")))


class C2:
    """A connection to C2. It may be used by several threads, one call at a time.

    ``url`` is the HTTP interface, as ``https://127.0.0.1:8888``. ``token`` is text as
    ``e4 token create`` shows it; or ``certificate`` holds a client certificate and its key (PEM).
    ``ca`` is the authority to trust (PEM), DATA/tls/ca.pem of a server with a certificate of its own;
    that of the system without it. ``timeout`` is in seconds.
    """

    def __init__(
        self,
        url: str = "https://127.0.0.1:8888",
        token: str | None = None,
        *,
        ca: str | Path | None = None,
        certificate: tuple[str | Path, str | Path] | None = None,
        timeout: float = 70.0,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError(f"{url!r} is not http(s)://HOST:PORT")
        self._host, self._port = parts.hostname, parts.port or 8888
        self._timeout = timeout
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            if not token.isascii() or not token.isprintable():
                raise ValueError("this is no token")
            self._headers["Authorization"] = f"Bearer {token}"
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context(cafile=None if ca is None else str(ca))
            if certificate is not None:
                self._tls.load_cert_chain(*map(str, certificate))
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None

    def __repr__(self) -> str:
        return f"C2({self._host}:{self._port})"

    def __enter__(self) -> C2:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; the next call begins another."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self, timeout: float | None) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=timeout, context=self._tls
        )

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[Mapping[str, Any], int]:
        """The answer, and the number of the change."""
        data = None if body is None else json.dumps(body).encode()
        with self._lock:
            # What was idle too long is closed by the server; only then is a call sent again, and only
            # one that changes nothing: of others nobody knows whether they were done.
            fresh = self._connection is None
            try:
                return self._once(method, path, data)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
                self._drop()
                if fresh or method != "GET":
                    raise C2Error(0, f"{self!r}: {error}") from error
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._drop()
                raise C2Error(0, f"{self!r}: {error}") from error
            try:
                return self._once(method, path, data)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._drop()
                raise C2Error(0, f"{self!r}: {error}") from error

    def _once(
        self, method: str, path: str, data: bytes | None
    ) -> tuple[Mapping[str, Any], int]:
        if self._connection is None:
            self._connection = self._connect(self._timeout)
        self._connection.request(method, path, data, self._headers)
        response = self._connection.getresponse()
        text = response.read()
        if response.status != http.client.OK:
            raise _refusal(response.status, text)
        answer = json.loads(text)
        if not isinstance(answer, dict):
            raise C2Error(0, f"{self!r}: an answer that is not understood")
        return answer, int(response.headers.get("e4-operation", "0"))

    def _change(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> int:
        return self._send(method, path, body)[1]

    def _get(self, path: str, **query: object) -> Mapping[str, Any]:
        tail = f"?{urllib.parse.urlencode(query)}" if query else ""
        return self._send("GET", path + tail, None)[0]

    def _names(self, path: str, of: Callable[[Mapping[str, Any]], list[str]]) -> Iterator[str]:
        after = ""
        while names := of(self._get(path, count=_PAGE, after=after)):
            yield from names
            after = names[-1]

    # Clients

    def new_client(
        self, name: str, *, key: bytes | None = None, password: str | None = None
    ) -> NewClient:
        """Adds a client, or replaces the key of one that was provisioned anew by hand.

        ``key`` is its id key (symmetric mode, 32 bytes) or its Ed25519 public key; ``password`` is
        what the device derives its key from; without either, C2 makes a key and returns it this once.
        """
        answer, number = self._send("POST", f"/e4/client/{_quote(name)}", _credential(key, password))
        return NewClient(number, _bytes(answer.get("key")), _bytes(answer.get("c2PublicKey")))

    def remove_client(self, name: str, *, rotate_topics: bool = False) -> int:
        """Forgets a client; with ``rotate_topics`` the topics whose keys it knew get new ones."""
        query = "?rotateTopics=true" if rotate_topics else ""
        return self._change("DELETE", f"/e4/client/{_quote(name)}{query}")

    def reset_client(self, name: str) -> int:
        """Has a client forget all keys but its own, and forgets its topics."""
        return self._change("PUT", f"/e4/client/{_quote(name)}")

    def new_client_key(self, name: str) -> int:
        """Gives a client a new key of its own."""
        return self._change("PATCH", f"/e4/client/{_quote(name)}", {})

    def clients(self) -> Iterator[str]:
        """All clients, by name."""
        return self._names("/e4/clients", _client_names)

    def client_state(self, name: str) -> ClientState:
        """Everything that a client should hold, and how far that has come."""
        body = self._get(f"/e4/client/{_quote(name)}/state")
        deliveries = (
            Delivery(
                one["what"],
                one["name"],
                int(one["epoch"]),
                one["state"],
                int(one["attempts"]),
                _time(one.get("changedAt")),
                one["error"],
            )
            for one in body["deliveries"]
        )
        return ClientState(
            body["client"]["name"],
            body["id"],
            body["answers"],
            _time(body.get("seenAt")),
            body["trouble"],
            tuple(deliveries),
        )

    def resync(self, name: str | None = None) -> int:
        """Sends a client everything that it should hold again; all clients without a name."""
        return self._change("POST", "/e4/resync", {} if name is None else {"client": {"name": name}})

    # Topics

    def new_topic(self, topic: str) -> int:
        """Adds a topic; one that exists gets a new key, which all its clients are sent."""
        return self._change("POST", f"/e4/topic/{_quote(topic)}")

    def remove_topic(self, topic: str) -> int:
        """Forgets a topic; its clients are told to forget the key."""
        return self._change("DELETE", f"/e4/topic/{_quote(topic)}")

    def topics(self) -> Iterator[str]:
        """All topics, by name."""
        return self._names("/e4/topics", _topic_names)

    def new_topic_client(self, client: str, topic: str) -> int:
        """Gives a client the key of a topic."""
        return self._change("PUT", f"/e4/client/{_quote(client)}/topic/{_quote(topic)}")

    def remove_topic_client(self, client: str, topic: str) -> int:
        """Takes the key of a topic from a client."""
        return self._change("DELETE", f"/e4/client/{_quote(client)}/topic/{_quote(topic)}")

    def topics_of(self, client: str) -> Iterator[str]:
        """The topics of a client."""
        return self._names(f"/e4/client/{_quote(client)}/topics", _topic_names)

    def clients_of(self, topic: str) -> Iterator[str]:
        """The clients of a topic."""
        return self._names(f"/e4/topic/{_quote(topic)}/clients", _client_names)

    def topic_state(self, topic: str) -> tuple[int, Counts]:
        """The number of a topic's key, and its clients by how far that has come."""
        body = self._get(f"/e4/topic/{_quote(topic)}/state")
        return int(body["epoch"]), _counts(body["clients"])

    # Public keys

    def link_client(self, source: str, target: str) -> int:
        """The target gets the public key of the source whenever that changes (public-key mode)."""
        return self._change("POST", f"/e4/client/{_quote(target)}/link/{_quote(source)}")

    def unlink_client(self, source: str, target: str) -> int:
        """No longer (public-key mode)."""
        return self._change("DELETE", f"/e4/client/{_quote(target)}/unlink/{_quote(source)}")

    def send_client_pubkey(self, source: str, target: str) -> int:
        """Sends the public key of the source to the target (public-key mode)."""
        return self._change("POST", "/e4/send-client-pubkey", _pair(source, target))

    def remove_client_pubkey(self, source: str, target: str) -> int:
        """Takes the public key of the source from the target (public-key mode)."""
        return self._change("POST", "/e4/remove-client-pubkey", _pair(source, target))

    def reset_client_pubkeys(self, target: str) -> int:
        """Takes all public keys from the target (public-key mode)."""
        body = {"targetClient": {"name": target}}
        return self._change("POST", "/e4/reset-client-pubkeys", body)

    def new_c2_key(self) -> int:
        """Gives C2 a new key pair and tells all clients (public-key mode)."""
        return self._change("POST", "/e4/new-c2-key", {"force": True})

    def c2_public_key(self) -> bytes:
        """C2's public key, 32 bytes (public-key mode)."""
        return base64.b64decode(self._get("/e4/c2-public-key")["key"])

    # Messages

    def protect(self, topic: str, message: bytes) -> bytes:
        """Protects a message under the key of a topic (symmetric mode)."""
        body = {"topic": topic, "binaryData": base64.b64encode(message).decode()}
        answer, _ = self._send("POST", "/e4/protect-message", body)
        return base64.b64decode(answer["protectedBinaryData"])

    def unprotect(self, topic: str, protected: bytes) -> bytes:
        """Opens a message of a topic."""
        body = {"topic": topic, "protectedBinaryData": base64.b64encode(protected).decode()}
        answer, _ = self._send("POST", "/e4/unprotect-message", body)
        return base64.b64decode(answer["binaryData"])

    # What became of it

    def batch(self, changes: Iterable[Change], *, idempotency_key: str | None = None) -> list[Result]:
        """Makes many changes, at most 10,000, each with a result of its own.

        With an idempotency key the same call again changes nothing and has the same results.
        """
        body: dict[str, Any] = {"changes": [{change.kind: change.body} for change in changes]}
        if idempotency_key is not None:
            body["idempotencyKey"] = idempotency_key
        answer, _ = self._send("POST", "/e4/batch", body)
        return [
            Result(
                one["code"] == 0,
                one["message"],
                int(one["operation"]),
                one["created"],
                _bytes(one.get("key")),
            )
            for one in answer["results"]
        ]

    def operation(self, number: int) -> Operation:
        """A change, and how far it has come."""
        body = self._get(f"/e4/operation/{number}")
        return Operation(
            int(body["number"]),
            datetime.fromisoformat(body["at"]),
            body["actor"],
            body["action"],
            _counts(body["clients"]),
        )

    def wait(self, number: int, timeout: float = 60.0) -> Operation:
        """Waits until all clients have confirmed a change.

        Clients of other makes never confirm: for them look at ``operation(number).clients.handed``.

        Raises TimeoutError, with how far it has come; C2 goes on working.
        """
        end = time.monotonic() + timeout
        while True:
            operation = self.operation(number)
            left = operation.clients
            if left.queued == left.handed == left.failed == 0:
                return operation
            if time.monotonic() >= end:
                raise TimeoutError(f"operation {number} after {timeout} s: {left}")
            time.sleep(0.1)

    def events(self, after: int = 0) -> Iterator[Event]:
        """What happens, as it happens, without end; what is after a number first."""
        connection = self._connect(None)
        try:
            query = f"?after={after}" if after else ""
            connection.request("GET", f"/e4/events{query}", headers=self._headers)
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise _refusal(response.status, response.read())
            kind = ""
            for line in response:
                name, _, value = line.decode().rstrip("\r\n").partition(": ")
                if name == "event":
                    kind = value
                elif name == "data" and kind == "error":
                    raise C2Error(0, value)
                elif name == "data":
                    body = json.loads(value)
                    at = datetime.fromisoformat(body["timestamp"])
                    source, target, actor = body["source"], body["target"], body["actor"]
                    yield Event(body["type"], source, target, at, int(body["number"]), actor)
        except (OSError, http.client.HTTPException) as error:
            raise C2Error(0, f"{self!r}: {error}") from error
        finally:
            connection.close()

    def health(self) -> str:
        """``OK``, or what is wrong."""
        return str(self._get("/e4/health-check")["Status"])

    def mode(self) -> Literal["symmetric", "public-key"]:
        """Which kind of keys the fleet has."""
        mode = self._get("/e4/crypto-mode")["CryptoMode"]
        return "public-key" if mode == "CRYPTOMODE_PUBKEY" else "symmetric"


def _pair(source: str, target: str) -> dict[str, Any]:
    return {"sourceClient": {"name": source}, "targetClient": {"name": target}}


def _topic_names(body: Mapping[str, Any]) -> list[str]:
    return list(body["topics"])


def _client_names(body: Mapping[str, Any]) -> list[str]:
    return [client["name"] for client in body["clients"]]


def _refusal(status: int, text: bytes) -> C2Error:
    try:
        message = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        message = f"an answer with status {status}"
    kinds: dict[int, type[C2Error]] = {401: RefusedError, 403: RefusedError, 404: NotFoundError}
    return kinds.get(status, C2Error)(status, message)
