import pytest

from mosaic import checkpoints, diagnosis, garden, network
from mosaic.deeplab import deeplab
from mosaic.errors import UserError

FORMS = ("ours", "garden")
SMALL = {"branch_filters": (8, 8), "bins": (1, 4, 8)}


def build(kind, **settings):
    if kind == "mosaic":
        return network.mosaic(**{"num_classes": 3, **SMALL, **settings})
    return deeplab(**{"num_classes": 3, "width_multiplier": 0.35, "aspp_filters": 8, **settings})


def shapes(model, form):
    """The variables as a checkpoint of either form holds them."""
    ours = {checkpoints.variable_name(v): tuple(v.shape) for v in model.variables}
    if form == "ours":
        return ours
    return {theirs: ours[name] for name, theirs in garden.names(ours).items()}


@pytest.fixture(scope="module")
def networks():
    return {kind: build(kind) for kind in ("mosaic", "deeplab")}


def fitting(networks, kind, form, other):
    return diagnosis.fitting(networks[kind], shapes(other, form), form == "garden")


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
        diagnosis.fitting(own, shapes(other, "ours"), False) == "it fits `mosaic.bins = (1, 3, 6)`"
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
            "`deeplab.low_level_filters = 16`, `deeplab.head_filters = 24`, "
            "`deeplab.separable_head = True`",
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
    assert diagnosis.fitting(networks[kind], backbone, True) == expected


def test_an_unknown_backbone_says_nothing(networks):
    known = shapes(networks["deeplab"], "ours")
    other = {k: (*v[:-1], v[-1] + 1) if k.startswith("backbone_") else v for k, v in known.items()}
    assert diagnosis.fitting(networks["deeplab"], other, False) == ""


@pytest.mark.parametrize("kind", ["mosaic", "deeplab"])
@pytest.mark.parametrize("part", ["logits/", "head", "decoder", "encoder_group", "aspp0"])
def test_parts_of_a_network_raise_nothing(networks, kind, part):
    for own in networks.values():
        for form in FORMS:
            whole = shapes(networks[kind], form)
            parts = {k: shape for k, shape in whole.items() if not k.startswith(part)}
            diagnosis.fitting(own, parts, form == "garden")


def test_the_global_branch_alone():
    """Such a network has no group convolutions to tell anything by."""
    assert diagnosis.fitting(build("mosaic", bins=(1,)), {"x/kernel": (1,)}, False) == ""


def test_the_papers_checkpoint_in_the_published_network(shared):
    path = str(shared / "golden/garden_mosaic_paper/ckpt")
    with pytest.raises(UserError) as caught:
        checkpoints.load(network.mosaic(11), path)
    assert str(caught.value).startswith(
        f"{path}: the checkpoint does not fit this network; it fits `NUM_CLASSES = 19`, "
        "`mosaic.branch_filters = (32, 32)`, `mosaic.bins = (4, 8, 16)`: "
    )
    assert (
        "encoder_group0_project_conv/kernel is (1, 1, 224, 64) here and (1, 1, 224, 32) there"
        in (str(caught.value))
    )
