"""What this machine can do: `python -m cookbook_utils.doctor`; `--install` adds the system packages that pip cannot bring.

Each check is a function that returns one `Finding`. Checks run side by side and under a deadline, and whatever may hang or
crash a process (an import of torch or Open3D, a browser, a server) runs outside this one, so that the doctor always answers.
Needed for every notebook, and therefore the exit code: torch, transformers and the embedded model. All else is optional.
Only the standard library is imported. Values of keys are never read into a finding, only whether they are set.
"""

import argparse
import ctypes.util
import glob
import http.client
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
DEADLINE_S = 90.0  # for the slowest check; a cold import of torch from a slow disk takes half of it
SERVER_TIMEOUT_S = 1.5

REQUIRED = ("Python", "torch", "transformers", "Embedded model")

# Billions of parameters as published with the weights, vision tower and all experts included.
QWEN3_VL = {"2B": 2.1, "4B": 4.4, "8B": 8.8, "30B-A3B": 31.1, "32B": 33.4, "235B-A22B": 235.7}
BYTES_PER_PARAMETER = 2  # bf16
OVERHEAD = 1.2  # activations and the KV cache of a few pictures

# Finding -> the package that brings it, for each of the managers in turn.
MANAGERS = ("apt-get", "dnf", "brew")
PACKAGES = {
    "Browser": ("chromium", "chromium", "--cask chromium"),
    "Chinese font": ("fonts-noto-cjk", "google-noto-sans-cjk-fonts", "--cask font-noto-sans-cjk"),
    "Emoji font": ("fonts-noto-color-emoji", "google-noto-color-emoji-fonts", "--cask font-noto-color-emoji"),
    "libusb": ("libusb-1.0-0", "libusb1", "libusb"),
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
            "/Applications/Chromium.app/Contents/MacOS/Chromium",
            "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts",
                "/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts")
CHINESE_FONTS = ("*CJK*", "*SourceHan*", "wqy-*", "PingFang*", "STHeiti*", "Hiragino Sans GB*", "DroidSansFallback*")
EMOJI_FONTS = ("NotoColorEmoji*", "Noto-COLRv1*", "Apple Color Emoji*", "Twemoji*")


@dataclass(frozen=True)
class Finding:
    """One line of the table: what was looked at, how it stands (`ok`, `missing` or `info`), in words, and how to mend it.

    >>> Finding("Browser", "missing", "not found").fatal
    False
    """

    what: str
    state: str
    text: str
    required: bool = False
    remedy: str = ""

    @property
    def fatal(self) -> bool:
        """Whether no notebook runs without it."""
        return self.required and self.state == "missing"


Check = Callable[[], Finding | list[Finding]]


def gigabytes_needed(billions: float) -> float:
    """Memory in GB (10^9 bytes) that a model of so many billion parameters takes in bf16: 2 bytes each, and 20 % on top.

    >>> round(gigabytes_needed(8.8), 1)
    21.1
    """
    return billions * BYTES_PER_PARAMETER * OVERHEAD


def models_that_fit(gigabytes: float) -> list[str]:
    """The Qwen3-VL sizes that fit into so much memory in bf16, the smallest first.

    >>> models_that_fit(24)
    ['2B', '4B', '8B']
    """
    return [name for name, billions in QWEN3_VL.items() if gigabytes_needed(billions) <= gigabytes]


# --- what runs outside this process ---------------------------------------------------------------------------------


def _run(command: list[str], timeout_s: float) -> tuple[int, str, str]:
    """Exit code, standard output and standard error; a command that is absent or takes too long has code 127 or 124."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, errors="replace", start_new_session=True)
    except OSError as error:
        return 127, "", str(error)
    try:
        output = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children too: they hold the pipes open
        process.wait()
        return 124, "", f"no answer within {timeout_s:g} s"
    return process.returncode, *output


def _output(command: list[str], timeout_s: float = 10) -> str | None:
    """What the command prints, or None when it is absent, fails or takes too long."""
    code, out, _ = _run(command, timeout_s)
    return out.strip() if code == 0 else None


def _in_python(code: str, timeout_s: float = DEADLINE_S - 10) -> tuple[bool, str]:
    """Runs code in a fresh interpreter: (it worked, the last line it printed or the last line of its error)."""
    status, out, err = _run([sys.executable, "-c", code], timeout_s)
    lines = (err if status else out).strip().splitlines()
    return status == 0, lines[-1] if lines else f"ended with code {status}"


# --- the checks -----------------------------------------------------------------------------------------------------


def check_python() -> Finding:
    """The interpreter; 3.10 is the oldest that works."""
    state = "ok" if sys.version_info >= (3, 10) else "missing"
    text = f"{platform.python_version()}, {sys.executable}"
    return Finding("Python", state, text, required=True, remedy="install Python 3.10 or newer")


_TORCH = """
import json, torch
numbers = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
gpus = [(torch.cuda.get_device_name(i), torch.cuda.get_device_properties(i).total_memory) for i in numbers]
mps = torch.backends.mps.is_available()
print(json.dumps({"version": torch.__version__, "gpus": gpus, "mps": mps}))
"""


def check_torch_and_memory() -> list[Finding]:
    """torch, the device it sees, and the Qwen3-VL sizes that fit the device's memory."""
    worked, answer = _in_python(_TORCH)
    if not worked:
        absent = Finding("torch", "missing", answer, required=True, remedy="pip install -r requirements.txt")
        return [absent, _memory_finding([])]
    torch = json.loads(answer)
    names = [name for name, _ in torch["gpus"]] or (["Apple GPU"] if torch["mps"] else ["CPU"])
    found = Finding("torch", "ok", f"{torch['version']} on {', '.join(names)}", required=True)
    return [found, _memory_finding([size for _, size in torch["gpus"]])]


def _memory_finding(gpu_bytes: list[int]) -> Finding:
    gigabytes = (sum(gpu_bytes) or _ram_bytes()) / 1e9
    fitting = models_that_fit(gigabytes)
    sizes = ", ".join(fitting) or f"none (2B takes {gigabytes_needed(QWEN3_VL['2B']):.0f} GB)"
    kind = "GPU memory" if gpu_bytes else "RAM"
    text = f"{gigabytes:.0f} GB of {kind}; Qwen3-VL in bf16 that fit: {sizes} (2 bytes per parameter + 20 %)"
    return Finding("Memory", "info", text)


def _ram_bytes() -> int:
    """The machine's memory, or the container's limit where that is lower."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
    texts = [path.read_text().strip() for path in limits if path.is_file()]
    return min([installed, *(int(text) for text in texts if text.isdigit())])


def check_transformers() -> Finding:
    """transformers, and whether it knows the Qwen3-VL architecture."""
    worked, answer = _in_python("import transformers, transformers.models.qwen3_vl\nprint(transformers.__version__)")
    if worked:
        return Finding("transformers", "ok", f"{answer}, knows Qwen3-VL", required=True)
    return Finding("transformers", "missing", answer, required=True, remedy="pip install -r requirements.txt")


def check_embedded_model(folder: Path = ROOT / "assets" / "tiny") -> Finding:
    """The checkpoint that the repository carries: its config and its weights, not just a pointer to them."""
    weights = [path for path in folder.glob("*.safetensors") if path.stat().st_size > 10_000]
    if weights and (folder / "config.json").is_file():
        megabytes = sum(path.stat().st_size for path in weights) / 1e6
        return Finding("Embedded model", "ok", f"{megabytes:.1f} MB of weights in {folder}", required=True)
    return Finding("Embedded model", "missing", f"no config.json and weights in {folder}", required=True,
                   remedy="use the package from a full clone, or train it: python -m cookbook_utils.tiny.train")


def check_browser(names: Iterable[str] = BROWSERS) -> Finding:
    """The first Chromium or Chrome that tells its version; the agents act in it."""
    for path in filter(None, map(shutil.which, names)):
        version = _output([path, "--version"])
        if version:
            return Finding("Browser", "ok", f"{version}, {path}")
    return Finding("Browser", "missing", "no working Chromium or Chrome on the PATH; the agent notebooks need one")


def _fonts(patterns: Iterable[str]) -> list[Path]:
    folders = [os.path.expanduser(f"{folder}/**/*.[to]t[fc]") for folder in FONT_FOLDERS]
    files = [Path(file) for folder in folders for file in glob.iglob(folder, recursive=True)]
    return [file for file in files if any(file.match(pattern) for pattern in patterns)]


def _font_finding(what: str, patterns: Iterable[str], without: str) -> Finding:
    fonts = sorted(_fonts(patterns))
    return Finding(what, "ok", fonts[0].name) if fonts else Finding(what, "missing", without)


def check_chinese_font() -> Finding:
    """A font that can draw Chinese labels."""
    return _font_finding("Chinese font", CHINESE_FONTS, "not found; Chinese labels are drawn as boxes")


def check_emoji_font() -> Finding:
    """A colour emoji font, for pages that show emoji in the browser."""
    return _font_finding("Emoji font", EMOJI_FONTS, "not found; emoji on web pages are drawn as boxes")


def check_open3d() -> list[Finding]:
    """Open3D imports only where the system's libusb-1.0 is, which pip does not bring."""
    worked, answer = _in_python("import open3d\nprint(open3d.__version__)")
    if worked:
        return [Finding("Open3D", "ok", answer), Finding("libusb", "ok", "found by Open3D")]
    if ctypes.util.find_library("usb-1.0"):
        usb, remedy = Finding("libusb", "ok", "found"), "pip install -r requirements.txt"
    else:
        usb, remedy = Finding("libusb", "missing", "libusb-1.0 not found; Open3D needs it"), ""
    return [Finding("Open3D", "missing", f"{answer}; only 3D views need it", remedy=remedy), usb]


def check_keys() -> Finding:
    """Which API keys are set: yes or no, never the value."""
    names = ("DASHSCOPE_API_KEY", "OPENAI_API_KEY", "VLLM_API_KEY", "SGLANG_API_KEY")
    states = [f"{name} {'set' if os.environ.get(name) else 'not set'}" for name in names]
    return Finding("API keys", "info", ", ".join(states))


def server_of(spec: str) -> str | None:
    """The server's address in a model spec such as `vllm:URL`, `sglang:URL` or `openai:NAME@URL`; None if it names none.

    >>> server_of("openai:my-model@https://example.com/v1")
    'https://example.com/v1'
    >>> server_of("transformers:Qwen/Qwen3-VL-4B-Instruct")
    """
    start = max(spec.find("http://"), spec.find("https://"))
    return spec[start:] if start >= 0 else None


def check_server(what: str, url: str) -> Finding:
    """Whether an OpenAI-compatible server answers at `url`, and which models it lists."""
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"  # without a password that the URL may carry
    base = url.rstrip("/")
    address = base + ("/models" if base.endswith("/v1") else "/v1/models")
    try:
        return Finding(what, "ok", f"{where} serves {', '.join(_models_at(address)) or 'no model'}")
    except urllib.error.HTTPError as error:
        return Finding(what, "info", f"{where} answers, but not with its models: HTTP {error.code}")
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return Finding(what, "info", f"nothing answers at {where}")


def _models_at(address: str) -> list[str]:
    # A proxy knows nothing of this machine's own ports.
    local = urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({} if local else None))
    with opener.open(address, timeout=SERVER_TIMEOUT_S) as answer:
        return [str(model["id"]) for model in json.loads(_body(answer))["data"]]


def _body(answer: http.client.HTTPResponse) -> bytes:
    """The answer's body; the timeout counts for all of it, where urllib's own counts for each piece."""
    end, pieces = time.monotonic() + SERVER_TIMEOUT_S, []
    while piece := answer.read1(65_536):
        pieces.append(piece)
        if time.monotonic() > end or len(pieces) > 100:
            raise TimeoutError("the answer does not end")
    return b"".join(pieces)


# --- all of them ----------------------------------------------------------------------------------------------------


def all_checks() -> dict[str, Check]:
    """Every check by the name of its (first) finding, in the order of the table."""
    checks = {
        "Python": check_python, "torch": check_torch_and_memory, "transformers": check_transformers,
        "Embedded model": check_embedded_model, "Browser": check_browser, "Chinese font": check_chinese_font,
        "Emoji font": check_emoji_font, "Open3D": check_open3d, "API keys": check_keys,
        "vLLM": lambda: check_server("vLLM", "http://localhost:8000"),
        "SGLang": lambda: check_server("SGLang", "http://localhost:30000"),
    }
    url = server_of(os.environ.get("COOKBOOK_MODEL", ""))
    return checks | ({"COOKBOOK_MODEL": lambda: check_server("COOKBOOK_MODEL", url)} if url else {})


def examine(checks: dict[str, Check] | None = None, *, deadline_s: float = DEADLINE_S) -> list[Finding]:
    """Runs the checks side by side and returns their findings in order; a check that raises or hangs becomes a finding too.

    >>> examine({"Python": check_python})[0].what
    'Python'
    """
    checks = all_checks() if checks is None else checks
    found: dict[str, list[Finding]] = {}
    threads = [threading.Thread(target=_record, args=(found, *item), daemon=True) for item in checks.items()]
    for thread in threads:
        thread.start()
    end = time.monotonic() + deadline_s
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = f"no answer within {deadline_s:g} s"
    return [finding for name in checks for finding in found.get(name) or [_failed(name, late)]]


def _record(found: dict[str, list[Finding]], name: str, check: Check) -> None:
    try:
        result = check()
    except Exception as error:  # a check's own fault is a line in the table, not the end of it
        result = _failed(name, f"{type(error).__name__}: {error}")
    found[name] = result if isinstance(result, list) else [result]


def _failed(name: str, why: str) -> Finding:
    return Finding(name, "missing", f"could not be checked: {why}", required=name in REQUIRED)


# --- installing -----------------------------------------------------------------------------------------------------


def packages_missing(findings: Iterable[Finding], manager: str) -> list[str]:
    """The packages of `manager` (`apt-get`, `dnf` or `brew`) that would bring what the findings miss.

    >>> packages_missing([Finding("Browser", "missing", "")], "dnf")
    ['chromium']
    """
    column = MANAGERS.index(manager)
    return [PACKAGES[f.what][column] for f in findings if f.state == "missing" and f.what in PACKAGES]


def by_hand(findings: list[Finding]) -> list[str]:
    """The commands that install what the findings miss, one per system, for a person to run."""
    brew = " && ".join(f"brew install {package}" for package in packages_missing(findings, "brew"))
    return [
        f"Debian, Ubuntu:  sudo apt-get update && sudo apt-get install -y {' '.join(packages_missing(findings, 'apt-get'))}",
        f"Fedora:          sudo dnf install -y {' '.join(packages_missing(findings, 'dnf'))}",
        f"macOS:           {brew}",
    ]


def _apt_prefix() -> list[str] | None:
    """How to call apt-get here without being asked for a password; None if that cannot be done."""
    if not shutil.which("apt-get"):
        return None
    if os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if _output(["sudo", "-n", "true"]) is not None else None


def install(findings: list[Finding], say: Callable[[str], None]) -> bool:
    """Installs the missing system packages where apt-get may be used; elsewhere says how. True if anything was tried."""
    packages = packages_missing(findings, "apt-get")
    if not packages:
        say("System packages: nothing to install.")
        return False
    prefix = _apt_prefix()
    if prefix is None:
        say("\n".join(["These system packages need a person (no apt-get here, or no right to use it):", *by_hand(findings)]))
        return False
    say(f"System packages: installing {', '.join(packages)} ...")
    _apt(prefix, ["update", "-qq"])
    for package in packages:  # one by one: a system that lacks one of them still gets the others
        if not _apt(prefix, ["install", "-y", "-qq", "--no-install-recommends", package]):
            say(f"  apt-get could not install {package}; what needs it will say so.")
    return True


def _apt(prefix: list[str], arguments: list[str]) -> bool:
    command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120", *arguments]
    return _output(command, timeout_s=900) is not None


# --- the command line -----------------------------------------------------------------------------------------------


def table(findings: list[Finding]) -> str:
    """The findings as aligned lines of text.

    >>> print(table([Finding("Browser", "ok", "Chromium 140"), Finding("torch", "missing", "none", required=True)]))
    ok       Browser  Chromium 140
    MISSING  torch    none
    """
    width = max(len(finding.what) for finding in findings)
    words = {"ok": "ok", "info": "-", "missing": "missing"}
    return "\n".join(f"{'MISSING' if f.fatal else words[f.state]:8} {f.what:{width}}  {f.text}" for f in findings)


def advice(findings: list[Finding]) -> str:
    """The closing words: whether the notebooks can run, and what to do about what is missing."""
    fatal = [finding.what for finding in findings if finding.fatal]
    lines = [f"Not ready: {', '.join(fatal)} missing." if fatal else "Ready: the notebooks can run here."]
    lines += [f"  {finding.what}: {finding.remedy}" for finding in findings if finding.state == "missing" and finding.remedy]
    if packages_missing(findings, "apt-get"):
        lines += ["  System packages: python -m cookbook_utils.doctor --install, or by hand:"]
        lines += [f"    {line}" for line in by_hand(findings)]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Prints the table (or JSON) and returns the exit code: 1 if something that every notebook needs is missing, else 0."""
    parser = argparse.ArgumentParser(prog="python -m cookbook_utils.doctor", description="Says what this machine can do.")
    parser.add_argument("--install", action="store_true", help="install missing system packages (apt-get; root or sudo)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    options = parser.parse_args(arguments)
    progress = sys.stderr if options.json else sys.stdout  # with --json, standard output is JSON alone
    findings = examine()
    if options.install and install(findings, lambda text: print(text, file=progress, flush=True)):
        findings = examine()
    ready = not any(finding.fatal for finding in findings)
    report = {"ready": ready, "findings": [asdict(finding) for finding in findings]}
    print(json.dumps(report, indent=2) if options.json else f"{table(findings)}\n\n{advice(findings)}")
    return 0 if ready else 1


if __name__ == "__main__":
    sys.exit(main())
