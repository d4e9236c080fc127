"""What peft's add_weighted_adapter makes of three LoRA adapters: the logits of each combination.

python combinations.py      makes these fixtures alone
"""

import json
import shutil

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from bases import load_base
from batches import padded_batch
from lora import save_adapter
from methods import perturb
from tensors import save_tensors

FOLDER = "combinations"
BASE = "llama-gqa-untied"
# `two` changes other layers than `one`; `three` has another rank, and one of its own for a layer.
ADAPTERS = {
    "one": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
    "two": dict(r=4, lora_alpha=2, target_modules=["v_proj", "down_proj"]),
    "three": dict(r=6, lora_alpha=6, target_modules=["q_proj", "v_proj"], rank_pattern={"q_proj": 2}),
}
BOTH = (["one", "two"], [0.7, -0.4])
ALL = (["one", "two", "three"], [0.5, 0.8, 0.6])
PRUNED = dict(density=0.4)
CASES = {
    "svd": (*ALL, dict()),
    "svd-rank": (*ALL, dict(svd_rank=3)),
    "linear": (*BOTH, dict()),
    "alone": (["one"], [0.5], dict(combination_type="cat")),
    "cat": (*ALL, dict()),
    "ties": (*BOTH, PRUNED),
    "ties-frequency": (*BOTH, dict(PRUNED, combination_type="ties", majority_sign_method="frequency")),
    "ties_svd": (*ALL, PRUNED),
    "dare_linear": (*BOTH, PRUNED),
    "dare_ties": (*BOTH, PRUNED),
    "dare_linear_svd": (*ALL, PRUNED),
    "dare_ties_svd": (*ALL, dict(PRUNED, majority_sign_method="frequency")),
    "magnitude_prune": (*BOTH, PRUNED),
    "magnitude_prune_svd": (*ALL, PRUNED),
}
SEED = 5


def seeded(inject):
    """What is drawn at random after the new adapter was made is drawn from a seed."""

    def run(*arguments, **options):
        inject(*arguments, **options)
        torch.manual_seed(SEED)

    return run


def make_combinations(root):
    folder = root / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, (name, options) in enumerate(ADAPTERS.items()):
        torch.manual_seed(number)
        model = get_peft_model(load_base(root / BASE), LoraConfig(task_type="CAUSAL_LM", **options))
        perturb(model, 40 + number, 0.2)
        save_adapter(model, folder / name)
    input_ids = padded_batch(77)["input_ids"][:1]
    tensors, cases = {"input_ids": input_ids}, {}
    for name, (adapters, weights, options) in CASES.items():
        base = load_base(root / BASE)
        model = PeftModel.from_pretrained(base, folder / "one", adapter_name="one")
        for other in ("two", "three"):
            model.load_adapter(folder / other, adapter_name=other)
        model.base_model.inject_adapter = seeded(model.base_model.inject_adapter)
        options = {"combination_type": name.split("-")[0], **options}
        model.add_weighted_adapter(adapters, weights, "combined", **options)
        model.set_adapter("combined")
        with torch.no_grad():
            tensors[name] = model.eval()(input_ids).logits
        cases[name] = {"adapters": adapters, "weights": weights, "rank": model.peft_config["combined"].r, **options}
    save_tensors(folder / "expected.safetensors", tensors)
    (folder / "case.json").write_text(json.dumps({"base": BASE, "seed": SEED, "cases": cases}, indent=2) + "\n")


if __name__ == "__main__":
    from make_fixtures import FIXTURES, fix_environment

    fix_environment()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    make_combinations(FIXTURES)
