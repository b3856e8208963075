"""The pages of the notebooks about reading: `assets/pages` with their truth.

    python -m cookbook_utils.tiny.page_files

`pages.json` lists receipts, forms, signs and the like: per picture the file, its size in pixels, its kind, its lines in reading
order with boxes in pixels, its fields (null where a place was left empty) and its items. `articles.json` lists articles with
their `blocks`: kind, box in pixels, text, the rows of a table. `charts.json` lists charts with labels, values and the end of the
axis, `wireframes.json` wireframes of web pages with the HTML behind them. `articles.pdf` has the first articles as its pages,
`report.pdf` is one long document; `report.json` tells its pages and asks about them. All seeds are of the held-out range.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from PIL import Image

from ..coordinates import to_pixels
from . import page_documents, page_tasks, pages, wireframes
from .asset_rows import questions_about, write_rows
from .figure_tasks import truth_of
from .page_documents import Document
from .page_paper import Page
from .scenes import HELD_OUT

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "pages"
PAGE_SEED, REPORT_SEED, SCALE = 42, 33, 2  # SCALE: of the files, in sides of what the model sees
HIGH, SQUARE, WIDE, SIGN = (256, 352), (256, 256), (352, 256), (256, 128)
PAGES = (
    *[("receipt", HIGH)] * 4, *[("invoice", HIGH)] * 3, *[("form", HIGH)] * 3, *[("ticket", HIGH)] * 2, *[("menu", HIGH)] * 2,
    ("departures", SQUARE), *[("sign", SIGN)] * 3, *[("label", SQUARE)] * 2, *[("card", SIGN)] * 2,
)  # fmt: skip
CHINESE, ARTICLES, CHARTS, WIREFRAMES, IN_PDF, LONG = 2, 8, 8, 6, 4, 20
ASKED = {
    page_documents.page_of_heading: 4, page_documents.page_of_text: 4, page_documents.page_of_part: 3,
    page_documents.page_of_absent: 3, page_documents.fact_of_section: 4, page_documents.fact_on_page: 2,
}  # fmt: skip


def drawn(family: int, index: int, size: tuple[int, int], kind: str, **options) -> Page:
    return pages.render(np.random.default_rng([HELD_OUT, PAGE_SEED, family, index]), size, scale=SCALE, kind=kind, **options)


def save(page: Page, name: str) -> dict:
    """Writes the picture and tells its file, size and kind."""
    page.image.save(FOLDER / name, quality=88)
    return {"file": name, "size": list(page.size), "kind": page.kind}


def page_row(index: int, page: Page) -> dict:
    """A page that is made of lines."""
    truth = page.truth()
    lines = [{**line, "bbox_2d": [round(v, 1) for v in line["bbox_2d"]]} for line in truth["lines"]]
    return {**save(page, f"page_{index:02d}.jpg"), "lines": lines, "fields": truth["fields"], "items": truth["items"]}


def chinese_page(index: int) -> Page:
    """Signs and words of which at least two are Chinese; needs an installed Chinese font."""
    tries = (drawn(1, 1000 * index + attempt, SQUARE, "words", system_fonts=True) for attempt in range(1000))
    return next(page for page in tries if 2 <= sum(line.text[0] > "\u2e7f" for line in page.lines) and len(page.lines) < 7)


def chart_of(index: int) -> Page:
    """Bars, lying bars, a line, a pie, in turn, and across or upright."""
    kind, size = ("bar", "pie", "barh", "line")[index % 4], (WIDE, HIGH)[index // 2 % 2]
    tries = (drawn(3, 1000 * index + attempt, size, "chart") for attempt in range(1000))
    return next(page for page in tries if page.figure.kind == kind and len(page.figure.values) > 2)


def article_row(index: int, page: Page) -> dict:
    blocks = page_tasks.truth_of(page)
    for block in blocks:
        block["bbox_2d"] = to_pixels(block["bbox_2d"], page.size).round(1).tolist()
    return {**save(page, f"article_{index:02d}.jpg"), "blocks": blocks}


def chart_row(index: int, page: Page) -> dict:
    return {**save(page, f"chart_{index:02d}.jpg"), **truth_of(page), "code": page.figure.code()}


def wireframe_row(index: int, page: Page) -> dict:
    html = page.figure.html()
    return {**save(page, f"wireframe_{index:02d}.jpg"), "html": html, "styled": wireframes.styled(html)}


def save_pdf(name: str, pictures: list[Image.Image]) -> None:
    """Writes pictures as the pages of a PDF, 144 of their pixels to an inch."""
    dates = dict.fromkeys(("creationDate", "modDate"), time.gmtime(0))  # the same file every time
    pictures[0].save(FOLDER / name, save_all=True, append_images=pictures[1:], resolution=144, quality=85, **dates)


def report_rows(document: Document) -> list[dict]:
    """The pages of the long document, each with the questions that lead to it; those that lead nowhere stand last."""
    turns = questions_about(page_documents.ask, document, np.random.default_rng([HELD_OUT, REPORT_SEED, 6]), ASKED, tries=12)
    asked = [{"task": turn.task, "prompt": turn.prompt, "answer": turn.answer, **turn.expect} for turn in turns]
    rows = document.truth()
    for row in rows:
        row["questions"] = [question for question in asked if question.get("page") == row["page"]]
    return [*rows, {"page": None, "questions": [question for question in asked if question.get("page") is None]}]


def build() -> None:
    """Renders everything anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    written = [drawn(0, index, size, kind) for index, (kind, size) in enumerate(PAGES)]
    written += [chinese_page(index) for index in range(CHINESE)]
    write_rows(FOLDER / "pages.json", [page_row(index, page) for index, page in enumerate(written)])
    articles = [drawn(2, index, HIGH, "article") for index in range(ARTICLES)]
    write_rows(FOLDER / "articles.json", [article_row(index, page) for index, page in enumerate(articles)])
    save_pdf("articles.pdf", [page.image for page in articles[:IN_PDF]])
    write_rows(FOLDER / "charts.json", [chart_row(index, chart_of(index)) for index in range(CHARTS)])
    frames = [drawn(4, index, HIGH, "wireframe") for index in range(WIREFRAMES)]
    write_rows(FOLDER / "wireframes.json", [wireframe_row(index, page) for index, page in enumerate(frames)])
    report = page_documents.render_document(np.random.default_rng([HELD_OUT, REPORT_SEED, 5]), LONG, first=1, scale=SCALE)
    save_pdf("report.pdf", [page.image for page in report.pages])
    write_rows(FOLDER / "report.json", report_rows(report))


if __name__ == "__main__":
    build()
