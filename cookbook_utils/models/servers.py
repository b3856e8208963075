"""The servers that speak OpenAI's protocol: where each stands, and how it differs from the others, in tables.

    kind        key in the environment   required   the model's name
    vllm        VLLM_API_KEY             no         asked of the server, or `vllm:NAME@URL`
    sglang      SGLANG_API_KEY           no         asked of the server, or `sglang:NAME@URL`
    dashscope   DASHSCOPE_API_KEY        yes        `dashscope:NAME`
    openai      OPENAI_API_KEY           no         `openai:NAME@URL`

DashScope's address, the first that is there: `base_url=` of load_model, DASHSCOPE_BASE_URL, the address of the workspace
(`workspace=`, DASHSCOPE_WORKSPACE_ID) or the public one, each in the region (`region=`, DASHSCOPE_REGION, `cn`). Keys
belong to a region.

Sources: Alibaba Cloud Model Studio, "OpenAI compatible - Chat", "Regions" and "Image and video understanding";
vLLM, "OpenAI-compatible server" and "Sampling parameters"; SGLang, "OpenAI APIs" and "Sampling parameters".
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from . import videos
from .pictures import Limits

# region: (the public address, the zone in the address of a workspace)
REGIONS = {
    "cn": ("https://dashscope.aliyuncs.com/compatible-mode/v1", "cn-beijing"),
    "intl": ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "ap-southeast-1"),
    "us": ("https://dashscope-us.aliyuncs.com/compatible-mode/v1", "us-east-1"),
    "hk": ("https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1", "cn-hongkong"),
    "de": (None, "eu-central-1"),
}
_COMMON = {
    "max_new_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p", "top_k": "top_k",
    "repetition_penalty": "repetition_penalty", "presence_penalty": "presence_penalty", "seed": "seed", "stop": "stop",
    "response_format": "response_format",
}  # fmt: skip
_TEMPLATE = {"enable_thinking": "chat_template_kwargs.enable_thinking"}


@dataclass(frozen=True)
class Server:
    """One kind of server.

    places: where each setting goes in the request's body, a dot between levels; always: fields that every request has.
    no_top_k: what stands for "off"; budgets: where the pixel budget of pictures goes: beside each picture ("part"), once
    for the request ("request"), or nowhere, so that pictures are resized here ("here").
    concurrency: requests under way at once in a batch; tells_models: its model's name can be asked for.
    """

    kind: str
    title: str
    key: str
    key_required: bool = False
    tells_models: bool = False
    concurrency: int = 8
    places: dict = field(default_factory=lambda: dict(_COMMON))
    always: dict = field(default_factory=dict)
    no_top_k: int | None = -1
    budgets: str = "here"
    limits: Limits = field(default_factory=Limits)
    video: Callable = videos.for_others


SERVERS = {
    server.kind: server
    for server in (
        Server(
            "vllm", "vLLM", "VLLM_API_KEY", tells_models=True, concurrency=32, places={**_COMMON, **_TEMPLATE},
            always={"skip_special_tokens": False}, budgets="request", video=videos.for_vllm,
        ),
        Server(
            "sglang", "SGLang", "SGLANG_API_KEY", tells_models=True, concurrency=32, places={**_COMMON, **_TEMPLATE},
            always={"skip_special_tokens": False}, video=videos.for_sglang,
        ),
        Server(
            "dashscope", "DashScope", "DASHSCOPE_API_KEY", key_required=True, no_top_k=None, budgets="part",
            places=_COMMON | {name: name for name in ("enable_thinking", "thinking_budget", "vl_high_resolution_images")},
            limits=Limits(("PNG", "JPEG", "WEBP", "BMP"), encoded=10 * 2**20, shortest_side=11), video=videos.for_dashscope,
        ),
        Server("openai", "the server", "OPENAI_API_KEY"),
    )
}  # fmt: skip


def split_name(text: str) -> tuple[str | None, str]:
    """Name and address of `NAME@URL` or `URL`.

    >>> split_name("Qwen/Qwen3-VL-4B@v2@http://localhost:8000")
    ('Qwen/Qwen3-VL-4B@v2', 'http://localhost:8000')
    """
    start = max(text.find("@http://"), text.find("@https://"))
    return (None, text) if start < 0 else (text[:start].strip() or None, text[start + 1 :])


def api_address(url: str, where: str = "spec", *, always_v1: bool = True) -> str:
    """Check a server's address and complete it with `/v1`.

    always_v1: also after another path, such as that of a proxy; else only where there is no path.
    Raises ValueError for what is no web address, or carries a password or a query, without repeating it.

    >>> api_address("http://localhost:8000/")
    'http://localhost:8000/v1'
    >>> api_address("https://example.com/compatible-mode/v1")
    'https://example.com/compatible-mode/v1'
    """
    parts = urlsplit(url.strip())
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(f"{where}: the address carries a user, a password or a query; keys come from the environment only")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = url.rpartition("@")[2][:100]  # without what may be a password
        raise ValueError(
            f"{where}: expected an address that begins with http:// or https://, such as http://{shown}; got {shown!r}"
        )
    path = parts.path.rstrip("/")
    complete = path.endswith("/v1") or (path and not always_v1)
    return f"{parts.scheme}://{parts.netloc}{path}{'' if complete else '/v1'}"


def dashscope_address(*, region: str | None = None, workspace: str | None = None, base_url: str | None = None) -> str:
    """DashScope's address by the order in this module's head.

    Raises ValueError for an unknown region, or one that needs a workspace.

    >>> dashscope_address(region="intl", workspace="ws-1")
    'https://ws-1.ap-southeast-1.maas.aliyuncs.com/compatible-mode/v1'
    """
    explicit = base_url or (os.environ.get("DASHSCOPE_BASE_URL") if not (region or workspace) else None)
    if explicit:
        return api_address(explicit, "base_url" if base_url else "DASHSCOPE_BASE_URL", always_v1=False)
    chosen = (region or os.environ.get("DASHSCOPE_REGION") or "cn").strip().lower()
    workspace = workspace or os.environ.get("DASHSCOPE_WORKSPACE_ID")
    if chosen not in REGIONS:
        origin = "region" if region else "DASHSCOPE_REGION"
        raise ValueError(f"{origin}: expected one of {', '.join(REGIONS)}, got {chosen!r}; for another give base_url")
    public, zone = REGIONS[chosen]
    if workspace:
        return f"https://{workspace}.{zone}.maas.aliyuncs.com/compatible-mode/v1"
    if public is None:
        raise ValueError(f"region: {chosen!r} has addresses of workspaces only; give workspace, or set DASHSCOPE_WORKSPACE_ID")
    return public


def is_local(address: str) -> bool:
    """Whether an address is this machine's own, of which a proxy knows nothing."""
    return urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")
