"""What upstream's text path gives: ftfy + html + regex for cleaning, Hugging Face's fast T5 tokenizer for token ids.

    python3 -m venv v && v/bin/pip install ftfy==6.3.1 regex transformers==4.51.3 sentencepiece protobuf tiktoken
"""
import html
import json
import logging
import pathlib
import warnings

import ftfy
import regex

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
SPIECE = REPOSITORY / "tests/golden/tiny/Wan2.2-T2V-A14B/google/umt5-xxl/spiece.model"


def clean(text):
    """clean='whitespace' of upstream's HuggingfaceTokenizer. Raises ValueError where Python refuses a long number."""
    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return regex.sub(r"\s+", " ", text).strip()


def tokenizer(spiece=SPIECE, byte_fallback=True):
    """A function from cleaned text to ids. The converter ignores byte fallback, so the model is rebuilt with it."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    from tokenizers import Tokenizer
    from transformers import T5TokenizerFast

    state = json.loads(T5TokenizerFast.from_pretrained(str(spiece.parent)).backend_tokenizer.to_str())
    state["model"]["byte_fallback"] = byte_fallback
    backend = Tokenizer.from_str(json.dumps(state))
    backend.enable_truncation(512)
    return lambda text: backend.encode(text).ids
