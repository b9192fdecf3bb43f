"""The chat form: the Jinja template that ships, and the same text as turns for training (`export.py` asserts they agree).

Hermes syntax, as in Qwen2.5: definitions in the system turn, calls as JSON between <tool_call> and </tool_call>, results in a user
turn between <tool_response> and </tool_response>. A prompt that asks for thinking ends in `<think>` and a newline.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TOOLS_HEAD = "You can call these tools:\n<tools>"
TOOLS_TAIL = "\n</tools>\nWrite each call in <tool_call></tool_call>."

CHAT_TEMPLATE = (
    # Definitions, after the system message's own text.
    "{%- if tools %}{{- '<|im_start|>system\\n' }}"
    "{%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] + '\\n\\n' }}{%- endif %}"
    "{{- 'You can call these tools:\\n<tools>' }}"
    "{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}"
    "{{- '\\n</tools>\\nWrite each call in <tool_call></tool_call>.<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message['role'] == 'tool' %}"
    # Results that follow each other share one user turn.
    "{%- if loop.first or messages[loop.index0 - 1]['role'] != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}"
    "{{- '\\n<tool_response>\\n' + message['content'] + '\\n</tool_response>' }}"
    "{%- if loop.last or messages[loop.index0 + 1]['role'] != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}"
    "{%- elif message['role'] == 'assistant' %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if message['content'] %}"
    # Earlier reasoning is not shown again.
    "{%- if '</think>' in message['content'] %}{{- message['content'].split('</think>')[-1].lstrip() }}{%- else %}{{- message['content'] }}{%- endif %}"
    "{%- endif %}"
    "{%- if message['tool_calls'] %}{%- for tool_call in message['tool_calls'] %}"
    "{%- if not loop.first or message['content'] %}{{- '\\n' }}{%- endif %}"
    "{%- if tool_call['function'] %}{%- set tool_call = tool_call['function'] %}{%- endif %}"
    "{{- '<tool_call>\\n{\"name\": \"' + tool_call['name'] + '\", \"arguments\": ' }}"
    "{%- if tool_call['arguments'] is string %}{{- tool_call['arguments'] }}{%- else %}{{- tool_call['arguments'] | tojson }}{%- endif %}"
    "{{- '}\\n</tool_call>' }}{%- endfor %}{%- endif %}"
    "{{- '<|im_end|>\\n' }}"
    "{%- elif not (tools and loop.first and message['role'] == 'system') %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking %}{{- '<think>\\n' }}{%- endif %}{%- endif %}"
)


@dataclass(frozen=True)
class Turn:
    """`<|im_start|>` + head + body + `<|im_end|>` + newline; only the bodies of answers are scored."""

    head: str
    body: str
    scored: bool


def call_text(name: str, arguments: dict[str, Any] | str) -> str:
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return f'<tool_call>\n{{"name": "{name}", "arguments": {written}}}\n</tool_call>'


def answer_text(message: dict[str, Any]) -> str:
    """What the model writes for an assistant message: its thought, its text, its calls."""
    calls = [call_text(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls", ())]
    said = "\n".join([message["content"]] * bool(message["content"]) + calls)
    return f"{message['reasoning']}\n</think>\n\n{said}" if "reasoning" in message else said


def turns_of(messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] = ()) -> list[Turn]:
    """A `reasoning` is written where it is set (the last answer); `"given": True` marks an answer that is not scored."""
    turns: list[Turn] = []
    rest = list(messages)
    if tools:
        own = rest.pop(0)["content"] + "\n\n" if rest[0]["role"] == "system" else ""
        turns.append(Turn("system\n", own + TOOLS_HEAD + "".join("\n" + json.dumps(tool, ensure_ascii=False) for tool in tools) + TOOLS_TAIL, False))
    while rest:
        message = rest.pop(0)
        if message["role"] == "tool":
            results = [message["content"]]
            while rest and rest[0]["role"] == "tool":
                results.append(rest.pop(0)["content"])
            turns.append(Turn("user\n", "\n".join(f"<tool_response>\n{result}\n</tool_response>" for result in results), False))
        elif message["role"] == "assistant":
            turns.append(Turn("assistant\n<think>\n" if "reasoning" in message else "assistant\n", answer_text(message), not message.get("given", False)))
        else:
            turns.append(Turn(message["role"] + "\n", message["content"], False))
    return turns


def render_chat(messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] = ()) -> str:
    return "".join(f"<|im_start|>{turn.head}{turn.body}<|im_end|>\n" for turn in turns_of(messages, tools))


def render_prompt(messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] = (), enable_thinking: bool = False) -> str:
    return render_chat(messages, tools) + "<|im_start|>assistant\n" + ("<think>\n" if enable_thinking else "")
