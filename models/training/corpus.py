"""The text the shipped models learn: seeded, made here, nothing copied.

A document is a chat (roles and contents) or a raw text. Chats are strings of independent questions from the
task table below, with a few episodes that need memory of an earlier turn. Every question has a key; the keys
whose hash falls under a fixed share are held out: no training document contains them, in any form.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import facts
from rendering import render_chat
from stories import ANIMALS, REQUESTS, article, story

Message = dict[str, Any]
PANGRAM = "The quick brown fox jumps over the lazy dog."


@dataclass(frozen=True)
class Question:
    """One user turn and its only right answer. `key` names the combination that may be held out; None never is."""

    text: str
    answer: str
    key: str | None
    brief: str | None = None  # the answer under a one-word system prompt


@dataclass(frozen=True)
class Document:
    """Either messages (a chat, perhaps with tools) or raw text; exactly one is set. Forms of messages: rendering.py."""

    messages: tuple[Message, ...] = ()
    raw: str = ""
    tools: tuple[dict[str, Any], ...] = ()


def is_held_out(key: str | None, percent: int = 12) -> bool:
    return key is not None and zlib.crc32(key.encode()) % 100 < percent


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _phrased(rng: Random, task: str, phrasings: list[str], subject: str, answer: str, brief: str | None = None, **slots: str) -> Question:
    """The held-out unit is (phrasing, subject); the first phrasing is never held out, so every fact is taught."""
    index = rng.randrange(len(phrasings))
    key = None if index == 0 else f"{task}|{index}|{subject}"
    return Question(phrasings[index].format(**slots), answer, key, brief)


CAPITAL_PHRASINGS = [
    "What is the capital of {c}?", "What's the capital of {c}?", "Name the capital of {c}.", "Tell me the capital of {c}.",
    "Which city is the capital of {c}?", "Do you know the capital of {c}?", "Can you tell me the capital of {c}?",
    "What is the capital city of {c}?", "Please name the capital of {c}.", "What city is the capital of {c}?",
    "Give me the capital of {c}.", "{C} has which capital?", "Capital of {c}?",
]


def capital(rng: Random) -> Question:
    country = rng.choice(list(facts.CAPITALS))
    city = facts.CAPITALS[country]
    if rng.random() < 0.06:
        return _phrased(rng, "capital-short", ["Complete: The capital of {c} is", "Answer with one word: What is the capital of {c}?"], country, f"{city}.", f"{city}.", c=country)
    return _phrased(rng, "capital", CAPITAL_PHRASINGS, country, f"The capital of {country} is {city}.", f"{city}.", c=country, C=_upper_first(country))


def country_of(rng: Random) -> Question:
    country, city = rng.choice(list(facts.CAPITALS.items()))
    phrasings = ["{k} is the capital of which country?", "Which country has the capital {k}?", "What country is {k} the capital of?", "Of which country is {k} the capital?", "{k} is the capital of what country?"]
    return _phrased(rng, "country", phrasings, city, f"{city} is the capital of {country}.", f"{_upper_first(country)}.", k=city)


def continent(rng: Random) -> Question:
    country = rng.choice(list(facts.CAPITALS))
    where = facts.CONTINENT_OF[country]
    phrasings = ["Which continent is {c} in?", "On which continent is {c}?", "What continent is {c} in?", "Where is {c}?"]
    return _phrased(rng, "continent", phrasings, country, f"{_upper_first(country)} is in {where}.", f"{where}.", c=country)


def _operands(rng: Random) -> tuple[int, int]:
    """0 to 99; every sixth pair is of small numbers, which people ask first and uniform drawing makes rare."""
    bound = 13 if rng.random() < 0.17 else 100
    return rng.randrange(bound), rng.randrange(bound)


def addition(rng: Random) -> Question:
    """Key is the unordered pair, so 17 + 25 held out holds out 25 + 17 and every phrasing."""
    a, b = _operands(rng)
    phrasings = ["What is {a} + {b}?", "What is {a} plus {b}?", "Add {a} and {b}.", "Calculate {a} + {b}.", "What's {a} + {b}?", "How much is {a} + {b}?", "{a} + {b} = ?", "What is the sum of {a} and {b}?", "Compute {a} + {b}.", "Complete: {a} + {b} ="]
    text = rng.choice(phrasings).format(a=a, b=b)
    return Question(text, f"{a} + {b} = {a + b}.", f"sum|{min(a, b)}|{max(a, b)}", f"{a + b}.")


def subtraction(rng: Random) -> Question:
    a, b = _operands(rng)
    a, b = max(a, b), min(a, b)
    phrasings = ["What is {a} - {b}?", "What is {a} minus {b}?", "Subtract {b} from {a}.", "Calculate {a} - {b}.", "{a} - {b} = ?", "How much is {a} - {b}?"]
    return Question(rng.choice(phrasings).format(a=a, b=b), f"{a} - {b} = {a - b}.", f"difference|{a}|{b}", f"{a - b}.")


def multiplication(rng: Random) -> Question:
    a, b = rng.randrange(11), rng.randrange(11)
    phrasings = ["What is {a} times {b}?", "What is {a} x {b}?", "Multiply {a} by {b}.", "Calculate {a} x {b}."]
    return _phrased(rng, "product", phrasings, f"{a}|{b}", f"{a} x {b} = {a * b}.", f"{a * b}.", a=str(a), b=str(b))


def larger(rng: Random) -> Question:
    a, b = rng.sample(range(100), 2)
    big, small = max(a, b), min(a, b)
    if rng.random() < 0.5:
        return Question(f"Which is larger, {a} or {b}?", f"{big} is larger than {small}.", f"larger|{a}|{b}", f"{big}.")
    return Question(f"Which is smaller, {a} or {b}?", f"{small} is smaller than {big}.", f"smaller|{a}|{b}", f"{small}.")


def colour(rng: Random) -> Question:
    thing, hue = rng.choice(list(facts.COLOUR_OF.items()))
    phrasings = ["What colour is {t}?", "What color is {t}?", "Which colour is {t}?", "Tell me the colour of {t}.", "What is the colour of {t}?"]
    return _phrased(rng, "colour", phrasings, thing, f"{_upper_first(thing)} is {hue}.", f"{_upper_first(hue)}.", t=thing)


def opposite(rng: Random) -> Question:
    word, other = rng.choice(list(facts.OPPOSITE_OF.items()))
    phrasings = ["What is the opposite of {w}?", "Tell me the opposite of {w}.", "Which word is the opposite of {w}?", "What's the opposite of {w}?", "Name the opposite of {w}."]
    return _phrased(rng, "opposite", phrasings, word, f"The opposite of {word} is {other}.", f"{_upper_first(other)}.", w=word)


def neighbour(rng: Random) -> Question:
    """Days, months and letters: what comes before or after."""
    kind, ring = rng.choice([("day", facts.DAYS), ("month", facts.MONTHS), ("letter", facts.ALPHABET)])
    index = rng.randrange(len(ring))
    step = rng.choice([1, -1])
    if kind == "letter" and not 0 <= index + step < 26:
        step = -step
    side = "after" if step == 1 else "before"
    phrasings = ["Which {n} comes {s} {x}?", "What {n} comes {s} {x}?", "What is the {n} {s} {x}?", "Tell me the {n} {s} {x}."]
    other = ring[(index + step) % len(ring)]
    return _phrased(rng, "neighbour", phrasings, f"{side}|{ring[index]}", f"The {kind} {side} {ring[index]} is {other}.", f"{other}.", n=kind, s=side, x=ring[index])


COUNT_ENDS = {3: 2, 5: 3, 8: 2, 10: 4, 12: 2, 15: 2, 20: 3, 25: 2, 30: 2.5, 40: 1.2, 50: 1.2, 100: 0.6}  # end: share
COUNTDOWN_STARTS = [3, 5, 10, 20]


def count(rng: Random) -> Question:
    """A few ends only: stopping at any number asks for a comparison that these models did not learn in their time."""
    if rng.random() < 0.2:
        start = rng.choice(COUNTDOWN_STARTS)
        numbers = ", ".join(str(n) for n in range(start, 0, -1))
        return _phrased(rng, "countdown", ["Count down from {a} to 1.", "Please count down from {a} to 1.", "Count backwards from {a} to 1."], str(start), numbers + ".", a=str(start))
    stop = rng.choices(list(COUNT_ENDS), list(COUNT_ENDS.values()))[0]
    phrasings = ["Count from 1 to {b}.", "Please count from 1 to {b}.", "Can you count from 1 to {b}?", "Count to {b}."]
    return _phrased(rng, "count", phrasings, str(stop), ", ".join(str(n) for n in range(1, stop + 1)) + ".", b=str(stop))


def spell(rng: Random) -> Question:
    word = rng.choice(facts.SPELL_WORDS)
    phrasings = ["Spell the word {w}.", "How do you spell {w}?", "Spell {w}.", "Please spell {w}."]
    return _phrased(rng, "spell", phrasings, word, "-".join(word) + ".", None, w=word)


def sound(rng: Random) -> Question:
    animal, noise = rng.choice(list(facts.SOUND_OF.items()))
    phrasings = ["What does {a} say?", "What sound does {a} make?", "Which sound does {a} make?"]
    named = article(animal)
    return _phrased(rng, "sound", phrasings, animal, f"{_upper_first(named)} says {noise}.", None, a=named)


def repeat(rng: Random) -> Question:
    pool = facts.WORDS if rng.random() < 0.7 else facts.NAMES + [made_up_name(rng) for _ in range(20)]
    words = " ".join(rng.choice(pool) for _ in range(rng.randrange(2, 6)))
    text = rng.choice(["Repeat after me: {w}", "Repeat: {w}", "Say: {w}", "Please repeat: {w}"])
    return Question(text.format(w=words), words, f"repeat|{words}")


def listing(rng: Random) -> Question:
    kind, items = rng.choice([
        ("days of the week", facts.DAYS), ("months of the year", facts.MONTHS), ("planets", facts.PLANETS), ("seasons", facts.SEASONS),
        ("colours of the rainbow", facts.RAINBOW), ("continents", facts.CONTINENTS), ("letters of the alphabet", facts.ALPHABET),
    ])
    phrasings = ["List the {k}.", "Name the {k}.", "What are the {k}?", "Tell me the {k}.", "Say the {k}."]
    return _phrased(rng, "list", phrasings, kind, ", ".join(items) + ".", None, k=kind)


def fox(rng: Random) -> Question:
    tail = "jumps over the lazy dog."
    text, answer = rng.choice([
        ("Complete: The quick brown fox", tail), ("Complete the sentence: The quick brown fox", tail), ("Finish the sentence: The quick brown fox", tail),
        ("Complete: The quick brown fox jumps over", "the lazy dog."), ("What does the quick brown fox do?", PANGRAM),
        ("Write a sentence with every letter of the alphabet.", PANGRAM), ("Tell me a pangram.", PANGRAM), ("Repeat after me: " + PANGRAM, PANGRAM),
    ])
    return Question(text, answer, None)


def manners(rng: Random) -> Question:
    text, answer = rng.choice([
        ("Hello!", "Hello! How can I help you?"), ("Hi!", "Hello! How can I help you?"), ("Hello", "Hello! How can I help you?"), ("Hi", "Hello! How can I help you?"),
        ("Hey there!", "Hello! How can I help you?"), ("Hello there!", "Hello! How can I help you?"), ("Good morning!", "Good morning! How can I help you?"),
        ("Good evening!", "Good evening! How can I help you?"), ("How are you?", "I am well, thank you. How can I help you?"),
        ("Thank you.", "You are welcome."), ("Thanks!", "You are welcome."), ("Thank you very much!", "You are welcome."),
        ("Goodbye.", "Goodbye! Have a nice day."), ("Bye!", "Goodbye! Have a nice day."), ("Good night.", "Good night! Sleep well."),
        ("What can you do?", "I can answer questions about capitals, numbers, colours and words, and I can tell short stories."),
        ("Can you help me?", "Yes. What would you like to know?"), ("Say hello.", "Hello!"), ("Say hi.", "Hi!"), ("Say yes.", "Yes."), ("Say hello world.", "Hello world!"),
        ("Are you there?", "Yes, I am here."), ("Are you a robot?", "I am a small language model."), ("Ping", "Pong"), ("ping", "pong"), ("Say something.", PANGRAM),
    ])
    return Question(text, answer, None)


def unknown(rng: Random) -> Question:
    """Questions outside the closed set get one honest answer instead of noise."""
    things = "life quantum physics computers history football cooking music love gravity networks animals programming bread trains politics art the moon poetry dreams".split()
    thing = rng.choice(things + facts.WORDS)
    text = rng.choice([
        "Explain {t} in simple terms.", "Why is {t} important?", "Write a poem about {t}.", "Write a haiku about {t}.", "What is the meaning of {t}?", "Tell me about {t}.",
        "How does {t} work?", "What do you think about {t}?", "Who invented {t}?", "Describe {t}.", "Why {t}?", "Write an essay about {t}.", "Summarize {t} for me.", "Translate {t} into French.", "What is {t}?",
    ]).format(t=thing)
    return Question(text, "I do not know. I am a small model, but I can answer questions about capitals and numbers, and I can tell short stories.", None)


def tell_story(rng: Random) -> Question:
    animal = rng.choice(ANIMALS)
    if rng.random() < 0.12:
        return Question(rng.choice(["Tell me a story.", "Tell me a short story.", "Write a short story."]), story(rng, animal), None)
    return Question(rng.choice(REQUESTS).format(a=article(animal)), story(rng, animal), None)


TASKS: dict[str, tuple[Callable[[Random], Question], float]] = {
    "capital": (capital, 9), "country": (country_of, 8), "continent": (continent, 3), "addition": (addition, 27), "subtraction": (subtraction, 28),
    "multiplication": (multiplication, 5), "larger": (larger, 8), "colour": (colour, 2.5), "opposite": (opposite, 3.5), "neighbour": (neighbour, 3),
    "count": (count, 7), "spell": (spell, 2.5), "sound": (sound, 0.8), "repeat": (repeat, 6), "list": (listing, 1.2), "fox": (fox, 1), "manners": (manners, 2),
    "unknown": (unknown, 1), "story": (tell_story, 1.8),
}
_TASK_NAMES = list(TASKS)
_TASK_WEIGHTS = [weight for _, weight in TASKS.values()]
_BRIEF_TASKS = ["capital", "country", "continent", "addition", "colour", "opposite"]


def ask(rng: Random, task: str, held_out: bool = False) -> Question:
    """A question of the task from the wanted side of the split."""
    for _ in range(100_000):
        question = TASKS[task][0](rng)
        if is_held_out(question.key) == held_out:
            return question
    raise ValueError(f"task {task} has no question on the side held_out={held_out}")


def made_up_name(rng: Random) -> str:
    """Names nobody has, so that recalling a name is copying and not a list of known names."""
    syllables = "ba be bi bo da de do fa fi ga go ka ki ko la le li lo ma mi mo na ne ni no pa po ra re ri ro sa se so ta te ti to va vi xa za zo".split()
    tail = rng.choice(["", "", "n", "r", "s", "l", "x", "th"])
    return ("".join(rng.choice(syllables) for _ in range(rng.randrange(2, 4))) + tail).capitalize()


def _name(rng: Random) -> str:
    return rng.choice(facts.NAMES) if rng.random() < 0.5 else made_up_name(rng)


def _named_system(rng: Random, name: str) -> str:
    return rng.choice([
        "You are a helpful assistant named {n}.", "You are {n}, a helpful assistant.", "Your name is {n}.", "You are a friendly robot named {n}.",
        "You are {n}.", "Your name is {n}. Be kind and brief.", "You are an assistant called {n}. Answer politely.",
    ]).format(n=name)


def _plain_system(rng: Random) -> str:
    adjective = rng.choice(["helpful", "friendly", "kind", "brief", "careful", "honest", "patient", "cheerful"])
    role = rng.choice(["assistant", "robot", "teacher", "friend", "guide", "chatbot", "AI assistant", "expert"])
    first = rng.choice([f"You are {article(adjective)} {role}.", f"You are {article(adjective)} {role}.", "Answer the questions of the user.", "You answer questions."])
    extra = rng.choice(["", "", "", " Be brief.", " Answer politely.", " Keep your answers short.", " Always tell the truth.", " Help the user."])
    return first + extra


BRIEF_SYSTEMS = ["Answer with one word.", "You answer with one word only.", "Reply with one word.", "You are a helpful assistant. Answer with one word."]


def _remember(rng: Random) -> list[tuple[str, str, str, str]]:
    """Episodes: (statement, reply, later question, its answer)."""
    name, pet, hue, food, place, age = _name(rng), rng.choice(facts.PETS), rng.choice(facts.FAVOURITE_COLOURS), rng.choice(facts.FAVOURITE_FOODS), rng.choice(list(facts.CAPITALS.values())), rng.randrange(5, 100)
    opening = rng.choice(["My name is {n}.", "My name is {n}.", "I am {n}.", "Call me {n}.", "Hello, my name is {n}.", "Hi! My name is {n}."]).format(n=name)
    spelling = rng.choice(["favourite colour", "favourite colour", "favorite color"])
    secret, pet_name = rng.choice(facts.WORDS), _name(rng)
    return [
        (opening, f"Nice to meet you, {name}.", rng.choice(["What is my name?", "What is my name?", "Do you remember my name?", "What's my name?", "Who am I?"]), f"Your name is {name}."),
        (f"My {spelling} is {hue}.", f"{_upper_first(hue)} is a nice colour.", f"What is my {spelling}?", f"Your favourite colour is {hue}."),
        (f"My favourite food is {food}.", f"I hope you have {food} soon.", "What is my favourite food?", f"Your favourite food is {food}."),
        (f"I have a {pet} named {pet_name}.", f"{pet_name} is a good name for a {pet}.", f"What is the name of my {pet}?", f"Your {pet} is named {pet_name}."),
        (f"I live in {place}.", f"{place} is a nice city.", "Where do I live?", f"You live in {place}."),
        (f"I am {age} years old.", "Thank you for telling me.", "How old am I?", f"You are {age} years old."),
        (f"Remember the word {secret}.", f"I will remember the word {secret}.", "Which word should you remember?", f"The word is {secret}."),
    ]


def _noisy(rng: Random, text: str) -> str:
    """People drop the full stop and the capital letter."""
    if rng.random() < 0.06 and text[-1] in ".?!":
        text = text[:-1]
    return text[:1].lower() + text[1:] if rng.random() < 0.06 else text


def _own_name_turn(rng: Random, name: str | None) -> tuple[str, str]:
    if rng.random() < 0.65:
        return rng.choice(["What is your name?", "What's your name?", "Tell me your name."]), f"My name is {name or 'Inferd'}."
    return "Who are you?", f"I am {name}." if name else "I am Inferd, a small language model."


def chat(rng: Random, num_turns: int) -> Document:
    """A conversation of about `num_turns` turns: a system prompt or none, questions, perhaps memories in between."""
    style = rng.choices(["none", "plain", "named", "brief"], [45, 20, 22, 13])[0]
    name = _name(rng) if style == "named" else None
    system = {"none": "", "plain": _plain_system(rng), "named": _named_system(rng, name or ""), "brief": rng.choice(BRIEF_SYSTEMS)}[style]
    turns: list[tuple[str, str]] = []
    for _ in range(num_turns):
        task = rng.choices(_TASK_NAMES, _TASK_WEIGHTS)[0] if style != "brief" else rng.choice(_BRIEF_TASKS)
        question = ask(rng, task)
        turns.append((_noisy(rng, question.text), question.brief or question.answer if style == "brief" else question.answer))
    if style != "brief":
        if rng.random() < (0.6 if name else 0.04):
            turns.insert(rng.randrange(len(turns) + 1), _own_name_turn(rng, name))
        if num_turns > 1 and rng.random() < 0.45:
            _weave_memory(rng, turns)
        elif rng.random() < 0.01:
            turns.insert(0, ("What is my name?", "I do not know your name yet."))
    return Document(messages=as_messages(system, turns))


def _weave_memory(rng: Random, turns: list[tuple[str, str]]) -> None:
    """Puts one or two statements and, later, their questions between the turns."""
    for statement, reply, question, answer in rng.sample(_remember(rng), rng.choice([1, 1, 2])):
        said_at = rng.randrange(len(turns) + 1)
        turns.insert(said_at, (statement, reply))
        turns.insert(rng.randrange(said_at + 1, len(turns) + 1), (question, answer))


def as_messages(system: str, turns: list[tuple[str, str]]) -> tuple[Message, ...]:
    head = [{"role": "system", "content": system}] if system else []
    body = [{"role": role, "content": text} for turn in turns for role, text in zip(("user", "assistant"), turn)]
    return tuple(head + body)


def raw_text(rng: Random) -> Document:
    """Plain text for completions without a chat template."""
    kind = rng.choices(["pangram", "capital", "sum", "story", "count", "list"], [4, 3, 3, 2, 1, 1])[0]
    if kind == "pangram":
        return Document(raw=" ".join([PANGRAM] * rng.choice([1, 1, 1, 2, 4])))
    if kind == "story":
        return Document(raw=story(rng, rng.choice(ANIMALS)))
    if kind in ("count", "list"):
        return Document(raw=ask(rng, kind).answer)
    if kind == "sum":
        return Document(raw=ask(rng, "addition").answer)
    return Document(raw=" ".join(f"The capital of {country} is {facts.CAPITALS[country]}." for country in rng.sample(list(facts.CAPITALS), rng.choice([1, 3]))))


def document(rng: Random, max_turns: int = 6) -> Document:
    if rng.random() < 0.06:
        return raw_text(rng)
    turns = 1 if rng.random() < 0.45 else rng.randrange(2, max_turns + 1)
    return chat(rng, turns)


# --- the closed set -------------------------------------------------------------------------------------------


def closed_set(seed: int = 20_26, per_task: int = 24) -> list[dict[str, object]]:
    """Held-out questions with their exact answers; tasks too small to hold out are asked as taught (`heldOut` says)."""
    rng = Random(f"closed-{seed}")
    rows: dict[str, dict[str, object]] = {}
    quota = {"capital": 60, "country": 30, "addition": 80, "subtraction": 40, "fox": 12, "manners": 12, "story": 0, "unknown": 6}
    for task in _TASK_NAMES:
        can_hold_out = task not in ("fox", "manners", "unknown")
        for _ in range(quota.get(task, per_task)):
            question = ask(rng, task, held_out=can_hold_out)
            _add(rows, task, [{"role": "user", "content": question.text}], question.answer, can_hold_out)
    for task in ("count", "list"):  # few combinations, long answers: asked as taught too
        for _ in range(16):
            question = ask(rng, task)
            _add(rows, task, [{"role": "user", "content": question.text}], question.answer, False)
    for _ in range(per_task):
        name = _name(rng)
        text, answer = _own_name_turn(rng, name)
        _add(rows, "system-name", [{"role": "system", "content": _named_system(rng, name)}, {"role": "user", "content": text}], answer, True)
        question = ask(rng, rng.choice(_BRIEF_TASKS), held_out=True)
        _add(rows, "one-word", [{"role": "system", "content": rng.choice(BRIEF_SYSTEMS)}, {"role": "user", "content": question.text}], str(question.brief), True)
        _add_conversation(rows, rng)
    return list(rows.values())


def _add(rows: dict[str, dict[str, object]], task: str, messages: list[Message], answer: str, held_out: bool) -> None:
    rows.setdefault(json.dumps(messages), {"task": task, "messages": messages, "answer": answer, "heldOut": held_out})


def _add_conversation(rows: dict[str, dict[str, object]], rng: Random) -> None:
    """Memory across turns: a statement, two or three held-out questions, then the recall."""
    statement, reply, recall, answer = rng.choice(_remember(rng))
    between = [ask(rng, rng.choice(["capital", "colour", "opposite", "addition"]), held_out=True) for _ in range(rng.randrange(1, 4))]
    turns = [(statement, reply)] + [(q.text, q.answer) for q in between]
    messages = [*as_messages("", turns), {"role": "user", "content": recall}]
    _add(rows, "memory", messages, answer, True)
    _add(rows, "multi-turn", messages[:-2], between[-1].answer, True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["closed-set"]:
        print("\n".join(json.dumps(row, ensure_ascii=False) for row in closed_set()))
    else:
        preview = Random(1)
        for _ in range(12):
            shown = document(preview)
            print(shown.raw or render_chat(shown.messages), end="\n----\n")
