"""Questions over solids: supervision that fits the sample, and answers worked out again from the truth."""

import math
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from supervision import check_supervision

from cookbook_utils.geometry3d import iou_3d, rotation_matrix
from cookbook_utils.parsing import parse_boxes, parse_boxes_3d, parse_points
from cookbook_utils.tiny import solid_actions, solid_tasks, solid_words, solids
from cookbook_utils.tiny.raycast import FACTOR
from cookbook_utils.tiny.solid_shapes import SHAPES

SIZES = list(solids.SIZES)
TOKENIZER = Path(solids.__file__).parents[2] / "assets" / "tiny"


@lru_cache
def views(count=40):
    """Rooms with and without arrows."""
    return [solids.render(np.random.default_rng([79, i]), (256, 256), arrows=i % 3 == 0) for i in range(count)]


@lru_cache
def samples(count=40):
    return [solid_tasks.make(np.random.default_rng([78, i]), SIZES[i % len(SIZES)]) for i in range(count)]


def turns_of(task, count=40):
    """(view, turn) of a task, for the views that allow it."""
    asked = [(v, task(v, np.random.default_rng(i))) for i, v in enumerate(views(count))]
    return [(v, turn) for v, turn in asked if turn]


# --- samples ---------------------------------------------------------------------------------


def test_a_seed_gives_the_same_sample_again():
    one, two = (solid_tasks.make(np.random.default_rng(9), (320, 256)) for _ in range(2))
    assert one.pictures[0].tobytes() == two.pictures[0].tobytes()
    assert [(t.prompt, t.answer) for t in one.turns] == [(t.prompt, t.answer) for t in two.turns]


def check_sample(sample):
    """What `check_supervision` asks for, and no answer too long for its row."""
    check_supervision(sample)
    assert all(len(turn.answer) <= (450 if turn.task.endswith("3d") else 260) for turn in sample.turns)


def test_supervision_points_at_regions_of_the_sample():
    for sample in samples():
        check_sample(sample)
        assert len({turn.prompt for turn in sample.turns}) == len(sample.turns) == solid_tasks.QUESTIONS


def test_a_list_says_which_region_each_item_speaks_of():
    for sample in samples():
        for turn in sample.turns:
            for (start, region), (end, _) in zip(turn.shown, turn.shown[1:], strict=False):
                if turn.task.endswith(("3d", "2d")):
                    name = region.kind if turn.task.endswith("2d") else region.solid.shape
                    label = re.search(r'"label": "(.+)', turn.answer[start:end])[1]
                    assert label in (name, solid_words.chinese(name))


def test_one_prompt_has_one_answer():
    for v in views(8):
        answers = {}
        for seed in range(150):
            turn = solid_tasks.ask(v, np.random.default_rng(seed))
            assert answers.setdefault(turn.prompt, turn.answer) == turn.answer


def test_rows_for_the_training_can_be_packed():
    from transformers import AutoTokenizer

    from cookbook_utils.tiny.packing import Packer

    packer = Packer(AutoTokenizer.from_pretrained(TOKENIZER))
    for sample in [*samples()[:8], solid_actions.make_walk(np.random.default_rng(0))]:
        width, height = sample.pictures[0].size
        row = packer.row(sample, np.random.default_rng(0), (height // 32, width // 32), 640)
        assert row["weights"].sum() > 20 and row["read"]


# --- questions, answered again from the truth ------------------------------------------------


@pytest.mark.parametrize("task", [solid_tasks.all_3d, solid_tasks.category_3d, solid_tasks.described_3d, solid_tasks.region_3d])
def test_3d_boxes_in_answers_are_the_true_ones(task):
    for v, turn in turns_of(task):
        items = parse_boxes_3d(turn.answer, strict=True)
        assert not items.dropped and len(items) == len(turn.expect["seen"]) and "-0.00," not in turn.answer
        for item, seen in zip(items, turn.expect["seen"], strict=True):
            assert iou_3d(item["bbox_3d"], seen.bbox_3d) > 0.85
            assert item["label"] in (seen.solid.shape, solid_words.ZH[seen.solid.shape])
        assert ("horizontal field of view" in turn.prompt) == (v.eye.fov != 60) and turn.expect["camera"] == v.camera


@pytest.mark.parametrize("task", [solid_tasks.all_2d, solid_tasks.described_2d])
def test_2d_boxes_in_answers_are_the_true_ones(task):
    for v, turn in turns_of(task):
        items = parse_boxes(turn.answer, v.size, strict=True)
        for item, seen in zip(items, turn.expect["seen"], strict=True):
            np.testing.assert_allclose(item["bbox_2d"], seen.box_xyxy, atol=0.2)
            assert item["label"] in (seen.kind, solid_words.chinese(seen.kind))


@pytest.mark.parametrize(("task", "parse"), [(solid_tasks.absent_3d, parse_boxes_3d), (solid_tasks.absent_2d, parse_boxes)])
def test_an_absent_thing_is_absent(task, parse):
    for v, turn in turns_of(task):
        name = turn.mentions[0][0].removeprefix("the ")
        assert name.split()[1] in SHAPES and name not in {s.kind for s in v.seen} and parse(turn.answer, strict=True) == []


def floor_place(v, kind):
    """Where a solid is on the floor for the viewer, from its 3D box alone: metres to the right, metres ahead."""
    seen = next(s for s in v.seen if s.kind == kind)
    right, _, ahead = rotation_matrix([-v.eye.pitch / math.pi, 0, 0]) @ seen.bbox_3d[:3]
    return right / ahead, ahead


def test_relations_hold_in_space():
    answers = []
    for v, turn in turns_of(solid_tasks.relation, 60):
        if turn.answer in ("Yes", "No"):
            first, second = (phrase.removeprefix("the ") for phrase, _ in turn.mentions)
            (right_a, ahead_a), (right_b, ahead_b) = floor_place(v, first), floor_place(v, second)
            truth = {"left of": right_a < right_b, "right of": right_a > right_b, "in front of": ahead_a < ahead_b}
            word = next((word for word in truth if word in turn.prompt), "behind")
            assert turn.answer == ("Yes" if truth.get(word, ahead_a > ahead_b) else "No"), turn.prompt
            answers.append(turn.answer)
    assert 0.2 < answers.count("Yes") / len(answers) < 0.8


def test_on_top_means_standing_on():
    answers = set()
    for _v, turn in turns_of(solid_tasks.on_top, 60):
        (first,), (second,) = (regions for _, regions in turn.mentions)
        touches = abs(first.solid.base[1] + second.solid.sides[1]) < 1e-9 and first.solid.base[1] < 0
        assert turn.answer == ("Yes" if touches else "No")
        answers.add(turn.answer)
    assert answers == {"Yes", "No"}


WORTH = {
    "closest": lambda s: -math.hypot(*s.bbox_3d[:3]), "nearest": lambda s: -math.hypot(*s.bbox_3d[:3]),
    "closer": lambda s: -math.hypot(*s.bbox_3d[:3]), "farthe": lambda s: math.hypot(*s.bbox_3d[:3]),
    "talle": lambda s: s.bbox_3d[4], "large": lambda s: np.prod(s.bbox_3d[3:6]), "small": lambda s: -np.prod(s.bbox_3d[3:6]),
    "leftmost": lambda s: -s.box_xyxy[0] - s.box_xyxy[2], "rightmost": lambda s: s.box_xyxy[0] + s.box_xyxy[2],
}  # fmt: skip


@pytest.mark.parametrize("task", [solid_tasks.which, solid_tasks.compare])
def test_superlatives_name_the_one(task):
    for v, turn in turns_of(task):
        worth = next(worth for word, worth in WORTH.items() if word in turn.prompt)
        group = [s for s in v.seen if task is solid_tasks.which or f"the {s.kind}" in turn.prompt]
        assert turn.answer == max(group, key=worth).kind, turn.prompt


def test_counts_agree_with_the_view():
    for v, turn in turns_of(solid_tasks.count):
        asked = re.search(r"How many (.+) are there|Count the (.+) in the", turn.prompt)
        if asked:
            noun = asked[1] or asked[2]
            fits = [s for s in v.seen if noun in ("objects", f"{s.solid.colour} objects", solid_words.PLURAL[s.solid.shape])]
            assert turn.answer == str(len(fits)), turn.prompt


def test_distances_are_those_of_the_3d_boxes():
    for _v, turn in turns_of(solid_tasks.distance):
        places = [regions[0].bbox_3d[:3] for _, regions in turn.mentions]
        metres = math.dist(places[0], places[1] if len(places) == 2 else (0, 0, 0))
        assert abs(float(turn.answer) - metres) <= 0.0501 and turn.expect["metres"] == metres


def test_the_letter_of_a_choice_is_that_of_the_right_option():
    letters = set()
    for v, turn in turns_of(solid_tasks.choice, 60):
        options = dict(re.findall(r"\(?([A-D])(?:\)|\.) (.+?)(?= \(?[B-D][.)]|\n)", turn.prompt))
        assert options[turn.answer] == turn.expect["option"] and len(set(options.values())) == len(options)
        if turn.prompt.startswith("Which of these"):
            assert [name for name in options.values() if name in {s.kind for s in v.seen}] == [turn.expect["option"]]
        letters.add(turn.answer)
    assert letters == set("ABCD")


def test_a_free_spot_is_free_and_a_solid_is_not():
    kinds = set()
    for v, turn in turns_of(solid_tasks.free_spot, 60):
        (point,) = parse_points(turn.answer, v.size, strict=True)
        on = turn.expect["on"]
        assert solid_actions.is_free(v, point["point_2d"], on)
        for seen in v.seen:  # the middle of a solid's visible pixels of its own is no free floor
            rows, columns = np.nonzero(v.owners == v.room.bodies.index(seen.solid) + 1)
            middle = len(rows) // 2
            assert not solid_actions.is_free(v, (columns[middle] / FACTOR, rows[middle] / FACTOR), None)
        assert not solid_actions.is_free(v, (v.size[0] / 2, 1)) and not solid_actions.is_free(v, (-5, 200))
        kinds.add(on is None)
    assert kinds == {True, False}


def test_the_free_circle_on_the_floor_is_the_largest_that_brute_force_finds():
    for v in views(4):
        spot, radius = solid_actions.free_floor(v)
        corners = [s.corners()[:, ::2] for s in v.room.bodies if s.stands_on is None]
        edge = np.concatenate([np.linspace(a, b, 20) for c in corners for a in c for b in c])  # also covers the insides
        assert np.linalg.norm(edge - spot[::2], axis=1).min() > radius - 0.25  # round footprints reach less than their boxes
        ring = spot + radius * np.array([(math.cos(t), 0, math.sin(t)) for t in np.linspace(0, 6, 20)])
        pixels = v.eye.pixels(ring, v.size)
        assert (pixels > -1).all() and (pixels < np.array(v.size) + 1).all()


def test_points_to_use_a_thing_lie_on_it():
    parts = set()
    for v, turn in turns_of(solid_tasks.use, 60):
        (point,) = parse_points(turn.answer, v.size, strict=True)
        (x, y), (x1, y1, x2, y2) = point["point_2d"], turn.expect["box_xyxy"]
        assert x1 - 0.5 <= x <= x2 + 0.5 and y1 - 0.5 <= y <= y2 + 0.5
        assert v.room.bodies[v.owner_at((x, y)) - 1] is turn.expect["seen"][0].solid
        parts.add(point["label"])
    assert parts == {"seat", "handle"}


def test_an_arrow_leads_to_the_solid_at_its_tip():
    made = turns_of(solid_tasks.arrow_to)
    assert len(made) > 5
    for v, turn in made:
        ((_, (goal,)),), tips = turn.mentions, {a.mark.letter: a.mark.outline[len(a.mark.outline) // 2] for a in v.arrows}
        away = {letter: math.dist(tip, goal.solid.base[::2]) for letter, tip in tips.items()}
        assert min(away, key=away.get) == turn.answer == turn.shown[0][1].character


def test_an_arrow_to_nowhere_ends_far_from_everything():
    for v, turn in turns_of(solid_tasks.arrow_leads):
        if turn.answer == "nothing":
            tip = next(a.mark.outline[len(a.mark.outline) // 2] for a in v.arrows if f"arrow {a.mark.letter} " in turn.prompt)
            assert min(math.dist(tip, s.base[::2]) for s in v.room.bodies) > 0.6


def test_the_published_wording_is_asked_word_for_word():
    prompts = {turn.prompt for _, turn in turns_of(solid_tasks.category_3d)}
    shape = r'\[\{"bbox_3d":\[x_center, y_center, z_center, x_size, y_size, z_size, roll, pitch, yaw\],"label":"category"\}\]'
    wanted = rf"Find all (the )?(\w+) in this image\. For each \w+, provide its 3D bounding box\. The output format required is JSON: `{shape}`\."
    assert any(re.fullmatch(wanted, prompt) for prompt in prompts)


# --- walks -----------------------------------------------------------------------------------


@lru_cache
def walks():
    return [solid_actions.make_walk(np.random.default_rng([80, i])) for i in range(8)]


def test_a_walk_shows_things_in_the_order_that_its_answers_say():
    for sample in walks():
        check_sample(sample)
        answers = {turn.task: turn.answer for turn in sample.turns}
        names = answers["walk_order"].split(", ")
        first_page = [min(s.page for s in sample.regions if s.kind == name) for name in names]
        assert first_page == sorted(first_page) and names == list(dict.fromkeys(names))
        assert (answers["walk_first"], answers["walk_last"]) == (names[0], names[-1])
        assert answers["walk_count"] == str(len(names))
        rightwards = answers["walk_way"] == "right"
        assert answers["walk_left_right"] == ", ".join(names if rightwards else names[::-1])
    assert len({turn.answer for sample in walks() for turn in sample.turns if turn.task == "walk_way"}) == 2


def test_what_a_walk_passes_moves_against_the_camera():
    for sample in walks():
        way = next(turn.answer for turn in sample.turns if turn.task == "walk_way")
        assert len(sample.pictures) == len(sample.seconds) == 8 and sample.seconds[-1] == 3.5
        assert all(picture.size == (128, 128) for picture in sample.pictures)
        for name in {s.kind for s in sample.regions}:
            frames = sorted((s for s in sample.regions if s.kind == name), key=lambda s: s.page)
            middles = [(s.box_xyxy[0] + s.box_xyxy[2]) / 2 for s in frames]
            assert len(middles) < 2 or ((np.diff(middles) < 0) == (way == "right")).all()


def test_names_and_numbers_are_written_as_they_should():
    assert solid_words.chinese("red box") == "红色盒子" and set(solid_words.PLURAL) == set(SHAPES)
    assert [solid_words.two_decimals(value) for value in (-0.001, 1, -1.256)] == ["0.00", "1.00", "-1.26"]
