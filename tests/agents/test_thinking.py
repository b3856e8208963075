"""Looking closer, as conversations: a model fed from a queue, real crops, boxes that lead back to the first picture."""

import numpy as np
import pytest
from PIL import Image

from cookbook_utils.agents.thinking import MARGIN, think, thinking_messages, zoom_in
from cookbook_utils.models.messages import read_messages

SIZE = (1600, 1200)


def zoom(box, index=0, label="spot"):
    return "image_zoom_in_tool", {"label": label, "bbox_2d": box, "img_idx": index}


def picture_with_a_spot(box=(800, 300, 880, 360)):
    picture = Image.new("RGB", SIZE, "white")
    picture.paste((200, 0, 0), box)
    return picture


def results(messages):
    return [message["content"][0] for message in messages if message["role"] == "tool"]


@pytest.mark.parametrize("answer", ["a dog", "The set {1, 2} has two.", '[{"bbox_2d": [1, 2, 3, 4], "label": "dog"}]', 'It says "{x".'])
def test_an_answer_without_a_call_is_the_end(queue, answer):
    thought = think(queue(answer), "What is it?", Image.new("RGB", SIZE))
    assert (thought.answer, thought.stopped, thought.looks, len(thought.pictures)) == (answer, "answer", [], 1)


def test_a_turned_photograph_is_upright_for_the_model_and_in_the_crops(queue):
    photograph = Image.new("RGB", (400, 200))
    photograph.getexif()[0x0112] = 6  # stored on its side
    assert think(queue("a dog"), "What is it?", photograph).picture.size == (200, 400)


def test_a_crop_is_a_tools_answer_and_the_next_picture(queue):
    model = queue(zoom([500, 250, 550, 300]), "red")
    thought = think(model, "Which colour?", picture_with_a_spot())
    messages, options = model.asked[1]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert results(messages)[0]["image"] is thought.pictures[1] is thought.looks[0].picture
    assert [tool["function"]["name"] for tool in options["tools"]] == ["image_zoom_in_tool"]
    assert thought.answer == "red" and read_messages(messages)  # in the form that every backend takes


def test_boxes_lead_back_to_the_first_picture_also_on_a_second_zoom(queue):
    spot = np.array((800, 300, 880, 360))
    grid = (spot / np.array([*SIZE, *SIZE]) * 1000).round().astype(int).tolist()
    model = queue(zoom([400, 150, 700, 450]), zoom([0, 0, 1000, 1000], 1), zoom([200, 200, 600, 600], 1), zoom(grid, 0), "ok")
    thought = think(model, "Where?", picture_with_a_spot())
    whole, again, inner, direct = (np.array(look.box_xyxy) for look in thought.looks)
    assert np.allclose(whole, again)  # all of a crop shows what the crop shows
    assert (inner[:2] > whole[:2]).all() and (inner[2:] < whole[2:]).all()
    for look in thought.looks:  # the crop's pixels are those of its box
        same = thought.picture.resize(look.picture.size, Image.Resampling.BICUBIC, box=look.box_xyxy)
        assert np.abs(np.asarray(same, int) - np.asarray(look.picture, int)).mean() < 3
    assert (direct[:2] <= spot[:2]).all() and (direct[2:] >= spot[2:]).all()


@pytest.mark.parametrize(("call", "said"), [
    (zoom([0, 0, 10]), "bbox_2d"),
    (zoom([0, 0, 9, 9], 4), "img_idx must be a picture's number from 0 to 0, got 4"),
    (("image_search", {"img_idx": 0}), "there is no tool"),
    (("delete_files", {}), "there is no tool"),
])  # fmt: skip
def test_a_wrong_call_is_answered_with_what_is_wrong(queue, call, said):
    model = queue(call, "sorry")
    thought = think(model, "What?", Image.new("RGB", SIZE))
    assert thought.looks[0].error and said in thought.looks[0].text and thought.answer == "sorry"
    assert results(model.asked[1][0]) == [{"type": "text", "text": thought.looks[0].text}]


@pytest.mark.parametrize("broken", [
    '<tool_call>\n{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [10, 20',
    '<tool_call>\n{"name": "image_zoom_in_tool", "arguments": "all"}\n</tool_call>',
])  # fmt: skip
def test_a_call_that_cannot_be_read_is_no_answer(queue, broken):
    model = queue(broken, "a tag")
    thought = think(model, "What?", Image.new("RGB", SIZE))
    *_, said, told = model.asked[1][0]
    assert (said["content"], told["role"]) == (broken, "user") and "could not be read" in told["content"][0]["text"]
    assert thought.answer == "a tag" and read_messages(model.asked[1][0])


def test_a_model_that_never_answers_is_stopped(queue):
    thought = think(queue(zoom([0, 0, 500, 500])), "What?", Image.new("RGB", SIZE), max_calls=3)
    assert (thought.stopped, thought.answer, len(thought.looks), len(thought.replies)) == ("max_calls", "", 3, 4)


def test_a_search_is_offered_where_there_is_one(queue):
    seen = []
    model = queue(zoom([0, 0, 500, 500]), ("image_search", {"img_idx": 1}), "a lion")
    thought = think(model, "What?", Image.new("RGB", SIZE), search=lambda picture: seen.append(picture) or "1. lion")
    assert seen == [thought.pictures[1]] and results(model.asked[2][0])[1] == {"type": "text", "text": "1. lion"}
    assert [tool["function"]["name"] for tool in model.asked[0][1]["tools"]] == ["image_zoom_in_tool", "image_search"]


def test_a_system_turn_comes_first_and_options_reach_the_model(queue):
    model = queue("yes")
    think(model, "What?", Image.new("RGB", SIZE), system="Look closely.", max_new_tokens=7)
    assert model.asked[0][0][0] == {"role": "system", "content": "Look closely."} and model.asked[0][1]["max_new_tokens"] == 7


def test_bad_arguments_name_themselves(queue, tmp_path):
    with pytest.raises(ValueError, match="max_calls must be at least 1, got 0"):
        think(queue("x"), "What?", Image.new("RGB", SIZE), max_calls=0)
    with pytest.raises(FileNotFoundError):
        think(queue("x"), "What?", tmp_path / "none.png")


def test_the_sheet_shows_the_picture_and_every_crop(queue):
    thought = think(queue(zoom([400, 150, 700, 450]), zoom([200, 200, 600, 600], 1), "red"), "Which colour?", picture_with_a_spot())
    before = thought.picture.tobytes()
    one, three = thought.contact_sheet(1), thought.contact_sheet(3)
    assert one.height > 2 * three.height and thought.picture.tobytes() == before


@pytest.mark.parametrize("size", [(1024, 1024), (4000, 3000), (300, 900), (90, 60)])
def test_a_crop_has_the_pictures_proportions_and_loses_no_pixels(size):
    crop = zoom_in([Image.new("RGB", size)], {"bbox_2d": [100, 100, 800, 800]})
    assert crop.width / crop.height == pytest.approx(size[0] / size[1], rel=0.2)
    assert crop.width >= 0.7 * (1 + 2 * MARGIN) * size[0] - 1 and all(side % 64 == 0 for side in crop.size)


def test_messages_take_texts_and_pictures_as_results():
    call, crop = {"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [0, 0, 9, 9]}}, Image.new("RGB", (64, 64))
    *_, first, _, second = thinking_messages("What?", "a.png", [(call, crop), (call, "error: no")])
    assert first["content"] == [{"type": "image", "image": crop}] and second["content"] == [{"type": "text", "text": "error: no"}]
