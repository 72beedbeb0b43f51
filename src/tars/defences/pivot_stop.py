"""Pivot stop: the turn ends at the first step that the model itself tags [UNSAFE], and a refusal is given instead.

Ours; Reasoning-to-Defend (arXiv 2502.12970) lets the model go on. The whole turn is generated and then cut at the tag.
What comes after a tag has no influence on what stands before it, so that this is, token for token, what stopping would
give; it works alike for local models and servers, and for stored answers. It saves no time: tokens of a stopped turn
are those up to the tag and those of the refusal, and `Counts.unseen` has those that were written for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tars.defences.base import REFUSAL, DefenceTools, Need
from tars.defences.views import TokensIn, View, ViewedModel, thought_of
from tars.models.base import Model
from tars.pivots import spans
from tars.reasoning import CLOSE
from tars.types import Completion


@dataclass(frozen=True)
class PivotStop:
    """End the turn at the first [UNSAFE] and refuse."""

    name: ClassVar[str] = "pivot-stop"

    answer_too: bool = False
    """Also refuse where a step of the answer is tagged [UNSAFE]; the whole answer is held back for it."""
    refusal: str = REFUSAL
    """What is answered in the model's place."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """Nothing but the model."""
        return ()

    def check(self) -> None:
        """Nothing can be wrong."""

    def view(self, tokens_in: TokensIn) -> View:
        """Of a completion what is given on: itself, or its text up to the tag and the refusal."""
        return lambda completion: stopped(completion, self.refusal, tokens_in, answer_too=self.answer_too)

    def wrap(self, model: Model, tools: DefenceTools) -> ViewedModel:
        """The model that is stopped."""
        return ViewedModel(model, self.name, self.view(model.tokens_in), refuses=True)


def stopped(completion: Completion, refusal: str, tokens_in: TokensIn, *, answer_too: bool = False) -> Completion:
    """The completion, cut at the first [UNSAFE] step and ended with the refusal; itself if it has none.

    Without a thought to stop in, as with `answer_too`, the refusal stands in the place of the answer.
    """
    text, thought = completion.text, thought_of(completion)
    start, end = thought or (0, 0)
    if (cut := _first_unsafe(text[start:end])) is not None:
        written, reasoning = text[: start + cut], text[start : start + cut].strip()
        whole = f"{written}\n{CLOSE}\n\n{refusal}"
        return Completion(whole, reasoning, refusal, "finished", tokens_in(written), tokens_in(refusal))
    begin = end + len(CLOSE) if thought else 0
    if not answer_too or _first_unsafe(text[begin:]) is None:
        return completion
    whole = f"{text[:begin]}\n\n{refusal}" if begin else refusal
    tokens = completion.reasoning_tokens, tokens_in(refusal)
    return Completion(whole, completion.reasoning, refusal, "finished", *tokens)


def _first_unsafe(text: str) -> int | None:
    """Where the first step that is tagged [UNSAFE] ends; `None` without one."""
    return next((span.end for span in spans(text) if span.pivot == "unsafe"), None)
