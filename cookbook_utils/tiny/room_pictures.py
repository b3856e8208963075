"""Renders the pictures of the 3D grounding and spatial notebooks into `assets/rooms`, with their truth.

    python -m cookbook_utils.tiny.room_pictures

`rooms.json` lists, per picture, the file, its size, the camera's horizontal field of view in degrees, its objects (`bbox_3d` in
metres and half-turns, `bbox_2d` in pixels, label, category, colour, distance), and questions with their answers: a text, or for
a point the box in pixels in which it has to lie, or the name of a mask, white where a point is right. `pairs.json` does the
same for two views of one room, `walks.json` for clips of a walk along one. All seeds are of the held-out range.
"""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
from PIL import Image

from ..video import write_video
from . import solid_actions, solid_tasks, solids
from .asset_rows import questions_about, write_rows
from .scenes import HELD_OUT
from .turns import Turn

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "rooms"
SCALE = 2  # of the files, in sides of what the model sees
ROOMS, PAIRS, WALKS = 24, 3, 3
MASK = 4  # pixels of the layout to one of a mask
ASKED = {  # per picture: how many questions of each kind, where the picture allows them
    solid_tasks.choice: 2, solid_tasks.relation: 2, solid_tasks.on_top: 1, solid_tasks.which: 1, solid_tasks.compare: 1,
    solid_tasks.count: 1, solid_tasks.described_3d: 1, solid_tasks.described_2d: 1, solid_tasks.free_spot: 1,
    solid_tasks.use: 1, solid_tasks.arrow_to: 1, solid_tasks.arrow_leads: 1,
}  # fmt: skip


def object_row(truth: dict) -> dict:
    """One object's truth in pixels of the file."""
    return {**truth, **{key: [round(v * SCALE, 1) for v in truth[key]] for key in ("bbox_2d", "bbox_2d_projected")}}


def question_row(turn: Turn, view: solids.View, name: str) -> dict:
    """A question and what tells a right answer."""
    row = {"task": turn.task, "prompt": turn.prompt}
    if "box_xyxy" in turn.expect:
        return {**row, "box": [round(v * SCALE, 1) for v in turn.expect["box_xyxy"]]}
    if turn.task == "free_spot":
        free_mask(view, turn.expect["on"]).save(FOLDER / name, optimize=True)
        return {**row, "mask": name}
    if "answer" in turn.expect:
        return {**row, "answer": turn.expect["answer"]}
    return {**row, "labels": [seen.kind for seen in turn.expect["seen"]]}


def free_mask(view: solids.View, on) -> Image.Image:
    """Where there is free space on the floor, or on the top of a solid: white, one pixel for `MASK` of the layout."""
    width, height = (side // MASK for side in view.size)
    free = [[solid_actions.is_free(view, ((x + 0.5) * MASK, (y + 0.5) * MASK), on) for x in range(width)] for y in range(height)]
    return Image.fromarray(np.array(free, np.uint8) * 255).convert("1")


def questions_of(rng, view: solids.View, name: str) -> list[dict]:
    """Questions of all kinds that the view allows, none twice."""
    return [question_row(turn, view, name) for turn in questions_about(solid_tasks.ask, view, rng, ASKED, tries=12)]


def view_row(view: solids.View, file: str) -> dict:
    """Saves a view's picture and tells what is in it."""
    view.image.save(FOLDER / file, optimize=True)
    return {"file": file, "size": list(view.image.size), "fov": view.eye.fov, "objects": [object_row(o) for o in view.truth()]}


def room(index: int) -> dict:
    """One picture of one to four solids: every sixth with another field of view, every fourth with arrows on the floor."""
    rng = np.random.default_rng([HELD_OUT, 20, index])
    fov = solids.FOVS[index // 6 % 4] if index % 6 == 5 else 60
    view = solids.render(rng, scale=SCALE, count=1 + index % 4 if index % 4 else 4, fov=fov, arrows=index % 4 == 3)
    row = view_row(view, f"room_{index:02d}.png")
    return {**row, "questions": questions_of(rng, view, f"free_{index:02d}.png")}


def comparisons(views: list[solids.View]) -> list[list[dict]]:
    """Per view the same yes-or-no questions on where one solid is, of which at least some are answered differently."""
    names = [seen.kind for seen in views[0].seen]
    rows: list[list[dict]] = [[] for _ in views]
    for first, second in permutations(names, 2):
        for word in solid_tasks.RELATIONS:
            pairs = [tuple(next(s for s in view.seen if s.kind == name) for name in (first, second)) for view in views]
            truths = [solid_tasks.holds(view, a, word, b) for view, (a, b) in zip(views, pairs, strict=True)]
            if None not in truths:
                prompt = f"From the viewer's perspective, is the {first} {word} the {second}? Answer yes or no."
                for row, truth in zip(rows, truths, strict=True):
                    row.append({"task": "relation", "prompt": prompt, "answer": "Yes" if truth else "No"})
    return rows


def pair(index: int) -> list[dict]:
    """Two views of one room in which at least a third of the comparisons come out differently."""
    for attempt in range(400):
        views = solids.viewpoints(np.random.default_rng([HELD_OUT, 21, index, attempt]), 2, scale=SCALE, count=3)
        asked = comparisons(views)
        if sum(a["answer"] != b["answer"] for a, b in zip(*asked, strict=True)) * 3 > len(asked[0]):
            break
    rows = [view_row(view, f"pair_{index:02d}_{'ab'[page]}.png") for page, view in enumerate(views)]
    return [{**row, "questions": questions} for row, questions in zip(rows, asked, strict=True)]


def walk(index: int) -> dict:
    """A clip of a camera that moves past two to four solids, two frames a second."""
    rng = np.random.default_rng([HELD_OUT, 23, index])
    views, enters, rightwards = solid_actions.walk(rng, count=2 + index % 3, scale=SCALE)
    file = f"walk_{index:02d}.mp4"
    write_video(FOLDER / file, [view.image for view in views], 1 / solid_actions.FRAME_S)
    turns = solid_actions.walk_turns(rng, views, enters, rightwards)
    return {"file": file, "questions": [question_row(turn, views[0], "") for turn in turns]}


def build() -> None:
    """Renders everything anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_rows(FOLDER / "rooms.json", [room(index) for index in range(ROOMS)])
    write_rows(FOLDER / "pairs.json", [pair(index) for index in range(PAIRS)])
    write_rows(FOLDER / "walks.json", [walk(index) for index in range(WALKS)])


if __name__ == "__main__":
    build()
