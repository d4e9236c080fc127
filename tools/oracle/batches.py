"""The token batches of the fixtures."""

import torch

VOCABULARY = 96
PADDING = 0
IGNORED = -100


def padded_batch(seed, lengths=(12, 9), ignored=((4, 5), (3,))):
    """Random rows padded on the right: input_ids, attention_mask and labels, each [rows, longest].

    Labels repeat input_ids (the model shifts them), with IGNORED on padding and at `ignored` positions.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    input_ids = torch.full(shape, PADDING)
    attention_mask = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORED)
    for row, length in enumerate(lengths):
        tokens = torch.randint(3, VOCABULARY, (length,), generator=generator)
        input_ids[row, :length] = tokens
        attention_mask[row, :length] = 1
        labels[row, :length] = tokens
        labels[row, list(ignored[row])] = IGNORED
    return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}


def left_padded_batch(seed, lengths=(12, 9)):
    """Rows padded on the left, their positions counted from the first token, as generate() counts them."""
    generator = torch.Generator().manual_seed(seed + 1000)
    shape = (len(lengths), max(lengths))
    input_ids = torch.full(shape, PADDING)
    attention_mask = torch.zeros(shape, dtype=torch.long)
    for row, length in enumerate(lengths):
        input_ids[row, -length:] = torch.randint(3, VOCABULARY, (length,), generator=generator)
        attention_mask[row, -length:] = 1
    position_ids = (attention_mask.cumsum(-1) - 1).clamp(min=0)
    return {"input_ids": input_ids, "attention_mask": attention_mask, "position_ids": position_ids}


def supervised_tokens(batch):
    """Targets that count in the loss: the first label of a row is no target, since labels are shifted by one."""
    return int((batch["labels"][:, 1:] != IGNORED).sum())
