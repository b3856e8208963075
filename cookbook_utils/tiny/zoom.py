"""Large pictures with details too small to see at first sight, and the conversation that zooms in on them.

A picture is four times as wide and high as what the model sees of it. Its things are recognised at first sight; the code
on a thing's tag, or the tiny thing on its sticker, is not. Asked for it, the model calls `image_zoom_in_tool` with the
box of the thing, gets the crop as the tool's answer, and reads it; on a huge thing the detail is still too small in the
first crop, and the model zooms again, into the crop. What can be seen at once is answered at once.

`make` gives the first answers; `make_zoomed` and `make_zoomed_twice` the answers after one crop and after two. There,
`Sample.between` holds what the chat template writes between the pictures; the messages are those of the loop that a notebook
runs (`agents/thinking.py`).

Units: pixels of the large picture at scale 1 for the layout, pixels of what the model sees (`view`) for regions and glyphs,
0-1000 of the picture that `img_idx` names for calls. Sources: Qwen3-VL's think-with-images cookbook and Qwen-Agent (the tool).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from ..agents.schemas import tool_schemas
from ..agents.thinking import BASE_PIXELS as BUDGET  # pixels of a view, at least and at most
from ..agents.thinking import ZOOM as TOOL
from ..agents.thinking import thinking_messages, window, zoom_in
from ..coordinates import image_tokens, to_grid
from .artwork import things
from .clip_parts import Look, place_letters, write_letters
from .samples import Sample
from .scenes import background, cover
from .turns import NOWHERE, pick
from .typesetting import Font, text_width

if TYPE_CHECKING:
    from .zoom_tasks import Sight

SIZES = {(256, 256): 3, (320, 256): 2}
KINDS = (*(thing.name for thing in things()), "tag", "sticker")
TOOLS = tool_schemas(TOOL)
TIMES = 4  # a large picture's sides, in sides of the view
HUGE_SHARE = 0.6  # of the conversations after one zoom, at level 1: about a huge thing, so that the answer is a second call
BARE_SHARE = 0.4  # of the others, where there is a thing without a detail: about that
OFF = 0.05, 0.25  # how far a call's box is off, in its sides: of a whole thing, and of a detail in a crop
QUESTIONS = 8  # asked about a picture; as many as fit into a row are trained on

FACES = ("DejaVuSans-Bold", "DejaVuSans-Bold", "DejaVuSansMono-Bold", "DejaVuSerif-Bold", "DejaVuSans")
PAPERS = (
    ("black", "white"),
    ("black", "#ffd83d"),
    ("white", "#c8202c"),
    ("white", "#1f5fae"),
    ("black", "#bfe8b5"),
    ("white", "#222"),
)


# --- the conversation, and what the model sees -----------------------------------------------


def conversation(question: str, picture, calls_and_crops: Iterable[tuple[dict, object]] = ()) -> list[dict]:
    """`thinking_messages` of calls of the zoom tool alone: their arguments with the pictures that it gave."""
    return thinking_messages(question, picture, [({"name": TOOL, "arguments": made}, crop) for made, crop in calls_and_crops])


def view_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size at which the embedded model sees a picture."""
    return image_tokens(size, *BUDGET)[0]


def seen_as(picture: Image.Image) -> Image.Image:
    """A picture as the embedded model sees it."""
    return picture.resize(view_size(picture.size), Image.Resampling.BICUBIC, reducing_gap=2.0)


# --- a large picture -------------------------------------------------------------------------


@dataclass
class Detail:
    """A tag with a code, or a sticker with a tiny thing; `box` in pixels of the large picture."""

    kind: str
    box: tuple[int, int, int, int]
    text: str = ""
    font: Font | None = None
    thing: int | None = None
    ink: str = "black"
    paper: str = "white"

    def answer(self, chinese: bool = False) -> str:
        if self.thing is None:
            return self.text
        return things()[self.thing].name_zh if chinese else things()[self.thing].name

    @property
    def look(self) -> Look | None:
        """The thing on a sticker."""
        x1, y1, x2, y2 = self.box
        return None if self.thing is None else Look(self.thing, (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1 - 8)

    @property
    def height(self) -> float:
        """Of its line, or the longer side of its thing, in pixels of the large picture."""
        return self.font.size if self.font else self.look.longer

    def letters(self) -> list[tuple[str, tuple]]:
        """Each character with its box, in pixels of the large picture."""
        return [(character, box) for character, _, box in place_letters(self.text, self.font, self.base)] if self.font else []

    @property
    def base(self) -> tuple[int, int]:
        """Where its line begins, on the baseline."""
        x1, y1, x2, y2 = self.box
        return round((x1 + x2 - text_width(self.text, self.font)) / 2), round((y1 + y2 - self.font.height) / 2) + self.font.ascent

    def draw(self, picture: Image.Image, scale: int) -> None:
        x1, y1, x2, y2 = (edge * scale for edge in self.box)
        edges, style = (x1, y1, x2 - 1, y2 - 1), {"fill": self.paper, "outline": "#333", "width": 2 * scale}
        ImageDraw.Draw(picture).rounded_rectangle(edges, 6 * scale, **style)
        if self.look:
            self.look.draw(picture, scale)
        else:
            write_letters(picture, self.text, self.font, self.base, self.ink, scale)


@dataclass
class Bearer:
    """A thing in a large picture, perhaps with a detail on it."""

    look: Look
    detail: Detail | None = None

    @property
    def thing(self) -> int:
        return self.look.thing

    @property
    def huge(self) -> bool:
        """Whether it is so large that its detail needs two zooms."""
        return self.look.longer > 300


@dataclass
class Large:
    """A large picture; `view` `(width, height)`: what the model sees of it; its bearers from left to right."""

    view: tuple[int, int]
    ground: Image.Image
    bearers: list[Bearer]
    scale: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """At scale 1."""
        return self.view[0] * TIMES, self.view[1] * TIMES

    @cached_property
    def picture(self) -> Image.Image:
        picture = self.ground.resize([side * self.scale for side in self.size], Image.Resampling.BILINEAR)
        for bearer in self.bearers:
            bearer.look.draw(picture, self.scale)
            if bearer.detail:
                bearer.detail.draw(picture, self.scale)
        return picture

    def truth(self) -> list[dict]:
        """The things as plain dicts: `bbox_2d` (0-1000), `label`, and of those with a detail `detail` (tag or sticker), its
        `detail_bbox_2d` and `answer`."""
        found = []
        for bearer in self.bearers:
            found.append({"bbox_2d": to_grid(bearer.look.box(), self.size).tolist(), "label": things()[bearer.thing].name})
            if d := bearer.detail:
                found[-1] |= {"detail": d.kind, "detail_bbox_2d": to_grid(d.box, self.size).tolist(), "answer": d.answer()}
        return found


def render(rng: np.random.Generator, size=(256, 256), level=1.0, *, scale: int = 1, huge: bool | None = None) -> Large:
    """Makes up a large picture of two things at level 0, two to six at level 1, at least one with a detail.

    size: of the view, sides multiples of 32; the picture is `4 * scale` times as large. huge: whether one thing is so large
    that its detail needs two zooms (drawn when None). Raises ValueError for another size or level.

    >>> large = render(np.random.default_rng(0))
    >>> large.picture.size, any("detail" in thing for thing in large.truth())
    ((1024, 1024), True)
    """
    if view_size((size[0] * TIMES, size[1] * TIMES)) != tuple(size) or not 0 <= level <= 1:
        raise ValueError(
            f"size must be one that the model sees ({BUDGET[0]}-{BUDGET[1]} pixels, sides of 32) and level 0 to 1, got {size!r}, {level!r}"
        )
    ground, large = background(rng, size), (size[0] * TIMES, size[1] * TIMES)
    huge = rng.random() < 0.5 * level - 0.2 if huge is None else huge
    count, kinds = int(rng.integers(2, 3 + round(4 * level))), rng.permutation(len(things())).tolist()
    bearers: list[Bearer] = []
    while len(bearers) < count and kinds:
        first = not bearers
        longer = rng.uniform(430, 500) if first and huge else rng.uniform(145, 182)
        bearer = Bearer(Look(kinds.pop(), 0, 0, float(longer), mirrored=bool(rng.random() < 0.3)))
        found = put(rng, bearer, large, [other.look.box() for other in bearers])
        if found and (first or rng.random() < 0.8):
            bearer.detail = detail(rng, bearer.look, level, small=first and huge)
        if found and (bearer.detail or not first):
            bearers.append(bearer)
    return Large(tuple(size), ground, sorted(bearers, key=lambda bearer: bearer.look.box()), scale)


def put(rng, bearer: Bearer, size: tuple[int, int], taken: list[tuple]) -> bool:
    """Puts a thing where it covers no other; False when no such place was found."""
    for _ in range(20):
        x1, y1, x2, y2 = bearer.look._replace(x=0, y=0).box()
        x, y = float(rng.uniform(8 - x1, size[0] - 8 - x2)), float(rng.uniform(8 - y1, size[1] - 8 - y2))
        bearer.look = bearer.look._replace(x=x, y=y)
        if all(cover(bearer.look.box(), other) <= 0.01 for other in taken):
            return True
    return False


def detail(rng, look: Look, level: float, *, small: bool) -> Detail | None:
    """A tag or a sticker on a thing, within its box; None where the thing is too narrow."""
    x1, y1, x2, y2 = look.box()
    if rng.random() < 0.4 * level:
        side = int(rng.integers(22, 28) if small else rng.integers(42, 50))
        parts = {"kind": "sticker", "thing": int(rng.choice([t.index for t in things() if t.index != look.thing]))}
        width = height = side
    else:
        font, text = Font(pick(rng, FACES), int(rng.integers(13, 16) if small else rng.integers(16, 21))), code(rng, level)
        width, height = round(text_width(text, font)) + int(0.8 * font.size), round(1.45 * font.size)
        ink, paper = pick(rng, PAPERS)
        parts = {"kind": "tag", "text": text, "font": font, "ink": ink, "paper": paper}
    if width > 0.9 * (x2 - x1) or height > 0.6 * (y2 - y1):
        return None
    left = round((x1 + x2 - width) / 2 + rng.uniform(-0.3, 0.3) * (x2 - x1 - width))
    top = round(y2 - height - rng.uniform(0.02, 0.35) * (y2 - y1 - height))
    return Detail(box=(left, top, left + width, top + height), **parts)


def code(rng, level: float) -> str:
    """Two digits at level 0, two or three that nobody could guess at level 1."""
    return "".join(str(int(rng.integers(10))) for _ in range(2 + int(rng.random() < 0.5 * level)))


# --- for the training ------------------------------------------------------------------------


def make(rng: np.random.Generator, size=(256, 256), level=1.0) -> Sample:
    """First answers: calls of the tool for what is too small; a plain answer for the rest, for a close-up, and without the tool."""
    from .zoom_tasks import ask

    (sight, huge), draw = first_sight(rng, size, level), rng.random()
    near = [number for number in sight.details if number not in huge]
    if draw < 0.2 and near:
        return close_up(rng, sight, pick(rng, near))
    seen, tools = seen_as(sight.large.picture), TOOLS if draw < 0.9 else []
    turns = (ask(sight, seen, rng, tools=bool(tools)) for _ in range(2 * QUESTIONS))
    different = {turn.answer if "call" in turn.expect else turn.prompt: turn for turn in turns}  # one call, one question
    return Sample([seen], list(different.values())[:QUESTIONS], sight.regions, sight.glyphs, tools=tools)


def close_up(rng, sight: Sight, number: int) -> Sample:
    """What the tool gives for a detail, as the first picture: it can be told at once."""
    from .zoom_tasks import Sight, ask_detail

    call, near = called(rng, sight, number)
    near = Sight(sight.large, near.window)
    legible = [number for number in near.details if near.legible(number)]
    turns = [ask_detail(near, rng, pick(rng, legible)) for _ in range(QUESTIONS)]
    seen = seen_as(zoom_in([sight.large.picture], call))
    return Sample([seen], list({turn.prompt: turn for turn in turns}.values()), near.regions, near.glyphs, tools=TOOLS)


def make_zoomed(rng: np.random.Generator, size=(256, 256), level=1.0) -> Sample:
    """The answer after one zoom: on a huge thing a second call, on a thing without a detail that there is no tag."""
    sight, huge = first_sight(rng, size, level, huge=bool(rng.random() < HUGE_SHARE * level))
    bare = [] if huge or rng.random() >= BARE_SHARE else sight.bare
    return follow(rng, sight, pick(rng, huge or bare or list(sight.details)), 1)


def make_zoomed_twice(rng: np.random.Generator, size=(256, 256), level=1.0) -> Sample:
    """The answer after two zooms."""
    sight, huge = first_sight(rng, size, level, huge=True)
    return follow(rng, sight, pick(rng, huge), 2)


def first_sight(rng, size, level: float, *, huge: bool | None = None) -> tuple[Sight, list[int]]:
    """A new picture (as of `render`) at first sight, and the numbers of its huge things."""
    from .zoom_tasks import Sight

    large = render(rng, size, level, huge=huge)
    return Sight(large, (0, 0, *large.size)), [number for number, bearer in enumerate(large.bearers) if bearer.huge]


def follow(rng, sight: Sight, number: int, zooms: int) -> Sample:
    """A conversation about what one thing bears, after a number of zooms."""
    from .zoom_tasks import ask_about

    sights, pictures, calls = [sight], [sight.large.picture], []
    question = ask_about(sight, rng, number)
    for _ in range(zooms):
        call, closer = called(rng, sights[-1], number)
        calls.append((call, zoom_in(pictures, call)))
        sights.append(closer)
        pictures.append(calls[-1][1])
    *between, last = written(conversation(question.prompt, pictures[0], calls), TOOLS)
    turn = ask_about(sights[-1], rng, number)
    truth = question.expect["answer"]
    if not turn.expect.get("call"):
        turn.answer, turn.shown = truth, [*turn.shown[:-1], (len(truth), NOWHERE)]
    turn.prompt, turn.mentions, turn.expect = last, [], {**turn.expect, "answer": truth, "question": question.prompt}
    regions, glyphs = ([r for sight in sights for r in getattr(sight, name)] for name in ("regions", "glyphs"))
    return Sample([seen_as(p) for p in pictures], [turn], regions, glyphs, tools=TOOLS, between=between)


def called(rng, sight: Sight, number: int) -> tuple[dict, Sight]:
    """A call whose box is a little off, as a model's are, and what it shows: the whole detail among it."""
    call, off = sight.arguments(number), OFF[min(sight.page, 1)]
    x1, y1, x2, y2 = call["bbox_2d"]
    while True:
        (x, y), (w, h) = rng.normal(0, off, 2) * (x2 - x1, y2 - y1), np.exp(rng.normal(0, off, 2)) * (x2 - x1, y2 - y1)
        edges = (x1 + x2 - w) / 2 + x, (y1 + y2 - h) / 2 + y, (x1 + x2 + w) / 2 + x, (y1 + y2 + h) / 2 + y
        call["bbox_2d"] = np.clip(np.rint(edges), 0, 1000).astype(int).tolist()
        closer = sight.closer(call["bbox_2d"])
        if number in closer.details or number in closer.bare:
            return call, closer


@lru_cache(maxsize=1)
def template_writer():
    """A tokenizer without words, which writes the chat template."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    from .tokenizer import CHAT_TEMPLATE

    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), chat_template=CHAT_TEMPLATE)


def written(messages: list[dict], tools: list[dict]) -> list[str]:
    """What the chat template writes after each picture of a conversation, up to the next one, or to the end of the last turn."""
    text = template_writer().apply_chat_template([without_media(m) for m in messages], tools=tools, tokenize=False)
    pieces = text.split("<|image_pad|><|vision_end|>")[1:]
    return [piece.removesuffix("<|vision_start|>").removesuffix("<|im_end|>\n") for piece in pieces]


def without_media(message: dict) -> dict:
    """A message whose pictures are only named."""
    if isinstance(message["content"], str):
        return message
    return {**message, "content": [part if part["type"] == "text" else {"type": "image"} for part in message["content"]] or ""}
