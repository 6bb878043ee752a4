"""Scores the trained models on 200 prompts that training never saw, with the judge; sweeps sampler settings.

    python evaluate.py --out work --model t2v --steps 12 --shift 5 --guide 3,3
    python evaluate.py --out work --model ti2v --image ...         (first frames of unseen scenes are given)

Writes eval.MODEL.json with every setting's figures, and sheet.MODEL.png.
"""
from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import json
import time
from pathlib import Path

import numpy as np
import torch

import captions
import judge
import train
import world
from common import psnr
from dit import Dit
from sampler import sample
from text_encoder import NEGATIVE_PROMPT, TextEncoder
from vae import Vae

FILES = {"t2v": {"high": "t2v_high.pt", "low": "t2v_low.pt"}, "ti2v": {"high": "ti2v.pt", "low": "ti2v.pt"}}


def unseen_prompts(n: int = 200, choosing: bool = False) -> tuple[world.Scenes, list[str], list[list[dict]]]:
    """The fixed evaluation set: scenes of held-out combinations, captions in held-out wordings, expected objects.
    `choosing`: another set of the same kind, to choose settings by."""
    scenes = world.sample_scenes(n, seed=190 if choosing else 90, unseen=True, two_share=1 / 9)  # a ninth has two objects
    prompts, _ = captions.captions(scenes, seed=191 if choosing else 91, unseen=True)
    return scenes, prompts, [expected(scenes.take(i)) for i in range(n)]


def expected(scene: world.Scenes) -> list[dict]:
    return [{"colour": world.COLOUR_NAMES[scene.colour[k]], "shape": world.SHAPES[scene.shape[k]],
             "motion": world.MOTIONS[scene.motion[k]]} for k in range(int(scene.count))]


def load_models(folder: Path, name: str, device: str):
    tokenizer = train.make_tokenizer(folder)
    text = train.load(TextEncoder(tokenizer.size), folder / "text.pt", device)
    config, version = (train.T2V, "2.1") if name == "t2v" else (train.TI2V, "2.2")
    experts = {k: train.load(Dit(config), folder / f, device) for k, f in FILES[name].items()}
    vae = train.load(Vae(version, *train.WIDTH[version]), folder / f"vae{version.replace('.', '')}.pt", device)
    train.speed_up(vae, device)
    for module in (text, vae, *experts.values()):
        for p in module.parameters():
            p.copy_(p.bfloat16())
    return tokenizer, text, experts, vae


@torch.no_grad()
def decode(vae: Vae, latents: torch.Tensor, chunk: int = 20) -> np.ndarray:
    """Video [N, T, H, W, 3] uint8."""
    out = []
    for z in latents.split(chunk):
        out.append(((vae.decode(z) + 1) * 127.5).round().byte().permute(0, 2, 3, 4, 1).cpu().numpy())
    return np.concatenate(out)


def judge_all(videos: np.ndarray, wanted: list[list[dict]], pool) -> list[dict]:
    return list(pool.map(judge.verdict, videos, wanted, chunksize=4))


def sheet(videos: np.ndarray, path: Path, rows: int = 16):
    """A contact sheet: five moments of each clip, two clips a row."""
    from PIL import Image

    strips = [np.concatenate([v[int(i)] for i in np.linspace(0, len(v) - 1, 5)], axis=1) for v in videos[:rows]]
    half = (len(strips) + 1) // 2
    image = np.concatenate([np.concatenate(strips[:half]), np.concatenate(strips[half:2 * half])], axis=1)
    Image.fromarray(image).convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(path, optimize=True)


def noise_for(n: int, shape: tuple, seed: int, device: str) -> torch.Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed)).to(device)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", choices=tuple(FILES), required=True)
    parser.add_argument("--steps", default="12")
    parser.add_argument("--shift", default="5")
    parser.add_argument("--guide", default="3,3", help="low,high; several settings are separated by spaces")
    parser.add_argument("--solver", default="unipc")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--image", action="store_true")
    parser.add_argument("--choosing", action="store_true", help="on another set of prompts, to choose settings by")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.backends.cudnn.benchmark = False
    tokenizer, text, experts, vae = load_models(args.out, args.model, args.device)
    scenes, prompts, wanted = unseen_prompts(args.count, args.choosing)
    z = 16 if args.model == "t2v" else 48
    noise = noise_for(args.count, (z, 9, 16, 16), args.seed, args.device)
    given = image = None
    if args.image:
        given = world.render(scenes, train.SIZE["2.2"], args.device, frames=1)
        image = torch.cat([vae.encode(c) for c in given.split(50)]).detach()
    name = args.model + ("_image" if args.image else "") + (".choosing" if args.choosing else "")
    results_file = args.out / f"eval.{name}.json"
    results = json.loads(results_file.read_text()) if results_file.exists() else []
    dtype = torch.bfloat16 if args.device == "cuda" else None
    with concurrent.futures.ProcessPoolExecutor() as pool:
        for setting in itertools.product(args.steps.split(), args.shift.split(), args.guide.split(), args.solver.split()):
            steps, shift, guide, solver = int(setting[0]), float(setting[1]), tuple(map(float, setting[2].split(","))), setting[3]
            began = time.time()
            latents = sample(experts, text, tokenizer, prompts, NEGATIVE_PROMPT, noise, steps, shift, guide, solver,
                             image=image, dtype=dtype)
            videos = decode(vae, latents)
            drawn = time.time() - began
            verdicts = judge_all(videos, wanted, pool)
            single = [v for v, w in zip(verdicts, wanted) if len(w) == 1]
            entry = {"steps": steps, "shift": shift, "guide": guide, "solver": solver, "seed": args.seed, "prompts": args.count,
                     **judge.score(verdicts), "single": judge.score(single), "seconds": round(drawn, 1)}
            entry["pairs"] = judge.score([v for v, w in zip(verdicts, wanted) if len(w) == 2])
            if given is not None:
                first = torch.from_numpy(videos[:, 0].copy()).permute(0, 3, 1, 2).float().to(args.device) / 127.5 - 1
                values = psnr(first, given[:, :, 0])
                entry["first_frame_psnr"] = [round(float(values.mean()), 2), round(float(values.min()), 2)]
            results.append(entry)
            print(name, json.dumps(entry), flush=True)
            results_file.write_text("[\n" + ",\n".join(json.dumps(r) for r in results) + "\n]\n")
    wrong = [{"prompt": p, "wanted": w, "seen": v["seen"]} for p, w, v in zip(prompts, wanted, verdicts)
             if not all(v[k] for k in ("count", "colour", "shape", "motion"))]
    (args.out / f"wrong.{name}.json").write_text(json.dumps(wrong, indent=0))
    sheet(videos, args.out / f"sheet.{name}.png")


if __name__ == "__main__":
    main()
