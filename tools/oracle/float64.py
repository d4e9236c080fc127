"""Runs a transformers model in true float64.

`model.double()` is not enough: RMSNorm, the rotary tables, the attention softmax and the loss name float32
explicitly. Inside this mode every request for float32 becomes a request for float64.
"""

import torch
from torch.overrides import TorchFunctionMode


def _widen(value):
    return torch.float64 if value is torch.float32 else value


class Float64Everywhere(TorchFunctionMode):
    def __enter__(self):
        self._default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        return super().__enter__()

    def __exit__(self, *exception):
        torch.set_default_dtype(self._default)
        return super().__exit__(*exception)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.Tensor.float:
            return args[0].double()
        # set_default_dtype and finfo must keep what they were given.
        if func is torch.set_default_dtype:
            return func(*args, **kwargs)
        return func(*map(_widen, args), **{key: _widen(value) for key, value in kwargs.items()})


def assert_float64(model):
    """Fails when a floating parameter or buffer of the model is narrower than float64."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and tensor.dtype is not torch.float64:
            raise AssertionError(f"{name} is {tensor.dtype}, expected float64")
