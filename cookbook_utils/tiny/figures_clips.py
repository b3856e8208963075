"""The clips' questions on held-out clips, and their figures: events and their times, captions, boxes at given times.

Clips are asked as a list of frames, two a second, which is what the training shows.
"""

from __future__ import annotations

import json
import re

import numpy as np

from ..coordinates import iou
from ..parsing import parse_boxes, parse_events
from . import clip_tasks, clips
from .figures import Case, Measure, Run, Target, alike, empty, exact, gather, is_json, mean, pair_up, read, said
from .scenes import HELD_OUT

SEED = 23


def held_out_clips(count: int) -> list[clips.Clip]:
    """`count` clips of 2-12 seconds, in turn of each frame size, two frames a second."""
    sizes = list(clips.SIZES)
    return [clips.render(np.random.default_rng([HELD_OUT, SEED, i]), sizes[i % len(sizes)]) for i in range(count)]


def video_of(clip: clips.Clip) -> list[dict]:
    return [{"type": "video", "video": clip.frames, "fps": clips.FPS}]


def questions(count: int) -> Run:
    return gather(held_out_clips(count), list(clip_tasks.TASKS), video_of, SEED)


# --- times -----------------------------------------------------------------------------------


def span_iou(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Intersection over union of two time spans `(start, end)` in seconds; 0 where one has no length.

    >>> span_iou((0, 2), (1, 3))
    0.3333333333333333
    """
    shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = max(a[1] - a[0], 0.0) + max(b[1] - b[0], 0.0) - shared
    return shared / union if min(a[1] - a[0], b[1] - b[0]) > 0 else 0.0


def span_of(event: dict) -> tuple[float, float]:
    return event["start"], event["end"]


def events(cases: list[Case]) -> dict[str, float]:
    """Temporal IoU (a missed event counts 0), recall and precision at 0.5, and the right description among those found.

    Each event is paired with one of the reply so that the overlaps are largest; among equals, with its own description.
    """
    overlaps, described, given_total, true_total = [], [], 0, 0
    for case in cases:
        given, truth = list(parse_events(case.reply)), case.turn.expect["events"]
        same = np.array([[g["description"] == t["description"] for t in truth] for g in given])
        times = np.array([[span_iou(span_of(g), span_of(t)) for t in truth] for g in given])
        for i, j, _ in pair_up(times + 1e-3 * same):
            overlaps.append(times[i, j])
            described += [same[i, j]] if times[i, j] >= 0.5 else []
        given_total, true_total = given_total + len(given), true_total + len(truth)
    hits = sum(overlap >= 0.5 for overlap in overlaps)
    return {
        "temporal IoU": float(sum(overlaps)) / max(true_total, 1),
        "recall at IoU 0.5": hits / max(true_total, 1),
        "precision at IoU 0.5": hits / max(given_total, 1),
        "right description": mean(described),
    }


def time_of(reply: str) -> tuple[float, float] | None:
    """The one time span of a reply such as `2.0 - 4.0 seconds` or `00:02 - 00:04`."""
    found = parse_events(json.dumps([{"time": reply.strip()}]))
    return span_of(found[0]) if len(found) == 1 else None


def spans(cases: list[Case]) -> dict[str, float]:
    """Temporal IoU of the only span of each reply, and how many are exact."""
    pairs = [(time_of(case.reply), (case.turn.expect["start"], case.turn.expect["end"])) for case in cases]
    return {"temporal IoU": mean(span_iou(given, true) if given else 0 for given, true in pairs), "exact": exact(cases)}


# --- sentences, captions, boxes --------------------------------------------------------------


def sentences(text: str) -> list[str]:
    """What is told, sentence by sentence, English or Chinese.

    >>> sentences("The dog enters. The dog leaves.")
    ['The dog enters', 'The dog leaves']
    """
    return [part.strip() for part in re.split("[.。]", text) if part.strip()]


def told(cases: list[Case]) -> dict[str, float]:
    """How many of the sentences are right, as a share of those that were told or should have been; and the whole text."""
    shares = (alike(sentences(case.reply), sentences(case.turn.answer)) for case in cases)
    return {"sentences right": mean(shares), "exact": exact(cases)}


def boxes_at(cases: list[Case]) -> dict[str, float]:
    """Mean IoU with the box of the same time (a missing one counts 0), recall and precision at 0.5; the empty list for what is away."""
    overlaps, given_total, absent = [], 0, [case for case in cases if not case.turn.expect["boxes"]]
    for case in cases:
        given, truth = parse_boxes(case.reply), case.turn.expect["boxes"]
        at = {item.get("time"): item["bbox_2d"] for item in reversed(given)} if truth else {}
        overlaps += [float(iou([at[t["time"]]], [t["bbox_2d"]])[0, 0]) if t["time"] in at else 0.0 for t in truth]
        given_total += len(given) if truth else 0
    hits = sum(overlap >= 0.5 for overlap in overlaps)
    shares = {"recall at IoU 0.5": hits / max(len(overlaps), 1), "precision at IoU 0.5": hits / max(given_total, 1)}
    figures = {"mean IoU": mean(overlaps), **shares}
    return (figures if overlaps else {}) | ({"empty list": empty(absent)} if absent else {})


SCORES = {
    "events_json": events, "describe": told, "describe_zh": told, "when": spans, "order": said, "nth_event": said,
    "next_event": said, "caption_at": read, "read_all": read, "caption_when": spans, "box_at": boxes_at, "track": boxes_at,
    "names_at": said, "count": said, "presence": said, "happens": said, "change": said, "who": said, "side": said,
}  # fmt: skip
JSON_TASKS = ("events_json", "box_at", "track")
MEASURE = Measure(questions, SCORES, (
    Target("clip events: temporal IoU", 0.70, ("events_json",), "temporal IoU"),
    Target("valid JSON", 0.99, JSON_TASKS, lambda cases: mean(is_json(case.reply) for case in cases)),
))  # fmt: skip
