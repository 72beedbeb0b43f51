"""TARS's split rewards: one rule for completions that a policy writes in training and for samples that are ranked.

Source: TARS (arXiv 2507.00971) §3.3, Eq. 1-2, by `tars.rewards.split`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, get_args

from tars.pivots import untagged
from tars.reasoning import Parts, split
from tars.rewards.format import FormatCheck
from tars.rewards.pivots import PivotReward
from tars.rewards.scorers import Scorer, scores
from tars.rewards.split import Route, route, split_reward
from tars.rewards.terms import TermName, failed
from tars.types import Case, Completion, Prompt


@dataclass(frozen=True)
class Rewarding:
    """What scores completions.

    Attributes:
        safety: Scores the answers to harmful prompts.
        helpfulness: Scores the answers to the other prompts.
        check: One of `tars.rewards.format.FORMATS`.
        terms: Names in `tars.rewards.terms.TERMS`; a completion that fails one earns nothing.
        reasons: The model is expected to think first.
        pivots: Rewards right safety tags too.
    """

    safety: Scorer
    helpfulness: Scorer
    check: FormatCheck
    terms: Sequence[TermName] = ()
    reasons: bool = True
    pivots: PivotReward | None = None


@dataclass(frozen=True)
class Written:
    """One completion taken apart.

    Attributes:
        case: What scorers see: reasoning and answer without safety tags.
        parts: The same with the tags, where the model writes any.
        formed: It has the form that is asked for.
    """

    case: Case
    parts: Parts
    formed: bool


@dataclass(frozen=True)
class Rewarded:
    """What completions earn, an entry each.

    Attributes:
        values: In [0, 1]; `None` where the scorer that counts, or the guard, failed.
        failures: Names of the terms that it fails.
        agreed: Share of its safety tags that the guard agrees with; `None` where none was asked about.
    """

    values: list[float | None]
    failures: list[list[TermName]]
    agreed: list[float | None]


def reward(written: Sequence[Written], how: Rewarding) -> Rewarded:
    """Score each completion by the scorer of its prompt's kind.

    Only completions of the right form that fail no term are sent to a scorer; the others earn 0. Raises `RunError` as
    `scores` does.
    """
    failures = [failed(one.case, how.terms) for one in written]
    passed = [one.formed and not failure for one, failure in zip(written, failures, strict=True)]
    score: dict[int, float | None] = {}
    for name in cast(tuple[Route, ...], get_args(Route)):
        asked = [i for i, one in enumerate(written) if passed[i] and route(one.case.prompt.kind) == name]
        scorer = how.safety if name == "safety" else how.helpfulness
        score |= dict(zip(asked, scores(scorer, [written[i].case for i in asked]), strict=True))
    values = [
        split_reward(one.case.prompt.kind, score.get(i), score.get(i), passed[i]) for i, one in enumerate(written)
    ]
    if how.pivots is None:
        return Rewarded(values, failures, [None] * len(values))
    tagged = [i for i, good in enumerate(passed) if good]
    found = how.pivots.agreements([written[i].case.prompt for i in tagged], [written[i].parts for i in tagged])
    known = dict(zip(tagged, found, strict=True))
    agreed = [known.get(i) for i in range(len(values))]
    return Rewarded([how.pivots.weighed(*pair) for pair in zip(values, agreed, strict=True)], failures, agreed)


def rewards_of(prompts: Sequence[Prompt], completions: Sequence[Completion], how: Rewarding) -> list[float | None]:
    """The reward of each completion; see `reward`."""
    return reward([_written(*pair, how) for pair in zip(prompts, completions, strict=True)], how).values


def _written(prompt: Prompt, completion: Completion, how: Rewarding) -> Written:
    ended = completion.stop != "truncated"
    return Written(
        Case(prompt, completion.answer, completion.reasoning),
        split(completion.text, ended=ended, reasons=how.reasons),
        how.check(untagged(completion.text), ended=ended, prefilled=False, reasons=how.reasons),
    )
