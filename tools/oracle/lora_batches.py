"""What peft computes with LoRA adapters where rows of a batch differ: adapters by row, adapters that a text invokes
(aLoRA), and adapters whose weights were swapped.

python lora_batches.py      makes these fixtures alone
"""

import json
import shutil

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils.hotswap import hotswap_adapter

from bases import generate, load_base
from batches import padded_batch
from lora import disk_gradients, load_adapter, save_adapter
from methods import perturb
from tensors import prefixed, save_tensors

FOLDER = "lora-batches"
BASE = "llama-gqa-untied"
INVOCATION = [7, 8, 9]
ADAPTERS = {
    "one": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
    "two": dict(r=2, lora_alpha=6, use_rslora=True, target_modules=["embed_tokens", "v_proj", "down_proj", "lm_head"]),
    "three": dict(r=6, lora_alpha=6, lora_bias=True, target_modules=["q_proj", "down_proj"], rank_pattern={"q_proj": 2}),
    "fewer": dict(r=2, lora_alpha=3, lora_bias=True, target_modules=["q_proj"]),
    "invoked": dict(r=3, lora_alpha=9, target_modules=["q_proj", "up_proj"], alora_invocation_tokens=INVOCATION),
    # Without patterns: hotswap_adapter does not find them.
    "narrow": dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"]),
}
BASE_ROW = "__base__"
MIXED = ["two", BASE_ROW, "one", "three", "two"]
MIXED_INVOKED = ["invoked", "one", "invoked", BASE_ROW, "invoked"]
# From the second to the place of the first, whose other layers get no change.
SWAPS = {"swapped": ("one", "narrow"), "swapped-fewer": ("three", "fewer")}
GREEDY = ["two", BASE_ROW, "three"]


def loaded(root, *names):
    first, *others = names
    model = PeftModel.from_pretrained(load_base(root / BASE), root / FOLDER / first, adapter_name=first)
    for other in others:
        model.load_adapter(root / FOLDER / other, adapter_name=other)
    return model.eval()


def invoking_batch(seed):
    """Rows that invoke once, not at all, twice, and by what the batch begins with; the last only where it ends."""
    batch = padded_batch(seed, lengths=(12, 12, 12, 12, 12), ignored=((4,), (3,), (), (5, 6), ()))
    ids = batch["input_ids"]
    for row, start in ((0, 4), (2, 1), (2, 6), (3, 0), (4, 9)):
        ids[row, start : start + len(INVOCATION)] = torch.tensor(INVOCATION)
        batch["labels"][row, start : start + len(INVOCATION)] = ids[row, start : start + len(INVOCATION)]
    return batch


def check_margin(margin):
    if margin < 1e-3:
        raise AssertionError(f"{FOLDER}: two tokens are nearly as likely; choose another seed")


def make_lora_batches(root):
    folder = root / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, (name, options) in enumerate(ADAPTERS.items()):
        torch.manual_seed(number)
        model = get_peft_model(load_base(root / BASE), LoraConfig(task_type="CAUSAL_LM", **options))
        perturb(model, 140 + number, 0.2)
        save_adapter(model, folder / name)
    batch = invoking_batch(91)
    input_ids = batch["input_ids"]
    tensors = {"input_ids": input_ids, "labels": batch["labels"]}

    mixed = loaded(root, "one", "two", "three", "invoked")
    with torch.no_grad():
        tensors["mixed"] = mixed(input_ids, adapter_names=MIXED).logits
        tensors["mixed-invoked"] = mixed(input_ids, adapter_names=MIXED_INVOKED).logits
        tensors["base"] = load_base(root / BASE)(input_ids).logits
    prompts = input_ids[[0, 1, 2], :6]
    made = mixed.generate(
        input_ids=prompts,
        attention_mask=torch.ones_like(prompts),
        adapter_names=GREEDY,
        max_new_tokens=12,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    best = torch.stack(made.logits).topk(2, dim=-1).values
    check_margin((best[..., 0] - best[..., 1]).min())
    tensors["mixed.greedy.input_ids"], tensors["mixed.greedy.new_ids"] = prompts, made.sequences[:, 6:]

    invoked = load_adapter(root / BASE, folder / "invoked")
    output = invoked(**batch)
    output.loss.backward()
    tensors |= {"invoked": output.logits.detach(), "invoked.loss": output.loss.detach()}
    tensors |= prefixed("invoked.grad.", disk_gradients(invoked))
    # The first prompt invokes, the second does not, and the third ends as it invokes.
    for number, prompt in enumerate((input_ids[:1, :9], input_ids[1:2, :9], input_ids[2:3, :9])):
        sequence, margin = generate(invoked, prompt)
        check_margin(margin)
        tensors[f"invoked.greedy.{number}.input_ids"] = prompt
        tensors[f"invoked.greedy.{number}.new_ids"] = sequence[:, prompt.shape[1] :]

    for name, (old, new) in SWAPS.items():
        model = loaded(root, old)
        hotswap_adapter(model, folder / new, adapter_name=old, torch_device="cpu")
        with torch.no_grad():
            tensors[name] = model(input_ids).logits
    save_tensors(folder / "expected.safetensors", tensors)
    case = dict(base=BASE, mixed=MIXED, mixed_invoked=MIXED_INVOKED, greedy=GREEDY, swaps=SWAPS)
    (folder / "case.json").write_text(json.dumps(case, indent=2) + "\n")
    for name in ("mixed", "mixed-invoked", "invoked", *SWAPS):
        moved = (tensors[name] - tensors["base"]).abs().amax(dim=(1, 2))
        print(f"{FOLDER}/{name}: logits of rows move by up to {[round(m, 2) for m in moved.tolist()]}")


if __name__ == "__main__":
    from make_fixtures import FIXTURES, fix_environment

    fix_environment()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    make_lora_batches(FIXTURES)
