"""Pictures and videos as a server gets them: bytes, formats, sizes, budgets, times; read back by Pillow and PyAV."""

import base64
import io

import numpy as np
import pytest
from faulty_server import says, status
from PIL import Image

from cookbook_utils.coordinates import image_tokens
from cookbook_utils.models.faults import RequestRefused
from cookbook_utils.models.media import load_image, load_video
from cookbook_utils.models.pictures import Limits, fitted_size, load_picture, picture_url
from cookbook_utils.models.videos import VLLM_FRAMES, for_dashscope, load_source, mp4, rate_of, video_mime

NO_LIMITS = Limits()


def encoded(image: Image.Image, kind="PNG", **options) -> bytes:
    image.save(file := io.BytesIO(), kind, **options)
    return file.getvalue()


def noise(width, height, seed=0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def decoded(url: str) -> tuple[str, bytes]:
    """MIME type and bytes of a data URL."""
    head, _, body = url.partition(";base64,")
    return head.removeprefix("data:"), base64.b64decode(body, validate=True)


def opened(url: str) -> Image.Image:
    mime, data = decoded(url)
    image = Image.open(io.BytesIO(data))
    assert Image.MIME[image.format] == mime
    return image


def same(a: Image.Image, b: Image.Image) -> bool:
    return a.size == b.size and a.convert("RGB").tobytes() == b.convert("RGB").tobytes()


def parts(server) -> list[dict]:
    return server.requests[-1]["messages"][-1]["content"]


# --- one picture ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "mode", "reason"), [
    ("PNG", "RGB", "lossless"), ("PNG", "P", "palette"), ("PNG", "L", "grey"), ("JPEG", "RGB", "photo"), ("WEBP", "RGB", "WebP"),
])
def test_a_file_goes_byte_for_byte(picture, tmp_path, kind, mode, reason):
    data = encoded(picture.convert(mode), kind)
    (tmp_path / "misnamed.dat").write_bytes(data)
    for source in (tmp_path / "misnamed.dat", f"data:image/x;base64,{base64.b64encode(data).decode()}"):
        assert decoded(picture_url(load_picture(source), NO_LIMITS, "it")) == (Image.MIME[kind], data), reason


def turned(picture, kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture, kind, exif=exif)


@pytest.mark.parametrize(("make", "kind", "reason"), [
    (lambda p: turned(p, "JPEG"), "JPEG", "turned by EXIF, a JPEG stays one"),
    (lambda p: turned(p, "PNG"), "PNG", "turned by EXIF, a PNG stays one"),
    (lambda p: encoded(Image.merge("RGBA", [*p.split(), p.split()[0]])), "PNG", "transparent: on white, as the model on this machine sees it"),
    (lambda p: encoded(Image.fromarray(np.arange(6144, dtype=np.uint16).reshape(64, 96) * 10)), "PNG", "16 bits"),
    (lambda p: encoded(p.convert("CMYK"), "JPEG"), "JPEG", "CMYK"),
    (lambda p: encoded(p, "TIFF"), "PNG", "a format that servers may not read"),
    (lambda p: encoded(p, "GIF", save_all=True, append_images=[noise(96, 64)]), "PNG", "moving"),
])  # fmt: skip
def test_what_servers_might_show_otherwise_is_written_anew(picture, tmp_path, make, kind, reason):
    (tmp_path / "a").write_bytes(make(picture))
    image = opened(picture_url(load_picture(tmp_path / "a"), NO_LIMITS, "it"))
    assert image.format == kind and image.mode == "RGB" and image.getexif().get(0x0112, 1) == 1, reason
    difference = np.abs(np.asarray(image, int) - np.asarray(load_image(tmp_path / "a"), int))
    assert difference.max() == 0 if kind == "PNG" else difference.mean() < 3


def test_a_pil_picture_loses_nothing(picture):
    assert same(opened(picture_url(load_picture(picture), NO_LIMITS, "it")), picture)


def test_a_picture_is_taken_in_once(picture):
    loaded = load_picture(picture)
    assert load_picture(loaded) is loaded


LIMITS = Limits(encoded=60_000, shortest_side=11)


def test_a_large_jpeg_is_written_at_a_lower_quality(tmp_path):
    noise(300, 200).save(tmp_path / "a.jpg", quality=99)
    image = opened(picture_url(load_picture(tmp_path / "a.jpg"), Limits(encoded=110_000), "it"))
    assert (image.format, image.size) == ("JPEG", (300, 200))


def test_a_large_picture_is_reduced_to_what_the_model_looks_at():
    large = load_picture(noise(400, 300))
    image = opened(picture_url(large, LIMITS, "it", max_pixels=10_000))
    assert image.format == "PNG" and image.size == image_tokens((400, 300), 1, 10_000)[0]


@pytest.mark.parametrize(("make", "words"), [
    (lambda: load_picture(noise(400, 300), "images[1]"),
     r"images\[1\]: the picture takes 0.4 MB as PNG of 384 x 288 .*DashScope takes 0.1 MB; give max_pixels=\d+, or save it as JPEG, or cut"),
    (lambda: load_picture(noise(400, 10)), "image: 400 x 10 pixels; DashScope takes pictures from 11 pixels a side; enlarge it or pad it"),
])  # fmt: skip
def test_a_picture_over_the_limit_is_refused_with_what_to_do(make, words):
    with pytest.raises(ValueError, match=words):
        picture_url(make(), LIMITS, "DashScope")


def test_the_advice_is_enough():
    large = load_picture(noise(400, 300))
    with pytest.raises(ValueError, match="max_pixels=") as caught:
        picture_url(large, LIMITS, "it")
    picture_url(large, LIMITS, "it", max_pixels=int(str(caught.value).partition("max_pixels=")[2].partition(",")[0]))


def test_a_refused_picture_is_not_sent(server, at):
    model = at("dashscope")
    with pytest.raises(ValueError, match=r"images\[0\]: 40 x 8 pixels"):
        model.ask("What?", [Image.new("RGB", (40, 8))])
    with pytest.raises(ValueError, match="40 x 8 pixels"):
        model.stream([{"role": "user", "content": [{"image": Image.new("RGB", (40, 8))}]}])
    assert server.requests == []


@pytest.mark.parametrize(("images", "error", "words"), [
    (["no-such.png"], FileNotFoundError, r"images\[0\]: no such file"), ([__file__], ValueError, r"images\[0\]: .* cannot be read as a picture"),
    ([None], TypeError, r"images\[0\]: expected a path"),
])
def test_what_is_no_picture_is_named(at, images, error, words):
    with pytest.raises(error, match=words):
        at("vllm").ask("?", images)


# --- several pictures, and budgets ----------------------------------------------------------------------------------


def test_pictures_keep_their_order(server, at, picture, tmp_path):
    picture.save(tmp_path / "a.jpg")
    at("vllm").ask("Compare.", [tmp_path / "a.jpg", picture])
    first, second, text = parts(server)
    assert decoded(first["image_url"]["url"])[0] == "image/jpeg" and same(opened(second["image_url"]["url"]), picture)
    assert text == {"type": "text", "text": "Compare."}


def budgets(model, *pixels):
    model.chat([{"role": "user", "content": [{"image": noise(400, 300), "max_pixels": most} for most in pixels]}])


@pytest.mark.parametrize(("pixels", "fields", "sizes", "reason"), [
    ([100_000], {"max_pixels": 100_000}, [(400, 300)], "the server resizes"),
    ([20_000], {"min_pixels": 20_000, "max_pixels": 20_000}, [(400, 300)], "never stretched over its most"),
    ([20_000, 100_000], {"min_pixels": 160 * 96, "max_pixels": 352 * 256}, [(160, 96), (352, 256)], "one budget a request: resized here"),
])
def test_vllm_has_one_budget_for_a_request(server, at, pixels, fields, sizes, reason):
    budgets(at("vllm"), *pixels)
    assert server.requests[0]["mm_processor_kwargs"] == fields, reason
    assert [opened(part["image_url"]["url"]).size for part in parts(server)] == sizes


def test_dashscope_has_the_budget_beside_the_picture(server, at):
    budgets(at("dashscope"), 100_000, None)
    assert [part.get("max_pixels") for part in parts(server)] == [100_000, None]
    assert "mm_processor_kwargs" not in server.requests[0]


@pytest.mark.parametrize("kind", ["sglang", "openai"])
def test_others_get_pictures_in_their_budget(server, at, kind):
    budgets(at(kind), 100_000, None)
    assert [opened(part["image_url"]["url"]).size for part in parts(server)] == [fitted_size((400, 300), None, 100_000), (400, 300)]


# --- videos ---------------------------------------------------------------------------------------------------------

LEVELS = [Image.new("RGB", (64, 48), (level * 20,) * 3) for level in range(12)]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A file of 12 frames, 4 a second."""
    pytest.importorskip("av")
    path = tmp_path_factory.mktemp("film") / "a.mp4"
    path.write_bytes(mp4(LEVELS, 4))
    return path


def levels(frames) -> list[int]:
    return [round(float(np.asarray(frame).mean()) / 20) for frame in frames]


def asked(server, model, video, **options):
    """The video's part and the other fields, of a question about a video."""
    model.ask("When?", video=video, **options)
    fields = {name: server.requests[-1].get(name) for name in ("media_io_kwargs", "mm_processor_kwargs")}
    return parts(server)[:-1], {name: value for name, value in fields.items() if value}


@pytest.mark.parametrize(("options", "chosen"), [({}, {"fps": 2.0}), ({"fps": 1}, {"fps": 1}), ({"num_frames": 6}, {"num_frames": 6})])
def test_vllm_gets_a_file_and_what_to_choose(server, at, film, options, chosen):
    (part,), fields = asked(server, at("vllm"), film, **options)
    assert decoded(part["video_url"]["url"]) == ("video/mp4", film.read_bytes())
    assert fields == {"media_io_kwargs": {"video": {"num_frames": -1, **chosen}}, "mm_processor_kwargs": chosen}


def jpegs(url: str) -> list[Image.Image]:
    head, *bodies = url.split(",")
    assert head == "data:video/jpeg;base64"
    return [Image.open(io.BytesIO(base64.b64decode(body))) for body in bodies]


def test_vllm_gets_frames_with_their_times(server, at):
    (part,), fields = asked(server, at("vllm"), LEVELS[:3], fps=4)
    assert levels(jpegs(part["video_url"]["url"])) == [0, 1, 2]
    assert fields["media_io_kwargs"]["video"] == {
        "num_frames": -1, "fps": 1000.0, "frames_indices": [0, 250, 500], "total_num_frames": 501, "do_sample_frames": False,
    }  # fmt: skip


def test_a_frames_budget_makes_a_file_frames(server, at, film):
    (part,), fields = asked(server, at("vllm"), film, max_pixels=2048)
    clip = load_video(film)
    frames = jpegs(part["video_url"]["url"])
    assert levels(frames) == levels(clip.frames) and frames[0].size == fitted_size((64, 48), None, 2048)
    assert fields["media_io_kwargs"]["video"]["frames_indices"] == [round(time_s * 1000) for time_s in clip.times_s]


def test_vllm_reads_all_videos_of_a_request_alike(server, at):
    chat = [{"role": "user", "content": [{"video": LEVELS[:3], "fps": 4}, {"video": LEVELS[:3], "fps": 1}]}]
    with pytest.raises(ValueError, match="vLLM reads all videos of a request with the same fps"):
        at("vllm").chat(chat)
    at("dashscope").chat([{"role": "user", "content": [{"video": LEVELS[:4], "fps": 4}, {"video": LEVELS[:4], "fps": 1}]}])
    assert [part["fps"] for part in parts(server)] == [4, 1]


def test_more_frames_than_vllm_reads_by_itself_are_warned_of(server, at, caplog):
    at("vllm").ask("?", video=LEVELS[:1] * (VLLM_FRAMES + 1))
    assert ["33 frames; vLLM reads the first 32 unless" in record.getMessage() for record in caplog.records if "models" in record.name] == [True]


def test_sglang_gets_a_file_and_what_to_choose(server, at, film):
    (part,), _ = asked(server, at("sglang"), film, fps=1)
    assert decoded(part["video_url"].pop("url"))[1] == film.read_bytes() and part["video_url"] == {"fps": 1}
    (part,), _ = asked(server, at("sglang"), film, num_frames=5)
    assert part["video_url"]["max_frames"] == 5


def test_sglang_gets_frames_as_a_film(server, at, tmp_path):
    pytest.importorskip("av")
    (part,), _ = asked(server, at("sglang"), [noise(63, 48), *[Image.new("RGB", (63, 48), (100,) * 3)] * 4], fps=3)
    (tmp_path / "a.mp4").write_bytes(decoded(part["video_url"]["url"])[1])
    clip = load_video(tmp_path / "a.mp4", fps=100)
    assert len(clip.frames) == 5 == part["video_url"]["max_frames"] and part["video_url"]["fps"] == 3
    assert np.allclose(clip.times_s, np.arange(5) / 3, atol=0.01) and levels(clip.frames)[1:] == [5] * 4


def test_dashscope_gets_a_file_or_frames(server, at, film):
    (part,), _ = asked(server, at("dashscope"), film, fps=1)
    assert decoded(part["video_url"]["url"])[1] == film.read_bytes() and part["fps"] == 1
    (part,), _ = asked(server, at("dashscope"), film, num_frames=4, max_pixels=70_000)
    assert part["type"] == "video" and levels(map(opened, part["video"])) == levels(load_video(film, num_frames=4).frames)
    assert part["max_pixels"] == 70_000 and np.isclose(part["fps"], 3 / 2.75, atol=0.01)
    with pytest.raises(ValueError, match="video: DashScope takes a video of at least 4 frames, got 3"):
        at("dashscope").ask("?", video=LEVELS[:3])


def test_dashscope_gets_a_large_file_as_frames(film):
    part = {"video": load_source(film), "min_pixels": None, "max_pixels": None}
    assert for_dashscope(part, Limits(encoded=100))[0][0]["type"] == "video"


def test_others_get_pictures_with_their_times(server, at):
    written, _ = asked(server, at("openai"), LEVELS[:2], fps=4)
    assert [part.get("text") for part in written] == ["<0.0 seconds>", None, "<0.2 seconds>", None]
    assert levels(opened(part["image_url"]["url"]) for part in written[1::2]) == [0, 1]


@pytest.mark.parametrize(("kind", "beside"), [("vllm", {}), ("sglang", {}), ("dashscope", {"fps": 2.0})])
def test_a_videos_url_is_left_to_the_server(server, at, kind, beside):
    (part,), _ = asked(server, at(kind), "https://nowhere.invalid/film.mp4")
    assert part["video_url"]["url"] == "https://nowhere.invalid/film.mp4" and {**part, **beside} == part


@pytest.mark.parametrize(("source", "options", "error", "words"), [
    (__file__, {}, ValueError, "video: .* cannot be read as a video; expected MP4"), ("none.mp4", {}, FileNotFoundError, "no such file"),
    ("https://a/b.mp4", {"fps": 0}, ValueError, "fps must be a positive number"), ([], {}, ValueError, "expected 1 to 768 pictures"),
    (5, {}, TypeError, "expected a path"),
])
def test_what_is_no_video_is_named(source, options, error, words):
    with pytest.raises(error, match=words):
        load_source(source, **options)


@pytest.mark.parametrize(("head", "mime"), [
    (b"\0\0\0\x20ftypqt  ", "video/quicktime"), (b"\x1aE\xdf\xa3....webm", "video/webm"), (b"\x1aE\xdf\xa3....matroska", "video/x-matroska"),
    (b"RIFF....AVI LIST", "video/x-msvideo"), (b"RIFF....WAVE", ""), (b"FLV\x01", "video/x-flv"), (b"", ""),
])
def test_a_film_is_known_by_its_first_bytes(head, mime):
    assert video_mime(head) == mime


def test_a_films_rate_is_that_of_its_frames(film):
    assert rate_of(load_video(film, fps=4)) == 4.0


# --- a vLLM that takes no settings for pictures and videos (its default) ---------------------------------------------

REFUSAL = "Per-request mm_processor_kwargs are disabled by default. Start the server with --trust-request-mm-kwargs (parameter=x)"


def distrustful(handler, body):
    refused = body.keys() & {"mm_processor_kwargs", "media_io_kwargs"}
    (status(400, REFUSAL) if refused else says("ok"))(handler, body)


def test_a_budget_is_kept_where_the_server_takes_none(server, at, caplog):
    server.script, model = [distrustful], at("vllm")
    ask = [{"role": "user", "content": [{"image": noise(400, 300), "max_pixels": 20_000}]}]
    for _ in range(2):
        assert model.chat(ask).text == "ok"
    assert opened(parts(server)[0]["image_url"]["url"]).size == fitted_size((400, 300), None, 20_000)
    assert len(server.requests) == 3 and caplog.text.count("trust-request-mm-kwargs") == 1, "asked twice once only, and said"


def test_a_video_goes_as_pictures_where_the_server_takes_no_frame_rate(server, at):
    server.script = [distrustful]
    assert at("vllm").ask("?", video=[noise(64, 64, seed) for seed in range(4)], fps=2).text == "ok"
    assert [part["text"] for part in parts(server) if part["type"] == "text"][:4] == [f"<{time} seconds>" for time in (0.0, 0.5, 1.0, 1.5)]


def test_another_refusal_is_told(server, at):
    server.script = [status(400, "no pictures today")]
    with pytest.raises(RequestRefused, match="no pictures today"):
        at("vllm").ask("?", noise(64, 64), max_pixels=20_000)
    assert len(server.requests) == 1
