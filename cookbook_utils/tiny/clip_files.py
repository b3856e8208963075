"""Renders the clips of the video notebook into `assets/clips`, with their truth.

    python -m cookbook_utils.tiny.clip_files

`clips.json` lists, per clip, the file, its size in pixels, what happens in it (events with start, end and description,
captions, and once a second the boxes of its things on the 0-1000 grid, see `clips.Clip.truth`) and questions with their
answers: a text, a time as start and end in seconds, or boxes at given times. All seeds are of the held-out range.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import clip_tasks, clips
from .asset_rows import questions_about, write_rows
from .scenes import HELD_OUT
from .turns import Turn

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "clips"
SCALE, FPS = 3, 12  # of the files: sides of what the model sees, frames a second
CLIPS = 16
ASKED = {  # per clip: how many questions of each kind, where the clip allows them
    clip_tasks.when: 2, clip_tasks.caption_at: 1, clip_tasks.caption_when: 1, clip_tasks.box_at: 1, clip_tasks.order: 1,
    clip_tasks.who: 1, clip_tasks.side: 1, clip_tasks.change: 1, clip_tasks.count: 1, clip_tasks.presence: 1, clip_tasks.names_at: 1,
}  # fmt: skip


def question_row(turn: Turn) -> dict:
    """A question and what tells a right answer."""
    known = {name: turn.expect[name] for name in ("start", "end", "boxes", "answer") if name in turn.expect}
    return {"task": turn.task, "prompt": turn.prompt, **known}


def clip_row(index: int) -> dict:
    """Writes one clip and tells what is in it; its length goes from 4 to 12 seconds."""
    rng, size = np.random.default_rng([HELD_OUT, 24, index]), list(clips.SIZES)[index % 2]
    clip, file = clips.render(rng, size, seconds=4 + index * 3 % 9, scale=SCALE), f"clip_{index:02d}.mp4"
    clip.write(FOLDER / file, fps=FPS)
    asked = questions_about(clip_tasks.ask, clip, rng, ASKED, tries=6)
    size = [side * SCALE for side in size]
    return {"file": file, "size": size, **clip.truth(), "questions": [question_row(turn) for turn in asked]}


def build() -> None:
    """Renders everything anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_rows(FOLDER / "clips.json", [clip_row(index) for index in range(CLIPS)])


if __name__ == "__main__":
    build()
