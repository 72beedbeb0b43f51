"""What the micro-world says, as one number: models and data made by another edition of it are not taken for this one's.

Apart from the code that makes it, so that plans read quickly.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

EDITION = ("documents", "grammar", "lexicon", "oracles", "settings", "source", "teacher", "tokenizer")
"""Modules that prompts, traces, models and verdicts are made by; those that only reword prompts are not among them."""

LATER = ("reflection", "steps", "teachers")
"""Modules that only teachers which came later are made by."""

EDITION_TEACHERS = ("correlated", "flat")
"""Teachers whose traces depend on the edition alone."""


@cache
def world_fingerprint() -> str:
    """16 hex digits of the edition's code, whatever its comments and layout."""
    return _digest(EDITION)


def teacher_digests(teacher: str) -> dict[str, str]:
    """What a stage that reads a teacher's traces depends on beside the edition; nothing if it is of the edition."""
    return {} if teacher in EDITION_TEACHERS else {"world teachers": _digest(LATER)}


@cache
def _digest(modules: tuple[str, ...]) -> str:
    here = Path(__file__).parent
    sources = ((here / f"{name}.py").read_text(encoding="utf-8") for name in modules)
    return hashlib.sha256("\n".join(ast.dump(ast.parse(source)) for source in sources).encode()).hexdigest()[:16]
