"""Questions about pages, in the wordings of the published Qwen3-VL cookbooks and others that the real model understands.

Each task takes a page and a random generator and returns a `Turn`, or None where the page does not allow the question.
Lines are read from top to bottom, boxes are integers on the 0-1000 grid, a key without a value on the page is null, an
absent text is answered with an empty list.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from . import charts, page_articles, page_words, wireframes
from .figure_tasks import FIGURE_TASKS
from .page_answers import (
    EMPTY_LIST,
    LIST_END,
    Answer,
    anchor,
    block_text,
    boxes_and_labels,
    boxes_and_texts,
    grid_box,
    joined,
    letters,
    page_html,
    page_markdown,
    turn,
)  # fmt: skip
from .page_paper import Page
from .pages import render
from .samples import Sample
from .turns import Turn, drawn, pick
from .typesetting import Line, Run

QUESTIONS = 6  # asked about a page; as many as fit into a row are trained on
SIZES = {(256, 352): 4, (256, 256): 2, (352, 256): 3, (256, 128): 2, (384, 512): 2}
MORE, MORE_OFTEN = {(256, 352): ("chart", "chart", "article", "article", "form", "wireframe"), (352, 256): ("chart",)}, 0.5  # kinds that take more practice
KINDS = ("line", *page_articles.KINDS, *charts.KINDS, *wireframes.KINDS)
READABLE, SPOTTED = 260, 10  # characters that one answer reads at most, and lines that it lists
FIGURES = ("chart", "wireframe")


# --- reading ---------------------------------------------------------------------------------

READ_ALL = (
    "Read all the text in the image.", "Read all texts in the image, output in lines.", "What does the text in the image say?",
    "Please output only the text content from the image without any additional descriptions or formatting.",
    "读出图中的所有文字。", "请识别图片中的所有文字，按行输出。",
)  # fmt: skip


def read_all(page: Page, rng) -> Turn | None:
    if page.kind == "chart" or sum(len(line.text) for line in page.lines) > READABLE:
        return None
    answer = Answer()
    for index, line in enumerate(page.lines):
        answer.read(line.whole, "\n" if index else "")
    return turn("read_all", pick(rng, READ_ALL), answer, {"text": answer.text})


def read_region(page: Page, rng) -> Turn | None:
    """The text of one line, or of one block of an article, inside a given box."""
    if page.kind == "chart":
        return None
    blocks = [block for block in page.blocks if block.lines and block.kind != "table"]
    found = pick(rng, blocks or page.lines)
    text = joined(found.lines) if blocks else found.whole
    box = str(grid_box(found, page.size))
    wording = (
        "Read the text in the region {}.",
        "What text is in the box {}?",
        "What is written inside {}?",
        "读出区域{}内的文字。",
    )
    answer = Answer().read(text)
    mentions = [(box, [found if blocks else anchor(page, found)])]
    return turn(
        "read_region",
        pick(rng, wording).format(box),
        answer,
        {"text": answer.text, "bbox_2d": json.loads(box)},
        mentions=mentions,
    )


SPOT = (
    "Spotting all the text in the image with {}-level, and output in JSON format as [{{'bbox_2d': [x1, y1, x2, y2], 'text_content': 'text'}}, ...].",
    "Spotting all the text in the image with {}-level, and output in JSON format.",
    "Detect all {0}s of text and read them. Report bbox_2d and text_content in JSON format.",
)  # fmt: skip


def spot_lines(page: Page, rng) -> Turn | None:
    if page.kind == "chart" or len(page.lines) > SPOTTED - 4 * bool(page.blocks):
        return None
    answer, items = boxes_and_texts(page, page.lines)
    return turn("spot_lines", pick(rng, SPOT).format("line"), answer, {"items": items}, tail=LIST_END)


def spot_words(page: Page, rng) -> Turn | None:
    words = [word for line in page.lines for run in line.runs for word in run.words()]
    if page.kind == "chart" or len(words) > 8:
        return None
    answer, items = boxes_and_texts(page, words)
    return turn("spot_words", pick(rng, SPOT).format("word"), answer, {"items": items}, tail=LIST_END)


# --- finding ---------------------------------------------------------------------------------

FIND = (
    'Locate the text "{}" in the image and report its bbox_2d and text_content in JSON format.',
    'Find the text "{}". Output bbox_2d and text_content in JSON format.',
    'Where is "{}" written? Report bbox_2d and text_content in JSON format.',
    'Spotting the text "{}" in the image, and output in JSON format.',
    '找出图中的文字"{}"，以JSON格式输出bbox_2d和text_content。',
)  # fmt: skip
PRESENT = ('Is the text "{}" in the image? Answer yes or no.', 'Does the image contain the text "{}"? Answer yes or no.')


def everything(page: Page) -> str:
    """All the text of a page, in small letters."""
    return "\n".join(line.text for line in page.lines).lower()


def unique_text(page: Page, rng) -> Line | Run | None:
    """A line, a part of one or a word that stands on the page once."""
    line = pick(rng, page.lines)
    found = pick(rng, (line, line, pick(rng, line.runs), pick(rng, pick(rng, line.runs).words())))
    alone = len(found.text) > 1 and everything(page).count(found.text.lower()) == 1
    return found if alone else None


def absent_text(page: Page, rng) -> str | None:
    """A text that is not on the page, often much like one that is."""
    if rng.random() < 0.6:
        text = page_words.snippet(rng)
    else:
        text = changed(pick(rng, pick(rng, page.lines).runs).text, rng)
    return text if len(text) > 1 and text.lower() not in everything(page) else None


def changed(text: str, rng) -> str:
    """A text with one of its digits changed, or without digits, with one of its words changed."""
    places = [i for i, character in enumerate(text) if character.isdigit()]
    if places:
        at = pick(rng, places)
        return text[:at] + str((int(text[at]) + int(rng.integers(1, 10))) % 10) + text[at + 1 :]
    words = text.split(" ")
    words[int(rng.integers(len(words)))] = pick(rng, page_words.NOUNS).capitalize()
    return " ".join(words)


def find_text(page: Page, rng) -> Turn | None:
    found = None if page.kind == "chart" else unique_text(page, rng)
    if not found:
        return None
    answer, items = boxes_and_texts(page, [found])
    mentions = [(f'"{found.text}"', letters(page, found))]
    return turn("find_text", pick(rng, FIND).format(found.text), answer, {"items": items}, mentions=mentions, tail=LIST_END)


def find_absent(page: Page, rng) -> Turn | None:
    text = None if page.kind == "chart" else absent_text(page, rng)
    if not text:
        return None
    return turn(
        "find_absent", pick(rng, FIND).format(text), Answer(), {"items": []}, mentions=[(f'"{text}"', [])], tail=EMPTY_LIST
    )


def has_text(page: Page, rng) -> Turn | None:
    here = rng.random() < 0.5
    found = unique_text(page, rng) if here else absent_text(page, rng)
    if not found or page.kind == "chart":
        return None
    text, answer = (found.text if here else found), "Yes" if here else "No"
    mentions = [(f'"{text}"', letters(page, found) if here else [])]
    return Turn("has_text", pick(rng, PRESENT).format(text), answer, {"answer": answer}, mentions)


# --- what the fields and items of a page say -------------------------------------------------

EXTRACT = (
    "Extract the key-value information in the format:{template}", "提取图中的：{listed}，并且按照json格式输出。",
    "Extract these fields as JSON: {keys}. Use null for what is not there.",
    "Output the key information as JSON with the keys {keys}.",
)  # fmt: skip
# What may be asked for where a page does not have it: keys that nothing else on the page could be taken for.
MAY_LACK = {
    "receipt": ("address", "phone", "date", "time", "tax", "cash", "change", "number", "seat", "gate", "due"),
    "invoice": ("number", "date", "due", "name", "phone", "address", "tax", "seat", "gate"),
    "form": ("name", "date", "address", "city", "phone", "age", "job", "member", "room", "code", "day", "total"),
    "ticket": ("from", "to", "day", "time", "seat", "gate", "room", "price", "code", "date", "number", "total"),
    "label": ("weight", "code", "number", "total", "time", "seat"),
    "card": ("job", "company", "phone", "address", "city", "code", "room", "total", "date"),
    "menu": ("phone", "address", "date", "total"),
}  # fmt: skip


def key_info(page: Page, rng) -> Turn | None:
    """The values of given keys as JSON, null for a key without one."""
    if not page.fields:
        return None
    lacking = [key for key in MAY_LACK[page.kind] if key not in page.fields]
    keys = [*rng.permutation(list(page.fields))[: int(rng.integers(1, 5))], *rng.permutation(lacking)[: int(rng.integers(0, 3))]]
    keys = [str(key) for key in rng.permutation(keys)]
    wording = pick(rng, EXTRACT)
    prompt = wording.format(template=json.dumps(dict.fromkeys(keys, "")), listed=keys, keys=", ".join(keys) + ".").replace(
        "..", "."
    )
    marks = ('"', '"') if "template" in wording else ("'", "'") if "listed" in wording else (" ", "")
    answer, opened, mentions = Answer(), "```json\n{", []
    for index, key in enumerate(keys):
        run = page.fields.get(key)
        if run:
            answer.read(run, f'{opened}"{key}": "')
        else:
            answer.say(f'{opened}"{key}": null')
        opened = ('"' if run else "") + ", "
        closing = ("," if index < len(keys) - 1 else ".") if marks[0] == " " else marks[1]
        mentions.append((f"{marks[0]}{key}{closing}", run.glyphs[:1] if run else []))
    fields = {key: page.fields[key].text if page.fields.get(key) else None for key in keys}
    return turn("key_info", prompt, answer, {"fields": fields}, mentions=mentions, tail=opened[:-2] + "}\n```")


ASK = {
    "company": ("What is the name of the {company}?", "Which {company} is this from?"), "address": ("What is the {address}?", "Which {street} is it in?"),
    "city": ("Which {city} is given?", "What is the {city} with its postal code?"), "phone": ("What is the {phone} number?", "Which {number} can be called?"),
    "date": ("What is the {date}?", "What {date} is on it?", "{日期}是什么？"), "time": ("What {time} is on it?", "What is the {time}?"),
    "number": ("What is the {number} of this document?",), "tax": ("How much is the {tax}?", "What is the {tax} amount?"),
    "total": ("What is the {total}?", "How much is the {total} amount?", "What is the {total} price?", "{总计}是多少？"),
    "cash": ("How much was {paid}?", "How much {cash} was given?"), "change": ("How much {change} was returned?", "How much is the {change}?"),
    "name": ("What is the {name} of the person?", "{Who} is it for?"), "due": ("By when must it be {paid}?", "What is the {due} date?"),
    "seat": ("Which {seat} is it?", "What is the {seat}?"), "gate": ("What is the {gate}?", "Which {gate} is it?"),
    "from": ("Where does the trip {start}?", "Which city is it {from}?"), "to": ("Where does the trip {end}?", "Which city does it go {to}?"),
    "price": ("What is the {price}?", "How much does it {cost}?"), "weight": ("What is the {weight}?", "How {heavy} is it?"),
    "code": ("What is the {code}?", "Read the {code}."), "room": ("Which {room} is it?", "What is the {room} number?"),
    "job": ("What is the person's {job}?", "What {job} is given?"), "member": ("Is the person a {member}?",),
    "age": ("How {old} is the person?", "What is the {age}?"), "day": ("Which {day} is it?", "What {day} is given?"),
}  # fmt: skip


def marked(wording: str, text: str | None = None) -> tuple[str, str]:
    """A question and the phrase in it that stood in braces, which `text` replaces.

    >>> marked("What is the {total}?")
    ('What is the total?', 'total')
    """
    before, _, rest = wording.partition("{")
    phrase, _, after = rest.partition("}")
    return before + (text or phrase) + after, text or phrase


def ask_field(page: Page, rng) -> Turn | None:
    known = [key for key, run in page.fields.items() if run]
    if not known:
        return None
    key = pick(rng, known)
    prompt, phrase = marked(pick(rng, ASK[key]))
    run = page.fields[key]
    return turn("ask_field", prompt, Answer().read(run), {"answer": run.text}, mentions=[(phrase, run.glyphs[:1])])


def ask_item(page: Page, rng) -> Turn | None:
    """The value of an item of a receipt, an invoice, a menu or a board, or the item with a value."""
    if not page.items or page.kind in FIGURES:
        return None
    name, value = pick(rng, page.items)
    trains, back = page.kind == "departures", rng.random() < 0.3
    if back and [v.text for _, v in page.items].count(value.text) > 1:
        return None
    wordings = {
        (True, False): ("When does the train to {} leave?", "At what time is the departure to {}?", "去{}的列车几点出发？"),
        (True, True): ("Where does the train at {} go?", "Which city is the {} departure for?"),
        (False, False): ("What is the price of {}?", "How much does {} cost?", "How much is the {}?", "{}的价格是多少？"),
        (False, True): ("Which item costs {}?", "What can be had for {}?"),
    }[trains, back]
    given, wanted = (value, name) if back else (name, value)
    prompt, phrase = marked(pick(rng, wordings), given.text)
    return turn("ask_item", prompt, Answer().read(wanted), {"answer": wanted.text}, mentions=[(phrase, given.glyphs[:1])])


def extreme_item(page: Page, rng) -> Turn | None:
    """The cheapest or the dearest item; the first or the last departure."""
    if len(page.items) < 2 or page.kind in FIGURES:
        return None
    trains, most = page.kind == "departures", rng.random() < 0.5
    ordered = sorted(page.items, key=lambda item: item[1].text if trains else float(item[1].text), reverse=most)
    if ordered[0][1].text == ordered[1][1].text:
        return None
    wording = ("Where does the {last} train go?", "Where does the {first} train go?") if trains else (
        "Which item is the most {expensive}?", "Which item is the {cheapest}?")  # fmt: skip
    prompt, phrase = marked(wording[0 if most else 1])
    mentions = [(phrase, [ordered[0][1].glyphs[0]])]
    return turn("extreme_item", prompt, Answer().read(ordered[0][0]), {"answer": ordered[0][0].text}, mentions=mentions)


def count_items(page: Page, rng) -> Turn | None:
    if not page.items or page.kind in FIGURES:
        return None
    noun = "departures" if page.kind == "departures" else "items"
    wording = ("How many {} are listed? Answer with a number.", "Count the {} on it. Answer with a number.")
    prompt, answer = pick(rng, wording).format(noun), str(len(page.items))
    return Turn("count_items", prompt, answer, {"answer": answer}, [(noun, [name.glyphs[0] for name, _ in page.items])])


def list_items(page: Page, rng) -> Turn | None:
    if not page.items or page.kind in FIGURES:
        return None
    first, second = ("city", "time") if page.kind == "departures" else ("item", "price")
    prompt = pick(rng, (
        "List the {0} and {1} of each row as JSON.", "Extract all rows with the keys {0} and {1} in JSON format.",
    )).format(first, second)  # fmt: skip
    answer = Answer()
    for index, (name, value) in enumerate(page.items):
        answer.read(name, ('"},\n\t' if index else "```json\n[\n\t") + f'{{"{first}": "').read(value, f'", "{second}": "')
    rows = [{first: name.text, second: value.text} for name, value in page.items]
    return turn("list_items", prompt, answer, {"rows": rows}, tail=LIST_END)


def page_kind(page: Page, rng) -> Turn | None:
    if page.kind == "words":
        return None
    wording = (
        "What kind of document is this? Answer with one word.",
        "What does the image show: a page of which kind? Answer with one word.",
    )
    answer = {"label": "label", "departures": "timetable"}.get(page.kind, page.kind)
    return Turn("page_kind", pick(rng, wording), answer, {"answer": answer})


# --- whole articles --------------------------------------------------------------------------


def html(page: Page, rng) -> Turn | None:
    if not page.blocks:
        return None
    return turn("html", pick(rng, ("qwenvl html", "qwenvl html", "QwenVL HTML")), page_html(page), {"blocks": truth_of(page)})


def markdown(page: Page, rng) -> Turn | None:
    if not page.blocks:
        return None
    return turn(
        "markdown",
        pick(rng, ("qwenvl markdown", "qwenvl markdown", "QwenVL Markdown")),
        page_markdown(page),
        {"blocks": truth_of(page)},
    )


def truth_of(page: Page) -> list[dict]:
    """The blocks of an article as plain dicts, boxes on the grid; a table's `rows` are lists of cells."""
    made = []
    for block in page.blocks:
        made.append({"kind": block.kind, "bbox_2d": grid_box(block, page.size), "text": block_text(block)})
        if block.kind == "table":
            made[-1]["rows"] = [[run.text for run in line.runs] for line in block.lines]
    return made


PARTS = {"heading": "headings", "text": "paragraphs", "list": "lists", "table": "tables", "image": "images"}


def layout(page: Page, rng) -> Turn | None:
    """The boxes of all parts of an article, or of those of one kind."""
    if not page.blocks:
        return None
    if rng.random() < 0.5:
        found, mentions = page.blocks, []
        prompt = pick(rng, ("Detect the layout of the page.", "Locate every part of the page.", "检测页面的版面布局。"))
    else:
        kind = pick(rng, list(PARTS))
        found = [block for block in page.blocks if block.kind == kind]
        mentions = [(PARTS[kind], found)]
        prompt = pick(rng, ("Locate all the {} on the page.", "Detect all {}.", "Where are the {}?")).format(PARTS[kind])
    prompt += pick(rng, (" Report bbox_2d and label in JSON format.", " Output bbox_2d and label as JSON."))
    answer, items = boxes_and_labels(found, [block.kind for block in found], page.size)
    return turn("layout", prompt, answer, {"items": items}, mentions=mentions, tail=LIST_END if found else EMPTY_LIST)


# --- any page --------------------------------------------------------------------------------

TASKS: dict[Callable, float] = {
    read_all: 3, read_region: 3, spot_lines: 2, spot_words: 0.7, find_text: 3, find_absent: 2, has_text: 1.2, key_info: 5, ask_field: 4,
    ask_item: 2.5, extreme_item: 0.7, count_items: 0.5, list_items: 1.2, page_kind: 0.4, html: 5, markdown: 3, layout: 2.5, **FIGURE_TASKS,
}  # fmt: skip


def ask(page: Page, rng: np.random.Generator, task: Callable | None = None) -> Turn | None:
    """One turn over a page: the given task, which may not allow it, or one drawn by its weight among those that do."""
    return drawn(TASKS, page, rng, task)


def make(
    rng: np.random.Generator, size: tuple[int, int], level: float = 1.0, *, kind: str | None = None, system_fonts: bool = False
) -> Sample:
    """A page and six questions about it; see `pages.render`. Half of them are drawn at twice the size and made smaller."""
    if kind is None and rng.random() < MORE_OFTEN * level and size in MORE:
        kind = pick(rng, MORE[size])
    page = render(rng, size, level, scale=int(rng.integers(1, 3)), kind=kind, system_fonts=system_fonts, shrinks=True)
    turns: dict[str, Turn] = {}
    for _ in range(2 * QUESTIONS):
        asked = ask(page, rng)
        turns.setdefault(asked.prompt, asked)
        if len(turns) == QUESTIONS:
            break
    return Sample([page.image], list(turns.values()), page.regions, page.glyphs)
