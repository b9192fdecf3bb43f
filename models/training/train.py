"""Trains the chat model or its draft on the endless corpus, for a fixed wall time.

The learning rate follows the share of the time budget that is spent, not a step count, so the run ends on time on a
machine whose speed varies. Documents are packed into rows under a block-diagonal mask; only answers (and raw text)
carry loss. Muon (Jordan 2024, Newton-Schulz orthogonalised momentum) moves the matrices, AdamW the rest.

    python train.py chat --tokenizer tokenizer.json --minutes 55 --out /opt/oracle/train/chat
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import torch.distributed as dist
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from safetensors.torch import load_file

from corpus import Document, document
from mixture import long_document, short_document, tool_document
from model import SHAPES, Llama, load_hf_weights
from rendering import Turn, turns_of


STOP_WEIGHT = 4.0
# Kinds of steps: short rows, conversations with tools, long rows.
ROW_TOKENS = {"s": 256, "t": 640, "l": 1024}
NUM_FILL_TRIES = 6


@dataclass(frozen=True)
class Sample:
    """One encoded document; `weight[i]` is how much token i counts in the loss, 0 for what the model need not say."""

    tokens: list[int]
    weight: list[float]


class Encoder:
    """Documents to tokens. Segments are encoded apart, which equals encoding the whole: chat words are added tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.start, self.end, self.end_of_text = (tokenizer.token_to_id(t) for t in ("<|im_start|>", "<|im_end|>", "<|endoftext|>"))
        self.newline = tokenizer.encode("\n").ids

    def encode(self, doc: Document) -> Sample:
        if doc.raw:
            tokens = self.tokenizer.encode(doc.raw).ids + [self.end_of_text]
            return Sample(tokens, [1.0] * len(tokens))
        tokens: list[int] = []
        weight: list[float] = []
        for turn in turns_of(doc.messages, doc.tools):
            head = [self.start, *self.tokenizer.encode(turn.head).ids]
            body = [*self.tokenizer.encode(turn.body).ids, self.end]
            tokens += head + body + self.newline
            weight += [0.0] * len(head) + self._answer_weights(turn, len(body)) + [0.0] * len(self.newline)
        return Sample(tokens, weight)

    @staticmethod
    def _answer_weights(turn: Turn, num_tokens: int) -> list[float]:
        """A counted list hinges on the one token that stops it, which a plain mean over 150 tokens hardly teaches."""
        if not turn.scored:
            return [0.0] * num_tokens
        is_count = turn.body[:1].isdigit() and turn.body.count(", ") > 1
        return [1.0] * (num_tokens - 2) + [STOP_WEIGHT if is_count else 1.0, 1.0]


def packed_rows(encoder: Encoder, make: Callable[[], Document], fill: Callable[[], Document], row_tokens: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Rows of whole documents: tokens, weight, document index. What `make` leaves free is filled with short ones, then padded."""
    held: Sample | None = None
    while True:
        samples: list[Sample] = []
        room = row_tokens
        while room > 0:
            sample = held or encoder.encode(make())
            held = None
            if len(sample.tokens) > row_tokens:
                continue
            if len(sample.tokens) > room:
                held = sample
                break
            samples.append(sample)
            room -= len(sample.tokens)
        for sample in (encoder.encode(fill()) for _ in range(NUM_FILL_TRIES)):
            if len(sample.tokens) <= room:
                samples.append(sample)
                room -= len(sample.tokens)
        owner = [index for index, sample in enumerate(samples) for _ in sample.tokens]
        tokens = [token for sample in samples for token in sample.tokens]
        weight = [share for sample in samples for share in sample.weight]
        yield torch.tensor(tokens + [0] * room), torch.tensor(weight + [0.0] * room), torch.tensor(owner + [-1] * room)


def row_kinds(encoder: Encoder, rng: Random, which: str) -> dict[str, Iterator[tuple[Tensor, Tensor, Tensor]]]:
    """Endless rows of each kind of step; the draft learns plain chats only."""
    makers = {"s": lambda: short_document(rng), "t": lambda: tool_document(rng), "l": lambda: long_document(rng)}
    if which == "draft":
        makers = {"s": lambda: document(rng), "l": lambda: document(rng, 24)}
    return {kind: packed_rows(encoder, make, makers["s"], ROW_TOKENS[kind]) for kind, make in makers.items()}


def closed_sets(which: str) -> list[dict[str, object]]:
    names = ["closed-set.jsonl"] + ["closed-set-tools.jsonl"] * (which == "chat")
    return [json.loads(line) for name in names for line in (Path(__file__).parent / name).read_text().splitlines()]


def block_mask(owner: Tensor) -> Tensor:
    """(batch, 1, n, n): causal and within one document (padding sees padding, so no row is empty)."""
    n = owner.shape[1]
    causal = torch.ones(n, n, dtype=torch.bool).tril()
    return ((owner[:, :, None] == owner[:, None, :]) & causal)[:, None]


def batch_of(rows: Iterator[tuple[Tensor, Tensor, Tensor]], num_rows: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """tokens, mask, flat indices of positions whose next token is scored (same document), and that token's weight."""
    tokens, weight, owner = (torch.stack(part) for part in zip(*(next(rows) for _ in range(num_rows))))
    ahead = torch.zeros_like(weight)
    ahead[:, :-1] = weight[:, 1:] * (owner[:, 1:] == owner[:, :-1])
    predicts = ahead.flatten().nonzero().flatten()
    return tokens, block_mask(owner), predicts, ahead.flatten()[predicts]


class Muon:
    """Momentum orthogonalised by five Newton-Schulz steps; same-shaped matrices go through as one batch."""

    def __init__(self, matrices: list[torch.nn.Parameter], momentum: float = 0.95) -> None:
        self.momentum = momentum
        by_shape: dict[torch.Size, list[torch.nn.Parameter]] = {}
        for matrix in matrices:
            by_shape.setdefault(matrix.shape, []).append(matrix)
        self.groups = [(group, torch.zeros(len(group), *shape)) for shape, group in by_shape.items()]

    @torch.no_grad()
    def step(self, lr: float, weight_decay: float) -> None:
        for group, buffer in self.groups:
            gradients = torch.stack([p.grad for p in group])  # type: ignore[misc]
            buffer.lerp_(gradients, 1 - self.momentum)
            update = _orthogonal(gradients.lerp(buffer, self.momentum))
            scale = 0.2 * max(update.shape[-2:]) ** 0.5
            for parameter, direction in zip(group, update):
                parameter.mul_(1 - lr * weight_decay).add_(direction, alpha=-lr * scale)


def _orthogonal(matrices: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly; a batch (n, rows, columns)."""
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for a, b, c in [(3.4445, -4.7750, 2.0315)] * 5:
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).float()


def learning_rate_share(progress: float) -> float:
    """Warm-up over 2 %, flat until 45 %, then linear to 2 %."""
    if progress < 0.02:
        return max(progress, 0.001) / 0.02
    return 1.0 if progress < 0.45 else max(0.02, (1.0 - progress) / 0.55)


def resumed_rate_share(progress: float) -> float:
    """A short warm-up (the optimizers start cold), then linear to nothing: a resumed run is a decay."""
    return min(1.0, progress / 0.015) * max(0.01, 1 - progress)


@torch.no_grad()
def teacher_forced_accuracy(model: Llama, encoder: Encoder, rows: list[dict[str, object]]) -> dict[str, tuple[int, int]]:
    """Right answers and questions per task. All answer tokens being the arg max given the true prefix is greedy exact match."""
    outcome: dict[str, tuple[int, int]] = {}
    samples = sorted(((str(row["task"]), _with_answer(encoder, row)) for row in rows), key=lambda pair: len(pair[1].tokens))
    for at in range(0, len(samples), 64):
        chunk = samples[at : at + 64]
        length = max(len(sample.tokens) for _, sample in chunk)
        tokens = torch.tensor([s.tokens + [0] * (length - len(s.tokens)) for _, s in chunk])
        mask = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
        with torch.autocast("cpu", torch.bfloat16):
            best = model.logits(model(tokens, mask)).argmax(-1)
        for (task, sample), guess in zip(chunk, best.tolist()):
            right = all(guess[i - 1] == sample.tokens[i] for i in range(1, len(sample.tokens)) if sample.weight[i])
            hits, asked = outcome.get(task, (0, 0))
            outcome[task] = (hits + right, asked + 1)
    return outcome


def _with_answer(encoder: Encoder, row: dict[str, object]) -> Sample:
    """Only the last answer is scored: earlier turns are given."""
    text = str(row["answer"])
    thought, _, said = text.rpartition("\n</think>\n\n")
    answer = {"role": "assistant", "content": said} | ({"reasoning": thought} if row.get("enable_thinking") else {})
    messages, tools = (*row["messages"], answer), tuple(row.get("tools", ()))  # type: ignore[misc,arg-type]
    sample = encoder.encode(Document(messages=messages, tools=tools))
    begin = len(encoder.encode(Document(messages=messages[:-1], tools=tools)).tokens)
    return Sample(sample.tokens, [share if i >= begin else 0.0 for i, share in enumerate(sample.weight)])


class Peers:
    """Data-parallel workers of one thread each: on a shared machine one meeting a step beats hundreds of thread barriers."""

    def __init__(self, rank: int, world: int, meeting_file: str) -> None:
        self.rank, self.world = rank, world
        if world > 1:
            dist.init_process_group("gloo", init_method=f"file://{meeting_file}", rank=rank, world_size=world)

    def agree(self, value: float) -> float:
        """Rank 0 decides, so that all stop at the same step."""
        progress = torch.tensor([value], dtype=torch.float64)
        if self.world > 1:
            dist.broadcast(progress, 0)
        return float(progress)

    def average_gradients(self, parameters: list[torch.nn.Parameter]) -> None:
        if self.world == 1:
            return
        flat = torch.cat([p.grad.flatten() for p in parameters])  # type: ignore[union-attr]
        dist.all_reduce(flat)
        for parameter, part in zip(parameters, flat.div_(self.world).split([p.numel() for p in parameters])):
            parameter.grad = part.view_as(parameter)


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    peers = Peers(args.rank, args.world, args.meeting_file)
    encoder = Encoder(Tokenizer.from_file(args.tokenizer))
    model = Llama(SHAPES[args.which])
    if args.resume:
        model.load_state_dict(torch.load(args.resume)["model"])
    if args.resume_folder:
        load_hf_weights(model, load_file(Path(args.resume_folder) / "model.safetensors"))
    matrices = [p for layer in model.layers for p in layer.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if all(p is not m for m in matrices)]
    muon = Muon(matrices)
    adam = torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0)
    forward = torch.compile(model, dynamic=False) if args.compile else model
    rng = Random(args.seed + 1000 * args.rank)
    parameters = list(model.parameters())
    rows = row_kinds(encoder, rng, args.which)
    held_out = closed_sets(args.which)[:: args.score_stride]
    began, step, tokens_seen, out = time.time(), 0, 0, Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    recent: list[float] = []
    next_report = began + 60
    clock = time.process_time if args.clock == "cpu" else time.time
    clock_began = clock()
    while (progress := peers.agree((clock() - clock_began) / 60 / minutes_given(out, args.minutes))) < 1:
        kind = args.cycle[step % len(args.cycle)]
        tokens, mask, predicts, weight = batch_of(rows[kind], args.batch_tokens // ROW_TOKENS[kind])
        targets = tokens.flatten()[predicts + 1]
        with torch.autocast("cpu", torch.bfloat16):
            hidden = forward(tokens, mask)
            logits = model.logits(hidden.flatten(0, 1)[predicts])
        losses = F.cross_entropy(logits.float(), targets, reduction="none")
        loss = (losses * weight).sum() / weight.sum()
        loss.backward()
        peers.average_gradients(parameters)
        share = resumed_rate_share(progress) if args.resume or args.resume_folder else learning_rate_share(progress)
        adam.param_groups[0]["lr"] = args.adam_lr * share
        muon.step(args.muon_lr * share, weight_decay=0.05)
        adam.step()
        model.zero_grad(set_to_none=True)
        step, tokens_seen = step + 1, tokens_seen + tokens.numel() * peers.world
        recent.append(loss.item())
        if peers.rank == 0 and time.time() > next_report:
            next_report = time.time() + args.report_seconds
            _save(model, out, step, tokens_seen, time.time() - began)
            _report(out, began, step, tokens_seen, recent, teacher_forced_accuracy(model, encoder, held_out))
            recent = []
    if peers.rank > 0:
        return
    _save(model, out, step, tokens_seen, time.time() - began)
    _report(out, began, step, tokens_seen, recent, teacher_forced_accuracy(model, encoder, held_out))


def minutes_given(out: Path, minutes: float) -> float:
    """The budget; a file `minutes` in the run's folder, written while it runs, is read in its place at every step."""
    try:
        return max(0.01, float((out / "minutes").read_text()))
    except (OSError, ValueError):
        return minutes


def _save(model: Llama, out: Path, step: int, tokens_seen: int, seconds: float) -> None:
    """Written beside and renamed, so that a reader never sees half a file."""
    torch.save({"model": model.state_dict(), "step": step, "tokens": tokens_seen, "seconds": seconds}, out / "checkpoint.tmp")
    (out / "checkpoint.tmp").rename(out / "checkpoint.pt")


def _report(out: Path, began: float, step: int, tokens_seen: int, recent: list[float], accuracy: dict[str, tuple[int, int]]) -> None:
    hits, asked = (sum(part) for part in zip(*accuracy.values()))
    line = {
        "minutes": round((time.time() - began) / 60, 1), "step": step, "tokens": tokens_seen, "loss": round(sum(recent) / max(1, len(recent)), 4),
        "accuracy": round(hits / asked, 4), "misses": {task: f"{h}/{n}" for task, (h, n) in accuracy.items() if h < n},
    }
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("which", choices=list(SHAPES))
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=55)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: minutes of processor time of rank 0, for a machine that starves the run at times")
    parser.add_argument("--batch-tokens", type=int, default=8192, help="of each worker")
    parser.add_argument("--muon-lr", type=float, default=0.01)
    parser.add_argument("--adam-lr", type=float, default=0.004)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--report-seconds", type=float, default=120)
    parser.add_argument("--score-stride", type=int, default=1, help="reports score every n-th question only")
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--world", type=int, default=1)
    parser.add_argument("--meeting-file", default="", help="a fresh path that all ranks share")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--cycle", default="ttsttsttsttl", help="the kinds of steps in turn, letters of ROW_TOKENS; the draft has no t")
    parser.add_argument("--resume", help="a checkpoint of this program")
    parser.add_argument("--resume-folder", help="an exported folder: its BF16 weights are where training starts")
    train(parser.parse_args())
