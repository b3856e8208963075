"""Questions, replies and the figures that every family of the evaluation shares.

A `Case` is one question about something of the world and the reply to it. A figure is a pure function of cases: 1 for
true answers and 0 for useless ones, but for those called "error", where 0 is best. A task has one or more figures, by
name, the one that says most first; a family has its tasks, how to make their questions from held-out seeds, and the
figures that have a target.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from ..coordinates import iou
from ..parsing import Parsed, extract_code, parse_boxes, parse_points
from .scenes import HELD_OUT
from .turns import Turn


@dataclass
class Case:
    """One question about a `world` (a scene, a view, a clip, a page, ...) and the reply to it.

    `content`: the message's pictures or video, before the question's text.
    """

    world: object
    turn: Turn
    content: list[dict]
    reply: str = ""

    @property
    def messages(self) -> list[dict]:
        return [{"role": "user", "content": [*self.content, {"type": "text", "text": self.turn.prompt}]}]

    @property
    def size(self) -> tuple[int, int]:
        """`(width, height)` in pixels of the picture, or of the clip's frames."""
        first = self.content[0]
        return (first["image"] if first["type"] == "image" else first["video"][0]).size


Run = dict[str, list[Case]]  # the cases of each task
Score = Callable[[list[Case]], dict[str, float]]


def ask_all(model, cases: list[Case], batch_size: int = 32, **options) -> None:
    """Asks every question and keeps the replies in the cases; options as for `chat_batch`."""
    replies = model.chat_batch([case.messages for case in cases], batch_size=batch_size, **options)
    for case, reply in zip(cases, replies, strict=True):
        case.reply = reply.text


@dataclass(frozen=True)
class Target:
    """A figure that has a target `value`: the least that is wanted, or the `most`.

    `figure`: the name of one in the score of the only task, or a function of the cases of all `tasks`.
    """

    name: str
    value: float
    tasks: tuple[str, ...]
    figure: str | Callable[[list[Case]], float]
    most: bool = False

    def reached(self, value: float) -> bool:
        return value <= self.value if self.most else value >= self.value

    def measured(self, run: Run, by_task: dict[str, dict[str, float]]) -> float | None:
        """None where no question was asked."""
        if isinstance(self.figure, str):
            return by_task.get(self.tasks[0], {}).get(self.figure)
        cases = [case for task in self.tasks for case in run.get(task, [])]
        return self.figure(cases) if cases else None


@dataclass(frozen=True)
class Measure:
    """How one family is measured: `questions(count)` from `worlds` things of the world, a score for each task, targets.

    `ask` puts the questions of a task, which for a conversation of several rounds is more than one call. `most_tokens`: of a
    reply; where none is given the model decides. Otherwise a reply also ends where it is longer than every true answer of
    its task, so that a model that knows nothing of a task does not take minutes to show it.
    """

    questions: Callable[[int], Run]
    scores: dict[str, Score]
    targets: tuple[Target, ...] = ()
    worlds: int = 150
    most_tokens: int | None = 512
    ask: Callable = ask_all

    def put(self, model, cases: list[Case]) -> None:
        """Asks all questions of one task; a token is one byte or more."""
        longest = max(len(case.turn.answer.encode()) for case in cases) + 16
        limit = {} if self.most_tokens is None else {"max_new_tokens": min(self.most_tokens, longest)}
        self.ask(model, cases, **limit)

    def figures(self, run: Run) -> dict[str, float]:
        """Those with a target under their own names, then `task: figure` of every task that was asked."""
        by_task = {name: score(run[name]) for name, score in self.scores.items() if run.get(name)}
        aimed = {target.name: target.measured(run, by_task) for target in self.targets}
        renamed = {(target.tasks[0], target.figure) for target in self.targets}
        others = {(task, figure): value for task, figures in by_task.items() for figure, value in figures.items()}
        return {name: value for name, value in aimed.items() if value is not None} | {
            f"{task}: {figure}": value for (task, figure), value in others.items() if (task, figure) not in renamed
        }

    def score_of(self, task: str, case: Case) -> tuple[str, float]:
        """The first figure of a task for one case alone."""
        return next(iter(self.scores[task]([case]).items()))


def is_error(figure: str) -> bool:
    """Whether a figure is better the lower it is, which its name says."""
    return "error" in figure


def gather(worlds: list, tasks: list[Callable], content: Callable, seed: int, tries: int = 4) -> Run:
    """One question of each task for each thing of the world that allows it, within a few tries; `content(world)`: what is shown."""
    run: Run = {}
    for task in tasks:
        for index, world in enumerate(worlds):
            asked = (task(world, np.random.default_rng([HELD_OUT, seed, 1, index, again])) for again in range(tries))
            if turn := next(filter(None, asked), None):
                run.setdefault(task.__name__, []).append(Case(world, turn, content(world)))
    return run


def picture_of(image) -> list[dict]:
    return [{"type": "image", "image": image}]


# --- texts -----------------------------------------------------------------------------------


def mean(values) -> float:
    """The mean, 0 for none."""
    values = [float(value) for value in values]
    return sum(values) / len(values) if values else 0.0


def is_exact(case: Case) -> bool:
    return case.reply.strip() == case.turn.expect.get("answer", case.turn.answer)


def exact(cases: list[Case]) -> float:
    """Share of replies equal to the answer."""
    return mean(is_exact(case) for case in cases)


def said(cases: list[Case]) -> dict[str, float]:
    """The score of a task that is answered with a word, a number or a sentence."""
    return {"exact": exact(cases)}


def edits(given: str, truth: str) -> int:
    """Characters to insert, delete or replace (Levenshtein distance).

    >>> edits("kitten", "sitting")
    3
    """
    return Levenshtein.distance(given, truth)


def error_rate(pairs: list[tuple[str, str]]) -> float:
    """Edits of all `(given, truth)` texts over the characters of all truths; above 1 when too much was written.

    >>> error_rate([("abcd", "abed"), ("", "xy")])
    0.5
    """
    return sum(edits(*pair) for pair in pairs) / max(sum(len(truth) for _, truth in pairs), 1)


def read(cases: list[Case]) -> dict[str, float]:
    """The score of a task that is answered with a text."""
    pairs = [(case.reply.strip(), case.turn.answer) for case in cases]
    return {"character error rate": error_rate(pairs), "exact": exact(cases)}


def alike(given: list, truth: list) -> float:
    """How many of the items are the same, as a share of the longer list; 1 for two empty ones."""
    shared = (Counter(given) & Counter(truth)).total()
    return shared / max(len(given), len(truth)) if given or truth else 1.0


def is_json(reply: str) -> bool:
    """Whether the reply's fenced block, or the whole reply, is valid JSON."""
    blocks = extract_code(reply, "json")
    try:
        json.loads(blocks if isinstance(blocks, str) else reply)
    except (ValueError, TypeError):
        return False
    return True


def is_empty(reply: str, parse: Callable = parse_boxes) -> bool:
    """Whether a reply is an empty list, and nothing that could not be read."""
    items = parse(reply)
    return not items and not items.dropped and "[" in reply


def empty(cases: list[Case], parse: Callable = parse_boxes) -> float:
    """Share of replies that are an empty list."""
    return mean(is_empty(case.reply, parse) for case in cases)


# --- boxes and points ------------------------------------------------------------------------


def pair_up(score: np.ndarray) -> list[tuple[int, int, float]]:
    """Pairs `(row, column, score)` that maximise the summed score, each row and column once (Hungarian method)."""
    from scipy.optimize import linear_sum_assignment

    if not score.size:
        return []
    return [(i, j, float(score[i, j])) for i, j in zip(*linear_sum_assignment(-score.astype(float)), strict=True)]


def label_of(item: dict) -> str | None:
    return item.get("label") or item.get("name") or item.get("name_en") or item.get("text_content")


def items_in_answer(case: Case) -> list[dict]:
    """The boxes of the true answer, in pixels."""
    return parse_boxes(case.turn.answer, case.size)


def grounding(cases: list[Case], truth: Callable[[Case], list[dict]] = items_in_answer) -> dict[str, float]:
    """Mean IoU (a missed thing counts 0), recall and precision at IoU 0.5, right label among those found.

    truth: the true `bbox_2d` (pixels) and `label` of a case.
    """
    overlaps, labels, found_total, true_total = [], [], 0, 0
    for case in cases:
        items, wanted = parse_boxes(case.reply, case.size), truth(case)
        boxes, true = (np.array([item["bbox_2d"] for item in part], float).reshape(-1, 4) for part in (items, wanted))
        pairs = pair_up(iou(boxes, true))
        overlaps += [overlap for _, _, overlap in pairs]
        labels += [label_of(items[i]) == label_of(wanted[j]) for i, j, overlap in pairs if overlap >= 0.5]
        found_total, true_total = found_total + len(items), true_total + len(wanted)
    hits = sum(overlap >= 0.5 for overlap in overlaps)
    return {
        "mean IoU": sum(overlaps) / max(true_total, 1),
        "recall at IoU 0.5": hits / max(true_total, 1),
        "precision at IoU 0.5": hits / max(found_total, 1),
        "right label": float(np.mean(labels)) if labels else 0.0,
    }


def located(cases: list[Case]) -> dict[str, float]:
    """The score of a task that is answered with boxes: of those present, and the empty list where there is none."""
    present = [case for case in cases if items_in_answer(case)]
    absent = [case for case in cases if not items_in_answer(case)]
    figures = grounding(present) if present else {}
    return figures | ({"empty list": empty(absent)} if absent else {})


def inside_box(point: list[float], box: tuple) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def only_point(case: Case) -> list[float] | None:
    """The point `[x, y]` of a reply in pixels, None unless it has exactly one."""
    points: Parsed = parse_points(case.reply, case.size)
    return points[0]["point_2d"] if len(points) == 1 else None
