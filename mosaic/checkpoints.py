"""Reading checkpoints: ours, and by name tables those that the Model Garden published.

Every form is reduced to one mapping from this project's variable names (`layer/kernel`) to arrays,
and assigned in one place, where a variable that matches nothing, on either side, is an error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.core.protobuf import trackable_object_graph_pb2 as graph_pb2

from mosaic.errors import UserError

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_STEP = "global_step"
_NOT_WEIGHTS = ("/.OPTIMIZER_SLOT/", "/_generator/")
_GARDEN_ROOTS = frozenset(("backbone", "neck", "head"))

# This project's layer names (regular expressions) and where the Garden keeps the same layer.
# Blocks of its MobileNet number their layers, and lists in MOSAIC's encoder and decoder number
# what they apply, activations included: hence the gaps.
GARDEN_LAYERS = (
    (r"backbone_(\d+)_(?:expand_)?conv", "backbone/layer_with_weights-{0:d}/_conv0"),
    (r"backbone_(\d+)_(?:expand_)?bn", "backbone/layer_with_weights-{0:d}/_norm0"),
    (r"backbone_(\d+)_spatial_depthwise", "backbone/layer_with_weights-{0:d}/_conv1"),
    (r"backbone_(\d+)_spatial_bn", "backbone/layer_with_weights-{0:d}/_norm1"),
    (r"backbone_(\d+)_project_conv", "backbone/layer_with_weights-{0:d}/_conv2"),
    (r"backbone_(\d+)_project_bn", "backbone/layer_with_weights-{0:d}/_norm2"),
    (
        r"encoder_group(\d)_spatial_depthwise",
        "neck/_multi_kernel_group_conv/_conv_branches/{0:d}/0",
    ),
    (r"encoder_group(\d)_spatial_bn", "neck/_multi_kernel_group_conv/_conv_branches/{0:d}/1"),
    (r"encoder_group(\d)_project_conv", "neck/_multi_kernel_group_conv/_conv_branches/{0:d}/3"),
    (r"encoder_group(\d)_project_bn", "neck/_multi_kernel_group_conv/_conv_branches/{0:d}/4"),
    (r"encoder_bins1_conv", "neck/_global_pool_branch/1"),
    (r"encoder_bins1_bn", "neck/_global_pool_branch/2"),
    (r"encoder_project_conv", "neck/_encoder_projection/0"),
    (r"encoder_project_bn", "neck/_encoder_projection/1"),
    (r"decoder1_merge_conv", "head/_merge_stages/0/_feature_fusion_block/0"),
    (r"decoder1_merge_bn", "head/_merge_stages/0/_feature_fusion_block/1"),
    (r"decoder1_spatial_depthwise", "head/_merge_stages/0/_feature_fusion_block/3"),
    (r"decoder1_spatial_bn", "head/_merge_stages/0/_feature_fusion_block/4"),
    (r"decoder1_project_conv", "head/_merge_stages/0/_feature_fusion_block/6"),
    (r"decoder1_project_bn", "head/_merge_stages/0/_feature_fusion_block/7"),
    (r"decoder2_low_conv", "head/_merge_stages/1/_low_res_branch/0"),
    (r"decoder2_low_bn", "head/_merge_stages/1/_low_res_branch/1"),
    (r"decoder2_high_conv", "head/_merge_stages/1/_high_res_branch/0"),
    (r"decoder2_high_bn", "head/_merge_stages/1/_high_res_branch/1"),
)


@dataclasses.dataclass(frozen=True)
class Variables:
    """What a checkpoint holds.

    Attributes:
      path: the checkpoint as the user named it.
      form: `mosaic` (this project's), `garden` or `tflite` (`mosaic.tflite_import`).
      step: the training step it was saved at, or None where it does not say.
      arrays: this project's variable names, such as `encoder_project_conv/kernel`, and values. A
        Garden variable that the table has no name for keeps the Garden's.
    """

    path: str
    form: str
    step: int | None
    arrays: Mapping[str, np.ndarray]


def variable_name(variable: tf.Variable) -> str:
    """Returns a model variable's name without the output index: `layer/kernel`."""
    return variable.name.removesuffix(":0")


def garden_name(name: str) -> str | None:
    """Returns where the Garden keeps the variable that this project calls `layer/kernel`."""
    layer, _, attribute = name.rpartition("/")
    for pattern, template in GARDEN_LAYERS:
        match = re.fullmatch(pattern, layer)
        if match:
            return f"{template.format(*map(int, match.groups()))}/{attribute}"
    return None


@contextlib.contextmanager
def _located(path: str) -> Iterator[str]:
    """Yields the file prefix of a checkpoint given as folder, prefix, index file or archive."""
    path = path.rstrip("/")
    if path.endswith((".tar.gz", ".tgz")):
        with tempfile.TemporaryDirectory() as folder:
            try:
                with tarfile.open(path) as archive:
                    archive.extractall(folder, filter="data")
            except FileNotFoundError:
                raise UserError(f"{path}: no such file") from None
            except (tarfile.TarError, EOFError, OSError, zlib.error):
                raise UserError(f"{path}: not a readable archive; download it again") from None
            yield _only_prefix(folder, path)
    elif os.path.isdir(path):
        yield tf.train.latest_checkpoint(path) or _only_prefix(path, path)
    else:
        prefix = re.sub(r"\.(index|data-\d+-of-\d+)$", "", path)
        if not os.path.exists(f"{prefix}.index"):
            raise UserError(f"{path}: no checkpoint here; give a folder or a file prefix")
        yield prefix


def _only_prefix(folder: str, path: str) -> str:
    """Finds the checkpoint below a folder whose state file names none that exists."""
    found = sorted(
        os.path.join(root, name).removesuffix(".index")
        for root, _, names in os.walk(folder)
        for name in names
        if name.endswith(".index") and not root.endswith("variables")
    )
    if len(found) == 1:
        return found[0]
    what = "no checkpoint" if not found else f"{len(found)} checkpoints and none named as latest"
    raise UserError(f"{path}: {what} in it; give the file prefix of one (without .index)")


def read(path: str) -> Variables:
    """Reads a checkpoint of this project or of the Model Garden.

    Args:
      path: folder (its latest checkpoint), file prefix, index file, or .tar.gz as published.

    Raises:
      UserError: there is none, it cannot be read, or its form is unknown.
    """
    with _located(path) as prefix:
        try:
            reader = tf.train.load_checkpoint(prefix)
            keys = set(reader.get_variable_to_shape_map())
            if _GRAPH not in keys:
                raise UserError(f"{path}: not an object-based checkpoint of TensorFlow 2")
            step = reader.get_tensor(_STEP + _VALUE) if _STEP + _VALUE in keys else None
            roots = {key.split("/")[0] for key in keys}
            form = "garden" if roots & _GARDEN_ROOTS else "mosaic"
            names = _mosaic_names(reader) if form == "mosaic" else _garden_names(keys)
            if not names:
                raise UserError(
                    f"{path}: neither a checkpoint of this project nor of the Model Garden's "
                    f"MOSAIC (its roots are {', '.join(sorted(roots - {_GRAPH}))})"
                )
            arrays = {name: reader.get_tensor(key) for name, key in names.items()}
        except UserError:
            raise
        except (tf.errors.OpError, RuntimeError, IndexError, ValueError) as error:
            # TensorFlow turns its own errors into Python's, by their message.
            reason = str(error).splitlines()[0]
            raise UserError(f"{path}: the checkpoint cannot be read ({reason})") from None
    return Variables(path, form, None if step is None else int(step), arrays)


def _mosaic_names(reader) -> dict[str, str]:
    """Variable names and keys of this project's form, where the object graph keeps the names."""
    graph = graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor(_GRAPH))
    return {
        attribute.full_name: attribute.checkpoint_key
        for node in graph.nodes
        for attribute in node.attributes
        if attribute.checkpoint_key.startswith("model/")
        and not any(part in attribute.checkpoint_key for part in _NOT_WEIGHTS)
    }


def _garden_names(keys: set[str]) -> dict[str, str]:
    """Garden names and keys of the network's variables, without the trainer's other objects."""
    return {
        key.removesuffix(_VALUE): key
        for key in keys
        if key.split("/")[0] in _GARDEN_ROOTS
        and key.endswith(_VALUE)
        and "/.OPTIMIZER_SLOT/" not in key
    }


def load(
    model: tf_keras.Model,
    path: str,
    prefixes: tuple[str, ...] = ("",),
    images: Iterable[np.ndarray] | None = None,
) -> Variables:
    """Loads a checkpoint, or a TFLite file, into a network, completely or not at all.

    Args:
      model: a network of this project.
      path: as for `read`, or a .tflite file (`mosaic.tflite_import`).
      prefixes: which of the network's variables to load, by the start of their names;
        `("backbone_",)` takes the backbone alone and leaves the rest as it is.
      images: uint8 [height, width, 3] each, for a TFLite file, which has no statistics of its own.

    Returns:
      What was read.

    Raises:
      UserError: variables that match nothing, on either side, or differ in shape; all are listed
        and none is assigned.
    """
    if path.endswith(".tflite"):
        from mosaic import tflite_import

        return tflite_import.load(model, path, images, prefixes)
    checkpoint = read(path)
    arrays = dict(checkpoint.arrays)
    partial = "" not in prefixes
    names = [variable_name(variable) for variable in model.variables]
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            raise UserError(f"init_prefixes: no variable of the network begins with {prefix!r}")
    pairs, missing, wrong = [], [], []
    for ours, variable in zip(names, model.variables):
        if not ours.startswith(prefixes):
            continue
        name = garden_name(ours) if checkpoint.form == "garden" else ours
        array = arrays.pop(name, None)
        if array is None:
            missing.append(f"{ours} {tuple(variable.shape)}")
        elif array.shape != tuple(variable.shape):
            wrong.append(f"{ours} is {tuple(variable.shape)} here and {array.shape} there")
        else:
            pairs.append((variable, array))
    unused = [] if partial else _unexplained(model, checkpoint, arrays)
    if missing or wrong or unused:
        lists = (
            ("of another shape", wrong),
            ("not in the checkpoint", missing),
            ("only in the checkpoint", unused),
        )
        detail = "; ".join(
            f"{len(items)} {what}: {', '.join(items)}" for what, items in lists if items
        )
        raise UserError(f"{path}: the checkpoint does not fit this network: {detail}")
    for variable, array in pairs:
        variable.assign(array)
    return checkpoint


def _unexplained(model: tf_keras.Model, checkpoint: Variables, rest: Mapping) -> list[str]:
    """Lists what a checkpoint has too much, but for the convolution that no network here reads."""
    head = ""
    if checkpoint.form == "garden":
        blocks = {v.name.split("_")[1] for v in model.variables if v.name.startswith("backbone_")}
        head = f"backbone/layer_with_weights-{len(blocks)}/"
    return [f"{k} {v.shape}" for k, v in sorted(rest.items()) if not (head and k.startswith(head))]
