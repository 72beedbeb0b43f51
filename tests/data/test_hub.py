"""Addresses on the Hub, and loading from its cache; nothing here goes to the network."""

import huggingface_hub.constants
import pytest

from tars.data import hub
from tars.data.sources import load_prompts
from tars.errors import InputError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A Hub cache that holds one data set, as a download leaves it, with the network switched off."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "datasets--owner--name"
    (repo / "snapshots" / COMMIT / "data").mkdir(parents=True)
    (repo / "snapshots" / COMMIT / "data" / "rows.csv").write_text("prompt,kind\nHow is bread made?,harmless\n")
    (repo / "refs" / "refs" / "convert").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    (repo / "refs" / "refs" / "convert" / "parquet").write_text(COMMIT)


@pytest.mark.parametrize(
    ("path", "file", "dataset"),
    [
        ("hf://datasets/owner/name/data/rows.csv", True, False),
        ("hf://datasets/owner/name@v1.0/rows.csv", True, False),
        ("hf://datasets/owner/name", False, True),
        ("owner/name", False, True),
        (f"owner/name@{COMMIT}", False, True),
        ("name", False, False),
        ("a/b/c", False, False),
        ("hf://owner/name", False, False),
        ("", False, False),
    ],
)
def test_forms_of_address(path, file, dataset):
    assert hub.is_file(path) is file
    assert hub.is_dataset(path) is dataset


@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}", "@refs%2Fconvert%2Fparquet"])
def test_a_cached_file_is_read_at_its_revision(cache, revision):
    (prompt,) = load_prompts("prompts", path=f"hf://datasets/owner/name{revision}/data/rows.csv")
    assert (prompt.text, prompt.kind) == ("How is bread made?", "harmless")


@pytest.mark.parametrize(
    "path", ["hf://datasets/owner/gone/rows.csv", "hf://datasets/owner/name@v2/data/rows.csv", "owner/gone"]
)
def test_what_cannot_be_had_is_one_line(cache, monkeypatch, path):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="not available from the Hub") as caught:
        load_prompts("prompts", path=path)
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)


def test_a_whole_data_set_is_read_by_split(tmp_path, monkeypatch):
    # `datasets` reads a folder of that name like a repository of that name.
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    for split in ("train", "test"):
        (tmp_path / "owner" / "name" / f"{split}.csv").write_text(f"prompt,kind\n{split} prompt,harmless\n")
    assert hub.dataset_rows("owner/name", "test") == [{"prompt": "test prompt", "kind": "harmless"}]
    with pytest.raises(InputError, match=r"not available from the Hub .ValueError: Unknown split"):
        hub.dataset_rows("owner/name", "validation")
