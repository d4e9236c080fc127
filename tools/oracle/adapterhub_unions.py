"""What AdapterHub's `adapters` computes with unions of methods, MAM and UniPELT: logits, loss, gradients, files.

It needs the environment of adapterhub.py.

python adapterhub_unions.py      writes fixtures/adapterhub-unions/ anew
"""

import json
import shutil

import adapters
import torch
from adapters import LoRAConfig, ParBnConfig, PrefixTuningConfig, SeqBnConfig
from safetensors.torch import load_file, save_file

from adapterhub import FIXTURES, NAME, load_base
from batches import padded_batch

FOLDER = FIXTURES / "adapterhub-unions"
CASES = {
    "unipelt": (
        "llama-gqa-untied",
        adapters.UniPELTConfig(
            PrefixTuningConfig(prefix_length=3, bottleneck_size=4, shared_gating=False),
            SeqBnConfig(reduction_factor=8),
            LoRAConfig(r=2, alpha=2),
        ),
    ),
    "mam": (
        "gpt2",
        adapters.MAMConfig(PrefixTuningConfig(prefix_length=4, bottleneck_size=5), ParBnConfig(reduction_factor=8)),
    ),
    "flat": (
        "llama-gqa-untied",
        adapters.ConfigUnion(
            PrefixTuningConfig(prefix_length=3, flat=True, use_gating=True), LoRAConfig(r=2, attn_matrices=["k"])
        ),
    ),
}


def make_case(case, base, config, seed):
    folder = FOLDER / case
    (folder / "adapter").mkdir(parents=True)
    torch.manual_seed(seed)
    model = load_base(base)
    before = set(dict(model.named_parameters()))
    model.add_adapter(NAME, config=config)
    model.train_adapter(NAME)
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    trained = {name: p for name, p in model.named_parameters() if name not in before}
    with torch.no_grad():
        for parameter in trained.values():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    batch = padded_batch(seed, ignored=((0, 1, 2, 7), (0, 1)))
    output = model(**batch)
    output.loss.backward()
    tensors = {**batch, "logits": output.logits.detach(), "loss": output.loss.detach()}
    tensors |= {f"grad.{name}": parameter.grad.clone() for name, parameter in trained.items()}
    # A prefix has a name in every layer, so that AdapterHub does not save it as safetensors: here it has the first.
    model.save_adapter(folder / "adapter", NAME, use_safetensors=False)
    save_file({name: p.detach().clone() for name, p in trained.items()}, folder / "adapter" / "adapter.safetensors")
    for name in ("head_config.json", "pytorch_adapter.bin", "pytorch_model_head.bin"):
        (folder / "adapter" / name).unlink(missing_ok=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "expected.safetensors")
    (folder / "case.json").write_text(json.dumps({"base": base}, indent=2) + "\n")
    keys = {k: tuple(v.shape) for k, v in load_file(folder / "adapter" / "adapter.safetensors").items()}
    print(f"{case}: loss {output.loss.item():.4f}, {len(trained)} trained, {len(keys)} saved")
    return keys


if __name__ == "__main__":
    torch.set_num_threads(1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    for seed, (case, (base, config)) in enumerate(CASES.items(), start=980):
        make_case(case, base, config, seed)
