"""A page of the embedded model's world: the sheet that it is written on, what it means, how it is photographed.

Sizes are `(width, height)` in pixels, boxes `[x1, y1, x2, y2]` in pixels of the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .samples import Glyph, Region
from .scenes import background
from .turns import pick
from .typesetting import FAMILIES, Font, Line, Run, Sheet, chinese_face, typical_advance, union

APART = 32  # pixels from one line of a page to the next at least: the height of a visual token, which then holds one line's letters


@dataclass
class Block(Region):
    """A part of an article: its lines; of a list, the lines of each of its items; of an image, the `name` of what it shows."""

    lines: list[Line] = field(default_factory=list)
    items: list[list[Line]] = field(default_factory=list)
    name: str = ""


@dataclass
class Page:
    """A picture and what is written on it.

    `lines`: in reading order; `fields`: what a key stands for, None where the place was left empty; `items`: pairs of a name
    and its value. `blocks`: the parts of an article; `marks`: what a chart or a wireframe shows; `figure`: either of these.
    """

    image: Image.Image
    kind: str
    lines: list[Line]
    fields: dict[str, Run | None] = field(default_factory=dict)
    items: list[tuple[Run, Run]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    marks: list[Region] = field(default_factory=list)
    figure: Any = None

    @property
    def size(self) -> tuple[int, int]:
        return self.image.size

    @property
    def glyphs(self) -> list[Glyph]:
        return [glyph for line in self.lines for glyph in line.glyphs]

    @property
    def regions(self) -> list[Region]:
        """What the page is made of: its blocks, or else its marks and lines."""
        return [*self.blocks] or [*self.marks, *(line for line in self.lines if not inside_any(line, self.marks))]

    def truth(self) -> dict:
        """The page as plain dicts: `lines`, `fields`, `items`, `regions`, with `bbox_2d` in pixels."""
        return {
            "kind": self.kind,
            "lines": [{"bbox_2d": list(line.box_xyxy), "text_content": line.text} for line in self.lines],
            "fields": {key: run and run.text for key, run in self.fields.items()},
            "items": [[name.text, value.text] for name, value in self.items],
            "regions": [{"bbox_2d": list(region.box_xyxy), "kind": region.kind} for region in self.regions],
        }


def inside_any(line: Line, marks: list[Region]) -> bool:
    """Whether a line is written on one of the marks, such as a button."""
    x1, y1, x2, y2 = line.box_xyxy
    boxes = (mark.box_xyxy for mark in marks)
    return any(a <= x1 and b <= y1 and x2 <= c and y2 <= d for a, b, c, d in boxes)


class Paper(Sheet):
    """A sheet that also keeps what the page means."""

    def __init__(self, size, **options):
        super().__init__(size, **options)
        self.fields: dict[str, Run | None] = {}
        self.items: list[tuple[Run, Run]] = []
        self.blocks: list[Block] = []
        self.marks: list[Region] = []
        self.figure: Any = None
        self.chinese = False
        self.shrinks = False  # whether the picture is made as small as at scale 1 when it is finished

    def free(self) -> int:
        """How many lines fit under what is written."""
        return int((self.bottom - self.y - self.font.height) // self.font.pitch) + 1

    def finish(self, kind: str, turn: float = 0.0) -> Page:
        """The page, with all boxes turned by that many degrees about the middle and brought to the picture's scale."""
        if self.shrinks:  # as an image processor does it
            self.image = self.image.resize(self.size, Image.Resampling.BICUBIC)
        scale = 1 if self.shrinks else self.scale
        runs = [run for line in self.lines for run in line.runs]
        glyphs = [glyph for run in runs for glyph in run.glyphs]
        boxes = [*(glyph.box_xyxy for glyph in glyphs), *(ink for run in runs for ink in run.inks)]
        boxes += [region.box_xyxy for region in (*self.blocks, *self.marks)]
        moved = iter((turned(np.array(boxes, float), self.size, turn) * scale).tolist())
        for glyph in glyphs:
            glyph.box_xyxy = tuple(next(moved))
        for run in runs:
            run.inks = [tuple(next(moved)) for _ in run.inks]
        for region in (*self.blocks, *self.marks):
            region.box_xyxy = tuple(next(moved))
        for line in self.lines:
            line.box_xyxy = union([ink for run in line.runs for ink in run.inks])
        return Page(self.image, kind, self.lines, self.fields, self.items, self.blocks, self.marks, self.figure)


def turned(boxes: np.ndarray, size: tuple[int, int], degrees: float) -> np.ndarray:
    """Boxes `(N, 4)` around boxes that were turned counterclockwise about the middle of a picture.

    >>> turned(np.array([[0, 0, 10, 20]]), (100, 100), 90.0).round().tolist()
    [[0.0, 90.0, 20.0, 100.0]]
    """
    middle, angle = np.array(size) / 2, math.radians(degrees)
    corners = boxes[:, [[0, 1], [2, 1], [0, 3], [2, 3]]] - middle  # (N, 4, 2)
    matrix = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    corners = corners @ matrix.T + middle
    return np.concatenate([corners.min(1), corners.max(1)], 1)


# --- how a page looks ------------------------------------------------------------------------


def tint(rng: np.random.Generator, low: float, high: float, spread: float = 12) -> tuple[int, int, int]:
    """A colour whose brightness lies between `low` and `high` (0-255)."""
    return tuple(int(value) for value in np.clip(rng.uniform(low, high) + rng.normal(0, spread, 3), 0, 255))


def new_paper(rng: np.random.Generator, size, *, scale: int = 1, system_fonts: bool = False, apart: int = 0) -> Paper:
    """An empty sheet with random paper, ink, accent colour and typeface, set so large that a letter takes 9-11 pixels.

    apart: the least distance of two lines, in pixels.
    """
    paper = Paper(size, scale=scale, paper=tint(rng, 228, 255, 6), margin=int(rng.integers(14, 19)))
    regular, bold = pick(rng, FAMILIES)
    height = min(22, round(rng.uniform(9.2, 11.2) / typical_advance(regular)))
    paper.font, paper.bold = Font(regular, height, apart), Font(bold, height, apart)
    paper.ink, paper.chinese = tint(rng, 10, 70), bool(rng.random() < 0.12 and system_fonts and chinese_face())
    hue = rng.random(3)
    paper.accent = tuple(int(30 + 130 * value) for value in (hue - hue.min()) / (np.ptp(hue) + 1e-6))
    return paper


def photograph(rng: np.random.Generator, paper: Paper, *, turn: float = 0.0, panel=None, wear: float = 1.0) -> None:
    """Turns the sheet by `turn` degrees in front of a background, then wears it: blur, light, grain, by chance and `wear` (0-1).

    `panel`: the box of what is turned, the whole sheet when None.
    """
    if turn or panel:
        behind = background(rng, paper.size).resize(paper.image.size)
        mask = Image.new("L", paper.image.size)
        box = paper.scaled(*(panel or (0, 0, *paper.size)))
        ImageDraw.Draw(mask).rounded_rectangle(box, 6 * paper.scale if panel else 0, fill=255)
        turns = (picture.rotate(turn, Image.Resampling.BICUBIC) for picture in (paper.image, mask))
        paper.image = Image.composite(next(turns), behind, next(turns))
    if rng.random() < 0.3 * wear:
        paper.image = paper.image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9) * paper.scale))
    if rng.random() < 0.45 * wear:
        paper.image = shaded(rng, paper.image)
    if rng.random() < 0.3 * wear:
        grain = rng.normal(0, rng.uniform(2, 9), (paper.size[1], paper.size[0], 1)).repeat(paper.scale, 0).repeat(paper.scale, 1)
        paper.image = Image.fromarray(np.clip(np.asarray(paper.image) + grain, 0, 255).astype(np.uint8))


def shaded(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """The picture under uneven, slightly coloured light."""
    light = rng.uniform(0.62, 1.0, (2, 2, 1)) * rng.uniform(0.93, 1.0, (1, 1, 3))
    field_ = Image.fromarray((255 * light).astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
    lit = np.asarray(image, np.uint16) * np.asarray(field_, np.uint16) >> 8
    return Image.fromarray(lit.astype(np.uint8))
