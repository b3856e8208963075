"""Thinking with images: the model looks closer, gets what it asked for, and looks again, until it answers.

    thought = think(model, "What is written on the tag of the balloon?", "large.png")
    thought.answer, thought.looks[-1].box_xyxy

`image_zoom_in_tool` cuts a box out of one of the conversation's pictures (the first is number 0, each crop is numbered in
turn) and enlarges it; `image_search`, where a search is given, finds pictures like one of them. A call that is wrong is
answered with what is wrong about it; the model's mistakes never raise, ours and the model server's do.

Conventions
    grid        boxes of a call are 0-1000 of the picture that its `img_idx` names, 0 when it names none
    box_xyxy    what a crop shows, in pixels of the first picture, however often was zoomed

Sources: Qwen3-VL's think-with-images cookbook and Qwen-Agent (the two tools, and pictures as their results).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ..coordinates import image_tokens, to_pixels
from ..drawing import contact_sheet, draw_boxes
from ..models.media import load_image
from ..parsing import parse_tool_calls
from .schemas import ToolError, tool_schemas, validate_call

__all__ = ["Look", "Thought", "think", "thinking_messages", "zoom_in"]

ZOOM, SEARCH = "image_zoom_in_tool", "image_search"
MARGIN = 0.06  # of a box's sides, kept around it
MOST = 5  # times that one call enlarges at most
BASE_PIXELS = 16_384, 81_920  # of the size whose multiples crops have, at least twice its sides; the embedded model's budget


@dataclass
class Look:
    """One call and what came of it.

    call: `{"name", "arguments"}`, or the reply in which none could be read; picture: the crop, None for a search or an error; box_xyxy: what the crop shows, in
    pixels of the first picture; text: what the tool said, "" for a crop; error: whether that is an error.
    """

    call: dict | str
    picture: Image.Image | None = field(default=None, repr=False)
    box_xyxy: tuple[float, float, float, float] | None = None
    text: str = ""
    error: bool = False

    @property
    def result(self) -> Image.Image | str:
        """What the model gets as the tool's answer."""
        return self.picture or self.text


@dataclass
class Thought:
    """A question about a picture with all that was looked at on the way to its answer.

    answer: "" when none was given; stopped: answer or max_calls; replies: of the model, in their order.
    """

    question: str
    picture: Image.Image = field(repr=False)
    looks: list[Look] = field(default_factory=list)
    answer: str = ""
    stopped: str = ""
    replies: list = field(default_factory=list, repr=False)

    @property
    def pictures(self) -> list[Image.Image]:
        """The first picture and the crops, as `img_idx` counts them."""
        return [self.picture, *(look.picture for look in self.looks if look.picture)]

    @property
    def usage(self) -> dict[str, int]:
        """Tokens of all replies together."""
        names = dict.fromkeys(name for reply in self.replies for name in reply.usage)
        return {name: sum(reply.usage.get(name, 0) for reply in self.replies) for name in names}

    def contact_sheet(self, columns: int = 3, **options) -> Image.Image:
        """The first picture with a numbered box for each crop, then the crops; options: of `drawing.contact_sheet`."""
        crops = [look for look in self.looks if look.picture]
        boxes = [{"bbox_2d": list(look.box_xyxy), "label": str(number)} for number, look in enumerate(crops, 1)]
        asked = [f"{n}. {look.call['arguments'].get('label', '')}".rstrip(" .") for n, look in enumerate(crops, 1)]
        shown = [draw_boxes(self.picture, boxes), *(look.picture for look in crops)]
        return contact_sheet(shown, columns, captions=[self.question, *asked], **options)


def think(
    model, question: str, picture: Image.Image | str | Path, *, search: Callable[[Image.Image], str] | None = None,
    max_calls: int = 5, system: str | None = None, **generation,
) -> Thought:  # fmt: skip
    """Let a model answer a question about a picture with the zoom tool, and return all that it looked at.

    model: anything with `chat(messages, tools=...)` that returns a `Reply`; generation: settings for that call.
    search: what `image_search` does with a picture, as text; without it that tool is not offered. max_calls: so many calls
    without an answer end it. system: a text for the system turn. Of several calls in one reply the first is done.
    Raises ValueError for a max_calls below 1, what `load_image` raises for a picture, and whatever the model raises.
    """
    if max_calls < 1:
        raise ValueError(f"max_calls must be at least 1, got {max_calls!r}")
    thought, tools = Thought(question, load_image(picture, "picture")), tool_schemas(ZOOM, *([SEARCH] if search else []))
    while not thought.stopped:
        rounds = [(look.call, look.result) for look in thought.looks]
        reply = model.chat(thinking_messages(question, thought.picture, rounds, system=system), tools=tools, **generation)
        thought.replies.append(reply)
        lost = parse_tool_calls(reply.text).dropped if "<tool_call>" in reply.text and not reply.tool_calls else []
        if not reply.tool_calls and not lost:
            thought.answer, thought.stopped = reply.text.strip(), "answer"
        elif len(thought.looks) == max_calls:
            thought.stopped = "max_calls"
        elif lost:
            thought.looks.append(Look(reply.text, text=f"error: the call could not be read: {lost[0]}", error=True))
        else:
            thought.looks.append(look_at(thought, reply.tool_calls[0], search))
    return thought


def thinking_messages(question: str, picture, rounds: Iterable[tuple[dict | str, object]] = (), *, system: str | None = None) -> list[dict]:
    """The messages of a question about a picture, after the calls that were made and what came back. Declare the tools beside them.

    rounds: each a call `{"name", "arguments"}` with its result, a text or a picture (whatever a message takes as one); where
    no call could be read, the reply and what was wrong with it.

    >>> call = {"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [0, 0, 9, 9]}}
    >>> [message["role"] for message in thinking_messages("What?", "a.png", [(call, Image.new("RGB", (9, 9)))])]
    ['user', 'assistant', 'tool']
    """
    asked = [{"type": "image", "image": picture}, {"type": "text", "text": question}]
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": asked})
    for call, result in rounds:
        read = isinstance(call, dict)
        calls = {"tool_calls": [{"type": "function", "function": call}]} if read else {}
        shown = {"type": "text", "text": result} if isinstance(result, str) else {"type": "image", "image": result}
        messages.append({"role": "assistant", "content": "" if read else call, **calls})
        messages.append({"role": "tool" if read else "user", "content": [shown]})
    return messages


def look_at(thought: Thought, call: dict, search: Callable[[Image.Image], str] | None = None) -> Look:
    """Does one call; what is wrong with it is the look's text."""
    done = {"name": call["name"], "arguments": call["arguments"] if isinstance(call["arguments"], dict) else {}}
    try:
        clean = validate_call(call["name"], call["arguments"], [ZOOM, *([SEARCH] if search else [])])
        if call["name"] == SEARCH:
            return Look(done, text=search(picture_of(thought.pictures, clean)))
        return Look(done, zoom_in(thought.pictures, clean), on_the_first(thought, clean))
    except ToolError as error:
        return Look(done, text=f"error: {error}", error=True)


def on_the_first(thought: Thought, arguments: dict) -> tuple[float, float, float, float]:
    """What a call shows, in pixels of the first picture."""
    shown = [(0.0, 0.0, *thought.picture.size), *(look.box_xyxy for look in thought.looks if look.picture)]
    index = int(arguments.get("img_idx", 0))
    (x1, y1, x2, y2), size = shown[index], thought.pictures[index].size
    fx, fy = (x2 - x1) / size[0], (y2 - y1) / size[1]
    a, b, c, d = window(to_pixels(arguments["bbox_2d"], size), size)
    return x1 + a * fx, y1 + b * fy, x1 + c * fx, y1 + d * fy


# --- the tool --------------------------------------------------------------------------------


def zoom_in(pictures: list[Image.Image], arguments: dict) -> Image.Image:
    """Does what `image_zoom_in_tool` does: cuts a box out of one of the conversation's pictures, and enlarges it.

    pictures: the first one and the crops so far; arguments: as the model wrote them. The crop has a small margin and the
    proportions of the picture, is a fifth of its sides at least, and has about 327,680 pixels when it is enlarged;
    it is never reduced. Its sides are multiples of 64, so that a model's processor has nothing to round.
    Raises ToolError, whose text is an answer to the model, for arguments that cannot be carried out.

    >>> zoom_in([Image.new("RGB", (1280, 1024))], {"label": "tag", "bbox_2d": [100, 100, 200, 180], "img_idx": 0}).size
    (640, 512)
    """
    clean = validate_call(ZOOM, arguments, [ZOOM])
    picture = picture_of(pictures, clean)
    region = window(to_pixels(clean["bbox_2d"], picture.size), picture.size)
    width, height = image_tokens(picture.size, *BASE_PIXELS)[0]
    times = max(2, math.ceil((region[2] - region[0]) / width))
    return picture.resize((times * width, times * height), Image.Resampling.BICUBIC, box=region)


def picture_of(pictures: list[Image.Image], arguments: dict) -> Image.Image:
    """The picture that a call names; raises ToolError for one that is not there."""
    index = int(arguments.get("img_idx", 0))
    if index >= len(pictures):
        raise ToolError(f"img_idx must be a picture's number from 0 to {len(pictures) - 1}, got {index}")
    return pictures[index]


def window(box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The part of a picture that the tool cuts out for a box, both in pixels.

    >>> [round(edge) for edge in window((100, 100, 300, 200), (1000, 500))]
    [88, 94, 312, 206]
    """
    x1, y1, x2, y2 = (float(edge) for edge in box)
    share = max((x2 - x1) / size[0], (y2 - y1) / size[1]) * (1 + 2 * MARGIN)
    share = min(max(share, 1 / MOST), 1.0)
    w, h = share * size[0], share * size[1]
    left, top = (min(max(c - s / 2, 0.0), side - s) for c, s, side in (((x1 + x2) / 2, w, size[0]), ((y1 + y2) / 2, h, size[1])))
    return left, top, left + w, top + h
