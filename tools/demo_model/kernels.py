"""One Triton kernel pair for the VAEs' training: channel normalisation, SiLU and temporal padding in a single pass.

Channels lie last in memory, so each row of C values is one position: y = silu(x / |x| * sqrt(C) * gamma), and the output
has `pad` zero frames in front. The backward pass recomputes everything from x.
"""
import torch
import triton
import triton.language as tl


@triton.jit
def _forward(x, gamma, y, rows, per_clip, shift, scale, C: tl.constexpr, BLOCK: tl.constexpr):
    r = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    c = tl.arange(0, C)
    ok = (r < rows)[:, None] & (c < C)[None, :]
    v = tl.load(x + r[:, None] * C + c[None, :], mask=ok, other=0.0).to(tl.float32)
    g = tl.load(gamma + c).to(tl.float32) * scale
    s = 1.0 / tl.sqrt(tl.maximum(tl.sum(v * v, 1), 1e-24))
    u = v * s[:, None] * g[None, :]
    to = r + (r // per_clip + 1) * shift
    tl.store(y + to[:, None] * C + c[None, :], (u * tl.sigmoid(u)).to(y.dtype.element_ty), mask=ok)


@triton.jit
def _backward(x, gamma, dy, dx, dgamma, rows, per_clip, shift, scale, C: tl.constexpr, BLOCK: tl.constexpr):
    r = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    c = tl.arange(0, C)
    ok = (r < rows)[:, None] & (c < C)[None, :]
    v = tl.load(x + r[:, None] * C + c[None, :], mask=ok, other=0.0).to(tl.float32)
    g = tl.load(gamma + c).to(tl.float32) * scale
    s = 1.0 / tl.sqrt(tl.maximum(tl.sum(v * v, 1), 1e-24))
    n = v * s[:, None]
    u = n * g[None, :]
    sig = tl.sigmoid(u)
    at = r + (r // per_clip + 1) * shift
    du = tl.load(dy + at[:, None] * C + c[None, :], mask=ok, other=0.0).to(tl.float32) * sig * (1 + u * (1 - sig))
    dn = du * g[None, :]
    d = s[:, None] * (dn - n * tl.sum(dn * n, 1)[:, None])
    tl.store(dx + r[:, None] * C + c[None, :], d.to(dx.dtype.element_ty), mask=ok)
    tl.store(dgamma + tl.program_id(0) * C + c, tl.sum(du * n, 0) * scale)


def _rows(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 4, 1).contiguous()


class _NormSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, pad: int):
        rows = _rows(x)
        b, t, h, w, c = rows.shape
        y = rows.new_empty(b, t + pad, h, w, c)
        y[:, :pad] = 0
        ctx.save_for_backward(rows, gamma)
        ctx.sizes = (b * t * h * w, t * h * w, pad * h * w, float(c) ** 0.5, c, max(2048 // c, 16))
        n, *rest = ctx.sizes
        _forward[(triton.cdiv(n, rest[-1]),)](rows, gamma, y, n, *rest)
        return y.permute(0, 4, 1, 2, 3)

    @staticmethod
    def backward(ctx, dy):
        rows, gamma = ctx.saved_tensors
        n, *rest = ctx.sizes
        dx, dy = torch.empty_like(rows), _rows(dy)
        programs = triton.cdiv(n, rest[-1])
        parts = torch.empty(programs, rest[-2], device=rows.device, dtype=torch.float32)
        _backward[(programs,)](rows, gamma, dy, dx, parts, n, *rest)
        return dx.permute(0, 4, 1, 2, 3), parts.sum(0).view_as(gamma), None


def norm_silu(x: torch.Tensor, gamma: torch.Tensor, pad: int) -> torch.Tensor:
    return _NormSilu.apply(x, gamma, pad)
