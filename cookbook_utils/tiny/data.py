"""Training batches: samples of one family and one picture size, packed into rows of one length.

Shapes: B samples, V pictures of each (a pair of frames of a clip is one), M visual tokens and N = 4 M patches a
picture, T text positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from . import dense
from .families import FAMILIES
from .model import grid_of
from .packing import Packer
from .samples import Sample


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
    write: Looks


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
    looks = (gather_looks([row[name] for row in rows]) for name in ("read", "write"))
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
    """What to train on: families with their weights, rows a batch of 288 positions, sizes a family, and the curriculum's level."""

    weights: dict[str, float]
    rows: int = 32
    sizes: int | None = None
    level: float = 1.0

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
        while True:
            family = names[int(rng.choice(len(names), p=weights / weights.sum()))]
            size = pick_size(rng, family, self.mix.sizes)
            yield make_batch(self.packer, rng, self.mix.rows_of(family), family, size, self.mix.level)
