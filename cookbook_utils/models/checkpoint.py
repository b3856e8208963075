"""A checkpoint but for its weights: what its processor is given of a conversation, and the reply to the tokens written.

Whoever computes with the weights, transformers in this process (local.py) or vLLM on a cluster (batch/engine.py), is
given the same prompt, pictures and frames, has the same settings, and its tokens are read in the same way.

The processor writes the prompt by the model's own chat template; pictures and frames of a call that share one pixel
budget are resized by the processor itself, those of a call with several budgets here, to the same sizes (transformers
knows one budget a call, and ignores one inside a message). Frames carry their times, so that none are assumed.
A token is kept as it is written, `<|box_start|>` too, up to the end of the turn. Imports transformers.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from transformers import GenerationConfig

from ..coordinates import image_tokens
from .base import Model
from .cache import folder_fingerprint
from .generation import GREEDY, cut_at, settings_of
from .messages import Conversation
from .reply import Reply


class Checkpoint(Model):
    """A model whose processor is here; a subclass has the weights, or sends somewhere to have them computed with.

    name: folder or repository; spec: what the user asked for; processor, config and generation are transformers' own
    objects. Generation defaults are the published ones of `generation.py`, unless the checkpoint's own
    generation_config.json says how to decode greedily.
    """

    def __init__(self, name: str, *, spec: str | None = None, processor, config, generation: GenerationConfig):
        self.spec, self._name, self._version = spec or f"transformers:{name}", name, None
        self.processor, self.config, self.tokenizer = processor, config, processor.tokenizer
        self.tokenizer.padding_side = "left"
        ends = generation.eos_token_id if generation.eos_token_id is not None else self.tokenizer.eos_token_id
        self._ends = [ends] if isinstance(ends, int) else list(ends)
        self.defaults = _defaults(name, generation)
        _cap_frames(processor.video_processor)

    @property
    def name(self) -> str:
        """Its name, and what tells its weights from later ones: the hub's commit, or a digest of the folder."""
        if self._version is None:
            folder = Path(self._name)
            commit = getattr(self.config, "_commit_hash", None)
            self._version = folder_fingerprint(folder) if folder.is_dir() else commit or "unknown"
        return f"{self.spec.partition(':')[0]}:{Path(self._name).name}@{self._version}"

    def _identity(self, cache) -> str:
        return self.name

    def _to_processor(self, conversations: list[Conversation]) -> dict:
        """What the processor is called with: the prompts, all pictures, all videos."""
        kinds = {"text": [self._prompt(conversation) for conversation in conversations]}
        images = [part for conversation in conversations for part in conversation.parts("image")]
        videos = [part for conversation in conversations for part in conversation.parts("video")]
        if images:
            kinds["images"], size = self._fitted(images)
            kinds["images_kwargs"] = {"size": size}
        if videos:
            kinds["videos"] = [self._frames(part) for part in videos]
            kinds["videos_kwargs"] = {"do_sample_frames": False, "video_metadata": [_times(part["video"]) for part in videos]}
        return kinds

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

    def _reply(self, prompt: list[int], new: list[int], settings: dict, seconds: float) -> Reply:
        """One reply from its tokens; what follows the end of the turn is padding of the batch."""
        ends = {*self._ends, self.tokenizer.pad_token_id}
        end = next((index for index, token in enumerate(new) if token in ends), None)
        whole = self.tokenizer.decode(new[:end], clean_up_tokenization_spaces=False)
        text = cut_at(whole, settings["stop"])
        opened = self.tokenizer.decode(prompt[-8:]).rstrip().endswith("<think>")  # by the template of Thinking models
        visual = {self.config.image_token_id, self.config.video_token_id}
        usage = {
            "prompt_tokens": len(prompt),
            "completion_tokens": len(new) if end is None else end + 1,
            "image_tokens": sum(token in visual for token in prompt),
        }
        reason = "length" if end is None and text == whole else "stop"
        return Reply.read("<think>" * opened + text, usage=usage, seconds=seconds, finish_reason=reason)


def _defaults(name: str, own: GenerationConfig) -> dict:
    """A checkpoint that names its number of new tokens and does not sample is decoded as it says, others as published."""
    if own.max_new_tokens and not own.do_sample:
        return {**GREEDY, "max_new_tokens": own.max_new_tokens}
    return settings_of(name)


def _times(clip) -> dict:
    """A clip's times as transformers takes them: frame numbers of a video of 1000 frames a second."""
    indices = [round(time_s * 1000) for time_s in clip.times_s]
    return {"total_num_frames": indices[-1] + 1, "fps": 1000.0, "frames_indices": indices}


def _cap_frames(video_processor) -> None:
    """Each frame gets at most 768 tokens, as in Qwen's own code; newer versions of transformers ask to choose."""
    if getattr(video_processor, "cap_pixels_per_frame", False) is None:
        video_processor.cap_pixels_per_frame = True
