"""Grid and pixels, overlap, duplicates, visual tokens."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cookbook_utils import coordinates
from cookbook_utils.coordinates import drop_duplicates, image_tokens, iou, to_grid, to_pixels

SIZES = st.tuples(st.integers(1, 8000), st.integers(1, 8000))
GRIDS = st.sampled_from([999, 1000])
GRID_COORDS = hnp.arrays(
    np.int64, hnp.array_shapes(max_dims=2, max_side=5).map(lambda s: (*s, 4)) | st.just((2,)), elements=st.integers(-50, 1050)
)
BOXES = st.lists(st.lists(st.integers(0, 20), min_size=4, max_size=4), max_size=6)


@pytest.mark.parametrize(
    ("coords", "size", "grid", "expected", "reason"),
    [
        ([500, 250], (640, 480), 1000, [320.0, 120.0], "a point: x by the width, y by the height"),
        ([0, 0, 1000, 1000], (640, 480), 1000, [0, 0, 640, 480], "the full grid is the full picture"),
        ([0, 0, 999, 999], (640, 480), 999, [0, 0, 640, 480], "some published code divides by 999"),
        ([[[100, 100]], [[200, 200]]], (10, 20), 1000, [[[1, 2]], [[2, 4]]], "leading axes stay"),
        ([-10, 1010], (100, 100), 1000, [-1, 101], "nothing is clipped"),
        ([], (640, 480), 1000, [], "no boxes give no boxes"),
    ],
)
def test_to_pixels(coords, size, grid, expected, reason):
    pixels = to_pixels(coords, size, grid)
    assert pixels.dtype == np.float64, reason
    np.testing.assert_allclose(pixels, expected, err_msg=reason)


@given(GRID_COORDS, SIZES, GRIDS)
def test_the_grid_survives_the_way_there_and_back(coords, size, grid):
    back = to_grid(to_pixels(coords, size, grid), size, grid)
    assert back.dtype == np.int64
    np.testing.assert_array_equal(back, coords)


@given(st.lists(st.floats(-100, 9000), min_size=2, max_size=2), SIZES, GRIDS)
def test_pixels_survive_to_half_a_grid_step(pixels, size, grid):
    back = to_pixels(to_grid(pixels, size, grid), size, grid)
    assert np.all(np.abs(back - pixels) <= np.array(size) / grid * 0.5 + 1e-6)


def test_the_input_is_not_touched():
    coords = np.array([[1.0, 2.0]])
    to_pixels(coords, (10, 10))
    to_grid(coords, (10, 10))
    np.testing.assert_array_equal(coords, [[1.0, 2.0]])


@pytest.mark.parametrize("convert", [to_pixels, to_grid])
@pytest.mark.parametrize(
    ("arguments", "named", "reason"),
    [
        (([1, 2, 3], (10, 10)), "coords", "three numbers are neither a point nor a box"),
        ((5, (10, 10)), "coords", "one number"),
        (([[1, 2], [3]], (10, 10)), "coords", "ragged"),
        (([float("nan"), 1], (10, 10)), "coords", "not finite"),
        (("ab", (10, 10)), "coords", "no numbers"),
        (([1, 2], (0, 10)), "size", "no width"),
        (([1, 2], 10), "size", "not a pair"),
        (([1, 2], (10, 10, 3)), "size", "an array's shape"),
        (([1, 2], ("10", 10)), "size", "text"),
        (([1, 2], (10, 10), 0), "grid", "an empty grid"),
        (([1, 2], (10, 10), "1000"), "grid", "text"),
    ],
)
def test_bad_arguments_are_named(convert, arguments, named, reason):
    with pytest.raises(ValueError, match=rf"^{named} must"):
        convert(*arguments)


def test_a_grid_needs_integers_that_exist():
    with pytest.raises(ValueError, match=r"^coords must"):
        to_grid([1e300, 0], (1, 1))


@given(BOXES, BOXES)
def test_iou_counts_the_same_cells(a, b):
    def cells(box):
        return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}

    expected = [[len(cells(p) & cells(q)) / max(len(cells(p) | cells(q)), 1) for q in b] for p in a]
    result = iou(a, b)
    assert result.shape == (len(a), len(b))
    np.testing.assert_allclose(result, np.reshape(expected, result.shape), atol=1e-12)


@pytest.mark.parametrize("boxes", [[1, 2], [[1, 2]], [[[1, 2, 3, 4]]], [[1, 2, 3, float("inf")]]])
def test_iou_names_a_bad_argument(boxes):
    with pytest.raises(ValueError, match=r"^b must"):
        iou([[0, 0, 1, 1]], boxes)


def box(label, *corners, **others):
    return {"bbox_2d": list(corners), "label": label, **others}


A, A_ALMOST, A_HALF = (0, 0, 10, 10), (0, 0, 10, 9), (0, 0, 10, 5)


@pytest.mark.parametrize(
    ("items", "threshold", "kept", "reason"),
    [
        ([], 0.5, [], "nothing"),
        ([box("cat", *A), box("cat", *A)], 0.5, [0], "the first of two equal ones"),
        ([box("cat", *A), box("cat", *A_ALMOST)], 0.9, [0, 1], "an IoU of exactly the threshold is not over it"),
        ([box("cat", *A), box("cat", *A_ALMOST)], 0.89, [0], "over the threshold"),
        ([box("cat", *A), box("dog", *A)], 0.5, [0, 1], "another label is another thing"),
        ([box("cat", *A), box("cat", *A_HALF), box("cat", 0, 0, 10, 3)], 0.4, [0, 2], "only kept items count"),
        ([{"bbox_2d": A, "name_en": "x"}, {"bbox_2d": A, "name_en": "y"}], 0.5, [0, 1], "no label: the other keys count"),
        ([{"bbox_2d": A}, {"bbox_2d": A}], 0.5, [0], "no label and no other key"),
        ([{"bbox_2d": A, "label": ["x"]}, {"bbox_2d": A, "label": ["x"]}], 0.5, [0], "a label may be a list"),
        ([{"point_2d": [1, 2], "label": "a"}] * 2, 0.5, [0], "the same point twice"),
        ([{"point_2d": [1, 2], "label": "a"}, {"point_2d": [1, 3], "label": "a"}], 0.5, [0, 1], "two points"),
        ([{"label": "a"}, {"label": "a"}], 0.5, [0, 1], "no coordinates, no comparison"),
        ([{"point_2d": [1, 2], "label": "a"}, box("a", *A), box("a", *A)], 0.5, [0, 1], "points and boxes side by side"),
    ],
)
def test_drop_duplicates(items, threshold, kept, reason):
    copies = [dict(item) for item in items]
    assert drop_duplicates(items, threshold) == [items[index] for index in kept], reason
    assert items == copies, "the input is not touched"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.integers(0, 6), min_size=4, max_size=4)), max_size=8))
def test_no_duplicate_is_left_and_none_goes_without_cause(pairs):
    items = [box(label, *corners) for label, corners in pairs]
    kept = drop_duplicates(items, 0.3)

    def same(p, q):
        return p["label"] == q["label"] and iou(p["bbox_2d"], q["bbox_2d"])[0, 0] > 0.3

    assert not any(same(p, q) for i, p in enumerate(kept) for q in kept[:i])
    kept_ids = {id(item) for item in kept}
    assert all(id(item) in kept_ids or any(same(item, k) for k in kept) for item in items)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, None, float("nan")])
def test_drop_duplicates_names_a_bad_threshold(threshold):
    with pytest.raises(ValueError, match=r"^threshold must"):
        drop_duplicates([], threshold)


def test_drop_duplicates_names_a_bad_box():
    with pytest.raises(ValueError, match=r"^items' bbox_2d must"):
        drop_duplicates([{"bbox_2d": [1, 2, 3]}], 0.5)


@pytest.fixture(scope="module")
def qwen2_vl():
    return pytest.importorskip("transformers.models.qwen2_vl.image_processing_qwen2_vl")


SIDES = st.integers(1, 400) | st.integers(1, 20000)


@settings(max_examples=400)
@given(width=SIDES, height=SIDES, budget=st.sampled_from([(65536, 16777216), (1, 50000), (4096, 4096), (200704, 1003520)]))
@example(width=240, height=270, budget=(65536, 16777216))  # rounds to exactly the smallest budget
@example(width=250, height=262, budget=(1, 65536))  # rounds to exactly the largest one
@example(width=200, height=1, budget=(65536, 16777216))  # the longest ratio
def test_image_tokens_agree_with_the_processors_smart_resize(qwen2_vl, width, height, budget):
    try:
        expected = qwen2_vl.smart_resize(height, width, 32, *budget)
    except ValueError:
        with pytest.raises(ValueError, match=rf"^size must .* {width} x {height}"):
            image_tokens((width, height), *budget)
        return
    size, tokens = image_tokens((width, height), *budget)
    assert size == expected[::-1]
    assert tokens == expected[0] * expected[1] // 32**2


@pytest.mark.parametrize("size", [(640, 480), (33, 47), (1000, 11), (11, 1000), (1919, 1081)])
def test_image_tokens_agree_with_what_the_processor_puts_out(qwen2_vl, size):
    processor = qwen2_vl.Qwen2VLImageProcessor(patch_size=16, size={"shortest_edge": 65536, "longest_edge": 1 << 24})
    picture = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    _, rows, columns = processor(images=[picture], return_tensors="np")["image_grid_thw"][0]
    assert image_tokens(size) == ((columns * 16, rows * 16), rows * columns // 4)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (((0, 10),), "size"),
        (((10.5, 10),), "size"),
        (((10, 10), 0), "min_pixels"),
        (((10, 10), 2000, 1000), "min_pixels"),
        (((10, 10), 1, 1000, 0), "patch_size"),
        (((10, 10), 1, 1000, 16, 1.5), "merge_size"),
    ],
)
def test_image_tokens_names_a_bad_argument(arguments, named):
    with pytest.raises(ValueError, match=rf"^{named} must"):
        image_tokens(*arguments)


def test_the_file_can_be_copied_alone(tmp_path):
    shutil.copy(coordinates.__file__, tmp_path / "mine.py")
    code = "import sys; sys.path.insert(0, '.'); import mine; print(mine.to_pixels([500, 500], (64, 48)).tolist())"
    run = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "[32.0, 24.0]", run.stderr
    assert "cookbook_utils" not in Path(coordinates.__file__).read_text(encoding="utf-8")
