"""Writes tests/fixtures/vae/odd.safetensors: upstream's VAEs on latents of odd sizes, 13 frames.

Usage: python vae_fixture.py UPSTREAM (a checkout of Wan-Video/Wan2.2; needs torch, einops, safetensors)

Weights are those of tests/golden/tiny. Per version: VERSION.z (normal random), VERSION.frames (decoded from z),
VERSION.enc (encoded from those frames).
"""

import importlib.util
import pathlib
import sys

import torch
from safetensors.torch import save_file

TESTS = pathlib.Path(__file__).resolve().parents[2] / "tests"


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def vae(upstream, source, cls, checkpoint, widths, **arguments):
    code = module(pathlib.Path(upstream) / "wan" / "modules" / source)
    build = code._video_vae
    code._video_vae = lambda *a, **k: build(*a, **{**k, **widths})
    return getattr(code, cls)(vae_pth=str(TESTS / "golden" / "tiny" / checkpoint), device="cpu", **arguments)


def main():
    torch.set_grad_enabled(False)
    random = torch.Generator().manual_seed(7)
    v21 = vae(sys.argv[1], "vae2_1.py", "Wan2_1_VAE", "Wan2.2-T2V-A14B/Wan2.1_VAE.pth", {"dim": 8})
    v22 = vae(sys.argv[1], "vae2_2.py", "Wan2_2_VAE", "Wan2.2-TI2V-5B/Wan2.2_VAE.pth", {"dec_dim": 8}, c_dim=8)
    out = {}
    for name, model, shape in (("v21", v21, (16, 4, 3, 5)), ("v22", v22, (48, 4, 1, 3))):
        z = torch.randn(shape, generator=random)
        frames = model.decode([z])[0]
        out |= {f"{name}.z": z, f"{name}.frames": frames, f"{name}.enc": model.encode([frames])[0]}
    folder = TESTS / "fixtures" / "vae"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: t.contiguous() for name, t in out.items()}, folder / "odd.safetensors")


if __name__ == "__main__":
    main()
