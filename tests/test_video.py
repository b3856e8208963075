"""Clips written here and read back: the picture carries its own number, so that every frame can be told from every other."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cookbook_utils import video
from cookbook_utils.video import Frames, crop_clip, format_timestamp, interleave, probe, sample_frames, video_tokens, write_video

av = pytest.importorskip("av", reason="video files need PyAV")

SIZE = (64, 48)
UNEVEN = np.cumsum([0] + [0.04] * 30 + [0.5] * 10 + [0.02] * 59).round(3).tolist()  # seconds; 100 frames, three rates


def numbered(index: int, size=SIZE) -> Image.Image:
    """A picture that says its number: seven vertical bars, light or dark, are its binary digits."""
    bits = np.array([index >> bit & 1 for bit in range(7)], np.uint8) * 200 + 20
    return Image.fromarray(bits[None]).resize(size, Image.Resampling.NEAREST).convert("RGB")


def number(picture: Image.Image) -> int:
    bars = np.asarray(picture.convert("L").resize((7 * 9, 1), Image.Resampling.BOX)).reshape(7, 9)[:, 4]
    return sum(int(bar > 120) << bit for bit, bar in enumerate(bars))


CLIP = [numbered(index) for index in range(100)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def even(folder) -> Path:
    return write_video(folder / "even.mp4", CLIP, 25)


@pytest.fixture(scope="module")
def uneven(folder) -> Path:
    return write_video(folder / "uneven.mp4", CLIP, timestamps=UNEVEN)


# --- files: what is in them -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".webm"])
def test_what_is_written_is_read_back(folder, ending):
    path = write_video(folder / f"back{ending}", CLIP[:20], 10)
    info, frames = probe(path), sample_frames(path, num_frames=20)
    assert (info.size, info.fps, info.frame_count, info.variable_fps, info.truncated) == (SIZE, 10, 20, False, False)
    assert info.duration_s == pytest.approx(2)
    assert [number(frame) for frame in frames] == list(range(20))
    assert frames.timestamps == pytest.approx([index / 10 for index in range(20)])
    assert {(frame.mode, frame.size) for frame in frames} == {("RGB", SIZE)}


def test_an_odd_size_is_made_even(folder):
    frames = sample_frames(write_video(folder / "odd.mp4", [numbered(5, (63, 47))] * 4, 10))
    assert (frames[0].size, number(frames[0])) == ((64, 48), 5)


def test_arrays_are_written_like_pictures(folder):
    assert number(sample_frames(write_video(folder / "array.mp4", [np.asarray(CLIP[77])] * 4, 5))[3]) == 77


def test_fractions_of_a_rate_survive(folder):
    assert probe(write_video(folder / "ntsc.mp4", CLIP[:8], 30000 / 1001)).fps == pytest.approx(30000 / 1001)


def test_times_come_from_the_file_where_the_rate_varies(uneven):
    info, frames = probe(uneven), sample_frames(uneven, num_frames=100)
    assert info.variable_fps and info.fps == pytest.approx(99 / UNEVEN[-1], rel=1e-3)
    assert frames.timestamps == pytest.approx(UNEVEN, abs=1e-3)
    assert max(abs(a - i / info.fps) for i, a in enumerate(frames.timestamps)) > 2, "index / fps would be seconds off"


def test_where_the_rate_varies_frames_are_chosen_evenly_in_time(uneven):
    frames = sample_frames(uneven, fps=2)
    assert [UNEVEN[number(frame)] for frame in frames] == pytest.approx(frames.timestamps, abs=1e-3)
    assert np.diff(frames.timestamps).max() < 1.01, "by index there would be gaps of seconds"
    assert len(sample_frames(uneven, num_frames=60)) == 60, "a number asked for is given"


def test_b_frames_in_an_avi_come_in_order(folder):
    with av.open(str(folder / "b.avi"), "w") as out:  # an AVI has no time stamps, PyAV guesses them
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *SIZE, "yuv420p", 2_000_000
        stream.codec_context.max_b_frames = 2
        for picture in CLIP[:60]:
            out.mux(stream.encode(av.VideoFrame.from_image(picture)))
        out.mux(stream.encode())
    frames = sample_frames(folder / "b.avi", fps=5)
    assert [number(frame) for frame in frames] == frames.indices == [0, 5, 11, 16, 21, 27, 32, 38, 43, 48, 54, 59]
    assert frames.timestamps == pytest.approx([index / 25 for index in frames.indices])


# the matrix of ISO/IEC 14496-12: x' = a x + c y, y' = b x + d y, in 16.16 numbers
TURNS = [((1, 0, 0, 1), 0), ((0, 1, -1, 0), -90), ((-1, 0, 0, -1), 180), ((0, -1, 1, 0), 90)]


@pytest.mark.parametrize(("abcd", "turn"), TURNS)
def test_a_rotation_mark_is_applied(even, folder, abcd, turn):
    content = bytearray(even.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # version and flags, times, number, length, layer, volume
    for place, value in zip((0, 4, 12, 16), abcd, strict=True):
        content[at + place : at + place + 4] = (value * 65536).to_bytes(4, "big", signed=True)
    (folder / "turned.mp4").write_bytes(content)
    upright = CLIP[9].rotate(turn, expand=True)
    frame = sample_frames(folder / "turned.mp4", num_frames=100)[9]
    assert frame.size == upright.size == probe(folder / "turned.mp4").size
    assert np.abs(np.asarray(frame, int) - np.asarray(upright, int)).mean() < 8


# --- bad files ------------------------------------------------------------------------------------------------------


def audio(path):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())


def without_frames(path):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        out.start_encoding()


BAD = [
    ("a.wav", audio, "no video stream, only: audio"),
    ("none.avi", without_frames, "without frames"),
    ("empty.mp4", lambda path: path.write_bytes(b""), "cannot be read as a video"),
    ("text.mp4", lambda path: path.write_text("hello " * 99), "cannot be read as a video"),
]


@pytest.mark.parametrize("use", [probe, sample_frames])
@pytest.mark.parametrize(("name", "make", "says"), BAD, ids=[name for name, _, _ in BAD])
def test_a_file_that_is_no_video_says_so(folder, name, make, says, use):
    make(folder / name)
    with pytest.raises(ValueError, match=f"{name}.*{says}"):
        use(folder / name)


def test_no_file_is_no_file(folder):
    with pytest.raises(FileNotFoundError, match=r"nothing\.mp4"):
        sample_frames(folder / "nothing.mp4")


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm"])
def test_of_a_cut_off_file_the_whole_part_can_be_read(folder, ending):
    content = write_video(folder / f"whole{ending}", CLIP, 25).read_bytes()
    cut = folder / f"cut{ending}"
    cut.write_bytes(content[: len(content) * 7 // 10])
    assert probe(cut).truncated
    with pytest.raises(ValueError, match=r"is cut off after \d\.\d\d s; to read what is there, pass end_s=(\d\.\d\d)") as error:
        sample_frames(cut)
    frames = sample_frames(cut, end_s=float(str(error.value).rpartition("=")[2]))
    assert len(frames) >= 4 and [number(frame) for frame in frames] == frames.indices


def test_an_mp4_cut_off_before_its_index_cannot_be_read(even, folder):
    (folder / "head.mp4").write_bytes(even.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"head\.mp4.*(cannot be read as a video|no video stream)"):
        sample_frames(folder / "head.mp4")


def test_damage_inside_a_file_is_no_silent_gap(even, folder):
    content = bytearray(even.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1500] = bytes(i * 7 % 256 for i in range(1500))
    (folder / "damaged.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.mp4.*damaged"):
        sample_frames(folder / "damaged.mp4", num_frames=100)


# --- sampling and tokens, against transformers ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def processor():
    return pytest.importorskip("transformers").Qwen3VLVideoProcessor(do_sample_frames=True)


def theirs(processor, total, rate, **options):
    from transformers.video_utils import VideoMetadata

    return processor.sample_frames(VideoMetadata(total_num_frames=total, fps=rate), **options).tolist()


@pytest.mark.parametrize("total", [1, 2, 3, 5, 24, 25, 97, 1000, 20_000])
@pytest.mark.parametrize("rate", [7.5, 24, 30000 / 1001, 60])
@pytest.mark.parametrize("fps", [0.5, 2, 3.3])
def test_sampling_is_transformers(processor, total, rate, fps):
    assert sample_frames(CLIP[:1] * total, source_fps=rate, fps=fps).indices == theirs(processor, total, rate, fps=fps)


@pytest.mark.parametrize(("total", "count"), [(100, 7), (100, 100), (5, 5), (1000, 1)])
def test_a_number_of_frames_is_transformers(processor, total, count):
    frames = sample_frames(CLIP[:1] * total, source_fps=25, num_frames=count)
    assert frames.indices == theirs(processor, total, 25, num_frames=count)


def test_a_file_is_sampled_as_its_list_of_frames(even):
    frames = sample_frames(even)
    assert [number(frame) for frame in frames] == frames.indices == sample_frames(CLIP, source_fps=25).indices
    assert (frames.fps, frames.total, frames.sampled_fps) == (25, 100, pytest.approx(7 / 3.96))


@pytest.mark.parametrize(("options", "expected"), [
    ({"start_s": 1, "end_s": 2, "fps": 5}, [25, 31, 37, 44, 50]),
    ({"start_s": 3.9}, [98, 99]),
    ({"end_s": 0}, [0]),
    ({"max_frames": 4}, [0, 33, 66, 99]),
    ({"min_frames": 12, "fps": 0.1}, np.linspace(0, 99, 12).round().astype(int).tolist()),
    ({"num_frames": 300, "end_s": 0.1}, [0, 1, 2]),
])  # fmt: skip
def test_a_part_and_the_bounds(even, options, expected):
    assert sample_frames(even, **options).indices == expected


SIZES = [(1920, 1080), (64, 48), (32, 6000), (100, 2000), (333, 777), (4096, 4096)]


@pytest.mark.parametrize("cap", [None, 768])
@pytest.mark.parametrize("frames", [2, 4, 16, 255, 768])
@pytest.mark.parametrize("size", SIZES)
def test_tokens_are_transformers(processor, size, frames, cap):
    wanted = video.MIN_PIXELS, video.MAX_PIXELS
    processor.size = {"shortest_edge": wanted[0], "longest_edge": wanted[1]}
    if not hasattr(processor, "cap_pixels_per_frame") and cap:
        pytest.skip("this version of transformers has no cap of a frame")
    processor.cap_pixels_per_frame = bool(cap)
    patches = processor.get_num_of_video_patches(frames, size[1], size[0])
    assert video_tokens(size, frames, max_frame_tokens=cap)[1] == patches // 4


def test_the_processor_does_what_the_tokens_say(processor):
    clip = np.stack([np.asarray(numbered(index, (320, 200))) for index in range(5)])
    options = {"size": {"shortest_edge": 4096, "longest_edge": 300_000}, "do_sample_frames": False, "return_tensors": "pt"}
    grid = processor(videos=[clip], **options)["video_grid_thw"][0].tolist()
    resized, tokens = video_tokens((320, 200), 5, total_pixels=300_000, max_frame_tokens=None)
    assert (grid, tokens) == ([3, resized[1] // 16, resized[0] // 16], 3 * resized[0] * resized[1] // 1024)


@pytest.mark.parametrize("source", ["even", "uneven"])
def test_the_times_reach_the_prompt(request, source, root):
    transformers = pytest.importorskip("transformers")
    processor = transformers.AutoProcessor.from_pretrained(root / "assets" / "tiny")
    frames = sample_frames(request.getfixturevalue(source), num_frames=6)
    inputs = processor(
        text=["<|vision_start|><|video_pad|><|vision_end|>"], videos=[list(frames)], video_metadata=[frames.metadata()],
        do_sample_frames=False,
    )  # fmt: skip
    pairs = np.array(frames.timestamps).reshape(3, 2).mean(1)
    written = [f"<{time_s:.1f} seconds>" for time_s in pairs]
    assert all(time in processor.tokenizer.decode(inputs["input_ids"][0]) for time in written)


# --- frames ---------------------------------------------------------------------------------------------------------


def test_a_clip_is_cut_in_time_and_space(even):
    clip = sample_frames(even, num_frames=10)
    cut = crop_clip(clip, start_s=1, end_s=3, box=[-5, 10.4, 31.6, 999])
    assert cut.timestamps == [time_s for time_s in clip.timestamps if 1 <= time_s <= 3]
    assert cut.indices == [33, 44, 55, 66] and {frame.size for frame in cut} == {(32, 38)}
    assert np.array_equal(np.asarray(cut[0]), np.asarray(clip[3])[10:48, :32])
    assert cut.metadata()["frames_indices"] == cut.indices and clip[0].size == SIZE


def test_pictures_of_a_message_come_after_their_times(even):
    parts = interleave(sample_frames(even, num_frames=3), style="mm:ss")
    assert [part["text"] for part in parts[::2]] == ["<00:00.00>", "<00:02.00>", "<00:03.96>"]
    assert [number(part["image"]) for part in parts[1::2]] == [0, 50, 99]


@pytest.mark.parametrize(("seconds", "style", "text"), [
    (0, "seconds", "0.0 seconds"), (12.34, "seconds", "12.3 seconds"), (0, "mm:ss", "00:00.00"), (59.999, "mm:ss", "01:00.00"),
    (754.5, "mm:ss", "12:34.50"), (3725.25, "mm:ss", "01:02:05.25"), (np.float32(1.5), "mm:ss", "00:01.50"),
])  # fmt: skip
def test_times_as_text(seconds, style, text):
    assert format_timestamp(seconds, style) == text


def test_the_turned_picture_of_a_list_is_made_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = CLIP[3].rotate(90, expand=True)
    turned.getexif().update(exif)
    assert number(sample_frames([turned], source_fps=1)[0]) == 3


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: sample_frames(CLIP), ValueError, "^source_fps must"),
    (lambda: sample_frames([], source_fps=2), ValueError, "^video must be one picture or more"),
    (lambda: sample_frames(7), TypeError, "^video must be a path or a list"),
    (lambda: sample_frames([1, 2], source_fps=2), TypeError, r"^video\[0\] must be a PIL picture"),
    (lambda: sample_frames([CLIP[0], numbered(1, (8, 8))], source_fps=2), ValueError, "pictures of one size; got '8 x 8, 64 x 48'"),
    (lambda: sample_frames(CLIP, source_fps=2, fps=0), ValueError, "^fps must"),
    (lambda: sample_frames(CLIP, source_fps=2, num_frames=0), ValueError, "^num_frames must"),
    (lambda: sample_frames(CLIP, source_fps=2, min_frames=9, max_frames=8), ValueError, "^min_frames must be at most max_frames"),
    (lambda: sample_frames(CLIP, source_fps=2, start_s=-1), ValueError, "^start_s must"),
    (lambda: sample_frames(CLIP, source_fps=2, start_s=5, end_s=4), ValueError, "^start_s must be at most end_s, 4; got 5"),
    (lambda: sample_frames(CLIP, source_fps=2, start_s=60), ValueError, r"a time with frames, 0\.00 to 49\.50 s"),
    (lambda: sample_frames("a.mp4", source_fps=2), ValueError, "^source_fps is for a list"),
    (lambda: write_video("a.txt", CLIP, 25), ValueError, r"^path must end in \.mp4"),
    (lambda: write_video("a.mp4", [], 25), ValueError, "^frames must be one picture or more"),
    (lambda: write_video("a.mp4", CLIP), ValueError, "^fps must"),
    (lambda: write_video("a.mp4", CLIP[:2], timestamps=[1]), ValueError, "^timestamps must be as many as there are frames, 2; got 1"),
    (lambda: write_video("a.mp4", CLIP[:2], timestamps=[1, 1]), ValueError, "^timestamps must be 0 or more and rising"),
    (lambda: video_tokens((64, 48), 1), ValueError, "^num_frames must be 2 or more"),
    (lambda: video_tokens((64, 48), 2.5), ValueError, "^num_frames must be a positive whole number"),
    (lambda: video_tokens((64.5, 48), 4), ValueError, "^size must be"),
    (lambda: video_tokens((32, 9000), 4), ValueError, "^size must be two sides in a ratio of at most 200"),
    (lambda: video_tokens((64, 48), 4, min_pixels=9, total_pixels=8), ValueError, "^min_pixels must be at most total_pixels"),
    (lambda: format_timestamp(-1), ValueError, "^seconds must"),
    (lambda: format_timestamp(1, "frames"), ValueError, "^style must"),
    (lambda: crop_clip(CLIP, start_s=1), TypeError, "^frames must be Frames"),
    (lambda: crop_clip(Frames(CLIP[:2], [0, 1]), start_s=3), ValueError, "^start_s and end_s must be a time with frames"),
    (lambda: crop_clip(Frames(CLIP[:2], [0, 1]), box=[5, 5, 5, 9]), ValueError, "^box must"),
    (lambda: crop_clip(Frames(CLIP[:2], [0, 1]), box=[1, 2, float("nan"), 9]), ValueError, "^box must"),
    (lambda: interleave(CLIP[:2]), ValueError, "^timestamps must be seconds, one a frame"),
    (lambda: interleave(CLIP[:2], [1]), ValueError, "^timestamps must be as many as there are frames, 2; got 1"),
])  # fmt: skip
def test_bad_input_is_named(call, error, says, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says):
        call()
    assert not list(tmp_path.iterdir()), "nothing is written before the input is checked"


def test_the_file_can_be_copied_alone(tmp_path):
    shutil.copy(video.__file__, tmp_path / "mine.py")
    code = (
        "import sys; sys.path.insert(0, '.'); import mine; from PIL import Image\n"
        "path = mine.write_video('a.mp4', [Image.new('RGB', (64, 48))] * 4, 2)\n"
        "print(mine.sample_frames(path).timestamps, [name for name in sys.modules if name.startswith('cookbook')])"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "[0.0, 0.5, 1.0, 1.5] []", run.stderr
    assert "cookbook_utils" not in Path(video.__file__).read_text(encoding="utf-8")
