"""The picture family's questions on held-out scenes, and its figures: recall, labels, points, counts, absence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..parsing import Parsed, parse_points
from . import tasks
from .figures import Case, Measure, Run, Target, empty, exact, inside_box, is_json, label_of, mean, pair_up, picture_of, said
from .figures import grounding as boxes_found
from .scenes import HELD_OUT, Scene, render_scene

JSON_TASKS = ("locate_all", "point", "locate_absent", "locate_name", "locate_names", "locate_category", "other_keys")


def held_out_scenes(count: int, seed: int = HELD_OUT) -> list[Scene]:
    """`count` scenes of one to six things, 256-640 px, in turn of each number of things."""
    return [render_scene(np.random.default_rng([seed, index]), count=1 + index % 6) for index in range(count)]


def cases_for(task: Callable, scenes: list[Scene]) -> list[Case]:
    """One question of a task for each scene that allows it."""
    asked = ((scene, task(scene, np.random.default_rng([HELD_OUT, 1, index]))) for index, scene in enumerate(scenes))
    return [Case(scene, turn, picture_of(scene.image)) for scene, turn in asked if turn]


def questions(count: int) -> Run:
    scenes = held_out_scenes(count)
    return {name: cases_for(getattr(tasks, name), scenes) for name in SCORES}


def truth_of(case: Case) -> list[dict]:
    """The things that a question is about, with their English names."""
    return [{"bbox_2d": placed.box_xyxy, "label": placed.name} for placed in case.turn.expect["placed"]]


def grounding(cases: list[Case]) -> dict[str, float]:
    """As `figures.grounding`, against the pixels of the scene."""
    return boxes_found(cases, truth_of)


def point_hits(cases: list[Case]) -> float:
    """Share of things for which a point with the right label lies inside the box; each point serves once."""
    hits = total = 0
    for case in cases:
        points: Parsed = parse_points(case.reply, case.size)
        truth = case.turn.expect["placed"]
        inside = np.array([[inside_box(p["point_2d"], t.box_xyxy) and label_of(p) == t.name for t in truth] for p in points])
        hits += sum(hit for _, _, hit in pair_up(inside))
        total += len(truth)
    return hits / max(total, 1)


def all_found(cases: list[Case]) -> dict[str, float]:
    return grounding(cases)


def recall(cases: list[Case]) -> dict[str, float]:
    return {"recall at IoU 0.5": grounding(cases)["recall at IoU 0.5"]}


def recall_of_boxes(cases: list[Case]) -> dict[str, float]:
    """Recall where boxes were asked for in English and something is there: no points, no Chinese names, nothing absent."""
    plain = [case for case in cases if case.turn.task in ("locate_described", "locate_category") and case.turn.expect["placed"]]
    return recall(plain)


SCORES = {
    "locate_all": all_found, "point": lambda cases: {"inside its thing": point_hits(cases)}, "count": said,
    "locate_absent": lambda cases: {"empty list": empty(cases)}, "locate_name": recall, "locate_names": recall,
    "locate_category": recall_of_boxes, "locate_described": recall_of_boxes, "other_keys": recall, "presence": said,
    "name_all": said, "name_one": said, "name_box": said, "name_described": said, "relation": said, "count_zh": said,
}  # fmt: skip


MEASURE = Measure(questions, SCORES, (
    Target("mean IoU", 0.80, ("locate_all",), "mean IoU"),
    Target("recall at IoU 0.5", 0.92, ("locate_all",), "recall at IoU 0.5"),
    Target("right label", 0.92, ("locate_all",), "right label"),
    Target("point inside its thing", 0.92, ("point",), "inside its thing"),
    Target("exact count", 0.92, ("count",), "exact"),
    Target("valid JSON", 0.99, JSON_TASKS, lambda cases: mean(is_json(case.reply) for case in cases)),
    Target("empty list for absent things", 0.90, ("locate_absent",), "empty list"),
), worlds=300, most_tokens=None)  # fmt: skip
