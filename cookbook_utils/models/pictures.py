"""Pictures on their way to a server: the file's own bytes where they may go, a new encoding within its limits where not.

A picture goes byte for byte when it is upright, opaque, a single frame, in 8 bits, in a format that the service takes,
and small enough. Else it is written anew as `load_image` shows it: a JPEG as JPEG, everything else as PNG, which loses
nothing. A picture that is too large even so is first reduced to what the model looks at anyway (its pixel budget), and
refused when that is not enough; nothing is degraded beyond that in silence.

Sources: RFC 2397 (data URLs); transformers, `smart_resize`, for the sizes.
"""

import base64
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..coordinates import image_tokens
from .cache import open_cache
from .media import decode_image, load_image, open_source, short

# The published budget of Qwen3-VL's image processor, in pixels after resizing.
MIN_PIXELS, MAX_PIXELS = 65_536, 16_777_216
_JPEG_QUALITIES = (95, 90, 85)  # below, small text begins to suffer
_PLAIN_MODES = ("RGB", "L", "P", "1")
_ORIENTATION = 0x0112  # EXIF


@dataclass(frozen=True)
class Limits:
    """What a service takes as one picture: formats as Pillow names them, characters of base64, pixels of the shorter side."""

    formats: tuple[str, ...] = ("PNG", "JPEG", "WEBP")
    encoded: int | None = None
    shortest_side: int = 1


@dataclass(frozen=True, eq=False)
class Picture:
    """A checked picture that is still as it came: a file's bytes, or pixels when it came as a PIL image.

    size: upright, in pixels; format: as Pillow names it; plain: the bytes show what `load_image` shows; where, name:
    how errors call it.
    """

    size: tuple[int, int]
    format: str
    where: str
    name: str
    data: bytes = b""
    plain: bool = False
    pixels: Image.Image | None = None

    def image(self) -> Image.Image:
        """The picture upright and in RGB."""
        return decode_image(io.BytesIO(self.data), self.name, self.where) if self.pixels is None else self.pixels

    def fingerprint(self) -> str:
        """A digest of the file's bytes, or of size and pixels."""
        content = [self.data] if self.pixels is None else [repr(self.pixels.size).encode(), self.pixels.tobytes()]
        return hashlib.sha256(b"".join(content)).hexdigest()


def load_picture(source, where: str = "image") -> Picture:
    """Take a picture in without changing its bytes; sources and errors as in `load_image`.

    >>> load_picture(Image.new("RGB", (40, 30))).size
    (40, 30)
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, Image.Image):
        pixels = load_image(source, where)
        return Picture(pixels.size, source.format or "PNG", where, "the picture", pixels=pixels)
    data = _bytes_of(source, where)
    size = decode_image(io.BytesIO(data), short(source), where).size
    with Image.open(io.BytesIO(data)) as raw:
        return Picture(size, _format(raw), where, short(source), data=data, plain=_is_plain(raw))


def _bytes_of(source, where: str) -> bytes:
    def read():
        content = open_source(source, where, "a PIL image")
        return Path(content).read_bytes() if isinstance(content, str) else content.getvalue()

    fetches = isinstance(source, str) and source.lower().startswith(("http://", "https://"))
    cache = open_cache() if fetches else None
    return cache.fetched(source, read) if cache else read()


def _format(raw: Image.Image) -> str:
    return "JPEG" if raw.format == "MPO" else raw.format  # a camera's JPEG with previews behind it


def _is_plain(raw: Image.Image) -> bool:
    """Whether every decoder shows these bytes as `load_image` does."""
    upright = raw.getexif().get(_ORIENTATION, 1) == 1
    single = getattr(raw, "n_frames", 1) == 1 or raw.format == "MPO"
    return upright and single and raw.mode in _PLAIN_MODES and not raw.has_transparency_data


def data_url(data: bytes, mime: str) -> str:
    """Write bytes as a data URL.

    >>> data_url(b"abc", "image/png")
    'data:image/png;base64,YWJj'
    """
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def picture_url(picture: Picture, limits: Limits, service: str, *, size=None, max_pixels: int | None = None) -> str:
    """Give a picture as a data URL that the service takes.

    size: resize it to this; max_pixels: the budget within which the model will look at it.
    Raises ValueError that names the picture, its size, the limit and what to do.
    """
    size = size or picture.size
    if min(size) < limits.shortest_side:
        raise ValueError(
            f"{picture.where}: {size[0]} x {size[1]} pixels; {service} takes pictures from {limits.shortest_side} pixels "
            "a side; enlarge it or pad it"
        )
    if picture.plain and size == picture.size and picture.format in limits.formats and _fits(picture.data, limits):
        return data_url(picture.data, Image.MIME[picture.format])
    kind = "JPEG" if picture.format in ("JPEG", "MPO") else "PNG"
    seen = image_tokens(size, max_pixels=max_pixels or MAX_PIXELS, min_pixels=min(MIN_PIXELS, max_pixels or MAX_PIXELS))[0]
    smaller = (min(size[0], seen[0]), min(size[1], seen[1]))
    for data in _encodings(picture.image(), dict.fromkeys([size, smaller]), kind):
        if _fits(data, limits):
            return data_url(data, Image.MIME[kind])
    raise ValueError(_too_large(picture, smaller, kind, len(data), limits, service))


def _encodings(image: Image.Image, sizes: Iterable[tuple[int, int]], kind: str) -> Iterable[bytes]:
    for size in sizes:
        resized = image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)
        for quality in _JPEG_QUALITIES if kind == "JPEG" else (None,):
            options = {"quality": quality, "subsampling": 0} if quality else {}
            resized.save(file := io.BytesIO(), kind, **options)
            yield file.getvalue()


def _fits(data: bytes, limits: Limits) -> bool:
    return limits.encoded is None or _base64_length(len(data)) <= limits.encoded


def _base64_length(length: int) -> int:
    return (length + 2) // 3 * 4


def _too_large(picture: Picture, size, kind, length, limits, service) -> str:
    needed, megabyte = _base64_length(length), 2**20
    enough = int(size[0] * size[1] * limits.encoded / needed * 0.8) // 1024 * 1024
    other = ", or save it as JPEG" if kind == "PNG" else ""
    return (
        f"{picture.where}: {picture.name} takes {needed / megabyte:.1f} MB as {kind} of {size[0]} x {size[1]} pixels in base64, "
        f"{service} takes {limits.encoded / megabyte:.1f} MB; give max_pixels={max(enough, 1024)}{other}, or cut out what matters"
    )


def fitted_size(size: tuple[int, int], min_pixels: int | None, max_pixels: int | None) -> tuple[int, int]:
    """The size to which Qwen3-VL's processor would resize a picture within this budget, as for a model on this machine.

    >>> fitted_size((1000, 500), None, 100_000)
    (416, 192)
    """
    most = max_pixels or max(MAX_PIXELS, min_pixels or 0)
    return image_tokens(size, min(min_pixels or MIN_PIXELS, most), most)[0]


def jpeg(image: Image.Image) -> bytes:
    """A frame as JPEG, with its colours at full resolution."""
    image.save(file := io.BytesIO(), "JPEG", quality=_JPEG_QUALITIES[0], subsampling=0)
    return file.getvalue()
