"""What peft computes with adapters of encoders and their heads: logits, loss, gradients, files.

    python encoder_adapters.py NAME...      makes these fixtures alone
"""

import json
import shutil
import sys

import peft
import torch

from encoders import CASES as ENCODERS
from encoders import FOLDER as BASES
from encoders import HEADS, labels_of, text_batch
from lora import disk_gradients, save_adapter
from methods import perturb
from tensors import deviation, prefixed, save_tensors

FOLDER = "encoder-adapters"
# name: base, config's class, options
CASES = {
    "lora-bert-sequence": ("bert-sequence", "LoraConfig", dict(r=4, task_type="SEQ_CLS")),
    "lora-bert-tokens": ("bert-tokens", "LoraConfig", dict(r=4, task_type="TOKEN_CLS")),
    "lora-bert-masked-lm": ("bert-masked-lm", "LoraConfig", dict(r=4, target_modules="all-linear")),
    "lora-roberta-sequence": ("roberta-sequence", "LoraConfig", dict(r=4, task_type="SEQ_CLS", use_dora=True)),
    "lora-distilbert-sequence": (
        "distilbert-sequence",
        "LoraConfig",
        dict(r=4, task_type="SEQ_CLS", target_modules=["q_lin", "v_lin"]),
    ),
    "ia3-bert-sequence": ("bert-sequence", "IA3Config", dict(task_type="SEQ_CLS")),
    "ia3-roberta-sequence": ("roberta-sequence", "IA3Config", dict(task_type="SEQ_CLS")),
    "prompt-bert-sequence": ("bert-sequence", "PromptTuningConfig", dict(num_virtual_tokens=3, task_type="SEQ_CLS")),
    "prefix-bert-sequence": ("bert-sequence", "PrefixTuningConfig", dict(num_virtual_tokens=3, task_type="SEQ_CLS")),
}


def load_encoder(root, base):
    kind = HEADS[ENCODERS[base][0]]
    model = kind.from_pretrained(root / BASES / base, dtype=torch.float32, attn_implementation="eager").eval()
    model.name_or_path = base
    return model


def prompt_gradients(model):
    """Of the virtual tokens, and of the head by its key on disk."""
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = name.replace(".modules_to_save.default", "")
            found["prompt_embeddings" if name.startswith("prompt_encoder.") else key] = parameter.grad.clone()
    return found


def make_case(root, name, seed):
    base, config, options = CASES[name]
    folder = root / FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    model = peft.get_peft_model(load_encoder(root, base), getattr(peft, config)(**options)).eval()
    perturb(model, seed, 0.1)
    save_adapter(model, folder / "adapter")
    is_prompt = model.active_peft_config.is_prompt_learning
    # What is saved counts: loaded anew, which peft does not do with a prompt that is trained.
    loaded = peft.PeftModel.from_pretrained(load_encoder(root, base), folder / "adapter", is_trainable=not is_prompt)
    model, loaded = (model if is_prompt else loaded).eval(), loaded.eval()
    head = ENCODERS[base][0]
    batch = text_batch(model.config, seed, **ENCODERS[base][2])
    labels = labels_of(head, model.config, batch, seed)
    output = model(**batch, **labels)
    output.loss.backward()
    logits = torch.stack((output.start_logits, output.end_logits), dim=-1) if head == "answers" else output.logits
    if deviation(loaded(**batch).logits, output.logits) > 1e-6 if head == "sequence" else False:
        raise AssertionError(f"{name}: the saved adapter gives other logits")
    gradients = prefixed("grad.", prompt_gradients(model) if is_prompt else disk_gradients(model))
    tensors = {**batch, **labels, "logits": logits, "loss": output.loss, **gradients}
    save_tensors(folder / "expected.safetensors", tensors)
    (folder / "case.json").write_text(json.dumps({"base": base}, indent=2) + "\n")
    print(f"{name}: loss {output.loss.item():.4f}")


def make_encoder_adapters(root):
    for seed, name in enumerate(CASES, start=800):
        make_case(root, name, seed)


if __name__ == "__main__":
    from make_fixtures import FIXTURES, fix_environment

    fix_environment()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for seed, name in enumerate(CASES, start=800):
        if name in (sys.argv[1:] or CASES):
            make_case(FIXTURES, name, seed)
