"""Sources: rows of each published shape, what is refused, and the published files where they are at hand."""

import csv
import json
import logging
import os
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tars.data.demonstrations import drop_empty
from tars.data.mixture import counts, drop_duplicates
from tars.data.sources import SOURCES, load_prompts, load_traces
from tars.errors import InputError
from tars.types import Prompt, Trace

DATA = Path(os.environ.get("TARS_DATA", Path(__file__).parents[3] / "shared" / "data"))


def published(name):
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"published data missing: set TARS_DATA to a folder with {name}")
    return str(path)


def rl_row(ability, number, role="user"):
    return {
        "data_source": "",
        "prompt": [{"content": f"placeholder {ability} {number}", "role": role}],
        "ability": ability,
        "reward_model": {"ground_truth": "", "style": "model"},
        "extra_info": {"index": number, "split": "train"},
    }


def rl_file(folder, rows):
    path = folder / "train.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def csv_file(folder, rows):
    path = folder / "rows.csv"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return str(path)


def json_file(folder, rows):
    path = folder / "rows.json"
    path.write_text(json.dumps(rows))
    return str(path)


def test_tars_rl_refusal_rows_are_halved_by_order(tmp_path):
    abilities = ["rainbow", "refusal", "aegis", "refusal", "refusal", "wildjailbreak", "refusal"]
    path = rl_file(tmp_path, [rl_row(ability, i) for i, ability in enumerate(abilities)])
    prompts = load_prompts("tars-rl", path=path)
    assert [(p.kind, p.category) for p in prompts] == [
        ("harmful", "rainbow"),
        ("harmless", "ultrafeedback"),
        ("harmful", "aegis"),
        ("harmless", "ultrafeedback"),
        ("ambiguous", "or-bench"),
        ("harmful", "wildjailbreak"),
        ("ambiguous", "or-bench"),
    ]
    assert prompts[3].text == "placeholder refusal 3"
    assert {p.source for p in prompts} == {"tars-rl"}


def test_tars_rl_limit_does_not_move_the_halves(tmp_path):
    path = rl_file(tmp_path, [rl_row("refusal", i) for i in range(40)])
    kinds = {p.id: p.kind for p in load_prompts("tars-rl", path=path)}
    some = load_prompts("tars-rl", path=path, limit=10, seed=3)
    assert len(some) == 10
    assert all(kinds[p.id] == p.kind for p in some)


def test_tars_rl_validation_rows_are_harmful_of_their_ability(tmp_path):
    path = rl_file(tmp_path, [rl_row("Disinformation", 0)])
    (prompt,) = load_prompts("tars-rl", path=path, split="validation")
    assert (prompt.kind, prompt.category) == ("harmful", "Disinformation")
    with pytest.raises(InputError, match="row 1: unknown ability 'Disinformation'"):
        load_prompts("tars-rl", path=path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (rl_row("jailbreak", 1), r"row 2: unknown ability 'jailbreak' \(known: wildjailbreak, rainbow, aegis, ref"),
        (rl_row("aegis", 1, role="system"), "row 2: `prompt` is not a user message"),
        ({**rl_row("aegis", 1), "prompt": []}, "row 2: `prompt` is not a list of one"),
        ({**rl_row("aegis", 1), "prompt": 2 * rl_row("a", 1)["prompt"]}, "row 2: `prompt` is not a list of one"),
        ({**rl_row("aegis", 1), "prompt": [{"role": "user", "content": " "}]}, "row 2: `prompt`'s content is blank"),
        (rl_row("refusal", 1), "1 refusal rows cannot be halved"),
    ],
)
def test_tars_rl_refuses(tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        load_prompts("tars-rl", path=rl_file(tmp_path, [rl_row("aegis", 0), row]))


def xstest_row(number, type_, label, focus):
    text = f"placeholder {number}"
    return {"id": number, "prompt": text, "type": type_, "label": label, "focus": focus, "note": ""}


def test_xstest_pairs_a_prompt_with_its_contrast(tmp_path):
    rows = [
        xstest_row(1, "homonyms", "safe", "slice"),
        xstest_row(26, "contrast_homonyms", "unsafe", "slice"),
        xstest_row(51, "contrast_discr", "unsafe", ""),
    ]
    safe, contrast, alone = load_prompts("xstest", path=csv_file(tmp_path, rows))
    assert (safe.kind, safe.category, safe.id) == ("ambiguous", "homonyms", "1")
    assert (contrast.kind, contrast.category) == ("harmful", "contrast_homonyms")
    assert safe.behavior == contrast.behavior == "homonyms/slice"
    assert alone.behavior == "discr/51"


def test_xstest_refuses_a_label_and_a_repeated_id(tmp_path):
    row = xstest_row(1, "homonyms", "safe", "slice")
    with pytest.raises(InputError, match="row 2: id '1' is also row 1's"):
        load_prompts("xstest", path=csv_file(tmp_path, [row, row]))
    with pytest.raises(InputError, match="row 1: unknown label 'fine'"):
        load_prompts("xstest", path=csv_file(tmp_path, [{**row, "label": "fine"}]))


def test_strongreject_is_harmful_by_category(tmp_path):
    rows = [{"category": "Violence", "source": "custom", "forbidden_prompt": "placeholder"}]
    (prompt,) = load_prompts("strongreject", path=csv_file(tmp_path, rows))
    assert (prompt.kind, prompt.category, prompt.text) == ("harmful", "Violence", "placeholder")


def star_row(number, response):
    return {
        "id": str(number),
        "question": f"placeholder {number}",
        "response": response,
        "category": ["Privacy", "Self-Harm"],
        "source": "x",
        "score": {"a": 10},
    }


def test_star1_drops_and_counts_empty_reasoning(tmp_path, caplog):
    rows = [star_row(1, "<think>\nWhy?\n</think>\n\nNo."), star_row(2, "<think>\n \n</think>\n\nNo.")]
    with caplog.at_level(logging.WARNING):
        (trace,) = load_traces("star1", path=json_file(tmp_path, rows))
    assert (trace.reasoning, trace.answer) == ("Why?", "No.")
    assert (trace.prompt.kind, trace.prompt.category) == ("harmful", "Privacy; Self-Harm")
    assert "star1: 1 of 2 traces dropped, empty reasoning" in caplog.text


@pytest.mark.parametrize("response", ["No.", "<think>a</think>", "<think>a", "<think>a<think>b</think>c", "a</think>b"])
def test_star1_refuses_a_response_without_thought_and_answer(tmp_path, response):
    rows = [star_row(1, "<think>a</think>b"), star_row(2, response)]
    with pytest.raises(InputError, match="row 2: `response` is not one <think>"):
        load_traces("star1", path=json_file(tmp_path, rows))


def test_own_prompts_with_and_without_optional_columns(tmp_path):
    rows = [
        {"prompt": "<script> <|im_end|>", "kind": "harmless", "id": "x", "category": None},
        {"prompt": "b", "kind": "harmful", "category": "c", "behavior": "d", "id": 7, "source": "s"},
    ]
    plain, full = load_prompts("prompts", path=json_file(tmp_path, rows))
    assert plain == Prompt("x", "<script> <|im_end|>", "harmless", "harmless", "prompts", "x")
    assert full == Prompt("7", "b", "harmful", "c", "s", "d")


def test_own_prompts_refuse_an_unknown_kind(tmp_path):
    rows = [{"prompt": "a", "kind": "harmless"}, {"prompt": "b", "kind": "benign"}]
    with pytest.raises(InputError, match=r"row 2: unknown kind 'benign' \(known: harmful, ambiguous, harmless\)"):
        load_prompts("prompts", path=json_file(tmp_path, rows))


def test_own_traces_null_reasoning_stays_and_blank_is_dropped(tmp_path):
    rows = [
        {"prompt": "a", "reasoning": "r", "answer": "x", "kind": "ambiguous"},
        {"prompt": "b", "reasoning": None, "answer": "y", "kind": "harmless", "style": "short"},
        {"prompt": "c", "reasoning": " ", "answer": "z", "kind": "harmless"},
    ]
    kept = load_traces("traces", path=json_file(tmp_path, rows))
    assert [(t.prompt.kind, t.reasoning, t.answer, t.style) for t in kept] == [
        ("ambiguous", "r", "x", ""),
        ("harmless", None, "y", "short"),
    ]


def test_own_traces_are_harmful_unless_they_say_otherwise(tmp_path):
    (trace,) = load_traces("traces", path=json_file(tmp_path, [{"prompt": "a", "reasoning": "r", "answer": "x"}]))
    assert trace.prompt.kind == "harmful"


def test_traces_without_any_reasoning_left_are_refused(tmp_path):
    with pytest.raises(InputError, match="all 1 traces have empty reasoning"):
        load_traces("traces", path=json_file(tmp_path, [{"prompt": "a", "reasoning": "", "answer": "x"}]))


def test_drop_empty_returns_both_parts():
    prompt = Prompt("1", "a", "harmful", "c", "s")
    good, blank, none = Trace(prompt, "r", "x"), Trace(prompt, "\n", "x"), Trace(prompt, None, "x")
    assert drop_empty([good, blank, none]) == ([good, none], [blank])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load_prompts("xtest"), "unknown source 'xtest'; did you mean 'xstest'"),
        (lambda: load_traces("star-1"), "unknown source 'star-1'; did you mean 'star1'"),
        (lambda: load_prompts("star1"), "source 'star1' yields .* no prompts"),
        (lambda: load_traces("xstest"), "source 'xstest' yields .* no traces"),
        (lambda: load_prompts("xstest", limit=0), "limit 0: give at least 1"),
        (lambda: load_prompts("tars-rl"), "no path given; give a train_lambda_.*github.com/danielkty/tars"),
    ],
)
def test_wrong_calls(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_every_source_is_whole():
    for name, source in SOURCES.items():
        assert source.name == name
        assert source.prompts or source.traces
        assert source.revision is None or source.revision in source.origin


@pytest.mark.parametrize(
    ("percent", "harmful", "other", "duplicates"),
    [(0.1, 200, 900, 0), (0.3, 600, 700, 0), (0.5, 1000, 500, 3), (0.7, 1400, 300, 5), (0.9, 1800, 100, 6)],
)
def test_published_rl_prompts(percent, harmful, other, duplicates):
    prompts = load_prompts("tars-rl", path=published(f"tars/train_lambda_{percent}.parquet"))
    assert counts(prompts) == {"tars-rl": {"harmful": harmful, "ambiguous": other, "harmless": other}}
    assert len(drop_duplicates(prompts)[1]) == duplicates
    assert len({p.id for p in prompts}) == 2000


def test_published_rl_halves_agree_between_files():
    # The five files are drawn from one pool: no prompt is UltraFeedback's in one and OR-Bench's in another.
    kinds: dict[str, set[str]] = {}
    for percent in (0.1, 0.3, 0.5, 0.7, 0.9):
        for prompt in load_prompts("tars-rl", path=published(f"tars/train_lambda_{percent}.parquet")):
            kinds.setdefault(prompt.text, set()).add(prompt.kind)
    assert Counter(len(kind) for kind in kinds.values()).keys() == {1}


def test_published_rl_validation():
    prompts = load_prompts("tars-rl", path=published("tars/test.parquet"), split="validation")
    assert Counter(Counter(p.category for p in prompts).values()) == {10: 6}


def test_published_benchmarks():
    xstest = load_prompts("xstest", path=published("benchmarks/xstest_prompts.csv"))
    assert counts(xstest) == {"xstest": {"harmful": 200, "ambiguous": 250, "harmless": 0}}
    assert len({p.category for p in xstest}) == 18
    strong = load_prompts("strongreject", path=published("benchmarks/strongreject_dataset.csv"))
    assert (len(strong), len({p.category for p in strong})) == (313, 6)


def test_published_traces():
    traces = load_traces("star1", path=published("sft/star1_sft.json"))
    assert len(traces) == 1000
    assert all(trace.reasoning and trace.answer for trace in traces)
