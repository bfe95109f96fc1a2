"""MLPerf Mobile's two networks, by the arguments that give their published forms."""

R4 = {
    "num_classes": 32,
    "branch_filters": (64, 64),
    "bins": (4, 8, 16),
    "shared_group_convs": False,
    "backbone_map_first": False,
    "half_pixel_centers": False,
    "first_atrous_dilation": 1,
    "projected_filters": (32, 32),
    "normalization": "symmetric",
}
DEEPLAB = {
    "num_classes": 32,
    "decoder": True,
    "head_convs": 2,
    "pooling_first": True,
    "half_pixel_centers": False,
    "first_atrous_dilation": 1,
    "normalization": "symmetric",
}
