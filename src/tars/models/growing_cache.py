"""Keys and values that are written where they stay: a decode step adds one token without copying those before it.

transformers' `DynamicCache` joins old and new keys into a new tensor in every step: a fifth of a decode step of a small
model, and memory traffic that grows with the square of the length in any. Here a layer keeps some tokens of room.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer

ROOM = 32
"""Tokens that a layer has room for beyond what it holds: few cost little memory, and all is copied once in as many."""


class GrowingLayer(DynamicLayer):
    """A layer that sees all keys; for decoding only: it writes in place, which gradients do not survive.

    `keys` and `values` `(rows, heads, tokens, size)` are the written part of two larger tensors. Whoever replaces them
    (dropping rows, cropping) need not know: what this layer did not make itself is copied before it is added to.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._room: tuple[torch.Tensor, torch.Tensor] | None = None
        self._written: torch.Tensor | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add keys and values of the same rows; returns all of them."""
        old = self.get_seq_length()
        new = old + key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self._room is None or self.keys is not self._written or new > self._room[0].shape[-2]:
            self._room = (_larger(self.keys, key_states, old, new), _larger(self.values, value_states, old, new))
        keys, values = self._room
        keys[..., old:new, :] = key_states
        values[..., old:new, :] = value_states
        self.keys, self.values = keys[..., :new, :], values[..., :new, :]
        self._written = self.keys
        return self.keys, self.values


def growing_cache(config: PreTrainedConfig) -> DynamicCache:
    """The cache that a model needs, with room in the layers that see all keys; sliding windows stay as they are."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def _larger(held: torch.Tensor | None, added: torch.Tensor, old: int, new: int) -> torch.Tensor:
    """Room for `new` tokens and more, the first `old` of which are copied."""
    larger = added.new_empty(*added.shape[:-2], new + ROOM, added.shape[-1])
    if held is not None and old:
        larger[..., :old, :] = held
    return larger
