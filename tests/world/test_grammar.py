"""Prompts say what their facts say, and nothing of one split shows in another."""

import re
from itertools import islice

import pytest

from tars.types import KINDS, SPLITS
from tars.world.grammar import CATEGORIES, CYCLES, WRAPPERS, Request, prompts, split_of
from tars.world.lexicon import CLASS_OF, KIND_OF, PURPOSE_OF, UNMISTAKABLE_ACTIONS, looks_harmful, verdict_of

DRAWN = {split: list(islice(prompts(split, seed=1), 1800)) for split in SPLITS}
EVERY = [prompt for drawn in DRAWN.values() for prompt in drawn]


def test_splits_share_no_pair_and_no_wrapper():
    pairs = {split: {prompt.behavior for prompt in drawn} for split, drawn in DRAWN.items()}
    assert pairs["train"].isdisjoint(pairs["validation"] | pairs["test"])
    assert pairs["validation"].isdisjoint(pairs["test"])
    frames = {split: [frame.replace("{question}", "").strip() for frame in WRAPPERS[split]] for split in SPLITS}
    for split, drawn in DRAWN.items():
        text = "\n".join(prompt.text for prompt in drawn)
        for other in SPLITS:
            for frame in frames[other]:
                assert (frame.split(" .  ")[0] in text) == (other == split), (frame, split)


def test_every_pair_belongs_to_one_split_in_the_stated_shares():
    owners = [split_of(action, obj) for action in CLASS_OF for obj in KIND_OF]
    shares = {split: owners.count(split) / len(owners) for split in SPLITS}
    assert shares == pytest.approx({"train": 0.70, "validation": 0.10, "test": 0.20}, abs=0.01)
    for prompt in EVERY:
        facts = Request.of(prompt)
        assert prompt.id.split("-")[1] == split_of(facts.action, facts.obj)


def test_categories_come_in_turn_and_their_kinds_agree_with_the_table():
    for split, drawn in DRAWN.items():
        cycle = CYCLES[split]
        assert [prompt.category for prompt in drawn] == [cycle[i % len(cycle)] for i in range(len(drawn))]
        assert set(cycle) == set(CATEGORIES)
    assert CYCLES["test"] == CYCLES["validation"] == tuple(CATEGORIES)
    assert set(CATEGORIES.values()) == set(KINDS)
    for prompt in EVERY:
        facts = Request.of(prompt)
        verdict = verdict_of(facts.action, facts.obj)
        harmful = verdict == "harm" or (verdict == "dual" and PURPOSE_OF[facts.purpose] == "bad")
        assert (prompt.kind == "harmful") == harmful == facts.harmful
        assert prompt.kind == CATEGORIES[prompt.category]
        assert (CLASS_OF[facts.action] in UNMISTAKABLE_ACTIONS) == prompt.category.startswith("unmistakable")
        if verdict != "dual" and facts.purpose is not None:
            assert PURPOSE_OF[facts.purpose] == "good"  # a bad purpose would give the kind away
        if prompt.category == "looks-harmful":
            assert looks_harmful(facts.action, facts.obj)
        if prompt.category == "plain":
            assert not looks_harmful(facts.action, facts.obj)


def read(text):
    """Action, object and purpose as a reader would find them, aliases resolved."""
    meaning = dict(re.findall(r"\blet (\w+) mean (\w+) \.", text))
    verbs = "|".join(CLASS_OF)
    action, name, _, purpose = re.search(rf"\b({verbs}) (?:a|the) (\w+) (for (\w+) )?[?.]", text).groups()
    while name in meaning:
        name = meaning[name]
    return action, name, purpose


def test_the_text_says_what_the_facts_say():
    for prompt in EVERY:
        facts = Request.of(prompt)
        assert read(prompt.text) == (facts.action, facts.obj, facts.purpose), prompt.text
        assert len(re.findall(r"\blet ", prompt.text)) == len(facts.aliases) <= 2
        if facts.aliases:
            assert f" {facts.obj} " not in prompt.text.replace(f"mean {facts.obj} .", "")


def test_text_is_plain():
    for prompt in EVERY:
        assert re.fullmatch(r"[a-z ,.:?]+", prompt.text), prompt.text
        assert prompt.text == prompt.text.strip()


def test_frames_and_aliases_prove_nothing():
    """They stand on harmful and harmless requests about equally often."""
    for marks in (
        lambda p: bool(Request.of(p).aliases),
        lambda p: p.text.startswith(("ignore", "you are rex", "write a")),
    ):
        shares = [sum(marks(p) for p in DRAWN["train"] if p.category == c) / 200 for c in ("wrapped", "wrapped-safe")]
        assert min(shares) > 0.1
        assert shares[0] == pytest.approx(shares[1], abs=0.2)  # 200 draws each: over 4 standard errors
    assert not any(Request.of(prompt).aliases for prompt in EVERY if prompt.category in ("direct", "plain"))


def test_the_seed_decides_and_ids_are_unique():
    again = list(islice(prompts("test", seed=1), 50))
    assert again == DRAWN["test"][:50]
    assert [p.text for p in islice(prompts("test", seed=2), 50)] != [p.text for p in again]
    assert len({prompt.id for prompt in EVERY}) == len(EVERY)
    assert again[7].id == "world-test-1-7"
