"""A small story grammar: every story opens, wants something, meets someone, and ends.

Stories exist so that the model has long, varied, ending outputs to stream; nobody checks their exact text.
"""

from __future__ import annotations

from random import Random

ANIMALS = """
fox dog cat bear rabbit mouse owl frog duck horse lion wolf sheep pig bee turtle hedgehog squirrel crow goat robot
dragon king queen child sailor
""".split()
_NAMES = "Pip Ruby Milo Nell Bram Tess Finn Lila Otto Wren Hugo Maya".split()
_PLACES = ["forest", "village", "green valley", "small town", "old castle", "quiet garden"]
_TRAITS = ["little", "clever", "brave", "kind", "curious", "sleepy"]
_TREASURES = ["a golden key", "a lost letter", "a silver bell", "a warm coat", "a bright lamp", "a map of the stars"]
_WHERES = ["under the bridge", "on the hill", "beside the river", "behind the mill", "inside a hollow tree", "near the lake"]
_OPENINGS = [
    "Once upon a time there was a {trait} {animal} named {name} who lived in a {place}.",
    "In a {place} there lived a {trait} {animal} called {name}.",
    "Long ago, in a {place}, a {trait} {animal} named {name} looked at the moon every night.",
]
_WISHES = [
    "{name} wanted to find {treasure}.",
    "One morning {name} heard about {treasure} and wanted to see it.",
    "All winter {name} had dreamed of {treasure}.",
]
_TRAVELS = [
    "So {name} walked all day, over the fields and through the rain, until the sun went down.",
    "So {name} packed some bread, said goodbye to the neighbours, and went out into the world.",
    "The road was long and the wind was cold, but {name} did not turn back.",
]
_MEETINGS = [
    'On the way {name} met an old {friend}. "Look {where}," said the {friend}.',
    'Then a {friend} came along. "I know the place," said the {friend}. "It is {where}."',
    '{name} helped a tired {friend} to carry some wood, and the {friend} whispered, "Go and look {where}."',
]
_FINDS = [
    "{name} looked {where}, and there it was: {treasure}!",
    "And indeed, {where}, {name} found {treasure}.",
    "It was dark {where}, but something was shining. It was {treasure}.",
]
_ENDINGS = [
    "{name} took it home and shared the joy with everyone. The end.",
    "From that day on, {name} and the {friend} were the best of friends. The end.",
    "{name} laughed, and the two of them danced until the stars came out. The end.",
]
_MIDDLES = [
    "In the night there was a storm, and {name} slept in a barn.",
    "{name} sang a small song to be less afraid.",
    "A bird showed {name} the way for a while.",
    "",
]
REQUESTS = [
    "Tell me a short story about {a}.",
    "Write a short story about {a}.",
    "Can you tell me a story about {a}?",
    "Please tell me a story about {a}.",
    "I would like to hear a story about {a}.",
    "Tell me a story about {a}.",
]


def article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def story(rng: Random, animal: str) -> str:
    """One story about `animal`, 60 to 130 words."""
    parts = [_OPENINGS, _WISHES, _TRAVELS, _MIDDLES, _MEETINGS, _FINDS, _ENDINGS]
    slots = {
        "animal": animal,
        "name": rng.choice(_NAMES),
        "trait": rng.choice(_TRAITS),
        "place": rng.choice(_PLACES),
        "treasure": rng.choice(_TREASURES),
        "where": rng.choice(_WHERES),
        "friend": rng.choice([other for other in ANIMALS[:20] if other != animal and other[0] not in "aeiou"]),
    }
    return " ".join(line for line in (rng.choice(part).format(**slots) for part in parts) if line)
