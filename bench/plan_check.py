#!/usr/bin/env python3
"""Asks `wan plan` for several requests, makes them, and prints what was planned beside what was measured: the GPU's
memory as its driver counts it, seconds a step, and seconds of the VAE.

usage: bench/plan_check.py --wan WAN [--steps 3] [--out FILE.json] --case "DIR: FLAGS" [--case ...]

    bench/plan_check.py --wan wan --case "t2v: --size 832*480 --frame_num 81" --case "t2v: --size 832*480 --vram 6GB"

Each case is a checkpoint's folder and flags that plan and generate share; an --image is given to both. The step's time is
the median of all but each expert's first. Needs nothing but Python.
"""
import argparse
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile

import budgets


def plan(wan, folder, steps, flags):
    flags = list(flags)
    if "--image" in flags:  # wan plan wants to know that there is one, not which
        del flags[flags.index("--image") + 1]
    command = [wan, "plan", "--json", "--ckpt_dir", folder, "--sample_steps", str(steps), *flags]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if report["chosen"] < 0:
        raise SystemExit(f"{folder} {' '.join(flags)}: {report['why']}")
    return report["strategies"][report["chosen"]]


def measure(wan, folder, steps, flags):
    with tempfile.TemporaryDirectory() as place:
        request = argparse.Namespace(wan=wan, ckpt_dir=folder, steps=steps, flags=flags)
        return budgets.run(request, "none", pathlib.Path(place))


def share(planned, measured):
    return f"{100 * (planned / measured - 1):+6.1f} %" if planned and measured else "       -"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wan", required=True)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--case", action="append", required=True)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()

    results = []
    print(f"{'case':<58} {'GPU GB':>6} {'plan':>6} {'':>8} {'s/step':>8} {'plan':>8} {'':>8} {'VAE s':>6} {'plan':>6}")
    for case in args.case:
        folder, flags = (part.strip() for part in case.split(":", 1))
        flags = shlex.split(flags)
        planned, made = plan(args.wan, folder, args.steps, flags), measure(args.wan, folder, args.steps, flags)
        results.append({"case": case, "plan": planned, "measured": made})
        if made["status"] != 0:
            print(f"{case:<58} failed ({made['status']}): {made['error'][:200]}", flush=True)
            continue
        gpu, step = (made["gpu_mb"] or 0) / 1e3, made["median_step"] or 0
        peak, seconds = planned["gpu_peak_bytes"] / 1e9, planned["step_seconds"]
        vae = made["stages"].get("decode", 0)
        vae_planned = sum(s["seconds"] for s in planned["stages"] if s["stage"] == "decode")
        print(f"{case:<58} {gpu:6.2f} {peak:6.2f} {share(peak, gpu)} {step:8.3f} {seconds:8.3f} {share(seconds, step)} "
              f"{vae:6.2f} {vae_planned:6.2f}", flush=True)
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n")
    return 1 if any(r["measured"]["status"] != 0 for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
