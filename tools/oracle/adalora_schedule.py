"""How PEFT's AdaLoRA takes ranks away: gradients, and the singular values after each step of plain SGD."""

import json

import torch
from peft import AdaLoraConfig, get_peft_model

CASES = {
    "every step": dict(tinit=1, tfinal=2, deltaT=1, total_step=10),
    "every third step": dict(tinit=2, tfinal=3, deltaT=3, total_step=14),
}
RATE = 0.05


class TwoLayers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(5, 6)
        self.second = torch.nn.Linear(6, 3)

    def forward(self, x):
        return self.second(self.first(x))


def run(schedule, seed):
    torch.manual_seed(seed)
    config = AdaLoraConfig(
        init_r=4, target_r=2, target_modules=["first", "second"], init_lora_weights=False, beta1=0.7, beta2=0.6, **schedule
    )
    model = get_peft_model(TwoLayers(), config)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(parameters.values(), lr=RATE)
    start = {name: p.detach().flatten().tolist() for name, p in parameters.items()}
    steps = []
    for step in range(1, schedule["total_step"] + 1):
        for p in parameters.values():
            p.grad = torch.randn(p.shape)
        gradients = {name: p.grad.flatten().tolist() for name, p in parameters.items()}
        optimizer.step()
        model.base_model.update_and_allocate(step)
        values = {name: p.detach().flatten().tolist() for name, p in parameters.items() if "lora_E" in name}
        steps.append({"gradients": gradients, "values": values})
    shapes = {name: list(p.shape) for name, p in parameters.items()}
    return {"schedule": schedule, "rate": RATE, "shapes": shapes, "start": start, "steps": steps}


def make_adalora_schedule(root):
    cases = {name: run(schedule, 50 + number) for number, (name, schedule) in enumerate(CASES.items())}
    (root / "adalora-schedule.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")
