"""Demonstrations as token ids, exactly as the model will see them when it speaks for itself."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from tars.errors import InputError
from tars.models.local import render_chat
from tars.reasoning import render
from tars.types import Trace

Row = dict[str, list[int]]


def training_rows(
    tokenizer: PreTrainedTokenizerBase, traces: Sequence[Trace], *, reasoning: bool, max_tokens: int | None
) -> tuple[list[Row], int]:
    """`input_ids` and `labels` (−100 on the prompt) for each trace, and how many were dropped as too long.

    Args:
        reasoning: Teach to think first; otherwise only the answer is shown.
        max_tokens: Longest row; a longer trace is dropped, never cut in the middle of a thought. `None`: no limit.

    Raises:
        InputError: If nothing is left.
    """
    end = str(tokenizer.eos_token)
    turns = [render(trace.reasoning if reasoning else None, trace.answer) + end for trace in traces]
    pairs = turn_ids(tokenizer, [render_chat(tokenizer, trace.prompt.text) for trace in traces], turns)
    rows: list[Row] = [{"input_ids": prompt + said, "labels": [-100] * len(prompt) + said} for prompt, said in pairs]
    kept = [row for row in rows if max_tokens is None or len(row["input_ids"]) <= max_tokens]
    if not kept:
        raise InputError(f"none of {len(rows)} traces fits in {max_tokens} tokens; raise max_length or check the data")
    return kept, len(rows) - len(kept)


def turn_ids(
    tokenizer: PreTrainedTokenizerBase, contexts: Sequence[str], turns: Sequence[str]
) -> list[tuple[list[int], list[int]]]:
    """Token ids of each rendered prompt, the same as in generation, and of what the assistant says to it."""
    prompts = _encoded(tokenizer, contexts)
    wholes = _encoded(tokenizer, [context + turn for context, turn in zip(contexts, turns, strict=True)])
    found: list[tuple[list[int], list[int]]] = []
    for prompt, whole, turn in zip(prompts, wholes, turns, strict=True):
        # Where the tokenizer merges across the boundary, what generation will see is kept.
        merged = whole[: len(prompt)] != prompt
        found.append((prompt, _encoded(tokenizer, [turn])[0] if merged else whole[len(prompt) :]))
    return found


def _encoded(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """In one call, which is many times as fast as one a text."""
    return tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []  # type: ignore[return-value]
