# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A device over paho-mqtt: prints what it reads, and sends the lines that are typed.

    python device.py --name alice --key alice.key --topic plant/pressure
    python device.py --name alice --key alice.key --c2-key c2.key.pub --topic plant/pressure

Its keys are kept in NAME.e4state; from the second start on that file is all it needs.
"""

import argparse
import sys
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

import e4
import e4.mqtt


def open_client(arguments: argparse.Namespace) -> e4.Client:
    path = Path(arguments.state or f"{arguments.name}.e4state")
    if path.exists():
        return e4.Client.open(path)
    if arguments.key is None:
        raise SystemExit("error: no state yet\nhint: give --key FILE, made by e4 keygen")
    data = arguments.key.read_bytes()
    if arguments.c2_key is None:
        return e4.Client.provision(arguments.name, e4.IdKey(data), storage=path)
    c2 = e4.C2PublicKey(arguments.c2_key.read_bytes())
    return e4.Client.provision(arguments.name, e4.SigningKey(data), c2_key=c2, storage=path)


def main() -> None:
    parser = argparse.ArgumentParser(description="A device.")
    parser.add_argument("--name", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--key", type=Path, metavar="FILE")
    parser.add_argument("--c2-key", type=Path, metavar="FILE")
    parser.add_argument("--state", metavar="FILE")
    parser.add_argument("--broker", default="127.0.0.1:1883", metavar="HOST:PORT")
    arguments = parser.parse_args()

    with open_client(arguments) as client:
        mqtt = paho.Client(CallbackAPIVersion.VERSION2)
        device = e4.mqtt.PahoDevice(
            client,
            mqtt,
            [arguments.topic],
            on_message=lambda topic, message: print(f"< {topic}: {message.plaintext!r}"),
            on_command=lambda applied: print(f"{applied.name} applied"),
        )
        host, _, port = arguments.broker.partition(":")
        mqtt.connect(host, int(port or 1883))
        mqtt.loop_start()
        for line in sys.stdin:
            try:
                device.publish(arguments.topic, line.rstrip("\n").encode())
            except e4.TopicKeyMissingError:
                print(f"no key for {arguments.topic} yet; see init_keys.py")
        mqtt.disconnect()
        mqtt.loop_stop()


if __name__ == "__main__":
    main()
