"""From process start to the first activation: prints the first number of the middle layer's output. usage: startup_transformers.py MODEL"""
import sys

import torch
from transformers import AutoModelForCausalLM

torch.set_num_threads(2)
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
found = []
middle = model.transformer.h[model.config.num_hidden_layers // 2]
middle.register_forward_hook(lambda module, inputs, output: found.append(output[0] if isinstance(output, tuple) else output))
with torch.inference_mode():
    model(torch.arange(8)[None], use_cache=False)
print(found[0][0, 0, 0].item())
