"""Makes every fixture that the tests compare against. See README.md.

python make_fixtures.py            writes fixtures/ anew
python make_fixtures.py --check    makes them elsewhere and fails when a byte differs from fixtures/
"""

import argparse
import filecmp
import os
import shutil
import sys
import tempfile
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"
# Made by adapterhub.py, in an environment of its own.
ELSEWHERE = "adapterhub"


def fix_environment():
    """Restarts Python where the order of sets, which peft writes to its config, would be random."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        environment = {**os.environ, "PYTHONHASHSEED": "0", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def make(root):
    import torch

    from adalora_schedule import make_adalora_schedule
    from bases import make_bases
    from combinations import make_combinations
    from encoder_adapters import make_encoder_adapters
    from encoders import make_encoders
    from kmeans import make_kmeans
    from lora import make_lora
    from lora_batches import make_lora_batches
    from lora_starts import make_lora_starts
    from methods import make_methods
    from numpy_random import make_numpy_random
    from optimizers import make_optimizers
    from peft_facts import make_peft_facts
    from prompt_learning import make_prompt_learning
    from quantization import make_quantization
    from rotary import make_rotary
    from seq2seq import make_seq2seq
    from target_matching import make_target_matching
    from torch_random import make_torch_random
    from xlora import make_xlora

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    make_bases(root)
    make_seq2seq(root)
    make_encoders(root)
    make_encoder_adapters(root)
    make_lora(root)
    make_lora_starts(root)
    make_lora_batches(root)
    make_xlora(root)
    make_methods(root)
    make_combinations(root)
    make_prompt_learning(root)
    make_peft_facts(root)
    make_rotary(root)
    make_target_matching(root)
    make_torch_random(root)
    make_numpy_random(root)
    make_kmeans(root)
    make_adalora_schedule(root)
    make_optimizers(root)
    make_quantization(root)


def differences(made, kept):
    names = {str(path.relative_to(folder)) for folder in (made, kept) for path in folder.rglob("*") if path.is_file()}
    names = {name for name in names if not name.startswith(f"{ELSEWHERE}/")}
    _, different, missing = filecmp.cmpfiles(made, kept, names, shallow=False)
    return sorted([*different, *missing])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "fixtures"
        made.mkdir()
        make(made)
        size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
        print(f"total {size / 2**20:.2f} MiB")
        if check:
            found = differences(made, FIXTURES)
            for name in found:
                print(f"differs: {name}", file=sys.stderr)
            return 1 if found else 0
        for old in FIXTURES.iterdir():
            if old.is_dir() and old.name != ELSEWHERE:
                shutil.rmtree(old)
        shutil.copytree(made, FIXTURES, dirs_exist_ok=True)
    return 0


if __name__ == "__main__":
    fix_environment()
    sys.exit(main())
