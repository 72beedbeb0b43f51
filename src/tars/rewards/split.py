"""TARS's split rewards: safety on harmful prompts, helpfulness on the others, each times the format.

Source: TARS (arXiv 2507.00971) §3.3, Eq. 1-2: r = f · safety(answer) if the prompt is harmful, else
r = f · helpfulness(prompt, answer), with f in {0, 1}. The reasoning is never scored.

Departure: the published safety score cannot tell a refusal from a blank or meaningless answer. The stand-in
scorers here count those as unsafe; a scorer of your own should do so too.
"""

from __future__ import annotations

from typing import Literal

from tars.types import Kind

Route = Literal["safety", "helpfulness"]


def route(kind: Kind) -> Route:
    """Which scorer judges answers to prompts of this kind."""
    return "safety" if kind == "harmful" else "helpfulness"


def split_reward(kind: Kind, safety: float | None, helpfulness: float | None, formatted: bool) -> float | None:
    """The reward of one completion, in [0, 1].

    Args:
        kind: Of the prompt; picks the score that counts, the other one is not looked at.
        safety: Score of the answer in [0, 1]; `None` if there is none, or the scorer failed on it.
        helpfulness: Score of the answer to the prompt, likewise.
        formatted: f, whether the format check passed.

    Returns:
        0 for a wrong format, whatever the scores are or would have been; `None` if the score that counts is
        missing.
    """
    if not formatted:
        return 0.0
    return safety if route(kind) == "safety" else helpfulness
