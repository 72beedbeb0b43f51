"""Which models the fast paths take and which they refuse, and why."""

import pytest
import torch
from accelerate import Accelerator
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from tars.models.support import attention_mask_4d, decoding_unsupported, inner, seams_unsupported

SIZE = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.mark.parametrize("family", ["qwen2", "llama", "qwen3", "mistral", "neox", "gpt2"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_ordinary_decoders_are_covered(tiny_model, family, attention):
    assert seams_unsupported(tiny_model(family, attention), max_length=100) is None


def test_a_sliding_window_counts_only_when_it_is_shorter_than_the_text(tiny_model):
    model = tiny_model("mistral_window")
    assert seams_unsupported(model, max_length=4) is None
    assert seams_unsupported(model, max_length=5) == "its sliding window of 4 tokens is shorter than 5 tokens"
    assert decoding_unsupported(model) is None


def test_transformed_logits_are_refused(tiny_model):
    assert "final_logit_softcapping=30.0" in seams_unsupported(tiny_model("gemma2"), max_length=1)
    cohere = CohereForCausalLM(CohereConfig(**SIZE, intermediate_size=16, logit_scale=0.25, pad_token_id=0))
    assert "logit_scale=0.25" in seams_unsupported(cohere, max_length=1)


def test_mixture_of_experts_is_refused_only_with_its_auxiliary_loss():
    size = {**SIZE, "intermediate_size": 16, "num_key_value_heads": 2, "num_local_experts": 2}
    with_loss = MixtralForCausalLM(MixtralConfig(**size, router_aux_loss_coef=0.01))
    without = MixtralForCausalLM(MixtralConfig(**size, router_aux_loss_coef=0.0))
    assert "auxiliary loss" in seams_unsupported(with_loss, max_length=1)
    assert seams_unsupported(without, max_length=1) is None


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: torch.nn.Linear(2, 2), "not a transformers model"),
        (
            lambda: T5ForConditionalGeneration(
                T5Config(vocab_size=32, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
            ),
            "not a decoder-only causal language model",
        ),
        (
            lambda: MambaForCausalLM(MambaConfig(vocab_size=32, hidden_size=16, num_hidden_layers=1, state_size=4)),
            "cache",
        ),
        (lambda: BloomForCausalLM(BloomConfig(vocab_size=32, hidden_size=16, n_layer=1, n_head=2)), "position_ids"),
    ],
)
def test_other_architectures_are_refused(model, reason):
    assert reason in decoding_unsupported(model())
    assert reason in seams_unsupported(model(), max_length=1)


def test_attention_without_a_mask_is_refused(tiny_model):
    model = tiny_model("qwen2")
    model.config._attn_implementation = "flash_attention_2"
    assert "flash_attention_2" in seams_unsupported(model, max_length=1)
    assert decoding_unsupported(model) is None


def test_virtual_tokens_are_refused_and_lora_is_not(tiny_model):
    prompt = PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
    assert "virtual tokens" in decoding_unsupported(get_peft_model(tiny_model("qwen2"), prompt))
    assert seams_unsupported(get_peft_model(tiny_model("qwen2"), LoraConfig()), max_length=1) is None


def test_inner_unwraps_peft_and_accelerate(tiny_model):
    base = tiny_model("qwen2")
    wrapped = Accelerator(cpu=True).prepare_model(get_peft_model(base, LoraConfig()))
    assert inner(wrapped) is base
    assert inner(base) is base


def test_a_mask_means_the_same_to_both_kinds_of_attention(tiny_model):
    allowed = torch.tensor([True, False, True, False])[None, None, None]
    assert attention_mask_4d(tiny_model("qwen2"), allowed) is allowed
    added = attention_mask_4d(tiny_model("qwen2", "eager"), allowed)
    assert (torch.softmax(added, -1) > 0).equal(allowed)
