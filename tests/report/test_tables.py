"""Cells and tables: signs, decimals, intervals, gaps; and the Markdown page made of them."""

import re

from tars.analysis.frontier import frontier
from tars.analysis.length import length_changes
from tars.analysis.spread import Spread, select
from tars.evaluation.metrics import Interval
from tars.report import tables
from tars.report.markdown import escaped, table_markdown, write_results_page
from tars.report.runs import load_run
from tars.report.tables import Cell, Table
from tars.report.transcripts import verdict


def rows_of(folder):
    return select(load_run(folder).rows)


def test_cells():
    assert tables.share(Spread(0.9824, 0.961, 0.992)) == Cell("98.2", "96.1 to 99.2")
    assert tables.share(Spread(None)) == Cell("–")
    assert tables.share(Spread(0.5)) == Cell("50.0")
    assert tables.points_difference(Interval(-0.012, -0.02, 0.004)) == Cell("-1.2", "-2.0 to +0.4")
    assert tables.tokens(Spread(21.26)) == Cell("21.3")


def test_frontier_table_has_refusals_beside_dsr_and_every_n(make_run):
    folder = make_run(methods=("base", "tars"), lams=(0.1, 0.9), seeds=(0, 1))
    table = tables.frontier_table(frontier(rows_of(folder)))
    row = dict(zip(table.header, [cell.text for cell in table.rows[0]], strict=True))
    assert (row["Method"], row["n harmful"], row["n other"], row["Seeds"]) == ("base", "400", "600", "2")
    assert float(row["DSR %"]) - float(row["Refusal on harmful %"]) > 4.8
    assert len(table.rows) == 2 * 3


def test_category_tables(make_run):
    rows = rows_of(make_run(methods=("base",), seeds=(0,)))
    table = tables.category_table(rows)
    assert [row[1].text for row in table.rows[::2]] == [
        "fraud",
        "weapons",
        "fiction",
        "homonyms",
        "plain requests",
    ]
    arms = [point.arm for point in frontier(rows)][:1]
    matrix = tables.category_matrix(rows, arms, "greedy")
    assert [row[1].text for row in matrix.rows] == [
        "fraud",
        "weapons",
        "fiction",
        "homonyms",
        "plain requests",
    ]
    assert {row[2].text for row in matrix.rows} == {"100"}


def test_length_and_difference_tables(make_run):
    rows = rows_of(make_run(methods=("warm", "tars"), lams=(0.5,)))
    lengths = tables.length_table(length_changes(rows))
    assert {row[4].text for row in lengths.rows if row[1].text == "tars"} == {"warm"}
    (greedy, sampled) = tables.difference_table(rows, ["warm", "tars"]).rows
    assert (greedy[0].text, greedy[5].text, sampled[1].text) == ("tars λ=0.5 − warm", "2", "sampled")
    assert greedy[2].text.startswith("+")


def test_stage_table(make_run):
    run = load_run(make_run(methods=("tars",), lams=(0.5,), seeds=(0,)))
    rows = [[cell.text for cell in row] for row in tables.stage_table([run]).rows]
    assert rows[1][2:] == ["train", "tars", "0.5", "0", "done", "60", "90,000", "0.1"]


def test_verdicts_never_call_the_unjudged_safe():
    assert verdict({"kind": "harmful", "harmful": None}) == "no verdict"
    assert verdict({"kind": "harmful", "harmful": False, "error": "judge failed"}) == "no verdict"
    assert verdict({"kind": "harmful", "harmful": False}) == "safe"
    assert verdict({"kind": "ambiguous", "harmful": True, "helped": True}) == "harmful"
    assert verdict({"kind": "harmless", "helped": False}) == "not helped"
    assert verdict({"kind": "harmless", "helped": None}) == "no verdict"


def test_markdown_cells_cannot_break_the_table():
    table = Table("t", ("name", "x"), [[Cell("a|b\n<img> `c`"), Cell("1.0", "0.5 to 1.5")]])
    last = table_markdown(table).splitlines()[-1]
    assert last == r"| a\|b \<img\> \`c\` | 1.0 [0.5, 1.5] |"
    assert escaped("[x](y)") == r"\[x\](y)"


def test_results_page(make_run, tmp_path):
    out = tmp_path / "docs" / "micro.md"
    folder = make_run(methods=("warm", "tars"), lams=(0.1, 0.5))
    write_results_page([folder], out, "Micro-world", "tars run recipes/micro.yaml")
    text = out.read_text(encoding="utf-8")
    images = re.findall(r"\]\(([^)]+\.svg)\)", text)
    assert images == ["micro-frontier.svg", "micro-learning.svg", "micro-length.svg"]
    assert all((out.parent / image).read_text().startswith("<?xml") for image in images)
    assert "tars run recipes/micro.yaml" in text and "synthetic micro-world" in text
    assert text.count("\n## ") == 4
    before = {path.name: path.read_bytes() for path in out.parent.iterdir()}
    write_results_page([folder], out, "Micro-world", "tars run recipes/micro.yaml")
    assert before == {path.name: path.read_bytes() for path in out.parent.iterdir()}


def test_results_page_of_a_bare_summary(make_run, tmp_path):
    folder = make_run(methods=("base",), seeds=(0,), parts=False)
    write_results_page([folder], tmp_path / "base.md", "Base", "tars eval")
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == ["base-frontier.svg"]
