"""Pivot filter: what a model tagged [UNSAFE], and what it did not tag at all, is taken out of its turn.

Source: `r2d_post_process` of chuhac/Reasoning-to-Defend (MIT), HarmBench/generate_completions.py @ a4f5843. The paper
(Reasoning-to-Defend, arXiv 2502.12970) does not mention it; the JailbreakBench and XSTest scripts have an empty one.

Faults of the original, kept in `official_filter` because published figures went through it:

- What follows the last tag is dropped: an answer that lacks its closing tag vanishes and is then judged harmless.
- A text with no tag at all passes whole, so that the filter does nothing for a model that forgets its tags.
- Of tags in a row only the first counts for the step: `a [SAFE][UNSAFE]` stays.
- Think tags are text. One goes with the step that it stands in, and what is left is judged thought and answer together.

Departure: by default the answer alone is shown (`shows`), as the think tags of the raw text divide it.

What is left may be nothing. The answer is then `""` and judged as that, the form is `malformed`, and the `blank` term
counts it, so that a figure that rests on emptied answers can be told. Where the thought never closed, it stays `None`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from tars.defences.base import DefenceTools, Need
from tars.defences.views import TokensIn, View, ViewedModel, opened_by_template
from tars.models.base import Model
from tars.pivots import TAGS, Pivot, has_tag, pieces, untagged
from tars.reasoning import CLOSE, OPEN, split
from tars.types import Completion


@dataclass(frozen=True)
class PivotFilter:
    """Leave out of the turn what is tagged [UNSAFE] and what comes after the last tag."""

    name: ClassVar[str] = "pivot-filter"

    shows: Literal["answer", "whole"] = "answer"
    """What is shown of what is left: the answer, or, as the official evaluation judged it, the thought too."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """Nothing but the model."""
        return ()

    def check(self) -> None:
        """Nothing can be wrong."""

    def view(self, tokens_in: TokensIn) -> View:
        """Of a completion what is shown; its text, reasoning and tokens stay those that the model wrote."""
        return lambda completion: filtered(completion, self.shows)

    def wrap(self, model: Model, tools: DefenceTools) -> ViewedModel:
        """The filtered model."""
        return ViewedModel(model, self.name, self.view(model.tokens_in), refuses=False)


def official_filter(text: str) -> str:
    """What the official code leaves of a text, its faults included; see the top of this file."""
    return "".join(piece for piece, pivot in pieces(text) if pivot in ("safe", "rethink")) if has_tag(text) else text


def filtered(completion: Completion, shows: Literal["answer", "whole"] = "answer") -> Completion:
    """The completion with what is left of its answer, or of its whole text; itself if it has no tags."""
    if not has_tag(completion.text):
        return completion
    if shows == "whole":
        answer = official_filter(completion.text)
    elif completion.answer is None:
        return completion
    else:
        left = "".join(_left(*piece) for piece in pieces(completion.text))
        answer = split(left, prefilled=opened_by_template(completion)).answer or ""
    answer = untagged(answer)
    if answer == completion.answer:
        return completion
    blank = completion.stop == "finished" and not answer.strip()
    return replace(completion, answer=answer, stop="malformed" if blank else completion.stop)


def _left(piece: str, pivot: Pivot | None) -> str:
    """A piece with its tag; of a dropped one its think tags, so that thought and answer stay apart."""
    if pivot in ("safe", "rethink"):
        return piece + TAGS[pivot]
    return "".join(re.findall(f"{OPEN}|{CLOSE}", piece))
