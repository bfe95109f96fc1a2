"""research/deeplab's networks by its own flags, and checkpoints in its format."""

import importlib.util
import json

import mosaic.training.train_loop  # noqa: F401 - registers what gin files bind
from mosaic import config

FRAGMENTS = {
    "mobilenet_v2": "models/zoo_mnv2",
    "mobilenet_edgetpu": "models/zoo_edgetpu",
    "xception_65": "models/zoo_xception65",
    "mobilenet_v3_large_seg": "models/zoo_lraspp",
    "mobilenet_v3_small_seg": "models/zoo_lraspp",
}


def bindings(described):
    """The gin bindings of a network that is described by research/deeplab's flags."""
    flags, stride = described["flags"], described["output_stride"]
    variant, width = flags["model_variant"], flags.get("depth_multiplier", 1.0)
    network = "lraspp" if "v3" in variant else "deeplab"
    settings = {"output_stride": stride, "width_multiplier": width}
    if network == "lraspp":
        size = "Large" if "large" in variant else "Small"
        settings |= {
            "backbone": f"MobileNetV3{size}ReducedFilters",
            "filters": flags["aspp_convs_filters"],
            "pooling_window": tuple(map(int, flags["image_pooling_crop_size"])),
            "pooling_strides": tuple(map(int, flags["image_pooling_stride"])),
        }
    else:
        settings["aspp_filters"] = flags.get("aspp_convs_filters", 256)
        if variant == "mobilenet_v2" and width != 1.0:
            settings["width_divisor"] = 1
        if "decoder_output_stride" in flags:
            settings |= {"decoder": True, "head_convs": 2}
        if described["atrous_rates"]:
            rates = (round(rate * stride / 16) for rate in described["atrous_rates"])
            settings["atrous_rates"] = tuple(rates)
    own = [f"{network}.{name} = {value!r}" for name, value in settings.items()]
    return [f"NUM_CLASSES = {described['num_classes']}", "WEIGHT_DECAY = 0.0", *own]


def build(described):
    """The network of a NAME.json, from its experiment's fragment and its flags."""
    config.parse([FRAGMENTS[described["flags"]["model_variant"]]], bindings(described))
    return config.build("train.model")


def describe(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def write(folder, name, output):
    """Writes the checkpoint of NAME.json with the folder's own program; returns its prefix."""
    place = folder / "write_checkpoint.py"
    spec = importlib.util.spec_from_file_location("write_checkpoint", place)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program.write(name, str(output))
