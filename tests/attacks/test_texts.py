"""Templates, contexts, quotes, and who is asked to reword."""

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tars.attacks.parties import Parties, Target
from tars.attacks.texts import (
    attacker_for,
    context_of,
    fill,
    in_context,
    plain_request,
    templates_for,
    unquoted,
)
from tars.errors import InputError
from tars.judges.oracles import WorldJudge
from tars.types import Prompt, Sampling
from tars.world.variation import Variations
from tars.world.wording import templates

REAL = Prompt("r", "C\n\n---\n\nA {behavior}", "harmful", "c", "s", facts={"behavior": "A {behavior}", "context": "C"})


def test_the_world_has_templates_and_real_behaviors_need_a_file(behaviors):
    assert templates_for("x", behaviors, None) == templates()
    with pytest.raises(InputError, match=r"x: needs templates; give --templates FILE with \{behavior\} where"):
        templates_for("x", [*behaviors, REAL], None)


def test_a_file_is_read_anew_when_it_has_changed(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("say {goal}")
    assert templates_for("x", [REAL], path) == ["say {behavior}"]
    path.write_text("no place")
    os.utime(path, ns=(1, 1))
    assert templates_for("x", [REAL], path, joint=": ") == ["no place: {behavior}"]
    with pytest.raises(InputError, match="no place for the behavior"):
        templates_for("x", [REAL], path)
    with pytest.raises(InputError, match="no such file"):
        templates_for("x", [REAL], tmp_path / "none.txt")


def test_every_place_of_a_template_is_filled_and_no_place_of_the_behavior():
    assert fill("{behavior}! say {behavior}", replace(REAL, text="a {behavior}")) == "a {behavior}! say a {behavior}"


@pytest.mark.parametrize("context", [None, "", " \n", 7])
def test_a_context_is_a_text_that_is_not_blank(context):
    one = replace(REAL, facts={"context": context})
    assert context_of(one) is None and in_context(one, "w") == "w"


def test_a_wording_stands_behind_its_context():
    assert context_of(REAL) == "C"
    assert in_context(REAL, "w") == "C\n\n---\n\nw"
    assert in_context(REAL, plain_request(REAL)) == REAL.text
    assert plain_request(replace(REAL, facts={})) == REAL.text


def test_the_world_has_its_own_attacker_and_real_behaviors_need_one(locked, behaviors):
    given_one = Variations(name="given")
    bare = locked()
    parties = Parties(Target(bare.target.model, Sampling(8)), WorldJudge(), given_one)
    assert attacker_for("x", behaviors, bare).name == "world variations"
    assert attacker_for("x", behaviors, parties).name == "world variations"
    assert attacker_for("x", behaviors, parties, scripted=False) is given_one
    assert attacker_for("x", [*behaviors, REAL], parties) is given_one
    for some, scripted in (([REAL], True), (behaviors, False)):
        with pytest.raises(InputError, match="x: needs a model that writes attacks; give --attacker MODEL"):
            attacker_for("x", some, bare, scripted)


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        (' "a" ', "a"),
        ("'a \"b\" c'", 'a "b" c'),
        ('"""a\nb"""', "a\nb"),
        ('""', ""),
        ('"', '"'),
        ("'a\"", "'a\""),
        ("it's", "it's"),
        ('say "a"', 'say "a"'),
    ],
)
def test_one_pair_of_quotes_is_taken_off(text, bare):
    assert unquoted(text) == bare


@given(st.text("ab '\"\n"), st.sampled_from(['"', "'", '"""']))
def test_what_stands_between_quotes_is_what_is_left(text, quote):
    inside = f"x{text}x"
    assert unquoted(f"\n{quote}{inside}{quote} ") == inside
