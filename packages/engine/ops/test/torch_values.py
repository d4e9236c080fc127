"""Writes torch-values.json: inputs, results and gradients of operations, computed by PyTorch and transformers in float64.

Run with the Python environment of tools/oracle: python torch_values.py
"""

import base64
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

torch.manual_seed(0)
cases = {}


def draw(*shape):
    """Values that float32 holds exactly, so that both sides start from the same numbers."""
    return torch.randn(*shape).double().requires_grad_()


def plain(t):
    bytes64 = t.detach().contiguous().numpy().tobytes()
    return {"shape": list(t.shape), "float64": base64.b64encode(bytes64).decode()}


def case(name, inputs, y):
    """`inputs` in the order of the operation's; the gradients are those of sum(y * cotangent)."""
    cotangent = torch.randn(*y.shape).double()
    grads = torch.autograd.grad((y * cotangent).sum(), inputs)
    cases[name] = {
        "inputs": [plain(t) for t in inputs],
        "output": plain(y),
        "cotangent": plain(cotangent),
        "gradients": [plain(g) for g in grads],
    }


x = draw(3, 7)
case("softmax", [x], F.softmax(x, -1))
x, w = draw(2, 3, 8), draw(8)
case("rmsNorm", [x, w], F.rms_norm(x, (8,), w, eps=1e-5))
x = draw(4, 5)
case("gelu", [x], F.gelu(x))
case("geluTanh", [x], F.gelu(x, approximate="tanh"))
gate, up = draw(4, 5), draw(4, 5)
case("swiglu", [gate, up], F.silu(gate) * up)

logits = draw(4, 6)
case("crossEntropy", [logits], F.cross_entropy(logits, torch.tensor([2, 0, -100, 5]), reduction="none"))

x = draw(2, 3, 5, 8)
angles = torch.randn(5, 4).double()
full = torch.cat([angles, angles], -1)
case("rotary", [x], apply_rotary_pos_emb(x, x, full.cos(), full.sin(), unsqueeze_dim=0)[0])
cases["rotary"]["angles"] = plain(angles)

q, k, v = draw(2, 4, 5, 8), draw(2, 2, 5, 8), draw(2, 2, 5, 8)
case("attention", [q, k, v], F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))
seen = torch.ones(5, 5).tril() * (1 - torch.ones(5, 5).tril(-3))
case("attentionWindow", [q, k, v], F.scaled_dot_product_attention(q, k, v, attn_mask=seen.bool(), enable_gqa=True))
mask = torch.tensor([[1, 1, 0, 1, 1], [1, 1, 1, 0, 0]]).bool()[:, None, None, :]
case("attentionKeyMask", [q, k, v], F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True))

p = torch.nn.Parameter(torch.randn(6).double())
options = {"lr": 0.01, "weight_decay": 0.1, "betas": (0.9, 0.99), "eps": 1e-6}
optimizer = torch.optim.AdamW([p], **options)
start, grads, norms, params = plain(p), [], [], []
for _ in range(3):
    p.grad = 3 * torch.randn(6).double()
    grads.append(plain(p.grad))
    norms.append(torch.nn.utils.clip_grad_norm_([p], 2.0).item())
    optimizer.step()
    params.append(plain(p))
cases["adamw"] = {"start": start, "gradients": grads, "norms": norms, "params": params}

x, w, b = draw(2, 3, 8), draw(8), draw(8)
case("layerNorm", [x, w, b], F.layer_norm(x, (8,), w, b, eps=1e-5))
case("layerNormPlain", [x], F.layer_norm(x, (8,), eps=1e-5))

q, k, v = draw(2, 4, 5, 8), draw(2, 2, 5, 8), draw(2, 2, 5, 8)
scores = 1.5 * torch.tanh(q @ k.repeat_interleave(2, 1).transpose(-1, -2) / 8**0.5 / 1.5)
scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf)
case("attentionSoftcap", [q, k, v], F.softmax(scores, -1) @ v.repeat_interleave(2, 1))

Path(__file__).with_name("torch-values.json").write_text(json.dumps(cases, indent=2) + "\n")
