"""Recipe arguments on their way to TRL: verbatim, and refused before any work if they cannot be meant."""

import pytest
from trl import GRPOConfig, SFTConfig

from tars.errors import InputError
from tars.training.arguments import ENDLESS, check_arguments, trl_arguments


def test_names_are_checked_with_a_hint():
    check_arguments(GRPOConfig, {"beta": 0.1, "num_generations": 8, "learning_rate": 1e-3}, "train.tars.args")
    with pytest.raises(InputError, match=r"train\.tars\.args\.num_generation: GRPOConfig .* 'num_generations'"):
        check_arguments(GRPOConfig, {"num_generation": 8}, "train.tars.args")
    with pytest.raises(InputError, match=r"has no such field$"):
        check_arguments(SFTConfig, {"zzzzzz": 8}, "train.warm.args")
    with pytest.raises(InputError, match="has no such field"):
        check_arguments(SFTConfig, {"num_generations": 8}, "train.warm.args")


@pytest.mark.parametrize("name", ["seed", "output_dir"])
def test_what_the_pipeline_sets_is_refused(name):
    with pytest.raises(InputError, match=f"{name}: set by the pipeline"):
        check_arguments(SFTConfig, {name: 1}, "train.warm.args")


def test_the_recipe_wins_over_defaults_and_defaults_over_nothing(make_watch, tmp_path):
    watch = make_watch(tmp_path)
    given = {"save_total_limit": 5, "logging_steps": 3}
    made = trl_arguments(given, {"logging_steps": 10, "save_steps": 20}, watch, 7)
    assert (made["save_total_limit"], made["logging_steps"], made["save_steps"]) == (5, 3, 20)
    assert (made["seed"], made["output_dir"], made["report_to"]) == (7, str(tmp_path), [])
    assert "max_steps" not in made
    assert SFTConfig(**made).logging_steps == 3
    assert given == {"save_total_limit": 5, "logging_steps": 3}


def test_a_budget_alone_ends_the_run_unless_steps_are_given(make_watch, tmp_path):
    watch = make_watch(tmp_path, budget=1.0)
    assert trl_arguments({}, {}, watch, 0)["max_steps"] == ENDLESS
    assert trl_arguments({"max_steps": 5}, {}, watch, 0)["max_steps"] == 5
