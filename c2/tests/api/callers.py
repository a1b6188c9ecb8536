# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The calls of the table over gRPC and over HTTP, both with JSON forms in and out."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from typing import Any, Iterator
from urllib.parse import quote, urlencode

import grpc
from google.protobuf import json_format

import old_pb2
import old_pb2_grpc
from server import Server

Json = dict[str, Any]

# Method, verb, path, whether the body is the request.
ROUTES: dict[str, tuple[str, str, bool]] = {
    "NewClient": ("POST", "/e4/client/{client.name}", True),
    "RemoveClient": ("DELETE", "/e4/client/{client.name}", False),
    "ResetClient": ("PUT", "/e4/client/{client.name}", False),
    "NewClientKey": ("PATCH", "/e4/client/{client.name}", True),
    "NewTopic": ("POST", "/e4/topic/{topic=**}", False),
    "RemoveTopic": ("DELETE", "/e4/topic/{topic=**}", False),
    "NewTopicClient": ("PUT", "/e4/client/{client.name}/topic/{topic=**}", False),
    "RemoveTopicClient": ("DELETE", "/e4/client/{client.name}/topic/{topic=**}", False),
    "CountTopicsForClient": ("GET", "/e4/client/{client.name}/topics/count", False),
    "GetTopicsForClient": ("GET", "/e4/client/{client.name}/topics", False),
    "CountClientsForTopic": ("GET", "/e4/topic/{topic=**}/clients/count", False),
    "GetClientsForTopic": ("GET", "/e4/topic/{topic=**}/clients", False),
    "CountClients": ("GET", "/e4/clients/count", False),
    "GetClients": ("GET", "/e4/clients", False),
    "CountTopics": ("GET", "/e4/topics/count", False),
    "GetTopics": ("GET", "/e4/topics", False),
    "LinkClient": ("POST", "/e4/client/{targetClient.name}/link/{sourceClient.name}", False),
    "UnlinkClient": ("DELETE", "/e4/client/{targetClient.name}/unlink/{sourceClient.name}", False),
    "CountLinkedClients": ("GET", "/e4/client/{client.name}/link/count", False),
    "GetLinkedClients": ("GET", "/e4/client/{client.name}/link", False),
    "SendClientPubKey": ("POST", "/e4/send-client-pubkey", True),
    "RemoveClientPubKey": ("POST", "/e4/remove-client-pubkey", True),
    "ResetClientPubKeys": ("POST", "/e4/reset-client-pubkeys", True),
    "NewC2Key": ("POST", "/e4/new-c2-key", True),
    "ProtectMessage": ("POST", "/e4/protect-message", True),
    "UnprotectMessage": ("POST", "/e4/unprotect-message", True),
    "HealthCheck": ("GET", "/e4/health-check", False),
    "GetCryptoMode": ("GET", "/e4/crypto-mode", False),
}

METHODS = old_pb2.DESCRIPTOR.services_by_name["C2"].methods_by_name


class Refused(Exception):
    """A call that was refused, with the name of its gRPC status."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(f"{code} ({status}): {message}")
        self.code, self.message, self.status = code, message, status


def message_class(descriptor: Any) -> Any:
    return getattr(old_pb2, descriptor.name)


class Grpc:
    """A caller with a stub that is generated from the table."""

    def __init__(self, server: Server) -> None:
        address = "{}:{}".format(*server.address(server.grpc))
        self.metadata: list[tuple[str, str]] = []
        if server.ca:
            assert server.token
            trust = grpc.ssl_channel_credentials(server.ca.read_bytes())
            self.channel = grpc.secure_channel(address, trust)
            self.metadata.append(("authorization", f"Bearer {server.token}"))
        else:
            self.channel = grpc.insecure_channel(address)
        self.stub = old_pb2_grpc.C2Stub(self.channel)

    def call(self, method: str, **fields: Any) -> Json:
        request = message_class(METHODS[method].input_type)()
        json_format.ParseDict(fields, request)
        try:
            answer = getattr(self.stub, method)(request, metadata=self.metadata, timeout=30)
        except grpc.RpcError as error:
            raise Refused(error.code().name, error.details()) from error
        return json_format.MessageToDict(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )

    def events(self) -> Iterator[Any]:
        stream = self.stub.SubscribeToEventStream(old_pb2.Nothing(), metadata=self.metadata)
        # The server answers when it listens.
        stream.initial_metadata()
        return stream

    def close(self) -> None:
        self.channel.close()


class Http:
    """A caller that keeps to the JSON of the table and takes nothing else."""

    def __init__(self, server: Server) -> None:
        host, port = server.address(server.http)
        self.headers = {"authorization": f"Bearer {server.token}"} if server.token else {}
        if server.ca:
            trust = ssl.create_default_context(cafile=str(server.ca))
            self.connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, context=trust, timeout=30
            )
        else:
            self.connection = http.client.HTTPConnection(host, port, timeout=30)

    def raw(self, verb: str, path: str, body: bytes | None = None) -> tuple[int, Json]:
        headers = dict(self.headers)
        if body is not None:
            headers["content-type"] = "application/json"
        self.connection.request(verb, path, body, headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status == 414:
            return response.status, {}
        assert response.headers["content-type"] == "application/json", text
        answer = json.loads(text, object_pairs_hook=unique)
        assert isinstance(answer, dict)
        return response.status, answer

    def call(self, method: str, **fields: Any) -> Json:
        verb, template, has_body = ROUTES[method]
        parts, rest = [], dict(fields)
        for part in template.strip("/").split("/"):
            if part == "{topic=**}":
                part = quote(rest.pop("topic"), safe="/")
            elif part.startswith("{"):
                part = quote(rest.pop(part[1:].split(".")[0])["name"], safe="")
            parts.append(part)
        path = "/" + "/".join(parts)
        body = None
        if has_body:
            body = json.dumps(rest).encode()
        elif rest:
            path += "?" + urlencode(rest)
        status, answer = self.raw(verb, path, body)
        if status != 200:
            check_refusal(status, answer)
            code = next(code for code in grpc.StatusCode if code.value[0] == answer["code"])
            raise Refused(code.name, answer["message"], status)
        kind = METHODS[method].output_type
        # Exactly the fields of the table: unknown ones fail here, missing ones below.
        json_format.ParseDict(answer, message_class(kind)())
        assert set(answer) == set(kind.fields_by_name), answer
        return answer

    def close(self) -> None:
        self.connection.close()


def unique(pairs: list[tuple[str, Any]]) -> Json:
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), names
    return dict(pairs)


def check_refusal(status: int, answer: Json) -> None:
    assert set(answer) == {"code", "message", "error", "details"}, answer
    assert answer["message"] == answer["error"] and answer["details"] == []
    statuses = {3: 400, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 12: 405, 16: 401}
    assert statuses[answer["code"]] == status, answer


class Listener:
    """Collects events until those that are waited for are there."""

    def __init__(self, caller: Grpc) -> None:
        self.stream = caller.events()
        self.events: list[Any] = []
        self.thread = threading.Thread(target=self._collect, daemon=True)
        self.thread.start()

    def _collect(self) -> None:
        try:
            for event in self.stream:
                self.events.append(event)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.CANCELLED, error

    def wait(self, types: list[int]) -> list[Any]:
        end = time.monotonic() + 20
        while True:
            found = [event for event in self.events if event.type in types]
            if len(found) >= len(types):
                return found
            assert time.monotonic() < end, self.events
            time.sleep(0.02)

    def close(self) -> None:
        self.stream.cancel()
        self.thread.join(10)
