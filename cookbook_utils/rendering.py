"""Renders a model's HTML to a picture without network, and says how alike two pictures are.

A page is untrusted. It is served from memory under a content policy that lets nothing be loaded, every other request is refused,
names are not resolved and the proxy is a dead end; JavaScript is off unless asked for; Chromium gets nothing of the caller's
environment but what it needs to start, and keeps its own sandbox (not for root, for whom Chromium has none).

`compare_images` is for a result that should look like its original: a chart drawn by generated code, a page out of generated HTML.

Needs NumPy and Pillow; Playwright is imported when a page is rendered. The file can be copied alone.
Sources: Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment", IEEE TIP 13(4), 2004 (SSIM); Swain & Ballard, "Color
indexing", IJCV 7(1), 1991 (histogram intersection); W3C Content Security Policy 3.
"""

import io
import math
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from numbers import Integral, Real
from reprlib import repr as brief

import numpy as np
from PIL import Image, ImageOps

__all__ = ["compare_images", "render_html"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
            "/Applications/Chromium.app/Contents/MacOS/Chromium",
            "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")  # fmt: skip
_ADDRESS = "http://page.test/"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; form-action 'none'; base-uri 'none'"
_NO_NETWORK = ["--proxy-server=http://127.0.0.1:1", "--proxy-bypass-list=<-loopback>", "--host-resolver-rules=MAP * ~NOTFOUND",
               "--force-webrtc-ip-handling-policy=disable_non_proxied_udp", "--disable-background-networking"]  # fmt: skip
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "FONTCONFIG_PATH", "FONTCONFIG_FILE", "XDG_CACHE_HOME")
_LARGEST = 16_384  # pixels of a side: more, Chromium does not draw
_WINDOW, _SIGMA = 11, 1.5  # pixels, of the Gaussian in the paper


def render_html(html, size, *, full_page=False, javascript=False, timeout_s=20, scale=1, executable=None, browser_sandbox=None):
    """Render HTML as a browser window of this size shows it: an RGB picture.

    size: `(width, height)` of the window in CSS pixels; scale: picture pixels for each of them; full_page: as high as the page is,
    up to 16,384 pixels; javascript: run scripts, which still reach nothing; timeout_s: for all of it; executable: of Chromium or
    Chrome, by default the first on the PATH, else Playwright's own; browser_sandbox: None for off only as root, or True, False.
    Works in a notebook too: the browser is driven from a thread of its own.
    Raises TypeError if html is no str, ValueError for a bad option, TimeoutError, RuntimeError if no browser starts; ImportError
    without Playwright.

        render_html("<h1 style='color: navy'>Menu</h1>", (640, 360)).save("menu.png")
    """
    if not isinstance(html, str):
        raise TypeError(f"html must be a str, got {type(html).__name__}")
    good = isinstance(size, Sequence) and len(size) == 2 and all(isinstance(s, Integral) and 0 < s <= _LARGEST for s in size)
    _check(good, "size", f"(width, height) in whole pixels from 1 to {_LARGEST}", size)
    _check(_is_positive(timeout_s), "timeout_s", "a positive number of seconds", timeout_s)
    fits = _is_positive(scale) and max(size) * scale <= _LARGEST
    _check(fits, "scale", f"positive, with sides of at most {_LARGEST} pixels", scale)
    window = {"viewport": {"width": int(size[0]), "height": int(size[1])}, "device_scale_factor": scale}
    command = {"executable_path": _executable(executable), "args": _NO_NETWORK, "env": _environment(),
               "chromium_sandbox": not _is_root() if browser_sandbox is None else browser_sandbox}  # fmt: skip
    with ThreadPoolExecutor(1) as thread:  # in the caller's there may be an event loop, as in Jupyter
        content = thread.submit(_screenshot, html, window, command, full_page, javascript, timeout_s).result()
    return Image.open(io.BytesIO(content)).convert("RGB")


def compare_images(a, b, *, longest=512):
    """Say how alike two pictures are, from 0 to 1: `{"similarity", "structure", "color", "shape"}`; the order does not matter.

    a, b: PIL pictures, made upright, transparent parts white. Both are brought to a common size: the smaller width by the smaller
    height, at most `longest` pixels a side.
    structure: mean SSIM of the grey pictures, negative where one is rather the other's negative. color: what the histograms (8 x 8
    x 8 colours) share of what they have together, without the commonest colour, which is the background. shape: the one's ratio of
    width to height over the other's. similarity: shape * (structure, at least 0, + color) / 2.
    Raises TypeError for other than pictures, ValueError for a bad option or an empty picture.

    >>> compare_images(Image.new("RGB", (80, 60), "red"), Image.new("RGB", (160, 60), "red"))
    {'similarity': 0.5, 'structure': 1.0, 'color': 1.0, 'shape': 0.5}
    """
    _check(isinstance(longest, Integral) and longest >= _WINDOW, "longest", f"a whole number from {_WINDOW} on", longest)
    pictures = [_on_white(picture, name) for name, picture in (("a", a), ("b", b))]
    ratios = [picture.width / picture.height for picture in pictures]
    shared = [min(sides) for sides in zip(pictures[0].size, pictures[1].size, strict=True)]
    shrink = min(1, longest / max(shared))
    size = tuple(max(_WINDOW, round(side * shrink)) for side in shared)
    arrays = [np.asarray(picture.resize(size, Image.Resampling.BOX), float) for picture in pictures]  # (H, W, 3)
    structure, color = _ssim(*(array @ (0.299, 0.587, 0.114) for array in arrays)), _shared_colors(*arrays)
    shape = min(ratios) / max(ratios)
    found = {"similarity": shape * (max(structure, 0) + color) / 2, "structure": structure, "color": color, "shape": shape}
    return {name: round(float(value), 6) for name, value in found.items()}


# --- the browser ----------------------------------------------------------------------------------------------------


def _executable(given):
    """The path of a browser, or None for Playwright's own."""
    found = [shutil.which(name) for name in (BROWSERS if given is None else [os.fspath(given)])]
    _check(given is None or found[0], "executable", "the path of a Chromium or Chrome", given)
    return next(filter(None, found), None)


def _environment():
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


def _is_root():
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _screenshot(html, window, command, full_page, javascript, timeout_s):
    try:
        from playwright import sync_api
    except ImportError as error:
        raise ImportError("rendering HTML needs Playwright: pip install playwright") from error
    end = time.monotonic() + timeout_s

    def left_ms():
        return max(1, (end - time.monotonic()) * 1000)

    try:
        with sync_api.sync_playwright() as playwright:
            browser = _started(playwright, command, left_ms())
            try:
                page = browser.new_page(**window, java_script_enabled=javascript, service_workers="block", accept_downloads=False)
                policy = _POLICY + ("; script-src 'unsafe-inline' 'unsafe-eval'" if javascript else "")
                page.route("**/*", lambda route: _answer(route, html, policy))
                with suppress(sync_api.TimeoutError):  # what is not loaded by then never will be: it was led elsewhere
                    page.goto(_ADDRESS, timeout=left_ms() / 2, wait_until="load")
                # No other call is made to the page: it has no time limit, and the page's scripts may never return.
                clip = {"x": 0, "y": 0, **window["viewport"]}
                clip["height"] = _LARGEST // window["device_scale_factor"] if full_page else clip["height"]
                return page.screenshot(full_page=full_page, clip=clip, timeout=left_ms(), animations="disabled")
            finally:
                browser.close()
    except sync_api.TimeoutError as error:
        raise TimeoutError(f"the page was not rendered within timeout_s={timeout_s:g} seconds") from error
    except sync_api.Error as error:
        raise RuntimeError(f"the page could not be rendered: {str(error)[:300]}") from error


def _answer(route, html, policy):
    if route.request.url == _ADDRESS and route.request.is_navigation_request() and route.request.method == "GET":
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy}
        route.fulfill(body=html, headers=headers)
    else:
        route.abort("aborted")  # so that a page which leads elsewhere stays in place


def _started(playwright, command, timeout_ms):
    from playwright.sync_api import Error, TimeoutError

    try:
        return playwright.chromium.launch(**command, timeout=timeout_ms)
    except TimeoutError:
        raise  # slow, not missing
    except Error as error:
        lines = [line for line in str(error).splitlines() if "<launching>" not in line]
        telling = [line for line in lines if any(word in line for word in ("Executable", "sandbox", "error while"))] or lines
        name = command["executable_path"] or "Playwright's own Chromium"
        raise RuntimeError(
            f"{name} does not start ({telling[0].strip()[:300]}); install one (`python -m playwright install chromium`), pass "
            "executable=, or, if its sandbox is the reason, as in some containers, browser_sandbox=False"
        ) from error


# --- likeness -------------------------------------------------------------------------------------------------------


def _on_white(picture, name):
    if not isinstance(picture, Image.Image):
        raise TypeError(f"{name} must be a PIL picture, got {type(picture).__name__}")
    _check(min(picture.size) > 0, name, "a picture with pixels", picture.size)
    upright = ImageOps.exif_transpose(picture).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")


def _ssim(a, b):
    """Mean structural similarity of two grey pictures (H, W) of 0-255, with the paper's Gaussian window and constants."""
    kernel = np.exp(-((np.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * _SIGMA**2))
    kernel /= kernel.sum()

    def blurred(picture):  # (H, W) -> (H - 10, W - 10): where the window fits
        for axis in (0, 1):
            picture = np.lib.stride_tricks.sliding_window_view(picture, _WINDOW, axis) @ kernel
        return picture

    mean_a, mean_b = blurred(a), blurred(b)
    variances = blurred(a * a) - mean_a**2 + blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return (top / ((mean_a**2 + mean_b**2 + c1) * (variances + c2))).mean()


def _shared_colors(a, b):
    a, b = (np.bincount((array.astype(int) >> 5).reshape(-1, 3) @ (64, 8, 1), minlength=512) for array in (a, b))
    background = (a + b).argmax()
    a[background] = b[background] = 0
    either = np.maximum(a, b).sum()
    return np.minimum(a, b).sum() / either if either else 1.0


def _is_positive(value):
    return isinstance(value, Real) and 0 < value < math.inf


def _check(good, name, expected, value):
    if not good:
        raise ValueError(f"{name} must be {expected}; got {brief(value)}")
