"""The large pictures in the assets: they are what the command renders, and every detail is where its row says."""

import json

import numpy as np
import pytest
from PIL import Image

from cookbook_utils.coordinates import iou, to_pixels
from cookbook_utils.tiny import large_pictures

FOLDER = large_pictures.FOLDER
STORED = json.loads((FOLDER / "large.json").read_text(encoding="utf-8"))


def test_a_picture_comes_out_as_it_is_stored(monkeypatch, tmp_path):
    monkeypatch.setattr(large_pictures, "FOLDER", tmp_path)
    assert large_pictures.picture_row(3) == STORED[3]
    ours, theirs = (np.asarray(Image.open(folder / STORED[3]["file"]), int) for folder in (tmp_path, FOLDER))
    assert abs(ours - theirs).mean() < 3


@pytest.mark.parametrize("row", STORED, ids=lambda row: row["file"])
def test_every_question_is_about_a_thing_with_a_detail_inside_it(row):
    assert list(Image.open(FOLDER / row["file"]).size) == row["size"] and row["questions"]
    bearers = [item for item in row["objects"] if "detail" in item]
    for question in row["questions"]:
        [bearer] = [item for item in bearers if iou([item["bbox_2d"]], [question["bbox_2d"]])[0, 0] > 0.9]
        x1, y1, x2, y2 = bearer["bbox_2d"]
        a, b, c, d = bearer["detail_bbox_2d"]
        assert x1 <= a < c <= x2 and y1 <= b < d <= y2
        assert question["answer"] == bearer["answer"] or not question["prompt"].isascii()


def test_a_tags_letters_are_lost_in_what_the_model_sees():
    """Letters have edges: the difference of neighbouring pixels inside the tag, before and after the picture was made small."""
    for row in STORED[:8]:
        picture = Image.open(FOLDER / row["file"]).convert("L")
        small = picture.resize([side // 4 for side in picture.size], Image.Resampling.BICUBIC).resize(picture.size, Image.Resampling.BICUBIC)
        for item in row["objects"]:
            if item.get("detail") == "tag":
                box = to_pixels(item["detail_bbox_2d"], picture.size).round().astype(int).tolist()
                sharp, blurred = (np.abs(np.diff(np.asarray(one.crop(box), int))).mean() for one in (picture, small))
                assert sharp > 1.4 * blurred, item
