"""Questions on held-out screens, asked as the agents' loop asks them, and their figures: the next action, clicks, boxes, texts.

Screens come from shards of seeds that no training may see (`screen_shards.library`, sub-folder `unseen`), so
COOKBOOK_SCREENS has to name a folder of recorded screens. Questions of the loop declare its tool, plain ones do not; both show
the screen at its own size.

A next action is right when its call can be carried out and does what the recorded one does: the same action, on the same
element, with the same words; of figures that a goal fits equally well ("Click on a digit") any. Where several orders lead to the
goal, only the recorded one counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from ..agents.loop import step_messages
from ..agents.phone_policy import says
from ..agents.schemas import ToolError, tool_schemas, validate_call
from ..parsing import parse_tool_calls
from . import screen_tasks, screens
from .figures import Case, Measure, Run, Target, ask_all, empty, inside_box, located, mean, only_point, read, said
from .scenes import HELD_OUT
from .screen_parts import Element, Screen, figures_of, screen_of
from .screen_shards import library

SEED, TRIES = 28, 6
NEAR = 0.04  # of the screen's longer side, by which a point on a drawing may be off
TOOLS = {"phone": "mobile_use", "MiniWoB++": "computer_use"}


@dataclass
class ScreenCase(Case):
    """A question with the tool that is declared for it, none for a plain one."""

    tools: list[dict] = field(default_factory=list)


def ask_with_tool(model, cases: list[ScreenCase], **options) -> None:
    """Asks all questions of a task, those of each tool in one batch."""
    for _, group in groupby(sorted(cases, key=lambda case: case.world.tool), key=lambda case: case.world.tool):
        own = list(group)
        ask_all(model, own, tools=own[0].tools, **options)


# --- questions -------------------------------------------------------------------------------


def held_out_screens(count: int) -> list[tuple[Screen, list[str]]]:
    """`count` screens, of the phone and of MiniWoB++ in turn, each with labels of another screen."""
    shards, made = library(unseen=True), []
    for index in range(count):
        rng, environment = np.random.default_rng([HELD_OUT, SEED, index]), list(screens.ENVIRONMENT_OF.values())[index % 2]
        episode = shards.draw(rng, environment)
        record = episode.load()
        number = int(rng.integers(len(record["steps"])))
        elsewhere = screens.labels(shards.draw(rng, environment).load(), rng)
        made.append((screen_of(record, number, episode.screen(number)), elsewhere))
    return made


def questions(count: int) -> Run:
    """Of each screen the next action, and one question of each other task that it allows within a few tries."""
    run: Run = {name: [] for name in SCORES}
    for index, (screen, elsewhere) in enumerate(held_out_screens(count)):
        shown = step_messages(screen.goal, [], [screen.picture])[0]["content"][:1]
        for task in (screen_tasks.next_action, *screen_tasks.AGENT, *screen_tasks.PLAIN):
            rngs = (np.random.default_rng([HELD_OUT, SEED, 1, index, again]) for again in range(TRIES))
            turns = (screen_tasks.ask({task: 1}, screen, rng, elsewhere) for rng in rngs)
            if turn := next(filter(None, turns), None):
                tools = [] if task in screen_tasks.PLAIN else tool_schemas(screen.tool)
                run[task.__name__].append(ScreenCase(screen, turn, shown, tools=tools))
    return run


# --- calls -----------------------------------------------------------------------------------


def call_in(case: Case) -> dict | None:
    """The arguments of the call that the loop would carry out, None where it could not."""
    calls = parse_tool_calls(case.reply)
    try:
        return validate_call(calls[0]["name"], calls[0]["arguments"], [case.world.tool]) if calls else None
    except ToolError:
        return None


def does_the_same(screen: Screen, given: dict | None, true: dict, goal: str = "") -> bool:
    """Whether an action does on a screen, towards a goal, what the true one does; None never does."""
    if given is None or given["action"] != true["action"]:
        return False
    if any(given.get(name) != true.get(name) for name in ("keys", "button", "status")):
        return False
    if "text" in true and not (says(given["text"], true["text"]) if true["action"] == "answer" else given["text"] == true["text"]):
        return False
    if "pixels" in true and (given["pixels"] > 0) != (true["pixels"] > 0):
        return False
    if "coordinate2" in true:
        return heading(given) == heading(true)
    return "coordinate" not in true or same_place(screen, given.get("coordinate"), true["coordinate"], figures_of(screen, goal)[1])


def heading(swipe: dict) -> tuple[int, int]:
    """Which way a swipe goes: the axis of its longer side, and its sign there."""
    way = np.subtract(swipe["coordinate2"], swipe["coordinate"])
    axis = int(np.argmax(np.abs(way)))
    return axis, int(np.sign(way[axis]))


def same_place(screen: Screen, given: list | None, true: list, alike: list[Element]) -> bool:
    """Whether two points of the grid lie on the same element or text, or both on `alike` ones; where there is none, near each other."""
    if given is None:
        return False
    if (region := screen.at(true)) is not None:
        same = alike if any(one is region for one in alike) else [region]
        return any(one is screen.at(given) for one in same)
    off = (np.array(given) - true) / 1000 * screen.size
    return float(np.hypot(*off)) <= NEAR * max(screen.size)


# --- figures ---------------------------------------------------------------------------------


def is_right(case: Case) -> bool:
    return does_the_same(case.world, call_in(case), case.turn.expect["call"]["arguments"], case.turn.expect["goal"])


def by_tool(name: str, cases: list[Case], hit) -> dict[str, float]:
    """The share of cases that are hit, and of each environment apart."""
    own = {where: [case for case in cases if case.world.tool == tool] for where, tool in TOOLS.items()}
    return {name: mean(map(hit, cases))} | {f"{name}, {where}": mean(map(hit, some)) for where, some in own.items() if some}


def actions(cases: list[Case]) -> dict[str, float]:
    """Right next actions, calls that can be carried out, and those of the right action."""
    calls = [(call_in(case), case.turn.expect["call"]["arguments"]) for case in cases]
    possible = mean(given is not None for given, _ in calls)
    alike = mean(given is not None and given["action"] == true["action"] for given, true in calls)
    return by_tool("right", cases, is_right) | {"call can be carried out": possible, "same action": alike}


def clicked(case: Case) -> bool:
    """Whether a click's point is inside the box of the described element."""
    given = call_in(case)
    if given is None or given["action"] != case.turn.expect["call"]["arguments"]["action"] or "coordinate" not in given:
        return False
    point = [at * side / 1000 for at, side in zip(given["coordinate"], case.size, strict=True)]
    return inside_box(point, case.turn.expect["element"].box_xyxy)


def clicks(cases: list[Case]) -> dict[str, float]:
    return by_tool("point inside the element", cases, clicked)


def pointed(case: Case) -> bool:
    point = only_point(case)
    return point is not None and inside_box(point, case.turn.expect["region"].box_xyxy)


def points(cases: list[Case]) -> dict[str, float]:
    return by_tool("inside the element", cases, pointed)


def nothing(cases: list[Case]) -> dict[str, float]:
    return {"empty list": empty(cases)}


SCORES = {
    "next_action": actions, "other_goals": actions, "retyped": actions, "rechosen": actions, "tap": clicks, "locate": located, "point": points,
    "absent": nothing, "presence": said, "read": read, "read_beside": read, "state": said,
}  # fmt: skip
MEASURE = Measure(questions, SCORES, (
    Target("next action right on the phone", 0.90, ("next_action",), "right, phone"),
    Target("next action right on MiniWoB++", 0.90, ("next_action",), "right, MiniWoB++"),
), worlds=240, ask=ask_with_tool)  # fmt: skip
