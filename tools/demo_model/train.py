"""Trains the demo model, stage by stage, from a seed: text encoder, the two VAEs, a base transformer for all noise levels,
and from it the T2V experts and the TI2V model.

    python train.py --out work                      everything, in just under 30 minutes on one H100
    python train.py --out work --stage NAME         one stage; --seconds or --steps: another length

A stage needs what the earlier ones left in the folder, resumes where it was stopped, and is skipped when it is done.
`--tiny` shrinks everything for a trial on a CPU.
"""
from __future__ import annotations

import argparse
import dataclasses
import functools
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import captions
import vae as vae_module
import world
from common import Graphed, Optimiser, Run, autocast, psnr, save
from dit import Dit, DitConfig
from text_encoder import NEGATIVE_PROMPT, TextEncoder, Tokenizer, train_tokenizer
from vae import Vae

FRAMES = 33
CAPTION_LENGTH = 47
VOCABULARY = 1000
SIZE = {"2.1": 128, "2.2": 256}
WIDTH = {"2.1": (16, 16), "2.2": (8, 16)}  # encoder, decoder
T2V = DitConfig(channels=16, dim=192, ffn_dim=768, num_heads=4, num_layers=6)
TI2V = dataclasses.replace(T2V, channels=48)
STAGES = {"text": 25, "vae21": 130, "decoder21": 130, "vae22": 220, "decoder22": 80, "base": 500, "t2v_high": 70,
          "t2v_low": 70, "ti2v": 280}  # seconds
CLIPS = {"2.1": 16000, "2.2": 20000}  # that the transformers learn from
IMAGE_SHARE = {"base": 0.5, "ti2v": 0.4}  # of a batch, with the first frame given
HIGH_SHARE = {"ti2v": 0.5}  # of a batch, at BOUNDARY or above: one model does both experts' work, and colours are decided there
MATRIX_LR = {"base": 2e-3}  # of a transformer's matrices; of those that start from base: 1e-3
KEPT = 16  # channels of the 2.2 latents that carry anything: those of VAE 2.1 at half the size
BLUR = 0.08  # noise on latents that a decoder learns from: a transformer's are not perfect either
BOUNDARY = 0.875
SHIFT = 5.0
SLOTS = {"count": 2, "background": 9, "colour0": 11, "shape0": 7, "motion0": 9, "size0": 4,
         "colour1": 11, "shape1": 7, "motion1": 9, "size1": 4}


def load(module: nn.Module, path: Path, device: str) -> nn.Module:
    module.load_state_dict(torch.load(path, map_location=device, weights_only=True))
    return module.to(device).eval().requires_grad_(False)


def make_tokenizer(folder: Path) -> Tokenizer:
    path = folder / "spiece.model"
    if not path.exists():
        scenes = world.sample_scenes(30000, seed=11)
        texts, _ = captions.captions(scenes, seed=12)
        train_tokenizer(texts + [" ".join(captions.FILLERS)] * 50, str(folder / "spiece"), VOCABULARY)
    return Tokenizer(path)


class Probe(nn.Module):
    """The encoder, and for each attribute a learned query that reads it off the states: the encoder's own training."""

    def __init__(self, encoder: TextEncoder, dim: int = 128):
        super().__init__()
        self.encoder = encoder
        self.queries = nn.Parameter(torch.randn(len(SLOTS), dim) * dim**-0.5)
        self.values = nn.Linear(dim, dim)
        self.heads = nn.ModuleList(nn.Linear(dim, n) for n in SLOTS.values())

    def forward(self, ids):
        states = self.encoder(ids)
        logits = torch.einsum("sd,nld->nsl", self.queries, states).float()
        weight = logits.masked_fill((ids == 0)[:, None], -1e9).softmax(-1)
        read = weight.type_as(states) @ self.values(states)
        return [head(read[:, i]) for i, head in enumerate(self.heads)]


def train_text(args, folder: Path):
    tokenizer = make_tokenizer(folder)
    device, tiny = args.device, args.tiny
    probe = Probe(TextEncoder(tokenizer.size)).to(device)
    optimiser = Optimiser(probe, 2e-3, lambda n, p: False)
    run = Run("text", folder, probe, optimiser, args.steps, args.stage_seconds, average=0.998)
    n = 2000 if tiny else 60000
    scenes = world.sample_scenes(n, seed=21)
    texts, labels = captions.captions(scenes, seed=22)
    ids = tokenizer(texts, CAPTION_LENGTH).to(device)
    target = torch.tensor([[row[k] for k in SLOTS] for row in labels], device=device)
    unseen = world.sample_scenes(2000, seed=23, unseen=True)
    unseen_texts, unseen_labels = captions.captions(unseen, seed=24, unseen=True)
    batch = 64 if tiny else args.batch or 512

    def errors(logits, rows):
        return sum(F.cross_entropy(x.float(), rows[:, i]) for i, x in enumerate(logits))

    def work():
        optimiser.clear()
        pick = torch.randint(0, n, (batch,), device=device)
        rows = ids[pick]
        noise = (torch.rand(rows.shape, device=device) < 0.03) & (rows > 1)
        rows = torch.where(noise, torch.randint(3, tokenizer.size, rows.shape, device=device), rows)
        with autocast(device):
            loss = errors(probe(rows), target[pick])
        loss.backward()
        return {"loss": loss.detach(), "norm": optimiser.step()}

    step = Graphed(work, device)
    for _ in run:
        run.advance(step)
    probe = run.finish()
    with torch.no_grad():
        logits = probe(tokenizer(unseen_texts, CAPTION_LENGTH).to(device))
        rows = torch.tensor([[row[k] for k in SLOTS] for row in unseen_labels], device=device)
        run.write({"unseen": {k: round(float((logits[i].argmax(-1) == rows[:, i]).float().mean()), 4)
                              for i, k in enumerate(SLOTS)}})
    save(probe.encoder.state_dict(), folder / "text.pt")


def speed_up(model: Vae, device: str) -> Vae:
    """Channels last, and one fused kernel for normalise + SiLU + pad."""
    for p in model.parameters():
        if p.dim() >= 4:
            p.data = p.data.contiguous(memory_format=torch.channels_last if p.dim() == 4 else torch.channels_last_3d)
    if device == "cuda":
        import kernels

        vae_module.Speed.norm_silu = staticmethod(kernels.norm_silu)
    return model


def picture_loss(out, video):
    """What a reconstruction costs, and its mean squared error to log."""
    d = out - video
    l1, mse = d.abs().mean(), d.pow(2).mean()
    slope = sum(d.diff(dim=i).abs().mean() for i in (-1, -2))
    return l1 + 4 * mse + 0.5 * slope, mse


def matrices(n: str, p: nn.Parameter) -> bool:
    return p.dim() >= 4 and p.shape[0] > 12 and n.count(".") > 2


def draw_bytes(scenes: world.Scenes, size: int, device: str, also=None) -> torch.Tensor:
    """The scenes as bytes; also(video) sees each chunk in -1..1."""
    chunks = []
    for i in range(0, len(scenes), 20):
        video = world.render(scenes.take(slice(i, i + 20)), size, device)
        chunks.append(((video + 1) * 127.5).round().byte())
        if also:
            also(video)
    return torch.cat(chunks)


def train_vae21(args, folder: Path):
    device, tiny = args.device, args.tiny
    size = 64 if tiny else SIZE["2.1"]
    model = speed_up(Vae("2.1", *WIDTH["2.1"]).to(device), device)
    optimiser = Optimiser(model, 2e-3, matrices)
    run = Run("vae21", folder, model, optimiser, args.steps, args.stage_seconds)
    clips = draw_bytes(world.sample_scenes(20 if tiny else 2500, seed=31), size, device)
    batch = 2 if tiny else args.batch or 8

    def make_step(count, frames):
        def work():
            optimiser.clear()
            first = torch.randint(0, FRAMES - frames + 1, (1,), device=device)
            video = clips[torch.randint(0, len(clips), (count,), device=device)]
            video = video.index_select(2, first + torch.arange(frames, device=device)).float() / 127.5 - 1
            with autocast(device):
                mean, log_variance = model.moments(video)
                out = model.reconstruct(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean))
            cost, mse = picture_loss(out, video)
            kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
            loss = cost + 3e-4 * kl
            loss.backward()
            return {"norm": optimiser.step(), "loss": loss.detach(), "mse": mse.detach(), "kl": kl.detach()}

        return Graphed(work, device)

    short, whole = make_step(batch, 5 if tiny else 17), make_step(max(batch // 2, 1), FRAMES)
    for _ in run:
        run.advance(short if run.progress < 0.8 else whole)
    del clips
    model = run.finish()
    with torch.no_grad():
        sample = world.sample_scenes(4 if tiny else 256, seed=33)
        moments = []
        for i in range(0, len(sample), 32):
            with autocast(device):
                moments.append(model.moments(world.render(sample.take(slice(i, i + 32)), size, device))[0])
        model.fold(torch.cat([m.transpose(0, 1).flatten(1) for m in moments], dim=1))
    save(model.state_dict(), folder / "vae21.pt")
    check_vae(args, folder, "2.1", run)


def train_on_latents(args, folder: Path, name: str):
    """A VAE on given latents.

    decoder21, decoder22: the decoder of a trained VAE learns on, for its own latents. vae22: for clips of twice the size,
    the encoder learns to give the latents that VAE 2.1 has for the clips at 128x128, in its first KEPT channels, and the
    decoder to draw from them. So all transformers see latents of one kind.
    """
    device, tiny = args.device, args.tiny
    new, version = name == "vae22", "2.2" if name.endswith("22") else "2.1"
    size = 64 if tiny else SIZE[version]
    source = "2.1" if new else version
    teacher = speed_up(load(Vae(source, *WIDTH[source]), folder / f"vae{source.replace('.', '')}.pt", device), device)
    model = Vae(version, *WIDTH[version]).to(device)
    if not new:
        model.load_state_dict(teacher.state_dict())
        model.encoder.requires_grad_(False)
        model.conv1.requires_grad_(False)
    speed_up(model, device)
    optimiser = Optimiser(model, 2e-3 if new else 1e-3, matrices)
    run = Run(name, folder, model, optimiser, args.steps, args.stage_seconds)
    n = 20 if tiny else 2500
    scenes = world.sample_scenes(3 * n, seed=35)  # small ones, and those with corners, are hardest: they come more often
    hard = 1 + (scenes.size[:, 0] == 0) + 2 * np.isin(scenes.shape[:, 0], [world.SHAPES.index(s) for s in ("star", "cross")])
    scenes = scenes.take(np.random.default_rng(36).choice(3 * n, n, replace=False, p=hard / hard.sum()))
    latents = []

    @torch.no_grad()
    def keep_latents(video):
        with autocast(device):
            latents.append(teacher.encode(F.avg_pool3d(video, (1, 2, 2)) if new else video)[:, :KEPT].bfloat16())

    clips, latents = draw_bytes(scenes, size, device, keep_latents), torch.cat(latents)
    batch = 2 if tiny else args.batch or 8

    def make_step(count, frames):
        def work():
            optimiser.clear()
            pick = torch.randint(0, n, (count,), device=device)
            video = clips[pick][:, :, :frames].float() / 127.5 - 1
            z = wanted = latents[pick][:, :, :(frames + 3) // 4].float()
            match = torch.zeros((), device=device)
            with autocast(device):
                if new:
                    z = model.encode(video)[:, :KEPT]
                    match = (z - wanted).pow(2).mean()
                    z = torch.where(torch.rand(count, 1, 1, 1, 1, device=device) < 0.5, z, wanted)
                z = F.pad(z + BLUR * torch.randn_like(z), (0, 0) * 3 + (0, model.z - KEPT))
                out = model.draw(z)
            cost, mse = picture_loss(out, video)
            loss = cost + 0.3 * match
            loss.backward()
            return {"norm": optimiser.step(), "loss": loss.detach(), "mse": mse.detach(), "match": match.detach()}

        return Graphed(work, device)

    short, whole = make_step(batch, 5 if tiny else 17), make_step(max(batch // 2, 1), FRAMES)
    for _ in run:
        run.advance(short if run.progress < 0.75 else whole)
    model = run.finish()
    model.close(KEPT)
    save(model.state_dict(), folder / f"vae{version.replace('.', '')}.pt")
    check_vae(args, folder, version, run)


@torch.no_grad()
def check_vae(args, folder: Path, version: str, run=None):
    """PSNR of held-out clips, with the weights rounded to bf16 as they are shipped."""
    name = "vae" + version.replace(".", "")
    model = load(Vae(version, *WIDTH[version]), folder / f"{name}.pt", args.device)
    for p in model.parameters():
        p.copy_(p.bfloat16())
    unseen = world.sample_scenes(4 if args.tiny else 200, seed=34, unseen=True)
    values, firsts, spread = [], [], []
    for i in range(0, len(unseen), 10):
        video = world.render(unseen.take(slice(i, i + 10)), 64 if args.tiny else SIZE[version], args.device)
        z = model.encode(video)
        values.append(psnr(model.decode(z), video))
        firsts.append(psnr(model.decode(model.encode(video[:, :, :1])), video[:, :, :1]))
        spread.append(z)
    values, z = torch.cat(values), torch.cat(spread)
    entry = {"psnr_mean": round(float(values.mean()), 2), "psnr_least": round(float(values.min()), 2),
             "first_frame_psnr": round(float(torch.cat(firsts).mean()), 2),
             "first_frame_least": round(float(torch.cat(firsts).min()), 2), "latent_mean": round(float(z.mean()), 3),
             "latent_std": round(float(z.std()), 3)}
    run.write(entry) if run else print(name, entry, flush=True)


@functools.lru_cache(maxsize=1)  # three stages in a row learn from the same
@torch.no_grad()
def make_data(folder: Path, version: str, device: str, tiny: bool, n: int):
    """Latents [n, C, F, h, w] of rendered clips, and several captions for each as token ids [n, K, L]."""
    tokenizer = make_tokenizer(folder)
    began = time.time()
    model = speed_up(load(Vae(version, *WIDTH[version]), folder / f"vae{version.replace('.', '')}.pt", device), device)
    k, size = (2, 64) if tiny else (4, SIZE[version])
    scenes = world.sample_scenes(n, seed=41)
    latents, chunk = [], 32
    for i in range(0, n, chunk):
        with autocast(device):
            video = world.render(scenes.take(slice(i, i + chunk)), size, device, torch.bfloat16 if device == "cuda" else torch.float32)
            latents.append(model.encode(video)[:, :KEPT].bfloat16())
    if device == "cuda":
        torch.cuda.synchronize()
    print(f"encoded {n} clips in {time.time() - began:.0f} s", flush=True)
    rng = random.Random(42)
    texts = []
    for i in range(n):
        scene = scenes.take(i)
        texts += [captions.caption(scene, rng)[0] for _ in range(k)]
    ids = tokenizer(texts, CAPTION_LENGTH).to(device).view(n, k, -1)
    print(f"data ready after {time.time() - began:.0f} s", flush=True)
    return torch.cat(latents), ids


def train_dit(args, folder: Path, name: str, config: DitConfig, low: float, high: float, data, text: TextEncoder,
              tokenizer: Tokenizer, seconds, start: Path | None = None):
    """One diffusion transformer, trained where its sigma lies in low..high, from the weights in `start` if one is given."""
    device, tiny = args.device, args.tiny
    image_share, high_share = IMAGE_SHARE.get(name, 0.0), HIGH_SHARE.get(name)
    latents, ids = data
    model = Dit(config).to(device)
    if start:
        model.load_state_dict(torch.load(start, map_location=device, weights_only=True))
    optimiser = Optimiser(model, 2e-3, lambda n, p: p.dim() == 2 and "blocks." in n or n == "time_projection.1.weight",
                          matrix_lr=args.matrix_lr or MATRIX_LR.get(name, 1e-3))
    run = Run(name, folder, model, optimiser, args.steps, seconds, average=0.9985)
    if device == "cuda":
        for block in model.blocks:
            block.compile()
    batch = 8 if tiny else args.batch or 128
    nothing = max(batch // 20, 1)  # rows with the empty prompt; as many more with the long negative prompt
    empty = tokenizer([""], CAPTION_LENGTH).to(device)
    negative = tokenizer([NEGATIVE_PROMPT], 512)
    negative = negative[:, :int((negative > 0).sum())].to(device)
    u_low, u_middle, u_high = (s / (SHIFT - (SHIFT - 1) * s) for s in (low, BOUNDARY, high))
    torch.manual_seed(51)
    with torch.no_grad(), autocast(device):
        extra = text(negative)[0].float()

    def work():
        optimiser.clear()
        pick = torch.randint(0, len(latents), (batch,), device=device)
        x0 = latents[pick].float()
        rows = ids[pick, torch.randint(0, ids.shape[1], (batch,), device=device)][:batch - nothing]
        rows = torch.cat((empty.expand(nothing, -1), rows[nothing:]))
        # Stratified times, spread as the sampler's steps are.
        u = (torch.arange(batch, device=device) + torch.rand(batch, device=device)) / batch
        if high_share:
            u = torch.where(u < high_share, u_middle + (u_high - u_middle) * u / high_share,
                            u_low + (u_middle - u_low) * (u - high_share) / (1 - high_share))
        else:
            u = u_low + (u_high - u_low) * u
        u = u[torch.rand(batch, device=device).argsort()]
        sigma = SHIFT * u / (1 + (SHIFT - 1) * u)
        sigma = sigma.view(-1, 1, 1, 1, 1).expand(-1, 1, x0.shape[2], 1, 1)
        if image_share:  # image to video: the first latent frame is clean and its tokens have time 0
            keep = (torch.rand(batch, device=device) < image_share).view(-1, 1, 1, 1, 1)
            sigma = sigma.masked_fill(keep & (torch.arange(x0.shape[2], device=device) == 0).view(1, 1, -1, 1, 1), 0.0)
        noise = torch.randn_like(x0)
        x = x0 + sigma * (noise - x0)
        t = (sigma[:, 0, :, 0, 0] * 1000).floor()
        with autocast(device):
            with torch.no_grad():
                states = text(rows)
            v = model(x, t if image_share else t[:, :1], states, (rows > 0).sum(1), extra)
        loss = ((v - (noise - x0)).pow(2) * (sigma > 0)).mean()
        loss.backward()
        return {"loss": loss.detach(), "norm": optimiser.step()}

    step = Graphed(work, device)
    for _ in run:
        run.advance(step)
    averaged = run.finish()
    if name == "ti2v":
        save(widen(averaged.state_dict(), KEPT, TI2V.channels), folder / f"{name}.pt")


def widen(state: dict, few: int, many: int) -> dict:
    """The same transformer for latents with more channels: it neither reads nor moves the new ones."""
    state = dict(state)
    patch, head, bias = (state[k] for k in ("patch_embedding.weight", "head.head.weight", "head.head.bias"))
    state["patch_embedding.weight"] = F.pad(patch, (0, 0) * 3 + (0, many - few))
    state["head.head.weight"] = F.pad(head.view(4, few, -1), (0, 0, 0, many - few)).flatten(0, 1)
    state["head.head.bias"] = F.pad(bias.view(4, few), (0, many - few)).flatten()
    return state


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stage", choices=("all", *STAGES), default="all")
    parser.add_argument("--seconds", type=float, help="length of the stage, data preparation not counted")
    parser.add_argument("--steps", type=int, help="length in steps: repeats a run exactly")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--clips", type=int)
    parser.add_argument("--matrix-lr", type=float)
    parser.add_argument("--save-every", type=float, default=Run.save_every, help="seconds between resume points")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    Run.save_every = args.save_every
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    for stage in STAGES if args.stage == "all" else (args.stage,):
        if (args.out / f"{stage}.done").exists():
            print(stage, "is done", flush=True)
            continue
        torch.manual_seed(1)
        train_stage(args, args.out, stage)
        (args.out / f"{stage}.done").touch()
        (args.out / f"{stage}.resume.pt").unlink(missing_ok=True)


def train_stage(args, folder: Path, stage: str):
    args.stage_seconds = args.seconds or (None if args.steps else STAGES[stage])
    if stage == "text":
        return train_text(args, folder)
    if stage == "vae21":
        return train_vae21(args, folder)
    if stage in ("decoder21", "vae22", "decoder22"):
        return train_on_latents(args, folder, stage)
    tokenizer = make_tokenizer(folder)
    text = load(TextEncoder(tokenizer.size), folder / "text.pt", args.device)
    for p in text.parameters():
        p.copy_(p.bfloat16())  # as it is shipped
    low, high = {"t2v_high": (BOUNDARY, 1.0), "t2v_low": (0.0, BOUNDARY)}.get(stage, (0.0, 1.0))
    version = "2.2" if stage == "ti2v" else "2.1"
    data = make_data(folder, version, args.device, args.tiny, 24 if args.tiny else args.clips or CLIPS[version])
    train_dit(args, folder, stage, T2V, low, high, data, text, tokenizer, args.stage_seconds,
              start=None if stage == "base" else folder / "base.pt")


if __name__ == "__main__":
    main()
