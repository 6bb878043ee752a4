"""Writes what training left as checkpoints in the official layout, in bf16, and reads them back.

    python export.py --out work --models ../../models
"""
from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import train
from dit import Dit
from text_encoder import TextEncoder, Tokenizer
from vae import Vae

# What suits these checkpoints; the engine reads generation.json as defaults of any checkpoint.
GENERATION = {
    "demo-t2v": {"size": "128*128", "frame_num": 33, "sample_steps": 12, "sample_shift": 5.0,
                 "sample_guide_scale": [2.5, 2.5], "fps": 16},
    "demo-ti2v": {"size": "256*256", "frame_num": 33, "sample_steps": 12, "sample_shift": 5.0,
                  "sample_guide_scale": [2.5, 2.5], "fps": 16},
}


def bf16(path: Path) -> dict[str, torch.Tensor]:
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {k: v.to(torch.bfloat16).contiguous() for k, v in state.items()}


def write_dit(source: Path, folder: Path, config, model_type: str):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.as_json(model_type), indent=2) + "\n")
    save_file(bf16(source), folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    Dit(config).load_state_dict(load_file(folder / "diffusion_pytorch_model.safetensors"), strict=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    args = parser.parse_args()
    total = 0
    for name, version in (("demo-t2v", "2.1"), ("demo-ti2v", "2.2")):
        if name == "demo-ti2v" and not (args.out / "ti2v.pt").exists():
            print("no ti2v.pt: demo-ti2v is left out")
            continue
        folder = args.models / name
        (folder / "google/umt5-xxl").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(args.out / "spiece.model", folder / "google/umt5-xxl/spiece.model")
        text = folder / "models_t5_umt5-xxl-enc-bf16.pth"
        torch.save(bf16(args.out / "text.pt"), text)
        size = Tokenizer(args.out / "spiece.model").size
        TextEncoder(size).load_state_dict(torch.load(text, weights_only=True), strict=True)
        vae = folder / f"Wan{version}_VAE.pth"
        torch.save(bf16(args.out / f"vae{version.replace('.', '')}.pt"), vae)
        Vae(version, *train.WIDTH[version]).load_state_dict(torch.load(vae, weights_only=True), strict=True)
        if version == "2.1":
            for part in ("high", "low"):
                write_dit(args.out / f"t2v_{part}.pt", folder / f"{part}_noise_model", train.T2V, "t2v")
        else:
            write_dit(args.out / "ti2v.pt", folder, train.TI2V, "ti2v")
        (folder / "generation.json").write_text(json.dumps(GENERATION[name]) + "\n")
        bytes_here = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        total += bytes_here
        print(f"{name}: {bytes_here / 1e6:.2f} MB")
    print(f"in all: {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
