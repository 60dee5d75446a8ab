"""nnsight as a peer: its default attention (sdpa); eager, which alone returns the pattern, to read everything."""
import nnsight
import torch
from nnsight import TransformersModel

from peer import Peer, eager_attention, flat, never_stop, steering

INVOKES = 60  # of a trace of knock-outs


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

    def shape(self):
        return self.model.config.num_hidden_layers, self.model.config.num_attention_heads

    def sweep_residual(self, clean, corrupted, metric):
        with self.model.trace(clean, use_cache=False, logits_to_keep=1):
            saved = nnsight.save([block.input for block in self.model.transformer.h])
            end = metric(self.model.lm_head.output).save()
        values = []
        for block, clean_input in zip(self.model.transformer.h, saved):
            with self.model.trace(use_cache=False, logits_to_keep=1) as tracer:
                found = nnsight.save({})
                for position in range(clean.shape[1]):
                    with tracer.invoke(corrupted):
                        block.input[:, position] = clean_input[:, position]
                        found[position] = metric(self.model.lm_head.output)
            values.append(torch.cat([found[position] for position in range(clean.shape[1])]))
        return torch.stack(values), end, metric(self.forward(corrupted, 1))

    def sweep_heads(self, clean, corrupted, metric):
        heads = self.model.config.num_attention_heads
        size = self.model.config.hidden_size // heads
        with self.model.trace(clean, use_cache=False, logits_to_keep=1):
            saved = nnsight.save([block.attn.c_proj.input for block in self.model.transformer.h])
            end = metric(self.model.lm_head.output).save()
        values = []
        for block, clean_z in zip(self.model.transformer.h, saved):
            with self.model.trace(use_cache=False, logits_to_keep=1) as tracer:
                found = nnsight.save({})
                for head in range(heads):
                    with tracer.invoke(corrupted):
                        units = slice(head * size, (head + 1) * size)
                        block.attn.c_proj.input[:, :, units] = clean_z[:, :, units]
                        found[head] = metric(self.model.lm_head.output)
            values.append(torch.cat([found[head] for head in range(heads)]))
        return torch.stack(values), end, metric(self.forward(corrupted, 1))

    def sweep_residual_plain(self, clean, corrupted, metric):
        return self.sweep_residual_loop(clean, corrupted, metric, keep=0)

    def sweep_residual_loop(self, clean, corrupted, metric, keep=1):
        """One trace a patch."""
        with self.model.trace(clean, use_cache=False, logits_to_keep=1):
            saved = nnsight.save([block.input for block in self.model.transformer.h])
            end = metric(self.model.lm_head.output).save()
        values = []
        for block, clean_input in zip(self.model.transformer.h, saved):
            for position in range(clean.shape[1]):
                with self.model.trace(corrupted, use_cache=False, logits_to_keep=keep):
                    block.input[:, position] = clean_input[:, position]
                    found = metric(self.model.lm_head.output).save()
                values.append(found)
        return torch.cat(values).view(len(saved), -1), end, metric(self.forward(corrupted, 1))

    def sweep_heads_plain(self, clean, corrupted, metric):
        return self.sweep_heads_loop(clean, corrupted, metric, keep=0)

    def sweep_heads_loop(self, clean, corrupted, metric, keep=1):
        """One trace a patch."""
        heads = self.model.config.num_attention_heads
        size = self.model.config.hidden_size // heads
        with self.model.trace(clean, use_cache=False, logits_to_keep=1):
            saved = nnsight.save([block.attn.c_proj.input for block in self.model.transformer.h])
            end = metric(self.model.lm_head.output).save()
        values = []
        for block, clean_z in zip(self.model.transformer.h, saved):
            for head in range(heads):
                units = slice(head * size, (head + 1) * size)
                with self.model.trace(corrupted, use_cache=False, logits_to_keep=keep):
                    block.attn.c_proj.input[:, :, units] = clean_z[:, :, units]
                    found = metric(self.model.lm_head.output).save()
                values.append(found)
        return torch.cat(values).view(len(saved), -1), end, metric(self.forward(corrupted, 1))

    def knock_out(self, clean, cells, metric):
        values = []
        with self.eager():
            for start in range(0, len(cells), INVOKES):
                batch = cells[start:start + INVOKES]
                with self.model.trace(use_cache=False, logits_to_keep=1) as tracer:
                    found = nnsight.save({})
                    for cell, (layer, head, key) in enumerate(batch):
                        with tracer.invoke(clean):
                            attention = self.model.transformer.h[layer].attn.source.attention_interface_1
                            attention.source.attn_weights_1.output[:, head, -1, key] = -torch.inf  # the masked scores
                            found[cell] = metric(self.model.lm_head.output)
                values += [found[cell] for cell in range(len(batch))]
        return torch.cat(values)


if __name__ == "__main__":
    Nnsight().serve()
