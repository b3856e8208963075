"""Questions over solids, in the wordings that the real Qwen3-VL understands, and their exact answers.

Each task takes a `solids.View` and a random generator and returns a `Turn`, or None where the view does not allow the
question: a comparison is asked only where the lead is clear. 3D boxes are in metres and half-turns, always with two
decimals, labelled with the category; 2D boxes and points are integers on the 0-1000 grid, labelled with the full name.
Lists run from left to right. Left, right, in front and behind are the viewer's. A camera other than of 60 degrees is
told wherever metres are asked for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from .samples import Sample
from .solid_actions import arrow_leads, arrow_to, free_region, free_spot, use
from .solid_shapes import COLOURS, SHAPES
from .solid_words import (
    PLURAL,
    ZH,
    absent,
    ahead,
    both,
    boxes_3d,
    centre_x,
    chinese,
    describe,
    extremes,
    grid_box,
    lead,
    listed,
    pair,
    said,
    the,
    told,
)
from .solids import Seen, View, render
from .tasks import IN_JSON, LOCATE_ALL
from .turns import Turn, drawn, pick, shown_by_part

QUESTIONS = 6  # asked about a picture


# --- boxes -----------------------------------------------------------------------------------

PUBLISHED = (
    'The output format required is JSON: `[{"bbox_3d":[x_center, y_center, z_center, x_size, y_size, z_size, roll, pitch, yaw],'
    '"label":"category"}]`.'
)
SHORTER = ("Output a JSON list with the keys bbox_3d and label.", "Report bbox_3d and label in JSON format.")
FIND_ALL = (
    "Find all the {0} in this image. For each {1}, provide its 3D bounding box.",
    "Find all {0} in this image. For each {1}, provide its 3D bounding box.",
    "Detect all {0} in the image and provide the 3D bounding box of each {1}.",
    "Locate all the {0} in 3D.",
)
FIND_ONE = (
    "Find {} in this image and provide its 3D bounding box.",
    "Find {} in this image. Provide its 3D bounding box.",
    "Locate {} in 3D.",
    "What is the 3D bounding box of {}?",
)


def in_json_3d(rng) -> str:
    """How to ask for the format: mostly in the published words."""
    return PUBLISHED if rng.random() < 0.6 else pick(rng, SHORTER)


def all_3d(view: View, rng) -> Turn:
    if rng.random() < 0.08:
        prompt = "检测图中所有物体，以JSON格式输出每个物体的3D边界框（bbox_3d）和类别（label）。"
        return boxes_3d("all_3d", view, prompt, view.seen, zh=True)
    return boxes_3d("all_3d", view, pick(rng, FIND_ALL).format("objects", "object") + " " + in_json_3d(rng), view.seen)


def category_3d(view: View, rng) -> Turn:
    here = sorted({s.solid.shape for s in view.seen})
    shape = pick(rng, here) if rng.random() < 0.7 else pick(rng, [s for s in SHAPES if s not in here])
    found = [s for s in view.seen if s.solid.shape == shape]
    if rng.random() < 0.08:
        prompt = f"找出图中所有的{ZH[shape]}，以JSON格式输出3D边界框（bbox_3d）和类别（label）。"
        return boxes_3d("category_3d", view, prompt, found, [(ZH[shape], found)], zh=True)
    prompt = pick(rng, FIND_ALL).format(PLURAL[shape], shape) + " " + in_json_3d(rng)
    phrase = f"all the {PLURAL[shape]}" if "all the" in prompt else f"all {PLURAL[shape]}"
    return boxes_3d("category_3d", view, prompt, found, [(phrase, found)])


def described_3d(view: View, rng) -> Turn:
    phrase, found, mentions = describe(view, rng)
    return boxes_3d("described_3d", view, pick(rng, FIND_ONE).format(phrase) + " " + in_json_3d(rng), [found], mentions)


def absent_3d(view: View, rng) -> Turn:
    phrase = f"the {absent(view, rng)}"
    return boxes_3d("absent_3d", view, pick(rng, FIND_ONE).format(phrase) + " " + in_json_3d(rng), [], [(phrase, [])])


def region_3d(view: View, rng) -> Turn:
    """From the 2D box of a solid to its 3D box."""
    found = pick(rng, view.seen)
    region = json.dumps(grid_box(found, view))
    wording = ("Provide the 3D bounding box of the object in the region {}.", "What is the 3D bounding box of the object in {}?")
    prompt = pick(rng, wording).format(region) + " " + in_json_3d(rng)
    return boxes_3d("region_3d", view, prompt, [found], [(region, [found])])


def boxes_2d(task: str, view: View, prompt: str, chosen: list[Seen], mentions=(), *, zh: bool = False) -> Turn:
    """A turn answered with the 2D boxes of the chosen solids, labelled with their names."""
    items = [{"bbox_2d": grid_box(s, view), "label": chinese(s.kind) if zh else s.kind} for s in chosen]
    return listed(task, prompt, items, chosen, mentions)


def all_2d(view: View, rng) -> Turn:
    if rng.random() < 0.1:
        return boxes_2d("all_2d", view, "检测图中所有物体，以JSON格式输出边界框坐标和标签。", view.seen, zh=True)
    return boxes_2d("all_2d", view, pick(rng, LOCATE_ALL) + " " + pick(rng, IN_JSON), view.seen)


def described_2d(view: View, rng) -> Turn:
    phrase, found, mentions = describe(view, rng)
    prompt = pick(rng, ("Locate {}.", "Find {} in the image.", "Where is {}?")).format(phrase) + " " + pick(rng, IN_JSON)
    return boxes_2d("described_2d", view, prompt, [found], mentions)


def absent_2d(view: View, rng) -> Turn:
    phrase = f"the {absent(view, rng)}"
    prompt = pick(rng, ("Locate {}.", "Find {} in the image.", "Where is {}?")).format(phrase) + " " + pick(rng, IN_JSON)
    return boxes_2d("absent_2d", view, prompt, [], [(phrase, [])])


# --- relations -------------------------------------------------------------------------------

RELATIONS = {"to the left of": "左边", "to the right of": "右边", "in front of": "前面", "behind": "后面"}


def holds(view: View, first: Seen, word: str, second: Seen) -> bool | None:
    """Whether the first is left, right, in front of or behind the second, None when that is not clear."""
    if word in ("in front of", "behind"):
        gap, least = ahead(second, view) - ahead(first, view), 0.45
    else:
        gap, least = (centre_x(second) - centre_x(first)) / view.size[0], 0.07
    return None if abs(gap) < least else (gap > 0) == (word in ("in front of", "to the left of"))


def relation(view: View, rng) -> Turn | None:
    two, word = pair(view, rng), pick(rng, list(RELATIONS))
    truth = two and holds(view, two[0], word, two[1])
    if truth is None:
        return None
    first, second = two
    if rng.random() < 0.12:
        names = [chinese(s.kind) for s in two]
        prompt = f"从观察者的角度看，{names[0]}在{names[1]}的{RELATIONS[word]}吗？请回答是或否。"
        return said("relation", prompt, "是" if truth else "否", [(name, [s]) for name, s in zip(names, two, strict=True)])
    wording = (
        "Is {} {} {}? Answer yes or no.",
        "From the viewer's perspective, is {} {} {}? Answer yes or no.",
        "Seen from the camera, is {} {} {}? Answer yes or no.",
    )
    prompt = pick(rng, wording).format(the(first), word, the(second))
    return said("relation", prompt, "Yes" if truth else "No", both(first, second))


def on_top(view: View, rng) -> Turn | None:
    stacked = [s for s in view.seen if s.solid.stands_on]
    if len(view.seen) < 2 or (not stacked and rng.random() < 0.85):
        return None
    first = pick(rng, stacked) if stacked and rng.random() < 0.7 else pick(rng, view.seen)
    under = view.find(first.solid.stands_on) if first.solid.stands_on and rng.random() < 0.75 else pick(rng, view.seen)
    if first is under:
        return None
    prompt = pick(rng, ("Is {} on top of {}?", "Does {} stand on {}?", "Is {} on {}?")).format(the(first), the(under))
    answer = "Yes" if first.solid.stands_on is under.solid else "No"
    return said("on_top", f"{prompt} Answer yes or no.", answer, both(first, under))


def which(view: View, rng) -> Turn | None:
    """Which of all, or of two, is the closest, the farthest, the tallest, ..."""
    if len(view.seen) < 2:
        return None
    wordings = {
        "closest": ("Which object is closest to the camera?", "Which object is nearest to the viewer?"),
        "farthest": ("Which object is farthest from the camera?", "Which object is the farthest away?"),
        "tallest": ("Which object is the tallest?",), "largest": ("Which object is the largest?",),
        "leftmost": ("Which object is the leftmost?",), "rightmost": ("Which object is the rightmost?",),
    }  # fmt: skip
    word = pick(rng, ("closest", "closest", "farthest", "farthest", *wordings))
    best = lead(view.seen, *extremes(view)[word])
    return best and said("which", pick(rng, wordings[word]) + " Answer with its name.", best.kind, (), best)


def compare(view: View, rng) -> Turn | None:
    two = pair(view, rng)
    question, word = pick(rng, (
        ("Which is closer to the camera, {} or {}?", "closest"), ("Which is farther away, {} or {}?", "farthest"),
        ("Which is taller, {} or {}?", "tallest"), ("Which is larger, {} or {}?", "largest"),
        ("Which is smaller, {} or {}?", "smallest"),
    ))  # fmt: skip
    best = two and lead(list(two), *extremes(view)[word])
    return best and said("compare", question.format(*map(the, two)) + " Answer with its name.", best.kind, both(*two), best)


def count(view: View, rng) -> Turn:
    draw, found = rng.random(), pick(rng, view.seen).solid
    if draw < 0.3:
        noun, group = "objects", view.seen
    elif draw < 0.5:
        noun, group = f"{found.colour} objects", [s for s in view.seen if s.solid.colour == found.colour]
    else:
        shape = found.shape if draw < 0.85 else pick(rng, SHAPES)
        noun, group = PLURAL[shape], [s for s in view.seen if s.solid.shape == shape]
        if rng.random() < 0.15:
            return said("count", f"图中有几个{ZH[shape]}？请用数字回答。", str(len(group)), [(ZH[shape], group)])
    wording = ("How many {} are there in the image? Answer with a number.", "Count the {} in the picture. Answer with a number.")
    return said("count", pick(rng, wording).format(noun), str(len(group)), [(noun, group)])


def order(view: View, rng) -> Turn:
    question, ordered = "List the objects from left to right.", view.seen
    if rng.random() < 0.4:
        question, ordered = "List the objects from the closest to the farthest.", sorted(view.seen, key=lambda s: s.distance)
        if any(b.distance - a.distance < 0.25 for a, b in pairwise(ordered)):
            return None
    answer = ", ".join(s.kind for s in ordered)
    return Turn("order", question, answer, {"answer": answer}, [], shown_by_part(answer, ordered, ", "))


def colour(view: View, rng) -> Turn | None:
    found = pick(rng, view.seen)
    if sum(s.solid.shape == found.solid.shape for s in view.seen) > 1:
        return None
    prompt = f"What color is the {found.solid.shape}? Answer with one word."
    return said("colour", prompt, found.solid.colour, [(f"the {found.solid.shape}", [found])], found)


def distance(view: View, rng) -> Turn | None:
    """From the camera to a solid's centre, or between two centres, in metres to one decimal."""
    two = pair(view, rng)
    if two and rng.random() < 0.5:
        metres, mentions = math.dist(two[0].bbox_3d[:3], two[1].bbox_3d[:3]), both(*two)
        wording = ("How far apart are {} and {}?", "What is the distance between the centers of {} and {}?")
        question = pick(rng, wording).format(*map(the, two))
    else:
        found = pick(rng, view.seen)
        metres, mentions = found.distance, [(the(found), [found])]
        question = pick(rng, ("How far is {} from the camera?", "What is the distance from the camera to {}?")).format(the(found))
    prompt = f"{question} Answer in meters with one decimal.{told(view)}"
    return said("distance", prompt, f"{metres:.1f}", mentions, metres=metres)


# --- multiple choice -------------------------------------------------------------------------


def choice(view: View, rng) -> Turn | None:
    """A question with two to four options, answered with a letter."""
    kinds = (choose_side, choose_side, choose_extreme, choose_extreme, choose_present, choose_colour, choose_count)
    made = pick(rng, kinds)(view, rng)
    if not made:
        return None
    question, options, right, mentions = made  # options: texts, each with the regions that it stands for
    options = [options[int(i)] for i in rng.permutation(len(options))]
    style = pick(rng, ("({}) {}", "({}) {}", "{}. {}"))
    written = [style.format(letter, text) for letter, (text, _) in zip("ABCD", options, strict=False)]
    answer = "ABCD"[[text for text, _ in options].index(right)]
    prompt = question + pick(rng, (" ", "\n")).join(["", *written]) + "\nAnswer with the letter of the right option."
    mentions = [*mentions, *((line, regions) for line, (_, regions) in zip(written, options, strict=True) if regions is not None)]
    return said("choice", prompt, answer, mentions, shown=written["ABCD".index(answer)], option=right)


def choose_side(view: View, rng):
    two = pair(view, rng)
    sides = two and [holds(view, two[0], word, two[1]) for word in ("to the left of", "in front of")]
    if not two or None in sides:
        return None
    texts = {
        (True, True): "left and in front",
        (True, False): "left and behind",
        (False, True): "right and in front",
        (False, False): "right and behind",
    }
    question = "From the viewer's perspective, where is {} relative to {}?".format(*map(the, two))
    return question, [(text, None) for text in texts.values()], texts[tuple(sides)], both(*two)


def choose_extreme(view: View, rng):
    if len(view.seen) < 2:
        return None
    word, question = pick(rng, (
        ("closest", "Which object is closest to the camera?"), ("farthest", "Which object is farthest from the camera?"),
        ("tallest", "Which object is the tallest?"), ("rightmost", "Which object is the rightmost?"),
    ))  # fmt: skip
    best = lead(view.seen, *extremes(view)[word])
    return best and (question, [(s.kind, [s]) for s in view.seen], best.kind, [])


def choose_present(view: View, rng):
    found, options = pick(rng, view.seen), {}
    while len(options) < 3:
        options[absent(view, rng)] = []
    return "Which of these objects is in the image?", [(found.kind, [found]), *options.items()], found.kind, []


def choose_colour(view: View, rng):
    found = pick(rng, view.seen)
    if sum(s.solid.shape == found.solid.shape for s in view.seen) > 1:
        return None
    others = [c for c in COLOURS if c != found.solid.colour]
    options = [found.solid.colour, *(others[int(i)] for i in rng.permutation(len(others))[:3])]
    phrase = f"the {found.solid.shape}"
    return f"What color is {phrase}?", [(text, None) for text in options], found.solid.colour, [(phrase, [found])]


def choose_count(view: View, rng):
    if len(view.seen) > 4:
        return None
    options = [(str(number), None) for number in range(1, 5)]
    return "How many objects are in the image?", options, str(len(view.seen)), [("objects", view.seen)]


# --- all of them -----------------------------------------------------------------------------

TASKS: dict[Callable, float] = {
    all_3d: 4, category_3d: 3, described_3d: 3.5, absent_3d: 1.2, region_3d: 1, all_2d: 1.5, described_2d: 1.5, absent_2d: 0.7,
    relation: 5, on_top: 2.5, which: 1.5, compare: 1.5, count: 1.5, order: 0.7, colour: 0.5, distance: 1, choice: 7,
    free_spot: 1.3, use: 1.5, arrow_to: 12, arrow_leads: 4,
}  # fmt: skip


def ask(view: View, rng: np.random.Generator, task: Callable | None = None) -> Turn | None:
    """One turn over a view: the given task, None where the view does not allow it; or one drawn by its weight."""
    return drawn(TASKS, view, rng, task)


def make(rng: np.random.Generator, size: tuple[int, int], level: float = 1.0) -> Sample:
    """A picture of one to four solids and six questions about it; at level 0 one simple solid."""
    view, turns = render(rng, size, level), {}
    while len(turns) < QUESTIONS:
        turn = ask(view, rng)
        turns.setdefault(turn.prompt, turn)
    free = free_region(view)
    return Sample([view.image], list(turns.values()), [*view.seen, *([free] if free else [])], [a.glyph for a in view.arrows])
