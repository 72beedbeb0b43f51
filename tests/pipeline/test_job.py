"""What stages share: models of earlier ones, prompts that are the same for every seed, which split figures are of."""

import json

import pytest

from tars.errors import InputError
from tars.models.scratch import make_scratch
from tars.pipeline.job import Job, benchmark_prompts, read_template, split_of
from tars.pipeline.plan import Stage
from tars.pipeline.recipe import SourceSpec
from tars.progress import silent

WORLD = SourceSpec("world", limit=9)


def job(tmp_path):
    folder = tmp_path / "warm-s0"
    folder.mkdir()
    return Job(Stage("warm-s0", "train", 0, {}, ("base-s0",), "warm", None), folder, tmp_path, silent)


def test_a_saved_model_is_loaded_by_the_stage_s_name(tmp_path):
    model, tokenizer = make_scratch(["Knead the dough."], seed=0, hidden=32, layers=1, vocab=280)
    one = job(tmp_path)
    made = one.save(model, tokenizer, {"traces": 3})
    assert made == {"traces": 3, "parameters": model.num_parameters()}
    (one.folder / "stage.json").write_text(json.dumps(made))
    again, _ = one.load("warm-s0")
    assert again.lm_head.weight.equal(model.lm_head.weight)
    assert one.record("warm-s0") == made


def test_a_model_from_elsewhere_gets_the_recipe_s_template(tmp_path):
    model, tokenizer = make_scratch(["Knead the dough."], seed=0, hidden=32, layers=1, vocab=280)
    tokenizer.chat_template = None
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "theirs")
    template = tmp_path / "plain.jinja"
    template.write_text("USER: {{ messages[0]['content'] }} ASSISTANT:")
    one = job(tmp_path)
    record = {"model": str(tmp_path / "theirs"), "settings": {"base": {"dtype": "float32"}}}
    (one.folder / "stage.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="tokenizer without chat template"):
        one.load("warm-s0")
    record["settings"]["base"]["chat_template"] = str(template)
    (one.folder / "stage.json").write_text(json.dumps(record))
    _, loaded = one.load("warm-s0")
    assert loaded.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "USER: hi ASSISTANT:"


def test_a_template_that_cannot_be_read_is_told(tmp_path):
    assert read_template(None) is None
    with pytest.raises(InputError, match=r"base\.chat_template .*: cannot be read; name a Jinja file"):
        read_template(str(tmp_path))


def test_prompts_to_test_on_are_those_of_all_sources(tmp_path):
    validation = SourceSpec("world", limit=9, split="validation")
    prompts = benchmark_prompts([WORLD, validation])
    assert len({prompt.id for prompt in prompts}) == 18
    assert (split_of([validation]), split_of([WORLD, validation])) == ("validation", "test")
