"""Fits the gate between the embedded model's checkpoints (`models/experts.py`) and says how often it is right.

    python -m cookbook_utils.tiny.gate

Softmax regression with weight decay, over samples of the families that each checkpoint was trained on. To the first
checkpoint's belong flat colours, gradients and noise as well, which are nobody's, so that the others are asked only about
what they know. Fitted on seeds of the training's range, measured on held-out ones; written to `gate.json` beside the first
checkpoint.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..models import TINY_FOLDER
from ..models.experts import GATE, features_of
from ..models.local import LocalModel
from ..models.messages import Conversation, question, read_messages
from . import page_documents, page_tasks, pages, solids, zoom, zoom_tasks
from .families import FAMILIES, picture
from .scenes import HELD_OUT
from .solid_actions import FRAME_S, make_walk

FIT, MEASURED = 160, 60  # rooms
OFTEN, SELDOM = 5, 4  # pictures to one room, since they vary more; rooms to one walk
DECAY = 3e-3


def plain(rng: np.random.Generator) -> Image.Image:
    """A flat colour, a gradient, or noise."""
    width, height = (int(side) for side in rng.integers(64, 400, 2))
    corners = rng.integers(0, 256, (2, 2, 3), np.uint8)
    kind = rng.integers(3)
    if kind == 2:
        return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
    return Image.fromarray(corners[:1, :1] if kind else corners).resize((width, height), Image.Resampling.BILINEAR)


def conversation(images=(), video=None, fps=None, tools=None) -> Conversation:
    return read_messages(question("What is there?", images, video, system=None, fps=fps, num_frames=None), tools=tools)


def of_pictures(rng: np.random.Generator, index: int) -> list[Conversation]:
    sizes = list(FAMILIES["pictures"].sizes)
    made = [conversation(picture(rng, sizes[int(rng.integers(len(sizes)))]).pictures[0]) for _ in range(OFTEN)]
    return made if index % SELDOM else [*made, conversation(plain(rng))]


def of_rooms(rng: np.random.Generator, index: int) -> list[Conversation]:
    made = [conversation(solids.render(rng, list(solids.SIZES)[index % len(solids.SIZES)], scale=1 + index % 2).image)]
    return made if index % SELDOM else [*made, conversation(video=make_walk(rng).pictures, fps=1 / FRAME_S)]


def of_large_pictures(rng: np.random.Generator, index: int) -> list[Conversation]:
    """At first sight and after a zoom, always with the tool: without it they look much like any picture."""
    large = zoom.render(rng, list(zoom.SIZES)[index % 2])
    sight = zoom_tasks.Sight(large, (0, 0, *large.size))
    crop = zoom.zoom_in([large.picture], sight.arguments(min(sight.details)))
    seen = [zoom.seen_as(picture) for picture in (large.picture, crop)]
    return [conversation(seen[0], tools=zoom.TOOLS), conversation(seen, tools=zoom.TOOLS)]


def of_pages(rng: np.random.Generator, index: int) -> list[Conversation]:
    """Pages of every size and kind, as they are and twice as large, and short documents."""
    sizes = list(page_tasks.SIZES)
    made = [conversation(pages.render(rng, sizes[int(rng.integers(len(sizes)))], scale=scale, system_fonts=True).image) for scale in (1, 2)]
    if index % SELDOM:
        return made
    document = page_documents.render_document(rng, int(rng.integers(2, 5)), scale=1 + index // SELDOM % 2)
    return [*made, conversation([page.image for page in document.pages])]


KNOWN = {"tiny": of_pictures, "tiny_rooms": of_rooms, "tiny_zoom": of_large_pictures, "tiny_pages": of_pages}  # what each checkpoint was trained on
FOLDERS = tuple(KNOWN)  # a class each


def samples(seed: int, count: int) -> list[tuple[int, Conversation]]:
    """Conversations with the index of the checkpoint that knows their pictures."""
    rngs = [np.random.default_rng([seed, 31, index]) for index in range(count)]
    return [(who, made) for index, rng in enumerate(rngs) for who, known in enumerate(KNOWN.values()) for made in known(rng, index)]


def fit(features: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight `(K, D)` and bias `(K,)` of a softmax regression over features `(N, D)`; fitted on them standardised."""
    mean, scale = features.mean(0), features.std(0) + 1e-6
    x, wanted = torch.from_numpy((features - mean) / scale).double(), torch.from_numpy(truth)
    weight, bias = (torch.zeros(shape, dtype=torch.double, requires_grad=True) for shape in ((len(FOLDERS), x.shape[1]), len(FOLDERS)))
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = F.cross_entropy(x @ weight.T + bias, wanted) + DECAY * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    weight, bias = weight.detach().numpy() / scale, bias.detach().numpy()
    often = np.bincount(truth, minlength=len(FOLDERS)) / len(truth)
    return weight, bias - weight @ mean - np.log(often)  # beforehand each checkpoint is as likely as another


def write(folder: Path, weight: np.ndarray, bias: np.ndarray) -> None:
    gate = {"folders": list(FOLDERS), "weight": weight.round(6).tolist(), "bias": bias.round(6).tolist()}
    (folder / GATE).write_text(json.dumps(gate) + "\n", encoding="utf-8")


def main() -> None:
    model = LocalModel(str(TINY_FOLDER), spec="tiny", device="cpu", dtype=torch.float32, quiet=True)
    fitted, measured = samples(0, FIT), samples(HELD_OUT, MEASURED)
    features, held_out = (np.stack([features_of(model, one) for _, one in some]) for some in (fitted, measured))
    weight, bias = fit(features, np.array([index for index, _ in fitted]))
    write(TINY_FOLDER, weight, bias)
    right = (held_out @ weight.T + bias).argmax(1) == np.array([index for index, _ in measured])
    print(f"right checkpoint for {right.sum()} of {len(right)} held-out conversations, fitted on {len(fitted)}")


if __name__ == "__main__":
    main()
