"""3D geometry against scipy, OpenCV, Open3D, closed forms, brute force; the wireframe by the pixels that it changed."""

import math
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import open3d
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from scipy.spatial import ConvexHull, HalfspaceIntersection
from scipy.spatial.transform import Rotation

from cookbook_utils import drawing, geometry3d
from cookbook_utils.geometry3d import (EDGES, FACES, Camera, bbox_2d_of, box_corners, box_edges, draw_boxes_3d, iou_3d,
                                       project_points, rotation_matrix, to_open3d)

SIZE = (320, 240)
CAMERA = Camera.from_fov(SIZE, fov=70)


def numbers(low, high):
    return st.floats(low, high, allow_subnormal=False).map(lambda x: round(x, 6))


def boxes(x=(-4, 4), z=(-2, 8), side=(0.05, 4), angle=(-1, 1)):
    ranges = [x, x, z, side, side, side, angle, angle, angle]
    return st.tuples(*(numbers(*limits) for limits in ranges)).map(list)


# --- camera, corners, projection ------------------------------------------------------------------------------------
@pytest.mark.parametrize(("size", "fov", "focal", "reason"), [
    ((640, 480), 90, 320, "tan 45 degrees is 1"),
    ((640, 480), 60, 320 * math.sqrt(3), "the default"),
    ((100, 400), 90, 50, "fov is horizontal, in an upright picture too"),
])
def test_the_camera_without_intrinsics(size, fov, focal, reason):
    camera = Camera.from_fov(size, fov=fov)
    assert (camera.fx, camera.fy) == (pytest.approx(focal), pytest.approx(focal)), reason
    assert (camera.cx, camera.cy) == (size[0] / 2, size[1] / 2)
    assert Camera.from_fov(size) == Camera.from_fov(size, fov=60)


@given(box=boxes())
def test_rotation_is_scipys_and_open3ds(box):
    (a, b, c), ours = np.pi * np.array(box[6:]), rotation_matrix(box[6:])
    assert np.allclose(ours, Rotation.from_euler("ZYX", [c, b, a]).as_matrix(), atol=1e-12)
    assert np.allclose(ours, open3d.geometry.get_rotation_matrix_from_zyx([c, b, a]), atol=1e-12)


@given(box=boxes())
def test_corners_are_those_of_open3d(box):
    ours, theirs = box_corners(box), np.asarray(to_open3d(box).get_box_points())
    apart = np.linalg.norm(ours[:, None] - theirs, axis=-1)
    assert apart.min(0).max() < 1e-6 and apart.min(1).max() < 1e-6  # the same set, in another order


def test_corner_order_edges_and_faces_are_as_documented():
    corners = box_corners([0, 0, 0, 2, 2, 2, 0, 0, 0])
    assert corners[[0, 1, 4, 7]].tolist() == [[-1, -1, -1], [-1, -1, 1], [1, -1, -1], [1, 1, 1]]
    assert np.allclose(np.linalg.norm(corners[EDGES[:, 0]] - corners[EDGES[:, 1]], axis=1), 2)
    assert len({tuple(edge) for edge in EDGES}) == 12
    a, b, c = (corners[FACES[:, i]] for i in (0, 1, 2))
    assert np.array_equal(np.cross(b - a, c - b) / 4, corners[FACES].mean(1))  # the normals look out of the box


@given(st.lists(boxes(), min_size=0, max_size=4))
def test_many_boxes_are_the_same_as_one_by_one(many):
    assert np.allclose(box_corners(many), np.reshape([box_corners(box) for box in many], (-1, 8, 3)), atol=1e-12)


@given(box=boxes(z=(6, 9)))
def test_projection_is_opencvs(box):
    points = box_corners(box)
    assume(points[:, 2].min() > 0.1)
    camera = Camera(300, 280, 150, 110)
    matrix = np.array([[300, 0, 150], [0, 280, 110], [0, 0, 1.0]])
    theirs = cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix, None)[0]
    assert np.allclose(project_points(points, camera), theirs[:, 0], atol=1e-6)


# --- edges: clipped, not dropped ------------------------------------------------------------------------------------
STRADDLING = [
    ([-1.4, 1, 0.6, 0.8, 0.4, 2.4, 0, 0.06, 0], "camera plane, turned"),
    ([0, 0.8, 0, 0.5, 0.5, 6, 0, 0, 0], "camera plane, parallel to the axis"),
    ([2, 0, 3, 2, 1, 1, 0.1, 0.2, 0.3], "right border"),
    ([0, 0, 3, 9, 0.5, 0.5, 0, 0.1, 0], "both sides"),
    ([0, 0, 0, 2, 2, 2, 0, 0, 0], "the camera is inside"),
    ([0, 0, 0, 40, 40, 40, 0.1, 0.2, 0.3], "inside, and no edge near the view"),
]


def on_some_segment(pixels, segments):
    """Distance of each pixel (K, 2) to the nearest of the segments (E, 4)."""
    start, step = segments[:, :2], segments[:, 2:] - segments[:, :2]
    length2 = np.maximum((step**2).sum(-1), 1e-300)
    t = (((pixels[:, None] - start) * step).sum(-1) / length2).clip(0, 1)
    return np.linalg.norm(pixels[:, None] - start - t[..., None] * step, axis=-1).min(1)


def on_some_edge(pixel, corners, near):
    """Distance in pixels from a pixel to the picture of the nearest edge in front of `near`."""
    u, v = (pixel - [CAMERA.cx, CAMERA.cy]) / [CAMERA.fx, CAMERA.fy]
    best = np.inf
    for p, q in corners[EDGES]:
        d = q - p
        lhs, rhs = np.array([d[0] - u * d[2], d[1] - v * d[2]]), np.array([u * p[2] - p[0], v * p[2] - p[1]])
        for t in (lhs @ rhs / max(lhs @ lhs, 1e-300), 0.0, 1.0):
            point = p + np.clip(t, 0, 1) * d
            if point[2] > near - 1e-9:
                best = min(best, np.linalg.norm(project_points(point, CAMERA) - pixel))
    return best


@settings(max_examples=60)
@given(box=boxes(side=(0.2, 5)), near=st.sampled_from([0.03, 0.1, 1]))
@example(box=STRADDLING[0][0], near=0.1)
@example(box=STRADDLING[1][0], near=0.1)
@example(box=STRADDLING[4][0], near=0.1)
def test_edges_are_exactly_what_dense_sampling_sees(box, near):
    corners = box_corners(box)
    segments = box_edges(box, CAMERA, size=SIZE, near=near)
    points = (corners[EDGES][:, :1] + np.linspace(0, 1, 300)[:, None] * np.diff(corners[EDGES], axis=1)).reshape(-1, 3)
    pixels = project_points(points[points[:, 2] > near + 1e-9], CAMERA)
    pixels = pixels[((pixels > 0) & (pixels < SIZE)).all(-1)]
    assert (segments >= 0).all() and (segments <= [*SIZE, *SIZE]).all() and len(segments) <= 12
    assert len(segments) or not len(pixels)
    if len(segments):
        assert on_some_segment(pixels, segments).max(initial=0) < 1e-5
        ends = segments.reshape(-1, 2, 2)
        drawn = np.concatenate([ends[:, 0], ends[:, 1], ends.mean(1)])
        assert max(on_some_edge(pixel, corners, near) for pixel in drawn) < 1e-5


@given(box=boxes(z=(6, 9), side=(0, 3)))
def test_edges_of_a_box_in_front_join_its_projected_corners(box):
    corners = box_corners(box)
    assume(corners[:, 2].min() > 0.2)
    assert np.allclose(box_edges(box, CAMERA), project_points(corners, CAMERA)[EDGES].reshape(-1, 4), atol=1e-6)


@pytest.mark.parametrize(("box", "count", "reason"), [
    ([0, 0, -3, 1, 1, 1, 0, 0, 0], 0, "behind the camera"),
    ([0, 0, 0.04, 1, 1, 0.1, 0, 0, 0], 0, "in front of the lens, nearer than `near`"),
    ([0, 0, 0, 2, 2, 20, 0, 0, 0], 8, "around the camera: the far face and the edges that lead to it"),
    ([0, 0, 0, 40, 40, 40, 0, 0, 0], 0, "around the camera: no edge in view"),
    ([0, 0, 3, 0, 0, 0, 0, 0, 0], 12, "a point: twelve edges without length"),
])
def test_edges_in_sight(box, count, reason):
    camera = Camera.from_fov((200, 200), fov=80)
    assert box_edges(box, camera, size=(200, 200)).shape == (count, 4), reason


# --- the enclosing box ----------------------------------------------------------------------------------------------
def hit_pixels(box, near, step=4):
    """Pixels (K, 2) whose ray meets the box beyond `near`."""
    pixels = np.stack(np.meshgrid(np.arange(1, SIZE[0], step), np.arange(1, SIZE[1], step)), -1).reshape(-1, 2)
    rays = np.c_[(pixels - [CAMERA.cx, CAMERA.cy]) / [CAMERA.fx, CAMERA.fy], np.ones(len(pixels))]
    turn, half = rotation_matrix(box[6:]), np.array(box[3:6]) / 2
    start, step_ = -np.array(box[:3]) @ turn, rays @ turn
    with np.errstate(divide="ignore", invalid="ignore"):
        enter, leave = np.sort([(-half - start) / step_, (half - start) / step_], axis=0)
    return pixels[np.nanmax(enter, -1).clip(near) < np.nanmin(leave, -1)]


@given(box=boxes(side=(0.3, 5)))
@example(box=STRADDLING[5][0])
def test_the_enclosing_box_holds_every_ray_that_hits(box):
    region, pixels = bbox_2d_of(box, CAMERA, SIZE), hit_pixels(box, 0.1)
    assert region or not len(pixels)
    if region and len(pixels):
        assert (pixels >= np.array(region[:2]) - 1e-6).all() and (pixels <= np.array(region[2:]) + 1e-6).all()
    if region and box_corners(box)[:, 2].min() > 0.1:  # and it is no larger than that of the corners
        seen = project_points(box_corners(box), CAMERA)
        assert (np.array(region[:2]) >= seen.min(0).clip(0, SIZE) - 1e-6).all()
        assert (np.array(region[2:]) <= seen.max(0).clip(0, SIZE) + 1e-6).all()


@pytest.mark.parametrize(("box", "region", "reason"), [
    ([0, 0, 4, 2, 1, 2, 0, 0, 0], [200, 150, 400, 250], "in view: the corners of the near face"),
    ([0, 0, 0, 40, 40, 40, 0, 0, 0], [0, 0, 600, 400], "around the camera: the picture"),
    ([3, 0, 4, 3, 2, 2, 0, 0, 0], [390, 100, 600, 300], "over the right border"),
    ([0, 3, 0, 2, 2, 8, 0, 0, 0], [200, 350, 400, 400], "under the camera, on both sides of its plane"),
    ([0, 0, -3, 1, 1, 1, 0, 0, 0], None, "behind"),
])
def test_the_enclosing_box(box, region, reason):
    assert bbox_2d_of(box, Camera(300, 300, 300, 200), (600, 400)) == (region and pytest.approx(region)), reason


# --- overlap --------------------------------------------------------------------------------------------------------
def half_spaces(box):
    turn, half = rotation_matrix(box[6:]), np.array(box[3:6]) / 2
    normals = np.r_[turn.T, -turn.T]
    return np.c_[normals, -normals @ box[:3] - np.r_[half, half]]


def scipy_iou(a, b):
    """Overlap by Qhull; None where the boxes share no ball, which Qhull needs."""
    from scipy.optimize import linprog
    planes = np.r_[half_spaces(a), half_spaces(b)]
    ball = linprog([0, 0, 0, -1], np.c_[planes[:, :3], np.ones(12)], -planes[:, 3], bounds=[(None, None)] * 4)
    if ball.status or ball.x[3] < 1e-3:
        return None
    shared = ConvexHull(HalfspaceIntersection(planes, ball.x[:3]).intersections).volume
    return shared / (np.prod(a[3:6]) + np.prod(b[3:6]) - shared)


near_boxes = boxes(x=(-1, 1), z=(-1, 1), side=(0.3, 3))
UNIT = [0, 0, 0, 1, 1, 1, 0, 0, 0]


@given(a=near_boxes, b=near_boxes)
def test_overlap_is_that_of_scipy(a, b):
    expected = scipy_iou(a, b)
    assume(expected is not None)
    assert iou_3d(a, b) == pytest.approx(expected, abs=1e-7)


@settings(max_examples=10)
@given(a=near_boxes, b=near_boxes, seed=st.integers(0, 99))
def test_overlap_is_that_of_random_points(a, b, seed):
    points = np.random.default_rng(seed).uniform(-0.5, 0.5, (50_000, 3)) * a[3:6] @ rotation_matrix(a[6:]).T + a[:3]
    local = (points - b[:3]) @ rotation_matrix(b[6:])
    shared = (abs(local) <= np.array(b[3:6]) / 2).all(-1).mean() * np.prod(a[3:6])
    assert iou_3d(a, b) == pytest.approx(shared / (np.prod(a[3:6]) + np.prod(b[3:6]) - shared), abs=0.02)


@given(a=boxes(angle=(0, 0)), b=boxes(angle=(0, 0)))
def test_overlap_of_axis_aligned_boxes_is_a_product_of_lengths(a, b):
    (low_a, high_a), (low_b, high_b) = ((box_corners(box).min(0), box_corners(box).max(0)) for box in (a, b))
    shared = (np.minimum(high_a, high_b) - np.maximum(low_a, low_b)).clip(0).prod()
    assert iou_3d(a, b) == pytest.approx(shared / (np.prod(a[3:6]) + np.prod(b[3:6]) - shared), abs=1e-9)


@given(a=near_boxes, b=near_boxes, axis=st.integers(0, 2))
def test_overlap_does_not_depend_on_order_or_half_turns(a, b, axis):
    turned = list(a)
    turned[6 + axis] += 2
    assert iou_3d(a, b) == pytest.approx(iou_3d(b, a), abs=1e-9)
    assert iou_3d(turned, b) == pytest.approx(iou_3d(a, b), abs=1e-9)
    assert 0 <= iou_3d(a, b) <= 1


@pytest.mark.parametrize(("seed", "noise"), [(0, 0), (1, 0), (3, 0), (4, 1e-16), (5, 1e-14), (6, 1e-12), (7, 1e-10)])
def test_overlap_of_faces_that_almost_coincide(seed, noise):
    random = np.random.default_rng(seed)
    b = np.c_[100 * np.arange(400), random.integers(1, 6, (400, 5)), random.integers(-9, 10, (400, 3)) / 10]
    a = b + np.r_[[0] * 6, 2, 2, -2] + noise * random.normal(size=b.shape)  # whole turns
    shift = random.integers(0, 3, (400, 3)) / 4 * (noise > 0)  # of a side
    a[:, :3] += np.einsum("nij,nj->ni", rotation_matrix(b[:, 6:]), shift * b[:, 3:6])
    shared = (1 - shift).prod(1)
    assert np.diag(iou_3d(a, b)) == pytest.approx(shared / (2 - shared), abs=1e-8)


@pytest.mark.parametrize(("a", "b", "expected", "reason"), [
    (UNIT, UNIT, 1, "identical"),
    (UNIT, [0, 0, 0, 1, 1, 1, 0.5, 0, 1], 1, "a cube turned onto itself"),
    (UNIT, [1, 0, 0, 1, 1, 1, 0, 0, 0], 0, "touching faces"),
    (UNIT, [0.5, 0, 0, 1, 1, 1, 0, 0, 0], 1 / 3, "half"),
    (UNIT, [0, 0, 0, 2, 2, 2, 0, 0, 0], 1 / 8, "nested"),
    (UNIT, [0.5, 0.5, 0.5, 2, 2, 2, 0, 0, 0], 1 / 8, "nested, three faces shared"),
    (UNIT, [0, 0, 0, 1, 1, 1, 0, 0, 0.25], 1 / math.sqrt(2), "turned by 45 degrees: an octagon, 2(sqrt 2 - 1)"),
    (UNIT, [0, 0, 0, 0, 1, 1, 0, 0, 0], 0, "a sheet has no volume"),
    ([0] * 9, [0] * 9, 0, "two points, the same"),
    ([1e5, 1e5, 1e5, 1, 1, 1, 0, 0, 0], [1e5 + 0.5, 1e5, 1e5, 1, 1, 1, 0, 0, 0], 1 / 3, "far from the origin"),
    ([0, 0, 0, 1e-3, 1e-3, 1e-3, 0, 0, 0], [0, 0, 0, 1e-3, 1e-3, 1e-3, 0, 0, 0.25], 1 / math.sqrt(2), "a millimetre"),
])
def test_overlap(a, b, expected, reason):
    assert iou_3d(a, b) == pytest.approx(expected, abs=1e-8), reason
    assert iou_3d(b, a) == pytest.approx(expected, abs=1e-8), reason


def test_overlap_of_lists_is_a_table():
    a, b = np.random.default_rng(0).uniform(0.2, 1, (2, 40, 9))
    table = iou_3d(a, b[:30])
    assert table.shape == (40, 30) and table[3, 5] == pytest.approx(iou_3d(a[3], b[5]))
    assert iou_3d(a[0], b).shape == (40,) and iou_3d(a, b[0]).shape == (40,)
    assert iou_3d([], b).shape == (0, 40) and isinstance(iou_3d(a[0], b[0]), float)


def test_without_open3d_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(ImportError, match="(?s)pip install open3d.*libusb-1.0"):
        to_open3d(UNIT)


# --- the picture ----------------------------------------------------------------------------------------------------
GREY = Image.new("RGB", SIZE, (128, 128, 128))
CRATE = {"bbox_3d": [0, 0.2, 3, 1, 1, 1, 0.05, 0.15, 0], "label": "crate"}


def changed(picture, before=GREY):
    return (np.asarray(picture) != np.asarray(before)).any(-1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16"])
def test_a_picture_of_any_mode_gives_a_new_rgb_one(mode):
    image = Image.new(mode, SIZE)
    before = image.tobytes()
    drawn = draw_boxes_3d(image, [CRATE], CAMERA)
    assert (drawn.mode, drawn.size) == ("RGB", SIZE) and (image.mode, image.tobytes()) == (mode, before)
    untouched = draw_boxes_3d(image, [], CAMERA)
    assert changed(drawn, untouched).any() and untouched is not image


@pytest.mark.parametrize(("image", "corner", "reason"), [
    (Image.fromarray(np.full((9, 9), 4095, np.uint16)), 255, "16 bits: 4095 of 4096, not cut off at 255, not black"),
    (Image.new("F", (9, 9), 0.5), 128, "a float picture within 0..1"),
    (Image.new("RGBA", (9, 9), (255, 0, 0, 0)), 255, "what is transparent becomes white"),
])
def test_what_lies_under_the_boxes(image, corner, reason):
    assert draw_boxes_3d(image, [], CAMERA).getpixel((0, 0)) == pytest.approx((corner,) * 3, abs=1), reason


def test_the_picture_is_turned_upright_once():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8))
    turned = noise.copy()
    turned.getexif()[0x0112] = 6
    drawn = draw_boxes_3d(turned, [CRATE], Camera.from_fov((60, 90)))
    assert drawn.size == (60, 90) and 0x0112 not in drawn.getexif()
    assert drawn == draw_boxes_3d(ImageOps.exif_transpose(turned), [CRATE], Camera.from_fov((60, 90)))


@pytest.mark.parametrize(("box", "reason"), [
    *STRADDLING, (CRATE["bbox_3d"], "in view"), ([0, 0, 3, *[0] * 6], "a dot"), ([0, 0, 3, 1, 0, 1, 0, 0, 0], "sheet")])
def test_edges_are_painted_and_nothing_else(box, reason):
    mask = changed(draw_boxes_3d(GREY, [{"bbox_3d": box}], CAMERA))
    for x1, y1, x2, y2 in box_edges(box, CAMERA, size=SIZE):
        x, y = np.linspace((x1, y1), (x2, y2), 50).T
        assert mask[y.clip(0, SIZE[1] - 1).astype(int), x.clip(0, SIZE[0] - 1).astype(int)].all(), reason
    x1, y1, x2, y2 = np.array(bbox_2d_of(box, CAMERA, SIZE)).clip(4).astype(int)
    mask[y1 - 4:y2 + 5, x1 - 4:x2 + 5] = False
    assert not mask.any(), reason


@pytest.mark.parametrize(("box", "reason"), [
    ([0, 0, -3, 1, 1, 1, 0, 0, 0], "behind the camera"), ([60, 0, 3, 1, 1, 1, 0, 0, 0], "outside the frame")])
def test_a_box_out_of_sight_leaves_no_trace_and_no_name(box, reason):
    assert draw_boxes_3d(GREY, [{"bbox_3d": box, "label": "ghost"}], CAMERA) == GREY, reason


def test_edges_in_front_stand_out_from_those_behind():
    box = [0, 0, 3, 1, 1, 1, 0, 0, 0]  # seen straight on: the near face around the far one
    drawn = draw_boxes_3d(GREY, [{"bbox_3d": box}], CAMERA, color="#ff0000", width=4)
    near, far = (np.array(drawn.getpixel((int(160 + CAMERA.fx * 0.5 / z), 120))) for z in (2.5, 3.5))
    assert near.tolist() == [255, 0, 0] and 128 < far[0] < 255
    room = draw_boxes_3d(GREY, [{"bbox_3d": [0, 0, 0, 4, 4, 8, 0, 0, 0]}], CAMERA, color="#ff0000", width=4)
    assert room.getpixel((int(160 + CAMERA.fx * 2 / 4), 120)) == (255, 0, 0)  # from inside there is no front


def test_a_room_is_painted_before_what_is_in_it_in_any_order():
    thing = [{"bbox_3d": [1.2, 0, 3, 1, 1, 0.1, 0, 0, 0], "label": "thing"}]
    room = [{"bbox_3d": [0, 0, 2.1, 4, 1.2, 3.8, 0, 0, 0], "label": "room"}]
    options = {"labels": False, "color": {"thing": "red", "room": "blue"}}
    expected = draw_boxes_3d(draw_boxes_3d(GREY, room, CAMERA, **options), thing, CAMERA, **options)
    assert draw_boxes_3d(GREY, thing + room, CAMERA, **options) == expected
    assert draw_boxes_3d(GREY, room + thing, CAMERA, **options) == expected


def test_a_label_has_the_colour_that_it_has_in_2d():
    labels = ["chair", "sofa", "lamp", "花瓶", "", *"abcdefgh"]
    assert geometry3d._tints(labels, None) == drawing.label_colors(labels)
    assert geometry3d._tints(["chair"], None) == geometry3d._tints(["chair", "chair"], {"sofa": "red"})
    assert geometry3d._tints(["a", "b"], {"a": (1, 2, 3)})["a"] == (1, 2, 3)


def chip(label, **options):
    box = {"bbox_3d": CRATE["bbox_3d"], "label": label}
    plain = draw_boxes_3d(GREY, [box], CAMERA, labels=False, color="red")
    return changed(draw_boxes_3d(GREY, [box], CAMERA, color="red", **options), plain).sum()


@pytest.mark.parametrize(("label", "reason"), [
    ("chair", "Latin"), ("стул", "Cyrillic"), ("椅子", "Chinese"), ("كرسي", "right to left"), ("x" * 5000, "long"),
    ("a\nb\tc", "lines"), (7, "a number"), ("half \ud83d", "half a surrogate pair"), ("nul \0", "control"), ("🪑", "emoji"),
])
def test_a_name_is_written(label, reason):
    assert chip(label) > 100, reason


def test_no_name_no_chip_and_a_name_without_any_font(monkeypatch):
    assert chip(None) == chip("") == chip("  ") == 0
    geometry3d._font.cache_clear()
    monkeypatch.setattr(geometry3d, "_font_files", lambda: [])
    assert chip("no fonts here") > 100


def test_a_name_is_set_in_a_font_that_has_its_letters():
    fonts, files = {geometry3d._font(text, 20, None).path for text in ("chair", "椅子")}, geometry3d._font_files()
    assert (len(fonts) == 2 and fonts <= {*map(str, files)}) or not any("CJK" in path.name for path in files)


def test_names_do_not_cover_each_other_where_there_is_room():
    boxes = [{"bbox_3d": [x, 0, 4, 1, 1, 1, 0, 0, 0], "label": "long " * 4 ** n} for n, x in enumerate((-0.4, 0, 0.4, 0))]
    taken, paint = [], geometry3d._paint_chip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry3d, "_paint_chip", lambda *args: taken.append(paint(*args)) or taken[-1])
        draw_boxes_3d(GREY, boxes, CAMERA)
    apart = [a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for a in taken for b in taken if a is not b]
    assert len(taken) == 4 and all(apart) and all(0 <= chip[0] < chip[2] <= SIZE[0] for chip in taken)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3)])
def test_a_tiny_picture(size):
    assert draw_boxes_3d(Image.new("RGB", size), [CRATE], Camera.from_fov(size)).size == size


# --- bad input, and the file on its own -----------------------------------------------------------------------------
@pytest.mark.parametrize(("call", "words", "reason"), [
    (lambda: Camera(0, 1, 2, 3), "fx must be .* above 0.* got 0", "no focal length"),
    (lambda: Camera(1, 1, 1, "5"), "cy must be a number, got '5'", "text, even that of a number"),
    (lambda: Camera.from_fov((0, 5)), r"size must be \(width, height\)", "no width"),
    (lambda: Camera.from_fov(SIZE, fov=180), "fov must be .* below 180", "too wide"),
    (lambda: box_corners([1, 2, 3]), "bbox_3d must be nine numbers .* shape", "arity"),
    (lambda: box_corners(["a"] * 9), "bbox_3d must be nine numbers", "text"),
    (lambda: box_corners([math.inf] * 9), "bbox_3d must be finite", "infinity"),
    (lambda: box_edges([UNIT], CAMERA), "bbox_3d must be nine", "one box at a time"),
    (lambda: box_edges([0, 0, 1, -1, 1, 1, 0, 0, 0], CAMERA), "sides sx, sy, sz >= 0", "negative side"),
    (lambda: box_edges(UNIT, None), "camera must be a Camera", "no camera"),
    (lambda: box_edges(UNIT, CAMERA, near=0), "near must be", "the camera plane itself"),
    (lambda: project_points([1, 2], CAMERA), r"points must have shape \(..., 3\)", "two numbers"),
    (lambda: iou_3d(UNIT, [1]), "b must be nine", "the second argument"),
    (lambda: draw_boxes_3d("a.png", [], CAMERA), "image must be a PIL.Image, got str", "a path"),
    (lambda: draw_boxes_3d(GREY, CRATE, CAMERA), "boxes must be a list", "one dict"),
    (lambda: draw_boxes_3d(GREY, [CRATE, {"bbox_2d": [1]}], CAMERA), r"boxes\[1\] must be a dict with `bbox_3d`", "2D"),
    (lambda: draw_boxes_3d(GREY, [CRATE, {"bbox_3d": [1]}], CAMERA), r"boxes\[1\]\['bbox_3d'\] must be nine", "arity"),
    (lambda: draw_boxes_3d(GREY, [CRATE], CAMERA, color="no such"), "color must be", "colour"),
    (lambda: draw_boxes_3d(GREY, [CRATE], CAMERA, width=0), "width must be .* above 0", "width"),
    (lambda: draw_boxes_3d(GREY, [CRATE], CAMERA, font="none.ttf"), "font must be", "font file"),
])
def test_bad_input_is_one_error_that_names_it(call, words, reason):
    with pytest.raises(ValueError, match=words):
        call()


def test_the_file_works_alone_in_an_empty_folder(tmp_path):
    shutil.copy(Path(geometry3d.__file__), tmp_path / "geometry3d.py")
    code = f"""import sys; sys.path.insert(0, {str(tmp_path)!r})
import geometry3d as g; from PIL import Image
camera = g.Camera.from_fov((64, 48))
picture = g.draw_boxes_3d(Image.new("L", (64, 48)), [{{"bbox_3d": [0, 0, 3, 1, 1, 1, 0, 0, 0], "label": "x"}}], camera)
print(picture.size, g.iou_3d([0] * 3 + [1] * 3 + [0] * 3, [0] * 3 + [1] * 3 + [0] * 3), "open3d" in sys.modules)"""
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("(64, 48) 1.0 False", "")
