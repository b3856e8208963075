"""Solids on a floor under a known camera, with exact ground truth in three dimensions.

One to four things (boxes, cylinders, spheres, cones, simple furniture) in eight colours stand in a room, each pair of
colour and shape at most once, so that "the red box" is one thing. `raycast` draws them; rooms, cameras and axes are its.

**The 3D box** `[x, y, z, sx, sy, sz, a, b, c]` is that of `geometry3d`, in the camera's axes. Everything stands upright,
so its rotation is `Rx(pitch) Ry(yaw)`: the camera's pitch, which all boxes of a picture share, and the solid's own yaw.
A box turned by a quarter with two sides swapped is the same box; the form used here is the one whose yaw, seen from the
camera, is within an eighth of a turn, and 0 for what is round. So `sx` is the side that runs most to the right, `sy` the
height, `sz` the depth, and with yaw 0 the angles are `[pitch, 0, 0]`. In a single picture no yaw comes nearer than 7
degrees to where that form would jump.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from ..geometry3d import Camera, bbox_2d_of
from .raycast import FACTOR, Eye, Trace, cast
from .rooms import Mark, Room, letter_box, paint
from .samples import Glyph
from .solid_shapes import COLOURS, MAKERS, ROUND, SHAPES, SIMPLE, Solid, make_solid, reach_of
from .turns import pick

SIZES = {(320, 256): 1}  # one format, as of one camera: its field of view being told across, another moves every distance
FREE = "free floor"
KINDS = (*(f"{colour} {shape}" for shape in SHAPES for colour in COLOURS), FREE)
FOVS = (45, 50, 70, 75)  # degrees, beside the usual 60
LEAST_VISIBLE = 0.6  # share of each solid that nothing hides
LEAST_SIDE = 20  # pixels, of the box in the picture
MOST_TURN = math.radians(38)


@dataclass(eq=False)
class Seen:
    """A solid in a picture. It is a `samples.Region`: `box_xyxy` is tight around its visible pixels."""

    solid: Solid
    box_xyxy: tuple[float, float, float, float]
    bbox_3d: list[float]  # metres and half-turns, not rounded
    visible: float  # the share of its outline in the picture that nothing hides
    page: int = 0

    @property
    def kind(self) -> str:
        return self.solid.name

    @property
    def distance(self) -> float:
        """From the camera to its centre, metres."""
        return math.dist(self.bbox_3d[:3], (0, 0, 0))


@dataclass(eq=False)
class Arrow:
    """An arrow painted on the floor, the solid that it leads to, if any, and its letter as a glyph of the picture."""

    mark: Mark
    goal: Solid | None
    glyph: Glyph


@dataclass(eq=False)
class View:
    """A room as one camera sees it: the picture, what is in it from left to right, and whose each sample is.

    `owners` `(H, W)`, at `FACTOR` times the resolution, is 0 for floor and walls, else 1 + the index into `room.bodies`.
    """

    room: Room
    eye: Eye
    size: tuple[int, int]
    seen: list[Seen]
    owners: np.ndarray
    image: Image.Image | None = None
    arrows: list[Arrow] = field(default_factory=list)
    memo: dict[str, object] = field(default_factory=dict)  # what was worked out once and has to stay the same object

    @property
    def camera(self) -> Camera:
        return self.eye.camera(self.size)

    def find(self, solid: Solid) -> Seen:
        """How a solid of the room is seen here."""
        return next(s for s in self.seen if s.solid is solid)

    def owner_at(self, pixel) -> int:
        """Whose the sample at a pixel is, as in `owners`; -1 outside the picture."""
        x, y = (int(v * FACTOR // 1) for v in pixel)
        return int(self.owners[y, x]) if 0 <= y < self.owners.shape[0] and 0 <= x < self.owners.shape[1] else -1

    def truth(self) -> list[dict]:
        """The solids from left to right as plain dicts: boxes in pixels and metres, label, category, color, distance.

        `bbox_2d` holds the visible pixels; `bbox_2d_projected` is around the corners of the 3D box, hidden or not.
        """
        return [{
            "bbox_2d": list(s.box_xyxy), "bbox_2d_projected": bbox_2d_of(s.bbox_3d, self.camera, self.size),
            "bbox_3d": [round(v, 4) for v in s.bbox_3d], "label": s.kind, "category": s.solid.shape,
            "color": s.solid.colour, "visible": round(s.visible, 3), "distance": round(s.distance, 3),
        } for s in self.seen]  # fmt: skip


def bbox_3d_of(solid: Solid, eye: Eye) -> list[float]:
    """The 3D box of a solid in a camera's axes, in the one form that the head of this module describes."""
    (sx, sy, sz), yaw = solid.sides, 0.0 if solid.shape in ROUND else solid.yaw - eye.yaw
    quarters = round(yaw / (math.pi / 2))
    sx, sz = (sz, sx) if quarters % 2 else (sx, sz)
    yaw -= quarters * math.pi / 2
    (sine, cosine), (aside, ahead) = ((math.sin(angle), math.cos(angle)) for angle in (eye.pitch, yaw))
    angles = math.atan2(sine, cosine * ahead), math.asin(cosine * aside), math.atan2(sine * aside, ahead)  # of Rx(pitch) Ry(yaw)
    return [*eye.see(solid.centre).tolist(), sx, sy, sz, *(angle / math.pi for angle in angles)]


# --- rooms -----------------------------------------------------------------------------------

FLOORS = {
    "checker": [((214, 208, 196), (150, 146, 140)), ((206, 214, 220), (140, 152, 166))],
    "tiles": [((196, 190, 180), (140, 134, 126)), ((178, 188, 190), (120, 130, 134))],
    "planks": [((222, 188, 142), (146, 104, 66)), ((196, 158, 118), (120, 84, 56)), ((214, 202, 184), (150, 136, 116))],
    "plain": [((196, 186, 172),) * 2, ((170, 180, 184),) * 2, ((186, 190, 172),) * 2],
}  # fmt: skip
WALLS = ((214, 220, 226), (228, 220, 204), (206, 218, 204), (226, 210, 208), (196, 204, 216))


def empty_room(rng: np.random.Generator, *, half_width: float = 3.9) -> Room:
    """A room without anything in it, light from somewhere behind the camera."""
    azimuth, rise = rng.choice((-1, 1)) * math.radians(rng.uniform(20, 95)), math.radians(rng.uniform(44, 64))
    light = np.array([math.sin(azimuth) * math.cos(rise), -math.sin(rise), -math.cos(azimuth) * math.cos(rise)])
    pattern = pick(rng, ("checker", "checker", "planks", "planks", "tiles", "plain"))
    floor, wall = np.array(pick(rng, FLOORS[pattern]), float), np.array(pick(rng, WALLS), float)
    return Room([], light, pattern, floor, wall, half_width, float(rng.uniform(5.2, 5.8)), rng.random(64, np.float32))


def random_eye(rng: np.random.Generator, size, fov: float = 60.0) -> Eye:
    """A camera at 1.35-1.45 m that looks 15-19 degrees down, 7 more for an upright picture, and a little aside.

    Four degrees more or less move a solid's distance by a fifth: a wider range was too hard for the model's size.
    """
    position = np.array([0, -rng.uniform(1.35, 1.45), 0])
    pitch = rng.uniform(15, 19) + (7 if size[1] > size[0] else 0)
    return Eye(position, math.radians(pitch), math.radians(rng.uniform(-5, 5)), fov)


def in_picture(eye: Eye, points: np.ndarray, size) -> np.ndarray | None:
    """The box `[x1, y1, x2, y2]` in pixels around points `(N, 3)` of the room, None unless all are in the picture."""
    pixels = eye.pixels(points, size)
    low, high = pixels.min(0), pixels.max(0)
    return np.concatenate([low, high]) if (low > 2).all() and (high < np.array(size) - 2).all() else None


def in_frame(solid: Solid, eye: Eye, size) -> np.ndarray | None:
    """The box of a solid's projected corners, None unless the whole is in the picture and large enough."""
    box = in_picture(eye, solid.corners(), size)
    return box if box is not None and (box[2:] - box[:2]).min() >= LEAST_SIDE else None


def hidden(a: np.ndarray, b: np.ndarray) -> float:
    """The overlap of two boxes as a share of the smaller one."""
    shared = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0).prod()
    return float(shared / min((a[2:] - a[:2]).prod(), (b[2:] - b[:2]).prod()))


def put_on_floor(rng, solid: Solid, room: Room, eye: Eye, size) -> bool:
    """Stands a solid somewhere in the picture, apart from the others; False when 40 tries find no place."""
    reach, boxes = reach_of(solid), [in_frame(other, eye, size) for other in room.bodies]
    aspect, (sine, cosine) = math.tan(math.radians(eye.fov / 2)), (math.sin(eye.yaw), math.cos(eye.yaw))
    for _ in range(40):
        ahead = rng.uniform(1.6, 4.4)
        aside = rng.uniform(-1, 1) * aspect * ahead
        solid.base = np.array([aside * cosine + ahead * sine, 0, ahead * cosine - aside * sine])
        turn = 0.0 if solid.shape in ROUND else rng.uniform(-MOST_TURN, MOST_TURN)
        solid.yaw = eye.yaw + turn + (math.pi / 2) * int(rng.integers(4) if solid.shape == "chair" else 0)
        apart = all(math.dist(solid.base[::2], other.base[::2]) > reach + reach_of(other) + 0.05 for other in room.bodies)
        box = in_frame(solid, eye, size) if apart and solid.base[2] + reach < room.depth - 0.05 else None
        if box is not None and all(other is None or hidden(box, other) < 0.45 for other in boxes):
            return True
    return False


def put_on_top(rng, solid: Solid, under: Solid, eye: Eye, size) -> bool:
    """Stands a small solid on a table or box; False when it does not fit."""
    reach = reach_of(solid)
    room = np.array(under.sides)[::2] / 2 - reach
    if room.min() < 0:
        return False
    x, z = rng.uniform(-room, room)
    solid.base, solid.stands_on = under.place([x, -under.sides[1], z]), under
    solid.yaw = eye.yaw + (0.0 if solid.shape in ROUND else rng.uniform(-MOST_TURN, MOST_TURN))
    return in_frame(solid, eye, size) is not None


def furnish(rng: np.random.Generator, room: Room, eye: Eye, size, count: int, level: float) -> None:
    """Puts up to `count` solids into a room; at level 0 only simple ones, all on the floor."""
    taken: set[tuple[str, str]] = set()
    for _ in range(count):
        bearers = [s for s in room.bodies if s.shape in ("table", "box") and not any(o.stands_on is s for o in room.bodies)]
        on_top = bool(bearers) and rng.random() < 0.55 * level
        furniture = sum(s.shape in MAKERS for s in room.bodies)  # two at most: it takes the most time to draw
        shapes = SIMPLE if on_top or furniture > 1 or rng.random() > 0.6 * level else tuple(MAKERS)
        if room.bodies and rng.random() < 0.3:  # several of a shape, so that there is something to tell apart
            shapes = tuple(s.shape for s in room.bodies if s.shape in shapes) or shapes
        shape, colour = pick(rng, shapes), pick(rng, tuple(COLOURS))
        solid = make_solid(rng, shape, colour, small=on_top)
        if (shape, colour) in taken:
            continue
        if put_on_top(rng, solid, pick(rng, bearers), eye, size) if on_top else put_on_floor(rng, solid, room, eye, size):
            taken.add((shape, colour))
            room.bodies.append(solid)


# --- arrows ----------------------------------------------------------------------------------


def arrow_outline(start: np.ndarray, end: np.ndarray, bend: float, thick: float = 0.09) -> tuple[np.ndarray, np.ndarray]:
    """The outline `(N, 2)` of a bent arrow on the floor, and its middle `(2,)`; all in metres of x and z."""
    side = np.array([-(end - start)[1], (end - start)[0]])
    t = np.linspace(0, 1, 15)[:, None]
    line = start + t * (end - start) + 4 * t * (1 - t) * bend * side
    ahead = np.gradient(line, axis=0)
    normal = np.stack([-ahead[:, 1], ahead[:, 0]], 1) / np.linalg.norm(ahead, axis=1)[:, None]
    neck = np.flatnonzero(np.linalg.norm(line - end, axis=1) > 0.2)[-1] + 1
    left, right = (line[:neck] + sign * thick / 2 * normal[:neck] for sign in (1, -1))
    head = [line[neck - 1] + 0.13 * normal[neck - 1], end, line[neck - 1] - 0.13 * normal[neck - 1]]
    return np.concatenate([left, head, right[::-1]]), line[6]


def lay_arrows(rng: np.random.Generator, room: Room, eye: Eye, size) -> list[Arrow]:
    """Three arrows from one place on the floor, one to a solid or more, the others to nowhere; [] when they do not fit."""
    start = eye.ground((size[0] * rng.uniform(0.42, 0.58), size[1] * rng.uniform(0.92, 0.97)), size)
    goals = [s for s in room.bodies if s.stands_on is None]
    goals = [goals[int(i)] for i in rng.permutation(len(goals))[:3]]
    ends = [goal.base + (start - goal.base) * (reach_of(goal) + 0.1) / math.dist(start, goal.base) for goal in goals]
    for _ in range(30):
        if len(ends) < 3:
            free = eye.ground((size[0] * rng.uniform(0.1, 0.9), size[1] * rng.uniform(0.5, 0.8)), size)
            ends += [free] if free is not None and clearance(free, room.bodies) > 0.6 else []
    angles = sorted(math.atan2(end[0] - start[0], end[2] - start[2]) for end in ends)
    if len(ends) < 3 or min(np.diff(angles)) < math.radians(16) or min(math.dist(start, end) for end in ends) < 0.8:
        return []
    arrows = []
    for letter, end, goal in zip(rng.permutation(list("ABC")), ends, [*goals, None, None, None], strict=False):
        outline, middle = arrow_outline(start[::2], end[::2], rng.uniform(-0.08, 0.08))
        points = np.insert(outline, 1, 0, axis=1)
        others = [solid for solid in room.bodies if solid is not goal and solid.stands_on is not goal]
        if min(clearance(point, room.bodies) for point in points) < 0.02 or clearance(end, others) < 0.4:
            return []
        if in_picture(eye, points, size) is None:
            return []
        mark = Mark(str(letter), outline, tuple(middle))
        arrows.append(Arrow(mark, goal, Glyph(mark.letter, letter_box(mark, eye, size))))
    return sorted(arrows, key=lambda arrow: arrow.mark.letter)


def clearance(point: np.ndarray, solids: list[Solid]) -> float:
    """How far a point of the floor is from the nearest circle around a footprint, metres; infinite without solids."""
    return min((math.dist(point[::2], solid.base[::2]) - reach_of(solid) for solid in solids), default=math.inf)


def shows_marks(view: View) -> bool:
    """Whether no solid hides a part of the arrows, and no letter's plate touches another."""
    outlines = np.concatenate([mark.outline for mark in view.room.marks])
    plates = view.eye.pixels([(mark.spot[0], 0, mark.spot[1]) for mark in view.room.marks], view.size)
    apart = min(math.dist(plates[i], plates[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    edges = view.eye.pixels(np.insert(outlines, 1, 0, axis=1), view.size)
    pixels = np.concatenate([edges, plates, plates + [0, 11], plates - [0, 11]])
    return apart > 24 and all(view.owner_at(pixel) == 0 for pixel in pixels)


# --- pictures --------------------------------------------------------------------------------


def look(room: Room, eye: Eye, size: tuple[int, int], *, page: int = 0) -> tuple[View, Trace]:
    """What a camera sees of a room, not painted yet, and the trace to paint it from."""
    trace = cast(room.bodies, eye, size)
    owners = np.array([0, *(1 + one.owner for one in trace.posed)], np.uint8).take(trace.parts)
    seen = []
    for index, solid in enumerate(room.bodies):
        within = trace.window(index)
        mine = owners[within] == index + 1
        columns, rows = np.flatnonzero(mine.any(0)), np.flatnonzero(mine.any(1))
        if len(rows):
            top, left = within[0].start, within[1].start
            edges = columns[0] + left, rows[0] + top, columns[-1] + left + 1, rows[-1] + top + 1
            share = int(np.count_nonzero(mine)) / int(np.count_nonzero(trace.outlines[within] & (1 << index)))
            seen.append(Seen(solid, tuple(float(edge) / FACTOR for edge in edges), bbox_3d_of(solid, eye), share, page))
    seen.sort(key=lambda s: (s.box_xyxy[0], s.box_xyxy[1]))
    return View(room, eye, size, seen, owners), trace


def render(rng, size=(320, 256), level: float = 1.0, *, scale: int = 1, count=None, fov=None, arrows=None) -> View:
    """One room and its picture, `size` times `scale` pixels; everything but the picture is the same at every scale.

    `count` solids, fewer if so many find no place (1-4 at random when None, fewer at a lower `level`, 0-1); `fov` in
    degrees (60, or now and then another, when None); `arrows` on the floor or not (one picture in six, when None). Each
    solid shows at least `LEAST_VISIBLE` of itself. Raises: ValueError for a size, count or scale that cannot be drawn.

    >>> view = render(np.random.default_rng(3), (256, 256), count=2)
    >>> view.image.size, len(view.seen)
    ((256, 256), 2)
    """
    check(size, scale, count)
    wanted = count or int(rng.integers(1, 2 + round(3 * level)))
    fov = fov or (60 if rng.random() > 0.15 * level else pick(rng, FOVS))
    arrows = rng.random() < level / 6 if arrows is None else arrows
    for attempt in range(200):
        room, eye = empty_room(rng), random_eye(rng, size, fov)
        furnish(rng, room, eye, size, wanted, level)
        laid = lay_arrows(rng, room, eye, size) if arrows and attempt < 60 else []
        if attempt < 60 and (len(room.bodies) < wanted or (arrows and not laid)):
            continue
        view, trace = look(room, eye, size)
        if not view.seen or len(view.seen) < len(room.bodies) or min(s.visible for s in view.seen) < LEAST_VISIBLE:
            continue
        view.arrows, room.marks = laid, [arrow.mark for arrow in laid]
        if laid and not shows_marks(view):
            continue
        view.image = paint(room, eye, size, scale=scale, trace=trace if scale == 1 else None)
        return view
    raise ValueError(f"size must leave room for a solid of {LEAST_SIDE} pixels, got {size} with a field of view of {fov} degrees")


def check(size, scale, count) -> None:
    """Raises a ValueError that names the argument that is out of its range."""
    if len(size) != 2 or not all(isinstance(side, int) and 64 <= side <= 2048 for side in size):
        raise ValueError(f"size must be (width, height), two integers of 64 to 2048 pixels, got {size}")
    if not isinstance(scale, int) or not 1 <= scale <= 8:
        raise ValueError(f"scale must be an integer of 1 to 8, got {scale}")
    if count is not None and count not in range(1, 9):
        raise ValueError(f"count must be 1 to 8 solids, got {count}")


def viewpoints(rng, n: int = 2, *, size=(320, 256), scale: int = 1, count=None) -> list[View]:
    """One room from `n` cameras that stand 20-50 degrees apart around its solids, each of which is in every picture.

    `count` solids, 2-4 at random when None. The pages of the views are 0, 1, ...

    >>> first, second = viewpoints(np.random.default_rng(1), size=(256, 256))
    >>> sorted(s.kind for s in first.seen) == sorted(s.kind for s in second.seen)
    True
    """
    check(size, scale, count)
    if n not in range(1, 6):
        raise ValueError(f"n must be 1 to 5 cameras, got {n}")
    wanted = count or int(rng.integers(2, 5))
    for attempt in range(2000):
        room, eye = empty_room(rng), random_eye(rng, size)
        furnish(rng, room, eye, size, wanted, 1.0)
        if len(room.bodies) < (wanted if attempt < 1000 else 1):
            continue
        middle = np.mean([solid.base for solid in room.bodies], axis=0)
        turns = np.cumsum([0.0, *rng.choice((-1, 1)) * np.radians(rng.uniform(20, 50, n - 1))])
        eyes = [around(eye, middle, turn) for turn in turns]
        if max(abs(e.position[0]) for e in eyes) > room.half_width - 0.3:
            continue
        if any(in_frame(solid, e, size) is None for e in eyes for solid in room.bodies):
            continue
        looks = [look(room, e, size, page=page) for page, e in enumerate(eyes)]
        if all(len(view.seen) == len(room.bodies) and min(s.visible for s in view.seen) >= LEAST_VISIBLE for view, _ in looks):
            for view, trace in looks:
                view.image = paint(room, view.eye, size, scale=scale, trace=trace if scale == 1 else None)
            return [view for view, _ in looks]
    raise ValueError(f"n must be a number of cameras that can all see {wanted} solids, got {n}")


def around(eye: Eye, middle: np.ndarray, turn: float) -> Eye:
    """The camera after walking around a vertical axis by an angle in radians, still looking the same way at it."""
    x, y, z = eye.position - middle
    sine, cosine = math.sin(turn), math.cos(turn)
    place = middle + [x * cosine + z * sine, y, z * cosine - x * sine]
    return Eye(place, eye.pitch, eye.yaw + turn, eye.fov)
