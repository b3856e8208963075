"""Tables in three ways of writing; spans against grids that are cut into rectangles at random."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cookbook_utils import dataframes
from cookbook_utils.dataframes import tables

pd = pytest.importorskip("pandas", reason="tables become pandas DataFrames")


def rows(frame) -> list[list]:
    """The cells of a frame, None where there is none."""
    return [[None if pd.isna(cell) else cell for cell in row] for row in frame.astype(object).to_numpy().tolist()]


def head(frame) -> list:
    return list(frame.columns)


# --- the three ways -------------------------------------------------------------------------------------------------

HTML = "<table><tr><th>item</th><th>price</th></tr><tr><td>tea</td><td>1.50</td></tr><tr><td>cake</td><td>007</td></tr></table>"
PIPES = "| item | price |\n|:-----|------:|\n| tea | 1.50 |\n| cake | 007 |\n"
LATEX = r"\begin{tabular}{lr}\toprule item & price \\ \midrule tea & 1.50 \\ cake & 007 \\ \bottomrule\end{tabular}"


@pytest.mark.parametrize("text", [HTML, PIPES, LATEX], ids=["HTML", "pipes", "LaTeX"])
def test_each_way_gives_the_same_frame(text):
    (frame,) = tables(f"Before.\n\n{text}\n\nAfter.")
    assert (head(frame), rows(frame)) == (["item", "price"], [["tea", "1.50"], ["cake", "007"]])
    (frame,) = tables(text, header=False)
    assert (head(frame), rows(frame)) == ([0, 1], [["item", "price"], ["tea", "1.50"], ["cake", "007"]])
    assert tables(text, numbers=True)[0]["price"].tolist() == [1.5, 7.0]


def test_tables_come_in_their_order():
    assert [rows(frame)[0][0] for frame in tables(f"{LATEX}\n{HTML}\n\n{PIPES}", header=False)] == ["item"] * 3
    assert [len(frame) for frame in tables(f"{PIPES}text\n{HTML}{HTML}")] == [2, 2, 2]


def test_elements_are_read_like_their_texts():
    elements = [
        {"category": "table", "html": HTML, "text": "no"},
        {"category": "text", "text": "x"},
        {"category": "table", "markdown": LATEX},
    ]
    assert [len(frame) for frame in tables(elements)] == [2, 2] and len(tables(elements[0])) == 1


CELLS = [
    ("<table><tr><td>a<td>b<tr><td>c</table>", [["a", "b"], ["c", None]], "no end tags; a short row"),
    ("<table><tr><td>a</td><td>b</td></tr><tr><td>c", [["a", "b"], ["c", None]], "cut off"),
    ("<table><tr><td> a\n b <br> c</td></tr></table>", [["a b\nc"]], "space and a line break"),
    ("<table><tr><td>a &lt; b &amp; c</td></tr></table>", [["a < b & c"]], "entities"),
    ("<table><tr></tr><tr><td>a</td></tr></table>", [["a"]], "an empty row"),
    ("<TABLE><TR><TD ROWSPAN=2>a</TD><TD>b</TD></TR><TR><TD>c</TD></TR></TABLE>", [["a", "b"], ["a", "c"]], "upper case"),
    ("<table><tr><td rowspan=9>a</td><td>b</td></tr><tr><td>c</td></tr></table>", [["a", "b"], ["a", "c"]], "a span too long"),
    ("<table><tr><td rowspan=0>a</td><td>b</td></tr><tr><td>c</td></tr></table>", [["a", "b"], ["a", "c"]], "0 means to the end"),
    ("<table><tr><td rowspan=x colspan=-1>a</td><td>b</td></tr></table>", [["a", "b"]], "no numbers"),
    ("<table><tbody><tr><td rowspan=5>a</td></tr></tbody><tbody><tr><td>b</td></tr></tbody></table>", [["a"], ["b"]], "a span ends with its group"),
    ("<table><tr><td rowspan=2>a</td><td colspan=2>b</td></tr><tr><td>c</td><td>d</td></tr></table>", [["a", "b", "b"], ["a", "c", "d"]], "both"),
    ("| a | b\\|c |\n", [["a", "b|c"]], "an escaped pipe"),
    ("|a||\n|b|\n", [["a", ""], ["b", None]], "an empty cell, a short row"),
    (r"\begin{tabular}{|c|c|}\hline a \& b & \textbf{c} \\ \hline\end{tabular}", [["a & b", "c"]], "escapes, style and lines"),
    (r"\begin{tabular}{cc} a & \makecell{b \\ c} \\ d & $x^2$ \end{tabular}", [["a", "b c"], ["d", "$x^2$"]], "a line break in a cell"),
    (r"\begin{tabular}{ccc}\multicolumn{2}{c|}{a} & b \\ \cline{1-2} c & d & e \\\end{tabular}", [["a", "a", "b"], ["c", "d", "e"]], "columns"),
    (r"\begin{tabular}{cc}\multirow{2}{*}{a} & b \\ & c \\\end{tabular}", [["a", "b"], ["a", "c"]], "rows"),
    (r"\begin{tabular}{ccc}\multicolumn{2}{c}{\multirow{2}{*}{a}} & b \\ \multicolumn{2}{c}{} & c \\\end{tabular}", [["a", "a", "b"], ["a", "a", "c"]], "both in one"),
    (r"\begin{tabularx}{\textwidth}{lX} a & b \\\end{tabularx}", [["a", "b"]], "tabularx has a width first"),
    (r"\begin{tabular}[t]{l@{\hspace{1em}}r} a & b \\[2pt] c & d\end{tabular}", [["a", "b"], ["c", "d"]], "options"),
    (r"\begin{tabular}{cc} a & b \\ c & {d & e", [["a", "b"], ["c", "{d & e"]], "cut off inside a brace"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected", "reason"), CELLS, ids=[reason for *_, reason in CELLS])
def test_cells(text, expected, reason):
    (frame,) = tables(text)
    assert rows(frame) == expected


# --- spans ----------------------------------------------------------------------------------------------------------


@st.composite
def tilings(draw):
    """A grid of numbers in which every number fills a rectangle, cut at random; and its HTML."""
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    grid, written, count = [[None] * width for _ in range(height)], [[] for _ in range(height)], 0
    for row in range(height):
        for column in range(width):
            if grid[row][column] is not None:
                continue
            free = next((k for k in range(column, width) if grid[row][k] is not None), width) - column
            down, across = draw(st.integers(1, height - row)), draw(st.integers(1, free))
            count += 1
            for place in [(row + i, column + k) for i in range(down) for k in range(across)]:
                grid[place[0]][place[1]] = str(count)
            written[row].append(f"<td rowspan={down} colspan={across}>{count}</td>")
    return grid, "<table>" + "".join(f"<tr>{''.join(cells)}</tr>" for cells in written) + "</table>"


@given(tilings())
def test_spans_fill_the_grid_they_were_cut_from(tiling):
    grid, text = tiling
    assert rows(tables(text)[0]) == grid


# --- headers --------------------------------------------------------------------------------------------------------


def test_several_header_rows_are_a_multiindex():
    text = (
        "<table><caption> Prices </caption><thead><tr><th rowspan=2>item</th><th colspan=2>price</th></tr><tr><th>net</th><th>gross</th></tr>"
        "</thead><tbody><tr><th>tea</th><td>1</td><td>2</td></tr></tbody></table>"
    )
    (frame,) = tables(text, numbers=True)
    assert head(frame) == [("item", "item"), ("price", "net"), ("price", "gross")] and frame.attrs == {"caption": "Prices"}
    assert frame[("price", "gross")].tolist() == [2] and frame.iloc[0, 0] == "tea"


@pytest.mark.parametrize(("text", "header", "expected"), [
    ("|a|b|\n|c|d|\n", None, [0, 1]),
    ("|a|b|\n|c|d|\n", True, ["a", "b"]),
    ("|a|a|\n|-|-|\n|c|d|\n", None, ["a", "a"]),
    ("|a|b|\n|-|-|\n|c|d|\n", False, [0, 1]),
    ("<table><tr><th>a</th><td>b</td></tr></table>", None, [0, 1]),
    (r"\begin{tabular}{c}\hline a \\ \hline b \\\end{tabular}", None, [0]),
])  # fmt: skip
def test_a_header_is_what_is_marked_as_one(text, header, expected):
    assert head(tables(text, header=header)[0]) == expected


@pytest.mark.parametrize(("cells", "expected"), [
    (["1", "2.5", "-3e2"], [1, 2.5, -300]),
    (["1", "", "3"], [1, None, 3]),
    (["1", "two", "3"], ["1", "two", "3"]),
    (["1,5", "2"], ["1,5", "2"]),
    (["", ""], ["", ""]),
])  # fmt: skip
def test_numbers_only_where_all_are(cells, expected):
    text = "|n|\n|-|\n" + "".join(f"|{cell}|\n" for cell in cells)
    assert [row[0] for row in rows(tables(text, numbers=True)[0])] == expected
    assert [row[0] for row in rows(tables(text)[0])] == cells


# --- whatever comes -------------------------------------------------------------------------------------------------


def test_a_table_in_a_cell_is_a_table_too():
    outer, inner = tables("<table><tr><td>a<table><tr><td>b</td><td>c</td></tr></table></td></tr><tr><td>d</td></tr></table>")
    assert (rows(outer), rows(inner)) == ([["ab c"], ["d"]], [["b", "c"]])


@pytest.mark.parametrize(
    "text", ["", "no table", "<table></table>", "<table><tr></tr></table>", "a | b", r"\begin{tabular}{c}\end{tabular}"]
)
def test_no_table_is_no_frame(text):
    assert tables(text) == []


@given(st.text(alphabet="<>/table rdhowspan=29|-\\\\begin{}&multicolumn\n", max_size=150))
def test_no_text_makes_it_raise(text):
    assert isinstance(tables(text + "<table><tr><td>" + text), list)


HEAVY = [
    "<table>" + "<tr><td rowspan=9999>" * 3000,
    "<table><tr>" + "<td colspan=1000>" * 3000,
    "<table>" * 3000,
    "|" * 3000,
    r"\begin{tabular}{c}" + "{" * 30_000,
]


@pytest.mark.parametrize("text", HEAVY, ids=range(5))
def test_no_text_takes_long(text):
    start = time.process_time()
    tables(text)
    assert time.process_time() - start < 8


@pytest.mark.parametrize("source", [7, [7], None, b"<table>"])
def test_another_source_is_a_type_error(source):
    with pytest.raises(TypeError, match="^source must be a text or elements of a page"):
        tables(source)


def test_the_file_can_be_copied_alone(tmp_path):
    shutil.copy(dataframes.__file__, tmp_path / "mine.py")
    code = (
        "import sys; sys.path.insert(0, '.'); import mine\n"
        "print('pandas' in sys.modules, mine.tables('|a|\\n|-|\\n|b|')[0].to_dict(), [n for n in sys.modules if n.startswith('cookbook')])"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "False {'a': {0: 'b'}} []", run.stderr
    assert "cookbook_utils" not in Path(dataframes.__file__).read_text(encoding="utf-8")
