"""Which settings of a network fit a checkpoint, by the names and shapes of its variables."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

import tf_keras
from official.vision.modeling.backbones import mobilenet as tables
from official.vision.modeling.backbones import resnet_deeplab

from mosaic.checkpoints import alike
from mosaic.checkpoints import kernels as kernels_of
from mosaic.checkpoints.kernels import MOST, Shape
from mosaic.models.mobilenet import TABLES
from mosaic.models.resnet import DILATED_RESNETS, STEMS
from mosaic.models.xception import XCEPTION

Settings = dict[str, object]

TITLES = {"mosaic": "MOSAIC", "deeplab": "DeepLab", "lraspp": "LR-ASPP"}
WIDTHS = (1.0, 0.5, 0.75, 0.35, 0.25, 1.4, 1.3, 1.25)


def fitting(model: tf_keras.Model, shapes: Mapping[str, Shape], format: str) -> str:
    """Says which settings a network must have for a checkpoint to fit it.

    Args:
      model: network that the checkpoint does not fit.
      shapes: shape of each variable of the checkpoint, by its name.
      format: format of the checkpoint, as `mosaic.models.variables.Variables` has it.

    Returns:
      A text such as "it fits `NUM_CLASSES = 19`, `mosaic.bins = (4, 8, 16)`", with the settings
      that differ from the network's, and the experiments that have them; empty where none can be
      found.
    """
    own = _own(model)
    if format == "research":
        found = kernels_of.of_research(shapes)
    else:
        is_garden = format.startswith("garden")
        found = kernels_of.of_garden(shapes) if is_garden else kernels_of.ours(shapes)
    kind = _kind(own)
    if not kind:
        return ""
    other = _kind(found) or kind
    bins = re.findall(r"encoder_bins(\d+)_pool", " ".join(layer.name for layer in model.layers))
    levels = sorted(int(level) for level in bins if level != "1")
    try:
        if not _backbone(found, other) and not kernels_of.of_backbone(found) <= own.items():
            # The backbone of the checkpoint is unknown: the other settings would not help.
            return ""
        here, there = _settings(own, kind, levels), _settings(found, other, levels)
    except (LookupError, ValueError, ArithmeticError):
        # Only parts of a network, or an unusual one: the lists of variables must suffice.
        return ""
    if format.startswith("garden"):
        # Its networks have this convolution whether they use it or not.
        there.pop(f"{other}.last_conv", None)
    different = [f"`{k} = {v!r}`" for k, v in there.items() if k not in here or here[k] != v]
    if format != "mosaic" and other == "deeplab":
        there["deeplab.align_corners"] = format == "research"
    if not different:
        return ""
    if _kind(found):
        are_classes_alone = different == [f"`{alike.CLASSES} = {there.get(alike.CLASSES)!r}`"]
        different += filter(None, [alike.told(other, there, are_classes_alone)])
    if other != kind:
        start = f"it is of {TITLES[other]} and fits `train.model = @{other}()`"
        return f"{start}, {', '.join(different)}"
    return f"it fits {', '.join(different)}"


def mobilenet(model: tf_keras.Model) -> tuple[str, float] | None:
    """Returns the Garden's id and the width multiplier of a network's MobileNet, if it has one."""
    found = _mobilenet(_own(model), "deeplab")
    return (found["backbone"], found["width_multiplier"]) if found else None


def depthwise_sizes(model_id: str) -> list[int]:
    """Returns the sizes of the depthwise kernels of a MobileNet by its id, in pixels."""
    needed, blocks = _mobilenets(1.0)[model_id]
    return [size for _, size in blocks[:needed] if size]


def _own(model: tf_keras.Model) -> dict[str, Shape]:
    return kernels_of.ours({v.name.removesuffix(":0"): tuple(v.shape) for v in model.variables})


def _kind(kernels: Mapping[str, Shape]) -> str:
    """The network they belong to: `mosaic`, `deeplab`, `lraspp`, or "" for a backbone alone."""
    if "encoder_project_conv" in kernels:
        return "mosaic"
    if "gate_conv" in kernels:
        return "lraspp"
    return "deeplab" if "aspp_project_conv" in kernels else ""


def _settings(kernels: Mapping[str, Shape], kind: str, levels: Sequence[int]) -> Settings:
    """Returns the settings that shapes can show: gin names and values.

    Args:
      kernels: shape of each kernel of the network, or of its backbone alone.
      kind: kind of the network.
      levels: bins above 1, which are assumed where their number is right: the shapes of shared
        convolutions do not show them.
    """
    settings: Settings = {}
    if _kind(kernels) == "mosaic":
        settings = _mosaic(kernels, levels)
    elif _kind(kernels) == "deeplab":
        settings = _deeplab(kernels)
    elif _kind(kernels) == "lraspp":
        settings = {
            "num_classes": kernels["logits_high"][-1],
            "filters": kernels["aspp0_conv"][-1],
        }
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
    groups = [k for k in range(MOST) if f"{first}_group{k}_project_conv" in kernels]
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
    whole, halves = (
        sum(bool(re.fullmatch(rf"aspp[1-9]\d*_{end}", name)) for name in kernels)
        for end in ("conv", "spatial_depthwise")
    )
    separable = "head0_spatial_depthwise" in kernels
    convs = [
        kernels[f"head{k}_project_conv" if separable else f"head{k}_conv"]
        for k in range(MOST)
        if (f"head{k}_spatial_depthwise" if separable else f"head{k}_conv") in kernels
    ]
    settings: Settings = {
        "num_classes": kernels["logits"][-1],
        # The checkpoint does not show their values; for three rates these are v3's.
        "atrous_rates": tuple(6 * (k + 1) for k in range(whole + halves)),
        "image_pooling": "aspp_pooling_conv" in kernels,
        "aspp_filters": kernels["aspp_project_conv"][-1],
        "decoder": "decoder_low_conv" in kernels,
        "head_convs": len(convs),
    }
    if settings["decoder"]:
        *_, channels, settings["low_level_filters"] = kernels["decoder_low_conv"]
        settings |= _low_level(kernels, channels)
    if halves:
        settings["separable_aspp"] = True
    if any(re.fullmatch(r"backbone_(?!00)\d\d_conv", name) for name in kernels):
        settings["last_conv"] = True
    if convs:
        settings |= {"head_filters": convs[0][-1], "separable_head": separable}
    return settings


def _low_level(kernels: Mapping[str, Shape], channels: int) -> Settings:
    """The map of stride 4 that the decoder takes, if there is a decoder."""
    resnet, xception = "backbone_block00_expand_conv", "backbone_block01_sep2_project_conv"
    maps = {"2": kernels.get(resnet) or kernels.get(xception)}
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
    if kernels.get("backbone_block20_sep3_project_conv", ())[-1:] == (2048,):
        return {"backbone": XCEPTION}
    return _mobilenet(kernels, kind)


def _resnet(kernels: Mapping[str, Shape]) -> Settings:
    """The dilated ResNet with these filters in stem and blocks, if there is one."""
    layers = [kernels.get(f"backbone_stem{k}_conv") for k in range(MOST)]
    stem = tuple((shape[-1], shape[0]) for shape in layers if shape)
    stems = [k for k, convs in STEMS.items() if tuple(conv[:2] for conv in convs) == stem]
    layers = [kernels.get(f"backbone_block{k:02}_spatial_conv") for k in range(MOST)]
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
    for k in range(MOST):
        name = f"backbone_{k:02}"
        last = kernels.get(f"{name}_project_conv") or kernels.get(f"{name}_conv")
        if last is None:
            break
        depthwise = kernels.get(f"{name}_spatial_depthwise")
        blocks.append((last[-1], depthwise[0] if depthwise else None))
    widths = (1.0,) if kind == "mosaic" else WIDTHS
    for width, divisor in ((width, divisor) for divisor in (8, 1) for width in widths):
        for model_id, (needed, expected) in _mobilenets(width, divisor).items():
            if needed <= len(blocks) and blocks[:needed] == expected[:needed]:
                found: Settings = {"backbone": model_id}
                found |= {"width_multiplier": width} if kind != "mosaic" else {}
                return found | ({"width_divisor": divisor} if divisor != 8 else {})
    return {}


def _first_output(model_id: str) -> int:
    """The index of the MobileNet block whose output is the map of stride 4."""
    specs = tables.block_spec_decoder(specs=TABLES[model_id], filter_size_scale=1.0)
    return next(k for k, spec in enumerate(specs) if spec.is_output)


@functools.cache
def _mobilenets(width: float, divisor: int = 8) -> dict[str, tuple[int, list]]:
    """The Garden's table: number of blocks in use, and filters and kernel of those with weights."""
    found = {}
    for model_id, table in TABLES.items():
        specs = tables.block_spec_decoder(
            specs=table, filter_size_scale=width, divisible_by=divisor
        )
        specs = [spec for spec in specs if spec.filters]
        needed = max(k for k, spec in enumerate(specs, 1) if spec.is_output)
        spatial = (s.block_fn != "convbn" and s.use_depthwise for s in specs)
        kernels = (s.kernel_size if there else None for s, there in zip(specs, spatial))
        found[model_id] = needed, [(s.filters, kernel) for s, kernel in zip(specs, kernels)]
    return found
