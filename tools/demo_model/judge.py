"""Measures what a clip shows, without knowing how it was made: colour, shape and motion of up to two objects.

The background is each pixel row's median over time and width; objects are connected regions that differ from it. Colour:
the mean of a region's inside, by the nearest reference. Shape: rotation-invariant complex moments of the region, by the
nearest reference shape. Motion: the track of the centroid and of the area.

    python judge.py clip.mp4                  what one clip (video file, or folder of PNG frames) shows
    python judge.py --manifest clips.json     scores a list of {"path": .., "objects": [{"colour", "shape", "motion"}]}
"""
from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
from pathlib import Path

import numpy as np
from scipy import ndimage

COLOURS = {"red": (220, 40, 40), "orange": (245, 140, 30), "yellow": (245, 225, 60), "green": (45, 165, 70),
           "cyan": (60, 210, 220), "blue": (45, 85, 225), "purple": (140, 60, 190), "pink": (245, 135, 185),
           "white": (245, 245, 245), "black": (20, 20, 20)}
DIFFERENT = 0.16  # distance in RGB (0..1) from which a pixel is not background
SMALLEST = 0.003  # least area of an object, as a share of the frame


def _moments(alpha: np.ndarray) -> np.ndarray:
    """Translation, scale and rotation invariant features of a soft mask."""
    area = alpha.sum()
    y, x = np.mgrid[:alpha.shape[0], :alpha.shape[1]]
    z = (x - (alpha * x).sum() / area + 1j * (y - (alpha * y).sum() / area)) / math.sqrt(area)
    spread = (alpha * abs(z) ** 2).sum() / area
    folds = [abs((alpha * z**n).sum() / area) / unit for n, unit in ((3, 0.067), (4, 0.02), (5, 0.038))]
    hollow = (alpha * (abs(z) < 0.2)).sum() / area
    return np.array([spread * 8, *folds, hollow * 4])


def _reference_shapes() -> dict[str, np.ndarray]:
    def polygon(points):
        y, x = np.mgrid[-1.3:1.3:261j, -1.3:1.3:261j]
        inside = np.zeros(x.shape, bool)
        for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1]):  # even-odd rule
            if y0 != y1:
                inside ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
        return inside.astype(float)

    def corners(n, radii):
        turn = [2 * math.pi * i / n for i in range(n)]
        return [(radii[i % len(radii)] * math.sin(a), -radii[i % len(radii)] * math.cos(a)) for i, a in enumerate(turn)]

    a, b = 1.02, 0.34
    plus = [(-b, -a), (b, -a), (b, -b), (a, -b), (a, b), (b, b), (b, a), (-b, a), (-b, b), (-a, b), (-a, -b), (-b, -b)]
    disc = polygon(corners(180, (1.0,)))
    masks = {"ball": disc, "square": polygon(corners(4, (1.0,))), "triangle": polygon(corners(3, (1.0,))),
             "star": polygon(corners(10, (1.15, 0.48))), "cross": polygon(plus),
             "ring": polygon(corners(180, (1.03,))) - polygon(corners(180, (0.49,)))}
    return {name: _moments(mask) for name, mask in masks.items()}


REFERENCE = _reference_shapes()


def read_clip(path: str | Path) -> np.ndarray:
    """Frames [T, H, W, 3] uint8 of a video file or of a folder of PNG files."""
    path = Path(path)
    if path.is_dir():
        from PIL import Image

        return np.stack([np.asarray(Image.open(f).convert("RGB")) for f in sorted(path.glob("*.png"))])
    probe = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width,height",
                            "-of", "csv=p=0", str(path)], check=True, capture_output=True, text=True).stdout
    width, height = map(int, probe.strip().split(",")[:2])
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
                         check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def _regions(frame: np.ndarray, difference: np.ndarray) -> list[dict]:
    labels, _ = ndimage.label(difference > DIFFERENT)
    found = []
    for i, box in enumerate(ndimage.find_objects(labels), 1):
        grown = tuple(slice(max(s.start - 2, 0), min(s.stop + 2, n)) for s, n in zip(box, labels.shape))
        mask = labels[grown] == i
        if mask.sum() < SMALLEST * labels.size:
            continue
        inside = ndimage.binary_erosion(mask, iterations=2)
        inside = inside if inside.sum() >= 8 else mask
        contrast = np.median(difference[grown][inside])
        near = ndimage.binary_dilation(mask, iterations=2)
        alpha = np.clip(difference[grown] / contrast, 0, 1) * near
        y, x = np.mgrid[grown]
        area = alpha.sum()
        found.append({"area": area / labels.size, "alpha": alpha, "colour": np.median(frame[grown][inside], axis=0),
                      "x": (alpha * (x + 0.5)).sum() / area / labels.shape[1],
                      "y": (alpha * (y + 0.5)).sum() / area / labels.shape[0]})
    return sorted(found, key=lambda r: -r["area"])


def _tracks(regions: list[list[dict]]) -> list[list[dict]]:
    """Links the regions of all frames into one or two tracks, by place and colour."""
    number = int(np.median([len([r for r in frame if r["area"] > 0.15 * frame[0]["area"]]) for frame in regions if frame] or [0]))
    if number == 0:
        return []
    number = min(number, 2)
    start = min((i for i, frame in enumerate(regions) if len(frame) >= number), key=lambda i: abs(i - len(regions) // 2))
    tracks = [[r] for r in regions[start][:number]]

    def extend(order, at):
        last = [track[at] for track in tracks]
        for i in order:
            best = None
            for choice in itertools.permutations(regions[i][:3], min(number, len(regions[i]))):
                for slots in itertools.permutations(range(number), len(choice)):
                    cost = sum(math.hypot(r["x"] - last[s]["x"], r["y"] - last[s]["y"]) +
                               np.linalg.norm(r["colour"] - last[s]["colour"]) - r["area"] for r, s in zip(choice, slots))
                    best = min(best or (cost, choice, slots), (cost, choice, slots), key=lambda b: b[0])
            for r, s in zip(*best[1:]) if best else ():
                tracks[s].insert(0 if at == 0 else len(tracks[s]), r)
                last[s] = r

    extend(range(start + 1, len(regions)), -1)
    extend(range(start - 1, -1, -1), 0)
    return tracks


def _motion(track: list[dict]) -> str:
    x, y, area = (np.array([r[k] for r in track]) for k in ("x", "y", "area"))
    if len(x) < 8:
        return "none"
    dx, dy = x[-3:].mean() - x[:3].mean(), y[-3:].mean() - y[:3].mean()
    wide, tall = np.ptp(x), np.ptp(y)
    growth = area[-3:].mean() / area[:3].mean()
    turns, low, high, rising = 0, y[0], y[0], 0
    for v in y:  # reversals of at least 0.1 of the frame
        low, high = min(low, v), max(high, v)
        if rising >= 0 and v < high - 0.1:
            turns, rising, low = turns + (rising > 0), -1, v
        elif rising <= 0 and v > low + 0.1:
            turns, rising, high = turns + (rising < 0), 1, v
    if max(wide, tall) < 0.2:
        return "grow" if growth > 1.8 else "shrink" if growth < 1 / 1.8 else "still"
    angle = np.unwrap(np.arctan2(y - (y.max() + y.min()) / 2, x - (x.max() + x.min()) / 2))
    if min(wide, tall) > 0.22 and abs(angle[-1] - angle[0]) > 1.5 * math.pi:
        return "circle"
    if turns >= 2 and wide < 0.2 and tall > 0.22:
        return "bounce"
    for name, along, aside, travelled in (("right", dx, dy, wide), ("left", -dx, dy, wide), ("down", dy, dx, tall), ("up", -dy, dx, tall)):
        if along > 0.25 and abs(aside) < 0.5 * along and travelled < 1.3 * along + 0.05:
            return name
    return "other"


def measure(video: np.ndarray) -> list[dict]:
    """The objects of a clip [T, H, W, 3] uint8: colour, shape and motion by name, largest first."""
    frames = video.astype(np.float32) / 255
    background = np.median(frames, axis=(0, 2))[None, :, None]
    difference = np.linalg.norm(frames - background, axis=-1)
    objects = []
    for track in _tracks([_regions(f, d) for f, d in zip(frames, difference)]):
        colour = np.median([r["colour"] for r in track], axis=0)
        clearest = sorted(track, key=lambda r: -r["area"])[:max(1, len(track) // 2)]
        features = np.median([_moments(r["alpha"]) for r in clearest], axis=0)
        objects.append({
            "colour": min(COLOURS, key=lambda c: np.linalg.norm(np.array(COLOURS[c]) / 255 - colour)),
            "shape": min(REFERENCE, key=lambda s: np.linalg.norm(REFERENCE[s] - features)),
            "motion": _motion(track), "frames": len(track), "area": float(np.mean([r["area"] for r in track]))})
    return objects


def verdict(video: np.ndarray, expected: list[dict]) -> dict:
    """Whether colour, shape and motion of ALL expected objects are right, under the best pairing."""
    seen = measure(video)
    result = {"count": len(seen) == len(expected), "colour": False, "shape": False, "motion": False, "seen": seen}
    best = -1
    for order in itertools.permutations(seen, len(expected)):
        right = {k: all(o[k] == e[k] for o, e in zip(order, expected)) for k in ("colour", "shape", "motion")}
        if sum(right.values()) > best:
            best = sum(right.values())
            result.update(right)
    return result


def score(verdicts: list[dict]) -> dict:
    keys = ("count", "colour", "shape", "motion")
    rates = {k: float(np.mean([v[k] for v in verdicts])) for k in keys}
    rates["all"] = float(np.mean([all(v[k] for k in keys) for v in verdicts]))
    return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?")
    parser.add_argument("--manifest")
    args = parser.parse_args()
    if not args.manifest:
        print(json.dumps(measure(read_clip(args.clip)), indent=1))
        return
    entries = json.loads(Path(args.manifest).read_text())
    verdicts = [verdict(read_clip(Path(args.manifest).parent / e["path"]), e["objects"]) for e in entries]
    for entry, v in zip(entries, verdicts):
        wrong = [k for k in ("count", "colour", "shape", "motion") if not v[k]]
        if wrong:
            print(entry["path"], "wrong:", *wrong, "seen:", json.dumps(v["seen"]))
    print(json.dumps({"clips": len(entries), **score(verdicts)}))


if __name__ == "__main__":
    main()
