"""Attention of many short rows on a CPU: a few large matrix products in place of one small kernel call a row and head.

torch's own CPU kernel works through rows and heads one by one, and wants keys that several heads share to be copied
for each; with the few dozen tokens of a candidate that takes longer than the arithmetic. Here heads that share keys are
rows of one product. Whatever it does not cover is left to transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward


@contextmanager
def grouped_attention(device: torch.device) -> Iterator[None]:
    """Within the block, models that run on SDPA attend by `attend`; on a CPU only."""
    if device.type != "cpu":
        yield
        return
    AttentionInterface.register("sdpa", attend)
    try:
        yield
    finally:
        AttentionInterface.register("sdpa", sdpa_attention_forward)


def attend(
    module: torch.nn.Module,
    query_RHLD: torch.Tensor,
    key_RGKD: torch.Tensor,
    value_RGKD: torch.Tensor,
    mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """What `sdpa_attention_forward` returns: `(R, L, H, D)`.

    Args:
        module: The attention layer.
        query_RHLD: H heads, a multiple of G.
        key_RGKD, value_RGKD: Of tokens seen and new ones.
        mask: `(R or 1, H or 1, L, K)`, added to the scores.
        scaling: Of the scores; `None` for 1 / √D.
        others: Left to transformers, as is everything else where the mask is another one, or there is another bias.
    """
    (rows, heads, length, size), groups = query_RHLD.shape, key_RGKD.shape[1]
    plain = query_RHLD.dtype == torch.float32 and others.get("position_bias") is None
    if mask is None or mask.dtype != torch.float32 or not plain:
        return sdpa_attention_forward(module, query_RHLD, key_RGKD, value_RGKD, mask, scaling=scaling, **others)
    grouped = query_RHLD.reshape(rows * groups, -1, size)
    score = torch.bmm(grouped, key_RGKD.flatten(0, 1).transpose(1, 2)).view(rows, heads, length, -1)
    score = score.mul_(size**-0.5 if scaling is None else scaling).add_(mask)
    weight = score.softmax(-1).view(rows * groups, -1, score.shape[-1])
    return torch.bmm(weight, value_RGKD.flatten(0, 1)).view(rows, heads, length, -1).transpose(1, 2), None
