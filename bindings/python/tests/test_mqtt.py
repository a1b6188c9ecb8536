# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Through a real broker: Python devices and the device of the `e4` program, keys by init_keys.py."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from conftest import SOURCE, TOPIC
from paho.mqtt.enums import CallbackAPIVersion

import e4
import e4.mqtt

EXAMPLES = SOURCE.parents[1] / "examples" / "python"
MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
DEVICE = os.environ.get("E4_PROGRAM")
pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    assert MOSQUITTO is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    quiet = subprocess.DEVNULL
    with subprocess.Popen([MOSQUITTO, "-p", str(port)], stdout=quiet, stderr=quiet) as broker:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
        broker.terminate()


def wait(what: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.02)


def run_example(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def keys(mode: str, folder: Path, names: list[str]) -> dict[str, e4.Client]:
    """Key files as `e4 keygen` writes them, and the Python clients."""
    secret = e4.C2SecretKey.random()
    (folder / "c2.key").write_bytes(secret.expose())
    (folder / "c2.key.pub").write_bytes(bytes(secret.public()))
    clients = {}
    for name in names:
        if mode == "sk":
            key = e4.IdKey.random()
            clients[name] = e4.Client.provision(name, key)
            (folder / f"{name}.key").write_bytes(key.expose())
        else:
            pair = e4.SigningKey.random()
            clients[name] = e4.Client.provision(name, pair, c2_key=secret.public())
            (folder / f"{name}.key").write_bytes(pair.expose())
            (folder / f"{name}.key.pub").write_bytes(bytes(pair.public()))
    return clients


def init_keys(mode: str, folder: Path, port: int, names: list[str]) -> str:
    given = ["--broker", f"127.0.0.1:{port}", "--topic", TOPIC]
    for name in names:
        given += ["--key", f"{name}={folder / name}.key" + (".pub" if mode == "pk" else "")]
    if mode == "pk":
        given += ["--c2-key", str(folder / "c2.key")]
    return run_example("init_keys.py", *given)


def read_lines(stream: Iterable[str], lines: list[str]) -> None:
    for line in stream:
        lines.append(line)


class Paho:
    """A connected Python device that collects what comes in."""

    def __init__(self, client: e4.Client, port: int, *topics: str) -> None:
        self.messages: list[bytes] = []
        self.commands: list[str] = []
        self.ready = threading.Event()
        self.mqtt = paho.Client(CallbackAPIVersion.VERSION2)
        self.mqtt.on_subscribe = lambda *_: self.ready.set()
        self.device = e4.mqtt.PahoDevice(
            client, self.mqtt, topics,
            on_message=lambda topic, message: self.messages.append(message.plaintext),
            on_command=lambda applied: self.commands.append(applied.name),
        )
        self.mqtt.connect("127.0.0.1", port)
        self.mqtt.loop_start()
        assert self.ready.wait(10)

    def stop(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


def test_two_python_devices_paho_and_aiomqtt(mode: str, port: int, tmp_path: Path) -> None:
    import aiomqtt

    clients = keys(mode, tmp_path, ["one", "two"])
    one = Paho(clients["one"], port, TOPIC)

    taken: list[object] = []

    async def until(what: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not what():
                await asyncio.sleep(0.02)

    async def talk() -> None:
        async with aiomqtt.Client("127.0.0.1", port) as mqtt:
            device = e4.mqtt.AioDevice(clients["two"], mqtt, [TOPIC])

            async def collect() -> None:
                async for _, each in device.messages():
                    taken.append(each)

            collector = asyncio.ensure_future(collect())
            await asyncio.sleep(0.5)
            out = await asyncio.to_thread(init_keys, mode, tmp_path, port, ["one", "two"])
            assert out.count("confirmed") == 2, out
            await device.publish(TOPIC, b"from two")
            one.device.publish(TOPIC, b"from one").wait_for_publish(5)
            await until(lambda: sum(isinstance(each, e4.Message) for each in taken) == 2)
            collector.cancel()

    asyncio.run(talk())
    assert any(isinstance(each, e4.CommandApplied) for each in taken)
    plain = {each.plaintext for each in taken if isinstance(each, e4.Message)}
    assert plain == {b"from one", b"from two"}
    wait(lambda: set(one.messages) == {b"from one", b"from two"})
    assert "SetTopicKey" in one.commands
    one.stop()


@pytest.mark.skipif(DEVICE is None, reason="E4_PROGRAM does not name the e4 program")
def test_a_python_device_and_a_rust_device(mode: str, port: int, tmp_path: Path) -> None:
    assert DEVICE is not None
    clients = keys(mode, tmp_path, ["python", "rust"])
    here = Paho(clients["python"], port, TOPIC)
    command = [DEVICE, "device", "--name", "rust", "--key", str(tmp_path / "rust.key")]
    command += ["--broker", f"127.0.0.1:{port}", "--state", str(tmp_path / "rust.e4state")]
    if mode == "pk":
        command += ["--c2-key", str(tmp_path / "c2.key.pub")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    lines: list[str] = []
    rust = subprocess.Popen([*command, "--linger", "1"], text=True, **pipes)  # type: ignore[call-overload]
    reader = threading.Thread(target=lambda: read_lines(rust.stdout, lines), daemon=True)
    reader.start()
    try:
        wait(lambda: any("connected" in line for line in lines))
        print(f"subscribe {TOPIC}", file=rust.stdin, flush=True)
        out = init_keys(mode, tmp_path, port, ["python", "rust"])
        assert out.count("confirmed") == 2, out
        wait(lambda: any("SetTopicKey" in line for line in lines))
        wait(lambda: clients["python"].has_topic(TOPIC))
        print(f"send {TOPIC} from rust", file=rust.stdin, flush=True)
        wait(lambda: b"from rust" in here.messages)
        here.device.publish(TOPIC, b"from python").wait_for_publish(5)
        wait(lambda: any("from python" in line for line in lines))
        rust.stdin.close()
        assert rust.wait(20) == 0, "".join(lines)
    finally:
        rust.kill()
        rust.wait()
        reader.join(5)
        rust.stdout.close()
    here.stop()


def test_what_is_unreadable_is_logged_and_not_handed_over(
    port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = Paho(keys("sk", tmp_path, ["one"])["one"], port, TOPIC)
    here.mqtt.publish(TOPIC, b"not protected").wait_for_publish(5)
    wait(lambda: "topic key not found" in caplog.text)
    assert here.messages == []
    here.stop()
