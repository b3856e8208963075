"""The large pictures of the notebook about thinking with images: `assets/large` with its truth.

    python -m cookbook_utils.tiny.large_pictures

`large.json` lists, per picture, the file, its size in pixels, its things (see `zoom.Large.truth`) and questions: the prompt,
the answer, the box of the thing that is asked about (0-1000) and how many zooms its detail needs. All seeds are of the
held-out range.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import zoom, zoom_tasks
from .asset_rows import write_rows
from .scenes import HELD_OUT

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "large"
PICTURES, SEED = 16, 29


def picture_row(index: int) -> dict:
    """Renders and saves one picture; every third has a thing whose detail needs two zooms."""
    rng, size, file = np.random.default_rng([HELD_OUT, SEED, index]), list(zoom.SIZES)[index % 2], f"large_{index:02d}.jpg"
    large = zoom.render(rng, size, huge=index % 3 == 0)
    large.picture.save(FOLDER / file, quality=92)
    sight = zoom_tasks.Sight(large, (0, 0, *large.size))
    questions = []
    for number in sight.details:
        turn = zoom_tasks.ask_detail(sight, rng, number)
        zooms = 2 if large.bearers[number].huge else 1
        questions.append({"task": turn.task, "prompt": turn.prompt, "answer": turn.expect["answer"],
                          "bbox_2d": turn.expect["call"]["bbox_2d"], "zooms": zooms})  # fmt: skip
    return {"file": file, "size": list(large.size), "objects": large.truth(), "questions": questions}


def build() -> None:
    """Renders everything anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_rows(FOLDER / "large.json", [picture_row(index) for index in range(PICTURES)])


if __name__ == "__main__":
    build()
