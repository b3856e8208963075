"""Documents of the embedded model's world: several small pages with printed page numbers, and questions about where what is.

A page has a heading of its own, facts such as "Cost: 48.20", and a paragraph, a table or a picture. Answers name the page
by its printed number. In the training a document begins with any page from 1 to 18, so that what is learned is to read
the number of the page that was found, and holds for documents that are longer than those of the training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import page_words as say
from .artwork import things
from .page_answers import Answer, turn
from .page_articles import block, picture, table, text
from .page_paper import Page, Paper, new_paper
from .pages import some
from .samples import Sample
from .turns import Turn, drawn, pick, shown_by_part
from .typesetting import Run, fitting, text_width

PAGES_OF = {(256, 288): 2, (256, 256): 3, (256, 224): 4}  # how many pages the training shows at each size
SIZES = {(256, 256): 2, (256, 288): 1, (256, 224): 1}
LONG_PAGES_OF = {(256, 256): 12, (256, 224): 8}  # the same of long documents
LONG_SIZES = {(256, 256): 2, (256, 224): 1}
LAST = 21  # highest page number in the training
FACTS: dict[str, Callable[[np.random.Generator], str]] = {
    "Cost": say.price, "Price": say.price, "Budget": lambda rng: say.price(rng, 100, 999), "Author": say.person, "Owner": say.person,
    "Date": say.date, "Opened": lambda rng: str(int(rng.integers(1800, 2030))), "Visitors": lambda rng: str(int(rng.integers(10, 9999))),
    "Rooms": lambda rng: str(int(rng.integers(2, 90))), "Length": lambda rng: f"{int(rng.integers(2, 900))} km", "City": lambda rng: pick(rng, say.CITIES),
    "Height": lambda rng: f"{int(rng.integers(2, 900))} m", "Phone": say.phone, "Code": say.code, "Time": say.time_of_day,
}  # fmt: skip


@dataclass
class Document:
    """Pages with their headings, printed numbers and facts; `pages[i].fields` maps the name of a fact to its value."""

    pages: list[Page]
    headings: list[Run]
    numbers: list[Run]

    def truth(self) -> list[dict]:
        """Per page its `page` number, `heading`, `facts`, and the kinds of its parts."""
        rows = zip(self.pages, self.headings, self.numbers, strict=True)
        return [
            {"page": int(number.text), "heading": title.text, "facts": {key: run.text for key, run in page.fields.items()},
             "parts": [part.kind for part in page.blocks]}
            for page, title, number in rows
        ]  # fmt: skip

    def text(self) -> str:
        """Everything that is written, in small letters."""
        return "\n".join(line.text for page in self.pages for line in page.lines).lower()

    def once(self, text: str) -> bool:
        """Whether a text stands in the document once, in large or small letters."""
        return self.text().count(text.lower()) == 1


def numbered(paper: Paper, number: int, style: str, align: str) -> Run:
    """Writes the page number at the foot, and returns its digits."""
    written = style.format(number)
    paper.y = paper.size[1] - 10 - paper.font.height
    line = paper.line(written, align=align)
    block(paper, "footer", [line])
    start = written.index(str(number))
    return line.runs[0].part(start, start + len(str(number)))


def title(paper: Paper, rng: np.random.Generator, used: set[str]) -> None:
    """Writes a heading that no earlier page has."""
    words = fitting(rng, say.heading, paper.bold, paper.width)
    while words in used:
        words = fitting(rng, say.heading, paper.bold, paper.width)
    used.add(words)
    block(paper, "heading", [paper.line(words, font=paper.bold, colour=paper.accent)])
    paper.skip(0.2)


def fact(paper: Paper, rng: np.random.Generator, name: str) -> None:
    """Writes the name of a fact and its value."""
    value = fitting(rng, FACTS[name], paper.font, paper.width - text_width(name + ": ", paper.font))
    line = paper.line(f"{name}:", value)
    paper.fields[name] = line.runs[1]
    block(paper, "text", [line])


def fill(paper: Paper, rng: np.random.Generator, level: float) -> None:
    """Facts, and where there is room a paragraph, a table or a picture."""
    for name in some(rng, list(FACTS), min(1 + round(3 * level * rng.random()), paper.free())):
        fact(paper, rng, name)
    paper.skip(0.3)
    part = pick(rng, (text, table, picture))
    if paper.free() >= 3 and rng.random() < level:
        part(paper, rng, min(paper.free(), 5))


def render_document(
    rng: np.random.Generator,
    pages: int,
    *,
    size=(256, 256),
    first: int | None = None,
    level: float = 1.0,
    scale: int = 1,
    system_fonts: bool = False,
    shrinks: bool = False,
) -> Document:
    """Draws a document of 2-20 pages in one style.

    size: of a page, `(width, height)` in pixels; first: the number of its first page, at random when None; level: 0 (a heading
    and a fact) to 1 (full pages); scale, shrinks: as for `pages.render`.

    >>> [row["page"] for row in render_document(np.random.default_rng(1), 3, first=1).truth()]
    [1, 2, 3]
    """
    if not 1 <= pages <= 20:
        raise ValueError(f"pages must be a number from 1 to 20, the length of the document; got {pages!r}")
    first = int(rng.integers(1, LAST - pages + 1)) if first is None else first
    look, used = new_paper(rng, size, system_fonts=system_fonts), set()
    style, align = pick(rng, ("Page {}", "- {} -", "{}")), pick(rng, ("centre", "right"))
    made = Document([], [], [])
    for index in range(pages):
        paper = Paper(size, scale=scale, paper=look.paper, margin=look.left)
        paper.font, paper.bold, paper.ink, paper.accent, paper.shrinks = look.font, look.bold, look.ink, look.accent, shrinks
        title(paper, rng, used)
        paper.bottom -= paper.font.pitch
        fill(paper, rng, level)
        number = numbered(paper, first + index, style, align)
        page = paper.finish("page")
        for region in (*page.blocks, *page.lines, *page.glyphs):
            region.page = index
        made.pages.append(page)
        made.headings.append(page.lines[0].whole)
        made.numbers.append(number)
    return made


# --- questions -------------------------------------------------------------------------------

NUMBER = (" Answer with the page number, or none.", " Answer with the page number. If it is on no page, answer none.")
NUMBER_ZH = "请回答页码，没有则回答none。"


def to_page(task: str, rng, document: Document, prompt: str, phrase: str, index: int | None, regions=()) -> Turn:
    """A question that is answered with the number of a page, or "none" where `index` is None."""
    page, answer = None, "none"
    if index is not None:
        page, answer = int(document.numbers[index].text), document.numbers[index].text
    asked = prompt + (NUMBER_ZH if prompt.endswith("？") else pick(rng, NUMBER))
    return Turn(task, asked, answer, {"page": page, "answer": answer}, [(phrase, list(regions))], [(0, phrase)])


def page_of_heading(document: Document, rng) -> Turn | None:
    index = int(rng.integers(len(document.pages)))
    run = document.headings[index]
    if not document.once(run.text):
        return None
    wording = ('On which page is the section "{}"?', 'Which page has the heading "{}"?', '标题"{}"在第几页？')
    prompt = pick(rng, wording).format(run.text)
    return to_page("page_of_heading", rng, document, prompt, f'"{run.text}"', index, run.glyphs)


def written_once(document: Document, rng) -> tuple[int, Run] | None:
    """The index of a page with a value, a word or a cell that stands in the document once, and where it stands."""
    index = int(rng.integers(len(document.pages)))
    line = pick(rng, document.pages[index].lines[1:-1] or document.pages[index].lines[:1])
    run = pick(rng, (line.runs[-1], pick(rng, line.runs[-1].words())))
    return (index, run) if len(run.text) >= 3 and document.once(run.text) else None


def page_of_text(document: Document, rng) -> Turn | None:
    found = written_once(document, rng)
    if not found:
        return None
    index, run = found
    wording = ('On which page does "{}" appear?', 'Which page contains the text "{}"?', '"{}"出现在第几页？')
    return to_page("page_of_text", rng, document, pick(rng, wording).format(run.text), f'"{run.text}"', index, run.glyphs)


def one_of_several(document: Document, rng) -> tuple[str, str, list] | None:
    """A phrase that stands for a heading, a text or a picture, the number of its page or "none", and what is there."""
    kind = rng.choice(("heading", "text", "picture", "absent"), p=(0.3, 0.35, 0.25, 0.1))
    if kind == "picture":
        shown = [(i, part) for i, page in enumerate(document.pages) for part in page.blocks if part.kind == "image"]
        name = pick(rng, shown)[1].name if shown and rng.random() < 0.8 else pick(rng, things()).name
        found = [(i, part) for i, part in shown if part.name == name]
        answer = document.numbers[found[0][0]].text if found else "none"
        return None if len(found) > 1 else (f"a picture of {name}", answer, [part for _, part in found])
    if kind == "absent":
        words = pick(rng, (say.heading, say.snippet))(rng)
        return None if len(words) < 3 or words.lower() in document.text() else (f'"{words}"', "none", [])
    if kind == "text":
        found = written_once(document, rng)
    else:
        index = int(rng.integers(len(document.pages)))
        found = (index, document.headings[index]) if document.once(document.headings[index].text) else None
    if not found:
        return None
    index, run = found
    return f'"{run.text}"', document.numbers[index].text, run.glyphs


def pages_of_several(document: Document, rng) -> Turn | None:
    """The page of each of several headings, texts and pictures, "none" for those that are on no page."""
    asked: dict[str, tuple[str, list]] = {}
    for _ in range(int(rng.integers(3, 9))):
        phrase, answer, regions = one_of_several(document, rng) or ("", "", [])
        if phrase and not any(phrase in other or other in phrase for other in asked):
            asked[phrase] = answer, regions
    if len(asked) < 2:
        return None
    answers, mentions = [answer for answer, _ in asked.values()], [(phrase, regions) for phrase, (_, regions) in asked.items()]
    prompt = pick(rng, ("On which pages are {}?", "Which pages have {}?")).format(", ".join(asked))
    prompt += ' Answer with a page number or "none" for each, in this order, separated by commas.'
    answer = ", ".join(answers)
    return Turn("pages_of_several", prompt, answer, {"answers": answers}, mentions, shown_by_part(answer, list(asked), ", "))


def page_of_part(document: Document, rng) -> Turn | None:
    """The page with the only table, the only picture, or a picture of a certain thing."""
    kind = pick(rng, ("table", "image", "image"))
    found = [(i, part) for i, page in enumerate(document.pages) for part in page.blocks if part.kind == kind]
    named = kind == "image" and rng.random() < 0.7
    if named and found:
        name = pick(rng, found)[1].name
        found = [(i, part) for i, part in found if part.name == name]
    if len(found) > 1 or (named and not found):
        return None
    phrase = f"a picture of {name}" if named else "a table" if kind == "table" else "a picture"
    prompt = pick(rng, ("Which page has {}?", "On which page is there {}?", "Which page shows {}?")).format(phrase)
    index = found[0][0] if found else None
    return to_page("page_of_part", rng, document, prompt, phrase, index, [part for _, part in found])


def page_of_absent(document: Document, rng) -> Turn | None:
    """A heading, a text or a thing that is on no page."""
    if rng.random() < 0.3:
        name = pick(rng, things()).name
        if any(part.name == name for page in document.pages for part in page.blocks):
            return None
        phrase, wording = f"a picture of {name}", ("Which page has {}?", "On which page is there {}?", "Which page shows {}?")
    else:
        heading = rng.random() < 0.5
        text_ = say.heading(rng) if heading else say.snippet(rng)
        if text_.lower() in document.text() or len(text_) < 3:
            return None
        phrase = f'"{text_}"'
        wording = (
            ("On which page is the section {}?", "Which page has the heading {}?")
            if heading
            else ("On which page does {} appear?", "Which page contains the text {}?")
        )
    return to_page("page_of_absent", rng, document, pick(rng, wording).format(phrase), phrase, None)


def fact_of_section(document: Document, rng) -> Turn | None:
    """The value of a fact in a section, and the page on which it stands."""
    index = int(rng.integers(len(document.pages)))
    fields, heading = document.pages[index].fields, document.headings[index].text
    if not fields:
        return None
    name = pick(rng, list(fields))
    prompt = pick(rng, (
        'What is the {0} in the section "{1}"? Answer with the value and the page, like "12.50 (page 3)".',
        '{0} of "{1}"? Answer with the value and the page number, like "12.50 (page 3)".',
    )).format(name, heading)  # fmt: skip
    answer = Answer().read(fields[name]).read(document.numbers[index], " (page ")
    expect = {"answer": fields[name].text, "page": int(document.numbers[index].text)}
    mentions = [(f'"{heading}"', document.headings[index].glyphs)]
    return turn("fact_of_section", prompt, answer, expect, mentions=mentions, tail=")")


def fact_on_page(document: Document, rng) -> Turn | None:
    """The value of a fact, or the heading, of a page given by its number."""
    index = int(rng.integers(len(document.pages)))
    number, fields = document.numbers[index], document.pages[index].fields
    mentions = [(f"page {number.text}", number.glyphs[:1])]
    if rng.random() < 0.4 or not fields:
        run, prompt = document.headings[index], pick(rng, ("What is the heading of page {}?", "Which section is on page {}?"))
    else:
        name = pick(rng, list(fields))
        run, prompt = fields[name], f"What is the {name} on page {{}}?"
    return turn("fact_on_page", prompt.format(number.text), Answer().read(run), {"answer": run.text}, mentions=mentions)


def contents(document: Document, rng) -> Turn | None:
    """The table of contents of a short document."""
    if len(document.pages) > 5:
        return None
    answer = Answer()
    for index, (number, run) in enumerate(zip(document.numbers, document.headings, strict=True)):
        answer.read(number, "\n" if index else "").read(run, ": ")
    prompt = pick(
        rng, ("List the heading of each page with its page number.", "Write a table of contents: page number and heading.")
    )
    return turn(
        "contents",
        prompt,
        answer,
        {"headings": {int(n.text): h.text for n, h in zip(document.numbers, document.headings, strict=True)}},
    )


TASKS: dict[Callable, float] = {
    page_of_heading: 3, page_of_text: 3, page_of_part: 4, page_of_absent: 2, fact_of_section: 3, fact_on_page: 2, contents: 0.7,
    pages_of_several: 4,
}  # fmt: skip


def ask(document: Document, rng: np.random.Generator, task: Callable | None = None) -> Turn | None:
    """One turn over a document: the given task, which may not allow it, or one drawn by its weight among those that do."""
    return drawn(TASKS, document, rng, task)


def sample_of(document: Document, turns: list[Turn]) -> Sample:
    """The pictures of a document with questions about it."""
    regions = [region for page in document.pages for region in page.regions]
    return Sample(
        [page.image for page in document.pages], turns, regions, [glyph for page in document.pages for glyph in page.glyphs],
        numbers=[int(number.text) for number in document.numbers],
    )


def make_document(rng: np.random.Generator, pages: int, *, questions: int = 6, **options) -> Sample:
    """A document of 2-20 pages and questions about it; `options` as for `render_document`."""
    document, turns = render_document(rng, pages, **options), {}
    for _ in range(3 * questions):
        asked = ask(document, rng)
        turns.setdefault(asked.prompt, asked)
        if len(turns) == questions:
            break
    return sample_of(document, list(turns.values()))


def make(
    rng: np.random.Generator, size: tuple[int, int], level: float = 1.0, *,
    pages_of: dict[tuple[int, int], int] = PAGES_OF, questions: int = 6, system_fonts: bool = False,
) -> Sample:  # fmt: skip
    """A document for the training, of as many pages as `pages_of` says for the size; half of them at twice the size, and shrunk."""
    scale = int(rng.integers(1, 3))
    options = {"size": size, "level": level, "scale": scale, "system_fonts": system_fonts, "shrinks": True}
    return make_document(rng, pages_of[size], questions=questions, **options)
