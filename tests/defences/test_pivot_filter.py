"""The official filter of tagged texts, by hand, and what a user sees through it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tars.defences import defend, named_defence
from tars.defences.pivot_filter import PivotFilter, filtered, official_filter
from tars.pivots import TAGS, has_tag, without_tags
from tars.reasoning import split
from tars.types import Completion, Sampling

# Worked out from the published code, line by line: the pieces before [SAFE] or [RETHINK], put together.
OFFICIAL = [
    ("no tag: whole", "a. b", "a. b"),
    ("all safe", "a [SAFE] b [RETHINK]", "a  b "),
    ("unsafe dropped", "a [SAFE] b [UNSAFE] c [SAFE]", "a  c "),
    ("text after the last tag dropped", "a [SAFE] b", "a "),
    ("nothing left", "a [UNSAFE] b", ""),
    ("of two tags the first counts", "a [SAFE][UNSAFE] b [UNSAFE][SAFE]", "a "),
    ("an untagged answer vanishes", "<think>\na [SAFE]\n</think>\n\nb", "<think>\na "),
    ("a think tag goes with its step", "<think>\na [UNSAFE]\nb [SAFE]\n</think>\n\nc [SAFE]", "\nb \n</think>\n\nc "),
    ("half a tag is text", "a [SAF b [SAFE]", "a [SAF b "),
    ("other letter case is text", "a [unsafe] b [SAFE]", "a [unsafe] b "),
]


@pytest.mark.parametrize(("what", "text", "left"), OFFICIAL)
def test_the_official_filter(what, text, left):
    assert official_filter(text) == left


def completed(text, ended=True, prefilled=False):
    parts = without_tags(split(text, ended=ended, prefilled=prefilled))
    return Completion(text, parts.reasoning, parts.answer, parts.stop, 7, 5)


THOUGHT = "<think>\na [SAFE]\n</think>\n\n"

# what, text, answer shown, form
SHOWN = [
    ("all safe", f"{THOUGHT}b. [SAFE] c [SAFE]", "b. c", "finished"),
    ("one step of it unsafe", f"{THOUGHT}b [UNSAFE] c [SAFE]", "c", "finished"),
    ("the rest lacks its tag", f"{THOUGHT}b [SAFE] c", "b", "finished"),
    ("nothing left", f"{THOUGHT}b [UNSAFE]", "", "malformed"),
    ("an answer without tags", f"{THOUGHT}b", "", "malformed"),
    ("no tag anywhere", "<think>\na\n</think>\n\nb", "b", "finished"),
    ("the end of the thought dropped", "<think>\na [UNSAFE]\nb\n</think>\n\nc [SAFE]", "c", "finished"),
    ("all of the thought dropped", "<think>\na [UNSAFE]\n</think>\n\nc [SAFE]", "c", "finished"),
    (
        "the answer's first step dropped with the tag",
        "<think>\na [SAFE]\n</think>\n\nc [UNSAFE] d [SAFE]",
        "d",
        "finished",
    ),
]


@pytest.mark.parametrize(("what", "text", "answer", "stop"), SHOWN)
def test_what_is_shown(what, text, answer, stop):
    raw = completed(text)
    seen = filtered(raw)
    assert (seen.answer, seen.stop) == (answer, stop)
    assert (seen.text, seen.reasoning, seen.reasoning_tokens, seen.answer_tokens) == (text, raw.reasoning, 7, 5)
    assert (seen is raw) == (answer == raw.answer)


def test_a_thought_never_passes_for_an_answer():
    cut = completed("<think>\na [SAFE] b [UNSAFE] c", ended=False)
    assert filtered(cut) is cut and cut.answer is None
    inside = completed("a [UNSAFE]\n</think>\n\nb [SAFE]", prefilled=True)
    assert (filtered(inside).answer, inside.answer) == ("b", "b")
    assert filtered(completed("a [UNSAFE] b\n</think>\n\nc", prefilled=True)).answer == ""


def test_the_official_evaluation_judged_thought_and_answer_together():
    seen = filtered(completed(f"{THOUGHT}b [UNSAFE] c [SAFE]"), "whole")
    assert seen.answer == "<think>\na  c "
    assert filtered(completed("<think>\na [SAFE] b [UNSAFE]", ended=False), "whole").answer == "<think>\na "
    assert filtered(completed(f"{THOUGHT}[UNSAFE]"), "whole").answer == "<think>\na "


bits = st.sampled_from([*TAGS.values(), "<think>", "</think>", "[SA", "FE]", "a", " ", "\n", "\ud800"])


@given(st.lists(bits, max_size=14).map("".join), st.booleans(), st.booleans(), st.sampled_from(["answer", "whole"]))
def test_hostile_text_leaves_no_tag_and_nothing_that_was_not_there(text, ended, prefilled, shows):
    raw = completed(text, ended, prefilled)
    seen = filtered(raw, shows)
    assert not has_tag(seen.answer or "")
    if shows == "answer":
        assert (seen.answer is None) == (raw.answer is None)
        if raw.answer and not raw.answer.strip():
            assert not seen.answer.strip()
    assert len(official_filter(text)) <= len(text)


def test_it_stands_around_a_model(scripted):
    inner = scripted(lambda prompt: "b [UNSAFE] c [SAFE]" if "x" in prompt else "b")
    model = defend(inner, PivotFilter())
    seen = model.generate(["x [SAFE]", "y"], Sampling(4))
    assert [one.answer for one in seen] == ["c", "b"]
    assert inner.calls[0][0] == ["x [ SAFE ]", "y"]
    counts = model.counts
    assert (counts.prompts, counts.queries, counts.changed, counts.refused, counts.unseen) == (2, 2, 1, 0, 0)
    whole = defend(inner, named_defence("pivot-filter", {"shows": "whole"}))
    assert whole.generate(["x"], Sampling(4))[0].answer == " c "
