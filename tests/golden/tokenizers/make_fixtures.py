"""Trains one small tokenizer of each kind and writes it with the ids that its reference implementation gives.

Run: python tests/golden/tokenizers/make_fixtures.py
Needs: tokenizers 0.23, sentencepiece 0.2, jinja2 3.1. All text is generated here, with fixed seeds. The unigram and WordPiece
trainers break ties at random: another run gives other fixtures of these two, just as good.
Output, in tests/fixtures/tokenizers/: corpus.json (the texts), <name>.json (tokenizer.json), <name>.ids.json (ids per text),
spm-*.gguf.json (vocabulary in the form of GGUF metadata), chat.json (prompts that Jinja2 renders from the templates of chat_templates.py).
"""
import json
import os
import random
import tempfile

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as spm_model
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from chat_templates import CONVERSATIONS, TEMPLATES

OUT = os.path.join(os.path.dirname(__file__), "..", "..", "fixtures", "tokenizers")
rng = random.Random(20261122)

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

ENGLISH = "the quick brown fox jumps over a lazy dog while students write about history music science and the weather in their city because nobody can predict what happens tomorrow it's we're they've I'll don't you'd".split()
GERMAN = "der schnelle Fuchs springt über den faulen Hund während Mädchen große Bücher über Straßen und Flüsse lesen können müssen dürfen".split()
CHINESE = "今天天气很好我们去公园散步学习语言模型人工智能改变世界中国北京上海历史文化音乐科学"
ARABIC = "القط يجلس على السجادة والكلب يركض في الحديقة مع الأطفال كل يوم".split()
HINDI = "बिल्ली चटाई पर बैठी है और कुत्ता बगीचे में दौड़ता है".split()
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🎉", "❤️", "🇩🇪", "𝔘𝔫𝔦", "🤖"]
CODE = [
    "def f(x):\n    return x ** 2 + 1\n",
    "for (let i = 0; i < 10; i++) {\n\tconsole.log(`${i}`);\n}\n",
    "SELECT * FROM users WHERE id = 42;\r\n",
    "<div class=\"a\">text</div>",
    "x_1 = {'a': [1, 2.5, 0xFF], \"b\": None}",
]
MARKS = ["e\u0301a\u0308o\u0302", "a\u0301\u0323\u0302b", "Z\u0351\u0352alg\u0353o", "\u0301lone", "n\u0303 o\u0304", "\u0928\u0940"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n\n", " \n ", "\u00a0", "\u3000", "  \n\n  ", "\u2028", "\u0085", " \t "]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<s>", "</s>", "[CLS]", "[SEP]", "<think>", "</think>", "<|im_", "<unk>", "▁", "▁▁", "##a", "<0x41>"]
SIGNS = list("!?.,;:'\"()[]{}<>@#$%^&*-_=+/\\|~`") + ["'S", "'Ll", "'\u017f", "...", "--", "—", "“x”", "¿", "½", "Ⅷ", "٣٤", "१२", "１２３"]


def sentence():
    kind = rng.random()
    if kind < 0.45:
        words = [rng.choice(ENGLISH) for _ in range(rng.randint(3, 12))]
        return " ".join(words).capitalize() + rng.choice([".", "!", "?", "..."])
    if kind < 0.6:
        return " ".join(rng.choice(GERMAN) for _ in range(rng.randint(3, 9))) + "."
    if kind < 0.7:
        return "".join(rng.choice(CHINESE) for _ in range(rng.randint(3, 14))) + "。"
    if kind < 0.78:
        return " ".join(rng.choice(ARABIC) for _ in range(rng.randint(2, 7)))
    if kind < 0.84:
        return " ".join(rng.choice(HINDI) for _ in range(rng.randint(2, 7)))
    if kind < 0.92:
        return rng.choice(CODE)
    return " ".join(str(rng.randint(0, 10 ** rng.randint(1, 8))) for _ in range(3))


def noise():
    raw = bytes(rng.randrange(256) for _ in range(rng.randint(1, 24)))
    return raw.decode("utf-8", errors="replace")


def mixed():
    parts = []
    for _ in range(rng.randint(2, 9)):
        parts.append(rng.choice([sentence, lambda: rng.choice(EMOJI), lambda: rng.choice(MARKS), lambda: rng.choice(SPACES), lambda: rng.choice(SIGNS), lambda: rng.choice(ENGLISH), noise])())
    return "".join(parts)


def corpus():
    texts = ["", " ", "a", "\n", "Hello world", " leading", "trailing ", "  two  spaces  ", "x" * 200, " " * 40, "ab" * 60, "\n" * 9 + "x", "a\u0301" * 40, "'" * 7, "it'S IT'LL we'Re"]
    texts += SPACES + MARKS + EMOJI + CODE + SIGNS
    texts += [sentence() for _ in range(22)]
    texts += [mixed() for _ in range(30)]
    texts += [noise() for _ in range(25)]
    return texts


def special_texts():
    return ["".join(rng.choice([rng.choice(SPECIAL), sentence()[:30], " ", "\n", rng.choice(ENGLISH)]) for _ in range(rng.randint(2, 7))) for _ in range(25)]


def training_text():
    return [sentence() for _ in range(4000)] + [mixed() for _ in range(400)]


def write(name, value):
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


def save(name, tokenizer, texts):
    write(name + ".json", json.loads(tokenizer.to_str()))
    write(name + ".ids.json", [tokenizer.encode(text, add_special_tokens=False).ids for text in texts])


TURN_TOKENS = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<start_of_turn>", "<end_of_turn>", "<bos>", "<s>", "</s>", "[INST]", "[/INST]", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]


def chats(tokenizer):
    """What Jinja2 renders, with the settings of transformers, and the ids of it; null where the template refuses."""
    cases = []
    for name, (source, bos, eos) in TEMPLATES.items():
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = refuse
        template = environment.from_string(source)
        prompts = []
        for messages in CONVERSATIONS:
            try:
                text = template.render(messages=messages, add_generation_prompt=True, bos_token=bos, eos_token=eos, tools=None)
                prompts.append({"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids})
            except ValueError:
                prompts.append(None)
        cases.append({"name": name, "source": source, "bos": bos, "eos": eos, "prompts": prompts})
    return {"conversations": CONVERSATIONS, "cases": cases}


def refuse(message):
    raise ValueError(message)


def byte_level(regex, extra, normalizer=None, turn_tokens=()):
    tokenizer = Tokenizer(models.BPE(ignore_merges=extra))
    tokenizer.normalizer = normalizer
    if regex is None:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=560, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], show_progress=False)
    tokenizer.train_from_iterator(training_text(), trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in turn_tokens])
    tokenizer.add_tokens([AddedToken("<think>", special=False, normalized=False), AddedToken("</think>", special=False, normalized=False)])
    return tokenizer


def piece_bpe(legacy):
    alphabet = sorted(set("".join(ENGLISH + GERMAN) + CHINESE[:10] + "▁.,!?0123456789\n"))
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    specials = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % byte for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=620, special_tokens=specials, initial_alphabet=alphabet, limit_alphabet=len(alphabet), show_progress=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    tokenizer.train_from_iterator(training_text(), trainer)
    tree = json.loads(tokenizer.to_str())
    tree["added_tokens"] = [token for token in tree["added_tokens"] if token["content"] in ("<unk>", "<s>", "</s>")]
    if legacy:
        tree["pre_tokenizer"] = None
        tree["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    else:
        tree["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
        tree["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    tree["decoder"] = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}] + ([{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if legacy else [])}
    tree["post_processor"] = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    return Tokenizer.from_str(json.dumps(tree))


def unigram(byte_fallback):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")])
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=420, unk_token="<unk>", special_tokens=["<s>", "<unk>", "</s>"], show_progress=False)
    tokenizer.train_from_iterator(training_text(), trainer)
    if byte_fallback:
        tree = json.loads(tokenizer.to_str())
        tree["model"]["vocab"] += [["<0x%02X>" % byte, -20.0] for byte in range(256)]
        tree["model"]["byte_fallback"] = True
        tokenizer = Tokenizer.from_str(json.dumps(tree))
    return tokenizer


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], limit_alphabet=200, show_progress=False)
    tokenizer.train_from_iterator(training_text(), trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", tokenizer.token_to_id("[SEP]")), ("[CLS]", tokenizer.token_to_id("[CLS]")))
    return tokenizer


def sentencepiece_gguf(name, kind, texts):
    """Vocabulary, scores and types as GGUF stores them, and sentencepiece's own ids."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "text.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(line.replace("\n", " ").replace("\r", " ").replace("\0", "") for line in training_text()))
        spm.SentencePieceTrainer.train(input=path, model_prefix=os.path.join(folder, "m"), vocab_size=640, model_type=kind, byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True, minloglevel=2, num_threads=1)
        processor = spm.SentencePieceProcessor(model_file=os.path.join(folder, "m.model"))
        proto = spm_model.ModelProto()
        proto.ParseFromString(open(os.path.join(folder, "m.model"), "rb").read())
    texts = [text for text in texts if "\0" not in text]
    # The shortest decimal that is the same float32, so that scores survive the trip exactly.
    write(name + ".gguf.json", {"tokens": [piece.piece for piece in proto.pieces], "scores": [float(f"{piece.score:.9g}") for piece in proto.pieces], "types": [piece.type for piece in proto.pieces]})
    write(name + ".ids.json", [processor.encode(text) for text in texts])


def main():
    os.makedirs(OUT, exist_ok=True)
    texts = corpus()
    specials = special_texts()
    write("corpus.json", {"plain": texts, "special": specials})
    llama3 = byte_level(LLAMA3, True, turn_tokens=TURN_TOKENS)
    save("bpe-llama3", llama3, texts + specials)
    write("chat.json", chats(llama3))
    save("bpe-qwen2", byte_level(QWEN2, False, normalizers.NFC()), texts + specials)
    save("bpe-smollm", byte_level(None, False), texts + specials)
    save("piece-llama2", piece_bpe(True), texts + specials)
    save("piece-gemma", piece_bpe(False), texts + specials)
    save("unigram", unigram(False), texts + specials)
    save("unigram-bytes", unigram(True), texts + specials)
    save("wordpiece", wordpiece(), texts + specials)
    sentencepiece_gguf("spm-bpe", "bpe", texts)
    sentencepiece_gguf("spm-unigram", "unigram", texts)


main()
