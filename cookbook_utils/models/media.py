"""Pictures and videos of a message, from wherever they are: path, URL, data URL, or already in memory.

A picture comes out upright (its EXIF orientation applied, and the mark removed, so that nobody applies it twice), in
RGB, just as `draw_boxes` shows it. A video comes out as frames with their times in seconds.

Video files are decoded by PyAV, which brings its own FFmpeg and is imported when the first one is read. Frames are
sampled as Qwen3-VL's video processor does: 2 a second, 4 to 768 in all, evenly from the first to the last.
"""

import base64
import binascii
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from urllib.error import URLError
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import Request, url2pathname, urlopen

import numpy as np
from PIL import Image, ImageOps

FPS = 2.0
MIN_FRAMES, MAX_FRAMES = 4, 768
FETCH_TIMEOUT_S = 30
_LARGEST_RATIO = 200  # of the sides of a picture, in the Qwen3-VL image processor


@dataclass(frozen=True)
class Clip:
    """A sampled video: RGB frames of one size, and the time of each in seconds from the start."""

    frames: list[Image.Image]
    times_s: list[float]


def load_image(source, where: str = "image") -> Image.Image:
    """Load a picture, upright and in RGB; transparent parts become white, deep grey is brought to 8 bits.

    source: path, `file:`, `http(s):` or `data:` URL, or PIL image (which is not changed).
    Raises TypeError for another kind of source, ValueError for what is no picture or longer than 200 times its width,
    FileNotFoundError, OSError when it cannot be fetched; each names `where`.

    >>> load_image(Image.new("RGBA", (40, 30))).getpixel((0, 0))
    (255, 255, 255)
    """
    if isinstance(source, Image.Image):
        return _proportioned(_upright_rgb(source), where)
    return decode_image(open_source(source, where, "a PIL image"), short(source), where)


def decode_image(content, name: str, where: str = "image") -> Image.Image:
    """Decode what `open_source` gave, as `load_image` does; name: how the picture is called in errors."""
    try:
        with Image.open(content) as image:
            return _proportioned(_upright_rgb(image), where)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{where}: {name} cannot be read as a picture ({error})") from error


def _proportioned(image: Image.Image, where: str) -> Image.Image:
    if not min(image.size) or max(image.size) > _LARGEST_RATIO * min(image.size):
        raise ValueError(
            f"{where}: a picture of {image.width} x {image.height} pixels; expected sides of 1 pixel or more and "
            f"in a ratio of at most {_LARGEST_RATIO}; crop or pad it"
        )
    return image


def _upright_rgb(image: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(image)  # always a copy
    if upright.mode[0] in "IF":
        return _eight_bit(upright)
    if upright.has_transparency_data:
        white = Image.new("RGBA", upright.size, "white")
        return Image.alpha_composite(white, upright.convert("RGBA")).convert("RGB")
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits: the brightest pixel tells the depth. Floats up to 1 are shares of white."""
    levels = np.nan_to_num(np.asarray(image), posinf=0, neginf=0)
    top = levels.max(initial=0)
    gain = 255 if top <= 1 and image.mode == "F" else 2.0 ** (8 - max(8, int(top).bit_length()))
    return Image.fromarray((levels * gain).clip(0, 255).astype(np.uint8)).convert("RGB")


def load_video(source, *, fps: float | None = None, num_frames: int | None = None, where: str = "video") -> Clip:
    """Load a video as frames with times.

    source: path or URL of a file, or a list of pictures (each as in `load_image`).
    fps: of a file, how many frames a second are wanted (default 2); of a list, the rate at which its pictures follow
    each other (default 2: one each half second). num_frames: of a file, how many frames instead.
    Raises as `load_image`, and ImportError when a file is given and PyAV is missing.

    >>> load_video([Image.new("RGB", (64, 64))] * 3, fps=4).times_s
    [0.0, 0.25, 0.5]
    """
    check_rate(fps, num_frames, where)
    if isinstance(source, Sequence) and not isinstance(source, (str, bytes)):
        return _from_pictures(source, fps or FPS, num_frames, where)
    return _from_file(open_source(source, where, "a list of pictures"), fps or FPS, num_frames, short(source), where)


def check_rate(fps, num_frames, where: str = "video") -> None:
    """Raise ValueError unless fps and num_frames are None or in their ranges, and at most one is given."""
    if fps is not None and not (isinstance(fps, (int, float)) and 0 < fps < float("inf")):
        raise ValueError(f"{where}: fps must be a positive number of frames a second, got {fps!r}")
    if num_frames is not None and not (isinstance(num_frames, int) and 0 < num_frames <= MAX_FRAMES):
        raise ValueError(f"{where}: num_frames must be a whole number from 1 to {MAX_FRAMES}, got {num_frames!r}")
    if fps is not None and num_frames is not None:
        raise ValueError(f"{where}: either fps or num_frames, got both ({fps!r} and {num_frames!r})")


def _from_pictures(pictures, fps, num_frames, where):
    if num_frames is not None:
        raise ValueError(f"{where}: num_frames is for files, got a list of {len(pictures)} pictures; give a shorter list")
    if not 0 < len(pictures) <= MAX_FRAMES:
        raise ValueError(f"{where}: expected 1 to {MAX_FRAMES} pictures, got {len(pictures)}")
    frames = [load_image(picture, f"{where}[{index}]") for index, picture in enumerate(pictures)]
    sizes = sorted({frame.size for frame in frames})
    if len(sizes) > 1:
        raise ValueError(f"{where}: expected pictures of one size, got {', '.join(f'{w} x {h}' for w, h in sizes[:4])}")
    return _clip(frames, [index / fps for index in range(len(frames))])


def _clip(frames, times_s):
    """A clip of two frames or more: the model merges frames by twos, and its processor refuses a single one."""
    return Clip(frames * 2, times_s * 2) if len(frames) == 1 else Clip(frames, times_s)


class Media:
    """How pictures and videos of a message are taken in: loaded, for a model on this machine.

    A backend whose pictures need not be decoded brings a class of its own with these two functions.
    """

    image = staticmethod(load_image)
    video = staticmethod(load_video)


def frame_indices(total: int, rate: float, fps: float, num_frames: int | None = None) -> list[int]:
    """Choose the frames of a file: evenly from the first to the last, as Qwen3-VL's video processor does.

    total: frames in the file; rate: frames a second in the file; fps: frames a second wanted.

    >>> frame_indices(100, 25, fps=2)
    [0, 14, 28, 42, 57, 71, 85, 99]
    """
    wanted = num_frames or max(int(total / rate * fps), MIN_FRAMES)
    return np.linspace(0, total - 1, min(wanted, MAX_FRAMES, total)).round().astype(int).tolist()


def _from_file(content, fps, num_frames, name, where):
    av = _pyav(where)
    try:
        with av.open(content) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or stream.guessed_rate or 25)
            total = sum(packet.size > 0 for packet in container.demux(stream))
            wanted = set(frame_indices(total, rate, fps, num_frames)) if total else set()
            container.seek(0)
            kept = [(frame, index) for index, frame in enumerate(container.decode(stream)) if index in wanted]
            start = float(stream.start_time * stream.time_base) if stream.start_time else 0.0
            frames = [_frame(frame) for frame, _ in kept]
            times_s = [index / rate if frame.time is None else frame.time - start for frame, index in kept]
    except (OSError, ValueError, IndexError) as error:  # PyAV's own errors are OSErrors or ValueErrors
        raise ValueError(f"{where}: {name} cannot be read as a video ({error})") from error
    if not frames:
        raise ValueError(f"{where}: {name} has no frames")
    return _clip(frames, times_s)


def _frame(frame):
    """A decoded frame as a picture, turned as the file's display matrix says (phones film upright that way)."""
    turn = getattr(frame, "rotation", 0)
    return frame.to_image().rotate(turn, expand=True) if turn else frame.to_image()


def _pyav(where):
    try:
        return import_module("av")
    except ImportError as error:
        raise ImportError(f"{where}: reading a video file needs PyAV (pip install av); or pass a list of pictures") from error


def open_source(source, where: str, other: str) -> str | io.BytesIO:
    """Give the path of a file as text, or the bytes behind a URL, as Pillow and PyAV open them.

    other: what may stand there instead of a path or a URL, in words. Raises as `load_image`.
    """
    if not isinstance(source, (str, Path)):
        raise TypeError(f"{where}: expected a path, a URL, a data URL or {other}, got {type(source).__name__}")
    text = str(source)
    scheme = text.partition(":")[0].lower() if isinstance(source, str) else ""
    if scheme == "data":
        return io.BytesIO(_data_of(text, where))
    if scheme in ("http", "https"):
        return io.BytesIO(_fetch(text, where))
    path = Path(url2pathname(urlsplit(text).path) if scheme == "file" else text).expanduser()
    try:
        found = path.is_file()
    except OSError:  # far too long for a path
        found = False
    if not found:
        raise FileNotFoundError(f"{where}: no such file: {short(source)}")
    return str(path)


def _data_of(url, where):
    head, _, body = url.partition(",")
    try:
        return base64.b64decode(unquote_to_bytes(body), validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
    except binascii.Error as error:
        raise ValueError(f"{where}: a data URL whose base64 is damaged ({error}): {short(url)}") from error


def _fetch(url, where):
    request = Request(url, headers={"User-Agent": "Mozilla/5.0 (cookbook_utils)"})  # some servers refuse Python's own
    try:
        with urlopen(request, timeout=FETCH_TIMEOUT_S) as answer:
            return answer.read()
    except (URLError, OSError, ValueError) as error:
        raise OSError(f"{where}: {short(url)} cannot be fetched ({error})") from error


def short(source) -> str:
    """Name a source in an error: long paths and data URLs with their middle left out."""
    text = str(source)
    return repr(text if len(text) <= 120 else f"{text[:60]}...{text[-20:]}")
