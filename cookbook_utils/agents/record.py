"""What an agent did, step by step: kept, drawn, written to a folder, read again, and shown as a sheet or a moving picture.

A folder has `run.jsonl`, whose first line is the run and each further line a step, and one PNG per screen, as the model saw
it. Actions are drawn when they are shown: a ring where it clicks, an arrow from where it drags, swipes or scrolls, a
caption for what has no place. Orange with a dark rim, readable on any screen.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..drawing import contact_sheet, draw_boxes
from .environment import inside
from .schemas import describe_call

__all__ = ["Record", "Step", "draw_action"]

_INK, _RIM, _PAPER = (255, 122, 0), (30, 20, 10), (222, 226, 230)
_FINER = 4  # lines are drawn so many times larger and shrunk, for smooth edges
_FILE = "run.jsonl"


@dataclass
class Step:
    """One turn of the model.

    reply: its text; call: `{"name", "arguments"}` as checked, None if there was none; observation: what the environment
    said; error: the tool's answer to a call that could not be done; screenshot: what the model saw; seconds: thinking and
    acting.
    """

    reply: str = ""
    call: dict | None = None
    observation: str = ""
    error: str = ""
    screenshot: Image.Image | None = field(default=None, repr=False)
    seconds: float = 0.0

    @property
    def summary(self) -> str:
        """The step as the model reads it in later turns: its own words on the action, or the call, and what came of it.

        >>> Step(call={"name": "mobile_use", "arguments": {"action": "type", "text": "hi"}}, error="no text field").summary
        'type "hi" (error: no text field)'
        """
        said = next((line[7:].strip() for line in self.reply.splitlines() if line.startswith("Action:")), "")
        did = said or (describe_call(**self.call) if self.call else "no valid call")
        result = f"error: {self.error}" if self.error else self.observation
        return f"{did} ({result})" if result else did

    @property
    def action(self) -> dict:
        """The call's arguments, empty without one."""
        return self.call["arguments"] if self.call else {}


@dataclass
class Record:
    """A run: the goal, its steps, how it ended.

    stopped: terminate, answer, done, repetition, max_steps or max_seconds, "" while it goes on; status: of terminate;
    answer: of answer; last: the screen after the last step.
    """

    goal: str
    tool: str = "computer_use"
    steps: list[Step] = field(default_factory=list)
    stopped: str = ""
    status: str = ""
    answer: str = ""
    seconds: float = 0.0
    last: Image.Image | None = field(default=None, repr=False)

    def samples(self) -> Iterator[tuple[list[Step], Step]]:
        """Each step with those before it, oldest first: what `step_messages` needs to ask for that step again."""
        return ((self.steps[:index], step) for index, step in enumerate(self.steps))

    def frames(self) -> list[Image.Image]:
        """Each screen with the action drawn on it, then the last screen."""
        drawn, pointer = [], None
        for step in self.steps:
            if step.screenshot:
                drawn.append(draw_action(step.screenshot, step.action, pointer))
            pointer = step.action.get("coordinate", pointer)
        return [*drawn, *([self.last] if self.last else [])]

    def captions(self) -> list[str]:
        """What stands under each frame."""
        end = " ".join(filter(None, [self.stopped, self.status, self.answer]))
        steps = [f"{number}. {step.summary}" for number, step in enumerate(self.steps, 1) if step.screenshot]
        return [*steps, *([end or "end"] if self.last else [])]

    def contact_sheet(self, columns: int = 4, **options) -> Image.Image:
        """All frames side by side with their captions, on grey, so that a white screen has edges.

        options: of `drawing.contact_sheet`. Raises ValueError for a run without pictures.
        """
        frames = self.frames()
        if not frames:
            raise ValueError("record: expected steps with screenshots, got none")
        return contact_sheet(frames, columns, captions=self.captions(), **{"background": _PAPER, **options})

    def animation(self, path: str | Path, *, seconds_per_frame: float = 1.2) -> Path:
        """Write the run as a moving picture, `.gif` or `.webp` by the path's ending, and return the path.

        Raises ValueError for another ending or a run without pictures.
        """
        path, frames = Path(path), self.frames()
        if path.suffix.lower() not in (".gif", ".webp") or not frames:
            got = path.name if frames else "a run without pictures"
            raise ValueError(f"path: expected a name that ends in .gif or .webp, for a run with pictures; got {got}")
        options = {"save_all": True, "append_images": frames[1:], "duration": round(1000 * seconds_per_frame), "loop": 0}
        frames[0].save(path, **options, **({"quality": 85} if path.suffix.lower() == ".webp" else {"optimize": True}))
        return path

    def save(self, folder: str | Path) -> Path:
        """Write the run to a folder, made if need be, and return it; `Record.load` reads it again."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        own = {name.name: getattr(self, name.name) for name in fields(self) if name.name not in ("steps", "last")}
        lines = [own | {"last": _save(self.last, folder / "last.png")}]
        for number, step in enumerate(self.steps, 1):
            bare = Step(**{**step.__dict__, "screenshot": None})
            lines.append(asdict(bare) | {"screenshot": _save(step.screenshot, folder / f"step_{number:02d}.png")})
        text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
        (folder / _FILE).write_text(text + "\n", encoding="utf-8")
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Record:
        """Read a run that `save` wrote; raises FileNotFoundError where there is none."""
        folder = Path(folder)
        first, *rest = map(json.loads, (folder / _FILE).read_text(encoding="utf-8").splitlines())
        steps = [Step(**{**line, "screenshot": _open(folder, line["screenshot"])}) for line in rest]
        return cls(**{**first, "steps": steps, "last": _open(folder, first["last"])})


def draw_action(image: Image.Image, action: dict, pointer: list | None = None) -> Image.Image:
    """A copy of a screen with one clean action drawn on it; sizes follow the picture's.

    pointer: the grid point where the mouse was, from which a drag starts.

    >>> draw_action(Image.new("RGB", (300, 200)), {"action": "left_click", "coordinate": [500, 500]}).getpixel((150, 100))
    (255, 122, 0)
    """
    image = image.convert("RGB")
    unit = max(3.0, min(image.size) / 60)
    canvas = Image.new("L", [side * _FINER for side in image.size])
    pen = ImageDraw.Draw(canvas)
    start, end = _places(action, pointer, image.size)
    if end and end != start:
        _arrow(pen, start, end, unit)
    elif start:
        _ring(pen, start, unit)
    if start:
        image = _inked(image, canvas, unit)
    words = _caption(action)
    return _captioned(image, words, unit) if words else image.copy()


def _places(action: dict, pointer, size) -> tuple:
    """Where an action begins and ends, in pixels; None where it has no such place."""
    start = inside(action["coordinate"], size) if "coordinate" in action else None
    if action.get("action") == "left_click_drag" and pointer:
        return inside(pointer, size), start
    if "coordinate2" in action:
        return start, inside(action["coordinate2"], size)
    if action.get("action") in ("scroll", "hscroll"):
        start = start or (size[0] / 2, size[1] / 2)
        reach = math.copysign(min(size) / 6, action["pixels"])
        return start, (start[0], start[1] - reach) if action["action"] == "scroll" else (start[0] + reach, start[1])
    return start, None


def _arrow(pen, start, end, unit: float) -> None:
    (x1, y1), (x2, y2) = ([v * _FINER for v in point] for point in (start, end))
    angle, head, width = math.atan2(y2 - y1, x2 - x1), 5 * unit * _FINER, round(1.2 * unit * _FINER)
    neck = (x2 - 0.6 * head * math.cos(angle), y2 - 0.6 * head * math.sin(angle))
    pen.line([(x1, y1), neck], fill=255, width=width)
    sides = [(x2 - head * math.cos(angle + turn), y2 - head * math.sin(angle + turn)) for turn in (0.45, -0.45)]
    pen.polygon([(x2, y2), *sides], fill=255)
    _dot(pen, (x1, y1), 1.4 * unit * _FINER)


def _ring(pen, place, unit: float) -> None:
    x, y = (v * _FINER for v in place)
    radius = 3.6 * unit * _FINER
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], outline=255, width=round(0.8 * unit * _FINER))
    _dot(pen, (x, y), 0.7 * unit * _FINER)


def _dot(pen, place, radius: float) -> None:
    x, y = place
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=255)


def _inked(image: Image.Image, canvas: Image.Image, unit: float) -> Image.Image:
    """The drawn shape in orange over a dark rim of a third of a unit; only where it lies, since screens are large."""
    reach = round(unit * _FINER / 4)
    left, top, right, bottom = canvas.getbbox() or (0, 0, 0, 0)
    box = [(left - reach) // _FINER, (top - reach) // _FINER, -(-(right + reach) // _FINER), -(-(bottom + reach) // _FINER)]
    shape = canvas.crop([side * _FINER for side in box])
    image = image.copy()
    for mask, color in ((_grown(shape, reach), _RIM), (shape, _INK)):
        small = mask.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.BOX)
        image.paste(Image.new("RGB", small.size, color), box[:2], small)
    return image


def _grown(shape: Image.Image, reach: int) -> Image.Image:
    """A mask that is larger by so many pixels on each side; one axis after the other, where Pillow's filter takes seconds."""
    grown = np.asarray(shape)  # (H, W)
    for _ in range(2):
        padded = np.pad(grown, ((reach, reach), (0, 0)))
        grown = padded[: len(grown)].copy()
        for start in range(1, 2 * reach + 1):
            np.maximum(grown, padded[start : start + len(grown)], out=grown)
        grown = np.ascontiguousarray(grown.T)
    return Image.fromarray(grown)


def _caption(action: dict) -> str:
    """What a picture cannot show: words, keys, buttons, and clicks that are not plain ones."""
    kind = action.get("action", "")
    if "coordinate" in action and kind in ("left_click", "click", "left_click_drag", "swipe", "mouse_move", "scroll", "hscroll"):
        return ""
    shown = {key: value for key, value in action.items() if not key.startswith("coordinate")}
    return describe_call("", shown) if kind else ""


def _captioned(image: Image.Image, words: str, unit: float) -> Image.Image:
    """The picture with words on a chip along its lower edge."""
    edge = [0, image.height - 2, image.width, image.height]
    return draw_boxes(image, [{"bbox_2d": edge, "label": words}], color=_INK, font_size=max(11, round(4.4 * unit)))


def _save(image: Image.Image | None, path: Path) -> str | None:
    if image is None:
        return None
    image.save(path)
    return path.name


def _open(folder: Path, name: str | None) -> Image.Image | None:
    if name is None:
        return None
    with Image.open(folder / name) as image:
        return image.convert("RGB")
