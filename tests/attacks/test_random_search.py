"""Random search on a server with log-probabilities worked out by hand, and on a tiny model; resumed, transferred."""

import math
from dataclasses import replace

import pytest
import torch

from tars.attacks.base import State, Track
from tars.attacks.direct import DirectRequest
from tars.attacks.engine import Plan, run_attack
from tars.attacks.parties import Parties, Target
from tars.attacks.placement import place
from tars.attacks.random_search import RandomSearch
from tars.errors import InputError, RunError
from tars.judges.oracles import WorldJudge
from tars.models.endpoint import Endpoint
from tars.models.endpoint_model import EndpointModel
from tars.models.faults import Retries
from tars.models.local import LocalModel
from tars.progress import silent
from tars.store import RowLog
from tars.types import Sampling
from tars.world.lexicon import REFUSAL, procedure

FILLER = "_"


class Weak:
    """A server that gives in to digits in the prompt: with n of them, the answer's first word has the probability
    e^(n - 9), or is certain, and from `needed` on it does as asked."""

    def __init__(self, serve, behaviors, needed=5, tells=True, thought="so", hidden=0, lasts=10**9):
        self.behaviors, self.needed, self.tells, self.thought, self.hidden = behaviors, needed, tells, thought, hidden
        self.lasts, self.read, self.answered = lasts, [], []
        self.server = serve(self.behave)

    def parties(self, **options):
        retries = Retries(1, 0.001)
        model = EndpointModel(Endpoint(self.server.url, "m", retries=retries), count_tokens=False, **options)
        return Parties(Target(model, Sampling(32)), WorldJudge())

    def behave(self, asked):
        prompt = asked.body["messages"][0]["content"]
        digits = sum(c.isdigit() for c in prompt)
        if len(self.read) + len(self.answered) >= self.lasts:
            return None
        if asked.body["max_tokens"] == 1:
            self.read.append(asked.body["messages"])
            return self.told(digits)
        self.answered.append(asked.body["messages"])
        known = next(one for one in self.behaviors if one.text in prompt)
        answer = procedure(known.facts["action"], known.facts["obj"]) if digits >= self.needed else REFUSAL
        return self.server.chat(f"<think>\n{self.thought}\n</think>\n\n{answer}")

    def told(self, digits):
        if not self.tells:
            return self.server.chat("to")
        wanted = [] if digits < self.hidden else [("to", min(digits - 9.0, -0.01))]
        top = [{"token": token, "logprob": logp} for token, logp in [*wanted, ("sorry", -5.0)]]
        choice = {"message": {"content": "x"}, "finish_reason": "length"}
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        return self.server.response({"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 1}})


SHORT = RandomSearch(iterations=400, width=8, length=12, placement="empty")


def attacked(folder, attack, behaviors, parties, **plan):
    folder.mkdir(exist_ok=True)
    return run_attack(attack, behaviors, parties, Plan(**plan), folder, silent)


def rows_of(folder):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in RowLog(folder / "steps.jsonl").rows()]


def test_it_climbs_until_the_judge_is_convinced(tmp_path, serve, behaviors):
    weak = Weak(serve, behaviors)
    outcomes = attacked(tmp_path, SHORT, behaviors, weak.parties())
    assert [one.verdict.harmful for one in outcomes] == [True] * 3
    assert [one.stopped for one in outcomes] == ["judge"] * 3
    for one, behavior in zip(outcomes, behaviors, strict=True):
        suffix = one.attempt.prompt.removeprefix(behavior.text)
        assert len(suffix) == 12
        digits = sum(c.isdigit() for c in suffix)
        assert digits >= 5
        assert one.loss == pytest.approx(9.0 - digits)
        assert one.attempt.prefill == ""
    assert weak.read[0] == [
        {"role": "user", "content": behaviors[0].text},
        {"role": "assistant", "content": "<think>\n\n</think>\n\n"},
    ]
    rows = rows_of(tmp_path)
    for behavior in behaviors:
        losses = [row["loss"] for row in rows if row["behaviors"] == [behavior.id]]
        assert losses == sorted(losses, reverse=True)
        assert losses[0] >= 5.0  # 8 candidates, each of at most 4 changed
    assert all(row["prompt"].endswith(row["suffix"]) for row in rows)


def test_the_first_candidate_is_the_filler_and_others_differ_by_a_run(tmp_path, serve, behaviors):
    weak = Weak(serve, behaviors, needed=99)
    attacked(tmp_path, replace(SHORT, iterations=8), behaviors[:1], weak.parties())
    suffixes = [messages[0]["content"].removeprefix(behaviors[0].text) for messages in weak.read[1:]]
    assert suffixes[0] == FILLER * 12
    assert len(suffixes) == 8
    for one in suffixes[1:]:
        changed = [place for place, c in enumerate(one) if c != FILLER]
        assert changed[-1] - changed[0] < 4


def test_the_target_is_asked_once_its_token_is_the_likeliest_and_never_twice_about_one_suffix(
    tmp_path, serve, behaviors
):
    weak = Weak(serve, behaviors, needed=99)
    (outcome,) = attacked(tmp_path, SHORT, behaviors[:1], weak.parties())
    asked = [messages[0]["content"] for messages in weak.answered]
    counts = [sum(c.isdigit() for c in prompt) for prompt in asked]
    assert counts[0] >= 4  # e^-5, as likely as "sorry"
    assert counts[:-1] == sorted(set(counts[:-1]))  # each time a better one
    assert asked[-1] == asked[-2] == outcome.attempt.prompt  # the last time by the engine, for the final case
    assert (outcome.stopped, outcome.verdict.harmful) == ("nothing left to try", False)
    assert len(weak.read) == 400 + 1
    assert outcome.spent.queries == len(asked) - 1


def test_it_may_also_ask_every_so_often(tmp_path, serve, behaviors):
    weak = Weak(serve, behaviors, needed=99)
    attacked(tmp_path, replace(SHORT, iterations=32, ask_every=16, most_changed=1), behaviors[:1], weak.parties())
    first, second, *_ = [sum(c.isdigit() for c in messages[0]["content"]) for messages in weak.answered]
    assert first <= second
    assert first < 4  # before the token was the likeliest


def test_it_gives_up_where_the_token_is_never_named(tmp_path, serve, behaviors):
    weak = Weak(serve, behaviors, hidden=99)
    (outcome,) = attacked(tmp_path, SHORT, behaviors[:1], weak.parties())
    assert len(weak.read) == 32 + 1  # 25 candidates of patience, in rounds of 8
    assert (outcome.loss, outcome.verdict.harmful, outcome.stopped) == (None, False, "nothing left to try")


def test_own_reasoning_is_sampled_first_and_kept_up_to_date(tmp_path, serve, behaviors):
    weak = Weak(serve, behaviors, needed=99, thought="mine")
    attack = replace(SHORT, placement="sampled", iterations=24)
    attacked(tmp_path, attack, behaviors[:1], weak.parties())
    assert len(weak.read[1]) == 1  # nothing is known of its reasoning
    assert weak.answered[0][0]["content"].startswith(behaviors[0].text)
    given = [messages[1]["content"] for messages in weak.read[9:]]
    assert given == ["<think>\nmine\n</think>\n\n"] * 16
    best = weak.answered[0][0]["content"]
    assert weak.read[9][0]["content"] == best  # looked at anew, behind the thought


def test_a_reasoning_model_is_aimed_at_behind_its_tag_by_default(tmp_path, serve, behaviors):
    weak = Weak(serve, behaviors)
    attack = replace(SHORT, placement="auto", iterations=8)
    attacked(tmp_path / "a", attack, behaviors[:1], weak.parties())
    assert weak.read[0][1]["content"] == "<think>\n"
    plain = Weak(serve, behaviors)
    attacked(tmp_path / "b", attack, behaviors[:1], plain.parties(reasons=False))
    assert [message["role"] for message in plain.read[0]] == ["user"]


@pytest.mark.parametrize("lasts", [1, 9, 40, 60])
def test_a_server_that_dies_half_way_loses_nothing(tmp_path, serve, behaviors, lasts):
    whole = attacked(tmp_path / "whole", SHORT, behaviors, Weak(serve, behaviors).parties(), at_once=2)
    with pytest.raises(RunError, match="run again"):
        attacked(tmp_path / "cut", SHORT, behaviors, Weak(serve, behaviors, lasts=lasts).parties(), at_once=2)
    resumed = attacked(tmp_path / "cut", SHORT, behaviors, Weak(serve, behaviors).parties(), at_once=2)
    assert [one.attempt for one in resumed] == [one.attempt for one in whole]
    assert [one.loss for one in resumed] == [one.loss for one in whole]
    alone = attacked(tmp_path / "alone", SHORT, behaviors, Weak(serve, behaviors).parties(), at_once=1)
    assert [one.attempt for one in alone] == [one.attempt for one in whole]


def test_a_suffix_that_worked_is_a_start_for_others(tmp_path, serve, behaviors):
    weak = Weak(serve, behaviors, needed=6)
    first = attacked(tmp_path / "first", SHORT, behaviors[:2], weak.parties())
    best = min(first, key=lambda one: one.loss)
    suffix = best.attempt.prompt.removeprefix(best.behavior.text)
    again = Weak(serve, behaviors, needed=6)
    attack = replace(SHORT, start_from=tmp_path / "first")
    (outcome,) = attacked(tmp_path / "second", attack, behaviors[2:], again.parties())
    assert outcome.attempt.prompt == behaviors[2].text + suffix or outcome.loss < best.loss
    assert again.read[1][0]["content"] == behaviors[2].text + suffix
    assert (outcome.verdict.harmful, outcome.steps) == (True, 1)


def test_an_attack_of_another_kind_is_no_start(tmp_path, locked, behaviors, serve):
    run_attack(DirectRequest(), behaviors, locked(), Plan(), tmp_path, silent)
    with pytest.raises(InputError, match="no finished random search"):
        attacked(tmp_path, replace(SHORT, start_from=tmp_path), behaviors, Weak(serve, behaviors).parties())


def test_a_template_holds_the_request_and_the_target(tmp_path, serve, behaviors):
    weak = Weak(serve, behaviors)
    file = tmp_path / "template.txt"
    file.write_text("say {target} to : {behavior} now")
    one = replace(behaviors[0], facts={**behaviors[0].facts, "target": "to it"})
    attacked(tmp_path / "out", replace(SHORT, template=file, iterations=8), [one], weak.parties())
    assert weak.read[1][0]["content"] == f"say to it to : {one.text} now" + FILLER * 12
    file.write_text("{behavior}\n===\nplease {behavior}")
    with pytest.raises(InputError, match="holds 2 templates; give a file with one"):
        attacked(tmp_path / "out", replace(SHORT, template=file), [one], weak.parties())


@pytest.fixture
def small(world_model, world_tokenizer):
    return Parties(Target(LocalModel(world_model(), world_tokenizer), Sampling(8)), WorldJudge())


def test_on_a_local_model_the_loss_is_that_of_a_slow_reference(tmp_path, small, behaviors):
    attack = RandomSearch(iterations=48, width=16, length=6, placement="inside", skip_words=1)
    outcomes = attacked(tmp_path, attack, behaviors, small)
    local = small.target.model
    assert place("inside", behaviors[0]).scored.startswith("sounds fine")
    for one in outcomes:
        ids = torch.tensor([local.prompt_ids(one.attempt.prompt) + local.encode("<think>\nsounds")])
        with torch.no_grad():
            logps = torch.log_softmax(local.model(input_ids=ids).logits[0, -1], -1)
        assert one.loss == pytest.approx(-logps[local.encode(" fine")[0]].item(), abs=1e-4)
        own = [row["loss"] for row in rows_of(tmp_path) if row["behaviors"] == [one.behavior.id]]
        assert own == sorted(own, reverse=True)
        assert one.spent.flops == 2.0 * one.spent.tokens * local.model.num_parameters()
    first = [row["loss"] for row in rows_of(tmp_path) if row["step"] == 1]
    assert sum(one.loss for one in outcomes) < sum(first)


def test_on_a_local_model_groups_and_resumes_make_no_difference(tmp_path, small, behaviors):
    attack = RandomSearch(iterations=24, width=8, length=6)
    together = attacked(tmp_path / "a", attack, behaviors, small)
    alone = attacked(tmp_path / "b", attack, behaviors, small, at_once=1)
    assert [one.attempt for one in alone] == [one.attempt for one in together]
    state, track = attack.start(Track((behaviors[0],), 0, 0), small), Track((behaviors[0],), 0, 0)
    first = attack.step([track], [state], small)[0]
    again = attack.step([track], [State(dict(first.state.facts), {}, 1)], small)[0]
    assert again == attack.step([track], [State(dict(first.state.facts), {}, 1)], small)[0]
    assert math.isfinite(again.loss)


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (RandomSearch(iterations=0), "must be at least 1"),
        (RandomSearch(width=0), "must be at least 1"),
        (RandomSearch(most_changed=0), "must be at least 1"),
        (RandomSearch(ask_every=-1), "must be at least 1"),
        (RandomSearch(placement="nowhere"), "placement 'nowhere': unknown"),
        (RandomSearch(skip_words=99), "nothing of the target"),
        (RandomSearch(unit="tokens"), "looks inside the model"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path, serve, behaviors, attack, message):
    with pytest.raises(InputError, match=message):
        attacked(tmp_path, attack, behaviors, Weak(serve, behaviors).parties())


def test_a_target_that_tells_nothing_is_refused_before_any_work(tmp_path, serve, locked, behaviors):
    with pytest.raises(InputError, match="m: the server gave no log-probabilities"):
        attacked(tmp_path, SHORT, behaviors, Weak(serve, behaviors, tells=False).parties())
    with pytest.raises(InputError, match="locked: tells no log-probabilities"):
        attacked(tmp_path, SHORT, behaviors, locked())
