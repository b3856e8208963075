"""Videos: frames with their times out of a file, a clip into a file, what a clip costs in visual tokens.

Conventions
    size        `(width, height)` in pixels of the upright frame: a file's rotation mark (phones film that way) is applied
    times       seconds from the first frame, read from the file's time stamps (pts), never from index / fps: in a file of
                variable frame rate the two differ
    sampling    as Qwen3-VL's video processor: 2 a second, 4 to 768 in all, evenly from the first frame to the last; evenly
                in time where the frame rate varies. The model merges frames by twos and repeats the last of an odd number

Needs NumPy and Pillow; PyAV, which carries its own FFmpeg, is imported when a file is read or written. Can be copied alone.

Sources
    transformers, `Qwen3VLVideoProcessor` (sampling, `smart_resize`, the cap of a frame) and `Qwen3VLProcessor` (times as text);
    Qwen3-VL's `video_preprocessor_config.json` (budgets); ISO/IEC 14496-12 (rotation matrix, time stamps).
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from numbers import Integral, Real
from pathlib import Path
from reprlib import repr as brief

import numpy as np
from PIL import Image, ImageOps

__all__ = ["Frames", "VideoInfo", "crop_clip", "format_timestamp", "interleave", "probe", "sample_frames", "video_tokens",
           "write_video"]  # fmt: skip

MIN_PIXELS, MAX_PIXELS = 4096, 25_165_824  # of all frames of a video together, in Qwen3-VL's checkpoints
_LARGEST_RATIO = 200  # of the sides of a frame, in transformers' smart_resize
_CODECS = {".mp4": ("libx264", "libopenh264", "mpeg4"), ".webm": ("libvpx-vp9", "libvpx")}
_CODECS |= dict.fromkeys((".mov", ".mkv"), _CODECS[".mp4"])


@dataclass(frozen=True)
class VideoInfo:
    """What a file holds. `size` is upright; `fps` the average; `variable_fps`: the frames' distance in time varies;
    `rotation`: degrees counter-clockwise by which stored frames are turned; `truncated`: the file ends before its index."""

    size: tuple[int, int]
    duration_s: float
    fps: float
    frame_count: int
    variable_fps: bool
    rotation: int
    codec: str
    truncated: bool


class Frames(list):
    """Upright RGB pictures of one size, with `timestamps` in seconds, one a frame.

    `fps`: of the source (its average); `indices`: of the frames in the source; `total`: frames in the source; `variable_fps`.
    """

    def __init__(self, frames=(), timestamps=(), *, fps=None, indices=(), total=None, variable_fps=False):
        super().__init__(frames)
        self.timestamps, self.indices = [float(t) for t in timestamps], [int(i) for i in indices]
        self.fps, self.total, self.variable_fps = fps, total, variable_fps

    @property
    def sampled_fps(self):
        """Frames a second of this list itself: what a message's `fps` wants; None for fewer than two frames."""
        span = self.timestamps[-1] - self.timestamps[0] if self else 0
        return (len(self) - 1) / span if span > 0 else None

    def metadata(self):
        """The times as transformers takes them: `processor(videos=[list(frames)], video_metadata=[frames.metadata()],
        do_sample_frames=False)`. Times that are not index / fps are given as frames of a video of 1000 frames a second."""
        if self.fps and not self.variable_fps and len(self.indices) == len(self):
            return {"total_num_frames": self.total, "fps": self.fps, "frames_indices": list(self.indices)}
        indices = [round(time_s * 1000) for time_s in self.timestamps]
        return {"total_num_frames": max(indices, default=-1) + 1, "fps": 1000.0, "frames_indices": indices}

    def _pick(self, keep, change=lambda frame: frame):
        indices = [self.indices[i] for i in keep] if len(self.indices) == len(self) else ()
        frames, times = [change(self[i]) for i in keep], [self.timestamps[i] for i in keep]
        return Frames(frames, times, fps=self.fps, indices=indices, total=self.total, variable_fps=self.variable_fps)


def probe(path):
    """Look into a video file, decoding its first frame only: VideoInfo.

    Raises FileNotFoundError; ValueError for a file that is no video, has no video stream or no frames; ImportError without PyAV.
    """
    return _opened(path, lambda container, stream: _survey(container, stream, path)[0])


def sample_frames(video, *, fps=2.0, num_frames=None, min_frames=4, max_frames=768, start_s=None, end_s=None, source_fps=None):
    """Sample a video as Qwen3-VL's video processor does: Frames, upright, with their times.

    video: a path, or a list of pictures (PIL, or (H, W, 3) uint8 arrays) that follow each other at `source_fps`.
    fps: frames a second that are wanted, min_frames to max_frames in all; num_frames: so many instead. Never more than
    there are. start_s, end_s: only the frames between, both included.
    Raises FileNotFoundError; ValueError for a bad option, a file that is no video, is cut off before what is asked for or has
    no frame there, for an empty list, pictures of several sizes; TypeError for another kind of video. ImportError without PyAV.
    Source: transformers, `Qwen3VLVideoProcessor.sample_frames`.

    >>> clip = [Image.new("RGB", (64, 48))] * 100
    >>> sample_frames(clip, source_fps=25).indices
    [0, 14, 28, 42, 57, 71, 85, 99]
    """
    options = _sampling(fps, num_frames, min_frames, max_frames), _window(start_s, end_s)
    if isinstance(video, (str, Path)):
        if source_fps is not None:
            raise ValueError(f"source_fps is for a list of pictures, a file tells its own; got {source_fps!r}")
        return _opened(video, lambda container, stream: _sample_file(container, stream, video, *options))
    if not isinstance(video, Sequence) or isinstance(video, bytes):
        raise TypeError(f"video must be a path or a list of pictures, got {type(video).__name__}")
    return _sample_list(video, source_fps, *options)


def write_video(path, frames, fps=None, *, timestamps=None):
    """Write pictures as a video file: H.264, or MPEG-4 where PyAV has no H.264; VP9 in a `.webm`. Returns the path.

    frames: pictures (PIL, or (H, W, 3) uint8 arrays) of one size; an odd side is made even by repeating its last line.
    fps: frames a second; or timestamps: seconds, rising, one a frame (kept to the millisecond), for a variable rate.
    Raises ValueError for another ending than .mp4, .mov, .mkv, .webm, no frames, several sizes, a bad rate or times.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     probe(write_video(f"{folder}/a.mp4", [Image.new("RGB", (64, 48))] * 5, fps=10)).duration_s
    0.5
    """
    pictures, path = _pictures(frames, "frames"), Path(path)
    if path.suffix.lower() not in _CODECS:
        raise ValueError(f"path must end in {', '.join(_CODECS)}; got {str(path)!r}")
    ticks, base = _ticks(len(pictures), fps, timestamps)
    av = _pyav()
    with av.open(str(path), "w", options={"movflags": "+faststart"} if path.suffix.lower() in (".mp4", ".mov") else {}) as out:
        stream = _encoder(av, out, path, pictures[0].size, base, fps or 25)
        for picture, tick in zip(pictures, ticks, strict=True):
            odd = [(0, side % 2) for side in picture.size[::-1]]
            frame = av.VideoFrame.from_ndarray(np.pad(np.asarray(picture), [*odd, (0, 0)], mode="edge"), format="rgb24")
            frame.pts, frame.time_base = tick, base
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def video_tokens(
    size, num_frames, *, min_pixels=MIN_PIXELS, total_pixels=MAX_PIXELS, max_frame_tokens=768,
    patch_size=16, merge_size=2, temporal_patch_size=2,
):  # fmt: skip
    """Predict the size to which Qwen3-VL resizes the frames of a clip and the visual tokens that the clip costs.

    size: `(width, height)` of its frames; num_frames: after sampling, 2 or more; min_pixels, total_pixels: the budget of all
    its resized frames together; max_frame_tokens: the cap of one frame that Qwen's own code and `cap_pixels_per_frame=True`
    have, None for none. Returns `((width, height), tokens)`; the times between the frames are text and cost a few more each.
    Raises ValueError for fewer frames, a side ratio over 200 (the processor refuses it too) or another bad argument.
    Source: transformers, models/qwen3_vl/video_processing_qwen3_vl.py.

    >>> video_tokens((1280, 720), 16)
    ((1152, 640), 5760)
    >>> video_tokens((1280, 720), 16, total_pixels=2_000_000)
    ((448, 256), 896)
    """
    _whole(num_frames=num_frames, patch_size=patch_size, merge_size=merge_size, temporal_patch_size=temporal_patch_size)
    _check(num_frames >= temporal_patch_size, "num_frames", f"{temporal_patch_size} or more, which are merged", num_frames)
    _whole(min_pixels=min_pixels, total_pixels=total_pixels)
    _check(min_pixels <= total_pixels, "min_pixels", f"at most total_pixels, {total_pixels}", min_pixels)
    side = patch_size * merge_size
    if max_frame_tokens is not None:
        _whole(max_frame_tokens=max_frame_tokens)
        frame = max(min(max_frame_tokens * side**2, total_pixels // num_frames), int(min_pixels * 1.05))
        total_pixels = frame * num_frames
    good = isinstance(size, Sequence) and len(size) == 2 and all(isinstance(s, Integral) and s > 0 for s in size)
    _check(good, "size", "(width, height) in whole pixels", size)
    width, height = _resized(size, num_frames, min_pixels, total_pixels, side, temporal_patch_size)
    return (width, height), math.ceil(num_frames / temporal_patch_size) * (width // side) * (height // side)


def format_timestamp(seconds, style="seconds"):
    """Write a time: style "seconds" as Qwen3-VL's processor does, "mm:ss" as its replies do (with hours from one hour on).

    Raises ValueError for a time that is negative or not finite, or another style.

    >>> format_timestamp(83.25), format_timestamp(83.25, "mm:ss"), format_timestamp(3600, "mm:ss")
    ('83.2 seconds', '01:23.25', '01:00:00.00')
    """
    _check(isinstance(seconds, Real) and 0 <= seconds < math.inf, "seconds", "0 or more and finite", seconds)
    if style == "seconds":
        return f"{seconds:.1f} seconds"
    _check(style == "mm:ss", "style", '"seconds" or "mm:ss"', style)
    minutes, hundredths = divmod(round(seconds * 100), 6000)  # rounded first: 59.999 is 01:00.00
    hours, minutes = divmod(minutes, 60)
    return (f"{hours:02}:" if hours else "") + f"{minutes:02}:{hundredths // 100:02}.{hundredths % 100:02}"


def crop_clip(frames, *, start_s=None, end_s=None, box=None):
    """Cut a clip in time (both ends included), in space, or in both: new Frames; the times stay those of the source.

    frames: Frames; box: `[x1, y1, x2, y2]` pixels, rounded, and clipped to the frame.
    Raises ValueError if nothing is left, or for a bad option; TypeError for frames without times.

    >>> clip = sample_frames([Image.new("RGB", (64, 48))] * 10, source_fps=10, num_frames=5)
    >>> cut = crop_clip(clip, start_s=0.2, end_s=0.7, box=[10, 0, 30.4, 99])
    >>> cut.timestamps, cut[0].size
    ([0.2, 0.4, 0.7], (20, 48))
    """
    if not isinstance(frames, Frames):
        raise TypeError(f"frames must be Frames as sample_frames gives them, got {type(frames).__name__}")
    (low, high), times = _window(start_s, end_s), frames.timestamps or [math.nan]
    keep = [index for index, time_s in enumerate(times) if low <= time_s <= high]
    _check(keep, "start_s and end_s", f"a time with frames, {times[0]:.2f} to {times[-1]:.2f} s", (start_s, end_s))
    if box is None:
        return frames._pick(keep)
    rectangle = _rectangle(box, frames[0].size)
    return frames._pick(keep, lambda frame: frame.crop(rectangle))


def interleave(frames, timestamps=None, *, style="seconds"):
    """Turn frames into the parts of a message, each picture after its time: for models and servers that take no video.

    frames: Frames, or pictures with timestamps in seconds, one a frame; style as in `format_timestamp`.
    Returns `[{"type": "text", "text": "<0.0 seconds>"}, {"type": "image", "image": picture}, ...]`.
    Raises ValueError without times, or when their number is another than that of the frames.

    >>> interleave(["a.png", "b.png"], [0, 65], style="mm:ss")[2:]
    [{'type': 'text', 'text': '<01:05.00>'}, {'type': 'image', 'image': 'b.png'}]
    """
    times = getattr(frames, "timestamps", None) if timestamps is None else timestamps
    _check(times is not None, "timestamps", "seconds, one a frame, when frames are a plain list", None)
    _check(len(times) == len(frames), "timestamps", f"as many as there are frames, {len(frames)}", len(times))
    pairs = [(f"<{format_timestamp(time_s, style)}>", frame) for time_s, frame in zip(times, frames, strict=True)]
    return [part for time, frame in pairs for part in ({"type": "text", "text": time}, {"type": "image", "image": frame})]


def _pyav():
    try:
        import av
    except ImportError as error:
        raise ImportError("reading and writing video files needs PyAV: pip install av") from error
    return av


def _opened(path, use):
    """What `use` makes of the open container and its video stream; PyAV's errors as one clear ValueError."""
    av = _pyav()
    if not Path(path).is_file():
        raise FileNotFoundError(f"no such video file: {str(path)!r}")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{str(path)!r} has no video stream, only: {', '.join(s.type for s in container.streams)}")
            return use(container, container.streams.video[0])
    except av.error.FFmpegError as error:
        raise ValueError(f"{str(path)!r} cannot be read as a video: damaged, cut off or something else ({error})") from error


def _survey(container, stream, path):
    """(VideoInfo, times in seconds, keys): frames in the order in which they are shown; keys are pts, or None without."""
    pts, truncated = _demux(container, stream)
    if not pts:
        raise ValueError(f"{str(path)!r} has a video stream without frames{', it is cut off' * truncated}")
    keys, rate = None if None in pts else sorted(set(pts)), float(stream.average_rate or stream.guessed_rate or 25)
    times = [float((key - keys[0]) * stream.time_base) for key in keys] if keys else [i / rate for i in range(len(pts))]
    gaps = np.diff(times) if len(times) > 1 else np.array([1 / rate])
    middle = float(np.median(gaps))
    variable = bool((np.abs(gaps - middle) > max(1.5 * float(stream.time_base), 0.1 * middle)).any())
    if variable or abs(rate * middle - 1) > 0.05:  # what the file says of itself is only kept where it is true
        rate = len(gaps) / float(gaps.sum()) if gaps.sum() > 0 else rate
    container.seek(0)
    if (first := next(container.decode(stream), None)) is None:
        raise ValueError(f"{str(path)!r} has a video stream without frames that can be decoded")
    duration_s, turn = times[-1] + (middle if variable else 1 / rate), getattr(first, "rotation", 0) % 360
    name = stream.codec_context.name
    return VideoInfo(_upright(first).size, duration_s, rate, len(times), variable, turn, name, truncated), times, keys


def _demux(container, stream):
    """Time stamps of the frames that the file holds, and whether its index promised more."""
    pts, hidden, end_s, av = [], 0, 0.0, _pyav()
    try:
        for packet in filter(lambda packet: packet.size, container.demux()):
            end_s = max(end_s, float((packet.pts or 0) * packet.time_base))
            if packet.stream == stream and getattr(packet, "is_discard", False):
                hidden += 1  # an edit list cuts it away
            elif packet.stream == stream:
                pts.append(packet.pts)
    except av.error.FFmpegError:
        return pts, True
    promised_s = (container.duration or 0) / av.time_base if "matroska" in container.format.name else 0
    promised = stream.frames if "mp4" in container.format.name else 0
    return pts, len(pts) + hidden < promised or promised_s - end_s > max(0.25, 0.05 * promised_s)


def _upright(frame):
    turn = getattr(frame, "rotation", 0)
    return frame.to_image().rotate(turn, expand=True) if turn else frame.to_image()


def _sample_file(container, stream, path, sampling, window):
    info, times, keys = _survey(container, stream, path)
    if info.truncated and window[1] > times[-1]:
        whole_s = times[max(0, len(times) - 17)]  # a frame may need as many as 16 that are stored behind it
        raise ValueError(f"{str(path)!r} is cut off after {times[-1]:.2f} s; to read what is there, pass end_s={whole_s:.2f}")
    indices = _choose(times, info.fps, info.variable_fps, sampling, window)
    decoded = _decode(container, stream, keys, indices)
    if None in decoded:  # an AVI's time stamps are guessed, and guessed anew after a seek: then the order has to do
        by_order = _decode(container, stream, None, indices, info.frame_count)
        decoded = decoded if None in by_order else by_order
    if lost := decoded.count(None):
        raise ValueError(f"{str(path)!r} is damaged: {lost} of the {len(decoded)} frames asked for cannot be decoded")
    chosen = [times[i] for i in indices]
    return Frames(decoded, chosen, fps=info.fps, indices=indices, total=info.frame_count, variable_fps=info.variable_fps)


def _decode(container, stream, keys, indices, total=None):
    """The upright pictures of the frames with these indices, None where one is lost; by order only if all `total` are there."""
    wanted, count = {(keys[i] if keys else i): None for i in indices}, 0
    container.seek(min(wanted) if keys else 0, stream=stream if keys else None)  # goes back to the key frame before
    with suppress(_pyav().error.FFmpegError):  # what is damaged behind the last frame asked for does no harm
        for count, frame in enumerate(container.decode(stream), 1):
            key = frame.pts if keys else count - 1
            if key in wanted:
                wanted[key] = _upright(frame)
            if total is None and key is not None and key >= max(wanted):
                break
    return list(wanted.values()) if total in (None, count) else [None] * len(wanted)


def _encoder(av, container, path, size, base, fps):
    name = next((name for name in _CODECS[path.suffix.lower()] if name in av.codecs_available), None)  # wheels differ
    if name is None:
        raise ValueError(f"PyAV has none of the encoders {', '.join(_CODECS[path.suffix.lower()])} that {path.name!r} needs")
    stream = container.add_stream(name, rate=Fraction(fps).limit_denominator(1001))
    stream.width, stream.height = (side + side % 2 for side in size)
    stream.pix_fmt, stream.codec_context.time_base = "yuv420p", base
    if name == "libx264":
        stream.options = {"crf": "18", "preset": "veryfast"}
    else:
        stream.bit_rate = int(stream.width * stream.height * float(fps) / 4) + 100_000
    return stream


def _sample_list(pictures, source_fps, sampling, window):
    _rate("source_fps", source_fps)  # not guessed: without it, transformers would take the pictures for 24 a second
    times = [index / source_fps for index in range(len(pictures))]
    _check(times, "video", "one picture or more", "an empty list")
    indices = _choose(times, source_fps, False, sampling, window)
    chosen = _pictures([pictures[i] for i in indices], "video")
    return Frames(chosen, [times[i] for i in indices], fps=float(source_fps), indices=indices, total=len(times))


def _choose(times, rate, variable, sampling, window):
    """Indices of the frames to take, rising: by number where the rate is even, by time where it varies."""
    fps, num_frames, least, most = sampling
    inside = [index for index, time_s in enumerate(times) if window[0] <= time_s <= window[1]]
    _check(inside, "start_s and end_s", f"a time with frames, {times[0]:.2f} to {times[-1]:.2f} s", window)
    if variable:
        span = times[inside[-1]] - times[inside[0]] + 1 / rate
        wanted = num_frames or min(max(int(span * fps), least), most)
        aims = np.linspace(times[inside[0]], times[inside[-1]], min(wanted, len(inside)))
        nearest = {inside[int(np.abs(np.array(times)[inside] - aim).argmin())] for aim in aims}
        others = [index for index in inside if index not in nearest]  # they fill up where several aims had one nearest
        missing = len(aims) - len(nearest) if num_frames else 0
        return sorted(nearest | {others[int(i)] for i in np.linspace(0, len(others) - 1, missing)})
    wanted = num_frames or min(max(int(len(inside) / rate * fps), least), most)
    return [inside[i] for i in np.linspace(0, len(inside) - 1, min(wanted, len(inside))).round().astype(int)]


def _pictures(frames, name):
    pictures = [_picture(frame, f"{name}[{index}]") for index, frame in enumerate(frames)]
    _check(pictures, name, "one picture or more", "none")
    sizes = sorted({picture.size for picture in pictures})
    _check(len(sizes) == 1, name, "pictures of one size", ", ".join(f"{w} x {h}" for w, h in sizes[:4]))
    return pictures


def _picture(frame, name):
    if isinstance(frame, Image.Image):
        return ImageOps.exif_transpose(frame).convert("RGB")
    if isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 and frame.size:
        return Image.fromarray(frame)
    shape = f" of shape {frame.shape}, {frame.dtype}" if isinstance(frame, np.ndarray) else ""
    raise TypeError(f"{name} must be a PIL picture or an (H, W, 3) uint8 array, got {type(frame).__name__}{shape}")


def _resized(size, frames, min_pixels, max_pixels, side, temporal):
    width, height = size
    if min(size) < side:
        scale = max(side / height, side / width)
        width, height = int(width * scale), int(height * scale)
    ratio = max(width, height) / min(width, height)
    _check(ratio <= _LARGEST_RATIO, "size", f"two sides in a ratio of at most {_LARGEST_RATIO}", size)
    volume, sides = frames * height * width, [round(length / side) * side for length in (width, height)]
    rounded = round(frames / temporal) * temporal * sides[0] * sides[1]
    if rounded > max_pixels:
        shrink = math.sqrt(volume / max_pixels)
        return [max(side, math.floor(length / shrink / side) * side) for length in (width, height)]
    if rounded < min_pixels:
        stretch = math.sqrt(min_pixels / volume)
        return [math.ceil(length * stretch / side) * side for length in (width, height)]
    return sides


def _sampling(fps, num_frames, min_frames, max_frames):
    _rate("fps", fps)
    _whole(min_frames=min_frames, max_frames=max_frames, num_frames=1 if num_frames is None else num_frames)
    _check(min_frames <= max_frames, "min_frames", f"at most max_frames, {max_frames}", min_frames)
    return fps, num_frames, min_frames, max_frames


def _window(start_s, end_s):
    for name, value in (("start_s", start_s), ("end_s", end_s)):
        _check(value is None or isinstance(value, Real) and value >= 0, name, "seconds, 0 or more, or None", value)
    low, high = 0.0 if start_s is None else start_s, math.inf if end_s is None else end_s
    _check(low <= high, "start_s", f"at most end_s, {end_s}", start_s)
    return low - 1e-6, high + 1e-6  # a time such as 0.1 + 0.2 belongs to its own end


def _ticks(count, fps, timestamps):
    """Whole-numbered times and the seconds that one of them is."""
    if timestamps is None:
        _rate("fps", fps)
        return range(count), 1 / Fraction(fps).limit_denominator(1001)
    ticks = [round(time_s * 1000) for time_s in timestamps]
    _check(len(ticks) == count, "timestamps", f"as many as there are frames, {count}", len(ticks))
    rising = ticks[0] >= 0 and all(a < b for a, b in pairwise(ticks))
    _check(rising, "timestamps", "0 or more and rising by a millisecond at least", list(timestamps)[:6])
    return ticks, Fraction(1, 1000)


def _rectangle(box, size):
    try:
        x1, y1, x2, y2 = (min(max(round(value), 0), size[i % 2]) for i, value in enumerate(box))
    except (TypeError, ValueError, OverflowError):  # not four, not numbers, not finite
        x1 = y1 = x2 = y2 = 0
    _check(x1 < x2 and y1 < y2, "box", f"[x1, y1, x2, y2] in pixels, inside the frame, which is {size[0]} x {size[1]}", box)
    return x1, y1, x2, y2


def _rate(name, value):
    _check(isinstance(value, Real) and 0 < value < math.inf, name, "a positive number of frames a second", value)


def _whole(**numbers):
    for name, value in numbers.items():
        _check(isinstance(value, Integral) and value > 0, name, "a positive whole number", value)


def _check(good, name, expected, value):
    if not good:
        raise ValueError(f"{name} must be {expected}; got {brief(value)}")
