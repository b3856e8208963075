"""Answers that read from a page: their text, and what each part of it looks at while it is written.

`Answer` builds `Turn.shown`: text that is read points letter by letter at what is written there, everything else at the
region that it speaks of. A space and whatever else leads up to a letter belongs to that letter.
"""

from __future__ import annotations

import json

from ..coordinates import to_grid
from .page_paper import Block, Page
from .samples import Glyph, Region
from .turns import NOWHERE, Turn
from .typesetting import Line, Run


class Answer:
    """An answer being written."""

    def __init__(self):
        self.text = ""
        self.shown: list[tuple[int, object]] = []

    def say(self, text: str, region: object = NOWHERE) -> Answer:
        """Adds words that speak of a region."""
        if text and not (self.shown and self.shown[-1][1] is region):
            self.shown.append((len(self.text), region))
        self.text += text
        return self

    def read(self, run: Run, lead: str = "") -> Answer:
        """Adds a written text; `lead` comes before it and looks at its first letter."""
        glyphs, start, self.text = iter(run.glyphs), len(self.text), self.text + lead
        for character in run.text:
            self.text += character
            if character != " ":
                self.shown.append((start, next(glyphs)))
                start = len(self.text)
        return self

    def end(self, text: str = "") -> tuple[str, list]:
        """The answer and its `shown`, with a last text that speaks of nothing."""
        self.shown.append((len(self.text), NOWHERE))
        return self.text + text, self.shown


def grid_box(region: Region | Run, size: tuple[int, int]) -> list[int]:
    """A box on the 0-1000 grid, inside the picture."""
    return to_grid(region.box_xyxy, size).clip(0, 1000).tolist()


def turn(task: str, prompt: str, answer: Answer, expect: dict, *, mentions=(), tail: str = "") -> Turn:
    """A turn out of an answer, to which `tail` is added."""
    text, shown = answer.end(tail)
    return Turn(task, prompt, text, expect, list(mentions), shown)


def anchor(page: Page, written: Line | Run) -> Region | Glyph:
    """What stands for a text: its line where the page is made of lines, or else the letter in its middle."""
    if any(written is region for region in page.regions):
        return written
    return written.glyphs[len(written.glyphs) // 2]


def letters(page: Page, written: Line | Run) -> list[Region | Glyph]:
    """What the words of a question stand for that say what is written: the line where the page is made of lines, or else all letters."""
    return [written] if anchor(page, written) is written else whole(written).glyphs


def boxes_and_texts(page: Page, found: list[Line | Run]) -> tuple[Answer, list[dict]]:
    """The fenced list of `bbox_2d` and `text_content` of texts, without its end, and the items."""
    answer, items = Answer(), []
    for index, written in enumerate(found):
        items.append({"bbox_2d": grid_box(written, page.size), "text_content": written.text})
        opened = ('"},\n\t' if index else "```json\n[\n\t") + f'{{"bbox_2d": {items[-1]["bbox_2d"]}, "text_content": "'
        answer.say(opened, anchor(page, written)).read(whole(written))
    return answer, items


def whole(written: Line | Run) -> Run:
    """A line or a run as one run."""
    return written.whole if isinstance(written, Line) else written


def boxes_and_labels(regions: list[Region], labels: list[str], size) -> tuple[Answer, list[dict]]:
    """The fenced list of `bbox_2d` and `label` of regions, without its end, and the items."""
    answer, items = Answer(), []
    for index, (region, label) in enumerate(zip(regions, labels, strict=True)):
        items.append({"bbox_2d": grid_box(region, size), "label": label})
        answer.say(('"},\n\t' if index else "```json\n[\n\t") + json.dumps(items[-1])[:-2], region)
    return answer, items


LIST_END, EMPTY_LIST = '"}\n]\n```', "```json\n[]\n```"


# --- a whole article -------------------------------------------------------------------------


def joined(lines: list[Line]) -> Run:
    """Lines as one run, with a space between them."""
    runs = [run for line in lines for run in line.runs]
    return Run(
        " ".join(run.text for run in runs), [g for run in runs for g in run.glyphs], [ink for run in runs for ink in run.inks]
    )


def block_text(block: Block) -> str:
    """What stands in a block, on one line."""
    return joined(block.lines).text


def read_cells(answer: Answer, line: Line, between: str, lead: str) -> None:
    """Reads the cells of a table's row."""
    for index, run in enumerate(line.runs):
        answer.read(run, between if index else lead)


HTML = {
    "heading": ("<h2{}>", "</h2>"), "text": ("<p{}>", "</p>"), "list": ("<ul{}>", "</li></ul>"), "table": ("<table{}>", "</td></tr></table>"),
    "image": ('<div class="image"{}>', "</div>"), "caption": ('<div class="caption"{}>', "</div>"),
    "footer": ('<div class="footer"{}>', "</div>"),
}  # fmt: skip


def page_html(page: Page) -> Answer:
    """The QwenVL HTML of an article, without its end."""
    answer, closed = Answer(), "```html\n<html><body>\n"
    for block in page.blocks:
        opened, end = HTML[block.kind]
        box = " ".join(map(str, grid_box(block, page.size)))
        answer.say(closed + opened.format(f' data-bbox="{box}"'), block)
        if block.kind == "list":
            for index, item in enumerate(block.items):
                answer.read(joined(item), "</li><li>" if index else "<li>")
        elif block.kind == "table":
            for index, line in enumerate(block.lines):
                cell = "th" if index == 0 else "td"
                lead = ("</th></tr>" if index == 1 else "</td></tr>") if index else ""
                read_cells(answer, line, f"</{cell}><{cell}>", f"{lead}<tr><{cell}>")
        elif block.lines:
            answer.read(joined(block.lines))
        closed = end + "\n"
    return answer.say(closed + "</body></html>\n```")


def page_markdown(page: Page) -> Answer:
    """The QwenVL Markdown of an article: tables in LaTeX, boxes of tables and images in comments."""
    answer, gap, first = Answer(), "", True
    for block in page.blocks:
        x1, y1, x2, y2 = grid_box(block, page.size)
        if block.kind in ("image", "table"):
            answer.say(f"{gap}<!-- {block.kind.capitalize()} ({x1}, {y1}, {x2}, {y2}) -->", block)
        if block.kind == "table":
            answer.say(f"\n\\begin{{tabular}}{{{'l' * len(block.lines[0].runs)}}}", block)
            for index, line in enumerate(block.lines):
                read_cells(answer, line, " & ", " \\\\\n" if index else "\n")
            answer.say(" \\\\\n\\end{tabular}", block)
        elif block.kind == "list":
            for index, item in enumerate(block.items):
                answer.read(joined(item), "\n- " if index else f"{gap}- ")
        elif block.lines:
            answer.read(joined(block.lines), gap + ("# " if first else "## ") * (block.kind == "heading"))
        gap, first = "\n\n", False
    return answer
