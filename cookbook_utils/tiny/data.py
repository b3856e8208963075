"""Training batches: one picture a row, several independent questions behind it, all rows equally long.

A row is the prefix `<|im_start|>user\\n<|vision_start|>...<|vision_end|>` (segment 0) followed by as many
questions with their answers as fit (segments 1, 2, ...). A question sees the prefix and itself only,
and its positions continue the prefix's, so each is exactly what the chat template would have written
for that question alone; the picture is encoded once for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from . import dense, scenes, tasks
from .model import TOKEN_PIXELS

LENGTH = 288  # text positions a row
# Grids (rows, columns) of visual tokens that pictures of 256-640 px fall on, and how often to train on each.
GRIDS = {
    (9, 8): 3, (8, 9): 3, (10, 7): 3, (7, 10): 3, (12, 6): 2, (6, 12): 2, (11, 6): 2, (6, 11): 2,
    (11, 7): 1, (7, 11): 1, (8, 8): 2, (10, 8): 1, (8, 10): 1,
}  # fmt: skip
SYSTEM = "You are a helpful assistant."


@dataclass
class Batch:
    """B rows of one picture size: uint8 pixels `(B, H, W, 3)`, `(B, T)` texts, `(3, B, T)` positions, dense targets."""

    grid: tuple[int, int]
    pixels: torch.Tensor
    ids: torch.Tensor
    weights: torch.Tensor  # of the loss for predicting each position, 0 outside answers
    segments: torch.Tensor
    positions: torch.Tensor
    things_at_patch: torch.Tensor
    things_at_token: torch.Tensor
    digits_at_token: torch.Tensor


def digit_weights(ids: list[int], digits: set[int]) -> np.ndarray:
    """Loss weights of an answer: the ones digit of a coordinate counts a quarter, very short answers count more."""
    weights = np.ones(len(ids), np.float32) * (3.0 if len(ids) <= 4 else 1.0)
    for i in range(1, len(ids)):
        ends = i + 1 == len(ids) or ids[i + 1] not in digits
        if ids[i] in digits and ids[i - 1] in digits and ends:
            weights[i] = 0.25
    return weights


class Packer:
    """Turns a scene and its questions into one row."""

    def __init__(self, tokenizer):
        self.encode = lambda text: tokenizer(text, add_special_tokens=False).input_ids
        self.image = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        self.pad = tokenizer.pad_token_id
        self.digits = set(tokenizer.convert_tokens_to_ids(list("0123456789")))

    def prefix(self, rng: np.random.Generator, grid: tuple[int, int]) -> tuple[list[int], np.ndarray]:
        """Token ids and M-RoPE positions `(3, n)` of what stands before a question."""
        system = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n" if rng.random() < 0.1 else ""
        before = self.encode(f"{system}<|im_start|>user\n<|vision_start|>")
        rows, columns = grid
        h, w = np.divmod(np.arange(rows * columns), columns)
        inside = np.stack([np.zeros_like(h), h, w]) + len(before)
        end = len(before) + max(rows, columns)
        positions = [np.tile(np.arange(len(before)), (3, 1)), inside, np.full((3, 1), end)]
        return before + [self.image] * rows * columns + self.encode("<|vision_end|>"), np.concatenate(positions, 1)

    def segment(self, turns: list[tasks.Turn]) -> tuple[list[int], np.ndarray]:
        """Token ids and loss weights of a question with its answer, or of a short conversation."""
        ids, weights = [], []
        for index, turn in enumerate(turns):
            asked = self.encode(("\n<|im_start|>user\n" if index else "") + turn.prompt + "<|im_end|>\n<|im_start|>assistant\n")
            answer = self.encode(turn.answer + "<|im_end|>")
            ids += asked + answer
            weights += [np.zeros(len(asked), np.float32), digit_weights(answer, self.digits)]
        return ids, np.concatenate(weights)

    def row(self, scene: scenes.Scene, rng: np.random.Generator, grid: tuple[int, int], length: int = LENGTH) -> dict:
        """Arrays `ids`, `weights`, `segments` `(T,)` and `positions` `(3, T)`."""
        ids, prefix_positions = self.prefix(rng, grid)
        start = int(prefix_positions[0, -1]) + 1
        weights, segments, positions = [np.zeros(len(ids), np.float32)], [0] * len(ids), [prefix_positions]
        misses = 0
        while misses < 3:
            turns = [tasks.ask(scene, rng) for _ in range(2 if rng.random() < 0.08 else 1)]
            more, weight = self.segment(turns)
            if len(ids) + len(more) > length:
                misses += 1
                continue
            positions.append(np.tile(np.arange(start, start + len(more)), (3, 1)))
            segments += [segments[-1] + 1] * len(more)
            weights.append(weight)
            ids = ids + more
        rest = length - len(ids)
        return {
            "ids": np.array(ids + [self.pad] * rest),
            "weights": np.concatenate([*weights, np.zeros(rest, np.float32)]),
            "segments": np.array(segments + [segments[-1] + 1] * rest),
            "positions": np.concatenate([*positions, np.zeros((3, rest), int)], 1),
        }


def pick_grid(rng: np.random.Generator, grids: int = len(GRIDS)) -> tuple[int, int]:
    """One of the `grids` commonest picture shapes, by its weight."""
    share = np.array(list(GRIDS.values())[:grids], float)
    return list(GRIDS)[int(rng.choice(len(share), p=share / share.sum()))]


def make_batch(packer: Packer, rng: np.random.Generator, size: int, grid: tuple[int, int], most: int = 6) -> Batch:
    """Renders `size` scenes of up to `most` things on one grid and packs their questions."""
    pixels = (grid[1] * TOKEN_PIXELS, grid[0] * TOKEN_PIXELS)
    made = [scenes.render_scene(rng, size=pixels, count=int(rng.integers(1, most + 1))) for _ in range(size)]
    rows = [packer.row(scene, rng, grid) for scene in made]
    stack = lambda key: torch.from_numpy(np.stack([row[key] for row in rows]))  # noqa: E731
    targets = [torch.from_numpy(np.stack(part)) for part in zip(*(dense.dense_targets(scene) for scene in made))]
    images = torch.from_numpy(np.stack([np.asarray(scene.image) for scene in made]))
    positions = stack("positions").transpose(0, 1).contiguous()
    return Batch(grid, images, stack("ids"), stack("weights"), stack("segments"), positions, *targets)


class Stream(torch.utils.data.IterableDataset):
    """An endless stream of batches; every worker and every start of the training draws its own."""

    def __init__(self, tokenizer, size: int, seed: int, *, most: int = 6, grids: int = len(GRIDS)):
        self.packer, self.size, self.seed, self.most, self.grids = Packer(tokenizer), size, seed, most, grids

    def __iter__(self):
        torch.set_num_threads(1)
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, info.id if info else 0])
        while True:
            yield make_batch(self.packer, rng, self.size, pick_grid(rng, self.grids), self.most)
