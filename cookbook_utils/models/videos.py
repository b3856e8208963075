"""Videos on their way to a server, each in the way that the server reads them.

A file goes as its own bytes and a URL as it is, with `fps` or `num_frames` where the server wants them; then the server
chooses the frames. Frames of a list, and those of a file that is too large or whose frames have a pixel budget, are
chosen and resized here, exactly as for a model on this machine, and sent with their times:

    vLLM        `video_url` of JPEG frames, their times in `media_io_kwargs` (versions from 2026 on)
    SGLang      `video_url` of an MP4 that is made of the frames
    DashScope   `video`: a list of JPEG frames, with `fps`
    others      pictures, each after a line with its time

Sources: vLLM, `vllm/multimodal/media/video.py`; SGLang, `entrypoints/openai/protocol.py`; Alibaba Cloud Model Studio,
"OpenAI compatible - Chat", user message.
"""

import hashlib
import io
import logging
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from PIL import Image

from .media import FPS, Clip, check_rate, load_video, open_source, short
from .pictures import Limits, data_url, fitted_size, jpeg

VLLM_FRAMES = 32  # as many as vLLM reads unless it is started with more
_MANY_FPS = 120  # SGLang takes the lower of this and the file's own: then `max_frames` alone decides


@dataclass(frozen=True, eq=False)
class Video:
    """A video as it came: a file's bytes with their MIME type, a URL, or a clip of frames.

    fps, num_frames: the frames wanted, as in `load_video`; where: how errors call it.
    """

    where: str
    fps: float | None = None
    num_frames: int | None = None
    data: bytes = b""
    mime: str = ""
    url: str = ""
    frames: Clip | None = None

    def clip(self) -> Clip:
        """The frames with their times, chosen as for a model on this machine."""
        if self.frames is not None:
            return self.frames
        source = self.url or data_url(self.data, self.mime)
        return load_video(source, fps=self.fps, num_frames=self.num_frames, where=self.where)

    def fingerprint(self) -> str:
        """A digest of the file's bytes, of the URL, or of frames and times; the frames wanted count too."""
        content = [repr((self.fps, self.num_frames, self.url)).encode(), self.data]
        if self.frames is not None:
            sizes = [frame.size for frame in self.frames.frames]
            content += [repr((sizes, self.frames.times_s)).encode(), *(frame.tobytes() for frame in self.frames.frames)]
        return hashlib.sha256(b"".join(content)).hexdigest()


def load_source(source, *, fps=None, num_frames=None, where: str = "video") -> Video:
    """Take a video in as it is; sources and errors as in `load_video`, but a URL is left to the server to fetch."""
    if isinstance(source, Video):
        return source
    check_rate(fps, num_frames, where)
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        return Video(where, fps, num_frames, url=source)
    if not isinstance(source, (str, Path)):
        return Video(where, fps, num_frames, frames=load_video(source, fps=fps, num_frames=num_frames, where=where))
    content = open_source(source, where, "a list of pictures")
    data = Path(content).read_bytes() if isinstance(content, str) else content.getvalue()
    if not (mime := video_mime(data)):
        raise ValueError(f"{where}: {short(source)} cannot be read as a video; expected MP4, MOV, MKV, WebM, AVI or FLV")
    return Video(where, fps, num_frames, data=data, mime=mime)


def video_mime(data: bytes) -> str:
    """Tell a video file's MIME type by its first bytes; "" for what is none.

    >>> video_mime(bytes(4) + b"ftypisom" + bytes(8))
    'video/mp4'
    """
    head = data[:4096]
    if head[4:8] == b"ftyp":
        return "video/quicktime" if head[8:10] == b"qt" else "video/mp4"
    if head[:4] == b"\x1aE\xdf\xa3":  # EBML, in which both of these are written
        return "video/webm" if b"webm" in head else "video/x-matroska"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "video/x-msvideo"
    return "video/x-flv" if head[:3] == b"FLV" else ""


# --- one function per server: a part of a message -> (parts of the request, fields of the request's body) -----------


def for_vllm(part: dict, limits: Limits) -> tuple[list[dict], dict]:
    """A `video_url`; which frames, or when they are from, stands in `media_io_kwargs`, once for all videos of a request."""
    video = part["video"]
    if video.frames is None and not _has_budget(part):
        chosen = {"num_frames": video.num_frames} if video.num_frames else {"fps": video.fps or FPS}
        io_options = {"num_frames": -1, **chosen}  # -1: no fewer than that gives
        return [_video_url(_file_url(video))], {"media_io_kwargs": {"video": io_options}, "mm_processor_kwargs": chosen}
    clip = _fitted(part)
    if len(clip.frames) > VLLM_FRAMES:
        logging.getLogger(__name__).warning(
            "%s: %d frames; vLLM reads the first %d unless it is started with --media-io-kwargs '{\"video\": {\"num_frames\": -1}}'",
            video.where, len(clip.frames), VLLM_FRAMES,
        )  # fmt: skip
    url = data_url(jpeg(clip.frames[0]), "video/jpeg") + "".join(
        "," + data_url(jpeg(f), "").rpartition(",")[2] for f in clip.frames[1:]
    )
    numbers = [round(time_s * 1000) for time_s in clip.times_s]  # frames of a video of 1000 a second
    times = {"fps": 1000.0, "frames_indices": numbers, "total_num_frames": numbers[-1] + 1, "do_sample_frames": False}
    return [_video_url(url)], {"media_io_kwargs": {"video": {"num_frames": -1, **times}}}


def for_sglang(part: dict, limits: Limits) -> tuple[list[dict], dict]:
    """A `video_url` with `fps` and `max_frames` beside the URL."""
    video = part["video"]
    if video.frames is None and not _has_budget(part):
        chosen = {"fps": _MANY_FPS, "max_frames": video.num_frames} if video.num_frames else {"fps": video.fps or FPS}
        return [_video_url(_file_url(video), **chosen)], {}
    clip = _fitted(part)
    rate = rate_of(clip)
    return [_video_url(data_url(mp4(clip.frames, rate), "video/mp4"), fps=rate, max_frames=len(clip.frames))], {}


def for_dashscope(part: dict, limits: Limits) -> tuple[list[dict], dict]:
    """A `video_url` for a small file or a URL, else `video` with a list of frames; `fps` and the budget beside it."""
    video, budget = part["video"], {name: part[name] for name in ("min_pixels", "max_pixels") if part[name]}
    small = not video.data or len(video.data) * 4 / 3 < (limits.encoded or float("inf"))
    if video.frames is None and small and not video.num_frames:
        return [{**_video_url(_file_url(video)), "fps": video.fps or FPS, **budget}], {}
    clip = video.clip()
    if len(clip.frames) < 4:
        raise ValueError(
            f"{video.where}: DashScope takes a video of at least 4 frames, got {len(clip.frames)}; send pictures instead"
        )
    urls = [data_url(jpeg(frame), "image/jpeg") for frame in clip.frames]
    return [{"type": "video", "video": urls, "fps": rate_of(clip), **budget}], {}


def for_others(part: dict, limits: Limits) -> tuple[list[dict], dict]:
    """Pictures, each after a line with its time: what every server with pictures understands."""
    parts, clip = [], _fitted(part)
    for frame, time_s in zip(clip.frames, clip.times_s, strict=True):
        url = data_url(jpeg(frame), "image/jpeg")
        parts += [{"type": "text", "text": f"<{time_s:.1f} seconds>"}, {"type": "image_url", "image_url": {"url": url}}]
    return parts, {}


def _video_url(url: str, **options) -> dict:
    return {"type": "video_url", "video_url": {"url": url, **options}}


def _file_url(video: Video) -> str:
    return video.url or data_url(video.data, video.mime)


def _has_budget(part: dict) -> bool:
    return bool(part["min_pixels"] or part["max_pixels"])


def _fitted(part: dict) -> Clip:
    """The clip, each frame within the part's budget."""
    clip = part["video"].clip()
    if not _has_budget(part):
        return clip
    size = fitted_size(clip.frames[0].size, part["min_pixels"], part["max_pixels"])
    return Clip([frame.resize(size, Image.Resampling.BICUBIC) for frame in clip.frames], clip.times_s)


def rate_of(clip: Clip) -> float:
    """Frames a second of a clip, on average.

    >>> rate_of(Clip([None] * 3, [0.0, 0.5, 1.0]))
    2.0
    """
    span_s = clip.times_s[-1] - clip.times_s[0]
    return round((len(clip.times_s) - 1) / span_s, 4) if span_s > 0 else FPS


def mp4(frames: list[Image.Image], rate: float) -> bytes:
    """Encode frames as an MP4 (H.264, nearly without loss); sides are made even, as its colours need it."""
    import av

    size = tuple(side + side % 2 for side in frames[0].size)
    with av.open(file := io.BytesIO(), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000), options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame if frame.size == size else frame.resize(size))))
        container.mux(stream.encode(None))
    return file.getvalue()
