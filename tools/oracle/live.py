"""The Python side of `npm run oracle`: adapters of peft for Graft to load, and Graft's adapters loaded by peft.

python live.py make JOBS.json       writes DIR/adapter and DIR/expected.safetensors for each job
python live.py verify JOBS.json     holds DIR/graft against peft, as verify_adapter.py does

JOBS is a list of {"dir", "base", "peft_type", "options", "seed"}. Prints one JSON object a job.
"""

import json
import sys
from pathlib import Path

from verify_adapter import attempt, check_adapter

import torch
from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftModel, get_peft_model
from safetensors.torch import load_file

import boft_blocks
from bases import load_base
from batches import padded_batch
from lora import save_adapter
from tensors import save_tensors

boft_blocks.install()


def make(job):
    folder, base, seed = Path(job["dir"]), Path(job["base"]), job["seed"]
    torch.manual_seed(seed)
    config = PEFT_TYPE_TO_CONFIG_MAPPING[job["peft_type"]](**job["options"])
    model = get_peft_model(load_base(base), config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    save_adapter(model, folder / "adapter")
    # What is saved counts: loaded anew.
    model = PeftModel.from_pretrained(load_base(base), folder / "adapter").eval()
    batch = {key: value for key, value in padded_batch(seed).items() if key != "labels"}
    with torch.no_grad():
        logits = model(**batch).logits
    if not torch.isfinite(logits).all():
        raise ValueError("what peft computes with it is not finite")
    save_tensors(folder / "expected.safetensors", {**batch, "logits": logits})
    return {"problems": []}


def verify(job):
    folder = Path(job["dir"]) / "graft"
    expected = load_file(folder / "expected.safetensors")
    found = check_adapter(Path(job["base"]), folder, expected, 1e-4)
    return {"problems": found["problems"], "relative": found.get("relative"), "moved": found["moved"]}


def main():
    torch.set_num_threads(1)
    do = {"make": make, "verify": verify}[sys.argv[1]]
    for job in json.loads(Path(sys.argv[2]).read_text()):
        print(json.dumps({"dir": job["dir"], **attempt(do, job)}), flush=True)


if __name__ == "__main__":
    main()
