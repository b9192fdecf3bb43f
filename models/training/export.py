"""Writes a checkpoint as an HF folder (BF16) and as GGUF files (F32, Q8_0, Q4_0).

All GGUF values come from the BF16 weights, so every shipped file is a rounding of the same model. The GGUF layout is
the one llama.cpp's converter makes: arch `llama`, q and k rows permuted from half-split to interleaved rotary pairs,
tied embeddings (no output.weight), norms in F32.

    python export.py draft --checkpoint draft/checkpoint.pt --tokenizer tokenizer.json --folder ../inferd-draft --gguf Q8_0
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from model import SHAPES, Llama, LlamaShape, hf_names
from rendering import CHAT_TEMPLATE
from tokenizer import CONTROL_TOKENS, MARKUP_TOKENS

_GGUF_TYPES = {
    "F32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "Q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "Q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}


def load_weights(which: str, checkpoint: Path | None) -> dict[str, torch.Tensor]:
    """HF-named BF16 weights; random ones when there is no checkpoint, so loaders can be tested before training ends."""
    model = Llama(SHAPES[which])
    if checkpoint is not None:
        model.load_state_dict(torch.load(checkpoint)["model"])
    return {name: weight.to(torch.bfloat16).contiguous() for name, weight in hf_names(model).items()}


def write_hf_folder(folder: Path, shape: LlamaShape, weights: dict[str, torch.Tensor], tokenizer_path: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "tokenizer.json").write_bytes(tokenizer_path.read_bytes())
    _write_json(folder / "config.json", _hf_config(shape, tokenizer))
    _write_json(folder / "generation_config.json", _generation_config(tokenizer))
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(shape, tokenizer))


def _hf_config(shape: LlamaShape, tokenizer: Tokenizer) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": shape.vocab, "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate, "num_hidden_layers": shape.num_layers, "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_kv_heads, "head_dim": shape.head_dim, "max_position_embeddings": shape.max_positions,
        "rope_theta": shape.rope_theta, "rope_scaling": None, "rms_norm_eps": shape.norm_eps, "hidden_act": "silu", "attention_bias": False,
        "mlp_bias": False, "attention_dropout": 0.0, "tie_word_embeddings": True, "initializer_range": 0.02, "torch_dtype": "bfloat16", "use_cache": True,
        "bos_token_id": None, "eos_token_id": tokenizer.token_to_id("<|im_end|>"), "pad_token_id": tokenizer.token_to_id("<|endoftext|>"),
    }


def _generation_config(tokenizer: Tokenizer) -> dict[str, object]:
    """Two stops: <|im_end|> closes a turn, <|endoftext|> closes a raw text."""
    end, end_of_text = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
    return {"do_sample": False, "eos_token_id": [end, end_of_text], "pad_token_id": end_of_text}


def _tokenizer_config(shape: LlamaShape, tokenizer: Tokenizer) -> dict[str, object]:
    decoder = {
        str(tokenizer.token_to_id(token)): {"content": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": token in CONTROL_TOKENS}
        for token in CONTROL_TOKENS + MARKUP_TOKENS
    }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": shape.max_positions, "add_bos_token": False, "add_prefix_space": False,
        "bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "unk_token": None, "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": decoder, "chat_template": CHAT_TEMPLATE,
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_gguf(path: Path, name: str, shape: LlamaShape, weights: dict[str, torch.Tensor], tokenizer_path: Path, kind: str) -> None:
    tensor_type, file_type = _GGUF_TYPES[kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(path), "llama")
    _add_model_fields(writer, name, shape, file_type)
    _add_tokenizer_fields(writer, json.loads(tokenizer_path.read_text()))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, shape.num_layers)
    for hf_name, weight in weights.items():
        gguf_name = names.get_name(hf_name, try_suffixes=(".weight",))
        values = permuted(hf_name, weight.float().numpy(), shape)
        # Tied embeddings are the output matrix too: four bits there cost more answers than they save bytes.
        chosen = gguf.GGMLQuantizationType.Q8_0 if kind == "Q4_0" and "embed_tokens" in hf_name else tensor_type
        if values.ndim == 1 or kind == "F32":
            writer.add_tensor(gguf_name, values)
        else:
            writer.add_tensor(gguf_name, gguf.quants.quantize(values, chosen), raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def permuted(hf_name: str, values: np.ndarray, shape: LlamaShape) -> np.ndarray:
    """q and k rows from half-split pairs (i, i + d/2) to neighbours (2i, 2i + 1), as convert_hf_to_gguf does; others as they are."""
    heads = shape.num_heads if "q_proj" in hf_name else shape.num_kv_heads if "k_proj" in hf_name else 0
    if heads == 0:
        return values
    rows, columns = values.shape
    return np.ascontiguousarray(values.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns))


def unpermuted(hf_name: str, values: np.ndarray, shape: LlamaShape) -> np.ndarray:
    """The inverse of `permuted`."""
    heads = shape.num_heads if "q_proj" in hf_name else shape.num_kv_heads if "k_proj" in hf_name else 0
    if heads == 0:
        return values
    rows, columns = values.shape
    return np.ascontiguousarray(values.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns))


def _add_model_fields(writer: gguf.GGUFWriter, name: str, shape: LlamaShape, file_type: gguf.LlamaFileType) -> None:
    writer.add_type("model")
    writer.add_name(name)
    writer.add_block_count(shape.num_layers)
    writer.add_context_length(shape.max_positions)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_head_count(shape.num_heads)
    writer.add_head_count_kv(shape.num_kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_vocab_size(shape.vocab)
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_tokenizer_fields(writer: gguf.GGUFWriter, tokenizer: dict) -> None:
    """From tokenizer.json as it is: ids are positions, added tokens follow the BPE vocabulary."""
    special = {token["content"]: token["special"] for token in tokenizer["added_tokens"]}
    by_id = {index: token for token, index in tokenizer["model"]["vocab"].items()}
    by_id.update({token["id"]: token["content"] for token in tokenizer["added_tokens"]})
    tokens = [by_id[index] for index in range(len(by_id))]
    types = [_token_type(special.get(token)) for token in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_eot_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _token_type(special: bool | None) -> gguf.TokenType:
    if special is None:
        return gguf.TokenType.NORMAL
    return gguf.TokenType.CONTROL if special else gguf.TokenType.USER_DEFINED


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("which", choices=list(SHAPES))
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--gguf", nargs="*", choices=list(_GGUF_TYPES), default=[])
    parser.add_argument("--gguf-folder", type=Path, help="where the GGUF files go; the model folder by default")
    args = parser.parse_args()
    torch.manual_seed(1)
    chosen_shape, model_name = SHAPES[args.which], f"inferd-{args.which}"
    bf16 = load_weights(args.which, args.checkpoint)
    write_hf_folder(args.folder, chosen_shape, bf16, args.tokenizer)
    for kind in args.gguf:
        write_gguf((args.gguf_folder or args.folder) / f"{model_name}-{kind}.gguf", model_name, chosen_shape, bf16, args.tokenizer, kind)
