"""When a light warm start has taught enough: a pure rule on what the looks at the model saw.

TARS (arXiv 2507.00971, §3.3, appendix P) stops SFT early so that RL finds good samples among varied ones; it picks
the length by hand. Here best-of-n tells when there is no more to select, distinct-n when variety collapses.
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
        min_gain: What counts as a gain in best-of-n.
        distinct_floor: Ends when distinct-n falls below this share of its value at the first look.
    """

    every: int = 50
    patience: int = 2
    min_gain: float = 0.005
    distinct_floor: float = 0.5


def kept(looks: Sequence[Mapping[str, float]], rule: EarlyStop) -> int:
    """Index of the look to keep: the last that gained at least `min_gain` in best-of-n over the one kept so far."""
    index = 0
    for i, look in enumerate(looks):
        if look["best_of_n"] >= looks[index]["best_of_n"] + rule.min_gain:
            index = i
    return index


def ended(looks: Sequence[Mapping[str, float]], rule: EarlyStop) -> bool:
    """Whether training should end after these looks."""
    stale = len(looks) - 1 - kept(looks, rule) >= rule.patience
    return stale or looks[-1]["distinct_n"] < rule.distinct_floor * looks[0]["distinct_n"]
