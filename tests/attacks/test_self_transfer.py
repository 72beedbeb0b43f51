"""The suffix to start from, out of the rows of an earlier search."""

import json

import pytest

from tars.attacks.self_transfer import best_suffix
from tars.errors import InputError


def write(folder, cases, steps):
    for name, keys, rows in (("cases", ("prompt", "harmful", "loss"), cases), ("steps", ("prompt", "suffix"), steps)):
        lines = [json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    return folder


def test_a_broken_behavior_comes_first_and_then_the_least_loss(tmp_path):
    cases = [("p", False, 0.5), ("q", True, 3.0), ("r", True, 2.0), ("s", None, 0.1), ("t", True, None)]
    steps = [("p", "P"), ("q", "Q"), ("earlier", "E"), ("r", "R"), ("s", "S"), ("t", "T")]
    assert best_suffix(write(tmp_path, cases, steps)) == "R"
    unbroken = [case for case in cases if not case[1]]
    assert best_suffix(write(tmp_path, unbroken, steps)) == "S"


@pytest.mark.parametrize("steps", [[], [("other", "x")], [("p", "")], [("p", None)], [("p", 7)]])
def test_a_case_without_its_suffix_is_no_start(tmp_path, steps):
    with pytest.raises(InputError, match=f"{tmp_path.name}: no finished random search"):
        best_suffix(write(tmp_path, [("p", True, 1.0)], steps))


def test_a_loss_that_is_no_number_is_refused(tmp_path):
    cases = [("p", True, "low"), ("q", True, 1.0)]
    with pytest.raises(InputError, match=f"{tmp_path.name}: not the folder of a random search"):
        best_suffix(write(tmp_path, cases, [("p", "P"), ("q", "Q")]))


@pytest.mark.parametrize(
    ("cases", "steps"),
    [("", ""), ("{}\n", "{}\n"), ("x\n", ""), ('{"prompt": [], "loss": 1}\n', ""), ("7\n", ""), ("\ud800\n", "")],
)
def test_a_folder_of_something_else_is_told_in_one_line(tmp_path, cases, steps):
    (tmp_path / "cases.jsonl").write_bytes(cases.encode("utf-8", "surrogatepass"))
    (tmp_path / "steps.jsonl").write_text(steps)
    with pytest.raises(InputError, match=f"{tmp_path.name}: no.*name") as caught:
        best_suffix(tmp_path)
    assert "\n" not in str(caught.value)
