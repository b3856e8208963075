"""1,000 labelled boxes on a 1920 x 1080 picture: `draw_boxes` beside OpenCV and plain Pillow, in one run.

OpenCV draws on a copy of an array and puts bare text, without a background and without looking for a free place; Pillow
draws each chip and text anew, as most scripts do. Twenty kinds of labels are what a detector gives; a thousand different
ones are the worst case. No time is asserted: compare the groups' rows.

    python -m pytest tests/benchmarks/test_drawing_speed.py --benchmark-only
"""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from cookbook_utils.drawing import draw_boxes, label_colors

KINDS = ("person car bicycle dog cat chair bottle cup laptop keyboard book clock umbrella handbag backpack bench "
         "traffic-light stop-sign dining-table potted-plant").split()
SIZE, COUNT, WIDTH, FONT_SIZE = (1920, 1080), 1000, 4, 22


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8))


def boxes_of(distinct: int) -> list[dict]:
    """COUNT boxes of 20 to 200 pixels a side, with this many different labels."""
    rng = np.random.default_rng(1)
    corner, extent = rng.uniform(0, (1720, 880), (COUNT, 2)), rng.uniform(20, 200, (COUNT, 2))
    corners = np.hstack([corner, corner + extent]).tolist()
    names = KINDS if distinct <= len(KINDS) else [f"{KINDS[i % len(KINDS)]} {i}" for i in range(distinct)]
    return [{"bbox_2d": box, "label": names[i % distinct]} for i, box in enumerate(corners)]


def ours(picture: Image.Image, boxes: list[dict]) -> Image.Image:
    return draw_boxes(picture, boxes, width=WIDTH, font_size=FONT_SIZE)


def opencv(array: np.ndarray, boxes: list[dict], colors: dict) -> np.ndarray:
    array = array.copy()
    for box in boxes:
        x1, y1, x2, y2 = map(round, box["bbox_2d"])
        cv2.rectangle(array, (x1, y1), (x2, y2), colors[box["label"]], WIDTH)
        cv2.putText(array, box["label"], (x1, y1 - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.7, colors[box["label"]], 2)
    return array


def pillow(picture: Image.Image, boxes: list[dict], colors: dict, font: ImageFont.FreeTypeFont) -> Image.Image:
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    for box in boxes:
        draw.rectangle(box["bbox_2d"], outline=colors[box["label"]], width=WIDTH)
        chip = draw.textbbox(box["bbox_2d"][:2], box["label"], font)
        draw.rectangle(chip, fill=colors[box["label"]])
        draw.text(box["bbox_2d"][:2], box["label"], "white", font)
    return picture


@pytest.mark.parametrize("distinct", [20, 1000])
@pytest.mark.parametrize("peer", ["ours", "opencv", "pillow"])
def test_1000_labelled_boxes(benchmark, picture, peer, distinct):
    benchmark.group = f"1,000 boxes, {distinct} different labels"
    boxes = boxes_of(distinct)
    colors = label_colors(box["label"] for box in boxes)
    draws = {
        "ours": lambda: ours(picture, boxes),
        "opencv": lambda array=np.array(picture): opencv(array, boxes, colors),
        "pillow": lambda font=ImageFont.load_default(FONT_SIZE): pillow(picture, boxes, colors, font),
    }
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        drawn = benchmark.pedantic(draws[peer], rounds=30, warmup_rounds=2)
    finally:
        cv2.setNumThreads(threads)
    assert np.asarray(drawn).shape == (SIZE[1], SIZE[0], 3)
