"""What AdapterHub's `adapters` computes with several adapters together: compositions of bottleneck adapters and of LoRA,
and AdapterFusion with its gradients and files.

It needs the environment of adapterhub.py.

python adapterhub_compositions.py      writes fixtures/adapterhub-compositions/ anew
"""

import shutil

import adapters
import torch
from adapters.composition import Average, BatchSplit, Fuse, Parallel, Stack
from safetensors.torch import save_file

from adapterhub import FIXTURES, load_base
from batches import padded_batch

NAMES = ("one", "two", "three")
# Which fusions on which base: they are the larger part of the fixtures.
WHERE = {"llama-gqa-untied": ("static",), "gpt2": ("dynamic", "before")}
FOLDER = FIXTURES / "adapterhub-compositions"
# AdapterHub divides a weighted sum by the number of its terms once more; these weights take that back.
COMPOSITIONS = {
    "stack": Stack("one", "two"),
    "average": Average("one", "two", weights=[1.5, 0.5], normalize_weights=False),
    "batch-split": BatchSplit("one", "two", batch_sizes=[1, 1]),
    "parallel": Parallel("one", "two"),
    "stack-in-split": BatchSplit(Stack("one", "two"), "three", batch_sizes=[1, 1]),
    "average-in-parallel": Parallel(Average("one", "three", weights=[1.0, 1.0], normalize_weights=False), "two"),
    "split-in-stack": Stack("three", BatchSplit("one", "two", batch_sizes=[1, 1])),
}
FUSIONS = {
    "dynamic": ("one,two,three", adapters.DynamicAdapterFusionConfig()),
    "static": ("one,two", adapters.StaticAdapterFusionConfig(query_before_ln=True)),
    "before": ("two,three", adapters.DynamicAdapterFusionConfig(residual_before=True, key=False)),
}
# A LoRA after another acts on what the first added, in AdapterHub; in PEFT and here, on the layer's input.
LORA = ("average", "batch-split", "parallel")


def clean(folder):
    for name in ("head_config.json", "model_head.safetensors"):
        (folder / name).unlink(missing_ok=True)


def moved(model, seed, contains):
    """Moves parameters away from where they start."""
    generator = torch.Generator().manual_seed(seed)
    found = {name: p for name, p in model.named_parameters() if contains(name)}
    with torch.no_grad():
        for parameter in found.values():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return found


def logits(model, composition, batch):
    model.set_active_adapters(composition)
    with torch.no_grad():
        return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits


def make_compositions(base, seed):
    folder = FOLDER / base
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    model = load_base(base)
    for name in NAMES:
        model.add_adapter(name, config=adapters.DoubleSeqBnConfig(reduction_factor=8, mh_adapter=False))
    moved(model, seed, lambda name: ".adapters." in name)
    model.eval()
    batch = padded_batch(seed, ignored=((0, 1, 2, 7), (0, 1)))
    tensors = dict(batch)
    for name, composition in COMPOSITIONS.items():
        tensors[f"logits.{name}"] = logits(model, composition, batch)
    for name in NAMES:
        model.save_adapter(folder / name, name, use_safetensors=True)
        clean(folder / name)
    for kind, (names, config) in FUSIONS.items():
        if kind not in WHERE[base]:
            continue
        setup = Fuse(*names.split(","))
        model.add_adapter_fusion(setup, config)
        fusion = moved(model, seed, lambda name: f".adapter_fusion_layer.{names}." in name)
        model.train_adapter_fusion(setup)
        model.eval()
        model.zero_grad()
        output = model(**batch)
        output.loss.backward()
        tensors[f"logits.{kind}"] = output.logits.detach()
        tensors |= {f"grad.{kind}.{name}": p.grad.clone() for name, p in fusion.items()}
        if config["value"]:
            tensors[f"regularization.{kind}"] = model.get_fusion_regularization_loss().detach()
        model.save_adapter_fusion(folder / kind, setup, use_safetensors=True)
        clean(folder / kind)
        model.delete_adapter_fusion(setup)
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "expected.safetensors")
    print(f"{base}: {sorted(tensors)[:4]} …")


def make_lora(base, seed):
    folder = FOLDER / f"{base}-lora"
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    model = load_base(base)
    for name in NAMES:
        model.add_adapter(name, config=adapters.LoRAConfig(r=2, alpha=4))
    loras = moved(model, seed, lambda name: ".lora_" in name)
    model.eval()
    batch = padded_batch(seed, ignored=((0, 1, 2, 7), (0, 1)))
    tensors = {**batch, **{name: p.detach() for name, p in loras.items()}}
    for name in LORA:
        tensors[f"logits.{name}"] = logits(model, COMPOSITIONS[name], batch)
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "expected.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    for seed, base in enumerate(WHERE, start=950):
        make_compositions(base, seed)
    make_lora("llama-gqa-untied", 960)
