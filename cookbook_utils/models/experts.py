"""The embedded model's checkpoints behind one name, and the gate that says which of them answers.

Each checkpoint was trained on families of its own of one synthetic world (see their model cards). The gate is learned, too:
a network of one hidden layer over what the first checkpoint's vision tower makes of all pictures and frames of a conversation (mean and
deviation of the visual tokens), how many of them are a video's, whether there are several pictures, and whether tools are declared,
those that act on a screen apart. It never sees the words.
`python -m cookbook_utils.tiny.gate` fits it; the reply comes out of `generate` of the checkpoint that it chose. A
conversation without pictures is the first one's.
Source: Jacobs, Jordan, Nowlan, Hinton 1991, Adaptive mixtures of local experts (with one expert chosen, not a weighted sum).
"""

import json
from collections.abc import Generator, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from .cache import folder_fingerprint
from .local import LocalModel
from .messages import Conversation
from .reply import Reply
from .stream import Piece

GATE = "gate.json"  # beside the first checkpoint: folders beside it, layers [weight (H, 2 C + 4), bias (H,)], [weight (folders, H), bias (folders,)]
SCREEN_TOOLS = ("computer_use", "mobile_use")


def features_of(model: LocalModel, conversation: Conversation) -> np.ndarray | None:
    """What a gate sees of a conversation, `(2 C + 4,)`; None without pictures.

    Mean and standard deviation of its visual tokens, the share of them that are a video's, 1 where there are several pictures,
    1 where tools are declared, and 1 where one of them acts on a screen.
    """
    pictures = [*conversation.parts("image"), *conversation.parts("video")]
    if not pictures:
        return None
    inputs, tokens = model._inputs([conversation]), []
    with torch.inference_mode():
        for pixels, grid in (("pixel_values", "image_grid_thw"), ("pixel_values_videos", "video_grid_thw")):
            if pixels in inputs:
                tokens.append(model.network.model.visual(inputs[pixels], grid_thw=inputs[grid], return_dict=True).pooler_output)
    of_videos = len(tokens[-1]) / sum(map(len, tokens)) if "pixel_values_videos" in inputs else 0.0
    tokens = torch.cat(tokens).float()  # (M, C)
    named = {tool.get("function", tool).get("name") for tool in conversation.tools}
    told = [of_videos, float(len(pictures) > 1), float(bool(named)), float(not named.isdisjoint(SCREEN_TOOLS))]
    return np.array([*tokens.mean(0).tolist(), *tokens.std(0).tolist(), *told])


def gate_scores(layers: list, features: np.ndarray) -> np.ndarray:
    """A score for each checkpoint `(..., K)` of features `(..., 2 C + 4)`; the highest one answers."""
    (weight, bias), (weight_2, bias_2) = layers
    return np.maximum(features @ weight.T + bias, 0) @ weight_2.T + bias_2


class Experts(LocalModel):
    """The first checkpoint, and others beside it that are loaded when the gate first chooses them.

    folder: of the first checkpoint, with its gate; options as of `LocalModel`.
    """

    def __init__(self, folder: str, **options):
        super().__init__(folder, **options)
        self._options = {**options, "spec": self.spec}
        gate = json.loads((Path(folder) / GATE).read_text(encoding="utf-8"))
        self.folders = [Path(folder).parent / name for name in gate["folders"]]
        self._layers = [(np.array(weight), np.array(bias)) for weight, bias in gate["layers"]]
        self._loaded: dict[int, LocalModel] = {}

    @cached_property
    def name(self) -> str:
        """The first checkpoint's, and a digest of each other one."""
        return "+".join([super().name, *map(folder_fingerprint, self.folders[1:])])

    def choice(self, conversation: Conversation) -> int:
        """Which checkpoint answers a conversation: an index into `folders`."""
        features = features_of(self, conversation)
        return 0 if features is None else int(np.argmax(gate_scores(self._layers, features)))

    def _expert(self, index: int) -> LocalModel:
        """A checkpoint as a model that answers by itself; the first is this model without its gate."""
        if index == 0:
            return super()
        if index not in self._loaded:
            self._loaded[index] = LocalModel(str(self.folders[index]), **self._options)
        return self._loaded[index]

    def _chat(self, conversation: Conversation, settings: dict) -> Reply:
        return self._expert(self.choice(conversation))._chat(conversation, settings)

    def _stream(self, conversation: Conversation, settings: dict) -> Generator[Piece, None, Reply]:
        return self._expert(self.choice(conversation))._stream(conversation, settings)

    def _chat_all(self, conversations, settings, batch_size, concurrency) -> Iterator[tuple[int, Reply]]:
        choices = [self.choice(conversation) for conversation in conversations]
        for index in sorted(set(choices)):
            mine = [i for i, choice in enumerate(choices) if choice == index]
            for at, reply in self._expert(index)._chat_all([conversations[i] for i in mine], settings, batch_size, concurrency):
                yield mine[at], reply
