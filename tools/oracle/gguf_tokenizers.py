"""Fixtures for tokenizers out of GGUF metadata: small vocabularies, and ids by the libraries that define them.

    python tools/oracle/gguf_tokenizers.py
    python tools/oracle/gguf_tokenizers.py --llama-cpp    also compares with llama.cpp (package xllamacpp)

Writes packages/io/data/test/fixtures/gguf/<kind>.json: `metadata` as a GGUF file has it, and `cases`, [text, ids],
and packages/apps/cli/test/fixtures/tiny.Q8_0.gguf, a model with random weights and such a tokenizer.
Byte-level kinds: ids by Hugging Face tokenizers, set up as the models' own tokenizer.json is. SentencePiece: ids by
sentencepiece. Differences of llama.cpp are printed; it approximates some of the regular expressions.
"""

import argparse
import io
import json
import random
import tempfile
import urllib.request
from pathlib import Path

import gguf
import numpy as np
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "packages/io/data/test/fixtures/gguf"
TINY = ROOT / "packages/apps/cli/test/fixtures/tiny.Q8_0.gguf"
TEXT = ROOT / "packages/assets/tiny-llama/files/quickstart/train.jsonl"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

BY_HAND = [
    "", " ", "  ", "   a", "a   ", "\n", "\n\n", " \n ", "\t\tx", "\r\n", "a\r\nb\r\n\r\nc", "Hello, world!", "hello world",
    " hello", "Hello  world   again", "it's we're I'LL don'T 'tis ''s", "1", "12", "123", "1234", "1234567890", "3.14159",
    "1,000,000.50", "x1y22z333", "²³½ ٣٤ ⅷ", "naïve café Ångström", "cafe\u0301 e\u0301", "für Straße", "Ελληνικά", "русский текст",
    "日本語のテキスト", "中文，标点。", "한국어", "हिन्दी में", "עברית", "العربية", "👍", "👩‍👩‍👧‍👦 family", "🇩🇪🇫🇷", "a👍b",
    "def f(x):\n    return x ** 2  # square\n", "if (a && b) { c[i++] += 0x1F; }", "<div class=\"x\">&amp;</div>", "SELECT * FROM t WHERE a='b';",
    "https://example.org/a?b=c&d=%20#e", "a_b-c.d/e\\f", "!!!???...", "---\n===\n", "\u00a0nbsp\u3000wide\u2009thin", "\ufeffmark", "next\u0085line",
    "zero\u200bwidth", "\x00\x01\x7f", "\u2581block \u2581\u2581", "<s> </s> <unk> <0x41>", "<|im_start|>user\nHi<|im_end|>\n", "<|endoftext|><|endoftext|>x",
    "a <|im_end|> b", "<|im_start|> x", "The quick brown fox jumps over the lazy dog. " * 2, "unmergeable unmergeable", "ſ'ſ 'S",
]


def texts():
    """Those by hand, and strings by chance out of pieces that tokenizers treat differently."""
    chance = random.Random(7)
    pieces = [" ", "  ", "\n", "\t", "a", "B", "the", "The", "ing", "'s", "'RE", "0", "7", "42", "2023", ".", ",", "!", "-", "(", ")", "/", "\\",
              "ä", "É", "ß", "ж", "中", "の", "👍", "\u0301", "\u200d", "²", "٣", "\u00a0", "#", "_", "=", "people", "nation", " of", " and"]
    made = ["".join(chance.choice(pieces) for _ in range(chance.randint(1, 12))) for _ in range(140)]
    return BY_HAND + made


def corpus():
    lines = [json.loads(line)["text"] for line in TEXT.read_text().splitlines()[:400]]
    return lines + texts() * 3


def byte_level_vocabulary():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    # One that no merge reaches: only where merges are ignored it is found.
    return [*tokens, "Ġunmergeable"], [tuple(pair) for pair in model["merges"]]


def split(expression):
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(expression), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


BYTE_LEVEL = {
    "gpt-2": dict(pre=pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "smollm": dict(
        pre=pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    ),
    "llama-bpe": dict(pre=split(GGUF_PRE_TOKENIZER_SPLITS["llama-bpe"]), ignore_merges=True, bos=True),
    "qwen2": dict(pre=split(GGUF_PRE_TOKENIZER_SPLITS["qwen2"]), normalizer=normalizers.NFC()),
    "tekken": dict(pre=split(GGUF_PRE_TOKENIZER_SPLITS["tekken"]), ignore_merges=True, bos=True),
}


def make_byte_level(kind, pre, tokens, merges, ignore_merges=False, bos=False, normalizer=None):
    vocab = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    first = [1] if bos else []
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": kind,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)),
        "tokenizer.ggml.merges": [" ".join(pair) for pair in merges],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.chat_template": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}",
    }
    # Strings with a byte-order mark or such are no different; the empty text has no tokens but BOS.
    cases = [[text, [*first, *tokenizer.encode(text, add_special_tokens=False).ids]] for text in texts()]
    return metadata, cases


def make_sentence_piece():
    """Trained without its own tidying of text, as Llama's is, with bytes for what it does not know."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text.replace("\n", " ") for text in corpus() if text.strip()]),
        model_writer=model,
        model_type="bpe",
        vocab_size=900,
        byte_fallback=True,
        character_coverage=0.995,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        num_threads=1,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    size = processor.vocab_size()
    types = [
        2 if processor.is_unknown(i) else 3 if processor.is_control(i) else 6 if processor.is_byte(i) else 1
        for i in range(size)
    ]
    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [processor.id_to_piece(i) for i in range(size)],
        "tokenizer.ggml.scores": [processor.get_score(i) for i in range(size)],
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.bos_token_id": processor.bos_id(),
        "tokenizer.ggml.eos_token_id": processor.eos_id(),
        "tokenizer.ggml.unknown_token_id": processor.unk_id(),
    }
    # sentencepiece knows no special tokens in text, and gives nothing for an empty one.
    plain = [text for text in texts() if text and "<" not in text]
    return metadata, [[text, [processor.bos_id(), *processor.encode(text)]] for text in plain]


def write_gguf(path, metadata):
    """The vocabulary in a model as small as llama.cpp loads."""
    writer = gguf.GGUFWriter(path, "llama")
    for add, value in [
        (writer.add_context_length, 256), (writer.add_embedding_length, 32), (writer.add_block_count, 1),
        (writer.add_feed_forward_length, 64), (writer.add_head_count, 2), (writer.add_head_count_kv, 1),
        (writer.add_rope_dimension_count, 16),
    ]:
        add(value)
    writer.add_layer_norm_rms_eps(1e-5)
    for key, value in metadata.items():
        if key.endswith("_id"):
            writer.add_uint32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_array(key, value)
    chance = np.random.default_rng(3)
    quantized = gguf.GGMLQuantizationType.Q8_0
    shapes = {
        "token_embd": (len(metadata["tokenizer.ggml.tokens"]), 32), "blk.0.attn_q": (32, 32), "blk.0.attn_k": (16, 32),
        "blk.0.attn_v": (16, 32), "blk.0.attn_output": (32, 32), "blk.0.ffn_gate": (64, 32), "blk.0.ffn_up": (64, 32),
        "blk.0.ffn_down": (32, 64),
    }
    for name, shape in shapes.items():
        values = (chance.normal(size=shape) * 0.2).astype(np.float32)
        writer.add_tensor(f"{name}.weight", gguf.quantize(values, quantized), raw_dtype=quantized)
    for name in ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"]:
        writer.add_tensor(f"{name}.weight", np.ones(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def compare_with_llama_cpp(kind, metadata, cases):
    import xllamacpp

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocabulary.gguf"
        write_gguf(path, metadata)
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = 64
        params.cpuparams.n_threads = 1
        server = xllamacpp.Server(params)
        different = []
        for text, ids in cases:
            body = json.dumps({"content": text, "add_special": True, "parse_special": True}).encode()
            request = urllib.request.Request(
                f"{server.listening_address}/tokenize", data=body, headers={"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request) as answer:
                theirs = json.loads(answer.read())["tokens"]
            if theirs != ids:
                different.append(text)
        print(f"{kind}: llama.cpp differs in {len(different)} of {len(cases)}: {different}")
        del server


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-cpp", action="store_true")
    check = parser.parse_args().llama_cpp
    OUT.mkdir(parents=True, exist_ok=True)
    tokens, merges = byte_level_vocabulary()
    kinds = {kind: make_byte_level(kind, tokens=tokens, merges=merges, **how) for kind, how in BYTE_LEVEL.items()}
    kinds["llama"] = make_sentence_piece()
    for kind, (metadata, cases) in kinds.items():
        text = json.dumps({"metadata": metadata, "cases": cases}, separators=(",", ":"))
        (OUT / f"{kind}.json").write_text(text + "\n")
        if check:
            compare_with_llama_cpp(kind, metadata, cases)
    TINY.parent.mkdir(parents=True, exist_ok=True)
    write_gguf(TINY, kinds["smollm"][0])


if __name__ == "__main__":
    main()
