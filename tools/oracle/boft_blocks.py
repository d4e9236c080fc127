"""peft's BOFT needs a CUDA extension for more than one factor: it puts blocks on the diagonal of a matrix.

This is that function without CUDA; the rest of BOFT runs as peft has it.
"""

import peft.tuners.boft.layer as layer
import torch


class Blocks:
    """`fbd_cuda`: blocks [factors, count, size, size] to matrices [factors, count * size, count * size]."""

    @staticmethod
    def forward(blocks):
        return [torch.stack([torch.block_diag(*factor) for factor in blocks])]

    @staticmethod
    def backward(gradient, blocks):
        factors, count, size, _ = blocks.shape
        parts = gradient.reshape(factors, count, size, count, size)
        return [torch.stack([parts[:, i, :, i] for i in range(count)], dim=1)]


def install():
    layer._FBD_CUDA = Blocks
