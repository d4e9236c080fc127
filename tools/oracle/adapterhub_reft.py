"""What AdapterHub's `adapters` computes with LoReFT, NoReFT and DiReFT: logits, loss, gradients, files.

It needs the environment of adapterhub.py.

python adapterhub_reft.py      writes fixtures/adapterhub-reft/ anew
"""

import json
import shutil

import adapters
import torch
from safetensors.torch import load_file, save_file

from adapterhub import FIXTURES, NAME, load_base
from batches import padded_batch

FOLDER = FIXTURES / "adapterhub-reft"
CASES = {
    "loreft": ("llama-gqa-untied", adapters.LoReftConfig(r=3, layers=[1], suffix_positions=2, dropout=0.0)),
    "loreft-tied": ("gpt2", adapters.LoReftConfig(r=2, tied_weights=True, suffix_positions=4, prefix_positions=6)),
    "noreft": ("gpt2", adapters.NoReftConfig(r=2, non_linearity="gelu")),
    "direft": ("llama-gqa-untied", adapters.DiReftConfig(r=2, prefix_positions=0, suffix_positions=3)),
}


def make_case(case, base, config, seed):
    folder = FOLDER / case
    (folder / "adapter").mkdir(parents=True)
    torch.manual_seed(seed)
    model = load_base(base)
    model.add_adapter(NAME, config=config)
    model.train_adapter(NAME)
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    trained = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if f".refts.{NAME}." in name:
                moved = 0.3 * torch.randn(parameter.shape, generator=generator)
                if name.endswith("original"):
                    # The diagonal holds signs, which are no parameters: nothing may move them.
                    moved.fill_diagonal_(0.0)
                    parameter.copy_(parameter.contiguous())
                parameter.add_(moved)
                trained[name] = parameter
    batch = padded_batch(seed, ignored=((0, 1, 2, 7), (0, 1)))
    output = model(**batch)
    output.loss.backward()
    tensors = {**batch, "logits": output.logits.detach(), "loss": output.loss.detach()}
    # Where there are no positions before or after, nothing reaches the parameters for them.
    tensors |= {f"grad.{n}": torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in trained.items()}
    model.save_adapter(folder / "adapter", NAME, use_safetensors=True)
    for name in ("head_config.json", "model_head.safetensors"):
        (folder / "adapter" / name).unlink(missing_ok=True)
    path = folder / "adapter" / "adapter_config.json"
    written = json.loads(path.read_text())
    # AdapterHub does not write this key, and takes it for true; it reads it where it is there.
    assert "subtract_projection" not in written["config"]
    if not config.subtract_projection:
        written["config"]["subtract_projection"] = False
        path.write_text(json.dumps(written, indent=2, sort_keys=True))
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "expected.safetensors")
    (folder / "case.json").write_text(json.dumps({"base": base}, indent=2) + "\n")
    keys = [(k, tuple(v.shape)) for k, v in load_file(folder / "adapter" / "adapter.safetensors").items()]
    print(f"{case}: loss {output.loss.item():.4f}", keys[:5])


if __name__ == "__main__":
    torch.set_num_threads(1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    for seed, (case, (base, config)) in enumerate(CASES.items(), start=970):
        make_case(case, base, config, seed)
