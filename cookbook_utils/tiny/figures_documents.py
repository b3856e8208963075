"""Questions on held-out documents of twelve pages, all pictures of one conversation, and their figures.

The pages have the fonts that come with matplotlib, so that they look the same on every machine, and the numbers 1 to 12.
"""

from __future__ import annotations

import numpy as np

from . import page_documents
from .figures import Case, Measure, Run, Target, exact, gather, mean, said
from .page_documents import Document
from .scenes import HELD_OUT

SEED = 26
PAGES = 12
FINDING = ("page_of_heading", "page_of_text", "page_of_part")


def held_out_documents(count: int, pages: int = PAGES) -> list[Document]:
    seeds = (np.random.default_rng([HELD_OUT, SEED, index]) for index in range(count))
    return [page_documents.render_document(rng, pages, first=1) for rng in seeds]


def pictures_of(document: Document) -> list[dict]:
    return [{"type": "image", "image": page.image} for page in document.pages]


def questions(count: int) -> Run:
    return gather(held_out_documents(count), list(page_documents.TASKS), pictures_of, SEED)


def found(cases: list[Case]) -> float:
    """Share of exact page numbers among the questions that have one."""
    return exact([case for case in cases if case.turn.expect["page"] is not None])


def parts(cases: list[Case]) -> dict[str, float]:
    """Exact, and of those answered by a page and by "none" apart."""
    absent = [case for case in cases if case.turn.expect["page"] is None]
    return {"exact": exact(cases), "page found": found(cases)} | ({"none where it is on no page": exact(absent)} if absent else {})


def facts(cases: list[Case]) -> dict[str, float]:
    """Value and page, as "12.50 (page 3)": both, and each alone."""
    pairs = [(case.reply.strip().removesuffix(")").rpartition(" (page "), case.turn.expect) for case in cases]
    return {
        "value and page": mean(value == e["answer"] and page == str(e["page"]) for (value, _, page), e in pairs),
        "value": mean(value == e["answer"] for (value, _, _), e in pairs),
        "page": mean(page == str(e["page"]) for (_, _, page), e in pairs),
    }


def each(cases: list[Case]) -> dict[str, float]:
    """Of several answers in one: the share of right ones, none where their number is another."""
    right = []
    for case in cases:
        told, truth = case.reply.strip().split(", "), case.turn.expect["answers"]
        right += [len(told) == len(truth) and told[index] == answer for index, answer in enumerate(truth)]
    return {"exact": exact(cases), "each": mean(right)}


SCORES = {
    "page_of_heading": parts, "page_of_text": parts, "page_of_part": parts, "page_of_absent": said, "fact_of_section": facts,
    "fact_on_page": said, "pages_of_several": each,
}  # fmt: skip
MEASURE = Measure(questions, SCORES, (
    Target("page found in a 12-page document", 0.90, FINDING, found),
), worlds=60)  # fmt: skip
