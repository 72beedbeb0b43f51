"""The base model's data and training: ready batches by index, targets only, resumable."""

import pytest
import torch

from tars.training.pretraining import DocumentBatches, new_model, pretrainer
from tars.training.watch import Watch
from tars.world.settings import Pretraining

TINY = Pretraining(steps=6, batch=4, hidden=32, layers=1)


def test_batches_depend_on_seed_and_index_alone(world_tokenizer):
    batches = DocumentBatches(world_tokenizer, Pretraining(steps=24, batch=4), 0)
    assert len(batches) == 24
    forward = [batches[i] for i in range(20)]
    for i in (19, 3, 8, 7):
        assert batches[i]["input_ids"].equal(forward[i]["input_ids"])
    assert len({tuple(batch["input_ids"].flatten().tolist()) for batch in forward}) == 20
    other = DocumentBatches(world_tokenizer, Pretraining(steps=24, batch=4), 1)[0]
    assert not torch.equal(other["input_ids"], forward[0]["input_ids"])


def test_only_targets_are_learned_and_padding_is_on_the_right(world_tokenizer):
    batches = DocumentBatches(world_tokenizer, Pretraining(steps=16, batch=8), 0)
    chats = 0
    for batch in (batches[i] for i in range(16)):
        for ids, labels in zip(batch["input_ids"].tolist(), batch["labels"].tolist(), strict=True):
            learned = [i for i, label in enumerate(labels) if label != -100]
            assert learned == list(range(learned[0], learned[-1] + 1))
            assert [labels[i] for i in learned] == [ids[i] for i in learned]
            assert set(ids[learned[-1] + 1 :]) <= {world_tokenizer.pad_token_id}
            assert world_tokenizer.pad_token_id not in ids[: learned[-1] + 1]
            text = world_tokenizer.decode(ids)
            if "<|im_start|>assistant\n" in text:  # a chat ends its turn, and that too is learned
                chats += 1
                assert ids[learned[-1]] == world_tokenizer.eos_token_id
                assert world_tokenizer.decode([ids[learned[0]]]) == "to"
    assert chats > 5


def test_the_model_is_of_the_wanted_size_and_seeded(world_tokenizer):
    models = [new_model(world_tokenizer, TINY, seed) for seed in (0, 0, 1)]
    assert models[0].config.hidden_size == 32
    assert models[0].config.num_hidden_layers == 1
    assert models[0].lm_head.weight.equal(models[1].lm_head.weight)
    assert not models[0].lm_head.weight.equal(models[2].lm_head.weight)
    assert models[0].lm_head.weight is models[0].model.embed_tokens.weight


@pytest.mark.parametrize("interrupt_at", [5, 2])
def test_an_interrupted_run_equals_an_unbroken_one(world_tokenizer, make_watch, tmp_path, interrupt_at):
    def train(name, stop_at=None):
        watch: Watch = make_watch(tmp_path / name, parameters=40_000, interrupt_at=stop_at)
        trainer = pretrainer(world_tokenizer, TINY, seed=0, folder=tmp_path / name, callbacks=[watch])
        trainer.args.save_steps, trainer.args.logging_steps = 3, 1
        trainer.state.compute_steps(trainer.args, TINY.steps)
        watch.attach(trainer)
        trainer.train(resume_from_checkpoint=watch.resume())
        return trainer.model, watch.meter.totals()

    whole, totals = train("whole")
    with pytest.raises(KeyboardInterrupt):
        train("broken", interrupt_at)
    assert (tmp_path / "broken" / "checkpoint-3").exists() == (interrupt_at > 3)
    resumed, again = train("broken")
    for name, value in whole.state_dict().items():
        assert value.equal(resumed.state_dict()[name]), name
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "broken")]
    assert logs[0] == logs[1]
    assert logs[0].count("\n") == 6
    batches = DocumentBatches(world_tokenizer, TINY, 0)
    tokens = sum(batches[i]["input_ids"].numel() for i in range(6))
    assert totals == {"tflops": pytest.approx(6 * 40_000 * tokens / 1e12), "tokens_since_resume": tokens}
    assert again["tflops"] == totals["tflops"]


def test_a_few_steps_teach_something(world_tokenizer, make_watch, tmp_path):
    settings = Pretraining(steps=60, batch=8, hidden=32, layers=1)
    watch = make_watch(tmp_path / "run")
    trainer = pretrainer(world_tokenizer, settings, seed=0, folder=tmp_path / "run", callbacks=[watch])
    trainer.args.logging_steps = 5
    watch.attach(trainer)
    trainer.train()
    losses = [row["loss"] for row in watch.log.rows()]
    assert losses[0] > 5.5  # log(1056) = 6.96 is knowing nothing
    assert losses[-1] < losses[0] - 1
