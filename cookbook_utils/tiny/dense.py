"""Targets for the throw-away dense heads: what lies at each patch and token, where it ends, in the picture and in space, and
which character is written there.

Order of patches and tokens is the model's own: tokens row by row, the four patches of a token together.
Shapes: R pictures of all samples, N patches and M tokens a picture.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ..coordinates import to_grid
from . import page_words
from .families import KINDS
from .model import LINES, MERGE, ORDERS, PATCH
from .samples import Glyph, Region, Sample

NOTHING = KINDS["nothing"]  # class of a patch or token on which no region lies
IGNORE = -100
WRITTEN = sorted(set(string.printable) - set(string.whitespace)) + sorted(set("".join(page_words.CHINESE)))
CHARACTERS = {character: index + 1 for index, character in enumerate(WRITTEN)}  # 0: nothing written


@dataclass
class Targets:
    """What the dense heads should say; `glyphs` is None for pictures without writing."""

    at_patch: torch.Tensor  # (R, N) kind of the region that covers the patch
    at_token: torch.Tensor  # (R, M)
    digits: torch.Tensor  # (R, M, 4, 3) digits of the region's edges on the 0-1000 grid, IGNORE where nothing lies
    order: torch.Tensor  # (R, M) place of the region among those of its picture, left to right or as they are read
    centres: torch.Tensor  # (R, M), 1 where the token stands for a whole region
    glyphs: torch.Tensor | None  # (R, N, 2) character in the left and in the right half of the patch
    lines: torch.Tensor | None = None  # (R, N) place of the line of writing at the patch among those of its picture, or IGNORE
    space: torch.Tensor | None = None  # (R, M, 9) the region's 3D box in metres and half-turns, NaN where there is none
    number: torch.Tensor | None = None  # (R, 2) tens and ones of the number that is printed on the page


@lru_cache(maxsize=64)
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
    share = np.maximum(shared / cell**2, shared / np.maximum(area, 1e-9))
    best = share.argmax(-1)
    return np.where(np.take_along_axis(share, best[..., None], -1)[..., 0] > 0.35, best, -1)


def owners_of(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """For each box `(N, 4)` in pixels the visual token `(N,)` of its own that lies nearest to its centre.

    A token is a box's own when the box covers it more than any other does; without one, the token under the centre.
    """
    cell = PATCH * MERGE
    owned = owners(boxes, size, cell)  # (rows, columns)
    middle = cell_boxes(size, cell)[..., :2] + cell / 2
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    away = np.linalg.norm(middle[None] - centres[:, None, None], axis=-1)  # (boxes, rows, columns)
    away += 1e6 * (owned[None] != np.arange(len(boxes))[:, None, None])
    return away.reshape(len(boxes), -1).argmin(-1)


def grid_digits(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Hundreds, tens and ones `(boxes, 4, 3)` of the box edges on the 0-1000 grid (1000 counts as 999)."""
    grid = np.clip(to_grid(boxes, size), 0, 999)
    return np.stack([grid // 100, grid // 10 % 10, grid % 10], -1)


def block_order(cells: np.ndarray) -> np.ndarray:
    """Patches `(rows, columns, ...)` to `(N, ...)`, the four patches of one token together."""
    rows, columns, *rest = cells.shape
    blocks = cells.reshape(rows // MERGE, MERGE, columns // MERGE, MERGE, *rest)
    return np.moveaxis(blocks, 2, 1).reshape(-1, *rest)


def kind_of(region: Region) -> int:
    """A region's class: its kind, or, of a picture on a page, the thing that it shows."""
    name = getattr(region, "name", "") if region.kind == "image" else ""
    return KINDS.get(name, KINDS[region.kind])


def region_targets(regions: list[Region], size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Kind per patch `(N,)` and token `(M,)`, digits `(M, 4, 3)`, order `(M,)` and centres `(M,)` of one picture."""
    tokens = size[0] * size[1] // (PATCH * MERGE) ** 2
    centres = np.zeros(tokens, np.float32)
    if not regions:
        nothing = np.full(tokens * MERGE**2, NOTHING), np.full(tokens, NOTHING)
        return *nothing, np.full((tokens, 4, 3), IGNORE), np.full(tokens, IGNORE), centres
    boxes = np.array([region.box_xyxy for region in regions], float)
    kinds = np.array([kind_of(region) for region in regions] + [NOTHING])
    digits = np.concatenate([grid_digits(boxes, size), np.full((1, 4, 3), IGNORE)])
    patches = block_order(owners(boxes, size, PATCH))
    at_token = owners(boxes, size, PATCH * MERGE).reshape(-1)
    centres[owners_of(boxes, size)] = 1
    order = np.array([min(index, ORDERS - 1) for index in range(len(regions))] + [IGNORE])
    return kinds[patches], kinds[at_token], digits[at_token], order[at_token], centres


def space_targets(regions: list[Region], size: tuple[int, int]) -> np.ndarray:
    """The 3D box `(M, 9)` of the region at each token of one picture, NaN where no region with one lies."""
    nowhere = np.full(9, np.nan, np.float32)
    if not any(hasattr(region, "bbox_3d") for region in regions):
        return np.tile(nowhere, (size[0] * size[1] // (PATCH * MERGE) ** 2, 1))
    boxes = np.array([region.box_xyxy for region in regions], float)
    spaces = np.array([*(getattr(region, "bbox_3d", nowhere) for region in regions), nowhere], np.float32)
    return spaces[owners(boxes, size, PATCH * MERGE).reshape(-1)]


def lines_of(glyphs: list[Glyph]) -> list[int]:
    """The line that each of a picture's letters, given as they are read, is written in, counted from 0.

    >>> lines_of([Glyph("a", (0, 0, 8, 16)), Glyph("b", (60, 1, 68, 17)), Glyph("c", (0, 20, 8, 36)), Glyph("d", (20, 42, 28, 58))])
    [0, 0, 1, 2]
    """
    lines, (right, middle, height) = [], (np.inf, 0.0, 0.0)
    for glyph in glyphs:
        x1, y1, x2, y2 = glyph.box_xyxy
        another = (x1 + x2) / 2 < right or abs((y1 + y2) / 2 - middle) > 0.6 * max(y2 - y1, height)
        lines.append((lines[-1] if lines else -1) + another)
        right, middle, height = (x1 + x2) / 2, (y1 + y2) / 2, y2 - y1
    return lines


def glyphs_at(glyphs: list[Glyph], size: tuple[int, int]) -> np.ndarray:
    """The index of the letter whose centre lies nearest to the middle of each half patch `(N, 2)`, -1 where none is within half a patch."""
    columns, rows = size[0] // PATCH, size[1] // PATCH
    written, near = np.full((rows, columns * 2), -1), np.full((rows, columns * 2), np.inf)
    for index, glyph in enumerate(glyphs):
        x1, y1, x2, y2 = glyph.box_xyxy
        row, half = int((y1 + y2) / 2 / PATCH), int((x1 + x2) / 2 / (PATCH / 2))
        away = abs((x1 + x2) / 2 - (half + 0.5) * PATCH / 2)
        if 0 <= row < rows and 0 <= half < columns * 2 and away < near[row, half]:
            written[row, half], near[row, half] = index, away
    return block_order(written.reshape(rows, columns, 2))


def glyph_targets(glyphs: list[Glyph], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The character at each half patch `(N, 2)`, 0 for none, and the line at each patch `(N,)`, IGNORE for none."""
    at = glyphs_at(glyphs, size)
    characters = np.array([*(CHARACTERS.get(glyph.character, 0) for glyph in glyphs), 0])
    lines = np.array([*(min(line, LINES - 1) for line in lines_of(glyphs)), IGNORE])
    return characters[at], lines[at].max(-1)


def targets_of(samples: list[Sample]) -> Targets:
    """The dense targets of all pictures of samples; of a pair of frames, what lies in the first of them."""
    step = 2 if samples[0].seconds else 1
    regions, glyphs, spaces, size = [], [], [], samples[0].pictures[0].size
    for sample in samples:
        for page in range(0, len(sample.pictures), step):
            here = [region for region in sample.regions if region.page == page]
            regions.append(region_targets(here, size))
            spaces.append(space_targets(here, size))
            glyphs.append([glyph for glyph in sample.glyphs if glyph.page == page])
    stacked = [torch.from_numpy(np.stack(part)) for part in zip(*regions, strict=True)]
    at_glyphs = zip(*(glyph_targets(here, size) for here in glyphs), strict=True) if any(glyphs) else None
    written, lines = (torch.from_numpy(np.stack(part)) for part in at_glyphs) if at_glyphs else (None, None)
    space = torch.from_numpy(np.stack(spaces))
    numbers = [divmod(number, 10) for sample in samples for number in sample.numbers or ()]
    return Targets(*stacked, written, lines, None if space.isnan().all() else space, torch.tensor(numbers) if numbers else None)
