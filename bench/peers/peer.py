"""What the peers' scripts share: arguments, timing, one JSON line."""
import argparse
import json
import statistics
import sys
import time


def load():
    """torch and diffusers, or the end with one line that says what is missing."""
    try:
        import diffusers
        import torch
    except ImportError as error:
        sys.exit(f"{error.name} is not installed: this peer cannot run here (pip install torch diffusers)")
    return torch, diffusers


def arguments(description):
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--task", default="t2v-A14B", choices=["t2v-A14B", "i2v-A14B", "ti2v-5B"])
    p.add_argument("--size", help="W*H in pixels (default: the task's)")
    p.add_argument("--frames", type=int, help="4n+1 (default: the task's)")
    p.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda where there is one")
    p.add_argument("--dtype", default="bf16", choices=["bf16", "f32"])
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--compile", action="store_true", help="torch.compile first")
    p.add_argument("--tiny", action="store_true", help="a few channels only: to test this script")
    return p


def settle(options, torch):
    """Fills in what depends on the task and the machine."""
    five = options.task == "ti2v-5B"
    width, _, height = (options.size or ("1280*704" if five else "1280*720")).replace("x", "*").partition("*")
    options.width, options.height = int(width), int(height)
    options.frames = options.frames or (121 if five else 81)
    options.stride = 16 if five else 8
    options.latent = (48 if five else 16, (options.frames - 1) // 4 + 1, options.height // options.stride,
                      options.width // options.stride)
    options.device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    options.torch_dtype = torch.bfloat16 if options.dtype == "bf16" else torch.float32
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch finds no CUDA device here; use --device cpu")
    return options


def make(options, torch, build):
    """A model with random weights, made on the device in its final dtype."""
    torch.manual_seed(0)
    previous = torch.get_default_dtype()
    torch.set_default_dtype(options.torch_dtype)
    try:
        with torch.device(options.device):
            return build().eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(previous)


def measure(options, torch, work):
    """Median seconds of `work`, with the first run's and the peak of the device's memory in bytes."""
    cuda = options.device == "cuda"

    def once():
        if cuda:
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    with torch.inference_mode():
        warm_up = once()
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        seconds = [once() for _ in range(options.runs)]
    return {"median_seconds": statistics.median(seconds), "seconds": seconds, "warm_up_seconds": warm_up,
            "peak_bytes": torch.cuda.max_memory_allocated() if cuda else None}


def report(options, torch, diffusers, part, figures):
    print(json.dumps({"peer": "diffusers", "part": part, "task": options.task,
                      "size": f"{options.width}*{options.height}", "frames": options.frames,
                      "device": torch.cuda.get_device_name() if options.device == "cuda" else "CPU",
                      "dtype": options.dtype, "compiled": options.compile, "torch": torch.__version__,
                      "diffusers": diffusers.__version__, **figures}))
