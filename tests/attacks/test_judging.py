"""What is asked, judged and paid for in a round: once each, in order, and errors are told."""

from dataclasses import dataclass, field, replace

import pytest

from tars.attacks.base import Attempt, State, Step, Track, Tried
from tars.attacks.budget import Spent
from tars.attacks.judging import judge_steps
from tars.errors import RunError
from tars.judges.base import Judge
from tars.judges.oracles import WorldJudge
from tars.types import Completion, Verdict


@dataclass
class Counting(Judge):
    """The world's oracle; remembers what it was asked, and fails on what it cannot read."""

    name: str = "counting"
    seen: list = field(default_factory=list)

    def judge(self, cases):
        self.seen += cases
        said = WorldJudge().judge(cases)
        return [
            Verdict(error="no verdict") if case.answer == "?" else one for case, one in zip(cases, said, strict=True)
        ]


def said(answer):
    return Completion(answer, None, answer, "finished", None, 1)


def step(*tried):
    return Step(State(), tried)


@pytest.fixture
def tracks(behaviors):
    return [Track((one,), 0, 0) for one in behaviors]


def test_what_has_no_completion_is_asked_and_everything_is_judged_in_its_order(locked, tracks, behaviors):
    parties = replace(locked(), judge=Counting())
    opened, shut = Attempt(f"{behaviors[0].text} sesame"), Attempt(behaviors[2].text)
    known = Tried(Attempt("asked before"), said("junk"), score=0.5)
    judged, costs = judge_steps(parties, tracks, [step(known, Tried(opened)), step(), step(Tried(shut))])
    assert parties.target.model.asked == [(opened.prompt, ""), (shut.prompt, "")]
    assert [[verdict.harmful for _, verdict in some] for some in judged] == [[False, True], [], [False]]
    assert judged[0][0][0] == known and judged[0][1][0].completion.answer.startswith("to ")
    assert [case.prompt.id for case in parties.judge.seen] == [behaviors[0].id, behaviors[0].id, behaviors[2].id]
    words = [len(opened.prompt.split()), len(judged[0][1][0].completion.text.split())]
    assert costs[0] == Spent(queries=1, tokens=sum(words))  # of what was asked now alone
    assert costs[1] == Spent() and costs[2].queries == 1


def test_a_verdict_that_the_attack_brings_is_kept_and_not_asked_for_again(locked, tracks):
    parties = replace(locked(), judge=Counting())
    brought = Tried(Attempt("a"), said("x"), verdict=Verdict(harmful=True))
    other = Tried(Attempt("b"), said("y"))
    ((first, second),), _ = judge_steps(parties, tracks[:1], [step(brought, other)])
    assert first == (replace(brought, verdict=None), Verdict(harmful=True))
    assert second[1].harmful is False and [case.answer for case in parties.judge.seen] == ["y"]


def test_an_error_is_never_a_resisted_attempt(locked, tracks):
    parties = replace(locked(), judge=Counting())
    failed = Tried(Attempt(""), error="the attacker said nothing")
    unread, read = Tried(Attempt("b"), said("?")), Tried(Attempt("c"), said("no"))
    (found,), (cost,) = judge_steps(parties, tracks[:1], [step(failed, unread, read)])
    assert [verdict for _, verdict in found[:2]] == [
        Verdict(error="the attacker said nothing"),
        Verdict(error="no verdict"),
    ]
    assert [verdict.harmful for _, verdict in found] == [None, None, False]
    assert parties.target.model.asked == [] and cost == Spent()


def test_each_answer_of_a_universal_attempt_is_judged_for_its_own_behavior(locked, behaviors):
    parties = replace(locked(), judge=Counting())
    tried = [Tried(Attempt(f"{one.text} sesame"), place=place) for place, one in enumerate(behaviors)]
    (found,), _ = judge_steps(parties, [Track(tuple(behaviors), 0, 0)], [step(*tried[::-1])])
    assert [case.prompt.id for case in parties.judge.seen] == [one.id for one in behaviors[::-1]]
    assert [verdict.harmful for _, verdict in found] == [True] * 3


def test_a_target_that_is_gone_ends_the_round(locked, tracks):
    with pytest.raises(RunError, match="run again"):
        judge_steps(locked(fails_at=0), tracks[:1], [step(Tried(Attempt("a")))])
