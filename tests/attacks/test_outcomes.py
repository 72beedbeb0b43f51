"""What is kept of steps and made of tracks, by hand."""

from dataclasses import replace

import pytest

from tars.attacks.base import Attempt, State, Step, Track, Tried
from tars.attacks.budget import Spent
from tars.attacks.outcomes import advanced, outcomes
from tars.attacks.records import Group, Standing
from tars.types import Completion, Verdict

HARM, SAFE, UNJUDGED = Verdict(harmful=True), Verdict(harmful=False), Verdict(error="no verdict")
START = Standing(State())


def tried(name, place=0):
    return Tried(Attempt(name), Completion(name, None, name, "finished"), place=place)


def after(old, *judged, **step):
    return advanced(old, Step(State({"at": len(judged)}), **step), judged, Spent(queries=7))


def test_the_step_that_broke_most_is_kept_and_a_tie_is_not_newer():
    one = after(START, (tried("a"), SAFE), (tried("b"), HARM), (tried("c"), HARM))
    assert (one.top, one.top_step, one.broken()) == ({0: (tried("b"), HARM)}, 1, 1)
    same = after(one, (tried("d"), HARM))
    assert (same.top, same.top_step, same.state) == (one.top, 1, State({"at": 1}, step=2))
    more = after(same, (tried("e", 1), HARM), (tried("f"), HARM))
    assert (more.top_step, {place: found.attempt.prompt for place, (found, _) in more.top.items()}) == (
        3,
        {1: "e", 0: "f"},
    )


def test_an_error_breaks_nothing():
    found = after(START, (tried("a"), UNJUDGED), (Tried(Attempt(""), error="busy"), Verdict(error="busy")))
    assert found.broken() == 0 and found.top_step == 0


def test_best_and_loss_stay_until_there_are_newer_ones():
    first = after(START, (tried("a"), SAFE), best=(Attempt("best"),), loss=2.0)
    assert (first.best, first.loss, first.spent, first.stopped) == ((Attempt("best"),), 2.0, Spent(queries=7), None)
    silent = after(first, error="busy", done=True)
    assert (silent.loss, silent.error, silent.stopped) == (2.0, "busy", "nothing left to try")
    assert silent.best == first.best
    failed = after(first, (Tried(Attempt(""), error="busy"), Verdict(error="busy")), (tried("b"), SAFE))
    assert failed.best == (Attempt("b"),)  # the first that has a completion


@pytest.fixture
def track(behaviors):
    return Track(tuple(behaviors[:1]), 0, 0)


def test_a_broken_behavior_is_told_with_what_broke_it_and_not_asked_again(locked, track):
    broke = Standing(State(step=9), Spent(3, 30), (Attempt("later"),), 1.5, {0: (tried("a"), HARM)}, 4, "judge")
    parties = locked()
    (one,) = outcomes(parties, [[track]], Group(0, 9, {track.name: broke}, []))
    assert (one.attempt, one.completion.text, one.verdict, one.steps) == (Attempt("a"), "a", HARM, 4)
    assert (one.loss, one.spent, one.stopped, parties.target.model.asked) == (1.5, Spent(3, 30), "judge", [])


def test_an_unbroken_one_is_asked_a_last_time_with_its_best_attempt(locked, track, behaviors):
    parties = locked()
    for prompt, harmful in ((f"{behaviors[0].text} sesame", True), (behaviors[0].text, False)):
        standing = Standing(State(step=9), best=(Attempt(prompt),), stopped="budget of queries")
        (one,) = outcomes(parties, [[track]], Group(0, 9, {track.name: standing}, []))
        assert (one.attempt, one.verdict.harmful, one.steps) == (Attempt(prompt), harmful, 9)
    assert len(parties.target.model.asked) == 2


def test_the_strongest_restart_broke_most_or_else_has_the_least_loss(locked, behaviors):
    unit = [Track(tuple(behaviors[:1]), restart, 0) for restart in range(4)]
    losses = [None, 3.0, 2.0, 2.0]

    def told(**changed):
        made = {
            track.name: replace(START, loss=loss, best=(Attempt(f"r{track.restart}"),), spent=Spent(1, 10))
            for track, loss in zip(unit, losses, strict=True)
        }
        made |= {unit[int(number[1:])].name: one for number, one in changed.items()}
        (one,) = outcomes(locked(), [unit], Group(0, 1, made, []))
        return one

    assert (told().restart, told().loss, told().attempt) == (2, 2.0, Attempt("r2"))
    assert told().spent == Spent(4, 40)  # of all restarts
    assert told(r1=replace(START, loss=9.0, top={0: (tried("a"), HARM)}, top_step=1)).restart == 1


def test_of_a_universal_search_each_behavior_has_its_own_outcome(locked, behaviors):
    both = Track(tuple(behaviors[:2]), 0, 0)
    best = (Attempt(behaviors[0].text), Attempt(behaviors[1].text))
    standing = Standing(State(step=5), best=best, top={1: (tried("a", 1), HARM)}, top_step=2)
    parties = locked()
    first, second = outcomes(parties, [[both]], Group(0, 5, {both.name: standing}, []))
    assert [(one.behavior, one.verdict.harmful, one.steps) for one in (first, second)] == [
        (behaviors[0], False, 5),
        (behaviors[1], True, 2),
    ]
    assert parties.target.model.asked == [(behaviors[0].text, "")]


@pytest.mark.parametrize(("error", "told"), [("the attacker said nothing", "the attacker said nothing"), (None, None)])
def test_a_behavior_for_which_nothing_could_be_tried_is_not_resisted(locked, track, error, told):
    parties = locked()
    (one,) = outcomes(parties, [[track]], Group(0, 1, {track.name: replace(START, error=error)}, []))
    assert (one.attempt, one.completion) == (None, None)
    assert one.verdict == Verdict(error=told or "nothing was tried")
    assert parties.target.model.asked == []


def test_an_attempt_that_failed_is_never_asked_as_the_best_one(locked, track):
    failed = after(START, (Tried(Attempt(""), error="busy"), Verdict(error="busy")), error=None, done=True)
    parties = locked()
    (one,) = outcomes(parties, [[track]], Group(0, 1, {track.name: failed}, []))
    assert (one.attempt, one.verdict.harmful) == (None, None) and one.verdict.error
    assert not parties.target.model.asked
