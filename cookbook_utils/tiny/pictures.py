"""Renders the pictures of the grounding and recognition notebooks into `assets/pictures`, with their truth.

    python -m cookbook_utils.tiny.pictures

`scenes.json` and `singles.json` list, per picture, the file, its size and its objects: `bbox_2d` in
pixels, `label`, `label_zh` and `category`. Their seeds are of the held-out range, so the embedded
model has not seen them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .artwork import things
from .asset_rows import write_rows
from .scenes import HELD_OUT, Scene, render_scene

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "pictures"
SCENES, SINGLES = 24, 48


def objects_of(scene: Scene) -> list[dict]:
    """The ground truth of a scene as plain dicts."""
    named = zip(scene.truth(), scene.placed, strict=True)
    return [{**truth, "label_zh": things()[placed.thing].name_zh} for truth, placed in named]


def write(name: str, made: list[Scene]) -> None:
    """Saves the pictures `name_00.png`, ... and the list of what lies in them."""
    rows = []
    for index, scene in enumerate(made):
        file = f"{name}_{index:02d}.png"
        scene.image.save(FOLDER / file, optimize=True)
        rows.append({"file": file, "size": list(scene.size), "objects": objects_of(scene)})
    write_rows(FOLDER / f"{name}s.json", rows)


def build() -> None:
    """Renders 24 scenes of two to six things and 48 pictures of one thing each, every kind at most once."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng([HELD_OUT, 9]).permutation(len(things()))
    scenes = [render_scene(np.random.default_rng([HELD_OUT, 10, i]), count=2 + i % 5) for i in range(SCENES)]
    singles = [
        render_scene(np.random.default_rng([HELD_OUT, 11, i]), size=(256, 256), kinds=[int(order[i])], soft=False)
        for i in range(SINGLES)
    ]
    write("scene", scenes)
    write("single", singles)


if __name__ == "__main__":
    build()
