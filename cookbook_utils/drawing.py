"""Draw a model's boxes and points on a picture, with labels in any script, and lay pictures out on a sheet.

Items are the model's plain dicts: `bbox_2d` is `[x1, y1, x2, y2]` and `point_2d` is `[x, y]`, in pixels of the upright
picture; `label` is optional text; other keys are ignored. Inverted boxes are drawn as sorted; boxes that leave the picture are
clipped to it; one without area is a line or a dot. What is wholly outside or has a NaN is not drawn, and one warning lists it.

The result is a new upright RGB picture that keeps no metadata but a colour profile: the EXIF orientation is applied once,
transparency is laid over white, and 16-bit, integer and float pictures are divided by the smallest power of two, 256 or more,
above their maximum (floats up to 1 are multiplied by 255).

Colours come from the label's CRC-32: a label looks the same in every call and process. Where labels of one picture meet on one
colour, all but the alphabetically first move to free ones, while the twelve last; `label_colors` fixes them for many pictures.
They are Okabe and Ito's and five of Paul Tol's, chosen to stay apart for the colour-blind; lines have a black or white rim.

Each letter is set in the first font that has it: the one given, the system's, Pillow's own. What no font has is drawn as code
points, with a warning. Scripts that join their letters and sequences of emoji need Pillow's Raqm, which its wheels have.

Sources: Okabe & Ito, "Color Universal Design" (2008); Tol, "Colour Schemes" (SRON/EPS/TN/09-002, 2021); the OpenType
specification, table `cmap`; WCAG 2.1, relative luminance. Needs NumPy 2 and Pillow 11 or newer.
"""

import bisect
import importlib.util
import mmap
import os
import re
import struct
import unicodedata
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

__all__ = ["contact_sheet", "draw_boxes", "draw_points", "label_colors"]

RGB = tuple[int, int, int]  # 0..255
Color = str | RGB  # a name or "#RRGGBB", as Pillow reads them
Colors = Color | Mapping[str, Color] | None
Box = tuple[int, int, int, int]  # left, top, right, bottom: pixels, all four inside the box

_PALETTE = tuple(tuple(bytes.fromhex(code)) for code in (
    "E69F00 56B4E9 009E73 F0E442 0072B2 D55E00 CC79A7 332288 661100 AA3377 FFAABB 99DDFF").split())


def draw_boxes(
    image: Image.Image, boxes: Iterable[Mapping], *, labels: bool = True, color: Colors = None,
    width: int | None = None, fill: float = 0, font: str | Path | None = None, font_size: int | None = None,
) -> Image.Image:
    """Returns a copy of the picture with each box outlined and its label on a chip beside it.

    `boxes`: dicts with `bbox_2d`, pixels, and maybe `label`. `color`: one for all, or `{label: color}`; by default by label.
    `width` of the lines, `font_size`: pixels, by default in proportion to the picture. `fill`: opacity of the insides, 0..1.
    `font`: a font file to try first. Chips stay inside the picture, and off each other where there is room near their boxes.
    Raises TypeError if `image` is no PIL picture, ValueError for an item without four numbers or a bad option.

    >>> picture = Image.new("RGB", (320, 240), "white")
    >>> drawn = draw_boxes(picture, [{"bbox_2d": [40, 60, 200, 180], "label": "cat"}], color="blue")
    >>> drawn.size, drawn.getpixel((40, 120)), picture.getpixel((40, 120))
    ((320, 240), (0, 0, 255), (255, 255, 255))
    """
    canvas, scale = _canvas(image), min(image.size) / 270
    items, lost = _read(boxes, "boxes", "bbox_2d", 4, canvas.size)
    colors, pen = label_colors([label for _, label in items], color), _Pen(font, font_size, scale)
    width = _integer("width", width, max(2, round(scale)))
    if not 0 <= fill <= 1:
        raise ValueError(f"fill: expected an opacity, 0..1, got {fill!r}")
    draw, veil = ImageDraw.Draw(canvas), ImageDraw.Draw(canvas, "RGBA")
    for box, label in items if fill else ():
        veil.rectangle(box, fill=(*colors[label], round(255 * fill)))
    for (left, top, right, bottom), label in items:
        line = max(1, min(width, (right - left) // 4, (bottom - top) // 4))
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=_ink(colors[label]), width=line + 2)
        draw.rectangle((left, top, right, bottom), outline=colors[label], width=line)
    if labels:
        _write(canvas, pen, items, colors, _Room(canvas.size), beside=False)
    _warn(lost, pen.missing)
    return canvas


def draw_points(
    image: Image.Image, points: Iterable[Mapping], *, labels: bool = True, color: Colors = None,
    radius: int | None = None, font: str | Path | None = None, font_size: int | None = None,
) -> Image.Image:
    """Returns a copy of the picture with a ring around each point and its label beside it.

    `points`: dicts with `point_2d`, pixels, and maybe `label`. `radius` of the ring: pixels. Other options: as those of
    `draw_boxes`. What lies at the point stays visible, and chips stay off all rings where there is room.
    Raises TypeError if `image` is no PIL picture, ValueError for an item without two numbers or a bad option.

    >>> picture = Image.new("RGB", (320, 240), "white")
    >>> drawn = draw_points(picture, [{"point_2d": [100, 80], "label": "nose"}], color=(255, 0, 0), radius=8)
    >>> drawn.getpixel((107, 80)), drawn.getpixel((100, 80))
    ((255, 0, 0), (255, 255, 255))
    """
    canvas, scale = _canvas(image), min(image.size) / 270
    items, lost = _read(points, "points", "point_2d", 2, canvas.size)
    colors, pen = label_colors([label for _, label in items], color), _Pen(font, font_size, scale)
    radius = _integer("radius", radius, max(6, round(scale * 3)))
    room, rings = _Room(canvas.size), {label: _ring(rgb, radius) for label, rgb in colors.items()}
    items = [((x - radius - 2, y - radius - 2, x + radius + 2, y + radius + 2), label) for (x, y, _, _), label in items]
    for ring, label in items:
        canvas.paste(rings[label], ring[:2], rings[label])
        room.mark(*ring)
    if labels:
        _write(canvas, pen, items, colors, room, beside=True)
    _warn(lost, pen.missing)
    return canvas


def contact_sheet(
    images: Iterable[Image.Image], columns: int, captions: Iterable[str | None] | None = None, *,
    cell: tuple[int, int] | None = None, gap: int = 12, background: Color = "white",
    font: str | Path | None = None, font_size: int | None = None,
) -> Image.Image:
    """Returns one picture with all pictures in equal cells, row by row, and a caption under each.

    Each picture is scaled into its cell, aspect kept. `cell`: `(width, height)`, by default the largest, at most 480; `gap`
    between cells; both pixels. Captions may be fewer than pictures, and may have several lines.
    Raises ValueError for no pictures, no columns, more captions than pictures or a bad option, TypeError for no PIL picture.

    >>> contact_sheet([Image.new("RGB", size) for size in [(100, 50), (50, 100), (80, 80)]], 2, gap=10).size
    (230, 230)
    """
    pictures = [_canvas(image, f"images[{i}]") for i, image in enumerate(images)]
    lines = [[] if text is None else str(text).split("\n") for text in captions or ()]
    if not pictures or len(lines) > len(pictures):
        raise ValueError(f"images: expected one, and one per caption, or more; got {len(pictures)} for {len(lines)} captions")
    columns, gap = min(_integer("columns", columns), len(pictures)), _integer("gap", gap, least=0)
    sides = cell or [min(480, max(sides)) for sides in zip((1, 1), *(picture.size for picture in pictures))]
    wide, high = (_integer("cell", side) for side in sides)
    paper, pen = _rgb(background), _Pen(font, font_size, min(wide, 400) / 110)
    step_x, step_y = wide + gap, high + gap + pen.height * max(map(len, lines), default=0)
    sheet = Image.new("RGB", (gap + step_x * columns, gap + step_y * -(-len(pictures) // columns)), paper)
    for i, picture in enumerate(pictures):
        x, y = gap + i % columns * step_x, gap + i // columns * step_y
        ratio = min(side / max(1, own) for side, own in zip((wide, high), picture.size))
        picture = picture.resize([max(1, round(side * ratio)) for side in picture.size], Image.Resampling.LANCZOS)
        sheet.paste(picture, (x + (wide - picture.width) // 2, y + (high - picture.height) // 2))
        for k, line in enumerate(lines[i] if i < len(lines) else ()):
            chip = pen.chip(line, paper, (wide, pen.height))
            sheet.paste(chip, (x + (wide - chip.width) // 2, y + high + k * pen.height))
    _warn([], pen.missing)
    return sheet


def label_colors(labels: Iterable[str], color: Colors = None) -> dict[str, RGB]:
    """Returns a colour (red, green, blue), 0..255, for each label, different ones while the twelve last.

    The order of the labels does not matter. `color`: one for all, or `{label: color}` for some; ValueError for no colour.
    Passed as `color` to the other functions, the result gives several pictures the same colours.

    >>> label_colors(["dog", "cat"]) == label_colors(["cat", "dog", "cat"])
    True
    """
    homes = {label: zlib.crc32(label.encode("utf-8", "replace")) % len(_PALETTE) for label in sorted(set(labels))}
    owners = {home: label for label, home in reversed(homes.items())}
    free = set(range(len(_PALETTE))) - set(owners)
    for label, home in homes.items():
        if owners[home] != label and free:
            homes[label] = min(free, key=lambda slot: (slot - home) % len(_PALETTE))
            free.remove(homes[label])
    given = color if isinstance(color, Mapping) else {} if color is None else dict.fromkeys(homes, color)
    return {label: _PALETTE[slot] for label, slot in homes.items()} | {label: _rgb(value) for label, value in given.items()}


def _rgb(color: Color) -> RGB:
    try:
        red, green, blue = (ImageColor.getrgb(color) if isinstance(color, str) else tuple(color))[:3]
        return tuple(bytes((red, green, blue)))
    except (TypeError, ValueError):
        raise ValueError(f"color: expected a name, '#RRGGBB' or three integers 0..255, got {color!r}") from None


@lru_cache(maxsize=256)
def _ink(color: RGB) -> RGB:
    """Black or white, whichever contrasts more with a colour (WCAG)."""
    red, green, blue = (c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color)
    return (0, 0, 0) if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else (255, 255, 255)


def _integer(name: str, value: int | None, default: int | None = None, least: int = 1) -> int:
    value = default if value is None else value
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name}: expected an integer, {least} or more, got {value!r}")
    return int(value)


def _read(items: Iterable[Mapping], argument: str, key: str, count: int, size: tuple[int, int]) -> tuple[list, list]:
    """`[(box, label)]` of the items to draw, clipped to the picture, and a description of each other item."""
    kept, lost = [], []
    for index, item in enumerate(items):
        try:
            box = _clipped([value + 0.0 for value in item[key]] * (4 // count), size)
        except OverflowError:  # an integer of 309 digits or more
            box = None
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{argument}[{index}]: expected a dict with {key!r}, {count} numbers in pixels, "
                             f"got {item!r:.200}") from None
        label = item.get("label")
        if box:
            kept.append((box, "" if label is None else str(label)))
        else:
            lost.append(f"{argument}[{index}] {item[key]!r:.60}")
    return kept, lost


def _clipped(numbers: list[float], size: tuple[int, int]) -> Box | None:
    """The pixels of [x1, y1, x2, y2] inside a picture, at least one; None if it is wholly outside or has a NaN."""
    x1, y1, x2, y2 = numbers
    (x1, x2), (y1, y2), (width, height) = sorted((x1, x2)), sorted((y1, y2)), size
    if not (0 <= x2 and x1 <= width and 0 <= y2 and y1 <= height and width and height):  # false for any NaN
        return None
    left, top = min(int(max(x1, 0) + 0.5), width - 1), min(int(max(y1, 0) + 0.5), height - 1)
    return left, top, max(left, int(min(x2, width) - 0.5)), max(top, int(min(y2, height) - 0.5))


def _warn(lost: list[str], missing: set[str]) -> None:
    """Warns, at the line that called the public function, of what is not drawn and of what no font has."""
    if lost:
        warnings.warn(f"{len(lost)} not drawn, outside the picture or NaN: {', '.join(lost[:5])}", stacklevel=3)
    if missing:
        names = ", ".join(f"{ascii(c)[1:-1]} {unicodedata.name(c, '')}".strip() for c in sorted(missing)[:9])
        warnings.warn(f"no font has a glyph for {names}{', ...' * (len(missing) > 9)}; drawn as code points. Install one that "
                      "has them (https://fonts.google.com/noto; on Debian the packages fonts-noto-core, fonts-noto-cjk and "
                      "fonts-noto-color-emoji) or pass font=", stacklevel=3)


def _canvas(image: Image.Image, argument: str = "image") -> Image.Image:
    """A new upright RGB picture without metadata."""
    if not isinstance(image, Image.Image):
        raise TypeError(f"{argument}: expected a PIL.Image.Image, got {type(image).__name__}; see Image.open, Image.fromarray")
    upright = ImageOps.exif_transpose(image)  # always a copy
    if upright.mode[0] in "IF":
        levels = np.nan_to_num(np.asarray(upright), posinf=0, neginf=0)
        top = levels.max(initial=0)
        gain = 255 if top <= 1 and upright.mode == "F" else 2.0 ** (8 - max(8, int(top).bit_length()))
        rgb = Image.fromarray((levels * gain).clip(0, 255).astype(np.uint8)).convert("RGB")
    elif upright.has_transparency_data:
        white = Image.new("RGBA", upright.size, "white")
        rgb = Image.alpha_composite(white, upright.convert("RGBA")).convert("RGB")
    else:
        rgb = upright if upright.mode == "RGB" else upright.convert("RGB")
    rgb.info = {key: image.info[key] for key in ("icc_profile",) if key in image.info and image.mode in ("RGB", "RGBA")}
    return rgb


def _ring(color: RGB, radius: int) -> Image.Image:
    """A ring with rims on a transparent square of side 2 * radius + 5, drawn larger and reduced."""
    side, inner, rim = 2 * radius + 5, radius * 0.6, _ink(color)
    zoom = max(1, min(8, 800 // side))
    large = Image.new("RGBA", (zoom * side, zoom * side), (*rim, 0))
    for reach, paint in ((radius + 1.5, rim), (radius + 0.5, color), (inner, rim), (inner - 1, (*rim, 0))):
        ImageDraw.Draw(large).circle((zoom * side / 2, zoom * side / 2), max(0, zoom * reach), fill=paint)
    return large.resize((side, side), Image.Resampling.BOX)


class _Room:
    """What is taken in a picture: an integer per row with one bit per pixel, so that a look costs next to nothing."""

    def __init__(self, size: tuple[int, int]):
        (self.width, self.height), self.rows, self.step = size, [0] * size[1], size[1] + 1

    def mark(self, left: int, top: int, right: int, bottom: int) -> None:
        top, bottom = max(0, top), min(bottom, self.height - 1)
        bits = (1 << right + 1) - (1 << max(0, left))
        self.rows[top:bottom + 1] = [row | bits for row in self.rows[top:bottom + 1]]
        self.step = min(self.step, bottom + 1 - top)  # nothing marked is lower

    def place(self, spots: Iterable[tuple[int, int]], width: int, height: int) -> tuple[int, int]:
        """The first spot (left, top) that is free, after a move into the picture; the very first if none is."""
        max_x, max_y, bits, rows, first = self.width - width, self.height - height, (1 << width) - 1, self.rows, None
        for x, y in spots:
            x, y = 0 if x < 0 else max_x if x > max_x else x, 0 if y < 0 else max_y if y > max_y else y
            first, end, mask = first or (x, y), y + height, bits << x
            if not (rows[y] & mask or rows[end - 1] & mask or any(row & mask for row in rows[y:end:self.step])):
                self.mark(x, y, x + width - 1, end - 1)
                return x, y
        return first


def _spots(box: Box, w: int, h: int, beside: bool, rows: int) -> list[tuple[int, int]]:
    """Places (left, top) for a chip of w x h at a box, the best first: beside it or above it, then further away."""
    left, top, right, bottom = box
    x, y = ((left + right - w) // 2, (top + bottom - h) // 2) if beside else (left, top)
    above, under, after, flush = top - h, bottom + 1, right + 1, right + 1 - w
    inside = (left, top) if right - left > w and bottom - top > 2 * h else (x, under)
    spots = [(x, above), inside, (x, under), (after, y), (left - w, y), (flush, above), (flush, under), (left - w, above)]
    near = spots[3:5] + spots[:3] + spots[5:] if beside else spots
    return near + [(x, y) for k in range(1, rows) for y in (above - k * h, top + k * h, under + k * h)
                   for x in (left, after, left - w)]


def _write(canvas: Image.Image, pen: "_Pen", items: list, colors: Mapping[str, RGB], room: _Room, beside: bool) -> None:
    """Pastes a chip for each label; those of crowds look no further than next to their box, so that time stays linear."""
    rows = 8 if len(items) <= 300 else 1
    chips = {label: pen.chip(label, colors[label], canvas.size) for label in {label for _, label in items if label.strip()}}
    for box, label in items:
        if chip := chips.get(label):
            canvas.paste(chip, room.place(_spots(box, *chip.size, beside, rows), *chip.size))


# Letters that stand on their own: Latin, Greek, Cyrillic, Armenian, symbols, Chinese, Japanese, Korean, emoji; and what
# belongs to the letter before it: accents, the styles and skins of emoji, the tags of flags. U+200D joins two emoji.
_LETTERS = ("!-~\u00a1-\u02ff\u0370-\u0482\u048a-\u058f\u1e00-\u200a\u2010-\u2027\u2030-\u205e\u2070-\u20cf\u2100-\u2bff"
            "\u3001-\u3029\u3030-\u3098\u309b-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff01-\uffef\U0001f000-\U0003ffff")
_MARK = "[\u0300-\u036f\u20d0-\u20ff\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
_TOKENS = re.compile(f"[\U0001f1e6-\U0001f1ff]{{2}}|[{_LETTERS}]{_MARK}*(?:\u200d.{_MARK}*)*| |"
                     f"[^ {_LETTERS}]+(?: +[^ {_LETTERS}]+)*")
_EMOJI_FONT = re.compile("color.?emoji|seguiemj", re.I)
_STYLED_FONT = re.compile("bold|italic|oblique|mono|serif|condensed|narrow|light|thin|black|math|emoji|emj", re.I)
_GOOD_FONT = re.compile("DejaVuSans|NotoSans-|segoeui|Helvetica|Arial|LiberationSans|NotoSansCJK|PingFang|msyh|malgun", re.I)


class _Pen(dict):
    """Sets labels at one size: token -> its pieces, and in `missing` the characters that no font has.

    A token is a letter, a space, an emoji or some words of joined letters. A piece is its coverage, (height, width) uint8, or,
    from a font with colours, its picture, (height, width, 4) uint8 RGBA.
    """

    def __init__(self, font: str | Path | None, size: int | None, scale: float):
        self.font, self.missing = font and str(font), set()
        self.size = _integer("font_size", size, max(12, round(5.6 * scale)))
        self.height = round(1.4 * self.size)
        if self.font and not (_ranges(self.font)[0] and _open(self.font, self.size)):
            raise ValueError(f"font: expected a TrueType or OpenType file that can be read, got {self.font!r}")

    def __missing__(self, token: str) -> list[np.ndarray]:
        path, visible = _font_for(token, self.font), _visible(token)
        piece = None if path is None else _piece(token, path, self.size, self.height)
        if piece is not None and (piece.any() or not visible):  # some colour fonts draw nothing
            self[token] = [piece]
        else:
            self.missing.update(visible if len(visible) == 1 else ())
            self[token] = [piece for char in (ascii(visible)[1:-1] if len(visible) == 1 else visible) for piece in self[char]]
        return self[token]

    def chip(self, label: str, color: RGB, max_size: tuple[int, int]) -> Image.Image:
        """The label on its colour; one that is wider than max_size ends in an ellipsis."""
        text = unicodedata.normalize("NFC", " ".join(label[:500].split()))
        tokens = text if text.isascii() else _TOKENS.findall(text)
        if re.search("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]", text) and _font_for(text, self.font):
            tokens = [text]  # written to the left; Raqm brings both directions in order
        margin = np.zeros((self.height, round(0.3 * self.size)), np.uint8)
        pieces = [margin, *[piece for token in tokens for piece in self[token]], margin]
        ends = np.cumsum([piece.shape[1] for piece in pieces]).tolist()
        if ends[-1] > max_size[0] and text not in ("", "\u2026"):
            kept = max(0, len(text) * max_size[0] // ends[-1] - 1)
            return self.chip(text.rstrip("\u2026")[:kept] + "\u2026", color, max_size)
        coverage = np.concatenate([piece if piece.ndim == 2 else piece[..., 3] * 0 for piece in pieces], axis=1)
        shades = _shades(color).take(coverage[:max_size[1], :max_size[0]], mode="clip")  # (height, width)
        chip = Image.frombytes("RGB", shades.shape[::-1], shades.tobytes(), "raw", "RGBX")
        for picture, end in [(Image.fromarray(piece), end) for piece, end in zip(pieces, ends) if piece.ndim == 3]:
            chip.paste(picture, (end - picture.width, 0), picture)
        return chip


def _visible(text: str) -> str:
    """What needs a glyph: not spaces, joiners, direction marks and variation selectors."""
    return "".join(c for c in text if c != " " and unicodedata.category(c) != "Cf" and not "\ufe00" <= c <= "\ufe0f")


@lru_cache(maxsize=256)
def _shades(color: RGB) -> np.ndarray:
    """Coverage 0..255 -> the colour blended with its ink: (256,) uint32, the bytes R, G, B, 0."""
    weight = np.linspace(0, 1, 256)
    rgb = np.rint(np.outer(1 - weight, color) + np.outer(weight, _ink(color)))
    return (rgb @ (1, 2 ** 8, 2 ** 16)).astype("<u4")


@lru_cache(maxsize=8192)
def _piece(text: str, path: str, size: int, height: int) -> np.ndarray:
    """Renders a text in one font on the common baseline; what is too tall, as bitmap emoji are, is reduced to fit."""
    font, baseline, colored = _open(path, size), round(1.06 * size), bool(_EMOJI_FONT.search(path))
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    width = max(1, max(right, round(font.getlength(text))) - min(left, 0))
    fits = -top <= baseline and bottom <= height - baseline
    tile = Image.new("RGBA" if colored else "L", (width, height if fits else bottom - top))
    ImageDraw.Draw(tile).text((-min(left, 0), baseline if fits else -top), text, "black" if colored else 255, font,
                              anchor="ls", embedded_color=colored)
    if not fits:
        tile = tile.resize((max(1, round(width * height / (bottom - top))), height), Image.Resampling.LANCZOS)
    return np.asarray(tile)


@lru_cache(maxsize=None)
def _font_files() -> tuple[str, ...]:
    """The font files of the system, and of matplotlib if it is installed, the most suitable first."""
    folders = ["~/.fonts", "~/.local/share/fonts", "/usr/share/fonts", "/usr/local/share/fonts",  # Linux
               "~/Library/Fonts", "/Library/Fonts", "/System/Library/Fonts",  # macOS
               os.environ.get("WINDIR", "C:/Windows") + "/Fonts", "~/AppData/Local/Microsoft/Windows/Fonts"]
    matplotlib = importlib.util.find_spec("matplotlib")  # looks for it, does not import it
    folders += [f"{path}/mpl-data/fonts/ttf" for path in (matplotlib and matplotlib.submodule_search_locations or ())]
    found = {path for folder in folders for path in Path(os.path.expanduser(folder)).rglob("*.[tToO][tT][fFcC]")}
    return tuple(map(str, sorted(found, key=lambda path: (
        bool(_STYLED_FONT.search(path.stem)), not _GOOD_FONT.match(path.stem), len(path.stem), str(path)))))


@lru_cache(maxsize=8192)
def _font_for(text: str, font: str | None) -> str | None:
    """The first font file with all glyphs of a text, "" for Pillow's own font, None where there is none."""
    files = _font_files()
    if text[0] >= "\U0001f000" or "\ufe0f" in text:
        files = sorted(files, key=lambda path: not _EMOJI_FONT.search(path))
    codes = [ord(char) for char in _visible(text)]
    for path in (*filter(None, [font]), *files, ""):
        starts, ends = _ranges(path)
        places = [bisect.bisect_right(starts, code) - 1 for code in codes]
        if all(i >= 0 and code <= ends[i] for i, code in zip(places, codes)) and _open(path, 16):
            return path
    return None


@lru_cache(maxsize=64)
def _open(path: str, size: int) -> ImageFont.FreeTypeFont | None:
    face = 2 if re.search("CJK.*ttc$", path) else 0  # of Noto's faces, the one with the shapes of simplified Chinese
    for pixels in (size, 109, 160, 136, 128, 96, 64):  # fonts of bitmaps exist in a few sizes
        with suppress(OSError):
            return ImageFont.truetype(path, pixels, face) if path else ImageFont.load_default(size)
    return None


@lru_cache(maxsize=4096)
def _ranges(path: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First and last code points of the ranges in a font file's `cmap`, formats 12 and 4; none if it cannot be read."""
    if not path:
        return (0x20,), (0x7e,)
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read_cmap(lambda offset, layout: struct.unpack_from(">" + layout, data, offset))
    except (OSError, ValueError, KeyError, struct.error):
        return (), ()


def _read_cmap(read: Callable[[int, str], tuple]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    start = read(12, "I")[0] if read(0, "4s")[0] == b"ttcf" else 0  # the first font of a collection
    cmap = dict(read(start + 12 + 16 * i, "4s4xI") for i in range(read(start + 4, "H")[0]))[b"cmap"]
    offsets = [cmap + read(cmap + 8 + 8 * i, "I")[0] for i in range(read(cmap + 2, "H")[0])]
    formats = {read(offset, "H")[0]: offset for offset in offsets}
    if 12 in formats:
        groups = read(formats[12] + 16, f"{3 * read(formats[12] + 12, 'I')[0]}I")
        return groups[::3], groups[1::3]
    count = read(formats[4] + 6, "H")[0] // 2
    return read(formats[4] + 16 + 2 * count, f"{count}H"), read(formats[4] + 14, f"{count}H")
