"""A step's candidates against brute force: drawn alike, sent one by one, each scored by a full forward."""

from dataclasses import replace

import pytest
import torch

from tars.attacks.base import State, Track
from tars.attacks.gcg import GCG, GCGUniversal
from tars.attacks.gcg.candidates import sample_candidates
from tars.attacks.gcg.frames import turn_ids
from tars.attacks.gcg.gradient import combine, one_hot, slope
from tars.attacks.gcg.losses import Room
from tars.attacks.gcg.objective import place_suffix, scenes
from tars.attacks.gcg.round import candidates_of_step, shares
from tars.attacks.gcg.vocabulary import allowed_tokens
from tars.models.local import LocalModel
from tars.world.tokenizer import build_tokenizer

SMALL = GCG(width=40, topk=32, length=4, placement="think")


def asked(settings, parties, behaviors):
    """What the search hands to a step: track, state, places, terms, slopes, scores."""
    track = Track(tuple(behaviors), 0, 0)
    state = settings.start(track, parties)
    suffix = torch.tensor(state.facts["suffix"])
    places = place_suffix(scenes(settings, track, parties), state.facts["suffix"])
    terms = [one.term() for one in places]
    slopes = [slope(term, suffix, shared=shares(settings, term)) for term in terms]
    table = terms[0].local.model.get_input_embeddings().weight
    return track, state, places, terms, slopes, one_hot(combine(slopes, table, normalise=len(terms) > 1), table)


def brute(settings, local, track, state, places, scores):
    """Every candidate whose message is read as its ids in every chat, with its mean loss; best first."""
    rows = sample_candidates(
        torch.tensor(state.facts["suffix"]),
        scores,
        allowed_tokens(local.tokenizer, scores.shape[1], ascii_only=settings.ascii_only),
        width=settings.width,
        topk=settings.topk,
        n_replace=settings.replace,
        generator=torch.Generator().manual_seed(track.integer("gcg candidates", state.step)),
    ).tolist()
    return sorted((loss(local, places, row), row) for row in rows if all(sent(local, one, row) for one in places))


def sent(local, place, row):
    """A chat around the decoded suffix, encoded as a whole, holds the row where the suffix was."""
    text = local.tokenizer.decode([*place.frame.before_ids[-1:], *row])
    text = text.removeprefix(local.tokenizer.decode(place.frame.before_ids[-1:]))
    ids = local.prompt_ids(place.frame.left + text + place.frame.right)
    return ids == [*place.frame.before_ids, *row, *place.behind]


def loss(local, places, row):
    losses = []
    for place in places:
        given, scored = turn_ids(local, place.placed)
        ids = torch.tensor([[*place.frame.before_ids, *row, *place.behind, *given, *scored]])
        with torch.no_grad():
            logits = local.model(ids, use_cache=False).logits[0, -len(scored) - 1 : -1]
        losses.append(float(torch.nn.functional.cross_entropy(logits, torch.tensor(scored))))
    return sum(losses) / len(losses)


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        (SMALL, 1),
        (replace(SMALL, cache=False), 1),
        (replace(SMALL, replace=2), 1),
        (replace(SMALL, placement="plain", ascii_only=False), 1),
        (SMALL, 3),
    ],
)
def test_the_best_candidate_is_that_of_brute_force(qwen, parties, behaviors, settings, count):
    track, state, places, terms, slopes, scores = asked(settings, parties, behaviors[:count])
    found = candidates_of_step(settings, track, state, places, terms, slopes, scores, Room())
    expected = brute(settings, qwen, track, state, places, scores)
    assert found.count == len(expected) > 1
    ((low, row),) = found.best
    assert row == expected[0][1] and low == pytest.approx(expected[0][0], abs=1e-4)
    assert len(found.forward) == count and min(found.forward) > 0


def test_a_candidate_that_the_rendered_chat_changes_is_not_the_best(qwen, parties, behaviors):
    """The template strips the message: a suffix at its start must not begin with a blank, and most tokens do."""
    tokenizer = build_tokenizer()
    tokenizer.chat_template = qwen.tokenizer.chat_template.replace("['content']", "['content'] | trim")
    local = LocalModel(qwen.model, tokenizer)
    stripping = replace(parties, target=replace(parties.target, model=local))
    settings = replace(SMALL, form="{suffix} {behavior}", buffer=SMALL.width)
    track, state, places, terms, slopes, scores = asked(settings, stripping, behaviors[:1])
    found = candidates_of_step(settings, track, state, places, terms, slopes, scores, Room())
    expected = brute(settings, local, track, state, places, scores)
    assert [row for _, row in found.best] == [row for _, row in expected]
    assert 0 < len(expected) < found.count


def test_texts_that_are_checked_after_scoring_change_nothing_but_the_count(monkeypatch, parties, behaviors, qwen):
    settings = replace(SMALL, width=150)
    asked_once = asked(settings, parties, behaviors[:1])
    expected = brute(settings, qwen, *asked_once[:3], asked_once[-1])
    monkeypatch.setattr("tars.attacks.gcg.round.deciding_tokens", lambda _: None)
    for late in (True, False):
        monkeypatch.setattr("tars.attacks.gcg.round._sample_survives", lambda *_, late=late: late)
        found = candidates_of_step(settings, *asked_once, Room())
        assert found.best[0][1] == expected[0][1]
        assert found.count >= len(expected) if late else found.count == len(expected)


def test_with_a_buffer_the_best_ones_come_in_order(qwen, parties, behaviors):
    settings = replace(SMALL, buffer=5)
    track, state, places, terms, slopes, scores = asked(settings, parties, behaviors[:2])
    found = candidates_of_step(settings, track, state, places, terms, slopes, scores, Room())
    expected = brute(settings, qwen, track, state, places, scores)[:6]
    assert [row for _, row in found.best] == [row for _, row in expected]
    assert [low for low, _ in found.best] == pytest.approx([low for low, _ in expected], abs=1e-4)


def test_the_same_step_draws_the_same_and_another_step_others(parties, behaviors):
    track, state, places, terms, slopes, scores = asked(SMALL, parties, behaviors[:1])
    rest = (places, terms, slopes, scores)
    first, again = (candidates_of_step(SMALL, track, state, *rest, Room()).best for _ in range(2))
    assert first == again
    later = [candidates_of_step(SMALL, track, State(state.facts, {}, n), *rest, Room()).best for n in (1, 2, 3)]
    assert any(one != first for one in later)


def test_a_step_of_which_nothing_survives_finds_nothing(parties, behaviors):
    """What has to follow the suffix is what never does."""
    track, state, places, terms, slopes, scores = asked(SMALL, parties, behaviors[:1])
    places = [replace(one, behind=[*one.behind, 0]) for one in places]
    found = candidates_of_step(SMALL, track, state, places, terms, slopes, scores, Room())
    assert (found.best, found.count, found.forward) == ([], 0, [0])


def test_keys_are_shared_unless_told_otherwise(parties, behaviors):
    *_, terms, _, _ = asked(SMALL, parties, behaviors[:1])
    assert shares(SMALL, terms[0]) and shares(GCGUniversal(length=4), terms[0])
    assert not shares(replace(SMALL, cache=False), terms[0])
