"""Which settings of a network fit a checkpoint, by the names and shapes of its variables."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping, Sequence, Set

import tf_keras
from official.vision.modeling.backbones import mobilenet as tables
from official.vision.modeling.backbones import resnet_deeplab

from mosaic.checkpoints import model_garden
from mosaic.models.mobilenet import TABLES
from mosaic.models.resnet import DILATED_RESNETS, STEMS

Shape = tuple[int, ...]
Settings = dict[str, object]

_MOST = 70  # Largest number of blocks, branches or convolutions of one kind in a network.
WIDTHS = (1.0, 0.5, 0.75, 0.35, 0.25, 1.4, 1.3, 1.25)
# Layers whose kernels show the settings.
_MOBILENET = (
    "backbone_{:02}_conv",
    "backbone_{:02}_spatial_depthwise",
    "backbone_{:02}_project_conv",
)
_RESNET = (
    *("backbone_stem{}_conv", "backbone_block{:02}_spatial_conv"),
    *("backbone_block{:02}_expand_conv", "backbone_block{:02}_se_reduce"),
)
_MOSAIC = (
    *("encoder_group{}_spatial_depthwise", "encoder_group{}_project_conv", "encoder_bins1_conv"),
    *("encoder_project_conv", "decoder1_merge_conv", "decoder1_project_conv"),
    *("decoder2_low_conv", "decoder2_high_conv"),
)
_DEEPLAB = (
    *("aspp{}_conv", "aspp_pooling_conv", "aspp_project_conv", "decoder_low_conv", "logits"),
    *("head{}_conv", "head{}_spatial_depthwise", "head{}_project_conv"),
)


def fitting(model: tf_keras.Model, shapes: Mapping[str, Shape], is_garden: bool) -> str:
    """Says which settings a network must have for a checkpoint to fit it.

    Args:
      model: network that the checkpoint does not fit.
      shapes: shape of each variable of the checkpoint, by its name in this project or in the
        Model Garden.
      is_garden: whether the names are the Garden's.

    Returns:
      A text such as "it fits `NUM_CLASSES = 19`, `mosaic.bins = (4, 8, 16)`", with the settings
      that differ from the network's; empty where none can be found.
    """
    own = _kernels({v.name.removesuffix(":0"): tuple(v.shape) for v in model.variables})
    found = _garden_kernels(shapes) if is_garden else _kernels(shapes)
    kind = _kind(own)
    if not kind:
        return ""
    other = _kind(found) or kind
    bins = re.findall(r"encoder_bins(\d+)_pool", " ".join(layer.name for layer in model.layers))
    levels = sorted(int(level) for level in bins if level != "1")
    try:
        if not _backbone(found, other) and not _backbone_kernels(found) <= own.items():
            # The backbone of the checkpoint is unknown: the other settings would not help.
            return ""
        here, there = _settings(own, kind, levels), _settings(found, other, levels)
    except (LookupError, ValueError, ArithmeticError):
        # Only parts of a network, or an unusual one: the lists of variables must suffice.
        return ""
    different = [f"`{k} = {v!r}`" for k, v in there.items() if k not in here or here[k] != v]
    if other != kind:
        title = {"mosaic": "MOSAIC", "deeplab": "DeepLab"}[other]
        return f"it is of {title} and fits `train.model = @{other}()`, {', '.join(different)}"
    return f"it fits {', '.join(different)}" if different else ""


def mobilenet(model: tf_keras.Model) -> tuple[str, float] | None:
    """Returns the Garden's id and the width multiplier of a network's MobileNet, if it has one."""
    kernels = _kernels({v.name.removesuffix(":0"): tuple(v.shape) for v in model.variables})
    found = _mobilenet(kernels, "deeplab")
    return (found["backbone"], found["width_multiplier"]) if found else None


def _kernels(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shape of each layer's kernel, by this project's name of the layer."""
    return {
        name.rpartition("/")[0]: shape
        for name, shape in shapes.items()
        if name.endswith(("/kernel", "/depthwise_kernel"))
    }


def _garden_kernels(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """As `_kernels`, for a Garden checkpoint: its layers that this project has a name for."""
    is_deeplab = any(name.startswith("decoder/aspp/") for name in shapes)
    # A MobileNet's first convolution is in a block.
    is_resnet = "backbone/layer_with_weights-0/kernel" in shapes
    templates = (_RESNET if is_resnet else _MOBILENET) + (_DEEPLAB if is_deeplab else _MOSAIC)
    candidates = {t.format(k): None for k in range(_MOST) for t in templates}
    found: dict[str, Shape] = {}
    # Twice, since the Garden's name of a layer may depend on which other layers there are.
    for _ in range(2):
        known: Collection[str] = found or list(candidates)
        found = {}
        for layer in candidates:
            attribute = "depthwise_kernel" if layer.endswith("depthwise") else "kernel"
            shape = shapes.get(f"{model_garden.layer_name(layer, known)}/{attribute}")
            if shape is not None:
                found[layer] = shape
    return found


def _backbone_kernels(kernels: Mapping[str, Shape]) -> Set[tuple[str, Shape]]:
    """The layers of the backbone that show the settings, with their shapes."""
    # Without `backbone_{:02}_conv`: the Garden keeps other blocks' expansion under the same name.
    names = {t.format(k) for k in range(_MOST) for t in _MOBILENET[1:] + _RESNET}
    return {item for item in kernels.items() if item[0] in names}


def _kind(kernels: Mapping[str, Shape]) -> str:
    """The network they belong to: `mosaic`, `deeplab`, or "" for a backbone alone."""
    if "encoder_project_conv" in kernels:
        return "mosaic"
    return "deeplab" if "aspp_project_conv" in kernels else ""


def _settings(kernels: Mapping[str, Shape], kind: str, levels: Sequence[int]) -> Settings:
    """Returns the settings that shapes can show: gin names and values.

    Args:
      kernels: shape of each kernel of the network, or of its backbone alone.
      kind: kind of the network, `mosaic` or `deeplab`.
      levels: bins above 1, which are assumed where their number is right: the shapes of shared
        convolutions do not show them.
    """
    settings: Settings = {}
    if _kind(kernels) == "mosaic":
        settings = _mosaic(kernels, levels)
    elif _kind(kernels) == "deeplab":
        settings = _deeplab(kernels)
    classes = settings.pop("num_classes", None)
    settings = {**_backbone(kernels, kind), **settings}
    return {
        **({"NUM_CLASSES": classes} if classes else {}),
        **{k if "." in k else f"{kind}.{k}": value for k, value in settings.items()},
    }


def _mosaic(kernels: Mapping[str, Shape], levels: Sequence[int]) -> Settings:
    shared = "encoder_group0_project_conv" in kernels
    if shared:
        first = "encoder"
    else:
        found = (re.fullmatch(r"encoder_bins(\d+)_group0_project_conv", name) for name in kernels)
        levels = sorted(int(match[1]) for match in found if match)
        first = f"encoder_bins{levels[0]}"
    groups = [k for k in range(_MOST) if f"{first}_group{k}_project_conv" in kernels]
    filters = tuple(kernels[f"{first}_group{k}_project_conv"][-1] for k in groups)
    depthwise = [kernels[f"{first}_group{k}_spatial_depthwise"] for k in groups]
    is_global = "encoder_bins1_conv" in kernels
    if shared:
        pooled = kernels["encoder_project_conv"][2] - sum(shape[2] for shape in depthwise)
        count = (pooled - is_global * max(filters)) // sum(filters)
        if len(levels) != count:
            levels = [4 * 2**k for k in range(count)]
    deep = kernels["decoder1_project_conv"][-1]
    last = kernels.get("decoder2_high_conv") or kernels.get("decoder2_low_conv") or (deep,)
    projected = (deep, last[-1])
    classes = kernels.get("logits", projected)[-1]
    return {
        "num_classes": classes,
        "branch_filters": filters,
        "kernel_sizes": tuple(shape[0] for shape in depthwise),
        "bins": (1,) * is_global + tuple(levels),
        "shared_group_convs": shared,
        "decoder_filters": kernels["decoder1_merge_conv"][-1],
        "projected_filters": None if projected == (classes, classes) else projected,
    }


def _deeplab(kernels: Mapping[str, Shape]) -> Settings:
    rates = sum(bool(re.fullmatch(r"aspp[1-9]\d*_conv", name)) for name in kernels)
    separable = "head0_spatial_depthwise" in kernels
    convs = [
        kernels[f"head{k}_project_conv" if separable else f"head{k}_conv"]
        for k in range(_MOST)
        if (f"head{k}_spatial_depthwise" if separable else f"head{k}_conv") in kernels
    ]
    settings: Settings = {
        "num_classes": kernels["logits"][-1],
        # The checkpoint does not show their values; for three rates these are v3's.
        "atrous_rates": tuple(6 * (k + 1) for k in range(rates)),
        "image_pooling": "aspp_pooling_conv" in kernels,
        "aspp_filters": kernels["aspp_project_conv"][-1],
        "decoder": "decoder_low_conv" in kernels,
        "head_convs": len(convs),
    }
    if settings["decoder"]:
        *_, channels, settings["low_level_filters"] = kernels["decoder_low_conv"]
        settings |= _low_level(kernels, channels)
    if convs:
        settings |= {"head_filters": convs[0][-1], "separable_head": separable}
    return settings


def _low_level(kernels: Mapping[str, Shape], channels: int) -> Settings:
    """The map of stride 4 that the decoder takes, if there is a decoder."""
    maps = {"2": kernels.get("backbone_block00_expand_conv")}
    if found := _mobilenet(kernels, "deeplab"):
        first = _first_output(found["backbone"])
        maps = {
            "2": kernels.get(f"backbone_{first:02}_project_conv"),
            "2/depthwise": kernels.get(f"backbone_{first:02}_spatial_depthwise"),
        }
    for name, kernel in maps.items():
        if kernel and kernel[2 if "depthwise" in name else 3] == channels:
            return {"low_level": name}
    return {}


def _backbone(kernels: Mapping[str, Shape], kind: str) -> Settings:
    """The settings of the backbone, if it is in a table of the Garden."""
    if kind == "deeplab" and "backbone_stem0_conv" in kernels:
        return _resnet(kernels)
    return _mobilenet(kernels, kind)


def _resnet(kernels: Mapping[str, Shape]) -> Settings:
    """The dilated ResNet with these filters in stem and blocks, if there is one."""
    layers = [kernels.get(f"backbone_stem{k}_conv") for k in range(_MOST)]
    stem = tuple((shape[-1], shape[0]) for shape in layers if shape)
    stems = [k for k, convs in STEMS.items() if tuple(conv[:2] for conv in convs) == stem]
    layers = [kernels.get(f"backbone_block{k:02}_spatial_conv") for k in range(_MOST)]
    blocks = [shape[-1] for shape in layers if shape]
    squeezes = [kernels.get(f"backbone_block{k:02}_se_reduce") for k in range(len(blocks))]
    for name, depth in DILATED_RESNETS.items():
        stages = resnet_deeplab.RESNET_SPECS[depth]
        if stems and blocks == [stage[1] for stage in stages for _ in range(stage[2])]:
            return {
                "backbone": name,
                "width_multiplier": 1.0,
                "dilated_resnet.stem": stems[0],
                "dilated_resnet.se_ratio": _se_ratio(squeezes),
            }
    return {}


def _se_ratio(squeezes: Sequence[Shape | None]) -> float:
    """The fraction with the fewest digits that gives the filters of squeeze and excitation."""
    if None in squeezes:
        return 0.0
    ratio = squeezes[-1][3] / squeezes[-1][2]
    for digits in range(1, 8):
        short = round(ratio, digits)
        if all(filters == max(1, int(block * short)) for *_, block, filters in squeezes):
            return short
    return ratio


def _mobilenet(kernels: Mapping[str, Shape], kind: str) -> Settings:
    """The MobileNet of the Garden's table whose blocks have these depths, if there is one."""
    blocks = []
    for k in range(_MOST):
        name = f"backbone_{k:02}"
        last = kernels.get(f"{name}_project_conv") or kernels.get(f"{name}_conv")
        if last is None:
            break
        depthwise = kernels.get(f"{name}_spatial_depthwise")
        blocks.append((last[-1], depthwise[0] if depthwise else None))
    for width in WIDTHS if kind == "deeplab" else (1.0,):
        for model_id, (needed, expected) in _mobilenets(width).items():
            if needed <= len(blocks) and blocks == expected[: len(blocks)]:
                found: Settings = {"backbone": model_id}
                return found | ({"width_multiplier": width} if kind == "deeplab" else {})
    return {}


def _first_output(model_id: str) -> int:
    """The index of the MobileNet block whose output is the map of stride 4."""
    specs = tables.block_spec_decoder(specs=TABLES[model_id], filter_size_scale=1.0)
    return next(k for k, spec in enumerate(specs) if spec.is_output)


@functools.cache
def _mobilenets(width: float) -> dict[str, tuple[int, list]]:
    """The Garden's table: number of blocks in use, and filters and kernel of those with weights."""
    found = {}
    for model_id, table in TABLES.items():
        specs = tables.block_spec_decoder(specs=table, filter_size_scale=width)
        specs = [spec for spec in specs if spec.filters]
        needed = max(k for k, spec in enumerate(specs, 1) if spec.is_output)
        spatial = (s.block_fn != "convbn" and s.use_depthwise for s in specs)
        kernels = (s.kernel_size if there else None for s, there in zip(specs, spatial))
        found[model_id] = needed, [(s.filters, kernel) for s, kernel in zip(specs, kernels)]
    return found
