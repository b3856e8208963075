"""Rooms: a floor with a pattern, three walls, what stands there and what is painted on the floor, as one picture.

Bodies are ray-cast (`raycast`, whose axes and units these are); floor and walls fill the picture behind them in closed
form, their edges and patterns averaged over each pixel, and the floor is darkened by a shadow map that is blurred a little
for soft shadows, and more for the darkness where things touch it.

Pictures are planar `(3, H, W)` float32, 0-255. Source: Heckbert 1989 (patterns averaged over a pixel's footprint).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from .raycast import AMBIENT, DIRECT, FACTOR, Body, Eye, Posed, Trace, cast, interval, pose, shade

CELL = 0.04  # of the floor's shadow map, metres
SKIRTING = 0.09  # height of the board along the walls, metres
MARK, LETTER = (34, 40, 74), (255, 255, 255)
LETTER_SIZE = 15  # of a mark's letter, pixels at scale 1


@dataclass(frozen=True, eq=False)
class Mark:
    """Something painted on the floor: an outline `(N, 2)` of x and z, and a letter upright over a point of it."""

    letter: str
    outline: np.ndarray
    spot: tuple[float, float]


@dataclass(eq=False)
class Room:
    """A floor and three walls, what stands there, what is painted on the floor, the unit vector `(3,)` towards the light."""

    bodies: list[Body]
    light: np.ndarray
    pattern: str  # of the floor: checker, tiles, planks or plain
    floor: np.ndarray  # (2, 3) its two colours, 0-255
    wall: np.ndarray  # (3,)
    half_width: float
    depth: float
    tones: np.ndarray  # (64,) brightness of planks, 0-1
    marks: list[Mark] = field(default_factory=list)


# --- floor and walls -------------------------------------------------------------------------


def floor_light(room: Room) -> Image.Image:
    """The floor's shadow map, one pixel a `CELL`, x from the left wall and z from 0: 255 in full light."""
    x = (np.arange(-room.half_width, room.half_width, CELL, np.float32) + CELL / 2)[None]
    z = (np.arange(0, room.depth, CELL, np.float32) + CELL / 2)[:, None]
    dark, contact = (np.zeros((z.shape[0], x.shape[1]), np.float32) for _ in range(2))
    with np.errstate(all="ignore"):
        for one in pose(room.bodies):
            darken(dark, x, z, one, room.light)
            if one.corners[:, 1].max() > -0.1:  # stands on the floor
                darken(contact, x, z, one, np.array([0.0, -1.0, 0.0]))
    dark, contact = (Image.fromarray((255 * mask).astype(np.uint8)) for mask in (dark, contact))
    dark, contact = dark.filter(ImageFilter.GaussianBlur(1.2)), contact.filter(ImageFilter.GaussianBlur(2.6))
    left, near = (np.asarray(mask, np.float32) / 255 for mask in (dark, contact))
    return Image.fromarray((255 * (1 - 0.5 * left) * (1 - 0.45 * near)).astype(np.uint8))


def darken(dark: np.ndarray, x: np.ndarray, z: np.ndarray, one: Posed, light: np.ndarray) -> None:
    """Sets the cells of a map of the floor from which the light is hidden by a part."""
    thrown = (one.corners - light * (one.corners[:, 1:2] / light[1]))[:, ::2]
    first = np.floor((thrown.min(0) - [x[0, 0], z[0, 0]]) / CELL).astype(int).clip(0)
    last = np.ceil((thrown.max(0) - [x[0, 0], z[0, 0]]) / CELL).astype(int).clip(0) + 1
    window = slice(first[1], last[1]), slice(first[0], last[0])
    o = [row[0] * x[:, window[1]] + (row[2] * z[window[0]] - shift) for row, shift in zip(one.axes, one.shift, strict=True)]
    enters, leaves = interval(one.part, o, one.axes @ light.astype(np.float32))
    np.fmax(dark[window], ((leaves - np.maximum(enters, 0)) / 0.02).clip(0, 1), out=dark[window])


def backdrop(room: Room, eye: Eye, size, scale: float) -> np.ndarray:
    """The empty room with the shadows on its floor: `(3, H, W)`, 0-255.

    How near a plane is along a ray, 1 / t, is linear in the picture, and the plane with the largest value is the one seen.
    """
    u, v = eye.rays(size, scale)
    d = [row[0] * u + (row[1] * v + row[2])[:, None] for row in eye.rotation.T.astype(np.float32)]  # in the room's axes
    x, y, z = eye.position.tolist()
    nearest, which = d[2] / (room.depth - z), np.zeros(d[2].shape, np.uint8)
    for index, (side, away) in enumerate(((1, room.half_width - x), (-1, room.half_width + x)), 1):
        wall = d[0] * (side / away)
        if (wall[:, [0, -1]] > nearest[:, [0, -1]]).any():  # a side wall that is seen reaches the picture's left or right
            np.copyto(which, index, where=wall > nearest)
            nearest = np.maximum(nearest, wall)
    lead = d[1] / -y - nearest
    step = np.diff(lead, axis=0, append=2 * lead[-1:] - lead[-2:-1])
    share = (lead / np.maximum(abs(step), np.float32(1e-9)) + 0.5).clip(0, 1)
    floor_from = int(np.argmax(share.max(1) > 0)) if share.max() > 0 else len(v)
    walls_to = len(v) - int(np.argmax(share[::-1].min(1) < 1)) if share.min() < 1 else 0
    picture = np.empty((3, *share.shape), np.float32)
    above, below = slice(0, walls_to), slice(floor_from, None)
    picture[:, above] = wall_colours(room, -y - d[1][above] / nearest[above], which[above], nearest[above], u)
    floor = floor_colours(room, eye, [axis[below] for axis in d], size, scale)
    wall = picture[:, floor_from:walls_to]
    wall += share[floor_from:walls_to] * (floor[:, : walls_to - floor_from] - wall)
    picture[:, max(walls_to, floor_from) :] = floor[:, max(walls_to - floor_from, 0) :]
    return picture


def wall_colours(room: Room, height, which, nearest, u) -> np.ndarray:
    """Colours of wall points at a height over the floor (metres), with a skirting board: `(3, H, W)`."""
    facing = np.array([-room.light[2], -room.light[0], room.light[0]])  # the back, right and left wall to the light
    light = (0.76 + 0.3 * facing.clip(0)).astype(np.float32)[which] * (1 - 0.2 * np.exp(-height.clip(0) / 0.4))
    pixel = (u[1] - u[0]) / nearest  # metres
    board = 0.12 * ((SKIRTING - height) / pixel + 0.5).clip(0, 1) - 0.3 * (1 - abs(SKIRTING - height) / (0.012 + pixel)).clip(0)
    return (room.wall.astype(np.float32)[:, None, None] * (light * (1 + board))).clip(0, 255)


def floor_colours(room: Room, eye: Eye, d, size, scale: float) -> np.ndarray:
    """Colours of the floor where rays `d` of the room's axes meet it: `(3, H, W)`, 0-255."""
    left, down, near = eye.position.tolist()
    tall = -down
    t = tall / np.maximum(d[1], 1e-3)
    x, z = left + d[0] * t, near + d[2] * t
    across = t / (eye.camera(size).fx * scale)  # metres a pixel
    along = across * t / tall
    sine, cosine = abs(math.sin(eye.yaw)), math.cos(eye.yaw)
    blend = PATTERNS[room.pattern](x, z, cosine * across + sine * along, sine * across + cosine * along, room.tones)
    light = np.asarray(floor_shadows(room, eye, size, scale), np.float32)[-d[1].shape[0] :]
    light *= (AMBIENT + DIRECT * -room.light[1]) / 255
    first, second = room.floor.astype(np.float32)[:, :, None, None]
    return ((first + (second - first) * blend) * light).clip(0, 255)


def floor_shadows(room: Room, eye: Eye, size, scale: float) -> Image.Image:
    """The shadow map as the camera sees it on the floor, 0-255."""
    camera, turn, (x, y, z) = eye.camera(size), eye.rotation.T, eye.position
    focal = camera.fx * scale
    planes = turn @ [[1 / focal, 0, -camera.cx / camera.fx], [0, 1 / focal, -camera.cy / camera.fy], [0, 0, 1]]
    rows = np.array([(x + room.half_width) * planes[1] - y * planes[0], z * planes[1] - y * planes[2], CELL * planes[1]])
    pixels = tuple(round(side * scale) for side in size)
    steps = (rows / rows[2, 2]).ravel()[:8]
    return floor_light(room).transform(pixels, Image.Transform.PERSPECTIVE, steps, Image.Resampling.BILINEAR, fillcolor=255)


def squares(x, period: float, width):
    """A wave of -1 and 1 that changes every `period`, averaged over `width`."""
    x, width = x / (2 * period), width / (2 * period)
    total = lambda at: 1 - abs(2 * (at - np.floor(at)) - 1)
    return (total(x + width / 2) - total(x - width / 2)) / (2 * width)


def seams(x, period: float, thick: float, width):
    """The share 0-1 of `width` that lines of a thickness take, one every `period`."""
    x, width, thick = x / period, width / period, thick / period
    total = lambda at: (whole := np.floor(at)) * thick + np.minimum(at - whole, thick)
    return (total(x + width / 2) - total(x - width / 2)) / width


def checker(x, z, width_x, width_z, tones):
    return 0.5 + 0.5 * squares(x, 0.5, width_x) * squares(z, 0.5, width_z)


def tiles(x, z, width_x, width_z, tones):
    return 1 - (1 - seams(x, 0.5, 0.02, width_x)) * (1 - seams(z, 0.5, 0.02, width_z))


def planks(x, z, width_x, width_z, tones):
    plank = np.floor(x / 0.18)
    shifted = z + 0.53 * plank
    tone = tones[(plank.astype(np.int32) * 5 + (shifted / 1.4).astype(np.int32) * 11) & 63]
    grain = 0.05 * np.sin(95 * x + 2.5 * np.sin(2.3 * z + 20 * tone)) / (1 + 60 * width_x)
    gaps = np.maximum(seams(x, 0.18, 0.008, width_x), seams(shifted, 1.4, 0.008, width_z))
    return 0.5 * tone + grain + 0.9 * gaps


def plain(x, z, width_x, width_z, tones):
    return np.float32(0)


PATTERNS = {"checker": checker, "tiles": tiles, "planks": planks, "plain": plain}


# --- the picture -----------------------------------------------------------------------------


@lru_cache(maxsize=8)
def letter_font(pixels: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans Bold, which comes with Matplotlib."""
    folder = Path(find_spec("matplotlib").origin).parent  # importing it would take half a second
    return ImageFont.truetype(str(folder / "mpl-data" / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"), pixels)


def letter_box(mark: Mark, eye: Eye, size) -> tuple[float, float, float, float]:
    """The box `[x1, y1, x2, y2]` of a mark's letter, in pixels at scale 1."""
    x, y = eye.pixels([mark.spot[0], 0, mark.spot[1]], size)
    left, top, right, bottom = letter_font(LETTER_SIZE).getbbox(mark.letter, anchor="mm")
    return float(x + left), float(y + top), float(x + right), float(y + bottom)


def paint_marks(picture: Image.Image, room: Room, eye: Eye, size, scale: float) -> None:
    """Paints the marks on the floor of a picture, smoothed, with their letters on round plates."""
    mask = Image.new("L", tuple(side * 3 for side in picture.size))
    draw = ImageDraw.Draw(mask)
    for mark in room.marks:
        outline = np.insert(mark.outline, 1, 0, axis=1)
        x, y = eye.pixels([mark.spot[0], 0, mark.spot[1]], size) * scale * 3
        plate = 2.1 * LETTER_SIZE * scale
        draw.polygon([tuple(point) for point in eye.pixels(outline, size) * scale * 3], fill=255)
        draw.ellipse((x - plate, y - plate, x + plate, y + plate), fill=255)
    picture.paste(MARK, (0, 0), mask.reduce(3))
    for mark in room.marks:
        x, y = eye.pixels([mark.spot[0], 0, mark.spot[1]], size) * scale
        ImageDraw.Draw(picture).text((x, y), mark.letter, LETTER, letter_font(round(LETTER_SIZE * scale)), "mm")


def paint(room: Room, eye: Eye, size: tuple[int, int], *, scale: int = 1, trace: Trace | None = None) -> Image.Image:
    """The picture of a room, `size` times `scale` pixels; `trace` saves the work of `cast` when it was made for this scale."""
    trace = trace or cast(room.bodies, eye, size, FACTOR * scale)
    planes = backdrop(room, eye, size, scale)
    picture = Image.fromarray(np.moveaxis(planes.astype(np.uint8), 0, -1).copy())
    if room.marks:
        paint_marks(picture, room, eye, size, scale)
    layer = Image.fromarray(shade(room.bodies, room.light, eye, size, trace, FACTOR * scale))
    if not (bounds := layer.getchannel(3).getbbox()):
        return picture
    left, top = (side // FACTOR for side in bounds[:2])
    right, bottom = (-(-side // FACTOR) for side in bounds[2:])
    body = layer.crop((left * FACTOR, top * FACTOR, right * FACTOR, bottom * FACTOR)).reduce(FACTOR)
    picture.paste(body, (left, top), body)
    return picture
