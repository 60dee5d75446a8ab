"""TransformerLens as a peer: a TransformerBridge, without compatibility mode; its attention is always eager."""
from contextlib import nullcontext

import torch
from transformer_lens.model_bridge import TransformerBridge

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


if __name__ == "__main__":
    TransformerLens().serve()
