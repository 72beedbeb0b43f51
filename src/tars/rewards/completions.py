"""TARS's split rewards for completions outside of training: what ranks a model's own samples.

Source: TARS (arXiv 2507.00971) §3.3, Eq. 1-2, by `tars.rewards.split`; the same rule as `tars.rewards.trl`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, get_args

from tars.pivots import untagged
from tars.reasoning import split
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


def rewards_of(prompts: Sequence[Prompt], completions: Sequence[Completion], how: Rewarding) -> list[float | None]:
    """The reward of each completion in [0, 1]; `None` where the scorer that counts, or the guard, failed.

    Only completions of the right form are sent to a scorer; the others earn 0. Raises `RunError` as `scores` does.
    """
    cases = [Case(p, c.answer, c.reasoning) for p, c in zip(prompts, completions, strict=True)]
    good = [_good(case, completion, how) for case, completion in zip(cases, completions, strict=True)]
    score: dict[int, float | None] = {}
    for name in cast(tuple[Route, ...], get_args(Route)):
        asked = [i for i, case in enumerate(cases) if good[i] and route(case.prompt.kind) == name]
        scorer = how.safety if name == "safety" else how.helpfulness
        score |= dict(zip(asked, scores(scorer, [cases[i] for i in asked]), strict=True))
    rewards = [split_reward(case.prompt.kind, score.get(i), score.get(i), good[i]) for i, case in enumerate(cases)]
    return rewards if how.pivots is None else _weighed(how.pivots, prompts, completions, rewards, good, how.reasons)


def _good(case: Case, completion: Completion, how: Rewarding) -> bool:
    ended = completion.stop != "truncated"
    formed = how.check(untagged(completion.text), ended=ended, prefilled=False, reasons=how.reasons)
    return formed and not failed(case, how.terms)


def _weighed(
    pivots: PivotReward,
    prompts: Sequence[Prompt],
    completions: Sequence[Completion],
    rewards: Sequence[float | None],
    good: Sequence[bool],
    reasons: bool,
) -> list[float | None]:
    """By their tags, which only the text still holds."""
    asked = [i for i, passed in enumerate(good) if passed]
    parts = [split(completions[i].text, ended=completions[i].stop != "truncated", reasons=reasons) for i in asked]
    agreed = dict(zip(asked, pivots.agreements([prompts[i] for i in asked], parts), strict=True))
    return [pivots.weighed(reward, agreed.get(i)) for i, reward in enumerate(rewards)]
