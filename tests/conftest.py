"""What the tests share: where the repository is, and one Hypothesis profile."""

from pathlib import Path

import hypothesis
import pytest
from real_server import vllm_url  # noqa: F401 - a fixture of every test that names it

# No deadline: a shared or busy machine is slow, not wrong. Derandomized: a red run can be repeated.
hypothesis.settings.register_profile("cookbooks", deadline=None, derandomize=True)
hypothesis.settings.load_profile("cookbooks")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return Path(__file__).parents[1]
