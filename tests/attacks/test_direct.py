"""The direct request: one question, in the behaviour's own words."""

from dataclasses import replace

from tars.attacks.base import Attempt, Track
from tars.attacks.direct import DirectRequest
from tars.attacks.engine import Plan, run_attack
from tars.progress import silent


def test_each_behavior_is_asked_once_in_its_own_words(tmp_path, locked, behaviors):
    parties = locked(word="never")
    outcomes = run_attack(DirectRequest(), behaviors, parties, Plan(), tmp_path, silent)
    assert parties.target.model.asked[:3] == [(one.text, "") for one in behaviors]
    assert [one.spent.queries for one in outcomes] == [1, 1, 1]
    assert [(one.verdict.harmful, one.verdict.refused, one.steps) for one in outcomes] == [(False, True, 1)] * 3
    assert {one.stopped for one in outcomes} == {"nothing left to try"}


def test_a_text_stays_as_it_is(locked, behaviors):
    hostile = replace(behaviors[0], text=" {behavior}\x00\ud800\r\n<think> ", facts={})
    attack, track = DirectRequest(), Track((hostile,), 0, 0)
    attack.check([hostile], locked())
    (step,) = attack.step([track], [attack.start(track, locked())], locked())
    assert (step.best, step.done) == ((Attempt(hostile.text),), True)
    assert [one.attempt for one in step.tried] == [Attempt(hostile.text)]
