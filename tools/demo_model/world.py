"""The little world of the demo model: what a clip can show, and a renderer that draws clips as tensors.

A clip shows one or two flat coloured shapes that move over a plain, softly lit background. Everything is drawn from a
`Scenes` batch of plain tensors, so a GPU renders thousands of frames per second and training never waits for data.
Coordinates are fractions of the frame: (0, 0) is the top left corner and y points down.
"""
from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (245, 225, 60),
    "green": (45, 165, 70),
    "cyan": (60, 210, 220),
    "blue": (45, 85, 225),
    "purple": (140, 60, 190),
    "pink": (245, 135, 185),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "black": (18, 18, 22),
    "white": (235, 235, 235),
    "gray": (125, 125, 125),
    "navy": (22, 32, 78),
    "sand": (212, 194, 152),
    "forest": (22, 72, 46),
    "sky": (150, 198, 232),
    "lavender": (202, 190, 226),
}
SHAPES = ("ball", "square", "triangle", "star", "ring", "cross")
SIZES = ("small", "medium", "large")
MOTIONS = ("right", "left", "up", "down", "bounce", "circle", "grow", "shrink")

COLOUR_NAMES, BACKGROUND_NAMES = tuple(COLOURS), tuple(BACKGROUNDS)
RADIUS = ((0.11, 0.125), (0.15, 0.165), (0.20, 0.225))  # by size, in frame widths
CONTRAST = 0.42  # least distance of an object's RGB (0..1) to the background's

_COLOUR_RGB = np.array(list(COLOURS.values()), dtype=np.float32) / 255
_BACKGROUND_RGB = np.array(list(BACKGROUNDS.values()), dtype=np.float32) / 255
_VISIBLE = np.linalg.norm(_COLOUR_RGB[:, None] - _BACKGROUND_RGB[None], axis=-1) >= CONTRAST  # [colour, background]


@dataclasses.dataclass
class Scenes:
    """N scenes of up to two objects; the second object's entries mean nothing where count is 1."""

    count: np.ndarray  # [N] int, 1 or 2
    colour: np.ndarray  # [N, 2] int
    shape: np.ndarray  # [N, 2] int
    size: np.ndarray  # [N, 2] int
    motion: np.ndarray  # [N, 2] int
    background: np.ndarray  # [N] int
    rgb: np.ndarray  # [N, 2, 3] float, the objects' jittered colours
    track: np.ndarray  # [N, 2, T, 3] float: x, y, radius

    def __len__(self) -> int:
        return len(self.count)

    def take(self, index) -> "Scenes":
        return Scenes(**{f.name: getattr(self, f.name)[index] for f in dataclasses.fields(self)})


def held_out(colour, shape, motion):
    """True for the tenth of all (colour, shape, motion) triples that training never draws."""
    return (7 * np.asarray(colour) + 3 * np.asarray(shape) + np.asarray(motion)) % 10 == 4


def sample_scenes(n: int, seed: int, frames: int = 33, unseen: bool = False, two_share: float = 0.2) -> Scenes:
    """Draws n scenes; with `unseen`, every first object is a held-out triple, otherwise no object is."""
    rng = np.random.default_rng(seed)
    count = 1 + (rng.random(n) < two_share).astype(np.int64)
    colour = np.zeros((n, 2), np.int64)
    shape, motion = colour.copy(), colour.copy()
    todo = np.ones(n, bool)
    while todo.any():
        m = int(todo.sum())
        c = rng.integers(0, len(COLOURS), (m, 2))
        s = rng.integers(0, len(SHAPES), (m, 2))
        v = rng.integers(0, len(MOTIONS), (m, 2))
        # Two objects share one plan of lanes: both horizontal, both vertical, or both in place.
        plan = rng.integers(0, 3, m)
        lanes = np.stack([rng.integers(0, 2, (m, 2)), rng.integers(2, 4, (m, 2)),
                          rng.choice([4, 6, 7], (m, 2))])  # [plan, m, 2]
        pair = count[todo] == 2
        v[pair] = lanes[plan, np.arange(m)][pair]
        hidden = held_out(c, s, v)
        first, second = hidden[:, 0] == unseen, ~hidden[:, 1]
        good = first & (~pair | ((second | unseen) & (c[:, 0] != c[:, 1])))
        where = np.flatnonzero(todo)[good]
        colour[where], shape[where], motion[where] = c[good], s[good], v[good]
        todo[where] = False
    size = rng.integers(0, 3, (n, 2))
    size[count == 2] = rng.integers(0, 2, (int((count == 2).sum()), 2))
    score = rng.random((n, len(BACKGROUNDS)))
    score *= _VISIBLE[colour[:, 0]] & (_VISIBLE[colour[:, 1]] | (count == 1)[:, None])
    background = score.argmax(axis=1)
    clash = score.max(axis=1) == 0  # no background suits both colours: keep the first object alone
    count[clash] = 1
    background[clash] = (rng.random((n, len(BACKGROUNDS))) * _VISIBLE[colour[:, 0]]).argmax(axis=1)[clash]
    rgb = np.clip(_COLOUR_RGB[colour] + rng.normal(0, 0.015, (n, 2, 3)), 0, 1).astype(np.float32)
    return Scenes(count, colour, shape, size, motion, background, rgb, _tracks(rng, count, size, motion, frames))


def _tracks(rng, count, size, motion, frames) -> np.ndarray:
    n = len(count)
    u = np.linspace(0, 1, frames)[None, None]  # time, 0..1

    def uniform(low, high):
        return (low + (high - low) * rng.random((n, 2)))[..., None]

    pair = (count == 2)[:, None, None] & np.ones((n, 2, 1), bool)
    low, high = np.array(RADIUS).T
    r = uniform(low[size], high[size])
    margin = r + 0.02
    # Lanes of a pair, in random order: the first or the second half of the frame.
    swap = rng.integers(0, 2, n)
    lane = np.where((np.arange(2)[None] + swap[:, None]) % 2 == 0, 0.27, 0.73)[..., None] + uniform(-0.02, 0.02)
    across = np.where(pair, lane, margin + (1 - 2 * margin) * rng.random((n, 2, 1)))
    start = margin + (0.32 - margin).clip(0) * rng.random((n, 2, 1))
    end = 1 - margin - (0.32 - margin).clip(0) * rng.random((n, 2, 1))
    forth = start + (end - start) * u
    back = start + (end - start) * (1 - u)

    still_x = np.where(pair, lane, uniform(0.36, 0.64)) + 0 * u
    still_y = uniform(0.4, 0.6) + 0 * u
    floor = 1 - margin - uniform(0, 0.08)
    height = np.minimum(uniform(0.42, 0.55), floor - margin)
    phase = (0.5 + uniform(2.0, 2.6) * u) % 1  # starts at the top of a bounce
    bounce_y = floor - height * 4 * phase * (1 - phase)
    angle = uniform(0, 2 * math.pi) + uniform(0.97, 1.1) * 2 * math.pi * u  # clockwise, since y points down
    reach = np.minimum(uniform(0.22, 0.28), 0.48 - r)
    little = np.where(pair, uniform(0.075, 0.09), uniform(0.085, 0.11))
    much = np.where(pair, uniform(0.17, 0.2), uniform(0.24, 0.29))
    grow = little + (much - little) * u
    shrink = much + (little - much) * u

    one = 0 * u + np.ones((n, 2, 1))
    x = [forth, back, across * one, across * one, still_x, 0.5 + reach * np.cos(angle), still_x, still_x]
    y = [across * one, across * one, back, forth, bounce_y, 0.5 + reach * np.sin(angle), still_y, still_y]
    radius = [r * one] * 6 + [grow, shrink]
    pick = motion[..., None]
    return np.stack([_select(pick, v) for v in (x, y, radius)], axis=-1).astype(np.float32)


def _select(index, options):
    out = np.zeros(np.broadcast_shapes(index.shape, options[0].shape))
    for i, option in enumerate(options):
        out = np.where(index == i, option, out)
    return out


def _distance(shape: int, x: torch.Tensor, y: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """Signed distance, near the outline, to a shape of radius r centred at the origin; negative inside."""
    name = SHAPES[shape]
    if name == "ball":
        return torch.hypot(x, y) - r
    if name == "square":
        return torch.maximum(x.abs(), y.abs()) - 0.88 * r
    if name == "triangle":  # equilateral, pointing up; the centroid is the origin
        inner = 0.6 * r
        c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
        return torch.maximum(y, c * x.abs() - s * y) - inner
    if name == "star":  # five points: fold the plane into one half sector, then one straight edge
        turn = torch.atan2(x, -y)
        sector = 2 * math.pi / 5
        folded = (turn - sector * torch.round(turn / sector)).abs()
        d = torch.hypot(x, y)
        fx, fy = d * torch.cos(folded), d * torch.sin(folded)
        tip, notch = 1.15, 0.48
        ex, ey = notch * math.cos(sector / 2) - tip, notch * math.sin(sector / 2)
        length = math.hypot(ex, ey)
        return ((fx - tip * r) * ey - fy * ex) / length
    if name == "ring":
        return (torch.hypot(x, y) - 0.76 * r).abs() - 0.27 * r
    ax, ay = x.abs(), y.abs()
    arm, half = 1.02 * r, 0.34 * r
    return torch.minimum(torch.maximum(ax - arm, ay - half), torch.maximum(ax - half, ay - arm))


@torch.no_grad()
def render(scenes: Scenes, size: int, device="cpu", dtype=torch.float32, first: int = 0, frames: int | None = None):
    """Draws the scenes as video [N, 3, frames, size, size] in -1..1, anti-aliased, from frame `first` on."""
    n = len(scenes)
    track = torch.from_numpy(scenes.track[:, :, first:None if frames is None else first + frames]).to(device)
    t = track.shape[2]
    axis = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) / size
    base = torch.from_numpy(_BACKGROUND_RGB[scenes.background]).to(device)
    light = 1.06 - 0.12 * axis  # a little brighter at the top
    image = (base[:, :, None] * light).clamp(0, 1)[:, :, None, :, None].expand(n, 3, t, size, size).to(dtype).clone()
    rgb = torch.from_numpy(scenes.rgb).to(device, dtype)
    for k in range(2):
        for shape in range(len(SHAPES)):
            which = np.flatnonzero((scenes.shape[:, k] == shape) & (scenes.count > k))
            if not len(which):
                continue
            index = torch.from_numpy(which).to(device)
            x, y, r = (track[index, k, :, i][:, :, None, None] for i in range(3))
            d = _distance(shape, axis[None, None, None, :] - x, axis[None, None, :, None] - y, r)
            alpha = (0.5 - d * size).clamp(0, 1).to(dtype)[:, None]
            colour = rgb[index, k][:, :, None, None, None]
            image[index] = image[index] * (1 - alpha) + colour * alpha
    return image * 2 - 1
