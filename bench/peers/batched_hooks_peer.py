"""transformers with hooks written by hand, a layer's patches in one batch."""
import copy
from contextlib import contextmanager

import torch

from transformers_peer import Transformers

ROWS = 90  # of a batch of knock-outs


@contextmanager
def hooked_before(modules, hook):
    handles = [module.register_forward_pre_hook(hook, with_kwargs=True) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class BatchedHooks(Transformers):
    """A layer's patches as the rows of one batch.

    `_narrow`: the hook that patches makes the rows, so that the layers below it run one.
    """

    def shape(self):
        return self.model.config.num_hidden_layers, self.model.config.num_attention_heads

    def sweep_residual(self, clean, corrupted, metric, narrow=False):
        each = torch.arange(clean.shape[1])

        def patch(rows, saved):
            rows[each, each] = saved[0]

        return self.patch(self.model.transformer.h, patch, (clean, corrupted, metric), 1 if narrow else len(each), len(each))

    def sweep_residual_narrow(self, clean, corrupted, metric):
        return self.sweep_residual(clean, corrupted, metric, narrow=True)

    def sweep_heads(self, clean, corrupted, metric, narrow=False):
        each = torch.arange(self.model.config.num_attention_heads)

        def patch(rows, saved):
            by_head = rows.unflatten(2, (len(each), -1))
            by_head[each, :, each] = saved[0].unflatten(1, (len(each), -1)).transpose(0, 1)

        modules = [block.attn.c_proj for block in self.model.transformer.h]
        return self.patch(modules, patch, (clean, corrupted, metric), 1 if narrow else len(each), len(each))

    def sweep_heads_narrow(self, clean, corrupted, metric):
        return self.sweep_heads(clean, corrupted, metric, narrow=True)

    def patch(self, modules, patch, prompts, before, behind):
        """For each of `modules` the metric of `behind` rows whose input to it `patch` changes, having its input in the clean run.

        `before`: how many rows there are in front of it.
        """
        clean, corrupted, metric = prompts
        saved = {}

        def save(module, args, kwargs):
            saved[module] = args[0]

        def change(module, args, kwargs):
            rows = args[0].repeat(behind // before, 1, 1)
            patch(rows, saved[module])
            return (rows, *args[1:]), kwargs

        with hooked_before(modules, save):
            end = metric(self.forward(clean, 1))
        values = []
        for module in modules:
            with hooked_before([module], change):
                values.append(metric(self.forward(corrupted.repeat(before, 1), 1)))
        return torch.stack(values), end, metric(self.forward(corrupted, 1))

    def knock_out(self, clean, cells, metric):
        return self.cut(cells, lambda rows: metric(self.forward(clean, 1)))

    def knock_out_cached(self, clean, cells, metric):
        """Nothing but the last position changes: it alone is run, on keys and values of the others computed once."""
        prompt = self.model(clean[:, :-1], use_cache=True, logits_to_keep=1).past_key_values

        def run(rows):
            past = copy.deepcopy(prompt)
            past.batch_repeat_interleave(rows)
            return metric(self.model(clean[:, -1:].repeat(rows, 1), past_key_values=past, use_cache=True).logits)

        return self.cut(cells, run)

    def cut(self, cells, run):
        """What `run` gives for each of `cells`, a layer's in batches: -inf in the mask that is added to the layer's scores."""
        values = torch.empty(len(cells))
        with self.eager():
            for layer, block in enumerate(self.model.transformer.h):
                here = [place for place, cell in enumerate(cells) if cell[0] == layer]
                for start in range(0, len(here), ROWS):
                    batch = here[start:start + ROWS]
                    _, heads, keys = torch.tensor([cells[place] for place in batch]).T

                    def change(module, args, kwargs):
                        mask = kwargs["attention_mask"].expand(len(batch), module.num_heads, -1, -1).clone()
                        mask[torch.arange(len(batch)), heads, -1, keys] = -torch.inf
                        return args, {**kwargs, "attention_mask": mask}

                    with hooked_before([block.attn], change):
                        values[batch] = run(len(batch))
        return values


if __name__ == "__main__":
    BatchedHooks().serve()
