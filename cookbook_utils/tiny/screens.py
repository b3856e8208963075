"""Screens: the phone and the MiniWoB++ pages, as the agents' loop shows them, with the next step and what is there to see.

A sample is one screen of a recorded episode (`screen_recorder.py`) or a still (`screen_stills.py`), at the very size that the environments hand to a model, because the loop shows screenshots at their own
resolution:

- 288 x 512 pixels for the phone (144 visual tokens): 0.8 of its 360 x 640 CSS pixels, letters of 14 px and more;
- 320 x 320 for MiniWoB++ (100 visual tokens): twice its 160 x 160 CSS pixels, letters of 20 px and more.

Eight samples of ten are turns of the loop: the tool is declared, and the next action is asked for as `step_messages` words
it, for the episode's goal, for other goals on the same screen, and for clicks on described elements. The others are plain
questions: boxes and points of elements, texts, what is switched on, what is not there. `level` 0 asks for described
elements and texts only, 1 for all; between them the share of the other turns grows.

`earlier`: how many earlier screens the model is shown besides, as the loop's `keep_screenshots` minus one. The embedded
model is trained with none: each would cost 100 to 144 tokens a step, and what matters of them stands in the steps' text.

    python -m cookbook_utils.tiny.screens FOLDER --episodes 800 --workers 2   # records; then COOKBOOK_SCREENS=FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from ..agents.loop import step_messages
from ..agents.schemas import tool_schemas
from .samples import Sample
from .screen_parts import KINDS, Screen, screen_of
from .screen_shards import library
from .screen_tasks import AGENT, PLAIN, ask, next_action, tap
from .zoom import written

__all__ = ["KINDS", "SIZES", "make", "make_unseen", "sample_of"]

SIZES = {(288, 512): 1, (320, 320): 1}
ENVIRONMENT_OF = {(288, 512): "phone", (320, 320): "miniwob"}
QUESTIONS = 6
LOOP_SHARE = 0.8
STILL_SHARE = {"phone": 0.5, "miniwob": 0.3}  # of samples, where there are stills: the phone's have goals of its own, a page's have clicks

SHARES = dict.fromkeys((  # what is learned last is drawn twice as often
    "click-link", "click-checkboxes", "click-shape", "count-shape", "identify-shape", "navigate-tree", "choose-list", "drag-circle",
    "about", "read", "delete_chat", "new_alarm", "cart", "buy", "price", "forecast",
), 2.0)  # fmt: skip


def make(
    rng: np.random.Generator, size: tuple[int, int] = (288, 512), level: float = 1.0, *, folder: str | Path | None = None,
    unseen: bool = False, earlier: int = 0,
) -> Sample:  # fmt: skip
    """One screen with its questions, drawn from the shards of a folder (by default of COOKBOOK_SCREENS); stills where it has any.

    Raises ValueError for a size that no environment has, and FileNotFoundError that names the command where there are no
    shards.
    """
    if size not in ENVIRONMENT_OF:
        raise ValueError(f"size: expected one of {', '.join(map(str, ENVIRONMENT_OF))}, got {size!r}")
    shards, environment = library(folder, unseen=unseen), ENVIRONMENT_OF[size]
    if shards.has(f"stills-{environment}") and not earlier and rng.random() < STILL_SHARE[environment]:
        environment = f"stills-{environment}"
    episode = shards.draw(rng, environment, SHARES)
    record = episode.load()
    number = a_step(rng, record)
    first = max(0, number - earlier)
    screens = [screen_of(record, step, episode.screen(step), step - first) for step in range(first, number + 1)]
    if earlier:
        return dialogue(screens)
    elsewhere = labels(shards.draw(rng, environment).load(), rng)
    return sample_of(screens[-1], rng, level, elsewhere)


def a_step(rng: np.random.Generator, record: dict) -> int:
    """One of an episode's steps; more often the first, those that write something, since letters are the hardest to learn, and those just after."""
    writes = np.array(['"text": "' in row["call"] for row in record["steps"]])
    weights = 1.0 + 1.5 * writes + np.append(1.0, writes[:-1])
    return int(rng.choice(len(weights), p=weights / weights.sum()))


def make_unseen(rng: np.random.Generator, size: tuple[int, int], level: float = 1.0) -> Sample:
    """The same from the shards of seeds that no training may see."""
    return make(rng, size, level, unseen=True)


def sample_of(screen: Screen, rng: np.random.Generator, level: float, elsewhere: list[str]) -> Sample:
    """Questions about one screen, all of the loop or all plain; the commonest last, since rows are filled from the end.

    elsewhere: labels of another screen, to ask for what is not there.
    """
    loop = rng.random() < LOOP_SHARE
    table = {tap: 1.0} | {task: weight * level for task, weight in AGENT.items() if task is not tap} if loop else PLAIN
    made = [turn for turn in (ask(table, screen, rng, elsewhere) for _ in range(3 * QUESTIONS)) if turn]
    turns = list({turn.prompt: turn for turn in made}.values())[: QUESTIONS - loop]
    if loop and (rng.random() < level or not turns):
        turns.append(next_action(screen, rng))
    return Sample([screen.picture], turns, screen.regions, screen.glyphs, tools=tool_schemas(screen.tool) if loop else [])


def labels(record: dict, rng: np.random.Generator) -> list[str]:
    """What is written on the elements of a screen of an episode."""
    row = record["steps"][int(rng.integers(len(record["steps"])))]
    return [line["text"] for line in row["lines"] if not line["cut"] and line["of"] >= 0]


def dialogue(screens: list[Screen]) -> Sample:
    """The next action after earlier screens, each with the reply to it, as the loop's `keep_screenshots` shows them."""
    last = screens[-1]
    turn = next_action(last, None)
    messages, tools = step_messages(last.goal, last.steps, [screen.picture for screen in screens]), tool_schemas(last.tool)
    *between, turn.prompt = written(messages, tools)
    turn.mentions = [(phrase, regions) for phrase, regions in turn.mentions if len(screens) == 1]
    regions, glyphs = ([part for screen in screens for part in getattr(screen, name)] for name in ("regions", "glyphs"))
    return Sample([s.picture for s in screens], [turn], regions, glyphs, tools=tools, between=between)


if __name__ == "__main__":
    from .screen_command import main

    sys.exit(main())
