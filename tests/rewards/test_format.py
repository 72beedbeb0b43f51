"""The format checks on malformed outputs: where strict and paper agree, and where they do not."""

import pytest

from tars.rewards.format import FORMATS

# text, ended, strict, paper
ROWS = [
    ("<think>\na\n</think>\n\nb", True, True, True),
    ("<think>a</think>b", True, True, True),
    ("<think>\na\n</think>\n\nb", False, False, True),  # cut off in the answer
    ("<think>\na\n</think>\n\n", True, False, True),  # no answer
    ("<think></think>b", True, False, True),  # no thought
    ("x <think>a</think>b", True, False, True),  # text before the thought
    ("<think>a", False, False, False),
    ("b", True, False, False),
    ("", True, False, False),
    ("a</think>b", True, False, False),
    ("</think>a<think>b", True, False, False),
    ("<think>a</think>b</think>c", True, False, False),
    ("<think><think>a</think>b", True, False, False),
]


@pytest.mark.parametrize(("text", "ended", "strict", "paper"), ROWS)
def test_reasoning_models(text, ended, strict, paper):
    options = {"ended": ended, "prefilled": False, "reasons": True}
    assert FORMATS["strict"](text, **options) is strict
    assert FORMATS["paper"](text, **options) is paper


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("text", "good"), [("a</think>b", True), ("<think>a</think>b", False), ("a", False), ("a</think>b</think>", False)]
)
def test_prefilled_tag_is_counted(name, text, good):
    assert FORMATS[name](text, ended=True, prefilled=True, reasons=True) is good


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("text", "good"), [("b", True), ("<think>a</think>b", False), ("a</think>b", False)])
def test_models_that_do_not_reason_write_no_tag(name, text, good):
    assert FORMATS[name](text, ended=True, prefilled=False, reasons=False) is good
