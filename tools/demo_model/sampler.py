"""Sampling as upstream does it: flow-matching schedule with shift, UniPC (order 2, bh2) or Euler, guidance by expert."""
from __future__ import annotations

import math

import torch

from dit import Dit
from text_encoder import TextEncoder, Tokenizer


def schedule(steps: int, shift: float) -> tuple[list[float], list[int]]:
    """Sigmas (steps + 1, the last 0) and integer timesteps, as upstream's FlowUniPCMultistepScheduler."""
    top = 1 - 1 / 1000
    sigmas = [top - top * i / steps for i in range(steps)]
    sigmas = [shift * s / (1 + (shift - 1) * s) for s in sigmas]
    return sigmas + [0.0], [int(s * 1000) for s in sigmas]


class Solver:
    """Steps x from sigma to sigma, given the predicted clean latents; keeps the history that it needs."""

    def __init__(self, sigmas: list[float], kind: str = "unipc"):
        self.sigmas, self.kind, self.i = sigmas, kind, 0
        self.clean, self.before, self.order = [], None, 0

    def _lambda(self, i):
        return math.log((1 - self.sigmas[i]) / self.sigmas[i])

    def step(self, x, velocity):
        i, s = self.i, self.sigmas
        clean = x - s[i] * velocity
        self.i += 1
        if self.kind == "euler":
            return x + (s[i + 1] - s[i]) * velocity
        if self.before is not None:
            x = self._correct(i, clean)
        self.clean = (self.clean + [clean])[-2:]
        last = i == len(s) - 2
        self.order = 1 if last else min(2, self.order + 1)
        self.before = x
        if last:
            return clean
        h = self._lambda(i + 1) - self._lambda(i)
        b = math.expm1(-h)
        y = s[i + 1] / s[i] * x - (1 - s[i + 1]) * b * clean
        if self.order == 2:
            ratio = (self._lambda(i - 1) - self._lambda(i)) / h
            y = y - (1 - s[i + 1]) * b * 0.5 * (self.clean[0] - clean) / ratio
        return y

    def _correct(self, i, clean):
        """UniC: takes the last step again, now that the prediction at its end is known."""
        s, previous = self.sigmas, self.clean[-1]
        h = self._lambda(i) - self._lambda(i - 1)
        b = math.expm1(-h)
        y = s[i] / s[i - 1] * self.before - (1 - s[i]) * b * previous
        if self.order == 1:
            return y - (1 - s[i]) * b * 0.5 * (clean - previous)
        ratio = (self._lambda(i - 2) - self._lambda(i - 1)) / h
        phi1 = b / -h - 1
        phi2 = phi1 / -h - 0.5
        b1, b2 = phi1 / b, phi2 * 2 / b
        # rho1 + rho2 = b1 and ratio * rho1 + rho2 = b2
        rho1 = (b1 - b2) / (1 - ratio)
        rho2 = b1 - rho1
        return y - (1 - s[i]) * b * (rho1 * (self.clean[0] - previous) / ratio + rho2 * (clean - previous))


def contexts(text: TextEncoder, tokenizer: Tokenizer, prompts: list[str], device):
    """States [N, L, dim] and lengths [N]."""
    ids = tokenizer(prompts, 512)
    ids = ids[:, :max(int((ids > 0).sum(1).max()), 8)].to(device)
    return text(ids).float(), (ids > 0).sum(1)


@torch.no_grad()
def sample(experts: dict[str, Dit], text: TextEncoder, tokenizer: Tokenizer, prompts: list[str], negative: str,
           noise: torch.Tensor, steps: int, shift: float, guide: tuple[float, float], solver: str = "unipc",
           boundary: float = 0.875, image: torch.Tensor | None = None, dtype=None) -> torch.Tensor:
    """Latents for the prompts from noise [N, C, F, h, w]; guide is (low noise, high noise), as upstream's tuples are.
    image: latents [N, C, 1, h, w] of given first frames."""
    device = noise.device
    sigmas, times = schedule(steps, shift)
    n = len(prompts)
    conditional = contexts(text, tokenizer, prompts, device)
    states, length = contexts(text, tokenizer, [negative], device)
    unconditional = states.expand(n, -1, -1), length.expand(n)
    method, x = Solver(sigmas, solver), noise
    for t in times:
        if image is not None:
            x = torch.cat((image, x[:, :, 1:]), dim=2)
        high = t >= boundary * 1000
        model, scale = experts["high" if high else "low"], guide[1 if high else 0]
        time = torch.full((n, 1 if image is None else x.shape[2]), float(t), device=device)
        if image is not None:
            time[:, 0] = 0
        with torch.autocast(device.type, dtype=dtype or torch.float32, enabled=dtype is not None):
            v = model(x, time, *conditional)
            if scale != 1:
                u = model(x, time, *unconditional)
                v = u + scale * (v - u)
        x = method.step(x, v)
    return x if image is None else torch.cat((image, x[:, :, 1:]), dim=2)
