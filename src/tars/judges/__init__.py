"""Judges of answers, by name."""

from __future__ import annotations

from collections.abc import Callable

from tars.judges.base import Judge
from tars.judges.oracles import WorldJudge
from tars.judges.phrases import PhraseJudge
from tars.judges.standin import StandinJudge

JUDGES: dict[str, Callable[[], Judge]] = {"phrases": PhraseJudge, "standin": StandinJudge, "world": WorldJudge}
