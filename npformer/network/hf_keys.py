"""Keys of a ``config.json`` that transformers gives to any model; most are about text.

Source: ``configuration_utils.py`` of transformers 4.40.2.
"""

from __future__ import annotations

from typing import Any

TRANSFORMERS_VERSION = "4.40.2"
"""The version of transformers whose format is written."""

PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")
"""What a model's labels may be, which decides its loss."""

ANY_MODEL: dict[str, Any] = {
    "return_dict": True, "output_hidden_states": False, "output_attentions": False,
    "torchscript": False, "torch_dtype": None, "use_bfloat16": False, "tf_legacy_loss": False,
    "pruned_heads": {}, "tie_word_embeddings": True, "chunk_size_feed_forward": 0,
    "is_encoder_decoder": False, "is_decoder": False, "cross_attention_hidden_size": None,
    "add_cross_attention": False, "tie_encoder_decoder": False, "max_length": 20,
    "min_length": 0, "do_sample": False, "early_stopping": False, "num_beams": 1,
    "num_beam_groups": 1, "diversity_penalty": 0.0, "temperature": 1.0, "top_k": 50,
    "top_p": 1.0, "typical_p": 1.0, "repetition_penalty": 1.0, "length_penalty": 1.0,
    "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0, "bad_words_ids": None,
    "num_return_sequences": 1, "output_scores": False, "return_dict_in_generate": False,
    "forced_bos_token_id": None, "forced_eos_token_id": None, "remove_invalid_values": False,
    "exponential_decay_length_penalty": None, "suppress_tokens": None,
    "begin_suppress_tokens": None, "architectures": None, "finetuning_task": None,
    "tokenizer_class": None, "prefix": None, "bos_token_id": None, "pad_token_id": None,
    "eos_token_id": None, "sep_token_id": None, "decoder_start_token_id": None,
    "task_specific_params": None, "problem_type": None, "_name_or_path": "",
}  # fmt: skip
"""The keys and their defaults."""

LABEL_KEYS = ("num_labels", "id2label", "label2id")
"""Three ways to give the classes of a model, any of which implies the others."""

NOT_KEPT = {
    "_attn_implementation_internal",
    "_auto_class",
    "_commit_hash",
    "attn_implementation",
    "transformers_version",
    "xla_device",
}
"""Keys about the program that wrote a file, not about the network."""

OLD_NAMES = {"attn_ratio": "attention_ratio", "layers": "depths", "embed_dims": "hidden_sizes"}
"""Keys of the EfficientFormer files on the hub before January 2023 -> the keys of today."""
