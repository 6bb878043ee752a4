#!/usr/bin/env python3
"""Runs every `wan ...` command of the documents: commands_test.py WAN SOURCE_DIR [DOCUMENT...]

Folders and names of checkpoints become the demo models or the golden checkpoints. `wan generate` gets --dry_run. Downloads run
without a network: exit status 2 with the sentence about it means that the command was understood.
"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

MODELS = re.compile(r"^(\./)?(Wan2\.2-|t2v-|i2v-|ti2v-|/tmp/big)")
LAUNCHERS = ("torchrun", "mpirun", "srun")
COMMANDS = ("generate", "plan", "bench", "doctor", "download", "convert", "show")


def commands(text):
    """The wan commands of fenced blocks and inline code, each as words, with its line."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
            continue
        pieces = [line] if fenced else re.findall(r"`([^`]+)`", line)
        for piece in pieces:
            match = re.search(r"(?:^|[\s;&])wan (%s)\b" % "|".join(COMMANDS), piece)
            if not match or (fenced and not re.match(r"\s*(\$ )?(wan |[A-Z_0-9]+=|%s)" % "|".join(LAUNCHERS), piece)):
                continue
            words = shlex.split(piece[match.start(1):], comments=True)
            ends = [i for i, w in enumerate(words) if w in ("|", "&&", ";", ">", "&")]
            yield number, [w for w in words[:min(ends, default=len(words))] if w != "..."]


def value(words, flag):
    return words[words.index(flag) + 1] if flag in words[:-1] else ""


def adapted(words, source, scratch):
    """The command with what this machine lacks replaced, or None for a bare name of a command."""
    command = words[0]
    if len(words) == 1 and command in ("generate", "download", "convert", "show", "bench"):
        return None
    words = ["1" if w in ("N", "X") else w for w in words]
    golden = source / "tests/golden/tiny"
    if command in ("generate", "bench", "doctor", "plan") and "--ckpt_dir" in words[:-1]:
        name = value(words, "--ckpt_dir").lower()
        kind = next((k for k in ("I2V-A14B", "T2V-A14B", "TI2V-5B") if "-" + k.lower() in "-" + name), None)
        kind = kind or ("TI2V-5B" if "ti2v" in name else "T2V-A14B")
        words[words.index("--ckpt_dir") + 1] = str(golden / ("Wan2.2-" + kind))
    if "--image" in words and command == "generate":
        words[words.index("--image") + 1] = str(source / "tests/fixtures/demo/pink_cross.png")
    if command == "generate":
        for flag in ("--vram", "--device", "--latents"):  # no GPU and no latents here; plan and parser know the flags
            if flag in words:
                del words[words.index(flag):words.index(flag) + 2]
        if words[-1] == "--dump":
            words.append(str(scratch / "dump.safetensors"))
        if "--prompt" not in words and "--prompt_file" not in words:
            words += ["--prompt", "x"]
        if "--save_file" in words:
            words[words.index("--save_file") + 1] = str(scratch / pathlib.Path(value(words, "--save_file")).name)
        return words + ["--device", "cpu", "--dry_run"]
    if command == "bench":
        for flag in ("--size", "--frames", "--layers", "--runs", "--ckpt_dir", "--task", "--device", "--vae_bands"):
            if flag in words and flag not in ("--ckpt_dir", "--task"):
                words[words.index(flag) + 1] = {"--size": "64*64", "--frames": "5", "--device": "cpu"}.get(flag, "1")
        task = value(words, "--task") or "t2v-A14B"
        folder = "Wan2.2-TI2V-5B" if task == "ti2v-5B" else "Wan2.2-" + task[:3].upper() + "-A14B"
        for flag, text in (("--ckpt_dir", str(golden / folder)), ("--size", "64*64"), ("--frames", "5"),
                           ("--runs", "1"), ("--device", "cpu")):
            words += [] if flag in words else [flag, text]
        return words
    if command == "convert":
        at = [i for i, w in enumerate(words) if MODELS.match(w)]
        if "--verify" in words:
            return None if not (scratch / "converted").exists() else ["convert", "--verify", str(scratch / "converted")]
        if len(at) == 2:
            words[at[0]] = str(source / "models/demo-t2v")
            target = scratch / "converted"
            subprocess.run(["rm", "-rf", str(target)], check=True)
            words[at[1]] = str(target)
    if command == "show" and "--help" not in words:
        for i, w in enumerate(words[1:], 1):
            if not w.startswith("-"):
                words[i] = str(scratch / "clip.mp4")
    return words


def main():
    wan, source = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    documents = [pathlib.Path(p) for p in sys.argv[3:]] or [
        source / "README.md", source / "QUICKSTART.md", *sorted((source / "docs").glob("*.md"))]
    failures, count, seen = [], 0, set()
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(scratch / "cache")}
        for name in ("RANK", "WORLD_SIZE", "HF_TOKEN"):
            environment.pop(name, None)

        def run(words, cwd=scratch):
            return subprocess.run([str(wan), *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)

        clip = run(["generate", "--prompt", "a red ball rolls from left to right", "--sample_steps", "1",
                    "--frame_num", "5", "--save_file", "clip.mp4", "--device", "cpu"])
        if clip.returncode != 0:
            failures.append("the demo clip: " + clip.stderr)
        for document in documents:
            for line, words in commands(document.read_text()):
                ready = adapted(list(words), source, scratch)
                if ready is None or tuple(ready) in seen:
                    continue
                seen.add(tuple(ready))
                count += 1
                result = run(ready)
                offline = words[0] == "download" and "the network is switched off" in result.stderr
                if words[0] == "doctor" and result.returncode == 1:  # this machine may lack something
                    continue
                if result.returncode != 0 and not offline:
                    failures.append(f"{document.name}:{line}: wan {shlex.join(words)}\n    as {shlex.join(ready)}\n"
                                    f"    status {result.returncode}: {result.stderr.strip()[-400:]}")
    print(f"{count} commands, {len(failures)} failures")
    print("\n".join(failures))
    return 1 if failures or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
