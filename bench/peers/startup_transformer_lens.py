"""From process start to the first activation: prints the first number of the middle layer's output. usage: startup_transformer_lens.py MODEL"""
import sys

import torch
from transformer_lens.model_bridge import TransformerBridge

torch.set_num_threads(2)
model = TransformerBridge.boot_transformers(sys.argv[1], device="cpu", dtype=torch.float32)
with torch.inference_mode():
    _, cache = model.run_with_cache(torch.arange(8)[None])
print(cache[f"blocks.{model.cfg.n_layers // 2}.hook_resid_post"][0, 0, 0].item())
