"""The Model Garden's checkpoints of quantization-aware training: names and learnt ranges.

There the layers of the float network are in wrappers (`official.projects.qat` and TensorFlow Model
Optimization's `QuantizeWrapperV2`): a wrapper has its layer as `layer` and the least and greatest
value of what it rounds as `{name}_min` and `{name}_max`, and layers that only round have numbers of
their own among the layers of a backbone. `plain` brings the names to those of a float checkpoint.

Its scheme differs from an int8 file's, and so from `mosaic.models.quantization_aware`, in three
things. Depthwise kernels are rounded by one scale for all channels: a network with rounding gets
the rounded kernels, which its finer scales change little. Resizes, concatenations and pooled maps
have ranges of their own, where an int8 file cannot change the scale: here they share the widest
range of the tensors that they are made of. The normalised image is rounded to a range of its own; a
file takes the image's bytes instead. None of the three parts an int8 file from its network: where
many pixels differ, the ranges are still those that training begins with (`tolerances.of_model`).

The Garden published such a checkpoint of MOSAIC. Of its DeepLab networks it published TFLite files
(official/projects/qat/vision/README.md), which load as those do.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import tensorflow as tf

from mosaic.checkpoints import model_garden
from mosaic.checkpoints.model_garden import told, unlike  # noqa: F401 (of every name table)
from mosaic.models.variables import Variables

_STEP = "optimizer_step"
_PARTS = {"low": "output_min", "high": "output_max", _STEP: _STEP}
_DEPTHWISE = "depthwise_kernel"
_BACKBONE_LAYER = re.compile(r"backbone/layer_with_weights-(\d+)/")

# This project's layers whose outputs are rounded (regular expressions), and the Garden's wrapper
# that has the range. One wrapper may round several tensors, which then share its range.
_BLOCK = "backbone/layer_with_weights-{}"
_RANGES = (
    (r"backbone_(\d+)_(?:expand_)?relu6?", f"{_BLOCK}/_activation_layer"),
    (r"backbone_(\d+)_spatial_relu6?", f"{_BLOCK}/_depthwise_activation_layer"),
    (r"backbone_(\d+)_project_bn", f"{_BLOCK}/_norm2"),
    (r"backbone_(\d+)_add", f"{_BLOCK}/_add"),
    (r"encoder_group\d_(?:spatial|project)_relu", "neck/_multi_kernel_group_conv/_activation_fn"),
    (r"encoder_bins1_pool", "neck/_global_pool_branch/0"),
    # Other pooled maps share their input's range here: only the wrapper's step is read.
    (r"encoder_bins\d+_pool", "neck/_spatial_pyramid/0"),
    (r"encoder_(?:bins1|project)_relu", "neck/_activation_fn"),
    (r"decoder1_(?:merge|spatial|project)_relu", "head/_merge_stages/0/_activation_fn"),
    (r"decoder2_(?:low|high)_relu", "head/_merge_stages/1/_activation_fn"),
    (r"logits", "head/_merge_stages/1/_add_layer"),
)


def _is_rounding(name: str) -> bool:
    """Whether a variable of the Garden belongs to the rounding of a layer, not to the layer."""
    return re.search(r"_(?:min|max)$", name) is not None or name.rpartition("/")[2] == _STEP


def plain(keys: Mapping[str, str]) -> dict[str, str]:
    """Brings the names of a checkpoint with rounding to those of one without.

    Args:
      keys: the checkpoint's keys by the Garden's names, from `model_garden.variables`.

    Returns:
      The same keys by plain names. Ranges of a backbone's layers without weights are left out: in a
      float network these have no number.
    """
    weighted = {
        int(found[1])
        for name in keys
        if (found := _BACKBONE_LAYER.match(name)) and not _is_rounding(name)
    }
    numbers = {old: new for new, old in enumerate(sorted(weighted))}
    result = {}
    for name, key in keys.items():
        found = _BACKBONE_LAYER.match(name)
        if found and int(found[1]) not in numbers:
            continue
        if found:
            name = _BLOCK.format(numbers[int(found[1])]) + name[found.end() - 1 :]
        result["/".join(part for part in name.split("/") if part != "layer")] = key
    return result


def has_rounding(names: Iterable[str]) -> bool:
    """Whether names of variables are those of a network with rounding."""
    return any(map(_is_rounding, names))


def tell_left_out(path: str) -> None:
    """Says on standard error that a float network takes the weights of a checkpoint alone."""
    print(
        f"{path}: from quantization-aware training; this network takes its weights without the "
        "rounding and the ranges, for which there is mosaic_cityscapes_qat",
        file=sys.stderr,
    )


def names(variables: Iterable[str]) -> dict[str, str]:
    """Returns the plain Garden name of each variable of a network, ranges included."""
    variables = list(variables)
    found = model_garden.names(variables)
    for variable in variables:
        place = re.fullmatch(rf"(.+)_range\d*/({'|'.join(_PARTS)})", variable)
        for pattern, wrapper in _RANGES if place else ():
            if match := re.fullmatch(pattern, place[1]):
                found[variable] = f"{wrapper.format(*map(int, match.groups()))}/{_PARTS[place[2]]}"
                break
    return found


def is_unread(name: str, known: Collection[str]) -> bool:
    """As `model_garden.is_unread`; so is what is rounded there and not here."""
    return _is_rounding(name) or model_garden.is_unread(name, known)


def with_rounded_depthwise(checkpoint: Variables) -> Variables:
    """Returns a checkpoint whose depthwise kernels are rounded as in the Garden's training.

    Args:
      checkpoint: Garden checkpoint with plain names.
    """
    arrays = dict(checkpoint.arrays)
    for name, kernel in checkpoint.arrays.items():
        low, high = (checkpoint.arrays.get(f"{name}_{end}") for end in ("min", "max"))
        if name.endswith(f"/{_DEPTHWISE}") and low is not None and np.size(low) == 1:
            arrays[name] = tf.quantization.fake_quant_with_min_max_vars(
                kernel, np.ravel(low)[0], np.ravel(high)[0], narrow_range=True
            ).numpy()
    return dataclasses.replace(checkpoint, arrays=arrays)
