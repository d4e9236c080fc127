"""LoRA steps by PyTorch and Hugging Face PEFT on the processor, as tools/bench/pytorch.ts asks for them.

One JSON object a line on stdin: id, method and arguments; the answers on stdout, after a first one with the versions.
The base and the adapter are read from the folders that Graft wrote.
"""

import json
import resource
import sys
import time

import peft
import torch
import transformers

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


class LoraStep:
    def __init__(self, task):
        base = transformers.AutoModelForCausalLM.from_pretrained(
            task["base"], dtype=torch.float32, attn_implementation="sdpa"
        )
        self.model = peft.PeftModel.from_pretrained(base, task["adapter"], is_trainable=True)
        self.model.train()
        self.model.config.use_cache = False
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained, lr=task["learningRate"], betas=(0.9, 0.999), eps=1e-8, weight_decay=0
        )
        self.task = task

    def step(self):
        ids = torch.tensor(self.task["ids"]).view(self.task["batch"], self.task["tokens"])
        loss = self.model(input_ids=ids, labels=ids).loss
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()


class Host:
    def __init__(self):
        self.tasks = {}

    def prepare(self, task, kind, input):
        self.tasks[task] = {"loraStep": LoraStep}[kind](input)

    def run(self, task, times):
        start = time.perf_counter()
        for _ in range(times):
            self.tasks[task].step()
        return (time.perf_counter() - start) * 1000

    def values(self, task):
        step = self.tasks[task]
        return [step.step() for _ in range(step.task["steps"])]

    def release(self, task):
        del self.tasks[task]

    def peakBytes(self):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def answer(message):
    print(json.dumps(message), flush=True)


host = Host()
answer(
    {
        "version": f"PyTorch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}, "
        f"{torch.get_num_threads()} threads"
    }
)
for line in sys.stdin:
    call = json.loads(line)
    number, method = call.pop("id"), call.pop("method")
    try:
        answer({"id": number, "result": getattr(host, method)(**call)})
    except Exception as error:  # what the library says is what the table says
        answer({"id": number, "error": f"{type(error).__name__}: {error}"})
