"""What to use instead of the attributes of transformers' classes that npformer does not have.

Reading one of them is an AttributeError that says so. `hf_arguments` is about arguments.

Source: transformers 4.40.2, PyTorch 2.13.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

_UPLOAD = "save_pretrained, then `hf upload OWNER/NAME FOLDER`"
_AUTO = "the classes of npformer are known by their names"


def _by_name(groups: Mapping[str, str]) -> dict[str, str]:
    return {name: words for names, words in groups.items() for name in names.split()}


MODEL = _by_name({
    "cuda ipu xpu mtia to_empty": "npformer computes on the CPU",
    "bfloat16 type": "load it with from_pretrained(…, dtype='float16', 'float32' or 'float64')",
    "requires_grad_ zero_grad register_parameter register_buffer gradient_checkpointing_enable "
    "gradient_checkpointing_disable is_gradient_checkpointing supports_gradient_checkpointing "
    "enable_input_require_grads disable_input_require_grads init_weights post_init "
    "floating_point_ops":
        "a model never changes; to train a network, see npformer.learn.fit",
    "load_state_dict set_extra_state get_extra_state register_module add_module set_submodule "
    "register_load_state_dict_post_hook register_load_state_dict_pre_hook "
    "register_state_dict_post_hook register_state_dict_pre_hook":
        "a model never changes; load another one with from_pretrained, or make one of other params",
    "apply modules named_modules children named_children get_submodule base_model efficientformer "
    "classifier distillation_classifier extra_repr call_super_init dump_patches T_destination "
    "retrieve_modules_from_names":
        "layers are functions, not modules; the parameters are the tree model.params",
    "get_parameter get_buffer": "look into state_dict(), or into the tree model.params",
    "register_forward_hook register_forward_pre_hook register_backward_hook "
    "register_full_backward_hook register_full_backward_pre_hook add_memory_hooks "
    "reset_memory_hooks_state":
        "record arrays with a Trace: model.network(x, trace), or Classifier.trace",
    "compile to_bettertransformer reverse_bettertransformer":
        "engine='auto' already runs compiled kernels",
    "share_memory is_parallelizable":
        "threads may share a model, and other processes get it pickled",
    "push_to_hub": _UPLOAD,
    "register_for_auto_class add_model_tags model_tags": _AUTO,
    "get_memory_footprint": "sum the nbytes of state_dict()",
    "dummy_inputs": "zeros of shape (1, 3, 224, 224), or the size of config.image_size",
    "framework": "npformer computes with NumPy",
    "warnings_issued": "warnings are Python's",
    "load_adapter add_adapter set_adapter disable_adapters enable_adapters active_adapter "
    "active_adapters get_adapter_state_dict": "npformer has no adapters (PEFT)",
    "generate can_generate generation_config greedy_search sample beam_search beam_sample "
    "group_beam_search constrained_beam_search contrastive_search assisted_decoding "
    "compute_transition_scores prepare_inputs_for_generation get_input_embeddings "
    "set_input_embeddings get_output_embeddings get_position_embeddings resize_token_embeddings "
    "tie_weights estimate_tokens create_extended_attention_mask_for_decoder "
    "get_extended_attention_mask invert_attention_mask warn_if_padding_and_no_attention_mask":
        "it is for networks of text",
    "resize_position_embeddings":
        "from_pretrained(…, image_size=…) interpolates the attention biases",
    "get_head_mask prune_heads": "it fails in the reference too, which has no masks of heads",
})  # fmt: skip
"""Of models: name -> what to use instead, or why there is nothing."""

CONFIG = _by_name({
    "push_to_hub": _UPLOAD,
    "register_for_auto_class": _AUTO,
    "get_config_dict": "from_pretrained(…).to_dict()",
    "update update_from_string": "set attributes, or from_dict(config.to_dict(), **changes)",
    "is_composition attribute_map": "no key of an EfficientFormer has two names",
    "dict_torch_dtype_to_str": "torch_dtype is a string",
})  # fmt: skip
"""Of configurations."""

PROCESSOR = _by_name({
    "push_to_hub": _UPLOAD,
    "register_for_auto_class": _AUTO,
    "get_image_processor_dict": "from_pretrained(…).to_dict()",
    "fetch_images": "give the path of a file; npformer opens no addresses",
    "resize center_crop rescale normalize":
        "the function of that name in npformer.images.transforms, or preprocess with do_…=False",
})  # fmt: skip
"""Of image processors."""

LIBRARY = _by_name({
    "AutoFeatureExtractor EfficientFormerFeatureExtractor": "EfficientFormerImageProcessor",
    "AutoBackbone": "EfficientFormerBackbone",
    "AutoProcessor": "EfficientFormerImageProcessor",
    "AutoTokenizer": "it is for networks of text",
    "Trainer TrainingArguments": "npformer.learn.fit",
    "TFEfficientFormerModel TFEfficientFormerForImageClassification "
    "TFEfficientFormerForImageClassificationWithTeacher TFEfficientFormerPreTrainedModel":
        "the class of the same name without TF",
})  # fmt: skip
"""Names of the library itself."""


class SaysWhatInstead:
    """A class that answers for attributes that its pendant in transformers has."""

    _instead: ClassVar[Mapping[str, str]] = {}

    if not TYPE_CHECKING:  # type checkers would take it to have any attribute

        def __getattr__(self, name: str) -> Any:
            words = self._instead.get(name)
            raise AttributeError(
                f"{type(self).__name__} has no {name!r}" + (f": {words}" if words else ""),
                name=name,
                obj=self,
            )
