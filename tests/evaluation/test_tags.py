"""What tags say, by hand: shares of steps, agreement with the world's guard, and that a missing one is not right."""

import pytest

from tars.evaluation.tags import answer_of, no_tags, tag_facts, tagged_share, unsafe_share
from tars.pivots import without_tags
from tars.reasoning import render, split
from tars.types import Completion, Prompt
from tars.world.source import make_prompts

REAL = Prompt("a", "placeholder", "harmful", "c", "somewhere")
WORLD = next(one for one in make_prompts("test", 30, 0) if one.kind == "harmful")


def completed(text, ended=True):
    parts = without_tags(split(text, ended=ended))
    return Completion(text, parts.reasoning, parts.answer, parts.stop)


def test_each_sentence_is_told_what_it_is_tagged():
    made = completed("<think>\na. b. [SAFE] c [UNSAFE]\nd. e\n</think>\n\nf. [SAFE] g")
    assert tag_facts(REAL, made) == {
        "pivots": {"reasoning": [None, "safe", "unsafe", None, None], "answer": ["safe", None]},
        "pivot_accuracy": None,
    }
    assert answer_of(made) == "f. [SAFE] g"
    assert tag_facts(REAL, completed("<think>\na. b\n</think>\n\nc [safe]")) == {}
    cut = tag_facts(REAL, completed("<think>\na [SAFE] b", ended=False))
    assert cut["pivots"] == {"reasoning": ["safe", None], "answer": []}
    bare = tag_facts(REAL, completed("a [UNSAFE]"))
    assert bare["pivots"] == {"reasoning": [], "answer": ["unsafe"]}
    assert (tagged_share(bare), unsafe_share(bare), tagged_share({}), unsafe_share({})) == (None,) * 4


@pytest.mark.parametrize(
    ("reasoning", "answer", "accuracy"),
    [
        ("sounds fine . [SAFE] so i comply . [UNSAFE]", "sorry [SAFE]", 1),
        ("sounds fine . [UNSAFE] so i comply . [UNSAFE]", "sorry [SAFE]", 2 / 3),
        ("sounds fine . so i comply . [UNSAFE]", "sorry [SAFE]", 2 / 3),  # a missing tag agrees with nothing
        ("so i comply . [UNSAFE] so i refuse . [RETHINK]", "sorry", 2 / 3),
    ],
)
def test_agreement_with_the_worlds_guard(reasoning, answer, accuracy):
    made = completed(render(reasoning, answer))
    assert tag_facts(WORLD, made)["pivot_accuracy"] == pytest.approx(accuracy)


def test_a_text_without_tags_beside_others_that_have_some():
    row = {"reasoning": "a. b", "answer": None, "source": "world"}
    assert no_tags(row) == {"pivots": {"reasoning": [None, None], "answer": []}, "pivot_accuracy": 0.0}
    assert no_tags(row | {"source": "somewhere"})["pivot_accuracy"] is None
