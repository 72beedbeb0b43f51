"""Files that survive a crash, tried by crashing."""

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tars.errors import InputError, RunError
from tars.store import (
    CHECKPOINT_MARK,
    RowLog,
    fingerprint,
    locked,
    newest_checkpoint,
    read_json,
    stage_folder,
    write_json,
)
from tars.types import Sampling


def test_rows_come_back_in_order(tmp_path):
    log = RowLog(tmp_path / "log.jsonl")
    assert log.rows() == []
    log.append({"a": 1}, {"a": "ü\n\u2028"})
    log.append()
    log.append({"a": None})
    assert log.rows() == [{"a": 1}, {"a": "ü\n\u2028"}, {"a": None}]


@pytest.mark.parametrize("torn", [b'{"a": 2', b"{", b'{"a": 2}', b'{"a": "x\\n'])
def test_a_torn_line_is_left_out_and_never_glued_to_the_next_row(tmp_path, torn):
    log = RowLog(tmp_path / "log.jsonl")
    log.append({"a": 1})
    with log.path.open("ab") as file:
        file.write(torn)
    assert log.rows() == [{"a": 1}]
    log.append({"a": 3})
    log.append({"a": 4})
    assert log.rows() == [{"a": 1}, {"a": 3}, {"a": 4}]


def test_a_file_that_is_one_torn_line(tmp_path):
    log = RowLog(tmp_path / "log.jsonl")
    log.path.write_text('{"a"')
    log.append({"a": 1})
    assert log.path.read_text() == '{"a": 1}\n'


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), min_size=1), st.data())
def test_a_log_cut_anywhere_loses_no_whole_row(tmp_path_factory, rows, data):
    log = RowLog(tmp_path_factory.mktemp("log") / "log.jsonl")
    log.append(*rows)
    whole = log.path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    log.path.write_bytes(whole[:cut])
    kept = whole[:cut].count(b"\n")
    assert log.rows() == rows[:kept]
    log.append({"last": 1})
    assert log.rows() == [*rows[:kept], {"last": 1}]


def test_keep_replaces_the_content(tmp_path):
    log = RowLog(tmp_path / "log.jsonl")
    log.append(*[{"step": step} for step in range(5)])
    log.keep(row for row in log.rows() if row["step"] < 2)
    log.append({"step": 9})
    assert log.rows() == [{"step": 0}, {"step": 1}, {"step": 9}]
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_json_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, None, "ü"]})
    for bad in ({"a": float("nan")}, {"a": object()}):
        with pytest.raises((ValueError, TypeError)):
            write_json(path, bad)
        assert read_json(path) == {"a": [1, None, "ü"]}


@pytest.mark.parametrize(("content", "message"), [(None, "no such file"), ("{", "not valid JSON"), (b"\xff", "not")])
def test_json_that_cannot_be_read_is_named(tmp_path, content, message):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        read_json(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_stage_folder_appears_only_when_whole(tmp_path):
    folder = tmp_path / "runs" / "stage"
    with pytest.raises(ZeroDivisionError), stage_folder(folder) as partial:
        (partial / "a").write_text("half")
        1 / 0  # noqa: B018
    assert not folder.exists()
    with stage_folder(folder) as partial:
        assert (partial / "a").read_text() == "half"  # what was done is there to go on from
        assert not folder.exists()
    assert (folder / "a").read_text() == "half"
    assert [path.name for path in folder.parent.iterdir()] == ["stage"]


def checkpoint(folder, name, *, whole=True):
    (folder / name).mkdir()
    (folder / name / "weights").write_text(name)
    if whole:
        write_json(folder / name / CHECKPOINT_MARK, {})
    return folder / name


def test_the_newest_whole_checkpoint_is_found_and_broken_ones_are_removed(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    broken = checkpoint(tmp_path, "checkpoint-200", whole=False)
    assert newest_checkpoint(tmp_path) is None
    assert not broken.exists()
    older, newer = checkpoint(tmp_path, "checkpoint-90"), checkpoint(tmp_path, "checkpoint-100")
    broken = checkpoint(tmp_path, "checkpoint-110", whole=False)
    assert newest_checkpoint(tmp_path) == newer  # 100 > 90, though "100" < "90"
    assert older.exists()
    assert not broken.exists()


@dataclass(frozen=True)
class Other:
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0


def test_a_fingerprint_tells_values_apart_and_ignores_the_order_of_keys():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint(Sampling(5)) == fingerprint(Sampling(5, 0.0)) == fingerprint(Other(5))
    values = [(), (None,), (0,), ("0",), (0.0,), (False,), ([],), ({},), ([0],), (0, 1), ([0, 1],), (1, 0), ({"a": 0},)]
    values += [({"a": 1},), ({"b": 0},), (Sampling(5),), (Sampling(6),)]
    assert len({fingerprint(*value) for value in values}) == len(values)


def test_a_fingerprint_is_the_same_in_every_process_and_version():
    """Stage folders are known by it: if this changes, every finished run is made anew."""
    text = r'[{"a": [1, 0.5, null, "\u00fc"]}, {"max_tokens": 5, "seed": 0, "temperature": 0.0}]'
    assert fingerprint({"a": [1, 0.5, None, "ü"]}, Sampling(5)) == hashlib.sha256(text.encode()).hexdigest()[:16]


HOLD = "import sys; from pathlib import Path; from tars.store import locked\nwith locked(Path(sys.argv[1])): {}"


def test_a_run_folder_is_held_by_one_process(tmp_path):
    holder = HOLD.format("print('held', flush=True); sys.stdin.read()")
    process = subprocess.Popen(
        [sys.executable, "-c", holder, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="another process"), locked(tmp_path):
            pass
    finally:
        process.kill()  # a crash lets go of it
        process.communicate()
    with locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_run_folder_that_cannot_be_made_is_wrong_input(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written to"), locked(tmp_path / "file" / "run"):
        pass


def full_disk(path: Path) -> Path:
    """A path at which every write fails for want of space."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    path.symlink_to("/dev/full")
    return path


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: RowLog(full_disk(folder / "log")).append({"a": "x" * 10_000}),
        lambda folder: (full_disk(folder / "log.tmp"), RowLog(folder / "log").keep([{"a": 1}])),
        lambda folder: (full_disk(folder / "a.json.tmp"), write_json(folder / "a.json", 1)),
    ],
    ids=["append", "keep", "write_json"],
)
def test_a_full_disk_is_told_in_one_line(tmp_path, write):
    with pytest.raises(RunError, match="No space left on device") as caught:
        write(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.json").exists()


def test_a_full_disk_inside_a_stage_is_told_and_what_was_written_stays(tmp_path):
    folder = tmp_path / "stage"
    with pytest.raises(RunError, match=r"stage\.partial: cannot write"), stage_folder(folder) as partial:
        RowLog(partial / "log").append({"a": 1})
        full_disk(partial / "full").write_text("x" * 10_000)
    assert RowLog(tmp_path / "stage.partial" / "log").rows() == [{"a": 1}]


@pytest.mark.parametrize("error", [FileNotFoundError(2, "gone"), OSError("gated"), ConnectionRefusedError(111, "")])
def test_other_errors_of_a_stage_are_not_taken_for_a_full_disk(tmp_path, error):
    with pytest.raises(type(error)) as caught, stage_folder(tmp_path / "stage"):
        raise error
    assert caught.value is error


def test_rows_are_plain_json_lines(tmp_path):
    log = RowLog(tmp_path / "log.jsonl")
    log.append({"a": 1, "b": "\n"}, {"a": 2})
    assert [json.loads(line) for line in log.path.read_text().splitlines()] == log.rows()
