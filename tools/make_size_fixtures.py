#!/usr/bin/env python3
"""Writes tests/fixtures/sizes/sizes.csv: clip sizes for many images, computed with Python's own arithmetic (int and
float true division, //, **, round), which the C++ functions must reproduce. Needs nothing but Python.

    python3 tools/make_size_fixtures.py
"""
import math
import pathlib
import random

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "sizes" / "sizes.csv"
AREAS = [1280 * 720, 832 * 480, 1280 * 704, 704 * 1024, 96 * 64]


def area_size(w, h, area, stride, patch=2):
    aspect = h / w
    rows = round(math.sqrt(area * aspect) // stride // patch * patch)
    columns = round(math.sqrt(area / aspect) // stride // patch * patch)
    return columns * stride, rows * stride


def best_output_size(w, h, step, area):
    ratio = w / h
    width = (area * ratio) ** 0.5
    height = area / width
    w1 = int(width // step * step)
    h1 = int(area / w1 // step * step)
    h2 = int(height // step * step)
    w2 = int(area / h2 // step * step)
    fit = [max(ratio / (a / b), (a / b) / ratio) for a, b in ((w1, h1), (w2, h2))]
    return (w1, h1) if fit[0] < fit[1] else (w2, h2)


def cover_size(w, h, target):
    scale = max(target[0] / w, target[1] / h)
    return round(w * scale), round(h * scale)


def images():
    # Exact hits first: ratios whose square roots land on, or a bit beside, a multiple of the step.
    for ratio in ((1, 1), (16, 9), (9, 16), (4, 3), (3, 2), (2, 3), (21, 9), (1280, 720), (1280, 704), (832, 480), (90, 66)):
        for factor in (1, 2, 7, 40):
            yield ratio[0] * factor, ratio[1] * factor
    rng = random.Random(5)
    while True:
        w = rng.randint(16, 6000)
        yield w, max(1, round(w * math.exp(rng.uniform(-1.2, 1.2))))


if __name__ == "__main__":
    OUT.parent.mkdir(parents=True, exist_ok=True)
    rows = ["width,height,area,stride,step,area_w,area_h,best_w,best_h,cover_w,cover_h"]
    for number, (w, h) in zip(range(240), images()):
        for area in AREAS:
            small = area < 10000
            stride, step = (8, 16 if small else 32)
            if number % 2:
                stride = 4 if small else 16
            best = best_output_size(w, h, step, area)
            rows.append(",".join(map(str, (w, h, area, stride, step, *area_size(w, h, area, stride), *best, *cover_size(w, h, best)))))
    OUT.write_text("\n".join(rows) + "\n")
