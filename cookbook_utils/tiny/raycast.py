"""A small ray-caster: bodies of convex parts, seen by a camera, lit by one light with soft shadows, in milliseconds.

Axes are in metres: x right, y down, z forward; the floor is y = 0, so what stands on it has y < 0. A body is a union of
convex parts: box, sphere, upright cylinder, upright cone. A ray meets a convex part in one interval, and that one function
serves the picture, the shadows on bodies and the shadow map of a floor. Parts are traced within their own window of the
picture, at `FACTOR` times its resolution, to be shrunk.

Arrays are planar: points and colours are `(3, n)`, float32. Sources: Kay & Kajiya 1986 (slabs); Blinn 1977 (highlight).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np

from ..geometry3d import SIGNS, Camera

FACTOR = 2  # samples a pixel and direction
NEAR = 0.1  # metres
AMBIENT, DIRECT = 0.6, 0.52  # of the light; together a little above 1
SOFT = 0.05  # metres within a part that put a point in full shadow


@dataclass(frozen=True)
class Part:
    """A convex piece of a body: its form, centre and half sides (metres) in the body's axes, and its brightness."""

    form: str  # box, sphere, cylinder or cone
    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    tint: float = 1.0


@dataclass(eq=False, kw_only=True)
class Body:
    """Parts of one colour (0-255). Its axes: origin under its middle, y down; `yaw` turns it about y, in radians."""

    rgb: tuple[int, int, int]
    parts: list[Part]
    base: np.ndarray = field(default_factory=lambda: np.zeros(3))
    yaw: float = 0.0

    @property
    def axes(self) -> np.ndarray:
        """Rotation `(3, 3)` from the room's axes into the body's."""
        sine, cosine = math.sin(self.yaw), math.cos(self.yaw)
        return np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]], np.float32)

    def place(self, points) -> np.ndarray:
        """Points of the body's axes `(..., 3)` in the room."""
        return np.asarray(points) @ self.axes + self.base


@lru_cache(maxsize=256)
def camera_of(size: tuple[int, int], fov: float) -> Camera:
    return Camera.from_fov(size, fov)


@dataclass(frozen=True, eq=False)
class Eye:
    """A camera in a room, turned right by `yaw`, then down by `pitch` (radians); `fov` is horizontal, in degrees."""

    position: np.ndarray
    pitch: float
    yaw: float = 0.0
    fov: float = 60.0

    @cached_property
    def rotation(self) -> np.ndarray:
        """Rotation `(3, 3)` from the room's axes into the camera's: x right, y down, z forward."""
        (sine, cosine), (aside, ahead) = ((math.sin(angle), math.cos(angle)) for angle in (self.pitch, self.yaw))
        return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]) @ [[ahead, 0, -aside], [0, 1, 0], [aside, 0, ahead]]

    def camera(self, size) -> Camera:
        return camera_of(tuple(size), self.fov)

    def see(self, points) -> np.ndarray:
        """Points of the room `(..., 3)` in the camera's axes."""
        return (np.asarray(points) - self.position) @ self.rotation.T

    def pixels(self, points, size) -> np.ndarray:
        """Where points of the room `(..., 3)` lie in a picture, `(..., 2)`; NaN behind the camera."""
        seen, camera = self.see(points), self.camera(size)
        z = np.where(seen[..., 2] > 0, seen[..., 2], np.nan)
        return np.stack([camera.fx * seen[..., 0] / z + camera.cx, camera.fy * seen[..., 1] / z + camera.cy], -1)

    def rays(self, size, factor: float) -> tuple[np.ndarray, np.ndarray]:
        """`u` per column and `v` per row: the direction through a sample is `(u, v, 1)` in the camera's axes."""
        camera = self.camera(size)
        u, v = ((np.arange(round(side * factor)) + 0.5) / factor for side in size)
        return ((u - camera.cx) / camera.fx).astype(np.float32), ((v - camera.cy) / camera.fy).astype(np.float32)

    def ground(self, pixel, size, height: float = 0.0) -> np.ndarray | None:
        """The point `(3,)` at `height` metres over the floor that a pixel shows, None when its ray does not go down there."""
        camera = self.camera(size)
        ray = np.array([(pixel[0] - camera.cx) / camera.fx, (pixel[1] - camera.cy) / camera.fy, 1]) @ self.rotation
        fall = -height - self.position[1]
        return self.position + ray * fall / ray[1] if ray[1] > 1e-6 and fall > 0 else None


@dataclass(eq=False)
class Posed:
    """A part where it stands: its body and the body's index, the rotation into the body's axes, and its box's corners."""

    owner: int
    body: Body
    part: Part
    axes: np.ndarray  # (3, 3) float32
    shift: np.ndarray  # (3,) float32, the part's centre in the room, in the body's axes
    corners: np.ndarray  # (8, 3) in the room

    def into(self, points: np.ndarray) -> np.ndarray:
        """A point `(3,)` or points `(3, n)` of the room in the part's own axes, float32."""
        turned = self.axes @ np.asarray(points, np.float32)
        return turned - (self.shift if turned.ndim == 1 else self.shift[:, None])


def pose(bodies: list[Body]) -> list[Posed]:
    """Every part of the bodies, in a fixed order."""
    posed = []
    for owner, body in enumerate(bodies):
        axes = body.axes
        base = axes @ body.base.astype(np.float32)
        for part in body.parts:
            centre = base + np.array(part.centre, np.float32)
            posed.append(Posed(owner, body, part, axes, centre, (centre + SIGNS * part.half) @ axes))
    return posed


# --- where rays meet parts -------------------------------------------------------------------


def between(o, d, half):
    """Where rays are between two parallel planes `half` to each side: (enters, leaves)."""
    inverse = 1 / (d + np.float32(1e-9))
    middle, reach = -o * inverse, abs(half * inverse)
    return middle - reach, middle + reach


def within_round(part: Part, o, d):
    """Where rays are in the sphere, the endless cylinder or the endless cone of a part: (enters, leaves), NaN beside it."""
    radius, tall = part.half[0], part.half[1]
    squash, free, oy = {"sphere": (1.0, radius**2, o[1]), "cylinder": (0.0, radius**2, 0.0), "cone": (0.0, 0.0, 0.0)}[part.form]
    if part.form == "cone":  # measured from the tip
        squash, oy = -((radius / (2 * tall)) ** 2), o[1] + tall
    a = d[0] * d[0] + d[2] * d[2] + squash * d[1] * d[1] + np.float32(1e-9)  # not 0 along the axis of a cylinder
    b = o[0] * d[0] + o[2] * d[2] + squash * oy * d[1]
    root = np.sqrt(b * b - a * (o[0] * o[0] + o[2] * o[2] + squash * oy * oy - free))
    enters, leaves = (-b - root) / a, (-b + root) / a
    if part.form == "cone":  # a ray steeper than its side enters or leaves it once
        steep, down = a < 0, d[1] > 0
        return np.where(steep & ~down, -np.inf, enters), np.where(steep & down, np.inf, leaves)
    return enters, leaves


def interval(part: Part, o, d):
    """Where rays `o + t d`, in the part's own axes, are inside it: (enters, leaves); beside it `enters < leaves` is False.

    `o` and `d` are three numbers or arrays each, of shapes that broadcast.

    >>> interval(Part("box", (0, 0, 0), (1, 1, 1)), (0.0, 0.0, -5.0), (0.0, 0.0, 1.0))[0].item()
    4.0
    """
    if part.form == "box":
        spans = [between(o[k], d[k], part.half[k]) for k in range(3)]
    else:
        spans = [within_round(part, o, d), between(o[1], d[1], part.half[1])]
    enters, leaves = zip(*spans, strict=True)
    return np.maximum(np.maximum(*enters[:2]), enters[-1]), np.minimum(np.minimum(*leaves[:2]), leaves[-1])


def normals(part: Part, p: np.ndarray) -> np.ndarray:
    """Unit normals `(3, n)` at points `(3, n)` of a part's surface, both in the part's own axes."""
    if part.form == "box":
        near = abs(p) / np.array(part.half, np.float32)[:, None]
        return np.sign(p) * (near == near.max(0))
    n, (radius, tall, _) = np.empty_like(p), part.half
    if part.form == "sphere":
        return p / radius
    slope = radius / (2 * tall) if part.form == "cone" else 0.0
    n[::2] = p[::2] / np.maximum(np.hypot(p[0], p[2]), 1e-6) / math.hypot(1, slope)
    n[1] = -slope / math.hypot(1, slope)
    ends = p[1] > tall - 2e-3 if part.form == "cone" else abs(p[1]) > tall - 2e-3
    n[:, ends] = 0
    n[1, ends] = np.sign(p[1, ends])
    return n


@dataclass(eq=False)
class Trace:
    """What each sample of a picture meets; arrays `(H, W)` at `factor` times the picture's resolution."""

    parts: np.ndarray  # uint8: 0 nothing, else 1 + index of the part
    posed: list[Posed]
    depth: np.ndarray  # metres along the camera's z
    outlines: np.ndarray  # uint16: bit k is set where body k would be seen if it were alone
    windows: list[tuple[slice, slice] | None]  # of each part

    def window(self, owner: int) -> tuple[slice, slice]:
        """The rows and columns of samples on which a body can lie."""
        mine = [window for one, window in zip(self.posed, self.windows, strict=True) if window and one.owner == owner]
        rows, columns = zip(*mine, strict=True) if mine else ([slice(0, 0)], [slice(0, 0)])
        return tuple(slice(min(s.start for s in sides), max(s.stop for s in sides)) for sides in (rows, columns))


def windows_of(posed: list[Posed], eye: Eye, size, factor: float) -> list[tuple[slice, slice] | None]:
    """The rows and columns of samples on which each part can lie, None for one that is out of the picture."""
    corners = eye.see(np.array([one.corners for one in posed]).reshape(-1, 8, 3))
    camera, z = eye.camera(size), corners[..., 2:].clip(NEAR)
    pixels = corners[..., :2] / z * camera.fx + [camera.cx, camera.cy]
    around = corners[..., 2].min(1) < NEAR  # partly behind the camera: anywhere
    low = np.where(around[:, None], 0, np.floor(pixels.min(1) * factor)).clip(0)
    high = np.where(around[:, None], np.inf, np.ceil(pixels.max(1) * factor)).clip(None, np.round(np.array(size) * factor))
    inside = (high > low).all(1) & (corners[..., 2].max(1) > NEAR)
    bounds = zip(inside.tolist(), low.astype(int).tolist(), high.astype(int).tolist(), strict=True)
    return [(slice(y1, y2), slice(x1, x2)) if seen else None for seen, (x1, y1), (x2, y2) in bounds]


def cast(bodies: list[Body], eye: Eye, size: tuple[int, int], factor: float = FACTOR) -> Trace:
    """Traces every part of the bodies."""
    u, v = eye.rays(size, factor)
    shape, posed, back = (len(v), len(u)), pose(bodies), eye.rotation.T.astype(np.float32)
    depth, parts, outlines = np.full(shape, np.inf, np.float32), np.zeros(shape, np.uint8), np.zeros(shape, np.uint16)
    windows = windows_of(posed, eye, size, factor)
    with np.errstate(all="ignore"):
        for index, (one, window) in enumerate(zip(posed, windows, strict=True), 1):
            if window is None:
                continue
            columns, rows = u[window[1]], v[window[0]][:, None]
            d = [x * columns + (y * rows + z) for x, y, z in one.axes @ back]
            enters, leaves = interval(one.part, one.into(eye.position), d)
            hit = (enters < leaves) & (enters > NEAR)
            outlines[window] |= hit.astype(np.uint16) << one.owner
            first = hit & (enters < depth[window])
            np.copyto(depth[window], enters, where=first)
            np.copyto(parts[window], np.uint8(index), where=first)
    return Trace(parts, posed, depth, outlines, windows)


# --- light on bodies -------------------------------------------------------------------------


def shade(bodies: list[Body], light: np.ndarray, eye: Eye, size, trace: Trace, factor: float = FACTOR) -> np.ndarray:
    """The bodies alone, `light` the unit vector `(3,)` towards the light: RGBA uint8 `(H, W, 4)`, zero where there are none."""
    u, v = eye.rays(size, factor)
    layer = np.zeros(trace.parts.size, np.uint32)  # the four bytes of each sample at once, which is several times faster
    light, near, back = light.astype(np.float32), near_parts(trace.posed, light), eye.rotation.T.astype(np.float32)
    for index, (one, window) in enumerate(zip(trace.posed, trace.windows, strict=True)):
        at, rows, columns = samples_of(trace, index, window)
        if not len(at):
            continue
        d = one.axes @ back @ np.stack([u.take(columns), v.take(rows), np.ones(len(at), np.float32)])
        p = one.into(eye.position)[:, None] + trace.depth.ravel().take(at) * d
        colours = np.full((len(at), 4), 255, np.uint8)
        colours[:, :3] = brightness(light, one, p, d, near[index]).clip(0, 255).T
        layer[at] = colours.view(np.uint32)[:, 0]
    return layer.view(np.uint8).reshape(*trace.parts.shape, 4)


def samples_of(trace: Trace, index: int, window: tuple[slice, slice] | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The samples that show a part: their places in the flat picture, their rows, their columns; `(n,)` each."""
    if window is None:
        return (np.zeros(0, np.int32),) * 3
    flat = np.flatnonzero(trace.parts[window] == index + 1).astype(np.int32)
    width = np.int32(window[1].stop - window[1].start)
    rows = flat // width
    columns = flat - rows * width + np.int32(window[1].start)
    rows += np.int32(window[0].start)
    return rows * np.int32(trace.parts.shape[1]) + columns, rows, columns


def brightness(light: np.ndarray, one: Posed, p, d, others: list[Posed]) -> np.ndarray:
    """Colours `(3, n)`, 0-255, of points `(3, n)` of a part seen along `d`, all in its own axes."""
    part, n, towards = one.part, normals(one.part, p), one.axes @ light
    lit = (towards @ n).clip(0)
    faces = np.flatnonzero(lit > 0.02)
    if others and len(faces):
        points = one.axes.T @ (p[:, faces] + one.shift[:, None])
        lit[faces] *= 1 - shadow(light, points, others)
    height = -(p[1] + part.centre[1])  # over what the body stands on
    ambient = AMBIENT * (1 - 0.16 * n[1]) * (1 - 0.35 * np.exp(-height.clip(0) / 0.07))
    colours = part.tint * np.array(one.body.rgb, np.float32)[:, None] * (ambient + DIRECT * lit)
    if part.form in ("sphere", "cylinder", "cone"):
        half = towards[:, None] - d / np.linalg.norm(d, axis=0)
        glint = ((half * n).sum(0) / np.linalg.norm(half, axis=0)).clip(0) ** 30
        colours += 70 * glint * (lit > 0.05)
    return colours


def near_parts(posed: list[Posed], light: np.ndarray) -> list[list[Posed]]:
    """For each part those that may throw a shadow on it, by the balls around them."""
    corners = np.array([one.corners for one in posed]).reshape(-1, 8, 3)
    centres = corners.mean(1)
    radii = np.linalg.norm(corners[:, 0] - centres, axis=1)
    away = centres[None] - centres[:, None]  # [i, j] from i to j
    ahead = away @ light
    beside = np.sqrt(np.maximum((away**2).sum(-1) - ahead**2, 0))
    reach = radii[None] + radii[:, None]
    may = (beside < reach) & (ahead > -reach) & ~np.eye(len(posed), dtype=bool)
    return [[posed[j] for j in np.flatnonzero(row)] for row in may]


def shadow(light: np.ndarray, points: np.ndarray, others: list[Posed]) -> np.ndarray:
    """How much `(n,)`, 0-1, other parts keep the light from points `(3, n)` of the room: soft where a ray only grazes them."""
    way = np.zeros(points.shape[1], np.float32)  # metres of a ray inside other parts, summed, so that joints let no light through
    with np.errstate(all="ignore"):
        for other in others:
            enters, leaves = interval(other.part, other.into(points), other.axes @ light)
            way += np.fmax(leaves - np.maximum(enters, 2e-3), 0).clip(0, SOFT)  # fmax: NaN, beside it, counts nothing
    return way.clip(0, SOFT) / SOFT
