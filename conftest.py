"""Settings that must stand before any test or notebook kernel starts; kernels inherit this process's environment.

They live here, not in tests/, so that `pytest cookbooks/one.ipynb` has them too.
"""

import os
from pathlib import Path


def _share_the_cores() -> None:
    """Gives each xdist worker its share of the cores: unlimited, every kernel would start one thread per core."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0))
    if workers:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))


_share_the_cores()
# This checkout is tested, whatever copy of the package the environment may have installed.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
# In a virtual environment, its own `python3` kernel goes before one that the user registered.
os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
# Nothing here may need a download; a real model is asked for by name (COOKBOOK_MODEL).
if "COOKBOOK_MODEL" not in os.environ:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
