"""Charts of the embedded model's world: bars, lines and pies, with the data and the matplotlib code behind them.

Charts are drawn on a `Paper` in the manner of matplotlib, at a thirtieth of its time. Boxes are in pixels of the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from . import page_words as say
from .page_paper import APART, Page, Paper, photograph
from .samples import Region
from .turns import pick
from .typesetting import Font, Run, fitting, text_width

KINDS = ("bar", "point", "slice")
# matplotlib's own colours, by their names there.
COLOURS = {
    "tab:blue": (31, 119, 180), "tab:orange": (255, 127, 14), "tab:green": (44, 160, 44), "tab:red": (214, 39, 40),
    "tab:purple": (148, 103, 189), "tab:brown": (140, 86, 75), "tab:pink": (227, 119, 194), "tab:cyan": (23, 190, 207),
}  # fmt: skip
SPOKEN_SHARE, SPOKEN_SIZE = 0.75, 15  # of bar and line charts with their values written at the marks, and the letters' size
SUBJECTS = say.words("Sales Visitors Rain Tickets Members Orders Profit Guests Calls Trees Books Goals Votes Hours Steps Cars")


@dataclass
class Chart:
    """What a chart shows: `kind` bar, barh, line or pie; `values` are whole numbers, of a pie percent; `marks` in their order.

    `top` is the end of the axis, `spoken` the written value of each mark, where it is written.
    """

    kind: str
    title: Run
    names: list[Run]
    values: list[int]
    marks: list[Region]
    top: int
    colour: str
    spoken: list[Run]

    @property
    def labels(self) -> list[str]:
        return [name.text for name in self.names]

    def table(self) -> str:
        """The data as a Markdown table."""
        return "\n".join(
            ["| Label | Value |", "|---|---|", *(f"| {n} | {v} |" for n, v in zip(self.labels, self.values, strict=True))]
        )

    def code(self) -> str:
        """The matplotlib code that draws the chart again."""
        labels = "[" + ", ".join(f'"{label}"' for label in self.labels) + "]"
        call = {
            "bar": f'plt.bar({labels}, {self.values}, color="{self.colour}")',
            "barh": f'plt.barh({labels}, {self.values}, color="{self.colour}")\nplt.gca().invert_yaxis()',
            "line": f'plt.plot({labels}, {self.values}, color="{self.colour}", marker="o")',
            "pie": f'plt.pie({self.values}, labels={labels}, autopct="%.0f%%")',
        }[self.kind]
        return f'import matplotlib.pyplot as plt\n{call}\nplt.title("{self.title.text}")\nplt.show()'


def axis_steps(rng: np.random.Generator) -> tuple[int, int]:
    """The step between ticks of an axis and the number of steps."""
    return int(pick(rng, (2, 5, 10, 10, 20, 25, 50, 100))), int(rng.integers(4, 6))


def category_labels(rng: np.random.Generator, count: int, font: Font, width: float) -> list[str]:
    """Names of a chart's parts, none wider than `width` pixels: months, days, years, quarters, people, items, letters."""
    first = int(rng.integers(1950, 2031))
    month, day = int(rng.integers(0, 12)), int(rng.integers(0, 7))
    options = [
        [say.MONTHS[(month + i) % 12][:3] for i in range(count)], [say.DAYS[(day + i) % 7][:3] for i in range(count)],
        [str(first + i) for i in range(count)], *[[f"Q{i + 1}" for i in range(count)]] * (count < 5),
        *([names[i] for i in rng.choice(len(names), count, replace=False)] for names in (say.FIRST_NAMES, say.ITEMS, say.CITIES)),
        [chr(65 + i) for i in range(count)],
    ]  # fmt: skip
    short = [labels for labels in options if max(text_width(label, font) for label in labels) <= width]
    return pick(rng, short)


def chart_title(rng: np.random.Generator) -> str:
    """What a chart is about, such as "Sales" or "Visitors in Oslo"."""
    subject = pick(rng, SUBJECTS)
    return pick(rng, (subject, f"{subject} in {pick(rng, say.CITIES)}", f"{subject} {int(rng.integers(1960, 2031))}"))


def titled(paper: Paper, rng: np.random.Generator) -> Run:
    """Writes the chart's title."""
    run = paper.line(fitting(rng, chart_title, paper.bold, paper.width), font=paper.bold, align="centre").runs[0]
    paper.y += 4
    return run


def inner(paper: Paper, across: float, *, ticks: list[int]) -> tuple[float, float, float, float]:
    """The box left for the marks, `across` pixels to the right of the left edge, with ticks below or labels."""
    last = text_width(str(ticks[-1]), paper.font) / 2
    return paper.left + across + 8, paper.y + 8, paper.right - last * 0.6, paper.bottom - paper.font.height - 5


def upright(paper: Paper, rng: np.random.Generator, count: int, kind: str) -> Chart:
    """A bar or a line chart with its values up the left side."""
    title, (step, steps) = titled(paper, rng), axis_steps(rng)
    ticks, top = [step * i for i in range(steps + 1)], step * steps
    frame = inner(paper, text_width(str(top), paper.font), ticks=[0])
    x1, y1, x2, y2 = frame
    place = (x2 - x1) / count
    labels = category_labels(rng, count, paper.font, place - 8)
    values = [int(v) for v in rng.integers(1, top + 1, count)]
    height = lambda value: y2 - (y2 - y1) * value / (top * 1.04)
    for tick in ticks:
        paper.stroke((x1 - 3, height(tick)), (x2, height(tick)), colour=(205, 205, 205) if tick else paper.ink)
        written = str(tick)
        paper.keep([paper.write(x1 - 6 - text_width(written, paper.font), height(tick) - paper.font.ascent * 0.55, written)])
    colour, spoken, marks, names = pick(rng, list(COLOURS)), [], [], []
    points = [(x1 + place * (i + 0.5), height(value)) for i, value in enumerate(values)]
    if kind == "line":
        smooth(paper, points, COLOURS[colour])
    for (x, y), value in zip(points, values, strict=True):
        box = (x - place * 0.36, min(y, y2 - 1), x + place * 0.36, y2) if kind == "bar" else (x - 6, y - 6, x + 6, y + 6)
        if kind == "bar":
            paper.box(*box, fill=COLOURS[colour])
        marks.append(Region("bar" if kind == "bar" else "point", tuple(map(float, box))))
    paper.stroke((x1, y1), (x1, y2), colour=paper.ink)
    if rng.random() < SPOKEN_SHARE and place > text_width(str(top), paper.font):
        spoken = [at_mark(paper, points, index, value, kind, y2) for index, value in enumerate(values)]
    for (x, _), name in zip(points, labels, strict=True):
        names.append(paper.write(x - text_width(name, paper.font) / 2, y2 + 4, name))
    paper.keep(names)
    return Chart(kind, title, names, values, marks, top, colour, spoken)


def at_mark(paper: Paper, points: list[tuple], index: int, value: int, kind: str, bottom: float) -> Run:
    """Writes a value over its bar or its point; under a point from which the line rises on both sides, if there is room."""
    (x, y), font = points[index], paper.font._replace(size=SPOKEN_SIZE)
    valley = kind == "line" and len(points) > 1 and all(points[i][1] < y for i in (index - 1, index + 1) if 0 <= i < len(points))
    over = max(y - font.height - (1 if kind == "bar" else 6), paper.y - 4)
    top = y + 7 if valley and y + 8 + font.height < bottom else over
    return spoken_at(paper, x - text_width(str(value), font) / 2, top, value, font)


def spoken_at(paper: Paper, x: float, y: float, value: int, font: Font) -> Run:
    """Writes a value on a strip of paper, so that no line of the chart runs through it."""
    run = paper.write(x, y, str(value), font, strip=paper.paper)
    paper.keep([run])
    return run


def smooth(paper: Paper, points: list[tuple], colour: tuple) -> None:
    """Draws a line with a dot at each point, without stairs."""
    fine = 3
    mask = Image.new("L", (paper.image.width * fine, paper.image.height * fine))
    draw, scale = ImageDraw.Draw(mask), paper.scale * fine
    path = [(x * scale, y * scale) for x, y in points]
    draw.line(path, fill=255, width=2 * scale, joint="curve")
    for x, y in path:
        draw.ellipse((x - 4 * scale, y - 4 * scale, x + 4 * scale, y + 4 * scale), fill=255)
    paper.image.paste(colour, mask=mask.resize(paper.image.size, Image.Resampling.BOX))


def sideways(paper: Paper, rng: np.random.Generator, count: int) -> Chart:
    """A chart of horizontal bars, the first at the top."""
    title, (step, steps) = titled(paper, rng), axis_steps(rng)
    top = step * steps
    count = min(count, int((paper.bottom - paper.y - paper.font.height - 13) // APART))  # each in a row of tokens of its own
    labels = category_labels(rng, count, paper.font, paper.width * 0.34)
    across = max(text_width(label, paper.font) for label in labels)
    x1, y1, x2, y2 = inner(paper, across, ticks=[top])
    values, written = [int(v) for v in rng.integers(1, top + 1, count)], paper.font._replace(size=SPOKEN_SIZE)
    beside = text_width(str(top), written) + 5 if rng.random() < SPOKEN_SHARE else 0  # room for the values
    x2 -= beside
    place, colour = (y2 - y1) / count, pick(rng, list(COLOURS))
    length = lambda value: x1 + (x2 - x1) * value / top
    skip = 1 if text_width(str(top), paper.font) * 1.6 < (x2 - x1) / steps else 2
    ticks = [step * i for i in range(0, steps + 1, skip)]
    for tick in ticks:
        paper.stroke((length(tick), y1), (length(tick), y2 + 3), colour=(205, 205, 205))
    names, marks, spoken = [], [], []
    for index, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = y1 + place * (index + 0.5)
        names.append(paper.write(x1 - 6 - text_width(label, paper.font), y - paper.font.ascent * 0.62, label))
        paper.keep(names[-1:])
        end = max(length(value), x1 + 2)
        box = paper.box(x1, y - place * 0.36, end, y + place * 0.36, fill=COLOURS[colour])
        marks.append(Region("bar", tuple(map(float, box))))
        if beside:
            spoken.append(spoken_at(paper, end + 4, y - written.ascent * 0.62, value, written))
    paper.stroke((x1, y1), (x1, y2), colour=paper.ink)
    paper.keep([paper.write(length(tick) - text_width(str(tick), paper.font) / 2, y2 + 4, str(tick)) for tick in ticks])
    return Chart("barh", title, names, values, marks, top, colour, spoken)


def percentages(rng: np.random.Generator, count: int) -> list[int]:
    """Whole percentages of at least 8 that add up to 100."""
    shares = rng.dirichlet(np.full(count, 2.0)) * (100 - 8 * count)
    values = [8 + int(share) for share in shares]
    return [*values[:-1], 100 - sum(values[:-1])]


def pie(paper: Paper, rng: np.random.Generator, count: int) -> Chart:
    """A pie, counterclockwise from three o'clock as matplotlib draws it, with percentages in the slices."""
    title, values = titled(paper, rng), percentages(rng, count)
    labels = category_labels(rng, count, paper.font, paper.width * 0.24)
    wide = max(text_width(label, paper.font) for label in labels)
    radius = min((paper.width - 2 * wide) / 2 - 8, (paper.bottom - paper.y) / 2 - paper.font.height)
    middle = ((paper.left + paper.right) / 2, (paper.y + paper.bottom) / 2)
    at = lambda angle, reach: (middle[0] + reach * math.cos(angle), middle[1] - reach * math.sin(angle))
    colours = list(COLOURS.values())[:count]
    slices(paper, middle, radius, values, colours)
    names, spoken, marks, start = [], [], [], 0.0
    for label, value in zip(labels, values, strict=True):
        angle = 2 * math.pi * (start + value / 2) / 100
        start += value
        x, y = at(angle, radius * 0.62)
        words = f"{value}%"
        spoken.append(
            paper.write(x - text_width(words, paper.font) / 2, y - paper.font.ascent * 0.55, words, colour=(255, 255, 255))
        )
        x1, y1, x2, y2 = spoken[-1].box_xyxy
        marks.append(Region("slice", (x1 - 4, y1 - 4, x2 + 4, y2 + 4)))
        x, y = at(angle, radius + 6)
        names.append(
            paper.write(
                x - text_width(label, paper.font) * (1 - math.cos(angle)) / 2,
                y - paper.font.height * (1 + math.sin(angle)) / 2,
                label,
            )
        )
    for name, value in zip(names, spoken, strict=True):
        paper.keep([name])
        paper.keep([value])
    return Chart("pie", title, names, values, marks, 100, "", spoken)


def slices(paper: Paper, middle, radius: float, values: list[int], colours: list) -> None:
    """Fills the slices of a pie, without stairs."""
    fine, side = 3, round(2 * radius * paper.scale)
    disc = Image.new("RGB", (side * fine, side * fine), paper.paper)
    mask, end = Image.new("L", disc.size), 0.0
    for value, colour in zip(values, colours, strict=True):
        ImageDraw.Draw(disc).pieslice(
            (0, 0, *disc.size), -(end + value) * 3.6, -end * 3.6, fill=tuple(round(0.86 * c) for c in colour)
        )
        end += value
    ImageDraw.Draw(mask).ellipse((0, 0, *mask.size), fill=255)
    corner = paper.scaled(middle[0] - radius, middle[1] - radius)
    paper.image.paste(
        disc.resize((side, side), Image.Resampling.BOX), tuple(corner), mask.resize((side, side), Image.Resampling.BOX)
    )


def chart(paper: Paper, rng: np.random.Generator, most: int) -> Page:
    """A chart of two to six values."""
    paper.font, paper.bold = (font._replace(size=min(17, font.size), apart=0) for font in (paper.font, paper.bold))
    paper.box(0, 0, *paper.size, fill=(255, 255, 255))
    paper.paper = (255, 255, 255)
    count = int(rng.integers(2, min(6, 2 + most // 3) + 1))
    kind = pick(rng, ("bar", "bar", "line", "barh", "pie"))
    if kind == "pie":
        paper.figure = pie(paper, rng, min(count, 5))
    else:
        paper.figure = (
            sideways(paper, rng, count) if kind == "barh" else upright(paper, rng, min(count, paper.size[0] // 48), kind)
        )
    paper.marks = paper.figure.marks
    paper.items = list(zip(paper.figure.names, paper.figure.spoken, strict=False))
    photograph(rng, paper, wear=0.5 * min(1, most / 14))
    return paper.finish("chart")
