"""Holds an adapter, or a merged model, that Graft wrote against transformers and peft.

python verify_adapter.py BASE_DIR ADAPTER_DIR EXPECTED.safetensors
python verify_adapter.py --merged DIR EXPECTED.safetensors
python verify_adapter.py BASE_DIR ADAPTER_DIR EXPECTED.safetensors --merged DIR

EXPECTED holds `input_ids` [rows, tokens], optionally `attention_mask`, and the `logits` [rows, tokens, vocabulary]
that Graft computed, virtual tokens first where there are any; positions with mask 0 are not compared. Prints one JSON
object. Exit code 0: everything agrees; 1: something differs or is missing; 2: wrong usage.
"""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftConfig, PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tensors import deviation

# What peft says when it meets keys of a config or of the weights that do not fit.
SUSPICIOUS = ("missing", "unexpected", "not found", "ignored", "not used", "mismatch")


def load_weights(folder):
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{folder}: no model*.safetensors")
    weights = {}
    for file in files:
        weights |= load_file(file)
    return weights


def load_model(folder):
    """The model in float32, and what of its files does not fit it."""
    model, loading = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation="eager",
        output_loading_info=True,
        local_files_only=True,
    )
    tied = set(getattr(model, "all_tied_weights_keys", {}) or {})
    stored, expected = set(load_weights(folder)), set(model.state_dict())
    problems = [f"missing weight {key}" for key in sorted(expected - stored - tied)]
    problems += [f"unexpected weight {key}" for key in sorted(stored - expected)]
    for kind, keys in loading.items():
        if kind != "missing_keys":
            problems += [f"{kind}: {key}" for key in sorted(map(str, keys))]
    return model.eval(), problems


def load_adapter(model, folder):
    """The adapter on the model, and what of its files does not fit."""
    stored_config = json.loads((folder / "adapter_config.json").read_text())
    stored = load_file(folder / "adapter_model.safetensors")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        known = set(PeftConfig.from_pretrained(folder).to_dict())
        model = PeftModel.from_pretrained(model, folder).eval()
    said = [str(warning.message) for warning in caught]
    problems = [f"peft warned: {text}" for text in said if any(word in text.lower() for word in SUSPICIOUS)]

    if stored_config.get("peft_type") in PEFT_TYPE_TO_CONFIG_MAPPING:
        problems += [f"adapter_config.json lacks {key}" for key in sorted(known - set(stored_config))]
    problems += [f"adapter_config.json has unknown key {key}" for key in sorted(set(stored_config) - known)]

    loaded = get_peft_model_state_dict(model, save_embedding_layers=False)
    problems += [f"missing adapter key {key}" for key in sorted(set(loaded) - set(stored))]
    problems += [f"unexpected adapter key {key}" for key in sorted(set(stored) - set(loaded))]
    for key in sorted(set(loaded) & set(stored)):
        if loaded[key].shape != stored[key].shape:
            problems.append(f"{key}: shape {list(stored[key].shape)}, peft has {list(loaded[key].shape)}")
        elif not torch.equal(loaded[key].float(), stored[key].float()):
            problems.append(f"{key}: peft holds other values than the file")
    return model, problems, sorted(stored)


def compare(model, expected, tolerance):
    ids = expected["input_ids"].long()
    mask = expected.get("attention_mask", torch.ones_like(ids)).long()
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits
    given = expected["logits"]
    if given.shape != logits.shape:
        return {"problems": [f"logits have shape {list(given.shape)}, transformers gives {list(logits.shape)}"]}
    # Virtual tokens stand in front of the text.
    front = torch.ones(len(ids), logits.shape[1] - ids.shape[1], dtype=mask.dtype)
    seen = torch.cat((front, mask), dim=1).bool()
    given, logits = given[seen], logits[seen]
    if not torch.isfinite(given).all():
        return {"problems": ["logits in the file are not finite"]}
    relative = deviation(given, logits)
    problems = [] if relative <= tolerance else [f"logits differ by {relative:.3e} relative, allowed {tolerance:.0e}"]
    return {
        "problems": problems,
        "relative": relative,
        "absolute": (given.double() - logits.double()).abs().max().item(),
        "positions": int(seen.sum()),
    }


def check_adapter(base, adapter, expected, tolerance):
    model, problems = load_model(base)
    with torch.no_grad():
        base_logits = model(input_ids=expected["input_ids"].long()).logits
    model, adapter_problems, keys = load_adapter(model, adapter)
    result = compare(model, expected, tolerance)
    with torch.no_grad():
        text = model(input_ids=expected["input_ids"].long()).logits[:, -base_logits.shape[1] :]
        moved = deviation(text, base_logits)
    return {**result, "problems": [*problems, *adapter_problems, *result["problems"]], "moved": moved, "keys": keys}


def check_merged(folder, expected, tolerance):
    model, problems = load_model(folder)
    result = compare(model, expected, tolerance)
    return {**result, "problems": [*problems, *result["problems"]]}


def attempt(check, *arguments):
    """A file that cannot be read or does not fit is a finding, not a crash."""
    try:
        return check(*arguments)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        return {"problems": [f"{type(error).__name__}: {error}"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="[BASE_DIR ADAPTER_DIR] EXPECTED.safetensors")
    parser.add_argument("--merged", type=Path, metavar="DIR")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="relative, default 1e-4")
    arguments = parser.parse_args()
    if len(arguments.paths) not in ((1, 3) if arguments.merged else (3,)):
        parser.error("give BASE_DIR ADAPTER_DIR EXPECTED.safetensors, or --merged DIR EXPECTED.safetensors")
    torch.set_num_threads(1)

    *adapter, expected_path = arguments.paths
    report = {}
    try:
        expected = load_file(expected_path)
        lacking = sorted({"input_ids", "logits"} - set(expected))
        if lacking:
            raise KeyError(f"{expected_path} lacks {', '.join(lacking)}")
    except (OSError, KeyError, SafetensorError) as error:
        report["expected"] = {"problems": [f"{type(error).__name__}: {error}"]}
    else:
        if adapter:
            report["adapter"] = attempt(check_adapter, *adapter, expected, arguments.tolerance)
        if arguments.merged:
            report["merged"] = attempt(check_merged, arguments.merged, expected, arguments.tolerance)
    passed = not any(part["problems"] for part in report.values())
    print(json.dumps({"passed": passed, "tolerance": arguments.tolerance, **report}, indent=2))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
