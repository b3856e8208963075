"""Training batches: samples of one family and one picture size, packed into rows of one length.

Shapes: B samples, V pictures of each (a pair of frames of a clip is one), M visual tokens and N = 4 M patches a
picture, T text positions.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace

import numpy as np
import torch

from . import dense
from .families import FAMILIES
from .model import grid_of
from .packing import Packer
from .samples import Sample

LOOKS = ("read", "first", "rest")  # of the heads that `model.WATCHED` names


@dataclass
class Looks:
    """Attention targets, P of them: at `(row, position)` the share of attention that belongs on a key position."""

    index: torch.Tensor  # (P, 3): row, position, key position
    share: torch.Tensor  # (P,); the shares of one position add up to 1


@dataclass
class Batch:
    """B rows of one shape; `pixels` are uint8 `(B * V, F, H, W, 3)` with F = 2 frames for a clip, 1 otherwise."""

    family: str
    grid: tuple[int, int]  # rows and columns of visual tokens
    pixels: torch.Tensor
    ids: torch.Tensor  # (B, T)
    weights: torch.Tensor  # (B, T), of the loss for predicting each position, 0 outside answers
    segments: torch.Tensor  # (B, T)
    positions: torch.Tensor  # (3, B, T)
    targets: dense.Targets
    read: Looks
    first: Looks
    rest: Looks


def moved(part, device: torch.device):
    """A batch, or a part of one, with its tensors copied to a device; a worker's shared memory is free again afterwards."""
    if is_dataclass(part):
        return replace(part, **{field.name: moved(getattr(part, field.name), device) for field in fields(part)})
    return part.to(device, copy=True) if isinstance(part, torch.Tensor) else part


def joined(batches: list[Batch]) -> Batch:
    """Batches of one shape as one."""
    together = lambda parts, name, dim=0: torch.cat([getattr(part, name) for part in parts], dim)  # noqa: E731
    targets = [batch.targets for batch in batches]
    aims = {f.name: together(targets, f.name) for f in fields(dense.Targets) if getattr(targets[0], f.name) is not None}
    firsts, looks = np.cumsum([0, *(len(batch.ids) for batch in batches)]).tolist(), {}
    for name in LOOKS:
        parts = [getattr(batch, name) for batch in batches]
        index = [part.index + torch.tensor([first, 0, 0], device=part.index.device) for part, first in zip(parts, firsts, strict=False)]
        looks[name] = Looks(torch.cat(index), together(parts, "share"))
    texts = {name: together(batches, name) for name in ("pixels", "ids", "weights", "segments")}
    return replace(batches[0], **texts, positions=together(batches, "positions", 1), targets=dense.Targets(**{"glyphs": None, **aims}), **looks)


def gather_looks(rows: list[list[tuple]]) -> Looks:
    """The rows' attention targets in one list."""
    index = [(row, at, key) for row, looks in enumerate(rows) for at, key, _ in looks]
    share = [share for looks in rows for *_, share in looks]
    return Looks(torch.tensor(index, dtype=torch.long).view(-1, 3), torch.tensor(share, dtype=torch.float32))


def frames_of(sample: Sample) -> np.ndarray:
    """A sample's pictures `(V, F, H, W, 3)`: the frames of a clip two by two, others one by one."""
    pictures = np.stack([np.asarray(picture) for picture in sample.pictures])
    return pictures.reshape(-1, 2 if sample.seconds else 1, *pictures.shape[1:])


def collate(packer: Packer, rng: np.random.Generator, family: str, samples: list[Sample]) -> Batch:
    """One batch of samples whose pictures have one size and number."""
    grid = grid_of(samples[0].pictures[0].size)
    rows = [packer.row(sample, rng, grid, FAMILIES[family].length) for sample in samples]
    stack = lambda key: torch.from_numpy(np.stack([row[key] for row in rows]))  # noqa: E731
    pixels = torch.from_numpy(np.concatenate([frames_of(sample) for sample in samples]))
    positions = stack("positions").transpose(0, 1).contiguous()
    looks = (gather_looks([row[name] for row in rows]) for name in LOOKS)
    texts = (stack("ids"), stack("weights"), stack("segments"), positions)
    return Batch(family, grid, pixels, *texts, dense.targets_of(samples), *looks)


def pick_size(rng: np.random.Generator, family: str, most: int | None = None) -> tuple[int, int]:
    """One of the `most` commonest picture sizes of a family, by its weight."""
    sizes = dict(list(FAMILIES[family].sizes.items())[:most])
    share = np.array(list(sizes.values()), float)
    return list(sizes)[int(rng.choice(len(share), p=share / share.sum()))]


def make_batch(
    packer: Packer, rng: np.random.Generator, rows: int, family: str, size: tuple[int, int], level: float = 1.0, unseen: bool = False
) -> Batch:
    """Renders and packs `rows` samples of a family; `unseen`: of what a family keeps back for the held-out figures."""
    make, shared = unseen and FAMILIES[family].unseen or FAMILIES[family].make, FAMILIES[family].shared(rng)
    return collate(packer, rng, family, [make(rng, size, level, **shared) for _ in range(rows)])


@dataclass
class Mix:
    """What to train on: families with their weights, rows a batch of 288 positions, sizes a family, and the curriculum's level.

    The level rises to `level` from 0 within the first `rise_s` seconds.
    """

    weights: dict[str, float]
    rows: int = 32
    sizes: int | None = None
    level: float = 1.0
    rise_s: float = 0.0

    def level_after(self, seconds: float) -> float:
        """The level that many seconds after the start."""
        return self.level * min(1.0, seconds / self.rise_s) if self.rise_s else self.level

    def rows_of(self, family: str) -> int:
        """Rows a batch: fewer when they are longer."""
        return max(1, round(self.rows * 288 / FAMILIES[family].length))


class Stream(torch.utils.data.IterableDataset):
    """An endless stream of batches; every worker and every start of the training draws its own."""

    def __init__(self, tokenizer, mix: Mix, seed: int):
        self.packer, self.mix, self.seed = Packer(tokenizer), mix, seed

    def __iter__(self):
        torch.set_num_threads(1)
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, info.id if info else 0])
        names, weights = list(self.mix.weights), np.array(list(self.mix.weights.values()), float)
        began = time.monotonic()
        while True:
            family = names[int(rng.choice(len(names), p=weights / weights.sum()))]
            size = pick_size(rng, family, self.mix.sizes)
            yield make_batch(self.packer, rng, self.mix.rows_of(family), family, size, self.mix.level_after(time.monotonic() - began))


class Pool:
    """Steps' batches, each of `join` small ones of one shape that are drawn anew every time: for a step that is faster than the rendering.

    Rows are drawn `reuse` times on average, from the last `keep` batches of each shape; shapes as often as they come. Iterating
    waits while no more may be drawn, and ends with the batches that come in, or with the error that ended them.
    """

    def __init__(self, batches: Iterable[Batch], device: torch.device, join: int, reuse: float, keep: int = 256, seed: int = 0):
        self.batches, self.device, self.join, self.reuse, self.keep = batches, device, join, reuse, keep
        self.rng, self.changed = np.random.default_rng(seed), threading.Condition()
        self.ended, self.error = False, None
        self.shelves: dict[tuple, deque[Batch]] = {}
        self.came: dict[tuple, int] = {}  # rows, of each shape
        self.drawn = 0  # rows

    def fill(self) -> None:
        """Takes in batches until there are no more, or nobody draws any longer."""
        try:
            for batch in self.batches:
                batch = moved(batch, self.device)
                form = (*batch.pixels.shape[1:], len(batch.pixels) // len(batch.ids))
                shape = (batch.family, form, batch.targets.glyphs is None, batch.targets.space is None)
                with self.changed:
                    if self.ended:
                        return
                    self.shelves.setdefault(shape, deque(maxlen=self.keep)).append(batch)
                    self.came[shape] = self.came.get(shape, 0) + len(batch.ids)
                    self.changed.notify()
        except Exception as error:  # raised where the batches are drawn
            self.error = error
        finally:
            with self.changed:
                self.ended = True
                self.changed.notify()

    def __iter__(self) -> Iterator[Batch]:
        threading.Thread(target=self.fill, daemon=True).start()
        try:
            while (batches := self.draw()) is not None:
                made = joined(batches)
                self.drawn += len(made.ids)
                yield made
            if self.error:
                raise self.error
        finally:
            with self.changed:
                self.ended = True

    def draw(self) -> list[Batch] | None:
        """Some batches of one shape, as soon as more may be drawn; None when nothing more will come."""
        with self.changed:
            self.changed.wait_for(lambda: self.ended or self.drawn < self.reuse * sum(self.came.values()))
            if self.drawn >= self.reuse * sum(self.came.values()):
                return None
            share = np.array(list(self.came.values()), float)
            shelf = self.shelves[list(self.came)[int(self.rng.choice(len(share), p=share / share.sum()))]]
            return [shelf[int(i)] for i in self.rng.choice(len(shelf), min(self.join, len(shelf)), replace=False)]
