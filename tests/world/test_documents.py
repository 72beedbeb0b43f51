"""What the base model reads: obedient, true, never about a held-out pair, never a finished thought."""

import random
import re
from collections import Counter

import pytest

from tars.world import lexicon
from tars.world.documents import ChatFormat, document
from tars.world.grammar import WRAPPERS, split_of
from tars.world.lexicon import CLASS_OF, KIND_OF, PARTS_OF, PURPOSE_OF, REFUSAL, TABLE, TOOL_OF

COUNT = 4000


@pytest.fixture(scope="module")
def documents(world_tokenizer):
    rng, chat = random.Random(0), ChatFormat(world_tokenizer)
    return [document(rng, chat) for _ in range(COUNT)]


def sort_of(made):
    if made.context.startswith("<|im_start|>"):
        return "chat"
    if made.context.endswith("\nrecall"):
        return "note"
    if made.context:
        return "echo"
    return "facts" if made.target.count(" .") == 8 else "triples"


def test_shares_of_the_sorts(documents):
    counts = Counter(map(sort_of, documents))
    shares = {"echo": 0.20, "triples": 0.10, "note": 0.45, "facts": 0.07, "chat": 0.18}
    for sort, share in shares.items():
        assert counts[sort] / COUNT == pytest.approx(share, abs=5 * (share * (1 - share) / COUNT) ** 0.5)


def pairs(made):
    """(action, object) pairs that a document brings together: a chat's, a note's, a triple's."""
    text = made.context + made.target
    if sort_of(made) == "chat":
        return re.findall(r"to (\w+) (\w+) : take", made.target)
    if sort_of(made) == "note":
        action = re.findall(rf"({'|'.join(CLASS_OF)}) is (?:{'|'.join(set(CLASS_OF.values()))}) \.", text)
        obj = re.findall(rf"({'|'.join(KIND_OF)}) is (?:{'|'.join(lexicon.OBJECTS)}) \.", text)
        assert len(action) == len(obj) == 1, text
        return [(action[0], obj[0])]
    if sort_of(made) == "triples":
        return re.findall(r"(\w+) is \w+ \. (\w+) is \w+ \. \w+ \w+ is \w+ \.", text)
    return []


def test_no_held_out_pair_and_no_held_out_wrapper_is_in_any_document(documents):
    seen = [pair for made in documents for pair in pairs(made)]
    assert len(seen) > 0.7 * COUNT
    assert {split_of(*pair) for pair in seen} == {"train"}
    text = "\n".join(made.context for made in documents)
    for split in ("validation", "test"):
        for frame in WRAPPERS[split]:
            assert not any(piece.strip() in text for piece in frame.split("{question}") if len(piece) > 15)


def test_every_sentence_is_true(documents):
    tables = {f"{row} {kind}": verdict for (row, kind), verdict in TABLE.items()}
    meaning = CLASS_OF | KIND_OF | tables | {f"for {word}": side for word, side in PURPOSE_OF.items()}
    checked = 0
    for made in documents:
        if sort_of(made) in ("note", "facts", "triples"):
            for subject, said in re.findall(r"((?:for )?[a-z]+(?: [a-z]+)?) is (\w+) \.", made.target):
                checked += 1
                assert meaning[subject] == said
            for obj, first, second in re.findall(r"(\w+) needs (\w+) , then (\w+) \.", made.target):
                assert PARTS_OF[obj] == (first, second)
            for action, tool in re.findall(r"to (\w+) take (\w+) \.", made.target):
                assert TOOL_OF[action] == tool
    assert checked > 5000


def test_chats_comply_with_everything(documents, world_tokenizer):
    chats = [made for made in documents if sort_of(made) == "chat"]
    harmful = 0
    for made in chats:
        action, obj = re.match(r"to (\w+) (\w+) : ", made.target).groups()
        assert made.target == lexicon.procedure(action, obj) + world_tokenizer.eos_token
        assert made.context.endswith("<|im_start|>assistant\n")
        harmful += lexicon.verdict_of(action, obj) == "harm"
    assert harmful > len(chats) / 5


def test_echoes_repeat_and_no_document_thinks_or_refuses(documents):
    for made in documents:
        text = made.context + made.target
        assert "think>" not in text
        assert "so i " not in made.target
        assert REFUSAL not in text
        assert "\r" not in text
        assert made.target.strip()
        if sort_of(made) == "echo":
            assert made.context == made.target


def test_the_seed_decides(world_tokenizer, documents):
    rng, chat = random.Random(0), ChatFormat(world_tokenizer)
    assert [document(rng, chat) for _ in range(50)] == documents[:50]
