#!/usr/bin/env python3
"""Checks that includes point downward (LAYERS: what each folder of src/ may include besides itself), and that files stay small."""
import pathlib
import re
import subprocess
import sys

LAYERS = {
    "core": set(),
    "io": {"core"},
    "hub": {"core", "io"},
    "ops": {"core"},
    "comm": {"core"},
    "weights": {"core", "io", "comm"},
    "sampler": {"core"},
    "parallel": {"core", "comm", "ops"},
    "models": {"core", "ops", "weights", "parallel"},
    "pipeline": {"core", "io", "ops", "weights", "sampler", "models", "parallel"},
    "engine": {"core", "io", "ops", "comm", "weights", "sampler", "models", "parallel", "pipeline"},
    "conversion": {"core", "io", "hub", "weights", "models", "pipeline", "engine"},
    "bench": {"core", "io", "ops", "comm", "weights", "sampler", "models", "parallel", "pipeline", "engine"},
}
HARD_LIMIT = 600
GENERATED = re.compile(r"_tables?\.|html_entities|_generated")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def allowed(path: pathlib.PurePath, include: str) -> bool:
    top = include.split("/")[0]
    if top == "wan" or "/" not in include:
        return True
    if path.parts[0] == "apps":
        return False  # programs use include/wan/ (and their own files) only
    if path.parts[0] == "include":
        return False
    if path.parts[0] == "src":
        folder = path.parts[1]
        is_test = "_test" in path.stem
        return top == folder or top in LAYERS[folder] or (is_test and (top in ("support", "conformance") or top in LAYERS))
    return True


def main() -> int:
    files = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split("\n")
    problems = []
    for name in files:
        if not name.endswith((".h", ".cpp", ".cu", ".cuh")):
            continue
        path = pathlib.PurePath(name)
        text = pathlib.Path(name).read_text(encoding="utf-8")
        lines = text.count("\n")
        if lines > HARD_LIMIT and not GENERATED.search(path.name):
            problems.append(f"{name}: {lines} lines, the limit is {HARD_LIMIT}")
        for include in INCLUDE.findall(text):
            if not allowed(path, include):
                problems.append(f'{name}: includes "{include}", which is not below it')
    print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
