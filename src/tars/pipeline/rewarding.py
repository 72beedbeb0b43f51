"""From a recipe's block of rewards to what scores completions."""

from __future__ import annotations

from tars.pipeline.recipe import Rewards
from tars.pipeline.tools import open_judge, open_scorer
from tars.rewards.completions import Rewarding
from tars.rewards.format import FORMATS
from tars.rewards.pivots import PivotReward


def open_rewards(rewards: Rewards, reasons: bool) -> Rewarding:
    """Its scorers, and the judge of safety tags if it has one, ready to be asked. `reasons` as in `Rewarding`."""
    return Rewarding(
        open_scorer(rewards.safety),
        open_scorer(rewards.helpfulness),
        FORMATS[rewards.format],
        rewards.terms,
        reasons,
        rewards.pivots and PivotReward(open_judge(rewards.pivots.judge), rewards.pivots.weight),
    )
