"""The answer to aim at: given with the behaviour, or known of the micro-world."""

from dataclasses import replace

import pytest

from tars.attacks.targets import in_world, target_of
from tars.errors import InputError
from tars.types import Prompt
from tars.world.lexicon import procedure

REAL = Prompt("r", "a request", "harmful", "c", "s", facts={"target": "Sure, here it is"})


def test_a_given_target_is_taken_as_it_is(behaviors):
    assert target_of(REAL) == "Sure, here it is"
    own = replace(behaviors[0], facts={**behaviors[0].facts, "target": " sure :\n"})
    assert target_of(own) == " sure :\n"


def test_the_worlds_target_is_its_procedure(behaviors):
    facts = behaviors[0].facts
    assert target_of(behaviors[0]) == procedure(facts["action"], facts["obj"])


def test_a_behaviour_is_of_the_world_by_action_and_object(behaviors):
    assert all(map(in_world, behaviors))
    assert not in_world(REAL) and not in_world(replace(REAL, facts={"action": "smash"}))


@pytest.mark.parametrize("target", [None, "", " \n", 7])
def test_a_missing_target_is_named_with_its_remedy(target):
    with pytest.raises(InputError, match=r"behavior 'r': no target.*--targets FILE"):
        target_of(replace(REAL, facts={"target": target}))


def test_a_hostile_id_is_told_in_one_short_line():
    with pytest.raises(InputError) as caught:
        target_of(Prompt("a\nb\x1b\ud800" + "x" * 999, "t", "harmful", "c", "s"))
    said = str(caught.value)
    assert r"'a\nb\x1b\ud800xxx" in said and len(said) < 250 and said.isprintable()
