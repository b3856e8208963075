"""Documents of several pages: the numbers of their pages, and every answer against the truth."""

import re

import numpy as np
import pytest
from supervision import check_supervision
from transformers import AutoProcessor

from cookbook_utils.models import TINY_FOLDER
from cookbook_utils.tiny import dense, page_documents
from cookbook_utils.tiny.families import FAMILIES
from cookbook_utils.tiny.packing import Packer


def test_a_document_drawn_large_and_made_smaller_is_where_the_small_one_is():
    small, shrunk = (page_documents.render_document(np.random.default_rng(2), 2, **options) for options in ({}, {"scale": 2, "shrinks": True}))
    assert [page.truth() for page in shrunk.pages] == [page.truth() for page in small.pages]
    assert [page.size for page in shrunk.pages] == [(256, 256)] * 2


@pytest.mark.parametrize("pages_", [2, 12, 20])
def test_a_document_has_its_pages_and_answers_name_them(pages_):
    sample = page_documents.make_document(np.random.default_rng(pages_), pages_, first=1)
    check_supervision(sample)
    assert len(sample.pictures) == pages_ and {glyph.page for glyph in sample.glyphs} == set(range(pages_))
    assert {region.page for region in sample.regions} == set(range(pages_))
    assert dense.targets_of([sample]).number.tolist() == [[number // 10, number % 10] for number in range(1, pages_ + 1)]


def test_the_number_of_a_page_is_looked_up_where_the_question_names_what_it_looks_for():
    packer = Packer(AutoProcessor.from_pretrained(TINY_FOLDER.with_name("tiny_pages")).tokenizer)
    document = page_documents.render_document(np.random.default_rng(3), 3, first=11)
    turn = page_documents.ask(document, np.random.default_rng(3), page_documents.page_of_heading)
    row = packer.row(page_documents.sample_of(document, [turn]), np.random.default_rng(0), (8, 8), 448)
    heading = turn.mentions[0][0]
    read = [packer.tokenizer.decode(row["ids"][at + 1]) for at, _, _ in row["rest"]]
    assert read == [*turn.answer, "<|im_end|>"]  # one token a digit
    for _, key, share in row["rest"]:
        assert share == 1 and packer.tokenizer.decode(row["ids"][key - 40 : key + 1]).rstrip("?").endswith(heading)
        assert {at for at, _, _ in row["read"]} == {key}


def test_each_of_several_texts_is_looked_up_by_its_own_phrase():
    packer = Packer(AutoProcessor.from_pretrained(TINY_FOLDER.with_name("tiny_pages")).tokenizer)
    document, absent = page_documents.render_document(np.random.default_rng(5), 6, first=3), 0
    for seed in range(20):
        turn = page_documents.pages_of_several(document, np.random.default_rng(seed))
        answers = turn.answer.split(", ")
        for (phrase, glyphs), answer in zip(turn.mentions, answers, strict=True):
            if not phrase.startswith('"'):
                (index,) = [glyph.page for glyph in glyphs] or [None]
                assert answer == ("none" if index is None else document.numbers[index].text)
                assert not glyphs or phrase == f"a picture of {glyphs[0].name}"
                continue
            text = phrase.strip('"').lower()
            on = [row.text for page, row in zip(document.pages, document.numbers, strict=True) if text in "\n".join(x.text for x in page.lines).lower()]
            assert (on or ["none"]) == [answer] and bool(on) == bool(glyphs)
            assert "".join(glyph.character for glyph in glyphs).lower() == (text.replace(" ", "") if on else "")
        row = packer.row(page_documents.sample_of(document, [turn]), np.random.default_rng(0), (8, 8), 800)
        looked = {}
        for at, key, _ in row["rest"]:
            looked[key] = looked.get(key, "") + packer.tokenizer.decode(row["ids"][at + 1])
        for key, (phrase, _) in zip([key for key in looked if key], turn.mentions, strict=True):
            assert packer.tokenizer.decode(row["ids"][: key + 1]).rstrip(",? ").endswith(phrase)
        assert [part.strip(", ") for key, part in looked.items() if key] == answers
        absent += answers.count("none")
    assert absent


def test_the_page_that_is_named_holds_what_was_asked_for():
    for seed in range(40):
        document = page_documents.render_document(np.random.default_rng(seed), 4)
        turn = page_documents.ask(document, np.random.default_rng(seed))
        truth, page = {row["page"]: row for row in document.truth()}, turn.expect.get("page")
        quoted = re.search('"([^"]*)"', turn.prompt)
        texts = {
            int(n.text): "\n".join(line.text for line in p.lines) for n, p in zip(document.numbers, document.pages, strict=True)
        }
        if turn.task in ("page_of_heading", "page_of_text", "fact_of_section"):
            assert [n for n, text in texts.items() if quoted[1].lower() in text.lower()] == [page]
        if turn.task == "page_of_absent":
            assert turn.answer == "none" and (not quoted or quoted[1].lower() not in document.text())
        if turn.task == "fact_of_section":
            assert (
                turn.expect["answer"] in truth[page]["facts"].values() and turn.answer == f"{turn.expect['answer']} (page {page})"
            )


def test_what_lies_on_a_page_is_its_part_or_the_thing_that_a_picture_shows():
    seen = set()
    for seed in range(12):
        document = page_documents.render_document(np.random.default_rng(seed), 4)
        targets = dense.targets_of([page_documents.sample_of(document, [])])
        for page, at_token in zip(document.pages, targets.at_token, strict=True):
            told = {list(dense.KINDS)[int(kind)] for kind in at_token} - {"nothing"}
            seen |= {part.kind for part in page.blocks}
            assert told <= {part.name or part.kind for part in page.blocks}
            assert all(part.name in told for part in page.blocks if part.kind == "image")
    assert {"image", "table", "text"} <= seen


@pytest.mark.parametrize("size", list(page_documents.SIZES))
def test_training_documents_of_one_size_have_one_number_of_pages(size):
    made = [page_documents.make(np.random.default_rng(i), size, 0.5) for i in range(5)]
    assert {len(sample.pictures) for sample in made} == {page_documents.PAGES_OF[size]}
    for sample in made:
        check_supervision(sample)


@pytest.mark.parametrize(("size", "count"), page_documents.LONG_PAGES_OF.items())
def test_a_row_of_a_long_document_has_all_its_pages_and_several_questions(size, count):
    tokenizer = AutoProcessor.from_pretrained(TINY_FOLDER).tokenizer
    family = FAMILIES["long_documents"]
    sample = family.make(np.random.default_rng(3), size, system_fonts=False)
    assert len(sample.pictures) == count and size in family.sizes
    check_supervision(sample)
    row = Packer(tokenizer).row(sample, np.random.default_rng(0), [side // 32 for side in size[::-1]], family.length)
    assert (row["ids"] == tokenizer.convert_tokens_to_ids("<|image_pad|>")).sum() == count * size[0] * size[1] // 32**2
    assert row["segments"].max() >= 4 and (row["weights"] > 0).sum() > 10


def test_a_document_without_pages_is_refused():
    with pytest.raises(ValueError, match="pages must be a number from 1 to 20"):
        page_documents.render_document(np.random.default_rng(0), 0)
