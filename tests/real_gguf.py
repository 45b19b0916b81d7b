"""A model folder as a GGUF file of 32-bit floats, for a real llama.cpp server.

The registry's own file has 4-bit weights, with which llama.cpp also rounds what is multiplied with
them; with 32-bit floats it computes what transformers computes, so that both can be compared token
by token. About ten seconds, 540 MB. For Llama models with a byte-level BPE tokenizer only.
"""

# pyright: reportMissingImports=false
# gguf is installed in the environment of `make real`, which type checkers do not see.

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PRE_TOKENIZER = "smollm"
"""llama.cpp's name for how a text is cut before its tokens are looked up."""


def write(folder: Path, out: Path) -> None:
    """Writes the file; it appears whole or not at all."""
    from gguf import MODEL_ARCH, GGUFWriter, LlamaFileType

    part = out.with_name(f".{out.name}.part")
    writer: Any = GGUFWriter(part, "llama")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    writer.add_name(folder.name)
    writer.add_file_type(LlamaFileType.ALL_F32)
    describe(writer, config)
    add_tokenizer(writer, folder, config)
    for name, weights in tensors(folder, config, MODEL_ARCH.LLAMA):
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(part, out)


def describe(writer: Any, config: dict[str, Any]) -> None:
    """Writes the shape of the model."""
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def add_tokenizer(writer: Any, folder: Path, config: dict[str, Any]) -> None:
    """Writes the vocabulary, the merges and the chat template."""
    from gguf import TokenType

    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = {i: text for text, i in tokenizer["model"]["vocab"].items()}
    types = dict.fromkeys(vocabulary, TokenType.NORMAL)
    for added in tokenizer["added_tokens"]:
        vocabulary[added["id"]] = added["content"]
        types[added["id"]] = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list([vocabulary[i] for i in range(len(vocabulary))])
    writer.add_token_types([types[i] for i in range(len(vocabulary))])
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text(encoding="utf-8"))


def tensors(folder: Path, config: dict[str, Any], architecture: Any) -> Iterator[tuple[str, Any]]:
    """The weights under GGUF's names, as 32-bit floats."""
    import torch
    from gguf import get_tensor_name_map
    from safetensors.torch import load_file

    names = get_tensor_name_map(architecture, config["num_hidden_layers"])
    heads = {
        "q_proj.weight": config["num_attention_heads"],
        "k_proj.weight": config["num_key_value_heads"],
    }
    for name, weights in load_file(folder / "model.safetensors").items():
        count = heads.get(".".join(name.split(".")[-2:]))
        if count:  # the halves that rotate together lie apart in one format, in pairs in the other
            halves = weights.reshape(count, 2, -1, weights.shape[-1])
            weights = halves.transpose(1, 2).reshape(weights.shape)
        found = names.get_name(name, try_suffixes=(".weight",))
        assert found, name
        yield found, weights.to(torch.float32).contiguous().numpy()
