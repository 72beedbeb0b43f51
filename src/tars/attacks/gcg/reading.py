"""One forward pass over candidate suffixes that share their beginning."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tars.attacks.gcg.attention import grouped_attention
from tars.attacks.gcg.terms import Term
from tars.models.support import MASKED_ATTENTION


@torch.inference_mode()
def score(term: Term, candidates_RS: torch.Tensor, cache: DynamicCache | None, same: int) -> torch.Tensor:
    """Loss of each candidate `(R,)`, in nats a target token.

    Args:
        term: Model, prompt and target.
        candidates_RS: Token ids.
        cache: Keys and values of the chat before the suffix and of at least `same` tokens of it, one row; `None` to
            read all of it.
        same: So many first tokens are the same as in the cache.
    """
    model: Any = term.local.model
    rows, target_T = len(candidates_RS), term.target()
    ids_RT = torch.cat([candidates_RS[:, same:].to(term.device), term.tail().expand(rows, -1)], 1)
    past, ready = None, {}
    if cache is None:
        ids_RT = torch.cat([term.before().expand(rows, -1), ids_RT], 1)
    else:
        past = _shared(cache, len(term.before_ids) + same, rows)
        ready = _mask_and_positions(model, past, ids_RT)
    scored = len(target_T)
    with _last_mlp_at(model, scored), grouped_attention(term.device, _last(model, "self_attn"), scored):
        logits_RTV = model(
            input_ids=ids_RT, past_key_values=past, use_cache=past is not None, logits_to_keep=scored, **ready
        ).logits
    target_RT = target_T.expand(rows, -1)
    loss_RT = F.cross_entropy(logits_RTV.float().flatten(0, 1), target_RT.flatten(), reduction="none")
    return loss_RT.view(rows, scored).mean(1)


def _shared(cache: DynamicCache, length: int, rows: int) -> DynamicCache:
    """A cache that holds the first `length` tokens for each of `rows`, without a copy until the model adds to it."""
    shared = copy.copy(cache)
    shared.layers = [_first(layer, length, rows) for layer in cache.layers]
    return shared


def _first(layer: Any, length: int, rows: int) -> Any:
    part = copy.copy(layer)
    part.keys = layer.keys[:, :, :length].expand(rows, -1, -1, -1)
    part.values = layer.values[:, :, :length].expand(rows, -1, -1, -1)
    if hasattr(part, "cumulative_length"):
        part.cumulative_length = length
    return part


def _mask_and_positions(model: Any, past: DynamicCache, ids_RT: torch.Tensor) -> dict[str, torch.Tensor]:
    """One mask for all rows, added to the scores; the model would build one a row. Nothing if layers need several."""
    plain = all(type(layer) is DynamicLayer for layer in past.layers)
    if not plain or model.config.get_text_config()._attn_implementation not in MASKED_ATTENTION:
        return {}
    new, seen = ids_RT.shape[1], past.get_seq_length()
    mask_TK = torch.full((new, seen + new), torch.finfo(model.dtype).min, dtype=model.dtype, device=ids_RT.device)
    positions_T = torch.arange(seen, seen + new, device=ids_RT.device)
    return {"attention_mask": mask_TK.triu(seen + 1)[None, None], "position_ids": positions_T.expand(len(ids_RT), -1)}


@contextmanager
def _last_mlp_at(model: Any, last: int) -> Iterator[None]:
    """Within the block, the last layer's MLP sees only the last positions: nothing reads what it says of others.

    A mixture of experts is left alone: some return more than what they say.
    """
    mlp = _last(model, "mlp")
    if mlp is None or hasattr(mlp, "experts"):
        yield
        return
    whole = mlp.forward

    def narrow(hidden_RTD: torch.Tensor) -> torch.Tensor:
        return F.pad(whole(hidden_RTD[:, -last:]), (0, 0, hidden_RTD.shape[1] - last, 0))

    mlp.forward = narrow
    try:
        yield
    finally:
        del mlp.forward


def _last(model: Any, part: str) -> Any:
    """A part of the last layer; `None` where layers are called otherwise."""
    layers: Any = getattr(model.base_model, "layers", None)
    return getattr(layers[-1], part, None) if layers else None
