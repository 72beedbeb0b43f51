"""What circuit breakers train on: pairs of a harmful row and one to keep, as token ids and as batches."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from tars.errors import InputError
from tars.training.breaking_settings import Breaking
from tars.training.rows import Row, training_rows
from tars.types import Prompt, Trace


def breaking_rows(
    tokenizer: PreTrainedTokenizerBase,
    harmful: Sequence[Trace],
    retain: Sequence[Trace],
    *,
    settings: Breaking,
    max_tokens: int | None,
    seed: int,
) -> tuple[list[dict[str, list[int]]], dict[str, int]]:
    """Pairs of token ids, `harmful` with its mask `rerouted`, and `retain`; each row is in one pair, at most.

    Returns:
        Also counts: pairs, rows dropped as too long, rows without a partner.

    Raises:
        InputError: One side has no rows, or none that is short enough.
    """
    rng, dropped, sides = random.Random(f"breakers {seed}"), 0, list[list[Row]]()
    for name, traces in (("harmful", harmful), ("retain", retain)):
        if not traces:
            raise InputError(f"circuit breakers: there are no {name} traces; add some to the data")
        shown = [replace(trace, prompt=_blanked(trace, settings.blank, rng)) for trace in traces]
        rows, long = training_rows(tokenizer, shown, reasoning=True, max_tokens=max_tokens)
        rng.shuffle(rows)
        dropped, sides = dropped + long, [*sides, rows]
    pairs = [
        {"harmful": bad["input_ids"], "rerouted": _mask(bad, settings), "retain": good["input_ids"]}
        for bad, good in zip(*sides, strict=False)
    ]
    unpaired = abs(len(sides[0]) - len(sides[1]))
    return pairs, {"pairs": len(pairs), "dropped_as_too_long": dropped, "unpaired": unpaired}


class Collator:
    """Harmful rows, then those to keep, as one batch, padded on the right."""

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, pairs: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        rows = [torch.tensor(pair[name]) for name in ("harmful", "retain") for pair in pairs]
        rerouted = [torch.tensor(pair["rerouted"], dtype=torch.bool) for pair in pairs]
        read_BT = _padded([torch.ones_like(row) for row in rows])
        nothing = [torch.zeros_like(row, dtype=torch.bool) for row in rows]
        kept_BT = read_BT.bool()
        kept_BT[: len(pairs)] = False
        return {
            "input_ids": _padded(rows, self.pad_id),
            "attention_mask": read_BT,
            "rerouted": _padded(rerouted + nothing[len(pairs) :]),
            "kept": kept_BT,
        }


def _blanked(trace: Trace, share: float, rng: random.Random) -> Prompt:
    return replace(trace.prompt, text="") if rng.random() < share else trace.prompt


def _mask(row: Row, settings: Breaking) -> list[int]:
    return [int(settings.tokens == "all" or label != -100) for label in row["labels"]]


def _padded(rows: list[torch.Tensor], value: int = 0) -> torch.Tensor:
    return pad_sequence(rows, batch_first=True, padding_value=value)
