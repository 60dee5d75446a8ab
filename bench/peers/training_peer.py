"""transformers and torch as a peer that trains: forward, loss, backward and AdamW, of a Llama in a Hugging Face folder."""
import torch
from safetensors.torch import save_file
from transformers import LlamaForCausalLM

from peer import Peer


class Training(Peer):
    def answer(self, request):
        if request["op"] == "load":
            torch.set_num_threads(request.get("threads", 2))
            return self.timed(self.load, request["model"], request["attention"], request["rate"])[1]
        loss, reply = self.timed(self.step, torch.tensor(request["tokens"]))
        if "save" in request:
            save_file({name: one.grad for name, one in self.model.named_parameters()}, request["save"])
        return {**reply, "value": loss}

    def load(self, path, attention, rate):
        self.model = LlamaForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation=attention).train()
        parameters = list(self.model.parameters())
        groups = [
            {"params": [one for one in parameters if one.ndim > 1], "weight_decay": 0.01},
            {"params": [one for one in parameters if one.ndim == 1], "weight_decay": 0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=rate, fused=True)

    def step(self, tokens):
        self.optimiser.zero_grad()
        loss = self.model(tokens, labels=tokens, use_cache=False).loss
        loss.backward()
        self.optimiser.step()
        return loss.item()


if __name__ == "__main__":
    Training().serve()
