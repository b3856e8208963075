"""The pages' and articles' questions on held-out pages, and their figures: characters, fields, charts, whole pages as HTML.

Pages are written in fonts that come with matplotlib, so that they look the same on every machine, and are asked at the size
at which the training shows them: larger than the processor's own budget, a message's `max_pixels` says so.
"""

from __future__ import annotations

import ast
import re
from functools import partial

import numpy as np

from ..coordinates import iou
from ..dataframes import tables
from ..documents import parse_qwenvl_html, parse_qwenvl_markdown
from ..parsing import extract_code, parse_boxes, parse_json
from . import page_tasks, pages
from .families import PAGE_SIZES
from .figures import (
    Case,
    Measure,
    Run,
    Target,
    alike,
    edits,
    empty,
    error_rate,
    exact,
    gather,
    items_in_answer,
    label_of,
    located,
    mean,
    pair_up,
    read,
    said,
)
from .page_paper import Page
from .scenes import HELD_OUT

SEED, ARTICLE_SEED = 24, 25
CLOSE = 0.05  # of its axis, by which a chart's value may be off
CHART_SIZES, ARTICLE_SIZE = [(352, 256), (256, 352)], (256, 352)
RECORDS = ("receipt", "invoice", "form", "ticket", "menu")
# Kinds of the pages one after the other, None for whatever the training draws: records and charts often enough to be measured.
PLAN = (None, "receipt", "chart", None, "form", "wireframe", None, "ticket", "chart", "invoice", None, "menu")
MISSING = object()


def held_out_pages(count: int) -> list[Page]:
    """`count` pages, in turn of `PLAN` and of the sizes that suit them."""
    made, sizes = [], list(PAGE_SIZES)
    for index in range(count):
        kind, again = PLAN[index % len(PLAN)], index // len(PLAN)
        size = (256, 352) if kind in RECORDS else CHART_SIZES[again % 2] if kind else sizes[(index + again) % len(sizes)]
        made.append(pages.render(np.random.default_rng([HELD_OUT, SEED, index]), size, kind=kind))
    return made


def held_out_articles(count: int) -> list[Page]:
    """`count` articles of the size at which the training shows them."""
    seeds = (np.random.default_rng([HELD_OUT, ARTICLE_SEED, index]) for index in range(count))
    return [pages.render(rng, ARTICLE_SIZE, kind="article") for rng in seeds]


def whole(page: Page) -> list[dict]:
    """A page at its own size, whatever the processor's budget."""
    return [{"type": "image", "image": page.image, "max_pixels": page.size[0] * page.size[1]}]


def page_questions(count: int) -> Run:
    return gather(held_out_pages(count), list(page_tasks.TASKS), whole, SEED)


def article_questions(count: int) -> Run:
    return gather(held_out_articles(count), list(page_tasks.TASKS), whole, ARTICLE_SEED)


# --- reading and finding ---------------------------------------------------------------------


def spotted(cases: list[Case]) -> dict[str, float]:
    """Texts that are found at IoU 0.5 and read without error, as a share of all; found at all; errors of those found."""
    right, found, given_total, true_total, texts = 0, 0, 0, 0, []
    for case in cases:
        items, truth = parse_boxes(case.reply, case.size), items_in_answer(case)
        boxes, true = (np.array([item["bbox_2d"] for item in part], float).reshape(-1, 4) for part in (items, truth))
        pairs = [(str(label_of(items[i])), label_of(truth[j])) for i, j, overlap in pair_up(iou(boxes, true)) if overlap >= 0.5]
        right, found, texts = right + sum(given == true for given, true in pairs), found + len(pairs), texts + pairs
        given_total, true_total = given_total + len(items), true_total + len(truth)
    return {
        "found and read": right / max(true_total, 1),
        "recall at IoU 0.5": found / max(true_total, 1),
        "precision at IoU 0.5": found / max(given_total, 1),
        "character error rate of those found": error_rate(texts),
    }


def fields(cases: list[Case]) -> dict[str, float]:
    """Fields of a record with exactly the right value, null included; a key that is missing is wrong."""
    right = []
    for case in cases:
        given = parse_json(case.reply)
        given = given if isinstance(given, dict) else {}
        right += [given.get(key, MISSING) == value for key, value in case.turn.expect["fields"].items()]
    return {"exact field": mean(right), "exact": exact(cases)}


def rows(cases: list[Case]) -> dict[str, float]:
    """Rows of a list that are exactly right, as a share of those that were or should have been written."""
    shares = []
    for case in cases:
        given = parse_json(case.reply)
        given = [tuple(row.items()) for row in given if isinstance(row, dict)] if isinstance(given, list) else []
        shares.append(alike([repr(row) for row in given], [repr(tuple(row.items())) for row in case.turn.expect["rows"]]))
    return {"exact row": mean(shares)}


# --- charts ----------------------------------------------------------------------------------


def number(text) -> float | None:
    """The number that a text is, perhaps with a percent sign.

    >>> number("25%"), number("25 or so")
    (25.0, None)
    """
    found = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*%?\s*", str(text))
    return float(found[1]) if found else None


def data_of_table(reply: str) -> list[tuple[str, float | None]]:
    """Labels and values of the first table of a reply."""
    found = tables(reply)
    return [(str(row[0]), number(row[1])) for row in found[0].values.tolist() if len(row) > 1] if found else []


def data_of_code(reply: str) -> list[tuple[str, float | None]]:
    """Labels and values of the first bars, line or pie that a reply's code draws; the code is read, not run."""
    code = extract_code(reply, "python")
    try:
        calls = [node for node in ast.walk(ast.parse(code if code is not None else reply)) if isinstance(node, ast.Call)]
        for call in (c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr in ("bar", "barh", "plot", "pie")):
            lists = [ast.literal_eval(argument) for argument in call.args[:2]]
            if call.func.attr == "pie":
                lists.insert(0, next(ast.literal_eval(key.value) for key in call.keywords if key.arg == "labels"))
            return [(str(label), number(value)) for label, value in zip(*lists[:2], strict=True)]
    except (SyntaxError, ValueError, TypeError, StopIteration, RecursionError):
        pass
    return []


def chart_data(cases: list[Case], data_of=data_of_table) -> dict[str, float]:
    """Values within a twentieth of the axis, under exactly their own label; charts that are right in all; values too many."""
    near, complete, given_total = [], [], 0
    for case in cases:
        given, truth = data_of(case.reply), case.turn.expect
        at = dict(reversed(given))
        values = [(at.get(label), value) for label, value in zip(truth["labels"], truth["values"], strict=True)]
        hits = [got is not None and abs(got - value) <= CLOSE * truth["top"] for got, value in values]
        near, given_total = near + hits, given_total + len(given)
        complete.append(all(hits) and len(given) == len(values))
    return {"values within 5 %": mean(near), "precision": sum(near) / max(given_total, 1), "whole chart": mean(complete)}


def chart_value(cases: list[Case]) -> dict[str, float]:
    pairs = [(number(case.reply), case.turn.expect) for case in cases]
    return {"values within 5 %": mean(got is not None and abs(got - e["value"]) <= CLOSE * e["top"] for got, e in pairs)}


# --- whole pages -----------------------------------------------------------------------------


def flat(text: str) -> str:
    """A text on one line, with single spaces."""
    return " ".join(text.split())


def page_text(elements: list[dict]) -> str:
    return flat(" ".join(element["text"] for element in elements))


def elements_found(given: list[dict], truth: list[dict]) -> list[tuple[int, int]]:
    """Pairs of elements of one kind that overlap at IoU 0.5 or more; `bbox_2d` in one unit."""
    boxes, true = (np.array([item["bbox_2d"] for item in part], float).reshape(-1, 4) for part in (given, truth))
    same = np.array([[g["category"] == t["kind"] for t in truth] for g in given]).reshape(len(given), len(truth))
    return [(i, j) for i, j, overlap in pair_up(iou(boxes, true) * same) if overlap >= 0.5]


def page_elements(cases: list[Case], parse=parse_qwenvl_html) -> dict[str, float]:
    """Elements found (right kind, IoU 0.5), those too many, and edits of the whole page's text in reading order."""
    found, given_total, true_total, wrong, characters = 0, 0, 0, 0, 0
    for case in cases:
        given, truth = parse(case.reply), case.turn.expect["blocks"]
        found += len(elements_found(given.boxed, truth))
        given_total, true_total = given_total + len(given), true_total + len(truth)
        text = flat(" ".join(block["text"] for block in truth))
        wrong, characters = wrong + edits(page_text(given), text), characters + len(text)
    return {
        "element recall at IoU 0.5": found / max(true_total, 1),
        "element precision": found / max(given_total, 1),
        "text error": wrong / max(characters, 1),
    }


def page_markdown(cases: list[Case]) -> dict[str, float]:
    """Tables and images found at IoU 0.5, and the error rate of everything that is written, markup included."""
    found = true_total = 0
    for case in cases:
        truth = [block for block in case.turn.expect["blocks"] if block["kind"] in ("table", "image")]
        found += len(elements_found(parse_qwenvl_markdown(case.reply).boxed, truth))
        true_total += len(truth)
    rate = error_rate([(flat(case.reply), flat(case.turn.answer)) for case in cases])
    return {"text error": rate, "tables and images: recall at IoU 0.5": found / true_total if true_total else 1.0}


def absent(cases: list[Case]) -> dict[str, float]:
    return {"empty list": empty(cases)}


SCORES = {
    "read_all": read, "read_region": read, "spot_lines": spotted, "spot_words": spotted, "find_text": spotted,
    "find_absent": absent, "has_text": said, "key_info": fields, "ask_field": said, "ask_item": said, "extreme_item": said,
    "count_items": said, "list_items": rows, "page_kind": said, "html": page_elements, "markdown": page_markdown,
    "layout": located, "chart_table": chart_data, "chart_code": partial(chart_data, data_of=data_of_code),
    "chart_value": chart_value, "chart_extreme": said, "chart_facts": said, "wire_html": read, "find_widget": located,
}  # fmt: skip
PAGES = Measure(page_questions, SCORES, (
    Target("text lines: character error rate", 0.05, ("read_all",), "character error rate", most=True),
    Target("key information: exact field", 0.90, ("key_info",), "exact field"),
    Target("chart values within 5 % of the axis", 0.85, ("chart_table",), "values within 5 %"),
), worlds=180)  # fmt: skip
ARTICLES = Measure(article_questions, SCORES, (
    Target("page HTML: element recall at IoU 0.5", 0.85, ("html",), "element recall at IoU 0.5"),
    Target("page HTML: text error", 0.08, ("html",), "text error", most=True),
), worlds=60, most_tokens=768)  # fmt: skip
