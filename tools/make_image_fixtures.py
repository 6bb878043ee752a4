#!/usr/bin/env python3
"""Writes tests/fixtures/image: small pictures of every kind that decode_image() reads, each with the pixels that PIL
gives for it (NAME.ppm), and the resize fixtures tests/fixtures/resize. Needs numpy and Pillow before 13, which changed
the order of the two passes of resize().

    python3 tools/make_image_fixtures.py
"""
import io
import pathlib
import struct
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures"
OUT = ROOT / "image"
W, H = 13, 9
RNG = np.random.default_rng(7)


# --- a PNG writer for the kinds that PIL reads but cannot write ---------------------------------------------------


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack(samples, depth):
    """samples [n, channels] -> the bytes of one row without filter."""
    flat = samples.reshape(-1)
    if depth == 16:
        return flat.astype(">u2").tobytes()
    bits = "".join(format(int(v), f"0{depth}b") for v in flat)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def png(samples, depth, colour, extra=b"", interlaced=False):
    """samples [H, W, channels]"""
    h, w, _ = samples.shape
    raw = b""
    if interlaced:
        for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
            part = samples[y0::dy, x0::dx]
            if part.size:
                raw += b"".join(b"\0" + pack(row, depth) for row in part)
    else:
        raw = b"".join(b"\0" + pack(row, depth) for row in samples)
    header = struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


# --- cases ---------------------------------------------------------------------------------------------------------


def save(name, data, expected=None):
    (OUT / name).write_bytes(data)
    if expected is None:
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    expected.save(OUT / (name + ".ppm"))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(w=W, h=H, channels=3):
    y, x = np.mgrid[0:h, 0:w]
    planes = [127.5 + 127.5 * np.sin(x * (0.3 + 0.17 * c) + y * (0.2 + 0.11 * c) + c) for c in range(channels)]
    return np.stack(planes, -1).astype(np.uint8)


def make_png():
    palette = chunk(b"PLTE", RNG.integers(0, 256, 3 * 11, dtype=np.uint8).tobytes())
    colours = {0: ("grey", 1), 2: ("rgb", 3), 3: ("palette", 1), 4: ("greyalpha", 2), 6: ("rgba", 4)}
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    for colour, (label, channels) in colours.items():
        for depth in depths[colour]:
            samples = RNG.integers(0, 1 << depth, (H, W, channels))
            if depth == 16 and colour == 0:
                samples[:, ::2] %= 300  # around the value where 16-bit grey saturates
            extra = palette if colour == 3 else b""
            if colour == 3 and depth == 1:
                extra = chunk(b"PLTE", bytes([1, 2, 3, 250, 251, 252]))
            if colour == 3 and depth == 2:
                extra = chunk(b"PLTE", bytes(range(40, 52)))
            for interlaced in (False, True):
                suffix = "_adam7" if interlaced else ""
                save(f"{label}{depth}{suffix}.png", png(samples, depth, colour, extra, interlaced))
    save("rgb8_trns.png", png(np.tile([[[9, 8, 7], [1, 2, 3]]], (3, 2, 1)), 8, 2, chunk(b"tRNS", struct.pack(">3H", 9, 8, 7))))
    save("grey8_trns.png", png(np.arange(12).reshape(3, 4, 1), 8, 0, chunk(b"tRNS", struct.pack(">H", 5))))
    save("palette8_trns.png", png(RNG.integers(0, 11, (H, W, 1)), 8, 3, palette + chunk(b"tRNS", bytes([0, 128, 255]))))
    save("rgb8_gamma.png", png(smooth(), 8, 2, chunk(b"gAMA", struct.pack(">I", 100000))))
    save("one_pixel_adam7.png", png(np.array([[[3, 200, 77]]]), 8, 2, interlaced=True))
    exif = Image.Exif()
    exif[0x0112] = 6
    save("exif6.png", encoded(Image.fromarray(smooth()), "PNG", exif=exif))


def make_jpeg():
    picture = Image.fromarray(smooth(37, 29))
    for sampling, label in ((0, "444"), (1, "422"), (2, "420")):
        save(f"ycc{label}.jpg", encoded(picture, "JPEG", quality=90, subsampling=sampling))
    save("progressive.jpg", encoded(picture, "JPEG", quality=85, progressive=True))
    save("grey.jpg", encoded(picture.convert("L"), "JPEG", quality=90))
    save("restart.jpg", encoded(picture, "JPEG", quality=90, restart_marker_blocks=2))
    save("rgb.jpg", encoded(picture, "JPEG", quality=90, keep_rgb=True))
    inks = Image.fromarray(smooth(37, 29, 4), "CMYK")
    cmyk = encoded(inks, "JPEG", quality=95)
    save("cmyk.jpg", cmyk)
    # The same samples declared as YCCK: transform 2 in Adobe's APP14 segment.
    adobe = cmyk.index(b"Adobe\0\x64")
    save("ycck.jpg", cmyk[: adobe + 11] + b"\x02" + cmyk[adobe + 12 :])
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        exif[0x010F] = "a camera"
        save(f"exif{orientation}.jpg", encoded(Image.fromarray(smooth(16, 11)), "JPEG", quality=90, exif=exif))


def make_webp():
    picture = Image.fromarray(smooth(37, 29))
    save("lossy.webp", encoded(picture, "WEBP", quality=80))
    save("lossless.webp", encoded(picture, "WEBP", lossless=True))
    rgba = np.concatenate([smooth(37, 29), smooth(37, 29, 4)[..., 3:]], -1)
    save("lossless_alpha.webp", encoded(Image.fromarray(rgba), "WEBP", lossless=True, exact=True))
    save("lossy_alpha.webp", encoded(Image.fromarray(rgba), "WEBP", quality=80, exact=True))
    exif = Image.Exif()
    exif[0x0112] = 8
    save("exif8.webp", encoded(picture, "WEBP", lossless=True, exif=exif))
    frames = [Image.fromarray(smooth(16, 16)), Image.fromarray(255 - smooth(16, 16))]
    (OUT / "animated.webp").write_bytes(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]))


def make_bad():
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 50000, 50000, 8, 6, 0, 0, 0))
    (OUT / "bomb_50000x50000.png").write_bytes(bomb + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))
    # Within the limits in pixels, but the file could not hold a thousandth of them.
    liar = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 7900, 7900, 16, 6, 0, 0, 1))
    (OUT / "liar_7900x7900.png").write_bytes(liar + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))
    (OUT / "other.bmp").write_bytes(encoded(Image.fromarray(smooth()), "BMP"))


def make_resize():
    """lanczos.bin: for each case int32 w, h, new_w, new_h, the source pixels and PIL's result."""
    folder = ROOT / "resize"
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [(13, 9, 26, 18), (13, 9, 5, 4), (13, 9, 13, 20), (13, 9, 7, 9), (40, 30, 13, 29), (1, 1, 6, 5), (2, 3, 31, 1),
             (64, 48, 17, 13), (33, 21, 34, 22), (50, 3, 3, 50), (16, 16, 16, 16), (61, 7, 8, 8), (90, 66, 96, 71)]
    with open(folder / "lanczos.bin", "wb") as file:
        for w, h, new_w, new_h in sizes:
            for kind in ("noise", "edges"):
                pixels = RNG.integers(0, 256, (h, w, 3), dtype=np.uint8)
                if kind == "edges":
                    pixels = ((pixels > 127) * 255).astype(np.uint8)  # saturates in both directions
                result = np.asarray(Image.fromarray(pixels).resize((new_w, new_h), Image.LANCZOS))
                file.write(struct.pack("<4i", w, h, new_w, new_h) + pixels.tobytes() + result.tobytes())
    # bicubic.bin: the same with float32 planes; the result is the documented formula in float64.
    with open(folder / "bicubic.bin", "wb") as file:
        for w, h, new_w, new_h in [(9, 7, 16, 12), (16, 12, 9, 7), (5, 5, 5, 5), (1, 3, 4, 2), (30, 20, 7, 40), (90, 66, 80, 64)]:
            planes = RNG.uniform(-1, 1, (3, h, w)).astype(np.float32)
            rows, columns = bicubic_matrix(h, new_h), bicubic_matrix(w, new_w)
            result = np.einsum("yh,chw,xw->cyx", rows, planes.astype(np.float64), columns)
            file.write(struct.pack("<4i", w, h, new_w, new_h) + planes.tobytes() + result.astype(np.float32).tobytes())


def bicubic_matrix(size, new_size, a=-0.75):
    """Keys' cubic convolution at half-pixel centres, taps clamped to the border: [new_size, size] float64."""

    def kernel(x):
        x = abs(x)
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0

    matrix = np.zeros((new_size, size))
    for i in range(new_size):
        position = (i + 0.5) * size / new_size - 0.5
        first = int(np.floor(position)) - 1
        for tap in range(first, first + 4):
            matrix[i, min(max(tap, 0), size - 1)] += kernel(position - tap)
    return matrix


if __name__ == "__main__":
    if int(PIL.__version__.split(".")[0]) >= 13:
        raise SystemExit(f"Pillow {PIL.__version__} resizes differently: pip install 'pillow<13'")
    OUT.mkdir(parents=True, exist_ok=True)
    make_png()
    make_jpeg()
    make_webp()
    make_bad()
    make_resize()
