"""Shows that verify_adapter.py accepts what is right and rejects what is wrong: python -m unittest verify_adapter_test"""

import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
BASE = HERE / "fixtures" / "llama-gqa-tied"
CASE = HERE / "fixtures" / "lora-llama-gqa-tied-all-linear"
KEY = "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"


def verify(*arguments):
    done = subprocess.run(
        [sys.executable, HERE / "verify_adapter.py", *map(str, arguments)], capture_output=True, text=True
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None


class VerifyAdapterTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.adapter = Path(shutil.copytree(CASE / "adapter_start", self.folder / "adapter"))
        self.expected = Path(shutil.copy(CASE / "expected.safetensors", self.folder / "expected.safetensors"))

    def rewrite(self, file, change):
        tensors = load_file(file)
        change(tensors)
        save_file(tensors, file, metadata={"format": "pt"})

    def rejects(self, words, *arguments):
        code, report = verify(*(arguments or (BASE, self.adapter, self.expected)))
        self.assertEqual(code, 1)
        self.assertFalse(report["passed"])
        self.assertIn(words, json.dumps(report))

    def test_accepts_an_adapter_and_its_merged_model(self):
        from peft import PeftModel

        from bases import load_base

        merged = self.folder / "merged"
        PeftModel.from_pretrained(load_base(BASE), self.adapter).merge_and_unload().save_pretrained(merged)
        code, report = verify(BASE, self.adapter, self.expected, "--merged", merged)
        self.assertEqual((code, report["passed"]), (0, True), report)
        self.assertGreater(report["adapter"]["moved"], 0.1)
        code, report = verify("--merged", merged, self.expected)
        self.assertEqual((code, list(report)), (0, ["passed", "tolerance", "merged"]))

    def test_rejects_the_plain_base_as_merged_model(self):
        self.rejects("logits differ", "--merged", BASE, self.expected)

    def test_rejects_a_missing_key(self):
        self.rewrite(self.adapter / "adapter_model.safetensors", lambda tensors: tensors.pop(KEY))
        self.rejects(f"missing adapter key {KEY}")

    def test_rejects_an_unexpected_key(self):
        def rename(tensors):
            tensors[KEY.replace("lora_B", "lora_B.default")] = tensors.pop(KEY)

        self.rewrite(self.adapter / "adapter_model.safetensors", rename)
        self.rejects("unexpected adapter key")

    def test_rejects_a_transposed_weight(self):
        def transpose(tensors):
            tensors[KEY] = tensors[KEY].T.contiguous()

        self.rewrite(self.adapter / "adapter_model.safetensors", transpose)
        self.rejects("size mismatch")

    def test_rejects_an_unknown_config_key(self):
        file = self.adapter / "adapter_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "loraAlpha": 8}))
        self.rejects("adapter_config.json has unknown key loraAlpha")

    def test_rejects_a_config_without_a_key(self):
        file = self.adapter / "adapter_config.json"
        config = json.loads(file.read_text())
        del config["use_rslora"]
        file.write_text(json.dumps(config))
        self.rejects("adapter_config.json lacks use_rslora")

    def test_rejects_logits_beyond_the_tolerance(self):
        def nudge(tensors):
            tensors["logits"][0, 3, 7] += 2e-3

        self.rewrite(self.expected, nudge)
        self.rejects("logits differ")

    def test_passes_over_padding(self):
        def spoil(tensors):
            tensors["logits"][1, 9:] = 1000.0

        self.rewrite(self.expected, spoil)
        self.assertEqual(verify(BASE, self.adapter, self.expected)[0], 0)

    def test_tells_wrong_usage(self):
        self.assertEqual(verify(self.expected), (2, None))


if __name__ == "__main__":
    unittest.main()
