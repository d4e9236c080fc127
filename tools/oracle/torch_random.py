"""Draws of torch's CPU generator, by seed.

Normal draws of 16 and more numbers are those of its AVX2 kernel, which differ in last bits from those of its plain one.
"""

import json

import torch

SEEDS = (0, 42, 777, 2**31 - 1, 2**32 + 5)


def drawn(seed, draw):
    return draw(torch.Generator(device="cpu").manual_seed(seed)).tolist()


def cases():
    for seed in SEEDS:
        yield {
            "seed": seed,
            "rand": drawn(seed, lambda g: torch.rand(9, generator=g)),
            "uniform": drawn(seed, lambda g: torch.empty(9).uniform_(-0.3, 0.7, generator=g)),
            "few normal": drawn(seed, lambda g: torch.randn(7, generator=g)),
            "after an odd number": drawn(seed, lambda g: [torch.randn(3, generator=g), torch.randn(4, generator=g)][1]),
            "many normal": drawn(seed, lambda g: torch.randn(700, generator=g)),
            "few with a deviation": drawn(seed, lambda g: torch.normal(0.0, 3**-0.5, (5,), generator=g)),
            "many with a deviation": drawn(seed, lambda g: torch.normal(0.0, 3**-0.5, (20,), generator=g)),
            "randperm": drawn(seed, lambda g: torch.randperm(1000, generator=g)),
            "first of randperm": drawn(seed, lambda g: torch.randperm(300_000, generator=g)[:20]),
            "randint": drawn(seed, lambda g: torch.randint(-5, 900, (12,), generator=g)),
            "wide randint": drawn(seed, lambda g: torch.randint(0, 2**40, (6,), generator=g)),
            "bits after a while": drawn(seed, lambda g: [torch.rand(2000, generator=g), torch.rand(4, generator=g)][1]),
        }


def make_torch_random(root):
    (root / "torch-random.json").write_text(json.dumps(list(cases()), separators=(",", ":")) + "\n")
