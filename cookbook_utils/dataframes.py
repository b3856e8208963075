"""Turns the tables of a reply into pandas DataFrames: HTML, LaTeX (as `qwenvl markdown` writes tables) and rows of pipes.

Cells are texts, exactly as the reply has them ("007" stays "007"), unless numbers are asked for. A cell that spans several rows or
columns stands in each of them. A row that is too short is filled with missing values. Reading never raises on text: a table that
is cut off gives the rows that are there.

Needs the standard library; pandas is imported when a table is made. The file can be copied alone.
Sources: WHATWG HTML, "forming a table"; GitHub Flavored Markdown, tables; LaTeX's tabular, multirow and booktabs.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

__all__ = ["tables"]

_MOST, _LARGEST = 100, 20_000  # columns that a cell may span; places of a grid beyond which nothing spans any more
_LATEX = r"\\begin\{(?P<name>tabular[x*]?|longtable|array)\}.*?(?:\\end\{(?P=name)\}|\Z)"
_FOUND = re.compile(
    rf"(?P<html>(?i:<table\b))|(?P<latex>{_LATEX})|(?P<pipes>(?:^[ \t]*\|[^\n]*(?:\n|\Z))+)", re.DOTALL | re.MULTILINE
)
_RULE = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?")
_FURNITURE = re.compile(  # what stands between the rows of a tabular and is no cell
    r"\\(?:hline|toprule|bottomrule|endfirsthead|endhead|endfoot|endlastfoot|centering|small|(?:cline|cmidrule|addlinespace|caption|label)"
    r"(?:\([^)]*\))?(?:\[[^]]*\])?(?:\{[^{}]*\})?)(?![a-zA-Z])"
)
_BRACED = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
_SPANS = {"column": re.compile(rf"\\multicolumn\s*\{{(\d+)\}}\s*\{{[^{{}}]*\}}\s*{_BRACED}"),
          "row": re.compile(rf"\\multirow(?:\[[^]]*\])?\s*\{{(-?\d+)\}}(?:\[[^]]*\])?\s*\{{[^{{}}]*\}}\s*{_BRACED}")}  # fmt: skip
_STYLE = re.compile(rf"\\(?:text(?:bf|it|rm|sf|tt|sc|normal)?|emph|underline|mathbf|mathrm|makecell(?:\[[^]]*\])?)\s*{_BRACED}")


def tables(source, *, header=None, numbers=False):
    """Read every table: a list of DataFrames, in the order in which the tables begin.

    source: a reply's HTML or Markdown, or elements of `parse_qwenvl_html` or `parse_qwenvl_markdown` (one, or a list of them).
    header: None takes the header that the table marks (`th`, `thead`, a line of dashes, `\\\\midrule`); True takes the first row
    where none is marked; False takes none. Several header rows become a MultiIndex. numbers: turn columns into numbers where every
    cell is one. `attrs["caption"]` has an HTML table's caption.
    Raises TypeError for another source; ImportError without pandas.

    >>> html = "<table><tr><th>item</th><th>price</th></tr><tr><td rowspan=2>tea</td><td>2</td></tr><tr><td>3</td></tr></table>"
    >>> tables(html)[0].values.tolist()
    [['tea', '2'], ['tea', '3']]
    """
    found = [table for text in _texts(source) for table in _read(text)]
    return [_frame(table, header, numbers) for table in found if table.grid]


@dataclass
class _Table:
    grid: list = field(default_factory=list)  # rows of texts, None where there is no cell
    headers: int = 0  # how many of the first rows are headers
    caption: str = ""


def _texts(source):
    if isinstance(source, str):
        return [source]
    if isinstance(source, Mapping):
        source = [source]
    elements = list(source) if isinstance(source, Iterable) else [source]
    if not all(isinstance(element, Mapping) for element in elements):
        raise TypeError(f"source must be a text or elements of a page, got {type(source).__name__}")
    return [str(element.get("html") or element.get("markdown") or element.get("text") or "") for element in elements]


def _read(text):
    place = 0
    while match := _FOUND.search(text, place):
        if match["html"]:
            place = _end_of_table(text, match.start())
            yield from map(_placed, _HtmlTables(text[match.start() : place]).found)
        else:
            place = match.end()
            yield _latex(match["latex"], match["name"]) if match["latex"] else _pipes(match["pipes"])


def _frame(table, header, numbers):
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("tables become pandas DataFrames: pip install pandas") from error
    width = max(map(len, table.grid))
    rows = [[*row, *[None] * (width - len(row))] for row in table.grid]
    count = 0 if header is False else table.headers or int(header is True)
    heads = [[cell or "" for cell in row] for row in rows[:count]]
    columns = pd.MultiIndex.from_arrays(heads) if count > 1 else heads[0] if heads else range(width)
    frame = pd.DataFrame(rows[count:], columns=columns)
    if numbers:
        series = [_numbers(pd, frame.iloc[:, index]) for index in range(width)]
        frame = pd.concat(series, axis=1) if series else frame
        frame.columns = columns if count else range(width)
    frame.attrs = {"caption": table.caption} if table.caption else {}
    return frame


def _numbers(pd, column):
    filled = column[column.notna() & (column != "")]
    converted = pd.to_numeric(filled, errors="coerce")
    return converted.reindex(column.index) if len(filled) and converted.notna().all() else column


# --- HTML -----------------------------------------------------------------------------------------------------------


@dataclass
class _Open:
    """A table that is being read: rows of cells `[text, rowspan, colspan, is header]`, and the group of each row."""

    rows: list = field(default_factory=list)
    groups: list = field(default_factory=list)
    group: str = "tbody"
    number: int = 0
    cell: list | None = None
    in_caption: bool = False
    caption: str = ""


def _end_of_table(text, start):
    depth = 0
    for tag in re.finditer(r"<(/?)table\b[^<>]*>?", text[start:], re.IGNORECASE):
        depth += -1 if tag[1] else 1
        if depth == 0:
            return start + tag.end()
    return len(text)


class _HtmlTables(HTMLParser):
    """Reads a table and those inside its cells, in the order in which they begin; end tags may be missing."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.open.append(_Open())
            self.found.append(self.open[-1])
        if not self.open:
            return
        table = self.open[-1]
        if tag in ("thead", "tbody", "tfoot"):
            table.group, table.number, table.cell = tag, table.number + 1, None
        elif tag == "tr":
            self._row(table)
        elif tag in ("td", "th"):
            if not table.rows:
                self._row(table)
            spans = dict(attrs)
            table.cell = ["", _span(spans.get("rowspan")), _span(spans.get("colspan")) or 1, tag == "th"]
            table.rows[-1].append(table.cell)
        elif tag == "br":
            self.handle_data("\n")
        table.in_caption = tag == "caption" or table.in_caption and tag not in ("tr", "thead", "tbody", "td", "th")

    def _row(self, table):
        table.rows.append([])
        table.groups.append((table.number, table.group))
        table.cell = None

    def handle_endtag(self, tag):
        if not self.open:
            return
        table = self.open[-1]
        if tag == "table":
            self.open.pop()
            if self.open and self.open[-1].cell:
                self.open[-1].cell[0] += " ".join(cell[0] for row in table.rows for cell in row)
        elif tag in ("td", "th", "tr"):
            table.cell = None
        elif tag == "caption":
            table.in_caption = False
        elif tag in ("thead", "tbody", "tfoot"):
            table.group, table.number, table.cell = "tbody", table.number + 1, None

    def handle_data(self, data):
        table = self.open[-1] if self.open else None
        if table and table.in_caption:
            table.caption += data
        elif table and table.cell:
            table.cell[0] += data if data == "\n" else re.sub(r"\s+", " ", data)


def _span(text):
    digits = re.match(r"\s*(\d{1,9})", text or "1")
    return min(int(digits[1]), 65_534) if digits else 1


def _placed(table):
    """The grid of a table, by HTML's own rules: a cell goes to the next free place; a span ends with its group of rows."""
    places, left = {}, {}
    for row in range(len(table.rows) - 1, -1, -1):
        left[row] = left[row + 1] + 1 if row + 1 in left and table.groups[row + 1] == table.groups[row] else 1
    for row, cells in enumerate(table.rows):
        column = 0
        for text, down, across, _ in cells:
            while (row, column) in places:
                column += 1
            down, across = (min(down or left[row], left[row]), min(across, _MOST)) if len(places) < _LARGEST else (1, 1)
            places |= {(row + i, column + k): _tidy(text) for i in range(down) for k in range(across)}
            column += across
    rows = zip(table.groups, table.rows, strict=True)
    heads = [group == "thead" or bool(cells) and all(cell[3] for cell in cells) for (_, group), cells in rows]
    count = next((index for index, is_head in enumerate(heads) if not is_head), len(heads))
    grid = _rows(places, len(table.rows))
    return _Table([row for row in grid if row], sum(map(bool, grid[:count])), _tidy(table.caption))


def _rows(places, count):
    widths = [0] * count
    for row, column in places:
        widths[row] = max(widths[row], column + 1)
    return [[places.get((row, column)) for column in range(width)] for row, width in enumerate(widths)]


def _tidy(text):
    return re.sub(r"[ \t]*\n[ \t]*", "\n", re.sub(r"[ \t\r\f\xa0]+", " ", text)).strip()


# --- Markdown and LaTeX ---------------------------------------------------------------------------------------------


def _pipes(text):
    lines = [line.strip() for line in text.strip().split("\n")]
    rule = next((index for index, line in enumerate(lines) if _RULE.fullmatch(line)), None)
    bare = [re.sub(r"^\||(?<!\\)\|$", "", line) for line in lines]
    rows = [[cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line)] for line in bare]
    return _Table([row for index, row in enumerate(rows) if index != rule], 1 if rule == 1 else 0)


def _latex(text, name):
    body = re.sub(rf"\\end\{{{re.escape(name)}\}}\Z", "", text[len(rf"\begin{{{name}}}") :])
    for _ in range(2 if name in ("tabularx", "tabular*") else 1):  # the width, then the columns
        body = "".join(_split(re.sub(r"\A\s*(?:\[[^]]*\])?\s*\{", "{", body), "}", 1)[1:])
    parts = body.split("\\midrule", 1)
    above = [row for row in map(_latex_row, _split(parts[0], r"\\")) if row]
    below = [row for row in map(_latex_row, _split(parts[1], r"\\")) if row] if len(parts) > 1 else []
    return _Table(_laid_out(above + below), len(above) if below else 0)


def _latex_row(text):
    """Cells `[text, rows, columns]` of a row, or nothing for what is only furniture."""
    text = re.sub(r"\A\*?\s*\[[^]]*\]", "", _FURNITURE.sub(" ", text.replace("\\midrule", " ")))  # of `\\[2pt]` what is left
    return [_latex_cell(cell) for cell in _split(text, "&")] if text.strip(" \n\t\r*") else []


def _latex_cell(text):
    spans = {"column": 1, "row": 1}
    for _ in range(2):  # one may stand inside the other
        for kind, pattern in _SPANS.items():
            if match := pattern.search(text):
                spans[kind] = max(1, min(int(match[1]), _MOST))
                text = text[: match.start()] + match[2] + text[match.end() :]
    while (plain := _STYLE.sub(r"\1", text)) != text:
        text = plain
    text = re.sub(r"\\([&%$#_{}])", r"\1", text.replace("\\\\", "\n").replace("~", " "))
    return [_tidy(re.sub(r"[ \t]*\n[ \t]*", " ", text)), spans["row"], spans["column"]]


def _split(text, mark, level=0):
    """Split where the mark stands outside of braces (or inside of so many) and is not escaped; at a level, once only."""
    parts, depth, start, index = [], 0, 0, 0
    while index < len(text):
        if depth == level and text.startswith(mark, index):
            parts.append(text[start:index])
            start = index = index + len(mark)
            if level:
                break
        elif text[index] == "\\":
            index += 2
        else:
            depth += (text[index] == "{") - (text[index] == "}" and depth > 0)
            index += 1
    return [*parts, text[start:]]


def _laid_out(rows):
    """The grid of LaTeX rows: unlike in HTML, the places under a cell of several rows are there, and empty."""
    places = {}
    for row, cells in enumerate(rows):
        column = 0
        for text, down, across in cells:
            for place in [(row + i, column + k) for i in range(min(down, len(rows) - row)) for k in range(across)]:
                if text or place not in places:
                    places[place] = text
            column += across
    return _rows(places, len(rows))
