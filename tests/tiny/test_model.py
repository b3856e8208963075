"""The training-time forward pass and the packed rows against the library's own forward pass and chat template."""

import numpy as np
import pytest
import torch

from cookbook_utils.tiny import data, dense, scenes, tasks
from cookbook_utils.tiny.model import causal_mask, new_model, text_inputs, text_layers, vision_forward, vision_tables
from cookbook_utils.tiny.tokenizer import build_processor, train_tokenizer


@pytest.fixture(scope="module")
def parts():
    processor = build_processor(train_tokenizer())
    model = new_model(processor.tokenizer, seed=3).eval()
    return processor, model


def packed(processor, seed=0, grid=(8, 9)):
    rng = np.random.default_rng(seed)
    scene = scenes.render_scene(rng, size=(grid[1] * 32, grid[0] * 32), count=3)
    return scene, data.Packer(processor.tokenizer), rng, grid


@torch.no_grad()
def test_a_packed_row_gives_the_same_hidden_states_as_the_librarys_forward(parts):
    processor, model = parts
    scene, packer, rng, grid = packed(processor)
    row = packer.row(scene, np.random.default_rng(5), grid)
    pixels = torch.from_numpy(np.asarray(scene.image)).permute(2, 0, 1)[None].float() / 127.5 - 1
    _, tokens, deep = vision_forward(model.model.visual, pixels, vision_tables(model.model.visual, (grid[0] * 2, grid[1] * 2)))
    ids, segments, positions = (torch.from_numpy(row[key])[None] for key in ("ids", "segments", "positions"))
    image = ids == model.config.image_token_id
    x, cos, sin, spread = text_inputs(model.model.language_model, ids, positions.transpose(0, 1), image, tokens, deep)
    ours = text_layers(model.model.language_model, x, cos, sin, causal_mask(segments, x.dtype), spread)[0]
    for segment in range(1, int(segments.max())):
        keep = np.flatnonzero((row["segments"] == 0) | (row["segments"] == segment))
        alone = torch.from_numpy(row["ids"][keep])[None]
        inputs = processor.image_processor(images=scene.image, return_tensors="pt")
        assert inputs["image_grid_thw"].tolist() == [[1, grid[0] * 2, grid[1] * 2]]
        kinds = (alone == model.config.image_token_id).int()
        theirs = model.model(input_ids=alone, mm_token_type_ids=kinds, **inputs).last_hidden_state[0]
        torch.testing.assert_close(ours[keep], theirs, atol=2e-4, rtol=1e-3)


def test_a_packed_question_is_what_the_chat_template_writes(parts):
    processor, _ = parts
    scene, packer, rng, grid = packed(processor)
    turn = tasks.ask(scene, rng)
    prefix, _ = packer.prefix(np.random.default_rng(2), grid)
    ids, weights = packer.segment([turn])
    content = [{"type": "image"}, {"type": "text", "text": turn.prompt}]
    chat = [{"role": "user", "content": content}, {"role": "assistant", "content": turn.answer}]
    text = processor.apply_chat_template(chat).replace("<|image_pad|>", "<|image_pad|>" * grid[0] * grid[1])
    assert processor.tokenizer.decode(prefix + ids) + "\n" == text
    learned = [token for token, weight in zip(ids, weights, strict=True) if weight > 0]
    assert processor.tokenizer.decode(learned) == turn.answer + "<|im_end|>"


def test_dense_targets_name_the_thing_under_each_token():
    placed = [scenes.Placed(7, (32, 64, 96, 128)), scenes.Placed(3, (160, 0, 256, 64))]
    scene = scenes.Scene(scenes.Image.new("RGB", (256, 128)), placed)
    patches, tokens, digits = dense.dense_targets(scene)
    by_row = tokens.reshape(4, 8)
    assert (by_row[2:, 1:3] == 7).all() and (by_row[:2, 5:] == 3).all()
    assert (by_row == dense.NOTHING).sum() == 32 - 4 - 6
    assert digits.reshape(4, 8, 4, 3)[2, 1].tolist() == [[1, 2, 5], [5, 0, 0], [3, 7, 5], [9, 9, 9]]
    assert patches.reshape(4, 8, 4)[0, 5].tolist() == [3] * 4, "the four patches of a token lie together"
