"""Pages of the embedded model's world: words, signs, labels, cards, receipts, invoices, forms, tickets, menus, departures.

A kind is a function `(paper, rng, most)` that writes at most about `most` lines on an empty paper; what it returns is the
box of the part that is turned when the page is photographed, None for the whole. Letters are 15-28 px high, lines have at
most about 24 characters and stand at least `APART` from one another. Articles live in `page_articles`, charts in `charts`,
wireframes in `wireframes`; `render` draws them all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import page_words as say
from .charts import chart
from .page_articles import article
from .page_paper import APART, Page, Paper, new_paper, photograph, tint
from .turns import pick
from .typesetting import Font, Line, fitting, text_width
from .wireframes import wireframe

LABELS = {
    "company": ("Company", "Firm"), "address": ("Address", "Street"), "city": ("City", "Town"), "phone": ("Phone", "Tel."),
    "date": ("Date",), "time": ("Time",), "number": ("No.", "Number"), "total": ("Total", "TOTAL"), "tax": ("Tax", "VAT"),
    "cash": ("Cash", "Paid"), "change": ("Change",), "name": ("Name", "Customer"), "due": ("Due", "Pay by"), "seat": ("Seat",),
    "gate": ("Gate",), "from": ("From",), "to": ("To",), "price": ("Price",), "weight": ("Weight",), "code": ("Code",),
    "room": ("Room",), "job": ("Job",), "member": ("Member",), "age": ("Age",), "day": ("Day",),
}  # fmt: skip
JOBS = say.words("Teacher Baker Driver Nurse Painter Lawyer Cook Farmer Editor Pilot Dentist Singer")
MAKERS: dict[str, Callable[[np.random.Generator], str]] = {
    "company": say.company, "address": say.street, "city": say.city, "phone": say.phone, "date": say.date,
    "time": say.time_of_day, "number": lambda rng: say.digits(rng, int(rng.integers(4, 8))), "name": say.person, "due": say.date,
    "seat": lambda rng: f"{int(rng.integers(1, 60))}{say.letters(rng, 1)}", "gate": lambda rng: str(int(rng.integers(1, 99))),
    "from": lambda rng: pick(rng, say.CITIES), "to": lambda rng: pick(rng, say.CITIES), "price": say.price,
    "weight": lambda rng: f"{rng.uniform(0.1, 40):.1f} kg", "code": say.code, "room": lambda rng: str(int(rng.integers(1, 999))),
    "job": lambda rng: pick(rng, JOBS), "member": lambda rng: pick(rng, ("yes", "no")),
    "age": lambda rng: str(int(rng.integers(18, 99))), "day": lambda rng: pick(rng, say.DAYS),
}  # fmt: skip


def labelled(paper: Paper, rng, key: str, value: str | None = None, *, spread: bool = False, font: Font | None = None) -> Line:
    """Writes a label and its value, which is random when None; `spread` puts the value at the right edge."""
    label = pick(rng, LABELS[key]) + ("" if spread else pick(rng, (":", "")))
    space = paper.width - text_width(label + " ", font or paper.font)
    value = value or fitting(rng, MAKERS[key], font or paper.font, space)
    line = paper.line(label, (value, "right") if spread else value, font=font)
    paper.fields[key] = line.runs[-1]
    return line


def bare(paper: Paper, rng, key: str, *, align: str = "left", font: Font | None = None, colour=None) -> Line:
    """Writes a random value that stands for itself, without a label."""
    text = fitting(rng, MAKERS[key], font or paper.font, paper.width)
    line = paper.line(text, font=font, align=align, colour=colour)
    paper.fields[key] = line.runs[0]
    return line


def some(rng: np.random.Generator, options, count: int) -> list:
    """`count` of the options, each at most once, in their own order."""
    count = max(0, min(count, len(options)))
    return [options[i] for i in sorted(rng.choice(len(options), count, replace=False).tolist())]


# --- words and signs -------------------------------------------------------------------------


def chinese_word(rng: np.random.Generator) -> str:
    return pick(rng, say.CHINESE)


def words(paper: Paper, rng: np.random.Generator, most: int) -> None:
    """One to `most` snippets, each in a row of its own, anywhere on the paper."""
    rows = int((paper.bottom - paper.y) // paper.font.pitch)
    top = paper.y + rng.uniform(0, (paper.bottom - paper.y) % paper.font.pitch)
    for row in some(rng, range(rows), int(rng.integers(1, most + 1))):
        font = pick(rng, (paper.font, paper.bold))
        text = fitting(rng, chinese_word if paper.chinese and rng.random() < 0.6 else say.snippet, font, paper.width)
        paper.y = top + row * paper.font.pitch
        paper.line(text, font=font, indent=rng.uniform(0, max(0, paper.width - text_width(text, font))))


def sign_text(rng: np.random.Generator) -> str:
    """What signs say: a notice, a gate, a street, hours, a distance."""
    return pick(rng, (
        pick(rng, say.SIGNS), pick(rng, say.SIGNS), pick(rng, say.SIGNS).upper(), say.street(rng).partition(" ")[2], say.company(rng),
        f"{pick(rng, ('Gate', 'Platform', 'Room', 'Exit', 'Bus', 'Floor'))} {int(rng.integers(1, 99))}",
        f"{pick(rng, say.CITIES)} {int(rng.integers(2, 400))} km", f"{say.time_of_day(rng)} - {say.time_of_day(rng)}",
    ))  # fmt: skip


def sign(paper: Paper, rng: np.random.Generator, most: int) -> tuple:
    """One to four centred lines on a coloured panel; returns the panel's box."""
    wide, high = paper.size
    bigger = min(28, paper.font.size + int(rng.integers(2, 9)))
    count = int(rng.integers(1, min(4, most, (high - 60 - bigger) // paper.font.pitch + 1) + 1))
    fonts = [paper.bold._replace(size=bigger if row == 0 else paper.font.size + 1) for row in range(count)]
    tall = sum(font.pitch for font in fonts[:-1]) + fonts[-1].height + 20
    top = round(rng.uniform(20, max(20, high - tall - 20)))
    ground, writing = (tint(rng, 205, 250), paper.accent) if rng.random() < 0.4 else (paper.accent, (250, 250, 250))
    paper.box(14, top, wide - 14, top + tall, fill=ground, radius=6)
    paper.box(17, top + 3, wide - 17, top + tall - 3, outline=writing, radius=4)
    paper.left, paper.right, paper.y = 24, wide - 24, top + 9
    for row, font in enumerate(fonts):
        make = chinese_word if paper.chinese and rng.random() < 0.6 else sign_text if row == 0 else say.snippet
        paper.line(fitting(rng, make, font, paper.width), font=font, align="centre", colour=writing)
    return 14, top, wide - 14, top + tall


# --- things that carry text ------------------------------------------------------------------


def barcode(paper: Paper, rng: np.random.Generator) -> None:
    """Bars of random width at the bottom of the text frame."""
    if not paper.room(2.2):
        return
    x, y = paper.left, paper.bottom - 26
    while x < paper.left + 110:
        paper.box(x, y, x + int(rng.integers(1, 4)), y + 24, fill=paper.ink)
        x += int(rng.integers(4, 8))


def label(paper: Paper, rng: np.random.Generator, most: int) -> None:
    """A parcel label or a price tag, with a barcode."""
    if rng.random() < 0.5:
        keys = some(rng, ("name", "address", "city", "phone"), min(most, paper.free()) - 1)
        paper.line(pick(rng, ("To", "Ship to", "Deliver to")), font=paper.bold)
        for key in keys:
            bare(paper, rng, key)
        tail = ("weight", "code", "number")
    else:
        goods = fitting(
            rng, lambda r: f"{pick(r, say.ADJECTIVES).capitalize()} {pick(r, say.ITEMS + say.GOODS)}", paper.bold, paper.width
        )
        paper.line(goods, font=paper.bold)
        tail = ("price", "weight", "code", "date")
    paper.skip(0.3)
    for key in some(rng, tail, min(2, most - len(paper.lines), paper.free())):
        labelled(paper, rng, key)
    barcode(paper, rng)


def card(paper: Paper, rng: np.random.Generator, most: int) -> None:
    """A business card or a badge."""
    if rng.random() < 0.6:
        paper.box(0, 0, paper.size[0], 7, fill=paper.accent)
    font = paper.bold._replace(size=paper.font.size + 3)
    bare(paper, rng, "name", font=font, colour=paper.accent)
    paper.skip(0.2)
    for key in some(rng, ("job", "company", "address", "city"), min(most, paper.free()) - 2):
        bare(paper, rng, key)
    for key in some(rng, ("phone", "code", "room"), min(2, paper.free())):
        labelled(paper, rng, key)


def head(paper: Paper, rng: np.random.Generator, keys) -> None:
    """A company's name, centred, and more about it under it."""
    bare(paper, rng, "company", align="centre", font=paper.bold._replace(size=paper.font.size + 1))
    for key in keys:
        bare(paper, rng, key, align="centre")


def priced(paper: Paper, rng: np.random.Generator, count: int, names=say.ITEMS, low=0.5, high=60.0) -> list[float]:
    """Writes `count` lines of an item and its price, each item once; returns the prices."""
    chosen = rng.choice(len(names), count, replace=False)
    prices = [say.price(rng, low, high) for _ in range(count)]
    for index, price in zip(chosen, prices, strict=True):
        paper.items.append(tuple(paper.line(names[index], (price, "right")).runs))
    return [float(price) for price in prices]


def receipt(paper: Paper, rng: np.random.Generator, most: int) -> None:
    """A shop's receipt; the total is the sum of its items."""
    most = min(most, paper.free() - 1)
    top = some(rng, ("address", "phone"), int(rng.integers(0, 1 + (most > 7) + (most > 10))))
    extra = some(rng, ("tax", "cash", "number"), int(rng.integers(0, 1 + (most > 8) + (most > 11))))
    head(paper, rng, top)
    if most > 5 and rng.random() < 0.8:
        line = paper.line(say.date(rng), (say.time_of_day(rng), "right"))
        paper.fields |= dict(zip(("date", "time"), line.runs, strict=True))
    paper.rule(dashed=True)
    rest = most - len(paper.lines) - 1 - len(extra) - ("cash" in extra)
    total = sum(priced(paper, rng, int(rng.integers(1, max(1, min(5, rest)) + 1))))
    paper.rule(dashed=True)
    labelled(paper, rng, "total", f"{total:.2f}", spread=True, font=paper.bold)
    if "tax" in extra:
        labelled(paper, rng, "tax", f"{total * pick(rng, (0.05, 0.07, 0.1, 0.19)):.2f}", spread=True)
    if "cash" in extra:
        cash = total + float(say.price(rng, 0.5, 40))
        labelled(paper, rng, "cash", f"{cash:.2f}", spread=True)
        labelled(paper, rng, "change", f"{cash - total:.2f}", spread=True)
    if "number" in extra:
        labelled(paper, rng, "number")
    elif paper.room(1.5):
        paper.skip(0.3)
        paper.line(pick(rng, ("Thank you", "Come again", "Have a nice day")), align="centre")


def quantities(paper: Paper, rng: np.random.Generator, count: int) -> float:
    """A table of goods with quantity and amount, under a coloured head; returns the sum."""
    middle = paper.width - text_width("888.88  Qty ", paper.bold)
    paper.box(paper.left - 4, paper.y - 2, paper.right + 4, paper.y + paper.font.height + 2, fill=paper.accent)
    paper.line("Item", ("Qty", middle), ("Price", "right"), font=paper.bold, colour=(250, 250, 250))
    paper.y += 3
    total = 0.0
    for index in rng.choice(len(say.GOODS), count, replace=False):
        price = say.price(rng, 2, 300)
        name, _, amount = paper.line(say.GOODS[index], (str(int(rng.integers(1, 20))), middle), (price, "right")).runs
        paper.items.append((name, amount))
        total += float(price)
    return total


def invoice(paper: Paper, rng: np.random.Generator, most: int) -> None:
    """An invoice with a table; its total is the sum of the prices."""
    most = min(most, paper.free())
    paper.line("Invoice", font=paper.bold._replace(size=paper.font.size + 4), colour=paper.accent)
    bare(paper, rng, "company", font=paper.bold)
    for key in some(rng, ("number", "date", "due", "name"), int(rng.integers(1, max(2, min(5, most - 5))))):
        labelled(paper, rng, key)
    paper.skip(0.4)
    rest = min(paper.free(), most - len(paper.lines)) - 3
    total = quantities(paper, rng, int(rng.integers(1, max(1, min(4, rest)) + 1)))
    paper.rule()
    labelled(paper, rng, "total", f"{total:.2f}", spread=True, font=paper.bold)


def form(paper: Paper, rng: np.random.Generator, most: int) -> None:
    """A form with a box for each answer; some are left empty, and their key stands for None."""
    paper.line(fitting(rng, form_title, paper.bold, paper.width), font=paper.bold, colour=paper.accent)
    paper.skip(0.3)
    keys = ("name", "date", "address", "city", "phone", "age", "job", "member", "room", "code", "day")
    column = max(text_width(LABELS[key][0] + "  ", paper.font) for key in keys)
    step = max(paper.font.pitch, paper.font.height + 13)
    count = min(most, int((paper.bottom - paper.y) // step), int(rng.integers(2, 9)))
    for key in rng.permutation(some(rng, keys, max(1, count))):
        y, x = paper.y, paper.left + column
        paper.box(x - 5, y - 3, paper.right + 6, y + paper.font.height + 3, outline=paper.accent, fill=(255, 255, 255))
        value = None if rng.random() < 0.15 else fitting(rng, MAKERS[key], paper.font, paper.right - x)
        runs = paper.line(LABELS[key][0], *([(value, column)] if value else [])).runs
        paper.fields[str(key)] = runs[1] if value else None
        paper.y = y + step


def form_title(rng: np.random.Generator) -> str:
    noun = pick(rng, ("Library", "Member", "Guest", "Hotel", "School", "Sports", "Travel", "Clinic", "Visitor"))
    return f"{noun} {pick(rng, ('Form', 'Card', 'Record'))}"


def paired(paper: Paper, rng: np.random.Generator, keys: list[str]) -> None:
    """Two small labels side by side with their values under them."""
    places = (0, paper.width * 0.55)[: len(keys)]
    paper.line(*((LABELS[key][0], place) for key, place in zip(keys, places, strict=True)), colour=paper.accent)
    values = [fitting(rng, MAKERS[key], paper.bold, paper.width * 0.42) for key in keys]
    line = paper.line(*zip(values, places, strict=True), font=paper.bold)
    paper.fields |= dict(zip(keys, line.runs, strict=True))


def ticket(paper: Paper, rng: np.random.Generator, most: int) -> None:
    """A ticket with a coloured head and pairs of labels and values."""
    title = fitting(rng, ticket_title, paper.bold, paper.width)
    paper.box(0, 0, paper.size[0], paper.y + paper.font.height + 6, fill=paper.accent)
    paper.line(title, font=paper.bold, colour=(250, 250, 250))
    paper.skip(0.4)
    pairs = [["from", "to"]] * (rng.random() < 0.6) + some(rng, (["day", "time"], ["seat", "gate"], ["room", "price"]), 3)
    for keys in pairs[: max(1, min(most // 2, int(paper.free() / 2.2)))]:
        paired(paper, rng, keys)
        paper.skip(0.15)
    if paper.room(1.3) and rng.random() < 0.7:
        labelled(paper, rng, pick(rng, ("code", "date", "number")))
    barcode(paper, rng)


def ticket_title(rng: np.random.Generator) -> str:
    return pick(
        rng,
        ("Train Ticket", "Bus Ticket", "Boarding Pass", "Concert Ticket", "Cinema", "Museum Pass", "Day Pass", "Ferry Ticket"),
    )


def menu(paper: Paper, rng: np.random.Generator, most: int) -> None:
    """Dishes with their prices under a company's name."""
    head(paper, rng, ())
    paper.line(pick(rng, ("Menu", "Today", "Lunch", "Our dishes")), align="centre", colour=paper.accent)
    paper.skip(0.3)
    priced(paper, rng, max(1, min(most - 2, paper.free(), int(rng.integers(3, 9)))), low=1.5, high=30)


def departures(paper: Paper, rng: np.random.Generator, most: int) -> None:
    """A board of departures on a dark ground: where to, and when."""
    paper.box(0, 0, *paper.size, fill=tint(rng, 15, 50, 6))
    paper.ink = pick(rng, ((250, 220, 90), (245, 245, 245), (160, 230, 170)))
    paper.line("Departures", ("Time", "right"), font=paper.bold, colour=(250, 250, 250))
    paper.rule(colour=(150, 150, 150))
    count = max(1, min(most - 1, paper.free(), int(rng.integers(2, 9))))
    times = np.sort(rng.integers(300, 1430, count))
    for index, minute in zip(rng.choice(len(say.CITIES), count, replace=False), times, strict=True):
        paper.items.append(tuple(paper.line(say.CITIES[index], (f"{minute // 60:02}:{minute % 60:02}", "right")).runs))


# --- any page --------------------------------------------------------------------------------

KINDS_OF_PAGES: dict[str, Callable] = {
    "words": words, "sign": sign, "label": label, "card": card, "receipt": receipt, "invoice": invoice, "form": form,
    "ticket": ticket, "menu": menu, "departures": departures,
}  # fmt: skip
OTHER_PAGES: dict[str, Callable] = {"article": article, "chart": chart, "wireframe": wireframe}


# How often each kind fills a picture of a size; other sizes take the nearest shape.
WEIGHTS: dict[tuple[int, int], dict[str, float]] = {
    (256, 128): {"words": 2, "sign": 3, "label": 1, "card": 1},
    (256, 256): {"words": 1, "sign": 2, "label": 1, "card": 1, "ticket": 1, "menu": 1, "departures": 1, "article": 1.5},
    (256, 352): {
        "words": 0.5,
        "receipt": 3,
        "invoice": 2,
        "form": 1,
        "ticket": 1,
        "menu": 1,
        "article": 3.5,
        "wireframe": 1.5,
        "chart": 1,
    },
    (352, 256): {"words": 0.5, "form": 1, "ticket": 1, "card": 0.7, "departures": 0.7, "article": 1, "wireframe": 1, "chart": 5},
    (384, 512): {"article": 6, "invoice": 0.5, "receipt": 0.5},
}


def pick_kind(rng: np.random.Generator, size: tuple[int, int], level: float) -> str:
    """A kind of page that suits a size; the lower the level, the more often plain words."""
    if rng.random() > 0.1 + 0.9 * level:
        return "words"
    shape = min(WEIGHTS, key=lambda known: abs(known[0] - size[0]) + abs(known[1] - size[1]))
    share = np.array(list(WEIGHTS[shape].values()))
    return list(WEIGHTS[shape])[int(rng.choice(len(share), p=share / share.sum()))]


def render(
    rng: np.random.Generator,
    size: tuple[int, int],
    level: float = 1.0,
    *,
    scale: int = 1,
    kind: str | None = None,
    system_fonts: bool = False,
    shrinks: bool = False,
) -> Page:
    """Draws one page.

    size: `(width, height)` in pixels; level: 0 (a word) to 1 (a full page); kind: one of `KINDS_OF_PAGES`, "article", "chart",
    "wireframe", or None for any that suits the size. scale: the picture comes `scale` times as large, with the same layout.
    system_fonts: with an installed Chinese font, sometimes write Chinese. shrinks: make what was
    drawn at `scale` as small as at scale 1, as an image processor does.
    Raises ValueError for a level outside 0-1 and for an unknown kind.

    >>> page = render(np.random.default_rng(3), (256, 352), kind="receipt")
    >>> page.size, page.lines[0].text
    ((256, 352), 'Week Shop')
    """
    if not 0 <= level <= 1:
        raise ValueError(f"level must be a number from 0 (a word) to 1 (a full page); got {level!r}")
    kind = kind or pick_kind(rng, size, level)
    if kind not in KINDS_OF_PAGES and kind not in OTHER_PAGES:
        raise ValueError(f"kind must be one of {', '.join([*KINDS_OF_PAGES, *OTHER_PAGES])}; got {kind!r}")
    most = max(1, round(1 + 13 * level))
    paper = new_paper(rng, size, scale=scale, system_fonts=system_fonts, apart=int(rng.integers(APART, APART + 4)))
    paper.shrinks = shrinks
    if kind in OTHER_PAGES:
        return OTHER_PAGES[kind](paper, rng, most)
    panel = KINDS_OF_PAGES[kind](paper, rng, most)
    turn = 0.0
    if rng.random() < 0.6 * level and kind != "departures":
        turn = float(np.clip(rng.normal(0, 4 if panel else 1.3), *((-8, 8) if panel else (-2.5, 2.5))))
    photograph(rng, paper, turn=turn, panel=panel, wear=level)
    return paper.finish(kind, turn)
