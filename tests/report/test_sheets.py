"""Sheets of panels: one for each thing to show, under one legend, with titles that hostile names cannot break."""

from xml.etree import ElementTree

import pytest

from tars.analysis.attacked import Course
from tars.analysis.length import length_changes
from tars.analysis.spread import Arm
from tars.report.figures import looks
from tars.report.runs import load_run, starts_of
from tars.report.sheets import course_sheet, learning_sheet, length_sheet
from tars.report.svg import style

TARS, WARM = Arm("tars", 0.5), Arm("warm")
LOOK = looks(["warm", "tars"])


@pytest.fixture(autouse=True)
def house_style():
    with style():
        yield


def texts(svg):
    return [node.text for node in ElementTree.fromstring(svg.encode()).iter() if node.tag.endswith("}text")]


def test_attacks_have_a_panel_each_and_arms_stand_in_the_legend_once():
    def course(arm, share):
        return Course(arm, "gcg", "greedy", [0, 5], [0.0, share], 4)

    both = [course(TARS, 0.25), course(WARM, 0.5)]
    said = texts(course_sheet({"gcg": both, "<b>pair</b>\n" + "long " * 30: both, "pap": both[:1], "tap": both}, LOOK))
    assert [said.count(name) for name in ("gcg", "pap", "tap", "tars", "warm")] == [1, 1, 1, 1, 1]
    (long,) = [text for text in said if text.startswith("<b>pair</b> long")]
    assert len(long) <= 40 and long.endswith("…")


def test_the_middle_lambda_is_drawn_and_named(make_run):
    svg, caption = learning_sheet([load_run(make_run(methods=("warm", "tars"), lams=(0.1, 0.5, 0.9)))], LOOK)
    assert "with λ = 0.5:" in caption and texts(svg).count("tars") == 1
    assert svg == learning_sheet([load_run(make_run("alone", methods=("warm", "tars"), lams=(0.5,)))], LOOK)[0]


def test_an_arm_is_shown_against_the_one_it_started_from(make_run):
    runs = [load_run(make_run(methods=("warm", "tars"), lams=(0.5,)))]
    ours = [one for one in length_changes(runs[0].rows, starts_of(runs)) if one.arm == TARS]
    said = texts(length_sheet([(TARS, ours)], LOOK))
    assert said.count("warm → tars λ=0.5") == 1
    assert {one.group for one in ours} <= {*said}
