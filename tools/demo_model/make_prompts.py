"""Writes the evaluation set for other programs: prompts.json, and with --images the first frame of each scene as PNG.

    python make_prompts.py --out /tmp/prompts --count 200 --images
"""
import argparse
import json
from pathlib import Path

from PIL import Image

import world
from evaluate import unseen_prompts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--images", action="store_true")
    parser.add_argument("--size", type=int, default=256)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    scenes, prompts, wanted = unseen_prompts(200)
    entries = [{"id": i, "prompt": p, "objects": w} for i, (p, w) in enumerate(zip(prompts, wanted))][:args.count]
    lines = ",\n".join(json.dumps(e) for e in entries)
    (args.out / "prompts.json").write_text(f"[\n{lines}\n]\n")
    if args.images:
        for i in range(args.count):
            frame = world.render(scenes.take(slice(i, i + 1)), args.size, frames=1)[0, :, 0]
            pixels = ((frame + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(args.out / f"{i:03d}.png")


if __name__ == "__main__":
    main()
