"""Which model a spec names, what is said when there is none, and what is checked before weights are loaded."""

import gc
import importlib
import os
import subprocess
import sys

import pytest
import torch

from cookbook_utils import load_model, models
from cookbook_utils.models import ModelError, weights

GB = 10**9


@pytest.fixture(autouse=True)
def no_setting(monkeypatch):
    for name in ("COOKBOOK_MODEL", "COOKBOOK_CACHE", "COOKBOOK_CACHE_MODE", "DASHSCOPE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_the_argument_goes_before_the_environment_and_that_before_tiny(model, checkpoint, monkeypatch):
    assert load_model() is model
    monkeypatch.setenv("COOKBOOK_MODEL", f"transformers:{checkpoint}")
    other = load_model()
    assert other.spec == f"transformers:{checkpoint}" and load_model("tiny") is model
    assert other.defaults == model.defaults, "a checkpoint that says how to decode is decoded so"


def test_a_model_is_kept_only_as_long_as_it_is_held(model, checkpoint):
    held = load_model(f"transformers:{checkpoint}")
    assert load_model(f"transformers:{checkpoint}") is held
    del held
    gc.collect()
    assert list(models._loaded) == ["tiny"]


@pytest.mark.parametrize(("spec", "error", "words"), [
    ("nonsense", ValueError, r"spec: 'nonsense' is not one of tiny \(.*transformers:NAME_OR_PATH.*openai:NAME@URL"),
    ("Qwen/Qwen3-VL-4B-Instruct", ValueError, r"did you mean transformers:Qwen/Qwen3-VL-4B-Instruct\?"),
    ("transformers:", ValueError, "is not one of"),
    ("tiny:x", ValueError, "is not one of"),
    ("", ValueError, "is not one of"),
    (5, TypeError, "spec: expected a text such as 'tiny', got int"),
    ("vllm:localhost:8000", ValueError, "spec: expected an address that begins with http:// .* such as http://localhost:8000"),
    ("openai:http://localhost:8000", ValueError, "spec: expected openai:NAME@URL"),
    ("sglang:http://me:hidden@host", ValueError, "spec: the address carries a user, a password or a query"),
    ("dashscope:qwen3-vl-plus", ModelError, "DashScope needs a key, and DASHSCOPE_API_KEY is not set"),
    ("transformers:./no-such-folder", FileNotFoundError, r"spec: no such folder: \./no-such-folder"),
])
def test_a_wrong_spec_is_answered_with_the_valid_ones(spec, error, words):
    with pytest.raises(error, match=words):
        load_model(spec)


@pytest.mark.parametrize(("spec", "address", "name"), [
    ("vllm:http://localhost:8000", "http://localhost:8000/v1", None),
    ("vllm:http://localhost:8000/v1/", "http://localhost:8000/v1", None),
    ("sglang:my/model@https://host/proxy", "https://host/proxy/v1", "my/model"),
    ("openai:m@http://localhost:1234", "http://localhost:1234/v1", "m"),
    ("openai:m@https://host/api/openai", "https://host/api/openai", "m"),
])
def test_a_server_is_reached_at_its_address(spec, address, name):
    model = load_model(spec)
    assert (model.address, model._name) == (address, name)
    assert load_model(spec) is model and load_model(spec, timeout_s=5) is not model


def test_options_are_for_servers(model):
    with pytest.raises(TypeError, match="options: seed are for models behind a server; tiny"):
        load_model("tiny", seed=1)
    with pytest.raises(TypeError, match="unknown generation setting sead"):
        load_model("vllm:http://localhost:8000", sead=1)


def test_a_wrong_setting_names_the_variable(monkeypatch):
    monkeypatch.setenv("COOKBOOK_MODEL", "gpt")
    with pytest.raises(ValueError, match="COOKBOOK_MODEL: 'gpt' is not one of"):
        load_model()


def test_a_missing_embedded_checkpoint_says_where_it_should_be(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "TINY_FOLDER", tmp_path)
    monkeypatch.setattr(models, "_loaded", {})
    with pytest.raises(FileNotFoundError, match="embedded checkpoint is not in .*cookbook_utils.tiny.train"):
        load_model("tiny")


def test_tiny_says_once_what_it_knows(caplog):
    models._say_what_tiny_knows.cache_clear()
    for _ in range(2):
        models._say_what_tiny_knows()
    assert [record.message[:40] for record in caplog.records] == ["tiny knows the synthetic pictures of thi"]


def test_importing_models_imports_no_torch():
    code = "import sys, cookbook_utils.models; print([n for n in ('torch', 'transformers', 'openai', 'av') if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False)
    assert run.stdout.strip() == "[]", run.stderr


def test_the_names_of_the_package_lead_here():
    assert importlib.import_module("cookbook_utils").load_model is load_model


# --- weights --------------------------------------------------------------------------------------------------------


def test_parameters_are_counted_from_the_configuration(model):
    assert weights.count_parameters(model.network.config) == model.network.num_parameters()


@pytest.mark.parametrize(("free", "dtype", "words"), [
    (12 * GB, torch.bfloat16, "8B needs 19.7 GiB on cpu .8.8 billion parameters in bfloat16.*free are 11.2 GiB.*fit: 2B, 4B, or"),
    (12 * GB, torch.float32, "needs 39.3 GiB on cpu .*float32.*fit: 2B, or"),
    (1 * GB, torch.bfloat16, "even 2B does not fit; use an API"),
])
def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(monkeypatch, free, dtype, words):
    monkeypatch.setattr(weights, "free_bytes", lambda device: free)
    with pytest.raises(MemoryError, match=words):
        weights.check_memory("8B", 8_800_000_000, dtype, "cpu")


def test_memory_is_checked_before_weights_are_read(checkpoint, monkeypatch):
    monkeypatch.setattr(weights, "free_bytes", lambda device: 1000)
    with pytest.raises(MemoryError, match="free are 0.0 GiB"):
        load_model(f"transformers:{checkpoint}")


@pytest.mark.parametrize(("said", "words"), [
    ("You are trying to access a gated repo.", "it is gated: ask for access at https://huggingface.co/some/name"),
    ("some/name is not a local folder and is not a valid model identifier", "no such repository"),
    ("some/name does not appear to have a file named config.json", "does not appear to have"),
])
def test_why_weights_cannot_be_had_is_said(monkeypatch, said, words):
    from transformers import AutoConfig

    def refuse(name):
        raise OSError(said)

    monkeypatch.setattr(AutoConfig, "from_pretrained", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(OSError, match=f"'some/name' cannot be had: .*{words}.*load_model\\('tiny'\\)"):
        load_model("transformers:some/name")


def test_offline_is_said(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE forbids" in weights.why_unavailable("some/name", OSError("We couldn't connect to"))


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="spec: expected a folder with a checkpoint, but .* has no config.json"):
        load_model(f"transformers:{tmp_path}")


def test_a_checkpoint_without_weights_is_named(checkpoint, tmp_path):
    for path in checkpoint.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(OSError, match=f"the weights of '{tmp_path}' cannot be had: .*safetensors"):
        load_model(f"transformers:{tmp_path}")


@pytest.mark.parametrize(("device", "dtype", "expected"), [("cpu", torch.bfloat16, "sdpa"), ("cuda", torch.float32, "sdpa")])
def test_flash_attention_needs_cuda_and_16_bits(device, dtype, expected):
    assert weights.best_attention(device, dtype) == expected


def test_the_dtype_suits_the_device():
    assert weights.best_dtype("cuda") == torch.bfloat16
    assert weights.best_dtype("cpu") in (torch.bfloat16, torch.float32)
