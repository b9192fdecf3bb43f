"""The byte-level BPE tokenizer of both models, trained on our own corpus.

The pre-tokenizer is Qwen2's regex (every digit is its own token), so GGUF's `tokenizer.ggml.pre = "qwen2"` is true
of it. No normalizer: Qwen2 has NFC; the corpus is ASCII and NFC changes no ASCII text. The chat
words are added tokens at the end of the vocabulary.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from corpus import document, render_chat

VOCAB_SIZE = 2048
QWEN2_PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|reserved_{i}|>" for i in range(7))]
# Plain text to a decoder that skips special tokens, as in Qwen: a client must see them to parse them.
MARKUP_TOKENS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]


def train_tokenizer(seed: int = 7, num_documents: int = 60_000) -> Tokenizer:
    rng = Random(seed)
    added = CONTROL_TOKENS + MARKUP_TOKENS
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=VOCAB_SIZE - len(added), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, min_frequency=2)
    tokenizer.train_from_iterator((_text(rng) for _ in range(num_documents)), trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in CONTROL_TOKENS])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in MARKUP_TOKENS])
    assert tokenizer.get_vocab_size() == VOCAB_SIZE, tokenizer.get_vocab_size()
    return tokenizer


def _text(rng: Random) -> str:
    """Chat words are cut out so that BPE never merges across them."""
    made = document(rng)
    text = made.raw or render_chat(made.messages)
    for word in ("<|im_start|>", "<|im_end|>"):
        text = text.replace(word, "\n")
    return text


if __name__ == "__main__":
    path = Path(sys.argv[1])
    trained = train_tokenizer()
    trained.save(str(path))
    print(json.dumps({"tokens": trained.encode("<|im_start|>user\nWhat is the capital of France? 17 + 25<|im_end|>\n").tokens}))
