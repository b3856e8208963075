"""The embedded model's world: artwork, scenes and their questions, with answers that can be checked again."""

import json
from collections import Counter

import numpy as np
import pytest

from cookbook_utils.coordinates import to_pixels
from cookbook_utils.parsing import parse_boxes, parse_points
from cookbook_utils.tiny import scenes, tasks
from cookbook_utils.tiny.artwork import CATEGORY_PLURAL, sprites, things, visible_box


def some_scenes(count=30, **options):
    return [scenes.render_scene(np.random.default_rng([77, i]), **options) for i in range(count)]


def test_the_world_has_two_hundred_distinct_names_in_many_categories():
    assert len(things()) == len({t.name for t in things()}) == len({t.name_zh for t in things()}) == 200
    assert set(Counter(t.category for t in things())) == set(CATEGORY_PLURAL) and len(CATEGORY_PLURAL) >= 8


def test_every_sprite_is_cropped_to_what_is_visible():
    assert all(visible_box(s) == (0, 0, *s.size) for s in sprites()) and all(max(s.size) > 100 for s in sprites())


def test_a_seed_gives_the_same_scene_again():
    first, again = (scenes.render_scene(np.random.default_rng(5)) for _ in range(2))
    assert first.image.tobytes() == again.image.tobytes() and first.truth() == again.truth()


def test_scenes_keep_the_promised_sizes_counts_and_overlap():
    for scene in some_scenes():
        width, height = scene.size
        assert 255 <= min(scene.size) and max(scene.size) <= 641 and 0.49 <= width / height <= 2.05
        assert 1 <= len(scene.placed) <= 6
        for placed in scene.placed:
            x1, y1, x2, y2 = placed.box_xyxy
            assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
        boxes = [p.box_xyxy for p in scene.placed]
        assert all(scenes.cover(a, b) <= scenes.MAX_COVER for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_box_is_tight_around_the_pixels_that_changed(monkeypatch):
    magenta = scenes.Image.new("RGB", (320, 256), (255, 0, 255))
    monkeypatch.setattr(scenes, "background", lambda rng, size: magenta.copy())
    for seed in range(12):
        scene = scenes.render_scene(np.random.default_rng(seed), size=(320, 256), count=1, soft=False)
        changed = np.abs(np.asarray(scene.image, int) - np.asarray(magenta, int)).max(2) > 60
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert np.abs(np.subtract(seen, scene.placed[0].box_xyxy)).max() <= 4, scene.placed[0].name


def turns_of(task, count=60):
    asked = [(scene, task(scene, np.random.default_rng(i))) for i, scene in enumerate(some_scenes(count, size=(320, 288)))]
    return [(scene, turn) for scene, turn in asked if turn]


@pytest.mark.parametrize("task", [t for t in tasks.TASKS if t.__name__.startswith("locate") and "zh" not in t.__name__])
def test_boxes_in_answers_lie_on_the_true_things_from_left_to_right(task):
    made = turns_of(task)
    assert made, "the task never found a scene that it could ask about"
    for scene, turn in made:
        if turn.task == "point_described" or turn.task.endswith("_zh") or "placed" not in turn.expect:
            continue
        items = parse_boxes(turn.answer, scene.size, strict=True)
        assert not items.dropped and len(items) == len(turn.expect["placed"])
        for item, placed in zip(items, turn.expect["placed"], strict=True):
            np.testing.assert_allclose(item["bbox_2d"], placed.box_xyxy, atol=0.5 * max(scene.size) / 1000 + 1e-6)
            assert item["label"] == placed.name
        lefts = [item["bbox_2d"][0] for item in items]
        assert lefts == sorted(lefts)


def test_points_lie_inside_their_things():
    for scene, turn in turns_of(tasks.point):
        for item, placed in zip(parse_points(turn.answer, scene.size), turn.expect["placed"], strict=True):
            x1, y1, x2, y2 = placed.box_xyxy
            assert x1 <= item["point_2d"][0] <= x2 and y1 <= item["point_2d"][1] <= y2


def test_an_absent_thing_is_absent_and_answered_with_an_empty_list():
    for scene, turn in turns_of(tasks.locate_absent):
        named = [t for t in things() if f" {t.name} " in turn.prompt.replace(".", " ").replace("?", " ") or t.name_zh in turn.prompt]
        assert named and parse_boxes(turn.answer) == [] and "[]" in turn.answer
        assert not {p.thing for p in scene.placed} & {max(named, key=lambda t: len(t.name)).index}


def test_counts_and_presence_agree_with_the_scene():
    for scene, turn in turns_of(tasks.count):
        if "instances of" in turn.prompt:
            name = turn.prompt.split("instances of ")[1].split(" are there")[0].split(" in the picture")[0]
            assert int(turn.answer) == sum(p.name == name for p in scene.placed), turn.prompt
    for scene, turn in turns_of(tasks.presence):
        if turn.answer in ("Yes", "No"):
            name = turn.prompt.split(" a ", 1)[1].split(" in the image")[0].split("? Answer")[0]
            assert (turn.answer == "Yes") == any(p.name == name for p in scene.placed), turn.prompt


def test_a_region_is_named_after_the_thing_whose_box_it_is():
    for scene, turn in turns_of(tasks.name_box, 20):
        region = json.loads("[" + turn.prompt.split("[")[1].split("]")[0] + "]")
        box = to_pixels(region, scene.size)
        nearest = min(scene.placed, key=lambda p: float(np.abs(np.subtract(p.box_xyxy, box)).sum()))
        assert turn.answer in (nearest.name, things()[nearest.thing].name_zh)


@pytest.mark.parametrize(
    ("phrase", "key", "sign"),
    [("the leftmost object", 0, 1), ("the rightmost thing", 0, -1), ("the topmost object", 1, 1), ("the bottommost thing", 1, -1)],
)
def test_a_description_by_position_means_what_it_says(phrase, key, sign):
    hits = 0
    for index, scene in enumerate(some_scenes(150, size=(320, 288))):
        described = tasks.describe_one(scene, np.random.default_rng(index))
        if described and described[0] == phrase:
            hits += 1
            best = min(scene.placed, key=lambda p: sign * tasks.centre(p)[key])
            assert described[1] is best
    assert hits
