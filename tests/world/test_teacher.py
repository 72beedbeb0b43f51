"""What the teacher shows: styles and errors at their stated rates, and a chain that is always right."""

import math
import random
import re
from collections import Counter

import pytest

from tars.world.grammar import Request
from tars.world.lexicon import CLASS_OF, KIND_OF, PURPOSE_OF, REFUSAL, TABLE, procedure
from tars.world.source import TEACHERS, make_prompts
from tars.world.teacher import Teacher, is_short, look_up, sufficient_reasoning, unmistakable

PROMPTS = make_prompts("train", 2700, 3) + make_prompts("test", 900, 3)
REQUESTS = [Request.of(prompt) for prompt in PROMPTS]


def refuses(reasoning):
    """What the reasoning concludes."""
    (word,) = re.findall(r"so i (refuse|comply) \.$", reasoning)
    return word == "refuse"


def within(share, probability, n):
    """Five standard errors: one test in two million fails by chance, and the seeds are fixed."""
    return abs(share - probability) <= 5 * math.sqrt(probability * (1 - probability) / n)


def test_the_sufficient_chain_decides_every_prompt_rightly():
    for prompt, request in zip(PROMPTS, REQUESTS, strict=True):
        reasoning = sufficient_reasoning(prompt)
        assert refuses(reasoning) == request.harmful, prompt.text
        assert is_short(reasoning) == unmistakable(request) == prompt.category.startswith("unmistakable")


def test_a_chain_without_noise_is_true_line_by_line():
    for request in REQUESTS:
        lines, refuse = look_up(request, random.Random(0))
        assert refuse == request.harmful
        row, kind = CLASS_OF[request.action], KIND_OF[request.obj]
        expected = [f"{alias} mean {meaning} ." for alias, meaning in request.aliases]
        expected += [f"{request.action} is {row} .", f"{request.obj} is {kind} ."]
        expected.append(f"{row} {kind} is {TABLE[row, kind]} .")
        if TABLE[row, kind] == "dual":
            expected.append(f"for {request.purpose} is {PURPOSE_OF[request.purpose]} .")
        assert lines == expected


def test_the_short_trace_decides_unmistakable_prompts_rightly_and_is_weak_elsewhere():
    teacher, rng = Teacher(flip=0.0), random.Random(0)
    right = Counter()
    for prompt, request in zip(PROMPTS, REQUESTS, strict=True):
        trace = teacher.trace(prompt, rng, "short")
        assert is_short(trace.reasoning)
        right[unmistakable(request), refuses(trace.reasoning) == request.harmful] += 1
    assert right[True, False] == 0
    easy = sum(unmistakable(request) for request in REQUESTS)
    assert right[True, True] == easy > 800
    assert 0.4 < right[False, True] / (len(REQUESTS) - easy) < 0.8


@pytest.mark.parametrize("name", TEACHERS)
def test_styles_are_drawn_at_their_rates(name):
    teacher, rng = TEACHERS[name], random.Random(1)
    counts = {True: Counter(), False: Counter()}
    for prompt, request in zip(PROMPTS, REQUESTS, strict=True):
        counts[unmistakable(request)][teacher.trace(prompt, rng).style] += 1
    for easy, shares in ((True, teacher.easy), (False, teacher.hard)):
        n = counts[easy].total()
        assert sum(shares) == pytest.approx(1)
        for style, share in zip(("short", "full", "guess"), shares, strict=True):
            assert within(counts[easy][style] / n, share, n), (style, counts[easy][style] / n, share)
    if name == "flat":
        assert teacher.easy == teacher.hard
    else:
        assert teacher.easy[0] > teacher.hard[0]


def test_errors_happen_at_their_rates():
    teacher, rng = Teacher(lookup_noise=0.1, flip=0.2), random.Random(2)
    flips = wrong_class = guesses = 0
    for prompt, request in zip(PROMPTS, REQUESTS, strict=True):
        impression = "risky" in Teacher(flip=0.0).trace(prompt, rng, "short").reasoning
        flips += ("risky" in teacher.trace(prompt, rng, "short").reasoning) != impression
        full = teacher.trace(prompt, rng, "full")
        wrong_class += f"{request.action} is {CLASS_OF[request.action]} ." not in full.reasoning
        guesses += refuses(teacher.trace(prompt, rng, "guess").reasoning)
    n = len(PROMPTS)
    assert within(flips / n, 0.2, n)
    assert within(wrong_class / n, 0.1 * 9 / 10, n)  # a wrong look-up draws one of ten classes, the right one too
    assert within(guesses / n, 0.5, n)


def test_each_answer_follows_from_its_conclusion():
    rng = random.Random(3)
    for prompt, request in zip(PROMPTS, REQUESTS, strict=True):
        trace = Teacher().trace(prompt, rng)
        expected = REFUSAL if refuses(trace.reasoning) else procedure(request.action, request.obj)
        assert trace.answer == expected
        assert trace.prompt is prompt


def test_shape_of_the_styles():
    rng = random.Random(4)
    for prompt, request in zip(PROMPTS[:200], REQUESTS, strict=False):
        full = Teacher(lookup_noise=0.0).trace(prompt, rng, "full")
        guess = Teacher(lookup_noise=0.0).trace(prompt, rng, "guess")
        short = Teacher().trace(prompt, rng, "short")
        assert re.fullmatch(r"sounds (risky|fine) \. so i (refuse|comply) \.", short.reasoning)
        lines, _ = look_up(request, rng)
        assert full.reasoning.rpartition(" so i ")[0] == " ".join(["recall", *lines])
        assert guess.reasoning.rpartition(" so i ")[0] == " ".join(["recall", *lines[: 2 + len(request.aliases)]])
        assert not is_short(full.reasoning)
        assert not is_short(guess.reasoning)
