"""What AdapterHub's `adapters` computes with bottleneck adapters on the tiny bases: logits, loss, gradients, files.

It needs an environment of its own, since it pins an older transformers: see requirements-adapterhub.txt.

python adapterhub.py      writes fixtures/adapterhub/ anew
"""

import json
import shutil
from pathlib import Path

import adapters
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

from batches import padded_batch

FIXTURES = Path(__file__).parent / "fixtures"
NAME = "task"
CONFIGS = {"llama-gqa-untied": LlamaConfig, "gpt2": GPT2Config}
CASES = {
    "houlsby": adapters.DoubleSeqBnConfig(reduction_factor=4),
    "pfeiffer": adapters.SeqBnConfig(reduction_factor=8, leave_out=[0], non_linearity="gelu"),
    "parallel": adapters.ParBnConfig(reduction_factor=4, scaling="learned"),
    "norms": adapters.SeqBnConfig(
        reduction_factor={"0": 16, "default": 4},
        ln_after=True,
        use_gating=True,
        residual_before_ln=False,
        adapter_residual_before_ln=True,
        mh_adapter=True,
        scaling="channel",
        non_linearity="tanh",
    ),
    "alone": adapters.SeqBnConfig(original_ln_after=False, residual_before_ln=False, non_linearity="leakyrelu"),
}


def load_base(name):
    folder = FIXTURES / name
    config = CONFIGS[name].from_dict(json.loads((folder / "config.transformers4.json").read_text()))
    model = AutoModelForCausalLM.from_pretrained(folder, config=config, attn_implementation="eager").eval()
    model.config.name_or_path = name
    adapters.init(model)
    return model


def make_case(base, case, config, seed):
    folder = FIXTURES / "adapterhub" / f"{base}-{case}"
    shutil.rmtree(folder, ignore_errors=True)
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
            if f".adapters.{NAME}." in name:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
                trained[name] = parameter
    batch = padded_batch(seed, ignored=((0, 1, 2, 7), (0, 1)))
    output = model(**batch)
    output.loss.backward()
    tensors = {**batch, "logits": output.logits.detach(), "loss": output.loss.detach()}
    tensors |= {f"grad.{name}": parameter.grad.clone() for name, parameter in trained.items()}
    model.save_adapter(folder / "adapter", NAME, use_safetensors=True)
    for name in ("head_config.json", "model_head.safetensors"):
        (folder / "adapter" / name).unlink(missing_ok=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "expected.safetensors")
    (folder / "case.json").write_text(json.dumps({"base": base}, indent=2) + "\n")
    print(f"{folder.name}: loss {output.loss.item():.4f}, {sum(p.numel() for p in trained.values())} trained")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for seed, (base, case) in enumerate(((b, c) for b in CONFIGS for c in CASES), start=900):
        make_case(base, case, CASES[case], seed)
