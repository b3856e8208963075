"""Hostile code in the jail, with all walls, with the kernel's alone, with each alone; and what honest code gets out of it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from cookbook_utils import sandbox
from cookbook_utils.sandbox import WALLS, run_python

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the jail is built from POSIX parts")

STACKS = {"all": WALLS, "kernel": ("limits", "landlock", "seccomp"), "hooks": ("limits", "hooks")}
HERE = run_python("pass").walls


def stacked(monkeypatch, walls):
    """Let only these walls stand; skips where this system's kernel has one of them not."""
    absent = [wall for wall in walls if wall not in (*HERE, "hooks")]
    if absent and tuple(walls) != WALLS:
        pytest.skip(f"this kernel has no {', '.join(absent)}")
    monkeypatch.setattr(sandbox, "_BUILT", tuple(walls))


@pytest.fixture(params=STACKS)
def stack(request, monkeypatch):
    stacked(monkeypatch, STACKS[request.param])
    return request.param


@pytest.fixture
def no_walls(monkeypatch):
    monkeypatch.setattr(sandbox, "_BUILT", ("limits",))


@pytest.fixture
def victim():
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def server():
    """A server on loopback: its port, and a list of what reached it."""
    heard, listening = [], socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            heard.append(connection.recv(64))
            connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listening.getsockname()[1], heard
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(5)


# --- hostile code ---------------------------------------------------------------------------------------------------

REFUSED = {
    "reads another file": "print(open('/etc/passwd').read())",
    "reads this file": f"print(open({__file__!r}).read())",
    "lists a folder": "import os; print(os.listdir('/etc'))",
    "reads the caller's environment": "import os; print(open(f'/proc/{os.getppid()}/environ').read())",
    "follows its own link": "import os; os.symlink('/etc/passwd', 'a'); print(open('a').read())",
    "writes outside": "import tempfile, os; open(os.path.join(os.getcwd(), '..', '..', 'escaped'), 'w')",
    "deletes outside": f"import os; os.remove({__file__!r})",
    "renames outside": f"import os; os.rename({__file__!r}, 'mine.py')",
    "changes its own tools": "import json; open(json.__file__, 'a')",
    "opens a socket": "import socket; socket.socket()",
    "opens a local socket": "import socket; socket.socket(socket.AF_UNIX)",
    "asks for a name": "import socket; socket.getaddrinfo('example.org', 80)",
    "fetches a page": "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')",
    "forks": "import os\nwhile True: os.fork()",
    "starts a program": "import subprocess; subprocess.run(['sleep', '0'])",
    "starts a shell": "import os; raise SystemExit('refused' if os.system('exit 0') else 0)",
    "becomes a program": "import os; os.execv('/bin/sh', ['sh', '-c', 'exit 0'])",
    "signals its caller": "import os, signal; os.kill(os.getppid(), signal.SIGCONT)",
    "signals everybody": "import os, signal; os.kill(-1, signal.SIGCONT)",
}


@pytest.mark.parametrize("code", REFUSED.values(), ids=REFUSED)
def test_it_is_refused(stack, code):
    result = run_python(code, timeout_s=30)
    assert not result.ok and result.stopped is None and not result.stdout
    assert re.search(r"PermissionError|Permission denied|not permitted|refused|name resolution|unreachable", result.stderr), (
        result.stderr
    )


RAW = {
    "reads": "fd = libc.open(b'/etc/passwd', 0)",
    "writes": "fd = libc.open(b'/dev/shm/escaped', 0o101, 0o600)",
    "socket": "fd = libc.socket(2, 1, 0)",
    "fork": "fd = libc.fork()",
    "exec": "fd = libc.execv(b'/bin/true', (ctypes.c_char_p * 2)(b'true', None))",
    "kill": "fd = libc.kill(os.getppid(), 18)",
    "raw fork": "fd = libc.syscall({'x86_64': 57, 'aarch64': 220}[os.uname().machine], 17, 0, 0, 0, 0)",
    "clone3": "fd = libc.syscall(435, ctypes.create_string_buffer(64), 64)",
    "ptrace": "fd = libc.ptrace(16, os.getppid(), 0, 0)",
    "priority": "fd = libc.setpriority(0, os.getppid(), 19)",
    "limits of its caller": "fd = libc.prlimit(os.getppid(), 7, (ctypes.c_long * 2)(9, 9), None)",
    "own limits, upwards": "fd = libc.setrlimit(9, (ctypes.c_long * 2)(-1, -1))",
    "user namespace": "fd = libc.unshare(0x10000000)",
    "ring of requests": "fd = libc.syscall(425, 4, ctypes.create_string_buffer(120))",
    "file in memory": "fd = libc.memfd_create(b'a', 0)",
    "shared memory": "fd = libc.shmget(0, 4096, 0o1600)",
}


@pytest.mark.parametrize("call", RAW.values(), ids=RAW)
def test_the_kernel_refuses_c_code_too(monkeypatch, call):
    stacked(monkeypatch, STACKS["kernel"])
    result = run_python(f"import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n{call}\nprint(fd, ctypes.get_errno())")
    value, errno = map(int, result.stdout.split())
    assert value == -1 and errno in (1, 13, 38), "EPERM, EACCES or ENOSYS"


@pytest.mark.parametrize("wall", ["landlock", "namespaces", "seccomp", "hooks"])
def test_each_wall_alone_keeps_the_network_away(monkeypatch, server, wall):
    stacked(monkeypatch, ("limits", wall))
    if wall == "landlock" and tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < (6, 7):
        pytest.skip("this kernel's Landlock knows no network")
    port, heard = server
    run_python(f"import socket; socket.create_connection(('127.0.0.1', {port}), 2).send(b'here')")
    time.sleep(0.1)
    assert heard == []


def test_without_walls_it_would_reach_the_server(no_walls, server):
    port, heard = server
    assert run_python(f"import socket; socket.create_connection(('127.0.0.1', {port}), 2).send(b'here')").ok
    time.sleep(0.1)
    assert heard == [b"here"]


def test_another_process_is_out_of_reach(stack, victim):
    run_python(f"import os, signal; os.kill({victim.pid}, signal.SIGKILL)")
    assert victim.poll() is None


def test_without_walls_it_would_be_killed(no_walls, victim):
    assert run_python(f"import os, signal; os.kill({victim.pid}, signal.SIGKILL)").ok
    assert victim.wait(5) == -signal.SIGKILL


def test_nothing_of_the_callers_environment_is_there(monkeypatch, stack):
    monkeypatch.setenv("SOME_API_KEY", "sk-secret")
    result = run_python("import os; print(dict(os.environ), os.getcwd(), os.path.expanduser('~'))")
    assert result.ok and "secret" not in result.stdout and "SOME_API_KEY" not in result.stdout
    assert str(Path.home()) not in result.stdout or str(Path.home()) == "/"


TOO_FAR = {
    "an endless loop": ("while True: pass", "time"),
    "sleep": ("import time; time.sleep(60)", "time"),
    "a loop that catches everything": ("import time\nwhile True:\n try: time.sleep(1)\n except BaseException: pass", "time"),
    "ignored signals": ("import signal\nfor s in (1, 2, 15, 24): signal.signal(s, signal.SIG_IGN)\nwhile True: pass", "time"),
    "a memory bomb": ("a = []\nwhile True: a.append(bytearray(10**7))", "memory"),
    "one large piece of memory": ("a = bytearray(10**12)", "memory"),
    "endless output": ("while True: print('x' * 10_000)", "output"),
    "endless errors": ("import sys\nwhile True: sys.stderr.write('x' * 10_000)", "output"),
    "many large files": ("for i in range(99): open(f'{i}', 'wb').write(bytes(5_000_000))\nimport time; time.sleep(9)", "disk"),
    "countless files": ("for i in range(10**6): open(f'{i}', 'w')", "disk"),
}


@pytest.mark.parametrize(("code", "why"), TOO_FAR.values(), ids=TOO_FAR)
def test_what_goes_too_far_is_stopped(code, why):
    result = run_python(code, timeout_s=2 if why == "time" else 60, memory_mb=256, disk_mb=20, output_kb=64)
    assert result.stopped == why and not result.ok
    assert result.seconds < 30 and max(len(result.stdout), len(result.stderr)) <= 64 * 1024
    assert sum(map(len, result.files.values())) <= 20 * 2**20


def test_one_file_cannot_grow_beyond_the_disk():
    result = run_python("open('a', 'wb').write(bytes(10**8))", disk_mb=5)
    assert "File too large" in result.stderr and len(result.files.get("a", b"")) <= 5 * 2**20


def test_threads_end_where_the_memory_ends():
    result = run_python(
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()", memory_mb=512
    )
    assert "can't start new thread" in result.stderr


def test_what_it_starts_dies_with_it(no_walls):
    result = run_python("import subprocess; print(subprocess.Popen(['sleep', '60']).pid)", timeout_s=20)
    assert result.seconds < 15 and result.ok, "its child held the output open, and was not waited for"
    deadline = time.monotonic() + 5
    while Path(f"/proc/{result.stdout.strip()}/stat").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(int(result.stdout), 0)


def test_its_folder_goes_whatever_it_left_there(tmp_path):
    tmp_path.chmod(0o750)
    code = f"import os\nos.makedirs('a/b'); open('a/b/c', 'w'); os.symlink({str(tmp_path)!r}, 'out')\nos.chmod('a/b', 0); os.chmod('a', 0); print(os.getcwd())"
    result = run_python(code)
    assert result.ok and not Path(result.stdout.strip()).parent.exists()
    assert tmp_path.stat().st_mode & 0o777 == 0o750, "what a link pointed to is as it was"


def test_links_pipes_and_sparse_files_are_not_collected():
    code = "import os; os.symlink('/etc/hosts', 'link'); open('sparse', 'wb').truncate(2**26); open('sparse2', 'wb').truncate(2**26); open('real', 'w')"
    assert list(run_python(code, disk_mb=100).files) == ["real", "sparse"]


def test_a_wall_that_is_required_and_absent_stops_it_all(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox, "_BUILT", ("limits", "hooks"))
    with pytest.raises(RuntimeError, match="^require: seccomp cannot be put up here, only limits, hooks; nothing was run"):
        run_python(f"open({str(tmp_path / 'run')!r}, 'w')", require=["seccomp", "limits"])
    assert not (tmp_path / "run").exists()
    assert run_python("print(1)", require="limits").ok


@pytest.mark.parametrize(("file", "machine"), [
    ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "x86_64"),
    ("/usr/include/asm-generic/unistd.h", "aarch64"),
])  # fmt: skip
def test_the_numbers_of_the_system_calls_are_the_kernels(file, machine):
    if not Path(file).exists():
        pytest.skip("the kernel's headers are not installed (linux-libc-dev)")
    numbers = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", Path(file).read_text()))
    column = sandbox._MACHINES[machine][0]
    ours = {words[0]: words[column] for words in map(str.split, re.split(r"\s{2,}|\n", sandbox._REFUSED.strip()))}
    assert len(ours) > 75 and {name: number for name, number in ours.items() if numbers.get(name, "-") != number} == {}


# --- honest code ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "out", "error", "returncode"), [
    ("print('ä', 6 * 7)", "ä 42\n", "", 0),
    ("", "", "", 0),
    ("x = = 3", "", "SyntaxError: invalid syntax", 1),
    ("def f():\n    raise ValueError('boom')\nf()", "", "    raise ValueError('boom')\n", 1),
    ("import sys; sys.exit()", "", "", 0),
    ("import sys; sys.exit(3)", "", "", 3),
    ("raise SystemExit('no')", "", "no\n", 1),
    ("import os; print('lost?', flush=True); os._exit(7)", "lost?\n", "", 7),
    ("import os; os.abort()", "", "", -6),
    ("print(input())", "", "EOFError", 1),
    ("if __name__ == '__main__': print('main')", "main\n", "", 0),
    ("import threading; t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()", "thread\n", "", 0),
    ("import asyncio; asyncio.run(asyncio.sleep(0)); print('loop')", "loop\n", "", 0),
    ("import datetime, json, sqlite3, decimal, zoneinfo; print(sqlite3.connect('a.db').execute('select 1').fetchone())", "(1,)\n", "", 0),
])  # fmt: skip
def test_code_runs_as_python_runs_it(code, out, error, returncode):
    result = run_python(code)
    assert (result.stdout, result.returncode, result.stopped) == (out, returncode, None)
    assert error in result.stderr and "sandbox.py" not in result.stderr, "only the code's own lines are shown"


def test_files_go_in_and_come_out():
    code = "import os; print(open('data/in.txt').read()); open('data/in.txt', 'a').write('!'); os.mkdir('new'); open('new/ü.bin', 'wb').write(b'\\0')"
    result = run_python(code, files={"data/in.txt": "hello", "same.bin": b"\1"})
    assert (result.stdout, result.files) == ("hello\n", {"data/in.txt": b"hello!", "new/ü.bin": b"\0"})


def test_a_module_given_as_a_file_can_be_imported():
    assert run_python("import mine; print(mine.x)", files={"mine.py": "x = 5"}).stdout == "5\n"


def test_numpy_computes(stack):
    assert (
        run_python("import numpy as np; print(int((np.ones((200, 200)) @ np.ones((200, 200))).sum()))", timeout_s=60).stdout
        == "8000000\n"
    )


def test_two_runs_know_nothing_of_each_other():
    code = "import os; print(os.listdir('.'), os.listdir(os.environ['TMPDIR']).__len__() < 3); open('a', 'w'); open(os.environ['TMPDIR'] + '/b', 'w')"
    assert run_python(code).stdout == run_python(code).stdout == "[] True\n"


# --- figures --------------------------------------------------------------------------------------------------------

FIGURES = """
import matplotlib.pyplot as plt
fig = plt.figure(figsize=(4, 3), dpi=50, facecolor="red")
plt.figure(figsize=(2, 2), dpi=100)
plt.bar(["a", "b"], [1, 2])
plt.savefig("own.png")
plt.show()
plt.figure()
plt.close()
"""


@pytest.mark.parametrize("walls", STACKS)
def test_open_figures_are_collected(monkeypatch, walls):
    pytest.importorskip("matplotlib", reason="figures are Matplotlib's")
    stacked(monkeypatch, STACKS[walls])
    result = run_python(FIGURES, collect_figures=True, timeout_s=120)
    assert result.ok and not result.stderr, result.stderr
    assert [figure.size for figure in result.figures] == [(200, 150), (200, 200)] and list(result.files) == ["own.png"]
    assert result.figures[0].getpixel((100, 75)) == (255, 0, 0) and len(np.unique(np.asarray(result.figures[1]))) > 50


def test_what_was_drawn_before_an_error_is_collected():
    pytest.importorskip("matplotlib", reason="figures are Matplotlib's")
    result = run_python(FIGURES + "1 / 0", collect_figures=True, timeout_s=120)
    assert len(result.figures) == 2 and result.returncode == 1 and "ZeroDivisionError" in result.stderr


def test_a_forged_figure_is_left_out():
    code = (
        "import os\nfor name, content in (('1.png', b'GIF89a'), ('2.png', b'')): open(f'../figures/{name}', 'wb').write(content)"
    )
    result = run_python(code, collect_figures=True)
    assert result.ok and result.figures == []


# --- arguments, the file alone --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "error", "says"), [
    ({"code": b"x"}, TypeError, "^code must be a str, got bytes"),
    ({"timeout_s": 0}, ValueError, "^timeout_s must be a positive number, got 0"),
    ({"memory_mb": "1"}, ValueError, "^memory_mb must be a positive number"),
    ({"disk_mb": float("inf")}, ValueError, "^disk_mb must be"),
    ({"output_kb": -1}, ValueError, "^output_kb must be"),
    ({"files": ["a"]}, TypeError, "^files must be a dict"),
    ({"files": {"../a": b""}}, ValueError, "^files must have names inside the folder"),
    ({"files": {"/a": b""}}, ValueError, "^files must have names inside the folder"),
    ({"files": {"": b""}}, ValueError, "^files must have names inside the folder"),
    ({"files": {"a": 7}}, TypeError, r"^files\['a'\] must be bytes or text, got int"),
    ({"require": ["moat"]}, ValueError, "^require must be some of limits, namespaces, landlock, seccomp, hooks"),
])  # fmt: skip
def test_bad_input_is_named(options, error, says):
    with pytest.raises(error, match=says):
        run_python(**{"code": "print(1)", **options})


def test_the_file_can_be_copied_alone(tmp_path):
    shutil.copy(sandbox.__file__, tmp_path / "mine.py")
    code = (
        "import sys; sys.path.insert(0, '.'); import mine\n"
        "print(mine.run_python('print(1 + 1)').stdout.strip(), [name for name in sys.modules if name.startswith('cookbook')])"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "2 []", run.stderr
    assert "cookbook_utils" not in Path(sandbox.__file__).read_text(encoding="utf-8")
