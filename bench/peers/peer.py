"""What the peers share: a server of one JSON request per line, and the measures they report."""
import json
import os
import random
import sys
import time
from contextlib import contextmanager
from functools import partial
from itertools import product

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


def difference(logits, answer, wrong):
    """logit(answer) - logit(wrong) of each row's last position."""
    return logits[:, -1, answer] - logits[:, -1, wrong]


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


def answered(values, ends):
    """A sweep's values and the metric of its clean and of its corrupted run, for JSON."""
    clean, corrupted = (end.item() for end in ends)
    return {"values": values.tolist(), "clean": clean, "corrupted": corrupted}


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

    Those that sweep have shape(), the numbers of layers and heads; sweep_residual(clean, corrupted, metric) and
    sweep_heads(clean, corrupted, metric), which return the values, the clean run's metric and the corrupted run's;
    knock_out(clean, cells, metric), which returns the value of each (layer, head, key); and perhaps other ways of the same, with a
    suffix that the request's `how` names.
    Their prompts have 1 row, and `metric` gives a number for each row of logits.
    """

    def answer(self, request):
        op = request["op"]
        if op == "load":
            torch.set_num_threads(request.get("threads", 2))
            return self.timed(self.load, request["model"])[1]
        if op.startswith("sweep_"):
            with torch.inference_mode():
                return self.sweep(request)
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

    def sweep(self, request):
        clean, corrupted = (torch.tensor(request[name]).view(1, -1) for name in ("clean", "corrupted"))
        metric = partial(difference, answer=request["answer"], wrong=request["wrong"])
        if request["op"] == "sweep_knockout":
            return self.sweep_knockout(request, clean, corrupted, metric)
        (values, *ends), reply = self.timed(self.way(request["op"], request), clean, corrupted, metric)
        return {**reply, **answered(values, ends)}

    def way(self, name, request):
        """The method of that name, or the other way of doing the same that the request asks for."""
        return getattr(self, f"{name}_{request['how']}" if "how" in request else name)

    def sweep_knockout(self, request, clean, corrupted, metric):
        knock_out = self.way("knock_out", request)
        shape = *self.shape(), clean.shape[1]
        cells = list(product(*map(range, shape)))
        if "limit" in request:
            random.Random(0).shuffle(cells)
        some = cells[:request.get("limit")]
        ends, uncut = self.timed(lambda: [metric(self.forward(tokens, 1)) for tokens in (clean, corrupted)])
        values, cut = self.timed(knock_out, clean, some, metric)
        reply = {**cut, "ms": uncut["ms"] + cut["ms"]}
        if "limit" not in request:
            return {**reply, **answered(values.view(shape), ends)}
        whole = uncut["ms"] + cut["ms"] * len(cells) / len(some)
        return {**reply, **answered(values, ends), "extrapolated_ms": whole, "cells": some}

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
