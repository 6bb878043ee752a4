#!/usr/bin/env python3
"""Writes a checkpoint folder in the official layout with random transformers of any size, to time loading with
`wan bench --what load`. Text encoder, VAE, tokenizer and channels are those of a small checkpoint.

usage: tools/make_big_checkpoint.py FOLDER [--layers 4] [--dim 5120] [--ffn 13824] [--heads 40] [--dtype f32|bf16]
                                    [--shard_gb 5] [--same_experts] [--official_vae] [--parts tests/golden/tiny/Wan2.2-T2V-A14B]

A layer of A14B's width is 1.4 GB in float32 for each of the two experts; with --same_experts the second one is a link to
the first. Needs nothing but Python; the same random megabytes are written again and again, so that a few GB take seconds.
With --official_vae the VAE has upstream's dimensions, which needs PyTorch.
"""
import argparse
import json
import math
import os
import pathlib
import shutil
import struct
import sys

TINY = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "tiny" / "Wan2.2-T2V-A14B"
TYPES = {"f32": ("F32", 4), "bf16": ("BF16", 2)}
PERIOD = (1 << 23) + 8  # bytes until the values repeat; not a multiple of a row


def linear(name, out, inputs):
    yield name + ".weight", (out, inputs)
    yield name + ".bias", (out,)


def attention(name, dim):
    for part in "qkvo":
        yield from linear(name + part, dim, dim)
    for part in "qk":
        yield f"{name}norm_{part}.weight", (dim,)


def tensors(c):
    """(name, shape) of upstream's WanModel."""
    dim, ffn = c["dim"], c["ffn_dim"]
    yield "patch_embedding.weight", (dim, c["in_dim"], 1, 2, 2)
    yield "patch_embedding.bias", (dim,)
    yield from linear("text_embedding.0", dim, c["text_dim"])
    yield from linear("text_embedding.2", dim, dim)
    yield from linear("time_embedding.0", dim, c["freq_dim"])
    yield from linear("time_embedding.2", dim, dim)
    yield from linear("time_projection.1", 6 * dim, dim)
    for i in range(c["num_layers"]):
        block = f"blocks.{i}."
        yield block + "modulation", (1, 6, dim)
        yield from attention(block + "self_attn.", dim)
        yield from attention(block + "cross_attn.", dim)
        yield block + "norm3.weight", (dim,)
        yield block + "norm3.bias", (dim,)
        yield from linear(block + "ffn.0", ffn, dim)
        yield from linear(block + "ffn.2", dim, ffn)
    yield "head.modulation", (1, 2, dim)
    yield from linear("head.head", 4 * c["out_dim"], dim)


def pattern(dtype):
    """Values of both signs between 2^-6 and 2^-5."""
    random = bytearray(os.urandom(PERIOD))
    _, size = TYPES[dtype]
    random[size - 1::size] = bytes(0x3C | b & 0x80 for b in random[size - 1::size])
    random[size - 2::size] = bytes(0x80 | b & 0x7F for b in random[size - 2::size])
    return memoryview(bytes(random))


def shards(entries, size, limit):
    """Lists of entries of at most `limit` bytes each, one entry at least."""
    shard, used = [], 0
    for name, shape in entries:
        nbytes = math.prod(shape) * size
        if shard and used + nbytes > limit:
            yield shard
            shard, used = [], 0
        shard.append((name, shape, nbytes))
        used += nbytes
    yield shard


def write_shard(path, shard, dtype, values):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, nbytes in shard:
        header[name] = {"dtype": TYPES[dtype][0], "shape": shape, "data_offsets": [at, at + nbytes]}
        at += nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        left = at
        while left > 0:
            left -= out.write(values[:min(left, len(values))])


def write_transformer(folder, config, dtype, limit, values):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    parts = list(shards(tensors(config), TYPES[dtype][1], limit))
    stem, where = "diffusion_pytorch_model", {}
    for k, shard in enumerate(parts, 1):
        name = f"{stem}-{k:05}-of-{len(parts):05}.safetensors"
        write_shard(folder / name, shard, dtype, values)
        where |= {tensor: name for tensor, _, _ in shard}
    total = sum(nbytes for shard in parts for _, _, nbytes in shard)
    (folder / f"{stem}.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": where}, indent=2))
    return total


def write_vae(folder):
    """In place of the small one, with the official widths."""
    import torch

    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "demo_model"))
    import vae

    torch.manual_seed(0)
    for name, widths in (("Wan2.1_VAE.pth", ("2.1", 96)), ("Wan2.2_VAE.pth", ("2.2", 160, 256))):
        if (folder / name).exists():
            torch.save(vae.Vae(*widths).state_dict(), folder / name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="must not exist")
    for flag, default in (("layers", 4), ("dim", 5120), ("ffn", 13824), ("heads", 40)):
        parser.add_argument(f"--{flag}", type=int, default=default)
    parser.add_argument("--dtype", choices=TYPES, default="f32")
    parser.add_argument("--shard_gb", type=float, default=5)
    parser.add_argument("--same_experts", action="store_true")
    parser.add_argument("--official_vae", action="store_true")
    parser.add_argument("--parts", type=pathlib.Path, default=TINY, help="the small checkpoint")
    a = parser.parse_args()
    values = pattern(a.dtype)
    total, first = 0, None
    a.folder.mkdir(parents=True)

    def transformer(source, folder):
        config = json.loads((source / "config.json").read_text())
        config |= {"dim": a.dim, "ffn_dim": a.ffn, "num_heads": a.heads, "num_layers": a.layers}
        return write_transformer(folder, config, a.dtype, int(a.shard_gb * 1e9), values)

    if (a.parts / "config.json").exists():  # TI2V: one transformer, in the folder itself
        total += transformer(a.parts, a.folder)
    for path in sorted(a.parts.iterdir()):
        if path.name.endswith("_model") and first and a.same_experts:
            (a.folder / path.name).symlink_to(first)
        elif path.name.endswith("_model"):
            first = path.name
            total += transformer(path, a.folder / path.name)
        elif path.is_dir():
            shutil.copytree(path, a.folder / path.name)
        elif path.name != "config.json" and not path.name.startswith("diffusion_pytorch_model"):
            shutil.copy(path, a.folder)
    if a.official_vae:
        write_vae(a.folder)
    print(f"{a.folder}: {total / 1e9:.2f} GB of transformer weights, {a.dtype}")


if __name__ == "__main__":
    main()
