"""How peft starts LoRA's A and B from the base's weights and from data, and what training and saving make of them.

python lora_starts.py      makes these fixtures alone
"""

import inspect
import json
import shutil
import tempfile

import torch
from peft import EvaConfig, LoraConfig, get_peft_model, initialize_lora_eva_weights
from peft.tuners.lora.config import CordaConfig, LoraGAConfig
from peft.tuners.lora.corda import preprocess_corda
from peft.tuners.lora import layer as peft_layers
from peft.tuners.lora.loraga import preprocess_loraga
from peft.utils import loftq_utils

from bases import load_base
from batches import padded_batch
from lora import save_adapter
from tensors import save_tensors

FOLDER = "lora-starts"
LLAMA = ["q_proj", "v_proj", "down_proj"]
CASES = {
    "pissa": dict(init_lora_weights="pissa", lora_alpha=6),
    # So many iterations that what was drawn at random does not matter any more.
    "pissa-iterations": dict(init_lora_weights="pissa_niter_200", target_modules=["q_proj", "v_proj"]),
    "pissa-patterns": dict(
        init_lora_weights="pissa", rank_pattern={"q_proj": 3}, alpha_pattern={"down_proj": 5}, use_dora=True
    ),
    "pissa-rslora": dict(init_lora_weights="pissa", use_rslora=True),
    "pissa-gpt2": dict(init_lora_weights="pissa", target_modules=["c_attn", "c_proj"]),
    "olora": dict(init_lora_weights="olora", lora_alpha=6),
    "mica": dict(init_lora_weights="mica"),
    "corda-ipm": dict(init_lora_weights="corda", corda_config=CordaConfig(corda_method="ipm")),
    "corda-kpm": dict(init_lora_weights="corda", corda_config=CordaConfig(corda_method="kpm"), lora_alpha=6),
    "lora-ga-stable": dict(init_lora_weights="lora_ga", r=8, lora_ga_config=LoraGAConfig()),
    "lora-ga-weight": dict(
        init_lora_weights="lora_ga", r=8, lora_ga_config=LoraGAConfig(direction="A2rBr", scale="weight_svd")
    ),
    "lora-ga-descent": dict(
        init_lora_weights="lora_ga", r=8, lora_ga_config=LoraGAConfig(direction="ArBr", scale="gd_scale")
    ),
    "eva": dict(init_lora_weights="eva", r=8, eva_config=EvaConfig(rho=2.0)),
    # One layer for each input: peft whitens what layers share once for each of them.
    "eva-whiten": dict(
        init_lora_weights="eva",
        r=8,
        target_modules=["q_proj", "down_proj"],
        eva_config=EvaConfig(rho=1.5, whiten=True, adjust_scaling_factors=False, use_label_mask=False),
    ),
    "loftq": dict(init_lora_weights="loftq", lora_alpha=4, loftq_config=dict(loftq_bits=4, loftq_iter=1)),
    "loftq-iterations": dict(
        init_lora_weights="loftq", lora_alpha=6, loftq_config=dict(loftq_bits=4, loftq_iter=4), rank_pattern={"q_proj": 3}
    ),
}
STEPS = dict(steps=3, learning_rate=0.02)


def compute_loftq_on_the_processor():
    """peft computes LoftQ on a device of its own choice."""
    source = inspect.getsource(loftq_utils.loftq_init).replace('"xpu" if is_xpu_available() else "cuda"', '"cpu"')
    exec(compile(source, loftq_utils.__file__, "exec"), vars(loftq_utils))
    peft_layers.loftq_init = loftq_utils.loftq_init


def started(base_folder, config, batches):
    base = load_base(base_folder)
    if config.init_lora_weights == "corda":

        def run_model():
            for batch in batches:
                for row, mask in zip(batch["input_ids"], batch["attention_mask"]):
                    base(input_ids=row[None, : int(mask.sum())])

        preprocess_corda(base, config, run_model=run_model)
    if config.init_lora_weights == "lora_ga":

        def train_step():
            for batch in batches:
                base(**batch).loss.backward()

        preprocess_loraga(base, config, train_step)
    model = get_peft_model(base, config).eval()
    if config.init_lora_weights == "eva":
        initialize_lora_eva_weights(model, batches, show_progress_bar=False)
    return model


def train(model, batch):
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=STEPS["learning_rate"])
    for _ in range(STEPS["steps"]):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()


def make_case(root, folder, name, options, seed):
    base = "gpt2" if "gpt2" in name else "llama-gqa-untied"
    base_folder = root / base
    batches = [padded_batch(seed + i, lengths=(12, 10), ignored=((0, 3), (0,))) for i in range(2)]
    torch.manual_seed(seed)
    config = LoraConfig(**{"task_type": "CAUSAL_LM", "r": 4, "target_modules": LLAMA, **options})
    model = started(base_folder, config, batches)
    tensors = {f"batch.{i}.{key}": value for i, batch in enumerate(batches) for key, value in batch.items()}
    for path, module in model.named_modules():
        if hasattr(module, "lora_A") and module.lora_A:
            path = path.removeprefix("base_model.model.")
            tensors[f"a.{path}"] = module.lora_A["default"].weight.detach().clone()
            tensors[f"b.{path}"] = module.lora_B["default"].weight.detach().clone()
    with torch.no_grad():
        tensors["base_logits"] = load_base(base_folder)(**batches[0]).logits
        tensors["logits"] = model(**batches[0]).logits
    changed = config.init_lora_weights.split("_niter")[0] in ("pissa", "olora", "corda", "lora_ga")
    convertible = changed and not config.use_dora
    with tempfile.TemporaryDirectory() as initial:
        if changed:
            config.init_lora_weights = True
            model.save_pretrained(f"{initial}/start", save_embedding_layers=False)
            config.init_lora_weights = options["init_lora_weights"]
        train(model, batches[0])
        with torch.no_grad():
            tensors["after.logits"] = model(**batches[0]).logits
        if name == "pissa" or name.startswith("loftq"):
            save_adapter(model, folder / name / "adapter")
        if convertible:
            where = folder / name / "converted"
            model.save_pretrained(
                where, path_initial_model_for_weight_conversion=f"{initial}/start", save_embedding_layers=False
            )
            (where / "README.md").unlink()
            (where / "adapter_model.safetensors").unlink()
        if options["init_lora_weights"] == "eva":
            save_adapter(model, folder / name / "saved")
            (folder / name / "saved" / "adapter_model.safetensors").unlink()
    (folder / name).mkdir(exist_ok=True, parents=True)
    save_tensors(folder / name / "expected.safetensors", tensors)
    case = {key: value for key, value in vars(config).items() if key in ("r", "lora_alpha", "use_rslora", "use_dora")}
    case |= {"init_lora_weights": options["init_lora_weights"], "target_modules": sorted(config.target_modules)}
    if options["init_lora_weights"] != "eva":
        case |= {"rank_pattern": config.rank_pattern, "alpha_pattern": config.alpha_pattern}
    for key in ("corda_config", "eva_config", "loftq_config", "lora_ga_config"):
        value = options.get(key)
        if value is not None:
            case[key] = value if isinstance(value, dict) else vars(value)
    (folder / name / "case.json").write_text(json.dumps({"base": base, "config": case, **STEPS}, indent=2) + "\n")
    moved = (tensors["after.logits"] - tensors["logits"]).abs().max().item()
    start = (tensors["base_logits"] - tensors["logits"]).abs().max().item()
    print(f"{FOLDER}/{name}: start off by {start:.1e}, training moves logits by {moved:.2f}")


def make_lora_starts(root):
    compute_loftq_on_the_processor()
    folder = root / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, (name, options) in enumerate(CASES.items()):
        make_case(root, folder, name, options, seed=800 + 10 * number)


if __name__ == "__main__":
    from make_fixtures import FIXTURES, fix_environment

    fix_environment()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    make_lora_starts(FIXTURES)
