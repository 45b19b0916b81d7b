"""A backend of someone else's: says one sentence again and again."""

import asyncio

from start_sdk import Capabilities
from start_sdk.backends import Continuation
from start_sdk.testing import CharTokenizer

SENTENCE = "two and two are four. "


class Parrot:
    pace = 0.0

    def __init__(self, model):
        self.tokenizer = CharTokenizer()
        self.max_context = 10_000
        self.capabilities = Capabilities(model=model, logprobs=False, note="a perch")

    async def generate(self, prefix_ids, sampling, *, watch=None, max_tokens, key=None):
        work = Continuation(self, prefix_ids, sampling, watch, max_tokens)
        while True:
            chunk = work.take([ord(SENTENCE[len(work.token_ids) % len(SENTENCE)])])
            if chunk.token_ids or chunk.reason:
                yield chunk
            if chunk.reason:
                return
            await asyncio.sleep(self.pace)

    async def release(self, key): ...

    async def reset_cache(self): ...

    async def aclose(self): ...


class DeafParrot(Parrot):
    """Does not hear when it is told to stop."""

    def generate(self, prefix_ids, sampling, *, watch=None, **options):
        return super().generate(prefix_ids, sampling, **options)


class ListeningParrot(Parrot):
    """Talks on until somebody says that it is enough."""

    pace = 0.001

    async def generate(self, prefix_ids, sampling, *, watch=None, max_tokens, key=None):
        said = self.tokenizer.decode(prefix_ids)
        if "Enough" not in said:
            async for chunk in super().generate(
                prefix_ids, sampling, watch=watch, max_tokens=max_tokens
            ):
                yield chunk
            return
        rest = "\n\n\\boxed{4}<|im_end|>" if "</think>" in said else "</think>"
        work = Continuation(self, prefix_ids, sampling, watch, max_tokens)
        yield work.take(self.tokenizer.encode(rest, control=True))
