"""Tiny configs of the decoders that are neither of the Llama family nor GPT-2."""

from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPTNeoXConfig,
    OPTConfig,
    Phi3Config,
    Qwen3Config,
)

from batches import VOCABULARY

SIZE = dict(
    vocab_size=VOCABULARY,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=64,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
# Heads of 8, not of hidden / heads.
GROUPED = dict(SIZE, intermediate_size=24, num_key_value_heads=2, head_dim=8)
NEOX = dict(SIZE, num_attention_heads=2, intermediate_size=24)
OPT = dict(SIZE, ffn_dim=24, max_position_embeddings=40, dropout=0.0)
PHI3 = dict(
    SIZE,
    num_attention_heads=2,
    num_key_value_heads=1,
    intermediate_size=24,
    original_max_position_embeddings=64,
)

DECODERS = {
    "qwen3": Qwen3Config(**GROUPED, tie_word_embeddings=True),
    "qwen3-variant": Qwen3Config(
        **GROUPED, attention_bias=True, use_sliding_window=True, sliding_window=4, max_window_layers=1
    ),
    # 4 of 8 dimensions of each head are rotated.
    "gpt-neox": GPTNeoXConfig(**NEOX, rope_parameters=dict(rope_type="default", partial_rotary_factor=0.5)),
    "gpt-neox-variant": GPTNeoXConfig(
        **NEOX,
        use_parallel_residual=False,
        attention_bias=False,
        hidden_act="gelu_new",
        hidden_dropout=0.1,
        attention_dropout=0.1,
        tie_word_embeddings=True,
        rope_parameters=dict(rope_type="linear", rope_theta=500.0, partial_rotary_factor=0.75, factor=2.0),
    ),
    "opt": OPTConfig(**OPT),
    # As the model of 350 million: norms after the sub-layers, embeddings of a width of their own.
    "opt-variant": OPTConfig(
        **{**OPT, "dropout": 0.1},
        attention_dropout=0.1,
        do_layer_norm_before=False,
        word_embed_proj_dim=12,
        activation_function="gelu",
        enable_bias=False,
        tie_word_embeddings=False,
    ),
    "gemma": GemmaConfig(**GROUPED),
    # Caps that the scores and logits of such small models reach.
    "gemma2": Gemma2Config(
        **GROUPED, sliding_window=4, query_pre_attn_scalar=12, attn_logit_softcapping=1.5, final_logit_softcapping=4.0
    ),
    "gemma3": Gemma3TextConfig(
        **GROUPED,
        sliding_window=4,
        query_pre_attn_scalar=12,
        layer_types=["sliding_attention", "full_attention"],
        rope_parameters={
            "sliding_attention": dict(rope_type="default", rope_theta=100.0),
            "full_attention": dict(rope_type="linear", rope_theta=1000.0, factor=2.0),
        },
    ),
    "phi3": Phi3Config(**PHI3, sliding_window=5),
    # Batches and generated texts go beyond 8 positions, which changes a token; 6 of 8 dimensions of each head are rotated.
    "phi3-longrope": Phi3Config(
        **{**PHI3, "original_max_position_embeddings": 8},
        resid_pdrop=0.1,
        attention_dropout=0.1,
        tie_word_embeddings=True,
        rope_parameters=dict(
            rope_type="longrope",
            rope_theta=100.0,
            partial_rotary_factor=0.75,
            short_factor=[1.0, 1.1, 1.3],
            long_factor=[3.0, 6.0, 10.0],
        ),
    ),
}


def older_rope(config, rope):
    """The keys that transformers 4 has for `rope_parameters`, which differ between models."""
    if config["model_type"] == "gemma3_text":
        local, full = rope["sliding_attention"], rope["full_attention"]
        scaling = {key: value for key, value in full.items() if key != "rope_theta"}
        return dict(
            rope_local_base_freq=local["rope_theta"], rope_theta=full["rope_theta"], rope_scaling=scaling
        )
    names = ("rotary_emb_base", "rotary_pct") if config["model_type"] == "gpt_neox" else ("rope_theta", "partial_rotary_factor")
    scaling = dict(rope)
    older = {names[0]: scaling.pop("rope_theta")}
    if "partial_rotary_factor" in scaling:
        older[names[1]] = scaling.pop("partial_rotary_factor")
    scaling.pop("original_max_position_embeddings", None)
    return {**older, "rope_scaling": None if scaling["rope_type"] == "default" else scaling}
