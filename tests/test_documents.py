"""Pages as models write them: whole, slipped, cut off, hostile; the cleaned HTML is put into a real browser."""

import html
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cookbook_utils import documents
from cookbook_utils.documents import Elements, clean_html, crop_elements, parse_qwenvl_html, parse_qwenvl_markdown
from cookbook_utils.drawing import draw_boxes

pytest.importorskip("nh3", reason="HTML is read through nh3")

BOX = 'data-bbox="10 20 300 400"'
XYXY = [10, 20, 300, 400]


def seen(page) -> list[tuple]:
    """(category, text, box) of each element."""
    return [(element["category"], element["text"], element.get("bbox_2d")) for element in page]


# --- HTML: what is an element ---------------------------------------------------------------------------------------

ELEMENTS = [
    (f"<p {BOX}>Tea &amp; cake</p>", [("text", "Tea & cake", XYXY)], "a paragraph"),
    (f"<h3 {BOX}> Menu\n of  the day </h3>", [("heading", "Menu of the day", XYXY)], "space is one space"),
    (f"<p {BOX}>one<br>two</p>", [("text", "one\ntwo", XYXY)], "a line break"),
    (f'<div class="header" {BOX}>Page head</div>', [("header", "Page head", XYXY)], "the class names the category"),
    (f'<div class="image caption" {BOX}><img {BOX}/><p>A dog</p></div>', [("image", "A dog", XYXY)], "Qwen2.5-VL's classes"),
    (f'<div class="formula.handwritten" {BOX}>x</div>', [("formula", "x", XYXY)], "with a dot"),
    (
        f'<div class="chemical formula" format="smile" {BOX}><img {BOX}/><div>CCO</div></div>',
        [("chemical formula", "CCO", XYXY)],
        "two words",
    ),
    (f'<div class="page_number" {BOX}>7</div>', [("page number", "7", XYXY)], "with an underscore"),
    (f'<div class="stamp" {BOX}>PAID</div>', [("stamp", "PAID", XYXY)], "a class that the reply made up"),
    (f'<p class="pa" {BOX}>x</p>', [("text", "x", XYXY)], "a class of a tag that has a meaning of its own"),
    (f'<div class="image" {BOX}><img {BOX}/></div>', [("image", "", XYXY)], "a figure without text"),
    (f"<div {BOX}><img {BOX}/></div>", [("image", "", XYXY)], "without a class"),
    (f"<div><img {BOX}/></div>", [("image", "", XYXY)], "the box is the picture's"),
    (
        f'<div class="chart"><img {BOX}/><table><tr><td>1</td></tr></table></div>',
        [("chart", "1", XYXY)],
        "the box is the picture's too",
    ),
    (f"<pre {BOX}>a\n  b</pre>", [("code", "a\n  b", XYXY)], "space in code stays"),
    (f"<table {BOX}><tr><th>a</th><td>b</td></tr><tr><td>c</td></tr></table>", [("table", "a\tb\nc", XYXY)], "cells and rows"),
    (f"<ol {BOX}><li>a</li><li>b</li></ol>", [("list", "a\nb", XYXY)], "a list with one box"),
    (
        f'<ol {BOX}><li data-bbox="1 1 2 2">a</li><li>b</li></ol>',
        [("list item", "a", [1, 1, 2, 2]), ("list item", "b", None)],
        "boxes of its items",
    ),
    (
        f'<div {BOX}><p data-bbox="1 1 2 2">a</p><p {BOX}>b</p></div>',
        [("text", "a", [1, 1, 2, 2]), ("text", "b", XYXY)],
        "a column",
    ),
    ("<section><h1>a</h1><p>b</p></section>", [("heading", "a", None), ("text", "b", None)], "a group without any box"),
    (f"<p {BOX}>a <span data-bbox='1 1 2 2'>b</span></p>", [("text", "a b", XYXY)], "a box inside a paragraph is part of it"),
    (f"loose <b>text</b><p {BOX}>x</p>", [("text", "loose text", None), ("text", "x", XYXY)], "text between the tags"),
    ("<p></p><hr><div> </div>", [], "nothing"),
    ("", [], "no reply"),
    ("Sorry, I cannot.", [("text", "Sorry, I cannot.", None)], "no HTML"),
]


@pytest.mark.parametrize(("reply", "expected", "reason"), ELEMENTS, ids=[reason for *_, reason in ELEMENTS])
@pytest.mark.parametrize(
    "wrap", ["{}", "<html><body>\n{}\n</body></html>", "```html\n<html><body>{}</body></html>\n```", "so</think>{}"]
)
def test_elements(reply, expected, reason, wrap):
    page = parse_qwenvl_html(wrap.format(reply))
    assert seen(page) == expected
    assert (page.dropped, page.truncated) == ([], False)
    assert all(element["label"] == element["category"] for element in page)


SLIPS = [
    ("<p data-bbox=10 20 300 400>x</p>", "no quotes"),
    ("<p data-bbox='10 20 300 400'>x</p>", "single quotes"),
    ('<p data-bbox="10 20 300 400>x</p>', "the closing quote is missing"),
    ('<p data-bbox=10 20 300 400">x</p>', "the opening quote is missing"),
    ('<p data-bbox="10,20,300,400">x</p>', "commas"),
    ('<p data-bbox="[10, 20, 300, 400]">x</p>', "brackets"),
    ("<p data-bbox=“10 20 300 400”>x</p>", "typographic quotes"),
    (r"<p data-bbox=\"10 20 300 400\">x</p>", "escaped, out of JSON"),
    ('<p class="pa data-bbox="10 20 300 400">x</p>', "another attribute's quote is missing"),
    ('<P DATA-BBOX="10 20 300 400">x</P>', "upper case"),
    ('<p data-bbox = "10 20 300 400" data-bbox="1 2 3 4">x</p>', "twice"),
    ('<p data-bbox="10 20 300 400">x', "no end tag, which p does not need"),
    ('<p data-bbox="10 20 300 400">x</div>', "a stray end tag"),
]


@pytest.mark.parametrize(("reply", "reason"), SLIPS, ids=[reason for _, reason in SLIPS])
def test_slips_cost_no_box(reply, reason):
    page = parse_qwenvl_html(reply)
    assert seen(page) == [("text", "x", XYXY)] and not page.dropped and not page.truncated


@pytest.mark.parametrize("formula", ["$x<y$", "a<b and c>d", "1 < 2 <= 3", "x<p", "a<<b", "<x|y>", "if i<n: s<t"])
def test_a_bare_less_than_swallows_nothing(formula):
    page = parse_qwenvl_html(f'<div class="formula" {BOX}>{formula}</div><p {BOX}>next</p>')
    assert seen(page) == [("formula", formula, XYXY), ("text", "next", XYXY)]


CUT = [
    (f"<p {BOX}>a</p><p data-bbox=\"1 2 3", 1, 1, "inside a box: it is not guessed"),
    (f"<p {BOX}>a</p><p data-bbox=\"1 2 3 4", 1, 1, "behind a box: the last number may not be whole"),
    (f"<p {BOX}>a</p><", 1, 1, "at a bracket"),
    (f"<p {BOX}>a</p></", 1, 1, "inside an end tag"),
    (f"<p {BOX}>a</p><!-- x", 1, 1, "inside a comment"),
    (f"<html><body><p {BOX}>a</p>", 1, 0, "between two elements, by the missing end of the page"),
    (f"```html\n<p {BOX}>a</p>\n", 1, 0, "the fence is not closed"),
    (f"<table {BOX}><tr><td>a</td><td>b", 1, 0, "inside a table: its cells stay"),
    (f'<div class="chart" {BOX}><img {BOX}/>', 1, 0, "inside a figure"),
    ("<think>it is a menu", 0, 1, "while thinking"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "left", "lost", "reason"), CUT, ids=[reason for *_, reason in CUT])
def test_a_cut_off_reply(reply, left, lost, reason):
    page = parse_qwenvl_html(reply)
    assert (len(page.boxed), len(page.dropped), page.truncated) == (left, lost, True)


WHOLE = "<html><body>" + "".join(reply for reply, *_ in ELEMENTS[:18]) + "</body></html>"


@pytest.mark.parametrize("cut", range(0, len(WHOLE), 7))
def test_cut_anywhere_what_was_read_is_the_beginning(cut):
    page, whole = parse_qwenvl_html(WHOLE[:cut]), parse_qwenvl_html(WHOLE)
    assert page.truncated or not page
    assert seen(page)[:-1] == seen(whole)[: max(0, len(page) - 1)], "all but the last are as they were"
    assert all(element["bbox_2d"] in ([1, 1, 2, 2], XYXY) for element in page.boxed), "no number is made up"


@pytest.mark.parametrize("numbers", ["1 2 3", "1 2 3 4 5", "", "a b c d", "[[1, 2], [3, 4], [5, 6], [7, 8]]", "1 2 3 nan"])
def test_a_box_that_is_none_is_reported(numbers):
    page = parse_qwenvl_html(f'<h1 data-bbox="{numbers}">x</h1><p {BOX}>y</p>')
    assert seen(page) == [("heading", "x", None), ("text", "y", XYXY)] and page.unboxed == page[:1]
    assert page.dropped == [f"the box of a heading must be four numbers, got {numbers!r}"]


def test_talk_around_is_left_out_and_reported():
    for reply in (f"Here:\n```html\n<p {BOX}>a</p>\n```\nBye", f"Here: <html><p {BOX}>a</p></html> Bye"):
        page = parse_qwenvl_html(reply)
        assert seen(page) == [("text", "a", XYXY)] and not page.truncated
        assert page.dropped == ["text around the html: 'Here: Bye'"]


def test_with_a_size_boxes_are_pixels():
    assert parse_qwenvl_html(f"<p {BOX}>x</p>", (500, 2000))[0]["bbox_2d"] == [5, 40, 150, 800]
    assert parse_qwenvl_html(f"<p {BOX}>x</p>", (999, 999), grid=999)[0]["bbox_2d"] == XYXY
    assert parse_qwenvl_html('<p data-bbox="10.5 20 -3 1200">x</p>')[0]["bbox_2d"] == [10.5, 20, -3, 1200], "as the reply has it"


def test_what_is_read_can_be_drawn():
    page = Image.new("RGB", (200, 300), "white")
    drawn = draw_boxes(page, parse_qwenvl_html(f"<p {BOX}>x</p><p>no box</p>", page.size).boxed)
    assert drawn.tobytes() != page.tobytes()


@given(st.text(alphabet="<>/=\"' pdivtableimg-bbox123&;!`#|\n", max_size=200))
def test_no_text_makes_the_readers_raise(text):
    for read in (parse_qwenvl_html, parse_qwenvl_markdown):
        assert isinstance(read(text), Elements)
    clean_html(text)


HEAVY = [
    "<div>" * 50_000,
    "<" * 50_000,
    "<b>" * 20_000,
    "<table><td>" * 5_000,
    "<ul><li>" * 5_000,
    "<a " * 20_000,
    "```\n" + "\n" * 20_000,
]


@pytest.mark.parametrize("text", HEAVY, ids=[text[:8] for text in HEAVY])
def test_no_text_takes_long(text):
    start = time.process_time()
    for read in (parse_qwenvl_html, parse_qwenvl_markdown, clean_html):
        read(text)
    assert time.process_time() - start < 8


# --- HTML that is safe ----------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>hit('script')</script>",
    "<img src=x onerror=\"hit('onerror')\">",
    "<img src='http://127.0.0.1:9/img'>",
    "<svg onload=\"hit('svg')\"><script>hit('svg script')</script></svg>",
    "<a href=\"javascript:hit('href')\" id=go>x</a>",
    "<iframe srcdoc=\"<script>parent.hit('srcdoc')</script>\"></iframe>",
    "<iframe src='http://127.0.0.1:9/frame'></iframe>",
    "<p style=\"background:url('http://127.0.0.1:9/css')\">x</p>",
    "<style>@import 'http://127.0.0.1:9/import'; p { background: url(http://127.0.0.1:9/rule) }</style>",
    "<link rel=stylesheet href='http://127.0.0.1:9/link'><base href='http://127.0.0.1:9/'><meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "<form action='http://127.0.0.1:9/form'><button autofocus onfocus=\"hit('focus')\">x</button></form>",
    "<video poster='http://127.0.0.1:9/poster'><source src='http://127.0.0.1:9/v' onerror=\"hit('source')\"></video>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=hit('mxss')&gt;\">",
    "<noscript><p title=\"</noscript><img src=x onerror=hit('noscript')>\">",
    "<p data-bbox=\"1 2 3 4\"><img/src='x'/onerror=hit('slash')></p>",
    "<details open ontoggle=hit('toggle')>x</details><input autofocus onfocus=hit('input')>",
    "<table background='http://127.0.0.1:9/table'><td background='http://127.0.0.1:9/td'>x</table>",
    '<p class="x data-bbox="1 2 3 4" onmouseover="hit(\'over\')">x</p>',
    "<!--><img src=x onerror=hit('comment')>-->",
    "<a<b and <img src=x onerror=hit('bare')> c>d",
]


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="the browser is driven by Playwright")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync.sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except sync.Error as error:
            pytest.skip(f"no working Chromium: {error}")
        yield chromium
        chromium.close()


def hits(browser, content: str) -> list[str]:
    """What a page does that it should not: scripts that ran, and addresses that it asked for."""
    page, found = browser.new_page(), []
    page.on("request", lambda request: found.append(request.url) if request.url != "http://page.test/" else None)
    page.expose_function("hit", lambda what: found.append(what))
    page.route(
        "**/*",
        lambda route: (
            route.fulfill(body=content, content_type="text/html") if route.request.url == "http://page.test/" else route.abort()
        ),
    )
    with suppress(Exception):
        page.goto("http://page.test/", wait_until="load")
        page.evaluate("document.querySelectorAll('a, p').forEach(e => { e.click(); e.dispatchEvent(new Event('mouseover')) })")
        page.wait_for_timeout(150)
    page.close()
    return found


def test_the_browser_would_notice(browser):
    assert hits(browser, HOSTILE[0]) == ["script"] and hits(browser, HOSTILE[2]) == ["http://127.0.0.1:9/img"]


@pytest.mark.parametrize("keep_layout", [False, True])
def test_cleaned_html_does_nothing_in_a_browser(browser, keep_layout):
    cleaned = [clean_html(text, keep_layout=keep_layout) for text in HOSTILE]
    cleaned += [element["html"] for text in HOSTILE for element in parse_qwenvl_html(text)]
    assert hits(browser, "".join(f"<div>{text}</div>" for text in cleaned)) == []


@pytest.mark.parametrize(("reply", "cleaned", "reason"), [
    ('<html><body><p class="a" data-bbox="1 2 3 4">x</p></body></html>', "<p>x</p>", "layout goes"),
    ("```html\n<p>x</p>\n```", "<p>x</p>", "a fence goes"),
    ("<p>x<!-- y --></p>", "<p>x</p>", "a comment goes"),
    ('<td>1</td><table><tr><td rowspan="2" width="9">x', '1<table><tbody><tr><td rowspan="2">x</td></tr></tbody></table>', "spans stay"),
    ("<p>1 < 2 & 3</p>", "<p>1 &lt; 2 &amp; 3</p>", "text stays"),
    ('<a href="https://example.org">x</a>', "<a>x</a>", "a link loses its target"),
    ("<p>x<b>y", "<p>x<b>y</b></p>", "what is cut off is closed"),
])  # fmt: skip
def test_clean_html(reply, cleaned, reason):
    assert clean_html(reply) == cleaned, reason


def test_layout_is_kept_on_request():
    assert clean_html(f'<p class="a" id="b" {BOX}>x</p>', keep_layout=True) == f'<p class="a" {BOX}>x</p>'


def test_the_html_of_an_element_is_its_own():
    page = parse_qwenvl_html(f'<p {BOX}>a &lt;b&gt; "c"</p><div class="image" {BOX}><img {BOX} src="x"></div>')
    assert [element["html"] for element in page] == [
        f'<p {BOX}>a &lt;b&gt; "c"</p>',
        f'<div class="image" {BOX}><img {BOX}></div>',
    ]
    assert html.unescape(page[0]["html"]).endswith('a <b> "c"</p>')


# --- Markdown -------------------------------------------------------------------------------------------------------

TABULAR = "\\begin{tabular}{|c|c|}\n\\hline A & B \\\\\n\n\\hline\n\\end{tabular}"
MARKDOWN = [
    ("# Menu\nTea\nand cake\n\nMore", [("heading", "Menu", None), ("text", "Tea\nand cake", None), ("text", "More", None)], "headings and paragraphs"),
    ("a\n\n<!-- Image (10, 20, 300, 400) -->\n\nb", [("text", "a", None), ("image", "", XYXY), ("text", "b", None)], "a figure stands alone"),
    (f"<!-- Table (10, 20, 300, 400) -->\n{TABULAR}\nafter", [("table", TABULAR, XYXY), ("text", "after", None)], "a LaTeX table"),
    ("<!-- Table (10,20,300,400) -->\n\n| a |\n|---|\n| b |", [("table", "| a |\n|---|\n| b |", XYXY)], "pipes, behind an empty line"),
    ("<!--Table(10 20 300 400)--><table><tr><td>a\n\nb</table>", [("table", "<table><tr><td>a\n\nb</table>", XYXY)], "HTML"),
    ("<!-- Table (10, 20, 300, 400) -->\n\nNo table.", [("table", "", XYXY), ("text", "No table.", None)], "a table without rows"),
    ("<!-- Image (10, 20, 300, 400) -->\n![dog](a.png)", [("image", "![dog](a.png)", XYXY)], "a figure with its Markdown"),
    ("<!-- Formula (10, 20, 300, 400) -->\n$$\nx\n\ny\n$$", [("formula", "$$\nx\n\ny\n$$", XYXY)], "another kind"),
    ("```python\na\n\n# b\n```\nc", [("code", "```python\na\n\n# b\n```", None), ("text", "c", None)], "code with an empty line"),
    ("text\n| a | b |\nmore", [("text", "text", None), ("table", "| a | b |", None), ("text", "more", None)], "a table between lines"),
    ("- a\n- b\n\n1. c", [("list", "- a\n- b", None), ("list", "1. c", None)], "lists"),
    ("#hashtag", [("text", "#hashtag", None)], "no heading without a space"),
    ("<!-- a remark -->", [("text", "<!-- a remark -->", None)], "a comment without a box is text"),
    ("", [], "nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "expected", "reason"), MARKDOWN, ids=[reason for *_, reason in MARKDOWN])
@pytest.mark.parametrize("wrap", ["{}", "```markdown\n{}\n```", "so</think>{}"])
def test_markdown(reply, expected, reason, wrap):
    page = parse_qwenvl_markdown(wrap.format(reply))
    assert seen(page) == expected and not page.dropped and not page.truncated


@pytest.mark.parametrize(("reply", "found", "lost", "reason"), [
    ("a\n\n<!-- Table (10, 20, 30", [("text", "a", None)], 1, "inside a box"),
    (f"<!-- Table (10, 20, 300, 400) -->\n{TABULAR[:29]}", [("table", TABULAR[:29], XYXY)], 0, "inside a table"),
    ("```python\na\n\nb", [("code", "```python\na\n\nb", None)], 0, "inside code"),
    ("```markdown\na\n", [("text", "a", None)], 0, "the fence is not closed"),
])  # fmt: skip
def test_cut_off_markdown(reply, found, lost, reason):
    page = parse_qwenvl_markdown(reply)
    assert (seen(page), len(page.dropped), page.truncated) == (found, lost, True)


def test_markdown_boxes_in_pixels_and_bad_ones():
    page = parse_qwenvl_markdown("<!-- Image (10, 20, 300, 400) -->\n<!-- Image (1, 2, 3) -->", (500, 2000))
    assert page[0]["bbox_2d"] == [5, 40, 150, 800] and page.unboxed == page[1:]
    assert page.dropped == ["the box of a image must be four numbers, got '1, 2, 3'"]


# --- cropping, arguments, the file alone ----------------------------------------------------------------------------


def test_crops_are_the_pixels_of_their_boxes():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 200, 3), np.uint8))
    page = [{"category": "image", "bbox_2d": [50, 10, 10, 60.5]}, {"category": "table", "bbox_2d": [-9, -9, 20, 500]}, {"category": "image"},
            {"category": "chart", "bbox_2d": [300, 0, 400, 50]}, {"category": "image", "bbox_2d": [5, 5, 5, 9]}]  # fmt: skip
    assert [cut.size for cut in crop_elements(noise, page)] == [(40, 51), (20, 100)]
    assert np.array_equal(np.asarray(crop_elements(noise, page, "image")[0]), np.asarray(noise)[10:61, 10:50])
    assert [cut.size for cut in crop_elements(noise, page, ["table", "chart"], margin=5)] == [(25, 100)]
    assert [cut.size for cut in crop_elements(noise, [{"bbox_2d": [0, 0, 500, 1000]}], grid=1000)] == [(100, 100)]


def test_a_crop_is_upright_and_its_page_untouched():
    page = Image.new("L", (40, 20))
    page.getexif()[0x0112] = 6
    cut = crop_elements(page, [{"bbox_2d": [0, 0, 99, 99]}])[0]
    assert (cut.size, cut.mode, page.size, page.mode) == ((20, 40), "RGB", (40, 20), "L")


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: parse_qwenvl_html(None), TypeError, "^text must be a str"),
    (lambda: parse_qwenvl_markdown(7), TypeError, "^text must be a str"),
    (lambda: clean_html(b"x"), TypeError, "^text must be a str"),
    (lambda: parse_qwenvl_html("", (0, 5)), ValueError, "^size must be"),
    (lambda: parse_qwenvl_markdown("", 5), ValueError, "^size must be"),
    (lambda: parse_qwenvl_html("", grid=0), ValueError, "^grid must be"),
    (lambda: crop_elements("a.png", []), TypeError, "^image must be a PIL picture"),
    (lambda: crop_elements(Image.new("L", (9, 9)), [], margin=-1), ValueError, "^margin must be"),
])  # fmt: skip
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_the_file_can_be_copied_alone(tmp_path):
    shutil.copy(documents.__file__, tmp_path / "mine.py")
    code = (
        "import sys; sys.path.insert(0, '.'); import mine\n"
        "print(mine.parse_qwenvl_html('<p>a</p>')[0]['text'], [name for name in sys.modules if name.startswith('cookbook')])"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "a []", run.stderr
    assert "cookbook_utils" not in Path(documents.__file__).read_text(encoding="utf-8")
