"""Articles of the embedded model's world: headings, paragraphs, lists, tables and figures with captions, in one column.

An article's `blocks` stand in reading order and don't overlap. A block's box lies tight around its ink; a table's is its
border, an image's its frame.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from . import page_words as say
from .artwork import sprites, things
from .page_paper import Block, Page, Paper, photograph, tint
from .scenes import background
from .turns import pick
from .typesetting import Font, Line, fitting, text_width, union, wrap

KINDS = ("heading", "text", "list", "table", "image", "caption", "footer")


def block(paper: Paper, kind: str, lines: list[Line], box=None, items: list | None = None) -> Block:
    """Adds a block around lines to an article."""
    made = Block(kind, box or union([line.box_xyxy for line in lines]), lines=lines, items=items or [])
    paper.blocks.append(made)
    return made


def paragraph(paper: Paper, text: str, *, font: Font | None = None, indent: float = 0, colour=None) -> list[Line]:
    """Writes a text over as many lines as it needs."""
    font = font or paper.font
    return [paper.line(part, font=font, indent=indent, colour=colour) for part in wrap(text, font, paper.width - indent)]


def heading(paper: Paper, rng: np.random.Generator, most: int, *, larger: int = 0) -> int:
    """A heading of one line; returns how many lines were written, as all parts do."""
    font = paper.bold._replace(size=paper.bold.size + larger)
    line = paper.line(fitting(rng, say.heading, font, paper.width), font=font, colour=pick(rng, (paper.ink, paper.accent)))
    block(paper, "heading", [line])
    return 1


def text(paper: Paper, rng: np.random.Generator, most: int) -> int:
    """A paragraph of one to three sentences, as far as `most` lines allow."""
    words = say.sentence(rng)
    for _ in range(int(rng.integers(0, 3))):
        longer = f"{words} {say.sentence(rng)}"
        words = longer if len(wrap(longer, paper.font, paper.width)) <= min(most, 4) else words
    return len(block(paper, "text", paragraph(paper, words)).lines)


def bullets(paper: Paper, rng: np.random.Generator, most: int) -> int:
    """A list of two to four short items behind dots."""
    items, indent = [], paper.font.size
    for _ in range(min(most, int(rng.integers(2, 5)))):
        middle = paper.y + paper.font.ascent - paper.font.size * 0.27
        paper.dot(paper.left + indent * 0.4, middle, 2.5)
        words = fitting(rng, list_item, paper.font, paper.width - indent)
        items.append(paragraph(paper, words, indent=indent))
    lines = [line for item in items for line in item]
    return len(block(paper, "list", lines, items=items).lines)


def list_item(rng: np.random.Generator) -> str:
    """What a list says: a few words, or a fact."""
    return pick(rng, (
        f"{pick(rng, say.ADJECTIVES)} {pick(rng, say.NOUNS)}", f"{int(rng.integers(2, 200))} {pick(rng, say.ITEMS).lower()}",
        f"{pick(rng, say.DAYS)}, {say.time_of_day(rng)}", f"{pick(rng, say.NOUNS).capitalize()}: {say.price(rng)}",
    ))  # fmt: skip


COLUMNS = {
    "Item": lambda rng: pick(rng, say.ITEMS), "City": lambda rng: pick(rng, say.CITIES), "Name": lambda rng: pick(rng, say.FIRST_NAMES),
    "Day": lambda rng: pick(rng, say.DAYS)[:3],
}  # fmt: skip
FIGURES = {
    "Price": say.price, "Year": lambda rng: str(int(rng.integers(1950, 2036))), "Time": say.time_of_day, "Code": lambda rng: say.letters(rng, 1)
    + say.digits(rng, 3), "Age": lambda rng: str(int(rng.integers(18, 99))), "Km": lambda rng: str(int(rng.integers(2, 900))),
}  # fmt: skip


def table(paper: Paper, rng: np.random.Generator, most: int) -> int:
    """A table of two or three columns with a head and two to four rows."""
    narrow = paper.width < 260
    names = [pick(rng, list(COLUMNS)), *rng.permutation(list(FIGURES))[: 1 if narrow else int(rng.integers(1, 3))]]
    top, count = paper.y, max(1, min(most - 1, int(rng.integers(2, 5))))
    places = [paper.width * share for share in ((0.02, 0.6), (0.02, 0.44, 0.74))[len(names) - 2]]
    rows = [names] + [[{**COLUMNS, **FIGURES}[str(name)](rng) for name in names] for _ in range(count)]
    inset = max(3, (paper.font.pitch - paper.font.height) // 2)
    paper.y += inset
    step, lines, tops = paper.font.pitch, [], []
    for index, row in enumerate(rows):
        tops.append(paper.y - inset)
        if index == 0:
            paper.box(paper.left, top, paper.right, top + step, fill=tint(rng, 190, 225))
        cells = [(str(cell), place) for cell, place in zip(row, places, strict=True)]
        lines.append(paper.line(*cells, font=paper.bold if index == 0 else paper.font))
    frame = (paper.left, top, paper.right, paper.y - inset + 1)
    grid = rng.random() < 0.6
    for y in tops[1:] if grid else tops[1:2]:
        paper.stroke((frame[0], y), (frame[2] - 1, y), colour=(120, 120, 120))
    paper.box(*frame, outline=(90, 90, 90))
    block(paper, "table", lines, frame)
    return len(lines)


def picture(paper: Paper, rng: np.random.Generator, most: int) -> int:
    """A framed picture of one thing, sometimes with a caption that names it."""
    caption = rng.random() < 0.6 and most > 3
    wide = round(paper.width * rng.uniform(0.4, 0.8))
    high = round(min(rng.uniform(0.45, 0.8) * wide, (most - caption) * paper.font.pitch - 4))
    left = round(paper.left + rng.choice((0.0, 0.5, 0.5, 1.0)) * (paper.width - wide))
    index, scale = int(rng.integers(len(things()))), paper.scale
    ground, thing = background(rng, (wide, high)).resize((wide * scale, high * scale)), sprites()[index]
    shrink = 0.82 * min(wide / thing.width, high / thing.height) * scale
    thing = thing.resize((max(1, round(thing.width * shrink)), max(1, round(thing.height * shrink))), Image.Resampling.BILINEAR)
    ground.paste(thing, ((ground.width - thing.width) // 2, (ground.height - thing.height) // 2), thing)
    paper.image.paste(ground, (left * scale, round(paper.y) * scale))
    frame = (left, round(paper.y), left + wide, round(paper.y) + high)
    block(paper, "image", [], frame).name = things()[index].name
    paper.y += high + 5
    if caption:
        words = fitting(
            rng,
            lambda r: f"{pick(r, ('Figure', 'Fig.'))} {int(r.integers(1, 10))}: {things()[index].name}",
            paper.font,
            paper.width,
        )
        block(paper, "caption", [paper.line(words, indent=min(left - paper.left, paper.width - text_width(words, paper.font)))])
    return int(caption)


def article(paper: Paper, rng: np.random.Generator, most: int) -> Page:
    """A heading and what fits below it: paragraphs, subheadings, at most one list, one table and one picture."""
    heading(paper, rng, most, larger=3)
    paper.skip(0.25)
    footer = most > 6 and rng.random() < 0.3
    paper.bottom -= paper.font.pitch * footer
    left, parts, seen = most - 1, (text, text, text, heading, bullets, table, picture), [heading]
    needs = {text: 3, heading: 5, bullets: 3, table: 3, picture: 4}
    while len(seen) < 3 or rng.random() > 0.05:
        room = {part: paper.free() if part is picture else min(left, paper.free()) for part in needs}
        once = [part for part in parts if needs[part] <= room[part] and (part is text or part not in seen[-1:] + seen[1:])]
        if not once:
            break
        part = pick(rng, once)
        left -= part(paper, rng, room[part])
        seen.append(part)
        paper.skip(0.15 if part is heading else 0.45)
    if footer:
        paper.bottom += paper.font.pitch
        paper.y = paper.bottom - paper.font.height
        words = pick(rng, (f"Page {int(rng.integers(1, 100))}", str(int(rng.integers(1, 100))), say.date(rng)))
        block(paper, "footer", [paper.line(words, align=pick(rng, ("centre", "right")))])
    photograph(rng, paper, wear=0.7 * min(1, most / 14))
    return paper.finish("article")
