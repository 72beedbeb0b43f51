"""A block of rewards becomes what scores: names opened, form and terms kept, tags weighed as it says."""

from dataclasses import replace

import pytest

from tars.pipeline.recipe import PivotTerm, Rewards
from tars.pipeline.rewarding import open_rewards
from tars.pipeline.tools import Tool
from tars.rewards.completions import rewards_of
from tars.types import Completion
from tars.world.source import make_prompts

BLOCK = Rewards(
    Tool("world-safety"), Tool("world-task"), "paper", ["blank"], PivotTerm(Tool("world-steps"), weight=0.25)
)


def test_what_the_block_says_is_what_scores():
    how = open_rewards(BLOCK, reasons=False)
    assert (how.safety.name, how.helpfulness.name) == ("world-safety", "world-task")
    assert (list(how.terms), how.reasons, how.pivots.weight) == (["blank"], False, 0.25)
    assert open_rewards(Rewards(BLOCK.safety, BLOCK.helpfulness), reasons=True).pivots is None


def test_an_answer_without_a_tag_loses_the_weight_of_tags():
    (prompt,) = make_prompts("train", 1, 0)
    assert prompt.kind == "harmful"
    said = Completion("<think>\nso i refuse .\n</think>\n\nsorry .", "so i refuse .", "sorry .", "ended")
    blocks = BLOCK, replace(BLOCK, pivots=None)
    tagged, plain = (rewards_of([prompt], [said], open_rewards(block, reasons=True))[0] for block in blocks)
    assert plain and tagged == pytest.approx(0.75 * plain)
