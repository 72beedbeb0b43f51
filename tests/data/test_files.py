"""Reading tables: formats, and each way in which a file can be wrong."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tars.data.base import SourceRequest
from tars.data.files import pick, read_table, text_ids
from tars.errors import InputError

ROWS = [{"prompt": "How is bread made?", "kind": "harmless"}, {"prompt": 'Say "a,\nb" <b>', "kind": "ambiguous"}]


def read(path, columns=("prompt",)):
    return read_table(SourceRequest(path=str(path)), columns=columns, remedy="give a file")


def write(folder, ending):
    path = folder / f"rows{ending}"
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif ending == ".csv":
        path.write_text('\ufeffprompt,kind\nHow is bread made?,harmless\n"Say ""a,\nb"" <b>",ambiguous\n')
    elif ending == ".json":
        path.write_text(json.dumps(ROWS))
    else:
        path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    return path


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_rows(tmp_path, ending):
    table = read(write(tmp_path, ending))
    assert table.rows == ROWS
    assert table.columns == ("prompt", "kind")


BROKEN = {
    "missing column": ("a.csv", b"text,kind\nhi,harmless\n", r"no column prompt \(there are: text, kind\); give"),
    "empty file": ("a.csv", b"", "no rows"),
    "header only": ("a.csv", b"prompt,kind\n", "no rows"),
    "empty list": ("a.json", b"[]", "no rows"),
    "unquoted comma": ("a.csv", b"prompt,kind\nhi,harmless\na,b,harmless\n", "row 2: has not 2 cells"),
    "open quote": ("a.csv", b'prompt,kind\n"hi,harmless\n', "not CSV .unexpected end"),
    "not UTF-8": ("a.csv", b"prompt\n\xff\xfe\n", "not UTF-8 .byte"),
    "cut JSON": ("a.json", b'[{"prompt": "hi"', "not JSON"),
    "JSON object": ("a.json", b'{"prompt": "hi"}', "holds a dict"),
    "deep JSON": ("a.json", b"[" * 200_000, "not JSON"),
    "JSON lines row": ("a.jsonl", b'{"prompt": "hi"}\n{"prompt": \n', "row 2: not JSON"),
    "JSON lines list": ("a.jsonl", b'["prompt"]\n', "row 1: is a list"),
    "not parquet": ("a.parquet", b"PAR1 no", "not parquet"),
    "unknown format": ("a.xlsx", b"prompt\nhi\n", "format '.xlsx' unknown"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_in_one_line(tmp_path, name):
    file, content, message = BROKEN[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / file)
    assert file in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [("gone.csv", "gone.csv: no such file"), ("some/gone.csv", "some/gone.csv: no such file"), (".", "is a folder")],
)
def test_a_path_that_is_no_file(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        read(path)


def test_no_path_says_what_to_give():
    with pytest.raises(InputError, match="no path given; give a file"):
        read_table(SourceRequest(), columns=("prompt",), remedy="give a file")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (3, "row 2: `prompt` is int, not text"),
        (None, "row 2: `prompt` is NoneType, not text"),
        (["hi"], "row 2: `prompt` is list, not text"),
        (" \n", "row 2: `prompt` is blank"),
        ("a\ud800", "row 2: `prompt` holds half a surrogate pair"),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(tmp_path, cell, message):
    (tmp_path / "a.json").write_text(json.dumps([{"prompt": "hi"}, {"prompt": cell}]))
    table = read(tmp_path / "a.json")
    assert table.text(0, "prompt") == "hi"
    with pytest.raises(InputError, match=message):
        table.text(1, "prompt")


def test_messages_never_quote_a_prompt(tmp_path):
    secret = "a very secret prompt"
    (tmp_path / "a.json").write_text(json.dumps([{"prompt": secret + "\udc00"}]))
    with pytest.raises(InputError) as caught:
        read(tmp_path / "a.json").text(0, "prompt")
    assert secret not in str(caught.value)


def test_pick_keeps_order_and_depends_on_the_seed():
    items = list(range(100))
    some = pick(items, SourceRequest(limit=10, seed=1))
    assert some == sorted(set(some)) and len(some) == 10
    assert some == pick(items, SourceRequest(limit=10, seed=1)) != pick(items, SourceRequest(limit=10, seed=2))
    assert pick(items, SourceRequest(limit=1000)) == pick(items, SourceRequest()) == items


def test_ids_come_from_the_text_and_are_unique():
    first, second, again, third = text_ids(["a", "b", "a", "a"])
    assert text_ids(["x", "a"])[1] == first != second
    assert (again, third) == (f"{first}-2", f"{first}-3")
