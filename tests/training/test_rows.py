"""Demonstrations as tokens: the prompt is masked exactly, nothing is cut, and generation sees the same prompt."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tars.errors import InputError
from tars.models.local import LocalModel, parse
from tars.models.scratch import make_tokenizer
from tars.training.rows import training_rows
from tars.types import Prompt, Trace
from tars.world.source import make_prompts, teach


def learned(row):
    return [label for label in row["labels"] if label != -100]


def test_prompt_is_masked_and_the_rest_is_learned(world_tokenizer):
    traces = teach(make_prompts("train", 9, 0), "correlated", 0)
    rows, dropped = training_rows(world_tokenizer, traces, reasoning=True, max_tokens=None)
    assert dropped == 0
    for trace, row in zip(traces, rows, strict=True):
        prompt = f"<|im_start|>user\n{trace.prompt.text}<|im_end|>\n<|im_start|>assistant\n"
        answer = f"<think>\n{trace.reasoning}\n</think>\n\n{trace.answer}<|im_end|>"
        masked = row["labels"].count(-100)
        assert row["labels"] == [-100] * masked + row["input_ids"][masked:]
        assert world_tokenizer.decode(row["input_ids"][:masked]) == prompt
        assert world_tokenizer.decode(row["input_ids"][masked:]) == answer
        assert row["input_ids"][:masked] == LocalModel(None, world_tokenizer).prompt_ids(trace.prompt.text)


def test_without_reasoning_only_the_answer_is_shown(world_tokenizer):
    traces = teach(make_prompts("train", 3, 0), "flat", 0)
    rows, _ = training_rows(world_tokenizer, traces, reasoning=False, max_tokens=None)
    assert [world_tokenizer.decode(learned(row)) for row in rows] == [f"{trace.answer}<|im_end|>" for trace in traces]


def test_a_trace_that_is_too_long_is_dropped_never_cut(world_tokenizer):
    traces = teach(make_prompts("train", 30, 0), "flat", 0)
    every, _ = training_rows(world_tokenizer, traces, reasoning=True, max_tokens=None)
    lengths = sorted(len(row["input_ids"]) for row in every)
    limit = lengths[12]
    rows, dropped = training_rows(world_tokenizer, traces, reasoning=True, max_tokens=limit)
    assert rows == [row for row in every if len(row["input_ids"]) <= limit]
    assert dropped == sum(length > limit for length in lengths) > 0
    with pytest.raises(InputError, match=f"none of 30 traces fits in {lengths[0] - 1} tokens"):
        training_rows(world_tokenizer, traces, reasoning=True, max_tokens=lengths[0] - 1)


BPE = make_tokenizer(["assistant\nassistant\n\n\n hello \n<think>\nhi\n</think>\n\nthere"] * 3, vocab=400)
BPE.chat_template = "{{ messages[0]['content'] + '\nassistant\n' }}"
"""No end of turn before the answer, so that line breaks at the border would be merged into one token."""


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12), st.booleans())
def test_the_border_is_where_generation_starts(text, thought, answer, reasoning):
    trace = Trace(Prompt("a", text, "harmless", "c", "s"), thought, answer)
    (row,) = training_rows(BPE, [trace], reasoning=reasoning, max_tokens=None)[0]
    prompt = LocalModel(None, BPE).prompt_ids(text)
    assert row["input_ids"][: len(prompt)] == prompt
    assert learned(row) == row["input_ids"][len(prompt) :]
    completion = parse(BPE, learned(row), [BPE.eos_token_id], reasons=reasoning)
    wanted = f"<think>\n{thought.strip()}\n</think>\n\n{answer.strip()}" if reasoning else answer
    assert completion.text == BPE.decode(BPE(wanted, add_special_tokens=False)["input_ids"])


def test_tokens_that_merge_across_the_border_are_not_merged():
    trace = Trace(Prompt("a", "a\n", "harmless", "c", "s"), None, "\n\n there")
    (row,) = training_rows(BPE, [trace], reasoning=False, max_tokens=None)[0]
    prompt = LocalModel(None, BPE).prompt_ids("a\n")
    whole = BPE("a\n\nassistant\n\n\n there", add_special_tokens=False)["input_ids"]
    assert whole[: len(prompt)] != prompt  # the case is real
    assert BPE.decode(learned(row)) == "\n\n there<|im_end|>"
