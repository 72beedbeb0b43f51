"""The only parser of think tags: what is reasoning, what is answer, and is the form right.

Completions are hostile text. Tags can be prefilled by the template, missing, doubled, nested, in the wrong
order, or cut off by the token budget; `split` names each case and never guesses an answer out of a thought.

Source: TARS (arXiv 2507.00971) appendix F for the layout. Departure: the published splitter looks for
`"\\n</think>\\n\\n"` while its format check accepts any white space, so that a reasoning could be scored as part
of the answer; here both read the same tags, and `paper_format` keeps the published check by name.
"""

from __future__ import annotations

from dataclasses import dataclass

from tars.types import Stop

OPEN = "<think>"
CLOSE = "</think>"


@dataclass(frozen=True)
class Parts:
    """A completion taken apart; see `tars.types.Completion` for the meaning of the fields."""

    reasoning: str | None
    answer: str | None
    stop: Stop


def render(reasoning: str | None, answer: str) -> str:
    """The text of an assistant turn: `<think>`, reasoning, `</think>`, answer; only the answer without reasoning."""
    if reasoning is None:
        return answer
    return f"{OPEN}\n{reasoning.strip()}\n{CLOSE}\n\n{answer.strip()}"


def split(text: str, *, ended: bool = True, prefilled: bool = False, reasons: bool = True) -> Parts:
    """Take a completion apart.

    Args:
        text: The generated text without its end-of-turn token.
        ended: The model ended its turn itself; False when the token budget cut it off.
        prefilled: The template opened the think tag, so that `text` starts inside the reasoning.
        reasons: The model is expected to think first; if not, any think tag is malformed.
    """
    opens, closes = text.count(OPEN) + prefilled, text.count(CLOSE)
    if not reasons:
        wrong: Stop = "malformed" if opens or closes else "finished"
        inside = not closes and (prefilled or text.lstrip().startswith(OPEN))  # all of it is one unclosed thought
        answer = None if inside else _after_last_close(text).strip()
        return Parts(None, answer, wrong if ended else "truncated")
    head, closed, tail = text.partition(CLOSE)
    before, opened, thought = ("", OPEN, head) if prefilled else head.partition(OPEN)
    broken: Stop = "malformed" if ended else "truncated"
    if not closed:
        if not opened:  # no thought at all: what there is, is the answer, and its form is wrong
            return Parts(None, text.strip(), broken)
        return Parts(thought.strip(), None, broken)
    if opens == closes == 1 and opened and not before.strip():
        return Parts(thought.strip(), tail.strip(), "finished" if ended else "truncated")
    return Parts((thought if opened else head).strip(), _after_last_close(text).strip(), broken)


def well_formed(text: str, *, ended: bool = True, prefilled: bool = False, reasons: bool = True) -> bool:
    """The strict format check: one thought, first, closed, non-empty, an answer after it, and the turn ended."""
    parts = split(text, ended=ended, prefilled=prefilled, reasons=reasons)
    thought = bool(parts.reasoning) if reasons else parts.reasoning is None
    return parts.stop == "finished" and thought and bool(parts.answer)


def paper_format(text: str) -> bool:
    """TARS's published check: exactly one opening and one closing tag, in that order; nothing else is asked."""
    return text.count(OPEN) == text.count(CLOSE) == 1 and text.index(OPEN) < text.index(CLOSE)


def _after_last_close(text: str) -> str:
    """Text after the last closing tag, without stray opening tags: what a user interface would show."""
    return text.rpartition(CLOSE)[2].replace(OPEN, "")
