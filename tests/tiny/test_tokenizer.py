"""The tokenizer, the chat template and the processor of the embedded model."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cookbook_utils.agents.schemas import TOOL_NAMES, tool_prompt, write_call
from cookbook_utils.tiny.tokenizer import SPECIAL, build_processor, fixed_texts, train_tokenizer


@pytest.fixture(scope="module")
def processor():
    return build_processor(train_tokenizer(samples=600))  # a tenth of the real one's texts is enough to test with


@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_any_text_comes_back(processor, text):
    if any(token in text for token in SPECIAL):
        return
    ids = processor.tokenizer(text, add_special_tokens=False).input_ids
    assert processor.tokenizer.decode(ids) == text


def test_digits_are_single_tokens(processor):
    pieces = [processor.tokenizer.decode([i]) for i in processor.tokenizer("[12, 345, 6789]").input_ids]
    assert [p for p in pieces if p.strip(", []").isdigit()] == list("123456789")


def test_a_box_costs_about_twenty_tokens(processor):
    line = '\t{"bbox_2d": [123, 456, 789, 900], "label": "dog"},\n'
    assert len(processor.tokenizer(line * 10).input_ids) <= 210


def test_a_declared_tool_costs_few_tokens_and_its_text_comes_back(processor):
    for name in TOOL_NAMES:
        ids = processor.tokenizer(tool_prompt(name)).input_ids
        assert len(ids) < 10 and processor.tokenizer.decode(ids) == tool_prompt(name)


def test_a_call_costs_about_a_dozen_tokens_and_its_tags_are_tokens_of_their_own(processor):
    ids = processor.tokenizer(write_call("mobile_use", {"action": "click", "coordinate": [512, 345]})).input_ids
    assert len(ids) <= 14 and processor.tokenizer.convert_ids_to_tokens([ids[0], ids[-1]]) == ["<tool_call>", "</tool_call>"]


def test_a_fixed_text_is_no_part_of_another():
    texts = fixed_texts()
    assert len(set(texts)) == len(texts) and not [(a, b) for a in texts[:8] for b in texts[:8] if a != b and a in b]


def test_the_template_writes_pictures_videos_tools_and_responses(processor):
    tool = {"type": "function", "function": {"name": "zoom", "parameters": {}}}
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, {"type": "video"}, {"type": "text", "text": "Look."}]},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "zoom", "arguments": {"x": 1}}}]},
        {"role": "tool", "content": "done"},
    ]
    text = processor.apply_chat_template(chat, tools=[tool], add_generation_prompt=True, add_vision_id=True)
    assert text.startswith("<|im_start|>system\nBe brief.\n\n# Tools") and '"name": "zoom"' in text
    assert "Picture 1: <|vision_start|><|image_pad|><|vision_end|>Video 1: <|vision_start|><|video_pad|><|vision_end|>Look.<|im_end|>\n" in text
    assert '<tool_call>\n{"name": "zoom", "arguments": {"x": 1}}\n</tool_call><|im_end|>\n' in text
    assert "<|im_start|>user\n<tool_response>\ndone\n</tool_response><|im_end|>\n<|im_start|>assistant\n" in text


def test_the_processor_expands_a_picture_to_its_visual_tokens(processor):
    picture = Image.fromarray(np.zeros((256, 512, 3), np.uint8))
    inputs = processor(text="<|vision_start|><|image_pad|><|vision_end|>", images=picture, return_tensors="pt")
    tokens = int(inputs["image_grid_thw"].prod()) // 4
    assert tokens <= 80 and (inputs["input_ids"] == processor.image_token_id).sum() == tokens


@pytest.mark.parametrize(("size", "grid"), [((384, 384), [4, 8, 8]), ((480, 384), [4, 8, 10]), ((128, 128), [4, 8, 8]), ((1280, 720), [4, 6, 10])])
def test_a_video_is_seen_at_the_sizes_of_the_training(processor, size, grid):
    import numpy as np

    clip = np.zeros((8, 3, *size[::-1]), np.uint8)
    found = processor.video_processor(clip, do_sample_frames=False, return_tensors="np")["video_grid_thw"]
    assert found.tolist() == [grid]
