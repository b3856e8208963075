"""The pages in the assets: they are what the command renders, and every line, block and question is where its row says."""

import json

import numpy as np
import pytest
from PIL import Image

from cookbook_utils import compare_images, pdf_pages, pdf_sizes, render_html, run_python
from cookbook_utils.tiny import page_files

FOLDER = page_files.FOLDER
STORED = {name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
          for name in ("pages", "articles", "charts", "wireframes", "report")}  # fmt: skip
PICTURES = [row for name in ("pages", "articles", "charts", "wireframes") for row in STORED[name]]


@pytest.mark.parametrize(("name", "index", "make"), [
    ("pages", 3, lambda: page_files.page_row(3, page_files.drawn(0, 3, page_files.HIGH, "receipt"))),
    ("articles", 2, lambda: page_files.article_row(2, page_files.drawn(2, 2, page_files.HIGH, "article"))),
    ("charts", 1, lambda: page_files.chart_row(1, page_files.chart_of(1))),
    ("wireframes", 0, lambda: page_files.wireframe_row(0, page_files.drawn(4, 0, page_files.HIGH, "wireframe"))),
])  # fmt: skip
def test_a_page_comes_out_as_it_is_stored(monkeypatch, tmp_path, name, index, make):
    monkeypatch.setattr(page_files, "FOLDER", tmp_path)
    stored = STORED[name][index]
    assert json.loads(json.dumps(make())) == stored
    ours, theirs = (np.asarray(Image.open(folder / stored["file"]), int) for folder in (tmp_path, FOLDER))
    assert abs(ours - theirs).mean() < 3


@pytest.mark.parametrize("row", PICTURES, ids=lambda row: row["file"])
def test_a_picture_has_its_size_and_its_boxes_lie_in_it(row):
    width, height = row["size"]
    assert Image.open(FOLDER / row["file"]).size == (width, height)
    for part in [*row.get("lines", []), *row.get("blocks", [])]:
        x1, y1, x2, y2 = part["bbox_2d"]
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height


@pytest.mark.parametrize("row", STORED["pages"], ids=lambda row: row["file"])
def test_something_is_written_in_each_line(row):
    grey = np.asarray(Image.open(FOLDER / row["file"]).convert("L"), float)
    inside = [grey[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1].std() for x1, y1, x2, y2 in (line["bbox_2d"] for line in row["lines"])]
    assert min(inside) > 12


def test_the_fields_are_written_on_the_page():
    for row in STORED["pages"]:
        text = "\n".join(line["text_content"] for line in row["lines"])
        assert all(value in text for value in row["fields"].values() if value)


def test_there_is_a_field_without_a_value_and_a_chinese_line():
    assert any(value is None for row in STORED["pages"] for value in row["fields"].values())
    assert any(not line["text_content"].isascii() for row in STORED["pages"] for line in row["lines"])


@pytest.mark.parametrize("row", STORED["charts"][:4], ids=lambda row: row["kind"])
def test_a_charts_code_draws_a_chart_like_it(row):
    result = run_python(row["code"], collect_figures=True)
    assert result.ok and len(result.figures) == 1
    assert all(str(value) in row["code"] for value in row["values"])


def test_a_wireframes_html_looks_like_it():
    likeness = [[compare_images(Image.open(FOLDER / row["file"]), render_html(other["styled"], (256, 352)))["structure"]
                 for other in STORED["wireframes"][:3]] for row in STORED["wireframes"][:3]]  # fmt: skip
    assert [int(np.argmax(line)) for line in likeness] == [0, 1, 2]


def test_the_pdfs_have_their_pages():
    assert len(pdf_sizes(FOLDER / "articles.pdf")) == page_files.IN_PDF
    assert len(pdf_sizes(FOLDER / "report.pdf")) == page_files.LONG == len(STORED["report"]) - 1
    page, stored = pdf_pages(FOLDER / "articles.pdf", pages=[2])[0], Image.open(FOLDER / "article_01.jpg")
    assert page.size == stored.size and abs(np.asarray(page, int) - np.asarray(stored, int)).mean() < 4


def test_the_reports_questions_lead_to_their_pages():
    for row in STORED["report"][:-1]:
        assert all(question["page"] == row["page"] for question in row["questions"])
    asked = [question for row in STORED["report"] for question in row["questions"]]
    assert len(asked) >= 15 and len({question["prompt"] for question in asked}) == len(asked)
    absent = [question for question in STORED["report"][-1]["questions"] if question["task"] == "page_of_absent"]
    assert absent and all(question["answer"] == "none" for question in absent)
