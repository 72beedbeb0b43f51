"""The micro-world as a source: as many as asked for, the same by the same seed."""

import pytest

from tars.errors import InputError
from tars.world.grammar import CATEGORIES
from tars.world.source import TEACHERS, make_prompts, teach


def test_categories_in_turn_and_a_longer_request_begins_like_a_shorter_one():
    made = make_prompts("validation", 20, 4)
    assert [prompt.category for prompt in made] == (list(CATEGORIES) * 3)[:20]
    assert make_prompts("validation", 5, 4) == made[:5]
    assert make_prompts("validation", 0, 4) == []
    assert {prompt.source for prompt in made} == {"world"}


def test_demonstrations_are_one_a_prompt_and_seeded():
    asked = make_prompts("train", 60, 0)
    traces = teach(asked, "flat", 1)
    assert [trace.prompt for trace in traces] == asked
    assert teach(asked, "flat", 1) == traces
    assert teach(asked, "flat", 2) != traces
    assert teach(asked, "correlated", 1) != traces
    assert {trace.style for trace in traces} == {"short", "full", "guess"}


def test_an_unknown_teacher_is_named_with_the_choices():
    with pytest.raises(InputError, match=f"'wise': unknown; choose one of {', '.join(TEACHERS)}"):
        teach([], "wise", 0)
