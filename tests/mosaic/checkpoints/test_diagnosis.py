"""Which settings a checkpoint fits that does not fit the network."""

import re

import pytest
import zoo

from mosaic.checkpoints import diagnosis, loading, model_garden, research_deeplab
from mosaic.models import mosaic
from mosaic.models.deeplab import deeplab
from mosaic.models.variables import variable_name
from mosaic.utils.errors import UserError

FORMS = ("ours", "garden")
SMALL = {"branch_filters": (8, 8), "bins": (1, 4, 8)}


def build(kind, **settings):
    if kind == "mosaic":
        return mosaic.mosaic(**{"num_classes": 3, **SMALL, **settings})
    return deeplab(**{"num_classes": 3, "width_multiplier": 0.35, "aspp_filters": 8, **settings})


def shapes(model, form):
    """The variables as a checkpoint of either form holds them."""
    ours = {variable_name(v): tuple(v.shape) for v in model.variables}
    if form == "ours":
        return ours
    return {theirs: ours[name] for name, theirs in model_garden.names(ours).items()}


@pytest.fixture(scope="module")
def networks():
    return {kind: build(kind) for kind in ("mosaic", "deeplab")}


def fitting(networks, kind, form, other):
    return diagnosis.fitting(networks[kind], shapes(other, form), form)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ""),
        (
            {"num_classes": 64, "kernel_sizes": (3, 7), "decoder_filters": 48},
            "it fits `NUM_CLASSES = 64`, `mosaic.kernel_sizes = (3, 7)`, "
            "`mosaic.decoder_filters = 48`",
        ),
        (
            {"branch_filters": (32, 16), "bins": (4, 8)},
            "it fits `mosaic.branch_filters = (32, 16)`, `mosaic.bins = (4, 8)`",
        ),
        (
            {"bins": (1, 4, 8, 16), "projected_filters": (8, 3)},
            "it fits `mosaic.bins = (1, 4, 8, 16)`, `mosaic.projected_filters = (8, 3)`",
        ),
        ({"backbone": "MobileNetV2"}, "it fits `mosaic.backbone = 'MobileNetV2'`"),
    ],
)
def test_mosaic(networks, settings, expected):
    other = build("mosaic", **settings) if settings else networks["mosaic"]
    for form in FORMS:
        assert fitting(networks, "mosaic", form, other) == expected


def test_the_number_of_shared_levels_is_known_and_not_their_bins(networks):
    """Where the number is right, the network's own bins are as good as any."""
    own = build("mosaic", bins=(3, 6))
    other = build("mosaic", bins=(1, 4, 8))
    assert (
        diagnosis.fitting(own, shapes(other, "ours"), "mosaic")
        == "it fits `mosaic.bins = (1, 3, 6)`"
    )


def test_mosaic_of_mlperf(networks):
    other = build(
        "mosaic", num_classes=11, bins=(4, 6), shared_group_convs=False, projected_filters=(32, 32)
    )
    assert fitting(networks, "mosaic", "ours", other) == (
        "it fits `NUM_CLASSES = 11`, `mosaic.bins = (4, 6)`, `mosaic.shared_group_convs = False`, "
        "`mosaic.projected_filters = (32, 32)`"
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ""),
        (
            {"num_classes": 21, "atrous_rates": (6, 12, 18), "aspp_filters": 16},
            "it fits `NUM_CLASSES = 21`, `deeplab.atrous_rates = (6, 12, 18)`, "
            "`deeplab.aspp_filters = 16`",
        ),
        (
            {"decoder": True, "low_level_filters": 16, "head_convs": 2, "head_filters": 24},
            "it fits `deeplab.decoder = True`, `deeplab.head_convs = 2`, "
            "`deeplab.low_level_filters = 16`, `deeplab.low_level = '2/depthwise'`, "
            "`deeplab.head_filters = 24`, `deeplab.separable_head = True`",
        ),
        (
            {"head_convs": 3, "separable_head": False, "head_filters": 24, "image_pooling": False},
            "it fits `deeplab.image_pooling = False`, `deeplab.head_convs = 3`, "
            "`deeplab.head_filters = 24`, `deeplab.separable_head = False`",
        ),
        ({"width_multiplier": 0.5}, "it fits `deeplab.width_multiplier = 0.5`"),
        (
            {"backbone": "MobileNetV3EdgeTPU", "width_multiplier": 1.0},
            "it fits `deeplab.backbone = 'MobileNetV3EdgeTPU'`, `deeplab.width_multiplier = 1.0`",
        ),
    ],
)
def test_deeplab(networks, settings, expected):
    other = build("deeplab", **settings) if settings else networks["deeplab"]
    for form in FORMS:
        assert fitting(networks, "deeplab", form, other) == expected


@pytest.fixture(scope="module")
def resnet50():
    settings = {"backbone": "DilatedResNet50", "width_multiplier": 1.0, "low_level": "2"}
    return build("deeplab", **settings, decoder=True, low_level_filters=8)


def resnet101(resnet50, form, stem="v1", se_ratio=0.0):
    """What a DilatedResNet101's checkpoint would hold, from the variables of a DilatedResNet50."""
    ours = {}
    for name, shape in shapes(resnet50, "ours").items():
        match = re.match(r"backbone_block(\d+)", name)
        block = int(match[1]) if match else 0
        # The third stage has 23 blocks instead of 6.
        for k in range(12, 30) if block == 12 else (block + 17 * (block > 12),):
            ours[re.sub(r"block\d+", f"block{k:02}", name)] = shape
            if se_ratio and name.endswith("expand_conv/kernel"):
                squeezed = (1, 1, shape[-1], int(shape[-1] * se_ratio))
                ours[f"backbone_block{k:02}_se_reduce/kernel"] = squeezed
    if stem == "v0":
        ours = {k: v for k, v in ours.items() if not re.match("backbone_stem[12]", k)}
        ours["backbone_stem0_conv/kernel"] = (7, 7, 3, 64)
    return ours if form == "ours" else {g: ours[n] for n, g in model_garden.names(ours).items()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("stem", "se_ratio"), [("v1", 0.0), ("v0", 0.0), ("v0", 0.3)])
def test_resnets(networks, resnet50, form, stem, se_ratio):
    found = resnet101(resnet50, form, stem, se_ratio)
    assert diagnosis.fitting(networks["deeplab"], found, form) == (
        "it fits `deeplab.backbone = 'DilatedResNet101'`, `deeplab.width_multiplier = 1.0`, "
        f"`dilated_resnet.stem = '{stem}'`, `dilated_resnet.se_ratio = {se_ratio}`, "
        "`deeplab.decoder = True`, `deeplab.low_level_filters = 8`, `deeplab.low_level = '2'`"
    )
    told = diagnosis.fitting(resnet50, found, form)
    assert told.startswith("it fits `deeplab.backbone = 'DilatedResNet101'`")
    assert ("dilated_resnet.stem" in told) == (stem == "v0")
    assert ("dilated_resnet.se_ratio" in told) == (se_ratio > 0)


def test_a_mobilenet_in_a_resnets_place(resnet50):
    other = build("deeplab", decoder=True)
    assert {fitting({"own": resnet50}, "own", form, other) for form in FORMS} == {
        "it fits `deeplab.backbone = 'MobileNetV2'`, `deeplab.width_multiplier = 0.35`, "
        "`deeplab.low_level_filters = 48`, `deeplab.low_level = '2/depthwise'`"
    }


@pytest.mark.parametrize("form", FORMS)
def test_a_resnet_of_no_table_says_nothing(networks, resnet50, form):
    found = resnet101(resnet50, form)
    last = "backbone/layer_with_weights-38/" if form == "garden" else "backbone_block32_"
    fewer = {k: shape for k, shape in found.items() if not k.startswith(last)}
    assert len(fewer) < len(found)
    for model in (networks["deeplab"], resnet50):
        assert diagnosis.fitting(model, fewer, form) == ""


def test_what_differs_beside_a_backbone_of_no_table():
    """Half of 24 filters is 12 there, and 16 in the Garden's table; both networks have 12."""
    own = build("deeplab", width_multiplier=0.5, width_divisor=1)
    for form, logits in zip(FORMS, ("logits", "head/_classifier")):
        other = {**shapes(own, form), f"{logits}/kernel": (1, 1, 8, 21)}
        assert diagnosis.fitting(own, other, form) == "it fits `NUM_CLASSES = 21`"


@pytest.mark.parametrize("form", FORMS)
def test_another_network(networks, form):
    found = fitting(networks, "deeplab", form, networks["mosaic"])
    assert found.startswith("it is of MOSAIC and fits `train.model = @mosaic()`, `mosaic.backbone")
    assert "`mosaic.branch_filters = (8, 8)`, " in found
    found = fitting(networks, "mosaic", form, networks["deeplab"])
    assert found.startswith("it is of DeepLab and fits `train.model = @deeplab()`, ")
    assert "`deeplab.width_multiplier = 0.35`, " in found


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mosaic", "it fits `mosaic.backbone = 'MobileNetV2'`"),
        ("deeplab", "it fits `deeplab.width_multiplier = 1.0`"),
    ],
)
def test_a_backbone_alone(networks, kind, expected):
    whole = shapes(build("mosaic", backbone="MobileNetV2"), "garden")
    backbone = {name: shape for name, shape in whole.items() if name.startswith("backbone/")}
    assert diagnosis.fitting(networks[kind], backbone, "garden") == expected


def test_an_unknown_backbone_says_nothing(networks):
    known = shapes(networks["deeplab"], "ours")
    other = {k: (*v[:-1], v[-1] + 1) if k.startswith("backbone_") else v for k, v in known.items()}
    assert diagnosis.fitting(networks["deeplab"], other, "mosaic") == ""


@pytest.mark.parametrize("kind", ["mosaic", "deeplab"])
@pytest.mark.parametrize("part", ["logits/", "head", "decoder", "encoder_group", "aspp0"])
def test_parts_of_a_network_raise_nothing(networks, kind, part):
    for own in networks.values():
        for form in FORMS:
            whole = shapes(networks[kind], form)
            parts = {k: shape for k, shape in whole.items() if not k.startswith(part)}
            diagnosis.fitting(own, parts, form)


def test_the_global_branch_alone():
    """Such a network has no group convolutions to tell anything by."""
    assert diagnosis.fitting(build("mosaic", bins=(1,)), {"x/kernel": (1,)}, "mosaic") == ""


def test_the_papers_checkpoint_in_the_published_network(shared):
    path = str(shared("golden/garden_mosaic_paper") / "ckpt")
    with pytest.raises(UserError) as caught:
        loading.load(mosaic.mosaic(11), path)
    assert str(caught.value).startswith(
        f"{path}: the checkpoint does not fit this network; it fits `NUM_CLASSES = 19`, "
        "`mosaic.branch_filters = (32, 32)`, `mosaic.bins = (4, 8, 16)`, as in the experiment "
        "mosaic_cityscapes_paper: "
    )
    assert (
        "encoder_group0_project_conv/kernel is (1, 1, 224, 64) here and (1, 1, 224, 32) there"
        in (str(caught.value))
    )
    assert "encoder_group1_project_bn/beta is (64,) here and (32,) there and 18 more; 5 not" in (
        str(caught.value)
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mnv2_pascal_os8", ""),
        (
            "mnv2_dm05_pascal_os16",
            "it fits `deeplab.width_multiplier = 0.5`, `deeplab.width_divisor = 1`, as in the "
            "experiment deeplabv3_257 or zoo_mnv2_dm05_pascal",
        ),
        (
            "edgetpu_cityscapes_os32",
            "it fits `NUM_CLASSES = 19`, `deeplab.backbone = 'MobileNetV3EdgeTPU'`, "
            "`deeplab.last_conv = True`, as in the experiment zoo_edgetpu_cityscapes",
        ),
        (
            "mnv3_small_cityscapes",
            "it is of LR-ASPP and fits `train.model = @lraspp()`, `NUM_CLASSES = 19`, "
            "`lraspp.backbone = 'MobileNetV3SmallReducedFilters'`, "
            "`lraspp.width_multiplier = 1.0`, `lraspp.filters = 128`, as in the experiment "
            "zoo_mnv3_small_cityscapes",
        ),
        (
            "xception65_pascal_os16",
            "it fits `deeplab.backbone = 'Xception65'`, `deeplab.atrous_rates = (6, 12, 18)`, "
            "`deeplab.decoder = True`, `deeplab.head_convs = 2`, "
            "`deeplab.low_level_filters = 48`, `deeplab.low_level = '2'`, "
            "`deeplab.separable_aspp = True`, `deeplab.head_filters = 256`, "
            "`deeplab.separable_head = True`, as in the experiment zoo_xception65_pascal",
        ),
    ],
)
def test_networks_of_research_deeplab(shared, zoo_network, name, told):
    described = zoo.describe(shared("golden/deeplab_zoo"), name)
    names = research_deeplab.variables(described["variables"])
    found = {ours: tuple(described["variables"][key]) for ours, key in names.items()}
    assert diagnosis.fitting(zoo_network, found, "research") == told


@pytest.fixture(scope="module")
def zoo_network():
    return deeplab(21, first_atrous_dilation=1, pooling_first=True, align_corners=True)
