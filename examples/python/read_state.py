# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Says what a state file holds, and turns one of e4go or libe4 into one of ours.

    python read_state.py pump.e4state
    python read_state.py old.json --into pump.e4state
"""

import argparse
from pathlib import Path

import e4


def read(path: Path, into: Path | None) -> e4.Client:
    data = path.read_bytes()
    if data.startswith(b"e4state"):
        return e4.Client.open(path)
    if data.startswith((b"E41P", b"E42P")):
        return e4.Client.import_libe4(data, storage=into)
    return e4.Client.import_e4go(data, storage=into)


def main() -> None:
    parser = argparse.ArgumentParser(description="Reads the state of a client.")
    parser.add_argument("state", type=Path)
    parser.add_argument("--into", type=Path, metavar="FILE", help="keep an imported client here")
    arguments = parser.parse_args()
    with read(arguments.state, arguments.into) as client:
        mode = "symmetric key" if client.mode == e4.Mode.SYMMETRIC else "public key"
        print(f"client        {client.id}")
        print(f"mode          {mode}")
        print(f"topic keys    {client.topic_count}")
        print(f"public keys   {client.peer_count}")
        print(f"control topic {client.control_topic}")
        print(f"digest        {client.digest().hex()}")


if __name__ == "__main__":
    main()
