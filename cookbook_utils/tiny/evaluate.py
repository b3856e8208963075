"""Held-out evaluation of the embedded model: one command, one table.

    python -m cookbook_utils.tiny.evaluate                       # assets/tiny on 300 unseen scenes
    python -m cookbook_utils.tiny.evaluate --model transformers:FOLDER --scenes 60 --failures OUT

Every figure comes from `generate` on pictures that the training never draws: their seeds start at
`HELD_OUT`, the training's are drawn from the clock below it. The questions go through the same
`model.chat_batch` and the same readers that the notebooks use.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..coordinates import iou
from ..drawing import draw_boxes, draw_points
from ..parsing import Parsed, extract_code, parse_boxes, parse_points
from . import tasks
from .scenes import HELD_OUT, Scene, render_scene


@dataclass
class Case:
    """One scene, one question and the reply to it."""

    scene: Scene
    turn: tasks.Turn
    reply: str = ""


def held_out_scenes(count: int, seed: int = HELD_OUT) -> list[Scene]:
    """`count` scenes of one to six things, 256-640 px, in turn of each number of things."""
    return [render_scene(np.random.default_rng([seed, index]), count=1 + index % 6) for index in range(count)]


def cases_for(task: Callable, scenes: list[Scene]) -> list[Case]:
    """One question of a task for each scene that allows it."""
    asked = (Case(scene, task(scene, np.random.default_rng([HELD_OUT, 1, index]))) for index, scene in enumerate(scenes))
    return [case for case in asked if case.turn]


def ask_all(model, cases: list[Case], batch_size: int = 32) -> list[Case]:
    """Asks every question and keeps the replies in the cases."""
    messages = [
        [{"role": "user", "content": [{"type": "image", "image": c.scene.image}, {"type": "text", "text": c.turn.prompt}]}]
        for c in cases
    ]
    replies = model.chat_batch(messages, batch_size=batch_size)
    for case, reply in zip(cases, replies, strict=True):
        case.reply = reply.text
    return cases


# --- figures ---------------------------------------------------------------------------------


def is_json(reply: str) -> bool:
    """Whether the reply's fenced block, or the whole reply, is valid JSON."""
    blocks = extract_code(reply, "json")
    try:
        json.loads(blocks if isinstance(blocks, str) else reply)
    except (ValueError, TypeError):
        return False
    return True


def pair_up(score: np.ndarray) -> list[tuple[int, int, float]]:
    """Pairs `(row, column, score)` that maximise the summed score, each row and column once (Hungarian method)."""
    from scipy.optimize import linear_sum_assignment

    if not score.size:
        return []
    return [(i, j, float(score[i, j])) for i, j in zip(*linear_sum_assignment(-score.astype(float)), strict=True)]


def grounding(cases: list[Case]) -> dict[str, float]:
    """Mean IoU (a missed thing counts 0), recall and precision at IoU 0.5, right label among those found."""
    overlaps, labels, found_total, true_total = [], [], 0, 0
    for case in cases:
        items = parse_boxes(case.reply, case.scene.size)
        truth = case.turn.expect["placed"]
        boxes = np.array([item["bbox_2d"] for item in items]).reshape(-1, 4)
        pairs = pair_up(iou(boxes, np.array([p.box_xyxy for p in truth], float).reshape(-1, 4)))
        overlaps += [overlap for _, _, overlap in pairs]
        labels += [label_of(items[i]) == truth[j].name for i, j, overlap in pairs if overlap >= 0.5]
        found_total, true_total = found_total + len(items), true_total + len(truth)
    hits = sum(overlap >= 0.5 for overlap in overlaps)
    return {
        "mean IoU": sum(overlaps) / max(true_total, 1),
        "recall at IoU 0.5": hits / max(true_total, 1),
        "precision at IoU 0.5": hits / max(found_total, 1),
        "right label": float(np.mean(labels)) if labels else 0.0,
    }


def label_of(item: dict) -> str | None:
    return item.get("label") or item.get("name") or item.get("name_en")


def point_hits(cases: list[Case]) -> float:
    """Share of things for which a point with the right label lies inside the box; each point serves once."""
    hits = total = 0
    for case in cases:
        points: Parsed = parse_points(case.reply, case.scene.size)
        truth = case.turn.expect["placed"]
        inside = np.array([[inside_box(p["point_2d"], t.box_xyxy) and label_of(p) == t.name for t in truth] for p in points])
        hits += sum(hit for _, _, hit in pair_up(inside))
        total += len(truth)
    return hits / max(total, 1)


def inside_box(point: list[float], box: tuple) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def exact(cases: list[Case]) -> float:
    """Share of replies equal to the answer."""
    return float(np.mean([case.reply.strip() == case.turn.expect["answer"] for case in cases]))


def empty(cases: list[Case]) -> float:
    """Share of replies that are an empty list, and nothing that could not be read."""
    read = [(parse_boxes(case.reply), case.reply) for case in cases]
    return float(np.mean([not items and not items.dropped and "[" in reply for items, reply in read]))


# --- the table -------------------------------------------------------------------------------

TARGETS = {
    "mean IoU": 0.80, "recall at IoU 0.5": 0.92, "right label": 0.92, "point inside its thing": 0.92,
    "exact count": 0.92, "valid JSON": 0.99, "empty list for absent things": 0.90,
}  # fmt: skip


def evaluate(model, scenes: list[Scene]) -> tuple[dict[str, float], list[Case]]:
    """All figures on the scenes, the seven with a target first, and every case for a look at it."""
    run = {name: ask_all(model, cases_for(getattr(tasks, name), scenes)) for name in (
        "locate_all", "point", "count", "locate_absent", "locate_name", "locate_names", "locate_category",
        "locate_described", "other_keys", "presence", "name_all", "name_one", "name_box", "name_described", "relation",
        "count_zh",
    )}  # fmt: skip
    json_tasks = ("locate_all", "point", "locate_absent", "locate_name", "locate_names", "locate_category", "other_keys")
    figures = grounding(run["locate_all"])
    figures["point inside its thing"] = point_hits(run["point"])
    figures["exact count"] = exact(run["count"])
    figures["valid JSON"] = float(np.mean([is_json(case.reply) for name in json_tasks for case in run[name]]))
    figures["empty list for absent things"] = empty(run["locate_absent"])
    for name in ("locate_name", "locate_names", "other_keys"):
        figures[f"{name}: recall at IoU 0.5"] = grounding(run[name])["recall at IoU 0.5"]
    described = [case for case in run["locate_described"] if case.turn.task == "locate_described"]
    figures["locate_described: recall at IoU 0.5"] = grounding(described)["recall at IoU 0.5"]
    category = [case for case in run["locate_category"] if case.turn.task == "locate_category" and case.turn.expect["placed"]]
    figures["locate_category: recall at IoU 0.5"] = grounding(category)["recall at IoU 0.5"]
    for name in ("presence", "name_all", "name_one", "name_box", "name_described", "relation", "count_zh"):
        figures[f"{name}: exact"] = exact(run[name])
    return figures, [case for cases in run.values() for case in cases]


def table(figures: dict[str, float]) -> str:
    """The figures as a Markdown table, with the target where there is one."""
    ordered = sorted(figures, key=lambda name: name not in TARGETS)
    rows = [f"| {name} | {figures[name]:.3f} | {f'{TARGETS[name]:.2f}' if name in TARGETS else ''} |" for name in ordered]
    return "\n".join(["| figure | measured | target |", "|---|---|---|", *rows])


def save_failures(cases: list[Case], folder: Path, most: int = 40) -> None:
    """Draws the replies that differ from the answer, one PNG per case, for a look."""
    folder.mkdir(parents=True, exist_ok=True)
    wrong = [case for case in cases if case.reply.strip() != case.turn.answer]
    for index, case in enumerate(wrong[:: max(1, len(wrong) // most)][:most]):
        picture = draw_boxes(case.scene.image, parse_boxes(case.reply, case.scene.size))
        picture = draw_points(picture, parse_points(case.reply, case.scene.size))
        picture.save(folder / f"{index:03d}_{case.turn.task}.png")
        lines = f"{case.turn.prompt}\n--- reply\n{case.reply}\n--- answer\n{case.turn.answer}\n"
        (folder / f"{index:03d}_{case.turn.task}.txt").write_text(lines, encoding="utf-8")


def main() -> None:
    from ..models import load_model

    parser = argparse.ArgumentParser(description="Evaluate the embedded model on held-out scenes.")
    parser.add_argument("--model", default="tiny", help="a spec for load_model (default: tiny)")
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--failures", type=Path, help="folder for pictures of wrong replies")
    args = parser.parse_args()
    began = time.time()
    figures, cases = evaluate(load_model(args.model), held_out_scenes(args.scenes))
    print(table(figures))
    print(f"\n{args.scenes} scenes, {len(cases)} questions, {time.time() - began:.0f} s")
    if args.failures:
        save_failures(cases, args.failures)


if __name__ == "__main__":
    main()
