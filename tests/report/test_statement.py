"""Sentences by hand: plurals, lists, ranges, and what is left unsaid when it was not recorded."""

from dataclasses import replace

import pytest

from tars.report.runs import Run, Stage
from tars.report.statement import count, lead, listed, same_judge, sizes, span, title

RUN = Run("folder", {}, "", {}, [], [], [], {})


def row(method, lam, seed, decoding="greedy"):
    return {"method": method, "lambda": lam, "seed": seed, "decoding": decoding}


def trained(**costs):
    return Stage("train", {"kind": "train", **costs}, None)


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists(words, text):
    assert listed(words) == text
    assert listed(iter(words)) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 seeds"), (1, "1 seed"), (2, "2 seeds"), (1200, "1,200 seeds")])
def test_counts(number, text):
    assert count(number, "seed") == text


@pytest.mark.parametrize(
    ("numbers", "text"), [([], "0"), ([300, 300], "300"), ([300, 100, 200], "100 to 300"), ([0, 1500], "0 to 1,500")]
)
def test_spans(numbers, text):
    assert span(numbers) == text


def test_a_title_is_the_recipe_s_own_and_said_once():
    named, titled = replace(RUN, recipe={"name": "n"}), replace(RUN, recipe={"name": "n", "title": "T"})
    assert title([RUN]) == "folder"
    assert title([RUN, named, titled, named]) == "folder, n and T"


def test_the_lead_counts_methods_lambdas_seeds_and_decodings():
    rows = [row("base", None, 0, "sampled"), row("tars", 0.9, 0), row("tars", 0.1, 1), row("rl", 0.5, 1)]
    told = "3 methods (base, tars and rl), λ = 0.1, 0.5 and 0.9, 2 seeds, "
    assert lead([RUN], rows, "test") == told + "measured on the test split with greedy and sampled decoding."
    assert lead([RUN], rows[:1], "dev") == "1 method (base), 1 seed, measured on the dev split with sampled decoding."
    assert lead([RUN], [], None) == "No results were recorded."


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        ([], ""),
        ([Stage("evaluate", {"kind": "evaluate", "seconds": 60.0}, None)], ""),
        ([trained()], " 1 training stage ran."),
        ([trained(seconds=None, tflops="many")], " 1 training stage ran."),
        ([trained(seconds=90)], " 1 training stage took 1.5 minutes in all."),
        ([trained(seconds=3600), trained(seconds=5400)], " 2 training stages took 2.5 hours in all."),
        ([trained(tflops=0.1234), trained()], " 2 training stages took 0.123 TFLOP in all."),
        ([trained(tflops=1200.4, seconds=60)], " 1 training stage took 1,200 TFLOP and 1.0 minutes in all."),
    ],
)
def test_the_lead_ends_with_what_training_cost(stages, told):
    said = lead([replace(RUN, stages=stages[:1]), replace(RUN, stages=stages[1:])], [row("tars", 0.5, 0)], "test")
    assert said == f"1 method (tars), λ = 0.5, 1 seed, measured on the test split with greedy decoding.{told}"


def test_sizes_are_the_range_over_the_points(point):
    one = point("a", None, 0.5, 0.5)
    more = replace(one, dsr=replace(one.dsr, n=1200), compliance=replace(one.compliance, n=300))
    assert sizes([more]) == "n = 1,200 answers to harmful prompts and 300 to other prompts a point"
    assert sizes([one, more]) == "n = 0 to 1,200 answers to harmful prompts and 0 to 300 to other prompts a point"


@pytest.mark.parametrize(("tflops", "said"), [(0.5, "0.5 TFLOP"), (99.4, "99.4 TFLOP"), (999.6, "1,000 TFLOP")])
def test_compute_is_written_out(tflops, said):
    run = replace(RUN, stages=[trained(tflops=tflops)])
    assert said in lead([run], [row("tars", 0.5, 0)], "test")


@pytest.mark.parametrize(
    ("safety", "judge", "said"),
    [
        ("standin-refusal", "phrases", ""),
        ("world-safety", "world", ""),
        ({"name": "qwen3guard", "model": "a"}, {"name": "qwen3guard-loose", "model": "b"}, "share qwen3guard:"),
        ({"name": "qwen3guard", "model": "a"}, {"name": "xstest", "model": "a"}, "share a:"),
        ({"name": "qwen3guard", "model": "a"}, {"name": "qwen3guard", "model": "a"}, "share a and qwen3guard:"),
        (None, "world", ""),
    ],
)
def test_a_judge_that_also_trains_is_told_of(safety, judge, said):
    recipe = {"rewards": {"safety": safety, "helpfulness": "reward-model"}, "evaluation": {"judge": judge}}
    told = same_judge(recipe)
    assert (said in told) if said else told == ""
    assert lead([replace(RUN, recipe=recipe)], [row("tars", 0.5, 0)], "test").endswith(told)
    assert same_judge({}) == same_judge({"rewards": 3}) == ""


def test_an_arm_whose_own_rewards_are_the_judge_is_told_of():
    tree = {"rewards": {"safety": "wildguard", "helpfulness": "reward-model"}, "evaluation": {"judge": "qwen3guard"}}
    assert same_judge(tree) == ""
    tree["train"] = {"a": {}, "b": {"rewards": {"safety": "qwen3guard", "helpfulness": "reward-model"}}}
    assert same_judge(tree).startswith("Rewards and judge share qwen3guard: ")
