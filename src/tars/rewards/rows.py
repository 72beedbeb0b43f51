"""Prompts as rows of a training data set, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tars.types import Prompt


def to_rows(prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
    """One row a prompt: `prompt` as chat messages, for TRL, and every field of `Prompt` as a text column.

    `facts` is JSON, so that every row has the same column type.
    """
    return [
        {
            "prompt": [{"role": "user", "content": prompt.text}],
            "prompt_id": prompt.id,
            "kind": prompt.kind,
            "category": prompt.category,
            "source": prompt.source,
            "behavior": prompt.behavior,
            "text": prompt.text,
            "facts": json.dumps(dict(prompt.facts), sort_keys=True),
        }
        for prompt in prompts
    ]


def from_row(row: Mapping[str, Any]) -> Prompt:
    """The prompt of a row that `to_rows` made."""
    return Prompt(
        row["prompt_id"],
        row["text"],
        row["kind"],
        row["category"],
        row["source"],
        row["behavior"],
        json.loads(row["facts"]),
    )
