#!/usr/bin/env python3
"""Writes tests/fixtures/text: awkward prompts with upstream's cleaned text and token ids (setup: text_oracle.py).

clean.json      [{"text", "clean", "ids"}]: ids with the tiny spiece.model and byte fallback
badness.json    characters, and for all of their triples (hexadecimal, first triple in the top bit) whether ftfy calls them bad
long.json       texts above one segment as [[unit, count], ...], with length and FNV-1a hash of ftfy.fix_text's UTF-8
unknown/        a tokenizer.json without byte fallback, as transformers 4 converts the tiny spiece.model; cases.json
"""
import itertools
import json
import random

import ftfy
from ftfy import badness

import compare_text
import make_text_tables
import text_oracle

OUT = text_oracle.REPOSITORY / "tests/fixtures/text"

LANGUAGES = {
    "German": "Größe – schön über „Straße“", "French": "Où est l’été ? Ça va à la forêt", "Spanish": "¡Qué niño más pequeño!",
    "Portuguese": "ação, às vezes à noite – coração", "Polish": "Żółta łódź płynie", "Czech": "Příliš žluťoučký kůň",
    "Hungarian": "árvíztűrő tükörfúrógép", "Romanian": "Câți ani aveți, băiețel?", "Turkish": "İstanbul'da çalışkan öğrenci ışık",
    "Latvian": "Ķīmijas šķīdums ņem", "Russian": "Красный мяч прыгает", "Ukrainian": "Їжак їсть ґудзик", "Greek": "Ο κόκκινος μπάλα",
    "Hebrew": "כדור אדום קופץ", "Arabic": "الكرة الحمراء تقفز", "Hindi": "लाल गेंद उछलती है", "Bengali": "লাল বল", "Thai": "ลูกบอลสีแดง",
    "Chinese": "红色的球从左跳到右", "Japanese": "赤いボールが弾む", "Korean": "빨간 공이 튀어 오른다", "Vietnamese": "Quả bóng đỏ nảy từ trái",
    "emoji": "a cat 🐱 and 🚀", "symbols": "100 °C ± 5 % × ½ — €20 … ™", "quotes": "“curly” and ‘single’ it’s",
}

HAND_WRITTEN = [
    # Plain text, spaces.
    "", " ", "a", "\n", "Two  cats\n\tfight", "  lead and trail \t\n", "a\u00a0b", "a\u2003\u2003b", "a\u3000b", "a\u200bb", "\u200bzero",
    "a\u202fb\u205fc", "\u1680x\u1680", "a\x1cb\x1dc\x1ed\x1fe", "\x1c\x1d x \x1e\x1f", "a\x85b", "\x85a\x85", "a\u180eb", "tab\tnew\u3000wide",
    "x" * 300, "word " * 700, "的" * 600, "ststst" * 20, "......", "…", "a…b……c", "▁under▁score", "▁", "a ▁ b", "▁▁",
    # Line breaks.
    "a\r\nb", "a\rb", "a\n\rb", "a\r\r\nb", "a\u2028b", "a\u2029b", "a\u2028\u2029\r\n\x85b", "one\r\ntwo\rthree\nfour",
    "Content-type: text/plain\r\n\r\nHi.",
    # Byte order marks and controls.
    "\ufeffhello", "hel\ufefflo", "\ufeff", "a\x01b\x08c", "a\x0bb\x0cc", "a\x7fb", "a\x0eb\x1ac", "a\u206ab\u206fc", "a\ufff9b\ufffac\ufffbd\ufffce",
    "a\u200db\u200cc", "\u202eright\u202c", "\x80\x81\x9f", "caf\xe9 \x93quoted\x94 \x96", "\x85\x91\x92", "a\x8db", "price \x80 20",
    # Terminal escapes.
    "\x1b[36;44mI'm blue\x1b[0m", "\x1b[m", "\x1b[", "\x1b[3", "\x1b[31", "\x1b[3;;4Hx", "\x1b[?25l", "\x1b[\u0663\u0661mx", "\x1b\x1b[0m[0m",
    "a\x1b]0;title\x07b", "\x1b[1;31m\x1b[4mnested\x1b[0m\x1b[0m",
    # HTML references.
    "&amp;", "&amp", "&amp;amp;", "&amp;amp;amp;amp;lt;", "&lt;b&gt; &amp;amp; x", "<b>&amp;amp;</b>", "<b>&eacute;&nbsp;</b>", "a < b &amp; c",
    "first &eacute; line\nsecond < &amp;eacute; line\nthird &amp;eacute; line", "&amp;eacute;\n&amp;eacute;\n<\n&amp;eacute;", "&amp;lt; then <",
    "P&EACUTE;REZ", "&NTILDE; &ntilde; &Ntilde; &nTILDE;", "BUNDESSTRA&SZLIG;E", "&ATILDE;&SUP3;", "&macr;\\_(ã\x83\x84)_/&macr;",
    "Broken text&hellip; it&#x2019;s ﬂubberiﬁc!", "&HilbertSpace; &Jscr; &checkmark;", "&CounterClockwiseContourIntegral;", "&notit;", "&notin;",
    "&notit", "&not", "&n", "&", "&&amp;&", "&;", "&#;", "&#x;", "&#xg;", "&#12ab;", "&#65", "&#65;&#66", "&#x41&#X42;", "&#0;", "&#1;", "&#11;",
    "&#13;", "&#10;x", "&#27;[0m", "&#127;", "&#128;", "&#129;", "&#150;", "&#159;", "&#173;", "&#55296;", "&#xD83D;&#xDC31;", "&#xDFFF;", "&#xFFFE;",
    "&#xFFFF;", "&#x1FFFE;", "&#x10FFFF;", "&#x110000;", "&#1114112;", "&#99999999999999999999;", "&#" + "9" * 4000 + ";", "&#x" + "f" * 5000 + ";",
    "&#x00000000000000000041;", "&#00000000000000000000000065;", "&#59;", "&#x3b;", "&#38;lt;", "&#38;#60;", "&am&#1;p;lt;", "&ampamp;", "&amp ;",
    "&ampère", "&copy2020", "&copy;2020", "&lt&gt", "&LT;&GT;&AMP;&QUOT;", "&quot;&apos;&#39;", "&NotEqualTilde;", "&bne;", "&fjlig;", "&ThickSpace;x",
    "&nbsp;&nbsp;lead", "&Tab;x&NewLine;y", "&zwj;&zwnj;&shy;&lrm;", "&" + "a" * 40 + ";", "&ééé;", "&noté;", "?a=1&copy=2&lt=3", "&&#38;amp;;",
    "&#8217; &#x1F600; &#128512;", "&rsquo;&ldquo;&rdquo;", "&#3647;&#x20bf;", "&＃65;", "＆amp；", "&ａｍｐ;",
    # Ligatures, widths, quotes.
    "ﬁ ① Å", "ﬂuﬃeﬆ", "ǆ ǅ Ǆ ĳ Ĳ ŉ ﬅ", "ＬＯＵＤ　ＮＯＩＳＥＳ", "Ｕﾀｰﾝ", "ｶﾞｷﾞｸﾞﾊﾟ", "ﾊﾝｸﾞﾙ ﾡﾢﾣ", "￠￡￢￣￤￥￦", "（１２３）！？", "“here’s a test”",
    "‘a’ ‚b‛ “c” „d‟ ʼe", "«guillemets» ‹x›", "′prime″",
    # Normalisation.
    "e\u0301 combining", "A\u030a \u212b \u2126", "q\u0323\u0307 q\u0307\u0323", "\u1100\u1161\u11a8", "\u0958 \u0929", "\u0340\u0341\u0344", "\u2460\u0301",
    "\u00b2\u0308x", "\u00bd\u20e3", "\u017f\u0307", "\u2122\ufe0f \u00a9\ufe0f", "x" + "\u0301\u0323" * 100, "\u0f73\u0f72\u0f71" * 50,
    "\ufb2a \u05e9\u05c1", "\u1e9b\u0323", "\u0600a", "a\u200d\u0301",
    # Emoji and joiners.
    "emoji 🐱🚀 end", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷🇯🇵", "❤️ 1️⃣ #️⃣", "👍🏽", "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "क्षत्रिय ज्ञ", "بِسْمِ ٱللَّهِ",
    "한국어 빨간 공", "日本語テスト 静止", "色调艳丽，过曝，静态，细节模糊不清", "ไทย ภาษา", "עִבְרִית",
    # Mojibake that ftfy's documentation and heuristics single out.
    "âœ” No problems", "sÃ³", "voilÃ le travail", "Ã la mode", "Ã  la carte", "Ã s vezes", "Ã quele", "fÃ cil", "â€œ like this â€�", "â€œ like this â€?",
    "The Mona Lisa doesnâ€™t have eyebrows.", "l’humanitÃ©", "Ã perturber la rÃ©flexion", "ÃƒÂ©", "ÃƒÆ’Ã‚Â©", "Ãƒâ€šÃ‚Â©", "â€\x9d", "â€™", "â‚¬ 20",
    "Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "РїСЂРёРІРµС‚", "вЂњquotedвЂќ", "ÎšÎ±Î»Î·Î¼Î­ÏÎ±", "Ã¤Ã¶Ã¼ÃŸ and real äöü", "real é and Ã© mixed", "œ", "œuf", "cœur", "Œuvre œ!",
    "ŸŠ®", "à²•à²¨à³à²¨à²¡", "√±√°√©", "‚Äúhi‚Äù", "‚âà", "≈°", "├⌐ ╬▒", "Γ¥ñ∩╕Å", "∩╗┐hello", "┬á", "×²×³", "ØªØ§Ø±ÙŠØ®", "Â© 2020", "10Â°C", "caf\u00c3\u00a9\u2019s",
    "Â Â Â", "a Â b", "Oh, Â«quotedÂ»", "ETÃ€ DE", "ВГРС°ВГ", "ГўВЂВ™s", "β€™", "ā€œlabiā€", "ð\x9f\x98\x8d", "ðŸ˜\x8d", "ðŸ’–", "í\xa0½í¸\x8d", "í ½í¸",
    "Ã\x80 \xc0\x80x", "À\x80 Ã©", "Ã©À\n", "í\xa0½í°±\n", "\xed\xa0\xbd\xed\xb0\nÃ©", "\xed\xa0\xbd\xed\xb0\n", "Ã©\xed\xa0\xbd\xed\xb8\x8d", "Ã©\xed", "\u00c3\ufffd", "c\ufffd\u00c3\u00a9",
    "�", "Ã�", "ã�“ã‚“", "ã?“ã‚“ã�«ã�¡", "\u001aÃ©", "São Paulo – ok", "Ångström", "naïve façade", "¿Qué?", "∀x∈ℝ: ⌈x⌉", "5µm ± 2²",
    "Ã© â …", "Ã© â €", "Ã© â ¡", "Ã© à… ", "Ã© ð …€", "Ã© ð€ …", "√© – a", "√©–", "x\x1cÀ€ Ã©", "Ã quilo", "Ã quela Ã sx",
    "Ã\x1a", "Â?", "ã??", "ã?\x81", "ðŸ?�", "ð�Ÿ˜", "í ½í�", "í\xa0�í¸�x", "&amp;amp;amp;lt;\n<\n&amp;amp;amp;lt;",
    "ÂÃÎÐ", "Ã", "Â", "Ã ", "ÃÂ ", "¯\\_(ツ)_/¯", "(ò_ó) ┬─┬", "│ box ├ ┤", "▀▄█▌", "ﬁ�", "\uf8ff Apple", "€€€", "¡¡¡", "§ 5", "№5",
    # Special tokens and pieces typed in a prompt.
    "a </s> b", "</s>", "</s></s>x", "<pad>", "<unk>x", "a<unk>b", "<s>", "</s", "a<extra_id_0>b", "<extra_id_99>", "<extra_id_100>", "<EXTRA_id_0>",
    "&lt;/s&gt;", "﹤/s﹥", "﹤pad﹥ ﹤unk﹥", "x<0x41>y", "<0x0A>", " </s> </s> a", "a</s>  b  <pad>  c", "word " * 510 + "</s> end",
]


def mojibake():
    for (name, text), encoding in itertools.product(LANGUAGES.items(), compare_text.ENCODINGS):
        yield text.encode().decode(encoding, "replace")
    for text in LANGUAGES.values():
        yield text.encode().decode("sloppy-windows-1252").encode().decode("sloppy-windows-1252")
        yield text + " " + text.encode().decode("sloppy-windows-1252")
        yield text.encode().replace(b"\xa0", b" ").decode("latin-1")
    triple = "é ’ 愛"
    for _ in range(5):
        triple = triple.encode().decode("sloppy-windows-1252")
        yield triple
    for text in ("😍 🐱", "a🚀b"):
        yield b"".join(compare_text.cesu8(c) for c in text).decode("sloppy-windows-1252")


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def long_texts():
    for parts in ([["Ã©", 600000]], [["x", 1], ["Ã©", 600000]], [["a &eacute; b", 100000]], [["&eacute;", 124999], ["1234567", 1], ["&eacute;", 5]],
                  [["line Ã© &amp;\n", 90000]], [["&eacute; ", 120000], ["<\n&eacute;", 2]]):
        text = ftfy.fix_text("".join(unit * count for unit, count in parts))
        yield {"parts": parts, "length": len(text), "fnv1a": f"{fnv1a(text.encode()):016x}"}


def badness_triples():
    """Two characters of every category, those that single rules name, and some harmless ones."""
    members = [make_text_tables.members(c) for c in badness.MOJIBAKE_CATEGORIES.values()]
    chars = dict.fromkeys(chr(cp) for m in members for cp in (min(m), max(m)))
    chars.update(dict.fromkeys("a Z1\n?.ÂÃ°œŒ×²ØÙàÀ√≈‚Äóê†вЂВГβ€Ά™ΒΞā_漢"))
    bits = "".join(str(int(badness.is_bad("".join(t)))) for t in itertools.product(chars, repeat=3))
    bits += "0" * (-len(bits) % 4)
    return {"chars": "".join(chars), "bad": f"{int(bits, 2):0{len(bits) // 4}x}"}


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(json.dumps(item, ensure_ascii=True) for item in value) + "\n]\n")


def cases(texts, encode):
    for text in texts:
        cleaned = text_oracle.clean(text)
        yield {"text": text, "clean": cleaned, "ids": encode(cleaned)}


def main():
    r = random.Random(2026)
    rare = [t for t in (compare_text.sample(r) for _ in range(120)) if compare_text.assigned(t)]
    texts = [t for t in dict.fromkeys(HAND_WRITTEN + list(mojibake()) + rare) if "\0" not in t]
    dump(OUT / "clean.json", cases(texts, text_oracle.tokenizer()))
    dump(OUT / "long.json", long_texts())
    (OUT / "badness.json").write_text(json.dumps(badness_triples()) + "\n")
    print(len(texts), "texts,", len(HAND_WRITTEN), "of them written by hand")

    # A tokenizer.json without byte fallback: only what the reader takes, with the vocabulary left out.
    from transformers import T5TokenizerFast
    fast = T5TokenizerFast.from_pretrained(str(text_oracle.SPIECE.parent), extra_ids=300)
    state = json.loads(fast.backend_tokenizer.to_str())
    kept = {"version": state["version"], "added_tokens": state["added_tokens"],
            "model": {"type": "Unigram", "unk_id": state["model"]["unk_id"], "vocab": [], "byte_fallback": False}}
    (OUT / "unknown").mkdir(exist_ok=True)
    (OUT / "unknown/tokenizer.json").write_text(json.dumps(kept, indent=1) + "\n")
    encode = lambda text: fast(text, truncation=True, max_length=512).input_ids
    dump(OUT / "unknown/cases.json", cases(HAND_WRITTEN[-60:] + list(LANGUAGES.values()) + ["<extra_id_299>", "<extra_id_300>"], encode))


if __name__ == "__main__":
    main()
