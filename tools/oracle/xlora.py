"""What peft computes with X-LoRA over the adapters of lora_batches.py: logits, loss, gradients, generated tokens, files.

python xlora.py      makes these fixtures alone
"""

import json
import os
import shutil

import torch
from peft import PeftModel, XLoraConfig, get_peft_model

from bases import NEW_TOKENS, load_base
from batches import padded_batch
from methods import perturb
from tensors import prefixed, save_tensors

FOLDER = "xlora"
BASE = "llama-gqa-untied"
EXPERTS = ["one", "narrow", "three"]
CASES = {
    "default": dict(),
    "deep": dict(xlora_depth=3, xlora_size=8, layerwise_scalings=True, softmax_temperature=0.5, global_scaling_weight=1.5),
    "shallow-dropout": dict(xlora_depth=2, xlora_size=8, xlora_dropout_p=0.0, scaling_pass_value=0.4),
    "top": dict(layerwise_scalings=True, enable_softmax=False, enable_softmax_topk=True, top_k_lora=2),
    "top-plain": dict(layerwise_scalings=True, top_k_lora=1, use_trainable_adapters=True),
}


def new_model(root, options):
    base = load_base(root / BASE)
    base.config.use_cache = False
    # Relative, so that no path of this machine is in the file.
    adapters = {str(i): f"lora-batches/{name}" for i, name in enumerate(EXPERTS)}
    config = XLoraConfig(task_type="CAUSAL_LM", hidden_size=base.config.hidden_size, adapters=adapters, **options)
    return get_peft_model(base, config).eval()


def check_that_peft_reads(root, folder, batch, logits):
    base = load_base(root / BASE)
    base.config.use_cache = False
    adapters = json.loads((folder / "adapter_config.json").read_text())["adapters"]
    with torch.no_grad():
        read = PeftModel.from_pretrained(base, folder, adapters=adapters).eval()(**batch).logits
    if not torch.equal(read, logits):
        raise AssertionError("peft reads another adapter than the one that it made")


def make_case(root, folder, options, seed):
    torch.manual_seed(seed)
    model = new_model(root, options)
    perturb(model, seed, 0.5)
    experts = {key: value for key, value in model.named_parameters() if ".lora_" in key and value.requires_grad}
    if bool(experts) != bool(options.get("use_trainable_adapters")):
        raise AssertionError("experts are trained, or not, as the config does not say")
    if experts:
        # What is saved does not hold them.
        with torch.no_grad():
            fresh = dict(new_model(root, options).named_parameters())
            for key, value in experts.items():
                value.copy_(fresh[key])
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink()
    # peft leaves out what has the number of an expert in its name, such as layers.0: it takes that for the expert's.
    classifier = {key: value for key, value in model.state_dict().items() if "internal_xlora_classifier" in key}
    save_tensors(folder / "adapter" / "adapter_model.safetensors", classifier)
    batch = padded_batch(seed)
    output = model(**batch)
    check_that_peft_reads(root, folder / "adapter", batch, output.logits)
    output.loss.backward()
    gradients = {key: value.grad for key, value in model.named_parameters() if value.grad is not None}
    tensors = {**batch, "logits": output.logits.detach(), "loss": output.loss.detach(), **prefixed("grad.", gradients)}
    text = batch["input_ids"][:1, :5]
    with torch.no_grad():
        tensors["base_logits"] = load_base(root / BASE)(**batch).logits
        tensors["greedy.input_ids"] = text
        for _ in range(NEW_TOKENS):
            best = model(input_ids=text).logits[:, -1].topk(2)
            if (best.values[0, 0] - best.values[0, 1]) < 1e-3:
                raise AssertionError("two tokens are nearly as likely; choose another seed")
            text = torch.cat([text, best.indices[:, :1]], dim=1)
        tensors["greedy.new_ids"] = text[:, 5:]
    save_tensors(folder / "expected.safetensors", tensors)
    moved = (tensors["logits"] - tensors["base_logits"]).abs().max().item()
    print(f"{FOLDER}/{folder.name}: loss {output.loss.item():.4f}, {len(gradients)} gradients, logits move by {moved:.2f}")


def make_xlora(root):
    folder = root / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    before = os.getcwd()
    os.chdir(root)
    try:
        for number, (name, options) in enumerate(CASES.items()):
            (folder / name).mkdir(parents=True)
            make_case(root, folder / name, options, seed=960 + number)
    finally:
        os.chdir(before)
    (folder / "case.json").write_text(json.dumps(dict(base=BASE, experts=EXPERTS, cases=list(CASES)), indent=2) + "\n")


if __name__ == "__main__":
    from make_fixtures import FIXTURES, fix_environment

    fix_environment()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    make_xlora(FIXTURES)
