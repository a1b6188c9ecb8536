# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A device beside your own MQTT client: paho-mqtt 2 (callback version 2) or aiomqtt 2.

Both subscribe the control topic at every connection, say hello, answer commands, and hand over
plaintext. Neither library is imported before its class is used.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

from . import Client, CommandApplied, E4Error, Message, ReplayedError

if TYPE_CHECKING:
    import aiomqtt
    import paho.mqtt.client as paho

__all__ = ["AioDevice", "PahoDevice"]

_log = logging.getLogger("e4.mqtt")

Handler = Callable[[str, Message], None]


def _take_in(client: Client, topic: str, payload: bytes | bytearray) -> Message | CommandApplied | None:
    """What came in, or None where there is nothing for the application."""
    try:
        return client.unprotect(topic, payload)
    except ReplayedError:
        _log.debug("seen before, on %s", topic)
    except E4Error as error:
        _log.warning("unreadable, on %s: %s", topic, error)
    return None


def _answer(client: Client) -> bytes | None:
    """The answer to what came on the control topic, if there is one and it can be made."""
    try:
        return client.answer()
    except E4Error as error:
        _log.warning("no answer: %s", error)
        return None


class PahoDevice:
    """A device on a ``paho.mqtt.client.Client`` made with ``CallbackAPIVersion.VERSION2``.

    It sets ``on_connect`` of the paho client and calls the one that was set before; of messages it
    takes only those on its own topics, by ``message_callback_add``. ``on_message(topic, message)``
    and ``on_command(applied)`` are called in paho's thread. What is not readable is logged under
    ``e4.mqtt``.
    """

    def __init__(
        self,
        client: Client,
        mqtt: paho.Client,
        topics: Iterable[str] = (),
        *,
        on_message: Handler | None = None,
        on_command: Callable[[CommandApplied], None] | None = None,
        qos: int = 1,
    ) -> None:
        self.client = client
        self.mqtt = mqtt
        self.qos = qos
        self._topics = list(topics)
        self._on_message = on_message
        self._on_command = on_command
        self._before: Any = mqtt.on_connect
        mqtt.on_connect = self._connected
        for topic in [client.control_topic, *self._topics]:
            mqtt.message_callback_add(topic, self._arrived)

    def _connected(
        self, mqtt: paho.Client, userdata: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        if not reason.is_failure:
            mqtt.subscribe(self.client.control_topic, 2)
            for topic in self._topics:
                mqtt.subscribe(topic, self.qos)
            mqtt.publish(self.client.answer_topic, self.client.hello(), 1)
        if self._before is not None:
            self._before(mqtt, userdata, flags, reason, properties)

    def _arrived(self, mqtt: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        taken = _take_in(self.client, message.topic, message.payload)
        if message.topic == self.client.control_topic:
            answer = _answer(self.client)
            if answer is not None:
                mqtt.publish(self.client.answer_topic, answer, 1)
        match taken:
            case CommandApplied() if self._on_command is not None:
                self._on_command(taken)
            case Message() if self._on_message is not None:
                self._on_message(message.topic, taken)

    def subscribe(self, topic: str) -> None:
        """Subscribes another topic, now and at every later connection."""
        self._topics.append(topic)
        self.mqtt.message_callback_add(topic, self._arrived)
        self.mqtt.subscribe(topic, self.qos)

    def publish(self, topic: str, message: bytes) -> paho.MQTTMessageInfo:
        """Protects a message and publishes it. Raises what ``Client.protect`` raises."""
        return self.mqtt.publish(topic, self.client.protect(topic, message), self.qos)


class AioDevice:
    """A device on an ``aiomqtt.Client`` that is connected. It is the only reader of the client's
    messages; make a new one after a reconnection.

    ::

        async with aiomqtt.Client("127.0.0.1") as mqtt:
            device = e4.mqtt.AioDevice(client, mqtt, ["plant/pressure"])
            async for topic, taken in device.messages():
                ...
    """

    def __init__(
        self, client: Client, mqtt: aiomqtt.Client, topics: Iterable[str] = (), *, qos: int = 1
    ) -> None:
        self.client = client
        self.mqtt = mqtt
        self.qos = qos
        self._topics = list(topics)

    async def start(self) -> None:
        """Subscribes, and says hello. ``messages`` does it by itself."""
        await self.mqtt.subscribe(self.client.control_topic, 2)
        for topic in self._topics:
            await self.mqtt.subscribe(topic, self.qos)
        await self.mqtt.publish(self.client.answer_topic, self.client.hello(), 1)

    async def messages(self) -> AsyncIterator[tuple[str, Message | CommandApplied]]:
        """What comes in, with its topic; commands are applied, stored and answered before."""
        await self.start()
        async for message in self.mqtt.messages:
            topic, payload = message.topic.value, message.payload
            if not isinstance(payload, bytes):
                continue
            taken = _take_in(self.client, topic, payload)
            if topic == self.client.control_topic:
                answer = _answer(self.client)
                if answer is not None:
                    await self.mqtt.publish(self.client.answer_topic, answer, 1)
            if taken is not None:
                yield topic, taken

    async def publish(self, topic: str, message: bytes) -> None:
        """Protects a message and publishes it. Raises what ``Client.protect`` raises."""
        await self.mqtt.publish(topic, self.client.protect(topic, message), self.qos)
