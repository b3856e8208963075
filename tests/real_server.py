"""A real vLLM server for the embedded model's first checkpoint, one for a whole test run, whatever the number of workers.

The first test that wants it starts it and waits; it ends with the process that runs the tests, however that ends (see
cookbook_utils/models/loopback.py). Where vLLM cannot run at all the tests are skipped with the reason. Where it only is
not installed they are skipped too, but fail in CI, which has to run them.
"""

import os
import re
import urllib.request
from pathlib import Path

import pytest
from filelock import FileLock

from cookbook_utils.models import TINY_FOLDER, vllm_server
from cookbook_utils.models.loopback import start_server


def pid_of_the_run() -> int:
    """The process that runs the tests: of xdist's workers, their parent."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def need_vllm() -> None:
    """Skip the test, or fail it, where there is no vLLM."""
    if reason := vllm_server.why_not_here():
        pytest.skip(reason)
    if vllm_server.interpreter() is None:
        absent = pytest.fail if os.environ.get("CI") else pytest.skip
        absent(f"no vLLM in {vllm_server.environment()}: python -m cookbook_utils.models.vllm_server --install")


@pytest.fixture(scope="session")
def vllm_url(tmp_path_factory) -> str:
    """The server's address, to `/v1`; the first test that wants it starts it."""
    if running := os.environ.get("COOKBOOK_TEST_VLLM"):
        return running
    need_vllm()
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder  # the run's, not the worker's
    note = folder / "vllm.txt"
    with FileLock(f"{note}.lock"):
        if not note.exists():
            note.write_text(_started(note.with_suffix(".log")))
    url = note.read_text()
    assert url.startswith("http"), url
    return url


def _started(log: Path) -> str:
    """Its address, or why it has none: that is noted too, so that the other workers do not wait for it again."""
    try:
        return start_server("vllm", TINY_FOLDER, while_pid=pid_of_the_run(), log=log).url
    except RuntimeError as error:
        return str(error)


def requests_answered(url: str) -> int:
    """How many requests the server has finished since it began."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url.removesuffix('/v1')}/metrics", timeout=30) as answer:
        counts = re.findall(r"(?m)^vllm:request_success_total\{.*\} (\S+)$", answer.read().decode())
    return int(sum(map(float, counts)))
