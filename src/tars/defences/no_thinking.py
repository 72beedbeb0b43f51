"""No thinking: the reasoning is closed before it begins, so that the model answers at once.

Source: R2D-n of Reasoning-to-Defend (arXiv 2502.12970), its model with the thinking closed early; how it is closed is
not published, so that this is the empty reasoning as Qwen3's template writes it (ZeroThink of SafeChain, arXiv
2502.12025, does the same). It costs next to nothing, and shows what safety a model has left without its reasoning.

An attack that begins the turn too comes after the empty reasoning, or, if it opens a thought itself, has it closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tars.defences.base import DefenceTools, DefendedModel, Need
from tars.models.base import Model
from tars.reasoning import CLOSE, OPEN, render, split
from tars.types import Completion, Sampling

CLOSED = render("", "")
"""A reasoning that is over."""


@dataclass(frozen=True)
class NoThinking:
    """Close the reasoning before it begins."""

    name: ClassVar[str] = "no-thinking"

    @property
    def needs(self) -> tuple[Need, ...]:
        """Nothing but the model."""
        return ()

    def check(self) -> None:
        """Nothing can be wrong."""

    def wrap(self, model: Model, tools: DefenceTools) -> UnthinkingModel:
        """The model that answers at once."""
        return UnthinkingModel(model, self.name)


class UnthinkingModel(DefendedModel):
    """A model whose reasoning is over when it starts. A turn of the right form has an answer and no further thought."""

    def generate(
        self, prompts: Sequence[str], sampling: Sampling, prefills: Sequence[str] | None = None
    ) -> list[Completion]:
        """The model's completions; their text holds what was begun for them, and they have no reasoning."""
        begun = [closed(begin) for begin in prefills or [""] * len(prompts)]
        made = self.model.generate(prompts, sampling, begun)
        self.counts.prompts += len(prompts)
        self.counts.queries += len(made)
        return [unthought(one) for one in made]


def closed(begin: str) -> str:
    """The beginning of a turn with its reasoning closed, the one that it has or an empty one before it."""
    if CLOSE in begin:
        return begin
    return f"{begin}\n{CLOSE}\n\n" if OPEN in begin else CLOSED + begin


def unthought(completion: Completion) -> Completion:
    """The completion of a turn whose reasoning was closed for the model: what stands before the answer is not its."""
    rest = completion.text.partition(CLOSE)[2]
    stop = split(rest, ended=completion.stop != "truncated", reasons=False).stop
    if stop == "finished" and not completion.answer:  # of nothing but tags
        stop = "malformed"
    return Completion(completion.text, None, completion.answer, stop, None, completion.answer_tokens)
