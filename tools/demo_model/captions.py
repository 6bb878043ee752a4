"""English captions for scenes: a small grammar with many wordings, some of them kept for evaluation only."""
from __future__ import annotations

import random

from world import BACKGROUND_NAMES, COLOUR_NAMES, MOTIONS, SHAPES, SIZES, Scenes

NOUNS = {
    "ball": ("ball", "ball", "circle", "disc"),
    "square": ("square", "square", "box", "block"),
    "triangle": ("triangle",),
    "star": ("star",),
    "ring": ("ring", "ring", "hoop", "donut"),
    "cross": ("cross", "cross", "plus sign"),
}
COLOUR_WORDS = {"purple": ("purple", "purple", "violet"), "cyan": ("cyan", "turquoise")}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "medium": ("medium", "medium-sized"), "large": ("large", "big", "huge")}
BACKGROUND_WORDS = {
    "black": ("black",),
    "white": ("white",),
    "gray": ("gray", "grey"),
    "navy": ("navy blue", "dark blue", "navy"),
    "sand": ("sand colored", "beige", "sandy"),
    "forest": ("dark green", "forest green"),
    "sky": ("light blue", "sky blue"),
    "lavender": ("lavender", "light purple"),
}

# Verbs as (he moves, moving, they move).
_TRAVEL = [("moves", "moving", "move"), ("slides", "sliding", "slide"), ("glides", "gliding", "glide"),
           ("travels", "traveling", "travel"), ("drifts", "drifting", "drift"), ("flies", "flying", "fly"),
           ("goes", "going", "go"), ("floats", "floating", "float")]
_ROLL = [("rolls", "rolling", "roll")]
_WAYS = {
    "right": (["from left to right", "to the right", "from the left side to the right side", "rightwards", "rightward",
               "towards the right", "across the screen from left to right", "left to right", "from the left to the right"],
              ["all the way to the right", "from the left edge to the right edge", "over to the right side"]),
    "left": (["from right to left", "to the left", "from the right side to the left side", "leftwards", "leftward",
              "towards the left", "across the screen from right to left", "right to left", "from the right to the left"],
             ["all the way to the left", "from the right edge to the left edge", "over to the left side"]),
    "up": (["up", "upwards", "upward", "from bottom to top", "from the bottom to the top", "towards the top",
            "straight up", "up the screen"],
           ["all the way up", "from the bottom edge to the top edge", "up to the top"]),
    "down": (["down", "downwards", "downward", "from top to bottom", "from the top to the bottom", "towards the bottom",
              "straight down", "down the screen"],
             ["all the way down", "from the top edge to the bottom edge", "down to the bottom"]),
}
_PHRASES = {
    "up": [("rises", "rising", "rise"), ("climbs up", "climbing up", "climb up"), ("rises to the top", "rising to the top", "rise to the top")],
    "down": [("falls", "falling", "fall"), ("drops down", "dropping down", "drop down"), ("sinks", "sinking", "sink"),
             ("falls to the bottom", "falling to the bottom", "fall to the bottom")],
    "bounce": [("bounces up and down", "bouncing up and down", "bounce up and down"), ("bounces", "bouncing", "bounce"),
               ("hops up and down", "hopping up and down", "hop up and down"),
               ("jumps up and down", "jumping up and down", "jump up and down"),
               ("bounces on the ground", "bouncing on the ground", "bounce on the ground")],
    "circle": [("moves in a circle", "moving in a circle", "move in a circle"),
               ("goes around in a circle", "going around in a circle", "go around in a circle"),
               ("circles around", "circling around", "circle around"),
               ("travels in a circle", "traveling in a circle", "travel in a circle"),
               ("moves along a circular path", "moving along a circular path", "move along a circular path"),
               ("orbits the center", "orbiting the center", "orbit the center"),
               ("runs around in circles", "running around in circles", "run around in circles")],
    "grow": [("grows", "growing", "grow"), ("gets bigger", "getting bigger", "get bigger"),
             ("grows larger", "growing larger", "grow larger"), ("expands", "expanding", "expand"),
             ("becomes bigger and bigger", "becoming bigger and bigger", "become bigger and bigger"),
             ("grows in size", "growing in size", "grow in size")],
    "shrink": [("shrinks", "shrinking", "shrink"), ("gets smaller", "getting smaller", "get smaller"),
               ("becomes smaller and smaller", "becoming smaller and smaller", "become smaller and smaller"),
               ("shrinks in size", "shrinking in size", "shrink in size"), ("contracts", "contracting", "contract")],
}
_UNSEEN_PHRASES = {
    "bounce": [("keeps bouncing up and down", "bouncing up and down on the ground", "keep bouncing up and down")],
    "circle": [("goes in circles around the center", "going in circles around the center", "go in circles around the center"),
               ("flies around in a circle", "flying around in a circle", "fly around in a circle")],
    "grow": [("keeps getting bigger", "getting bigger and bigger", "keep getting bigger"),
             ("keeps growing", "growing bigger", "keep growing")],
    "shrink": [("keeps getting smaller", "getting smaller and smaller", "keep getting smaller"),
               ("keeps shrinking", "shrinking smaller", "keep shrinking")],
}

_ON = ("on a {b} background", "over a {b} background", "against a {b} background", "in front of a {b} background",
       "with a {b} background", "on a {b} backdrop")
_ON_UNSEEN = ("against a {b} backdrop", "with a {b} backdrop behind", "over a plain {b} background")
# {s} subject, {v} "moves ..", {g} "moving ..", {o} " on a .. background" or nothing, {b} the background's colour
_SEEN = ("{s} {v}{o}", "{s} {v}{o}", "{s} is {g}{o}", "{s} {g}{o}", "a video of {s} {g}{o}", "a clip of {s} {g}{o}",
         "an animation of {s} {g}{o}", "there is {s} {g}{o}", "there is {s} that {v}{o}", "{s} that {v}{o}",
         "simple animation: {s} {v}{o}", "a short video where {s} {v}{o}")
_SEEN_WITH = ("on a {b} background, {s} {v}", "{b} background, {s} {g}", "{s} {v}. the background is {b}",
              "in front of a {b} background {s} is {g}", "the background is {b}. {s} {v}", "on a {b} backdrop, {s} {g}",
              "{s} {v}, the background is {b}", "over a {b} background {s} {v}", "against a {b} background, {s} {g}",
              "{b} backdrop, {s} is {g}")
_UNSEEN = ("watch {s} as it {v}{o}", "we can see {s} {g}{o}", "in this scene {s} {v}{o}", "{s} is seen {g}{o}",
           "show {s} that is {g}{o}", "a scene in which {s} {v}{o}", "{s}, {g}{o}", "a movie showing {s} {g}{o}")
_UNSEEN_WITH = ("the background is {b} and {s} {v}", "against a {b} backdrop, {s} is {g}", "{b} backdrop: {s} {v}")
_SEEN_PAIR = ("{s} {v} and {s2} {v2}{o}", "{s} {v} while {s2} {v2}{o}", "{s} {g} and {s2} {g2}{o}",
              "a video of {s} {g} and {s2} {g2}{o}", "two objects: {s} {v}, {s2} {v2}{o}")
_SEEN_BOTH = ("{s} and {s2} {p}{o}", "{s} and {s2} are {g}{o}", "a video of {s} and {s2} {g}{o}", "{s} and {s2} both {p}{o}")
_UNSEEN_PAIR = ("we can see {s} {g} while {s2} is {g2}{o}", "watch {s} {g} and {s2} {g2}{o}")
_UNSEEN_BOTH = ("in this scene {s} and {s2} {p}{o}", "watch {s} and {s2} {g}{o}")
# Words that may stand anywhere in a training caption, so that the encoder learns to pass over what it need not know.
FILLERS = ("watch", "we", "can", "see", "as", "it", "in", "this", "scene", "seen", "show", "showing", "which", "movie",
           "please", "nice", "slowly", "smoothly", "keeps", "the", "very", "short", "simple", "plain", "make", "me", "now",
           "just", "behind", "edge", "all", "way", "over", "here", "cartoon", "flat", "bright", "clean", "video", "clip")


def _phrase(rng, motion, shape, unseen):
    ways, phrases = _WAYS.get(motion), list(_PHRASES.get(motion, ()))
    if unseen:
        phrases = _UNSEEN_PHRASES.get(motion, phrases)
    if ways is None or (phrases and rng.random() < 0.25):
        return rng.choice(phrases)
    verbs = _TRAVEL + (_ROLL * 3 if shape in ("ball", "ring") and motion in ("left", "right") else [])
    verb, way = rng.choice(verbs), rng.choice(ways[1] if unseen and rng.random() < 0.6 else ways[0])
    return tuple(f"{form} {way}" for form in verb)


def _subject(rng, scene, k, say_size):
    noun = rng.choice(NOUNS[SHAPES[scene.shape[k]]])
    name = COLOUR_NAMES[scene.colour[k]]
    words = [rng.choice(COLOUR_WORDS.get(name, (name,))), noun]
    size = SIZES[scene.size[k]]
    if say_size and MOTIONS[scene.motion[k]] not in ("grow", "shrink"):
        words.insert(0, rng.choice(SIZE_WORDS[size]))
    article = "the" if rng.random() < 0.12 else ("an" if words[0][0] in "aeiou" else "a")
    return " ".join([article] + words)


def caption(scene: Scenes, rng: random.Random, unseen: bool = False) -> tuple[str, dict]:
    """One caption of one scene (a `Scenes` row), and what it says: labels for the text encoder's own training."""
    pair = int(scene.count) == 2
    say_size, say_background = rng.random() < 0.4, rng.random() < 0.6
    # Of two objects, the upper one or the left one is named first.
    order = [0, 1]
    if pair:
        order.sort(key=lambda k: scene.track[k, 0, 1 if MOTIONS[scene.motion[0]] in ("left", "right") else 0])
    b = rng.choice(BACKGROUND_WORDS[BACKGROUND_NAMES[scene.background]])
    first = order[0]
    s = _subject(rng, scene, first, say_size)
    motion = MOTIONS[scene.motion[first]]
    v, g, p = _phrase(rng, motion, SHAPES[scene.shape[first]] if not pair else "", unseen)
    o = " " + rng.choice(_ON_UNSEEN if unseen else _ON).format(b=b) if say_background else ""
    labels = {"count": int(pair), "background": int(scene.background) if say_background else len(BACKGROUND_NAMES)}
    for slot, k in enumerate(order):
        there = slot == 0 or pair
        sized = there and say_size and MOTIONS[scene.motion[k]] not in ("grow", "shrink")
        labels[f"colour{slot}"] = int(scene.colour[k]) if there else len(COLOUR_NAMES)
        labels[f"shape{slot}"] = int(scene.shape[k]) if there else len(SHAPES)
        labels[f"motion{slot}"] = int(scene.motion[k]) if there else len(MOTIONS)
        labels[f"size{slot}"] = int(scene.size[k]) if sized else len(SIZES)
    if pair:
        second = order[1]
        s2 = _subject(rng, scene, second, say_size)
        if scene.motion[0] == scene.motion[1] and rng.random() < 0.7:
            text = rng.choice(_UNSEEN_BOTH if unseen else _SEEN_BOTH).format(s=s, s2=s2, p=p, g=g, o=o)
        else:
            v2, g2, _ = _phrase(rng, MOTIONS[scene.motion[second]], "", unseen)
            text = rng.choice(_UNSEEN_PAIR if unseen else _SEEN_PAIR).format(s=s, v=v, g=g, s2=s2, v2=v2, g2=g2, o=o)
    elif say_background and rng.random() < 0.35:
        text = rng.choice(_UNSEEN_WITH if unseen else _SEEN_WITH).format(s=s, v=v, g=g, b=b)
    else:
        text = rng.choice(_UNSEEN if unseen else _SEEN).format(s=s, v=v, g=g, o=o)
    if not unseen and rng.random() < 0.2:
        words = text.split(" ")
        for _ in range(rng.randint(1, 3)):
            words.insert(rng.choice((0, 0, len(words), rng.randint(0, len(words)))), rng.choice(FILLERS))
        text = " ".join(words)
    if rng.random() < 0.5:
        text = text[0].upper() + text[1:]
    if rng.random() < 0.4:
        text += "."
    return text, labels


def captions(scenes: Scenes, seed: int, unseen: bool = False) -> tuple[list[str], list[dict]]:
    """One caption for every scene."""
    rng = random.Random(seed)
    pairs = [caption(scenes.take(i), rng, unseen) for i in range(len(scenes))]
    return [text for text, _ in pairs], [labels for _, labels in pairs]
