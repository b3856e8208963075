"""What the tests share: where the repository is, one browser, and one Hypothesis profile."""

from pathlib import Path

import hypothesis
import pytest
from real_server import vllm_url  # noqa: F401 - a fixture of every test that names it

from cookbook_utils.agents.chromium import Chromium, find_browser

# No deadline: a shared or busy machine is slow, not wrong. Derandomized: a red run can be repeated.
hypothesis.settings.register_profile("cookbooks", deadline=None, derandomize=True)
hypothesis.settings.load_profile("cookbooks")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def chromium():
    """The one browser process of the session; starting it is the slow part."""
    try:
        find_browser()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with Chromium() as browser:
        yield browser
