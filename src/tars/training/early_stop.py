"""When a light warm start has taught enough: a pure rule on what the looks at the model saw.

TARS (arXiv 2507.00971, §3.3, appendix P) keeps SFT light so that RL finds good samples among varied ones, and picks
the length by hand from average-of-8 and best-of-8. Here average-of-n tells when demonstrations have no more to teach,
distinct-n when variety collapses; best-of-n, which is near its limit long before, is logged beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class EarlyStop:
    """The rule.

    Attributes:
        every: Steps between looks.
        patience: Looks without a gain after which training ends; the kept look's model is the result.
        min_gain: What counts as a gain in average-of-n.
        distinct_floor: Ends when distinct-n falls below this share of its value at the first look.
    """

    every: int = 50
    patience: int = 2
    min_gain: float = 0.01
    distinct_floor: float = 0.25


def kept(looks: Sequence[Mapping[str, float]], rule: EarlyStop) -> int:
    """Index of the look to keep: the last that gained `min_gain` in average-of-n over the one kept."""
    index = 0
    for i, look in enumerate(looks):
        if look["average_of_n"] >= looks[index]["average_of_n"] + rule.min_gain:
            index = i
    return index


def ended(looks: Sequence[Mapping[str, float]], rule: EarlyStop) -> bool:
    """Whether training should end after these looks."""
    stale = len(looks) - 1 - kept(looks, rule) >= rule.patience
    return stale or looks[-1]["distinct_n"] < rule.distinct_floor * looks[0]["distinct_n"]
