"""Targets for the throw-away dense head: which thing lies at each patch and token, and where it ends.

Order of patches and tokens is the model's own: tokens row by row, the four patches of a token together.
"""

from __future__ import annotations

import numpy as np

from ..coordinates import to_grid
from .model import MERGE, PATCH
from .scenes import Scene

NOTHING = 200  # class of a patch or token on which no thing lies
IGNORE = -100


def cell_boxes(size: tuple[int, int], cell: int) -> np.ndarray:
    """Boxes `(rows, columns, 4)` of the square cells of a picture, in pixels."""
    x, y = np.meshgrid(np.arange(0, size[0], cell), np.arange(0, size[1], cell))
    return np.stack([x, y, x + cell, y + cell], -1)


def owners(boxes: np.ndarray, size: tuple[int, int], cell: int) -> np.ndarray:
    """For each cell `(rows, columns)` the index of the box that covers it most, or -1."""
    cells = cell_boxes(size, cell)[:, :, None]  # (rows, columns, 1, 4)
    width = np.minimum(cells[..., 2], boxes[:, 2]) - np.maximum(cells[..., 0], boxes[:, 0])
    height = np.minimum(cells[..., 3], boxes[:, 3]) - np.maximum(cells[..., 1], boxes[:, 1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)  # (rows, columns, boxes)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    share = np.maximum(shared / cell**2, shared / area)
    best = share.argmax(-1)
    return np.where(np.take_along_axis(share, best[..., None], -1)[..., 0] > 0.35, best, -1)


def grid_digits(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Hundreds, tens and ones `(boxes, 4, 3)` of the box edges on the 0-1000 grid (1000 counts as 999)."""
    grid = np.minimum(to_grid(boxes, size), 999)
    return np.stack([grid // 100, grid // 10 % 10, grid % 10], -1)


def block_order(cells: np.ndarray) -> np.ndarray:
    """Patches `(rows, columns)` to `(N,)`, the four patches of one token together."""
    rows, columns = cells.shape
    return cells.reshape(rows // MERGE, MERGE, columns // MERGE, MERGE).transpose(0, 2, 1, 3).reshape(-1)


def dense_targets(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Things per patch `(N,)`, per token `(M,)` and digits per token `(M, 4, 3)` (`IGNORE` where nothing lies)."""
    if not scene.placed:
        columns, rows = scene.size[0] // PATCH, scene.size[1] // PATCH
        tokens = rows * columns // MERGE**2
        return np.full(rows * columns, NOTHING), np.full(tokens, NOTHING), np.full((tokens, 4, 3), IGNORE)
    boxes = np.array([p.box_xyxy for p in scene.placed], float)
    kinds = np.array([p.thing for p in scene.placed] + [NOTHING])
    digits = np.concatenate([grid_digits(boxes, scene.size), np.full((1, 4, 3), IGNORE)])
    patches = block_order(owners(boxes, scene.size, PATCH))
    tokens = owners(boxes, scene.size, PATCH * MERGE).reshape(-1)
    return kinds[patches], kinds[tokens], digits[tokens]
