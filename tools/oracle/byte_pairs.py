"""The merges that Hugging Face tokenizers learns from the quickstart text, for tools/pretrain.

    python tools/oracle/byte_pairs.py
"""

import json
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

root = Path(__file__).resolve().parents[2]
out = root / "tools/pretrain/fixtures/merges.json"
vocab_size = 1000


def main() -> None:
    lines = (root / "packages/assets/tiny-llama/files/quickstart/train.jsonl").read_text().splitlines()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>", "<|pad|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([json.loads(line)["text"] for line in lines], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"vocabSize": vocab_size, "tokens": tokens, "merges": merges}) + "\n")


if __name__ == "__main__":
    main()
