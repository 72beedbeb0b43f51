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
    rows = [_row(tokenizer, trace, reasoning) for trace in traces]
    kept = [row for row in rows if max_tokens is None or len(row["input_ids"]) <= max_tokens]
    if not kept:
        raise InputError(f"none of {len(rows)} traces fits in {max_tokens} tokens; raise max_length or check the data")
    return kept, len(rows) - len(kept)


def turn_ids(tokenizer: PreTrainedTokenizerBase, context: str, turn: str) -> tuple[list[int], list[int]]:
    """Token ids of a rendered prompt, the same as in generation, and of what the assistant says to it."""
    prompt: list[int] = tokenizer(context, add_special_tokens=False)["input_ids"]  # type: ignore[assignment]
    whole: list[int] = tokenizer(context + turn, add_special_tokens=False)["input_ids"]  # type: ignore[assignment]
    if whole[: len(prompt)] == prompt:
        return prompt, whole[len(prompt) :]
    # The tokenizer merges across the boundary: keep what generation will see.
    return prompt, tokenizer(turn, add_special_tokens=False)["input_ids"]  # type: ignore[return-value]


def _row(tokenizer: PreTrainedTokenizerBase, trace: Trace, reasoning: bool) -> Row:
    turn = render(trace.reasoning if reasoning else None, trace.answer) + str(tokenizer.eos_token)
    prompt, said = turn_ids(tokenizer, render_chat(tokenizer, trace.prompt.text), turn)
    return {"input_ids": prompt + said, "labels": [-100] * len(prompt) + said}
