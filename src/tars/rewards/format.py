"""The format checks, by name: the f of TARS's Eq. 1-2."""

from __future__ import annotations

from typing import Protocol

from tars.reasoning import CLOSE, OPEN, paper_format, well_formed


class FormatCheck(Protocol):
    """Whether a completion has the wanted form; see `tars.reasoning.split` for the arguments."""

    def __call__(self, text: str, *, ended: bool, prefilled: bool, reasons: bool) -> bool: ...


def strict(text: str, *, ended: bool, prefilled: bool, reasons: bool) -> bool:
    """One thought, first, closed, not empty, an answer after it, and the turn ended by the model itself."""
    return well_formed(text, ended=ended, prefilled=prefilled, reasons=reasons)


def paper(text: str, *, ended: bool, prefilled: bool, reasons: bool) -> bool:
    """TARS's published check: one opening tag, one closing tag, in order; a truncated or empty answer passes.

    Departure: TARS's code has no check for models that do not reason; here those must write no think tag.
    """
    if not reasons:
        return text.count(OPEN) == text.count(CLOSE) == 0
    return paper_format(OPEN + text if prefilled else text)


FORMATS: dict[str, FormatCheck] = {"strict": strict, "paper": paper}
