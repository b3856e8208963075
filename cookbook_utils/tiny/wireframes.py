"""Wireframes of web pages in the embedded model's world, and their HTML.

A wireframe is rows of blocks from a small vocabulary: header, nav, img, p, input, button, card. The heights and gaps below
are shared by the drawing and by the style sheet, so that the HTML, put through `styled`, looks in a browser like the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from . import page_words as say
from .page_paper import Page, Paper, photograph, tint
from .samples import Region
from .turns import pick
from .typesetting import Font, Run, fitting, text_width

KINDS = ("header", "nav", "img", "p", "input", "button", "card")
NAMES = {
    "header": "header",
    "nav": "navigation bar",
    "img": "image",
    "p": "text",
    "input": "input field",
    "button": "button",
    "card": "card",
}
HEIGHTS = {"header": 40, "nav": 30, "img": 72, "p": 24, "input": 36, "button": 36, "card": 60}  # pixels
GAP, EDGE, INSET = 10, 12, 10  # between blocks, around all of them, and before a text, pixels
TAGS = {
    "header": ("<header>", "", "</header>"), "nav": ("<nav><a>", "</a><a>", "</a></nav>"), "img": ("<img>", "", ""),
    "p": ("<p>", "", "</p>"), "input": ('<input placeholder="', "", '">'), "button": ("<button>", "", "</button>"),
    "card": ('<div class="card">', "", "</div>"),
}  # fmt: skip
STYLE = (
    "* { box-sizing: border-box; margin: 0 }"
    f" body {{ padding: {EDGE}px; display: flex; flex-direction: column; align-items: stretch; gap: {GAP}px; font: 16px sans-serif }}"
    f" header, nav, .row {{ display: flex; align-items: center; gap: {GAP}px }} .row > * {{ flex: 1; width: 0 }}"
    f" header {{ height: {HEIGHTS['header']}px; padding: 0 {INSET}px; background: #446; color: white; font-weight: bold }}"
    f" nav {{ height: {HEIGHTS['nav']}px; justify-content: space-around; border-bottom: 2px solid #446 }}"
    f" img {{ height: {HEIGHTS['img']}px; background: #ccc }}"
    f" p {{ height: {HEIGHTS['p']}px; line-height: {HEIGHTS['p']}px; white-space: nowrap }}"
    f" input {{ height: {HEIGHTS['input']}px; padding: 0 {INSET}px; border: 1px solid #446; font: inherit }}"
    f" button {{ height: {HEIGHTS['button']}px; border: 0; border-radius: 6px; background: #446; color: white; font: inherit }}"
    f" .card {{ height: {HEIGHTS['card']}px; line-height: {HEIGHTS['card']}px; border: 1px solid #446; border-radius: 6px; text-align: center }}"
)
LINKS = say.words("Home Menu Shop News Help About Login Cart Blog Team Photos Map Offers Events Jobs Price")
PRESSED = say.words("Send Save Search Next Back Start Buy Open Stop Print Join Reply Share Order Call Cancel")
ASKED = say.words("Email Name City Phone Date Code Street Search Country Age Company Message Password Topic")


@dataclass
class Widget(Region):
    """One block of a wireframe, with what is written on it."""

    runs: list[Run] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(run.text for run in self.runs)


@dataclass
class Wireframe:
    """Rows of widgets from the top down; the widgets of a row stand side by side and share its width."""

    rows: list[list[Widget]]

    def pieces(self) -> list[tuple[str, Widget, str, str]]:
        """The HTML of each widget: what stands before its texts, the widget, what stands between them, what stands after."""
        made = []
        for row in self.rows:
            opened, closed = ('<div class="row">', "</div>") if len(row) > 1 else ("", "")
            for widget in row:
                before, between, after = TAGS[widget.kind]
                first, last = widget is row[0], widget is row[-1]
                made.append((opened * first + before, widget, between, after + closed * last + "\n" * last))
        return made

    def html(self) -> str:
        """The wireframe as HTML, one line for each row."""
        return "".join(a + b.join(run.text for run in w.runs) + z for a, w, b, z in self.pieces()).rstrip("\n")


def styled(html: str) -> str:
    """A whole page around a wireframe's HTML: in a browser window of the picture's size its blocks lie where the picture's lie.

    >>> styled("<p>Hello</p>").endswith("<p>Hello</p></body>")
    True
    """
    return f'<!DOCTYPE html><meta charset="utf-8"><style>{STYLE}</style><body>{html}</body>'


def texts(rng: np.random.Generator, kind: str, font: Font, width: float) -> list[str]:
    """What is written on a widget."""
    if kind == "nav":
        return some_links(rng, font, width)
    phrase = lambda r: f"{pick(r, say.ADJECTIVES)} {pick(r, say.NOUNS)} {pick(r, say.PREPOSITIONS)} {pick(r, say.NOUNS)}"
    make = {
        "header": say.company, "p": phrase, "input": lambda r: pick(r, ASKED), "button": lambda r: pick(r, PRESSED),
        "card": lambda r: pick(r, say.ITEMS + say.GOODS),
    }.get(kind)  # fmt: skip
    return [fitting(rng, make, font, width - 2 * INSET * (kind != "p"))] if make else []


def some_links(rng: np.random.Generator, font: Font, width: float) -> list[str]:
    """Two to four links that fit side by side."""
    links = [LINKS[i] for i in rng.choice(len(LINKS), int(rng.integers(2, 5)), replace=False)]
    while len(links) > 2 and sum(text_width(link, font) + 14 for link in links) > width:
        links.pop()
    return links


def shape(paper: Paper, rng: np.random.Generator, kind: str, box, rough: bool) -> None:
    """Draws a widget without its text, with a shaky hand if `rough`."""
    x1, y1, x2, y2 = box
    if kind == "p":
        return
    if kind == "nav":
        paper.stroke((x1, y2 - 1), (x2, y2 - 1), width=2)
        return
    fill = None if rough else paper.accent if kind in ("header", "button") else tint(rng, 195, 220, 2) if kind == "img" else None
    paper.box(*box, fill=fill, outline=None if rough else paper.ink, radius=6 * (kind in ("button", "card") and not rough))
    if rough:
        for a, b in (((x1, y1), (x2, y1)), ((x2, y1), (x2, y2)), ((x2, y2), (x1, y2)), ((x1, y2), (x1, y1))):
            bend = (np.array(a) + b) / 2 + rng.normal(0, 1.2, 2)
            paper.stroke(a, tuple(bend), b, width=1.6)
    if kind == "img":
        paper.stroke((x1, y1), (x2 - 1, y2 - 1))
        paper.stroke((x1, y2 - 1), (x2 - 1, y1))


def widget(paper: Paper, rng: np.random.Generator, kind: str, box, rough: bool) -> Widget:
    """Draws a widget and writes on it: headers and inputs from the left, the others in their middle."""
    font = paper.bold if kind == "header" else paper.font
    shape(paper, rng, kind, box, rough)
    x1, y1, x2, y2 = box
    words = texts(rng, kind, font, x2 - x1)
    colour = (250, 250, 250) if kind in ("header", "button") and not rough else (110, 110, 110) if kind == "input" else paper.ink
    made, place = Widget(kind, tuple(map(float, box))), (x2 - x1) / max(1, len(words))
    for index, text in enumerate(words):
        middle = x1 + place * (index + 0.5) - text_width(text, font) / 2
        x = x1 if kind == "p" else x1 + INSET if kind in ("header", "input") else middle
        made.runs.append(paper.write(x, (y1 + y2) / 2 - font.height * 0.52, text, font, colour))
    if made.runs:
        paper.keep(made.runs)
    return made


def wireframe(paper: Paper, rng: np.random.Generator, most: int) -> Page:
    """Two to seven rows of blocks, drawn cleanly or by hand."""
    paper.font, paper.bold = (font._replace(size=16) for font in (paper.font, paper.bold))
    rough, wide, rows, y = rng.random() < 0.4, paper.size[0], [], EDGE
    kinds = ["header"] * (rng.random() < 0.8) + ["nav"] * (rng.random() < 0.5)
    kinds += [str(kind) for kind in rng.permutation(["img", "p", "p", "input", "button", "card", "card"])]
    for kind in kinds[: max(2, round(most * 0.7))]:
        high, count = HEIGHTS[kind], 1
        if y + high + EDGE > paper.size[1]:
            continue
        if kind in ("card", "button", "img") and rng.random() < (0.75 if kind == "card" else 0.3):
            count = int(rng.integers(2, 4 if kind == "card" and wide > 300 else 3))
        width = (wide - 2 * EDGE - (count - 1) * GAP) / count
        lefts = [EDGE + i * (width + GAP) for i in range(count)]
        rows.append([widget(paper, rng, kind, (x, y, x + width, y + high), rough) for x in lefts])
        y += high + GAP
    paper.figure = Wireframe(rows)
    paper.marks = [made for row in rows for made in row]
    photograph(rng, paper, wear=0.6 * min(1, most / 14))
    return paper.finish("wireframe")
