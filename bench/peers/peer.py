"""What the peers share: a server of one JSON request per line, and the measures they report."""
import json
import os
import sys
import time
from contextlib import contextmanager

import torch
import transformers.models.gpt2.modeling_gpt2  # noqa: F401 (transformers imports it late: keep that out of `load`)


def memory():
    """Resident memory now, and the most so far, in MB (Linux)."""
    with open("/proc/self/status") as status:
        kb = {line.split(":")[0]: line.split()[1] for line in status if line.startswith(("VmRSS", "VmHWM"))}
    return {"rss_mb": int(kb["VmRSS"]) / 1024, "peak_mb": int(kb["VmHWM"]) / 1024}


def checksum(logits):
    """Sum of the absolute logits of each row's last position: the same for all positions kept or only the last."""
    return logits[:, -1].double().abs().sum().item()


def captured(tensors):
    """How many different activations were captured, and the MB of memory that they hold (shared memory counted once)."""
    tensors = [t for t in tensors if t.is_floating_point()]
    points = {(t.data_ptr(), t.shape) for t in tensors}
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return {"points": len(points), "mb": sum(storages.values()) / 2**20}


def flat(value):
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from flat(item)


def steering(width):
    """The vector that `edit` adds: 0.1, -0.1, 0.1, ... (a constant one would vanish in a LayerNorm)."""
    vector = torch.full((width,), 0.1)
    vector[1::2] *= -1
    return vector


def never_stop(config):
    """Makes no token end a generation."""
    config.eos_token_id = None
    config.pad_token_id = 0


@contextmanager
def eager_attention(model):
    """Has a transformers model use the attention that returns its pattern."""
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation("sdpa")


class Peer:
    """Subclasses have load(dir), forward(tokens, keep), read_all(tokens), generate(tokens, new), edit(tokens, layer, keep),
    and eager(), in which read_all runs.

    `keep` is what transformers calls logits_to_keep: 0 for every position, 1 for the last one.
    """

    def answer(self, request):
        op = request["op"]
        if op == "load":
            torch.set_num_threads(request.get("threads", 2))
            return self.timed(self.load, request["model"])[1]
        tokens = torch.tensor(request["tokens"])
        keep = 1 if request.get("logits", "all") == "last" else 0
        with torch.inference_mode():
            if op == "forward":
                logits, reply = self.timed(self.forward, tokens, keep)
                return {**reply, "checksum": checksum(logits)}
            if op == "edit":
                logits, reply = self.timed(self.edit, tokens, request["layer"], keep)
                return {**reply, "checksum": checksum(logits)}
            if op == "read_all":
                with self.eager():
                    tensors, reply = self.timed(self.read_all, tokens)
                return {**reply, **captured(tensors)}
            if op == "generate":
                new, reply = self.timed(self.generate, tokens, request["new"])
                return {**reply, "tokens": new.tolist()}
        raise ValueError(f"unknown op {op!r}")

    def timed(self, work, *args):
        start = time.perf_counter()
        result = work(*args)
        return result, {"ms": (time.perf_counter() - start) * 1e3, **memory()}

    def serve(self):
        replies = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # whatever a library prints goes to stderr
        for line in sys.stdin:
            try:
                request = json.loads(line)
                if request["op"] == "exit":
                    break
                reply = self.answer(request)
            except Exception as error:
                reply = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(reply), file=replies, flush=True)
