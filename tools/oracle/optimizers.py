"""What torch's optimizers do with given gradients, and how peft groups parameters for LoRA+. All in float64."""

import json

import torch
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer

from bases import load_base

SHAPES = {"a": (3, 4), "b": (5,), "c": (2, 3)}
# As a warm-up and a fall would have it; no step's rate is that of another.
RATES = [0.0, 0.02, 0.1, 0.05, 0.03, 0.01]
CLIP_NORM = 2.5
ADAMW = dict(betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)
CASES = {
    "adamw": ("AdamW", ADAMW, {}),
    "adamw with torch's defaults": ("AdamW", {}, {}),
    "adamw without means": ("AdamW", dict(betas=(0.0, 0.0)), {}),
    "adamw with groups": ("AdamW", ADAMW, {"b": dict(factor=4.0, weight_decay=0.0), "c": dict(factor=0.5)}),
    "sgd": ("SGD", {}, {}),
    "sgd with weight decay": ("SGD", dict(weight_decay=0.1), {}),
    "sgd with momentum": ("SGD", dict(momentum=0.9), {}),
    "sgd with nesterov": ("SGD", dict(momentum=0.8, nesterov=True, weight_decay=0.05), {}),
    "sgd with groups": ("SGD", dict(momentum=0.9, weight_decay=0.1), {"a": dict(factor=3.0, weight_decay=0.0)}),
}


def numbers(tensor):
    return tensor.detach().flatten().tolist()


def random_values(generator):
    """float32 values as float64, so that the file holds them exactly."""
    return {
        name: torch.randn(shape, generator=generator, dtype=torch.float32).double() for name, shape in SHAPES.items()
    }


def run(kind, options, groups, start, gradients):
    parameters = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
    factors = [groups.get(name, {}).get("factor", 1.0) for name in parameters]
    own = [
        {"params": [parameter], **{k: v for k, v in groups.get(name, {}).items() if k != "factor"}}
        for name, parameter in parameters.items()
    ]
    optimizer = getattr(torch.optim, kind)(own, lr=1.0, **options)
    norms = []
    for rate, gradient in zip(RATES, gradients, strict=True):
        for name, parameter in parameters.items():
            parameter.grad = gradient[name].clone()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), CLIP_NORM).item())
        for group, factor in zip(optimizer.param_groups, factors, strict=True):
            group["lr"] = rate * factor
        optimizer.step()
    return norms, {name: numbers(parameter) for name, parameter in parameters.items()}


def loraplus_groups(root):
    """The group of each parameter, by name: biases, magnitudes, a trained head, A and B."""
    config = LoraConfig(r=4, target_modules=["q_proj", "o_proj"], use_dora=True, bias="all", modules_to_save=["lm_head"])
    model = get_peft_model(load_base(root / "llama-biases"), config)
    options = dict(lr=1e-3, loraplus_lr_ratio=16.0, loraplus_weight_decay=0.05)
    optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, **options)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = {
        names[id(parameter)]: {"lr": group["lr"], "weight_decay": group["weight_decay"], "rank": parameter.ndim}
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    return {"options": options, "groups": dict(sorted(groups.items()))}


def make_optimizers(root):
    generator = torch.Generator().manual_seed(700)
    start = random_values(generator)
    gradients = [random_values(generator) for _ in RATES]
    cases = []
    for name, (kind, options, groups) in CASES.items():
        norms, after = run(kind, options, groups, start, gradients)
        cases.append({"name": name, "kind": kind, "options": options, "groups": groups, "norms": norms, "after": after})
    facts = {
        "shapes": SHAPES,
        "rates": RATES,
        "clip_norm": CLIP_NORM,
        "start": {name: numbers(value) for name, value in start.items()},
        "gradients": [{name: numbers(value) for name, value in gradient.items()} for gradient in gradients],
        "cases": cases,
        "loraplus": loraplus_groups(root),
    }
    (root / "optimizers.json").write_text(json.dumps(facts, indent=1) + "\n")
