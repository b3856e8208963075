"""Drawing: what every kind of picture, box, label and font becomes; where chips lie; colours; sheets."""

import itertools
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from cookbook_utils import drawing
from cookbook_utils.drawing import contact_sheet, draw_boxes, draw_points, label_colors

GREY, RED, LIME, BLUE = (128, 128, 128), (255, 0, 0), (0, 255, 0), (0, 0, 255)


def grey(size=(200, 150)) -> Image.Image:
    return Image.new("RGB", size, GREY)


def box(*numbers, **other) -> dict:
    return {"bbox_2d": list(numbers), **other}


def count(picture: Image.Image, color: tuple) -> int:
    """Pixels of exactly this colour."""
    return int((np.asarray(picture) == color).all(axis=-1).sum())


def extent(drawn: Image.Image, before: Image.Image) -> tuple:
    """Left, top, right, bottom of what differs, exclusive."""
    return Image.fromarray((np.asarray(drawn) != np.asarray(before)).any(axis=-1)).getbbox()


@pytest.fixture
def no_fonts(monkeypatch):
    """A machine without a single font file; gives those that are really there."""
    files = drawing._font_files()
    monkeypatch.setattr(drawing, "_font_files", tuple)
    drawing._font_for.cache_clear()
    yield files
    drawing._font_for.cache_clear()


def needs_font(text: str) -> None:
    if drawing._font_for(text, None) is None:
        pytest.skip(f"no font here has {text!r}")


def transparent_palette() -> Image.Image:
    picture = Image.new("P", (40, 30), 1)
    picture.info["transparency"] = 1
    return picture


@pytest.mark.parametrize(("picture", "color", "reason"), [
    (Image.new("L", (40, 30), 77), (77, 77, 77), "grey"),
    (Image.new("LA", (40, 30), (77, 0)), (255, 255, 255), "transparent: white shows"),
    (Image.new("RGBA", (40, 30), (0, 0, 0, 128)), (127, 127, 127), "half transparent: half white"),
    (Image.new("RGBA", (40, 30), (10, 20, 30, 255)), (10, 20, 30), "opaque"),
    (transparent_palette(), (255, 255, 255), "a transparent palette colour"),
    (Image.new("RGB", (40, 30), (10, 20, 30)).quantize(), (10, 20, 30), "palette"),
    (Image.new("CMYK", (40, 30), (255, 0, 0, 0)), (0, 255, 255), "inks"),
    (Image.new("I;16", (40, 30), 65535), (255, 255, 255), "16 bits: the upper 8"),
    (Image.new("I;16", (40, 30), 0x1234), (0x91, 0x91, 0x91), "13 bits in 16: the upper 8 of the 13"),
    (Image.new("I;16B", (40, 30), 0x8000), (128, 128, 128), "big-endian"),
    (Image.new("I", (40, 30), 200), (200, 200, 200), "8 bits in 32 stay"),
    (Image.new("I", (40, 30), -5), (0, 0, 0), "negative is black"),
    (Image.new("F", (40, 30), 0.5), (127, 127, 127), "floats of 0..1"),
    (Image.new("F", (40, 30), 1000.0), (250, 250, 250), "floats of 0..1023"),
    (Image.new("F", (40, 30), float("nan")), (0, 0, 0), "nothing known is black"),
])
def test_every_mode_becomes_rgb(picture, color, reason):
    drawn = draw_boxes(picture, [box(20, 10, 38, 28)], color="red")
    assert (drawn.mode, drawn.size) == ("RGB", (40, 30)), reason
    assert drawn.getpixel((2, 2)) == color, reason
    assert count(drawn, RED) > 30, reason


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "I;16", "F"])
def test_the_input_is_untouched(mode):
    picture = Image.new(mode, (60, 40))
    before = picture.tobytes()
    for drawn in (draw_boxes(picture, [box(5, 5, 50, 30, label="a")]), draw_points(picture, [{"point_2d": [9, 9]}]),
                  contact_sheet([picture], 1, ["a"]), draw_boxes(picture, [])):
        drawn.paste("red", (0, 0, *drawn.size))
    assert (picture.mode, picture.tobytes()) == (mode, before)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once_and_only_the_colour_profile_stays(tmp_path, orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif, icc_profile=b"profile", dpi=(72, 72))
    photo = Image.open(tmp_path / "photo.png")
    drawn = draw_boxes(photo, [])
    assert np.array_equal(drawn, ImageOps.exif_transpose(photo))
    assert not drawn.getexif() and drawn.info == {"icc_profile": b"profile"}
    assert np.array_equal(draw_boxes(drawn, []), drawn)


def test_a_box_is_a_line_inside_its_edges_with_a_rim_on_both_sides():
    drawn = draw_boxes(grey(), [box(50, 40, 150, 100)], color="red", width=3)
    assert [drawn.getpixel((x, 70)) for x in range(48, 55)] == [GREY, (0, 0, 0), RED, RED, RED, (0, 0, 0), GREY]
    assert extent(drawn, grey()) == (49, 39, 151, 101)


@pytest.mark.parametrize(("numbers", "same_as", "reason"), [
    ([150, 100, 50, 40], [50, 40, 150, 100], "both axes inverted"),
    ([150, 40, 50, 100], [50, 40, 150, 100], "one axis inverted"),
    ([-30, -1e300, 70, 60], [0, 0, 70, 60], "leaves the picture at the top left"),
    ([100, 60, 1e300, 900], [100, 60, 200, 150], "leaves it at the bottom right"),
    ([-9, -9, 999, 999], [0, 0, 200, 150], "around the whole picture"),
    ([-float("inf"), 50, float("inf"), 90], [0, 50, 200, 90], "infinite"),
    ([49.6, 40.4, 150.4, 99.6], [50, 40, 150, 100], "fractions are rounded"),
    ([80, 40, 80, 90], [80, 40, 81, 90], "no width: a line"),
    ([80, 40, 80, 40], [80, 40, 81, 41], "no area: a dot"),
    ([200, 150, 200, 150], [199, 149, 200, 150], "a dot on the last edge"),
    (np.array([50, 40, 150, 100]), [50, 40, 150, 100], "an array"),
])
def test_unusual_boxes(numbers, same_as, reason):
    expected = draw_boxes(grey(), [box(*same_as, label="cat")])
    assert draw_boxes(grey(), [{"bbox_2d": numbers, "label": "cat"}]) == expected, reason
    assert expected != grey()


@pytest.mark.parametrize(("numbers", "reason"), [
    ([-50, 10, -10, 40], "left of the picture"),
    ([10, 160, 40, 190], "below it"),
    ([10, 10, float("nan"), 40], "a NaN"),
    ([float("inf")] * 4, "infinitely far"),
    ([10**400, 10, 20, 30], "an integer that no float holds"),
])
def test_what_cannot_be_drawn_is_left_out_with_one_warning(numbers, reason):
    boxes = [box(20, 20, 90, 90), box(*numbers), box(*numbers)]
    with pytest.warns(UserWarning, match=r"2 not drawn.*boxes\[1\].*boxes\[2\]") as caught:
        drawn = draw_boxes(grey(), boxes)
    assert (len(caught), caught[0].filename) == (1, __file__), reason
    assert drawn == draw_boxes(grey(), boxes[:1]), reason


@pytest.mark.parametrize(("item", "reason"), [
    ({"label": "cat"}, "no box"),
    ({"bbox_2d": [1, 2, 3]}, "three numbers"),
    ({"bbox_2d": [[1, 2], [3, 4]]}, "two corners"),
    ({"bbox_2d": ["1", "2", "3", "4"]}, "text"),
    ({"bbox_2d": "1234"}, "a text of four characters"),
    ({"point_2d": [1, 2]}, "a point"),
    ([1, 2, 3, 4], "a bare list"),
    ("bbox_2d", "a key: one dict was given instead of a list"),
])
def test_an_item_without_a_box_is_named(item, reason):
    with pytest.raises(ValueError, match=r"boxes\[1\]: expected a dict with 'bbox_2d', 4 numbers in pixels, got"):
        draw_boxes(grey(), [box(1, 2, 3, 4), item])


@pytest.mark.parametrize("item", [{"point_2d": [1]}, {"point_2d": [1, 2, 3, 4]}, {"bbox_2d": [1, 2, 3, 4]}])
def test_an_item_without_a_point_is_named(item):
    with pytest.raises(ValueError, match=r"points\[0\]: expected a dict with 'point_2d', 2 numbers in pixels, got"):
        draw_points(grey(), [item])


@pytest.mark.parametrize(("options", "message"), [
    ({"width": 0}, "width: expected an integer, 1 or more, got 0"),
    ({"font_size": -1}, "font_size: .* got -1"),
    ({"fill": 1.5}, "fill: expected an opacity, 0..1, got 1.5"),
    ({"color": "no colour"}, "color: expected a name, '#RRGGBB' or three integers 0..255, got 'no colour'"),
    ({"color": {"cat": 7}}, "color: .* got 7"),
    ({"font": "missing.ttf"}, "font: expected a TrueType or OpenType file that can be read, got 'missing.ttf'"),
    ({"font": __file__}, "font: expected"),
])
def test_a_bad_option_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        draw_boxes(grey(), [box(1, 2, 30, 40)], **options)


@pytest.mark.parametrize("draw", [draw_boxes, draw_points, lambda image, _: contact_sheet([image], 1)])
def test_an_array_is_no_picture(draw):
    with pytest.raises(TypeError, match="image.*expected a PIL.Image.Image, got ndarray"):
        draw(np.zeros((4, 4, 3), np.uint8), [])


def test_fill_tints_the_inside_and_leaves_the_lines_of_other_boxes():
    boxes = [box(50, 40, 150, 100, label="small"), box(10, 10, 190, 140, label="large")]
    plain, filled = (draw_boxes(grey(), boxes, color={"small": "red", "large": "blue"}, labels=False, fill=fill) for fill in (0, 0.5))
    assert count(plain, RED) == count(filled, RED) and filled.getpixel((5, 5)) == GREY
    assert filled.getpixel((20, 20)) == pytest.approx((64, 64, 191), abs=1)


def test_a_ring_leaves_its_point_visible():
    drawn = draw_points(grey(), [{"point_2d": [100, 75]}], color="red", radius=10)
    assert drawn.getpixel((100, 75)) == GREY and drawn.getpixel((108, 75)) == RED
    assert extent(drawn, grey()) == pytest.approx((89, 64, 112, 87), abs=1)
    for edge in [(0, 0), (200, 150), (199.7, 0), (0, 150)]:
        assert count(draw_points(grey(), [{"point_2d": edge}], color="red"), RED) > 3


def test_points_outside_are_reported():
    with pytest.warns(UserWarning, match=r"1 not drawn.*points\[0\] \[201, 5\]"):
        assert draw_points(grey(), [{"point_2d": [201, 5], "label": "far"}]) == grey()


number = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-100, 200) | st.integers(-10**330, 10**330)
label = st.none() | st.integers() | st.text(max_size=12) | st.sampled_from(["猫 cat", "قطة", "👨‍👩‍👧", "\ud800", "a\nb", "\u200d", "é" * 99])


@given(size=st.tuples(st.integers(1, 90), st.integers(1, 90)), mode=st.sampled_from(["RGB", "L", "RGBA", "I;16"]),
       numbers=st.lists(st.tuples(number, number, number, number, label), max_size=6))
def test_no_numbers_and_no_label_raise(size, mode, numbers):
    picture = Image.new(mode, size)
    before = picture.tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        boxes = draw_boxes(picture, [{"bbox_2d": four, "label": label} for *four, label in numbers], fill=0.3)
        points = draw_points(picture, [{"point_2d": (x, y), "label": label} for x, y, _, _, label in numbers])
    assert boxes.size == points.size == size and picture.tobytes() == before


@pytest.mark.parametrize(("item", "reason"), [
    ({}, "no label"), ({"label": None}, "null"), ({"label": ""}, "empty"), ({"label": " \n"}, "blank"),
    ({"name_en": "cat"}, "another key"),
])
def test_without_a_label_there_is_no_text(item, reason):
    plain = draw_boxes(grey(), [box(50, 40, 150, 100)], color="red")
    assert draw_boxes(grey(), [box(50, 40, 150, 100, **item)], color="red") == plain, reason
    assert draw_boxes(grey(), [box(50, 40, 150, 100, label="x")], color="red", labels=False) == plain


def test_a_label_need_not_be_text():
    assert draw_boxes(grey(), [box(9, 40, 90, 99, label=7)]) == draw_boxes(grey(), [box(9, 40, 90, 99, label="7")])


def chip(label: str, **options) -> tuple[int, int, int, int]:
    """Where the label of a line in the middle of a large picture lies."""
    picture = grey((800, 200))
    line = [box(300, 100, 300, 100, label=label)]
    return extent(draw_boxes(picture, line, **options), draw_boxes(picture, line, labels=False, **options))


@pytest.mark.parametrize("corner", [(0, 0, 30, 20), (370, 0, 400, 20), (0, 280, 30, 300), (370, 280, 400, 300), (0, 0, 400, 300)])
def test_a_chip_is_whole_at_every_edge(corner):
    item, (left, top, right, bottom) = box(*corner, label="elephant"), chip("elephant", font_size=14, color="white")
    white = [count(draw_boxes(grey((400, 300)), [item], font_size=14, color="white", width=1, labels=on), (255, 255, 255))
             for on in (False, True)]
    assert white[1] - white[0] > 0.6 * (right - left) * (bottom - top)


def test_chips_of_equal_boxes_stay_off_each_other():
    boxes = [box(250, 180, 350, 230, label=f"label {i}") for i in range(12)]
    drawn, colors = draw_boxes(grey((600, 400)), boxes), label_colors(item["label"] for item in boxes)
    for item in boxes[:-1]:  # the last one's lines have its colour, too
        color = colors[item["label"]]
        alone = [count(draw_boxes(grey((600, 400)), [item], labels=on, color=color), color) for on in (True, False)]
        assert count(drawn, color) == alone[0] - alone[1] > 500


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30),
                          st.lists(st.tuples(st.integers(-20, 90), st.integers(-20, 90)), min_size=1, max_size=5)), max_size=9))
def test_a_place_is_free_where_a_brute_force_search_finds_one(chips):
    room, taken = drawing._Room((60, 50)), []
    for width, height, spots in chips:
        inside = [(min(max(x, 0), 60 - width), min(max(y, 0), 50 - height)) for x, y in spots]
        free = [(x, y) for x, y in inside if not any(
            x < left + w and left < x + width and y < top + h and top < y + height for left, top, w, h in taken)]
        assert room.place(spots, width, height) == (free or inside)[0]
        taken += [(*spot, width, height) for spot in free[:1]]


def test_chips_lie_right_of_their_ring_and_keep_off_all_rings():
    points = [{"point_2d": [x, 75], "label": "wide label"} for x in range(20, 190, 20)]
    one, drawn, rings = (draw_points(grey(), points[:n], color="red", radius=6, labels=on) for n, on in ((1, 1), (9, 1), (9, 0)))
    changed = (np.asarray(rings) != np.asarray(drawn)).any(axis=-1)
    assert one.getpixel((20 + 6 + 3, 75)) == RED and changed.any() and not changed[70:81].any()


def test_the_work_grows_with_the_number_of_boxes_not_with_its_square():
    def calls(n: int) -> int:
        boxes = [box(i % 50, i % 40, 60 + i % 50, 60 + i % 40, label=f"k{i % 5}") for i in range(n)]
        total = itertools.count()
        sys.setprofile(lambda *_: next(total))
        draw_boxes(picture, boxes)
        sys.setprofile(None)
        return next(total)

    picture = grey()
    calls(400)
    assert calls(1600) < 5 * calls(400)


def test_a_long_label_ends_in_an_ellipsis_inside_the_picture():
    item = box(50, 40, 150, 100, label="a very long label " * 100)
    drawn, plain = (draw_boxes(grey(), [item], color="red", labels=on) for on in (True, False))
    left, top, right, bottom = extent(drawn, plain)
    assert right - left > 150 and count(drawn.crop((right - 3, top, right, bottom)), RED) == 3 * (bottom - top)


@pytest.mark.parametrize(("label", "reason"), [
    ("Crème brûlée", "Latin with accents"), ("e\u0301", "an accent of its own"), ("Жук Ωλ", "Cyrillic, Greek"),
    ("猫", "Chinese"), ("cat 猫", "two scripts"), ("ネコ 고양이", "Japanese, Korean"), ("قطة سوداء", "Arabic"),
    ("שלום dog", "Hebrew and Latin"), ("हिन्दी", "Devanagari"), ("😀", "emoji"), ("👨‍👩‍👧 🇫🇷 1️⃣ ☀️", "sequences of emoji"),
])
def test_a_label_in_any_script_needs_no_code_points(label, reason):
    for part in label.split():
        needs_font(part)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        left, top, right, bottom = chip(label, color="white")
    assert right - left >= 8 and bottom - top >= 12, reason


def test_an_emoji_has_its_colours():
    if not any(map(drawing._EMOJI_FONT.search, drawing._font_files())):
        pytest.skip("no colour font here")
    face = np.asarray(draw_boxes(grey(), [box(50, 90, 90, 120, label="😀")], color="white", font_size=40)).astype(int)
    assert (face[..., 0] - face[..., 2] > 60).sum() > 50


def test_arabic_letters_join():
    needs_font("ققق")
    if not drawing.ImageFont.core.HAVE_RAQM:
        pytest.skip("Pillow without Raqm")
    (left, _, right, _), (apart_left, _, apart_right, _) = chip("ققق", font_size=30), chip("ق\u200cق\u200cق", font_size=30)
    assert right - left < apart_right - apart_left


@pytest.mark.parametrize(("label", "drawn_as"), [
    ("猫", "\\u732b"), ("a猫 b", "a\\u732b b"), ("😀", "\\U0001f600"), ("e\u0327\u0323", "\\u0229\\u0323"), ("\ud800", "\\ud800"),
])
def test_without_a_font_code_points_are_drawn_and_a_warning_says_so(no_fonts, label, drawn_as):
    with pytest.warns(UserWarning, match="no font has a glyph for .*fonts-noto.*or pass font=") as caught:
        drawn = draw_boxes(grey(), [box(50, 40, 150, 100, label=label), box(60, 50, 70, 60, label=label)], color="red")
    assert len(caught) == 1 and all(code in str(caught[0].message) for code in re.findall(r"\\\w+", drawn_as))
    boxes = [box(50, 40, 150, 100, label=drawn_as), box(60, 50, 70, 60, label=drawn_as)]
    assert drawn == draw_boxes(grey(), boxes, color="red")


@pytest.mark.parametrize("name", ["DejaVuSans.ttf", "LiberationSans-Regular.ttf", "NotoSansCJK-Regular.ttc", "NotoColorEmoji.ttf"])
def test_the_glyphs_of_a_font_are_those_that_fonttools_finds(name):
    fonttools = pytest.importorskip("fontTools.ttLib")
    path = next((path for path in drawing._font_files() if Path(path).name == name), None)
    if path is None:
        pytest.skip(f"no {name} here")
    codes = {code for first, last in zip(*drawing._ranges(path)) for code in range(first, last + 1)} - {0xFFFF}
    assert codes == set(fonttools.TTFont(path, fontNumber=0).getBestCmap())


def test_the_font_that_is_given_comes_first():
    path = next((path for path in drawing._font_files() if Path(path).name == "DejaVuSansMono.ttf"), None)
    if path is None:
        pytest.skip("no DejaVu here")
    (left, _, right, _), (mono_left, _, mono_right, _) = chip("iiii"), chip("iiii", font=path)
    assert mono_right - mono_left > right - left


def test_colours_are_the_same_in_another_process_and_order():
    names = [f"thing {i}" for i in range(9)]
    code = f"from cookbook_utils.drawing import label_colors; print(label_colors({names[::-1]}))"
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str(label_colors(names))


@given(st.sets(st.text(), max_size=12))
def test_twelve_labels_have_twelve_colours(names):
    assert len(set(label_colors(names).values())) == len(names)


def test_a_label_moves_only_where_it_meets_another():
    names = [f"thing {i}" for i in range(100)]
    homes = {name: label_colors([name])[name] for name in names}
    for three in zip(names, names[1:], names[2:]):
        if len({homes[name] for name in three}) == 3:
            assert label_colors(three) == {name: homes[name] for name in three}


def lab(color: tuple, simulation: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of a colour as someone with a colour deficiency sees it."""
    values = np.array(color) / 255
    linear = simulation @ np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    xyz = [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]] @ linear.clip(0, 1)
    x, y, z = np.cbrt(xyz / [0.9505, 1, 1.0888])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize(("vision", "matrix"), [  # Machado, Oliveira & Fernandes (2009), severity 1
    ("usual", np.eye(3)),
    ("protanopia", [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    ("deuteranopia", [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    ("tritanopia", [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
])
def test_all_colours_stay_apart_for_the_colour_blind(vision, matrix):
    seen = [lab(color, np.array(matrix)) for color in drawing._PALETTE]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 14, vision


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_text_contrasts_with_its_chip(color):
    luminance = [lab(c, np.eye(3))[0] for c in (color, drawing._ink(color))]
    light = sorted(((value + 16) / 116) ** 3 for value in luminance)
    assert (light[1] + 0.05) / (light[0] + 0.05) >= 4.3


def test_a_sheet_keeps_order_aspect_and_centre():
    pictures = [Image.new("RGB", size, color) for size, color in [((100, 50), "red"), ((50, 100), "lime"), ((10, 10), "blue")]]
    sheet = contact_sheet(pictures, 2, cell=(100, 100), gap=10)
    assert sheet.size == (230, 230)
    areas = {color: Image.fromarray((np.asarray(sheet) == color).all(axis=-1)).getbbox() for color in (RED, LIME, BLUE)}
    assert list(areas.values()) == [(10, 35, 110, 85), (145, 10, 195, 110), (10, 120, 110, 220)]


def test_captions_lie_under_their_pictures():
    pictures = [Image.new("RGB", (100, 100), "red")] * 3
    plain, sheet = contact_sheet(pictures, 3, ["", "", ""]), contact_sheet(pictures, 3, [None, "two 2\nlines " * 9])
    assert count(sheet, RED) == 3 * 100 * 100
    left, top, right, bottom = extent(sheet.crop((0, 0, *plain.size)), plain)
    assert 124 <= left and right <= 224 and top >= 112


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1), (0, 7)])
def test_extreme_pictures_fit(size):
    assert contact_sheet([Image.new("RGB", size), grey()], 2, cell=(50, 40)).size == (3 * 12 + 2 * 50, 2 * 12 + 40)


@pytest.mark.parametrize(("arguments", "message"), [
    (([], 2), "images: expected one, .* or more; got 0 for 0 captions"),
    (([grey()], 2, ["a", "b"]), "images: .* got 1 for 2 captions"),
    (([grey()], 0), "columns: expected an integer, 1 or more, got 0"),
    (([grey()], 1.5), "columns: .* got 1.5"),
])
def test_a_sheet_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        contact_sheet(*arguments)


def test_the_file_alone_works(tmp_path):
    shutil.copy(drawing.__file__, tmp_path / "alone.py")
    code = (f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import alone; from PIL import Image\n"
            "drawn = alone.draw_boxes(Image.new('RGB', (90, 60)), [{'bbox_2d': [9, 30, 50, 50], 'label': 'cat'}])\n"
            "print(alone.contact_sheet([drawn], 1).size, [name for name in sys.modules if name.startswith('cookbook_utils')])")
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(114, 84) []"
