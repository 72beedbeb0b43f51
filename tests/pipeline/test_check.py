"""What is found wrong before any work starts."""

import pytest

from tars.errors import InputError
from tars.models.scratch import make_scratch
from tars.pipeline.check import check_recipe
from tars.pipeline.plan import plan


def check(recipe):
    check_recipe(recipe, plan(recipe))


def test_the_tiny_recipe_is_right(recipe):
    check(recipe())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"evaluation__judge": "wrold"}, "evaluation.judge: unknown 'wrold'; did you mean 'world'?"),
        ({"rewards__safety": "world-saftey"}, "rewards.safety: unknown 'world-saftey'; did you mean 'world-safety'?"),
        ({"rewards__helpfulness": "x"}, "rewards.helpfulness: unknown 'x'; choose one of granite-guardian"),
        ({"data__prompts__source": "tars-lr"}, "data: source: unknown 'tars-lr'; did you mean 'tars-rl'?"),
        ({"train__warm__teacher": "flatt"}, "train.warm.teacher: unknown 'flatt'; did you mean 'flat'?"),
        ({"train__tars__args__learning_rat": "1"}, "GRPOConfig has no such field; did you mean 'learning_rate'?"),
        ({"train__tars__args__output_dir": "x"}, "train.tars.args.output_dir: set by the pipeline"),
        (
            {"train__tars__args__learning_rate": "'1e-3'"},
            "train.tars.args.learning_rate: Input should be a valid number",
        ),
        ({"train__warm__args__bf16": "'no'"}, "train.warm.args.bf16: Input should be a valid boolean, not 'no'"),
        (
            {"train__warm__args__max_steps": "2.5"},
            "train.warm.args.max_steps: Input should be a valid integer, not 2.5",
        ),
        ({"train__tars__data": "traces"}, "train.tars.data: grpo cannot train on traces; say mix"),
        (
            {"train__tars__method": "dpo", "train__tars__args": "{}"},
            "train.tars.data: dpo cannot train on mix; say own",
        ),
        ({"train__warm__own": "{samples: 4}"}, "train.warm.own: is not read by sft on traces; remove it"),
        ({"train__warm__pivot_loss": "{contrast: 0}"}, "train.warm.pivot_loss: is not read by sft on traces"),
        ({"train__warm__breaking": "{alpha: 1}"}, "train.warm.breaking: is for breakers; remove it"),
        ({"train__warm__lora": "{ranke: 4}"}, "train.warm.lora.ranke: LoraConfig has no such field"),
        (
            {"train__b": "{method: breakers, data: traces}"},
            "train.b.harmful: breakers need answers that comply with harm; add their source",
        ),
        (
            {"train__b": "{method: breakers, data: traces, harmful: {source: wrold}}"},
            "data: source: unknown 'wrold'; did you mean 'world'?",
        ),
        (
            {"train__tars__rewards": "{safety: world-saftey, helpfulness: world-task}"},
            "train.tars.rewards.safety: unknown 'world-saftey'; did you mean 'world-safety'?",
        ),
        (
            {"train__tars__rewards": "{safety: world-safety, helpfulness: world-task, pivots: {judge: world-step}}"},
            "train.tars.rewards.pivots.judge: unknown 'world-step'; did you mean 'world-steps'?",
        ),
        ({"evaluation__behind": "{x: {defence: pivot-fliter}}"}, "unknown defence 'pivot-fliter'; did you mean"),
        (
            {"evaluation__behind": "{x: {defence: perplexity}}"},
            "evaluation.behind.x: perplexity needs tools; give it to",
        ),
        ({"train__warm__stop": "{every: 2}"}, "train.warm.stop: measuring needs data.validation"),
        ({"data__count": "500"}, "(pool: "),
        ({"data__prompts": "{source: prompts, path: none.jsonl}"}, "none.jsonl: no such file; check the path"),
        ({"data__test": "[{source: xstest, path: none.csv}]"}, "none.csv: no such file; check the path"),
        ({"data__traces": "{source: r2d-r1}"}, "no path given; give chuhac/R2D-R1@REVISION"),
        ({"data__prompts": "{source: star1, path: x}"}, "no prompts; name it as a source of traces"),
    ],
)
def test_a_wrong_name_argument_or_source_is_told_with_its_remedy(recipe, changes, told):
    with pytest.raises(InputError) as caught:
        check(recipe(**changes))
    assert told in str(caught.value)


def test_data_without_the_needed_column_or_with_an_empty_kind_is_told(recipe, tmp_path):
    file = tmp_path / "p.csv"
    source = {"data__prompts": f"{{source: prompts, path: {file}}}", "data__count": "null"}
    file.write_text("prompt,sort\na,harmful\n")
    with pytest.raises(InputError, match=r"p\.csv: no column kind \(there are: prompt, sort\)"):
        check(recipe(**source))
    file.write_text("prompt,kind\na,harmful\nb,harmless\n")
    with pytest.raises(InputError, match=r"1 ambiguous \(pool: 0\)"):
        check(recipe(**source))


def test_a_source_that_no_stage_reads_is_not_loaded(recipe):
    check(recipe(evaluation__arms="[warm]", data__prompts="{source: prompts, path: none.jsonl}"))


def test_a_model_folder_is_looked_at_unless_told_not_to(recipe, tmp_path):
    local = recipe(base__world="null", base__path=str(tmp_path))
    with pytest.raises(InputError, match=r"no config\.json"):
        check(local)
    check_recipe(local, plan(local), model=False)


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ("tokenizer.json", "no tokenizer; save the model's tokenizer"),
        ("model.safetensors", "only pickled weights (pytorch_model.bin)"),
    ],
)
def test_a_model_without_tokenizer_or_with_pickled_weights_is_refused(recipe, tmp_path, gone, told):
    for part in make_scratch(["Knead the dough."], seed=0, hidden=32, layers=1, vocab=280):
        part.save_pretrained(tmp_path)
    local = recipe(base__world="null", base__path=str(tmp_path))
    check(local)
    (tmp_path / gone).rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError) as caught:
        check(local)
    assert told in str(caught.value)
