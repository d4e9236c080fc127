"""What peft computes with any of its methods on the tiny bases: logits, loss, gradients, files.

Each tuner's package says in `oracle.json` what to make:

    { "config": "IA3Config", "cases": { "default": { "base": "llama-gqa-untied", "options": {} } } }

A case may also have a `config` of its own, `tasks` (of the two rows), `perturb` (how far trained values are moved, 0.1), `gradients: false`, and `merged: false` where
peft does not merge, or merges into what modules share.

BOFT's CUDA extension is replaced by boft_blocks.py.

python methods.py NAME...      makes the fixtures of these packages alone
"""

import json
import os
import shutil
import sys
from pathlib import Path

import peft
import torch

import boft_blocks
from bases import load_base
from batches import padded_batch
from lora import disk_gradients, load_adapter, save_adapter
from tensors import prefixed, save_tensors

boft_blocks.install()

PACKAGES = Path(__file__).parents[2] / "packages" / "tuners"
FOLDER = "methods"


def perturb(model, seed, deviation):
    """Moves what is trained away from where it starts, so that the adapter does something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(deviation * torch.randn(parameter.shape, generator=generator))


def make_case(bases, folder, config, case, seed):
    base = bases / case["base"]
    torch.manual_seed(seed)
    options = {"task_type": "CAUSAL_LM", **case.get("options", {})}
    model = peft.get_peft_model(load_base(base), getattr(peft, config)(**options)).eval()
    perturb(model, seed, case.get("perturb", 0.1))
    save_adapter(model, folder / "adapter")

    # What is saved counts: loaded anew.
    model = load_adapter(base, folder / "adapter")
    batch = padded_batch(seed, ignored=((0, 1, 2, 7), (0, 1)))
    with torch.no_grad():
        base_logits = load_base(base)(**batch).logits
    tasks = {"task_ids": torch.tensor(case["tasks"])} if "tasks" in case else {}
    output = model(**batch, **tasks)
    output.loss.backward()
    tensors = {**batch, **tasks, "base_logits": base_logits, "logits": output.logits.detach(), "loss": output.loss.detach()}
    if case.get("gradients", True):
        tensors |= prefixed("grad.", disk_gradients(model))
    if case.get("merged", True):
        with torch.no_grad():
            merged = load_adapter(base, folder / "adapter").merge_and_unload()
            tensors["merged_logits"] = merged(**batch).logits
    save_tensors(folder / "expected.safetensors", tensors)
    (folder / "case.json").write_text(json.dumps({"base": case["base"]}, indent=2) + "\n")
    moved = (tensors["logits"] - base_logits).abs().max().item()
    print(f"{folder.name}: loss {output.loss.item():.4f}, the adapter moves logits by up to {moved:.2f}")


def make_package(root, path):
    table = json.loads(path.read_text())
    name = path.parent.name
    for number, (case, options) in enumerate(table["cases"].items()):
        folder = root / FOLDER / f"{name}-{case}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make_case(root, folder, options.get("config", table["config"]), options, seed=700 + number)


def make_methods(root):
    for path in sorted(PACKAGES.glob("*/oracle.json")):
        make_package(root, path)


if __name__ == "__main__":
    from make_fixtures import FIXTURES, fix_environment

    fix_environment()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for wanted in sys.argv[1:]:
        make_package(FIXTURES, PACKAGES / wanted / "oracle.json")
