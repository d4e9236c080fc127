"""Which modules peft chooses: target_modules and what narrows them, patterns of ranks, and shortened lists."""

import json
import re
import warnings

from peft import LoraConfig
from peft.tuners.tuners_utils import _ExcludedModule, _find_minimal_target_modules, check_target_module_exists
from peft.utils.other import get_pattern_key

ATTENTION = [f"self_attn.{name}_proj" for name in "qkvo"]
MLP = [f"mlp.{name}_proj" for name in ("gate", "up", "down")]
LAYERS = [f"model.layers.{i}" for i in (0, 1, 2, 10, 11)]
NAMES = [
    "model",
    "model.embed_tokens",
    *(f"{layer}.{part}" for layer in LAYERS for part in [*ATTENTION, *MLP, "self_attn", "mlp", "input_layernorm"]),
    *(f"model.layers.1.mlp.experts.{i}.w{j}" for i in (0, 1) for j in (1, 2)),
    "model.norm",
    "lm_head",
    "q_proj",
    "encoder.blocks.0.q_proj",
    "encoder.blocks.1.q_proj",
    "layers.0.q_proj",
    "my_q_proj",
]

SELECTIONS = [
    {"target_modules": ["q_proj", "v_proj"]},
    {"target_modules": ["self_attn.q_proj"]},
    {"target_modules": ["proj"]},
    {"target_modules": ["model.layers.1.mlp.up_proj", "lm_head"]},
    {"target_modules": [r".*q_proj"]},
    {"target_modules": "q_proj"},
    {"target_modules": r".*\.q_proj"},
    {"target_modules": r".*\.(q|v)_proj"},
    {"target_modules": r"model\.layers\.[01]\.self_attn\.[^o]_proj"},
    {"target_modules": r"model\.layers\.1\d\..*"},
    {"target_modules": r"(?P<a>.*)\.(?:up|down)_proj"},
    {"target_modules": r"(?i).*Q_PROJ"},
    {"target_modules": r"\Amodel\.layers\.\d{,1}\.mlp\.\w+\Z"},
    {"target_modules": r"model\.layers\.(?!0)\d+\.self_attn\.q_proj"},
    {"target_modules": r".*(?<=gate|down)_proj|lm_head"},
    {"target_modules": r"model\.layers\.(?P<n>\d)(?P=n)?\.mlp\.up_proj"},
    {"target_modules": r"lm_head|lm"},
    {"target_modules": r"[]a-z_]+"},
    {"target_modules": ["q_proj"], "exclude_modules": ["model.layers.0.self_attn.q_proj"]},
    {"target_modules": ["q_proj"], "exclude_modules": ["self_attn.q_proj"]},
    {"target_modules": ["q_proj", "v_proj"], "exclude_modules": r".*layers\.(0|10)\..*"},
    {"target_modules": r".*_proj", "exclude_modules": ["down_proj", "o_proj"]},
    {"target_modules": ["q_proj", "lm_head"], "modules_to_save": ["lm_head"]},
    {"target_modules": ["q_proj", "up_proj"], "modules_to_save": ["mlp"]},
    {"target_modules": r".*_proj", "modules_to_save": ["layers.1", "head"]},
    {"target_modules": ["q_proj"], "layers_to_transform": 1},
    {"target_modules": ["q_proj", "w1"], "layers_to_transform": [0, 1, 11]},
    {"target_modules": ["q_proj"], "layers_to_transform": []},
    {"target_modules": ["q_proj", "model.layers.0.mlp.up_proj"], "layers_to_transform": [2]},
    {"target_modules": ["q_proj"], "layers_to_transform": [0], "layers_pattern": "layers"},
    {"target_modules": ["q_proj"], "layers_to_transform": [0, 1], "layers_pattern": "blocks"},
    {"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": ["blocks", "layers"]},
    {"target_modules": ["w2"], "layers_to_transform": [1], "layers_pattern": ["experts"]},
    {"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": []},
]

PATTERNS = [
    ["q_proj"],
    [r"model\.layers\.0\..*"],
    [r".*\.1\.mlp\..*", "up_proj"],
    ["self_attn.q_proj", "q_proj"],
    [r"layers\.\d+\.mlp\.up_proj"],
    ["q_proj|k_proj"],
    [r"^model\.layers\.0\.self_attn\.q_proj"],
]

LISTS = [
    [f"{layer}.{part}" for layer in LAYERS for part in ATTENTION],
    [f"{layer}.{part}" for layer in LAYERS for part in [*ATTENTION, *MLP]],
    [f"{layer}.{part}" for layer in LAYERS[:2] for part in [*ATTENTION, *MLP]],
    [f"{layer}.self_attn.q_proj" for layer in LAYERS] + ["lm_head"],
]


def choose(selection):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = LoraConfig(**selection)
    found = {name: check_target_module_exists(config, name) for name in NAMES}
    excluded = [name for name, result in found.items() if isinstance(result, _ExcludedModule)]
    return {**selection, "chosen": [name for name, result in found.items() if result], "excluded": excluded}


def pattern(keys):
    matches = {name: get_pattern_key(keys, name) for name in NAMES}
    # peft gives the name itself back where no key matches.
    return {"keys": keys, "first": {n: k for n, k in matches.items() if re.match(rf"(.*\.)?({k})$", n) and k in keys}}


def shorten(targets):
    others = [name for name in NAMES if name not in targets]
    return {"targets": targets, "others": others, "shortest": sorted(_find_minimal_target_modules(targets, others))}


def make_target_matching(root):
    facts = {
        "names": NAMES,
        "selections": [choose(selection) for selection in SELECTIONS],
        "patterns": [pattern(keys) for keys in PATTERNS],
        "lists": [shorten(targets) for targets in LISTS],
    }
    (root / "target_matching.json").write_text(json.dumps(facts, indent=1) + "\n")
