"""A plain Llama for fast CPU training: the same arithmetic as HF's LlamaForCausalLM, fewer small operators."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class LlamaShape:
    num_layers: int
    hidden: int
    intermediate: int
    num_heads: int
    num_kv_heads: int
    vocab: int = 2048
    max_positions: int = 2048
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        return self.hidden // self.num_heads


CHAT_SHAPE = LlamaShape(num_layers=4, hidden=256, intermediate=768, num_heads=4, num_kv_heads=2)
DRAFT_SHAPE = LlamaShape(num_layers=2, hidden=128, intermediate=384, num_heads=4, num_kv_heads=2)
SHAPES = {"chat": CHAT_SHAPE, "draft": DRAFT_SHAPE}


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Normalises in f32 whatever autocast says, as HF does."""
    x32 = x.float()
    return (x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + eps)) * weight


def rotary_tables(shape: LlamaShape, num_positions: int) -> tuple[Tensor, Tensor]:
    """cos and sin, (num_positions, head_dim / 2), for half-split pairs."""
    inverse = shape.rope_theta ** (-torch.arange(0, shape.head_dim, 2).float() / shape.head_dim)
    angles = torch.outer(torch.arange(num_positions).float(), inverse)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x: (batch, positions, heads, head_dim)."""
    left, right = x.chunk(2, dim=-1)
    cos, sin = cos[:, None, :], sin[:, None, :]
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


class Layer(nn.Module):
    """One block. Projections are separate parameters (Muon wants them so) but are multiplied as one matrix."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.shape = shape
        kv = shape.num_kv_heads * shape.head_dim
        self.q, self.o = _matrix(shape.hidden, shape.hidden), _matrix(shape.hidden, shape.hidden)
        self.k, self.v = _matrix(kv, shape.hidden), _matrix(kv, shape.hidden)
        self.gate, self.up = _matrix(shape.intermediate, shape.hidden), _matrix(shape.intermediate, shape.hidden)
        self.down = _matrix(shape.hidden, shape.intermediate)
        self.attention_norm = nn.Parameter(torch.ones(shape.hidden))
        self.mlp_norm = nn.Parameter(torch.ones(shape.hidden))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        x = x + self._attention(rms_norm(x, self.attention_norm, self.shape.norm_eps), cos, sin, mask)
        inner = F.linear(rms_norm(x, self.mlp_norm, self.shape.norm_eps), torch.cat([self.gate, self.up]))
        gate, up = inner.chunk(2, dim=-1)
        return x + F.linear(F.silu(gate) * up, self.down)

    def _attention(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        batch, positions, _ = x.shape
        shape, dim = self.shape, self.shape.head_dim
        qkv = F.linear(x, torch.cat([self.q, self.k, self.v]))
        heads = qkv.view(batch, positions, -1, dim)
        q, k, v = heads.split([shape.num_heads, shape.num_kv_heads, shape.num_kv_heads], dim=2)
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        repeats = shape.num_heads // shape.num_kv_heads
        k, v = k.repeat_interleave(repeats, dim=2), v.repeat_interleave(repeats, dim=2)
        mixed = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask)
        return F.linear(mixed.transpose(1, 2).reshape(batch, positions, -1), self.o)


class Llama(nn.Module):
    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = _matrix(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_layers))
        self.final_norm = nn.Parameter(torch.ones(shape.hidden))
        cos, sin = rotary_tables(shape, shape.max_positions)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Hidden states (batch, positions, hidden) after the final norm. mask: bool (batch, 1, positions, positions), true where seen."""
        positions = tokens.shape[1]
        x = F.embedding(tokens, self.embedding)
        for layer in self.layers:
            x = layer(x, self.cos[:positions], self.sin[:positions], mask)
        return rms_norm(x, self.final_norm, self.shape.norm_eps)

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.embedding)


def _matrix(rows: int, columns: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, columns) * 0.02)


def hf_names(model: Llama) -> dict[str, Tensor]:
    """Weights under the names of HF's LlamaForCausalLM (tied, so there is no lm_head)."""
    named = {"model.embed_tokens.weight": model.embedding, "model.norm.weight": model.final_norm}
    for index, layer in enumerate(model.layers):
        prefix = f"model.layers.{index}."
        for ours in ("q", "k", "v", "o"):
            named[f"{prefix}self_attn.{ours}_proj.weight"] = getattr(layer, ours)
        for ours in ("gate", "up", "down"):
            named[f"{prefix}mlp.{ours}_proj.weight"] = getattr(layer, ours)
        named[f"{prefix}input_layernorm.weight"] = layer.attention_norm
        named[f"{prefix}post_attention_layernorm.weight"] = layer.mlp_norm
    return {name: weight.detach() for name, weight in named.items()}


@torch.no_grad()
def load_hf_weights(model: Llama, weights: dict[str, Tensor]) -> None:
    """The inverse of `hf_names`: puts HF-named weights (any dtype) into the model's F32 parameters; every name must be there and no other."""
    own = hf_names(model)
    if own.keys() != weights.keys():
        raise ValueError(f"other weights than this model's: {sorted(own.keys() ^ weights.keys())[:4]}")
    for name, weight in own.items():
        weight.copy_(weights[name])
