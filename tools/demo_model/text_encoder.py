"""A small text encoder of the umT5 architecture, with upstream's tensor names, and its SentencePiece model."""
from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

# Upstream's default negative prompt (sample_neg_prompt in wan/configs/shared_config.py): what an empty one means.
NEGATIVE_PROMPT = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，丑陋的，残缺的，多余的手指，"
    "画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走")
BUCKETS, MAX_DISTANCE = 32, 128


def train_tokenizer(lines: list[str], prefix: str, vocabulary: int) -> None:
    """Writes prefix.model: unigram with byte fallback and umT5's special ids (pad 0, end 1, unknown 2)."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=prefix, model_type="unigram", vocab_size=vocabulary,
        character_coverage=1.0, num_threads=1, hard_vocab_limit=False, byte_fallback=True,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2)


class Tokenizer:
    def __init__(self, path: str | Path):
        import sentencepiece

        self.model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        self.size = self.model.get_piece_size()

    def __call__(self, texts: list[str], length: int) -> torch.Tensor:
        """Token ids [N, length], each text ended by </s> and padded with 0."""
        out = torch.zeros(len(texts), length, dtype=torch.long)
        for row, ids in zip(out, self.model.encode([" ".join(t.split()) for t in texts])):
            ids = ids[:length - 1] + [1]
            row[:len(ids)] = torch.tensor(ids)
        return out


class RmsNorm(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6))


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim, bias=False) for _ in range(4))

    def forward(self, x, bias):
        b, n, c = x.shape
        q, k, v = (w(x).view(b, n, self.heads, -1).transpose(1, 2) for w in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), scale=1.0)  # T5 does not scale
        return self.o(y.transpose(1, 2).reshape(b, n, c))


class FeedForward(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(dim, hidden, bias=False), nn.GELU(approximate="tanh"))
        self.fc1 = nn.Linear(dim, hidden, bias=False)
        self.fc2 = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        return self.fc2(self.fc1(x) * self.gate(x))


class PositionBias(nn.Module):
    def __init__(self, heads: int):
        super().__init__()
        self.embedding = nn.Embedding(BUCKETS, heads)

    def forward(self, length: int, device):
        offset = torch.arange(length, device=device)[None] - torch.arange(length, device=device)[:, None]
        half, exact = BUCKETS // 2, BUCKETS // 4
        distance = offset.abs()
        far = exact + (torch.log(distance.clamp(min=1).float() / exact) / math.log(MAX_DISTANCE / exact)
                       * (half - exact)).long()
        bucket = (offset > 0) * half + torch.where(distance < exact, distance, far.clamp(max=half - 1))
        return self.embedding(bucket).permute(2, 0, 1)[None]  # [1, heads, length, length]


class Block(nn.Module):
    def __init__(self, dim: int, hidden: int, heads: int):
        super().__init__()
        self.norm1, self.attn = RmsNorm(dim), Attention(dim, heads)
        self.norm2, self.ffn = RmsNorm(dim), FeedForward(dim, hidden)
        self.pos_embedding = PositionBias(heads)

    def forward(self, x, mask_bias):
        bias = self.pos_embedding(x.shape[1], x.device) + mask_bias
        x = x + self.attn(self.norm1(x), bias)
        return x + self.ffn(self.norm2(x))


class TextEncoder(nn.Module):
    """ids [N, L] -> states [N, L, dim]; padded positions come out as garbage, as upstream's do before it trims them."""

    def __init__(self, vocabulary: int, dim: int = 128, hidden: int = 256, heads: int = 4, layers: int = 3):
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, dim)
        self.blocks = nn.ModuleList(Block(dim, hidden, heads) for _ in range(layers))
        self.norm = RmsNorm(dim)
        nn.init.normal_(self.token_embedding.weight, std=1.0)
        for block in self.blocks:
            nn.init.normal_(block.attn.q.weight, std=dim**-0.5 * (dim // heads)**-0.5)
            for w in (block.attn.k, block.attn.v, block.attn.o, block.ffn.gate[0], block.ffn.fc1):
                nn.init.normal_(w.weight, std=dim**-0.5)
            nn.init.normal_(block.ffn.fc2.weight, std=hidden**-0.5)
            nn.init.normal_(block.pos_embedding.embedding.weight, std=0.05)

    def forward(self, ids):
        mask_bias = torch.zeros(ids.shape, device=ids.device).masked_fill(ids == 0, torch.finfo(torch.bfloat16).min)
        x = self.token_embedding(ids)
        for block in self.blocks:
            x = block(x, mask_bias[:, None, None])
        return self.norm(x)
