"""One question with its exact answer, and where in the picture each part of it looks.

Every family of the embedded model's world asks through `Turn`. `mentions` and `shown` are for the
training alone: they say which regions a phrase of the question stands for, and which region the
answer speaks of from a certain character on, so that attention heads can be taught to look there.
A region is anything with `box_xyxy` in pixels of its picture and, in a set of pictures, its `page`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

NOWHERE = None  # the region of an answer's part that speaks of nothing in the picture


@dataclass
class Turn:
    """One question and its answer; `expect` keeps what the evaluation needs to know.

    `mentions`: phrases of the prompt with the regions that they stand for, none for an absent thing.
    `shown`: `(start, region)` in the order of the answer's characters; from `start` on the answer
    speaks of that region, of `NOWHERE`, or of what a phrase of the prompt says, as the prompt writes it.
    """

    task: str
    prompt: str
    answer: str
    expect: dict = field(default_factory=dict)
    mentions: list[tuple[str, list]] = field(default_factory=list)
    shown: list[tuple[int, object]] = field(default_factory=list)


def pick(rng: np.random.Generator, options):
    """One element of a sequence."""
    return options[int(rng.integers(len(options)))]


def drawn(tasks: dict[Callable, float], world, rng: np.random.Generator, task: Callable | None = None) -> Turn | None:
    """One turn over a world: the given task, None where the world does not allow it, or one drawn by its weight among those that it does."""
    options, weights = list(tasks), np.array(list(tasks.values()))
    while True:
        turn = (task or options[int(rng.choice(len(options), p=weights / weights.sum()))])(world, rng)
        if turn or task:
            return turn


def fenced(items: list[dict]) -> str:
    """Items as the real model writes them: one per line, indented by a tab, in a fence."""
    if not items:
        return "```json\n[]\n```"
    lines = ",\n".join("\t" + json.dumps(item, ensure_ascii=False) for item in items)
    return f"```json\n[\n{lines}\n]\n```"


def shown_by_line(answer: str, regions: list) -> list[tuple[int, object]]:
    """`shown` of a fenced list: each item from the closing brace of the one before, nothing after the last.

    >>> shown_by_line('```json\\n[\\n\\t{"a": 1},\\n\\t{"a": 2}\\n]\\n```', ["first", "second"])
    [(0, 'first'), (18, 'second'), (29, None)]
    """
    ends = [match.start() for match in re.finditer(r'"?\},?\n', answer)]
    return list(zip([0, *ends], [*regions, NOWHERE], strict=True))


def shown_by_part(answer: str, regions: list, separator: str) -> list[tuple[int, object]]:
    """`shown` of names with a separator between them, nothing after the last.

    >>> shown_by_part("cat, dog", ["first", "second"], ", ")
    [(0, 'first'), (3, 'second'), (8, None)]
    """
    ends = np.cumsum([len(part) + len(separator) for part in answer.split(separator)]) - len(separator)
    return list(zip([0, *ends.tolist()], [*regions, NOWHERE], strict=True))
