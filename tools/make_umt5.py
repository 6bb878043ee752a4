#!/usr/bin/env python3
"""Writes a random umT5-XXL encoder in the official layout (a torch .pth: 242 tensors, bf16, 11.4 GB), for benchmarks.

usage: tools/make_umt5.py OUTPUT.pth [--layers 24] [--dim 4096] [--ffn 10240] [--heads 64] [--vocabulary 256384]

Needs nothing but Python. Values are random with magnitude 2^-6, norms are 1: activations stay in range.
"""
import argparse
import os
import pickle
import struct
import zipfile

CHUNK = 1 << 24
HIGH_BYTE = bytes(0x3C if b < 128 else 0xBC for b in range(256))  # sign, and the upper exponent bits of 2^-6
LOW_BYTE = bytes(b | 0x80 for b in range(256))  # the last exponent bit, and a random mantissa


def tensors(a):
    """(name, shape, is_norm) in upstream's order."""
    yield "token_embedding.weight", (a.vocabulary, a.dim), False
    for i in range(a.layers):
        p = f"blocks.{i}."
        yield p + "norm1.weight", (a.dim,), True
        for n in "qkvo":
            yield p + f"attn.{n}.weight", (a.dim, a.dim), False
        yield p + "norm2.weight", (a.dim,), True
        yield p + "ffn.gate.0.weight", (a.ffn, a.dim), False
        yield p + "ffn.fc1.weight", (a.ffn, a.dim), False
        yield p + "ffn.fc2.weight", (a.dim, a.ffn), False
        yield p + "pos_embedding.embedding.weight", (32, a.heads), False
    yield "norm.weight", (a.dim,), True


def numel(shape):
    n = 1
    for d in shape:
        n *= d
    return n


def integer(n):
    return pickle.BININT + struct.pack("<i", n)


def text(s):
    return pickle.BINUNICODE + struct.pack("<I", len(s)) + s.encode()


def state_dict_pickle(entries):
    """The pickle of {name: tensor}, as torch.save writes it."""
    out = pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.MARK
    for key, (name, shape, _) in enumerate(entries):
        strides = [numel(shape[i + 1:]) for i in range(len(shape))]
        out += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + pickle.MARK
        out += pickle.MARK + text("storage") + b"ctorch\nBFloat16Storage\n" + text(str(key)) + text("cpu")
        out += integer(numel(shape)) + pickle.TUPLE + pickle.BINPERSID + integer(0)
        out += pickle.MARK + b"".join(map(integer, shape)) + pickle.TUPLE
        out += pickle.MARK + b"".join(map(integer, strides)) + pickle.TUPLE
        out += pickle.NEWFALSE + b"ccollections\nOrderedDict\n" + pickle.EMPTY_TUPLE + pickle.REDUCE + pickle.TUPLE + pickle.REDUCE
    return out + pickle.SETITEMS + pickle.STOP


def aligned_member(archive, name):
    """Opens a stored member whose data begin at a multiple of 64 bytes, as torch lays them out."""
    info = zipfile.ZipInfo(name)
    fixed = archive.fp.tell() + 30 + len(name) + 20 + 4  # local header, zip64 field, head of the padding field
    pad = -fixed % 64
    info.extra = b"FB" + struct.pack("<H", pad) + b"Z" * pad
    return archive.open(info, "w", force_zip64=True)


def write_values(out, count, is_norm):
    while count > 0:
        n = min(count, CHUNK)
        if is_norm:
            out.write(b"\x80\x3f" * n)
        else:
            block = bytearray(2 * n)
            random = os.urandom(2 * n)
            block[0::2] = random[:n].translate(LOW_BYTE)
            block[1::2] = random[n:].translate(HIGH_BYTE)
            out.write(block)
        count -= n


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output")
    for flag, default in (("layers", 24), ("dim", 4096), ("ffn", 10240), ("heads", 64), ("vocabulary", 256384)):
        parser.add_argument(f"--{flag}", type=int, default=default)
    args = parser.parse_args()
    entries = list(tensors(args))
    with zipfile.ZipFile(args.output, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with aligned_member(archive, "archive/data.pkl") as out:
            out.write(state_dict_pickle(entries))
        with aligned_member(archive, "archive/byteorder") as out:
            out.write(b"little")
        for key, (_, shape, is_norm) in enumerate(entries):
            with aligned_member(archive, f"archive/data/{key}") as out:
                write_values(out, numel(shape), is_norm)
        with aligned_member(archive, "archive/version") as out:
            out.write(b"3\n")
    print(f"{args.output}: {len(entries)} tensors, {os.path.getsize(args.output) / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
