#!/usr/bin/env python3
"""Time of a step of A14B (81 frames, bf16, guidance) on 1 to 64 H100: prints a table; --check compares with figures measured.

    step = forwards / branches * layers * max(block, gather) * (1 + wait, where each branch has its own GPUs)
    block = rest / G + attention / G * ceil(40 / G) * G / 40 + exchange     G = GPUs that share the tokens of a forward
    exchange = 4 * tokens * 5120 * 2 bytes / G * (G - 1) / G / link         V, Q, K and the result; it waits for computation
    gather = 702 MB * (N - 1) / N / link                                    sharded weights; behind computation

Across nodes of 8 GPUs exchange and gather are the slower of the part within a node and the part between nodes.
Measured: one and two H100 with NVLink. Everything else is extrapolated; text, decoding and loading are not in it.
"""
import argparse
import math
import sys

# Seconds of a forward of 40 layers on one H100, and of its attention at 683 and 678 TFLOP/s; docs/measurements.md.
SIZES = {"720p": (75600, 9.69, 6.85), "480p": (32760, 2.535, 1.30)}
LAYERS, HEADS, WIDTH, BLOCK = 40, 40, 5120, 702e6
WAIT = 0.02  # two branches wait for each other: fitted to 2.410 s of 4.725 / 2 (two H100, 720p)
# GB/s of a GPU. NVLink: fitted to 2.511 s (two H100, Ulysses, 720p). PCIe: assumed equal to `wan plan`'s host copies
# (54 measured to one H100, 25 scaled from it). InfiniBand: assumed, 400 Gb/s a GPU at 80 %.
LINKS = {"NVLink": 104e9, "PCIe 5": 54e9, "PCIe 4": 25e9}
INFINIBAND, NODE = 40e9, 8


def over(link, volume, ranks):
    """Seconds for `volume` bytes that a rank exchanges with ranks - 1 others, nodes of 8."""
    if ranks <= NODE or link != LINKS["NVLink"]:  # a GPU on PCIe reaches its neighbours and the network over the same lanes
        return volume / (link if ranks <= NODE else min(link, INFINIBAND))
    outside = (ranks - NODE) / (ranks - 1)
    return max(volume * (1 - outside) / link, volume * outside / INFINIBAND)


def step(size, gpus, link, branches, sharded=False, layers=LAYERS):
    tokens, forward, attention = SIZES[size]
    group = gpus // branches
    padding = math.ceil(HEADS / group) * group / HEADS
    block = ((forward - attention) + attention * padding) / LAYERS / group
    block += over(link, 4 * tokens * WIDTH * 2 / group * (group - 1) / group, group)
    if sharded and gpus > 1:
        nodes = math.ceil(gpus / NODE)
        gather = max(BLOCK * (gpus - 1) / gpus / link, BLOCK * (nodes - 1) / nodes / (NODE * INFINIBAND))
        block = max(block, gather)
    return 2 / branches * layers * block * (1 + WAIT if branches == 2 else 1)


# docs/measurements.md, "Two H100 with NVLink": 10 of 40 layers. WAIT and NVLink were fitted to the second and third; the others test them.
MEASURED = [("720p", 1, 1, False, 4.725), ("720p", 2, 2, False, 2.410), ("720p", 2, 1, False, 2.511),
            ("720p", 2, 1, True, 2.528), ("480p", 1, 1, False, 1.231), ("480p", 2, 2, False, 0.632),
            ("480p", 2, 1, True, 0.681)]


def check():
    worst = 0.0
    for size, gpus, branches, sharded, seconds in MEASURED:
        model = step(size, gpus, LINKS["NVLink"], branches, sharded, 10)
        error = model / seconds - 1
        worst = max(worst, abs(error))
        print(f"{size} {gpus} GPU, {branches} branch(es){', sharded' if sharded else ''}: "
              f"measured {seconds:.3f} s, model {model:.3f} s, {error:+.1%}")
    print(f"worst {worst:.1%}, allowed 5 %")
    return 0 if worst <= 0.05 else 1


def table():
    print("| GPUs | " + " | ".join(f"{s}, {link}" for s in SIZES for link in LINKS) + " |")
    print("|---|" + "---|" * (len(SIZES) * len(LINKS)))
    for gpus in (1, 2, 4, 8, 16, 32, 64):
        cells = []
        for size in SIZES:
            for link in LINKS.values():
                t = step(size, gpus, link, 1 if gpus == 1 else 2)
                share = step(size, 1, link, 1) / gpus / t
                cells.append(f"{t:.2f} s, {share:.0%}")
        print(f"| {gpus} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with what was measured; fails beyond 5 %%")
    if parser.parse_args().check:
        sys.exit(check())
    table()
