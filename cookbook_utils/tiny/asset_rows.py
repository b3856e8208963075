"""What the commands that render pictures, rooms and clips into the assets share: questions about each, and lists of rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .turns import Turn


def questions_about(ask: Callable, world, rng: np.random.Generator, wanted: dict[Callable, int], *, tries: int) -> list[Turn]:
    """So many different questions of each wanted task as a world allows, none twice; `tries` draws for each one wanted.

    ask: of the world's family, `(world, rng, task) -> Turn | None`.
    """
    asked = {}
    for task, count in wanted.items():
        found = {turn.prompt: turn for turn in (ask(world, rng, task) for _ in range(tries * count)) if turn}
        asked.update(list(found.items())[:count])
    return list(asked.values())


def write_rows(path: Path, rows: list) -> None:
    """Writes a JSON list, a row a line."""
    text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(f"[\n{text}\n]\n", encoding="utf-8")
