"""A recorded screen as the training sees it: its elements and lines as regions, the steps before it, and what an answer looks at.

Boxes are in pixels of the screen, points of calls on the 0-1000 grid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from PIL import Image

from ..agents.loop import step_messages
from ..agents.record import Step
from ..agents.schemas import ToolError, validate_call
from ..coordinates import to_grid
from ..parsing import parse_tool_calls
from .samples import Glyph, Region
from .turns import NOWHERE, Turn

__all__ = ["KINDS", "Element", "Line", "Screen", "asked", "call_of", "mentions_of", "screen_of", "shown_of"]

KINDS = ("button", "field", "checkbox", "radio", "switch", "slider", "tab", "link", "icon", "row", "card", "key", "shape", "text")
FIGURE_WORDS = ("large", "small", "circle", "rectangle", "triangle", "digit", "letter", "item", "shape",
                "red", "green", "blue", "aqua", "black", "magenta", "yellow")  # fmt: skip
MENTIONS = 4  # phrases of a goal that are looked up, at most
# What controls that bear a picture instead of words are called, by their names in the pages.
PICTURED = {
    "back": "back arrow", "send": "send button", "new alarm": "plus button", "new note": "plus button", "cart": "cart button",
    "minus": "minus button", "plus": "plus button", "shift": "shift key", "backspace": "backspace key", "enter": "enter key",
    "space": "space bar", "close": "close button", "trash": "trash icon", "star": "star icon",
}  # fmt: skip


@dataclass
class Line(Region):
    """Written text on one line; `of`: the element that it stands on; `cut`: whether its end is left out."""

    text: str = ""
    glyphs: list[Glyph] = field(default_factory=list)
    of: Element | None = None
    cut: bool = False


@dataclass
class Element(Region):
    """Something to act on; `name` is what the page calls it, `lines` what is written on it, `on` whether it is switched on."""

    name: str = ""
    on: bool | None = None
    lines: list[Line] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What a reader calls it: what is written on it (of a list's entry the first line), or its name; "" where nothing says."""
        lines = self.lines[:1] if self.kind in ("row", "card") else self.lines
        if lines:
            return "" if any(line.cut for line in lines) else " ".join(line.text for line in lines)
        return "" if self.name.lower() in PICTURED or self.figure else self.name

    @property
    def pictured(self) -> str:
        """What it is called for the picture that it bears, "" for one with words."""
        return "" if self.lines else PICTURED.get(self.name.lower(), "")

    @property
    def figure(self) -> str:
        """What a figure of a drawing is: "small blue triangle"; "" for anything else."""
        return self.name if self.kind == "shape" and " " in self.name else ""

    @property
    def facts(self) -> set[str]:
        """The words that a goal may use for a figure."""
        size, colour, form = self.figure.split()
        drawn = form in ("circle", "rectangle", "triangle")
        return {size, colour, form, "item", "shape" if drawn else self.lines[0].text if self.lines else ""}

    @property
    def area(self) -> float:
        x1, y1, x2, y2 = self.box_xyxy
        return (x2 - x1) * (y2 - y1)

    def centre(self, size: tuple[int, int]) -> list[int]:
        """Of its visible part, on the grid."""
        x1, y1, x2, y2 = self.box_xyxy
        return to_grid([(x1 + x2) / 2, (y1 + y2) / 2], size).tolist()


@dataclass
class Screen:
    """One screen of an episode: `call` is the right one for `goal`, `others` are further goals with theirs."""

    picture: Image.Image
    tool: str
    goal: str
    call: str
    others: list[dict]
    steps: list[Step]
    elements: list[Element]
    lines: list[Line]

    @property
    def size(self) -> tuple[int, int]:
        return self.picture.size

    @property
    def free_lines(self) -> list[Line]:
        """What stands on no element."""
        return [line for line in self.lines if line.of is None]

    @cached_property
    def regions(self) -> list[Region]:
        """Elements and free lines in reading order; what holds others comes after them, so that a patch is the inner one's."""
        ordered = sorted([*self.elements, *self.free_lines], key=lambda r: (round(r.box_xyxy[1] / 12), r.box_xyxy[0]))
        return sorted(ordered, key=lambda region: any(holds(region, other) for other in ordered if other is not region))

    @property
    def glyphs(self) -> list[Glyph]:
        return [glyph for line in self.lines for glyph in line.glyphs]

    def at(self, point_grid: list[float]) -> Region | None:
        """The smallest element, or else the free line, at a point of the grid."""
        x, y = (at * side / 1000 for at, side in zip(point_grid, self.size, strict=True))
        here = lambda r: r.box_xyxy[0] <= x <= r.box_xyxy[2] and r.box_xyxy[1] <= y <= r.box_xyxy[3]  # noqa: E731
        return min(filter(here, self.elements), key=lambda e: e.area, default=next(filter(here, self.free_lines), NOWHERE))


def holds(outer: Region, inner: Region) -> bool:
    """Whether the centre of a smaller region lies within another."""
    (a, b, c, d), (x1, y1, x2, y2) = outer.box_xyxy, inner.box_xyxy
    return (c - a) * (d - b) > (x2 - x1) * (y2 - y1) and a <= (x1 + x2) / 2 <= c and b <= (y1 + y2) / 2 <= d


def screen_of(record: dict, number: int, picture: Image.Image, page: int = 0) -> Screen:
    """Step `number` of a recorded episode; `page`: the index of its picture in a sample."""
    row, width, height = record["steps"][number], *picture.size
    inside = lambda box: (max(box[0], 0.0), max(box[1], 0.0), min(box[2], width), min(box[3], height))  # noqa: E731
    elements = [Element(e["kind"], inside(e["box"]), page, e["name"], e["on"]) for e in row["elements"]]
    lines = []
    for one in row["lines"]:
        of = elements[one["of"]] if one["of"] >= 0 else None
        glyphs = [Glyph(character, inside(box), page) for character, *box in one["chars"]]
        lines.append(Line("text", inside(one["box"]), page, one["text"], glyphs, of, bool(one["cut"])))
        if of:
            of.lines.append(lines[-1])
    steps = [step_of(row) for row in record["steps"][:number]]
    others = [other for other in row["others"] if call_of(other["call"])]
    return Screen(picture, record["tool"], record["goal"], row["call"], others, steps, elements, lines)


def step_of(row: dict) -> Step:
    """A recorded step as the loop keeps it."""
    return Step(row["reply"], call_of(row["reply"]), row["observation"], row["error"])


def call_of(reply: str) -> dict | None:
    """The call of a reply, `{"name", "arguments"}` as the loop checks it; None for a wrong one."""
    [call] = parse_tool_calls(reply)
    try:
        return {"name": call["name"], "arguments": validate_call(call["name"], call["arguments"])}
    except ToolError:
        return None


# --- a turn of the loop ----------------------------------------------------------------------


def asked(screen: Screen, goal: str, steps: list[Step]) -> str:
    """What the loop asks on a screen, behind the picture."""
    return step_messages(goal, steps, [screen.picture])[-1]["content"][-1]["text"]


def next_step(task: str, screen: Screen, goal: str, call: str, steps: list[Step]) -> Turn:
    """The turn that asks for the next step, with its answer."""
    prompt = asked(screen, goal, steps)
    mentions = mentions_of(screen, goal, prompt)
    named = [region for _, regions in mentions for region in regions]
    return Turn(task, prompt, call, {"call": call_of(call), "goal": goal}, mentions, shown_of(screen, goal, call, named))


def mentions_of(screen: Screen, goal: str, prompt: str) -> list[tuple[str, list]]:
    """Phrases of a goal that name something on the screen, and quoted ones that name nothing there."""
    named: dict[str, list[Region]] = {text.casefold(): [] for text in re.findall(r'"([^"]+)"', goal)}
    for region in [*screen.elements, *screen.free_lines]:
        label = region.text if isinstance(region, Line) else region.label
        name = label.casefold()
        name = name if name in named else name.rstrip(".,")  # a link may end a sentence
        known = named.get(name)
        beside = isinstance(region, Line) and any(isinstance(one, Element) for one in known or ())  # a control's own words
        if not beside and (len(label) > 1 or known is not None):
            named.setdefault(name, []).append(region)
    places = [(re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", goal, re.IGNORECASE), found) for phrase, found in named.items() if phrase]
    places = [(match, found) for match, found in [figures_of(screen, goal), *places] if match]
    found: dict[tuple[int, int], list[Region]] = {}
    for match, regions in sorted(places, key=lambda place: -len(place[0][0])):
        free = not any(start < match.end() and match.start() < end for start, end in found)
        first = prompt.index(match[0]) == prompt.index(goal) + match.start()  # the first place is the one that is looked up
        if free and first:
            found[match.span()] = regions
    return [(goal[start:end], regions) for (start, end), regions in sorted(found.items(), key=lambda one: one[0])][:MENTIONS]


def figures_of(screen: Screen, goal: str) -> tuple[re.Match | None, list[Region]]:
    """Where a goal describes figures of a drawing, and those that it fits."""
    figures = [element for element in screen.elements if element.figure]
    known = set(FIGURE_WORDS).union(*(figure.facts for figure in figures)) - {""}
    word = "(?:" + "|".join(sorted(map(re.escape, known), key=len, reverse=True)) + "|[A-Za-z0-9])s?"
    runs = list(re.finditer(rf"(?<!\w){word}(?: {word})*(?!\w)", re.sub(r"(?<= )an? ", lambda article: " " * len(article[0]), goal))) if figures else []
    if not runs:
        return None, []
    run = max(runs, key=lambda match: len(match[0]))
    wanted = {one if one in known else one.removesuffix("s") for one in run[0].split()}
    return run, [figure for figure in figures if figure.facts >= wanted]


def shown_of(screen: Screen, goal: str, call: str, named: list[Region]) -> list[tuple[int, object]]:
    """Where a call looks: at what its point lies on; at the letters of a text that is read off the screen, level with what the goal named."""
    arguments = (call_of(call) or {}).get("arguments", {})
    if "coordinate" in arguments and arguments["action"] not in ("swipe", "scroll", "hscroll"):
        return [(0, screen.at(arguments["coordinate"])), (len(call), NOWHERE)]
    text = str(arguments.get("text", ""))
    letters = letters_of(screen, text, named) if text not in goal and text in call else []
    if not letters:
        return [(0, NOWHERE)]
    start = call.index(text)
    places = [start + index for index, character in enumerate(text) if character != " "]
    return [(0, NOWHERE), *zip(places, letters, strict=True), (start + len(text), NOWHERE)]


def letters_of(screen: Screen, text: str, named: list[Region]) -> list[Glyph]:
    """Where a text is written on the screen; empty where it is not.

    Of several places that which is level with one of the `named` regions (a value in a row), and of those that are not, whole lines first.
    """
    wanted, places = text.replace(" ", ""), []
    for line in screen.lines:
        at = "".join(glyph.character for glyph in line.glyphs).find(wanted)
        if wanted and at >= 0:
            whole, off = len(wanted) == len(line.glyphs), min((abs(middle(line) - middle(region)) for region in named), default=0.0)
            places.append((off, not whole, line.glyphs[at : at + len(wanted)]))
    return min(places, key=lambda place: place[:2], default=(0, 0, []))[2]


def middle(region: Region) -> float:
    """The height of a region's centre on the screen, in pixels."""
    return (region.box_xyxy[1] + region.box_xyxy[3]) / 2
