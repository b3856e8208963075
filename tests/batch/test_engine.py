"""Weights on a cluster: what vLLM's engine is given, how its tokens are read, and a real run of it on this machine's CPU."""

import json
import os
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest
from PIL import Image
from real_server import need_vllm

from cookbook_utils import load_model
from cookbook_utils.batch import cluster, engine, run_batch
from cookbook_utils.batch.__main__ import main
from cookbook_utils.models import ModelError, vllm_server, weights_of

LOCATE = "Locate every object in the image. Report bbox coordinates in JSON format."


@pytest.fixture(scope="module")
def model() -> engine.EngineModel:
    return engine.EngineModel(*weights_of("tiny"))


@pytest.fixture
def picture(tmp_path) -> str:
    Image.new("RGB", (400, 300), "red").save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


# --- what the engine is given ---------------------------------------------------------------------------------------


def test_a_question_becomes_the_engines_columns(model, picture):
    columns = model.columns({"prompt": "What?", "images": [picture], "system": "Be brief."}, {"max_pixels": 20_000})
    assert columns["prompt"].count("<|image_pad|>") == 1 and columns["prompt"].index("Be brief.") < columns["prompt"].index("What?")
    assert columns["multimodal_data"]["image"][0].size == (400, 300)  # vLLM resizes it, by the budget
    assert columns["mm_processor_kwargs"] == {"images_kwargs": {"size": {"shortest_edge": 16_384, "longest_edge": 20_000}}}


def test_pictures_with_budgets_of_their_own_are_resized_here(model, picture):
    parts = [{"type": "image", "image": picture, "max_pixels": pixels} for pixels in (20_000, 60_000)]
    columns = model.columns({"messages": [{"role": "user", "content": parts}]}, {})
    sizes = [image.size for image in columns["multimodal_data"]["image"]]
    assert [width * height <= pixels for (width, height), pixels in zip(sizes, (20_000, 60_000), strict=True)] == [True, True]
    size = columns["mm_processor_kwargs"]["images_kwargs"]["size"]
    assert (size["shortest_edge"], size["longest_edge"]) == tuple(width * height for width, height in sizes)


def test_frames_come_with_their_times(model, picture):
    columns = model.columns({"prompt": "What happens?", "video": [picture] * 3, "fps": 4}, {})
    ((frames, times),) = columns["multimodal_data"]["video"]
    assert frames.shape == (3, 300, 400, 3) and times["frames_indices"] == [0, 250, 500] and times["do_sample_frames"] is False


@pytest.mark.parametrize(("options", "wanted"), [
    ({}, {"temperature": 0.0, "max_tokens": 512, "stop": [], "seed": None, "skip_special_tokens": False}),  # as the checkpoint says
    ({"max_new_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 4, "seed": 3, "stop": "END"},
     {"max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 4, "seed": 3, "stop": ["END"]}),
    ({"repetition_penalty": 1.1, "presence_penalty": 1.5}, {"repetition_penalty": 1.1, "presence_penalty": 1.5}),
])  # fmt: skip
def test_settings_have_vllms_names(model, options, wanted):
    sampling = model.columns({"prompt": "?"}, options)["sampling_params"]
    assert {name: sampling[name] for name in wanted} == wanted and sampling["stop_token_ids"] == [model.tokenizer.eos_token_id]


def test_tools_are_written_into_the_prompt(model):
    tool = {"type": "function", "function": {"name": "press_key", "parameters": {"type": "object", "properties": {}}}}
    assert '"press_key"' in model.columns({"prompt": "?"}, {"tools": [tool]})["prompt"]


def test_a_picture_that_is_none_is_its_rows_error(model, tmp_path):
    (tmp_path / "b.png").write_text("no picture")
    request = json.dumps({"prompt": "?", "images": [str(tmp_path / "b.png")]})
    row = engine._prepare(model.spec, model.place, {}, {"index": 0, "request": request})
    assert row[engine.FAILED].startswith("ValueError: images[0]: ") and "b.png" in row[engine.FAILED] and "prompt" not in row


# --- how its tokens are read ----------------------------------------------------------------------------------------

CALL = '<tool_call>\n{"name": "zoom", "arguments": {"label": "cat"}}\n</tool_call>'


@pytest.mark.parametrize(("written", "ended", "wanted"), [
    ("two", True, {"text": "two", "finish_reason": "stop"}),
    ("two", False, {"text": "two", "finish_reason": "length"}),
    ("one END two", False, {"text": "one", "finish_reason": "stop"}),  # a stop text
    ("<think>one</think>two", True, {"text": "two", "thinking": "one"}),
    (CALL, True, {"text": CALL, "tool_calls": [{"name": "zoom", "arguments": {"label": "cat"}}]}),
    ("<|box_start|>(1,2)", True, {"text": "<|box_start|>(1,2)"}),  # tokens that others leave out
])  # fmt: skip
def test_the_reply_is_read_from_tokens(model, written, ended, wanted):
    new = model.tokenizer.encode(written, add_special_tokens=False) + [model.tokenizer.eos_token_id] * ended
    row = {"prompt_token_ids": [5, model.config.image_token_id, 7], "generated_tokens": new, "time_taken_llm": 0.5}
    reply = model.answer(row, {"stop": "END"})
    assert {name: reply[name] for name in wanted} == wanted and reply["seconds"] == 0.5
    assert reply["usage"] == {"prompt_tokens": 3, "completion_tokens": len(new), "image_tokens": 1}


# --- where it runs --------------------------------------------------------------------------------------------------


@pytest.fixture
def the_cluster(monkeypatch):
    """A cluster with so many GPUs, and a vLLM for CPUs or for others."""
    import ray

    def has(gpus: int, *, cpu: bool):
        monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0, **({"GPU": float(gpus)} if gpus else {})})
        platforms = ModuleType("vllm.platforms")
        platforms.current_platform = SimpleNamespace(is_cpu=lambda: cpu, device_name="cpu" if cpu else "cuda")
        monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))
        monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)

    return has


def test_on_gpus_each_engine_has_one(model, the_cluster):
    the_cluster(4, cpu=False)
    config, *_ = engine.stages(model, {}, 4, 16, {"max_model_len": 1000})
    assert (config.model_source, config.concurrency, config.placement_group_config) == (model.place, 4, None)
    assert config.engine_kwargs["max_model_len"] == 1000 and config.should_continue_on_error and not config.chat_template_stage


def test_without_gpus_vllm_for_cpus_runs_on_them(model, the_cluster):
    the_cluster(0, cpu=True)
    config, *_ = engine.stages(model, {}, 1, 16, {"max_model_len": 1000})
    assert config.placement_group_config["bundles"] == [{"CPU": 1, "GPU": 0}] and config.runtime_env["env_vars"]["VLLM_TARGET_DEVICE"] == "cpu"
    assert config.engine_kwargs["enforce_eager"] and config.engine_kwargs["max_model_len"] == 1000


def test_without_gpus_vllm_for_gpus_is_refused(model, the_cluster):
    the_cluster(0, cpu=False)
    with pytest.raises(ValueError, match=r"model: tiny names weights, .*vLLM \(cuda\) needs a GPU, .* none \(2 CPUs\).*vllm:http.*chat_batch"):
        engine.stages(model, {}, 1, 16, {})


def test_without_vllm_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)
    assert main([str(tmp_path), str(tmp_path / "out.jsonl"), "--model", "tiny", "--prompt", "?"]) == 2
    assert "vLLM is not installed; pip install 'ray[llm]'" in capsys.readouterr().err and not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"response_format": {"type": "object"}}, TypeError, "unknown generation setting response_format"),  # a server's
    ({"temperature": -1}, ValueError, "temperature must be"),
])  # fmt: skip
def test_settings_are_those_of_weights(monkeypatch, tmp_path, options, error, words):
    monkeypatch.setattr(engine, "check_vllm", lambda spec: None)
    with pytest.raises(error, match=words):
        run_batch(tmp_path, tmp_path / "out.jsonl", "tiny", prompt="?", **options)


def test_engine_arguments_are_not_for_servers(tmp_path):
    with pytest.raises(ValueError, match="engine: dtype is for weights .*vllm:http://127.0.0.1:1/v1 is a server"):
        run_batch(tmp_path, tmp_path / "out.jsonl", "vllm:http://127.0.0.1:1", prompt="?", engine={"dtype": "half"})


def test_an_engine_that_does_not_start_is_said(monkeypatch, tmp_path):
    import ray

    def ends(_dataset):
        raise ray.exceptions.RayError("a stack of calls\n  of many lines\nRuntimeError: Engine core initialization failed")

    monkeypatch.setattr(engine, "check_vllm", lambda spec: None)
    monkeypatch.setattr(cluster, "_connect", lambda ray: None)
    monkeypatch.setattr(cluster, "_stages", lambda *_: (None, None, None))
    monkeypatch.setattr("ray.data.from_items", lambda rows, **_: rows)
    monkeypatch.setattr("ray.data.llm.build_processor", lambda *_, **__: ends)
    (tmp_path / "requests.jsonl").write_text('{"prompt": "?"}')
    with pytest.raises(ModelError, match="Ray ended the run: RuntimeError: Engine core initialization failed; more stands in its logs"):
        run_batch(tmp_path / "requests.jsonl", tmp_path / "out.jsonl", "tiny")
    assert "the run ended before" in (tmp_path / "out.jsonl").read_text()


# --- a real run -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def batch(root, tmp_path_factory) -> SimpleNamespace:
    """A batch of four requests, two of which fail, computed by vLLM in its own environment."""
    need_vllm()
    folder = tmp_path_factory.mktemp("engine")
    for name in ("scene_00.png", "scene_01.png"):
        (folder / name).write_bytes((root / "assets" / "pictures" / name).read_bytes())
    (folder / "broken.png").write_text("no picture")
    parts = [{"type": "image", "image": name, "max_pixels": pixels} for name, pixels in (("scene_00.png", 10_000), ("scene_01.png", 40_000))]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [*parts, {"type": "text", "text": LOCATE}]}]
    entries = [
        {"id": "one", "prompt": LOCATE, "image": "scene_00.png"}, {"id": "broken", "prompt": LOCATE, "image": "broken.png"},
        {"id": "two", "messages": messages}, {"id": "long", "prompt": "word " * 9000},
    ]  # fmt: skip
    source, output = folder / "requests.jsonl", folder / "replies.jsonl"
    source.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    run = _run(root, [str(source), str(output), "--model", "tiny", "--set", "max_new_tokens=40"])
    return SimpleNamespace(source=source, output=output, entries=entries, run=run)


def _run(root, arguments: list[str]) -> subprocess.CompletedProcess:
    """The program in vLLM's environment; again when Ray did not start within its 30 s, which a busy machine may not manage."""
    settings = {**os.environ, **vllm_server.SETTINGS, "PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1"}
    command = [str(vllm_server.interpreter()), "-m", "cookbook_utils.batch", *arguments]
    for _ in range(3):
        run = subprocess.run(command, capture_output=True, text=True, env=settings)
        if "timed out during startup" not in run.stderr:
            break
    return run


def test_every_request_has_its_line_on_vllm(batch):
    assert batch.run.returncode == 1 and "4 inputs: 2 answered" in batch.run.stdout, batch.run.stderr
    lines = [json.loads(line) for line in batch.output.read_text().splitlines()]
    assert [(line["id"], "reply" in line) for line in lines] == [("one", True), ("broken", False), ("two", True), ("long", False)]
    assert lines[1]["error"].startswith("ValueError: images[0]: ") and "8192" in lines[3]["error"]  # vLLM's own: the model's length


def test_the_replies_are_those_of_this_process(batch):
    lines = {line["id"]: line["reply"] for line in map(json.loads, batch.output.read_text().splitlines()) if "reply" in line}
    tiny, folder, question = load_model("tiny"), batch.source.parent, batch.entries[2]["messages"]
    for part in question[1]["content"][:2]:
        part["image"] = str(folder / part["image"])
    own = {"one": tiny.ask(LOCATE, folder / "scene_00.png", max_new_tokens=40), "two": tiny.chat(question, max_new_tokens=40)}
    for name, reply in own.items():
        assert (lines[name]["text"], lines[name]["usage"], lines[name]["finish_reason"]) == (reply.text, reply.usage, reply.finish_reason)


def test_what_is_answered_is_not_asked_again(batch, monkeypatch):
    monkeypatch.setattr(engine, "check_vllm", lambda spec: None)  # no vLLM in this process, and none needed
    batch.source.write_text(json.dumps(batch.entries[0]) + "\n")
    assert run_batch(batch.source, batch.output, "tiny", max_new_tokens=40).before == 1
