"""What every training stage needs: optimiser, averaged weights, a schedule by steps or by seconds, resume, a log."""
from __future__ import annotations

import copy
import json
import math
import time
from pathlib import Path

import torch
from torch import nn


def orthogonalise(g: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Newton-Schulz iteration towards the nearest semi-orthogonal matrices of a batch [B, R, C] (Muon, Jordan 2024)."""
    x = g.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if tall else x).float()


class Optimiser:
    """Muon for the inner matrices and convolutions, AdamW for everything else; one learning rate factor for both.

    On a GPU the factor lives there, so that a whole training step can be captured as a CUDA graph.
    """

    def __init__(self, module: nn.Module, lr: float, inner, matrix_lr: float | None = None):
        named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
        self.lr, self.matrix_lr = lr, matrix_lr or lr
        self.parameters = [p for _, p in named]
        groups: dict[tuple, list] = {}
        for n, p in named:
            if inner(n, p):
                groups.setdefault((p.shape[0], p[0].numel()), []).append(p)
        self.matrices = [(shape, ps, torch.zeros(len(ps), *shape, device=ps[0].device)) for shape, ps in groups.items()]
        rest = [p for n, p in named if not inner(n, p)]
        device = rest[0].device
        self.factor = torch.zeros((), device=device)
        cuda = device.type == "cuda"
        self.adam_lr = torch.zeros((), device=device) if cuda else None
        self.adam = torch.optim.AdamW(rest, lr=self.adam_lr if cuda else lr, betas=(0.9, 0.98), weight_decay=0.0,
                                      fused=cuda, capturable=cuda)

    def set(self, factor: float):
        self.factor.fill_(factor)
        if self.adam_lr is None:
            for group in self.adam.param_groups:
                group["lr"] = self.lr * factor
        else:
            self.adam_lr.fill_(self.lr * factor)

    def clear(self):
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self, clip: float = 1.0):
        norm = nn.utils.clip_grad_norm_(self.parameters, clip)
        self.adam.step()
        for shape, ps, momentum in self.matrices:
            g = torch.stack([p.grad.reshape(shape) for p in ps])
            momentum.lerp_(g, 0.05)
            update = orthogonalise(g.lerp(momentum, 0.95)) * (0.2 * math.sqrt(max(shape)) * self.matrix_lr * self.factor)
            torch._foreach_mul_(ps, 1 - 0.01 * self.matrix_lr)
            torch._foreach_sub_(ps, [u.view(p.shape) for u, p in zip(update, ps)])
        return norm

    def state(self):
        return {"adam": self.adam.state_dict(), "matrices": [m for _, _, m in self.matrices]}

    def load(self, state):
        self.adam.load_state_dict(state["adam"])
        if self.adam_lr is not None:
            for group in self.adam.param_groups:
                group["lr"] = self.adam_lr
        for (_, _, mine), saved in zip(self.matrices, state["matrices"]):
            mine.copy_(saved)


class Graphed:
    """Runs a training step of fixed shapes; on a GPU, from the fifth call on, as one CUDA graph, which frees the step
    from the cost of launching a thousand kernels. The step draws its random numbers from the default generator."""

    def __init__(self, work, device: str):
        self.work, self.calls, self.graph, self.out = work, 0, None, None
        self.use = device == "cuda"

    def __call__(self):
        self.calls += 1
        if not self.use:
            return self.work()
        if self.graph is not None:
            self.graph.replay()
            return self.out
        if self.calls < 5:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                out = self.work()
            torch.cuda.current_stream().wait_stream(side)
            return out
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.out = self.work()
        except Exception as error:  # slower, but right
            print("no CUDA graph:", repr(error)[:500], flush=True)
            self.use = False
            torch.cuda.synchronize()
            return self.work()
        self.graph = graph
        graph.replay()
        return self.out


class Run:
    """One training stage: counts steps, knows how far it is, averages the weights, logs, and saves to resume.

    The length is a number of steps, or else of seconds: then the number of steps taken is logged, and a later run with
    that number repeats it. A resume point holds all that the next step depends on, random generators included, so a run
    by steps that was stopped ends with the weights of one that was not.
    """

    save_every = 120.0  # seconds

    def __init__(self, name: str, folder: Path, model: nn.Module, optimiser: Optimiser, steps: int | None,
                 seconds: float | None, average: float = 0.999, warmup: float = 0.03):
        self.name, self.folder, self.model, self.optimiser = name, folder, model, optimiser
        self.steps, self.seconds, self.decay, self.warmup = steps, seconds, average, warmup
        self.averaged = copy.deepcopy(model).requires_grad_(False).eval()
        self.step, self.spent, self.sums, self.since = 0, 0.0, {}, 0
        self.random = None  # states of the generators to go on from
        self.log_file = folder / f"{name}.log.jsonl"
        saved = folder / f"{name}.resume.pt"
        if saved.exists():
            state = torch.load(saved, map_location=next(model.parameters()).device, weights_only=True)
            model.load_state_dict(state["model"])
            self.averaged.load_state_dict(state["averaged"])
            optimiser.load(state["optimiser"])
            self.step, self.spent, self.sums, self.since = (state[k] for k in ("step", "spent", "sums", "since"))
            self.random = state["random"]
            rows = [row for row in self.log_file.read_text().splitlines() if json.loads(row).get("step", math.inf) <= self.step]
            self.log_file.write_text("".join(row + "\n" for row in rows if "finished" not in row))
            print(f"{name}: resumes at step {self.step}", flush=True)
        self.began = time.time() - self.spent
        self.saved_at = time.time()

    @property
    def progress(self) -> float:
        if self.steps:
            return self.step / self.steps
        return (time.time() - self.began) / self.seconds

    def __iter__(self):
        if self.random:  # only now: making the data has used them too
            torch.set_rng_state(self.random[0].cpu())
            if len(self.random) > 1:
                torch.cuda.set_rng_state(self.random[1].cpu())
        while self.progress < 1:
            yield self.step

    def factor(self) -> float:
        """The learning rate's factor: a short rise, then a straight fall to nothing."""
        p = self.progress
        return max(p, 1e-3) / self.warmup if p < self.warmup else max(1 - p, 0.0) / (1 - self.warmup)

    def advance(self, work):
        """Takes one step with work(), which returns tensors to log, and keeps the books."""
        self.optimiser.set(self.factor())
        values = work()
        with torch.no_grad():
            decay = min(self.decay, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(list(self.averaged.parameters()), list(self.model.parameters()), 1 - decay)
        self.step += 1
        if self.step % 10 == 0 and torch.cuda.is_available():
            torch.cuda.synchronize()  # the clock decides, so the queue must stay short
        if self.step == 6 and self.seconds:
            self.began = time.time()  # what compiles at the start is not counted
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, 0) + value.detach()
        self.since += 1
        if self.step % 100 == 0 or self.step in (1, 10, 30):
            entry = {"step": self.step, "seconds": round(time.time() - self.began, 1),
                     **{k: round(float(v) / self.since, 5) for k, v in self.sums.items()}}
            self.sums, self.since = {}, 0
            self.write(entry)
        if time.time() - self.saved_at >= self.save_every:
            self.save_resume()

    def write(self, entry: dict):
        with open(self.log_file, "a") as f:
            f.write(json.dumps(entry) + "\n")
        print(self.name, json.dumps(entry), flush=True)

    def save_resume(self):
        self.spent, self.saved_at = time.time() - self.began, time.time()
        random = [torch.get_rng_state()] + ([torch.cuda.get_rng_state()] if torch.cuda.is_available() else [])
        save({"model": self.model.state_dict(), "averaged": self.averaged.state_dict(), "optimiser": self.optimiser.state(),
              "step": self.step, "spent": self.spent, "sums": self.sums, "since": self.since, "random": random},
             self.folder / f"{self.name}.resume.pt")

    def finish(self) -> nn.Module:
        """Saves the averaged weights as NAME.pt, and returns the averaged model. The resume point stays until the whole
        stage is done: what follows the training may be stopped too."""
        self.save_resume()
        self.write({"step": self.step, "seconds": round(time.time() - self.began, 1), "finished": True})
        save(self.averaged.state_dict(), self.folder / f"{self.name}.pt")
        return self.averaged


def save(what, path: Path):
    """The file is either the old one or the whole new one, whenever the program is stopped."""
    temporary = path.with_suffix(".tmp")
    torch.save(what, temporary)
    temporary.replace(path)


def autocast(device: str):
    return torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda")


def psnr(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Per clip, for videos [N, ...] in -1..1."""
    mse = ((a - b) / 2).float().pow(2).flatten(1).mean(1)
    return -10 * torch.log10(mse.clamp(min=1e-10))
