"""The turn ends at the model's own [UNSAFE], and what it wrote after that is counted, not shown."""

import pytest

from tars.defences import defend
from tars.defences.base import REFUSAL
from tars.defences.pivot_stop import PivotStop, stopped
from tars.pivots import without_tags
from tars.reasoning import split
from tars.types import Completion, Sampling


def words(text):
    return len(text.split())


def completed(text, ended=True, prefilled=False):
    parts = without_tags(split(text, ended=ended, prefilled=prefilled))
    return Completion(text, parts.reasoning, parts.answer, parts.stop, 70, 50)


# what, text, text up to the tag
STOPS = [
    ("in the thought", "<think>\na [SAFE] b [UNSAFE] c [SAFE]\n</think>\n\nd", "<think>\na [SAFE] b [UNSAFE]"),
    ("at the first of two", "<think>\na [UNSAFE] b [UNSAFE]\n</think>\n\nd", "<think>\na [UNSAFE]"),
    ("in a thought that never closed", "<think>\na [UNSAFE] b", "<think>\na [UNSAFE]"),
    ("behind a safer tag", "<think>\na [SAFE][UNSAFE] b\n</think>\n\nd", "<think>\na [SAFE][UNSAFE]"),
]


@pytest.mark.parametrize(("what", "text", "written"), STOPS)
@pytest.mark.parametrize("answer_too", [False, True])
def test_it_stops_at_the_first_unsafe_step_of_the_thought(what, text, written, answer_too):
    seen = stopped(completed(text), "no .", words, answer_too=answer_too)
    whole = f"{written}\n</think>\n\nno ."
    assert seen == Completion(whole, written[8:], "no .", "finished", words(written), 2)
    assert seen.reasoning == split(seen.text).reasoning


GOES_ON = [
    "<think>\na [SAFE] b [RETHINK]\n</think>\n\nd [UNSAFE]",
    "<think>\na [SAFE]\n</think>\n\nd e [UNSAFE] f [SAFE]",
    "d [UNSAFE]",
]


@pytest.mark.parametrize("text", GOES_ON)
def test_an_unsafe_step_of_the_answer_counts_if_asked(text):
    raw = completed(text)
    assert stopped(raw, "no .", words) is raw
    seen = stopped(raw, "no .", words, answer_too=True)
    assert (seen.answer, seen.stop, seen.reasoning, seen.answer_tokens) == ("no .", "finished", raw.reasoning, 2)
    assert split(seen.text, reasons=raw.reasoning is not None).answer == "no ."
    assert seen.reasoning_tokens == 70


@pytest.mark.parametrize(
    "text", ["<think>\na [SAFE]\n</think>\n\nb [SAFE]", "<think>\n[UNSAFE]a [SAFE]\n</think>\n\nb", "a", "", "[UNSAFE]"]
)
def test_without_an_unsafe_step_nothing_changes(text):
    raw = completed(text)
    assert stopped(raw, "no .", words, answer_too=True) is raw


def test_a_thought_that_the_template_opened():
    seen = stopped(completed("a [UNSAFE] b\n</think>\n\nd", prefilled=True), "no .", words)
    assert (seen.text, seen.reasoning) == ("a [UNSAFE]\n</think>\n\nno .", "a [UNSAFE]")
    assert stopped(completed("a [UNSAFE] b", ended=False, prefilled=True), "no .", words).stop == "finished"


class Thinking:
    """Says what it is told to, and whether it counts tokens."""

    name, batch = "thinking", 8

    def __init__(self, text, counts=True):
        self.text, self.counts = text, counts

    def generate(self, prompts, sampling, prefills=None):
        return [completed(self.text) if "x" in prompt else completed("<think>\na\n</think>\n\nb") for prompt in prompts]

    def tokens_in(self, text):
        return words(text) if self.counts else None


def test_it_stands_around_a_model_and_counts_what_was_written_for_nothing():
    model = defend(Thinking("<think>\na [UNSAFE] c d\n</think>\n\nf g"), PivotStop())
    seen = model.generate(["x", "y", "x"], Sampling(9))
    assert [one.answer for one in seen] == [REFUSAL, "b", REFUSAL]
    counts = model.counts
    assert (counts.prompts, counts.queries, counts.refused, counts.changed) == (3, 3, 2, 2)
    assert counts.unseen == 2 * 5  # c d </think> f g
    blind = defend(Thinking("<think>\na [UNSAFE] c", counts=False), PivotStop(refusal="no"))
    (one,) = blind.generate(["x"], Sampling(9))
    assert (one.answer, one.reasoning_tokens, one.answer_tokens, blind.counts.unseen) == ("no", None, None, None)
