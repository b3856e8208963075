"""Questions for someone who acts in a room of solids: a free spot, where to take hold, which arrow to follow, a walk.

The tasks take a `solids.View` and a random generator and return a `Turn` or None, as in `solid_tasks`. A free spot may be
any point that `is_free` accepts; the answer to learn is one of them, the middle of the largest free circle.
"""

from __future__ import annotations

import math

import numpy as np

from ..coordinates import to_grid
from ..geometry3d import SIGNS
from .raycast import Eye
from .rooms import Room, paint
from .samples import Region, Sample
from .solid_shapes import COLOURS, ROUND, SIMPLE, Solid, make_solid
from .solid_words import listed, said, the
from .solids import FREE, Seen, View, empty_room, look
from .turns import Turn, pick, shown_by_part

RING = np.array([(0, 0, 0), *((math.cos(a), 0, math.sin(a)) for a in np.arange(8) * math.pi / 4)])  # a circle, its middle first
LEAST_FREE = 0.15  # metres around a free spot
FRAMES, FRAME_S = 8, 0.5


# --- free spots ------------------------------------------------------------------------------


def to_footprint(points: np.ndarray, solid: Solid) -> np.ndarray:
    """How far points `(N, 3)` of the room are from what a solid covers, seen from above: `(N,)` metres, 0 inside."""
    away = ((points - solid.base) @ solid.axes.T)[:, ::2]
    half = np.array(solid.sides)[::2] / 2
    if solid.shape in ROUND:
        return (np.hypot(*away.T) - half[0]).clip(0)
    return np.linalg.norm((abs(away) - half).clip(0), axis=1)


def to_picture_edge(points: np.ndarray, view: View) -> np.ndarray:
    """How far points `(N, 3)` of a level plane are within what the picture shows of it: `(N,)` metres, negative outside."""
    camera, (width, height) = view.camera, view.size
    left, right = (camera.fx, 0, camera.cx), (-camera.fx, 0, width - camera.cx)
    top, bottom = (0, camera.fy, camera.cy), (0, -camera.fy, height - camera.cy)
    normals = np.array([left, right, top, bottom]) @ view.eye.rotation  # (4, 3) in the room, inwards
    return ((points - view.eye.position) @ normals.T / np.hypot(normals[:, 0], normals[:, 2])).min(1)


def free_floor(view: View) -> tuple[np.ndarray, float] | None:
    """The middle `(3,)` and radius (metres) of the largest free circle of floor that nothing hides, on a 10 cm grid."""
    if "free floor" not in view.memo:
        view.memo["free floor"] = largest_free_circle(view)
    return view.memo["free floor"]


def largest_free_circle(view: View) -> tuple[np.ndarray, float] | None:
    """As `free_floor`, worked out."""
    x, z = np.meshgrid(np.arange(-3.5, 3.51, 0.1), np.arange(0.8, 5.21, 0.1))
    points = np.stack([x.ravel(), np.zeros(x.size), z.ravel()], 1)
    edges = [to_picture_edge(points, view), view.room.half_width - abs(points[:, 0]), view.room.depth - points[:, 2]]
    clear = np.min([*edges, *(to_footprint(points, s) for s in view.room.bodies if s.stands_on is None)], axis=0)
    for index in np.argsort(-clear, kind="stable")[:400]:
        spot, radius = points[index], float(clear[index])
        around = view.eye.pixels(spot + 0.6 * radius * RING, view.size)
        if radius >= LEAST_FREE and not any(view.owner_at(pixel) for pixel in around):
            return spot, radius
    return None


def free_region(view: View) -> Region | None:
    """The middle of the largest free circle of floor as a region of the picture, always the same object."""
    found = free_floor(view)
    if found and "free region" not in view.memo:
        spot, radius = found
        around = view.eye.pixels(spot + min(0.5 * radius, 0.35) * RING, view.size)
        box = np.concatenate([around.min(0), around.max(0)]).clip(0, [*view.size, *view.size])
        view.memo["free region"] = Region(FREE, tuple(box.tolist()))
    return view.memo.get("free region")


def free_top(view: View, under: Seen) -> tuple[np.ndarray, float] | None:
    """The middle `(3,)` and radius of the largest free circle on a table, on a 2 cm grid; None when it is hidden or small."""
    solid = under.solid
    half = np.array(solid.sides)[::2] / 2
    x, z = np.meshgrid(*(np.arange(-reach, reach + 1e-6, 0.02) for reach in half))
    points = solid.place(np.stack([x.ravel(), np.full(x.size, -solid.sides[1]), z.ravel()], 1))
    clear = np.minimum(half[0] - abs(x.ravel()), half[1] - abs(z.ravel()))
    for other in view.room.bodies:
        clear = np.minimum(clear, to_footprint(points, other)) if other.stands_on is solid else clear
    index = int(clear.argmax())
    hidden = not is_free(view, view.eye.pixels(points[index], view.size), solid)
    return None if hidden or clear[index] < 0.08 else (points[index], float(clear[index]))


def is_free(view: View, pixel, on: Solid | None = None) -> bool:
    """Whether a pixel shows the bare floor, 5 cm or more away from every solid on it, or the bare top of `on`."""
    point = view.eye.ground(pixel, view.size, on.sides[1] if on else 0.0)
    if point is None or view.owner_at(pixel) != (view.room.bodies.index(on) + 1 if on else 0):
        return False
    if on:
        return bool(to_footprint(point[None], on)[0] == 0)
    within = point[2] < view.room.depth and abs(point[0]) < view.room.half_width
    return bool(within and all(to_footprint(point[None], s)[0] >= 0.05 for s in view.room.bodies if s.stands_on is None))


def free_spot(view: View, rng) -> Turn | None:
    """A point on the floor, or on a table; `expect` has the view and what it is on, for `is_free`."""
    tables = [s for s in view.seen if s.solid.shape == "table"]
    table = pick(rng, tables) if tables and rng.random() < 0.6 else None
    found, region = (free_top(view, table), table) if table else (free_floor(view), free_region(view))
    if not found:
        return None
    point = to_grid(view.eye.pixels(found[0], view.size), view.size).tolist()
    where = the(table) if table else "the floor"
    wording = (
        "Point to a free spot on {}. Output its point_2d in JSON format.",
        "Find a vacant space on {} where another object could be put. Report the point coordinates in JSON format.",
        "Where on {} is there free space to place something? Answer with point_2d in JSON format.",
    )
    items, expect = [{"point_2d": point, "label": "free spot"}], {"view": view, "on": table and table.solid}
    return listed("free_spot", pick(rng, wording).format(where), items, [region], [(where, [region])], **expect)


# --- points to use things by -----------------------------------------------------------------

USES = {
    "seat": (
        "Point to the place on {} where one can sit.",
        "Where would a person sit on {}? Point to it.",
        "Point to the seat of {}.",
    ),
    "handle": (
        "Point to where a robot should grasp {} to lift it.",
        "Where is the handle of {}? Point to it.",
        "Point to the part of {} to hold it by.",
    ),
}


def use(view: View, rng) -> Turn | None:
    """A point to sit on or to grasp; `expect` has the box around the seat or handle, in pixels."""
    able = [s for s in view.seen if s.solid.spots]
    if not able:
        return None
    found = pick(rng, able)
    part, (middle, half) = next(iter(found.solid.spots.items()))
    pixel = view.eye.pixels(found.solid.place(middle), view.size)
    if view.owner_at(pixel) != view.room.bodies.index(found.solid) + 1:
        return None
    around = view.eye.pixels(found.solid.place(middle + SIGNS * half), view.size)
    box = (*around.min(0).tolist(), *around.max(0).tolist())
    prompt = pick(rng, USES[part]).format(the(found)) + " Output its point_2d in JSON format."
    items = [{"point_2d": to_grid(pixel, view.size).tolist(), "label": part}]
    return listed("use", prompt, items, [found], [(the(found), [found])], seen=[found], box_xyxy=box)


# --- arrows ----------------------------------------------------------------------------------


def arrow_to(view: View, rng) -> Turn | None:
    """Which arrow leads to a solid."""
    leading = [arrow for arrow in view.arrows if arrow.goal]
    if not leading:
        return None
    arrow = pick(rng, leading)
    goal = view.find(arrow.goal)
    wording = (
        "Which arrow leads to {}? Answer with its letter.",
        "Which arrow should the robot follow to reach {}? Answer with the letter.",
        "I want to go to {}. Which arrow do I follow? Answer with the letter only.",
    )
    return said("arrow_to", pick(rng, wording).format(the(goal)), arrow.mark.letter, [(the(goal), [goal])], arrow.glyph)


def arrow_leads(view: View, rng) -> Turn | None:
    """Where an arrow leads: the name of a solid, or nothing."""
    if not view.arrows:
        return None
    arrow = pick(rng, view.arrows)
    phrase, goal = f"arrow {arrow.mark.letter}", arrow.goal and view.find(arrow.goal)
    prompt = f"Which object does {phrase} lead to? Answer with its name, or nothing."
    return said("arrow_leads", prompt, goal.kind if goal else "nothing", [(phrase, [arrow.glyph])], goal)


# --- walks -----------------------------------------------------------------------------------


def share_in_picture(solid: Solid, eye: Eye, size) -> float:
    """How much of the box around a solid's projected corners is in the picture, 0-1."""
    pixels = eye.pixels(solid.corners(), size)
    low, high = pixels.min(0), pixels.max(0)
    return float((high.clip(0, size) - low.clip(0, size)).prod() / (high - low).prod())


def line_up(rng, room: Room, count: int) -> None:
    """Puts solids side by side along the far wall, 1.1-1.7 m apart, the colours and shapes all different."""
    shapes, colours = rng.permutation((*SIMPLE, "chair", "shelf"))[:count], rng.permutation(list(COLOURS))[:count]
    places = np.cumsum(rng.uniform(1.1, 1.7, count))
    for shape, colour, x in zip(shapes, colours, places - places.mean(), strict=True):
        solid = make_solid(rng, str(shape), str(colour))
        solid.base, solid.yaw = np.array([x, 0, rng.uniform(2.5, 3.1)]), 0.0 if shape in ROUND else rng.uniform(-0.5, 0.5)
        room.bodies.append(solid)


def walk(rng, size=(128, 128), *, count=None, scale: int = 1) -> tuple[list[View], list[int], bool]:
    """Eight views of a camera that moves past two to four solids: the views, at which of them each solid of
    `views[0].room.bodies` comes into view (half of it or more in the picture), and whether the camera moves to the right.

    Each comes into view at another frame. Pages are the frames. Raises: ValueError for a `count` that is not 2 to 4.
    """
    if count not in (None, 2, 3, 4):
        raise ValueError(f"count must be 2 to 4 solids, got {count}")
    while True:
        room, rightwards = empty_room(rng, half_width=6.5), bool(rng.random() < 0.5)
        line_up(rng, room, count or int(rng.integers(2, 5)))
        pitch, tall = math.radians(rng.uniform(13, 18)), rng.uniform(1.25, 1.45)
        reach = rng.uniform(1.3, 2.1) + 0.45 * len(room.bodies)
        path = np.linspace(-reach, reach, FRAMES) * (1 if rightwards else -1)
        eyes = [Eye(np.array([x, -tall, 0.0]), pitch) for x in path]
        inside = np.array([[share_in_picture(solid, eye, size) for solid in room.bodies] for eye in eyes])  # (frames, solids)
        enters, glimpsed = (inside >= 0.5).argmax(0), (inside > 0).argmax(0)
        clear = len(set(enters.tolist())) == len(enters) and (inside.max(0) >= 0.5).all()
        if clear and (np.diff(glimpsed[np.argsort(enters)]) >= 0).all():
            break
    views = []
    for page, eye in enumerate(eyes):
        view, trace = look(room, eye, size, page=page)
        view.image = paint(room, eye, size, scale=scale, trace=trace if scale == 1 else None)
        views.append(view)
    return views, enters.tolist(), rightwards


def listing(task: str, prompt: str, solids: list[Solid], best: dict[Solid, Seen]) -> Turn:
    """A turn answered with the names of solids; `best` is where each is seen best."""
    answer = ", ".join(solid.name for solid in solids)
    return Turn(task, prompt, answer, {"answer": answer}, [], shown_by_part(answer, [best[solid] for solid in solids], ", "))


def yes_no(task: str, prompt: str, solids: list[Solid], two: list[Solid], seen: dict[Solid, list[Seen]]) -> Turn:
    """A turn on whether the first of two solids comes before the second in a list of all."""
    answer = "Yes" if solids.index(two[0]) < solids.index(two[1]) else "No"
    prompt = prompt.format(*(solid.name for solid in two)) + " Answer yes or no."
    return said(task, prompt, answer, [(f"the {solid.name}", seen[solid]) for solid in two])


def walk_turns(rng, views: list[View], enters: list[int], rightwards: bool) -> list[Turn]:
    """Questions on a walk: what comes first and last, in which order, from left to right, how many, which way."""
    solids = views[0].room.bodies
    by_time, by_place = [solids[i] for i in np.argsort(enters)], sorted(solids, key=lambda solid: solid.base[0])
    seen = {solid: [s for view in views for s in view.seen if s.solid is solid] for solid in solids}
    best = {solid: max(shown, key=lambda s: s.box_xyxy[2] - s.box_xyxy[0]) for solid, shown in seen.items()}
    two, way = [solids[int(i)] for i in rng.permutation(len(solids))[:2]], "right" if rightwards else "left"
    turns = [
        listing("walk_first", "Which object comes into view first? Answer with its name.", by_time[:1], best),
        listing("walk_last", "Which object comes into view last? Answer with its name.", by_time[-1:], best),
        listing("walk_order", "List the objects in the order in which they come into view.", by_time, best),
        listing("walk_left_right", "The camera moves past some objects. List them from left to right.", by_place, best),
        yes_no("walk_before", "Does the {} come into view before the {}?", by_time, two, seen),
        yes_no("walk_side", "In the room, is the {} to the left of the {}?", by_place, two, seen),
        said("walk_count", "How many different objects does the video show? Answer with a number.", str(len(solids))),
        said("walk_way", "Does the camera move to the left or to the right? Answer with one word.", way),
    ]
    return [turns[int(i)] for i in rng.permutation(len(turns))]


def make_walk(rng: np.random.Generator, size=(128, 128), level: float = 1.0) -> Sample:
    """A clip of 8 frames, half a second apart, of a camera that moves past solids, and questions about it."""
    views, enters, rightwards = walk(rng, size, count=2 if level < 0.3 else None)
    regions = [seen for view in views for seen in view.seen]
    seconds = [FRAME_S * frame for frame in range(FRAMES)]
    return Sample([view.image for view in views], walk_turns(rng, views, enters, rightwards), regions, seconds=seconds)
