"""Own answers: asked in a form of words, begun as told, counted as they are read."""

import json

import pytest

from tars.errors import InputError
from tars.pipeline.recipe import build_recipe
from tars.pipeline.run import train_arm
from tars.pipeline.samples import Guided, read_stage
from tars.progress import Display
from tars.types import Completion, Sampling


class Echo:
    """Answers with what it was asked and how the answer began."""

    name, batch = "echo", 7

    def generate(self, prompts, sampling, prefills=None):
        return [
            Completion(f"{prompt}|{begin}", None, prompt, "finished")
            for prompt, begin in zip(prompts, prefills or [None] * len(prompts), strict=True)
        ]

    def logprobs(self, prompts, completions):
        return [[float(len(prompt))] for prompt in prompts]

    def tokens_in(self, text):
        return len(text)


def test_a_guided_model_is_asked_in_the_form_and_begins_as_told():
    guided = Guided(Echo(), "be safe . {prompt} {x}", "<think>\n")
    (made,) = guided.generate(["how {prompt}"], Sampling(4))
    assert made.text == "be safe . how {prompt} {x}|<think>\n"  # a place in the prompt itself stays text
    (made,) = guided.generate(["p"], Sampling(4), ["a "])
    assert made.text.endswith("|a <think>\n")
    assert guided.logprobs(["p"], ["c"]) == [[len("be safe . p {x}")]]
    assert (guided.name, guided.batch, guided.tokens_in("abc")) == ("echo", 7, 3)


def test_without_a_prefill_the_model_is_given_none():
    (made,) = Guided(Echo(), "{prompt}", "").generate(["p"], Sampling(4))
    assert made.text == "p|None"


def test_samples_are_rows_with_rewards_and_their_cost(tmp_path, tiny_tree):
    tree, own = tiny_tree(), {"name": "guided", "samples": 2, "prefill": "<think>\nrecall"}
    args = {"per_device_train_batch_size": 4, "max_steps": 1, "bf16": False, "gradient_checkpointing": False}
    tree["train"]["guided"] = {"method": "sft", "start": "base", "data": "own", "own": own, "args": args}
    # The untrained model finishes no thought that could be learned from; what it wrote stays.
    with Display() as display, pytest.raises(InputError, match="none of 0 traces"):
        train_arm(build_recipe(tree, "tiny.yaml"), "guided", tmp_path / "run", display)
    stage = tmp_path / "run" / "guided-base-l0.5-s0"
    record, samples = json.loads((stage / "stage.json").read_text()), read_stage(stage)
    assert record["samples"] == len(samples) == 32 and record["unscored"] == 0 and record["reward"] == 0.0
    assert all(one.completion.text.startswith("<think>\nrecall") for one in samples)
    parameters = json.loads((tmp_path / "run" / "base-s0" / "stage.json").read_text())["parameters"]
    assert record["tflops"] == pytest.approx(2 * parameters * record["tokens_since_resume"] / 1e12)
