"""Coordinates of a reply: grid to pixels and back, overlap, duplicates, visual tokens.

Conventions
    size      `(width, height)` in pixels of the picture as it is shown (its EXIF orientation already applied)
    point     `[x, y]`, origin at the top left, x to the right, y down
    box       `[x1, y1, x2, y2]`, two opposite corners
    grid      Qwen3-VL counts from 0 to 1000 over the original picture, whatever its resized size;
              some published code divides by 999: pass `grid=999` to follow it

Nothing is clipped: a coordinate outside the picture stays outside.

This file needs NumPy only and can be copied alone.

Sources
    Qwen3-VL cookbooks (relative coordinates 0-1000); transformers, `smart_resize` of the Qwen2-VL image
    processor, which Qwen3-VL uses with 16-pixel patches merged two by two.
"""

import math
from numbers import Integral, Real

import numpy as np

__all__ = ["drop_duplicates", "image_tokens", "iou", "to_grid", "to_pixels"]

_LARGEST_STEP = 2.0**53  # beyond it float64 no longer holds every integer
_LARGEST_RATIO = 200  # of the sides of a picture, in transformers' smart_resize


def to_pixels(coords, size, grid=1000):
    """Turn grid coordinates into pixels.

    coords: `(..., 2)` points or `(..., 4)` boxes on the grid; size: `(width, height)` in pixels.
    Returns float64 pixels of the same shape, neither rounded nor clipped.
    Raises ValueError for another shape, for coordinates that are not finite, for a bad size or grid.
    Source: Qwen3-VL cookbooks, x * width / 1000 and y * height / 1000.

    >>> to_pixels([[250, 500, 1000, 1000]], (640, 480)).tolist()
    [[160.0, 240.0, 640.0, 480.0]]
    """
    coords = _array("coords", coords)
    return coords * _sides(size, coords.shape[-1]) / _grid(grid)


def to_grid(coords, size, grid=1000):
    """Turn pixels into grid coordinates, the inverse of `to_pixels` to one grid step.

    coords: `(..., 2)` points or `(..., 4)` boxes in pixels; size: `(width, height)` in pixels.
    Returns int64 grid coordinates of the same shape, rounded to the nearest step, not clipped.
    Raises ValueError for another shape, for coordinates that are not finite or too large for an integer
    grid, for a bad size or grid.
    Source: Qwen3-VL cookbooks.

    >>> to_grid([160, 240], (640, 480)).tolist()
    [250, 500]
    """
    coords = _array("coords", coords)
    steps = np.rint(coords * _grid(grid) / _sides(size, coords.shape[-1]))
    if not (np.abs(steps) < _LARGEST_STEP).all():
        raise ValueError("coords must stay below 2**53 grid steps, so that they fit an integer; got larger ones")
    return steps.astype(np.int64)


def iou(a, b):
    """Measure how far each box of `a` overlaps each box of `b`.

    a: `(N, 4)`, b: `(M, 4)` boxes in the same unit; one box alone counts as `(1, 4)`, an empty list as `(0, 4)`.
    Returns `(N, M)` intersection over union, 0 to 1; a box without area (also x2 < x1) overlaps nothing.
    Raises ValueError for another shape or for coordinates that are not finite.
    Source: Jaccard index of two areas.

    >>> iou([[0, 0, 10, 10]], [[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]]).round(3).tolist()
    [[1.0, 0.333, 0.0]]
    """
    a, b = _boxes("a", a), _boxes("b", b)
    low = np.maximum(a[:, None, :2], b[None, :, :2])  # (N, M, 2)
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])  # (N, M, 2)
    shared = np.clip(high - low, 0, None).prod(axis=2)  # (N, M)
    union = _areas(a)[:, None] + _areas(b)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def drop_duplicates(items, threshold):
    """Keep the first of several items that say the same thing.

    items: dicts with `bbox_2d` or `point_2d`; threshold: IoU, 0 to 1. Boxes of the same label are the same when
    their IoU is over the threshold, points of the same label when they are equal; an item with neither is kept.
    Items without a `label` are compared by their other keys instead (`name_en`, ...).
    Returns a new list of the same dicts, in their order.
    Raises ValueError for a threshold outside 0 to 1 or a `bbox_2d` that is not four finite numbers.

    >>> twice = [{"bbox_2d": [0, 0, 10, 10], "label": "cat"}, {"bbox_2d": [0, 0, 10, 9], "label": "cat"},
    ...          {"bbox_2d": [0, 0, 10, 10], "label": "dog"}]
    >>> [item["label"] for item in drop_duplicates(twice, 0.8)]
    ['cat', 'dog']
    """
    if not (isinstance(threshold, Real) and 0 <= threshold <= 1):
        raise ValueError(f"threshold must be an IoU from 0 to 1, got {threshold!r}")
    items = list(items)
    boxed = [index for index, item in enumerate(items) if "bbox_2d" in item]
    boxes = _boxes("items' bbox_2d", [items[index]["bbox_2d"] for index in boxed])
    over = iou(boxes, boxes) > threshold
    row_of = {index: row for row, index in enumerate(boxed)}
    kept, seen = [], {}  # seen: label -> (rows of its kept boxes, its kept points)
    for index, item in enumerate(items):
        rows, points = seen.setdefault(_label(item), ([], []))
        row, point = row_of.get(index), item.get("point_2d")
        if over[rows, row].any() if row is not None else point in points:
            continue
        kept.append(item)
        if row is not None:
            rows.append(row)
        elif point is not None:
            points.append(point)
    return kept


def image_tokens(size, min_pixels=65536, max_pixels=16777216, patch_size=16, merge_size=2):
    """Predict the size to which Qwen3-VL resizes a picture and the visual tokens it costs.

    size: `(width, height)` in whole pixels; min_pixels, max_pixels: the budget of the resized picture.
    Returns `((width, height), tokens)`: sides are multiples of patch_size * merge_size, one token for each
    square of that side.
    Raises ValueError for a side ratio over 200 (the processor refuses it too) or for a bad argument.
    Source: transformers, `smart_resize` in models/qwen2_vl/image_processing_qwen2_vl.py.

    >>> image_tokens((1920, 1080))
    ((1920, 1088), 2040)
    >>> image_tokens((100, 100))
    ((256, 256), 64)
    """
    width, height = _whole_size(size)
    _check_budget(min_pixels, max_pixels, patch_size, merge_size)
    if max(width, height) / min(width, height) > _LARGEST_RATIO:
        raise ValueError(
            f"size must have a side ratio of at most {_LARGEST_RATIO}, got {width} x {height}; crop or pad the picture"
        )
    side = patch_size * merge_size
    resized = [round(length / side) * side for length in (width, height)]
    if resized[0] * resized[1] > max_pixels:
        shrink = math.sqrt((height * width) / max_pixels)
        resized = [max(side, math.floor(length / shrink / side) * side) for length in (width, height)]
    elif resized[0] * resized[1] < min_pixels:
        stretch = math.sqrt(min_pixels / (height * width))
        resized = [math.ceil(length * stretch / side) * side for length in (width, height)]
    return tuple(resized), (resized[0] // side) * (resized[1] // side)


def _array(name, coords):
    try:
        array = np.asarray(coords, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be numbers of shape (..., 2) or (..., 4), got {_show(coords)}") from error
    if array.shape != (0,) and (array.ndim == 0 or array.shape[-1] not in (2, 4)):
        raise ValueError(f"{name} must have shape (..., 2) or (..., 4), got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {_show(coords)}")
    return array


def _boxes(name, boxes):
    array = np.atleast_2d(_array(name, boxes))
    if array.size == 0:
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"{name} must have shape (N, 4), got {array.shape}")
    return array


def _areas(boxes):
    return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)


def _label(item):
    others = {key: item[key] for key in sorted(item) if key not in ("bbox_2d", "point_2d")}
    return repr(item.get("label", others))  # a label may be a list or a dict, which cannot be looked up


def _sides(size, count):
    """`(width, height)` for points, twice that for boxes, nothing for an empty list."""
    return np.resize(np.array(_pair(size), dtype=np.float64), count)


def _pair(size):
    try:
        width, height = size
        good = all(isinstance(side, Real) and 0 < side < math.inf for side in (width, height))
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(f"size must be (width, height), two positive numbers of pixels, got {_show(size)}")
    return width, height


def _whole_size(size):
    width, height = _pair(size)
    if width != int(width) or height != int(height):
        raise ValueError(f"size must be (width, height) in whole pixels, got {_show(size)}")
    return int(width), int(height)


def _grid(grid):
    if not (isinstance(grid, Real) and 0 < grid < math.inf):
        raise ValueError(f"grid must be a positive number such as 1000 or 999, got {_show(grid)}")
    return grid


def _check_budget(min_pixels, max_pixels, patch_size, merge_size):
    for name, value in (("patch_size", patch_size), ("merge_size", merge_size)):
        if not (isinstance(value, Integral) and value > 0):
            raise ValueError(f"{name} must be a positive whole number, got {_show(value)}")
    if not (isinstance(min_pixels, Real) and isinstance(max_pixels, Real) and 0 < min_pixels <= max_pixels):
        raise ValueError(
            f"min_pixels must be positive and at most max_pixels, got {_show(min_pixels)} and {_show(max_pixels)}"
        )


def _show(value):
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
