"""Picture scenes of the embedded model's world, with exact ground truth.

A scene is a background with one to six things on it. Sizes are `(width, height)` in pixels, boxes
`[x1, y1, x2, y2]` in pixels of the picture, tight around the visible pixels that a thing would have
if nothing lay on top of it; at most a fifth of a thing is covered. Everything follows from the seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from .artwork import sprites, things, visible_box

HELD_OUT = 4_000_000_000  # seeds from here on are for evaluation; the training's come from the clock, in seconds
SIDE = (256, 640)  # shortest and longest side of a picture, pixels
EXTENT = (0.17, 0.52)  # longer side of a thing, as a share of sqrt(width * height)
MAX_COVER = 0.2  # share of the smaller box that may be covered


@dataclass
class Placed:
    """One thing in a scene: what it is and its box `[x1, y1, x2, y2]` in pixels. It is a `samples.Region`."""

    thing: int
    box_xyxy: tuple[float, float, float, float]
    page: int = 0

    @property
    def kind(self) -> str:
        return things()[self.thing].name

    @property
    def name(self) -> str:
        return things()[self.thing].name

    @property
    def category(self) -> str:
        return things()[self.thing].category


@dataclass
class Scene:
    """A picture and what lies in it, sorted by left edge."""

    image: Image.Image
    placed: list[Placed]

    @property
    def size(self) -> tuple[int, int]:
        return self.image.size

    def truth(self) -> list[dict]:
        """The things as plain dicts with `bbox_2d` (pixels), `label` and `category`."""
        return [{"bbox_2d": list(p.box_xyxy), "label": p.name, "category": p.category} for p in self.placed]


def random_size(rng: np.random.Generator) -> tuple[int, int]:
    """A picture size with sides of 256-640 pixels and an aspect ratio between 1:2 and 2:1."""
    low, high = SIDE
    aspect = math.exp(rng.uniform(-math.log(2), math.log(2)))
    shorter = rng.uniform(low, high / max(aspect, 1 / aspect))
    return round(shorter * max(aspect, 1)), round(shorter * max(1 / aspect, 1))


def render_scene(
    rng: np.random.Generator,
    *,
    size: tuple[int, int] | None = None,
    count: int | None = None,
    kinds: list[int] | None = None,
    soft: bool = True,
) -> Scene:
    """Renders one scene.

    `count` things (1-6 at random when None) of the given `kinds` (indices into `things()`, drawn with
    repeats when None). `soft` allows blur, changed contrast and noise over the whole picture.

    >>> scene = render_scene(np.random.default_rng(0), size=(320, 256), count=3)
    >>> scene.size, len(scene.placed)
    ((320, 256), 3)
    """
    size = size or random_size(rng)
    kinds = kinds if kinds is not None else random_kinds(rng, count or int(rng.integers(1, 7)))
    canvas = background(rng, size)
    boxes: list[tuple[float, float, float, float]] = []
    placed = []
    for kind in sorted(kinds, key=lambda _: rng.random()):
        sprite, box = place(rng, kind, size, boxes)
        if sprite is None:
            continue
        canvas.paste(sprite, (round(box[0]), round(box[1])), sprite)
        boxes.append(box)
        placed.append(Placed(kind, box))
    placed.sort(key=lambda p: (p.box_xyxy[0], p.box_xyxy[1]))
    return Scene(soften(rng, canvas) if soft else canvas, placed)


def random_kinds(rng: np.random.Generator, count: int) -> list[int]:
    """Kinds for `count` things: mostly different ones, sometimes several of one kind."""
    kinds = [int(k) for k in rng.choice(len(things()), size=count, replace=False)]
    if count > 1 and rng.random() < 0.4:
        repeats = int(rng.integers(2, count + 1))
        kinds[:repeats] = [kinds[0]] * repeats
    elif count > 1 and rng.random() < 0.3:  # neighbours in the list share a category
        start = int(rng.integers(0, len(things()) - count))
        kinds[: count // 2 + 1] = [start + i for i in range(count // 2 + 1)]
    return kinds


def turned_sprite(rng: np.random.Generator, kind: int, longer: float) -> Image.Image:
    """The artwork of one thing, its longer side about `longer` pixels, perhaps mirrored or turned."""
    sprite = sprites()[kind]
    scale = longer / max(sprite.size)
    stretch = math.exp(rng.normal(0, 0.08))
    target = (max(8, round(sprite.width * scale * stretch)), max(8, round(sprite.height * scale / stretch)))
    sprite = sprite.resize(target, Image.Resampling.BILINEAR, reducing_gap=2.0)
    if rng.random() < 0.3:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.35:
        sprite = sprite.rotate(float(rng.normal(0, 12)), Image.Resampling.BILINEAR, expand=True)
    return sprite.crop(visible_box(sprite))


def place(rng: np.random.Generator, kind: int, size: tuple[int, int], taken: list) -> tuple:
    """Finds a free spot: `(sprite, box)`, or `(None, None)` when none is found in 30 tries."""
    for attempt in range(30):
        shrink = 0.97**attempt
        longer = math.exp(rng.uniform(*np.log(EXTENT))) * math.sqrt(size[0] * size[1]) * shrink
        longer = min(longer, 0.9 * min(size))
        sprite = turned_sprite(rng, kind, longer) if attempt % 6 == 0 else sprite  # noqa: F821
        if sprite.width > size[0] or sprite.height > size[1]:
            continue
        x = int(rng.integers(0, size[0] - sprite.width + 1))
        y = int(rng.integers(0, size[1] - sprite.height + 1))
        box = (x, y, x + sprite.width, y + sprite.height)
        if all(cover(box, other) <= MAX_COVER for other in taken):
            return sprite, box
    return None, None


def cover(a: tuple, b: tuple) -> float:
    """Overlap of two boxes as a share of the smaller one (0-1)."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(width, 0) * max(height, 0) / smaller


# --- backgrounds -----------------------------------------------------------------------------


def random_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """A colour, more often light than dark."""
    base = rng.uniform(90, 255) if rng.random() < 0.8 else rng.uniform(0, 120)
    return tuple(int(v) for v in np.clip(base + rng.normal(0, 35, 3), 0, 255))


def plain(rng, size):
    return Image.new("RGB", size, random_colour(rng))


def gradient(rng, size):
    corners = np.array([[random_colour(rng), random_colour(rng)], [random_colour(rng), random_colour(rng)]], np.uint8)
    return Image.fromarray(corners).resize(size, Image.Resampling.BILINEAR)


def blobs(rng, size):
    cells = tuple(int(n) for n in rng.integers(3, 12, 2))
    spread = rng.uniform(8, 45)
    coarse = np.clip(np.array(random_colour(rng)) + rng.normal(0, spread, (*cells, 3)), 0, 255).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def horizon(rng, size):
    picture = Image.new("RGB", size, random_colour(rng))
    y = int(size[1] * rng.uniform(0.3, 0.8))
    ImageDraw.Draw(picture).rectangle((0, y, *size), fill=random_colour(rng))
    return picture


def stripes(rng, size):
    picture = Image.new("RGB", size, random_colour(rng))
    draw, colour = ImageDraw.Draw(picture), random_colour(rng)
    step, slant = int(rng.integers(12, 70)), int(rng.integers(-200, 200))
    for x in range(-200, size[0] + 200, step * 2):
        draw.polygon([(x, 0), (x + step, 0), (x + step + slant, size[1]), (x + slant, size[1])], fill=colour)
    return picture


def checks(rng, size):
    cell = int(rng.integers(14, 60))
    rows, columns = -(-size[1] // cell), -(-size[0] // cell)
    board = np.add.outer(np.arange(rows), np.arange(columns)) % 2
    colours = np.array([random_colour(rng), random_colour(rng)], np.uint8)
    return Image.fromarray(colours[board]).resize((columns * cell, rows * cell), Image.Resampling.NEAREST).crop((0, 0, *size))


def speckles(rng, size):
    picture = plain(rng, size)
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(20, 90))):
        x, y, r = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(1, 7)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=random_colour(rng))
    return picture


BACKGROUNDS = (plain, gradient, gradient, blobs, blobs, blobs, horizon, stripes, checks, speckles)


def background(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A random background: plain, gradient, cloudy, horizon, striped, chequered or speckled."""
    return BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))](rng, size)


def soften(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Perhaps blurs, perhaps changes contrast, brightness and colour, perhaps adds noise."""
    if rng.random() < 0.15:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2) * max(image.size) / 320))
    for enhance in (ImageEnhance.Contrast, ImageEnhance.Brightness, ImageEnhance.Color):
        if rng.random() < 0.2:
            image = enhance(image).enhance(rng.uniform(0.65, 1.3))
    if rng.random() < 0.15:
        noise = rng.normal(0, rng.uniform(2, 10), (image.height, image.width, 1))
        image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    return image
