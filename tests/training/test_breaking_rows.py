"""Pairs for circuit breakers: batches and masks by hand, what is dropped or left out, and what is refused."""

import pytest

from tars.errors import InputError
from tars.models.local import render_chat
from tars.training.breaking_rows import Collator, breaking_rows
from tars.training.breaking_settings import Breaking
from tars.types import Prompt, Trace

ALL_SHOWN = Breaking(blank=0.0)


def test_a_batch_is_harmful_rows_then_those_to_keep():
    batch = Collator(pad_id=9)(
        [
            {"harmful": [1, 2, 3], "rerouted": [0, 1, 1], "retain": [4]},
            {"harmful": [5], "rerouted": [1], "retain": [6, 7]},
        ]
    )
    assert batch["input_ids"].tolist() == [[1, 2, 3], [5, 9, 9], [4, 9, 9], [6, 7, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0], [1, 0, 0], [1, 1, 0]]
    assert batch["rerouted"].tolist() == [[False, True, True], [True, False, False], [False] * 3, [False] * 3]
    assert batch["kept"].tolist() == [[False] * 3, [False] * 3, [True, False, False], [True, True, False]]


def harmless(number, answer="yes"):
    return Trace(Prompt(f"p{number}", "w " * number, "harmless", "c", "s"), None, answer)


def test_each_row_is_in_one_pair_and_the_rest_is_counted(world_tokenizer):
    harmful, retain = [harmless(n) for n in range(1, 6)], [harmless(n) for n in range(6, 9)]
    pairs, counts = breaking_rows(world_tokenizer, harmful, retain, settings=ALL_SHOWN, max_tokens=None, seed=0)
    assert counts == {"pairs": 3, "dropped_as_too_long": 0, "unpaired": 2}
    assert len({len(pair["harmful"]) for pair in pairs}) == len({len(pair["retain"]) for pair in pairs}) == 3
    assert all(pair["rerouted"] == [1] * len(pair["harmful"]) for pair in pairs)
    longest = max(len(pair["retain"]) for pair in pairs)
    _, counts = breaking_rows(world_tokenizer, harmful, retain, settings=ALL_SHOWN, max_tokens=longest - 1, seed=0)
    assert counts == {"pairs": 2, "dropped_as_too_long": 1, "unpaired": 3}


def test_only_the_completion_is_rerouted_if_told(world_tokenizer):
    settings = Breaking(blank=0.0, tokens="completion")
    (pair,), _ = breaking_rows(
        world_tokenizer, [harmless(3)], [harmless(1)], settings=settings, max_tokens=None, seed=0
    )
    context = len(world_tokenizer(render_chat(world_tokenizer, "w w w "), add_special_tokens=False)["input_ids"])
    assert pair["rerouted"] == [0] * context + [1] * (len(pair["harmful"]) - context)
    answer = "yes" + str(world_tokenizer.eos_token)
    assert sum(pair["rerouted"]) == len(world_tokenizer(answer, add_special_tokens=False)["input_ids"])


def test_a_share_of_the_requests_is_left_out(world_tokenizer):
    """A row without its request is as long as one whose request is empty."""
    many = [harmless(20)] * 200
    pairs, _ = breaking_rows(world_tokenizer, many, many, settings=Breaking(), max_tokens=None, seed=0)
    for side in ("harmful", "retain"):
        lengths = [len(pair[side]) for pair in pairs]
        assert len(set(lengths)) == 2
        assert 70 < lengths.count(min(lengths)) < 130


@pytest.mark.parametrize(
    ("harmful", "retain", "limit", "problem"),
    [(0, 1, None, "no harmful traces"), (1, 0, None, "no retain traces"), (1, 1, 2, "none of 1 traces fits in 2")],
)
def test_a_side_without_rows_is_wrong_input(world_tokenizer, harmful, retain, limit, problem):
    sides = [harmless(2)] * harmful, [harmless(2)] * retain
    with pytest.raises(InputError, match=problem):
        breaking_rows(world_tokenizer, *sides, settings=Breaking(), max_tokens=limit, seed=0)
