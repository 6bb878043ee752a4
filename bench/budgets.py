#!/usr/bin/env python3
"""Runs `wan generate` on one checkpoint under several budgets of memory, one after the other, and prints a table: seconds
a step, the driver's and the system's count of memory, and whether all gave the same latents.

usage: bench/budgets.py --wan build/cuda/apps/wan/wan --ckpt_dir DIR [--budget none --budget "--vram 8GB" ...]
                        [--steps 6] [--out FILE.json] [-- FLAGS OF wan generate]

    bench/budgets.py --wan wan --ckpt_dir big --budget none --budget "--vram 8GB" -- --size 1280*720 --frame_num 81

The first step of each expert, in which kernels are chosen and weights come from the files, is not in the median. On a
machine without a GPU the driver's column is empty. Needs nothing but Python.
"""
import argparse
import hashlib
import json
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time


def gpu_megabytes(pid):
    """What the driver counts for a process, in MB (it says MiB); None where there is no driver."""
    try:
        out = subprocess.run(["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"],
                             capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    rows = [line.split(",") for line in out.splitlines() if "," in line]
    used = [int(row[1]) for row in rows if row[0].strip() == str(pid) and row[1].strip().isdigit()]
    if used:
        return round(sum(used) * 1.048576)
    # In a container the driver may know the process by another number: then all that is used counts.
    whole = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
                           capture_output=True, text=True).stdout.split()
    return round(int(whole[0]) * 1.048576) if whole and whole[0].isdigit() else None


def status_kilobytes(pid, name):
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


class Watch(threading.Thread):
    """The most that a process takes, looked at several times a second."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.gpu, self.host, self.done = pid, None, 0, False

    def run(self):
        while not self.done:
            gpu = gpu_megabytes(self.pid)
            if gpu is not None:
                self.gpu = max(self.gpu or 0, gpu)
            self.host = max(self.host, status_kilobytes(self.pid, "RssAnon") + status_kilobytes(self.pid, "VmPin"))
            time.sleep(0.15)


def steps_of(lines):
    """Seconds of each step, with its expert, and of each stage."""
    steps, stages, last, begun = [], {}, None, {}
    for event in lines:
        if event.get("event") != "progress":
            continue
        stage = event["stage"]
        begun.setdefault(stage, event["elapsed"])
        stages[stage] = event["elapsed"] - begun[stage]
        if stage == "sample":
            if last and event["done"] == last["done"] + 1:
                steps.append((last["expert"], event["elapsed"] - last["elapsed"]))
            last = event
    return steps, stages


def median_step(steps):
    seen, kept = set(), []
    for expert, seconds in steps:
        if expert in seen:
            kept.append(seconds)
        seen.add(expert)
    return statistics.median(kept) if kept else None


def run(args, budget, folder):
    latents = folder / "latents.safetensors"
    command = [args.wan, "generate", "--json", "--ckpt_dir", args.ckpt_dir, "--prompt", "x", "--base_seed", "1",
               "--sample_steps", str(args.steps), "--resume", "false", "--save_latents", str(latents),
               "--save_file", str(folder / "out.y4m"), *args.flags]
    if budget != "none":
        command += shlex.split(budget)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    watch = Watch(process.pid)
    watch.start()
    lines, other = [], []
    for line in process.stdout:
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            other.append(line.rstrip())
    status = process.wait()
    watch.done = True
    watch.join()
    result = {"budget": budget, "status": status, "gpu_mb": watch.gpu, "host_mb": round(watch.host * 1.024e-3)}
    if status != 0:
        errors = [e["message"] for e in lines if e.get("event") == "error"]
        result["error"] = (errors or other or ["?"])[-1]
        return result
    steps, stages = steps_of(lines)
    result.update(median_step=median_step(steps), steps=steps, stages=stages,
                  sha256=hashlib.sha256(latents.read_bytes()).hexdigest())
    return result


def main():
    own, flags = sys.argv[1:], []
    if "--" in own:
        own, flags = own[:own.index("--")], own[own.index("--") + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wan", required=True)
    parser.add_argument("--ckpt_dir", required=True)
    parser.add_argument("--budget", action="append", help="flags of one run, or none")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args(own)
    args.flags = flags

    results = []
    print(f"{'budget':<28} {'s/step':>9} {'of first':>9} {'GPU MB':>8} {'host MB':>8}  latents")
    for budget in args.budget or ["none"]:
        with tempfile.TemporaryDirectory() as folder:
            r = run(args, budget, pathlib.Path(folder))
        results.append(r)
        if r["status"] != 0:
            print(f"{budget:<28} failed ({r['status']}): {r['error'][:200]}", flush=True)
            continue
        first = results[0]
        same = "-" if r is first or "sha256" not in first else "same" if r["sha256"] == first["sha256"] else "OTHER"
        ratio = f"{r['median_step'] / first['median_step']:.3f}" if first.get("median_step") and r["median_step"] else "-"
        step = f"{r['median_step']:.3f}" if r["median_step"] else "-"
        gpu = r["gpu_mb"] if r["gpu_mb"] is not None else "-"
        print(f"{budget:<28} {step:>9} {ratio:>9} {gpu:>8} {r['host_mb']:>8}  {same}", flush=True)
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n")
    return 1 if any(r["status"] != 0 for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
