"""Reading recipes: strict keys and values at every level, and blocks that fit together."""

import pytest

from tars.errors import InputError
from tars.pipeline.read_recipe import load_recipe


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("trian", "did you mean 'train'?"),
        ("base__wolrd", "did you mean 'world'?"),
        ("base__world__stepz", "did you mean 'steps'?"),
        ("data__cuont", "did you mean 'count'?"),
        ("data__prompts__sorce", "did you mean 'source'?"),
        ("data__test__0__spilt", "did you mean 'split'?"),
        ("rewards__saftey", "did you mean 'safety'?"),
        ("train__warm__methd", "did you mean 'method'?"),
        ("train__warm__stop", None),
        ("evaluation__jugde", "did you mean 'judge'?"),
        ("evaluation__zzz", "known: arms, judge, max_tokens, decodings, behind"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(recipe, key, hint):
    value = "{evry: 3}" if hint is None else "1"
    place = f"{key}__evry" if hint is None else key
    with pytest.raises(InputError) as caught:
        recipe(**{key: value})
    said = str(caught.value)
    assert said.startswith(f"tiny.yaml: {place.replace('__', '.')}: unknown key; ")
    assert said.endswith(hint or "did you mean 'every'?")


def test_an_arm_called_like_a_block_does_not_confuse_the_hint(recipe):
    with pytest.raises(InputError, match=r"train\.test\.stat: unknown key; did you mean 'start'\?"):
        recipe(train__test="{method: sft, stat: base}")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("workers", "two", "workers: Input should be a valid integer"),
        ("workers", "0", "workers: Input should be greater than or equal to 1, not 0"),
        ("name", "a/b", "name: String should match pattern"),
        ("base__world__steps", "many", "base.world.steps: "),
        ("base__dtype", "int8", "base.dtype: Input should be 'float32', 'bfloat16' or 'float16', not 'int8'"),
        ("data__test", "{source: world}", "data.test: Input should be a valid list"),
        ("data__test__0__split", "dev", "data.test.0.split: "),
        ("train__warm__method", "ppo", "train.warm.method: Input should be 'sft', 'r2d', "),
        ("train__warm__args", "[1]", "train.warm.args: Input should be a valid dictionary"),
        ("evaluation__decodings", "{greedy: -1}", "evaluation.decodings.greedy: "),
        ("data__ambiguous_share", "1.5", "data.ambiguous_share: Input should be less than or equal to 1, not 1.5"),
        ("lambdas", "{1.5: [0]}", "lambdas.1.5: Input should be less than or equal to 1, not 1.5"),
        ("lambdas", "{-0.1: [0]}", "lambdas.-0.1: Input should be greater than or equal to 0, not -0.1"),
        ("lambdas", "{0.5: []}", "lambdas.0.5: List should have at least 1 item"),
        ("train__tars__lambdas", "{2: [0]}", "train.tars.lambdas.2: Input should be less than or equal to 1"),
        ("rewards", "null", "rewards: "),
    ],
)
def test_an_ill_typed_value_is_named_with_what_is_wanted(recipe, key, value, told):
    with pytest.raises(InputError) as caught:
        recipe(**{key: value})
    assert str(caught.value).startswith(f"tiny.yaml: {told}")
    assert "\n" not in str(caught.value)


def test_a_missing_block_is_named(tree, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("name: x\n")
    with pytest.raises(InputError, match="missing; add it"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train__warm__start": "tars"}, "arms start from each other: warm -> tars -> warm"),
        ({"train__warm__start": "warm"}, "arms start from each other: warm -> warm"),
        ({"train__warm__start": "nobody"}, "no arm 'nobody'; there is base, warm, tars"),
        ({"evaluation__arms": "[rl]"}, "'rl' is not under train"),
        ({"base__path": "x"}, "exactly one of path, world and scratch"),
        ({"base__world": "null"}, "exactly one of path, world and scratch"),
        ({"train__base": "{method: sft}"}, "rename the arm"),
    ],
)
def test_what_does_not_fit_together_is_refused(recipe, changes, told):
    with pytest.raises(InputError) as caught:
        recipe(**changes)
    assert told in str(caught.value)


def test_a_resolved_recipe_reads_as_the_same_recipe(recipe, finished):
    assert load_recipe(finished / "recipe.yaml") == recipe()


@pytest.mark.parametrize(
    ("text", "told"), [("[1]", "mapping of blocks"), ("a: [", "not valid YAML"), (None, "cannot read")]
)
def test_a_file_that_is_no_recipe_is_named(tmp_path, text, told):
    path = tmp_path / "r.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=told) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)
