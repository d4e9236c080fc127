"""What transformers computes with SmolLM2-135M-Instruct, for tools/real-models/smollm2.ts.

    python tools/oracle/smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf

The package gguf dequantizes the file; LlamaForCausalLM runs in true float64, and in float32 for its own distance from
that; the texts are encoded by Hugging Face tokenizers, set up as the model's tokenizer.json is. Writes
tools/real-models/smollm2.expected.json: logits of the next token at the likeliest and at evenly spaced tokens, the
logarithm of the sum of all, greedy answers, and ids of texts.
"""

import hashlib
import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from float64 import Float64Everywhere, assert_float64
from gguf_fixtures import NAMES
from gguf_tokenizers import texts
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

OUT = Path(__file__).resolve().parents[1] / "real-models/smollm2.expected.json"
LIKELIEST = 128
SPACED = 128
ANSWER_TOKENS = 24

PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a small village by the sea, there lived",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "Water boils at 100 degrees",
    "Die Hauptstadt von Deutschland ist",
]
CHATS = [
    [("user", "What is the capital of France?")],
    [("user", "Write a haiku about the sea.")],
    [("system", "You answer in one short sentence."), ("user", "Why is the sky blue?")],
    [("user", "What is 2 + 3?"), ("assistant", "2 + 3 is 5."), ("user", "And 5 + 4?")],
]


def read(path):
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    heads, kv_heads = fields["llama.attention.head_count"], fields["llama.attention.head_count_kv"]
    ours = {theirs: name for name, theirs in NAMES.items()}
    state = {}
    for tensor in reader.tensors:
        weight = gguf.dequantize(tensor.data, tensor.tensor_type)
        *block, stem, kind = tensor.name.split(".")
        count = {"attn_q": heads, "attn_k": kv_heads}.get(stem)
        if count:
            weight = weight.reshape(count, -1, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)
        prefix = f"model.layers.{block[1]}." if block else ""
        state[f"{prefix}{ours[stem]}.{kind}"] = torch.from_numpy(np.ascontiguousarray(weight))
    return fields, state


def make_model(fields, state):
    config = LlamaConfig(
        vocab_size=len(fields["tokenizer.ggml.tokens"]),
        hidden_size=fields["llama.embedding_length"],
        intermediate_size=fields["llama.feed_forward_length"],
        num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=fields["llama.attention.head_count"],
        num_key_value_heads=fields["llama.attention.head_count_kv"],
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        max_position_embeddings=fields["llama.context_length"],
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    model = LlamaForCausalLM(config)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert set(missing) <= {"lm_head.weight"} and not unexpected, (missing, unexpected)
    model.tie_weights()
    return model.eval()


def make_tokenizer(fields):
    vocab = {token: index for index, token in enumerate(fields["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = zip(vocab, fields["tokenizer.ggml.token_type"])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token, kind in kinds if kind == 3])
    return tokenizer


def chat_text(fields, chat):
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    messages = [{"role": role, "content": content} for role, content in chat]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(fields["tokenizer.chat_template"])
    return messages, template.render(messages=messages, add_generation_prompt=True)


def relative(a, b):
    return float(np.max(np.abs(a - b) / np.maximum(np.abs(b), np.sqrt(np.mean(b * b)))))


def main():
    path = Path(sys.argv[1])
    torch.set_num_threads(2)
    fields, state = read(path)
    tokenizer = make_tokenizer(fields)
    single = make_model(fields, state)

    def logits_of(model, ids):
        with torch.no_grad():
            return model(input_ids=torch.tensor([ids])).logits[0, -1].numpy()

    asked = [(text, tokenizer.encode(text).ids) for text in PROMPTS]
    chats = []
    for chat in CHATS:
        messages, text = chat_text(fields, chat)
        chats.append({"messages": messages, "text": text, "ids": tokenizer.encode(text).ids})
    asked += [(chat["text"], chat["ids"]) for chat in chats]
    in_single = [logits_of(single, ids) for _, ids in asked]
    for chat in chats:
        ids = torch.tensor([chat["ids"]])
        made = single.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=ANSWER_TOKENS, do_sample=False,
            eos_token_id=2, pad_token_id=2, output_scores=True, return_dict_in_generate=True,
        )
        chat["answerIds"] = made.sequences[0, ids.shape[1] :].tolist()
        chat["answer"] = tokenizer.decode(chat["answerIds"])
        best = [torch.topk(scores[0], 2).values for scores in made.scores]
        chat["smallestMargin"] = min(float(first - second) for first, second in best)

    prompts = []
    with Float64Everywhere():
        double = make_model(fields, {name: weight.double() for name, weight in state.items()}).double()
        assert_float64(double)
        for (text, ids), narrow in zip(asked, in_single):
            logits = logits_of(double, ids)
            order = np.argsort(-logits)
            chosen = sorted({*order[:LIKELIEST].tolist(), *range(0, len(logits), len(logits) // SPACED)})
            top = logits.max()
            prompts.append(
                {
                    "text": text,
                    "ids": ids,
                    "logSumExp": float(top + np.log(np.exp(logits - top).sum())),
                    "rms": float(np.sqrt(np.mean(logits * logits))),
                    "tokens": chosen,
                    "logits": [float(f"{logits[i]:.9g}") for i in chosen],
                    "float32Distance": relative(narrow.astype(np.float64), logits),
                }
            )
            print(f"{tokenizer.decode([int(order[0])])!r} follows {text!r}; float32 is {prompts[-1]['float32Distance']:.1e} off")
    encoded = [[text, tokenizer.encode(text).ids] for text in texts()]
    result = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "prompts": prompts,
        "chats": chats,
        "texts": encoded,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, separators=(",", ":"), ensure_ascii=True) + "\n")
    for chat in chats:
        print(f"{chat['messages'][-1]['content']!r}: {chat['answer']!r}, smallest margin {chat['smallestMargin']:.3f}")


if __name__ == "__main__":
    main()
