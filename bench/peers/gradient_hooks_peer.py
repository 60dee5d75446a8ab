"""TransformerLens as a peer that takes gradients by activations: backward hooks on a TransformerBridge."""
from functools import partial

import torch
from safetensors.torch import save_file

from peer import difference
from transformer_lens_peer import TransformerLens

EMBEDDINGS = "embed.hook_out", "pos_embed.hook_out"


class GradientHooks(TransformerLens):
    """Gradients of logit(answer) - logit(wrong) at the last position, by the values at hook points.

    `gradient`: as the tutorials have it, logits at every position, the weights' gradients computed along.
    `gradient_frozen`: the last position's logits only, and no gradients by weights.
    """

    def answer(self, request):
        if request["op"] != "gradient":
            return super().answer(request)
        tokens = torch.tensor(request["tokens"])
        metric = partial(difference, answer=request["answer"], wrong=request["wrong"])
        (value, found), reply = self.timed(self.way("gradient", request), tokens, set(request["hooks"]), metric)
        if "save" in request:
            save_file({name: grad.clone(memory_format=torch.contiguous_format) for name, grad in found.items()}, request["save"])
        return {**reply, "value": value, "points": len(found)}

    def gradient(self, tokens, names, metric, keep=0, fwd_hooks=()):
        found = {}

        def note(grad, hook):
            found[hook.name] = grad

        with self.model.hooks(fwd_hooks=list(fwd_hooks), bwd_hooks=[(names.__contains__, note)]):
            value = metric(self.model(tokens, use_cache=False, logits_to_keep=keep)).sum()
            value.backward()
        self.model.zero_grad()
        return value.item(), found

    def gradient_frozen(self, tokens, names, metric):
        self.model.requires_grad_(False)
        start = [(name, lambda value, hook: value.detach().requires_grad_()) for name in EMBEDDINGS]
        try:
            return self.gradient(tokens, names, metric, 1, start)
        finally:
            self.model.requires_grad_(True)


if __name__ == "__main__":
    GradientHooks().serve()
