"""Settings for the whole suite, and the smallest real things: the micro-world's tokenizer and tiny Qwen2 models."""

import os
import tempfile
from collections.abc import Callable

_cache = tempfile.TemporaryDirectory(prefix="tars-tests-")
os.environ |= {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "TARS_CACHE": _cache.name,
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

import pytest  # noqa: E402  the libraries read the settings above when they are imported
import torch  # noqa: E402
from transformers import PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM  # noqa: E402

from tars.world.tokenizer import build_tokenizer  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def world_tokenizer() -> PreTrainedTokenizerBase:
    """The micro-world's tokenizer; leave it as it is."""
    return build_tokenizer()


@pytest.fixture
def world_model(world_tokenizer) -> Callable[..., Qwen2ForCausalLM]:
    """A factory: seed -> a random Qwen2 of 60 000 parameters for the world's vocabulary, far from uniform."""

    def build(seed: int = 0) -> Qwen2ForCausalLM:
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=len(world_tokenizer),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=256,
                tie_word_embeddings=True,
                bos_token_id=None,
                eos_token_id=world_tokenizer.eos_token_id,
                pad_token_id=world_tokenizer.pad_token_id,
            )
        )
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.2)
        return model.eval()

    return build


@pytest.fixture
def saved_world_model(world_model, world_tokenizer, tmp_path) -> str:
    """The folder of such a model with its tokenizer, as a stage leaves it."""
    folder = tmp_path / "world-model"
    world_model().save_pretrained(folder)
    world_tokenizer.save_pretrained(folder)
    return str(folder)
