# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Every other row of the table, and what callers rely on."""

from __future__ import annotations

import base64
import itertools
import json
import time
from typing import Any

import pytest

from callers import METHODS, ROUTES, Grpc, Http, Listener, Refused, check_refusal
from conftest import key
from server import Server

Caller = Grpc | Http
numbers = itertools.count()
public_key_mode = pytest.mark.parametrize("server", ["public-key"], indirect=True)
symmetric_mode = pytest.mark.parametrize("server", ["symmetric"], indirect=True)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def new_client(caller: Caller, server: Server) -> dict[str, str]:
    client = {"name": f"device-{next(numbers):03}"}
    assert caller.call("NewClient", client=client, key=key(server.mode)) == {}
    return client


def new_topic(caller: Caller) -> str:
    topic = f"plant/{next(numbers):03}"
    assert caller.call("NewTopic", topic=topic) == {}
    return topic


def refused(code: str, caller: Caller, method: str, **fields: Any) -> str:
    with pytest.raises(Refused) as refused:
        caller.call(method, **fields)
    assert refused.value.code == code, refused.value
    return refused.value.message


def test_every_row_has_a_path() -> None:
    assert set(METHODS) == set(ROUTES) | {"SubscribeToEventStream"}


def test_health_and_mode(caller: Caller, server: Server) -> None:
    assert caller.call("HealthCheck") == {"Code": "0", "Status": "OK"}
    mode = {"symmetric": "CRYPTOMODE_SYMKEY", "public-key": "CRYPTOMODE_PUBKEY"}[server.mode]
    assert caller.call("GetCryptoMode") == {"CryptoMode": mode}


def test_clients_come_and_go(caller: Caller, server: Server) -> None:
    client, topic = new_client(caller, server), new_topic(caller)
    before = int(caller.call("CountClients")["count"])
    # The same name again replaces the key.
    assert caller.call("NewClient", client=client, key=key(server.mode)) == {}
    assert caller.call("CountClients") == {"count": str(before)}
    assert caller.call("NewClientKey", client=client) == {}
    assert caller.call("NewTopicClient", client=client, topic=topic) == {}
    assert caller.call("NewTopicClient", client=client, topic=topic) == {}
    # A reset forgets the memberships.
    assert caller.call("ResetClient", client=client) == {}
    assert caller.call("CountTopicsForClient", client=client) == {"count": "0"}
    assert caller.call("CountClientsForTopic", topic=topic) == {"count": "0"}
    assert caller.call("RemoveClient", client=client) == {}
    assert caller.call("CountClients") == {"count": str(before - 1)}
    refused("NOT_FOUND", caller, "RemoveClient", client=client)


def test_a_topic_again_is_a_rotation(caller: Caller, server: Server) -> None:
    topic, client = new_topic(caller), new_client(caller, server)
    caller.call("NewTopicClient", client=client, topic=topic)
    before = caller.call("CountTopics")
    assert caller.call("NewTopic", topic=topic) == {}
    assert caller.call("CountTopics") == before
    assert caller.call("GetClientsForTopic", topic=topic, count=10) == {"clients": [client]}


def test_messages(caller: Caller, server: Server) -> None:
    topic, plain = new_topic(caller), bytes(range(256))
    if server.mode == "public-key":
        # A message is signed by a client, and C2 is none.
        refused("FAILED_PRECONDITION", caller, "ProtectMessage", topic=topic, binaryData=b64(plain))
        refused("INVALID_ARGUMENT", caller, "UnprotectMessage", topic=topic, protectedBinaryData=b64(plain))
        return
    made = caller.call("ProtectMessage", topic=topic, binaryData=b64(plain))
    assert made["topic"] == topic
    raw = base64.b64decode(made["protectedBinaryData"], validate=True)
    assert len(raw) > len(plain) and plain not in raw
    opened = caller.call("UnprotectMessage", **made)
    assert opened == {"topic": topic, "binaryData": b64(plain)}
    # Under the new key it is another one; the old one still opens for a while.
    caller.call("NewTopic", topic=topic)
    assert caller.call("UnprotectMessage", **made) == opened
    broken = b64(raw[:-1] + bytes([raw[-1] ^ 1]))
    refused("INVALID_ARGUMENT", caller, "UnprotectMessage", topic=topic, protectedBinaryData=broken)
    refused("INVALID_ARGUMENT", caller, "UnprotectMessage", topic=topic, protectedBinaryData="")
    refused("NOT_FOUND", caller, "ProtectMessage", topic="no/such", binaryData="")
    empty = caller.call("ProtectMessage", topic=topic, binaryData="")
    assert caller.call("UnprotectMessage", **empty) == {"topic": topic, "binaryData": ""}


@public_key_mode
def test_links(caller: Caller, server: Server) -> None:
    source, target, other = (new_client(caller, server) for _ in range(3))
    pair = {"sourceClient": source, "targetClient": target}
    assert caller.call("CountLinkedClients", client=target) == {"count": "0"}
    assert caller.call("LinkClient", **pair) == {}
    assert caller.call("LinkClient", sourceClient=other, targetClient=target) == {}
    assert caller.call("CountLinkedClients", client=target) == {"count": "2"}
    assert caller.call("CountLinkedClients", client=source) == {"count": "0"}
    listed = caller.call("GetLinkedClients", client=target, offset=0, count=10)
    assert listed == {"clients": [source, other]}
    listed = caller.call("GetLinkedClients", client=target, offset=1, count=10)
    assert listed == {"clients": [other]}
    assert caller.call("GetLinkedClients", client=target) == {"clients": []}
    assert caller.call("UnlinkClient", **pair) == {}
    assert caller.call("CountLinkedClients", client=target) == {"count": "1"}
    refused("NOT_FOUND", caller, "UnlinkClient", **pair)
    refused("NOT_FOUND", caller, "LinkClient", sourceClient=source, targetClient={"name": "nobody"})
    refused("INVALID_ARGUMENT", caller, "LinkClient", sourceClient=source, targetClient=source)


@public_key_mode
def test_public_keys(caller: Caller, server: Server) -> None:
    source, target = new_client(caller, server), new_client(caller, server)
    pair = {"sourceClient": source, "targetClient": target}
    assert caller.call("SendClientPubKey", **pair) == {}
    assert caller.call("SendClientPubKey", **pair) == {}
    assert caller.call("RemoveClientPubKey", **pair) == {}
    assert caller.call("SendClientPubKey", **pair) == {}
    assert caller.call("ResetClientPubKeys", targetClient=target) == {}
    refused("NOT_FOUND", caller, "RemoveClientPubKey", **pair)
    refused("NOT_FOUND", caller, "ResetClientPubKeys", targetClient={"name": "nobody"})


@public_key_mode
def test_a_new_key_for_c2(caller: Caller, server: Server) -> None:
    refused("INVALID_ARGUMENT", caller, "NewC2Key", force=False)
    refused("INVALID_ARGUMENT", caller, "NewC2Key")
    assert caller.call("NewC2Key", force=True) == {}


@symmetric_mode
def test_calls_of_the_other_mode(caller: Caller, server: Server) -> None:
    source, target = new_client(caller, server), new_client(caller, server)
    pair = {"sourceClient": source, "targetClient": target}
    for method in ["LinkClient", "UnlinkClient", "SendClientPubKey", "RemoveClientPubKey"]:
        refused("FAILED_PRECONDITION", caller, method, **pair)
    refused("FAILED_PRECONDITION", caller, "CountLinkedClients", client=target)
    refused("FAILED_PRECONDITION", caller, "GetLinkedClients", client=target, count=1)
    refused("FAILED_PRECONDITION", caller, "ResetClientPubKeys", targetClient=target)
    refused("FAILED_PRECONDITION", caller, "NewC2Key", force=True)


def test_what_is_not_there(caller: Caller, server: Server) -> None:
    client, topic = new_client(caller, server), new_topic(caller)
    nobody, nowhere = {"name": "nobody"}, "no/where"
    for method in ["RemoveClient", "ResetClient", "NewClientKey", "CountTopicsForClient"]:
        refused("NOT_FOUND", caller, method, client=nobody)
    refused("NOT_FOUND", caller, "GetTopicsForClient", client=nobody, count=1)
    for method in ["RemoveTopic", "CountClientsForTopic"]:
        refused("NOT_FOUND", caller, method, topic=nowhere)
    refused("NOT_FOUND", caller, "GetClientsForTopic", topic=nowhere, count=1)
    for method in ["NewTopicClient", "RemoveTopicClient"]:
        refused("NOT_FOUND", caller, method, client=nobody, topic=topic)
        refused("NOT_FOUND", caller, method, client=client, topic=nowhere)
    refused("NOT_FOUND", caller, "RemoveTopicClient", client=client, topic=topic)


def no_point() -> bytes:
    """32 bytes that stand for no point of Edwards25519: x would have no root."""
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p
    for y in range(2, 100):
        x2 = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        if pow(x2, (p - 1) // 2, p) == p - 1:
            return y.to_bytes(32, "little")
    raise AssertionError


def test_keys_that_are_none(caller: Caller, server: Server) -> None:
    client = {"name": "never"}
    wrong = [b"", b"short", bytes(31), bytes(33), bytes(64), bytes(32)]
    if server.mode == "public-key":
        wrong += [no_point(), (1).to_bytes(32, "little"), b"\xff" * 32]
    for bad in wrong:
        refused("INVALID_ARGUMENT", caller, "NewClient", client=client, key=b64(bad))
    refused("NOT_FOUND", caller, "CountTopicsForClient", client=client)


@pytest.mark.parametrize("topic", ["", "e4", "e4/x", "e4/topic/a", "a/#", "+/a", "$SYS/a", "a\0b"])
def test_topics_that_are_refused(caller: Caller, topic: str) -> None:
    refused("INVALID_ARGUMENT", caller, "NewTopic", topic=topic)


@pytest.mark.parametrize("name", ["", "n" * 256, "ü" * 128, "a\nb"])
def test_names_that_are_refused(caller: Caller, server: Server, name: str) -> None:
    message = refused("INVALID_ARGUMENT", caller, "NewClient", client={"name": name}, key=key(server.mode))
    assert "client" in message


def test_long_names(caller: Caller, server: Server) -> None:
    client = {"name": "n" * 255}
    assert caller.call("NewClient", client=client, key=key(server.mode)) == {}
    assert caller.call("RemoveClient", client=client) == {}
    if isinstance(caller, Http):
        assert caller.raw("POST", "/e4/topic/" + "t" * 100_000)[0] in (400, 414)
    else:
        refused("INVALID_ARGUMENT", caller, "NewTopic", topic="t" * 100_000)


def test_pages(caller: Caller, server: Server) -> None:
    topic = new_topic(caller)
    clients = [new_client(caller, server) for _ in range(103)]
    for client in clients:
        caller.call("NewTopicClient", client=client, topic=topic)
    assert caller.call("CountClientsForTopic", topic=topic) == {"count": "103"}
    page = lambda **at: caller.call("GetClientsForTopic", topic=topic, **at)["clients"]  # noqa: E731
    assert page(count=1000) == clients[:100]
    assert page(offset=100, count=1000) == clients[100:]
    assert page(offset=1, count=2) == clients[1:3]
    assert page(offset=103, count=10) == page(offset=2**62, count=10) == []
    assert page() == page(count=0) == []
    assert len(page(count=2**63 - 1)) == 100
    assert len(caller.call("GetClients", offset=0, count=101)["clients"]) == 100
    for wrong in [{"count": -1}, {"offset": -1, "count": 1}]:
        refused("INVALID_ARGUMENT", caller, "GetClients", **wrong)
        refused("INVALID_ARGUMENT", caller, "GetTopics", **wrong)


def test_events(server: Server, caller: Caller) -> None:
    client, topic = new_client(caller, server), new_topic(caller)
    over_grpc = Grpc(server)
    listener = Listener(over_grpc)
    caller.call("NewTopicClient", client=client, topic=topic)
    caller.call("RemoveTopicClient", client=client, topic=topic)
    events = listener.wait([1, 2])
    assert [event.type for event in events] == [1, 2]
    for event in events:
        assert (event.source, event.target) == (client["name"], topic)
        assert abs(event.timestamp.ToSeconds() - time.time()) < 60
    listener.close()
    over_grpc.close()


def test_json_as_it_is_written(over_http: Http, server: Server) -> None:
    name, topic = f"json-{next(numbers)}", f"json/{next(numbers)}"
    body = {"client": {"name": name}, "key": key(server.mode)}
    # The whole request in the body, and the name in the path as well.
    assert over_http.raw("POST", f"/e4/client/{name}", json.dumps(body).encode()) == (200, {})
    assert over_http.raw("PATCH", f"/e4/client/{name}", b"{}") == (200, {})
    assert over_http.raw("PATCH", f"/e4/client/{name}") == (200, {})
    assert over_http.raw("POST", f"/e4/topic/{topic}") == (200, {})
    assert over_http.raw("POST", f"/e4/topic/{topic}", b"") == (200, {})
    status, answer = over_http.raw("GET", f"/e4/client/{name}/topics?offset=0&count=10")
    assert (status, answer) == (200, {"topics": []})
    # The path decides.
    other = json.dumps({"client": {"name": "other"}, "key": body["key"]}).encode()
    assert over_http.raw("POST", f"/e4/client/{name}", other) == (200, {})
    assert over_http.raw("GET", "/e4/client/other/topics/count")[0] == 404


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("POST", "/e4/new-c2-key", b'{"force": true, "unknown": 1}', 400),
        ("POST", "/e4/new-c2-key", b'{"force": "yes"}', 400),
        ("POST", "/e4/new-c2-key", b'{"force": true', 400),
        ("POST", "/e4/new-c2-key", b'{"force": true} {}', 400),
        ("POST", "/e4/new-c2-key", b"[]", 400),
        ("POST", "/e4/new-c2-key", b"\xff", 400),
        ("POST", "/e4/client/x", b'{"key": "not base64!"}', 400),
        ("POST", "/e4/client/x", b'{"key": 5}', 400),
        ("POST", "/e4/client/%ff", b"{}", 404),
        ("POST", "/e4/client/", b"{}", 400),
        ("POST", "/e4/topic/", None, 400),
        ("GET", "/e4/clients?count=ten", None, 400),
        ("GET", "/e4/clients?count=9223372036854775808", None, 400),
        ("GET", "/e4/clients?limit=10", None, 400),
        ("GET", "/e4/nothing", None, 404),
        ("PATCH", "/e4/clients", b"{}", 405),
    ],
)
def test_bad_requests(over_http: Http, verb: str, path: str, body: bytes | None, status: int) -> None:
    got, answer = over_http.raw(verb, path, body)
    assert got == status, answer
    check_refusal(got, answer)


def test_an_answer_comes_though_nobody_wants_the_body(over_http: Http) -> None:
    stranger = over_http
    stranger.headers = {}
    for size in [10, 10_000, 500_000]:
        for _ in range(5):
            # The body is sent after the head, when the refusal is on its way already.
            status, answer = stranger.raw("POST", "/e4/batch", b" " * size)
            assert status in (401, 429)
            check_refusal(status, answer)
    # Nor is one read that the call has no use for.
    stranger.raw("GET", "/e4/clients", b" " * 10_000)
