"""`tars eval`: a run folder of its own for any model, resumable, never mixed with another model's answers."""

import copy
import json
from dataclasses import replace

import pytest

from tars.errors import InputError
from tars.models.pivot_tokens import add_pivots
from tars.pipeline import evaluate as module
from tars.pipeline.defending import Defending
from tars.pipeline.evaluate import EvaluationRequest, evaluate_model
from tars.pipeline.tools import Tool
from tars.pivots import TAGS
from tars.progress import Display
from tars.store import RowLog


@pytest.fixture
def request_for(saved_world_model, tmp_path):
    """A factory: replaced fields -> a request to test a tiny random model on 70 prompts of the world."""
    asked = EvaluationRequest(["world"], saved_world_model, tmp_path / "out", Tool("world"), 8, 0.0, 70, 0, True, {})
    return lambda **changes: replace(asked, **changes)


def rows(request):
    return (request.out / "evaluate" / "completions.jsonl").read_text()


def test_a_model_is_answered_judged_and_reported(request_for):
    request = request_for()
    report = evaluate_model(request, Display())
    summary = json.loads((request.out / "summary.json").read_text())
    assert report.is_file() and summary["schema"] == 1
    assert {(row["method"], row["run"], row["decoding"]) for row in summary["results"]} == {
        ("world-model", "out", "greedy")
    }
    assert len(rows(request).splitlines()) == 70
    before = (request.out / "summary.json").read_bytes()
    evaluate_model(request, Display())
    assert (request.out / "summary.json").read_bytes() == before


def test_an_interrupted_evaluation_goes_on_where_it_was(request_for, monkeypatch):
    whole = request_for(temperature=1.0)
    evaluate_model(whole, Display())
    cut = replace(whole, out=whole.out.parent / "else" / "out")

    def interrupted(*words, **more):
        module_rows = RowLog(cut.out / "evaluate.partial" / "completions.jsonl")
        module_rows.append(*[json.loads(line) for line in rows(whole).splitlines()[:30]])
        with module_rows.path.open("a") as file:
            file.write('{"torn')
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "evaluate", interrupted)
        evaluate_model(cut, Display())
    evaluate_model(cut, Display())
    assert rows(cut) == rows(whole)
    assert (cut.out / "summary.json").read_bytes() == (whole.out / "summary.json").read_bytes()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"judge": Tool("wrold")}, "--judge: unknown 'wrold'; did you mean 'world'"),
        ({"benchmarks": ["xstset"]}, "unknown source 'xstset'; did you mean 'xstest'"),
        ({"benchmarks": ["xstest=none.csv"]}, "none.csv: no such file; check the path"),
        ({"benchmarks": ["world", "world"]}, "make ids unique"),
        ({"max_tokens": 0}, "--max-tokens must be at least 1"),
        ({"temperature": -1.0}, "--temperature at least 0"),
        ({"limit": 0}, "limit 0: give at least 1"),
        ({"model": "./none"}, "./none: no such model folder"),
    ],
)
def test_wrong_input_is_told_and_leaves_nothing_in_the_way(request_for, changes, told):
    request = request_for(**changes)
    with pytest.raises(InputError) as caught:
        evaluate_model(request, Display())
    assert told in str(caught.value)
    assert not (request.out / "evaluate.partial").exists()


def test_other_settings_or_another_model_in_the_same_folder_are_refused(request_for):
    request = request_for()
    evaluate_model(request, Display())
    with pytest.raises(InputError, match="made with other settings"):
        evaluate_model(request_for(max_tokens=9), Display())
    with open(f"{request.model}/config.json", "a") as file:
        file.write("\n")
    with pytest.raises(InputError, match="made with other settings"):
        evaluate_model(request, Display())


def test_a_model_with_pivots_is_shown_raw_filtered_and_stopped(request_for, world_model, world_tokenizer, tmp_path):
    model, tokenizer = world_model(), copy.deepcopy(world_tokenizer)
    add_pivots(model, tokenizer)
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "tagged")
    request = request_for(model=str(tmp_path / "tagged"), temperature=1.0, max_tokens=60)
    evaluate_model(request, Display())
    kept = [json.loads(line) for line in rows(request).splitlines()]
    assert any("pivots" in row for row in kept)  # a random model writes some of its 1063 tokens by chance
    by_decoding = {name: [row for row in kept if row["decoding"] == name] for name in (row["decoding"] for row in kept)}
    assert list(by_decoding) == ["sampled", "sampled, pivot-filter", "sampled, pivot-stop"]
    assert {len(some) for some in by_decoding.values()} == {70}
    assert not any(tag in (row["answer"] or "") for row in kept for tag in TAGS.values())
    defended = replace(request, out=tmp_path / "defended", defending=Defending("pivot-filter"))
    evaluate_model(defended, Display())
    alone = [json.loads(line) for line in rows(defended).splitlines()]
    assert {row["decoding"] for row in alone} == {"sampled"}
    seen = by_decoding["sampled, pivot-filter"]
    assert [row["answer"] for row in alone] == [row["answer"] for row in seen]


def test_a_local_model_says_itself_that_it_writes_pivots(request_for):
    with pytest.raises(InputError, match="--model-pivots: a local model's tokenizer says so itself"):
        evaluate_model(request_for(model_pivots=True), Display())
