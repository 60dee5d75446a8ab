"""nnsight as a peer: its default attention (sdpa); eager, which alone returns the pattern, to read everything."""
import torch
from nnsight import TransformersModel

from peer import Peer, eager_attention, flat, never_stop, steering


class Nnsight(Peer):
    def load(self, path):
        self.model = TransformersModel(path, task="text-generation", device_map="cpu", dtype=torch.float32, dispatch=True)
        never_stop(self.model._module.generation_config)

    def eager(self):
        return eager_attention(self.model._module)

    def forward(self, tokens, keep=0):
        with self.model.trace(tokens, use_cache=False, logits_to_keep=keep):
            logits = self.model.lm_head.output.save()
        return logits

    def read_all(self, tokens):
        with self.model.trace(tokens, use_cache=False, output_attentions=True) as tracer:
            cache = tracer.cache(include_inputs=True)
        return [tensor for path in cache.keys() for tensor in flat((cache[path].inputs, cache[path].output))]

    def generate(self, tokens, new):
        with self.model.generate(tokens, max_new_tokens=new, do_sample=False) as tracer:
            out = tracer.result.save()
        return out[:, tokens.shape[1]:]

    def edit(self, tokens, layer, keep):
        vector = steering(self.model.config.hidden_size)
        with self.model.trace(tokens, use_cache=False, logits_to_keep=keep):
            block = self.model.transformer.h[layer]
            block.output = block.output + vector
            logits = self.model.lm_head.output.save()
        return logits


if __name__ == "__main__":
    Nnsight().serve()
