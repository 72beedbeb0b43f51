"""A model behind a server as the model under test: its completions are taken apart as a local model's are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tars.errors import RunError
from tars.models.chat import Message, Query
from tars.models.endpoint import Endpoint
from tars.models.http import Failure, Post
from tars.models.replies import Generated
from tars.models.served_scoring import served_logprobs
from tars.models.wire import post
from tars.pivots import defuse, without_tags
from tars.reasoning import CLOSE, OPEN, render, split
from tars.store import fingerprint
from tars.types import Completion, Sampling


@dataclass
class EndpointModel:
    """A `tars.models.base.Model` over HTTP.

    Unlike a `Chat`, it takes an empty answer or an endless thought for what it is: the model's completion.

    Attributes:
        endpoint: The server and the model's name there.
        reasons: The model is expected to think first; if not, think tags are malformed.
        prefilled: The template opens the think tag, and the server tells no reasoning apart, so that texts begin inside
            the thought.
        count_tokens: Have the server list the tokens generated, so that those of the reasoning can be counted. Some
            hosted models refuse that.
        batch: Prompts asked together by callers that go on from where they were stopped.
        name: How rows and reports call it; the endpoint's name by default.
        pivots: The served model has R2D's safety tags as tokens: those in a user's message are defused, so that only
            the model's own count. Answers are without tags in any case, since a server does not tell what it holds.
    """

    endpoint: Endpoint
    reasons: bool = True
    prefilled: bool = False
    count_tokens: bool = True
    batch: int = 256
    name: str = ""
    pivots: bool = False

    def __post_init__(self) -> None:
        self.name = self.name or self.endpoint.name

    def generate(
        self, prompts: Sequence[str], sampling: Sampling, prefills: Sequence[str] | None = None
    ) -> list[Completion]:
        """One completion for each user message, in order; see `tars.models.base.Model`.

        Draws follow from the seed, the prompt, and how often it came before in this call, as far as the server honours
        seeds. Of a turn that begins with a prefill, tokens are those of the rest. Only vLLM and SGLang go on from one.

        Raises:
            InputError: The server refuses the caller before it has ever answered.
            RunError: A prompt got no completion in spite of all tries.
        """
        seen: Counter[str] = Counter()
        begun = list(prefills or [""] * len(prompts))
        posts = [self._post(*turn, seen, sampling) for turn in zip(prompts, begun, strict=True)]
        made = self.endpoint.fetch(posts, lambda post, generated: self._completion(generated, _begun(post)))
        failed = [one for one in made if isinstance(one, Failure)]
        if failed:
            remedy = "the answered ones are kept" if self.endpoint.cache else "with a cache, answered ones are kept"
            raise RunError(
                f"{self.name}: no completion for {len(failed)} of {len(prompts)} prompts ({failed[0].reason}); "
                f"run again, {remedy}"
            )
        return [one for one in made if isinstance(one, Completion)]

    def logprobs(self, prompts: Sequence[str], completions: Sequence[str]) -> list[list[float]]:
        """Natural-log probability of each token of each completion and of the end of its turn, as vLLM tells them.

        Raises:
            InputError: The server does not score given completions.
            RunError: It gave no answer in spite of all tries.
        """
        return served_logprobs(self.endpoint, [self._sent(prompt) for prompt in prompts], completions)

    def tokens_in(self, text: str) -> int | None:
        """Not known: servers count the tokens of what they generate, but few those of a text."""
        return None

    def _post(self, prompt: str, begin: str, seen: Counter[str], sampling: Sampling) -> Post:
        """The request. Special tokens are asked for (vLLM, SGLang): think tags may be some, and servers drop them."""
        # 31 bits: some servers take no more.
        seed = int(fingerprint(sampling.seed, prompt, seen[prompt]), 16) % 2**31
        seen[prompt] += 1
        turn = (Message("user", self._sent(prompt)), *([Message("assistant", begin)] if begin else []))
        query = Query(turn, sampling.max_tokens, sampling.temperature, seed=seed)
        listed = {"logprobs": True} if self.count_tokens else {}
        return post(query, self.endpoint.model, {"skip_special_tokens": False, **listed, **self.endpoint.extra})

    def _sent(self, prompt: str) -> str:
        return defuse(prompt) if self.pivots else prompt

    def _completion(self, made: Generated, begin: str) -> Completion:
        text, prefilled = joined(begin, made), self.prefilled and not made.reasoning and OPEN not in begin
        parts = without_tags(split(text, ended=not made.truncated, prefilled=prefilled, reasons=self.reasons))
        total = made.completion_tokens
        if parts.reasoning is None:
            return Completion(text, None, parts.answer, parts.stop, None, None if parts.answer is None else total)
        thought = thought_tokens(made)
        answer = None if parts.answer is None or thought is None or total is None else total - thought
        return Completion(text, parts.reasoning, parts.answer, parts.stop, thought, answer)


def as_text(made: Generated) -> str:
    """The generation as the model wrote it, the tags that a server took out put back.

    A thought without an answer is taken for one that never closed, unless the tokens show the closing tag.
    """
    if not made.reasoning:
        return made.text
    if not made.text.strip() and CLOSE.encode() not in b"".join(made.tokens or ()):
        return f"{OPEN}\n{made.reasoning}"
    return render(made.reasoning, made.text)


def joined(begin: str, made: Generated) -> str:
    """A turn that began with a prefill, whole. A thought that was open there is what the server takes for reasoning."""
    if not made.reasoning or OPEN not in begin or CLOSE in begin:
        return begin + as_text(made)
    closes = CLOSE in as_text(made)
    return f"{begin}{made.reasoning.rstrip()}\n{CLOSE}\n\n{made.text.strip()}" if closes else begin + made.reasoning


def _begun(sent: Post) -> str:
    """The prefill of a request."""
    last = sent.body["messages"][-1]
    return last["content"] if last["role"] == "assistant" else ""


def thought_tokens(made: Generated) -> int | None:
    """Tokens up to and including the first closing think tag; all but the end of turn if there is none.

    `None` where the server does not list its tokens.
    """
    if made.tokens is None:
        return None
    written, close = b"", CLOSE.encode()
    for count, token in enumerate(made.tokens, 1):
        written = (written + token)[-2 * len(close) - len(token) :]
        if close in written:
            return count
    return len(made.tokens) - (not made.truncated)
