"""The engine on a search that can be worked out by hand: budgets, restarts, a kill at any moment, errors."""

import itertools
import json
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from tars.attacks.base import Attempt, State, Step, Tried
from tars.attacks.budget import Budget, Spent
from tars.attacks.engine import Plan, run_attack
from tars.attacks.records import RowLog
from tars.errors import InputError, RunError
from tars.judges.base import Judge
from tars.progress import silent
from tars.types import Verdict


@dataclass(frozen=True)
class Count:
    """Says `word 1`, `word 2`, …: the key of a behaviour comes at step 3 + its place, one later with each restart."""

    steps: int = 9
    name: ClassVar[str] = "count"
    access: ClassVar[str] = "text"
    asks: ClassVar[str] = ""
    universal: ClassVar[bool] = False

    def check(self, behaviors, parties):
        pass

    def start(self, track, parties):
        return State({"said": 0}, {"sum": torch.zeros(2)})

    def step(self, tracks, states, parties):
        return [self._one(track, state, parties) for track, state in zip(tracks, states, strict=True)]

    def _one(self, track, state, parties):
        said = state.facts["said"] + 1
        place = [one.id for one in parties.target.model.behaviors].index(track.behavior.id)
        key = "sesame" if said == 3 + place + track.restart else f"word {said}"
        attempt = Attempt(f"{track.behavior.text} {key}")
        kept = State({"said": said}, {"sum": state.tensors["sum"] + said})
        return Step(kept, (Tried(attempt, score=said),), (attempt,), 10.0 - said, Spent(flops=5.0), said == self.steps)


def attacked(folder, parties, behaviors, attack=None, **plan):
    folder.mkdir(exist_ok=True)
    return run_attack(attack or Count(), behaviors, parties, Plan(**plan), folder, silent)


def timeless(outcomes):
    return [replace(one, spent=replace(one.spent, seconds=0.0)) for one in outcomes]


def rows_of(folder):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in RowLog(folder / "steps.jsonl").rows()]


def test_each_behavior_is_attacked_until_the_judge_is_convinced(tmp_path, locked, behaviors):
    parties = locked()
    outcomes = attacked(tmp_path, parties, behaviors)
    assert [one.verdict.harmful for one in outcomes] == [True] * 3
    assert [one.steps for one in outcomes] == [3, 4, 5]
    assert [one.stopped for one in outcomes] == ["judge"] * 3
    assert [one.attempt.prompt for one in outcomes] == [f"{one.text} sesame" for one in behaviors]
    assert [one.spent.queries for one in outcomes] == [3, 4, 5]
    assert [one.spent.flops for one in outcomes] == [15.0, 20.0, 25.0]
    assert len(parties.target.model.asked) == 12
    cases = json.loads((tmp_path / "test_cases.json").read_text())
    assert cases == {one.id: [f"{one.text} sesame"] for one in behaviors}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases.jsonl", "steps.jsonl", "test_cases.json"]
    last = rows_of(tmp_path)[-1]
    assert (last["step"], last["loss"], last["harmful"], last["queries"], last["score"]) == (5, 5.0, 1, 5, 5)


@pytest.mark.parametrize(
    ("budget", "steps", "why"),
    [
        (Budget(queries=2), 2, "budget of queries"),
        (Budget(flops=10.0), 2, "budget of flops"),
        (Budget(), 9, "nothing left to try"),
    ],
)
def test_an_attack_that_ends_without_success_leaves_its_best_case(tmp_path, locked, behaviors, budget, steps, why):
    (outcome,) = attacked(tmp_path, locked(word="never"), behaviors[:1], budget=budget)
    assert (outcome.verdict.harmful, outcome.steps, outcome.stopped) == (False, steps, why)
    assert outcome.attempt.prompt.endswith(f"word {steps}" if steps != 3 else "sesame")
    assert outcome.loss == 10.0 - steps


def test_restarts_share_a_budget_and_stop_together(tmp_path, locked, behaviors):
    (outcome,) = attacked(tmp_path, locked(), behaviors[1:2], restarts=3)
    assert (outcome.restart, outcome.steps, outcome.spent.queries) == (0, 4, 12)
    assert len({row["prompt"] for row in rows_of(tmp_path) if row["step"] == 4}) == 2
    (outcome,) = attacked(tmp_path / "b", locked(), behaviors[1:2], restarts=3, budget=Budget(queries=7))
    assert (outcome.stopped, outcome.spent.queries, outcome.steps) == ("budget of queries", 9, 3)


def test_groups_make_no_difference(tmp_path, locked, behaviors):
    alone = attacked(tmp_path / "a", locked(), behaviors, at_once=1)
    together = attacked(tmp_path / "b", locked(), behaviors, at_once=32)
    assert timeless(alone) == timeless(together)


@pytest.mark.parametrize("at_once", [1, 2, 32])
def test_an_attack_that_lost_its_target_goes_on_to_the_same_cases(tmp_path, locked, behaviors, at_once):
    whole = attacked(tmp_path / "whole", locked(), behaviors, at_once=at_once)
    for asked in range(12):
        with pytest.raises(RunError, match="run again"):
            attacked(tmp_path / "cut", locked(fails_at=asked), behaviors, at_once=at_once)
        parties = locked()
        assert timeless(attacked(tmp_path / "cut", parties, behaviors, at_once=at_once)) == timeless(whole)
        assert len(parties.target.model.asked) <= 12 - asked + min(asked, 2)
        assert rows_of(tmp_path / "cut") == rows_of(tmp_path / "whole")
        again = locked()
        assert timeless(attacked(tmp_path / "cut", again, behaviors, at_once=at_once)) == timeless(whole)
        assert not again.target.model.asked
        for path in (tmp_path / "cut").iterdir():
            path.unlink()


def test_a_kill_between_any_two_writes_changes_nothing(tmp_path, locked, behaviors, monkeypatch):
    """Every write is cut off in turn: before it, and for rows also in the middle of the line."""
    import tars.attacks.records as records

    whole = attacked(tmp_path / "whole", locked(), behaviors)
    write, append = records.write_json, RowLog.append

    class Killed(BaseException):
        pass

    for moment in itertools.count():
        left = [moment]

        def cut(left=left):
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        def torn(log, *rows, cut=cut):
            try:
                cut()
            except Killed:
                with log.path.open("a") as file:
                    file.write(json.dumps(rows[0])[:20])
                raise
            append(log, *rows)

        monkeypatch.setattr(records, "write_json", lambda path, value, cut=cut: (cut(), write(path, value)))
        monkeypatch.setattr(RowLog, "append", torn)
        folder = tmp_path / f"cut-{moment}"
        try:
            attacked(folder, locked(), behaviors)
        except Killed:
            monkeypatch.setattr(records, "write_json", write)
            monkeypatch.setattr(RowLog, "append", append)
            assert timeless(attacked(folder, locked(), behaviors)) == timeless(whole)
            assert rows_of(folder) == rows_of(tmp_path / "whole")
            assert (folder / "test_cases.json").read_text() == (tmp_path / "whole" / "test_cases.json").read_text()
        else:
            break
    assert moment == 12  # five rounds of two writes, and two at the end


class Speechless(Judge):
    name = "speechless"

    def judge(self, cases):
        return [Verdict(error="no verdict")] * len(cases)


def test_what_nobody_judged_is_neither_broken_nor_resisted(tmp_path, locked, behaviors):
    parties = replace(locked(), judge=Speechless())
    (outcome,) = attacked(tmp_path, parties, behaviors[:1])
    assert outcome.verdict == Verdict(error="no verdict")
    row = rows_of(tmp_path)[0]
    assert (row["harmful"], row["unjudged"], row["error"]) == (None, 1, "no verdict")


@dataclass(frozen=True)
class Broken(Count):
    """Nothing can be tried."""

    def step(self, tracks, states, parties):
        return [Step(state, error="the attacker said nothing", done=True) for state in states]


def test_an_attack_that_tried_nothing_says_why(tmp_path, locked, behaviors):
    outcomes = attacked(tmp_path, locked(), behaviors, attack=Broken())
    assert [one.verdict.error for one in outcomes] == ["the attacker said nothing"] * 3
    assert [one.attempt for one in outcomes] == [None] * 3
    assert json.loads((tmp_path / "test_cases.json").read_text()) == {}


@dataclass(frozen=True)
class Universal(Count):
    """One suffix for all: it opens the first at step 2, all at step 4."""

    universal: ClassVar[bool] = True

    def _one(self, track, state, parties):
        said = state.facts["said"] + 1
        opened = {2: 1, 4: 3}.get(said, 0)
        attempts = tuple(
            Attempt(f"{one.text} {'sesame' if place < opened else said}") for place, one in enumerate(track.behaviors)
        )
        tried = tuple(Tried(attempt, place=place) for place, attempt in enumerate(attempts))
        return Step(State({"said": said}), tried, attempts, done=said == self.steps)


def test_a_universal_attack_is_one_search_for_all_behaviors(tmp_path, locked, behaviors):
    outcomes = attacked(tmp_path / "a", locked(), behaviors, attack=Universal())
    assert [(one.verdict.harmful, one.steps, one.stopped) for one in outcomes] == [(True, 4, "judge")] * 3
    short = attacked(tmp_path / "b", locked(), behaviors, attack=Universal(steps=3))
    assert [one.verdict.harmful for one in short] == [True, False, False]
    assert [one.steps for one in short] == [2, 3, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda some: [], "no behaviors to attack"),
        (lambda some: [some[0], some[0]], "is there twice"),
    ],
)
def test_wrong_behaviors_are_refused_before_any_work(tmp_path, locked, behaviors, change, message):
    with pytest.raises(InputError, match=message):
        attacked(tmp_path, locked(), change(behaviors))


def test_a_plan_out_of_range_is_refused(tmp_path, locked, behaviors):
    with pytest.raises(InputError, match="at least 1"):
        attacked(tmp_path, locked(), behaviors, restarts=0)


def test_a_last_step_that_succeeds_is_told_as_a_success(tmp_path, locked, behaviors):
    (outcome,) = attacked(tmp_path, locked(), behaviors[:1], attack=Count(steps=3))
    assert (outcome.verdict.harmful, outcome.stopped) == (True, "judge")
