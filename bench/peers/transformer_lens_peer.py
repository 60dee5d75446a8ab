"""TransformerLens as a peer: a TransformerBridge, without compatibility mode; its attention is always eager."""
from contextlib import nullcontext
from functools import partial

import torch
from transformer_lens import patching
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.utilities import get_act_name

from peer import Peer, steering


class TransformerLens(Peer):
    eager = nullcontext

    def load(self, path):
        self.model = TransformerBridge.boot_transformers(path, device="cpu", dtype=torch.float32)

    def forward(self, tokens, keep=0):
        return self.model(tokens, use_cache=False, logits_to_keep=keep)

    def read_all(self, tokens):
        _, cache = self.model.run_with_cache(tokens, use_cache=False)
        return [value for value in cache.values() if isinstance(value, torch.Tensor)]

    def generate(self, tokens, new):
        out = self.model.generate(tokens, max_new_tokens=new, do_sample=False, stop_at_eos=False, verbose=False)
        return out[:, tokens.shape[1]:]

    def edit(self, tokens, layer, keep):
        vector = steering(self.model.cfg.d_model)
        return self.model.run_with_hooks(
            tokens, fwd_hooks=[(f"blocks.{layer}.hook_resid_post", lambda value, hook: value + vector)],
            use_cache=False, logits_to_keep=keep)

    def shape(self):
        return self.model.cfg.n_layers, self.model.cfg.n_heads

    def sweep_residual(self, clean, corrupted, metric):
        return self.patch(patching.get_act_patch_resid_pre, "resid_pre", clean, corrupted, metric)

    def sweep_heads(self, clean, corrupted, metric):
        return self.patch(patching.get_act_patch_attn_head_out_all_pos, "z", clean, corrupted, metric)

    def patch(self, sweep, point, clean, corrupted, metric):
        names = [get_act_name(point, layer) for layer in range(self.model.cfg.n_layers)]
        logits, cache = self.model.run_with_cache(clean, names_filter=names, use_cache=False, logits_to_keep=1)
        result = sweep(self.model, corrupted, cache, metric, reduce="mean", baseline=True)
        return result.values, metric(logits), result.baseline

    def knock_out(self, clean, cells, metric):
        def cut(scores, hook, head, key):
            scores[:, head, -1, key] = -torch.inf
            return scores

        values = []
        for layer, head, key in cells:
            hook = get_act_name("attn_scores", layer), partial(cut, head=head, key=key)
            values.append(metric(self.model.run_with_hooks(clean, fwd_hooks=[hook], use_cache=False, logits_to_keep=1)))
        return torch.cat(values)


if __name__ == "__main__":
    TransformerLens().serve()
