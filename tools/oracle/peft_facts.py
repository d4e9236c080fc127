"""Facts of the installed peft that are data, not numbers: its default config and its default targets."""

import json

import peft
from peft import LoraConfig, get_peft_model
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

from bases import load_base
from lora import save_adapter


def default_config():
    return LoraConfig(r=8, task_type="CAUSAL_LM")


def make_peft_facts(root):
    # As a config alone is saved: no base model known, targets still open.
    default_config().save_pretrained(root / "lora-config-defaults")
    # As a model saves it: targets from the model type, inference_mode set, base model named.
    saved = root / "lora-config-saved"
    save_adapter(get_peft_model(load_base(root / "llama-gqa-tied"), default_config()), saved)
    (saved / "adapter_model.safetensors").unlink()

    facts = {
        "peft_version": peft.__version__,
        "target_modules": TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING,
    }
    (root / "lora_target_modules.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
