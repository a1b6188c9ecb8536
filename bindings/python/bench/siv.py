# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Time of a call beside AESSIV of the package cryptography, on the same payloads.

Both encrypt under AES-SIV with one associated string of 8 bytes. Interleaved; the lowest of the
rounds counts. ``protect`` makes the whole message: time, SIV, ciphertext. AESSIV is made once, and
the 8 bytes are made before the measurement.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESSIV

import e4

ROUNDS = 30


def lowest(calls: list[Callable[[], object]], count: int) -> list[float]:
    """Nanoseconds of a call, for each of the calls."""
    best = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        for at, call in enumerate(calls):
            start = time.perf_counter_ns()
            for _ in range(count):
                call()
            best[at] = min(best[at], (time.perf_counter_ns() - start) / count)
    return best


def main() -> None:
    raw = bytes(range(1, 33))
    key, now = e4.TopicKey(raw), 1_700_000_000
    stamp = now.to_bytes(8, "little")
    siv = AESSIV(raw + raw)
    id_key = e4.IdKey(raw)
    client = e4.Client.provision("bench", id_key)
    command = e4.Command.set_topic_key("a", key).protect_for(id_key, now=now)
    client.unprotect(client.control_topic, command, now=now)
    print("ns per call            e4              e4              e4")
    print("   bytes     AESSIV    siv_seal         TopicKey.protect Client.protect")
    for length in (16, 64, 256, 1024, 65_536):
        message = bytes(length)
        assert siv.encrypt(message, [stamp]) == key.protect(message, now=now)[8:]
        times = lowest(
            [
                lambda: siv.encrypt(message, [stamp]),
                lambda: e4.siv_seal(key, message, stamp),
                lambda: key.protect(message, now=now),
                lambda: client.protect("a", message, now=now),
            ],
            max(20, min(4000, 2_000_000 // (length + 200))),
        )
        ours = "  ".join(f"{each:9.0f} {times[0] / each:4.1f}x" for each in times[1:])
        print(f"{length:8} {times[0]:10.0f}  {ours}")


if __name__ == "__main__":
    main()
