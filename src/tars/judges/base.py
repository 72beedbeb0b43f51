"""What a judge is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tars.types import Prompt, Verdict


class Judge(Protocol):
    """An opinion of answers; it never sees the reasoning. `name` identifies it in rows and reports."""

    name: str

    def judge(self, prompts: Sequence[Prompt], answers: Sequence[str | None]) -> list[Verdict]:
        """One verdict for each (prompt, answer), in order.

        An answer is `None` when the budget ran out inside the reasoning. It shows the user nothing: a judge
        that speaks of harm, help or refusal at all says that there is none of it. Where a judge cannot
        decide, or fails on one case, it gives `Verdict(error=...)` with every other field `None`.
        """
        ...
