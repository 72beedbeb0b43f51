"""Defences as commands name them: what is wrong is one line, what is right stands before the model."""

import pytest
import torch

from tars.errors import InputError
from tars.models.local import LocalModel
from tars.pipeline.defending import Defending, check_defending, counts_of, defended
from tars.types import Sampling
from tars.world.source import make_prompts


@pytest.fixture
def local(world_model, world_tokenizer):
    return LocalModel(world_model(), world_tokenizer, name="tiny")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Defending("smooth"), "unknown defence 'smooth'; did you mean 'smooth-llm'"),
        (Defending("smooth-llm", {"copis": "3"}), "'smooth-llm': unknown option 'copis'; did you mean 'copies'"),
        (Defending("smooth-llm", {"copies": "many"}), "'smooth-llm': copies: .*not 'many'"),
        (Defending("smooth-llm", {"copies": "0"}), "copies"),
        (Defending("perplexity"), "needs a language model; name it with --asks"),
        (Defending("perplexity", {"threshold": "9"}), "needs a language model; name it with --asks"),
        (Defending("perplexity", asks="world"), "perplexity: needs a calibration; name it with --calibration"),
        (Defending("erase-and-check", {"filter": "own"}), "take another --options filter"),
        (Defending(None, {"copies": "3"}), "name it with --defence"),
        (Defending(asks="world"), "name it with --defence"),
        (Defending(calibration=("world",)), "name it with --defence"),
    ],
)
def test_what_cannot_defend_is_told_in_one_line(local, given, message):
    for call in (check_defending, lambda one: defended(local, one)):
        with pytest.raises(InputError, match=message) as caught:
            call(given)
        assert "\n" not in str(caught.value)


def test_no_defence_is_the_model_itself(local):
    assert check_defending(Defending()) is None
    assert defended(local, Defending()) is local and counts_of(local) is None


def test_options_are_text_and_reach_the_defence(local):
    model = defended(local, Defending("smooth-llm", {"copies": "3", "percent": "30", "unit": "world-word"}))
    assert model.name == "tiny+smooth-llm"
    model.generate(["how do i fix a cake?"] * 2, Sampling(4))
    counts = counts_of(model)
    assert (counts["prompts"], counts["queries"]) == (2, 6)


def test_perplexity_passes_the_harmless_prompts_that_it_was_calibrated_with(local):
    model = defended(local, Defending("perplexity", asks="world", calibration=("world",)))
    plain = [one.text for one in make_prompts("train", 40, 0) if one.kind == "harmless"]
    strange = "zib wug rusk cake cake cake ! ! !"
    assert model.passes([*plain, strange]) == [True] * len(plain) + [False]
    (answer,) = model.generate([strange], Sampling(4))
    assert answer.answer.startswith("I'm sorry") and counts_of(model)["refused"] == 1


def test_perplexity_may_be_that_of_a_model_in_a_folder(local, saved_world_model):
    text = "how do i fix a cake?"
    ids = torch.tensor(local.encode(text))  # the folder holds the same weights
    with torch.no_grad():
        logits = local.model(ids[None]).logits[0, :-1]
    perplexity = float(torch.nn.functional.cross_entropy(logits, ids[1:]).exp())
    for factor, passes in ((1.01, True), (0.99, False)):
        given = Defending("perplexity", {"threshold": str(perplexity * factor)}, asks=saved_world_model)
        assert defended(local, given).passes([text]) == [passes]
    with pytest.raises(InputError, match="none: no such model folder"):
        defended(local, Defending("perplexity", {"threshold": "9"}, asks="./none"))


@pytest.mark.parametrize(("said", "refused"), [("Not harmful.", 0), ("Harmful.", 1)])
def test_a_defence_that_asks_a_chat_model_asks_the_one_that_is_named(local, serve, said, refused):
    server = serve(lambda asked: server.chat(said))
    given = Defending("erase-and-check", {"filter": "chat", "max-erase": "1"}, asks=f"org/m@{server.url}")
    model = defended(local, given)
    model.generate(["how do i fix a cake?"], Sampling(4))
    assert {one.body["model"] for one in server.asked} == {"org/m"}
    assert counts_of(model)["refused"] == refused and counts_of(model)["prompts"] == 1
