"""The embedded model's checkpoints behind one name: the gate chooses the right one, and nothing else changes."""

import json

import numpy as np
import pytest
from PIL import Image

from cookbook_utils import load_model, pdf_pages, sample_frames
from cookbook_utils.agents import tool_schemas, zoom_in
from cookbook_utils.agents.benchmark import HELD_OUT
from cookbook_utils.agents.loop import step_messages
from cookbook_utils.models import TINY_FOLDER
from cookbook_utils.models.experts import features_of
from cookbook_utils.models.messages import question, read_messages
from cookbook_utils.tiny.screen_recorder import ENVIRONMENTS

ASSETS = TINY_FOLDER.parent
PICTURES, ROOMS = (sorted((ASSETS / folder).glob(pattern)) for folder, pattern in (("pictures", "*.png"), ("rooms", "room_*.png")))


@pytest.fixture(scope="module")
def tiny():
    return load_model("tiny")


def choice(model, *args, tools=None, **kwargs) -> str:
    return model.folders[model.choice(read_messages(question("What is there?", *args, **kwargs), tools=tools))].name


@pytest.mark.parametrize("path", [*PICTURES[::6], *ROOMS[::2]], ids=lambda path: path.stem)
def test_a_picture_goes_to_the_checkpoint_that_was_trained_on_its_kind(tiny, path):
    assert choice(tiny, str(path)) == ("tiny_rooms" if path in ROOMS else "tiny")


@pytest.mark.parametrize("path", sorted((ASSETS / "rooms").glob("walk_*.mp4")), ids=lambda path: path.stem)
def test_a_walk_goes_to_the_rooms(tiny, path):
    frames = list(sample_frames(path, fps=2))
    assert choice(tiny, video=str(path)) == choice(tiny, video=frames, fps=2) == "tiny_rooms"


@pytest.mark.parametrize("path", sorted((ASSETS / "clips").glob("*.mp4"))[::3], ids=lambda path: path.stem)
def test_a_clip_goes_to_the_clips_however_it_is_shown(tiny, path):
    frames = list(sample_frames(path, fps=2))
    small = [frame.resize((160, 128)) for frame in frames]
    as_files = [choice(tiny, video=str(path), **settings) for settings in ({}, {"fps": 1}, {"fps": 4}, {"num_frames": 8})]
    as_frames = [choice(tiny, video=some, fps=2) for some in (frames, small)]
    assert {*as_files, *as_frames, choice(tiny, video=frames)} == {"tiny_clips"}


@pytest.fixture(scope="module")
def screens(chromium):
    """First screens of a few goals, `(tool, screen)`."""
    seen = []
    for start in ENVIRONMENTS.values():
        stage = start(chromium)
        for seed, task in enumerate(stage.tasks[::8], HELD_OUT):
            stage.begin(task, seed)
            seen.append((stage.environment.tool, stage.environment.screenshot()))
        stage.environment.close()
    return seen


def test_a_screen_goes_to_those_who_act_with_their_tool_or_without(tiny, screens):
    for tool, screen in screens:
        loop = read_messages(step_messages("Buy milk", [], [screen]), tools=tool_schemas(tool))
        larger = screen.resize([2 * side for side in screen.size])
        assert {tiny.folders[tiny.choice(loop)].name, choice(tiny, screen), choice(tiny, larger)} == {"tiny_screens"}


def test_a_tool_counts_in_either_form_of_its_schema(tiny):
    for tool, told in (("mobile_use", [1, 1]), ("image_zoom_in_tool", [1, 0])):
        [schema] = tool_schemas(tool)
        for form in (schema, schema["function"]):
            asked = read_messages(question("What is there?", Image.new("RGB", (64, 64))), tools=[form])
            assert features_of(tiny, asked)[-2:].tolist() == told


@pytest.mark.parametrize("path", sorted((ASSETS / "large").glob("*.jpg"))[::3], ids=lambda path: path.stem)
def test_a_large_picture_with_the_zoom_tool_goes_to_those_who_know_it(tiny, path):
    tools = tool_schemas("image_zoom_in_tool")
    crop = zoom_in([Image.open(path)], {"bbox_2d": [300, 300, 600, 600]})
    assert choice(tiny, str(path), tools=tools) == choice(tiny, [str(path), crop], tools=tools) == "tiny_pages"


@pytest.mark.parametrize("path", sorted((ASSETS / "pages").glob("*.jpg"))[::3], ids=lambda path: path.stem)
def test_a_page_goes_to_those_who_read(tiny, path):
    assert choice(tiny, str(path)) == "tiny_pages"


def test_pages_of_a_pdf_go_to_those_who_know_documents_and_one_alone_to_those_who_read(tiny):
    pages = pdf_pages(ASSETS / "pages" / "report.pdf", dpi=72)
    assert choice(tiny, pages) == choice(tiny, pages[:2]) == "tiny_documents"
    assert choice(tiny, pages[:1]) == "tiny_pages"


@pytest.mark.parametrize(("paths", "knows"), [(PICTURES, "tiny"), (ROOMS, "tiny_rooms")])
def test_several_pictures_at_once_are_no_document(tiny, paths, knows):
    for first in range(0, len(paths) - 3, 3):
        assert choice(tiny, [str(path) for path in paths[first : first + 3]]) == knows


def test_what_nobody_knows_goes_to_the_first(tiny):
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    assert choice(tiny) == choice(tiny, Image.new("RGB", (200, 300), "teal")) == choice(tiny, Image.fromarray(noise)) == "tiny"


def test_a_batch_of_both_is_answered_in_its_order_as_one_by_one(tiny):
    chats = [question("How many objects are there in the image? Answer with a number.", str(path))
             for pair in zip(PICTURES[:3], ROOMS[:3], strict=True) for path in pair]  # fmt: skip
    replies = tiny.chat_batch(chats)
    assert [reply.text for reply in replies] == [tiny.chat(chat).text for chat in chats]


def test_a_stream_from_the_second_checkpoint_is_the_answer(tiny):
    chat = question("Which object is closest to the camera? Answer with its name.", str(ROOMS[0]))
    stream = tiny.stream(chat)
    assert "".join(stream) == stream.reply.text == tiny.chat(chat).text


def test_the_reply_cache_tells_other_weights_of_either_checkpoint(tiny):
    assert len(set(tiny.name.removeprefix("tiny:tiny@").split("+"))) == len(tiny.folders) == 6


def test_the_gate_has_a_row_for_each_checkpoint_and_a_weight_for_each_feature():
    gate = json.loads((TINY_FOLDER / "gate.json").read_text())
    width = json.loads((TINY_FOLDER / "config.json").read_text())["vision_config"]["out_hidden_size"]
    (weight, bias), (weight_2, bias_2) = gate["layers"]
    assert np.shape(weight) == (len(bias), 2 * width + 4)
    assert np.shape(weight_2) == (len(gate["folders"]), len(bias)) and np.shape(bias_2) == (len(gate["folders"]),)
