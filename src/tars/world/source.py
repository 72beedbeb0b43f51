"""The micro-world as a data source: prompts and demonstrations made on the spot, deterministic by seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import islice

from tars.errors import InputError
from tars.types import Prompt, Split, Trace
from tars.world.grammar import prompts
from tars.world.teacher import Teacher

TEACHERS: dict[str, Teacher] = {
    "correlated": Teacher(),
    "flat": Teacher(easy=(0.65, 0.25, 0.10), hard=(0.65, 0.25, 0.10)),
}
"""`correlated`: short thoughts are somewhat likelier where they suffice. `flat`: style tells nothing."""


def make_prompts(split: Split, count: int, seed: int) -> list[Prompt]:
    """`count` prompts cycling through the categories."""
    return list(islice(prompts(split, seed=seed), count))


def teach(asked: Sequence[Prompt], teacher: str, seed: int) -> list[Trace]:
    """One demonstration for each prompt by a teacher of `TEACHERS`.

    Raises:
        InputError: Unknown teacher.
    """
    if teacher not in TEACHERS:
        raise InputError(f"teacher {teacher!r}: unknown; choose one of {', '.join(TEACHERS)}")
    rng = random.Random(f"world traces {teacher} {seed}")
    return [TEACHERS[teacher].trace(prompt, rng) for prompt in asked]
