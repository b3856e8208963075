"""Pages and articles: the truth against the pixels, and every answer against the truth."""

import json
import re
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest
from supervision import check_supervision

from cookbook_utils.coordinates import iou, to_grid
from cookbook_utils.parsing import extract_code, parse_boxes, parse_json
from cookbook_utils.tiny import dense, page_tasks, pages
from cookbook_utils.tiny.page_paper import APART, Paper, new_paper, photograph, turned
from cookbook_utils.tiny.page_words import CHINESE
from cookbook_utils.tiny.samples import Glyph
from cookbook_utils.tiny.typesetting import Font, Line, chinese_face, letter

KINDS = [*pages.KINDS_OF_PAGES, *pages.OTHER_PAGES]
LONG = {"read_all", "spot_lines", "spot_words", "html", "markdown", "layout", "list_items", "wire_html"}


@cache
def page_of(kind, seed, size=(256, 352), level=1.0, **options):
    return pages.render(np.random.default_rng([21, seed]), size, level, kind=kind, **options)


def flat_page(kind, seed, size=(256, 352)):
    """A page as it comes from the press: not turned, not worn."""
    rng = np.random.default_rng([22, seed])
    paper = new_paper(rng, size, apart=APART)
    pages.KINDS_OF_PAGES[kind](paper, rng, 14)
    return paper, paper.finish(kind)


def samples(count=40, level=1.0):
    sizes = list(page_tasks.SIZES)
    return [page_tasks.make(np.random.default_rng([23, i]), sizes[i % len(sizes)], level) for i in range(count)]


def turns_of(task, kinds=KINDS, count=6):
    """Questions of one task on pages of all kinds that allow it."""
    made = []
    for kind in kinds:
        for seed in range(count):
            page = page_of(kind, seed)
            asked = page_tasks.ask(page, np.random.default_rng(seed), task)
            made += [(page, asked)] if asked else []
    assert made, "no page allowed the question"
    return made


# --- what is drawn ---------------------------------------------------------------------------


def test_a_seed_gives_the_same_page_again():
    first, again = (page_of("receipt", 5) for _ in range(2))
    assert first.image.tobytes() == again.image.tobytes() and first.truth() == again.truth()


@pytest.mark.parametrize("kind", KINDS)
def test_a_larger_scale_has_the_same_layout(kind):
    small, large = page_of(kind, 3), page_of(kind, 3, scale=3)
    assert large.size == (3 * small.size[0], 3 * small.size[1])
    assert [line.text for line in small.lines] == [line.text for line in large.lines]
    for a, b in zip(small.regions, large.regions, strict=True):
        np.testing.assert_allclose(to_grid(a.box_xyxy, small.size), to_grid(b.box_xyxy, large.size), atol=1)
    resized = large.image.resize(small.size)
    assert np.abs(np.asarray(resized, int) - np.asarray(small.image, int)).mean() < 12


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_drawn_large_and_made_smaller_is_where_the_small_one_is(kind):
    small, shrunk = page_of(kind, 3), page_of(kind, 3, scale=2, shrinks=True)
    assert shrunk.truth() == small.truth() and shrunk.size == small.size
    assert shrunk.image.tobytes() != small.image.tobytes()
    assert np.abs(np.asarray(shrunk.image, int) - np.asarray(small.image, int)).mean() < 12


@pytest.mark.parametrize("kind", ["words", "card", "label", "receipt", "menu"])
def test_a_lines_box_is_tight_around_its_ink(kind):
    for seed in range(6):
        paper, page = flat_page(kind, seed)
        inked = np.abs(np.asarray(page.image, int) - np.array(paper.paper)).max(2) > 90
        for line in page.lines:
            x1, y1, x2, y2 = (round(v) for v in line.box_xyxy)
            around = inked[y1 - 2 : y2 + 2, x1 - 2 : x2 + 2]  # nothing else is written that close
            rows, columns = np.flatnonzero(around.any(1)), np.flatnonzero(around.any(0))
            seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            assert np.abs(np.subtract(seen, [2, 2, 2 + x2 - x1, 2 + y2 - y1])).max() <= 1, line.text


def test_each_letter_is_the_one_that_lies_in_its_box():
    paper, page = flat_page("receipt", 1)
    candidates = "ABCDEFGHKLMNPRSTabcdefghkmnprstuwxyz23456789"
    dark = 255 - np.asarray(page.image.convert("L"), int)
    line = page.lines[1]
    for glyph in line.glyphs:
        if glyph.character not in candidates:
            continue
        x1, y1, x2, y2 = (round(v) for v in glyph.box_xyxy)
        cut = dark[y1:y2, x1:x2]
        misfit = {c: misfit_of(cut, paper.font, c) for c in candidates}
        assert min(misfit, key=misfit.get) == glyph.character


def misfit_of(cut, font, character):
    """How far a cell is from holding a letter: the mean difference after both are stretched to the same range."""
    drawn = letter(font.face, font.size, character)
    if abs(drawn.ink[2] - drawn.ink[0] - cut.shape[1]) > 1:
        return np.inf
    cell, mask = np.zeros(cut.shape), np.asarray(drawn.mask, float)
    top, left = font.ascent + drawn.top, drawn.left - drawn.ink[0]
    mask = mask[max(0, -top) :, max(0, -left) :][: cut.shape[0] - max(top, 0), : cut.shape[1] - max(left, 0)]
    cell[max(top, 0) :, max(left, 0) :][: mask.shape[0], : mask.shape[1]] = mask
    return np.abs((cut - cut.min()) / np.ptp(cut) - cell / max(cell.max(), 1)).mean()


@pytest.mark.parametrize("degrees", [-8.0, -2.5, 0.0, 3.0, 7.5])
def test_turned_boxes_lie_where_the_turned_ink_lies(degrees):
    paper = Paper((256, 192), paper=(255, 255, 255), margin=60)
    paper.line("Hamburg 42", font=Font("DejaVuSans-Bold", 20))
    paper.y += 40
    paper.line("Exit", align="right")
    photograph(np.random.default_rng(0), paper, turn=degrees, wear=0.0)
    page = paper.finish("words", degrees)
    dark = np.asarray(page.image.convert("L")) < 130
    for line in page.lines:
        x1, y1, x2, y2 = (round(v) for v in line.box_xyxy)
        around = dark[y1 - 4 : y2 + 4, x1 - 4 : x2 + 4]
        rows, columns = np.flatnonzero(around.any(1)), np.flatnonzero(around.any(0))
        seen = [columns[0] + x1 - 4, rows[0] + y1 - 4, columns[-1] + x1 - 3, rows[-1] + y1 - 3]
        assert np.abs(np.subtract(seen, line.box_xyxy)).max() <= 2.5


def test_turning_by_nothing_and_by_half_a_circle():
    box = np.array([[10.0, 20, 30, 60]])
    np.testing.assert_allclose(turned(box, (100, 80), 0.0), box)
    np.testing.assert_allclose(turned(box, (100, 80), 180.0), [[70, 20, 90, 60]])


@pytest.mark.parametrize("size", list(page_tasks.SIZES))
@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_everything_lies_inside_the_picture_and_apart(size, level):
    for seed in range(12):
        page = pages.render(np.random.default_rng([24, seed]), size, level)
        boxes = np.array([glyph.box_xyxy for glyph in page.glyphs])
        assert boxes[:, :2].min() >= 0 and boxes[:, 2].max() <= size[0] and boxes[:, 3].max() <= size[1], (page.kind, seed)
        apart = iou(boxes, boxes) - np.eye(len(boxes))
        assert apart.max() < 0.3, (page.kind, seed, "letters on top of each other")


@pytest.mark.parametrize("kind", list(pages.KINDS_OF_PAGES))
@pytest.mark.parametrize("size", [(256, 128), (256, 256), (256, 352), (352, 256), (384, 512)])
def test_every_kind_fits_every_size(kind, size):
    for seed in range(3):
        page = page_of(kind, seed, size)
        assert page.lines and max(glyph.box_xyxy[2] for glyph in page.glyphs) <= size[0], kind
        if size != (256, 128):  # where a receipt may run off the lower edge
            assert max(glyph.box_xyxy[3] for glyph in page.glyphs) <= size[1] + 1, kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_visual_token_holds_letters_of_one_line(kind):
    tokens = []
    for size in page_tasks.SIZES:
        for seed in range(3):
            page = page_of(kind, seed, size)
            lines = dense.glyph_targets(page.glyphs, page.size)[1].reshape(-1, 4)  # of the four patches of each token
            tokens += [len(here) > 1 for here in (set(row[row != dense.IGNORE].tolist()) for row in lines) if here]
    assert len(tokens) > 100 and np.mean(tokens) < (0.05 if kind in ("chart", "sign") else 0.01)  # values beside an axis, turned signs


@pytest.mark.parametrize(
    ("options", "message"), [({"level": 1.5}, "level must be"), ({"kind": "poster"}, "kind must be one of words")]
)
def test_an_impossible_page_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        pages.render(np.random.default_rng(0), (256, 256), **options)


def test_sums_on_receipts_and_invoices_are_right():
    for kind in ("receipt", "invoice"):
        for seed in range(15):
            truth = page_of(kind, seed).truth()
            fields = truth["fields"]
            assert float(fields["total"]) == pytest.approx(sum(float(price) for _, price in truth["items"]), abs=0.006)
            if "change" in fields:
                assert float(fields["cash"]) - float(fields["total"]) == pytest.approx(float(fields["change"]), abs=0.011)


def test_blocks_of_an_article_hold_their_lines_and_do_not_overlap():
    for seed in range(15):
        page = page_of("article", seed, (384, 512))
        boxes = np.array([block.box_xyxy for block in page.blocks])
        assert (iou(boxes, boxes) - np.eye(len(boxes))).max() == 0
        assert [line for block in page.blocks for line in block.lines] == page.lines
        for block in page.blocks:
            x1, y1, x2, y2 = block.box_xyxy
            assert all(
                x1 <= l.box_xyxy[0] and y1 <= l.box_xyxy[1] and l.box_xyxy[2] <= x2 and l.box_xyxy[3] <= y2 for l in block.lines
            )


@pytest.mark.skipif(not chinese_face(), reason="no font with Chinese characters is installed")
def test_chinese_words_are_written_where_a_font_has_them():
    written = [line.text for seed in range(40) for line in page_of("words", seed, system_fonts=True).lines]
    assert any(text in CHINESE for text in written)
    assert not any(line.text in CHINESE for seed in range(15) for line in page_of("words", seed).lines)


# --- what is asked ---------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_questions_point_at_what_they_speak_of(level):
    for sample in samples(30, level):
        check_supervision(sample)
        assert len({turn.prompt for turn in sample.turns}) == len(sample.turns) >= 4


def test_read_text_points_at_every_letter():
    for page, turn in turns_of(page_tasks.read_all, ["words", "sign", "receipt"]):
        glyphs = [region for _, region in turn.shown if isinstance(region, Glyph)]
        assert "".join(glyph.character for glyph in glyphs) == re.sub(r"\s", "", turn.answer)
        assert glyphs == page.glyphs


def test_short_answers_are_short():
    for sample in samples(40):
        assert all(len(turn.answer) <= 250 or turn.task in LONG for turn in sample.turns)


def test_one_question_has_one_answer():
    for kind in KINDS:
        page, answers = page_of(kind, 2), {}
        for seed in range(60):
            turn = page_tasks.ask(page, np.random.default_rng(seed))
            assert answers.setdefault(turn.prompt, turn.answer) == turn.answer, turn.prompt


@pytest.mark.parametrize("task", [page_tasks.spot_lines, page_tasks.spot_words, page_tasks.find_text])
def test_spotted_text_lies_on_its_line(task):
    for page, turn in turns_of(task, count=3):
        items = parse_boxes(turn.answer, page.size, strict=True)
        assert not items.dropped and len(items) == len(turn.expect["items"]) > 0
        for item in items:
            inside = [line for line in page.lines if item["text_content"] in line.text]
            overlap = [iou([item["bbox_2d"]], [line.box_xyxy])[0, 0] > 0 for line in inside]
            assert any(overlap), item


def test_a_text_that_is_asked_for_stands_for_its_line_or_for_its_letters():
    kinds = set()
    for page, turn in turns_of(page_tasks.find_text):
        (phrase, found), *_ = turn.mentions
        kinds.add(type(found[0]))
        texts = [found[0].text] if isinstance(found[0], Line) else ["".join(glyph.character for glyph in found)]
        assert texts == [phrase.strip('"') if isinstance(found[0], Line) else phrase.strip('"').replace(" ", "")]
    assert kinds == {Line, Glyph}


def test_an_absent_text_is_absent_and_answered_with_an_empty_list():
    for page, turn in turns_of(page_tasks.find_absent):
        (phrase, found), *_ = turn.mentions
        assert not found and parse_boxes(turn.answer) == [] and "[]" in turn.answer
        assert phrase.strip('"').lower() not in page_tasks.everything(page)


def test_presence_agrees_with_the_page():
    answers = set()
    for page, turn in turns_of(page_tasks.has_text):
        text = re.search('"(.*)"', turn.prompt)[1].lower()
        answers.add(turn.answer)
        assert (turn.answer == "Yes") == (text in page_tasks.everything(page))
    assert answers == {"Yes", "No"}


def test_key_information_is_json_with_null_for_what_is_absent():
    absent = 0
    for page, turn in turns_of(page_tasks.key_info):
        fields = parse_json(turn.answer, strict=True)
        known = page.truth()["fields"]
        absent += sum(value is None for value in fields.values())
        assert fields == turn.expect["fields"] == {key: known.get(key) for key in fields}
        assert all(key in turn.prompt for key in fields)
    assert absent > 10


@pytest.mark.parametrize("task", [page_tasks.ask_item, page_tasks.extreme_item, page_tasks.count_items, page_tasks.list_items])
def test_items_are_told_right(task):
    for page, turn in turns_of(task, ["receipt", "invoice", "menu", "departures"], 10):
        items = page.truth()["items"]
        if task is page_tasks.list_items:
            assert [list(row.values()) for row in json.loads(extract_code(turn.answer))] == items
        elif task is page_tasks.count_items:
            assert int(turn.answer) == len(items)
        elif task is page_tasks.extreme_item:
            order = [v for _, v in sorted((v if ":" in v else v.zfill(9), n) for n, v in items)]
            assert turn.answer == order[-1 if re.search("most|last", turn.prompt) else 0]
            value = next(value for name, value in page.items if name.text == turn.answer)
            assert turn.mentions[0][1] == value.glyphs[:1]
        else:
            assert any(turn.answer in item and (set(item) - {turn.answer}).pop() in turn.prompt for item in items)


def test_a_region_reads_as_what_lies_in_it():
    for page, turn in turns_of(page_tasks.read_region, ["receipt", "sign", "article"]):
        box = np.array(turn.expect["bbox_2d"]) * np.tile(page.size, 2) / 1000
        middles = [(line.text, np.add(line.box_xyxy[:2], line.box_xyxy[2:]) / 2) for line in page.lines]
        inside = [text for text, middle in middles if (box[:2] < middle).all() and (middle < box[2:]).all()]
        assert turn.answer == " ".join(inside)


# --- whole articles --------------------------------------------------------------------------


class Elements(HTMLParser):
    """Boxes and texts of the elements that have a `data-bbox`, and which tags were left open."""

    def __init__(self):
        super().__init__()
        self.found, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        if "data-bbox" in dict(attributes):
            self.found.append([tag, [int(v) for v in dict(attributes)["data-bbox"].split()], ""])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.found and data.strip():
            self.found[-1][2] += " " * bool(self.found[-1][2]) + data


def test_html_is_well_formed_and_has_every_block():
    for page, turn in turns_of(page_tasks.html, ["article"], 20):
        elements = Elements()
        elements.feed(extract_code(turn.answer, "html"))
        assert not elements.open
        assert [(box, text) for _, box, text in elements.found] == [(b["bbox_2d"], b["text"]) for b in turn.expect["blocks"]]
        np.testing.assert_allclose([box for _, box, _ in elements.found], to_grid([b.box_xyxy for b in page.blocks], page.size))


def test_markdown_has_every_text_and_the_boxes_of_tables_and_images():
    for _, turn in turns_of(page_tasks.markdown, ["article"], 20):
        boxes = [[int(v) for v in found.split(", ")] for found in re.findall(r"<!-- (?:Image|Table) \((.*?)\) -->", turn.answer)]
        blocks = turn.expect["blocks"]
        assert boxes == [b["bbox_2d"] for b in blocks if b["kind"] in ("image", "table")]
        assert all(b["text"] in turn.answer for b in blocks if b["kind"] in ("heading", "text", "caption", "footer"))
        rows = [row.removesuffix(" \\\\").split(" & ") for row in turn.answer.splitlines() if row.endswith(" \\\\")]
        assert rows == [row for b in blocks if b["kind"] == "table" for row in b["rows"]]
