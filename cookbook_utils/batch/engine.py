"""Ray Data's vLLM engine around weights: Ray spreads the requests, vLLM computes, our own code writes and reads.

Ray's own stages before the engine end the whole job at the first picture that cannot be read, and write no prompt for
a conversation that ends with a tool's answer; what comes out of the engine does not say why a reply ended. So they are
switched off: `EngineModel` writes prompts, resizes pictures and reads the reply's tokens as for a model of this machine
(models/checkpoint.py), and what fails before the engine passes it by as an error, as what fails in it does.

An engine has one GPU of the cluster, or as many as its `tensor_parallel_size` says. Without a GPU it runs on the CPU,
where vLLM's build for CPUs is installed (models/vllm_server.py), which is for trying out and for tests.
"""

import functools
import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

from ..models.checkpoint import Checkpoint
from ..models.messages import question
from ..models.vllm_server import ENGINE, SETTINGS
from ..models.weights import load_processor
from .cluster import FAILED

_INSTEAD = "or name a served model, such as vllm:http://localhost:8000; on one machine model.chat_batch asks it without Ray"
_OWN_STAGES = ("prepare_multimodal_stage", "chat_template_stage", "tokenize_stage", "detokenize_stage")


class EngineModel(Checkpoint):
    """A checkpoint whose weights an engine has.

    spec: what the user asked for; name: folder or repository. Raises OSError when it cannot be had.
    """

    def __init__(self, spec: str, name: str):
        place = str(Path(name).resolve()) if Path(name).is_dir() else name
        super().__init__(place, spec=spec, **load_processor(place))
        self.place = place

    def columns(self, arguments: dict, options: dict) -> dict:
        """A request as Ray's engine takes it; arguments: of `ask` or `chat`. Raises as those do."""
        messages = arguments["messages"] if "messages" in arguments else question(**arguments, media=self._media)
        conversation, settings = self._read(messages, options)
        given, media, kwargs = self._to_processor([conversation]), {}, {}
        if "images" in given:
            media["image"], kwargs["images_kwargs"] = given["images"], given["images_kwargs"]
        if "videos" in given:
            sampled = [{**times, "do_sample_frames": False} for times in given["videos_kwargs"]["video_metadata"]]
            media["video"] = list(zip(given["videos"], sampled, strict=True))
        sampling = sampling_params(settings, self._ends)
        return {"prompt": given["text"][0], "multimodal_data": media, "mm_processor_kwargs": kwargs, "sampling_params": sampling}

    def answer(self, columns: dict, options: dict) -> dict:
        """The reply, as a dict, to what the engine wrote."""
        _, settings = self._split(options)
        prompt, new = list(columns["prompt_token_ids"]), list(columns["generated_tokens"])
        return asdict(self._reply(prompt, new, settings, columns["time_taken_llm"]))


def sampling_params(settings: dict, ends: list[int]) -> dict:
    """Generation settings as vLLM's SamplingParams; ends: the tokens that end a turn.

    >>> sampling_params({"max_new_tokens": 5, "temperature": 0.0, "stop": []}, [2])["max_tokens"]
    5
    """
    named = {("max_tokens" if name == "max_new_tokens" else name): value for name, value in settings.items()}
    return {**named, "stop_token_ids": ends, "skip_special_tokens": False}


def check_vllm(spec: str) -> None:
    """Raise ValueError when vLLM is not installed; it is not imported."""
    if importlib.util.find_spec("vllm") is None:
        raise ValueError(
            f"model: {spec} names weights, with which vLLM computes, and vLLM is not installed; "
            f"pip install 'ray[llm]' on every node that has a GPU, {_INSTEAD}"
        )


def stages(model: EngineModel, options: dict, actors: int, batch_size: int, engine: dict) -> tuple:
    """Ray's configuration of the engine, and what is done with each row before and after it.

    engine: vLLM's own engine arguments. Raises ValueError when the cluster has nothing that it could run on.
    """
    from ray.data.llm import vLLMEngineProcessorConfig

    place, usual = _where(model.spec)
    config = vLLMEngineProcessorConfig(
        model_source=model.place, engine_kwargs={**usual, **engine}, batch_size=batch_size, concurrency=actors,
        should_continue_on_error=True, log_engine_metrics=False, **place, **dict.fromkeys(_OWN_STAGES, False),
    )  # fmt: skip
    known = (model.spec, model.place, options)
    return config, functools.partial(_prepare, *known), functools.partial(_outcome, *known)


def _where(spec: str) -> tuple[dict, dict]:
    """What Ray has to know of the place, and the engine arguments that are usual there."""
    import ray

    if ray.cluster_resources().get("GPU", 0) >= 1:
        return {}, {}
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        return {"placement_group_config": {"bundles": [{"CPU": 1}]}, "runtime_env": {"env_vars": SETTINGS}}, ENGINE
    raise ValueError(
        f"model: {spec} names weights, for which vLLM ({current_platform.device_name}) needs a GPU, and the cluster has none "
        f"({ray.cluster_resources().get('CPU', 0):g} CPUs); bring up a node that has one, {_INSTEAD}"
    )


# --- in Ray's workers -----------------------------------------------------------------------------------------------


class Whole:
    """Stands in every row, so that Arrow takes rows as they are; it would fill dicts up with empty fields to be alike."""


@functools.lru_cache(maxsize=4)
def _model(spec: str, name: str) -> EngineModel:
    """The model, held for as long as the worker lives."""
    return EngineModel(spec, name)


def _prepare(spec: str, name: str, options: dict, row: dict) -> dict:
    try:
        return {"whole": Whole(), **_model(spec, name).columns(json.loads(row["request"]), options)}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this input's outcome and stops no other
        return {"whole": Whole(), FAILED: f"{type(error).__name__}: {error}"}


def _outcome(spec: str, name: str, options: dict, row: dict) -> dict:
    return {"index": row["index"], "answer": json.dumps({"reply": _model(spec, name).answer(row, options)})}
