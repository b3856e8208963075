"""What the model sees of a large picture, at first sight and in crops, and the questions about it with exact answers.

A detail that is large enough in what the model sees is told; a smaller one is answered with a call of the tool: with the
box of the whole thing at first sight, with the box of the detail itself in a crop. That there is no tag is told from a
crop. Boxes of regions and glyphs are in pixels of the view, boxes of calls on the 0-1000 grid of the picture that they name.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from ..agents.schemas import write_call
from ..coordinates import to_grid, to_pixels
from . import tasks
from .artwork import things
from .samples import Glyph, Region
from .scenes import Placed, Scene
from .turns import NOWHERE, Turn, pick
from .zoom import TOOL, Large, window

READABLE = {"tag": 12, "sticker": 28}  # height in the view, pixels, from which on a line or a sticker's thing can be told
ASKED = {
    "tag": ("What is written on the tag of {}?", "What does the tag on {} say?", "Read the code on the tag of {}.",
            "Which code is on the tag of {}? Answer with the code only.", "{}的标签上写着什么？"),
    "sticker": ("What is shown on the sticker on {}?", "What does the sticker on {} show? Answer with its name.",
                "Which object is on the sticker on {}?", "{}上的贴纸画的是什么？"),
}  # fmt: skip
NO_TAG, NO_TAG_ZH = "There is no tag.", "没有标签。"


@dataclass
class Sight:
    """What the model sees of a part `window` (pixels of the large picture) of it, as the picture number `page`.

    `placed`: each bearer that is seen, with its region; `details`: whole details, by their bearer's number; `letters`: their
    characters, where they can be read.
    """

    large: Large
    window: tuple[float, float, float, float]
    page: int = 0
    placed: dict[int, Placed] = field(default_factory=dict)
    details: dict[int, Region] = field(default_factory=dict)
    letters: dict[int, list[Glyph]] = field(default_factory=dict)

    def __post_init__(self):
        width, height = self.large.view
        for number, bearer in enumerate(self.large.bearers):
            box = self.place(bearer.look.box())
            inside = max(box[0], 0.0), max(box[1], 0.0), min(box[2], width), min(box[3], height)
            if min(inside[2] - inside[0], inside[3] - inside[1]) > 12:
                self.placed[number] = Placed(bearer.thing, inside, self.page)
            box = self.place(bearer.detail.box) if bearer.detail else (-1, -1, 0, 0)
            if box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height:
                self.details[number] = Region(bearer.detail.kind, box, self.page)
                if self.legible(number):
                    self.letters[number] = [Glyph(c, self.place(b), self.page) for c, b in bearer.detail.letters()]

    def place(self, box) -> tuple[float, float, float, float]:
        """A box of the large picture in pixels of the view."""
        x1, y1, x2, y2 = self.window
        fx, fy = self.large.view[0] / (x2 - x1), self.large.view[1] / (y2 - y1)
        return (box[0] - x1) * fx, (box[1] - y1) * fy, (box[2] - x1) * fx, (box[3] - y1) * fy

    def legible(self, number: int) -> bool:
        """Whether a bearer's detail is seen, and large enough to be told."""
        detail, enlarged = self.large.bearers[number].detail, self.large.view[1] / (self.window[3] - self.window[1])
        return number in self.details and detail.height * enlarged >= READABLE[detail.kind]

    def arguments(self, number: int) -> dict:
        """The call that shows a bearer's detail larger: the whole thing at first, then the detail alone."""
        whole = self.page == 0
        region = self.placed[number] if whole else self.details[number]
        label = things()[self.large.bearers[number].thing].name if whole else region.kind
        return {"label": label, "bbox_2d": to_grid(region.box_xyxy, self.large.view).tolist(), "img_idx": self.page}

    def closer(self, box_grid: list[int]) -> Sight:
        """What the tool gives for a box (0-1000) of this sight."""
        inner = window(to_pixels(box_grid, self.large.view), self.large.view)
        x1, y1, x2, y2 = self.window
        fx, fy = (x2 - x1) / self.large.view[0], (y2 - y1) / self.large.view[1]
        return Sight(self.large, (x1 + inner[0] * fx, y1 + inner[1] * fy, x1 + inner[2] * fx, y1 + inner[3] * fy), self.page + 1)

    @property
    def bare(self) -> list[int]:
        """The numbers of those bearers that have no detail."""
        return [number for number in self.placed if not self.large.bearers[number].detail]

    @property
    def regions(self) -> list[Region]:
        return [*self.placed.values(), *self.details.values()]

    @property
    def glyphs(self) -> list[Glyph]:
        return [glyph for line in self.letters.values() for glyph in line]


# --- questions -------------------------------------------------------------------------------


def ask_detail(sight: Sight, rng, number: int, *, tools: bool = True) -> Turn:
    """The question for a bearer's detail, answered with the detail where it can be told, else with a call of the tool."""
    bearer = sight.large.bearers[number]
    kind, wording = things()[bearer.thing], pick(rng, ASKED[bearer.detail.kind])
    chinese = not wording.isascii()
    phrase = kind.name_zh if chinese else f"the {kind.name}"
    region, truth = sight.placed[number], bearer.detail.answer(chinese)
    asked = {"task": f"zoom_{bearer.detail.kind}", "prompt": wording.format(phrase), "mentions": [(phrase, [region])]}
    if tools and not sight.legible(number):
        call = sight.arguments(number)
        reply, target = write_call(TOOL, call), region if sight.page == 0 else sight.details[number]
        return Turn(**asked, answer=reply, expect={"answer": truth, "call": call}, shown=[(0, target), (len(reply), NOWHERE)])
    letters = sight.letters.get(number) or [sight.details[number]]
    return Turn(**asked, answer=truth, expect={"answer": truth}, shown=[*enumerate(letters), (len(truth), NOWHERE)])


def ask_missing(sight: Sight, rng, number: int, *, tools: bool = True) -> Turn:
    """The question for a tag that is not there, answered with a call of the tool at first sight, else with that."""
    kind, wording = things()[sight.large.bearers[number].thing], pick(rng, ASKED["tag"])
    chinese = not wording.isascii()
    phrase, truth = kind.name_zh if chinese else f"the {kind.name}", NO_TAG_ZH if chinese else NO_TAG
    reply, expect, region = truth, {"answer": truth}, sight.placed[number]
    if tools and sight.page == 0:
        call = sight.arguments(number)
        reply, expect = write_call(TOOL, call), {"answer": truth, "call": call}
    shown = [(0, region), (len(reply), NOWHERE)]
    return Turn("zoom_missing", wording.format(phrase), reply, expect, [(phrase, [region])], shown)


def ask_about(sight: Sight, rng, number: int) -> Turn:
    """The question for what a bearer bears, or for a tag where it bears nothing."""
    return ask_detail(sight, rng, number) if sight.large.bearers[number].detail else ask_missing(sight, rng, number)


def ask_whether(sight: Sight, rng) -> Turn:
    """Whether a thing bears a tag."""
    number = pick(rng, list(sight.placed))
    bearer = sight.large.bearers[number]
    word, phrase = pick(rng, ("tag", "sticker")), f"the {things()[bearer.thing].name}"
    answer = "Yes" if bearer.detail and bearer.detail.kind == word else "No"
    prompt = f"Is there a {word} on {phrase}? Answer yes or no."
    return Turn("zoom_whether", prompt, answer, {"answer": answer}, [(phrase, [sight.placed[number]])])


AT_ONCE = {
    tasks.presence: 3,
    tasks.locate_name: 2.5,
    tasks.locate_absent: 1.5,
    tasks.relation: 1,
    tasks.count: 1,
    tasks.name_all: 1,
}


def ask_scene(sight: Sight, picture: Image.Image, rng) -> Turn | None:
    """A question about the things themselves, which needs no zoom; never about what a sticker shows."""
    tiny = [bearer.detail.thing for bearer in sight.large.bearers if bearer.detail and bearer.detail.thing is not None]
    chosen = list(AT_ONCE)[int(rng.choice(len(AT_ONCE), p=np.array(list(AT_ONCE.values())) / sum(AT_ONCE.values())))]
    if tiny and chosen in (tasks.count, tasks.name_all):
        return None
    turn = chosen(Scene(picture, list(sight.placed.values())), rng)
    names = [name for thing in tiny for name in (things()[thing].name, things()[thing].name_zh)]
    return None if turn and any(name in turn.prompt for name in names) else turn


def ask(sight: Sight, picture: Image.Image, rng, *, tools: bool = True) -> Turn:
    """One turn at first sight: half of them for a detail."""
    while True:
        draw = rng.random()
        if draw < 0.55:
            turn = ask_detail(sight, rng, pick(rng, list(sight.details)), tools=tools)
        elif draw < 0.65:
            bare = sight.bare if rng.random() < 0.5 else []
            turn = ask_missing(sight, rng, pick(rng, bare), tools=tools) if bare else ask_whether(sight, rng)
        else:
            turn = ask_scene(sight, picture, rng)
        if turn:
            return turn
