"""transformers as a peer: its default attention (sdpa); eager, which alone returns the pattern, to read everything."""
from contextlib import contextmanager

import torch
from transformers import AutoModelForCausalLM

from peer import Peer, eager_attention, flat, never_stop, steering


@contextmanager
def hooked(modules, hook):
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class Transformers(Peer):
    def load(self, path):
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        never_stop(self.model.generation_config)

    def eager(self):
        return eager_attention(self.model)

    def forward(self, tokens, keep=0):
        return self.model(tokens, use_cache=False, logits_to_keep=keep).logits

    def read_all(self, tokens):
        tensors = []
        with hooked(self.model.modules(), lambda module, inputs, output: tensors.extend(flat((inputs, output)))):
            self.model(tokens, use_cache=False, output_attentions=True)
        return tensors

    def generate(self, tokens, new):
        out = self.model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=new, do_sample=False)
        return out[:, tokens.shape[1]:]

    def edit(self, tokens, layer, keep):
        vector = steering(self.model.config.hidden_size)

        def add(module, inputs, output):
            return (output[0] + vector, *output[1:]) if isinstance(output, tuple) else output + vector

        with hooked([self.model.transformer.h[layer]], add):
            return self.forward(tokens, keep)


if __name__ == "__main__":
    Transformers().serve()
