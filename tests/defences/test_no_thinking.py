"""The reasoning is over before it begins, with an attacker's beginning of the turn too."""

import pytest

from tars.attacks.placement import EMPTY
from tars.defences import defend
from tars.defences.no_thinking import CLOSED, NoThinking, closed, unthought
from tars.models.endpoint import Endpoint
from tars.models.endpoint_model import EndpointModel
from tars.models.local import LocalModel
from tars.types import Completion, Sampling


def test_the_empty_reasoning_is_the_attacks_own():
    assert CLOSED == EMPTY == "<think>\n\n</think>\n\n"


@pytest.mark.parametrize(
    ("begin", "whole"),
    [
        ("", CLOSED),
        ("sure", f"{CLOSED}sure"),
        ("<think>\nit is fine", "<think>\nit is fine\n</think>\n\n"),
        ("<think>\nfine\n</think>\n\nsure", "<think>\nfine\n</think>\n\nsure"),
    ],
)
def test_what_an_attacker_began_has_its_thought_closed(begin, whole):
    assert closed(begin) == whole


@pytest.mark.parametrize(
    ("rest", "stop", "answer", "form"),
    [
        ("b", "malformed", "b", "finished"),  # the empty thought is malformed of a model that reasons, not here
        ("b", "truncated", "b", "truncated"),
        ("<think>\na\n</think>\n\nb", "malformed", "b", "malformed"),  # it thinks all the same
        ("", "malformed", "", "malformed"),
        ("[SAFE]", "malformed", "", "malformed"),
    ],
)
def test_the_form_is_that_of_an_answer_alone(rest, stop, answer, form):
    text = CLOSED + rest
    made = unthought(Completion(text, "", answer, stop, 3, 4))
    assert made == Completion(text, None, answer, form, None, 4)


def test_a_local_model_goes_on_from_the_closed_thought(world_model, world_tokenizer):
    local = LocalModel(world_model(), world_tokenizer)
    prompts, sampling = ["how do i fix a cake ?", "fix it"], Sampling(6)
    raw = local.generate(prompts, sampling, [CLOSED, f"{CLOSED}to"])
    model = defend(local, NoThinking())
    seen = model.generate(prompts, sampling, ["", "to"])
    assert [one.text for one in seen] == [one.text for one in raw]
    assert all(one.text.startswith(CLOSED) and one.reasoning is None for one in seen)
    assert [one.answer for one in seen] == [one.answer for one in raw]
    assert [one.answer_tokens for one in seen] == [one.answer_tokens for one in raw] != [None, None]
    assert (model.counts.prompts, model.counts.queries) == (2, 2)


def test_a_server_is_asked_to_go_on(serve):
    server = serve(lambda asked: server.chat("take amber"))
    model = defend(EndpointModel(Endpoint(server.url, "m")), NoThinking())
    (made,) = model.generate(["fix"], Sampling(6))
    assert (made.text, made.answer, made.stop) == (f"{CLOSED}take amber", "take amber", "finished")
    assert server.asked[0].body["messages"][-1] == {"role": "assistant", "content": CLOSED}
