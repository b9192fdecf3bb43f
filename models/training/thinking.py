"""Thoughts before answers, and answers as JSON: both are made from the questions of `corpus.py`, so its split holds for them."""

from __future__ import annotations

import json
import re
from random import Random

import facts
from corpus import Question, ask, is_held_out, made_up_name

_THINKING_TASKS = {"addition": 28, "subtraction": 28, "larger": 12, "multiplication": 8, "capital": 5, "country": 4, "continent": 2, "opposite": 3, "colour": 3, "neighbour": 2, "manners": 3, "spell": 1, "repeat": 1}
_SUBJECTS = [
    (r"The capital of (.*) is .*\.", "The user asks for the capital of {}."),
    (r"(.*) is the capital of .*\.", "The user asks for the country of {}."),
    (r"The opposite of (.*) is .*\.", "The user asks for the opposite of {}."),
]


def thought(answer: str) -> str:
    """Short true steps towards the answer, found from the answer's own form."""
    if sums := re.fullmatch(r"(\d+) \+ (\d+) = (\d+)\.", answer):
        a, b, total = map(int, sums.groups())
        tens, ones = a - a % 10 + b - b % 10, a % 10 + b % 10
        return f"Tens: {a - a % 10} + {b - b % 10} = {tens}. Ones: {a % 10} + {b % 10} = {ones}. {tens} + {ones} = {total}."
    if differences := re.fullmatch(r"(\d+) - (\d+) = (\d+)\.", answer):
        a, b, rest = map(int, differences.groups())
        middle = a - (b - b % 10)
        return f"{a} - {b - b % 10} = {middle}. {middle} - {b % 10} = {rest}."
    if products := re.fullmatch(r"(\d+) x (\d+) = (\d+)\.", answer):
        a, b, product = map(int, products.groups())
        return f"{a - 1} x {b} = {product - b}. {product - b} + {b} = {product}." if a else "Zero times a number is 0."
    if compared := re.fullmatch(r"(\d+) is (larger|smaller) than (\d+)\.", answer):
        a, how, b = int(compared[1]), compared[2], int(compared[3])
        word = "more" if how == "larger" else "less"
        if a // 10 != b // 10:
            return f"Tens: {a // 10} and {b // 10}. {a // 10} is {word}."
        return f"Tens: {a // 10} and {b // 10}. Ones: {a % 10} and {b % 10}. {a % 10} is {word}."
    for pattern, sentence in _SUBJECTS:
        if found := re.fullmatch(pattern, answer):
            return sentence.format(found[1])
    return "This is an easy question."


def thinking_question(rng: Random, held_out: bool = False) -> tuple[str, Question]:
    """The task's name and a question of it; its answer's thought is `thought(question.answer)`."""
    task = rng.choices(list(_THINKING_TASKS), list(_THINKING_TASKS.values()))[0]
    return task, ask(rng, task, held_out and task != "manners")


def _json_subject(rng: Random, held_out: bool) -> tuple[str, dict[str, object], str, str]:
    """What is asked for, the object, a question that names it, the key's subject."""
    kind = rng.choices(["capital", "continent", "sum", "difference", "opposite", "colour", "person"], [30, 8, 26, 14, 8, 8, 14])[0]
    if kind in ("capital", "continent"):
        country = rng.choice(list(facts.CAPITALS))
        value = facts.CAPITALS[country] if kind == "capital" else facts.CONTINENT_OF[country]
        asked = f"What is the capital of {country}?" if kind == "capital" else f"Which continent is {country} in?"
        return f"the {kind} of {country}", {"country": country, kind: value}, asked, country
    if kind in ("sum", "difference"):
        question = ask(rng, "addition" if kind == "sum" else "subtraction", held_out)
        a, b, result = map(int, re.findall(r"\d+", question.answer))
        sign = "+" if kind == "sum" else "-"
        return f"the {kind} of {a} and {b}", {"a": a, "b": b, kind: result}, f"What is {a} {sign} {b}?", f"{min(a, b)}|{max(a, b)}"
    if kind == "person":
        name, age = rng.choice(facts.NAMES) if rng.random() < 0.5 else made_up_name(rng), rng.randrange(5, 100)
        said = rng.choice(["My name is {n} and I am {a} years old.", "{n} is {a} years old.", "I am {n}. I am {a} years old."]).format(n=name, a=age)
        return "", {"name": name, "age": age}, said, f"{name}|{age}"
    table = facts.OPPOSITE_OF if kind == "opposite" else facts.COLOUR_OF
    word = rng.choice(list(table))
    asked = f"What is the opposite of {word}?" if kind == "opposite" else f"What colour is {word}?"
    return f"the {kind} of {word}", {"word" if kind == "opposite" else "thing": word, kind: table[word]}, asked, word


def json_question(rng: Random, held_out: bool = False) -> Question:
    """Held out by (phrasing, kind, subject); the first phrasing never is, as in corpus.py."""
    for _ in range(100_000):
        wanted, value, asked, subject = _json_subject(rng, held_out)
        if wanted:
            phrasings = [f"Give {wanted} as JSON.", f"{asked} Answer as JSON.", f"Give me {wanted} as JSON.", f"{asked} Reply with JSON.", f"Write {wanted} as JSON.", f"Answer as JSON: {asked}", f"{asked} Use JSON."]
        else:
            phrasings = [f"{asked} Give the name and age as JSON.", f"{asked} Answer as JSON.", f"Give the name and age as JSON: {asked}", f"{asked} Write the name and age as JSON."]
        index = rng.randrange(len(phrasings))
        key = None if index == 0 and not held_out else f"json|{index}|{list(value)[-1]}|{subject}"
        if index == 0 and held_out:
            continue
        if is_held_out(key) == held_out:
            return Question(phrasings[index], json.dumps(value, ensure_ascii=False), key)
    raise ValueError("no JSON question on this side of the split")
