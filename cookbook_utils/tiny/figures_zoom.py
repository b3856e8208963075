"""Questions about large held-out pictures, asked with the zoom tool and without it, and their figures.

With the tool a question is a conversation: each call that the model writes is carried out and its crop is the tool's answer,
until there is a reply without a call, or `MOST_CALLS` were made. A call that cannot be carried out ends it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from ..agents.schemas import ToolError
from ..coordinates import iou
from ..parsing import parse_tool_calls
from . import zoom, zoom_tasks
from .artwork import things
from .figures import Case, Measure, Run, Target, exact, grounding, is_exact, mean, picture_of, said
from .scenes import HELD_OUT
from .turns import pick

SEED = 27
MOST_CALLS = 3


@dataclass
class ZoomCase(Case):
    """A question with the calls that were made for it and the crops that came back; `zooms`: how many its detail needs."""

    tools: list[dict] = field(default_factory=list)
    zooms: int = 0
    rounds: list[tuple[dict, Image.Image]] = field(default_factory=list)

    @property
    def messages(self) -> list[dict]:
        return zoom.conversation(self.turn.prompt, self.content[0]["image"], self.rounds)

    def follow(self) -> bool:
        """Carries out the call in the reply; whether there was one, and it could be carried out."""
        calls = parse_tool_calls(self.reply)
        if not calls or not self.tools or len(self.rounds) == MOST_CALLS or calls[0]["name"] != zoom.TOOL:
            return False
        pictures = [self.content[0]["image"], *(crop for _, crop in self.rounds)]
        try:
            self.rounds.append((calls[0]["arguments"], zoom.zoom_in(pictures, calls[0]["arguments"])))
        except ToolError:
            return False
        return True


def ask_with_tool(model, cases: list[ZoomCase], batch_size: int = 16, **options) -> None:
    """Asks every question, carries out the calls, and asks again, until nothing more is called; the last replies stay."""
    while cases:
        tools = cases[0].tools  # a task declares the tool for all of its questions or for none
        replies = model.chat_batch([case.messages for case in cases], batch_size=batch_size, tools=tools, **options)
        for case, reply in zip(cases, replies, strict=True):
            case.reply = reply.text
        cases = [case for case in cases if case.follow()]


# --- questions -------------------------------------------------------------------------------


def large_pictures(count: int) -> list[zoom.Large]:
    """`count` large pictures, in turn of each size, every third with a thing so large that its detail needs two zooms."""
    sizes, seeds = list(zoom.SIZES), (np.random.default_rng([HELD_OUT, SEED, index]) for index in range(count))
    return [zoom.render(rng, sizes[i % len(sizes)], huge=i % 3 == 0) for i, rng in enumerate(seeds)]


def questions(count: int) -> Run:
    """For each picture a detail, asked for with the tool and without it, and what can be told at first sight."""
    run: Run = {name: [] for name in SCORES}
    for index, large in enumerate(large_pictures(count)):
        rng = np.random.default_rng([HELD_OUT, SEED, 1, index])
        sight, shown = zoom_tasks.Sight(large, (0, 0, *large.size)), picture_of(large.picture)
        huge = [number for number in sight.details if large.bearers[number].huge]
        number = huge[0] if huge else pick(rng, list(sight.details))
        turn, zooms = zoom_tasks.ask_detail(sight, rng, number), 2 if huge else 1
        run["with_tool"].append(ZoomCase(large, turn, shown, tools=zoom.TOOLS, zooms=zooms))
        run["without_tool"].append(ZoomCase(large, turn, shown, zooms=zooms))
        others = {"whether": zoom_tasks.ask_whether(sight, rng)}
        if sight.bare:
            others["missing"] = zoom_tasks.ask_missing(sight, rng, pick(rng, sight.bare))
        scene = zoom_tasks.ask_scene(sight, zoom.seen_as(large.picture), rng)
        if scene and scene.task != "locate_absent":
            others["locate" if scene.task == "locate_name" else "things"] = scene
        for name, asked in others.items():
            run[name].append(ZoomCase(large, asked, shown, tools=zoom.TOOLS))
    return run


# --- figures ---------------------------------------------------------------------------------


def true_box(case: ZoomCase) -> list[float]:
    """The box 0-1000 of the thing that a question is about."""
    return case.turn.expect["call"]["bbox_2d"]


def answers(cases: list[ZoomCase]) -> dict[str, float]:
    """Right answers, also of one zoom and of two apart; how the first call's box overlaps the thing; as many calls as needed."""
    firsts = [float(iou([case.rounds[0][0]["bbox_2d"]], [true_box(case)])[0, 0]) if case.rounds else 0.0 for case in cases]
    figures = {"right": exact(cases)}
    for zooms, name in ((1, "right after one zoom"), (2, "right after two")):
        if own := [case for case in cases if case.zooms == zooms]:
            figures[name] = exact(own)
    enough = mean(len(case.rounds) == case.zooms for case in cases)
    return figures | {"first call: mean IoU": mean(firsts), "as many calls as needed": enough}


def guesses(cases: list[ZoomCase]) -> dict[str, float]:
    """Right answers without the tool, tags and stickers apart."""
    figures = {"right": exact(cases)}
    for kind in ("tag", "sticker"):
        own = [case for case in cases if case.turn.task == f"zoom_{kind}"]
        figures |= {f"right, {kind}": mean(map(is_exact, own))} if own else {}
    return figures


SCORES = {"with_tool": answers, "without_tool": guesses, "missing": said, "whether": said, "things": said, "locate": grounding}
MEASURE = Measure(questions, SCORES, (
    Target("zoom answers with the tool", 0.85, ("with_tool",), "right"),
    Target("zoom answers without it", 0.40, ("without_tool",), "right", most=True),
), worlds=120, ask=ask_with_tool)  # fmt: skip
