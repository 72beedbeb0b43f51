"""Pivot prompt: a model that was never trained for safety tags is told to write them.

Source: R2D-p of Reasoning-to-Defend (arXiv 2502.12970), which has the prompt and not the training. The words are our
own (`tars.data.pivot_traces.SYSTEM`), or a file of yours. They stand before the user's message, in the user's turn;
tags in the message itself are defused, so that they pass neither for the instruction's nor for the model's.

For models without pivot tokens: of one that has them, the instruction's tags are defused as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from tars.data.pivot_traces import SYSTEM
from tars.defences.base import DefenceTools, Need
from tars.defences.self_reminder import PLACE, RemindedModel
from tars.errors import InputError
from tars.models.base import Model
from tars.pivots import defuse, untagged
from tars.types import Completion, Sampling


@dataclass(frozen=True)
class PivotPrompt:
    """Ask for safety tags before the user's message."""

    name: ClassVar[str] = "pivot-prompt"

    wording: str = "own"
    """own, or a text file of yours with the instruction; the user's message follows after an empty line."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """Nothing but the model."""
        return ()

    def check(self) -> None:
        """Raises `InputError` for a file that cannot be read or is blank."""
        self.instruction()

    def instruction(self) -> str:
        """The words. Raises `InputError` as above."""
        if self.wording == "own":
            return SYSTEM
        try:
            text = Path(self.wording).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise InputError(f"wording {self.wording!r}: cannot be read; give own or a file") from error
        if not text:
            raise InputError(f"wording {self.wording!r}: is blank; write the instruction into it")
        return text

    def wrap(self, model: Model, tools: DefenceTools) -> PromptedModel:
        """The instructed model."""
        return PromptedModel(model, self.name, f"{self.instruction()}\n\n{PLACE}")


class PromptedModel(RemindedModel):
    """A model that is told to write tags. As the instruction is fixed, it has log-probabilities."""

    def generate(
        self, prompts: Sequence[str], sampling: Sampling, prefills: Sequence[str] | None = None
    ) -> list[Completion]:
        """The model's completions, the answers without the tags that were asked for."""
        made = super().generate(prompts, sampling, prefills)
        return [one if one.answer is None else replace(one, answer=untagged(one.answer)) for one in made]

    def wrapped(self, prompt: str) -> str:
        """What the model is asked."""
        return super().wrapped(defuse(prompt))
