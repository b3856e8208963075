"""Pages in a real browser, with a server on loopback that must hear nothing; likeness against scikit-image and by hand."""

import asyncio
import http.server
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cookbook_utils import rendering
from cookbook_utils.rendering import compare_images, render_html

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
BODY = "<body style='margin:0;background:rgb(0,0,255)'>"
OWN_PICTURE = (
    "data:image/svg+xml,<svg xmlns=%22http://www.w3.org/2000/svg%22><rect width=%22999%22 height=%22999%22 fill=%22red%22/></svg>"
)


def rendered(*args, **options) -> Image.Image:
    """`render_html`, also in a container where Chromium's own sandbox cannot work; skips where there is no browser."""
    pytest.importorskip("playwright", reason="the browser is driven by Playwright")
    try:
        return render_html(*args, **{"timeout_s": 60, **options})
    except RuntimeError as error:
        if "sandbox" in str(error) and "browser_sandbox" not in options:
            return rendered(*args, **options, browser_sandbox=False)
        if not any(map(shutil.which, rendering.BROWSERS)):
            pytest.skip(f"no Chromium or Chrome is installed: {error}")
        raise


@pytest.fixture
def server():
    """A server on loopback: its address, and a list of what it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}", asked
        serving.shutdown()


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "options", "size", "colour", "reason"), [
    (BODY, {}, (120, 80), BLUE, "a window"),
    (BODY, {"scale": 2}, (240, 160), BLUE, "twice as sharp"),
    (BODY + "<div style='height:300px;background:red'>", {"full_page": True}, (120, 300), RED, "a page higher than the window"),
    (BODY + "<div style='height:300px;background:red'>", {}, (120, 80), RED, "its part in the window"),
    (BODY + "<script>document.body.style.background='red'</script>", {}, (120, 80), BLUE, "scripts are off"),
    (BODY + "<script>document.body.style.background='red'</script>", {"javascript": True}, (120, 80), RED, "scripts are on"),
    (BODY + "<script>alert(1); confirm(2)</script>", {"javascript": True}, (120, 80), BLUE, "dialogs do not stop it"),
    (BODY + "<noscript><div style='height:9px;background:lime'></noscript>", {}, (120, 80), GREEN, "what is for browsers without"),
    (f"<img style='position:fixed;inset:0;width:100%;height:100%' src='{OWN_PICTURE}'>", {}, (120, 80), RED, "a picture of its own"),
    (BODY + "<meta http-equiv=refresh content='0;url=file:///etc/passwd'>", {}, (120, 80), BLUE, "it cannot lead to a file"),
    ("", {}, (120, 80), WHITE, "nothing"),
])  # fmt: skip
def test_a_page_is_rendered(page, options, size, colour, reason):
    picture = rendered(page, (120, 80), **options)
    assert (picture.mode, picture.size, picture.getpixel((3, 3))) == ("RGB", size, colour), reason


def test_text_is_drawn():
    picture = rendered("<p style='font-size:40px;margin:0'>Tée</p>", (120, 60))
    assert 100 < (np.asarray(picture.convert("L")) < 128).sum() < 3000


def test_an_endless_page_ends():
    picture = rendered(BODY + "<div style='height:5000000px'>", (50, 50), full_page=True)
    assert picture.size == (50, 16_384)


MARKUP = """
<img src='{0}/img'><link rel=stylesheet href='{0}/css'><script src='{0}/js'></script><link rel=preconnect href='{0}'>
<style>@import '{0}/import'; body {{ background: url({0}/background) }} @font-face {{ font-family: x; src: url({0}/font) }}</style>
<p style='font: 9px x'>x</p><iframe src='{0}/frame'></iframe><object data='{0}/object'></object><embed src='{0}/embed'>
<video src='{0}/video' poster='{0}/poster'></video><link rel=prefetch href='{0}/prefetch'><link rel=icon href='{0}/icon'>
<link rel=preload as=image href='{0}/preload'><svg><image href='{0}/svg'/></svg><input type=image src='{0}/input'>
<base href='{0}/'><img src=relative><meta http-equiv=refresh content='0;url={0}/refresh'>
"""
SCRIPTS = """<body><form method=post action={0}/form></form><script>
for (const attempt of [
  () => fetch('{0}/fetch'), () => navigator.sendBeacon('{0}/beacon'), () => {{ new Image().src = '{0}/image' }},
  () => new EventSource('{0}/events'), () => new WebSocket('{0}/socket'.replace('http', 'ws')), () => new Worker('{0}/worker'),
  () => import('{0}/module'), () => open('{0}/popup'), () => document.forms[0].submit(),
]) try {{ attempt() }} catch {{ }}
</script>"""
LOCATION = "<script>location = '{0}/location'</script>"


@pytest.mark.parametrize(
    ("markup", "javascript"), [(MARKUP, True), (SCRIPTS, True), (LOCATION, True), (MARKUP + SCRIPTS + LOCATION, False)]
)
def test_nothing_is_reached(server, markup, javascript):
    address, asked = server
    rendered(BODY + markup.format(address), (100, 100), javascript=javascript, timeout_s=30)  # two of them wait for half of it
    time.sleep(0.05)
    assert asked == []


def test_an_ordinary_browser_would_reach_it(server):
    sync = pytest.importorskip("playwright.sync_api", reason="the browser is driven by Playwright")
    address, asked = server
    with sync.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=rendering._executable(None), args=["--no-sandbox"])
        except sync.Error as error:
            pytest.skip(f"no working Chromium: {error}")
        page = browser.new_page()
        page.set_content(SCRIPTS.format(address))
        page.wait_for_timeout(300)
        browser.close()
    assert {"/fetch", "/image"} <= set(asked)


def test_a_local_file_is_not_shown(tmp_path):
    (tmp_path / "red.html").write_text("<body style='background:red'>")
    Image.new("RGB", (90, 90), "red").save(tmp_path / "red.png")
    uri = tmp_path.as_uri()
    page = f"{BODY}<img src='{uri}/red.png'><iframe src='{uri}/red.html'></iframe><object data='{uri}/red.html'></object>"
    assert RED not in {colour for _, colour in rendered(page, (300, 300)).getcolors(100_000)}


@pytest.mark.parametrize("script", ["while (true);", "setTimeout(() => { while (true); }, 50)"])
def test_a_script_without_end_is_ended(script):
    rendered(BODY, (9, 9))  # skips where there is no browser
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="^the page was not rendered within timeout_s=3 seconds"):
        rendered(f"<script>{script}</script>", (50, 50), javascript=True, full_page=True, timeout_s=3)
    assert time.monotonic() - start < 20


def test_it_works_where_an_event_loop_runs():
    async def notebook():
        return rendered(BODY, (30, 20))

    assert asyncio.run(notebook()).size == (30, 20)


def test_the_browser_gets_nothing_of_the_environment(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "sk-secret")
    assert "SOME_API_KEY" not in rendering._environment() and "PATH" in rendering._environment()


def test_a_browser_that_does_not_start_says_what_to_do(tmp_path):
    pytest.importorskip("playwright", reason="the browser is driven by Playwright")
    with pytest.raises(
        RuntimeError, match=r"false does not start \(.*\); install one .*playwright install chromium.*browser_sandbox=False"
    ):
        render_html("x", (9, 9), executable=shutil.which("false"))


def test_a_browser_that_is_slow_to_start_is_no_missing_one(tmp_path):
    pytest.importorskip("playwright", reason="the browser is driven by Playwright")
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\nexec sleep 60\n")
    browser.chmod(0o755)
    with pytest.raises(TimeoutError, match="^the page was not rendered within timeout_s=1 seconds"):
        render_html("x", (9, 9), executable=str(browser), timeout_s=1)


@pytest.mark.parametrize(("arguments", "options", "error", "says"), [
    ((b"x", (9, 9)), {}, TypeError, "^html must be a str, got bytes"),
    (("x", (0, 9)), {}, ValueError, "^size must be"),
    (("x", (9.5, 9)), {}, ValueError, "^size must be"),
    (("x", 9), {}, ValueError, "^size must be"),
    (("x", (9, 9)), {"timeout_s": 0}, ValueError, "^timeout_s must be"),
    (("x", (9, 9)), {"scale": -1}, ValueError, "^scale must be"),
    (("x", (9000, 9)), {"scale": 2}, ValueError, "^scale must be"),
    (("x", (9, 9)), {"executable": "no-such-browser"}, ValueError, "^executable must be the path of a Chromium or Chrome; got 'no-such-browser'"),
])  # fmt: skip
def test_bad_input_is_named(arguments, options, error, says):
    with pytest.raises(error, match=says):
        render_html(*arguments, **options)


# --- likeness -------------------------------------------------------------------------------------------------------

Y, X = np.mgrid[0:64, 0:96]
WAVES = ((np.sin(X / 5) + np.cos(Y / 7)) * 60 + 128).round()
# By scikit-image 0.26: structural_similarity(..., data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
SSIM = [
    ("the same", WAVES, 1.0),
    ("moved", np.roll(WAVES, 2, 1), 0.9101869959215884),
    ("noise", (WAVES + ((X * 7919 + Y * 104729) % 41 - 20)).clip(0, 255), 0.7613976182097267),
    ("negative", 255 - WAVES, -0.5248581279785007),
    ("flatter", ((WAVES - 128) * 0.5 + 128).round(), 0.7971057027299284),
    ("another", ((X * Y) % 256).astype(float), -0.006777216761735584),
]


@pytest.mark.parametrize(("name", "other", "expected"), SSIM, ids=[name for name, *_ in SSIM])
def test_structure_is_scikit_images_ssim(name, other, expected):
    assert rendering._ssim(WAVES, other) == pytest.approx(expected, abs=1e-9)
    a, b = (Image.fromarray(array.astype(np.uint8)) for array in (WAVES, other))
    assert compare_images(a, b)["structure"] == pytest.approx(expected, abs=0.01)


def bars(*shares, background="white") -> Image.Image:
    """A picture of 100 x 40: bars of these colours and widths on a background."""
    picture, x = Image.new("RGB", (100, 40), background), 0
    for colour, width in shares:
        ImageDraw.Draw(picture).rectangle([x, 0, x + width - 1, 39], fill=colour)
        x += width
    return picture


@pytest.mark.parametrize(("a", "b", "expected", "reason"), [
    (bars(("red", 40)), bars(("red", 40)), 1, "the same"),
    (bars(("red", 40)), bars(("red", 20)), 0.5, "half of it"),
    (bars(("red", 20)), bars(("blue", 20)), 0, "other colours; the background does not count"),
    (bars(("red", 20), ("blue", 20)), bars(("blue", 20), ("red", 20)), 1, "a histogram knows no place"),
    (bars(("red", 20), ("blue", 20)), bars(("red", 20), ("lime", 10)), 20 / 50, "20 of 20 + 20 + 10"),
    (bars(("red", 20)), bars(("red", 20), background="black"), 20 / 100, "another background: white is the commonest of both, black counts"),
    (bars(), bars(), 1, "nothing but background"),
])  # fmt: skip
def test_colours_by_hand(a, b, expected, reason):
    assert compare_images(a, b)["color"] == pytest.approx(expected, abs=0.02), reason


def chart(heights, colour="tab:blue", size=(320, 240)) -> Image.Image:
    colours = {"tab:blue": (31, 119, 180), "tab:orange": (255, 127, 14)}
    picture = Image.new("RGB", size, "white")
    draw, step = ImageDraw.Draw(picture), size[0] // (len(heights) + 1)
    for index, height in enumerate(heights, 1):
        draw.rectangle(
            [index * step - step // 3, size[1] * (1 - height), index * step + step // 3, size[1] - 9], fill=colours[colour]
        )
    return picture


def test_the_more_alike_the_higher():
    original = chart([0.3, 0.8, 0.5])
    others = [
        original,
        chart([0.3, 0.8, 0.52]),
        chart([0.6, 0.4, 0.5]),
        chart([0.3, 0.8, 0.5], "tab:orange"),
        Image.new("RGB", (320, 240), "black"),
    ]
    figures = [compare_images(original, other)["similarity"] for other in others]
    assert figures == sorted(figures, reverse=True) and figures[0] == 1 and figures[-1] < 0.1 and figures[1] > 0.9


def test_sizes_and_order_do_not_matter_but_shape_does():
    small, large = chart([0.3, 0.8, 0.5]), chart([0.3, 0.8, 0.5], size=(1280, 960))
    assert compare_images(small, large)["similarity"] > 0.9
    assert compare_images(small, chart([0.6, 0.2])) == compare_images(chart([0.6, 0.2]), small)
    assert compare_images(small, small.resize((640, 240))) == pytest.approx(
        {"similarity": 0.5, "structure": 1, "color": 1, "shape": 0.5}, abs=0.1
    )


def test_transparent_is_white_and_pictures_are_upright():
    assert compare_images(Image.new("RGBA", (60, 40), (255, 0, 0, 0)), Image.new("L", (60, 40), 255))["similarity"] == 1
    turned = chart([0.9, 0.1]).rotate(90, expand=True)
    turned.getexif()[0x0112] = 6
    assert compare_images(turned, chart([0.9, 0.1]))["similarity"] == 1


@pytest.mark.parametrize(("a", "b"), [((1, 1), (1, 1)), ((3000, 2), (2, 3000)), ((4000, 3000), (5, 5))])
def test_any_size_can_be_compared(a, b):
    found = compare_images(Image.new("RGB", a, "red"), Image.new("RGB", b, "red"))
    assert found["structure"] == found["color"] == 1


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: compare_images("a.png", Image.new("L", (9, 9))), TypeError, "^a must be a PIL picture, got str"),
    (lambda: compare_images(Image.new("L", (9, 9)), None), TypeError, "^b must be a PIL picture"),
    (lambda: compare_images(Image.new("L", (9, 9)), Image.new("L", (0, 9))), ValueError, "^b must be a picture with pixels"),
    (lambda: compare_images(Image.new("L", (9, 9)), Image.new("L", (9, 9)), longest=5), ValueError, "^longest must be"),
])  # fmt: skip
def test_bad_pictures_are_named(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_the_file_can_be_copied_alone(tmp_path):
    shutil.copy(rendering.__file__, tmp_path / "mine.py")
    code = (
        "import sys; sys.path.insert(0, '.'); import mine; from PIL import Image; a = Image.new('L', (20, 20))\n"
        "print(mine.compare_images(a, a)['similarity'], [n for n in sys.modules if n.startswith(('cookbook', 'playwright'))])"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "1.0 []", run.stderr
    assert "cookbook_utils" not in Path(rendering.__file__).read_text(encoding="utf-8")
