"""Writes tests/fixtures/sampler/expected.safetensors: what PyTorch and upstream's schedulers give beyond the
golden cases (long CUDA random streams, successive calls, wide seeds, more step counts and shifts).

usage: python3 sampler_fixture.py UPSTREAM_UTILS_DIR OUT_FILE     (needs torch with CUDA, numpy, safetensors)
UPSTREAM_UTILS_DIR is Wan2.2's wan/utils. Only the two schedulers are loaded from it, without diffusers.
"""
import functools
import importlib.util
import inspect
import pathlib
import sys
import types

import torch
from safetensors.torch import save_file


def stub_diffusers():
    """The few names that the schedulers import from diffusers, so that it need not be installed."""

    def register_to_config(init):
        @functools.wraps(init)
        def wrapper(self, *args, **kwargs):
            bound = inspect.signature(init).bind(self, *args, **kwargs)
            bound.apply_defaults()
            config = {k: v for k, v in bound.arguments.items() if k != "self"}
            self.config = types.SimpleNamespace(**config)
            init(self, *args, **kwargs)

        return wrapper

    def module(name, **names):
        m = types.ModuleType(name)
        m.__dict__.update(names)
        sys.modules[name] = m

    class Output:
        def __init__(self, prev_sample):
            self.prev_sample = prev_sample

    module("diffusers")
    module("diffusers.configuration_utils", ConfigMixin=type("ConfigMixin", (), {}), register_to_config=register_to_config)
    module("diffusers.schedulers")
    module("diffusers.schedulers.scheduling_utils", KarrasDiffusionSchedulers=[], SchedulerMixin=type("SchedulerMixin", (), {}),
           SchedulerOutput=Output)
    module("diffusers.utils", deprecate=lambda *a, **k: None, is_scipy_available=lambda: False)
    module("diffusers.utils.torch_utils", randn_tensor=None)


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    return m


def sample_index(n):
    """All of a short stream; of a long one its ends, the grid-stride boundaries of an H100, and an even spread."""
    if n <= 600:
        return torch.arange(n)
    parts = [torch.arange(64), torch.arange(n - 64, n), torch.linspace(0, n - 1, 1024, dtype=torch.float64).long()]
    for boundary in range(270336, n, 270336):
        parts.append(torch.arange(boundary - 4, min(boundary + 4, n)))
    return torch.unique(torch.cat(parts))


STREAMS = [
    ("seed1234", 1234, [16 * 21 * 90 * 160]),
    ("seed42", 42, [7, 70001, 1500000, 5, 3, 300000, 16, 64, 17]),
    ("seed0", 0, [64]),
    ("seed4294967301", 2**32 + 5, [64, 1000]),
    ("seed9223372036854775807", 2**63 - 1, [64, 15, 15]),
]


def streams(out):
    for device in ("cuda", "cpu"):
        for name, seed, counts in STREAMS:
            generator = torch.Generator(device=device)
            generator.manual_seed(seed)
            for call, n in enumerate(counts):
                values = torch.randn(n, generator=generator, device=device, dtype=torch.float32).cpu()
                index = sample_index(n)
                key = f"randn.{device}.{name}.{call}.{n}"
                out[key] = values[index].contiguous()
                if n > 600:
                    out[f"index.{n}"] = index


CASES = [(1, 5), (2, 5), (3, 5), (5, 1), (8, 3), (10, 7.5), (14, 5), (15, 5), (16, 0.5), (30, 17), (50, 12), (100, 5),
         (333, 2)]


def schedules(out, utils):
    unipc = load(utils / "fm_solvers_unipc.py")
    dpm = load(utils / "fm_solvers.py")
    for solver in ("unipc", "dpm++"):
        for steps, shift in CASES + [(1000, 1)]:
            if solver == "unipc":
                s = unipc.FlowUniPCMultistepScheduler(num_train_timesteps=1000, shift=1, use_dynamic_shifting=False)
                s.set_timesteps(steps, device="cpu", shift=shift)
            else:
                s = dpm.FlowDPMSolverMultistepScheduler(num_train_timesteps=1000, shift=1, use_dynamic_shifting=False)
                dpm.retrieve_timesteps(s, device="cpu", sigmas=dpm.get_sampling_sigmas(steps, shift))
            key = f"sched.{solver}.{steps}.{shift:g}"
            out[f"{key}.timesteps"] = s.timesteps.clone()
            out[f"{key}.sigmas"] = s.sigmas.clone()
            x = torch.randn(1, 32, generator=torch.Generator().manual_seed(steps), dtype=torch.float32)
            out[f"{key}.x0"] = x.clone()
            try:
                for i, t in enumerate(s.timesteps):
                    v = torch.sin(3 * x) + 0.1 * t.float() / 1000
                    x = s.step(v, t, x, return_dict=False)[0]
                    if i + 1 in (1, 2, 3, steps // 2, steps - 1, steps):
                        out[f"{key}.x{i + 1}"] = x.clone()
            except IndexError:
                print(key, "stops upstream at step", i)


def main():
    out = {}
    stub_diffusers()
    schedules(out, pathlib.Path(sys.argv[1]))
    streams(out)
    save_file({k: v.contiguous() for k, v in out.items()}, sys.argv[2])


main()
