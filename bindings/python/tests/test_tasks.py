# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Ten everyday tasks. docs/tasks.md shows what stands between the marks, beside the same in other
languages."""

from pathlib import Path

import e4


def test_ten_tasks(tmp_path: Path) -> None:
    path = tmp_path / "pump-1.e4state"
    secret = bytes([7]) * 32
    topic_key = e4.TopicKey.random()
    heard: list[bytes] = []
    published: list[bytes] = []
    asked: list[str] = []

    def handle(plaintext: bytes) -> None:
        heard.append(plaintext)

    def publish(topic: str, payload: bytes) -> None:
        published.append(payload)

    def ask_for_key() -> None:
        asked.append("unknown")

    # task: provision
    key = e4.IdKey(secret)
    pump = e4.Client.provision("pump-1", key, storage=path)
    # end
    pump.close()

    # task: open
    pump = e4.Client.open(path)
    # end

    # task: give a key
    command = e4.Command.set_topic_key("plant/pressure", topic_key)
    protected = command.protect_for(key)
    # end
    assert isinstance(pump.unprotect(pump.control_topic, protected), e4.CommandApplied)

    # task: protect
    data = pump.protect("plant/pressure", b"4.2 bar")
    # end

    topic = "plant/pressure"
    # task: unprotect
    match pump.unprotect(topic, data):
        case e4.Message(plaintext):
            handle(plaintext)
        case e4.CommandApplied(opcode):
            print(opcode)
    # end
    assert heard == [b"4.2 bar"]

    # task: answer
    if (answer := pump.answer()) is not None:
        publish(pump.answer_topic, answer)
    # end

    # task: check an answer
    got = e4.open_answer(key, published[0])
    confirmed = got.command == e4.siv_of(protected) and got.status == 0
    # end
    assert confirmed

    # task: errors
    try:
        publish("unknown", pump.protect("unknown", b"4.2 bar"))
    except e4.TopicKeyMissingError:
        ask_for_key()
    except e4.E4Error as error:
        print(f"{error} ({error.number})")
    # end
    assert asked == ["unknown"]

    c2_key = e4.C2SecretKey.random().public()
    # task: key pair
    pair = e4.SigningKey.random()
    gauge = e4.Client.provision("gauge", pair, c2_key=c2_key)
    public_key = pair.public()
    # end
    assert gauge.public_key == public_key

    # task: password
    key = e4.IdKey.from_password("a password of some length")  # without the GIL
    # end
    assert key == e4.IdKey.from_password("a password of some length")
