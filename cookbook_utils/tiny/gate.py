"""Fits the gate between the embedded model's checkpoints (`models/experts.py`) and says how often it is right.

    python -m cookbook_utils.tiny.gate

A hidden layer and a softmax, over samples of the families that each checkpoint was trained on. To the first
checkpoint's belong flat colours, gradients and noise as well, which are nobody's, so that the others are asked only about
what they know. Fitted on seeds of the training's range, measured on held-out ones; written to `gate.json` beside the first
checkpoint. Screens are played live, in Chromium; on two cores it takes about twelve minutes.
"""

from __future__ import annotations

import atexit
import io
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from ..agents import benchmark
from ..agents.chromium import Chromium
from ..agents.loop import step_messages
from ..agents.schemas import tool_schemas
from ..models import TINY_FOLDER
from ..models.experts import GATE, features_of, gate_scores
from ..models.local import LocalModel
from ..models.messages import Conversation, question, read_messages
from . import clips, page_documents, page_tasks, pages, solids, zoom, zoom_tasks
from .families import FAMILIES, picture
from .scenes import HELD_OUT
from .screen_recorder import ENVIRONMENTS, Stage, episode_of
from .solid_actions import FRAME_S, make_walk
from .turns import pick

FIT, MEASURED = 160, 60  # rooms
OFTEN, SELDOM = 5, 4  # pictures to one index, since they vary most; several of them at once, or a phone instead of MiniWoB++, to one index in four
SCREENS = 3  # of one episode at most
HIDDEN, ROUNDS, DECAY = 64, 60, 0.1
BLUR, DROPPED = 0.3, 0.3  # noise on the standardised features, share of hidden units left out: against learning by heart
TOLD = 4  # weight of the last four features, which are certain


def plain(rng: np.random.Generator) -> Image.Image:
    """A flat colour, a gradient, noise, or what has the statistics of a photograph."""
    width, height = (int(side) for side in rng.integers(64, 400, 2))
    corners = rng.integers(0, 256, (2, 2, 3), np.uint8)
    kind = rng.integers(6)
    if kind > 2:
        return photograph(rng, (width, height))
    if kind == 2:
        return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
    return Image.fromarray(corners[:1, :1] if kind else corners).resize((width, height), Image.Resampling.BILINEAR)


def clouds(rng: np.random.Generator, shape: tuple[int, int], fall: float) -> np.ndarray:
    """A random field whose amplitudes fall with the frequency, of mean 0 and deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None])
    frequency[0, 0] = np.inf
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) / frequency**fall).real
    return field / field.std()


def photograph(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Clouds of light and of a little colour, cut out of one another by further clouds.

    Source: Field 1987, Relations between the statistics of natural images and the response properties of cortical cells.
    """
    shape, made = size[::-1], np.zeros((*size[::-1], 3))
    for layer in range(int(rng.integers(1, 6))):
        light, tint = clouds(rng, shape, rng.uniform(0.8, 1.8)), rng.normal(size=3) * 25
        colour = np.stack([clouds(rng, shape, 1.5) for _ in range(3)], 2) * rng.uniform(0, 20)
        surface = rng.uniform(30, 220) + tint + colour + light[..., None] * rng.uniform(5, 60)
        made = np.where((clouds(rng, shape, 1.8) > rng.normal() * 0.7)[..., None] | (layer == 0), surface, made)
    return Image.fromarray(made.clip(0, 255).astype(np.uint8))


def conversation(images=(), video=None, fps=None, tools=None, max_pixels=None) -> Conversation:
    asked = question("What is there?", images, video, system=None, fps=fps, num_frames=None)
    return read_messages(asked, tools=tools, max_pixels=max_pixels)


def pictured(rng: np.random.Generator) -> Image.Image:
    sizes = list(FAMILIES["pictures"].sizes)
    return picture(rng, sizes[int(rng.integers(len(sizes)))]).pictures[0]


def of_pictures(rng: np.random.Generator, index: int) -> list[Conversation]:
    budgets = [None] * (OFTEN - 2) + rng.integers(2**12, 2**16, 2).tolist()  # small ones, too
    made = [conversation(pictured(rng), max_pixels=budget) for budget in budgets]
    return [*made, conversation(plain(rng)), conversation(plain(rng)), *several(rng, index, pictured)]


def several(rng: np.random.Generator, index: int, make: Callable) -> list[Conversation]:
    """Two to five pictures in one conversation, now and then: they are not all documents."""
    return [] if index % SELDOM else [conversation([make(rng) for _ in range(int(rng.integers(2, 6)))])]


def of_rooms(rng: np.random.Generator, index: int) -> list[Conversation]:
    sizes = list(solids.SIZES)
    made = [conversation(solids.render(rng, sizes[index % len(sizes)], scale=scale).image) for scale in (1, 2, 2)]
    walk = conversation(video=make_walk(rng).pictures, fps=1 / FRAME_S)
    return [*made, walk, *several(rng, index, lambda rng: solids.render(rng, pick(rng, sizes)).image)]


def of_large_pictures(rng: np.random.Generator, index: int) -> list[Conversation]:
    """At first sight and after a zoom, always with the tool: without it they look much like any picture."""
    large = zoom.render(rng, list(zoom.SIZES)[index % 2])
    sight = zoom_tasks.Sight(large, (0, 0, *large.size))
    crop = zoom.zoom_in([large.picture], sight.arguments(min(sight.details)))
    seen = [zoom.seen_as(picture) for picture in (large.picture, crop)]
    return [conversation(seen[0], tools=zoom.TOOLS), conversation(seen, tools=zoom.TOOLS)]


def jpeg(image: Image.Image) -> Image.Image:
    """A picture as it comes out of a file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return Image.open(file)


def of_pages(rng: np.random.Generator, index: int) -> list[Conversation]:
    """Single pages of every size and kind, as they are, twice as large, and as files have them, these at a small budget, too; and
    one of a document."""
    sizes = list(page_tasks.SIZES)
    made = [pages.render(rng, pick(rng, sizes), scale=scale, system_fonts=True).image for scale in (1, 2, 2)]
    sparse = pages.render(rng, pick(rng, ((352, 256), (256, 352))), kind=("chart", "wireframe")[index % 2], scale=2, system_fonts=True)
    document = page_documents.render_document(rng, 2, size=pick(rng, list(page_documents.SIZES)), scale=1 + index % 2, system_fonts=True)
    files = [jpeg(image) for image in (made[2], sparse.image)]
    small = [conversation(image, max_pixels=image.width * image.height // 4) for image in files]
    return [*(conversation(image) for image in (*made[:2], *files, pick(rng, document.pages).image)), *small]


def of_what_is_read(rng: np.random.Generator, index: int) -> list[Conversation]:
    return [*of_pages(rng, index), *of_large_pictures(rng, index)]


def of_documents(rng: np.random.Generator, index: int) -> list[Conversation]:
    """A short document and a long one, as they are or twice as large."""
    made = []
    for shortest, longest in ((2, 4), (5, 20)):
        size, count = pick(rng, list(page_documents.SIZES)), int(rng.integers(shortest, longest + 1))
        document = page_documents.render_document(rng, count, size=size, scale=1 + index % 2, system_fonts=True)
        made.append(conversation([page.image for page in document.pages]))
    return made


def of_clips(rng: np.random.Generator, index: int) -> list[Conversation]:
    """Clips of any frame size and length, each scale once, at the frame rate that is trained on, at its half and at its double."""
    made = []
    for scale in (1, 2, 3):
        size, seconds = pick(rng, list(clips.SIZES)), int(rng.integers(clips.SHORTEST, clips.LONGEST + 1))
        frames = clips.render(rng, size, seconds=seconds, scale=scale, fps=2 * clips.FPS).frames
        made += [conversation(video=frames[::step], fps=2 * clips.FPS / step) for step in (1, 2, 4)]
    return made


@cache
def stage(environment: str) -> Stage:
    """One of the agents' environments, in a browser that stays open."""
    chromium = Chromium()
    atexit.register(chromium.close)
    return ENVIRONMENTS[environment](chromium)


def of_screens(rng: np.random.Generator, index: int) -> list[Conversation]:
    """Screens of an episode, with their tool and without; and the tool with a picture, since nobody else knows it."""
    environment = "phone" if index % SELDOM == 0 else "miniwob"  # whose pages differ more, and whose episodes are shorter
    where, episode = stage(environment), None
    while episode is None:
        episode = episode_of(where, pick(rng, where.tasks), int(rng.integers(benchmark.HELD_OUT)))
    (record, screens), made = episode, [conversation(pictured(rng), tools=tool_schemas(where.environment.tool))]
    for number, screen in enumerate(screens[:: -(-len(screens) // SCREENS)]):
        made.append(read_messages(step_messages(record["goal"], [], [screen]), tools=tool_schemas(record["tool"])))
        scale, budget = 1 + number % 2, screen.width * screen.height if (number + index) % 2 else None
        larger = screen.resize([side * scale for side in screen.size])
        made += [conversation(screen), conversation(larger, max_pixels=budget)]
    return made


# What each checkpoint was trained on, by its folder.
KNOWN = {
    "tiny": of_pictures, "tiny_rooms": of_rooms, "tiny_pages": of_what_is_read, "tiny_clips": of_clips, "tiny_screens": of_screens,
    "tiny_documents": of_documents,
}  # fmt: skip
FOLDERS = tuple(KNOWN)  # a class each


def samples(seed: int, count: int) -> Iterator[tuple[int, Conversation]]:
    """Conversations with the index of the checkpoint that knows their pictures."""
    for index in range(count):
        rng = np.random.default_rng([seed, 31, index])
        for who, known in enumerate(KNOWN.values()):
            yield from ((who, made) for made in known(rng, index))


def features_and_truth(model: LocalModel, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The features `(N, D)` of samples, and the index of the checkpoint of each `(N,)`."""
    rows = [(features_of(model, made), who) for who, made in samples(seed, count)]  # of one at a time: all of them fill 17 GB
    features, truth = zip(*rows, strict=True)
    return np.stack(features), np.array(truth)


def fit(features: np.ndarray, truth: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The gate's layers (`experts.GATE`) for features `(N, D)` and the index of the checkpoint of each; equal for equal input.

    Beforehand each checkpoint is as likely as another, however many samples it has.
    """
    mean, scale = features.mean(0), features.std(0) + 1e-6
    scale[-4:] /= TOLD
    x, wanted = torch.from_numpy((features - mean) / scale).float(), torch.from_numpy(truth)
    often = torch.from_numpy(np.bincount(truth, minlength=len(FOLDERS)) / len(truth)).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(x.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(DROPPED), nn.Linear(HIDDEN, len(FOLDERS)))
        optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=DECAY)
        for batch in (batch for _ in range(ROUNDS) for batch in torch.randperm(len(x)).split(128)):
            optimizer.zero_grad()
            seen = net(x[batch] + BLUR * torch.randn_like(x[batch]))
            F.cross_entropy(seen, wanted[batch], weight=1 / (often * len(FOLDERS))).backward()
            optimizer.step()
    (weight, bias), last = ([part.detach().numpy().astype(float) for part in layer.parameters()] for layer in (net[0], net[3]))
    weight = weight / scale
    return [(weight, bias - weight @ mean), tuple(last)]


def write(folder: Path, layers: list) -> None:
    gate = {"folders": list(FOLDERS), "layers": [[part.round(4).tolist() for part in layer] for layer in layers]}
    (folder / GATE).write_text(json.dumps(gate) + "\n", encoding="utf-8")


def main() -> None:
    model = LocalModel(str(TINY_FOLDER), spec="tiny", device="cpu", dtype=torch.float32, quiet=True)
    (features, known), (held_out, truth) = features_and_truth(model, 0, FIT), features_and_truth(model, HELD_OUT, MEASURED)
    layers = fit(features, known)
    write(TINY_FOLDER, layers)
    right = gate_scores(layers, held_out).argmax(1) == truth
    for index, name in enumerate(FOLDERS):
        print(f"{name}: {right[truth == index].sum()} of {(truth == index).sum()}")
    print(f"right checkpoint for {right.sum()} of {len(right)} held-out conversations, fitted on {len(known)}")


if __name__ == "__main__":
    main()
