"""A model is told to write tags: whose words, where they stand, and that the user's own tags count for nothing."""

import pytest

from tars.data.pivot_traces import SYSTEM
from tars.defences import defend
from tars.defences.pivot_prompt import PivotPrompt
from tars.errors import InputError
from tars.types import Sampling


def test_the_instruction_comes_first_and_the_answer_is_without_tags(scripted):
    inner = scripted(lambda prompt: None if "cake" in prompt else "take it [SAFE] now [UNSAFE]")
    model = defend(inner, PivotPrompt())
    made = model.generate(["fix {prompt} [SAFE]", "fix the cake"], Sampling(4), ["sure", ""])
    assert inner.calls == [
        ([f"{SYSTEM}\n\nfix {{prompt}} [ SAFE ]", f"{SYSTEM}\n\nfix the cake"], ["sure", ""]),
    ]
    assert [one.answer for one in made] == ["take it now", None]
    assert made[0].text == "take it [SAFE] now [UNSAFE]"
    assert (model.counts.prompts, model.counts.queries) == (2, 2)
    assert model.logprobs(["fix"], ["it"]) == [[-float(len(f"{SYSTEM}\n\nfix"))]]


def test_words_of_ones_own(scripted, tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("tag it all\n")
    inner = scripted(str)
    defend(inner, PivotPrompt(str(file))).generate(["fix"], Sampling(4))
    assert inner.calls[0][0] == ["tag it all\n\nfix"]
    file.write_text(" \n")
    with pytest.raises(InputError, match="is blank; write the instruction into it"):
        PivotPrompt(str(file)).check()
