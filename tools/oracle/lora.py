"""What peft computes with LoRA on the tiny bases: forward, gradients, ten optimizer steps, files."""

import copy
import json

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import get_cosine_schedule_with_warmup

from bases import load_base, widen_base
from batches import padded_batch, supervised_tokens
from float64 import Float64Everywhere, assert_float64
from tensors import deviation, prefixed, save_tensors

LORA_BASES = ("llama-gqa-tied", "llama-gqa-untied", "qwen2")
CASES = {
    "qv": dict(target_modules=["q_proj", "v_proj"]),
    "all-linear": dict(target_modules="all-linear"),
    "rslora": dict(target_modules=r".*\.self_attn\.(q|k|v|o)_proj", use_rslora=True),
}
# What of LoraConfig the cases above leave at its default, each where it matters: biases of base layers, other scales.
MORE_CASES = {
    ("llama-gqa-untied", "dora"): dict(target_modules="all-linear", use_dora=True),
    ("qwen2", "dora"): dict(target_modules="all-linear", use_dora=True),
    ("llama-biases", "dora-rslora"): dict(target_modules=["o_proj", "up_proj"], use_dora=True, use_rslora=True),
    ("llama-biases", "lora-bias"): dict(target_modules=["q_proj", "o_proj", "down_proj"], lora_bias=True),
    ("llama-biases", "patterns"): dict(
        target_modules=["q_proj", "k_proj", "down_proj"],
        exclude_modules=["k_proj"],
        layers_to_transform=[1],
        rank_pattern={"q_proj": 2},
        alpha_pattern={r"mlp\.down_proj": 5},
        bias="lora_only",
        modules_to_save=["lm_head"],
    ),
    ("qwen2", "all-biases"): dict(target_modules=["v_proj"], bias="all"),
    # Layers that store weights as [in, out]: peft finds it out.
    ("gpt2", "default"): dict(),
    ("gpt2", "all-linear"): dict(target_modules="all-linear", use_rslora=True),
}
TRAINING = dict(
    steps=10,
    optimizer="AdamW",
    learning_rate=1e-3,
    betas=[0.9, 0.999],
    eps=1e-8,
    weight_decay=0.01,
    max_grad_norm=1.0,
    schedule="cosine with warmup",
    warmup_steps=3,
)


def adapter_config(options):
    return LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, **options)


def disk_state(model):
    return get_peft_model_state_dict(model, save_embedding_layers=False)


def disk_gradients(model):
    """Gradients by the key that their parameter has on disk, where not all that is saved is trained."""
    owners = {parameter.data_ptr(): parameter for parameter in model.parameters() if parameter.requires_grad}
    saved = {key: owners.get(value.data_ptr()) for key, value in disk_state(model).items()}
    found = {key: owner.grad.clone() for key, owner in saved.items() if owner is not None}
    if len(found) != len(owners):
        raise AssertionError(f"{len(owners)} trainable parameters, but {len(found)} on disk")
    return found


def save_adapter(model, folder):
    model.save_pretrained(folder, save_embedding_layers=False)
    # The model card tells nothing of the adapter that its config does not.
    (folder / "README.md").unlink()


def make_start(base_folder, options, seed, folder):
    """A fresh adapter with B away from zero, since a zero B gives A no gradient, and magnitudes off the norms."""
    torch.manual_seed(seed)
    model = get_peft_model(load_base(base_folder), adapter_config(options))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.1, generator=generator)
            if "lora_magnitude_vector" in name:
                parameter.mul_(1.0 + 0.2 * torch.randn(parameter.shape, generator=generator))
    save_adapter(model, folder)


def load_adapter(base_folder, folder):
    return PeftModel.from_pretrained(load_base(base_folder), folder, is_trainable=True).eval()


def widen_adapter(base, source):
    """The adapter of `source` on a float64 copy of `base`. Must be called inside Float64Everywhere."""
    model = get_peft_model(widen_base(base), copy.deepcopy(source.peft_config["default"]))
    model = model.double().eval()
    set_peft_model_state_dict(model, {key: value.double() for key, value in disk_state(source).items()})
    assert_float64(model)
    return model


def train(model, batch):
    """Ten steps on one batch: losses, gradient norms before clipping, and the learning rate each step used."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        trainable,
        lr=TRAINING["learning_rate"],
        betas=tuple(TRAINING["betas"]),
        eps=TRAINING["eps"],
        weight_decay=TRAINING["weight_decay"],
    )
    schedule = get_cosine_schedule_with_warmup(optimizer, TRAINING["warmup_steps"], TRAINING["steps"])
    losses, norms, rates = [], [], []
    for _ in range(TRAINING["steps"]):
        optimizer.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        losses.append(loss.detach())
        norms.append(torch.nn.utils.clip_grad_norm_(trainable, TRAINING["max_grad_norm"]))
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return torch.stack(losses), torch.stack(norms), torch.tensor(rates, dtype=torch.float64)


def run(model, batch):
    output = model(**batch)
    model.zero_grad()
    output.loss.backward()
    return output.logits.detach(), output.loss.detach(), disk_gradients(model)


def make_case(root, base, case, options, seed):
    base_folder, folder = root / base, root / f"lora-{base}-{case}"
    start = folder / "adapter_start"
    make_start(base_folder, options, seed, start)
    batch = padded_batch(seed, ignored=((0, 1, 2, 7), (0, 1)))

    with torch.no_grad():
        base_logits = load_base(base_folder)(**batch).logits
        merged_logits = load_adapter(base_folder, start).merge_and_unload()(**batch).logits

    model = load_adapter(base_folder, start)
    logits, loss, grads = run(model, batch)
    losses, norms, rates = train(model, batch)
    after = {key: value.clone() for key, value in disk_state(model).items()}
    save_adapter(model, folder / "adapter_after")
    with torch.no_grad():
        after_logits = model(**batch).logits

    plain, source = load_base(base_folder), load_adapter(base_folder, start)
    with Float64Everywhere():
        model64 = widen_adapter(plain, source)
        logits64, loss64, grads64 = run(model64, batch)
        losses64, norms64, _ = train(model64, batch)
        after64 = {key: value.clone() for key, value in disk_state(model64).items()}

    save_tensors(
        folder / "expected.safetensors",
        {
            **batch,
            "base_logits": base_logits,
            "logits": logits,
            "logits64": logits64,
            "merged_logits": merged_logits,
            "loss": loss,
            "loss64": loss64,
            **prefixed("grad.", grads),
            **prefixed("grad64.", grads64),
            "train.losses": losses,
            "train.losses64": losses64,
            "train.grad_norms": norms,
            "train.grad_norms64": norms64,
            "train.learning_rates": rates,
            "after.logits": after_logits,
            **prefixed("after64.", after64),
        },
    )
    (folder / "case.json").write_text(json.dumps({"base": base, "training": TRAINING}, indent=2) + "\n")
    print(
        f"{folder.name}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, gradient norm {norms[0]:.3f}; float32 against "
        f"float64: logits {deviation(logits, logits64):.1e}, merged {deviation(merged_logits, logits64):.1e}, "
        f"gradients {max(deviation(grads[k], v) for k, v in grads64.items()):.1e}, "
        f"losses {deviation(losses, losses64):.1e}, "
        f"weights after {max(deviation(after[k], v) for k, v in after64.items()):.1e}; "
        f"adapter moves logits by {deviation(logits, base_logits):.1e}"
    )


def make_accumulation(root, base="llama-gqa-tied", case="qv", seed=400):
    """Two micro-batches with different numbers of supervised tokens; one mean over the tokens of both."""
    folder = root / "lora-accumulation"
    folder.mkdir()
    adapter = root / f"lora-{base}-{case}" / "adapter_start"
    batches = [
        padded_batch(seed, lengths=(12, 9), ignored=((4, 5), (3,))),
        padded_batch(seed + 1, lengths=(7, 4), ignored=((0, 1, 2, 3), (2,))),
    ]
    counts = [supervised_tokens(batch) for batch in batches]
    if counts[0] == counts[1]:
        raise AssertionError("the micro-batches must differ in supervised tokens")

    def accumulate(model):
        losses = []
        for batch in batches:
            part = model(**batch, num_items_in_batch=sum(counts)).loss
            part.backward()
            losses.append(part.detach())
        grads = disk_gradients(model)
        with torch.no_grad():
            means = torch.stack([model(**batch).loss for batch in batches])
        return torch.stack(losses).sum(), means, grads

    plain, source = load_base(root / base), load_adapter(root / base, adapter)
    loss, means, grads = accumulate(source)
    with Float64Everywhere():
        loss64, means64, grads64 = accumulate(widen_adapter(plain, source))
    weighted = (means64 * torch.tensor(counts)).sum() / sum(counts)
    if not torch.allclose(weighted, loss64, rtol=1e-12):
        raise AssertionError("the accumulated loss is not the mean over the tokens of both micro-batches")

    tensors = {
        "loss": loss,
        "loss64": loss64,
        "micro_losses": means,
        "micro_losses64": means64,
        "supervised_tokens": torch.tensor(counts),
        **prefixed("grad.", grads),
        **prefixed("grad64.", grads64),
    }
    for index, batch in enumerate(batches):
        tensors |= prefixed(f"micro.{index}.", batch)
    save_tensors(folder / "expected.safetensors", tensors)
    where = {"base": base, "adapter": f"lora-{base}-{case}/adapter_start"}
    (folder / "case.json").write_text(json.dumps(where, indent=2) + "\n")
    print(
        f"lora-accumulation: supervised tokens {counts}, loss {loss.item():.4f}, gradients float32 against float64 "
        f"{max(deviation(grads[k], v) for k, v in grads64.items()):.1e}"
    )


def make_lora(root):
    seed = 300
    for base in LORA_BASES:
        for case, options in CASES.items():
            make_case(root, base, case, options, seed)
            seed += 1
    for seed, ((base, case), options) in enumerate(MORE_CASES.items(), start=560):
        make_case(root, base, case, options, seed)
    make_accumulation(root)
