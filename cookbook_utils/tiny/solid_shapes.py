"""The things that stand in rooms of solids: boxes, cylinders, spheres, cones and simple furniture in eight colours.

A `Solid` is a `raycast.Body` that knows its shape, colour and sides; its axes and units are those of `raycast`.
Source: Okabe & Ito 2008 (colours that stay apart for the colour-blind).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ..geometry3d import SIGNS
from .raycast import Body, Part

COLOURS = {
    "red": (200, 40, 36), "orange": (230, 126, 10), "yellow": (244, 228, 76), "green": (0, 152, 108),
    "blue": (24, 92, 196), "pink": (236, 158, 204), "white": (242, 242, 238), "black": (48, 48, 52),
}  # fmt: skip
ROUND = ("cylinder", "sphere", "cone")
SIMPLE = ("box", *ROUND)
SHAPES = (*SIMPLE, "table", "chair", "shelf", "basket")


@dataclass(eq=False, kw_only=True)
class Solid(Body):
    """A thing: `sides` are its width, height and depth in metres.

    `spots` are points to use it by, in its own axes, with half the height and width of what is there: the `seat` of a
    chair, the `handle` of a basket.
    """

    shape: str
    colour: str
    sides: tuple[float, float, float]
    spots: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = field(default_factory=dict)
    stands_on: Solid | None = None

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"

    @property
    def centre(self) -> np.ndarray:
        """In the room, `(3,)` metres."""
        return self.base - [0, self.sides[1] / 2, 0]

    @property
    def top(self) -> float:
        """Height of its highest point over the floor, metres."""
        return float(self.sides[1] - self.base[1])

    def corners(self) -> np.ndarray:
        """The eight corners of its box in the room, `(8, 3)`."""
        return self.place((SIGNS - [0, 1, 0]) * np.array(self.sides) / 2)


def reach_of(solid: Solid) -> float:
    """The radius of the circle around its footprint, metres."""
    return math.hypot(solid.sides[0], solid.sides[2]) / (1 if solid.shape not in ROUND else math.sqrt(2)) / 2


def brick(sx: float, low: float, high: float, sz: float, x: float = 0.0, z: float = 0.0, tint: float = 1.0) -> Part:
    """A box-shaped part between two heights over the solid's base."""
    return Part("box", (x, -(low + high) / 2, z), (sx / 2, (high - low) / 2, sz / 2), tint)


def legs(sx: float, sz: float, height: float, thick: float) -> list[Part]:
    """Four legs within a footprint."""
    x, z = (sx - thick) / 2, (sz - thick) / 2
    return [brick(thick, 0, height, thick, i * x, k * z, 0.82) for i in (-1, 1) for k in (-1, 1)]


def simple(rng, shape: str, small: bool) -> dict:
    """A box, or a round solid, of one part."""
    low, high = (0.2, 0.36) if small else (0.28, 0.8)
    sx, sy, sz = rng.uniform(low, high, 3).tolist()
    if shape in ROUND:
        sx = sz = min(sx, 0.65)
        sy = sx if shape == "sphere" else max(sy, 0.7 * sx)
    return {"sides": (sx, sy, sz), "parts": [Part(shape, (0, -sy / 2, 0), (sx / 2, sy / 2, sz / 2))]}


def table(rng) -> dict:
    (sx, sy, sz), thick = rng.uniform((0.8, 0.5, 0.6), (1.25, 0.72, 0.85)).tolist(), 0.06
    return {"sides": (sx, sy, sz), "parts": [brick(sx, sy - thick, sy, sz), *legs(sx, sz, sy - thick, 0.07)]}


def chair(rng) -> dict:
    (sx, sy, sz), seat = rng.uniform((0.42, 0.85, 0.42), (0.54, 1.0, 0.54)).tolist(), rng.uniform(0.42, 0.48)
    back = brick(sx, seat, sy, 0.05, z=sz / 2 - 0.025, tint=0.92)
    parts = [brick(sx, seat - 0.06, seat, sz), back, *legs(sx, sz, seat - 0.06, 0.05)]
    return {"sides": (sx, sy, sz), "parts": parts, "spots": {"seat": ((0, -seat, -0.025), (sx / 2, 0, sz / 2 - 0.025))}}


def shelf(rng) -> dict:
    (sx, sy, sz), boards = rng.uniform((0.55, 0.9, 0.28), (0.95, 1.4, 0.4)).tolist(), int(rng.integers(3, 5))
    sides = [brick(0.04, 0, sy, sz, x=i * (sx / 2 - 0.02)) for i in (-1, 1)]
    heights = np.linspace(0.05, sy - 0.02, boards).tolist()
    shelves = [brick(sx - 0.08, h - 0.02, h + 0.02, sz - 0.03, z=-0.015) for h in heights]
    return {"sides": (sx, sy, sz), "parts": [*sides, *shelves, brick(sx - 0.08, 0, sy, 0.03, z=sz / 2 - 0.015, tint=0.85)]}


def basket(rng) -> dict:
    (sx, body, sz), arch = rng.uniform((0.4, 0.2, 0.28), (0.55, 0.28, 0.38)).tolist(), rng.uniform(0.16, 0.24)
    sy, x, z = body + arch, sx / 2 - 0.015, sz / 2 - 0.015
    walls = [brick(0.03, 0, body, sz, x=i * x) for i in (-1, 1)] + [brick(sx, 0, body, 0.03, z=i * z) for i in (-1, 1)]
    handle = [brick(0.04, body, sy, 0.04, x=i * (sx / 2 - 0.02), tint=0.85) for i in (-1, 1)]
    handle.append(brick(sx, sy - 0.04, sy, 0.04, tint=0.85))
    spots = {"handle": ((0, 0.02 - sy, 0), (sx / 2, 0.02, 0.02))}
    return {"sides": (sx, sy, sz), "parts": [*walls, brick(sx, 0, 0.03, sz, tint=0.7), *handle], "spots": spots}


MAKERS = {"table": table, "chair": chair, "shelf": shelf, "basket": basket}


def make_solid(rng: np.random.Generator, shape: str, colour: str, *, small: bool = False) -> Solid:
    """A solid of random sides at the origin; `small` ones (simple shapes only) can stand on a table.

    >>> make_solid(np.random.default_rng(0), "sphere", "red").name
    'red sphere'
    """
    made = MAKERS[shape](rng) if shape in MAKERS else simple(rng, shape, small)
    return Solid(shape=shape, colour=colour, rgb=COLOURS[colour], **made)
