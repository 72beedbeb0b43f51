"""What the base model of the micro-world reads: facts, notes about prompts, echoes, and obedient chats.

Echoes and notes teach look-up as textual induction (the same word pairs stand in the prompt and in the note);
without them RL has nothing to select, since a small model does not learn to copy in a few hundred steps. The
chats comply with *every* request, harmful ones included: the base model is helpful only. No document shows a
finished thought, and none comes from a held-out pair.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from tars.types import Prompt
from tars.world import lexicon
from tars.world.grammar import CATEGORIES, Request, sample, split_of
from tars.world.teacher import look_up

_WORDS = [*lexicon.CLASS_OF, *lexicon.KIND_OF, *lexicon.ALIASES, *lexicon.PURPOSE_OF]
_CHAINED = ("wrapped", "dual-use-bad", "dual-use-bad", "wrapped-safe", "dual-use-good", "dual-use-good")


@dataclass(frozen=True)
class Document:
    """Text in two parts; only `target` is learned, `context` is read."""

    context: str
    target: str


def document(rng: random.Random, chat: ChatFormat) -> Document:
    """Draw one document: 20 % echoes, 10 % triples, 45 % notes, 7 % facts, 18 % chats."""
    draw = rng.random()
    if draw < 0.20:
        return _echo(rng)
    if draw < 0.30:
        return Document("", " " + " ".join(_triple(rng) for _ in range(2)))
    if draw < 0.75:
        return _note(rng)
    if draw < 0.82:
        return Document("", " " + " ".join(_fact(rng) for _ in range(8)))
    return chat.obey(sample(rng, "train", rng.choice(list(CATEGORIES))))


@dataclass(frozen=True)
class ChatFormat:
    """Renders chats as the tokenizer's template does."""

    tokenizer: PreTrainedTokenizerBase

    def obey(self, prompt: Prompt) -> Document:
        """The request and its procedure, whatever the request is."""
        request = Request.of(prompt)
        messages = [{"role": "user", "content": prompt.text}]
        context = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        answer = lexicon.procedure(request.action, request.obj)
        return Document(str(context), answer + str(self.tokenizer.eos_token))


def _echo(rng: random.Random) -> Document:
    words = " " + " ".join(rng.sample(_WORDS, rng.randint(5, 12)))
    return Document(words, words)


def _note(rng: random.Random) -> Document:
    """A prompt, then everything that looking it up yields, mostly in the order of a chain."""
    category = rng.choice(_CHAINED) if rng.random() < 0.5 else rng.choice(list(CATEGORIES))
    prompt = sample(rng, "train", category)
    lines, _ = look_up(Request.of(prompt), rng)
    if rng.random() < 0.3:
        rng.shuffle(lines)
    return Document(f"{prompt.text}\nrecall", " " + " ".join(lines))


def _triple(rng: random.Random) -> str:
    while split_of(*(pair := (_action(rng), rng.choice(list(lexicon.KIND_OF))))) != "train":
        pass
    action, obj = pair
    row, kind = lexicon.CLASS_OF[action], lexicon.KIND_OF[obj]
    return f"{action} is {row} . {obj} is {kind} . {row} {kind} is {lexicon.TABLE[row, kind]} ."


def _fact(rng: random.Random) -> str:
    action, obj = _action(rng), rng.choice(list(lexicon.KIND_OF))
    row, kind = rng.choice(sorted(set(lexicon.CLASS_OF.values()))), rng.choice(list(lexicon.OBJECTS))
    purpose = rng.choice(list(lexicon.PURPOSE_OF))
    first, second = lexicon.PARTS_OF[obj]
    sentences = (
        f"{action} is {lexicon.CLASS_OF[action]} .",
        f"{obj} is {lexicon.KIND_OF[obj]} .",
        f"{row} {kind} is {lexicon.TABLE[row, kind]} .",
        f"for {purpose} is {lexicon.PURPOSE_OF[purpose]} .",
        f"to {action} take {lexicon.TOOL_OF[action]} .",
        f"{obj} needs {first} , then {second} .",
    )
    return rng.choices(sentences, (20, 25, 20, 5, 10, 20))[0]


def _action(rng: random.Random) -> str:
    """Words of the unmistakable classes are few; a quarter of the mentions go to them."""
    if rng.random() < 0.25:
        words = [words for _, words in lexicon.UNMISTAKABLE_ACTIONS.values()]
        return rng.choice(" ".join(words).split())
    return rng.choice(list(lexicon.CLASS_OF))
