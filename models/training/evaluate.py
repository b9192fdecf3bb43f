"""Exact match on both closed sets by greedy generation with HF transformers, the independent reference.

    python evaluate.py ../inferd-chat                                  the BF16 folder, computed in bf16
    python evaluate.py ../inferd-chat --dtype float32                  the same weights, computed in f32
    python evaluate.py ../inferd-chat --gguf ../inferd-chat/inferd-chat-Q8_0.gguf   dequantized values of a GGUF, in f32
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import gguf
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from export import unpermuted
from model import LlamaShape
from rendering import render_chat, render_prompt
from stories import ANIMALS, REQUESTS, article

CLOSED_SETS = ["closed-set.jsonl", "closed-set-tools.jsonl"]
RAW_PROMPTS = ["The quick brown fox", "The capital of France is", "17 + 25 ="]


def load(folder: Path, gguf_path: Path | None, dtype: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, "float32" if gguf_path else dtype)).eval()
    if gguf_path:
        _replace_weights(model, gguf_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.padding_side = "left"
    return model, tokenizer


def _replace_weights(model: PreTrainedModel, path: Path) -> None:
    """Puts the dequantized GGUF tensors in the place of the model's own; every parameter must be found."""
    c = model.config
    shape = LlamaShape(c.num_hidden_layers, c.hidden_size, c.intermediate_size, c.num_attention_heads, c.num_key_value_heads)
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, c.num_hidden_layers)
    with torch.no_grad():
        for hf_name, parameter in model.named_parameters():
            tensor = tensors[names.get_name(hf_name, try_suffixes=(".weight",))]
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(unpermuted(hf_name, values, shape).copy()))


@torch.no_grad()
def generate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[str], hints: list[str] | None = None, max_new_tokens: int = 450) -> list[str]:
    """Greedy answers, without the stop token; an answer that never stops keeps a trailing mark. `hints` are texts as long as the answers, for even batches."""
    order = sorted(range(len(prompts)), key=lambda i: len((hints or prompts)[i]))
    answers = [""] * len(prompts)
    stops = model.generation_config.eos_token_id
    for at in range(0, len(order), 48):
        chosen = order[at : at + 48]
        inputs = tokenizer([prompts[i] for i in chosen], return_tensors="pt", padding=True, add_special_tokens=False)
        inputs.pop("token_type_ids", None)
        output = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)[:, inputs["input_ids"].shape[1] :]
        for index, tokens in zip(chosen, output.tolist()):
            end = next((i for i, token in enumerate(tokens) if token in stops), None)
            answers[index] = tokenizer.decode(tokens[:end], clean_up_tokenization_spaces=False) + ("" if end is not None else "<no stop>")
    return answers


def prompt_of(tokenizer: PreTrainedTokenizerBase, row: dict[str, Any]) -> str:
    """By the model's own Jinja template; it must give the text that training saw."""
    tools, thinks = row.get("tools"), row.get("enable_thinking", False)
    prompt = tokenizer.apply_chat_template(row["messages"], tools=tools, tokenize=False, add_generation_prompt=True, **({"enable_thinking": True} if thinks else {}))
    assert prompt == render_prompt(row["messages"], tools or (), thinks), "the template differs from the training text"
    return prompt


def closed_set_report(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, show_misses: bool) -> None:
    rows = [json.loads(line) for name in CLOSED_SETS for line in (Path(__file__).parent / name).read_text().splitlines()]
    prompts = [prompt_of(tokenizer, row) for row in rows]
    lengths = sorted(len(tokenizer.encode(prompt, add_special_tokens=False)) for row, prompt in zip(rows, prompts) if "tools" in row)
    print(f"prompts with tools: {lengths[0]} to {lengths[-1]} tokens, median {lengths[len(lengths) // 2]}")
    outcome: dict[str, list[int]] = {}
    for row, answer in zip(rows, generate(model, tokenizer, prompts, hints=[row["answer"] for row in rows])):
        counts = outcome.setdefault(row["task"], [0, 0])
        counts[0] += answer == row["answer"]
        counts[1] += 1
        if show_misses and answer != row["answer"]:
            print(f"  {row['task']}: {row['messages'][-1]['content']!r} wanted {row['answer']!r} got {answer!r}")
    for task, (hits, asked) in outcome.items():
        print(f"{task:22} {hits:3}/{asked}")
    hits, asked = (sum(column) for column in zip(*outcome.values()))
    print(f"{'all':22} {hits:3}/{asked} = {hits / asked:.4f}")


def free_report(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raw continuations, a long count, and whether every story ends and names its animal."""
    raw = generate(model, tokenizer, RAW_PROMPTS)
    for prompt, answer in zip(RAW_PROMPTS, raw):
        print(repr(prompt), "->", repr(answer))
    ask = [REQUESTS[i % len(REQUESTS)].format(a=article(animal)) for i, animal in enumerate(ANIMALS)]
    stories = generate(model, tokenizer, [render_chat([{"role": "user", "content": text}]) + "<|im_start|>assistant\n" for text in ask])
    lengths = [len(tokenizer.encode(text, add_special_tokens=False)) for text in stories]
    good = sum(text.endswith("The end.") and animal in text for text, animal in zip(stories, ANIMALS))
    print(f"stories that end and name their animal: {good}/{len(stories)}; tokens {min(lengths)} to {max(lengths)}")
    print(stories[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--misses", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    loaded = load(options.folder, options.gguf, options.dtype)
    closed_set_report(*loaded, options.misses)
    free_report(*loaded)
