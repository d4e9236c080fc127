"""Draws of numpy's default generator, by seed."""

import json

import numpy as np

SEEDS = (0, 42, 777, 2**32 + 5, 2**53 - 1)


def shuffled(generator, length):
    values = np.arange(length)
    generator.shuffle(values)
    return values


def cases():
    for seed in SEEDS:

        def drawn(draw):
            return np.asarray(draw(np.random.default_rng(seed))).tolist()

        yield {
            "seed": seed,
            "bits": drawn(lambda g: g.integers(0, 2**32, 9, dtype=np.uint32)),
            "up to a number": drawn(lambda g: g.integers(0, 3_000_000_000, 9, endpoint=True)),
            "shuffle": drawn(lambda g: shuffled(g, 100)),
            "few of few": drawn(lambda g: g.choice(256, 20, replace=False)),
            "all but one of few": drawn(lambda g: g.choice(30, 29, replace=False)),
            "few of many": drawn(lambda g: g.choice(20_000, 30, replace=False)),
            "many of many": drawn(lambda g: g.choice(12_000, 11_000, replace=False)[:30]),
            "a choice, then a shuffle": drawn(lambda g: [g.choice(10, 3, replace=False), shuffled(g, 20)][1]),
        }


def make_numpy_random(root):
    (root / "numpy-random.json").write_text(json.dumps(list(cases()), separators=(",", ":")) + "\n")
