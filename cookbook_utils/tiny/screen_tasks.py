"""Questions over a screen, in the wordings that the real Qwen3-VL understands, and their exact answers.

Two kinds: turns of the agents' loop, which are asked with the tool declared and answered with a call (`AGENT`), and plain
questions about what is on the screen (`PLAIN`). Each takes a screen and a random generator and returns a `Turn`, or None where
the screen does not allow the question.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable

import numpy as np

from ..agents.record import Step
from ..agents.schemas import write_call
from ..coordinates import to_grid
from .screen_parts import Element, Line, Screen, call_of, next_step
from .tasks import IN_JSON
from .turns import NOWHERE, Turn, fenced, pick, shown_by_line

__all__ = ["AGENT", "PLAIN", "described", "next_action", "other_goals", "rechosen", "retyped", "tap"]

NOUNS = {
    "button": ("button",), "field": ("text field", "input field", "field"), "checkbox": ("checkbox",), "radio": ("radio button",),
    "switch": ("switch", "toggle"), "slider": ("slider",), "tab": ("tab",), "link": ("link",), "icon": ("icon",),
    "row": ("item", "entry", "row"), "card": ("card", "item"), "key": ("key",), "shape": ("box",), "text": ("text",),
}  # fmt: skip
LONGEST_LABEL = 30
CHOICE = "Select {} and click Submit."  # a goal of MiniWoB++


# --- describing ------------------------------------------------------------------------------


def alone(screen: Screen, region: Element | Line) -> bool:
    """Whether nothing else on the screen is called the same; the words beside a checkbox or field are its own."""
    name = (region.text if isinstance(region, Line) else region.label).casefold()
    labels = [element.label.casefold() for element in screen.elements if element.lines or isinstance(region, Element)]
    texts = [line.text.casefold() for line in screen.free_lines] if isinstance(region, Line) else []
    return (labels + texts).count(name) == 1


def describe(screen: Screen, rng, region: Element | Line) -> tuple[str, str] | None:
    """A phrase that means one thing on the screen, and the name within it; None where there is none."""
    if isinstance(region, Line):
        name, noun = ("" if region.cut else region.text), "text"
    else:
        name, noun = region.label, "app" if region.name.startswith("app ") else pick(rng, NOUNS[region.kind])
        if region.pictured:
            alike = [e for e in screen.elements if e.pictured == region.pictured]
            return (f"the {region.pictured}", region.pictured) if len(alike) == 1 else None
        if region.figure:
            alike = [e for e in screen.elements if (e.figure, e.label) == (region.figure, name)]
            phrase = f'{region.figure} "{name}"' if name else region.figure
            return (f"the {phrase}", phrase) if len(alike) == 1 else None
        if not name and region.kind in ("switch", "checkbox", "radio", "icon"):
            return beside(screen, rng, region)
        if region.kind == "shape" and region.name and not region.lines:
            return (f"the {name} {noun}", name) if alone(screen, region) else None
    if not 0 < len(name) <= LONGEST_LABEL or not alone(screen, region):
        single = isinstance(region, Element) and not name and sum(e.kind == region.kind for e in screen.elements) == 1
        return (f"the {noun}", noun) if single else None
    wording = ('the "{}" {}', 'the {1} "{0}"', 'the {1} labeled "{0}"')
    return pick(rng, wording[1:2] if noun == "text" else wording).format(name, noun), name


def beside(screen: Screen, rng, region: Element) -> tuple[str, str] | None:
    """A nameless control by the row that it stands in."""
    x, y = (region.box_xyxy[0] + region.box_xyxy[2]) / 2, (region.box_xyxy[1] + region.box_xyxy[3]) / 2
    rows = [e for e in screen.elements if e.kind in ("row", "icon", "card") and e is not region and covers(e, x, y)]
    row = min(rows, key=lambda e: e.area, default=None)
    if row is None or not row.label or not alone(screen, row):
        return None
    return f'the {pick(rng, NOUNS[region.kind][:1])} next to "{row.label}"', row.label


def mention(prompt: str, name: str, regions: list) -> list[tuple[str, list]]:
    """The name, within quotation marks if it has them, as a phrase of the prompt that stands for regions."""
    return [(f'"{name}"' if f'"{name}"' in prompt else name, regions)]


def covers(element: Element, x: float, y: float) -> bool:
    x1, y1, x2, y2 = element.box_xyxy
    return x1 <= x <= x2 and y1 <= y <= y2


def described(screen: Screen, rng, regions: list | None = None) -> tuple[str, str, Element | Line] | None:
    """A phrase, the name within it, and what it means; keys of a keyboard seldom."""
    regions = [*screen.elements, *screen.free_lines] if regions is None else regions
    if rng.random() < 0.9:
        regions = [region for region in regions if region.kind != "key"] or regions
    for index in rng.permutation(len(regions))[:8]:
        if found := describe(screen, rng, regions[index]):
            return *found, regions[index]
    return None


# --- turns of the loop -----------------------------------------------------------------------


def next_action(screen: Screen, rng) -> Turn:
    """The next step of the episode."""
    return next_step("next_action", screen, screen.goal, screen.call, screen.steps)


def other_goals(screen: Screen, rng) -> Turn | None:
    """The next step towards another goal, from here: the way on from a wrong turn. None where there is no goal worth asking for."""
    weights = np.array([share_of(other, screen.steps) for other in screen.others])
    if not screen.others or rng.random() > max(weights):
        return None
    other = screen.others[int(rng.choice(len(weights), p=weights / weights.sum()))]
    return next_step("other_goal", screen, other["goal"], other["call"], screen.steps)


def share_of(other: dict, steps: list[Step]) -> float:
    """How often to ask for a goal beside a screen's own, after these steps.

    Going home is soon learned, reading an answer late. What was typed is the wrong thing for a goal that does not speak of it; who is
    asked for such goals too often also goes back when the right thing was typed.
    """
    written = [step.action["text"] for step in steps if step.action and step.action["action"] == "type"]
    if any(text not in other["goal"] for text in written):
        return 0.1
    return 0.3 if '"system_button"' in other["call"] else 3.0 if '"answer"' in other["call"] else 1.0


def retyped(screen: Screen, rng, elsewhere: list[str]) -> Turn | None:
    """The next step where it types a quoted text of the goal, with another text; None where the text was typed before."""
    text = (call_of(screen.call) or {"arguments": {}})["arguments"].get("text", "")
    typing = '"action": "type"' in screen.call and f'"{text}"' in screen.goal and screen.call.count(text) == 1
    if not typing or any(text in step.summary for step in screen.steps):
        return None
    new = invented(rng, elsewhere)
    goal, call = screen.goal.replace(f'"{text}"', f'"{new}"'), screen.call.replace(f'"{text}"', f'"{new}"')
    return next_step("retyped", screen, goal, call, screen.steps)


def invented(rng, elsewhere: list[str]) -> str:
    """A text that nobody could guess: words of another screen, or letters and digits at random."""
    if elsewhere and rng.random() < 0.5:
        words = re.findall(r"\w+", " ".join(pick(rng, elsewhere) for _ in range(int(rng.integers(1, 3)))))
        if words:
            return " ".join(words[:4])
    signs = string.ascii_letters + string.digits
    return "".join(pick(rng, signs) for _ in range(int(rng.integers(2, 9))))


def rechosen(screen: Screen, rng) -> Turn | None:
    """The next step towards another choice among a form's checkboxes or radio buttons, from here: the first of them that is wrong, or Submit."""
    options = sorted((e for e in screen.elements if e.on is not None and e.label), key=lambda e: e.box_xyxy[1])
    submit = [element for element in screen.elements if element.label == "Submit"]
    before, after = CHOICE.split("{}")
    asked_for = screen.goal.startswith(before) and screen.goal.endswith(after)
    if not asked_for or len(submit) != 1 or len(options) < 2 or len({e.label for e in options}) < len(options):
        return None
    if options[0].kind == "radio":
        wanted = [pick(rng, [e for e in options if e.on] or options) if rng.random() < 0.2 else pick(rng, options)]
        wrong = [e for e in wanted if not e.on]
    else:
        kept, share = rng.random() < 0.8, pick(rng, (0.0, 0.3, 0.5))  # whether what is checked is wanted; of the others, how many
        wanted = [e for e in options if kept and e.on or rng.random() < share] or [pick(rng, options)]
        wrong = [e for e in options if e.on != any(e is one for one in wanted)]
    goal = CHOICE.format(", ".join(e.label for e in wanted))
    arguments = {"action": "left_click", "coordinate": (wrong or submit)[0].centre(screen.size)}
    return next_step("rechosen", screen, goal, write_call(screen.tool, arguments), screen.steps)


def tap(screen: Screen, rng) -> Turn | None:
    """A goal that is one click on a described element."""
    found = described(screen, rng, screen.elements)
    if not found:
        return None
    phrase, name, element = found
    mobile = screen.tool == "mobile_use"
    goal = pick(rng, ("Tap {}", "Press {}", "Touch {}", "Click {}") if mobile else ("Click on {}.", "Click {}.", "Press {}.")).format(phrase)
    arguments = {"action": "click" if mobile else "left_click", "coordinate": element.centre(screen.size)}
    turn = next_step("tap", screen, goal, write_call(screen.tool, arguments), [])
    turn.mentions = mention(turn.prompt, name, [element])
    turn.shown = [(0, element), (len(turn.answer), NOWHERE)]
    turn.expect["element"] = element
    return turn


# --- plain questions -------------------------------------------------------------------------


def locate(screen: Screen, rng) -> Turn | None:
    """The box of a described element."""
    found = described(screen, rng)
    if not found:
        return None
    phrase, name, region = found
    prompt = pick(rng, ("Locate {}.", "Find {}.", "Where is {}?", "Where is {} on the screen?")).format(phrase) + " " + pick(rng, IN_JSON)
    items = [{"bbox_2d": to_grid(region.box_xyxy, screen.size).tolist(), "label": name}]
    return located("locate", prompt, items, name, region)


def point(screen: Screen, rng) -> Turn | None:
    """The point to click for a described element."""
    found = described(screen, rng, screen.elements)
    if not found:
        return None
    phrase, name, region = found
    wording = ("Point to {}. Report point coordinates in JSON format.", "Where do I have to click for {}? Output its point_2d in JSON format.",
               "Locate {} with a point. Output point_2d and label in JSON format.")  # fmt: skip
    items = [{"point_2d": region.centre(screen.size), "label": name}]
    return located("point", pick(rng, wording).format(phrase), items, name, region)


def located(task: str, prompt: str, items: list[dict], name: str, region) -> Turn:
    answer = fenced(items)
    return Turn(task, prompt, answer, {"region": region}, mention(prompt, name, [region]), shown_by_line(answer, [region]))


def absent(screen: Screen, rng, elsewhere: list[str]) -> Turn | None:
    """The box of something that is on another screen only."""
    name = strange(screen, rng, elsewhere)
    if not name:
        return None
    prompt = pick(rng, ("Locate {}.", "Find {}.", "Where is {}?")).format(f'the {pick(rng, ("button", "item", "text"))} "{name}"')
    return Turn("absent", f"{prompt} {pick(rng, IN_JSON)}", fenced([]), {"region": None}, mention(prompt, name, []), [(0, NOWHERE)])


def presence(screen: Screen, rng, elsewhere: list[str]) -> Turn | None:
    """Whether something is on the screen."""
    here = rng.random() < 0.5
    found = described(screen, rng) if here else None
    name = found[1] if found else "" if here else strange(screen, rng, elsewhere)
    if not name or found and f'"{name}"' not in found[0]:
        return None
    wording = ('Is "{}" on the screen? Answer yes or no.', 'Does the screen show "{}"? Answer yes or no.')
    prompt = pick(rng, wording).format(name)
    return said("presence", prompt, "Yes" if here else "No", mention(prompt, name, [found[2]] if found else []))


def strange(screen: Screen, rng, elsewhere: list[str]) -> str | None:
    """A label of another screen that is written nowhere on this one."""
    written = " ".join([*(line.text for line in screen.lines), *(element.name for element in screen.elements)]).casefold()
    options = [label for label in elsewhere if 1 < len(label) <= LONGEST_LABEL and label.casefold() not in written]
    return pick(rng, options) if options else None


def read(screen: Screen, rng) -> Turn | None:
    """The text in a box, letter by letter."""
    lines = [line for line in screen.lines if not line.cut and 1 < len(line.text) <= 40 and (not line.of or line.of.kind != "key")]
    if not lines:
        return None
    line = pick(rng, lines)
    box = to_grid(line.box_xyxy, screen.size).tolist()
    wording = ("What is written in the region {}?", "Read the text in the box {}.", "What does the text at {} say? Answer with the text only.")
    return said("read", pick(rng, wording).format(box), line.text, [], shown=letters(line))


def read_beside(screen: Screen, rng) -> Turn | None:
    """The text to the right of another one, in a row of a list or a table."""
    pairs = [(a, b) for a in screen.lines for b in screen.lines if right_of(a, b) and not a.cut and not b.cut]
    pairs = [(a, b) for a, b in pairs if len(b.text) <= 30 and sum(line.text == a.text for line in screen.lines) == 1]
    pairs = [(a, b) for a, b in pairs if sum(right_of(a, other) for other in screen.lines) == 1]
    if not pairs:
        return None
    label, value = pick(rng, pairs)
    prompt = pick(rng, ('What is written to the right of "{}"?', 'Which value does the screen show for "{}"?')).format(label.text)
    return said("read_beside", prompt, value.text, mention(prompt, label.text, [label.glyphs[0]]), shown=letters(value))


def right_of(a: Line, b: Line) -> bool:
    """Whether a line stands to the right of another, at its height, in the same row if they are in rows."""
    (_, y1, x2, y2), (x3, y3, _, y4) = a.box_xyxy, b.box_xyxy
    return x3 > x2 + 6 and abs(y1 + y2 - y3 - y4) < 10 and a.of is b.of and (a.of is None or a.of.kind in ("row", "card"))


def state(screen: Screen, rng) -> Turn | None:
    """Whether something is switched on, checked or chosen."""
    controls = [element for element in screen.elements if element.on is not None]
    if not controls:
        return None
    control = pick(rng, [element for element in controls if element.on] or controls) if rng.random() < 0.5 else pick(rng, controls)
    found = describe(screen, rng, control)
    if not found:
        return None
    word = {"switch": "turned on", "checkbox": "checked", "radio": "selected"}[control.kind]
    prompt = f"Is {found[0]} {word}? Answer yes or no."
    return said("state", prompt, "Yes" if control.on else "No", mention(prompt, found[1], [control]))


def said(task: str, prompt: str, answer: str, mentions: list, shown: list | None = None) -> Turn:
    return Turn(task, prompt, answer, {"answer": answer}, mentions, shown or [])


def letters(line: Line) -> list[tuple[int, object]]:
    """`shown` of an answer that is a line's text."""
    places = [index for index, character in enumerate(line.text) if character != " "]
    return [*zip(places, line.glyphs, strict=True), (len(line.text), NOWHERE)]


AGENT: dict[Callable, float] = {other_goals: 4, tap: 4, retyped: 4, rechosen: 4}  # beside the next action, which each sample asks for
PLAIN: dict[Callable, float] = {locate: 5, point: 3, absent: 1.5, presence: 1.5, read: 3, read_beside: 1.5, state: 1.5}
NEEDS_ELSEWHERE = (absent, presence, retyped)


def ask(tasks: dict[Callable, float], screen: Screen, rng: np.random.Generator, elsewhere: list[str]) -> Turn | None:
    """One turn of a table, drawn by its weight; None where the screen does not allow it."""
    options, weights = list(tasks), np.array(list(tasks.values()), float)
    task = options[int(rng.choice(len(options), p=weights / weights.sum()))]
    return task(screen, rng, elsewhere) if task in NEEDS_ELSEWHERE else task(screen, rng)
