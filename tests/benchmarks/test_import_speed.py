"""`import cookbook_utils` in a fresh interpreter, beside the bare start of that interpreter. Target: under 0.2 s in all."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGET_S = 0.2


def start(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.benchmark(group="import")
def test_peer_bare_interpreter(benchmark):
    benchmark.pedantic(start, args=("pass",), rounds=10, warmup_rounds=1)


@pytest.mark.benchmark(group="import")
def test_import_cookbook_utils(benchmark):
    benchmark.pedantic(start, args=("import cookbook_utils",), rounds=10, warmup_rounds=1)
    assert benchmark.stats.stats.min < TARGET_S  # the fastest round: a busy machine only adds to it
