"""Cosines and sines of rotary positions, as LlamaRotaryEmbedding of transformers computes them."""

import json

import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

SIZE = dict(
    vocab_size=96,
    hidden_size=64,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
)
# Each with the positions of one pass: the greatest decides what `dynamic` does.
SHORT, LONG = [0, 1, 5, 63], [0, 1, 5, 63, 64, 199]
LONGROPE = dict(
    rope_type="longrope",
    rope_theta=10000.0,
    original_max_position_embeddings=64,
    short_factor=[1.0, 1.0, 1.1, 1.2, 1.5, 2.0, 2.5, 3.0],
    long_factor=[1.0, 1.5, 2.0, 4.0, 8.0, 12.0, 20.0, 32.0],
)
CASES = {
    "default": (dict(rope_type="default", rope_theta=10000.0), LONG),
    "linear": (dict(rope_type="linear", rope_theta=10000.0, factor=4.0), LONG),
    "llama3": (
        dict(
            rope_type="llama3",
            rope_theta=500000.0,
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=32,
        ),
        LONG,
    ),
    "dynamic, within the original length": (dict(rope_type="dynamic", rope_theta=10000.0, factor=2.0), SHORT),
    "dynamic, beyond it": (dict(rope_type="dynamic", rope_theta=10000.0, factor=2.0), LONG),
    "dynamic, factor 1": (dict(rope_type="dynamic", rope_theta=1000000.0, factor=1.0), LONG),
    "yarn": (
        dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64),
        LONG,
    ),
    "yarn, original length outside": (dict(rope_type="yarn", rope_theta=1000000.0, factor=2.0), LONG),
    "yarn, other bounds": (
        dict(
            rope_type="yarn",
            rope_theta=10000.0,
            factor=8.0,
            original_max_position_embeddings=32,
            beta_fast=6.0,
            beta_slow=0.5,
            truncate=False,
        ),
        LONG,
    ),
    "yarn, attention factor": (
        dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, attention_factor=0.75),
        LONG,
    ),
    "longrope, within the original length": (LONGROPE, SHORT),
    "longrope, beyond it": (LONGROPE, LONG),
    "longrope, factor": (dict(LONGROPE, factor=6.0), LONG),
    "longrope, attention factor": (dict(LONGROPE, attention_factor=1.25), LONG),
    "yarn, mscale": (
        dict(rope_type="yarn", rope_theta=10000.0, factor=40.0, mscale=0.7, mscale_all_dim=1.3),
        LONG,
    ),
}


def make_rotary(root):
    found = {}
    for name, (rope, positions) in CASES.items():
        config = LlamaConfig(**SIZE, rope_parameters=rope)
        table = LlamaRotaryEmbedding(config)
        cos, sin = table(torch.zeros(1), torch.tensor([positions]))
        half = cos.shape[-1] // 2
        found[name] = {
            "config": {**SIZE, "model_type": "llama", "rope_parameters": rope},
            "positions": positions,
            "cos": [[float(f"{x:.9g}") for x in row] for row in cos[0, :, :half].tolist()],
            "sin": [[float(f"{x:.9g}") for x in row] for row in sin[0, :, :half].tolist()],
        }
    (root / "rotary.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")
    print(f"rotary: {len(found)} tables")
