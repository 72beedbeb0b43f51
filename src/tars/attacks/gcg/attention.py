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
import torch.nn.functional as F
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward


@contextmanager
def grouped_attention(device: torch.device, last_layer: torch.nn.Module | None, last: int) -> Iterator[None]:
    """Within the block, models that run on SDPA attend by `attend`; on a CPU only.

    Args:
        device: Of the model.
        last_layer: The last layer's attention: what it says of all but the last positions is read by nothing.
        last: Positions.
    """
    if device.type != "cpu":
        yield
        return

    def attended(module: torch.nn.Module, *args: Any, **others: Any) -> tuple[torch.Tensor, None]:
        return attend(module, *args, last=last if module is last_layer else 0, **others)

    AttentionInterface.register("sdpa", attended)
    try:
        yield
    finally:
        AttentionInterface.register("sdpa", sdpa_attention_forward)


def attend(
    module: torch.nn.Module,
    query_RHLD: torch.Tensor,
    key_RGKD: torch.Tensor,
    value_RGKD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    last: int = 0,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """What `sdpa_attention_forward` returns: `(R, L, H, D)`.

    Args:
        module: The attention layer.
        query_RHLD: H heads, a multiple of G.
        key_RGKD, value_RGKD: Of tokens seen and new ones.
        attention_mask: `(R or 1, H or 1, L, K)`, added to the scores.
        scaling: Of the scores; `None` for 1 / √D.
        last: Queries that count, 0 for all; others get zeros.
        others: Left to transformers, as is everything else where the mask is another one, or there is another bias.
    """
    (rows, heads, length, size), (groups, seen) = query_RHLD.shape, key_RGKD.shape[1:3]
    plain = query_RHLD.dtype == torch.float32 and others.get("position_bias") is None
    mask = attention_mask
    if mask is None or mask.dtype != torch.float32 or not plain:
        return sdpa_attention_forward(
            module, query_RHLD, key_RGKD, value_RGKD, attention_mask, scaling=scaling, **others
        )
    query_RHLD, mask = query_RHLD[:, :, -last:], mask[:, :, -last:]
    score = torch.bmm(query_RHLD.reshape(rows * groups, -1, size), key_RGKD.flatten(0, 1).transpose(1, 2))
    score = score.view(rows, heads, -1, seen).mul_(size**-0.5 if scaling is None else scaling).add_(mask)
    made = torch.bmm(score.softmax(-1).view(rows * groups, -1, seen), value_RGKD.flatten(0, 1))
    made_RLHD = made.view(rows, heads, -1, value_RGKD.shape[-1]).transpose(1, 2)
    return F.pad(made_RLHD, (0, 0, 0, 0, length - made_RLHD.shape[1], 0)), None
