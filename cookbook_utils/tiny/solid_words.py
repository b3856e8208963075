"""How questions over solids are worded and answered: names, phrases that pick out one solid, and the forms of answers.

3D boxes are in metres and half-turns, always with two decimals; 2D boxes are integers on the 0-1000 grid. A comparison is
made only where the lead is clear. Left, right, in front and behind are the viewer's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..coordinates import to_grid
from .solid_shapes import COLOURS, SHAPES
from .solids import Seen, View
from .turns import Turn, fenced, pick, shown_by_line

PLURAL = {shape: "shelves" if shape == "shelf" else "boxes" if shape == "box" else f"{shape}s" for shape in SHAPES}
ZH = {
    "red": "红色", "orange": "橙色", "yellow": "黄色", "green": "绿色", "blue": "蓝色", "pink": "粉色", "white": "白色",
    "black": "黑色", "box": "盒子", "cylinder": "圆柱体", "sphere": "球体", "cone": "圆锥体", "table": "桌子",
    "chair": "椅子", "shelf": "架子", "basket": "篮子",
}  # fmt: skip


def chinese(name: str) -> str:
    """A name in Chinese: `red box` is 红色盒子."""
    return "".join(ZH[word] for word in name.split())


# --- answers ---------------------------------------------------------------------------------


def grid_box(seen: Seen, view: View) -> list[int]:
    """The box of the visible pixels on the 0-1000 grid."""
    return to_grid(seen.box_xyxy, view.size).tolist()


def two_decimals(value: float) -> str:
    """A number with two decimals, never `-0.00`."""
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text


def boxes_3d(task: str, view: View, prompt: str, chosen: list[Seen], mentions=(), *, zh: bool = False) -> Turn:
    """A turn answered with the 3D boxes of the chosen solids, one a line, in a fence; labels are categories, perhaps in Chinese."""
    lines = []
    for seen in chosen:
        numbers, label = ", ".join(map(two_decimals, seen.bbox_3d)), ZH[seen.solid.shape] if zh else seen.solid.shape
        lines.append(f'\t{{"bbox_3d": [{numbers}], "label": "{label}"}}')
    answer = "```json\n[\n" + ",\n".join(lines) + "\n]\n```" if lines else fenced([])
    shown = shown_by_line(answer, chosen) if chosen else [(0, None)]
    return Turn(task, prompt + told(view), answer, {"seen": chosen, "camera": view.camera}, list(mentions), shown)


def listed(task: str, prompt: str, items: list[dict], chosen: list, mentions=(), **expect) -> Turn:
    """A turn answered with one fenced item for each of the chosen solids."""
    answer = fenced(items)
    shown = shown_by_line(answer, chosen) if chosen else [(0, None)]
    return Turn(task, prompt, answer, expect or {"seen": chosen}, list(mentions), shown)


def said(task: str, prompt: str, answer: str, mentions=(), shown=None, **expect) -> Turn:
    """A turn answered with a word, a letter or a number; `shown` is the one region that the answer names."""
    return Turn(task, prompt, answer, {"answer": answer, **expect}, list(mentions), [(0, shown)] if shown else [])


def told(view: View) -> str:
    """The camera's field of view, where it is not the usual one."""
    return "" if view.eye.fov == 60 else f" The horizontal field of view of the camera is {view.eye.fov} degrees."


# --- what is said of solids ------------------------------------------------------------------


def the(seen: Seen) -> str:
    return f"the {seen.kind}"


def centre_x(seen: Seen) -> float:
    return (seen.box_xyxy[0] + seen.box_xyxy[2]) / 2


def volume(seen: Seen) -> float:
    return math.prod(seen.solid.sides)


def height(seen: Seen) -> float:
    return seen.solid.sides[1]


def ahead(seen: Seen, view: View) -> float:
    """How far a solid is along the floor in the direction of the camera's view, metres."""
    away = seen.solid.base - view.eye.position
    return away[0] * math.sin(view.eye.yaw) + away[2] * math.cos(view.eye.yaw)


def lead(group: list[Seen], value: Callable[[Seen], float], margin: float) -> Seen | None:
    """The one with the largest value, if it leads by more than a margin."""
    first, *others = sorted(group, key=value, reverse=True)
    return first if not others or value(first) - value(others[0]) > margin else None


def extremes(view: View) -> dict[str, tuple[Callable[[Seen], float], float]]:
    """What each superlative compares, and by how much it has to lead."""
    return {
        "leftmost": (lambda s: -centre_x(s) / view.size[0], 0.05), "rightmost": (lambda s: centre_x(s) / view.size[0], 0.05),
        "closest": (lambda s: -s.distance, 0.3), "farthest": (lambda s: s.distance, 0.3),
        "largest": (lambda s: math.log(volume(s)), 0.4), "smallest": (lambda s: -math.log(volume(s)), 0.4),
        "tallest": (lambda s: math.log(height(s)), 0.15), "shortest": (lambda s: -math.log(height(s)), 0.15),
    }  # fmt: skip


def describe(view: View, rng) -> tuple[str, Seen, list]:
    """A phrase that picks out exactly one solid, that solid, and the mentions in the phrase."""
    found = pick(rng, view.seen)
    options = [(the(found), found)] * 2
    for noun, group in (("object", view.seen), (found.solid.shape, [s for s in view.seen if s.solid.shape == found.solid.shape])):
        if len(group) > 1:
            word, (value, margin) = pick(rng, list(extremes(view).items()))
            best = lead(group, value, margin)
            options += [(f"the {word} {noun}", best)] * 2 if best else []
        elif noun != "object":
            options.append((f"the {noun}", found))
    if sum(s.solid.colour == found.solid.colour for s in view.seen) == 1:
        options.append((f"the {found.solid.colour} object", found))
    if found.solid.stands_on:
        options += [(f"the {found.solid.shape} on the {found.solid.stands_on.name}", found)] * 2
    phrase, chosen = pick(rng, options)
    under = phrase.partition(" on the ")[2]
    return phrase, chosen, [(phrase, [chosen])] + ([(f"the {under}", [view.find(found.solid.stands_on)])] if under else [])


def absent(view: View, rng) -> str:
    """The name of a solid that is not there, most often of a colour or a shape that is."""
    here = {s.kind for s in view.seen}
    colours, shapes = ({getattr(s.solid, what) for s in view.seen} for what in ("colour", "shape"))
    names = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES if f"{colour} {shape}" not in here]
    near = [name for name in names if (name.split()[0] in colours) + (name.split()[1] in shapes) == 1 + (rng.random() < 0.3)]
    return pick(rng, near or names)


def pair(view: View, rng) -> tuple[Seen, Seen] | None:
    """Two solids, neither of which stands on the other."""
    if len(view.seen) < 2:
        return None
    first, second = (view.seen[int(i)] for i in rng.permutation(len(view.seen))[:2])
    return None if first.solid.stands_on is second.solid or second.solid.stands_on is first.solid else (first, second)


def both(first: Seen, second: Seen) -> list:
    return [(the(first), [first]), (the(second), [second])]
