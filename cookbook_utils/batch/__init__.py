"""Many requests on more than one machine: a folder of pictures or a file of requests through Ray Data.

    python -m cookbook_utils.batch pictures/ replies.jsonl --model vllm:http://localhost:8000 --prompt "What is this?"
    python -m cookbook_utils.batch requests.jsonl replies.jsonl --model dashscope:qwen3-vl-plus --set max_new_tokens=200
    python -m cookbook_utils.batch requests.jsonl replies.jsonl --model transformers:Qwen/Qwen3-VL-8B-Instruct --actors 4

The last has no server: Ray loads the weights into vLLM's engine on each of 4 GPUs of the cluster. For that `vllm` has to be
installed there (`pip install 'ray[llm]'`), in the environment that this package is in.

Every input has exactly one line in the output, with its reply or with what went wrong. The same command again asks only
for what has no reply yet, so that an interrupted run goes on and failed requests get another try.

    requests.py    what the inputs are, and how each is known again
    results.py     the output file
    cluster.py     the run, and Ray Data's HTTP processor around a model behind a server
    engine.py      Ray Data's vLLM engine around weights, on GPUs

For one machine `model.chat_batch` does the same without Ray. `ray` is imported when a batch runs; it uses the cluster in
RAY_ADDRESS where that is set (with RAY_AUTH_MODE=token for one that `ray start` gave a token), else it starts one on this
machine. On a cluster every node needs this package, the pictures under the same path (or as URLs), and the server's key in
its environment or the weights' folder under the same path (or their name on the Hugging Face Hub).
"""

from .cluster import run_batch
from .requests import read_requests
from .results import Summary

__all__ = ["Summary", "read_requests", "run_batch"]
