"""Rewards of finished completions: routed by kind, 0 for a wrong form, nothing for a failed scorer."""

from dataclasses import replace

from tars.pivots import plain
from tars.reasoning import split
from tars.rewards.completions import Rewarding, rewards_of
from tars.rewards.format import FORMATS
from tars.rewards.pivots import PivotReward
from tars.types import Completion, Prompt, Score, Verdict

HARMFUL = Prompt("h", "placeholder h", "harmful", "c", "s")
HARMLESS = Prompt("n", "placeholder n", "harmless", "c", "s")
AMBIGUOUS = Prompt("a", "placeholder a", "ambiguous", "c", "s")


class Fixed:
    """One score for all, and the answers that it was asked about."""

    def __init__(self, name, value):
        self.name, self.value, self.seen = name, value, []

    def score(self, cases):
        self.seen += [(case.prompt.id, case.answer) for case in cases]
        return [Score(self.value, None if self.value is not None else "failed")] * len(cases)


def completed(text, ended=True):
    parts = split(text, ended=ended)
    return Completion(text, parts.reasoning, parts.answer, parts.stop)


WHOLE, OPEN_ENDED = completed("<think>t</think>a b c"), completed("<think>t", ended=False)
CUT = completed("<think>t</think>a b", ended=False)


def test_each_kind_goes_to_its_scorer_and_a_wrong_form_to_none():
    safety, helpfulness = Fixed("safety", 0.75), Fixed("helpfulness", None)
    prompts = [HARMFUL, HARMLESS, AMBIGUOUS, HARMFUL, HARMLESS, HARMLESS]
    made = [WHOLE, WHOLE, WHOLE, completed("a"), OPEN_ENDED, CUT]
    how = Rewarding(safety, helpfulness, FORMATS["strict"])
    assert rewards_of(prompts, made, how) == [0.75, None, None, 0.0, 0.0, 0.0]
    assert safety.seen == [("h", "a b c")] and helpfulness.seen == [("n", "a b c"), ("a", "a b c")]


def test_the_papers_check_lets_a_cut_answer_pass_and_terms_do_not():
    how = Rewarding(Fixed("safety", 0.5), Fixed("helpfulness", 1.0), FORMATS["paper"])
    assert rewards_of([HARMLESS, HARMLESS], [CUT, OPEN_ENDED], how) == [1.0, 0.0]
    blank = completed("<think>t</think>...")
    assert rewards_of([HARMLESS], [blank], how) == [1.0]
    assert rewards_of([HARMLESS], [blank], Rewarding(how.safety, how.helpfulness, how.check, ("blank",))) == [0.0]


def test_a_model_that_does_not_reason():
    how = Rewarding(Fixed("safety", 0.5), Fixed("helpfulness", 1.0), FORMATS["strict"], reasons=False)
    plain = Completion("a", None, "a", "finished")
    assert rewards_of([HARMLESS, HARMFUL], [plain, WHOLE], how) == [1.0, 0.0]
    assert rewards_of([], [], how) == []


class Guard:
    """Calls harmful what ends in `bad`; has no verdict on what holds `fail`."""

    name = "guard"

    def judge(self, found):
        return [Verdict(error="no") if "fail" in c.answer else Verdict(c.answer.endswith("bad")) for c in found]


def test_tags_weigh_a_reward_also_where_the_answer_is_shown_without_them():
    texts = ["<think>bad [UNSAFE]</think>no [SAFE]", "<think>bad [SAFE]</think>no [SAFE]", "<think>a</think>no"]
    texts += ["<think>fail [SAFE]</think>no [SAFE]", "no [SAFE]"]
    made = [replace(one, answer=plain(one.answer)) for one in map(completed, texts)]
    how = Rewarding(Fixed("s", 1.0), Fixed("h", 1.0), FORMATS["strict"], pivots=PivotReward(Guard(), 0.5))
    assert rewards_of([HARMFUL] * 5, made, how) == [1.0, 0.75, 0.5, None, 0.0]
    assert rewards_of([HARMFUL] * 5, made, replace(how, pivots=None)) == [1.0, 1.0, 1.0, 1.0, 0.0]


def test_an_answer_of_nothing_but_a_tag_is_of_the_wrong_form():
    safety = Fixed("safety", 1.0)
    lone = Completion("<think>t</think>[SAFE]", "t", "", "malformed")
    how = Rewarding(safety, safety, FORMATS["strict"])
    assert (rewards_of([HARMFUL], [lone], how), safety.seen) == ([0.0], [])
