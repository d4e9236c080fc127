"""The tiny base models and what transformers computes with them."""

import copy
import json

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, GPT2Config, LlamaConfig, MistralConfig, Qwen2Config

from batches import VOCABULARY, left_padded_batch, padded_batch
from decoders import DECODERS, older_rope
from float64 import Float64Everywhere, assert_float64
from tensors import deviation, prefixed, save_tensors

SIZE = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    tie_word_embeddings=False,
)
# With head_dim 8 and theta 10000 the wavelengths are 6.3, 63, 628 and 6283 positions: below 16 kept, between
# 16 and 64 interpolated, above 64 divided by the factor, so all three branches of the rule are met.
LLAMA3_ROPE = dict(
    rope_type="llama3",
    rope_theta=10000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
# So many positions that no bucket of prompts divides them.
GPT2_SIZE = dict(
    vocab_size=VOCABULARY,
    n_positions=40,
    n_embd=24,
    n_layer=2,
    bos_token_id=1,
    eos_token_id=2,
)
# Batches and generated texts go beyond 8 positions.
DYNAMIC_ROPE = dict(rope_type="dynamic", rope_theta=10000.0, factor=4.0)
LINEAR_ROPE = dict(rope_type="linear", rope_theta=10000.0, factor=4.0)

BASES = {
    "llama-gqa-tied": LlamaConfig(**{**SIZE, "tie_word_embeddings": True}),
    "llama-gqa-untied": LlamaConfig(**SIZE),
    "llama3-rope": LlamaConfig(**SIZE, rope_parameters=LLAMA3_ROPE),
    "llama-headdim": LlamaConfig(**SIZE, head_dim=16),
    "mistral": MistralConfig(**SIZE, sliding_window=None),
    "mistral-window": MistralConfig(**SIZE, sliding_window=4),
    "qwen2": Qwen2Config(**{**SIZE, "tie_word_embeddings": True}),
    "llama-biases": LlamaConfig(**SIZE, attention_bias=True, mlp_bias=True, rope_parameters=LINEAR_ROPE),
    "qwen2-window": Qwen2Config(**SIZE, use_sliding_window=True, sliding_window=4, max_window_layers=1),
    "gpt2": GPT2Config(**GPT2_SIZE, n_head=4, n_inner=40, embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0),
    "gpt2-variant": GPT2Config(
        **GPT2_SIZE,
        n_head=3,
        n_inner=20,
        activation_function="relu",
        scale_attn_by_inverse_layer_idx=True,
        tie_word_embeddings=False,
    ),
    "llama-dynamic": LlamaConfig(**{**SIZE, "max_position_embeddings": 8}, rope_parameters=DYNAMIC_ROPE),
    **DECODERS,
}
GREEDY = ("llama-gqa-tied", "mistral-window", "qwen2", "qwen2-window", "gpt2", "gpt2-variant", "llama-dynamic", *DECODERS)
BASE_GRADIENTS = ("llama-gqa-tied", "qwen2", "llama-biases", "gpt2", *DECODERS)
LEFT_PADDED = ("gpt2", *DECODERS)
NEW_TOKENS = 16


def load_base(folder):
    """The base model in float32 with eager attention."""
    is_seq2seq = json.loads((folder / "config.json").read_text()).get("is_encoder_decoder", False)
    kind = AutoModelForSeq2SeqLM if is_seq2seq else AutoModelForCausalLM
    model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    model.name_or_path = folder.name
    return model


def widen_base(source):
    """The same model in float64. Must be called inside Float64Everywhere, with a source loaded outside it."""
    config = copy.deepcopy(source.config)
    config.dtype = torch.float64
    model = type(source)._from_config(config, attn_implementation="eager").eval()
    inputs, head = source.get_input_embeddings(), source.get_output_embeddings()
    if head.weight is not inputs.weight:
        # T5's config says the same of a head of its own and of a tied one.
        model.get_output_embeddings().weight = torch.nn.Parameter(torch.empty_like(head.weight, dtype=torch.float64))
    model = model.double()
    model.load_state_dict({key: value.double() for key, value in source.state_dict().items()})
    model.name_or_path = source.name_or_path
    assert_float64(model)
    return model


def older_config(folder):
    """config.json as transformers 4 spells it: rope_theta and rope_scaling, torch_dtype."""
    config = json.loads((folder / "config.json").read_text())
    if "rope_parameters" in config:
        rope = config.pop("rope_parameters")
        if folder.name in DECODERS:
            config |= older_rope(config, rope)
        else:
            config["rope_theta"] = rope.pop("rope_theta")
            config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    return config


def randomise(model, seed):
    """Weights wide enough that logits, attention and gradients are far from uniform and from zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = ("norm" in name.lower() or ".ln_" in name) and name.endswith("weight")
            # Gemma's norms add 1 to their weight.
            centre = 1.0 if scale and not model.config.model_type.startswith("gemma") else 0.0
            parameter.normal_(centre, 0.2, generator=generator)


def gradients(model, batch):
    model.zero_grad()
    model(**batch).loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def generate(model, prompt):
    """Greedy tokens, ignoring the end token, and the smallest gap between the two best logits of a step."""
    output = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        eos_token_id=None,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    best = torch.stack(output.logits).topk(2, dim=-1).values
    return output.sequences, (best[..., 0] - best[..., 1]).min()


def make_base(root, name, seed):
    folder = root / name
    model = AutoModelForCausalLM.from_config(BASES[name], attn_implementation="eager", dtype=torch.float32)
    randomise(model, seed)
    model.save_pretrained(folder)

    batch = padded_batch(seed)
    model = load_base(folder)
    with torch.no_grad():
        output = model(**batch, output_hidden_states=True)
    with Float64Everywhere(), torch.no_grad():
        output64 = widen_base(model)(**batch)

    config = older_config(folder)
    (folder / "config.transformers4.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    with torch.no_grad():
        older = AutoModelForCausalLM.from_config(
            type(model.config).from_dict(config), attn_implementation="eager", dtype=torch.float32
        ).eval()
        older.load_state_dict(model.state_dict())
        if not torch.equal(older(**batch).logits, output.logits):
            raise AssertionError(f"{name}: config.transformers4.json gives other logits than config.json")

    tensors = {
        **batch,
        "logits": output.logits,
        "loss": output.loss,
        "logits64": output64.logits,
        "loss64": output64.loss,
        **prefixed("hidden_states.", {str(i): state for i, state in enumerate(output.hidden_states)}),
    }
    if name in GREEDY:
        prompt = batch["input_ids"][:1, :5]
        sequence, margin = generate(model, prompt)
        with Float64Everywhere():
            sequence64, _ = generate(widen_base(model), prompt)
        if not torch.equal(sequence, sequence64):
            raise AssertionError(f"{name}: greedy tokens differ between float32 and float64; choose another seed")
        tensors |= {"greedy.input_ids": prompt, "greedy.output_ids": sequence, "greedy.margin": margin}
    if name in LEFT_PADDED:
        left = left_padded_batch(seed)
        with torch.no_grad():
            tensors |= prefixed("left.", {**left, "logits": model(**left).logits})
    if name in BASE_GRADIENTS:
        tensors |= prefixed("grad.", gradients(model, batch))
        with Float64Everywhere():
            reference = gradients(widen_base(model), batch)
        worst = max(deviation(tensors[f"grad.{key}"], value) for key, value in reference.items())
        print(f"{name}: gradients of all weights float32 against float64 {worst:.1e}")
    save_tensors(folder / "expected.safetensors", tensors)
    print(
        f"{name}: loss {output.loss.item():.4f}, logits float32 against float64 "
        f"{deviation(output.logits, output64.logits):.1e}"
        + (f", greedy margin {margin.item():.2f}" if name in GREEDY else "")
    )


def make_bases(root):
    for seed, name in enumerate(BASES, start=100):
        make_base(root, name, seed)
