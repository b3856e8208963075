"""The system's Chromium in a thread of its own, shared by any number of environments.

Playwright's synchronous calls must all come from one thread that runs no event loop; a notebook's main thread runs one.
So everything that touches the browser goes through `Chromium.call`. It is also the watchdog: a page that spins for ever
answers no call at all, so after a deadline the browser is killed, and the call ends with `BrowserGone`.

Needs the `playwright` package, without the browsers that it could download, and Chromium or Chrome on the PATH; both are
looked for when the browser is first used.
"""

import logging
import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from contextlib import suppress

from ..doctor import BROWSERS

__all__ = ["BrowserGone", "Chromium", "find_browser"]

_SWITCHES = (
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",  # media streams would go round the proxy that guards the way out
    "--disable-dev-shm-usage",
)
_END_S = 15


class BrowserGone(RuntimeError):
    """The browser, or the page that was spoken to, is no longer there."""


def find_browser() -> str:
    """The path of the first Chromium or Chrome of this machine.

    Raises FileNotFoundError that says how to get one.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        raise FileNotFoundError("no Chromium or Chrome on the PATH; python -m cookbook_utils.doctor --install brings one")
    return found


class Chromium:
    """One headless browser process; environments open contexts of their own in it.

    executable: path of the browser, by default `find_browser()`. It starts with the first context, and again after it
    was lost. Usable as a context manager.
    """

    def __init__(self, executable: str | None = None):
        self._executable = executable
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chromium")
        self._playwright = self._browser = None
        self.process_id: int | None = None

    def call(self, work: Callable, *arguments, timeout_s: float = 60):
        """Run `work` in the browser's thread and return what it returns; past the deadline kill the browser."""
        future = self._thread.submit(work, *arguments)
        try:
            return future.result(timeout_s)
        except Late:
            if future.done():  # the work itself raised a TimeoutError
                raise
        self.kill()
        with suppress(Exception):  # whatever the call ends with: it came too late
            future.result(_END_S)
        raise BrowserGone(f"the browser did not answer within {timeout_s:g} s and was stopped")

    def new_context(self, **options):
        """A fresh browser context with Playwright's options; to be called in the browser's thread."""
        if not self.alive:
            self._launch()
        return self._browser.new_context(**options)

    @property
    def alive(self) -> bool:
        """Whether the browser process is there."""
        return self._browser is not None and self._browser.is_connected()

    def kill(self) -> None:
        """End the browser process at once, from any thread."""
        if self.process_id is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process_id, getattr(signal, "SIGKILL", signal.SIGTERM))
            self.process_id = None

    def close(self) -> None:
        """Close the browser; a second call does nothing."""
        with suppress(RuntimeError, BrowserGone):  # RuntimeError: the thread has ended already
            self.call(self._quit, timeout_s=_END_S)
        self._thread.shutdown(wait=False)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _launch(self) -> None:
        from playwright.sync_api import sync_playwright

        path = self._executable or find_browser()
        if self._playwright is None:
            self._playwright = sync_playwright().start()
        root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium's sandbox does not work for root
        self._browser = self._start(path, sandbox=not root)
        session = self._browser.new_browser_cdp_session()
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        self.process_id = next(process["id"] for process in processes if process["type"] == "browser")
        session.detach()

    def _start(self, path: str, sandbox: bool):
        from playwright.sync_api import Error

        options = {"executable_path": path, "args": list(_SWITCHES), "chromium_sandbox": sandbox}
        try:
            return self._playwright.chromium.launch(**options)
        except Error:
            if not sandbox:
                raise
        logging.getLogger(__name__).warning("Chromium does not start with its sandbox here (no user namespaces?): without it")
        return self._playwright.chromium.launch(**{**options, "chromium_sandbox": False})

    def _quit(self) -> None:
        for end in (self._browser and self._browser.close, self._playwright and self._playwright.stop):
            if end:
                with suppress(Exception):  # what is lost already needs no closing
                    end()
        self._playwright = self._browser = self.process_id = None
