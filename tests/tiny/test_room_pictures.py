"""The rooms in the assets: they are what the command renders, and their questions can be answered."""

import json

import numpy as np
import pytest
from PIL import Image

from cookbook_utils.tiny import room_pictures

FOLDER = room_pictures.FOLDER


def stored(name: str) -> list:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def test_a_room_comes_out_as_it_is_stored(monkeypatch, tmp_path):
    monkeypatch.setattr(room_pictures, "FOLDER", tmp_path)
    made, kept = room_pictures.room(2), stored("rooms.json")[2]
    assert made["questions"] == kept["questions"] and made["size"] == kept["size"]
    for ours, theirs in zip(made["objects"], kept["objects"], strict=True):
        assert ours["label"] == theirs["label"] and ours["bbox_3d"] == pytest.approx(theirs["bbox_3d"], abs=1e-3)
    pictures = [np.asarray(Image.open(folder / kept["file"]), int) for folder in (tmp_path, FOLDER)]
    assert abs(pictures[0] - pictures[1]).mean() < 1


@pytest.mark.parametrize("row", stored("rooms.json"), ids=lambda row: row["file"])
def test_every_question_of_a_room_has_an_answer(row):
    for question in row["questions"]:
        (known,) = {"answer", "box", "mask", "labels"} & question.keys()
        if known == "box":
            x1, y1, x2, y2 = question["box"]
            assert 0 <= x1 < x2 <= row["size"][0] and 0 <= y1 < y2 <= row["size"][1], question
        elif known == "mask":
            assert np.asarray(Image.open(FOLDER / question["mask"])).any(), question
        else:
            assert question[known], question


def test_two_viewpoints_disagree_on_a_third_of_the_questions():
    for first, second in stored("pairs.json"):
        asked = list(zip(first["questions"], second["questions"], strict=True))
        assert all(a["prompt"] == b["prompt"] for a, b in asked)
        assert sum(a["answer"] != b["answer"] for a, b in asked) * 3 > len(asked)
