"""Panels: which figures are grouped under which key, what their captions say, and ids that are ids."""

import re
from dataclasses import replace

import pytest

from tars.analysis.length import length_changes
from tars.analysis.spread import Arm, Spread
from tars.report.figures import looks
from tars.report.panels import frontiers, learning, lengths, longest
from tars.report.runs import load_run
from tars.report.svg import style


@pytest.fixture(autouse=True)
def house_style():
    with style():
        yield


def test_a_frontier_for_each_decoding_that_has_both_shares(point):
    tars = [point("tars", 0.1, 0.7, 0.8), point("tars", 0.5, 0.8, 0.7), point("tars", 0.9, 0.9, None)]
    greedy = [point("base", None, 0.5, 0.6), *tars]
    sampled = [replace(point("base", None, None, 0.6), decoding="sampled")]
    (group,) = frontiers([*greedy, *sampled], looks(["base", "tars"]))
    assert (group.key, group.methods) == ("greedy", ["base", "tars"])
    assert group.caption == (
        "n = 0 answers to harmful prompts and 0 to other prompts a point. No intervals were recorded."
    )
    (panel,) = group.panels
    assert panel.title == "" and 'aria-label="DSR against compliance, greedy"' in panel.svgs[0]
    assert ">0.1</text>" in panel.svgs[0] and ">0.9</text>" not in panel.svgs[0]
    assert frontiers([], {}) == []


def test_a_hostile_decoding_is_no_id(point):
    name = 'x" onload="alert(1)'
    (group,) = frontiers([replace(point("a", 0.5, 0.6, 0.7), decoding=name)], looks(["a"]))
    svg = group.panels[0].svgs[0]
    assert group.key == name
    assert "onload=&quot;" in svg and 'onload="' not in svg
    assert all(re.fullmatch("[a-zA-Z0-9_-]+", found) for found in re.findall(r' id="([^"]*)"', svg))


def test_learning_curves_by_lambda_with_the_number_of_seeds(make_run):
    run = load_run(make_run(methods=("rl", "tars"), lams=(0.1, 0.9), seeds=(0, 1)))
    alone = [row for row in run.curves if row["seed"] == 0 and row["lambda"] == 0.9 and row["metric"] == "kl"]
    few = [row for row in run.curves if row["lambda"] == 0.1 and row["metric"] in ("dsr", "reward", "loss")]
    look = looks(["tars", "rl"])
    first, second = learning([replace(run, curves=few + alone)], look)
    assert (first.key, second.key) == ("0.1", "0.9")
    assert [panel.title for panel in first.panels] == ["Training reward", "Validation DSR"]
    assert first.methods == second.methods == ["tars", "rl"]  # in the order of the colours
    assert first.caption == "Lines are means over up to 2 seeds, bands run from the lowest to the highest."
    assert second.caption == "One seed."
    assert learning([replace(run, curves=[])], look) == []


def test_stages_without_lambda_have_a_key_of_their_own(make_run):
    run = load_run(make_run(methods=("tars",), seeds=(0,)))
    curves = [{**row, "lambda": None} for row in run.curves if row["metric"] == "kl"]
    (group,) = learning([replace(run, curves=curves)], looks(["tars"]))
    assert group.key == "none"
    assert 'aria-label="KL to the reference against training compute, λ –"' in group.panels[0].svgs[0]


def test_lengths_behind_a_defence_are_shown_only_where_there_are_no_raw_ones(make_run):
    run, look = load_run(make_run(methods=("warm", "tars"), lams=(0.5,))), looks(["warm", "tars"])
    raw = [one for one in length_changes(run.rows) if one.decoding == "greedy"]
    filtered = [replace(one, decoding="greedy, filtered") for one in raw]
    assert [group.key for group in lengths([*raw, *filtered], [Arm("tars", 0.5)], look)] == ["greedy"]
    assert [group.key for group in lengths(filtered, [Arm("tars", 0.5)], look)] == ["greedy, filtered"]


def test_lengths_show_the_arms_that_have_a_before(make_run):
    run = load_run(make_run(methods=("warm", "tars"), seeds=(0,)))
    arms = [Arm("warm"), Arm("tars", 0.5), Arm("tars", 0.5)]
    greedy, sampled = lengths(length_changes(run.rows), arms, looks(["warm", "tars"]))
    assert (greedy.key, sampled.key, greedy.methods) == ("greedy", "sampled", ["tars"])
    assert greedy.caption == "n = 100 answers a category."
    (panel,) = greedy.panels
    assert panel.title == "warm → tars λ=0.5"
    assert len(panel.svgs) == 2  # tokens, and the share of short traces
    bare = [replace(change, short_after=Spread(None)) for change in length_changes(run.rows)]
    (panel,) = lengths(bare, arms, looks(["warm", "tars"]))[0].panels
    assert len(panel.svgs) == 1


def test_the_longest_counts_intervals_and_is_never_zero(make_run):
    change = length_changes(load_run(make_run(methods=("warm", "tars"), seeds=(0,))).rows)[0]

    def widest(before, after):
        return longest([(Arm("tars"), [replace(change, before=before, after=after)])])

    assert widest(Spread(9.0, 8.0, 12.5), Spread(10.0)) == 12.5
    assert widest(Spread(None), Spread(10.0)) == 10.0
    assert widest(Spread(None), Spread(0.0)) == widest(Spread(None), Spread(None)) == longest([]) == 1.0
