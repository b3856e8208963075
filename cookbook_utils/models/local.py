"""Weights on this machine, through transformers: `tiny` and `transformers:NAME_OR_PATH` are this class.

What the processor is given and how a reply is read stands in checkpoint.py; replies come out of `generate`.

Shapes: R conversations, T prompt tokens padded on the left, G generated tokens. Imports torch.
"""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext

import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria, TextIteratorStreamer

from .checkpoint import Checkpoint
from .generation import pieces_until
from .messages import Conversation
from .reply import Reply
from .stream import Piece, thinking_apart
from .weights import load_weights


class LocalModel(Checkpoint):
    """A checkpoint in this process; `processor` and `network` are transformers' own objects.

    name: folder or repository; spec: what the user asked for. Raises OSError or MemoryError as `load_weights`.
    """

    def __init__(self, name: str, *, spec: str | None = None, device: str | None = None, dtype=None, quiet: bool = False):
        processor, self.network = load_weights(name, device=device, dtype=dtype, quiet=quiet)
        own = self.network.generation_config
        super().__init__(name, spec=spec, processor=processor, config=self.network.config, generation=own)
        # Only tokens stay: what a call leaves open must not be filled from the checkpoint's sampling settings.
        self.network.generation_config = GenerationConfig(eos_token_id=self._ends, pad_token_id=self.tokenizer.pad_token_id)

    def __repr__(self) -> str:
        dtype = str(self.network.dtype).removeprefix("torch.")
        return f"{type(self).__name__}({self.spec!r}, device={str(self.network.device)!r}, dtype={dtype!r})"

    def _chat(self, conversation: Conversation, settings: dict) -> Reply:
        return self._answer([conversation], settings)[0]

    def _chat_all(self, conversations, settings, batch_size, concurrency) -> Iterator[tuple[int, Reply]]:
        lengths = [self._length(conversation) for conversation in conversations]
        for batch in batches_by_length(lengths, batch_size):
            yield from zip(batch, self._answer([conversations[i] for i in batch], settings), strict=True)

    def _answer(self, conversations: list[Conversation], settings: dict) -> list[Reply]:
        began = time.perf_counter()
        inputs = self._inputs(conversations)
        length = inputs["input_ids"].shape[1]
        written = self._generate(inputs, settings)[:, length:].tolist()  # (R, G)
        seconds = (time.perf_counter() - began) / len(conversations)
        prompts, masks = inputs["input_ids"].tolist(), inputs["attention_mask"].tolist()
        rows = zip(prompts, masks, written, strict=True)
        return [self._reply([t for t, m in zip(prompt, mask, strict=True) if m], new, settings, seconds) for prompt, mask, new in rows]

    def _stream(self, conversation: Conversation, settings: dict) -> Generator[Piece, None, Reply]:
        """Generation runs in a thread; its error is raised here, and leaving this generator stops it."""
        streamer, stopped, errors, done = _Pieces(self.tokenizer, self._ends), threading.Event(), [], []
        began, opened = time.perf_counter(), self._prompt(conversation).rstrip().endswith("<think>")

        def work():
            try:
                inputs = self._inputs([conversation])
                done.extend([inputs, self._generate(inputs, settings, streamer=streamer, stopping_criteria=[_StopWhen(stopped)])])
            except BaseException as error:  # noqa: BLE001 - whatever it is, the caller has to see it
                errors.append(error)
                streamer.text_queue.put(streamer.stop_signal)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield from thinking_apart(pieces_until((piece for piece in streamer if piece), settings["stop"]), opened)
        finally:
            stopped.set()
            thread.join()
        if errors:
            raise errors[0]
        prompt = done[0]["input_ids"][0].tolist()
        return self._reply(prompt, done[1][0, len(prompt) :].tolist(), settings, time.perf_counter() - began)

    def _inputs(self, conversations: list[Conversation]):
        """The processor's tensors on the model's device."""
        inputs = self.processor(**self._to_processor(conversations), padding=True, return_tensors="pt").to(self.network.device)
        return inputs if self.network.dtype == torch.float32 else inputs.to(self.network.dtype)

    def _generate(self, inputs, settings: dict, **extra) -> torch.Tensor:
        """Token ids `(R, T + G)`."""
        length = inputs["input_ids"].shape[1]
        config = GenerationConfig(**_decoding(settings), eos_token_id=self._ends, pad_token_id=self.tokenizer.pad_token_id)
        if settings["presence_penalty"]:
            extra["logits_processor"] = [PresencePenalty(settings["presence_penalty"], length)]
        if settings["stop"]:
            extra.update(stop_strings=settings["stop"], tokenizer=self.tokenizer)
        with _seeded(settings["seed"], self.network.device), torch.inference_mode():
            return self.network.generate(**inputs, generation_config=config, **extra)


def batches_by_length(lengths: list[int], batch_size: int) -> list[list[int]]:
    """Group indices so that a group's lengths are alike, longest first: what does not fit into memory shows at once.

    >>> batches_by_length([10, 900, 12, 800, 11], 2)
    [[1, 3], [2, 4], [0]]
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        alike = batches and lengths[batches[-1][0]] <= 1.3 * lengths[index] + 32
        if alike and len(batches[-1]) < batch_size:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


class PresencePenalty(LogitsProcessor):
    """Lowers the logits `(R, V)` of tokens that the reply has already, once each, whatever the prompt has.

    Source: OpenAI's API reference and vLLM's sampling parameters, presence_penalty; transformers has none of its own.
    """

    def __init__(self, penalty: float, prompt_length: int):
        self.penalty, self.prompt_length = penalty, prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        written = input_ids[:, self.prompt_length :]  # (R, G); a repeated token gets the same value twice
        return scores.scatter(1, written, scores.gather(1, written) - self.penalty)


class _Pieces(TextIteratorStreamer):
    """Streams a reply token by token, with all its special tokens but those that end the turn."""

    def __init__(self, tokenizer, ends: list[int]):
        super().__init__(tokenizer, skip_prompt=True, clean_up_tokenization_spaces=False)
        self.ends = set(ends)

    def put(self, value):
        if self.next_tokens_are_prompt:
            self.next_tokens_are_prompt = False
        elif value.item() not in self.ends:
            self.token_cache.append(value.item())
            self._emit(self.tokenizer.decode(self.token_cache, **self.decode_kwargs))

    def _emit(self, text: str):
        if text.endswith("\ufffd"):  # a character whose other bytes are still to come
            return
        self.on_finalized_text(text[self.print_len :])
        self.print_len = len(text)
        if text.endswith("\n"):  # so that decoding starts anew with every line
            self.token_cache, self.print_len = [], 0


class _StopWhen(StoppingCriteria):
    """Stops generation when an event is set."""

    def __init__(self, event: threading.Event):
        self.event = event

    def __call__(self, input_ids, scores, **kwargs):
        return torch.full((input_ids.shape[0],), self.event.is_set(), dtype=torch.bool, device=input_ids.device)


def _decoding(settings: dict) -> dict:
    """Settings as transformers names them; a temperature of 0 is greedy."""
    common = {name: settings[name] for name in ("max_new_tokens", "repetition_penalty")}
    if settings["temperature"] == 0:
        return {**common, "do_sample": False}
    return {**common, "do_sample": True, **{name: settings[name] for name in ("temperature", "top_p", "top_k")}}


@contextmanager
def _forked(seed: int, device: torch.device):
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _seeded(seed: int | None, device: torch.device):
    """Sampling from a seed of its own; the caller's random numbers go on as if nothing had been drawn."""
    return nullcontext() if seed is None else _forked(seed, device)
