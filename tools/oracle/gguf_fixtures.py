"""Fixtures for GGUF files: made, and read for comparison, by the Python package gguf and by transformers.

    python tools/oracle/gguf_fixtures.py

Writes
  packages/io/checkpoint/test/fixtures/gguf/types.gguf          every dtype that is dequantized, every type of value
  packages/io/checkpoint/test/fixtures/gguf/types.safetensors   the same tensors as gguf dequantizes them, F32
  packages/io/checkpoint/test/fixtures/gguf/types.json          the metadata as gguf reads them
  packages/model/models/test/fixtures/*.gguf                    models of fixtures/ in llama.cpp's names and layout
  packages/model/models/test/fixtures/rope-factors.json         by how much transformers divides Llama 3's frequencies

The models are read back with transformers' own GGUF loader, whose logits must equal those of the folder: the whole model
where it knows all of the metadata, else its tensors in a model of the folder's config.
"""

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as T
from safetensors.numpy import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent / "fixtures"
CHECKPOINT = ROOT / "packages/io/checkpoint/test/fixtures/gguf"
MODELS = ROOT / "packages/model/models/test/fixtures"

# Where a block of each K-quant holds half-precision scales; gguf does not quantize these, so their blocks are random.
SCALES_AT = {T.Q2_K: (80, 82), T.Q3_K: (108,), T.Q4_K: (0, 2), T.Q5_K: (0, 2), T.Q6_K: (208,)}
QUANTIZED = [T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0]


def random_blocks(random, dtype, rows, blocks_a_row):
    """Random bytes with scales of many magnitudes and both signs, of which one is subnormal and one zero."""
    _, size = gguf.GGML_QUANT_SIZES[dtype]
    data = random.integers(0, 256, (rows * blocks_a_row, size), dtype=np.uint8)
    for at in SCALES_AT[dtype]:
        scales = (random.normal(size=len(data)) * 2.0 ** random.integers(-12, 3, len(data))).astype(np.float16)
        scales[:2] = [6e-7, 0]
        data[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return data.reshape(rows, -1)


def make_types():
    random = np.random.default_rng(5)
    CHECKPOINT.mkdir(parents=True, exist_ok=True)
    path = CHECKPOINT / "types.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(64)
    writer.add_uint8("value.u8", 200)
    writer.add_int8("value.i8", -100)
    writer.add_uint16("value.u16", 60000)
    writer.add_int16("value.i16", -30000)
    writer.add_uint32("value.u32", 4000000000)
    writer.add_int32("value.i32", -2000000000)
    writer.add_uint64("value.u64", 2**53 - 1)
    writer.add_int64("value.i64", -(2**53) + 1)
    writer.add_uint64("value.u64.wide", 2**64 - 1)
    writer.add_float32("value.f32", 0.1)
    writer.add_float64("value.f64", 0.1)
    writer.add_bool("value.true", True)
    writer.add_bool("value.false", False)
    writer.add_string("value.text", "tabs\t and \U0001f600 and ä")
    writer.add_string("value.nothing", "")
    writer.add_string("constructor", "a plain key")
    writer.add_array("array.texts", ["a", "", "Ġthe", "\u2581x"])
    writer.add_array("array.i32", [1, -2, 3])
    writer.add_array("array.f32", [0.5, -0.25])
    writer.add_array("array.flags", [True, False, True])
    writer.add_array("array.nested", [[1, 2], [3]])

    expected = {}

    def add(name, data, dtype, values):
        writer.add_tensor(name, data, raw_dtype=dtype)
        expected[name] = np.ascontiguousarray(values, dtype=np.float32)

    def weights(*shape):
        values = random.normal(size=shape) * 2.0 ** random.integers(-6, 2, (*shape[:-1], 1))
        return values.astype(np.float32)

    plain = weights(3, 5)
    add("f32", plain, T.F32, plain)
    half = weights(2, 3, 7).astype(np.float16)
    half.flat[:3] = [6e-8, -6.1e-5, 65504]
    add("f16", half, T.F16, half.astype(np.float32))
    brain = gguf.quantize(weights(2, 7), T.BF16)
    add("bf16", brain, T.BF16, gguf.dequantize(brain, T.BF16))
    scalar = weights(1)
    add("one", scalar, T.F32, scalar)
    for dtype in QUANTIZED:
        values = weights(3, 64)
        values[0, :32] = 0
        blocks = gguf.quantize(values, dtype)
        add(dtype.name.lower(), blocks, dtype, gguf.dequantize(blocks, dtype))
    for dtype in SCALES_AT:
        blocks = random_blocks(random, dtype, 3, 2)
        add(dtype.name.lower(), blocks, dtype, gguf.dequantize(blocks, dtype))
    writer.add_tensor("iq4_nl", np.zeros((1, 18), np.uint8), raw_dtype=T.IQ4_NL)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    save_file(expected, CHECKPOINT / "types.safetensors")
    reader = gguf.GGUFReader(path)
    metadata = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    tensors = {
        tensor.name: {
            "dtype": tensor.tensor_type.name,
            "shape": [int(size) for size in reversed(tensor.shape)],
            "byteOffset": int(tensor.data_offset),
            "byteLength": int(tensor.n_bytes),
        }
        for tensor in reader.tensors
    }
    text = json.dumps({"metadata": metadata, "tensors": tensors}, indent=1)
    (CHECKPOINT / "types.json").write_text(text + "\n")


def interleaved(weight, heads):
    """llama.cpp's order of the rows of q and k for the architecture llama: the halves of each head alternate."""
    return weight.reshape(heads, 2, -1, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


HEAD_NORMS = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
GEMMA2_NAMES = {
    **NAMES,
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
OTHERS = {
    "qwen3": "qwen3",
    "gpt2": "gpt2",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3": "gemma3",
    "phi3": "phi3",
    "phi3-longrope": "phi3",
}
NAMES_OF = {
    "qwen3": {**NAMES, **HEAD_NORMS},
    "gemma2": GEMMA2_NAMES,
    "gemma3": {**GEMMA2_NAMES, **HEAD_NORMS},
    "phi3": {**NAMES, "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"},
    "gpt2": {
        "transformer.wte": "token_embd",
        "transformer.wpe": "position_embd",
        "transformer.ln_f": "output_norm",
        "ln_1": "attn_norm",
        "ln_2": "ffn_norm",
        "attn.c_attn": "attn_qkv",
        "attn.c_proj": "attn_output",
        "mlp.c_fc": "ffn_up",
        "mlp.c_proj": "ffn_down",
    },
}


def gguf_name(name, names=NAMES):
    stem, kind = name.rsplit(".", 1)
    if stem in names:
        return f"{names[stem]}.{kind}"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{names[rest]}.{kind}"


def rope_factors(config):
    """What llama.cpp's conversion writes for the scaling of Llama 3: by how much each frequency is divided."""
    rope = config["rope_scaling"]
    size = config["head_dim"]
    frequencies = 1.0 / config["rope_theta"] ** (np.arange(0, size, 2, dtype=np.float64) / size)
    old = rope["original_max_position_embeddings"]
    factors = []
    for wave in 2 * np.pi / frequencies:
        if wave < old / rope["high_freq_factor"]:
            factors.append(1.0)
        elif wave > old / rope["low_freq_factor"]:
            factors.append(rope["factor"])
        else:
            smooth = (old / wave - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def make_rope_factors():
    """Of Llama 3.1, of Llama 3.2, and of one with few frequencies."""
    cases = []
    for factor, size, theta, old in [(8, 128, 5e5, 8192), (32, 64, 5e5, 8192), (16, 16, 1e4, 2048)]:
        rope = {"rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
        rope |= {"original_max_position_embeddings": old, "rope_theta": theta}
        config = LlamaConfig(head_dim=size, max_position_embeddings=old * factor, rope_parameters=rope)
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
        plain = 1.0 / theta ** (torch.arange(0, size, 2, dtype=torch.float32) / size)
        cases.append({"headDim": size, "theta": theta, "rope": rope, "factors": (plain / scaled).tolist()})
    (MODELS / "rope-factors.json").write_text(json.dumps(cases) + "\n")


def make_model(folder):
    base = HERE / folder
    config = json.loads((base / "config.transformers4.json").read_text())
    weights = load_file(base / "model.safetensors")
    arch = "qwen2" if config["model_type"] == "qwen2" else "llama"
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    path = MODELS / f"{folder}.gguf"
    writer = gguf.GGUFWriter(path, arch)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    if arch == "llama":
        writer.add_rope_dimension_count(head_dim)
    if config.get("head_dim"):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(scaling["factor"])
    if scaling.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", rope_factors({**config, "head_dim": head_dim}))
    if config.get("bos_token_id") is not None:
        writer.add_bos_token_id(config["bos_token_id"])
    if config.get("eos_token_id") is not None:
        writer.add_eos_token_id(config["eos_token_id"])
    for name, weight in weights.items():
        if arch == "llama" and ".q_proj." in name:
            weight = interleaved(weight, heads)
        if arch == "llama" and ".k_proj." in name:
            weight = interleaved(weight, kv_heads)
        writer.add_tensor(gguf_name(name), np.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def layout(arch, name, weight):
    """llama.cpp's layout of a weight: GPT-2's products are turned round, and Gemma's norms hold the 1 that is added."""
    if arch == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        return weight.T
    return weight + 1 if arch.startswith("gemma") and name.endswith("norm.weight") else weight


def add_metadata(writer, arch, config):
    """What llama.cpp's conversion writes of these architectures, beside the tokenizer."""
    if arch == "gpt2":
        writer.add_context_length(config["n_positions"])
        writer.add_embedding_length(config["n_embd"])
        writer.add_block_count(config["n_layer"])
        writer.add_feed_forward_length(config["n_inner"])
        writer.add_head_count(config["n_head"])
        writer.add_layer_norm_eps(config["layer_norm_epsilon"])
        return
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if arch != "phi3":
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if arch != "gemma":
        writer.add_rope_freq_base(config["rope_theta"])
    if arch in ("gemma2", "gemma3"):
        writer.add_sliding_window(config["sliding_window"])
        if config["attn_logit_softcapping"]:
            writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
            writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if arch == "gemma3":
        writer.add_rope_freq_base_swa(config["rope_local_base_freq"])
        writer.add_sliding_window_pattern(len(config["layer_types"]))
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(config["rope_scaling"]["factor"])
    if arch == "phi3":
        original = config["original_max_position_embeddings"]
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_dimension_count(int(config["partial_rotary_factor"] * head_dim))
        writer.add_sliding_window(config["sliding_window"] or 0)
        if config["rope_scaling"]:
            factor = config["max_position_embeddings"] / original
            writer.add_rope_scaling_attn_factors((1 + np.log(factor) / np.log(original)) ** 0.5)
            for length in ("long", "short"):
                factors = np.array(config["rope_scaling"][f"{length}_factor"], dtype=np.float32)
                writer.add_tensor(f"rope_factors_{length}.weight", factors)


def make_other(folder, arch):
    base = HERE / folder
    config = json.loads((base / "config.transformers4.json").read_text())
    path = MODELS / f"{folder}.gguf"
    writer = gguf.GGUFWriter(path, arch)
    add_metadata(writer, arch, config)
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    if config.get("pad_token_id") is not None:
        writer.add_pad_token_id(config["pad_token_id"])
    for name, weight in load_file(base / "model.safetensors").items():
        stored = layout(arch, name, weight)
        writer.add_tensor(gguf_name(name, NAMES_OF.get(arch, NAMES)), np.ascontiguousarray(stored))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def verify_tensors(folder, path):
    """The same logits with the tensors that transformers' loader finds; it reads less of the metadata than there is."""
    expected = load_file(HERE / folder / "expected.safetensors")
    config = AutoConfig.from_pretrained(HERE / folder)
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config)
    tensors = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=empty)["tensors"]
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, f"{folder}: {missing} {unexpected}"
    compare(folder, model, expected)


def compare(folder, model, expected):
    with torch.no_grad():
        mask = torch.from_numpy(expected["attention_mask"].astype(np.int64))
        ids = torch.from_numpy(expected["input_ids"].astype(np.int64))
        logits = model(input_ids=ids, attention_mask=mask).logits.numpy()
    kept = expected["attention_mask"] == 1
    largest = np.abs(logits - expected["logits"])[kept].max()
    assert largest < 1e-4, f"{folder}: logits differ by {largest}"
    print(f"{folder}: transformers reads the same model, largest difference of a logit {largest:.1e}")


def verify(folder, path):
    """The same logits by transformers' loader; it does not know frequency factors and linear scaling of GGUF."""
    expected = load_file(HERE / folder / "expected.safetensors")
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
    )
    compare(folder, model, expected)


def main():
    make_types()
    MODELS.mkdir(parents=True, exist_ok=True)
    for folder in ["llama-gqa-tied", "llama-gqa-untied", "qwen2"]:
        verify(folder, make_model(folder))
    for folder in ["llama3-rope", "llama-headdim"]:
        make_model(folder)
    for folder, arch in OTHERS.items():
        path = make_other(folder, arch)
        if arch != "gemma":  # which transformers does not read
            verify_tensors(folder, path)
    make_rope_factors()


if __name__ == "__main__":
    main()
