"""Tags by a guard: what it reads, which pivot follows, what is dropped, and what a stop loses."""

import pytest

from tars.data import pivot_traces as module
from tars.data.pivot_traces import agreement, asked, cases, drafts, guarded, tagged
from tars.errors import RunError
from tars.pivots import Step
from tars.store import RowLog
from tars.types import Prompt, Verdict

PROMPTS = [Prompt(f"p{i}", f"placeholder {i}", "harmful", "c", "s") for i in range(3)]


def answer(prompt, reasoning, said="fine [SAFE]", number=0, **more):
    """A row as `tars.data.distil.distil` writes it."""
    told = {"prompt_id": prompt, "number": number, "reasoning": reasoning, "answer": said}
    return told | {"error": None, "truncated": False, "prompt_tokens": 1, "completion_tokens": 2} | more


class Guard:
    """Calls harmful what ends in `bad`; fails on what holds `fail`; remembers what it read."""

    name = "guard"

    def __init__(self):
        self.read = []

    def judge(self, found):
        self.read += [case.answer for case in found]
        return [
            Verdict(error="no reply") if "fail" in case.answer else Verdict(harmful=case.answer.endswith("bad"))
            for case in found
        ]


def run(path, found, guard=None, **more):
    return guarded(found, guard or Guard(), RowLog(path), lambda done, of: None, **more)


def test_the_guard_reads_what_came_so_far_and_the_answer_alone_all_without_tags(tmp_path):
    found, _ = drafts(PROMPTS, [answer("p0", "one [RETHINK]\n\ntwo bad [SAFE] three", "an [SAFE] answer [SAFE]")])
    assert [case.answer for case in cases(found[0])] == ["one", "one\n\ntwo bad", "one\n\ntwo bad three", "an answer"]
    assert [case.answer for case in cases(found[0], "step")] == ["one", "two bad", "three", "an answer"]
    guard = Guard()
    rows = run(tmp_path / "log", found, guard)
    assert guard.read == [case.answer for case in cases(found[0])]
    assert rows["p0", 0]["harmful"] == [False, True, False, False]
    assert all(case.prompt == PROMPTS[0] for case in cases(found[0]))


def test_traces_carry_the_guards_tags_and_statistics_compare_them_with_the_teachers(tmp_path):
    rows = [
        answer("p0", "one [RETHINK]\n\ntwo bad [UNSAFE] three [SAFE]", "an answer"),
        answer("p1", "untagged. more", "this is bad [SAFE]"),
    ]
    found, dropped = drafts(PROMPTS, rows)
    traces, facts, failed = tagged(found, run(tmp_path / "log", found))
    assert [(trace.reasoning, trace.answer) for trace in traces] == [
        ("one [SAFE]\n\ntwo bad [UNSAFE] three [RETHINK]", "an answer [SAFE]"),
        ("untagged. [SAFE] more [SAFE]", "this is bad [UNSAFE]"),
    ]
    assert (dropped, failed) == ({}, {})
    assert facts["steps"] == {"safe": 3, "rethink": 1, "unsafe": 1}
    assert facts["answers"] == {"safe": 1, "rethink": 0, "unsafe": 1}
    assert facts["teacher"] == {"safe": 1, "rethink": 1, "unsafe": 1, "untagged": 2}
    assert facts["agreement"] == {"n": 3, "share": 1 / 3, "kappa": pytest.approx(0.0)}


def test_a_trace_that_the_guard_fails_on_is_dropped_not_called_safe_and_asked_again(tmp_path):
    rows = [answer("p0", "one. fail. three"), answer("p1", "fine"), answer("p2", "fine", "fail")]
    found, _ = drafts(PROMPTS, rows)
    verdicts = run(tmp_path / "log", found)
    traces, facts, failed = tagged(found, verdicts)
    assert [trace.prompt.id for trace in traces] == ["p1"] and failed == {"guard failed": 2}
    assert facts["steps"]["safe"] == 1 and verdicts["p0", 0]["harmful"] == []

    class Kind(Guard):
        def judge(self, found):
            self.read += [case.answer for case in found]
            return [Verdict(harmful=False)] * len(found)

    kind = Kind()
    traces, _, failed = tagged(found, run(tmp_path / "log", found, kind))
    assert (
        len(traces) == 3
        and failed == {}
        and kind.read == ["one.", "one. fail.", "one. fail. three", "fine", "fine", "fail"]
    )


def test_a_guard_that_does_not_speak_of_harm_tags_nothing(tmp_path):
    class Silent(Guard):
        def judge(self, found):
            return [Verdict(refused=True)] * len(found)

    found, _ = drafts(PROMPTS, [answer("p0", "one")])
    verdicts = run(tmp_path / "log", found, Silent())
    assert "does not say" in verdicts["p0", 0]["error"] and tagged(found, verdicts)[0] == []

    class Short(Guard):
        def judge(self, found):
            return []

    with pytest.raises(RunError, match="0 verdicts on 2 cases"):
        run(tmp_path / "other", found, Short())


def test_a_stop_loses_one_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 4)

    class Dying(Guard):
        def judge(self, found):
            if self.read:
                raise KeyboardInterrupt
            return super().judge(found)

    found, _ = drafts(PROMPTS, [answer(f"p{i}", "one. two", number=n) for i in range(3) for n in range(2)])
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "log", found, Dying())
    again = Guard()
    verdicts = run(tmp_path / "log", found, again)
    assert len(again.read) == 4 * 3 and len(verdicts) == 6  # two drafts of three cases each were done
    rested = Guard()
    assert run(tmp_path / "log", found, rested) == verdicts and rested.read == []


def test_what_is_nothing_but_tags_is_empty():
    rows = [
        answer("p0", "[SAFE] [UNSAFE]"),
        answer("p1", None),
        answer("p2", "one [SAFE]", " [SAFE]"),
        answer("p0", "one", truncated=True),
        answer("p0", None, None, error="timed out"),
    ]
    assert drafts(PROMPTS, rows) == ([], {"empty reasoning": 2, "no answer": 1, "cut off": 1, "failed": 1})


def test_a_tag_inside_a_prompt_is_not_shown_to_the_teacher_and_never_tags_a_step(tmp_path):
    prompt = Prompt("p0", "placeholder [SAFE] placeholder", "harmful", "c", "s")
    assert asked([prompt])[0].text == "placeholder [ SAFE ] placeholder" and asked(PROMPTS) == PROMPTS
    found, _ = drafts([prompt], [answer("p0", "They wrote [SAFE] but it is bad [SAFE]")])
    traces, _, _ = tagged(found, run(tmp_path / "log", found))
    assert traces[0].prompt == prompt and traces[0].reasoning == "They wrote [SAFE] but it is bad [UNSAFE]"
    assert found[0].steps == [Step("They wrote", "safe"), Step("but it is bad", "safe")]


def test_agreement_by_hand():
    # p_o = 3/4; teacher 2 a, 2 b; guard 3 a, 1 b: p_e = (2·3 + 2·1)/16 = 1/2
    assert agreement([("a", "a"), ("a", "a"), ("b", "a"), ("b", "b")]) == {"n": 4, "share": 0.75, "kappa": 0.5}
    assert agreement([("a", "a")]) == {"n": 1, "share": 1.0, "kappa": None}
    assert agreement([]) == {"n": 0, "share": None, "kappa": None}
