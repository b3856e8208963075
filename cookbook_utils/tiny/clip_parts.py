"""The parts of a clip: things that go from one look to another, captions, and events with the sentences that tell them.

Units: pixels of the frame at scale 1, seconds, degrees counter-clockwise. A box is `[x1, y1, x2, y2]`, tight around what is
visible of a thing if nothing covered it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from .artwork import sprites, things
from .typesetting import Font, letter, union

MOVES = {"left": "to the left", "right": "to the right", "top": "up", "bottom": "down"}
LEAVES = {"left": "to the left", "right": "to the right", "top": "at the top", "bottom": "at the bottom"}
PLURAL = ("grapes", "cherries", "fries", "scissors", "jeans", "socks", "glasses", "gloves", "books")
NO_ARTICLE = (*PLURAL, "bread", "broccoli", "popcorn", "sushi", "cheese", "corn", "coffee", "tea", "luggage", "bowling")
SENTENCES_ZH = {
    "enter": "{}从{}边进入。", "leave": "{}从{}边离开。", "move": "{}向{}移动。", "grow": "{}变大。", "shrink": "{}变小。",
    "turn": "{}转了一圈。", "change": "{}变成{}。", "appear": "{}出现。", "disappear": "{}消失。", "caption": "字幕“{}”出现。",
}  # fmt: skip
SIDES_ZH = {"left": "左", "right": "右", "top": "上", "bottom": "下"}


# --- things ----------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def outline(thing: int) -> np.ndarray:
    """Corners of the outermost visible pixels of a thing's artwork, row by row and column by column.

    Shape `(2, N)`, x and y from its centre, for a longer side of 1.
    """
    alpha = np.asarray(sprites()[thing].getchannel("A")) > 48
    sides = []
    for mask in (alpha, alpha.T):
        lines = np.flatnonzero(mask.any(1))
        first, last = mask[lines].argmax(1), mask.shape[1] - mask[lines, ::-1].argmax(1)
        sides.append(np.concatenate([np.stack([edge, line]) for edge in (first, last) for line in (lines, lines + 1)], 1))
    points = np.concatenate([sides[0], sides[1][::-1]], 1)
    return (points - np.array([[alpha.shape[1]], [alpha.shape[0]]]) / 2) / max(alpha.shape)


@lru_cache(maxsize=512)
def drawn(thing: int, longer: float, angle: float = 0.0, mirrored: bool = False) -> Image.Image:
    """The artwork of a thing, its longer side `longer` pixels, then turned about its centre."""
    art = sprites()[thing]
    size = [max(1, round(side / max(art.size) * longer)) for side in art.size]
    picture = art.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else picture
    return picture.rotate(angle, Image.Resampling.BICUBIC, expand=True) if angle else picture


class Look(NamedTuple):
    """A thing at one moment: centre, longer side, angle."""

    thing: int
    x: float
    y: float
    longer: float
    angle: float = 0.0
    mirrored: bool = False

    def box(self) -> tuple[float, float, float, float]:
        """Where it is, whether inside the frame or not."""
        if not self.angle:
            half = self.longer / 2 / max(sprites()[self.thing].size)
            w, h = (side * half for side in sprites()[self.thing].size)
            return self.x - w, self.y - h, self.x + w, self.y + h
        x, y = self.points()
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())

    def points(self) -> np.ndarray:
        """Its `outline` where it is, `(2, N)` in pixels."""
        points = outline(self.thing) * ((-self.longer if self.mirrored else self.longer,), (self.longer,))
        c, s = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        return np.array([[c, s], [-s, c]]) @ points + ((self.x,), (self.y,))

    def seen(self, size: tuple[int, int]) -> tuple[tuple[float, float, float, float], float]:
        """The box of its part inside a frame, and the share of its whole box that lies there (0-1)."""
        x1, y1, x2, y2 = whole = self.box()
        inside = max(x1, 0), max(y1, 0), min(x2, size[0]), min(y2, size[1])
        if inside == whole:
            return whole, 1.0
        share = max(inside[2] - inside[0], 0) * max(inside[3] - inside[1], 0) / ((x2 - x1) * (y2 - y1))
        x, y = self.points()
        here = (x >= 0) & (y >= 0) & (x <= size[0]) & (y <= size[1])
        x, y = (x[here], y[here]) if here.any() else (np.array(inside[::2]), np.array(inside[1::2]))
        ends = float(x.min()), float(y.min()), float(x.max()), float(y.max())
        cut = (edge != own for edge, own in zip(inside, whole, strict=True))  # a side that is cut off ends at the frame
        return tuple(edge if off else end for edge, end, off in zip(inside, ends, cut, strict=True)), share

    def draw(self, frame: Image.Image, scale: int) -> None:
        picture = drawn(self.thing, round(self.longer * scale, 1), round(self.angle % 360, 1), self.mirrored)
        corner = round(self.x * scale - picture.width / 2), round(self.y * scale - picture.height / 2)
        frame.paste(picture, corner, picture)


class Stretch(NamedTuple):
    """From `start` to `end` a thing goes evenly from one look to another."""

    start: float
    end: float
    first: Look
    last: Look

    def at(self, time_s: float) -> Look:
        share = (time_s - self.start) / (self.end - self.start)
        a, b = self.first, self.last
        mixed = {key: getattr(a, key) * (1 - share) + getattr(b, key) * share for key in ("x", "y", "longer", "angle")}
        return a if a == b else a._replace(**mixed)


@dataclass
class Actor:
    """One thing's part in a clip, perhaps first as one thing and then as another."""

    stretches: list[Stretch]

    def at(self, time_s: float) -> Look | None:
        """Its look at a time, None while it is not there."""
        return next((s.at(time_s) for s in self.stretches if s.start <= time_s < s.end), None)


def with_article(name: str) -> str:
    """
    >>> with_article("owl"), with_article("dog"), with_article("grapes")
    ('an owl', 'a dog', 'grapes')
    """
    return name if name in NO_ARTICLE else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


# --- writing ---------------------------------------------------------------------------------


def place_letters(text: str, font: Font, at: tuple[int, int]) -> list[tuple[str, int, tuple]]:
    """Each character but spaces: what it is, where it starts, and its box (its ink across, its line's cell in height).

    `at`: where the line begins, on the baseline. `Glyph` takes the same kind of box in every family.
    """
    x, placed = float(at[0]), []
    for character in text:
        shape = letter(font.face, font.size, character)
        if shape.mask:
            left, right = round(x) + shape.ink[0], round(x) + shape.ink[2]
            placed.append((character, round(x), (left, at[1] - font.ascent, right, at[1] - font.ascent + font.height)))
        x += shape.advance
    return placed


def write_letters(image: Image.Image, text: str, font: Font, at: tuple[int, int], colour, scale: int = 1) -> None:
    """Writes a line just where `place_letters` says."""
    for character, x, _ in place_letters(text, font, at):
        shape = letter(font.face, font.size * scale, character)
        image.paste(colour, (x * scale + shape.left, at[1] * scale + shape.top), shape.mask)


@dataclass
class Caption:
    """A line of text shown from `start` to `end`; `at`: where it begins, on the baseline; `strip`: the rows kept free for it.

    `ink` and `paper` are colours; the paper is a bar `across` the frame, or a box around the text.
    """

    text: str
    start: int
    end: int
    font: Font
    at: tuple[int, int]
    strip: tuple[int, int]
    ink: str
    paper: tuple[int, int, int, int]
    across: bool

    def glyphs(self) -> list[tuple[str, tuple]]:
        """Each character but spaces with its box."""
        return [(character, box) for character, _, box in place_letters(self.text, self.font, self.at)]

    def box(self) -> tuple[float, float, float, float]:
        return union([box for _, box in self.glyphs()])

    def draw(self, frame: Image.Image, scale: int) -> None:
        x1, y1, x2, y2 = self.box()
        box = (0, self.strip[0], frame.width, self.strip[1]) if self.across else (x1 - 4, y1 - 1, x2 + 4, y2 + 1)
        shape = [box[0] * scale, box[1] * scale, box[2] * scale - 1, box[3] * scale - 1]
        ImageDraw.Draw(frame, "RGBA").rounded_rectangle(shape, 0 if self.across else 4 * scale, fill=self.paper)
        write_letters(frame, self.text, self.font, self.at, self.ink, scale)


# --- events ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """What happens from `start` to `end` (whole seconds) to the thing, or is shown as the caption, `cast[who]` of its clip.

    `thing`: index of the thing before it, None for a caption; `text`: of the caption; `side` of an enter, leave or move;
    `other`: what a thing changes into.
    """

    kind: str
    start: int
    end: int
    who: int
    thing: int | None = None
    text: str = ""
    side: str = ""
    other: int | None = None

    @property
    def name(self) -> str:
        """The thing's name before the event, or the caption's text."""
        return self.text if self.thing is None else things()[self.thing].name

    @property
    def doing(self) -> str:
        """What the thing does, without its name: "moves to the left"."""
        verb = {"turn": "turn{} around", "change": "change{} into"}.get(self.kind, self.kind + "{}")
        words = {
            "enter": f" from the {self.side}",
            "leave": f" {LEAVES.get(self.side)}",
            "move": f" {MOVES.get(self.side)}",
            "change": "" if self.other is None else f" {with_article(things()[self.other].name)}",
        }
        return verb.format("" if self.name in PLURAL else "s") + words.get(self.kind, "")

    @property
    def sentence(self) -> str:
        """What happens, in English: one short sentence."""
        return f"The caption '{self.text}' is shown." if self.thing is None else f"The {self.name} {self.doing}."

    @property
    def sentence_zh(self) -> str:
        """What happens, in Chinese."""
        subject = self.text if self.thing is None else things()[self.thing].name_zh
        other = "" if self.other is None else things()[self.other].name_zh
        return SENTENCES_ZH[self.kind].format(subject, SIDES_ZH.get(self.side, other))


def at_rest(look: Look) -> Look:
    """A thing that has turned around and stands upright again."""
    return look._replace(angle=0.0)
