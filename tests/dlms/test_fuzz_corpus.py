"""The corpus of `bench.fuzz_dlms`, and a short run of its mutations: nothing unexpected comes out.

A long run is `python -m bench.fuzz_dlms --runs 10000000`, or with atheris in its place.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from bench.fuzz_dlms import CORPUS, corpus, mutate
from bench.rig.dlms_targets import TARGETS, one_input


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_an_input_of_the_corpus_raises_nothing(path: Path) -> None:
    one_input(path.read_bytes())


def test_the_corpus_is_small_and_reaches_every_target() -> None:
    assert sum(map(len, corpus())) < 64_000
    assert {content[0] % len(TARGETS) for content in corpus()} == set(range(len(TARGETS)))


@pytest.mark.parametrize("seed", range(3))
def test_mutations_of_the_corpus_raise_nothing(seed: int) -> None:
    seeds, luck = corpus(), random.Random(seed)
    for _ in range(1500):
        one_input(mutate(seeds, luck))
