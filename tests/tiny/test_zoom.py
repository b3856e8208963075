"""Zooming in: what is said of the pictures, held against their pixels, the tool, the readers and the chat template."""

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cookbook_utils.agents import thinking
from cookbook_utils.agents.schemas import ToolError
from cookbook_utils.coordinates import iou, to_grid
from cookbook_utils.models import TINY_FOLDER
from cookbook_utils.models.messages import read_messages
from cookbook_utils.parsing import parse_tool_calls
from cookbook_utils.tiny import zoom, zoom_tasks
from cookbook_utils.tiny.families import FAMILIES
from cookbook_utils.tiny.packing import Packer
from cookbook_utils.tiny.samples import Glyph
from cookbook_utils.tiny.turns import NOWHERE

MAGENTA = (255, 0, 255)
SIZE_OF = list(zoom.SIZES)
MAKERS = [zoom.make, zoom.make_zoomed, zoom.make_zoomed_twice]


def some_pictures(count=12, **options):
    return [zoom.render(np.random.default_rng([81, i]), SIZE_OF[i % 2], **options) for i in range(count)]


def some_samples(make, count=12, level=1.0):
    return [make(np.random.default_rng([82, i]), SIZE_OF[i % 2], level) for i in range(count)]


def first_sight(large):
    return zoom_tasks.Sight(large, (0, 0, *large.size))


# --- the tool --------------------------------------------------------------------------------


@pytest.mark.parametrize(("box", "reason"), [
    ((400, 400, 500, 480), "in the middle"),
    ((0, 0, 300, 100), "in the corner: the margin goes to the other side"),
    ((900, 950, 1000, 1000), "in the other corner"),
    ((100, 20, 900, 980), "nearly everything"),
    ((500, 500, 501, 501), "a dot: a fifth of the picture"),
])  # fmt: skip
def test_a_window_holds_its_box_lies_in_the_picture_and_has_its_proportions(box, reason):
    for size in ((1000, 1000), (1280, 1024), (400, 900)):
        pixels = np.multiply(box, np.resize(size, 4)) / 1000
        x1, y1, x2, y2 = thinking.window(pixels, size)
        assert (
            -1e-6 <= x1 <= pixels[0]
            and -1e-6 <= y1 <= pixels[1]
            and pixels[2] <= x2 <= size[0] + 1e-6
            and pixels[3] <= y2 <= size[1] + 1e-6
        )
        assert (x2 - x1) / (y2 - y1) == pytest.approx(size[0] / size[1]) and (x2 - x1) >= size[0] / thinking.MOST - 1e-6


def test_the_tool_gives_what_lies_in_the_box():
    picture = Image.new("RGB", (1280, 1024), "white")
    picture.paste((200, 0, 0), (320, 256, 640, 512))
    crop = zoom.zoom_in([picture], {"label": "red", "bbox_2d": [250, 250, 500, 500], "img_idx": 0})
    red = np.asarray(crop)[..., 1] < 128
    assert crop.size == (640, 512) and zoom.view_size(crop.size) == (320, 256)
    assert red.mean() == pytest.approx(1 / (1 + 2 * thinking.MARGIN) ** 2, abs=0.02) and red[256, 320] and not red[5, 5]
    again = zoom.zoom_in([picture, crop], {"label": "red", "bbox_2d": [400, 400, 600, 600], "img_idx": 1})
    assert again.size == crop.size and (np.asarray(again)[..., 1] < 128).all()


@pytest.mark.parametrize(("arguments", "said"), [
    ({"bbox_2d": [0, 0, 10]}, "bbox_2d"),
    ({"bbox_2d": [0, 0, 1200, 10]}, "bbox_2d"),
    ({"label": "dog"}, "bbox_2d"),
    ({"bbox_2d": [0, 0, 10, 10], "img_idx": 1}, "img_idx"),
])  # fmt: skip
def test_a_call_that_cannot_be_carried_out_is_told_to_the_model(arguments, said):
    with pytest.raises(ToolError, match=said):
        zoom.zoom_in([Image.new("RGB", (512, 512))], arguments)


# --- the pictures ----------------------------------------------------------------------------


def test_a_seed_gives_the_same_picture_again_whatever_its_scale():
    first, again, large = (zoom.render(np.random.default_rng(3), **options) for options in ({}, {}, {"scale": 2}))
    assert first.picture.tobytes() == again.picture.tobytes() and first.truth() == large.truth()
    assert (
        large.picture.size == (2048, 2048)
        and np.abs(np.asarray(large.picture.reduce(2), int) - np.asarray(first.picture, int)).mean() < 4
    )


@pytest.mark.parametrize("size", SIZE_OF)
def test_the_model_sees_a_quarter_of_a_large_picture_and_half_of_a_crop(size):
    large = zoom.render(np.random.default_rng(1), size)
    crop = zoom.zoom_in([large.picture], {"bbox_2d": [100, 100, 300, 300]})
    assert zoom.seen_as(large.picture).size == zoom.seen_as(crop).size == size and large.picture.size == (
        4 * size[0],
        4 * size[1],
    )


def test_things_details_and_letters_are_where_they_are_said_to_be(monkeypatch):
    monkeypatch.setattr(zoom, "background", lambda rng, size: Image.new("RGB", size, MAGENTA))
    for large in some_pictures(5):
        for bearer in large.bearers:
            alone = zoom.Large(large.view, large.ground, [bearer])
            pixels, (x1, y1, x2, y2) = np.asarray(alone.picture, np.int16), bearer.look.box()
            changed = np.abs(pixels - MAGENTA).max(2) > 60
            rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
            assert np.abs(np.subtract((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), (x1, y1, x2, y2))).max() <= 6
            if bearer.detail and bearer.detail.text:
                a, b, c, d = bearer.detail.box
                assert x1 <= a < c <= x2 and y1 <= b < d <= y2
                inked = np.abs(pixels - np.asarray(without_letters(alone), np.int16)).max(2) > 90
                for character, (a, b, c, d) in bearer.detail.letters():
                    assert inked[b:d, a:c].any(0).mean() > 0.5, character
                    inked[b:d, a:c] = False
                assert not inked.any()


def without_letters(large):
    """The picture with its only tag empty."""
    [bearer] = large.bearers
    empty = replace(bearer, detail=replace(bearer.detail, text=""))
    return zoom.Large(large.view, large.ground, [empty]).picture


def test_a_sight_is_what_the_tool_shows():
    for large in some_pictures(6):
        sight = first_sight(large)
        call = sight.arguments(min(sight.details))
        seen = zoom.seen_as(zoom.zoom_in([large.picture], call))
        near = sight.closer(call["bbox_2d"])
        same = large.picture.resize(large.view, Image.Resampling.BICUBIC, box=near.window)
        assert np.abs(np.asarray(seen, int) - np.asarray(same, int)).mean() < 4


@pytest.mark.parametrize("size", [(250, 256), (512, 512), (96, 96)])
def test_a_size_that_the_model_does_not_see_is_refused(size):
    with pytest.raises(ValueError, match="size"):
        zoom.render(np.random.default_rng(0), size)


# --- the conversation ------------------------------------------------------------------------


def test_every_detail_is_found_by_following_the_calls():
    """The loop of a notebook, with the true answers in place of a model's."""
    zooms = []
    for large in [*some_pictures(6), *some_pictures(3, huge=True), *some_pictures(3, level=0.0)]:
        for number in first_sight(large).details:
            sight, pictures = first_sight(large), [large.picture]
            turn = zoom_tasks.ask_detail(sight, np.random.default_rng(0), number)
            assert not sight.letters
            while calls := parse_tool_calls(turn.answer):
                assert [call["name"] for call in calls] == [zoom.TOOL] and calls[0]["arguments"] == turn.expect["call"]
                assert len(pictures) < 4
                pictures.append(zoom.zoom_in(pictures, calls[0]["arguments"]))
                sight = sight.closer(calls[0]["arguments"]["bbox_2d"])
                turn = zoom_tasks.ask_detail(sight, np.random.default_rng(0), number)
            detail, enlarged = large.bearers[number].detail, large.view[0] / (sight.window[2] - sight.window[0])
            assert turn.answer == turn.expect["answer"] in (detail.answer(), detail.answer(chinese=True))
            assert detail.height * enlarged >= (19.5 if detail.text else 36)
            assert detail.height / zoom.TIMES <= (5.1 if detail.text else 10.6)
            zooms.append((len(pictures) - 1, large.bearers[number].look.longer > 300))
    assert set(zooms) == {(1, False), (2, True)}


def test_boxes_of_calls_are_off_and_still_show_the_whole_detail():
    rng, off = np.random.default_rng(0), {0: [], 1: []}
    for large in some_pictures(6, huge=True):
        sight = first_sight(large)
        number = next(n for n in sight.details if large.bearers[n].look.longer > 300)
        for page in off:
            true = np.array(sight.arguments(number)["bbox_2d"])
            for _ in range(5):
                call, closer = zoom.called(rng, sight, number)
                assert number in closer.details and closer.page == page + 1 == call["img_idx"] + 1
                off[page].append(np.abs(call["bbox_2d"] - true) / np.tile(true[2:] - true[:2], 2))
            sight = sight.closer(true.tolist())
    assert 0.02 < np.mean(off[0]) < 0.08 and 0.15 < np.mean(off[1]) < 0.4


@pytest.mark.parametrize(("level", "least", "most"), [(0.0, 0, 0), (1.0, 12, 22)])
def test_after_one_zoom_more_than_half_call_again_at_full_difficulty(level, least, most):
    again = [bool(parse_tool_calls(sample.turns[0].answer)) for sample in some_samples(zoom.make_zoomed, 30, level)]
    assert least <= sum(again) <= most


def test_a_conversation_is_one_that_every_backend_reads():
    picture, crop = Image.new("RGB", (1024, 1024)), Image.new("RGB", (512, 512))
    read = read_messages(zoom.conversation("What?", picture, [({"bbox_2d": [0, 0, 9, 9]}, crop)]), tools=zoom.TOOLS)
    assert [part["image"].size for part in read.parts("image")] == [(1024, 1024), (512, 512)]


@pytest.mark.parametrize(("make", "zooms"), [(zoom.make_zoomed, 1), (zoom.make_zoomed_twice, 2)])
def test_a_dialogue_is_what_the_chat_template_writes(make, zooms):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(TINY_FOLDER)
    for sample in some_samples(make, 4):
        [turn] = sample.turns
        calls = [(parse_tool_calls(text)[0]["arguments"], None) for text in sample.between]
        messages = zoom.conversation(turn.expect["question"], None, calls)
        text = tokenizer.apply_chat_template(messages, tools=sample.tools, tokenize=False, add_generation_prompt=True)
        tail = "".join("<|vision_start|><|image_pad|><|vision_end|>" + part for part in [*sample.between, turn.prompt])
        assert text.endswith("<|im_start|>user\n" + tail + "<|im_end|>\n<|im_start|>assistant\n")
        assert len(sample.pictures) == zooms + 1 == len(sample.between) + 1
        assert [call["img_idx"] for call, _ in calls] == list(range(zooms))


@pytest.fixture(scope="module")
def processor():
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(TINY_FOLDER.with_name("tiny_rooms"))  # its tokenizer has the tool's texts, as `train` asks for


def messages_of(sample):
    """The conversation of a zoomed sample, with its own pictures."""
    calls = [parse_tool_calls(text)[0]["arguments"] for text in sample.between]
    first, *crops = sample.pictures
    return zoom.conversation(sample.turns[0].expect["question"], first, zip(calls, crops, strict=True))


@pytest.mark.parametrize("make", [zoom.make_zoomed, zoom.make_zoomed_twice])
def test_a_row_is_token_by_token_what_the_processor_makes_of_the_conversation(make, processor):
    packer = Packer(processor.tokenizer)
    for index, sample in enumerate(some_samples(make, 4)):
        size, [turn] = sample.pictures[0].size, sample.turns
        row = packer.row(sample, np.random.default_rng(index), (size[1] // 32, size[0] // 32), 1024)
        messages = messages_of(sample)
        bare = [{**m, "content": [p if p["type"] == "text" else {"type": "image"} for p in m["content"]] or ""} for m in messages]
        text = processor.apply_chat_template(bare, tools=sample.tools, add_generation_prompt=True, tokenize=False)
        asked = processor(text=[text], images=sample.pictures)["input_ids"][0]
        answer = processor.tokenizer(turn.answer + "<|im_end|>").input_ids
        assert row["ids"][: len(asked) + len(answer)].tolist() == [*asked, *answer]
        assert np.flatnonzero(row["weights"]).tolist() == list(range(len(asked), len(asked) + len(answer))), "the last answer alone"
        looked_at = {key for name in ("first", "rest") for _, key, _ in row[name]}
        assert looked_at - {0} <= set(np.flatnonzero(row["ids"] == packer.pads["image"]))


def test_a_zoomed_row_gives_the_same_hidden_states_as_the_librarys_forward(processor):
    import torch

    from cookbook_utils.tiny import data, model

    network = model.new_model(processor.tokenizer, seed=3).eval()
    [sample] = some_samples(zoom.make_zoomed_twice, 1)
    grid = sample.pictures[0].height // 32, sample.pictures[0].width // 32
    row = Packer(processor.tokenizer).row(sample, np.random.default_rng(0), grid, 1024)
    with torch.no_grad():
        pixels = torch.from_numpy(data.frames_of(sample)).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
        tables = model.vision_tables(network.model.visual, (grid[0] * 2, grid[1] * 2))
        _, tokens, deep = model.vision_forward(network.model.visual, pixels, tables)
        tokens, *deep = (part.reshape(1, -1, part.shape[-1]) for part in (tokens, *deep))
        ids, segments, positions = (torch.from_numpy(row[key])[None] for key in ("ids", "segments", "positions"))
        image, language = ids == network.config.image_token_id, network.model.language_model
        x, cos, sin, spread = model.text_inputs(language, ids, positions.transpose(0, 1), image, tokens, deep)
        ours = model.text_layers(language, x, cos, sin, model.causal_mask(segments, x.dtype), spread)[0][0]
        length = int((segments[0] < 2).sum())
        inputs = processor.image_processor(images=sample.pictures, return_tensors="pt")
        kinds = image[:, :length].int()
        theirs = network.model(input_ids=ids[:, :length], mm_token_type_ids=kinds, **inputs).last_hidden_state[0]
    torch.testing.assert_close(ours[:length], theirs, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["zoom", "zoom_once", "zoom_twice"])
def test_every_answer_fits_into_a_row(name, processor):
    family, packer = FAMILIES[name], Packer(processor.tokenizer)
    for index in range(8):
        size = list(family.sizes)[index % 2]
        sample = family.make(np.random.default_rng([83, index]), size, 1.0)
        row = packer.row(sample, np.random.default_rng(index), (size[1] // 32, size[0] // 32), family.length)
        assert len(row["ids"]) == family.length and (row["weights"] > 0).any()


def test_the_first_call_asks_for_the_box_of_the_thing():
    checked = 0
    for sample in some_samples(zoom.make, 20):
        for turn in sample.turns:
            if call := turn.expect.get("call"):
                [(_, [region])] = turn.mentions
                assert sample.tools and call["label"] == region.kind and call["img_idx"] == 0
                assert iou(call["bbox_2d"], to_grid(region.box_xyxy, sample.pictures[0].size))[0, 0] > 0.97
                checked += 1
    assert checked > 20


def test_without_the_tool_nothing_is_called():
    bare = [sample for sample in some_samples(zoom.make, 25) if not sample.tools]
    assert bare and not [turn for sample in bare for turn in sample.turns if parse_tool_calls(turn.answer)]


@pytest.mark.parametrize("make", MAKERS)
def test_attention_is_taught_consistently(make):
    for sample in [*some_samples(make, 8), *some_samples(make, 4, 0.0)]:
        assert {region.kind for region in sample.regions} <= set(zoom.KINDS) and len({p.size for p in sample.pictures}) == 1
        known = {id(r) for r in [*sample.regions, *sample.glyphs]}
        for region in [*sample.regions, *sample.glyphs]:
            x1, y1, x2, y2 = region.box_xyxy
            assert -1 <= x1 < x2 <= sample.pictures[0].width + 1 and -1 <= y1 < y2 <= sample.pictures[0].height + 1
            assert 0 <= region.page < len(sample.pictures)
        for turn in sample.turns:
            for phrase, regions in turn.mentions:
                found = re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", turn.prompt, re.ASCII)
                assert found and {id(r) for r in regions} <= known
            starts = [start for start, _ in turn.shown]
            assert starts == sorted(set(starts)) and (not starts or starts[0] == 0 and starts[-1] <= len(turn.answer))
            assert all(r is NOWHERE or id(r) in known for _, r in turn.shown)
            assert all(turn.answer[start] == r.character for start, r in turn.shown if isinstance(r, Glyph))


def test_one_question_has_one_answer():
    for large in some_pictures(6):
        sight, seen, answers = first_sight(large), zoom.seen_as(large.picture), {}
        for seed in range(120):
            turn = zoom_tasks.ask(sight, seen, np.random.default_rng(seed))
            assert answers.setdefault(turn.prompt, turn.answer) == turn.answer and len(turn.answer) < 400


def test_what_a_thing_bears_is_told_truly():
    for large in some_pictures():
        sight = first_sight(large)
        bears = {zoom_tasks.things()[b.thing].name: b.detail and b.detail.kind for b in large.bearers}
        for seed in range(12):
            turn = zoom_tasks.ask_whether(sight, np.random.default_rng(seed))
            word, name = re.fullmatch(r"Is there a (\w+) on the (.+)\? Answer yes or no\.", turn.prompt).groups()
            assert (turn.answer == "Yes") == (bears[name] == word)
        bare = {zoom_tasks.things()[large.bearers[number].thing].name for number in sight.bare}
        assert bare == {name for name, kind in bears.items() if not kind}


def test_that_there_is_no_tag_is_told_after_a_look_or_without_the_tool():
    said = {zoom_tasks.NO_TAG, zoom_tasks.NO_TAG_ZH}
    for large in some_pictures():
        sight, rng = first_sight(large), np.random.default_rng(1)
        for number in sight.bare:
            turn = zoom_tasks.ask_missing(sight, rng, number)
            [call] = parse_tool_calls(turn.answer)
            assert turn.expect["answer"] in said and call["arguments"] == sight.arguments(number)
            near = sight.closer(call["arguments"]["bbox_2d"])
            assert zoom_tasks.ask_missing(near, rng, number).answer in said
            assert zoom_tasks.ask_missing(sight, rng, number, tools=False).answer in said
    turns = [sample.turns[0] for sample in some_samples(zoom.make_zoomed, 60)]
    missing = [turn for turn in turns if turn.task == "zoom_missing"]
    assert 2 <= len(missing) <= 15 and all(turn.answer == turn.expect["answer"] in said for turn in missing)
