"""RMSNorm with its gradient written out, for training on a CPU.

Transformers composes the norm from five operations, and autograd its gradient from a dozen passes over memory: on a
CPU nothing fuses them. Here it is three passes forward and six back.
Values and gradients are equal up to rounding.

Source: Zhang and Sennrich 2019 (arXiv 1910.07467) eq. 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.mistral.modeling_mistral import MistralRMSNorm
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

NORMS: tuple[Any, ...] = (LlamaRMSNorm, MistralRMSNorm, Qwen2RMSNorm, Qwen3RMSNorm)
"""Those of transformers that are x · rsqrt(mean(x²) + ε) · w; others, such as Gemma's, scale by 1 + w."""


class RMSNorm(torch.autograd.Function):
    """x `(…, D)`, w `(D,)`, ε -> `(…, D)`."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight_D: torch.Tensor, epsilon: float) -> torch.Tensor:
        scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        unit = x * scale
        ctx.save_for_backward(unit, scale, weight_D)
        return unit * weight_D

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[override]  # the decorator hides the names of its arguments
        ctx: Any, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        unit, scale, weight_D = ctx.saved_tensors
        at_weight = gradient * unit
        # What the norm takes away: the part of the gradient along x itself.
        along = torch.matmul(at_weight, weight_D).div_(-unit.shape[-1]).unsqueeze(-1)
        at_x = (gradient * weight_D).addcmul_(unit, along).mul_(scale)
        return at_x, at_weight.reshape(-1, unit.shape[-1]).sum(0), None


def write_out_gradients() -> Callable[[], None]:
    """Have transformers' norms use `RMSNorm` where it pays, in this process: with gradient, in fp32 on a CPU.

    Returns:
        What makes them as they were before.
    """
    before = [norm.forward for norm in NORMS]
    for norm in NORMS:
        if norm.forward.__module__ != __name__:
            norm.forward = _where_it_pays(norm.forward)

    def undo() -> None:
        for norm, forward in zip(NORMS, before, strict=True):
            norm.forward = forward

    return undo


def _where_it_pays(forward: Callable[[Any, torch.Tensor], torch.Tensor]) -> Callable[[Any, torch.Tensor], torch.Tensor]:
    def chosen(self: Any, hidden_states: torch.Tensor) -> torch.Tensor:
        plain = hidden_states.device.type == "cpu" and hidden_states.dtype == self.weight.dtype == torch.float32
        if plain and torch.is_grad_enabled():
            return RMSNorm.apply(hidden_states, self.weight, self.variance_epsilon)  # type: ignore[return-value]
        return forward(self, hidden_states)

    return chosen
