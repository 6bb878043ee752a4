#!/usr/bin/env python3
"""Compares the prompt cleaner and the tokenizer with upstream's on random, damaged text (setup: text_oracle.py).

    v/bin/python tools/compare_text.py [--count 20000] [--seed 1] [--build DIR]
"""
import argparse
import pathlib
import random
import struct
import subprocess
import sys
import unicodedata

import ftfy.badness
import ftfy.chardata
import html.entities

import text_oracle

PHRASES = [
    "A red ball bounces from left to right", "Ein Bär läuft über die Straße – schön, größer", "Où est le garçon ? Ça va à la mode",
    "El niño corrió a través del cañón ¡rápido!", "Żółta łódź płynie po jeziorze", "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "Красный мяч прыгает слева направо", "Ο κόκκινος μπάλα πηδάει", "Çalışkan öğrenci İstanbul'da ışık", "Ķīmijas laboratorijā šķīdums",
    "红色的球从左跳到右，静止不动的画面", "赤いボールが左から右へ弾む", "빨간 공이 튀어 오른다 한국어", "लाल गेंद उछलती है क्षत्रिय", "الكرة الحمراء تقفز من اليسار",
    "หมาแดงวิ่ง", "Quả bóng đỏ nảy", "emoji 🐱🚀 👨‍👩‍👧 🇩🇪 ❤️ 1️⃣", "“curly” ‘quotes’ … — •", "100 °C ± 5 % × ½ €20 £3 ¥5", "עברית כדור אדום",
    "ﬁnal ﬂuﬃ ǆ ĳ ŉ", "ＦＵＬＬ　ｗｉｄｔｈ ｶﾞｷﾞ", "e\u0301 n\u0303 A\u030a ḍ\u0307 q\u0323\u0307", "a\u00a0b\u2003c\u2028d\u2029e\u0085f", "<b>bold</b> &amp; 5 < 6",
    "&amp;amp;lt;i&amp;gt; &eacute; &EACUTE; &notit; &#8217; &#x1F600; &#150;", "</s> <pad> <unk> <extra_id_0> <0x41>", "\x1b[31mred\x1b[0m\ufeff",
]
ENCODINGS = ["latin-1", "sloppy-windows-1252", "sloppy-windows-1251", "sloppy-windows-1250", "sloppy-windows-1253",
             "sloppy-windows-1254", "sloppy-windows-1257", "iso-8859-2", "macroman", "cp437"]
LINE_ENDS = ["\n", "\r\n", "\r", "\u2028", " "]
SUSPECTS = sorted({c for s in list(ftfy.badness.MOJIBAKE_CATEGORIES.values()) + list(ftfy.chardata.UTF8_CLUES.values()) for c in s}
                  | set("abczAZ09 \n\t.,?!&;#<°œŒ×²³à√≈‚Äвʼ\x1a\x1b"))
ENTITIES = sorted(html.entities.html5)


def assigned(text):
    """The oracle's Unicode is older than ICU's: characters that it does not know may normalise differently."""
    return all(unicodedata.category(c) != "Cn" or ord(c) & 0xFFFE == 0xFFFE for c in text)


def damage(r, text):
    for _ in range(r.randint(1, 3)):
        encoding = r.choice(ENCODINGS)
        data = text.encode("utf-8")
        if r.random() < 0.15:
            data = b"".join(cesu8(c) for c in text)
        if r.random() < 0.2:
            data = data.replace(b"\xa0", b" ")
        text = data.decode(encoding, "replace")
        if r.random() < 0.15:
            text = "".join(r.choice("\ufffd?") if 0x80 <= ord(c) < 0xA0 else c for c in text)
        if r.random() < 0.6:
            break
    return text


def cesu8(c):
    """UTF-8 with a three-byte sequence for each half of a surrogate pair."""
    if ord(c) < 0x10000:
        return c.encode("utf-8")
    rest = ord(c) - 0x10000
    return (chr(0xD800 + (rest >> 10)) + chr(0xDC00 + (rest & 0x3FF))).encode("utf-8", "surrogatepass")


def entity(r):
    kind = r.random()
    if kind < 0.5:
        name = r.choice(ENTITIES)
        if r.random() < 0.3:
            name = name.upper()
        if r.random() < 0.3:
            name = name.rstrip(";")
        return "&" + name
    number = r.choice([r.randint(0, 0x200), r.randint(0, 0xFFFF), r.randint(0, 0x120000), 10 ** r.randint(5, 30)])
    return "&#" + r.choice([f"{number}", f"x{number:x}", f"X{number:X}", f"{number:030d}"]) + r.choice([";", "", " "])


def piece(r):
    kind = r.random()
    if kind < 0.35:
        return damage(r, r.choice(PHRASES))
    if kind < 0.5:
        return r.choice(PHRASES)
    if kind < 0.65:
        return "".join(r.choice(SUSPECTS) for _ in range(r.randint(1, 8)))
    if kind < 0.75:
        return entity(r)
    if kind < 0.8:
        return r.choice(["</s>", "<pad>", "<unk>", "<extra_id_7>", "<extra_id_99>", "&lt;/s&gt;", "﹤pad﹥", "<0x0A>", "▁"])
    if kind < 0.9:
        return "".join(chr(r.choice([r.randint(1, 0x24FF), r.randint(1, 0xD7FF), r.randint(0xE000, 0x1FFFF)])) for _ in range(r.randint(1, 6)))
    return r.choice(LINE_ENDS) + r.choice(["", "a", "\x1b[3", "\x1b[1;٣m", "&amp;", "\u0301\u0323" * 20, "Ã la", "...", "ststst"])


def sample(r):
    text = "".join(piece(r) for _ in range(r.randint(1, 6)))
    if r.random() < 0.3:
        i = r.randint(0, len(text))
        text = text[:i] + text[i + r.randint(1, 3):]
    if r.random() < 0.1:
        text = damage(r, text)
    return text.replace("\0", "")


def build(folder):
    folder.mkdir(parents=True, exist_ok=True)
    root = text_oracle.REPOSITORY
    sources = [p for stem in ("ftfy_*", "html_*", "text_*", "tokenizer*") for p in (root / "src/io").glob(stem + ".cpp")
               if not p.name.endswith("_test.cpp")]
    sources += [root / "src/io" / (n + ".cpp") for n in ("json", "mapped_file", "file_descriptor", "printable")]
    sources += [root / "src/core/error.cpp", root / "tools/compare_text.cpp"]
    binary = folder / "compare_text"
    subprocess.run(["g++", "-std=c++20", "-O1", "-g", "-fsanitize=address,undefined", "-I", root / "src", "-I", root / "include",
                    "-o", binary, *sources, "-lfmt", "-licuuc"], check=True)
    return binary


def run(binary, texts):
    data = b"".join(struct.pack("<I", len(t)) + t for t in (text.encode() for text in texts))
    out = subprocess.run([binary, text_oracle.SPIECE], input=data, stdout=subprocess.PIPE, check=True).stdout
    at = 0
    for _ in texts:
        ok, size = struct.unpack_from("<BI", out, at)
        text = out[at + 5:at + 5 + size].decode()
        at += 5 + size
        (count,) = struct.unpack_from("<I", out, at)
        ids = list(struct.unpack_from(f"<{count}i", out, at + 4))
        at += 4 + 4 * count
        yield bool(ok), text, ids


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("/tmp/compare_text"))
    parser.add_argument("--binary", type=pathlib.Path, help="a compare_text that was built before")
    options = parser.parse_args()
    r = random.Random(options.seed)
    encode = text_oracle.tokenizer()
    texts = [t for t in (sample(r) for _ in range(options.count)) if assigned(t)]
    differences = changed = 0
    for text, (ok, cleaned, ids) in zip(texts, run(options.binary or build(options.build), texts)):
        expected = text_oracle.clean(text)
        changed += expected != text
        wanted = encode(expected)
        if not ok or cleaned != expected or ids != wanted:
            differences += 1
            if differences <= 20:
                print("input   ", ascii(text), "\nexpected", ascii(expected), "\ncame    ", ascii(cleaned))
                if cleaned == expected:
                    print("ids expected", wanted, "\nids came    ", ids)
    print(f"{len(texts)} texts, {changed} changed by cleaning, {differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
