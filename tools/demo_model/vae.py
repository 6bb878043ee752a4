"""The causal video autoencoders of Wan2.1 and Wan2.2 at a small width, with upstream's tensor names.

Upstream feeds frames in chunks of 1, 4, 4, .. and caches the last two inputs of each convolution. Over a whole clip
that equals causal convolutions with zero padding, except in two places written out below (`Down` and `Up`): the first
frame passes the temporal resamplings untouched. Training uses the whole clip.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

MEAN_21 = (-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632,
           -0.1922, -0.9497, 0.2503, -0.2921)
STD_21 = (2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382,
          1.1253, 2.8251, 1.9160)
MEAN_22 = (-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891, 0.1570,
           -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502, -0.2055,
           -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723, -0.2839,
           -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667)
STD_22 = (0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901, 0.6885,
          0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338,
          0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458,
          1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744)
MULT = (1, 2, 4, 4)
TEMPORAL_DOWN = (False, True, True)


def norm_silu(x: torch.Tensor, gamma: torch.Tensor, pad: int) -> torch.Tensor:
    """SiLU of the channel-normalised x, with `pad` zero frames in front, ready for a causal convolution."""
    y = x.float()
    y = y * torch.rsqrt(y.pow(2).sum(1, keepdim=True).clamp(min=1e-24)) * (gamma * x.shape[1]**0.5)
    return F.pad(F.silu(y), (0, 0, 0, 0, pad, 0)).type_as(x)


class Speed:
    """How to compute on this machine: the trainer puts a fused kernel here."""

    norm_silu = staticmethod(norm_silu)


class CausalConv(nn.Conv3d):
    """A 3D convolution whose temporal padding is all in front. `padded`: the input has it already."""

    def forward(self, x, padded: bool = False):
        kt, kh, kw = self.kernel_size
        front = kt - 1 if not padded and self.stride[0] == 1 else 0
        if front:
            x = F.pad(x, (0, 0, 0, 0, front, 0))
        return F.conv3d(x, self.weight, self.bias, self.stride, (0, kh // 2, kw // 2))


class RmsNorm(nn.Module):
    def __init__(self, dim: int, axes: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim, *(1,) * axes))


class NormSilu(RmsNorm):
    def __init__(self, dim: int):
        super().__init__(dim, 3)

    def forward(self, x):
        return Speed.norm_silu(x, self.gamma, 2)


class Residual(nn.Module):
    def __init__(self, a: int, b: int):
        super().__init__()
        none = nn.Identity
        self.residual = nn.Sequential(NormSilu(a), none(), CausalConv(a, b, 3), NormSilu(b), none(), none(), CausalConv(b, b, 3))
        self.shortcut = CausalConv(a, b, 1) if a != b else nn.Identity()

    def forward(self, x):
        r = self.residual
        return self.shortcut(x) + r[6](r[3](r[2](r[0](x), True)), True)


def per_frame(x, function):
    b, c, t, h, w = x.shape
    y = function(x.permute(0, 2, 1, 3, 4).flatten(0, 1))
    return y.view(b, t, *y.shape[1:]).permute(0, 2, 1, 3, 4)


class FrameAttention(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.norm = RmsNorm(dim, 2)
        self.to_qkv = nn.Conv2d(dim, 3 * dim, 1)
        self.proj = nn.Conv2d(dim, dim, 1)
        nn.init.zeros_(self.proj.weight)

    def forward(self, x):
        def attend(y):
            n, c, h, w = y.shape
            z = F.normalize(y.float(), dim=1) * (c**0.5) * self.norm.gamma
            q, k, v = self.to_qkv(z).flatten(2).transpose(1, 2).chunk(3, dim=-1)
            z = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
            return self.proj(z.transpose(1, 2).reshape(n, c, h, w))

        return x + per_frame(x, attend)


class Down(nn.Module):
    def __init__(self, dim: int, temporal: bool):
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(dim, dim, 3, stride=2))
        if temporal:
            self.time_conv = CausalConv(dim, dim, (3, 1, 1), stride=(2, 1, 1))

    def forward(self, x):
        x = per_frame(x, self.resample)
        if hasattr(self, "time_conv") and x.shape[2] > 1:
            x = torch.cat((x[:, :, :1], self.time_conv(x)), dim=2)
        return x


class Up(nn.Module):
    def __init__(self, dim: int, out: int, temporal: bool):
        super().__init__()
        self.resample = nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest-exact"), nn.Conv2d(dim, out, 3, padding=1))
        if temporal:
            self.time_conv = CausalConv(dim, 2 * dim, (3, 1, 1))

    def forward(self, x):
        if hasattr(self, "time_conv") and x.shape[2] > 1:
            b, c, t, h, w = x.shape
            y = self.time_conv(x[:, :, 1:]).permute(0, 2, 3, 4, 1).reshape(b, t - 1, h, w, 2, c)
            y = y.permute(0, 1, 4, 2, 3, 5).reshape(b, 2 * t - 2, h, w, c)
            x = torch.cat((x[:, :, :1], y.permute(0, 4, 1, 2, 3)), dim=2)
        return per_frame(x, self.resample)


def average_down(x, out: int, ft: int, fs: int):
    x = F.pad(x, (0, 0, 0, 0, -x.shape[2] % ft, 0))
    b, c, t, h, w = x.shape
    x = x.view(b, c, t // ft, ft, h // fs, fs, w // fs, fs).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return x.reshape(b, out, -1, t // ft, h // fs, w // fs).mean(2)


def repeat_up(x, out: int, ft: int, fs: int):
    b, c, t, h, w = x.shape
    x = x.repeat_interleave(out * ft * fs * fs // c, dim=1).view(b, out, ft, fs, fs, t, h, w)
    x = x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, out, t * ft, h * fs, w * fs)
    return x[:, :, ft - 1:]


class DownStage(nn.Module):
    """One stage of the 2.2 encoder, with the parameter-free averaging shortcut around it."""

    def __init__(self, a: int, b: int, temporal: bool, down: bool):
        super().__init__()
        self.out, self.ft, self.fs = b, 2 if temporal else 1, 2 if down else 1
        self.downsamples = nn.Sequential(Residual(a, b), Residual(b, b), *([Down(b, temporal)] if down else []))

    def forward(self, x):
        return self.downsamples(x) + average_down(x, self.out, self.ft, self.fs)


class UpStage(nn.Module):
    def __init__(self, a: int, b: int, temporal: bool, up: bool):
        super().__init__()
        self.out, self.ft, self.up = b, 2 if temporal else 1, up
        self.upsamples = nn.Sequential(Residual(a, b), Residual(b, b), Residual(b, b), *([Up(b, b, temporal)] if up else []))

    def forward(self, x):
        y = self.upsamples(x)
        return y + repeat_up(x, self.out, self.ft, 2) if self.up else y


class Half(nn.Module):
    """What encoders and decoders share: a first convolution, a middle, a head."""

    def ends(self, first: tuple[int, int], middle: int, last: tuple[int, int]):
        self.conv1 = CausalConv(*first, 3)
        self.middle = nn.Sequential(Residual(middle, middle), FrameAttention(middle), Residual(middle, middle))
        self.head = nn.Sequential(NormSilu(last[0]), nn.Identity(), CausalConv(*last, 3))

    def finish(self, x):
        return self.head[2](self.head[0](x), True)


class Encoder(Half):
    def __init__(self, width: int, z: int, nested: bool):
        super().__init__()
        dims = [width * m for m in (1,) + MULT]
        stages = []
        for i, (a, b) in enumerate(zip(dims[:-1], dims[1:])):
            down = i < 3
            temporal = down and TEMPORAL_DOWN[i]
            if nested:
                stages.append(DownStage(a, b, temporal, down))
            else:
                stages += [Residual(a, b), Residual(b, b)] + ([Down(b, temporal)] if down else [])
        self.downsamples = nn.Sequential(*stages)
        self.ends((12 if nested else 3, dims[0]), dims[-1], (dims[-1], 2 * z))

    def forward(self, x):
        return self.finish(self.middle(self.downsamples(self.conv1(x))))


class Decoder(Half):
    def __init__(self, width: int, z: int, nested: bool):
        super().__init__()
        dims = [width * m for m in (MULT[-1],) + MULT[::-1]]
        stages = []
        for i, (a, b) in enumerate(zip(dims[:-1], dims[1:])):
            up = i < 3
            temporal = up and TEMPORAL_DOWN[::-1][i]
            if nested:
                stages.append(UpStage(a, b, temporal, up))
            else:
                a = a // 2 if i else a  # the upsampling before has halved the channels
                stages += [Residual(a, b), Residual(b, b), Residual(b, b)] + ([Up(b, b // 2, temporal)] if up else [])
        self.upsamples = nn.Sequential(*stages)
        self.ends((z, dims[0]), dims[0], (dims[-1], 12 if nested else 3))

    def forward(self, x):
        return self.finish(self.upsamples(self.middle(self.conv1(x))))


class Vae(nn.Module):
    """Video [N, 3, 4n+1, H, W] in -1..1 <-> latents; `version` is "2.1" (z 16, 8x8) or "2.2" (z 48, 16x16)."""

    def __init__(self, version: str, width: int, decoder_width: int | None = None):
        super().__init__()
        self.nested = version == "2.2"
        self.z = 48 if self.nested else 16
        self.encoder = Encoder(width, self.z, self.nested)
        self.conv1 = CausalConv(2 * self.z, 2 * self.z, 1)
        self.conv2 = CausalConv(self.z, self.z, 1)
        for name, values in zip(("mean", "std"), (MEAN_22, STD_22) if self.nested else (MEAN_21, STD_21)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1, 1), persistent=False)
        self.decoder = Decoder(decoder_width or width, self.z, self.nested)

    def moments(self, video):
        """Mean and log variance of the latents, before any normalisation."""
        if self.nested:
            b, c, t, h, w = video.shape
            video = video.view(b, c, t, h // 2, 2, w // 2, 2).permute(0, 1, 6, 4, 2, 3, 5)
            video = video.reshape(b, 4 * c, t, h // 2, w // 2)
        video = video.contiguous(memory_format=torch.channels_last_3d)
        mean, log_variance = self.conv1(self.encoder(video)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-30, 20)

    def reconstruct(self, latent):
        x = self.decoder(self.conv2(latent)).float()
        if self.nested:
            b, c, t, h, w = x.shape
            x = x.view(b, 3, 2, 2, t, h, w).permute(0, 1, 4, 5, 3, 6, 2).reshape(b, 3, t, 2 * h, 2 * w)
        return x

    def encode(self, video):
        """Latents as the diffusion model sees them: upstream's fixed mean and deviation taken out."""
        return (self.moments(video)[0] - self.mean) / self.std

    def draw(self, latent):
        return self.reconstruct(latent * self.std + self.mean)

    def decode(self, latent):
        return self.draw(latent).clamp(-1, 1)

    @torch.no_grad()
    def fold(self, latents: torch.Tensor):
        """Rescales the latents inside conv1 and conv2, so that they come out with upstream's fixed mean and deviation and
        `encode` gives about unit normal channels. latents [z, M]: samples of what `moments` gives."""
        target_mean, target_std = self.mean.flatten(), self.std.flatten()
        mean, deviation = latents.mean(1), latents.std(1)
        a = target_std / deviation.clamp(min=0.25 * deviation.max())
        z = self.z
        self.conv1.weight[:z] *= a.view(-1, 1, 1, 1, 1)
        self.conv1.bias[:z] = a * (self.conv1.bias[:z] - mean) + target_mean
        weight = self.conv2.weight.view(z, z)
        back = weight / a
        self.conv2.bias += weight @ mean - back @ target_mean
        self.conv2.weight.copy_(back.view_as(self.conv2.weight))

    @torch.no_grad()
    def close(self, keep: int):
        """Leaves only the first `keep` channels of the latents in use: the others come out as 0 from `encode`, and
        `decode` does not read them. 48 channels would leave a small transformer no room."""
        mean = self.mean.flatten()
        self.conv1.weight[keep:self.z] = 0
        self.conv1.bias[keep:self.z] = mean[keep:]
        weight = self.conv2.weight.view(self.z, self.z)
        self.conv2.bias += weight[:, keep:] @ mean[keep:]
        weight[:, keep:] = 0
