"""Tiny encoders of BERT's kind, with every head, and what transformers computes with them.

    python encoders.py NAME...      makes these fixtures alone
"""

import sys

import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    DistilBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from bases import randomise
from batches import IGNORED
from tensors import prefixed, save_tensors

FOLDER = "encoders"
VOCABULARY = 40
SIZE = dict(
    vocab_size=VOCABULARY,
    hidden_size=12,
    intermediate_size=20,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=16,
)
# 14 positions for texts, two for those that padding takes.
ROBERTA = dict(SIZE, layer_norm_eps=1e-5, pad_token_id=1, type_vocab_size=1)
DISTIL = dict(vocab_size=VOCABULARY, dim=12, hidden_dim=20, n_layers=2, n_heads=2, max_position_embeddings=16)
THREE = dict(num_labels=3)
HEADS = {
    "encoder": AutoModel,
    "masked-lm": AutoModelForMaskedLM,
    "sequence": AutoModelForSequenceClassification,
    "tokens": AutoModelForTokenClassification,
    "answers": AutoModelForQuestionAnswering,
}
# name: head, config, what is special of the batch
CASES = {
    "bert-encoder": ("encoder", BertConfig(**SIZE), {}),
    "bert-masked-lm": ("masked-lm", BertConfig(**SIZE), {}),
    "bert-masked-lm-untied": ("masked-lm", BertConfig(**SIZE, tie_word_embeddings=False, hidden_act="gelu_new"), {}),
    "bert-sequence": ("sequence", BertConfig(**SIZE, **THREE), {}),
    "bert-sequence-multi-label": (
        "sequence",
        BertConfig(**SIZE, **THREE, problem_type="multi_label_classification", hidden_act="relu"),
        {},
    ),
    "bert-sequence-regression": ("sequence", BertConfig(**SIZE, num_labels=1), {}),
    "bert-tokens": ("tokens", BertConfig(**SIZE, **THREE), {}),
    "bert-answers": ("answers", BertConfig(**SIZE), {}),
    "roberta-encoder": ("encoder", RobertaConfig(**ROBERTA), {}),
    "roberta-masked-lm": ("masked-lm", RobertaConfig(**ROBERTA), {"left": True}),
    "roberta-sequence": ("sequence", RobertaConfig(**ROBERTA, **THREE), {}),
    "roberta-tokens": ("tokens", RobertaConfig(**ROBERTA, **THREE), {"left": True}),
    "roberta-answers": ("answers", RobertaConfig(**ROBERTA), {}),
    "xlm-roberta-sequence": ("sequence", XLMRobertaConfig(**ROBERTA, **THREE), {}),
    "distilbert-encoder": ("encoder", DistilBertConfig(**DISTIL), {}),
    "distilbert-masked-lm": ("masked-lm", DistilBertConfig(**DISTIL), {}),
    "distilbert-sequence": ("sequence", DistilBertConfig(**DISTIL, **THREE), {}),
    "distilbert-tokens": ("tokens", DistilBertConfig(**DISTIL, **THREE), {}),
    "distilbert-answers": ("answers", DistilBertConfig(**DISTIL), {}),
}


def text_batch(config, seed, left=False, lengths=(11, 8, 5)):
    """Rows padded on the right (or on the left); of two texts each where the model has types of tokens."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    batch = {
        "input_ids": torch.full(shape, config.pad_token_id),
        "attention_mask": torch.zeros(shape, dtype=torch.long),
    }
    if getattr(config, "type_vocab_size", 0) > 1:
        batch["token_type_ids"] = torch.zeros(shape, dtype=torch.long)
    for row, length in enumerate(lengths):
        place = slice(-length, None) if left else slice(0, length)
        batch["input_ids"][row, place] = torch.randint(3, VOCABULARY, (length,), generator=generator)
        batch["attention_mask"][row, place] = 1
        if "token_type_ids" in batch:
            batch["token_type_ids"][row, length // 2 : length] = 1
    return batch


def labels_of(head, config, batch, seed):
    generator = torch.Generator().manual_seed(seed + 1)
    rows, tokens = batch["input_ids"].shape
    classes = VOCABULARY if head == "masked-lm" else config.num_labels
    if head == "answers":
        return {"start_positions": torch.tensor([1, 2, 0]), "end_positions": torch.tensor([4, 3, tokens + 5])}
    if head == "sequence":
        if config.problem_type == "multi_label_classification":
            return {"labels": torch.randint(0, 2, (rows, classes), generator=generator).float()}
        if classes == 1:
            return {"labels": torch.randn(rows, generator=generator)}
        return {"labels": torch.tensor([2, IGNORED, 0])}
    labels = torch.randint(0, classes, (rows, tokens), generator=generator)
    labels[batch["attention_mask"] == 0] = IGNORED
    labels[:, 2::3] = IGNORED
    return {"labels": labels}


def make_case(root, name, seed):
    head, config, special = CASES[name]
    folder = root / FOLDER / name
    # transformers writes the problem type that it concluded from the labels.
    model = HEADS[head].from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    randomise(model, seed)
    model.save_pretrained(folder)
    batch = text_batch(model.config, seed, **special)
    if head == "encoder":
        with torch.no_grad():
            output = model(**batch)
        pooled = {"pooled": output.pooler_output} if "pooler_output" in output else {}
        tensors = {**batch, "logits": output.last_hidden_state, **pooled}
        save_tensors(folder / "expected.safetensors", tensors)
        return
    labels = labels_of(head, model.config, batch, seed)
    output = model(**batch, **labels)
    output.loss.backward()
    gradients = {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}
    if head == "answers":
        logits = torch.stack((output.start_logits, output.end_logits), dim=-1)
    else:
        logits = output.logits
    tensors = {**batch, **labels, "logits": logits, "loss": output.loss, **prefixed("grad.", gradients)}
    save_tensors(folder / "expected.safetensors", tensors)
    print(f"{name}: loss {output.loss.item():.4f}")


def make_encoders(root):
    for seed, name in enumerate(CASES, start=700):
        make_case(root, name, seed)


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    from make_fixtures import FIXTURES

    names = sys.argv[1:] or list(CASES)
    for seed, name in enumerate(CASES, start=700):
        if name in names:
            make_case(FIXTURES, name, seed)


if __name__ == "__main__":
    main()
