#!/usr/bin/env python3
"""Writes tests/fixtures/io and the checkpoint parsers' seeds in fuzz/corpus. Needs numpy and safetensors.

The files are made by other programs' writers (pickle, zipfile, safetensors), so that the C++ readers are tested against
those and not against themselves. golden_digests.json says what is in tests/golden/tiny, read by Python's safetensors and
pickle modules.
"""
import collections
import io
import json
import pathlib
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
import safetensors.numpy

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "tests" / "fixtures" / "io"
GOLDEN = ROOT / "tests" / "golden" / "tiny"
CORPUS = ROOT / "fuzz" / "corpus"

STORAGES = {
    "FloatStorage": ("f32", "<f4"),
    "BFloat16Storage": ("bf16", "<u2"),
    "HalfStorage": ("f16", "<f2"),
    "DoubleStorage": ("f64", "<f8"),
    "LongStorage": ("i64", "<i8"),
    "IntStorage": ("i32", "<i4"),
    "ByteStorage": ("u8", "u1"),
}

# ---- A torch that has just enough to pickle and unpickle state dicts ----


def stub_torch():
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES:
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def rebuild_tensor(storage, offset, size, stride, requires_grad=False, hooks=None):
        return Tensor(storage, offset, size, stride)

    def rebuild_parameter(data, requires_grad=False, hooks=None):
        return Parameter(data)

    for function, name in ((rebuild_tensor, "_rebuild_tensor_v2"), (rebuild_parameter, "_rebuild_parameter")):
        function.__module__, function.__qualname__, function.__name__ = "torch._utils", name, name
        setattr(utils, name, function)
    sys.modules["torch"], sys.modules["torch._utils"] = torch, utils
    torch._utils = utils
    return torch


class Storage:
    def __init__(self, kind, key, numel):
        self.kind, self.key, self.numel = kind, key, numel


class Tensor:
    def __init__(self, storage, offset, size, stride):
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    def __reduce__(self):
        hooks = collections.OrderedDict()
        return (torch._utils._rebuild_tensor_v2, (self.storage, self.offset, self.size, self.stride, False, hooks))


class Parameter:
    def __init__(self, data):
        self.data = data

    def __reduce__(self):
        return (torch._utils._rebuild_parameter, (self.data, True, collections.OrderedDict()))


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, Storage):
            return ("storage", getattr(torch, value.kind), value.key, "cpu", value.numel)
        return None


class Unpickler(pickle.Unpickler):
    def persistent_load(self, value):
        return Storage(value[1].__name__, value[2], value[4])


torch = stub_torch()


def dumps(value):
    out = io.BytesIO()
    Pickler(out, protocol=2).dump(value)
    return out.getvalue()


def contiguous(shape):
    strides, step = [], 1
    for d in reversed(shape):
        strides.insert(0, step)
        step *= d
    return tuple(strides)


def write_pth(path, pickled, storages, byteorder=b"little"):
    folder = pathlib.Path(path).stem
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:
        def put(name, data):
            out.writestr(zipfile.ZipInfo(f"{folder}/{name}", (1980, 1, 1, 0, 0, 0)), data)

        put("data.pkl", pickled)
        if byteorder:
            put("byteorder", byteorder)
        for key, data in storages.items():
            put(f"data/{key}", data)
        put("version", b"3\n")


# ---- Fixtures ----

VALUES = [0.0, 1.0, -2.5, 3.140625, 65504.0, -0.0078125]


def bfloat16_bits(values):
    return (np.asarray(values, "<f4").view("<u4") >> 16).astype("<u2")


def mixed_state_dict():
    """One tensor of each type, [2, 3], with the values above (whole numbers for integers)."""
    state, storages = collections.OrderedDict(), {}
    for key, (kind, (dtype, numpy_type)) in enumerate(STORAGES.items()):
        if dtype == "bf16":
            data = bfloat16_bits(VALUES)
        elif dtype in ("i64", "i32", "u8"):
            data = np.arange(6).astype(numpy_type)
        else:
            data = np.asarray(VALUES, numpy_type)
        storages[str(key)] = data.tobytes()
        state["tensor." + dtype] = Tensor(Storage(kind, str(key), 6), 0, (2, 3), (3, 1))
    first = state["tensor.f32"].storage
    state["parameter"] = Parameter(Tensor(first, 0, (2, 3), (3, 1)))
    state["part"] = Tensor(first, 2, (4,), (1,))
    state["scalar"] = Tensor(first, 3, (), ())
    state._metadata = collections.OrderedDict([("", {"version": 1})])
    return state, storages


class RunsCode:
    def __reduce__(self):
        import os
        return (os.system, ("echo this must not run >&2",))


def write_fixtures():
    FIXTURES.mkdir(parents=True, exist_ok=True)
    state, storages = mixed_state_dict()
    write_pth(FIXTURES / "mixed.pth", dumps(state), storages)
    write_pth(FIXTURES / "nested.pth", dumps({"epoch": 3, "loss": [0.5], "state_dict": state}), storages)
    write_pth(FIXTURES / "big_endian.pth", dumps(state), storages, b"big")
    transposed = {"w": Tensor(Storage("FloatStorage", "0", 6), 0, (3, 2), (1, 3))}
    write_pth(FIXTURES / "transposed.pth", dumps(transposed), storages)
    write_pth(FIXTURES / "runs_code.pth", dumps({"w": RunsCode()}), {})
    (FIXTURES / "protocol4.pkl").write_bytes(pickle.dumps({"w": RunsCode()}, protocol=4))

    float_values = np.asarray(VALUES, "<f4").reshape(2, 3)
    safetensors.numpy.save_file({"a.weight": float_values, "b": np.arange(4, dtype="<i8"),
                                 "half": float_values.astype("<f2"), "empty": np.zeros((0, 4), "<f4")},
                                FIXTURES / "mixed.safetensors", metadata={"format": "pt", "made by": "numpy"})

    with zipfile.ZipFile(FIXTURES / "deflated.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("x/data.pkl", b"a" * 1000)
    with zipfile.ZipFile(FIXTURES / "hostile_names.zip", "w", zipfile.ZIP_STORED) as out:
        for name in ("../../etc/passwd", "/etc/shadow", "a/../b", "C:\\x", "ünï/cödé"):
            out.writestr(name, b"data of " + name.encode())
    with zipfile.ZipFile(FIXTURES / "zip64.zip", "w", zipfile.ZIP_STORED) as out:
        with out.open(zipfile.ZipInfo("x/forced"), "w", force_zip64=True) as member:
            member.write(b"0123456789")
    stream = Unseekable()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as out:
        out.writestr("x/streamed", b"with a data descriptor")
    (FIXTURES / "streamed.zip").write_bytes(stream.getvalue())


class Unseekable:
    """Makes zipfile write data descriptors, as torch does."""

    def __init__(self):
        self.data = bytearray()

    def write(self, data):
        self.data += data
        return len(data)

    def flush(self):
        pass

    def getvalue(self):
        return bytes(self.data)


# ---- What is in the golden checkpoints ----

MASK = (1 << 64) - 1


def fnv1a(value, data):
    for b in data:
        value = ((value ^ b) * 0x100000001B3) & MASK
    return value


def read_safetensors(path):
    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    types_in_header = {k: v["dtype"].lower() for k, v in json.loads(raw[8:8 + length]).items() if k != "__metadata__"}
    for name, array in safetensors.numpy.load(raw).items():
        yield name, types_in_header[name], array.shape, array.tobytes()


def read_pth(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        pickled = next(n for n in names if n.endswith("/data.pkl"))
        folder = pickled[:-len("data.pkl")]
        for name, tensor in Unpickler(io.BytesIO(archive.read(pickled))).load().items():
            if isinstance(tensor, Parameter):
                tensor = tensor.data
            dtype, numpy_type = STORAGES[tensor.storage.kind]
            values = np.frombuffer(archive.read(f"{folder}data/{tensor.storage.key}"), numpy_type)
            assert contiguous(tensor.size) == tensor.stride
            part = values[tensor.offset:tensor.offset + int(np.prod(tensor.size, dtype=np.int64))]
            yield name, dtype, tensor.size, part.tobytes()


def digest(tensors):
    value, count, total, samples = 0xCBF29CE484222325, 0, 0, {}
    tensors = sorted(tensors)
    for name, dtype, shape, data in tensors:
        value = fnv1a(value, f"{name}|{dtype}|[{', '.join(map(str, shape))}]|".encode())
        value = fnv1a(value, data)
        count, total = count + 1, total + len(data)
    for name, dtype, shape, data in tensors[::max(1, count // 3)]:
        if dtype == "f32":
            values = np.frombuffer(data, "<f4")
            samples[name] = {"shape": list(shape), "first": float(values[0]), "last": float(values[-1]),
                             "sum": float(values.astype(np.float64).sum())}
    return {"tensors": count, "bytes": total, "fnv1a": f"{value:016x}", "samples": samples}


def write_golden_digests():
    out = {}
    for path in sorted(GOLDEN.rglob("*")):
        if path.suffix in (".safetensors", ".pth"):
            read = read_safetensors if path.suffix == ".safetensors" else read_pth
            out[str(path.relative_to(GOLDEN))] = digest(read(path))
    (FIXTURES / "golden_digests.json").write_text(json.dumps(out, indent=1) + "\n")


# ---- Seeds for the fuzzers ----


def write_corpus():
    seeds = collections.defaultdict(dict)
    state, storages = mixed_state_dict()
    seeds["pickle"]["mixed"] = dumps(state)
    seeds["pickle"]["nested"] = dumps({"epoch": 3, "loss": [0.5], "state_dict": state})
    seeds["pickle"]["runs_code"] = dumps({"w": RunsCode()})
    seeds["pickle"]["protocol4"] = (FIXTURES / "protocol4.pkl").read_bytes()
    small = {"w": Tensor(Storage("FloatStorage", "0", 6), 0, (2, 3), (3, 1))}
    write_pth(FIXTURES / "small.pth", dumps(small), {"0": storages["0"]})
    seeds["zip"]["small"] = (FIXTURES / "small.pth").read_bytes()
    for name in ("deflated", "hostile_names", "zip64", "streamed"):
        seeds["zip"][name] = (FIXTURES / f"{name}.zip").read_bytes()
    (FIXTURES / "small.pth").unlink()
    seeds["safetensors"]["mixed"] = (FIXTURES / "mixed.safetensors").read_bytes()
    seeds["safetensors"]["one"] = safetensors.numpy.save({"x": np.zeros((1, 2), "<f4")})
    seeds["safetensors"]["none"] = struct.pack("<Q", 2) + b"{}"
    seeds["config"]["config.json"] = (GOLDEN / "Wan2.2-TI2V-5B" / "config.json").read_bytes()
    seeds["config"]["index.json"] = json.dumps(
        {"metadata": {"total_size": 8}, "weight_map": {"a": "diffusion_pytorch_model-00001-of-00002.safetensors"}}).encode()
    seeds["config"]["values"] = rb'{"dim": -1, "eps": 1e-6, "s": "\ud83d\ude00", "n": null, "b": [true, {"x": 18446744073709551615}]}'
    for harness, files in seeds.items():
        folder = CORPUS / harness
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    write_fixtures()
    write_golden_digests()
    write_corpus()
