"""Solids: the ray-caster against Open3D, 3D boxes against the projection and the pixels."""

import math
from functools import lru_cache

import numpy as np
import pytest

from cookbook_utils.geometry3d import bbox_2d_of, box_corners, rotation_matrix
from cookbook_utils.tiny import rooms, solids
from cookbook_utils.tiny.raycast import FACTOR, Eye, Part, cast, interval
from cookbook_utils.tiny.solid_shapes import COLOURS, ROUND, SIMPLE, make_solid

SIZES = list(solids.SIZES)


@lru_cache
def view(index: int, **options):
    return solids.render(np.random.default_rng([77, index]), SIZES[index % len(SIZES)], **options)


def views(count=24):
    return [view(index) for index in range(count)]


# --- the ray-caster --------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "origin", "ray", "enters", "leaves", "reason"), [
    ("box", (0, 0, -5), (0, 0, 1), 3, 7, "through the middle"),
    ("box", (0, 3, -5), (0, 0, 1), None, None, "beside it, parallel to two faces"),
    ("sphere", (0, 0, -5), (0, 0, 1), 4, 6, "through the middle"),
    ("sphere", (1.1, 0, -5), (0, 0, 1), None, None, "beside it"),
    ("cylinder", (0.5, -5, 0), (0, 1, 0), 3, 7, "along the axis, in through the top"),
    ("cylinder", (0, 0, -5), (0, 0.1, 1), 4, 6, "through the side"),
    ("cone", (0, 0, -5), (0, 0, 1), 4.5, 5.5, "half as wide at half its height"),
    ("cone", (0.25, -5, 0), (0, 1, 0), 4, 7, "steeper than its side: in through the side, out through the bottom"),
    ("cone", (0.25, 5, 0), (0, -1, 0), 3, 6, "the same way back"),
    ("cone", (0, -3, -5), (0, 0, 1), None, None, "over its tip, where the endless cone goes on"),
])  # fmt: skip
def test_a_ray_meets_a_part_where_it_should(form, origin, ray, enters, leaves, reason):
    half = {"box": (2, 2, 2), "sphere": (1, 1, 1)}.get(form, (1, 2, 1))
    with np.errstate(all="ignore"):
        found = interval(Part(form, (0, 0, 0), half), np.float32(origin), np.float32(ray))
    assert bool(found[0] < found[1]) == (enters is not None), reason
    if enters is not None:
        np.testing.assert_allclose(found, (enters, leaves), atol=1e-4, err_msg=reason)


def mesh_of(o3d, part):
    """The mesh of a part in the axes of its solid, round ones with many corners."""
    x, y, z = part.half
    make = o3d.geometry.TriangleMesh
    upright = rotation_matrix([0.5, 0, 0])  # Open3D's axis is z, ours points down
    if part.form == "box":
        mesh = make.create_box(2 * x, 2 * y, 2 * z).translate((-x, -y, -z))
    elif part.form == "sphere":
        mesh = make.create_sphere(x, 100)
    elif part.form == "cylinder":
        mesh = make.create_cylinder(x, 2 * y, 200).rotate(upright, (0, 0, 0))
    else:
        mesh = make.create_cone(x, 2 * y, 200).rotate(upright, (0, 0, 0)).translate((0, y, 0))
    return mesh.translate(part.centre)


def test_depths_are_those_that_open3d_finds_from_the_3d_boxes():
    """The meshes are posed by `bbox_3d` alone, so that boxes, axes, angles and the ray-caster have to agree."""
    o3d = pytest.importorskip("open3d")
    for v in [view(i) for i in range(6)]:
        scene = o3d.t.geometry.RaycastingScene()
        for seen in v.seen:
            box, quarters = np.array(seen.bbox_3d), 0.0
            if seen.solid.shape not in ROUND:  # the box may be turned by quarters against the solid's own axes
                quarters = round((seen.solid.yaw - v.eye.yaw) / (math.pi / 2)) / 2
            turn = rotation_matrix(box[6:]) @ rotation_matrix([0, quarters, 0])
            for part in seen.solid.parts:
                mesh = mesh_of(o3d, part).translate((0, seen.solid.sides[1] / 2, 0))
                mesh = mesh.rotate(turn, (0, 0, 0)).translate(box[:3])
                scene.add_triangles(o3d.t.geometry.TriangleMesh.from_legacy(mesh))
        u, w = v.eye.rays(v.size, FACTOR)
        ray_u, ray_v = np.meshgrid(u, w)
        rays = np.stack([*np.zeros((3, *ray_u.shape)), ray_u, ray_v, np.ones_like(ray_u)], -1).astype(np.float32)
        theirs = scene.cast_rays(o3d.core.Tensor(rays))["t_hit"].numpy()
        ours = cast(v.room.bodies, v.eye, v.size).depth
        hit = np.isfinite(ours) & np.isfinite(theirs)
        assert (np.isfinite(ours) ^ np.isfinite(theirs)).mean() < 2e-3  # only along outlines
        assert hit.sum() > 500 and np.quantile(abs(ours[hit] - theirs[hit]), 0.99) < 0.01


def test_the_floor_is_dark_under_solids_and_bright_elsewhere():
    room = solids.empty_room(np.random.default_rng(0))
    room.light = np.array([0.6, -0.8, 0.0])  # from the right: shadows fall to the left
    ball = make_solid(np.random.default_rng(1), "sphere", "red")
    ball.base = np.array([0.0, 0, 3.0])
    room.bodies.append(ball)
    light = np.asarray(rooms.floor_light(room), float)
    at = lambda x: light[int(3 / rooms.CELL), int((x + room.half_width) / rooms.CELL)]
    lean = ball.sides[1] / 2 * 0.6 / 0.8
    assert at(-lean) < 0.6 * at(lean + 1) and at(-lean - 1) == at(lean + 1) == 255 and at(0) < 200


# --- truth -----------------------------------------------------------------------------------


def test_a_seed_gives_the_same_view_again_at_every_scale():
    first, again, larger = (solids.render(np.random.default_rng(5), (256, 256), scale=scale) for scale in (1, 1, 3))
    assert first.image.tobytes() == again.image.tobytes() and first.truth() == again.truth() == larger.truth()
    assert larger.image.size == (768, 768)
    shrunk = np.asarray(larger.image.reduce(3), float)
    assert abs(shrunk - np.asarray(first.image, float)).mean() < 3


@pytest.mark.parametrize("index", range(6))
def test_the_2d_box_is_around_the_pixels_that_are_of_the_solid(index):
    """Only the solid's own pixels change with its colour."""
    v = view(index)
    for seen in v.seen:
        kept, pictures = seen.solid.rgb, []
        for rgb in ((255, 0, 0), (0, 0, 255)):
            seen.solid.rgb = rgb
            pictures.append(np.asarray(rooms.paint(v.room, v.eye, v.size), int))
        seen.solid.rgb = kept
        changed = abs(pictures[0] - pictures[1]).max(2) > 20
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        np.testing.assert_allclose(seen.box_xyxy, (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), atol=1.01)


def test_the_2d_box_lies_within_the_projection_of_the_3d_box_and_fills_it_when_it_is_a_box():
    for v in views():
        for seen, truth in zip(v.seen, v.truth(), strict=True):
            assert truth["bbox_2d_projected"] == bbox_2d_of(seen.bbox_3d, v.camera, v.size)
            outside = np.array(truth["bbox_2d_projected"]) - truth["bbox_2d"]
            assert (outside[:2] < 0.6).all() and (outside[2:] > -0.6).all()
            if seen.solid.shape in ("box", "shelf") and seen.visible == 1:
                assert abs(outside).max() < 1


def test_what_is_seen_is_visible_enough_whole_and_named_once():
    for v in views():
        assert 1 <= len(v.seen) <= 4 and len({s.kind for s in v.seen}) == len(v.seen)
        assert [s.box_xyxy[0] for s in v.seen] == sorted(s.box_xyxy[0] for s in v.seen)
        for seen in v.seen:
            x1, y1, x2, y2 = bbox_2d_of(seen.bbox_3d, v.camera, v.size)
            assert seen.visible >= solids.LEAST_VISIBLE and seen.kind in solids.KINDS
            assert 0 < x1 and x2 < v.size[0] and 0 < y1 and y2 < v.size[1]


def test_the_angles_of_a_box_have_one_form():
    for v in views():
        for seen in v.seen:
            a, b, c = seen.bbox_3d[6:]
            up = rotation_matrix([a, b, c]) @ [0, 1, 0]
            np.testing.assert_allclose(up, [0, math.cos(v.eye.pitch), math.sin(v.eye.pitch)], atol=1e-9)
            assert abs(b) < 0.22 and 0.05 < a < 0.25
            assert seen.solid.shape not in ROUND or (b, c) == (0, 0)


def test_a_quarter_turn_with_swapped_sides_is_the_same_box():
    eye = Eye(np.array([0.0, -1.4, 0]), 0.3, 0.1)
    box = make_solid(np.random.default_rng(3), "box", "red")
    box.base, box.yaw = np.array([0.3, 0, 3]), 0.4
    first = solids.bbox_3d_of(box, eye)
    for quarters in (1, 2, -1):
        box.yaw += quarters * math.pi / 2
        box.sides = box.sides[:: -1 if quarters % 2 else 1]
        np.testing.assert_allclose(solids.bbox_3d_of(box, eye), first, atol=1e-12)
    np.testing.assert_allclose(np.sort(box_corners(first), 0), np.sort(eye.see(box.corners()), 0), atol=1e-9)


def test_two_viewpoints_show_the_same_room():
    for seed in range(3):
        one, two = solids.viewpoints(np.random.default_rng(seed), size=(320, 256))
        turn = two.eye.rotation @ one.eye.rotation.T
        for seen in one.seen:
            other = two.find(seen.solid)
            moved = turn @ np.array(seen.bbox_3d[:3]) + two.eye.see(one.eye.position)
            np.testing.assert_allclose(moved, other.bbox_3d[:3], atol=1e-9)
            assert sorted(other.bbox_3d[3:6]) == sorted(seen.bbox_3d[3:6]) and other.page == 1
        assert 0.3 < math.acos(turn[0, 0]) < 0.9


def test_a_letter_lies_where_its_glyph_says():
    v = solids.render(np.random.default_rng(4), (256, 256), arrows=True)
    picture = np.asarray(v.image, int).min(2)
    y, x = np.indices(picture.shape)
    for arrow in v.arrows:
        middle = v.eye.pixels((arrow.mark.spot[0], 0, arrow.mark.spot[1]), v.size)
        white = (picture > 150) & (np.hypot(x + 0.5 - middle[0], y + 0.5 - middle[1]) < 9)  # on its dark plate
        rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
        np.testing.assert_allclose((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), arrow.glyph.box_xyxy, atol=1.6)


def test_at_level_zero_there_is_one_simple_solid():
    for seed in range(6):
        (seen,) = solids.render(np.random.default_rng(seed), (256, 256), 0.0).seen
        assert seen.solid.shape in SIMPLE


# How protanopes and deuteranopes see linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
PROTAN = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTAN = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]


@pytest.mark.parametrize("sight", [np.eye(3), PROTAN, DEUTAN], ids=["usual", "protan", "deutan"])
def test_colours_stay_apart_for_the_colour_blind(sight):
    cv2 = pytest.importorskip("cv2")
    linear = (np.array(list(COLOURS.values())) / 255) ** 2.2 @ np.transpose(sight)
    lab = cv2.cvtColor((linear.clip(0, 1) ** (1 / 2.2)).astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 1e3 * np.eye(len(lab))
    assert apart.min() > 18


@pytest.mark.parametrize(("options", "words"), [
    ({"size": (32, 256)}, "size must be"), ({"size": (256.0, 256)}, "size must be"), ({"scale": 0}, "scale must be"),
    ({"scale": 1.5}, "scale must be"), ({"count": 0}, "count must be"), ({"count": 9}, "count must be"),
])  # fmt: skip
def test_an_argument_out_of_range_is_named(options, words):
    with pytest.raises(ValueError, match=words):
        solids.render(np.random.default_rng(0), **options)
