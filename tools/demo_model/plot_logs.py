"""Draws the loss curves of all stages: python plot_logs.py results/*.log.jsonl --out results/curves.png"""
import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    columns, rows = (len(args.logs) + 1) // 2, 2
    figure, axes = plt.subplots(rows, columns, figsize=(2.2 * columns, 2.1 * rows), squeeze=False)
    for axis, log in zip(axes.flat, args.logs):
        entries = [r for r in map(json.loads, log.read_text().splitlines()) if "loss" in r]
        axis.plot([r["step"] for r in entries], [r["loss"] for r in entries], lw=1)
        axis.set_yscale("log")
        axis.set_title(log.name.removesuffix(".log.jsonl"), fontsize=8)
        axis.tick_params(labelsize=6, which="both")
    for axis in axes.flat[len(args.logs):]:
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(args.out, dpi=80)


if __name__ == "__main__":
    main()
