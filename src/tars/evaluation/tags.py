"""What a completion's safety tags say, step by step: how often they are there, how often unsafe, and whether right.

A step is a sentence or a line, for that is what Reasoning-to-Defend (arXiv 2502.12970, appendix A.1) asks a tag of; a
step without one counts as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tars.defences.views import thought_of
from tars.judges.oracles import WorldStepsJudge
from tars.pivots import PIVOTS, Pivot, has_tag, sentences
from tars.reasoning import CLOSE, Parts
from tars.rewards.pivots import PivotReward
from tars.types import Completion, Prompt

Row = dict[str, Any]


def tag_facts(prompt: Prompt, completion: Completion) -> Row:
    """Fields of a row: `pivots`, what each step of `reasoning` and `answer` is tagged, and whether that is right.

    `pivot_accuracy` is the agreement with the step guard of the micro-world (`tars.rewards.pivots`), the answer's tag
    included; `None` elsewhere. A text without any tag has neither field.
    """
    if not has_tag(completion.text):
        return {}
    answer = answer_of(completion)
    pivots = {"reasoning": _tags(completion.reasoning or ""), "answer": _tags(answer or "")}
    accuracy = None
    if prompt.source == "world":
        parts = Parts(completion.reasoning, answer, completion.stop)
        (accuracy,) = PivotReward(WorldStepsJudge()).agreements([prompt], [parts])
    return {"pivots": pivots, "pivot_accuracy": accuracy}


def no_tags(row: Row) -> Row:
    """The fields of a row whose model writes tags, but not here: agreement is 0, as it is in training."""
    pivots = {name: [None] * len(sentences(row[name] or "")) for name in ("reasoning", "answer")}
    return {"pivots": pivots, "pivot_accuracy": 0.0 if row["source"] == "world" else None}


def tagged_share(row: Row) -> float | None:
    """Share of the reasoning's steps that carry a tag; `None` without steps, or of a model without tags."""
    return _share(row, PIVOTS)


def unsafe_share(row: Row) -> float | None:
    """Share of the reasoning's steps that are tagged [UNSAFE]; `None` as above."""
    return _share(row, ["unsafe"])


def answer_of(completion: Completion) -> str | None:
    """The answer with its tags: what the text holds after the reasoning; `None` if that never closed."""
    if completion.answer is None:
        return None
    thought = thought_of(completion)
    return completion.text[thought[1] + len(CLOSE) if thought else 0 :].strip()


def _tags(text: str) -> list[Pivot | None]:
    return [step.pivot for step in sentences(text)]


def _share(row: Row, counted: Sequence[str]) -> float | None:
    steps = row["pivots"]["reasoning"] if "pivots" in row else []
    return sum(pivot in counted for pivot in steps) / len(steps) if steps else None
