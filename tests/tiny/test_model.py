"""The training-time forward pass and the packed rows against the library's own forward pass and chat template."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from cookbook_utils.models import TINY_FOLDER
from cookbook_utils.tiny import data, dense, families, scenes, solids, turns
from cookbook_utils.tiny.model import (
    WATCHED,
    DenseHead,
    causal_mask,
    new_model,
    text_inputs,
    text_layers,
    vision_forward,
    vision_tables,
)  # fmt: skip
from cookbook_utils.tiny.packing import Packer
from cookbook_utils.tiny.samples import Glyph, Sample


@pytest.fixture(scope="module")
def parts():
    processor = AutoProcessor.from_pretrained(TINY_FOLDER)
    model = new_model(processor.tokenizer, seed=3).eval()
    return processor, model


def packed(processor, seed=0, size=(288, 256)):
    sample = families.picture(np.random.default_rng(seed), size, level=0.4)
    return sample, Packer(processor.tokenizer), (size[1] // 32, size[0] // 32)


@torch.no_grad()
def test_a_packed_row_gives_the_same_hidden_states_as_the_librarys_forward(parts):
    processor, model = parts
    sample, packer, grid = packed(processor)
    row = packer.row(sample, np.random.default_rng(5), grid, 288)
    pixels = torch.from_numpy(data.frames_of(sample)).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    _, tokens, deep = vision_forward(model.model.visual, pixels, vision_tables(model.model.visual, (grid[0] * 2, grid[1] * 2)))
    ids, segments, positions = (torch.from_numpy(row[key])[None] for key in ("ids", "segments", "positions"))
    image = ids == model.config.image_token_id
    x, cos, sin, spread = text_inputs(model.model.language_model, ids, positions.transpose(0, 1), image, tokens, deep)
    ours = text_layers(model.model.language_model, x, cos, sin, causal_mask(segments, x.dtype), spread)[0][0]
    for segment in range(1, int(segments.max())):
        keep = np.flatnonzero((row["segments"] == 0) | (row["segments"] == segment))
        alone = torch.from_numpy(row["ids"][keep])[None]
        inputs = processor.image_processor(images=sample.pictures[0], return_tensors="pt")
        assert inputs["image_grid_thw"].tolist() == [[1, grid[0] * 2, grid[1] * 2]]
        kinds = (alone == model.config.image_token_id).int()
        theirs = model.model(input_ids=alone, mm_token_type_ids=kinds, **inputs).last_hidden_state[0]
        torch.testing.assert_close(ours[keep], theirs, atol=2e-4, rtol=1e-3)


@torch.no_grad()
def test_the_watched_heads_are_the_librarys(parts):
    processor, model = parts
    sample, packer, grid = packed(processor)
    row = packer.row(sample, np.random.default_rng(5), grid, 288)
    keep = np.flatnonzero(row["segments"] <= 1)
    ids, segments, positions = (torch.from_numpy(row[key][..., keep])[None] for key in ("ids", "segments", "positions"))
    language = model.model.language_model
    tokens = language.embed_tokens(ids)  # as if nothing were a picture
    x, cos, sin, _ = text_inputs(language, ids, positions.transpose(0, 1), torch.zeros_like(ids, dtype=bool), tokens[:, :0], [])
    _, watched = text_layers(language, x, cos, sin, causal_mask(segments, x.dtype), [])
    before = language.config._attn_implementation
    language.config._attn_implementation = "eager"
    theirs = language(inputs_embeds=tokens, position_ids=positions.transpose(0, 1), output_attentions=True).attentions
    language.config._attn_implementation = before
    for heads, scores in zip(WATCHED, watched, strict=True):
        assert scores.shape[1] == len(heads)
        for (layer, head), ours in zip(heads, scores[0].softmax(-1), strict=True):
            torch.testing.assert_close(ours, theirs[layer][0, head], atol=2e-5, rtol=1e-3)


def test_a_packed_question_is_what_the_chat_template_writes(parts):
    processor, _ = parts
    sample, packer, grid = packed(processor)
    turn = sample.turns[0]
    prefix, _, _ = packer.prefix(sample, grid)
    ids, weights, _, _ = packer.segment([turn])
    content = [{"type": "image"}, {"type": "text", "text": turn.prompt}]
    chat = [{"role": "user", "content": content}, {"role": "assistant", "content": turn.answer}]
    text = processor.apply_chat_template(chat).replace("<|image_pad|>", "<|image_pad|>" * grid[0] * grid[1])
    assert processor.tokenizer.decode(prefix + ids) + "\n" == text
    learned = [token for token, weight in zip(ids, weights, strict=True) if weight > 0]
    assert processor.tokenizer.decode(learned) == turn.answer + "<|im_end|>"


@torch.no_grad()
def test_a_packed_clip_gives_the_same_hidden_states_as_the_librarys_forward(parts):
    processor, model = parts
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 255, (64, 96, 3), np.uint8)) for _ in range(6)]
    sample = Sample(frames, [turns.Turn("what", "What moves?", "dog")], seconds=[0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
    chat = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "What moves?"}]}]
    metadata = {"total_num_frames": 6, "fps": 2.0, "frames_indices": list(range(6))}
    kinds = {"do_sample_frames": False, "video_metadata": [metadata], "size": {"shortest_edge": 64, "longest_edge": 10**6}}
    text = processor.apply_chat_template(chat, add_generation_prompt=True)
    inputs = processor(text=[text], videos=[np.stack(frames)], videos_kwargs=kinds, return_tensors="pt")
    assert inputs["video_grid_thw"].tolist() == [[3, 4, 6]]
    theirs, written = model.model(**inputs).last_hidden_state[0], inputs["input_ids"][0].tolist()

    packer = Packer(processor.tokenizer)
    rows = (packer.row(sample, np.random.default_rng(seed), (2, 3), 64) for seed in range(20))
    row = next(row for row in rows if row["ids"][: len(written)].tolist() == written)
    pixels = torch.from_numpy(data.frames_of(sample)).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    _, tokens, deep = vision_forward(model.model.visual, pixels, vision_tables(model.model.visual, (4, 6)))
    tokens, *deep = (part.reshape(1, -1, part.shape[-1]) for part in (tokens, *deep))
    ids, segments, positions = (torch.from_numpy(row[key])[None] for key in ("ids", "segments", "positions"))
    video = ids == model.config.video_token_id
    x, cos, sin, spread = text_inputs(model.model.language_model, ids, positions.transpose(0, 1), video, tokens, deep)
    ours = text_layers(model.model.language_model, x, cos, sin, causal_mask(segments, x.dtype), spread)[0][0]
    torch.testing.assert_close(ours[: len(written)], theirs, atol=2e-4, rtol=1e-3)


def test_a_row_tells_where_to_look(parts):
    sample, packer, grid = packed(parts[0])
    first = sample.regions[0]
    sample.turns = [turns.Turn("name", f"Where is the {first.kind}?", "here", {}, [(f"the {first.kind}", [first])], [(0, first)])]
    row = packer.row(sample, np.random.default_rng(1), grid, 200)
    (asked, sink, half), (_, key, _) = row["read"]
    token = (key - list(row["ids"]).index(packer.pads["image"])) % (grid[0] * grid[1])
    x, y = token % grid[1] * 32, token // grid[1] * 32
    x1, y1, x2, y2 = first.box_xyxy
    assert sink == 0 and half == 0.5 and packer.tokenizer.decode(row["ids"][asked]).strip() in first.kind
    assert x1 < x + 32 and x < x2 and y1 < y + 32 and y < y2
    assert row["first"] == row["rest"] and {k for _, k, _ in row["first"]} == {key}
    spoken = [row["ids"][at + 1] for at, _, _ in row["first"]]  # each position looks while it predicts the next token
    assert packer.tokenizer.decode(spoken) == "here<|im_end|>"


def test_a_letter_looks_at_the_end_of_its_option(parts):
    sample, packer, grid = packed(parts[0])
    options = turns.Turn("choice", "Which?\n(A) a red cat\n(B) a red dog\nAnswer with the letter.", "B", shown=[(0, "(B) a red dog")])
    sample.turns = [turns.Turn("name", "What?", "This."), options]  # packed from the last to the first: the row begins with the choice
    row = packer.row(sample, np.random.default_rng(1), grid, 200)
    looks = [look for look in row["first"] if look[1] > 0]
    assert row["first"] == row["rest"]
    assert packer.tokenizer.decode([row["ids"][at + 1] for at, _, _ in looks]) == "B<|im_end|>"
    ((key, share),) = {(key, share) for _, key, share in looks}
    assert share == 1
    before = packer.tokenizer.decode(row["ids"][key - 60 : key + 1])
    assert before.rstrip().endswith("(B) a red dog"), before


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_clips_of_a_batch_last_equally_long(parts, seed):
    packer = Packer(parts[0].tokenizer)
    batch = data.make_batch(packer, np.random.default_rng(seed), 3, "clips", (128, 128))
    seconds = len(batch.pixels) // 3
    assert ((batch.ids == packer.pads["video"]).sum(1) == 16 * seconds).all() and 2 <= seconds <= 12


def test_dense_targets_hold_the_3d_box_under_each_token():
    view = solids.render(np.random.default_rng(4), (256, 256), count=2)
    space = dense.targets_of([Sample([view.image], [], view.seen)]).space[0]
    told = {tuple(box) for box in space[~space.isnan().any(-1)].tolist()}
    assert told == {tuple(np.float32(seen.bbox_3d).tolist()) for seen in view.seen}
    assert space.isnan().all(-1).sum() > 32  # more than half of the 64 tokens show floor and wall


def test_dense_targets_of_flat_things_have_no_3d_box():
    assert dense.targets_of([Sample([scenes.render_scene(np.random.default_rng(0), size=(64, 64)).image], [])]).space is None


def test_dense_targets_name_the_thing_under_each_token():
    placed = [scenes.Placed(7, (32, 64, 96, 128)), scenes.Placed(3, (160, 0, 256, 64))]
    scene = scenes.Scene(scenes.Image.new("RGB", (256, 128)), placed)
    targets = dense.targets_of([Sample([scene.image], [], placed)])
    patches, tokens, digits, centres = (part[0].numpy() for part in (targets.at_patch, targets.at_token, targets.digits, targets.centres))
    by_row = tokens.reshape(4, 8)
    assert (by_row[2:, 1:3] == 7).all() and (by_row[:2, 5:] == 3).all()
    assert (by_row == dense.NOTHING).sum() == 32 - 4 - 6
    assert digits.reshape(4, 8, 4, 3)[2, 1].tolist() == [[1, 2, 5], [5, 0, 0], [3, 7, 5], [9, 9, 9]]
    assert patches.reshape(4, 8, 4)[0, 5].tolist() == [3] * 4, "the four patches of a token lie together"
    assert centres.sum() == 2 and all(by_row.reshape(-1)[centres > 0] != dense.NOTHING)


def test_glyph_targets_say_what_is_written_in_each_half_of_a_patch():
    glyphs = [Glyph("A", (0, 0, 8, 16)), Glyph("b", (9, 2, 15, 14)), Glyph("7", (40, 20, 46, 30))]
    written, lines = dense.glyph_targets(glyphs, (64, 32))
    letters = [dense.CHARACTERS[c] for c in "Ab7"]
    assert written[0].tolist() == letters[:2] and written[6].tolist() == [0, letters[2]] and (written > 0).sum() == 3
    assert [lines[patch] for patch in (0, 6)] == [0, 1] and (lines == dense.IGNORE).sum() == 6


def test_characters_told_from_a_token_are_those_of_its_own_patches_in_the_order_of_the_patches():
    head, tokens = DenseHead(kinds=3, letters=5), torch.zeros(1, 6, 192)
    tokens[0, 2] = torch.arange(192.0)  # one token that differs
    said = head.characters_of_tokens(tokens)
    assert said.shape == head.characters(torch.zeros(1, 24, 192)).shape == (1, 24, 2, 5)
    differs = (said[0] != said[0, 0:4].repeat(6, 1, 1)).flatten(1).any(1)
    assert differs.nonzero()[:, 0].tolist() == [8, 9, 10, 11]
