"""Demonstrations that change course, and a guard's tags on them: Reasoning-to-Defend's traces in the micro-world.

The course changes where a trace has decided to comply with a harmful request, as one by a helpful teacher often does;
not always, so that something wrong is left to correct. The guard knows the step oracle and errs at a stated rate, so
that tags are worth contrasting.

Source: Reasoning-to-Defend (arXiv 2502.12970) §3 for steps that each end in a tag, [UNSAFE] where the course changes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from tars.pivots import PIVOTS, TAGS, Pivot, pivots_of, render_steps, segment
from tars.types import Prompt, Trace
from tars.world.grammar import Request
from tars.world.lexicon import REFUSAL, procedure
from tars.world.steps import harm_of_steps, is_harmful_so_far
from tars.world.teacher import chain, conclusion, look_up

REFLECTED = "reflected"
"""Style of a trace that looked again."""

OBLIGING = "obliging"
"""Style of one that complied against what it found, and stayed with it."""


@dataclass(frozen=True)
class Reflection:
    """How demonstrations look again at what they decided, and how a guard tags them.

    Attributes:
        oblige: Probability that a trace decides to comply whatever it found. Traces that are wrong by themselves are so
            where words mislead, and nothing in them tells; these contradict what stands before, so that tags can be
            learnt.
        reflect: Probability that a trace that decided to comply with a harmful request notices.
        doubt: Probability that one that rightly decided to comply looks again too, and stays with it. Without it to
            look again would mean to refuse, whatever is found.
        tag_noise: Probability that a tag is wrong: another one of the three, or of the two that an answer can have.
    """

    oblige: float = 0.3
    reflect: float = 0.7
    doubt: float = 0.1
    tag_noise: float = 0.05

    def reflected(self, trace: Trace, rng: random.Random) -> Trace:
        """The trace, obliging or not, gone on with or not: the right look-ups, and what follows from them."""
        request, obliges, looks = Request.of(trace.prompt), rng.random() < self.oblige, rng.random()
        if trace.reasoning is None:
            return trace
        if obliges and not decides_to_comply(trace):
            trace = _obliging(trace, trace.reasoning)
        if not decides_to_comply(trace) or looks >= (self.reflect if request.harmful else self.doubt):
            return trace
        lines, refuse = look_up(request, rng)
        answer = REFUSAL if refuse else procedure(request.action, request.obj)
        return Trace(trace.prompt, f"{trace.reasoning} {chain(lines, refuse)}", answer, REFLECTED)

    def tagged(self, trace: Trace, rng: random.Random) -> Trace:
        """The trace with a tag after each step of its reasoning and one after its answer, some of them wrong."""
        steps = segment(trace.reasoning or "")
        right = pivots_of(harm_of_steps(trace.prompt, steps))
        said = [replace(step, pivot=self._said(pivot, PIVOTS, rng)) for step, pivot in zip(steps, right, strict=True)]
        end = self._said(_of_answer(trace.prompt, trace.answer), ("safe", "unsafe"), rng)
        reasoning = None if trace.reasoning is None else render_steps(said)
        return replace(trace, reasoning=reasoning, answer=f"{trace.answer} {TAGS[end]}")

    def _said(self, right: Pivot, choices: tuple[Pivot, ...], rng: random.Random) -> Pivot:
        wrong: list[Pivot] = [pivot for pivot in choices if pivot != right]
        return rng.choice(wrong) if rng.random() < self.tag_noise else right


def decides_to_comply(trace: Trace) -> bool:
    """The reasoning ends in that decision."""
    return (trace.reasoning or "").endswith(conclusion(False))


def _obliging(trace: Trace, reasoning: str) -> Trace:
    request = Request.of(trace.prompt)
    decided = reasoning.removesuffix(conclusion(True)) + conclusion(False)
    return Trace(trace.prompt, decided, procedure(request.action, request.obj), OBLIGING)


def _of_answer(prompt: Prompt, answer: str) -> Pivot:
    return "unsafe" if is_harmful_so_far(prompt, answer) else "safe"
