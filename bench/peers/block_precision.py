#!/usr/bin/env python3
"""How far bf16 takes one transformer block of full width from exact arithmetic: upstream's way of autocast, diffusers,
and ours, all on the same random weights and inputs.

usage: block_precision.py --dit_once build/cuda/bench/dit_once [--device cuda] [--folder DIR] [--tiny]

Writes a transformer of one layer (A14B's dimensions: 2.5 GB in float32; kept if --folder is given) in the official
layout and prints the relative L2 distance of every result to the reference, which is the model's mathematics in float64.
'upstream' follows the casts that upstream's modules make under autocast to bf16, with float32 weights; 'diffusers
autocast' and 'diffusers bf16' are its WanTransformer3DModel run either way. dit_once is built with -DWAN_BUILD_BENCH=ON.
"""
import argparse
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

import peer

FULL = {"dim": 5120, "num_heads": 40, "ffn_dim": 13824, "text_dim": 4096, "in_dim": 16, "out_dim": 16}
TINY = {"dim": 96, "num_heads": 4, "ffn_dim": 176, "text_dim": 64, "in_dim": 16, "out_dim": 16}
COMMON = {"_class_name": "WanModel", "model_type": "t2v", "num_layers": 1, "freq_dim": 256, "text_len": 512, "eps": 1e-6}
GRID = (1, 60, 104)  # latent: 1,560 tokens
PROMPT_TOKENS = 77
RENAMED = [("self_attn", "attn1"), ("cross_attn", "attn2"), (r"\.([qkv])\.", r".to_\1."), (r"\.o\.", ".to_out.0."),
           ("norm3", "norm2"), (r"ffn\.0", "ffn.net.0.proj"), (r"ffn\.2", "ffn.net.2"), (r"head\.head", "proj_out"),
           (r"(head\.)?modulation", "scale_shift_table"), (r"time_projection\.1", "condition_embedder.time_proj"),
           (r"time_embedding\.0", "condition_embedder.time_embedder.linear_1"),
           (r"time_embedding\.2", "condition_embedder.time_embedder.linear_2"),
           (r"text_embedding\.0", "condition_embedder.text_embedder.linear_1"),
           (r"text_embedding\.2", "condition_embedder.text_embedder.linear_2")]


def random_weights(torch, c):
    """Matrices that keep a signal's size, norms near 1, biases near 0."""
    made, generator = {}, torch.Generator().manual_seed(1)

    def normal(name, shape, deviation, mean=0.0):
        made[name] = torch.randn(shape, generator=generator).mul_(deviation).add_(mean)

    def linear(name, out, inputs, shape=None):
        normal(name + ".weight", shape or (out, inputs), inputs ** -0.5)
        normal(name + ".bias", (out,), 0.02)

    dim, block = c["dim"], "blocks.0."
    linear("patch_embedding", dim, 4 * c["in_dim"], (dim, c["in_dim"], 1, 2, 2))
    linear("text_embedding.0", dim, c["text_dim"])
    linear("text_embedding.2", dim, dim)
    linear("time_embedding.0", dim, c["freq_dim"])
    linear("time_embedding.2", dim, dim)
    linear("time_projection.1", 6 * dim, dim)
    normal(block + "modulation", (1, 6, dim), dim ** -0.5)
    for attention in ("self_attn.", "cross_attn."):
        for part in "qkvo":
            linear(block + attention + part, dim, dim)
        for part in "qk":
            normal(f"{block}{attention}norm_{part}.weight", (dim,), 0.02, 1)
    normal(block + "norm3.weight", (dim,), 0.02, 1)
    normal(block + "norm3.bias", (dim,), 0.02)
    linear(block + "ffn.0", c["ffn_dim"], dim)
    linear(block + "ffn.2", dim, c["ffn_dim"])
    normal("head.modulation", (1, 2, dim), dim ** -0.5)
    linear("head.head", 4 * c["out_dim"], dim)
    return made


class Model:
    """One forward of upstream's model with one layer. Exact: all in float64. Otherwise the casts of upstream's modules
    under autocast: linear layers and attention in bf16, norms, modulation, residual stream, time and head in float32."""

    def __init__(self, torch, weights, config, device, exact):
        self.torch, self.weights, self.c, self.device, self.exact = torch, weights, config, device, exact
        self.wide = torch.float64 if exact else torch.float32

    def w(self, name):
        return self.weights[name].to(self.device, self.wide)

    def linear(self, x, name):
        weight, bias = self.w(name + ".weight").flatten(1), self.w(name + ".bias")
        if not self.exact:
            x, weight, bias = x.bfloat16(), weight.bfloat16(), bias.bfloat16()
        return self.torch.nn.functional.linear(x, weight, bias)

    def wide_linear(self, x, name):
        return self.torch.nn.functional.linear(x, self.w(name + ".weight"), self.w(name + ".bias"))

    def layer_norm(self, x, weight=None, bias=None):
        """The result has the type of x, as upstream's has."""
        y = self.torch.nn.functional.layer_norm(x.to(self.wide), x.shape[-1:], weight, bias, self.c["eps"])
        return y.to(x.dtype)

    def rms_norm(self, x, name):
        y = x.to(self.wide)
        y = y * self.torch.rsqrt((y * y).mean(-1, keepdim=True) + self.c["eps"])
        return y.to(x.dtype) * self.w(name)

    def rope_angles(self, grid):
        """[tokens, head_dim / 2]: frames, rows and columns turn a share of the pairs each."""
        torch, pairs = self.torch, self.c["dim"] // self.c["num_heads"] // 2
        third = pairs // 3
        angles = []
        for axis, count in enumerate((pairs - 2 * third, third, third)):
            speed = 10000.0 ** (-torch.arange(count, dtype=torch.float64) / count)
            shape = [1, 1, 1, count]
            shape[axis] = grid[axis]
            angle = torch.arange(grid[axis], dtype=torch.float64)[:, None] * speed
            angles.append(angle.view(shape).expand(*grid, count))
        return torch.cat(angles, -1).reshape(-1, pairs).to(self.device)

    def rotate(self, x, angles):
        """x [tokens, heads, head_dim]; in float64, as upstream does it."""
        pairs = x.double().unflatten(-1, (-1, 2))
        a, b, cos, sin = pairs[..., 0], pairs[..., 1], angles.cos()[:, None], angles.sin()[:, None]
        return self.torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2).to(self.wide)

    def attention(self, x, states, prefix, angles=None):
        heads = self.c["num_heads"]
        q = self.rms_norm(self.linear(x, prefix + "q"), prefix + "norm_q.weight").unflatten(-1, (heads, -1))
        k = self.rms_norm(self.linear(states, prefix + "k"), prefix + "norm_k.weight").unflatten(-1, (heads, -1))
        v = self.linear(states, prefix + "v").unflatten(-1, (heads, -1))
        if angles is not None:
            q, k = self.rotate(q, angles), self.rotate(k, angles)
        q, k, v = (t.to(v.dtype).transpose(0, 1)[None] for t in (q, k, v))
        y = self.torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return self.linear(y[0].transpose(0, 1).flatten(1), prefix + "o")

    def block(self, x, e, context, angles, p):
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = (self.w(p + "modulation")[0] + e).unbind(0)
        y = self.layer_norm(x).to(self.wide) * (1 + scale) + shift
        x = x + self.attention(y, y, p + "self_attn.", angles) * gate
        y = self.layer_norm(x, self.w(p + "norm3.weight"), self.w(p + "norm3.bias"))
        x = x + self.attention(y, context, p + "cross_attn.")
        y = self.layer_norm(x) * (1 + ffn_scale) + ffn_shift
        y = self.torch.nn.functional.gelu(self.linear(y, p + "ffn.0"), approximate="tanh")
        return x + self.linear(y, p + "ffn.2") * ffn_gate

    def forward(self, latent, context, timestep):
        torch, silu = self.torch, self.torch.nn.functional.silu
        c, f, h, w = latent.shape
        grid = (f, h // 2, w // 2)
        patches = latent.to(self.device, self.wide).view(c, f, h // 2, 2, w // 2, 2).permute(1, 2, 4, 0, 3, 5)
        x = self.linear(patches.reshape(-1, 4 * c), "patch_embedding")

        half = self.c["freq_dim"] // 2
        angle = float(timestep) * 10000.0 ** (-torch.arange(half, dtype=torch.float64, device=self.device) / half)
        e = self.wide_linear(torch.cat((angle.cos(), angle.sin())).to(self.wide), "time_embedding.0")
        e = self.wide_linear(silu(e), "time_embedding.2")
        e0 = self.wide_linear(silu(e), "time_projection.1").view(6, -1)

        text = torch.zeros(self.c["text_len"], context.shape[1], device=self.device, dtype=self.wide)
        text[:len(context)] = context.to(text)
        text = torch.nn.functional.gelu(self.linear(text, "text_embedding.0"), approximate="tanh")
        text = self.linear(text, "text_embedding.2")

        x = self.block(x, e0, text, self.rope_angles(grid), "blocks.0.")
        shift, scale = (self.w("head.modulation")[0] + e).unbind(0)
        y = self.wide_linear(self.layer_norm(x) * (1 + scale) + shift, "head.head")
        y = y.view(*grid, 2, 2, -1).permute(5, 0, 1, 3, 2, 4).reshape(-1, f, h, w)
        return {"velocity": y, "block0.out": x}


def diffusers_model(torch, diffusers, weights, c):
    with torch.device("meta"):
        model = diffusers.WanTransformer3DModel(
            num_attention_heads=c["num_heads"], attention_head_dim=c["dim"] // c["num_heads"], in_channels=c["in_dim"],
            out_channels=c["out_dim"], text_dim=c["text_dim"], freq_dim=c["freq_dim"], ffn_dim=c["ffn_dim"],
            num_layers=1, eps=c["eps"])
    state = {}
    for name, tensor in weights.items():
        for old, new in RENAMED:
            name = re.sub(old, new, name)
        state[name] = tensor
    model.load_state_dict(state, assign=True)
    heads = c["dim"] // c["num_heads"]
    model.rope = type(model.rope)(heads, model.config.patch_size, model.config.rope_max_seq_len)  # has no parameters
    return model.eval().requires_grad_(False)


def run_diffusers(torch, model, inputs, device, dtype, autocast):
    """dtype is what the model's inputs have."""
    found = {}
    hook = model.blocks[0].register_forward_hook(lambda module, args, out: found.update({"block0.out": out[0]}))
    text = torch.zeros(1, 512, inputs["context"].shape[1])
    text[0, :len(inputs["context"])] = inputs["context"]
    with torch.autocast(device, torch.bfloat16, enabled=autocast):
        velocity = model(inputs["latent"][None].to(device, dtype), inputs["timestep"].to(device),
                         text.to(device, dtype), return_dict=False)[0]
    hook.remove()
    return found | {"velocity": velocity[0]}


def peers(torch, diffusers, weights, inputs, config, device):
    """(name, results) of all that run in this process."""
    arguments = (inputs["latent"], inputs["context"], inputs["timestep"])
    yield "reference", Model(torch, weights, config, device, exact=True).forward(*arguments)
    yield "upstream, autocast to bf16", Model(torch, weights, config, device, exact=False).forward(*arguments)
    model = diffusers_model(torch, diffusers, weights, config).to(device)
    yield "diffusers, f32", run_diffusers(torch, model, inputs, device, torch.float32, False)
    yield "diffusers, autocast to bf16", run_diffusers(torch, model, inputs, device, torch.float32, True)
    kept = set(model._keep_in_fp32_modules)  # what from_pretrained(torch_dtype=bfloat16) leaves in float32
    for name, parameter in model.named_parameters():
        if not kept & set(name.split(".")):
            parameter.data = parameter.data.bfloat16()
    yield "diffusers, bf16 weights", run_diffusers(torch, model, inputs, device, torch.bfloat16, False)


def ours(options, folder, dtype):
    from safetensors import safe_open
    out = folder / f"out-{dtype}.safetensors"
    command = [options.dit_once, folder, folder / "input.safetensors", out, options.device, dtype]
    if subprocess.run(list(map(str, command))).returncode != 0:
        sys.exit("dit_once failed")
    with safe_open(out, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        return file.metadata()["device"], tensors


def distance(got, expected):
    got, expected = got.double().cpu().flatten(), expected.double().cpu().flatten()
    return math.sqrt(((got - expected) ** 2).sum() / (expected ** 2).sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dit_once", type=pathlib.Path, required=True)
    parser.add_argument("--device", choices=["cpu", "cuda"])
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--tiny", action="store_true", help="a few channels only: to test this script")
    options = parser.parse_args()
    torch, diffusers = peer.load()
    from safetensors.torch import save_file
    options.device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    config = COMMON | (TINY if options.tiny else FULL)
    grid = (2, 10, 12) if options.tiny else GRID

    weights = random_weights(torch, config)
    generator = torch.Generator().manual_seed(2)
    inputs = {"latent": torch.randn(config["in_dim"], *grid, generator=generator),
              "context": torch.randn(PROMPT_TOKENS, config["text_dim"], generator=generator),
              "timestep": torch.tensor([500.0])}
    with tempfile.TemporaryDirectory() as temporary, torch.inference_mode():
        folder = options.folder or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config, indent=2))
        save_file(weights, folder / "diffusion_pytorch_model.safetensors")
        save_file(inputs, folder / "input.safetensors")
        tokens = math.prod(grid) // 4
        print(f"one block, dim {config['dim']}, {config['num_heads']} heads, {tokens} tokens; relative L2 to float64\n"
              f"{'':<32} {'velocity':>10} {'block':>10}")

        def show(name, results):
            row = [distance(results[key], reference[key]) for key in ("velocity", "block0.out")]
            print(f"{name:<32} {row[0]:>10.3g} {row[1]:>10.3g}", flush=True)

        for name, results in peers(torch, diffusers, weights, inputs, config, options.device):
            if name == "reference":
                reference = {key: value.cpu() for key, value in results.items()}
            else:
                show(name, results)
        for dtype in ("bf16", "f32"):
            device, results = ours(options, folder, dtype)
            show(f"ours, {dtype}", results)
        print(f"device: {device}; torch {torch.__version__}, diffusers {diffusers.__version__}")


if __name__ == "__main__":
    main()
