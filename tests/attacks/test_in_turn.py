"""Attempts in turn."""

from tars.attacks.base import Attempt, State, Tried
from tars.attacks.in_turn import in_turn

A, B, C = Attempt("a"), Attempt("b", "so"), Attempt("c")


def test_each_track_has_the_attempt_of_its_own_step_until_the_list_is_through():
    states = [State({"kept": 1}, step=0), State(step=1), State(step=0)]
    steps = in_turn([[A, B], [A, B, C], [C]], states)
    assert [one.best for one in steps] == [(A,), (B,), (C,)]
    assert [one.tried for one in steps] == [(Tried(A),), (Tried(B),), (Tried(C),)]
    assert [one.done for one in steps] == [False, False, True]
    assert [one.state for one in steps] == states


def test_a_list_is_gone_through_once():
    said, number, done = [], 0, False
    while not done:
        (step,) = in_turn([[A, B, C]], [State(step=number)])
        said, number, done = [*said, *step.best], number + 1, step.done
    assert said == [A, B, C]
