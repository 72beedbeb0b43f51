"""A folder takes more of what it was begun with, and nothing else once it holds a row."""

import json

import pytest

from tars.errors import InputError
from tars.pipeline.claiming import claim_folder, claim_stage
from tars.store import RowLog, write_json

ONE = {"model": "a", "budgets": (1, 2), "text": "\ud800\n"}
OTHER = {**ONE, "model": "b"}


def test_the_same_settings_go_on_and_others_are_refused(tmp_path):
    log = RowLog(tmp_path / "rows.jsonl")
    claim_folder(tmp_path, ONE, log, "rows of another model")
    log.append({"n": 1})
    claim_folder(tmp_path, ONE, log, "rows of another model")
    with pytest.raises(InputError) as caught:
        claim_folder(tmp_path, OTHER, log, "rows of another model")
    assert str(caught.value) == f"{tmp_path}: has rows of another model; use another --out"
    assert json.loads((tmp_path / "settings.json").read_text())["model"] == "a"


def test_a_folder_without_a_whole_row_is_anybodys(tmp_path):
    log = RowLog(tmp_path / "rows.jsonl")
    claim_folder(tmp_path, ONE, log, "rows")
    log.path.write_text('{"n": ')
    claim_folder(tmp_path, OTHER, log, "rows")
    assert json.loads((tmp_path / "settings.json").read_text())["model"] == "b"


def test_settings_that_cannot_be_read_are_not_written_over(tmp_path):
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(InputError, match=r"settings\.json: not valid JSON"):
        claim_folder(tmp_path, ONE, RowLog(tmp_path / "rows.jsonl"), "rows")


def stage(folder, key, rows=0):
    folder.mkdir()
    write_json(folder / "stage.json", {"key": key} if key else {})
    if rows:
        RowLog(folder / "rows.jsonl").append(*[{"n": n} for n in range(rows)])
    return folder


@pytest.mark.parametrize(("name", "key", "rows"), [("s", "k", 0), ("s", "k", 2), ("s.partial", "k", 0)])
def test_a_stage_of_the_same_settings_stays(tmp_path, name, key, rows):
    made = stage(tmp_path / name, key, rows)
    claim_stage(tmp_path / "s", "k", "rows.jsonl")
    assert (made / "stage.json").exists()


@pytest.mark.parametrize(
    ("name", "key", "rows"), [("s", "other", 0), ("s.partial", "other", 1), ("s.partial", None, 1)]
)
def test_a_stage_of_others_is_refused_and_named(tmp_path, name, key, rows):
    made = stage(tmp_path / name, key, rows)
    with pytest.raises(InputError) as caught:
        claim_stage(tmp_path / "s", "k", "rows.jsonl")
    assert str(caught.value) == f"{made}: made with other settings; give another --out or delete it"
    assert (made / "stage.json").exists()


def test_one_that_ended_before_its_first_row_is_cleared_away(tmp_path):
    claim_stage(tmp_path / "s", "k", "rows.jsonl")
    made = stage(tmp_path / "s.partial", "other")
    (made / "answers").mkdir()
    claim_stage(tmp_path / "s", "k", "rows.jsonl")
    assert not made.exists()
