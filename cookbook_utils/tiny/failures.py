"""Wrong replies as pictures: what was shown, with what the answer and what the reply say drawn on it, and the words below.

One PNG and one text file a case, the worst of each task first; a file's name begins with the case's own score.
"""

from __future__ import annotations

import json
import textwrap
from contextlib import suppress
from pathlib import Path

from PIL import Image

from ..agents.record import draw_action
from ..agents.schemas import ToolError, validate_call
from ..drawing import contact_sheet, draw_boxes, draw_points
from ..geometry3d import draw_boxes_3d
from ..parsing import parse_boxes, parse_boxes_3d, parse_points, parse_tool_calls
from .figures import Case, Measure, Run, is_error, label_of

MOST = 12  # of each task
SIDE = 480  # of a panel, pixels
LINE = 62  # characters


def save_failures(run: Run, measure: Measure, folder: Path, most: int = MOST) -> None:
    """Writes `TASK/SCORE_NUMBER.png` and `.txt` for the worst replies of each task, at most `most`; none for a perfect one."""
    for task, cases in run.items():
        for index, score in worst(task, cases, measure)[:most]:
            name, own = f"{score:.2f}_{index:03d}", folder / task
            own.mkdir(parents=True, exist_ok=True)
            drawn(cases[index]).save(own / f"{name}.png")
            (own / f"{name}.txt").write_text(told(cases[index]), encoding="utf-8")


def worst(task: str, cases: list[Case], measure: Measure) -> list[tuple[int, float]]:
    """Index and score of the cases that are not perfect, the worst first."""
    scores = [measure.score_of(task, case) for case in cases]
    lost = [value if is_error(name) else 1 - value for name, value in scores]
    order = sorted(range(len(cases)), key=lambda index: -lost[index])
    return [(index, scores[index][1]) for index in order if lost[index] > 0]


def told(case: Case) -> str:
    return f"--- prompt\n{case.turn.prompt}\n--- answer\n{answer_of(case)}\n--- reply\n{case.reply}\n"


def answer_of(case: Case) -> str:
    """What should have been said; of a question that needs a tool, the call and what it leads to."""
    return case.turn.answer + (f"\nand then: {case.turn.expect['answer']}" if {"call", "answer"} <= set(case.turn.expect) else "")


def drawn(case: Case) -> Image.Image:
    """The answer's panel, the reply's, and under each its words."""
    calls = getattr(case, "rounds", [])
    panels = [panel(case, case.turn.answer), zoomed(case, calls) if calls else panel(case, case.reply)]
    words = [wrapped(f"{name}: {text}") for name, text in (("ANSWER", answer_of(case)), ("REPLY", case.reply))]
    both = contact_sheet(panels, 2, words, cell=(SIDE, SIDE * 3 // 4), font_size=13)
    asked = wrapped(f"PROMPT: {case.turn.prompt}", 2 * LINE)
    return contact_sheet([both], 1, [asked], cell=both.size, gap=4, font_size=13)


def wrapped(text: str, width: int = LINE) -> str:
    lines = [part for line in text.replace("\t", "  ").split("\n") for part in textwrap.wrap(line, width) or [""]]
    return "\n".join(lines[:40])


def panel(case: Case, text: str) -> Image.Image:
    """What was shown, with the boxes and points of a text drawn on it; a clip or several pictures as a sheet."""
    shown = case.content[0]
    if shown["type"] == "video":
        return clip_sheet(shown["video"], float(shown["fps"]), text)
    pictures = [part["image"] for part in case.content]
    if len(pictures) > 1:
        return contact_sheet(pictures, 4, map(str, range(1, len(pictures) + 1)))
    camera = case.turn.expect.get("camera")
    if camera:
        boxes = [item for item in parse_boxes_3d(text) if min(item["bbox_3d"][3:6]) >= 0]
        return draw_boxes_3d(pictures[0], boxes, camera)
    return marked(pictures[0], text)


def zoomed(case: Case, calls: list) -> Image.Image:
    """The picture and each crop that was called for, with the box of the next call."""
    pictures = [case.content[0]["image"], *(crop for _, crop in calls)]
    asked = [*(json.dumps(arguments) for arguments, _ in calls), ""]
    return contact_sheet([marked(picture, text) for picture, text in zip(pictures, asked, strict=True)], 2)


def marked(picture: Image.Image, text: str) -> Image.Image:
    """A picture of 480 pixels or more with the boxes, points and calls of a text."""
    scale = max(1, round(SIDE / max(picture.size)))
    large = picture.resize([side * scale for side in picture.size], Image.Resampling.BICUBIC)
    boxes = [{"bbox_2d": item["bbox_2d"], "label": label_of(item) or ""} for item in parse_boxes(text, large.size)]
    points = [{"point_2d": item["point_2d"], "label": label_of(item) or ""} for item in parse_points(text, large.size)]
    return acted(draw_points(draw_boxes(large, boxes), points), text)


def acted(picture: Image.Image, text: str) -> Image.Image:
    """A screen with what the calls of a text do there, as far as they can be carried out."""
    for call in parse_tool_calls(text):
        with suppress(ToolError):
            arguments = validate_call(call["name"], call["arguments"])
            picture = draw_action(picture, arguments) if "action" in arguments else picture
    return picture


def clip_sheet(frames: list[Image.Image], fps: float, text: str) -> Image.Image:
    """One frame a second with its time, and the boxes that a text has at that time."""
    step = max(1, round(fps))
    boxes = parse_boxes(text, frames[0].size)
    sheet = [
        draw_boxes(frame, [{"bbox_2d": box["bbox_2d"]} for box in boxes if box.get("time") == index * step / fps])
        for index, frame in enumerate(frames[::step])
    ]
    return contact_sheet(sheet, 4, [f"{index * step / fps:.0f} s" for index in range(len(sheet))])
