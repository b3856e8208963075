"""Weights on this machine, through transformers: `tiny` and `transformers:NAME_OR_PATH` are this class.

The processor writes the prompt by the model's own chat template; pictures and frames of a call that share one pixel
budget are resized by the processor itself, those of a call with several budgets here, to the same sizes (transformers
knows one budget a call, and ignores one inside a message). Frames carry their times, so that none are assumed.
Replies come out of `generate`; a token is kept as it is written, `<|box_start|>` too, up to the end of the turn.

Shapes: R conversations, T prompt tokens padded on the left, G generated tokens. Imports torch.
"""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria, TextIteratorStreamer

from ..coordinates import image_tokens
from .base import Model
from .cache import folder_fingerprint
from .generation import GREEDY, cut_at, pieces_until, settings_of
from .messages import Conversation
from .reply import Reply
from .stream import Piece, thinking_apart
from .weights import load_weights


class LocalModel(Model):
    """A checkpoint in this process; `processor` and `network` are transformers' own objects.

    name: folder or repository; spec: what the user asked for. Generation defaults are the published ones of
    `generation.py`, unless the checkpoint's own generation_config.json says how to decode greedily.
    Raises OSError or MemoryError as `load_weights`.
    """

    def __init__(self, name: str, *, spec: str | None = None, device: str | None = None, dtype=None, quiet: bool = False):
        self.spec, self._name, self._version = spec or f"transformers:{name}", name, None
        self.processor, self.network = load_weights(name, device=device, dtype=dtype, quiet=quiet)
        self.tokenizer = self.processor.tokenizer
        self.tokenizer.padding_side = "left"
        own = self.network.generation_config
        ends = own.eos_token_id if own.eos_token_id is not None else self.tokenizer.eos_token_id
        self._ends = [ends] if isinstance(ends, int) else list(ends)
        self.defaults = _defaults(name, own)
        # Only tokens stay: what a call leaves open must not be filled from the checkpoint's sampling settings.
        self.network.generation_config = GenerationConfig(eos_token_id=self._ends, pad_token_id=self.tokenizer.pad_token_id)
        _cap_frames(self.processor.video_processor)

    def __repr__(self) -> str:
        dtype = str(self.network.dtype).removeprefix("torch.")
        return f"{type(self).__name__}({self.spec!r}, device={str(self.network.device)!r}, dtype={dtype!r})"

    def _identity(self, cache) -> str:
        """Name, and what tells its weights from later ones: the hub's commit, or a digest of the folder."""
        if self._version is None:
            folder = Path(self._name)
            commit = getattr(self.network.config, "_commit_hash", None)
            self._version = folder_fingerprint(folder) if folder.is_dir() else commit or "unknown"
        return f"{self.spec.partition(':')[0]}:{Path(self._name).name}@{self._version}"

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

    def _reply(self, prompt: list[int], new: list[int], settings: dict, seconds: float) -> Reply:
        """One reply from its tokens; what follows the end of the turn is padding of the batch."""
        ends = {*self._ends, self.tokenizer.pad_token_id}
        end = next((index for index, token in enumerate(new) if token in ends), None)
        whole = self.tokenizer.decode(new[:end], clean_up_tokenization_spaces=False)
        text = cut_at(whole, settings["stop"])
        opened = self.tokenizer.decode(prompt[-8:]).rstrip().endswith("<think>")  # by the template of Thinking models
        visual = {self.network.config.image_token_id, self.network.config.video_token_id}
        usage = {
            "prompt_tokens": len(prompt),
            "completion_tokens": len(new) if end is None else end + 1,
            "image_tokens": sum(token in visual for token in prompt),
        }
        reason = "length" if end is None and text == whole else "stop"
        return Reply.read("<think>" * opened + text, usage=usage, seconds=seconds, finish_reason=reason)

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

    def _inputs(self, conversations: list[Conversation]):
        """The processor's tensors on the model's device."""
        kinds = {"text": [self._prompt(conversation) for conversation in conversations]}
        images = [part for conversation in conversations for part in conversation.parts("image")]
        videos = [part for conversation in conversations for part in conversation.parts("video")]
        if images:
            kinds["images"], size = self._fitted(images)
            kinds["images_kwargs"] = {"size": size}
        if videos:
            kinds["videos"] = [self._frames(part) for part in videos]
            kinds["videos_kwargs"] = {"do_sample_frames": False, "video_metadata": [_times(part["video"]) for part in videos]}
        inputs = self.processor(**kinds, padding=True, return_tensors="pt").to(self.network.device)
        return inputs if self.network.dtype == torch.float32 else inputs.to(self.network.dtype)

    def _prompt(self, conversation: Conversation) -> str:
        """The prompt as text, one placeholder for each picture and video."""
        messages = [
            {**message, "content": content if isinstance(content, str) else [
                part if part["type"] == "text" else {"type": part["type"]} for part in content
            ]}
            for message in conversation.messages for content in [message["content"]]
        ]  # fmt: skip
        return self.processor.apply_chat_template(
            messages, tools=conversation.tools or None, add_generation_prompt=True, tokenize=False
        )

    def _budget(self, part: dict) -> tuple[int, int]:
        """Least and most pixels of a picture: its own, and the processor's where it has none."""
        size = self.processor.image_processor.size
        most = part["max_pixels"] or max(size["longest_edge"], part["min_pixels"] or 0)
        return min(part["min_pixels"] or size["shortest_edge"], most), most

    def _fitted(self, parts: list[dict]) -> tuple[list[Image.Image], dict]:
        """Pictures and the one budget for the processor, which leaves alone those that were resized here."""
        images, budgets = [part["image"] for part in parts], [self._budget(part) for part in parts]
        if len(set(budgets)) > 1:
            images = [self._resized(image, budget) for image, budget in zip(images, budgets, strict=True)]
            areas = [image.width * image.height for image in images]
            budgets = [(min(areas), max(areas))]
        return images, {"shortest_edge": budgets[0][0], "longest_edge": budgets[0][1]}

    def _tokens(self, size, budget) -> tuple[tuple[int, int], int]:
        processor = self.processor.image_processor
        return image_tokens(size, *budget, patch_size=processor.patch_size, merge_size=processor.merge_size)

    def _resized(self, image: Image.Image, budget: tuple[int, int]) -> Image.Image:
        return image.resize(self._tokens(image.size, budget)[0], Image.Resampling.BICUBIC)

    def _frames(self, part: dict) -> np.ndarray:
        """Frames `(F, H, W, 3)`, within the part's own budget for each; the processor's budget for all of them holds too."""
        frames = part["video"].frames
        if part["min_pixels"] or part["max_pixels"]:
            frames = [self._resized(frame, self._budget(part)) for frame in frames]
        return np.stack([np.asarray(frame) for frame in frames])

    def _length(self, conversation: Conversation) -> int:
        """Prompt tokens, nearly: what the batches are sorted by."""
        images = sum(self._tokens(part["image"].size, self._budget(part))[1] for part in conversation.parts("image"))
        videos = sum(
            self._tokens(part["video"].frames[0].size, self._budget(part))[1] * len(part["video"].frames) // 2
            for part in conversation.parts("video")
        )
        return len(self.tokenizer(self._prompt(conversation))["input_ids"]) + images + videos


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


def _defaults(name: str, own: GenerationConfig) -> dict:
    """A checkpoint that names its number of new tokens and does not sample is decoded as it says, others as published."""
    if own.max_new_tokens and not own.do_sample:
        return {**GREEDY, "max_new_tokens": own.max_new_tokens}
    return settings_of(name)


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


def _times(clip) -> dict:
    """A clip's times as transformers takes them: frame numbers of a video of 1000 frames a second."""
    indices = [round(time_s * 1000) for time_s in clip.times_s]
    return {"total_num_frames": indices[-1] + 1, "fps": 1000.0, "frames_indices": indices}


def _cap_frames(video_processor) -> None:
    """Each frame gets at most 768 tokens, as in Qwen's own code; newer versions of transformers ask to choose."""
    if getattr(video_processor, "cap_pixels_per_frame", False) is None:
        video_processor.cap_pixels_per_frame = True
