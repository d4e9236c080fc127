"""What AdapterHub's `adapters` computes with bottleneck adapters on the tiny bases: logits, loss, gradients, files.

It needs an environment of its own, since it pins an older transformers: see requirements-adapterhub.txt.

python adapterhub.py      writes fixtures/adapterhub/ and fixtures/activations.json anew
"""

import json
import shutil
from pathlib import Path

import adapters
import torch
from adapters.methods.modeling import Activation_Function_Class
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig
from transformers.activations import ACT2FN

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
# Later ones have later seeds, so that the others' stay.
LATER_CASES = {
    "compacter": adapters.CompacterConfig(reduction_factor=2),
    "compacter-shared": adapters.CompacterPlusPlusConfig(
        reduction_factor=2, phm_rank=2, shared_W_phm=True, factorized_phm_rule=True, non_linearity="mish"
    ),
    "compacter-own": adapters.CompacterPlusPlusConfig(
        reduction_factor=2,
        phm_dim=2,
        factorized_phm_W=False,
        shared_phm_rule=False,
        phm_bias=False,
        non_linearity="laplace",
    ),
    "norm-before": adapters.SeqBnConfig(reduction_factor=4, ln_before=True, non_linearity="prelu"),
    "invertible": adapters.SeqBnInvConfig(reduction_factor=4, non_linearity="quick_gelu"),
}
# Modules of an adapter whose parameters have its name.
HOLDERS = ("adapters", "shared_parameters", "invertible_adapters")


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
    if "invertible" in case:
        # AdapterHub does so in its own heads and for models that it knows by their interface.
        base_model = model.base_model
        model.get_output_embeddings().register_forward_pre_hook(
            lambda _, inputs: (base_model.invertible_adapters_forward(inputs[0], rev=True),)
        )
    generator = torch.Generator().manual_seed(seed)
    trained = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(f".{holder}.{NAME}." in name for holder in HOLDERS):
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
                trained[name] = parameter
    batch = padded_batch(seed, ignored=((0, 1, 2, 7), (0, 1)))
    output = model(**batch)
    output.loss.backward()
    tensors = {**batch, "logits": output.logits.detach(), "loss": output.loss.detach()}
    tensors |= {f"grad.{name}": parameter.grad.clone() for name, parameter in trained.items()}
    # What it has under two names (a norm before, the slope of prelu) it does not save as safetensors.
    twice = case == "norm-before"
    model.save_adapter(folder / "adapter", NAME, use_safetensors=not twice)
    if twice:
        save_file(trained, folder / "adapter" / "adapter.safetensors")
    for name in ("head_config.json", "model_head.safetensors", "pytorch_adapter.bin", "pytorch_model_head.bin"):
        (folder / "adapter" / name).unlink(missing_ok=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "expected.safetensors")
    (folder / "case.json").write_text(json.dumps({"base": base}, indent=2) + "\n")
    print(f"{folder.name}: loss {output.loss.item():.4f}, {sum(p.numel() for p in trained.values())} trained")


def make_activations():
    """What every non-linearity without parameters makes of a few numbers."""
    x = torch.tensor([-12.0, -4.0, -2.5, -1.0, -0.3, 0.0, 0.2, 0.7, 1.0, 2.5, 5.0, 6.5, 12.0], dtype=torch.float64)
    names = sorted(set(ACT2FN) - {"prelu", "xielu"}) + ["leakyrelu"]
    y = {name: Activation_Function_Class(name)(x).tolist() for name in names}
    (FIXTURES / "activations.json").write_text(json.dumps({"x": x.tolist(), "y": y}, indent=1) + "\n")


if __name__ == "__main__":
    make_activations()
    torch.set_num_threads(1)
    cases = [(b, c, config) for table in (CASES, LATER_CASES) for b in CONFIGS for c, config in table.items()]
    for seed, (base, case, config) in enumerate(cases, start=900):
        make_case(base, case, config, seed)
