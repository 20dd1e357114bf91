"""Throws bytes at everything of `gridtokenx_dlms` that a peer's bytes reach.

    python -m bench.fuzz_dlms --runs 100000                  mutations of the corpus
    .venv-fuzz/bin/python -m bench.fuzz_dlms --atheris DIR   guided by coverage

For atheris: `python3 -m venv .venv-fuzz` and in it `pip install atheris==3.0.0 msgspec
cryptography`; run it with `PYTHONPATH=dlms:.` and a folder for what it finds.

Only exceptions of the library's own tree may come out; anything else ends the run and leaves the
input in a file. The first byte of an input chooses the target.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import time
from pathlib import Path

CORPUS = Path(__file__).parent.parent / "tests" / "dlms" / "corpus"


def corpus() -> list[bytes]:
    return [path.read_bytes() for path in sorted(CORPUS.iterdir())]


def mutate(seeds: list[bytes], luck: random.Random) -> bytes:
    """Return one of the corpus with a few changes, or two of them joined."""
    content = bytearray(luck.choice(seeds))
    for _ in range(luck.choice((1, 1, 2, 4, 8))):
        at = luck.randrange(len(content) + 1)
        match luck.randrange(6):
            case 0:
                content[at : at + 1] = luck.randbytes(1)
            case 1:
                del content[at : at + luck.randrange(8)]
            case 2:
                content[at:at] = luck.randbytes(luck.randrange(1, 9))
            case 3 if at < len(content):
                content[at] ^= 1 << luck.randrange(8)
            case 4:
                content[at:at] = bytes((luck.choice((0, 1, 2, 0x7E, 0x7F, 0x80, 0xFF)),))
            case _:
                other = luck.choice(seeds)
                content[at:] = other[luck.randrange(len(other) + 1) :]
    content[:1] = bytes((content[0] if content else luck.randrange(256),))
    return bytes(content[:600])


def random_runs(runs: int, seed: int) -> None:
    one_input = importlib.import_module("bench.rig.dlms_targets").one_input
    seeds, luck = corpus(), random.Random(seed)
    started_s = time.monotonic()
    for number in range(1, runs + 1):
        content = mutate(seeds, luck)
        try:
            one_input(content)
        except BaseException:
            Path(f"crash-{seed}-{number}").write_bytes(content)
            raise
        if number % 500_000 == 0 or number == runs:
            print(f"{number} inputs, {number / (time.monotonic() - started_s):.0f} a second")


def guided_runs(options: list[str]) -> None:
    atheris = importlib.import_module("atheris")  # only there in an environment of its own
    with atheris.instrument_imports(include=["gridtokenx_dlms"]):
        one_input = importlib.import_module("bench.rig.dlms_targets").one_input
    atheris.Setup([sys.argv[0], *options], one_input)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--atheris", action="store_true", help="other options are libFuzzer's")
    known, rest = parser.parse_known_args()
    if known.atheris:
        guided_runs([*rest, f"-runs={known.runs}", f"-seed={known.seed}"])
    else:
        random_runs(known.runs, known.seed)


if __name__ == "__main__":
    main()
