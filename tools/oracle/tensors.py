"""Writes the tensors that tests compare against as one safetensors file."""

import torch
from safetensors.torch import save_file


def save_tensors(path, tensors):
    """Saves tensors contiguously; integers become int32 and scalars get shape [1]."""
    prepared = {}
    for key, value in tensors.items():
        tensor = torch.as_tensor(value).detach()
        if not tensor.is_floating_point():
            tensor = tensor.to(torch.int32)
        prepared[key] = tensor.reshape(1) if tensor.dim() == 0 else tensor.clone().contiguous()
    save_file(prepared, path)


def prefixed(prefix, tensors):
    return {f"{prefix}{key}": value for key, value in tensors.items()}


def deviation(actual, expected):
    """Largest |actual - expected| in units of the larger of |expected| and the root mean square of expected."""
    actual, expected = actual.double(), expected.double()
    rms = expected.square().mean().sqrt()
    scale = torch.maximum(expected.abs(), rms).clamp_min(torch.finfo(torch.float64).tiny)
    return ((actual - expected).abs() / scale).max().item()
