"""Sets text on a picture, letter by letter, and keeps where every letter went.

Sizes are `(width, height)` and boxes `[x1, y1, x2, y2]`, in pixels of the page at scale 1. A sheet drawn at `scale` 2-4
has the same layout, only crisper: places are found at scale 1 and multiplied. A letter's box is its ink from left to
right and its line's cell (ascender to descender) from top to bottom, so that the letters of a line lie at one height.

Fonts: DejaVu, as it comes with matplotlib, is the same everywhere. Chinese is set in Noto Sans CJK or its like where one is
installed; then the same seed may look different on another machine.
"""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..doctor import CHINESE_FONTS, FONT_FOLDERS
from .samples import Glyph, Region

FAMILIES = (("DejaVuSans", "DejaVuSans-Bold"), ("DejaVuSerif", "DejaVuSerif-Bold"), ("DejaVuSansMono", "DejaVuSansMono-Bold"))
INK = 60  # of 255; a paler edge of a letter is no ink
INK_OR_NONE = [255 * (value > INK) for value in range(256)]


class Font(NamedTuple):
    """A face and its size in pixels; `ascent` is the cell above the baseline, `apart` the least distance of two lines."""

    face: str
    size: int
    apart: int = 0

    @property
    def ascent(self) -> int:
        return round(0.78 * self.size)

    @property
    def height(self) -> int:
        return self.ascent + round(0.24 * self.size)

    @property
    def pitch(self) -> int:
        """From one line to the next, in pixels."""
        return max(self.apart, round(1.36 * self.size))


class Drawn(NamedTuple):
    """One letter as it comes out of the font: its mask, the mask's and the ink's place from the origin, and the advance."""

    mask: Image.Image | None
    left: int
    top: int
    ink: tuple[int, int, int, int]
    advance: float


@cache
def system_font(pattern: str) -> str | None:
    """The path of the first installed font file whose name fits, shortest name first."""
    folders = [os.path.expanduser(f"{folder}/**/{pattern}.[to]t[fc]") for folder in FONT_FOLDERS]
    return min(
        (file for folder in folders for file in glob.iglob(folder, recursive=True)), key=lambda f: (len(f), f), default=None
    )


@lru_cache(maxsize=1)
def chinese_face() -> str | None:
    """The path of an installed font that has Chinese characters."""
    found = (system_font(pattern) for pattern in ("NotoSansCJK-Regular", *CHINESE_FONTS))
    return next((path for path in found if path), None)


@lru_cache(maxsize=1)
def font_folder() -> Path:
    """The folder with DejaVu that comes with matplotlib."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@lru_cache(maxsize=256)
def open_font(face: str, size: int) -> ImageFont.FreeTypeFont:
    """The font file of a face, DejaVu's by its name and any other by its path; of a collection of Chinese fonts, the one for simplified Chinese."""
    path = str(font_folder() / f"{face}.ttf") if face.startswith("DejaVu") else face
    index = 2 if path.endswith("CJK-Regular.ttc") else 0
    return ImageFont.truetype(path, size, index=index, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=20000)
def letter(face: str, size: int, character: str) -> Drawn:
    """One letter of a face; Chinese characters come from the Chinese font, whatever the face."""
    font = open_font(chinese_face() or face if ord(character) > 0x2E7F else face, size)
    left, top, right, bottom = font.getbbox(character, anchor="ls")
    advance = font.getlength(character)
    if character == " " or right <= left or bottom <= top:
        return Drawn(None, 0, 0, (0, 0, 0, 0), advance)
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), character, fill=255, font=font, anchor="ls")
    x1, y1, x2, y2 = mask.point(INK_OR_NONE).getbbox() or (0, 0, *mask.size)
    return Drawn(mask, left, top, (left + x1, top + y1, left + x2, top + y2), advance)


def text_width(text: str, font: Font) -> float:
    """Width of a text in pixels, from the first letter's origin to behind the last."""
    return sum(letter(font.face, font.size, character).advance for character in text)


@cache
def typical_advance(face: str) -> float:
    """Mean advance of small letters and digits, in letter heights."""
    return text_width("abcdefghijklmnopqrstuvwxyz0123456789", Font(face, 100)) / 3600


def union(boxes: list) -> tuple[float, float, float, float]:
    """The smallest box around boxes.

    >>> union([(0, 5, 2, 6), (1, 1, 9, 3)])
    (0, 1, 9, 6)
    """
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return min(x1), min(y1), max(x2), max(y2)


@dataclass
class Run:
    """A piece of written text: a letter's ink for each of its glyphs."""

    text: str
    glyphs: list[Glyph]
    inks: list[tuple[float, float, float, float]]

    @property
    def box_xyxy(self) -> tuple[float, float, float, float]:
        return union(self.inks)

    def part(self, start: int, end: int) -> Run:
        """The characters from `start` to `end` as a run of their own."""
        first, last = (sum(character != " " for character in self.text[:at]) for at in (start, end))
        return Run(self.text[start:end], self.glyphs[first:last], self.inks[first:last])

    def words(self) -> list[Run]:
        """One run for each word."""
        ends = np.cumsum([len(word) + 1 for word in self.text.split(" ")])
        return [self.part(int(end) - len(word) - 1, int(end) - 1) for word, end in zip(self.text.split(" "), ends, strict=True)]


@dataclass
class Line(Region):
    """Runs at one height; its box lies tight around their ink, its text has one space between them."""

    runs: list[Run] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(run.text for run in self.runs)

    @property
    def glyphs(self) -> list[Glyph]:
        return [glyph for run in self.runs for glyph in run.glyphs]

    @property
    def whole(self) -> Run:
        """The line as one run."""
        return Run(self.text, self.glyphs, [ink for run in self.runs for ink in run.inks])


class Sheet:
    """Paper to write and draw on, from the top down.

    `left`, `right`, `bottom`: the frame of the text; `y`: where the next line goes; `font`, `bold`, `ink`, `accent`: what
    it is written with. `lines` come in the order of writing, which is the order of reading.
    """

    def __init__(self, size, *, scale: int = 1, paper=(255, 255, 255), margin: int = 12):
        self.size, self.scale = size, scale
        self.image = Image.new("RGB", (size[0] * scale, size[1] * scale), paper)
        self.draw = ImageDraw.Draw(self.image)
        self.paper, self.ink, self.accent = paper, (20, 20, 25), (20, 20, 25)
        self.left, self.right, self.bottom, self.y = margin, size[0] - margin, size[1] - margin, margin
        self.font, self.bold = Font("DejaVuSans", 17), Font("DejaVuSans-Bold", 17)
        self.lines: list[Line] = []

    @property
    def width(self) -> float:
        return self.right - self.left

    def room(self, lines: float = 1) -> bool:
        """Whether that many lines fit under what is written."""
        return self.y + (lines - 1) * self.font.pitch + self.font.height <= self.bottom

    def write(self, x: float, y: float, text: str, font: Font | None = None, colour=None, strip=None) -> Run:
        """Writes a text whose cell begins at `(x, y)`; `strip`: the colour of a strip under its ink, a pixel larger on all sides."""
        font, scale, run, stamps = font or self.font, self.scale, Run(text, [], []), []
        baseline = round(y) + font.ascent
        for character in text:
            drawn, at = letter(font.face, font.size, character), round(x)
            if drawn.mask:
                stamps.append((character, at))
                x1, y1, x2, y2 = drawn.ink
                run.inks.append((at + x1, baseline + y1, at + x2, baseline + y2))
                run.glyphs.append(Glyph(character, (at + x1, round(y), at + x2, round(y) + font.height)))
            x += drawn.advance
        if strip:
            x1, y1, x2, y2 = (round(edge) for edge in run.box_xyxy)
            self.box(x1 - 1, y1 - 1, x2 + 1, y2 + 1, fill=strip)
        for character, at in stamps:
            shape = letter(font.face, font.size * scale, character)
            self.image.paste(colour or self.ink, (at * scale + shape.left, baseline * scale + shape.top), shape.mask)
        return run

    def line(self, *parts, font: Font | None = None, align: str = "left", colour=None, indent: float = 0) -> Line:
        """Writes a line at `y` and goes on to the next.

        A part is a text, which follows the one before it, or `(text, place)` with `place` "right" or pixels from the left.
        `align`: left, centre or right, for lines of one part.
        """
        font, x, runs = font or self.font, self.left + indent, []
        if align != "left":
            spare = self.width - text_width(parts[0], font)
            x += spare if align == "right" else spare / 2
        for part in parts:
            text, place = part if isinstance(part, tuple) else (part, None)
            x = x if place is None else self.right - text_width(text, font) if place == "right" else self.left + place
            runs.append(self.write(x, self.y, text, font, colour))
            x += text_width(text + " ", font)
        self.y += font.pitch
        return self.keep(runs)

    def keep(self, runs: list[Run]) -> Line:
        """Adds runs that are written already as one line."""
        self.lines.append(Line("line", union([run.box_xyxy for run in runs]), runs=runs))
        return self.lines[-1]

    def skip(self, lines: float = 0.4) -> None:
        """Leaves a gap."""
        self.y += round(lines * self.font.pitch)

    def scaled(self, *values: float) -> list[int]:
        return [round(value * self.scale) for value in values]

    def box(self, x1, y1, x2, y2, *, fill=None, outline=None, width: int = 1, radius: float = 0) -> tuple:
        """Draws a rectangle, x2 and y2 excluded, and returns its box."""
        corners = [*self.scaled(x1, y1), *(value - 1 for value in self.scaled(x2, y2))]
        if radius:
            self.draw.rounded_rectangle(corners, radius * self.scale, fill=fill, outline=outline, width=width * self.scale)
        else:
            self.draw.rectangle(corners, fill=fill, outline=outline, width=width * self.scale)
        return x1, y1, x2, y2

    def stroke(self, *points, colour=None, width: float = 1) -> None:
        """Draws a line through points `(x, y)`."""
        path = [tuple(self.scaled(*point)) for point in points]
        self.draw.line(path, fill=colour or self.ink, width=max(1, round(width * self.scale)))

    def rule(self, *, dashed: bool = False, colour=None) -> None:
        """Draws a line across, below what is written, and goes on 9 pixels further down."""
        y = self.y + 7 - (self.font.pitch - self.font.height) / 2
        step = 4 if dashed else self.width
        for x in np.arange(self.left, self.right - 1, 2 * step):
            self.stroke((x, y), (min(x + step, self.right), y), colour=colour)
        self.y += 9

    def dot(self, x: float, y: float, radius: float, colour=None) -> None:
        """Draws a filled circle."""
        self.draw.ellipse(self.scaled(x - radius, y - radius, x + radius, y + radius), fill=colour or self.ink)


def fitting(rng: np.random.Generator, make, font: Font, width: float, tries: int = 12) -> str:
    """The first text of `make(rng)` that is no wider than `width` pixels, or the narrowest of all tried."""
    made = []
    for _ in range(tries):
        made.append(make(rng))
        if text_width(made[-1], font) <= width:
            return made[-1]
    return min(made, key=lambda text: text_width(text, font))


def wrap(text: str, font: Font, width: float) -> list[str]:
    """Breaks a text into lines no wider than `width` pixels.

    >>> wrap("one two three", Font("DejaVuSans", 16), 70)
    ['one two', 'three']
    """
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
