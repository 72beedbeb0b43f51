"""Loading: what is refused, each in one line with a remedy, and that a local path stays local."""

import json

import huggingface_hub.constants
import pytest
import torch

from tars.errors import InputError
from tars.models.loading import check_model_folder, is_local, load_model
from tars.models.scratch import make_scratch


@pytest.fixture(scope="module")
def saved():
    return make_scratch(["Knead the dough."], seed=0, hidden=32, layers=1, vocab=280)


@pytest.fixture
def folder(saved, tmp_path):
    for part in saved:
        part.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def no_folder(folder):
    folder.rename(folder.parent / "elsewhere")


def adapter(folder):
    (folder / "config.json").rename(folder / "adapter_config.json")


def pickled(folder):
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


def shard_gone(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def no_template(folder):
    (folder / "chat_template.jinja").unlink()


WRONG = {
    "no folder": (no_folder, "no such model folder; check the path"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json; name the folder of a saved model"),
    "adapter only": (adapter, "no config.json; merge the adapter"),
    "broken config": (lambda f: (f / "config.json").write_text("{"), "config.json: not JSON"),
    "config of another shape": (lambda f: (f / "config.json").write_text("[]"), "config.json: holds no JSON object"),
    "own code": (lambda f: edit(f / "config.json", auto_map={"AutoModel": "m.M"}), "config.json asks for code"),
    "own tokenizer code": (
        lambda f: edit(f / "tokenizer_config.json", auto_map={"AutoTokenizer": ["t.T", None]}),
        "tokenizer_config.json asks for code",
    ),
    "pickle": (pickled, r"only pickled weights \(pytorch_model.bin\)"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors"),
    "shard gone": (shard_gone, r"weights missing \(model-00002-of-00002.safetensors\)"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer; save"),
    "no template": (no_template, "tokenizer without chat template; use an instruction-tuned"),
    "cut weights": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:500]),
        "cannot be loaded",
    ),
    "unknown architecture": (lambda f: edit(f / "config.json", model_type="nothing"), "cannot be loaded"),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused_in_one_line(folder, name):
    spoil, message = WRONG[name]
    spoil(folder)
    with pytest.raises(InputError, match=message) as caught:
        load_model(str(folder))
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_good_folder_passes_and_loads(folder, saved):
    check_model_folder(folder)
    model, tokenizer = load_model(str(folder), dtype="bfloat16")
    assert model.dtype == torch.bfloat16
    assert not model.training
    assert tokenizer.chat_template == saved[1].chat_template
    assert load_model(str(folder))[0].dtype == torch.float32


def test_a_template_inside_the_tokenizer_config_counts(folder, saved):
    (folder / "chat_template.jinja").unlink()
    edit(folder / "tokenizer_config.json", chat_template=saved[1].chat_template)
    check_model_folder(folder)


def test_what_is_local(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "gpt").mkdir()
    for path in ("/gone", "./gone", "../gone", "~/gone", "runs/gone", "a/b/c", "gpt", "."):
        assert is_local(path), path
    for name in ("Qwen/Qwen2.5-1.5B-Instruct", "gpt2"):
        assert not is_local(name), name


def test_a_hub_model_that_cannot_be_had_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"^owner/gone: cannot be loaded") as caught:
        load_model("owner/gone")
    assert "\n" not in str(caught.value)
