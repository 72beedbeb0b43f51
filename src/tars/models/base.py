"""What the rest of the toolkit asks of a language model, wherever it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tars.types import Completion, Sampling


class Model(Protocol):
    """A language model that answers prompts.

    `name` identifies it in rows and reports.
    """

    name: str

    def generate(self, prompts: Sequence[str], sampling: Sampling) -> list[Completion]:
        """One completion for each user message, in order. Equal prompts may be given several times."""
        ...

    def logprobs(self, prompts: Sequence[str], completions: Sequence[str]) -> list[list[float]]:
        """Natural-log probability of each token of each completion (end-of-turn token included)."""
        ...
