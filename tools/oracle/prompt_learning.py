"""What peft computes with methods of prompt learning: networks while they train, the files they become, generation.

Each tuner's package says in `oracle-prompts.json` what to make:

    { "cases": { "random": { "config": "PromptTuningConfig", "base": "llama-gqa-tied", "options": {} } } }

A case may also have `perturb` (how far trained values are moved), `"greedy": true`, for tokens that peft generates, a `seed`, `task_ids` of the two rows, and
`"from_tokens": true`, for a prompt that starts as the keys and values of the first row's tokens.

python prompt_learning.py NAME...      makes the fixtures of these packages alone
"""

import json
import shutil
import sys
from pathlib import Path

import peft
import torch
from peft import PeftModel
from peft.tuners.cartridge.utils import initialize_kv_prefix_from_past_key_values

import seq2seq
from bases import generate, load_base, widen_base
from batches import padded_batch
from float64 import Float64Everywhere, assert_float64
from lora import save_adapter
from methods import perturb
from tensors import deviation, prefixed, save_tensors

PACKAGES = Path(__file__).parents[2] / "packages" / "tuners"
FOLDER = "prompts"


def new_model(base, case):
    options = {"task_type": "CAUSAL_LM", "num_virtual_tokens": 5, **case.get("options", {})}
    return peft.get_peft_model(base, getattr(peft, case["config"])(**options)).eval()


def trained(model):
    """What is trained, by name; the prompt encoder's by their names in it."""
    found = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {name.removeprefix("prompt_encoder.default."): parameter for name, parameter in found.items()}


def run(model, batch):
    """Logits, loss, and gradients by name."""
    model.zero_grad()
    output = model(**batch)
    output.loss.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in trained(model).items()}
    return output.logits.detach(), output.loss.detach(), gradients


@torch.no_grad()
def generate_anew(model, prompt, count):
    """Greedy tokens, the whole text computed anew for each."""
    if model.config.is_encoder_decoder:
        return seq2seq.generate_anew(model, prompt, count)
    text = prompt
    for _ in range(count):
        text = torch.cat((text, model(input_ids=text).logits[:, -1:].argmax(-1)), dim=1)
    return text[:, prompt.shape[1] :]


def make_case(bases, folder, case, seed):
    base = bases / case["base"]
    torch.manual_seed(seed)
    model = new_model(load_base(base), case)
    batch = padded_batch(seed, ignored=((0, 1, 2, 7), (5,)))
    if case.get("from_tokens"):
        with torch.no_grad():
            past = load_base(base)(input_ids=batch["input_ids"][:1], use_cache=True).past_key_values
        initialize_kv_prefix_from_past_key_values(model, past_key_values=past)
    if "perturb" in case:
        perturb(model, seed, case["perturb"])
    # Before the file is made: peft's CPT changes values in a pass.
    save_tensors(folder / "trained.safetensors", trained(model))
    save_adapter(model, folder / "adapter")

    tasks = {"task_ids": torch.tensor(case["task_ids"])} if "task_ids" in case else {}
    batch |= tasks
    logits, loss, gradients = run(model, batch)
    tensors = {**batch, "logits": logits, "loss": loss, **prefixed("grad.", gradients)}

    # Of the labels, an encoder-decoder makes what its decoder reads.
    is_seq2seq = model.config.is_encoder_decoder
    inputs = {key: batch[key] for key in batch if key not in tasks and (is_seq2seq or key != "labels")}
    loaded = PeftModel.from_pretrained(load_base(base), folder / "adapter").eval()
    with torch.no_grad():
        loaded_logits = loaded(**inputs, **tasks).logits
        base_logits = load_base(base)(**inputs).logits
    if deviation(loaded_logits, logits) > 1e-5:
        raise AssertionError(f"{folder.name}: the saved prompt gives other logits than the network")
    if case.get("greedy"):
        prompt = batch["input_ids"][:1, :5]
        if is_seq2seq:
            made, margin = seq2seq.generate(loaded, prompt)
        else:
            sequence, margin = generate(loaded, prompt)
            made = sequence[:, prompt.shape[1] :]
        if not torch.equal(made, generate_anew(loaded, prompt, made.shape[1])):
            raise AssertionError(f"{folder.name}: peft generates other tokens with a cache than without")
        if margin < 1e-3:
            raise AssertionError(f"{folder.name}: two tokens are nearly as likely; choose another seed")
        tensors |= {"greedy.input_ids": prompt, "greedy.new_ids": made, "greedy.margin": margin}
    save_tensors(folder / "expected.safetensors", tensors)
    (folder / "case.json").write_text(json.dumps({"base": case["base"]}, indent=2) + "\n")

    plain = load_base(base)
    with Float64Everywhere():
        wide = new_model(widen_base(plain), case).double()
        values = trained(model) | dict(model.prompt_encoder.named_parameters(prefix="prompt_encoder"))
        with torch.no_grad():
            for name, parameter in (trained(wide) | dict(wide.prompt_encoder.named_parameters(prefix="prompt_encoder"))).items():
                parameter.copy_(values[name])
        assert_float64(wide)
        logits64, loss64, gradients64 = run(wide, batch)
    text = logits[:, -base_logits.shape[1] :]
    print(
        f"{folder.name}: loss {loss.item():.4f}; float32 against float64: logits {deviation(logits, logits64):.1e}, "
        f"loss {deviation(loss, loss64):.1e}, gradients "
        f"{max(deviation(gradients[k], v) for k, v in gradients64.items()):.1e}; the prompt moves logits by "
        f"{(text - base_logits).abs().max().item():.2f}" + (f"; greedy margin {margin:.3f}" if case.get("greedy") else "")
    )


def make_package(root, path):
    table = json.loads(path.read_text())
    name = path.parent.name
    for number, (case, options) in enumerate(table["cases"].items()):
        folder = root / FOLDER / f"{name}-{case}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make_case(root, folder, options, options.get("seed", 800 + number))


TINY = PACKAGES.parent / "assets" / "tiny-llama" / "files"
TEXTS = (("Say what the text is about:", 20), ("In the beginning God created the heaven and the earth.", 4))


def make_initial_texts(root):
    """Which tokens of a text peft starts virtual tokens from, as ids."""
    found = []
    for text, count in TEXTS:
        base = load_base(TINY)
        config = peft.PromptTuningConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=count,
            prompt_tuning_init="TEXT",
            prompt_tuning_init_text=text,
            tokenizer_name_or_path=str(TINY),
        )
        table = base.get_input_embeddings().weight.detach().clone()
        rows = peft.get_peft_model(base, config).prompt_encoder["default"].embedding.weight
        ids = [int((table == row).all(dim=1).nonzero()[0]) for row in rows.detach()]
        found.append({"text": text, "count": count, "ids": ids})
    (root / FOLDER / "initial_texts.json").write_text(json.dumps(found, indent=2) + "\n")


def make_prompt_learning(root):
    (root / FOLDER).mkdir(exist_ok=True)
    make_initial_texts(root)
    for path in sorted(PACKAGES.glob("*/oracle-prompts.json")):
        make_package(root, path)


if __name__ == "__main__":
    from make_fixtures import FIXTURES, fix_environment

    fix_environment()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    make_initial_texts(FIXTURES)
    for wanted in sys.argv[1:]:
        make_package(FIXTURES, PACKAGES / wanted / "oracle-prompts.json")
