"""The embedded model two ways: in this process, and behind a real vLLM server; one contract, and the same answers."""

import json

import numpy as np
import pytest
from PIL import Image

from cookbook_utils import iou, load_model, parse_boxes
from cookbook_utils.models import ModelError
from cookbook_utils.tiny import clips

LOCATE = "Locate every object in the image. Report bbox coordinates in JSON format."
SHORT = {"max_new_tokens": 12, "temperature": 0}
ZOOM = {"type": "function", "function": {
    "name": "zoom", "description": "Zoom in.", "strict": True, "parameters": {
        "type": "object", "properties": {"label": {"enum": ["cat", "dog"]}}, "required": ["label"], "additionalProperties": False,
    },
}}  # fmt: skip


@pytest.fixture(scope="module")
def model(checkpoint):
    """The checkpoint that the server has, whatever the gate would choose for a video."""
    return load_model(f"transformers:{checkpoint}")


@pytest.fixture(scope="module")
def served(vllm_url):
    return load_model(f"vllm:{vllm_url}")


@pytest.fixture(params=["in this process", "vLLM"])
def either(request):
    return request.getfixturevalue({"in this process": "model", "vLLM": "served"}[request.param])


@pytest.fixture(scope="module")
def scenes(root) -> list[Image.Image]:
    return [Image.open(path) for path in sorted((root / "assets" / "pictures").glob("scene_*.png"))[:6]]


def about(*images, text=LOCATE) -> list[dict]:
    return [{"role": "user", "content": [*({"type": "image", "image": image} for image in images), {"type": "text", "text": text}]}]


# --- the contract ---------------------------------------------------------------------------------------------------


def test_a_picture_is_seen(either, scenes):
    one, other = either.ask(LOCATE, scenes[0]), either.ask(LOCATE, scenes[1])
    assert parse_boxes(one.text) and one.text != other.text and one.finish_reason == "stop"
    assert one.usage["prompt_tokens"] > one.usage["image_tokens"] >= 16 and one.usage["completion_tokens"] > 10


def test_several_pictures_are_counted_together(either, scenes):
    alone = [either.ask("?", image, **SHORT).usage["image_tokens"] for image in scenes[:2]]
    assert either.ask("?", scenes[:2], **SHORT).usage["image_tokens"] == sum(alone)


def test_a_budget_makes_a_picture_smaller(either, scenes):
    whole, less = (either.ask("?", scenes[0], **SHORT, **budget).usage["image_tokens"] for budget in ({}, {"max_pixels": 20_000}))
    assert less <= 20 < whole


def test_a_system_text_is_part_of_the_prompt(either, scenes):
    without, with_it = (either.ask("?", scenes[0], system=text, **SHORT).usage["prompt_tokens"] for text in (None, "Be brief."))
    assert with_it > without


def test_a_stream_is_the_answer_in_pieces(either, scenes):
    stream = either.stream(about(scenes[0]))
    pieces = list(stream)
    assert len(pieces) > 5 and "".join(pieces) == stream.reply.text == either.chat(about(scenes[0])).text
    assert stream.reply.usage["completion_tokens"] > 10


def test_a_batch_comes_in_order(either, scenes):
    """A digit may differ: in a batch, numbers are added up in another order, and two digits may be as likely to the sixth place."""
    chats = [about(image) for image in scenes]
    together, alone = either.chat_batch(chats, progress=False), [either.chat(chat) for chat in chats]
    assert len({reply.text for reply in alone}) == len(alone)
    for one, other in zip(together, alone, strict=True):
        boxes, same = (parse_boxes(reply.text, strict=True) for reply in (one, other))
        assert [box["label"] for box in boxes] == [box["label"] for box in same]
        assert np.abs(np.subtract([box["bbox_2d"] for box in boxes], [box["bbox_2d"] for box in same])).max() < 10


def test_a_seed_makes_chance_repeatable(either, scenes):
    texts = [either.ask(LOCATE, scenes[2], temperature=2.0, seed=seed, max_new_tokens=40).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_what_is_too_long_is_cut(either, scenes):
    reply = either.ask(LOCATE, scenes[0], **SHORT)
    assert reply.finish_reason == "length" and reply.usage["completion_tokens"] == SHORT["max_new_tokens"]


def test_a_stop_text_ends_it(either, scenes):
    reply = either.ask(LOCATE, scenes[0], stop="bbox")
    assert reply.text and "bbox" not in reply.text and reply.finish_reason == "stop"


def test_tools_are_part_of_the_prompt(either, scenes):
    without, with_them = (either.ask("?", scenes[0], tools=tools, **SHORT).usage["prompt_tokens"] for tools in (None, [ZOOM]))
    assert with_them > without + 40


# --- the same answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(6))
def test_the_same_boxes_both_ways(model, served, scenes, at):
    here, there = (parse_boxes(one.ask(LOCATE, scenes[at]).text) for one in (model, served))
    assert here and [box["label"] for box in here] == [box["label"] for box in there]
    assert np.diag(iou([box["bbox_2d"] for box in here], [box["bbox_2d"] for box in there])).mean() > 0.97


@pytest.mark.parametrize(("case", "make"), [
    ("text", lambda scenes: [{"role": "user", "content": "Hello"}]),
    ("two pictures", lambda scenes: about(*scenes[:2])),
    ("turns", lambda scenes: [{"role": "system", "content": "Be brief."}, *about(scenes[0]), {"role": "assistant", "content": "[]"},
                              {"role": "user", "content": "And now?"}]),
])  # fmt: skip
def test_the_same_prompt_both_ways(model, served, scenes, case, make):
    here, there = (one.chat(make(scenes), **SHORT).usage for one in (model, served))
    assert (here["prompt_tokens"], here["image_tokens"]) == (there["prompt_tokens"], there["image_tokens"] or 0)


def test_the_same_video_both_ways(model, served):
    frames = clips.make(np.random.default_rng(3), seconds=4).pictures
    here, there = (one.ask("What happens?", video=frames, fps=2, **SHORT) for one in (model, served))
    assert 0 < here.usage["image_tokens"] <= there.usage["image_tokens"]  # vLLM counts the time stamps as a video's, too
    assert here.usage["prompt_tokens"] == there.usage["prompt_tokens"] and here.text == there.text


# --- what only a server does ----------------------------------------------------------------------------------------


def test_the_servers_model_is_found(served):
    assert served.name == "tiny"


def test_the_answer_keeps_to_a_schema(served, scenes):
    schema = {"type": "object", "properties": {"seen": {"enum": ["nothing", "something"]}}, "required": ["seen"], "additionalProperties": False}
    reply = served.ask("What is in the picture?", scenes[0], response_format=schema, max_new_tokens=40)
    assert json.loads(reply.text)["seen"] in ("nothing", "something")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_is_read_by_the_server(served, scenes, streamed):
    options = {"tools": [ZOOM], "extra_body": {"tool_choice": "required"}, "max_new_tokens": 60}
    if streamed:
        list(stream := served.stream(about(scenes[0], text="Zoom in."), **options))
    reply = stream.reply if streamed else served.ask("Zoom in.", scenes[0], **options)
    assert [call["name"] for call in reply.tool_calls] == ["zoom"] and reply.tool_calls[0]["arguments"]["label"] in ("cat", "dog")


def test_what_does_not_fit_is_refused_with_the_reason(served):
    with pytest.raises(ModelError, match="8192"):
        served.ask("cat " * 20_000)


def test_another_name_is_answered_with_those_that_are_there(vllm_url):
    with pytest.raises(ModelError, match="tiny"):
        load_model(f"vllm:nobody@{vllm_url}").ask("?")
