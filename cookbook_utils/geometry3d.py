"""3D boxes: a pinhole camera, corners, projection with clipping, wireframes, exact overlap.

A box is `bbox_3d = [x, y, z, sx, sy, sz, a, b, c]`: centre and full side lengths in metres, then three angles in
**half-turns** (1.0 is 180 degrees). Axes are OpenCV's, the camera at the origin: x right, y down, z forward. A corner
is `R diag(sx, sy, sz)/2 s + (x, y, z)` with `R = Rz(pi c) Ry(pi b) Rx(pi a)` and s in {-1, 1}^3; the corners' order is
x slowest, z fastest, minus first: 0 is (-, -, -), 1 is (-, -, +), 4 is (+, -, -), 7 is (+, +, +). `EDGES` and `FACES`
index into it, faces turning counter-clockwise seen from outside. A picture covers pixels [0, width] x [0, height].

Needs NumPy and Pillow; only `to_open3d` imports Open3D, when it is called. Sources: Hartley & Zisserman, Multiple View
Geometry (camera); Sutherland & Hodgman 1974 (clipping); Okabe & Ito 2008, Tol 2021 (colours).
"""

from __future__ import annotations

import math
import os
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from reprlib import repr as brief

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

__all__ = ["Camera", "EDGES", "FACES", "bbox_2d_of", "box_corners", "box_edges", "draw_boxes_3d", "iou_3d",
           "project_points", "rotation_matrix", "to_open3d"]

SIGNS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
EDGES = np.array([(i, i | bit) for bit in (4, 2, 1) for i in range(8) if not i & bit])
FACES = np.array([(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])
EDGE_ON_FACE = np.array([[set(edge) <= set(face) for face in FACES] for edge in EDGES])
EDGE_AT = tuple(np.array([(f, i) for a, b in EDGES for f, face in enumerate(FACES) for i in range(4)
                          if (face[i], face[i - 3]) == (a, b)]).T)  # the face, and its side, that runs along the edge
PALETTE = [tuple(bytes.fromhex(code)) for code in (
    "E69F00 56B4E9 009E73 F0E442 0072B2 D55E00 CC79A7 332288 661100 AA3377 FFAABB 99DDFF").split()]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: focal lengths above 0 and principal point, in pixels. Raises: ValueError for others."""

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self):
        for name in ("fx", "fy", "cx", "cy"):
            _number(getattr(self, name), name, above=0 if name in ("fx", "fy") else -math.inf)

    @classmethod
    def from_fov(cls, size, fov=60):
        """The camera of a picture without intrinsics: one focal length, principal point in the centre.

        `size` is (width, height) in pixels, after EXIF orientation; `fov` is horizontal, in degrees, 0 to 180.
        Raises: ValueError for another `size` or `fov`.

        >>> camera = Camera.from_fov((640, 480), fov=90)
        >>> round(camera.fx, 6), round(camera.fy, 6), camera.cx, camera.cy
        (320.0, 320.0, 320.0, 240.0)
        """
        width, height = _size(size)
        focal = width / (2 * math.tan(math.radians(_number(fov, "fov", above=0, below=180)) / 2))
        return cls(focal, focal, width / 2, height / 2)


def rotation_matrix(angles_half_turns):
    """Rotation `Rz(pi c) Ry(pi b) Rx(pi a)` of angles `[a, b, c]` in half-turns: (..., 3) -> (..., 3, 3).

    >>> rotation_matrix([0, 0, 0.5]).round(9) @ [1, 0, 0]
    array([0., 1., 0.])
    """
    angles = np.pi * np.moveaxis(np.asarray(angles_half_turns, float), -1, 0)
    (ca, cb, cc), (sa, sb, sc) = np.cos(angles), np.sin(angles)
    rows = [(cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc),
            (cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc),
            (-sb, sa * cb, ca * cb)]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def box_corners(bbox_3d):
    """The eight corners of a box in metres: (9,) -> (8, 3), or of many boxes: (N, 9) -> (N, 8, 3).

    Raises: ValueError unless there are nine finite numbers a box, with no negative side.

    >>> box_corners([0, 0, 4, 2, 1, 1, 0, 0, 0])[7]
    array([1. , 0.5, 4.5])
    """
    boxes = _boxes(bbox_3d, "bbox_3d")
    centre, sides, angles = boxes.reshape(-1, 9).T.reshape(3, 3, -1)
    arms = np.moveaxis(rotation_matrix(angles.T), 0, -1) * sides / 2  # (3, 3, N): boxes last, which is fast
    return (SIGNS @ arms + centre[:, None]).T.reshape(*boxes.shape[:-1], 8, 3)


def project_points(points, camera):
    """Pixels of points in metres: (..., 3) -> (..., 2); NaN where a point is not in front (z <= 0).

    `project_points(box_corners(boxes), camera)` projects many boxes at once: (N, 9) -> (N, 8, 2). Raises: ValueError.

    >>> project_points([[1, 0, 2], [0, 0, -2]], Camera(100, 100, 50, 50))
    array([[100.,  50.],
           [ nan,  nan]])
    """
    points = _floats(points, "points", "(..., 3) numbers")
    if points.shape[-1:] != (3,):
        raise ValueError(f"points must have shape (..., 3), got {points.shape}")
    camera, (x, y, z) = _camera(camera), np.moveaxis(points, -1, 0)
    z = np.where(z > 0, z, np.nan)
    return np.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], -1)


def box_edges(bbox_3d, camera, *, size=None, near=0.1):
    """The edges of a box as seen: (E, 4) pixels `[x1, y1, x2, y2]`, E <= 12, in the order of `EDGES`.

    Each edge is clipped at depth `near` (metres), then to the picture when `size` (width, height) is given. What is out
    of sight is left out: a box behind gives (0, 4). Raises: ValueError for a bad box, camera, size, or `near` <= 0.

    >>> box_edges([0, 0, 0, 1, 0, 4, 0, 0, 0], Camera(100, 100, 100, 50), size=(200, 100))[-1]
    array([200.,  50., 125.,  50.])
    """
    box = _boxes(bbox_3d, "bbox_3d", single=True)
    window = ((0, 0), _size(size)) if size is not None else ()
    return _seen(box_corners(box), camera, near, *window)[0].reshape(-1, 4)


def bbox_2d_of(bbox_3d, camera, size, *, near=0.1):
    """The enclosing `[x1, y1, x2, y2]` pixels of what the picture shows of a box, or None when nothing.

    It counts faces, not only edges: a box around the camera fills the picture. Raises: as `box_edges`.

    >>> bbox_2d_of([0, 0, 4, 2, 1, 2, 0, 0, 0], Camera.from_fov((600, 400), fov=90), (600, 400))
    [200.0, 150.0, 400.0, 250.0]
    """
    box = _boxes(bbox_3d, "bbox_3d", single=True)
    points = np.concatenate(_seen(box_corners(box), camera, near, (0, 0), _size(size))[2])
    return [*points.min(0).tolist(), *points.max(0).tolist()] if len(points) else None


def iou_3d(a, b):
    """Exact volume overlap (intersection over union) of rotated boxes, 0 to 1.

    Two boxes give a float; (N, 9) and (M, 9) give (N, M); one box against M gives (M,). A box without volume overlaps
    nothing. The slabs of `b` clip the faces of `a`, and the divergence theorem gives the volume. Raises: ValueError.

    >>> round(iou_3d([0, 0, 4, 1, 1, 1, 0, 0, 0], [0.5, 0, 4, 1, 1, 1, 0, 0, 0.5]), 6)
    0.333333
    """
    a, b = _boxes(a, "a"), _boxes(b, "b")
    first, second = a.reshape(-1, 9), b.reshape(-1, 9)
    radius_a, radius_b = (np.linalg.norm(boxes[:, 3:6], axis=1) / 2 for boxes in (first, second))
    apart = np.linalg.norm(first[:, None, :3] - second[None, :, :3], axis=-1)
    rows, columns = np.nonzero(apart < radius_a[:, None] + radius_b)
    shared = np.zeros(apart.shape)
    for i in range(0, len(rows), 1024):  # 7 kB a pair: bounds the memory
        pair = rows[i:i + 1024], columns[i:i + 1024]
        shared[pair] = _shared_volume(first[pair[0]], second[pair[1]])
    union = first[:, 3:6].prod(1)[:, None] + second[:, 3:6].prod(1) - shared
    result = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0).clip(0, 1)
    return result.reshape(a.shape[:-1] + b.shape[:-1]) if a.ndim + b.ndim > 2 else float(result[0, 0])


def to_open3d(bbox_3d):
    """The box as an `open3d.geometry.OrientedBoundingBox`.

    Raises: ValueError for a bad box; ImportError that says what to install when Open3D does not load.

    >>> to_open3d([0, 0, 4, 2, 1, 1, 0, 0, 0]).volume()
    2.0
    """
    box = _boxes(bbox_3d, "bbox_3d", single=True)
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise ImportError(f"to_open3d needs Open3D, which did not load ({error}); run `pip install open3d`, and "
                          "install the system library libusb-1.0 (Debian, Ubuntu: libusb-1.0-0)") from error
    return open3d.geometry.OrientedBoundingBox(box[:3], rotation_matrix(box[6:]), box[3:6])


def draw_boxes_3d(image, boxes, camera, *, labels=True, color=None, width=None, font=None, near=0.1):
    """A new RGB picture with the boxes drawn over it as glass: thick edges in front, thin ones behind.

    `boxes` are dicts with `bbox_3d` and perhaps `label`; far ones are painted first. The picture may have any
    mode; its EXIF orientation is applied, and `camera` belongs to the upright picture. `color` is one for all or
    `{label: color}`; by default a label has the same in every picture, unless two of a picture meet. `width` of the
    lines is in pixels, `font` a font file; by default an installed one that has the label's letters.
    Raises: ValueError that names the item or option, before anything is drawn.

    >>> picture = Image.new("L", (320, 240), 128)
    >>> boxes = [{"bbox_3d": [0, 0, 3, 1, 1, 1, 0, 0.1, 0], "label": "crate"}]
    >>> draw_boxes_3d(picture, boxes, Camera.from_fov(picture.size)).mode
    'RGB'
    """
    items, camera, near = _items(boxes), _camera(camera), _number(near, "near", above=1e-9)
    canvas = _upright_rgb(image)
    width = max(2, min(canvas.size) / 240) if width is None else _number(width, "width", above=0)
    tints, letters = _tints([label for _, label in items], color), max(12, round(min(canvas.size) / 28))
    fonts = [_font(label, letters, font and str(font)) for _, label in items]
    for box, label in items:
        _paint_box(canvas, box, camera, tints[label], width, near)
    regions, chips = [bbox_2d_of(box, camera, canvas.size, near=near) for box, _ in items], []
    for (_, label), region, font in [*zip(items, regions, fonts)][::-1]:  # the near ones get the better places
        if labels and label and region:
            others = [other for other in regions if other and other is not region]
            chips.append(_paint_chip(canvas, label, region, tints[label], font, others, chips))
    return canvas


# --- arguments: checked and returned, or one ValueError that names the argument ---
def _number(value, name, above=-math.inf, below=math.inf):
    number = _floats(value, name, "a number")
    if number.ndim or not above < number < below:
        raise ValueError(f"{name} must be a number above {above} and below {below}, got {brief(value)}")
    return float(number)


def _floats(value, name, expected):
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "USc":  # the text "5" is no number
            return array.astype(float, copy=False)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"{name} must be {expected}, got {brief(value)}")


def _size(size):
    sides = _floats(size, "size", "(width, height)")
    if sides.shape != (2,) or not ((0 < sides) & (sides < np.inf)).all():
        raise ValueError(f"size must be (width, height), two positive numbers of pixels, got {brief(size)}")
    return sides.tolist()


def _camera(camera):
    if not isinstance(camera, Camera):
        raise ValueError(f"camera must be a Camera, such as Camera.from_fov(image.size), got {brief(camera)}")
    return camera


def _boxes(value, name, single=False):
    expected = "nine numbers [x, y, z, sx, sy, sz, a, b, c]" + ("" if single else ", or N rows of them")
    boxes = _floats(value, name, expected)
    if boxes.shape == (0,) and not single:
        return boxes.reshape(0, 9)
    if boxes.shape[-1:] != (9,) or boxes.ndim > 2 - single:
        raise ValueError(f"{name} must be {expected}, got shape {boxes.shape}: {brief(value)}")
    if not (abs(boxes) < 1e9).all() or (boxes[..., 3:6] < 0).any():  # a NaN is not below 1e9 either
        raise ValueError(f"{name} must be finite (below 1e9), with sides sx, sy, sz >= 0, got {brief(value)}")
    return boxes


def _items(boxes):
    """[(box, label)], by their farthest corner, so that a room comes before what is in it."""
    if isinstance(boxes, (dict, str)) or not hasattr(boxes, "__iter__"):
        raise ValueError(f"boxes must be a list of dicts with `bbox_3d`, got {brief(boxes)}")
    items = []
    for i, item in enumerate(boxes):
        if not isinstance(item, dict) or "bbox_3d" not in item:
            raise ValueError(f"boxes[{i}] must be a dict with `bbox_3d`, got {brief(item)}")
        label = "" if item.get("label") is None else " ".join(str(item["label"]).split())[:200]
        label = label.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be drawn
        items.append((_boxes(item["bbox_3d"], f"boxes[{i}]['bbox_3d']", single=True), label))
    return sorted(items, key=lambda item: -np.linalg.norm(box_corners(item[0]), axis=1).max())


# --- clipping ---
def _solids(corners):
    """Boxes (P, 8, 3) as bags of faces, each a bag of directed segments, filled up with zeros: (P, 6, 6, 2, 3)."""
    faces = np.zeros((len(corners), 6, 6, 2, 3))
    faces[:, :, :4] = corners[:, np.stack([FACES, np.roll(FACES, -1, 1)], -1)]
    return faces


def _cut(faces, distance, tolerance):
    """The part of convex solids (P, F, F, 2, 3) with `distance` (P, F, F, 2) <= 0, closed by a face: F + 1."""
    distance = np.where(abs(distance) <= tolerance, 0, distance)
    inside = distance <= 0
    leaves, enters = (inside[..., i] & ~inside[..., 1 - i] for i in (0, 1))
    # From the inner to the outer end, so that both faces at an edge get the same bits for its crossing.
    inner, outer = (np.where(leaves[..., None], faces[..., i, :], faces[..., 1 - i, :]) for i in (0, 1))
    d_inner, d_outer = (np.where(leaves, distance[..., i], distance[..., 1 - i]) for i in (0, 1))
    t = np.divide(d_inner, d_inner - d_outer, out=np.zeros_like(d_inner), where=leaves | enters)[..., None]
    crossing = np.where((leaves | enters)[..., None], inner + t * (outer - inner), 0)  # (P, F, F, 3)
    closing = np.stack([(crossing * which[..., None]).sum(2) for which in (leaves, enters)], 2)  # (P, F, 2, 3)
    count = faces.shape[1]
    result = np.zeros((len(faces), count + 1, count + 1, 2, 3))
    result[:, :count, :count] = np.where(inside[..., None], faces, crossing[..., None, :])
    result[:, :count, count], result[:, count, :count] = closing, closing[..., ::-1, :]
    return result


def _shared_volume(a, b):
    """Volumes of the intersections of boxes, pair by pair: (P, 9), (P, 9) -> (P,)."""
    moved = np.concatenate([a[:, :3] - b[:, :3], a[:, 3:]], 1)
    faces = _solids(box_corners(moved) @ rotation_matrix(b[:, 6:]))  # in the frame of b
    anchors = [*np.moveaxis(faces[:, :, 0, 0], 1, 0)]  # a point in the plane of each face
    tolerance = 1e-12 * np.maximum(abs(a[:, :6]).max(1), abs(b[:, :6]).max(1))[:, None, None, None]
    for axis, sign in ((axis, sign) for axis in range(3) for sign in (1, -1)):
        limit = b[:, 3 + axis, None] / 2
        faces = _cut(faces, sign * faces[..., axis] - limit[..., None, None], tolerance)
        anchors.append(sign * limit * np.eye(3)[axis])
    areas = np.cross(faces[..., 0, :], faces[..., 1, :]).sum(2) / 2  # (P, 12, 3), along the normals
    return (np.stack(anchors, 1) * areas).sum((1, 2)).clip(0) / 3


def _seen(corners, camera, near, low=-np.inf, high=np.inf):
    """Beyond `near` and in low..high, in pixels: edges (E, 2, 2), their rows in EDGES, points (K, 2) of each face."""
    camera, near = _camera(camera), _number(near, "near", above=1e-9)
    planes = [(0, 0, -1, near)]
    if np.ndim(high):
        (left, top), (right, bottom) = low, high
        planes += [(-camera.fx, 0, left - camera.cx, 0), (camera.fx, 0, camera.cx - right, 0)]
        planes += [(0, -camera.fy, top - camera.cy, 0), (0, camera.fy, camera.cy - bottom, 0)]
    faces = _solids(corners[None])
    for *normal, offset in planes:
        distance = faces @ np.array(normal, float) + offset
        faces = _cut(faces, distance, 1e-12 * abs(distance).max())
    faces, pixels = faces[0, :6], project_points(faces[0, :6], camera).clip(low, high)
    seen = faces[..., 2] > near / 2  # the rest is filling
    rows = np.flatnonzero(seen[(*EDGE_AT, 0)])
    return pixels[EDGE_AT][rows], rows, [points[some] for points, some in zip(pixels, seen)]


# --- painting ---
def _upright_rgb(image):
    if not isinstance(image, Image.Image):
        raise ValueError(f"image must be a PIL.Image, got {type(image).__name__}")
    image = ImageOps.exif_transpose(image)
    if image.mode[0] in "IF":  # convert() would cut these off at 255
        levels = np.nan_to_num(np.asarray(image, float), posinf=0, neginf=0)
        top = levels.max(initial=0)
        gain = 255 if image.mode == "F" and top <= 1 else 256 / 2 ** max(8, int(top).bit_length())
        return Image.fromarray((levels * gain).clip(0, 255).astype("uint8")).convert("RGB")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def _tints(labels, color):
    """{label: (red, green, blue)}: by the label's checksum, moved on where another label here has that one."""
    given = color if isinstance(color, dict) else {} if color is None else dict.fromkeys(labels, color)
    homes = {label: zlib.crc32(label.encode()) % len(PALETTE) for label in sorted(set(labels))}
    first = {home: label for label, home in reversed(homes.items())}
    free = [slot for slot in range(len(PALETTE)) if slot not in first]
    for label, home in homes.items():
        if first[home] != label and free:
            homes[label] = min(free, key=lambda slot: (slot - home) % len(PALETTE))
            free.remove(homes[label])
    return {label: _rgb(given[label]) if label in given else PALETTE[home] for label, home in homes.items()}


def _rgb(color):
    try:
        red, green, blue = (ImageColor.getrgb(color) if isinstance(color, str) else color)[:3]
        return tuple(bytes((red, green, blue)))
    except (TypeError, ValueError):
        raise ValueError(f"color must be a name, three integers 0-255 or a dict of them, got {brief(color)}") from None


def _ink(tint):
    """Black or white, whichever stands out from the tint."""
    return (0, 0, 0) if np.dot(tint, (0.299, 0.587, 0.114)) > 110 else (255, 255, 255)


def _paint_box(canvas, box, camera, tint, width, near):
    size, margin = np.array(canvas.size), 2 * width + 2
    edges, rows, faces = _seen(box_corners(box), camera, near, -margin * np.ones(2), size + margin)
    points = np.concatenate([edges.reshape(-1, 2), *faces])
    if not len(points):
        return
    low = np.floor(points.min(0) - margin).clip(0, size - 1).astype(int)
    high = np.ceil(points.max(0) + margin).clip(low + 1, size).astype(int)
    scale = int(np.clip(math.sqrt(2**23 / (high - low).prod()), 1, 4))  # anti-aliasing within 32 MB
    layer = Image.new("RGBA", tuple((high - low) * scale))
    normals = np.repeat(rotation_matrix(box[6:]).T, 2, 0) * np.tile((-1, 1), 3)[:, None]  # of FACES
    facing = normals @ box[:3] + np.repeat(box[3:6] / 2, 2) < 0  # these turn their outside to the camera
    for face in np.flatnonzero(facing):  # what faces up (y down) is the clearest glass
        _fill(layer, (faces[face] - low) * scale, (*tint, round(75 + 45 * min(0, normals[face, 1]))))
    front = (EDGE_ON_FACE[rows] & facing).any(1) | ~facing.any()  # from inside the box no face is in front
    edges = (edges - low) * scale
    _stroke(layer, edges[~front], 0.6 * width * scale, (*tint, 170))
    _stroke(layer, edges[front], (width + 2) * scale, (*_ink(tint), 200))
    _stroke(layer, edges[front], width * scale, (*tint, 255))
    canvas.paste(layer := layer.reduce(scale), tuple(low), layer)


def _fill(layer, points, color):
    if len(points) > 2:
        x, y = (points - points.mean(0)).T
        outline = points[np.argsort(np.arctan2(y, x))]
        ImageDraw.Draw(layer).polygon([tuple(point) for point in outline], fill=color)


def _stroke(layer, edges, width, color):
    draw = ImageDraw.Draw(layer)
    for edge in edges:
        draw.line([*edge.ravel()], color, max(1, round(width)))
        for x, y in edge:  # round ends close the gaps at corners
            draw.circle((x, y), width / 2, color)


def _paint_chip(canvas, label, region, tint, font, others, chips):
    """Paints a name at `region`, where it hides least of the boxes `others` and the `chips`; returns its rectangle."""
    while len(label) > 1 and font.getlength(label) + font.size > canvas.width:
        label = label[:-2].rstrip() + "…"
    size = width, height = math.ceil(font.getlength(label) + font.size), math.ceil(1.5 * font.size)
    x1, y1, x2, y2 = region
    rows = [y1 - height - 3, y1 + 3, y2 + 3, *y1 + height * np.array([-2.2, 1.2, -3.3, 2.3, 3.4])]
    spots = np.array([(x, y) for y in rows for x in ((x1 + x2 - width) / 2, x1, x2 - width)])
    spots = spots.clip(0, np.maximum(np.subtract(canvas.size, size), 0)).round().astype(int)
    boxes = np.array([*chips, *others], float).reshape(-1, 4)
    covered = (np.minimum(spots[:, None] + size, boxes[:, 2:]) - np.maximum(spots[:, None], boxes[:, :2])).clip(0)
    weight = np.repeat((10, 1), (len(chips), len(others))) / (boxes[:, 2:] - boxes[:, :2] + 1).prod(1)
    x, y = spots[np.argmin((covered.prod(-1) * weight).sum(1) + 0.01 * np.arange(len(spots)))].tolist()
    mask = Image.new("L", (4 * width, 4 * height))
    ImageDraw.Draw(mask).rounded_rectangle([0, 0, 4 * width - 1, 4 * height - 1], height, 255)
    canvas.paste(tint, (x, y), mask.reduce(4))
    ImageDraw.Draw(canvas).text((x + width / 2, y + height / 2), label, _ink(tint), font, "mm")
    return x, y, x + width, y + height


@lru_cache(maxsize=1)
def _font_files():
    """Installed font files, plain sans-serif ones first."""
    roots = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts", "/System/Library/Fonts",
             "/Library/Fonts", "~/Library/Fonts", "C:/Windows/Fonts")
    files = [path for root in roots for path in Path(os.path.expanduser(root)).rglob("*.[oOtT][tT][fFcC]")]
    liked = "dejavusans|notosans(cjk)?-regular|arial"  # then short names, which have no Bold or Condensed in them
    return sorted(files, key=lambda path: (not re.fullmatch(liked, path.stem.lower()), len(path.stem), str(path)))


@lru_cache(maxsize=512)
def _font(text, size, path):
    """The font at `path`, or the first installed one that has the most letters of `text`."""
    best, most, wanted = ImageFont.load_default(size), 0, set(text) - {" "}
    for file in [path] if path else _font_files():
        try:
            font = ImageFont.truetype(str(file), size)
            missing = bytes(font.getmask("\U0010ffff"))  # a code point that no font has
            has = sum(bytes(font.getmask(letter)) != missing for letter in wanted)
        except (OSError, ValueError):  # unreadable, or a bitmap font of another size
            if path:
                raise ValueError(f"font must be a font file that can be read, got {path!r}") from None
            continue
        if has > most or path:
            best, most = font, has
        if most == len(wanted):
            break
    return best
