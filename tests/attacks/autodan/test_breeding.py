"""Generations by hand: what is bred, what the attacker rewrites, what becomes of it where he fails."""

from dataclasses import dataclass, field, replace

from tars.attacks.autodan.breeding import Breeding, Generation, first, following
from tars.attacks.base import Track
from tars.models.chat import Reply


@dataclass
class Reviser:
    """Revises into what is not there before; fails every third time."""

    name: str = "reviser"
    asked: list = field(default_factory=list)

    def ask(self, queries):
        start = len(self.asked)
        self.asked += queries
        return [Reply(None, "busy") if n % 3 == 2 else Reply(f"'new {n}.'") for n in range(start, start + len(queries))]


TRACK = Track((), 0, 0)


def test_the_attacker_fills_up_the_seeds_and_rewrites_mutants():
    reviser = Reviser()
    (made,) = first([Generation(TRACK, 0, ["a. {behavior}"] * 4 + ["b {behavior}"], {})], reviser)
    assert made.templates == [
        "a. {behavior}",
        "new 0. [PROMPT]: {behavior}",
        "new 1. [PROMPT]: {behavior}",
        "a. {behavior}",
        "b {behavior}",
    ]
    assert made.errors == 1
    assert "the sentences are:\n'a. {behavior}'." in reviser.asked[0].prompt[0].content
    (same,) = first([Generation(TRACK, 1, ["a"] * 4, {})], reviser)
    assert same.templates == ["a"] * 4
    how = Breeding(1, 0.0, 5, 1.0, ["seed {behavior}"])
    (later,) = following(how, [replace(made, templates=["a {behavior}"] * 4)], [[1.0, 2.0, 2.0, 2.0]], reviser)
    assert later.templates == ["a {behavior}", *[f"new {n}. [PROMPT]: {{behavior}}" for n in (3, 4)], "a {behavior}"]
    assert later.errors == 1


def test_without_an_attacker_a_mutant_is_a_seed():
    how = Breeding(1, 0.0, 5, 1.0, ["seed {behavior}"])
    old = Generation(TRACK, 2, ["a {behavior}", "b {behavior}", "c {behavior}"], {})
    (later,) = following(how, [old], [[3.0, 1.0, 2.0]], None)
    assert later.templates == ["b {behavior}", "seed {behavior}", "seed {behavior}"]
    (later,) = following(replace(how, mutation=0.0), [old], [[3.0, 1.0, 500.0]], None)
    assert later.templates[0] == "b {behavior}" and "c {behavior}" not in later.templates


def test_the_hierarchical_search_breeds_words_between_sentences():
    how = Breeding(1, 1.0, 5, 0.0, [], {"big": ("large", "huge")}, sentences_every=2)
    old = Generation(TRACK, 1, ["big {behavior}", "large {behavior}", "huge {behavior}"], {})
    (later,) = following(how, [old], [[3.0, 1.0, 2.0]], None)
    assert later.templates == ["large {behavior}", "huge {behavior}", "large {behavior}"]
    assert later.words == {"big": -3.0, "large": -1.0, "huge": -2.0}
    (even,) = following(how, [replace(old, step=2)], [[3.0, 1.0, 2.0]], None)
    assert even.words == {} and even.templates[0] == "large {behavior}"
