"""Defences by name, with options as a recipe or a command line gives them."""

import pytest

from tars.defences import DEFENCES, named_defence
from tars.errors import InputError


def test_options_may_be_words_of_a_command_line():
    made = named_defence("smooth-llm", {"copies": "4", "kind": "patch", "percent": "12.5"})
    assert (made.copies, made.kind, made.percent) == (4, "patch", 12.5)
    assert named_defence("erase-and-check", {"max-erase": 3}).max_erase == 3
    assert named_defence("perplexity", {"threshold": 90, "window": 10}).window == 10


def test_every_defence_goes_by_its_name():
    assert sorted(DEFENCES) == [
        "erase-and-check",
        "no-thinking",
        "perplexity",
        "pivot-filter",
        "pivot-prompt",
        "pivot-resample",
        "pivot-stop",
        "self-reminder",
        "smooth-llm",
    ]
    assert all(named_defence(name).name == name for name in DEFENCES)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("smoothllm", {}, "unknown defence 'smoothllm'; did you mean 'smooth-llm'"),
        ("smooth-llm", {"copy": 1}, "unknown option 'copy'; did you mean 'copies'"),
        ("smooth-llm", {"name": "x"}, "unknown option 'name'"),
        ("smooth-llm", {"kind": "shuffle"}, "kind: .*'swap', 'insert' or 'patch', not 'shuffle'"),
        ("smooth-llm", {"copies": 0}, "copies 0: give at least 1"),
        ("smooth-llm", {"percent": "nan"}, "percent nan: give 0 to 100"),
        ("smooth-llm", {"threshold": 1}, "threshold 1.0: give at least 0 and less than 1"),
        ("perplexity", {"window": 0}, "window 0: give at least 1 token"),
        ("perplexity", {"threshold": 0.5}, "threshold 0.5: a perplexity is finite and at least 1"),
        ("perplexity", {"threshold": "inf"}, "threshold inf"),
        ("erase-and-check", {"max_checks": 0}, "max_checks 0: give at least 1"),
        ("erase-and-check", {"blocks": 0}, "blocks 0: give at least 1"),
        ("self-reminder", {"wording": "no/such/file"}, "wording 'no/such/file': cannot be read"),
        ("pivot-prompt", {"wording": "no/such/file"}, "wording 'no/such/file': cannot be read; give own or a file"),
        ("pivot-filter", {"shows": "all"}, "shows: .*'answer' or 'whole', not 'all'"),
        ("pivot-resample", {"temperature": 0}, "temperature 0.0: give more than 0, or every draw is the same"),
        ("pivot-resample", {"tries": 0}, "tries 0: give at least 1"),
        ("pivot-resample", {"most": 0}, "most 0: give at least 1"),
    ],
)
def test_what_means_nothing_is_refused_in_one_line(name, options, said):
    with pytest.raises(InputError, match=said) as refused:
        named_defence(name, options)
    assert "\n" not in str(refused.value)
