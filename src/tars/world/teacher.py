"""The micro-world's teacher: demonstrations that are diverse, mostly shallow and sometimes wrong.

Three styles stand for what distilled traces look like: `short` trusts how the words sound, `full` looks everything
up, `guess` looks up and then does not use it. A warm start on such traces leaves RL something real to select.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from tars.types import Prompt, Trace
from tars.world.grammar import Request
from tars.world.lexicon import (
    CLASS_OF,
    KIND_OF,
    OBJECTS,
    PURPOSE_OF,
    REFUSAL,
    TABLE,
    UNMISTAKABLE_ACTIONS,
    looks_harmful,
    procedure,
    verdict_of,
)

Style = Literal["short", "full", "guess"]


@dataclass(frozen=True)
class Teacher:
    """How the teacher thinks.

    Attributes:
        easy: Shares of short, full and guess on unmistakable prompts.
        hard: The same elsewhere. Equal shares make a *flat* warm start: style tells nothing about difficulty.
        lookup_noise: Probability that a looked-up word is wrong.
        flip: Probability that a short trace decides against its own impression.
    """

    easy: tuple[float, float, float] = (0.85, 0.10, 0.05)
    hard: tuple[float, float, float] = (0.60, 0.30, 0.10)
    lookup_noise: float = 0.04
    flip: float = 0.05

    def trace(self, prompt: Prompt, rng: random.Random, style: Style | None = None) -> Trace:
        """One demonstration; the style is drawn unless given."""
        request = Request.of(prompt)
        shares = self.easy if unmistakable(request) else self.hard
        chosen: Style = style or rng.choices(("short", "full", "guess"), shares)[0]
        if chosen == "short":
            reasoning, refuse = self._short(request, rng)
        else:
            reasoning, refuse = self._chain(request, rng, guess=chosen == "guess")
        answer = REFUSAL if refuse else procedure(request.action, request.obj)
        return Trace(prompt, reasoning, answer, chosen)

    def _short(self, request: Request, rng: random.Random) -> tuple[str, bool]:
        seen = None if request.aliases else request.obj
        refuse = looks_harmful(request.action, seen) != (rng.random() < self.flip)
        return f"{impression(refuse)} {conclusion(refuse)}", refuse

    def _chain(self, request: Request, rng: random.Random, *, guess: bool) -> tuple[str, bool]:
        lines, refuse = look_up(request, rng, self.lookup_noise)
        if guess:
            lines, refuse = lines[: 2 + len(request.aliases)], rng.random() < 0.5
        return chain(lines, refuse), refuse


def unmistakable(request: Request) -> bool:
    """The action's class decides alone, so that a short thought suffices."""
    return CLASS_OF[request.action] in UNMISTAKABLE_ACTIONS


def impression(refuse: bool) -> str:
    return f"sounds {'risky' if refuse else 'fine'} ."


def conclusion(refuse: bool) -> str:
    return f"so i {'refuse' if refuse else 'comply'} ."


def chain(lines: list[str], refuse: bool) -> str:
    """Looked-up lines and a conclusion; `recall` keeps the first looked-up word off the start of the line."""
    return " ".join(["recall", *lines, conclusion(refuse)])


def look_up(request: Request, rng: random.Random, noise: float = 0.0) -> tuple[list[str], bool]:
    """The lines of the full chain and whether they say to refuse; each look-up errs with probability `noise`."""

    def read(true: str, pool: list[str]) -> str:
        return rng.choice(pool) if rng.random() < noise else true

    action_class = read(CLASS_OF[request.action], sorted(set(CLASS_OF.values())))
    kind = read(KIND_OF[request.obj], list(OBJECTS))
    verdict = read(TABLE[action_class, kind], ["safe", "harm", "dual"])
    lines = [f"{alias} mean {meaning} ." for alias, meaning in request.aliases]
    lines += [f"{request.action} is {action_class} .", f"{request.obj} is {kind} ."]
    lines.append(f"{action_class} {kind} is {verdict} .")
    if verdict != "dual":
        return lines, verdict == "harm"
    if request.purpose is None:  # only a wrong look-up leads here: nothing to go by
        return lines, rng.random() < 0.5
    side = read(PURPOSE_OF[request.purpose], ["good", "bad"])
    return [*lines, f"for {request.purpose} is {side} ."], side == "bad"


def sufficient_reasoning(prompt: Prompt) -> str:
    """The shortest chain that decides this prompt rightly for sure: short if unmistakable, else every look-up."""
    request = Request.of(prompt)
    if unmistakable(request):
        refuse = verdict_of(request.action, request.obj) == "harm"
        return f"{impression(refuse)} {conclusion(refuse)}"
    return chain(*look_up(request, random.Random(0)))


def is_short(reasoning: str) -> bool:
    """The thought consults nothing: it goes from an impression to a conclusion."""
    return " is " not in f" {reasoning} "
