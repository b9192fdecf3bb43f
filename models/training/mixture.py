"""What a training run reads, document by document, and the second closed set: tools, thinking and JSON.

    python mixture.py closed-set > closed-set-tools.jsonl
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from random import Random
from typing import Any

from corpus import Document, Question, _noisy, _plain_system, as_messages, ask, document
from rendering import answer_text, render_prompt
from thinking import json_question, thinking_question, thought
from tool_talk import (UNKNOWN, Need, calculation, calculator_tool, call_message, need, other_tool, plain_question, tool_chat, tool_set, weather, weather_and_calculation, weather_tool, weathers)

Row = dict[str, Any]


def short_document(rng: Random, max_turns: int = 6) -> Document:
    """Up to about 250 tokens: the old chats, thoughts, JSON, and what only a tool could answer."""
    draw = rng.random()
    if draw < 0.30:
        return Document(messages=thinking_chat(rng))
    if draw < 0.46:
        return Document(messages=json_chat(rng))
    if draw < 0.485:
        text = weather(rng, False).text if rng.random() < 0.5 else calculation(rng).text
        return Document(messages=as_messages("", [(_noisy(rng, text), UNKNOWN)]))
    return document(rng, max_turns)


def tool_document(rng: Random, max_turns: int = 4) -> Document:
    messages, tools = tool_chat(rng, rng.randrange(1, max_turns + 1))
    return Document(messages=tuple(messages), tools=tuple(tools))


def long_document(rng: Random, max_turns: int = 24) -> Document:
    if rng.random() < 0.3:
        messages, tools = tool_chat(rng, rng.randrange(3, 11))
        return Document(messages=tuple(messages), tools=tuple(tools))
    return document(rng, max_turns)


def thinking_chat(rng: Random) -> tuple[Row, ...]:
    """Some turns without thoughts, then one that asks for them: earlier thoughts are never shown."""
    turns = [plain_question(rng) for _ in range(rng.choice([0, 0, 0, 1, 2]))]
    system = _plain_system(rng) if rng.random() < 0.2 else ""
    _, question = thinking_question(rng)
    head = as_messages(system, [(_noisy(rng, q.text), q.answer) for q in turns])
    return (*head, {"role": "user", "content": _noisy(rng, question.text)}, {"role": "assistant", "reasoning": thought(question.answer), "content": question.answer})


def json_chat(rng: Random) -> tuple[Row, ...]:
    turns = [json_question(rng) if rng.random() < 0.75 else plain_question(rng) for _ in range(rng.choice([1, 2, 2, 3]))]
    return as_messages(_plain_system(rng) if rng.random() < 0.2 else "", [(_noisy(rng, q.text), q.answer) for q in turns])


# --- the closed set of tools, thinking and JSON ------------------------------------------------------------------


def closed_set_tools(seed: int = 20_26, per_task: int = 24) -> list[Row]:
    """Rows {"task", "messages", "tools"?, "enable_thinking"?, "answer", "heldOut"}; messages as OpenAI's API has them.

    `answer` is the whole text the model should write: thought and `</think>`, text, calls.
    """
    rng = Random(f"closed-tools-{seed}")
    makers: dict[str, tuple[Callable[[Random], Row], int]] = {
        "tool-weather": (lambda r: _call_row(r, weather(r, False, True), ["get_weather"]), 32),
        "tool-unit": (lambda r: _call_row(r, weather(r, True, True, asks_unit=True), ["get_weather"], unit=True), per_task),
        "tool-calculator": (lambda r: _call_row(r, calculation(r, True), ["calculator"]), 32),
        "tool-parallel": (lambda r: _call_row(r, weather_and_calculation(r, True) if r.random() < 0.3 else weathers(r, True), ["get_weather", "calculator"]), per_task),
        "tool-none": (lambda r: _none_row(r), 32),
        "tool-answer-weather": (lambda r: _answer_row(r, weather(r, False, True), ["get_weather"]), 32),
        "tool-answer-calculator": (lambda r: _answer_row(r, calculation(r, True), ["calculator"]), per_task),
        "tool-answer-parallel": (lambda r: _answer_row(r, weathers(r, True), ["get_weather"]), per_task),
        "tool-chat": (lambda r: _chat_row(r), per_task),
        "thinking": (lambda r: _thinking_row(r), 40),
        "thinking-tool": (lambda r: _thinking_tool_row(r), per_task),
        "json": (lambda r: _json_row(r), 40),
    }
    rows: dict[str, Row] = {}
    for task, (make, wanted) in makers.items():
        num_before = len(rows)
        while len(rows) - num_before < wanted:
            row = make(rng)
            rows.setdefault(json.dumps([row["messages"], row.get("tools"), row.get("enable_thinking")]), {"task": task, **row})
    return list(rows.values())


def _tools(rng: Random, names: list[str], unit: bool = False) -> list[Row]:
    """The named tools, often both, sometimes with a third."""
    while True:
        tools = tool_set(rng) if rng.random() < 0.3 else [weather_tool(rng), calculator_tool(rng)] if rng.random() < 0.75 else [calculator_tool(rng), weather_tool(rng), other_tool(rng)]
        have = {tool["function"]["name"]: tool["function"]["parameters"]["properties"] for tool in tools}
        if set(names) <= set(have) and (not unit or "unit" in have["get_weather"]):
            return tools


def _user(text: str) -> Row:
    return {"role": "user", "content": text}


def _openai(message: Row, first_id: int = 0) -> Row:
    """Calls with ids and arguments as a string, content null."""
    calls = [{"id": f"call_{first_id + i}", **call, "function": {"name": call["function"]["name"], "arguments": json.dumps(call["function"]["arguments"])}} for i, call in enumerate(message["tool_calls"])]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def _call_row(rng: Random, wanted: Need, names: list[str], unit: bool = False) -> Row:
    return {"messages": [_user(wanted.text)], "tools": _tools(rng, names, unit), "answer": answer_text(call_message(rng, wanted.calls)), "heldOut": True}


def _none_row(rng: Random) -> Row:
    question = plain_question(rng, held_out=True)
    return {"messages": [_user(question.text)], "tools": _tools(rng, []), "answer": question.answer, "heldOut": question.key is not None}


def _asked(rng: Random, wanted: Need, first_id: int = 0) -> list[Row]:
    made = _openai(call_message(rng, wanted.calls), first_id)
    results = [{"role": "tool", "tool_call_id": call["id"], "content": done.result} for call, done in zip(made["tool_calls"], wanted.calls)]
    return [_user(wanted.text), made, *results]


def _answer_row(rng: Random, wanted: Need, names: list[str]) -> Row:
    return {"messages": _asked(rng, wanted), "tools": _tools(rng, names), "answer": " ".join(call.sentence for call in wanted.calls), "heldOut": True}


def _chat_row(rng: Random) -> Row:
    """A call, its answer, then a second question: another call or none."""
    first = need(rng, tools := _tools(rng, ["get_weather", "calculator"]), held_out=True, parallel=False)
    assert first is not None
    messages = [*_asked(rng, first), {"role": "assistant", "content": first.calls[0].sentence}]
    second = need(rng, tools, held_out=True, parallel=False) if rng.random() < 0.6 else None
    question = plain_question(rng, held_out=True)
    answer = answer_text(call_message(rng, second.calls)) if second else question.answer
    return {"messages": [*messages, _user(second.text if second else question.text)], "tools": tools, "answer": answer, "heldOut": True}


def _thinking_row(rng: Random) -> Row:
    _, question = thinking_question(rng, held_out=True)
    answer = answer_text({"reasoning": thought(question.answer), "content": question.answer})
    return {"messages": [_user(question.text)], "enable_thinking": True, "answer": answer, "heldOut": question.key is not None}


def _thinking_tool_row(rng: Random) -> Row:
    wanted = weather(rng, False, True) if rng.random() < 0.5 else calculation(rng, True)
    answer = answer_text(call_message(rng, wanted.calls) | {"reasoning": wanted.thought})
    return {"messages": [_user(wanted.text)], "tools": _tools(rng, [wanted.calls[0].name]), "enable_thinking": True, "answer": answer, "heldOut": True}


def _json_row(rng: Random) -> Row:
    question: Question = json_question(rng, held_out=True)
    return {"messages": [_user(question.text)], "answer": question.answer, "heldOut": True}


if __name__ == "__main__":
    if sys.argv[1:2] == ["closed-set"]:
        print("\n".join(json.dumps(row, ensure_ascii=False) for row in closed_set_tools()))
    else:
        preview = Random(1)
        for maker in (short_document, tool_document, long_document) * 4:
            shown = maker(preview)
            print(shown.raw or render_prompt(shown.messages, shown.tools), end="\n----\n")
