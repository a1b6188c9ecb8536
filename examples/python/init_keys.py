# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Makes a topic key and sends it to devices, over paho-mqtt.

    python init_keys.py --topic plant/pressure --key alice=alice.key --key bob=bob.key
    python init_keys.py --topic plant/pressure --c2-key c2.key \
        --key alice=alice.key.pub --key bob=bob.key.pub

With --c2-key the devices are in public-key mode: their public keys are given, and each is also sent
the public keys of all. Key files are those of `e4 keygen`.
"""

import argparse
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

import e4


@dataclass
class Device:
    name: str
    id: e4.ClientId
    key: e4.IdKey | e4.SharedKey
    public: e4.PublicKey | None = None
    open: set[bytes] = field(default_factory=set)


def read_devices(keys: list[str], c2: e4.C2SecretKey | None) -> list[Device]:
    devices = []
    for given in keys:
        name, _, path = given.partition("=")
        data = Path(path).read_bytes()
        id = e4.ClientId.from_name(name)
        if c2 is None:
            devices.append(Device(name, id, e4.IdKey(data)))
        else:
            public = e4.PublicKey(data)
            devices.append(Device(name, id, e4.SharedKey.for_c2(c2, public), public))
    return devices


def main() -> int:
    parser = argparse.ArgumentParser(description="Sends the key of a topic to devices.")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--key", action="append", required=True, metavar="NAME=FILE")
    parser.add_argument("--c2-key", type=Path, metavar="FILE")
    parser.add_argument("--broker", default="127.0.0.1:1883", metavar="HOST:PORT")
    arguments = parser.parse_args()
    e4.check_topic_for_key(arguments.topic)
    c2 = e4.C2SecretKey(arguments.c2_key.read_bytes()) if arguments.c2_key else None
    devices = read_devices(arguments.key, c2)

    commands = [e4.Command.set_topic_key(arguments.topic, e4.TopicKey.random())]
    commands += [e4.Command.set_pub_key(each.id, each.public) for each in devices if each.public]
    answers = {f"e4/{each.id}/ack": each for each in devices}
    connected, done = threading.Event(), threading.Event()

    def subscribed(mqtt: paho.Client, *_: object) -> None:
        connected.set()

    def arrived(mqtt: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:
        device = answers[message.topic]
        try:
            answer = e4.open_answer(device.key, message.payload)
        except e4.E4Error as error:
            print(f"{device.name}: an answer that does not open: {error}")
            return
        if answer.command in device.open and answer.status == 0:
            device.open.discard(answer.command)
            if not device.open:
                print(f"{device.name}: confirmed")
        if not any(each.open for each in devices):
            done.set()

    mqtt = paho.Client(CallbackAPIVersion.VERSION2)
    mqtt.on_subscribe = subscribed
    mqtt.on_message = arrived
    host, _, port = arguments.broker.partition(":")
    mqtt.connect(host, int(port or 1883))
    mqtt.subscribe([(topic, 1) for topic in answers])
    mqtt.loop_start()
    if not connected.wait(10):
        print("error: the broker did not acknowledge the subscription", file=sys.stderr)
        return 1
    pairs = [(command, each.key) for each in devices for command in commands]
    protected = iter(e4.Command.protect_for_many(pairs))
    outgoing = [(each, next(protected)) for each in devices for _ in commands]
    for device, command in outgoing:
        device.open.add(e4.siv_of(command))
    for device, command in outgoing:
        mqtt.publish(f"e4/{device.id}", command, 2).wait_for_publish(10)
    done.wait(10)
    mqtt.disconnect()
    mqtt.loop_stop()
    for device in devices:
        if device.open:
            # e4go and libe4 never answer; for them this is all that can be known.
            print(f"{device.name}: handed to the broker, no answer")
    return 0


if __name__ == "__main__":
    sys.exit(main())
