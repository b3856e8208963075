"""A model server of this machine's own, for as long as it is wanted: vLLM where its environment is, else transformers.

    with start_server() as server:                 # serves the embedded checkpoint
        model = load_model(server.spec)

    python -m cookbook_utils.models.loopback                       # until Ctrl-C; its address is printed
    python -m cookbook_utils.models.loopback transformers --port 8000 --model FOLDER

    kind           what it is                                  limits
    vllm           vLLM on the CPU (models/vllm_server.py)     Linux, x86 with AVX2
    transformers   `transformers serve`                        no video, no `response_format`, requests one by one

The server listens on 127.0.0.1 only. Between it and its starter stands a keeper (this file as a program), which ends the
server when it is told to or when the starter's process is gone, however that ended: no server outlives a killed test
run or notebook. Needs a POSIX system.
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from . import TINY_FOLDER, vllm_server

KINDS = ("vllm", "transformers")
STARTED_IN_S = 600.0  # vLLM takes 1 minute on two free cores, and several times that on busy ones
ENDED_IN_S = 20.0
_LOOK_S = 0.5


@dataclass
class LocalServer:
    """A running server: `url` to `/v1`, `spec` for load_model, `log` the file with all that it says."""

    kind: str
    model: str
    url: str
    log: Path
    keeper: subprocess.Popen

    @property
    def spec(self) -> str:
        """What load_model takes."""
        return f"vllm:{self.url}" if self.kind == "vllm" else f"openai:{self.model}@{self.url}"

    def stop(self) -> None:
        """End the server and wait until it is gone."""
        if self.keeper.poll() is None:
            self.keeper.terminate()
            self.keeper.wait(2 * ENDED_IN_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def best_kind() -> str:
    """`vllm` where its environment is complete, else `transformers`."""
    return "vllm" if vllm_server.interpreter() else "transformers"


def start_server(
    kind: str | None = None, model: str | Path = TINY_FOLDER, *, name: str = "tiny", while_pid: int | None = None,
    log: Path | None = None, timeout_s: float = STARTED_IN_S,
) -> LocalServer:  # fmt: skip
    """Start a server on a free port and give it when it answers.

    kind: one of KINDS, `best_kind()` when None; model: a folder, or a name on the Hugging Face Hub; name: what vLLM calls
    it; while_pid: the process with which the server ends (this one); log: a file for what it says (a temporary one).
    Raises ValueError for another kind, RuntimeError with the end of the log when it does not start.
    """
    kind, port = kind or best_kind(), free_port()
    served = _served(kind, str(model), name)
    command(kind, str(model), name, port)  # what is wrong with it shows here, not in the log
    log = log or Path(tempfile.mkdtemp(prefix="cookbook-server-")) / "server.log"
    options = ["--model", str(model), "--name", name, "--port", str(port), "--while", str(while_pid or os.getpid())]
    with log.open("wb") as file:
        keeper = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, kind, *options], stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, "PYTHONPATH": _import_path()},
        )  # fmt: skip
    server = LocalServer(kind, served, f"http://127.0.0.1:{port}/v1", log, keeper)
    try:
        _wait_for(server, timeout_s)
    except BaseException:
        server.stop()
        raise
    return server


def _import_path() -> str:
    """A PYTHONPATH with which the keeper finds this package, wherever it is started."""
    return os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))


def _served(kind: str, model: str, name: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    return name if kind == "vllm" else model


def command(kind: str, model: str, name: str, port: int) -> tuple[list[str], dict[str, str]]:
    """The server's command and its environment. Raises RuntimeError when what it needs is not installed."""
    if kind == "vllm":
        return vllm_server.command(model, name, port)
    dtype = "float32" if Path(model).resolve().parent == TINY_FOLDER.parent else "auto"  # as load_model("tiny") does
    place = ["--host", "127.0.0.1", "--port", str(port), "--dtype", dtype]
    program = Path(sys.executable).with_name("transformers")
    if not program.is_file():
        raise RuntimeError(f"no program {program}; pip install 'transformers[serving]' brings it")
    return [str(program), "serve", model, *place], dict(os.environ)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str, timeout_s: float = 5.0) -> bool:
    """Whether a server lists its models at an address (to `/v1`)."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy knows nothing of 127.0.0.1
    try:
        with opener.open(f"{url}/models", timeout=timeout_s) as answer:
            return answer.status == 200
    except OSError:
        return False


def _wait_for(server: LocalServer, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not answers(server.url):
        ended = server.keeper.poll() is not None
        if ended or time.monotonic() > end:
            why = "ended" if ended else f"does not answer after {timeout_s:g} s"
            tail = server.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the server ({server.kind}) {why}; its log {server.log} ends with:\n{tail}")
        time.sleep(_LOOK_S)


# --- the keeper -----------------------------------------------------------------------------------------------------


def keep(command: list[str], environment: dict[str, str], while_pid: int | None) -> int:
    """Run a server until it ends, this process is told to end, or process `while_pid` is gone; the server's exit code."""
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        while process.poll() is None and (while_pid is None or alive(while_pid)):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)
    finally:
        end_group(process)
    return process.returncode


def alive(pid: int) -> bool:
    """Whether a process is there, and is not one that has ended and waits for its parent to look."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] if Path("/proc/self").exists() else ""
    except (ProcessLookupError, FileNotFoundError):
        return False
    except PermissionError:
        return True
    return state != "Z"


def end_group(process: subprocess.Popen) -> None:
    """End a process and all that it started: asked first, then made to."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(ENDED_IN_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C, SIGTERM, or the end of a process."""
    parser = argparse.ArgumentParser(prog="python -m cookbook_utils.models.loopback", description=__doc__.splitlines()[0])
    parser.add_argument("kind", nargs="?", choices=KINDS, default=best_kind(), help="default: %(default)s")
    parser.add_argument("--model", default=str(TINY_FOLDER), help="a folder, or a name on the Hugging Face Hub; default: the embedded one")
    parser.add_argument("--name", default="tiny", help="what vLLM calls it; default: %(default)s")
    parser.add_argument("--port", type=int, help="default: a free one")
    parser.add_argument("--while", dest="while_pid", type=int, help="end with this process")
    chosen = parser.parse_args(arguments)
    port = chosen.port or free_port()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"{chosen.kind} serves {chosen.model} at http://127.0.0.1:{port}/v1", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        return keep(*command(chosen.kind, chosen.model, chosen.name, port), chosen.while_pid)
    return 0


if __name__ == "__main__":
    sys.exit(main())
