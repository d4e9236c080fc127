"""What bitsandbytes makes of weights, and what transformers and peft compute with LoRA on the weights that it gives back.

Double quantization goes through its plain implementation, which takes the nearest code: the CPU library's table misses
it for about one in 1,000. `quantize_blockwise` chooses by dtype; float64 has no CPU kernel.
"""

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import save_file

from batches import padded_batch
from lora import load_adapter, run
from tensors import prefixed, save_tensors

# base, adapter; GPT-2's layers are quantized as [out, in], as transformers does
MODELS = {"llama-gqa-untied": "lora-llama-gqa-untied-all-linear", "gpt2": "lora-gpt2-all-linear"}


def nested(absmax):
    offset = absmax.mean()
    code = bnb.create_dynamic_map()
    codes, factors = torch.ops.bitsandbytes.quantize_blockwise.default((absmax - offset).double(), code, 256)
    return {"offset": offset, "codes": codes, "factors": factors, "table": code}


def four_bits(weight, kind, blocksize=64):
    """Codes as bytes, factors, and the same with nested factors, with the weights that both mean."""
    codes, state = bnb.quantize_4bit(weight, blocksize=blocksize, quant_type=kind, compress_statistics=False)
    absmax, plain = state.absmax, bnb.dequantize_4bit(codes, state)
    double = nested(absmax)
    factors = double["factors"].repeat_interleave(256)[: len(absmax)]
    state.absmax = double["table"][double["codes"].long()] * factors + double["offset"]
    return {
        "codes": codes.flatten(),
        "absmax": absmax,
        "weight": plain,
        "nested_weight": bnb.dequantize_4bit(codes, state),
        **prefixed("nested_", double),
    }


def weights():
    generator = torch.Generator().manual_seed(5)
    made = {
        # more than 256 blocks
        "large": (torch.randn(132, 128, generator=generator) * torch.linspace(0.02, 2, 132)[:, None]).half().float(),
        "ragged": torch.randn(7, 45, generator=generator),
        "odd": torch.randn(3, 23, generator=generator).half().float(),
    }
    made["zeros"] = torch.zeros(4, 64)
    made["zeros"][1] = 1.0
    return made


def make_quantization(root):
    folder = root / "quantization"
    folder.mkdir()
    tensors = {}
    for name, weight in weights().items():
        tensors[f"{name}.weight"] = weight.half() if name == "large" else weight
        for kind in ("nf4", "fp4"):
            tensors |= prefixed(f"{name}.{kind}.", four_bits(weight, kind))
        if weight.abs().amax(1).min() > 0:
            codes, factors, _ = bnb.int8_vectorwise_quant(weight)
            tensors |= prefixed(
                f"{name}.int8.",
                {"codes": codes, "factors": factors, "weight": bnb.int8_vectorwise_dequant(codes, factors)},
            )
    # of the large one the parts, whose meaning the small ones show
    kept = {key: value for key, value in tensors.items() if key == "large.weight" or not ("large." in key and "weight" in key)}
    kept = {key: value.reshape(-1) if value.dim() == 0 else value.contiguous() for key, value in kept.items()}
    save_file(kept, folder / "weights.safetensors")
    for base, adapter in MODELS.items():
        model = load_adapter(root / base, root / adapter / "adapter_start")
        with torch.no_grad():
            for name, module in model.named_modules():
                # what LoRA wraps is every linear layer but the head
                if not hasattr(module, "base_layer"):
                    continue
                weight = module.base_layer.weight
                matrix = weight.T if type(module.base_layer).__name__ == "Conv1D" else weight
                quantized = four_bits(matrix.contiguous(), "nf4")["nested_weight"]
                weight.copy_(quantized.T if matrix is not weight else quantized)
        batch = padded_batch(600)
        logits, loss, gradients = run(model, batch)
        save_tensors(
            folder / f"{base}.safetensors",
            {"logits": logits, "loss": loss, **batch, **prefixed("gradient.", gradients)},
        )
