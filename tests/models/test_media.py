"""Pictures against Pillow and `draw_boxes`; videos against a file encoded here; a server on loopback."""

import base64
import http.server
import io
import sys
import threading

import numpy as np
import pytest
from PIL import Image, ImageOps

from cookbook_utils.drawing import draw_boxes
from cookbook_utils.models.media import frame_indices, load_image, load_video


def same(a: Image.Image, b: Image.Image) -> bool:
    return a.mode == b.mode and a.size == b.size and a.tobytes() == b.tobytes()


def png(image: Image.Image) -> bytes:
    image.save(file := io.BytesIO(), "PNG")
    return file.getvalue()


@pytest.fixture
def server(monkeypatch, picture):
    """A web server with a picture, a page, and nothing else."""
    files = {"/a.png": png(picture), "/page": b"<html>no picture</html>"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_every_way_to_name_a_picture_gives_the_same_one(picture, tmp_path, server):
    path = tmp_path / "mit Leerzeichen.png"
    path.write_bytes(png(picture))
    data = f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"
    for source in (picture, path, str(path), path.as_uri(), data, f"{server}/a.png"):
        assert same(load_image(source), picture), source


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied_exactly_once(picture, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "a.png", exif=exif)
    loaded = load_image(tmp_path / "a.png")
    assert same(loaded, ImageOps.exif_transpose(Image.open(tmp_path / "a.png")))
    assert same(load_image(loaded), loaded), "loading again turns nothing"
    assert same(loaded, draw_boxes(Image.open(tmp_path / "a.png"), [])), "the drawing shows what the model sees"


def grey(dtype, top):
    return Image.fromarray((np.arange(48 * 32).reshape(32, 48) / 1535 * top).astype(dtype))


def palette(picture):
    reduced = picture.quantize(16)
    reduced.info["transparency"] = 3
    return reduced


@pytest.mark.parametrize("make", [
    lambda p: p.convert("RGBA"), lambda p: Image.merge("RGBA", [*p.split(), p.split()[0]]), lambda p: p.convert("LA"),
    palette, lambda p: p.convert("P"), lambda p: p.convert("1"), lambda p: p.convert("L"), lambda p: p.convert("CMYK"),
    lambda p: p.convert("YCbCr"), lambda p: grey(np.uint16, 65535), lambda p: grey(np.uint16, 4095),
    lambda p: grey(np.int32, 65535), lambda p: grey(np.float32, 1.0), lambda p: grey(np.float32, 255.0),
])  # fmt: skip
def test_every_mode_looks_to_the_model_as_it_is_drawn(picture, make):
    image = make(picture)
    before = image.tobytes()
    assert same(load_image(image), draw_boxes(image, []))
    assert image.tobytes() == before


@pytest.mark.parametrize(("source", "error", "words"), [
    ("no-such.png", FileNotFoundError, "here: no such file: 'no-such.png'"),
    ("x" * 5000, FileNotFoundError, "no such file: 'xxx.*\\.\\.\\.xxx"),
    (__file__, ValueError, "here: .*test_media.py' cannot be read as a picture"),
    ("data:image/png;base64,AA%%", ValueError, "base64 is damaged"),
    ("data:image/png;base64,AAAA", ValueError, "cannot be read as a picture"),
    (b"bytes", TypeError, "here: expected a path, a URL, a data URL or a PIL image, got bytes"),
    (None, TypeError, "got NoneType"),
    (Image.new("RGB", (1000, 4)), ValueError, "here: a picture of 1000 x 4 pixels; .*ratio of at most 200"),
    (Image.new("RGB", (0, 4)), ValueError, "0 x 4 pixels"),
])
def test_what_is_no_picture_is_named(source, error, words):
    with pytest.raises(error, match=words):
        load_image(source, "here")


@pytest.mark.parametrize(("path", "error", "words"), [
    ("/missing.png", OSError, "here: .*missing.png' cannot be fetched .*404"), ("/page", ValueError, "cannot be read as a picture"),
])
def test_what_a_server_does_not_give_is_named(server, path, error, words):
    with pytest.raises(error, match=words):
        load_image(server + path, "here")


def test_a_list_of_pictures_follows_at_its_rate(picture):
    assert load_video([picture] * 4).times_s == [0.0, 0.5, 1.0, 1.5]
    assert load_video([picture] * 3, fps=10).times_s == [0.0, 0.1, 0.2]
    assert load_video([picture]).times_s == [0.0, 0.0], "the model merges frames by twos"


@pytest.mark.parametrize(("source", "options", "words"), [
    ([], {}, "video: expected 1 to 768 pictures, got 0"),
    ([Image.new("RGB", (32, 32)), Image.new("RGB", (64, 32))], {}, "one size, got 32 x 32, 64 x 32"),
    ([Image.new("RGB", (32, 32)), __file__], {}, r"video\[1\]: .* cannot be read as a picture"),
    ([Image.new("RGB", (32, 32))], {"fps": 0}, "fps must be a positive number"),
    ([Image.new("RGB", (32, 32))], {"fps": 1, "num_frames": 2}, "either fps or num_frames"),
    ([Image.new("RGB", (32, 32))], {"num_frames": 2}, "num_frames is for files"),
])
def test_what_is_no_video_is_named(source, options, words):
    with pytest.raises(ValueError, match=words):
        load_video(source, **options)


@pytest.mark.parametrize(("total", "rate", "fps", "num_frames"), [(100, 25, 2, None), (10, 30, 2, None), (3, 30, 2, None), (9000, 10, 2, None), (50, 25, 2, 7)])
def test_frames_are_chosen_as_the_processor_chooses_them(total, rate, fps, num_frames):
    from transformers import Qwen3VLVideoProcessor
    from transformers.video_utils import VideoMetadata

    processor = Qwen3VLVideoProcessor(**({"fps": None} if num_frames else {}))
    wanted = {"num_frames": num_frames} if num_frames else {"fps": fps}
    theirs = processor.sample_frames(VideoMetadata(total_num_frames=total, fps=rate), **wanted)
    assert frame_indices(total, rate, fps, num_frames) == list(theirs)


def test_a_file_is_decoded_at_the_wanted_rate(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(40):
            frame = av.VideoFrame.from_image(Image.new("RGB", (64, 48), (level * 6,) * 3))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = load_video(tmp_path / "a.mp4")  # 4 seconds, 2 frames each
    assert np.allclose(clip.times_s, np.array(frame_indices(40, 10, 2)) / 10)
    levels = [np.asarray(frame).mean() / 6 for frame in clip.frames]
    assert np.allclose(levels, np.array(clip.times_s) * 10, atol=1)
    assert len(load_video(tmp_path / "a.mp4", num_frames=5).frames) == 5


def test_a_damaged_file_is_named(tmp_path):
    pytest.importorskip("av")
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match="video: .*a.mp4' cannot be read as a video"):
        load_video(tmp_path / "a.mp4")


def test_without_pyav_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match="pip install av"):
        load_video(__file__)
