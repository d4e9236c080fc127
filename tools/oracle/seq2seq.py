"""The tiny encoder-decoders and what transformers computes with them.

python seq2seq.py      makes these fixtures alone
"""

import json

import torch
from transformers import AutoModelForSeq2SeqLM, T5Config
from transformers.models.t5.modeling_t5 import T5Attention

from bases import NEW_TOKENS, gradients, load_base, randomise, widen_base
from batches import VOCABULARY, padded_batch
from float64 import Float64Everywhere
from tensors import deviation, prefixed, save_tensors

SIZE = dict(vocab_size=VOCABULARY, d_model=16, d_ff=24, num_layers=2, num_heads=4, decoder_start_token_id=0)
# So few buckets that the texts of the batches reach all of them.
BUCKETS = dict(relative_attention_num_buckets=8, relative_attention_max_distance=10)

MODELS = {
    "t5": T5Config(**SIZE, d_kv=5, dropout_rate=0.0),
    "t5-gated-untied": T5Config(
        **SIZE, **BUCKETS, d_kv=8, num_decoder_layers=1, feed_forward_proj="gated-gelu", tie_word_embeddings=False
    ),
    "t5-gated-tied": T5Config(
        **{**SIZE, "decoder_start_token_id": 5}, d_kv=4, dropout_rate=0.0, feed_forward_proj="gated-gelu"
    ),
}
SEEDS = {"t5": 140, "t5-gated-untied": 140, "t5-gated-tied": 141}
GREEDY_SOURCES = (12, 5)


def seq2seq_batch(seed):
    """Sources of 12 and 9 tokens, and labels of 7 and 5, some of them ignored."""
    batch = padded_batch(seed, ignored=((), ()))
    target = padded_batch(seed + 50, lengths=(7, 5), ignored=((2,), (0,)))
    return {**batch, "labels": target["labels"]}


def generate(model, source):
    """Greedy tokens, ignoring the end token, and the smallest gap between the two best logits of a step."""
    output = model.generate(
        input_ids=source,
        attention_mask=torch.ones_like(source),
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        eos_token_id=None,
        output_logits=True,
        return_dict_in_generate=True,
    )
    best = torch.stack(output.logits).topk(2, dim=-1).values
    return output.sequences[:, 1:], (best[..., 0] - best[..., 1]).min()


@torch.no_grad()
def generate_anew(model, source, count):
    """Greedy tokens, everything computed anew for each."""
    said = torch.full((1, 1), model.config.decoder_start_token_id)
    for _ in range(count):
        logits = model(input_ids=source, decoder_input_ids=said).logits
        said = torch.cat((said, logits[:, -1:].argmax(-1)), dim=1)
    return said[:, 1:]


def make_model(root, name, seed):
    folder = root / name
    config = MODELS[name]
    model = AutoModelForSeq2SeqLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    if not config.scale_decoder_outputs:
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    randomise(model, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in (p for n, p in model.named_parameters() if "relative_attention_bias" in n):
            parameter.normal_(0.0, 1.0, generator=generator)
    model.save_pretrained(folder)

    batch = seq2seq_batch(seed)
    model = load_base(folder)
    with torch.no_grad():
        output = model(**batch)
    tensors = {
        **batch,
        "logits": output.logits,
        "loss": output.loss,
        "encoder_states": output.encoder_last_hidden_state,
        **prefixed("grad.", gradients(model, batch)),
    }
    with Float64Everywhere():
        wide = widen_base(model)
        with torch.no_grad():
            output64 = wide(**batch)
        reference = gradients(wide, batch)
    worst = max(deviation(tensors[f"grad.{key}"], value) for key, value in reference.items())
    margins = []
    for length in GREEDY_SOURCES:
        source = batch["input_ids"][:1, :length]
        made, margin = generate(model, source)
        with Float64Everywhere():
            made64, _ = generate(widen_base(model), source)
        if not torch.equal(made, made64) or margin < 1e-3:
            raise AssertionError(f"{name}: greedy tokens {made}, {made64}, margin {margin}; choose another seed")
        tensors |= {f"greedy.{length}.input_ids": source, f"greedy.{length}.new_ids": made}
        margins.append(margin.item())
    save_tensors(folder / "expected.safetensors", tensors)
    print(
        f"{name}: loss {output.loss.item():.4f}; float32 against float64: logits "
        f"{deviation(output.logits, output64.logits):.1e}, gradients {worst:.1e}; greedy margins "
        + ", ".join(f"{margin:.3f}" for margin in margins)
    )


def make_buckets(root):
    """The bucket of every relative position, for a few tables."""
    found = []
    for buckets, distance in ((32, 128), (8, 10), (32, 64), (20, 50), (64, 128), (320, 800)):
        for bidirectional in (True, False):
            reach = distance + 5
            position = torch.arange(-reach, reach + 1)
            rows = T5Attention._relative_position_bucket(position, bidirectional, buckets, distance)
            rule = dict(buckets=buckets, maxDistance=distance, bidirectional=bidirectional)
            found.append({**rule, "reach": reach, "found": rows.tolist()})
    (root / "relative-buckets.json").write_text(json.dumps(found) + "\n")


def make_seq2seq(root):
    for name, seed in SEEDS.items():
        make_model(root, name, seed)
    make_buckets(root)


if __name__ == "__main__":
    from make_fixtures import FIXTURES, fix_environment

    fix_environment()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    make_seq2seq(FIXTURES)
