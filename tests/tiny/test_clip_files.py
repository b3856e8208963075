"""The clips in the assets: they are what the command renders, their files show what the truth says, and their questions can be answered."""

import json

import numpy as np
import pytest

from cookbook_utils import probe, sample_frames, to_pixels
from cookbook_utils.tiny import clip_files

FOLDER = clip_files.FOLDER
STORED = json.loads((FOLDER / "clips.json").read_text(encoding="utf-8"))


def test_a_clip_comes_out_as_it_is_stored(monkeypatch, tmp_path):
    monkeypatch.setattr(clip_files, "FOLDER", tmp_path)
    assert clip_files.clip_row(10) == STORED[10]
    first, second = (sample_frames(folder / STORED[10]["file"], num_frames=4) for folder in (tmp_path, FOLDER))
    for ours, theirs in zip(first, second, strict=True):
        assert abs(np.asarray(ours, int) - np.asarray(theirs, int)).mean() < 3


@pytest.mark.parametrize("row", STORED, ids=lambda row: row["file"])
def test_a_file_lasts_as_long_and_moves_where_its_truth_says(row):
    info = probe(FOLDER / row["file"])
    assert list(info.size) == row["size"] and info.duration_s == pytest.approx(row["seconds"], abs=0.01)
    frames = sample_frames(FOLDER / row["file"], fps=4)
    still = np.ones(row["size"][::-1], bool)  # where no caption and no thing ever is
    for item in row["objects"]:
        x1, y1, x2, y2 = to_pixels(item["bbox_2d"], row["size"]).round().astype(int)
        still[max(y1 - 40, 0) : y2 + 40, max(x1 - 40, 0) : x2 + 40] = False
    moved = np.ptp([np.asarray(frame.convert("L"), int) for frame in frames], axis=0) > 60
    assert moved.any() and row["events"]
    assert moved[~still].sum() > moved[still].sum() or row["captions"], "more changes outside its boxes than inside them"


@pytest.mark.parametrize("row", STORED, ids=lambda row: row["file"])
def test_every_question_has_an_answer_within_the_clip(row):
    for question in row["questions"]:
        assert {"answer", "boxes"} & question.keys()
        if "start" in question:
            assert 0 <= question["start"] < question["end"] <= row["seconds"], question
        for box in question.get("boxes", []):
            assert 0 <= box["time"] < row["seconds"] and 0 <= min(box["bbox_2d"]) and max(box["bbox_2d"]) <= 1000, question
