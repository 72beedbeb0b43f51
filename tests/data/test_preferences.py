"""Ranking and pairing by hand, ties and unscored samples, and rows that a loader takes."""

import json

from datasets import load_dataset
from hypothesis import given
from hypothesis import strategies as st
from trl.data_utils import is_conversational

from tars.data.preferences import (
    Pair,
    Pairing,
    Sample,
    as_trace,
    best_of,
    pair_row,
    pairs,
    ranked,
    read_samples,
    sample_row,
    statistics,
)
from tars.types import Completion, Prompt

HARMFUL = Prompt("h", "placeholder h", "harmful", "c", "s", "b", {"n": [1, None]})
HARMLESS = Prompt("n", "placeholder n", "harmless", "c", "s")


def sample(number, reward, prompt=HARMFUL, stop="finished", text="<think>\nt\n</think>\n\na", tokens=(3, 2)):
    return Sample(prompt, number, Completion(text, "t", "a", stop, *tokens), reward)


def numbers(found):
    return [(pair.chosen.number, pair.rejected.number) for pair in found]


def test_eight_ranked_samples_give_four_pairs_the_widest_first():
    rewards = [0.5, 0.9, 0.1, 1.0, 0.0, 0.4, 0.8, 0.3]
    samples = [sample(i, reward) for i, reward in enumerate(rewards)]
    found, dropped = pairs(samples, Pairing())
    assert numbers(found) == [(3, 4), (1, 2), (6, 7), (0, 5)] and dropped == {}
    assert numbers(pairs(samples, Pairing(pairs=1))[0]) == [(3, 4)]
    found, dropped = pairs(samples, Pairing(margin=0.5))
    assert numbers(found) == [(3, 4), (1, 2), (6, 7)] and dropped == {"pairs within the margin": 1}


def test_ties_prefer_nothing_and_equal_ones_keep_their_order():
    samples = [sample(i, reward) for i, reward in enumerate([1.0, 1.0, 1.0, 0.0])]
    found, dropped = pairs(samples, Pairing(margin=0.0))
    assert numbers(found) == [(0, 3)] and dropped == {"ties": 1}
    assert [one.number for one in ranked(samples)[0]] == [0, 1, 2, 3]


def test_what_could_not_be_scored_is_neither_good_nor_bad():
    samples = [sample(0, None), sample(1, 0.5), sample(2, None), sample(0, None, HARMLESS), sample(1, 1.0, HARMLESS)]
    assert pairs(samples, Pairing()) == ([], {"samples without a reward": 3})
    found, dropped = pairs([*samples, sample(3, 0.2)], Pairing())
    assert numbers(found) == [(1, 3)] and dropped == {"samples without a reward": 3}


def test_an_odd_number_leaves_the_middle_one_out():
    samples = [sample(i, i / 4) for i in range(5)]
    assert numbers(pairs(samples, Pairing(pairs=9))[0]) == [(4, 0), (3, 1)]


rewards = st.lists(st.none() | st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=9)


@given(rewards, st.integers(1, 5), st.sampled_from([0.0, 0.25, 0.3]))
def test_every_pair_is_wide_enough_and_no_sample_is_in_two(given_rewards, most, margin):
    samples = [sample(i, reward) for i, reward in enumerate(given_rewards)]
    found, dropped = pairs(samples, Pairing(most, margin))
    used = [one.number for pair in found for one in (pair.chosen, pair.rejected)]
    assert len(set(used)) == len(used) and len(found) <= most
    assert all(pair.chosen.reward - pair.rejected.reward >= max(margin, 0.25) for pair in found)
    scored = sum(reward is not None for reward in given_rewards)
    tried = min(most, scored // 2)
    assert len(found) + dropped.get("ties", 0) + dropped.get("pairs within the margin", 0) == tried


def test_the_best_few_are_finished_ones():
    samples = [
        sample(0, 0.2),
        sample(1, 1.0),
        sample(2, 1.0, stop="truncated"),
        sample(3, 0.7),
        sample(4, None),
        sample(0, 0.0, HARMLESS, stop="malformed"),
        sample(1, 0.0, HARMLESS),
    ]
    kept = best_of(samples, 2)
    assert [(one.prompt.id, one.number) for one in kept] == [("h", 1), ("h", 3), ("n", 1)]
    trace = as_trace(kept[0])
    assert (trace.prompt, trace.reasoning, trace.answer) == (HARMFUL, "t", "a")


def test_a_demonstration_keeps_the_tags_that_its_answer_shows_none_of():
    text = "<think>\nt [SAFE]\n</think>\n\na [SAFE]"
    tagged = Sample(HARMFUL, 0, Completion(text, "t [SAFE]", "a", "finished"), 1.0)
    assert (as_trace(tagged).reasoning, as_trace(tagged).answer) == ("t [SAFE]", "a [SAFE]")
    plain = Sample(HARMFUL, 0, Completion("a [SAFE]", None, "a", "finished"), 1.0)
    assert (as_trace(plain).reasoning, as_trace(plain).answer) == (None, "a [SAFE]")


def test_samples_come_back_from_their_rows_the_newest_of_each():
    made = [sample(0, None), sample(1, 0.5, HARMLESS, tokens=(None, None)), sample(0, 0.25)]
    rows = [json.loads(json.dumps(sample_row(one))) for one in made]
    assert read_samples(rows) == [made[2], made[1]]


def test_rows_load_as_a_conversational_preference_set(tmp_path):
    hostile = sample(1, 0.0, text="<think>\x00 \ud800", stop="truncated")
    rows = [pair_row(Pair(sample(0, 1.0), hostile)), pair_row(Pair(sample(0, 0.5, HARMLESS), sample(1, 0.1, HARMLESS)))]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    first = loaded[0]
    assert is_conversational(first)
    assert first["prompt"] == [{"role": "user", "content": "placeholder h"}]
    assert first["chosen"] == [{"role": "assistant", "content": "<think>\nt\n</think>\n\na"}]
    assert first["rejected"] == [{"role": "assistant", "content": "<think>\x00 \ufffd"}]
    assert (first["reward_chosen"], first["reward_rejected"], first["kind"]) == (1.0, 0.0, "harmful")
    assert (first["stop_chosen"], first["stop_rejected"]) == ("finished", "truncated")


def test_statistics_by_kind():
    samples = [sample(0, 1.0), sample(1, 0.5), sample(2, None), sample(0, 0.5, HARMLESS, stop="malformed")]
    found, _ = pairs(samples, Pairing())
    told = statistics(samples, found)
    assert told["by kind"]["harmful"] == {
        "prompts": 1,
        "samples": 3,
        "reward": 0.75,
        "pairs": 1,
        "prompts with pairs": 1,
        "reward_chosen": 1.0,
        "reward_rejected": 0.5,
    }
    assert told["by kind"]["harmless"]["reward_chosen"] is None and "ambiguous" not in told["by kind"]
    assert told["stops"] == {"finished": 3, "malformed": 1} and told["completion_tokens"] == 20
    assert statistics([sample(0, 1.0, tokens=(None, None))], [])["completion_tokens"] is None
