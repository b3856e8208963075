"""The solids' and the walks' questions on held-out rooms, and their figures: 3D boxes, choices, points, distances."""

from __future__ import annotations

import re

import numpy as np

from ..coordinates import iou
from ..geometry3d import bbox_2d_of, iou_3d
from ..parsing import parse_boxes_3d
from . import solid_actions, solid_tasks, solids
from .figures import (
    Case,
    Measure,
    Run,
    Target,
    empty,
    exact,
    gather,
    inside_box,
    is_json,
    located,
    mean,
    only_point,
    pair_up,
    picture_of,
    said,
)
from .scenes import HELD_OUT
from .solid_actions import is_free

SEED = 21
NEAR = 0.1  # of its distance, by which a centre may be off; of a distance, by which it may be off


def rooms(count: int) -> list[solids.View]:
    """`count` views of one to four solids, in turn of each picture size; arrows on the floor of about every third."""
    sizes, seeds = list(solids.SIZES), [np.random.default_rng([HELD_OUT, SEED, index]) for index in range(count)]
    arrows = [rng.random() < 1 / 3 for rng in seeds]
    return [solids.render(rng, sizes[i % len(sizes)], count=1 + i % 4, arrows=arrows[i]) for i, rng in enumerate(seeds)]


def questions(count: int) -> Run:
    return gather(rooms(count), list(solid_tasks.TASKS), lambda view: picture_of(view.image), SEED)


# --- 3D boxes --------------------------------------------------------------------------------


def boxes_given(reply: str) -> list[dict]:
    """The 3D boxes of a reply that can be boxes: no side is negative."""
    return [item for item in parse_boxes_3d(reply) if min(item["bbox_3d"][3:6]) >= 0]


def pairs_of_boxes(given: np.ndarray, truth: np.ndarray) -> list[tuple[int, int, float]]:
    """Pairs `(row, column, metres between the centres)` of boxes `(N, 9)` and `(M, 9)`, such that their sum is smallest."""
    apart = np.linalg.norm(given[:, None, :3] - truth[None, :, :3], axis=-1)
    return [(i, j, -score) for i, j, score in pair_up(-apart)]


def overlap_2d(a, b, camera, size) -> float:
    """The IoU of what two 3D boxes cover of a picture."""
    seen = [bbox_2d_of(box, camera, size) for box in (a, b)]
    return 0.0 if None in seen else float(iou(*([box] for box in seen))[0, 0])


def boxes_3d(cases: list[Case]) -> dict[str, float]:
    """Centres, overlaps in space and in the picture (a missed solid counts 0), extra boxes, and the labels of those found.

    A centre is right within a tenth of its distance from the camera. Each box is paired with the nearest.
    """
    near, spatial, projected, labels, given_total, true_total = 0, 0.0, 0.0, [], 0, 0
    for case in cases:
        items, seen, camera = boxes_given(case.reply), case.turn.expect["seen"], case.turn.expect["camera"]
        given = np.array([item["bbox_3d"] for item in items], float).reshape(-1, 9)
        truth = np.array([s.bbox_3d for s in seen], float).reshape(-1, 9)
        wanted = [item["label"] for item in parse_boxes_3d(case.turn.answer)]
        for i, j, apart in pairs_of_boxes(given, truth):
            spatial += iou_3d(given[i], truth[j])
            projected += overlap_2d(given[i], truth[j], camera, case.size)
            if apart <= NEAR * seen[j].distance:
                near += 1
                labels.append(items[i].get("label") == wanted[j])
        given_total, true_total = given_total + len(items), true_total + len(seen)
    return {
        "centre within 10 %": near / max(true_total, 1),
        "mean 3D IoU": spatial / max(true_total, 1),
        "projected 2D IoU": projected / max(true_total, 1),
        "precision": near / max(given_total, 1),
        "right label": mean(labels),
    }


def located_3d(cases: list[Case]) -> dict[str, float]:
    """The score of a task that is answered with 3D boxes: of those present, and the empty list where there is none."""
    present, absent = ([case for case in cases if bool(case.turn.expect["seen"]) is there] for there in (True, False))
    return (boxes_3d(present) if present else {}) | ({"empty list": empty(absent, parse_boxes_3d)} if absent else {})


# --- words, distances, points ----------------------------------------------------------------


def distance(cases: list[Case]) -> dict[str, float]:
    """Metres within a tenth of the truth, and their mean error as a share of it (no number: 1)."""
    off = []
    for case in cases:
        number, metres = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:m|meters?)?\.?\s*", case.reply), case.turn.expect["metres"]
        off.append(abs(float(number[1]) - metres) / metres if number else 1.0)
    return {"within 10 %": mean(share <= NEAR for share in off), "mean error": mean(min(share, 1.0) for share in off)}


def on_free_spot(cases: list[Case]) -> dict[str, float]:
    """Whether the one point of a reply lies on bare floor, or on the bare top of what was asked for."""
    points = [(only_point(case), case.turn.expect) for case in cases]
    return {"on a free spot": mean(p is not None and is_free(e["view"], p, e["on"]) for p, e in points)}


def in_the_part(cases: list[Case]) -> dict[str, float]:
    """Whether the one point of a reply lies in the box around the seat or the handle."""
    points = [(only_point(case), case.turn.expect["box_xyxy"]) for case in cases]
    return {"in the part": mean(point is not None and inside_box(point, box) for point, box in points)}


def yes_no(cases: list[Case]) -> dict[str, float]:
    """Exact, and beside it the share of the commoner answer, which is what always giving it would score."""
    answers = [{"是": "Yes", "否": "No"}.get(case.turn.answer, case.turn.answer) for case in cases]
    return {"exact": exact(cases), "commoner answer": max(answers.count(a) for a in set(answers)) / len(answers)}


SCORES = {
    "all_3d": boxes_3d, "category_3d": located_3d, "described_3d": boxes_3d, "absent_3d": located_3d, "region_3d": boxes_3d,
    "all_2d": located, "described_2d": located, "absent_2d": located, "relation": yes_no, "on_top": yes_no, "which": said,
    "compare": said, "count": said, "order": said, "colour": said, "distance": distance, "choice": said,
    "free_spot": on_free_spot, "use": in_the_part, "arrow_to": said, "arrow_leads": said,
}  # fmt: skip
JSON_TASKS = tuple(name for name in SCORES if name.endswith(("_3d", "_2d")))
MEASURE = Measure(questions, SCORES, (
    Target("3D boxes: centre within 10 % of its distance", 0.85, ("all_3d",), "centre within 10 %"),
    Target("3D boxes: mean 3D IoU", 0.45, ("all_3d",), "mean 3D IoU"),
    Target("3D boxes: projected 2D IoU", 0.75, ("all_3d",), "projected 2D IoU"),
    Target("spatial multiple choice", 0.90, ("choice",), "exact"),
    Target("valid JSON", 0.99, JSON_TASKS, lambda cases: mean(is_json(case.reply) for case in cases)),
))  # fmt: skip


# --- walks -----------------------------------------------------------------------------------

WALK_SEED = 22
WALK_TASKS = ("walk_first", "walk_last", "walk_order", "walk_left_right", "walk_before", "walk_side", "walk_count", "walk_way")


def walk_questions(count: int) -> Run:
    """All questions on `count` walks, as clips of two frames a second."""
    run: Run = {}
    for index in range(count):
        sample = solid_actions.make_walk(np.random.default_rng([HELD_OUT, WALK_SEED, index]))
        video = [{"type": "video", "video": sample.pictures, "fps": 1 / solid_actions.FRAME_S}]
        for turn in sample.turns:
            run.setdefault(turn.task, []).append(Case(sample, turn, video))
    return run


EITHER = ("walk_before", "walk_side", "walk_way")
WALKS = Measure(walk_questions, {name: yes_no if name in EITHER else said for name in WALK_TASKS}, worlds=60)
