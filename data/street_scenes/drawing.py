"""Procedural street scenes with dense labels in the 19 train ids of Cityscapes.

A scene is a small 3D world before a pinhole camera: a road with pavements, lined by buildings,
walls, fences and trees, and vehicles, people and street furniture on it, painted back to front.
The colours of all classes overlap widely and each scene has its own light, cast and noise: the
class of a pixel follows from shape, texture and context, hardly from its colour. World units are
metres: X to the right, Y up from the ground, Z forward of the camera.
"""

from __future__ import annotations

import cv2
import numpy as np

ROAD, SIDEWALK, BUILDING, WALL, FENCE, POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN = range(8)
VEGETATION, TERRAIN, SKY, PERSON, RIDER, CAR, TRUCK, BUS, TRAIN, MOTORCYCLE, BICYCLE = range(8, 19)
IGNORE = 255
_NEAR, _FAR = 0.8, 75.0  # Depth limits in metres.
_LININGS = (BUILDING, BUILDING, WALL, FENCE, VEGETATION)  # Linings of the street, equally often.
_ALL, _UPRIGHT = np.array([[0.0, 1.0]]), np.eye(2, 3)
_SHADES = np.linspace(0.7, 1.15, 7)[:, None]  # Foliage, back to front.

# Paints: lowest and highest level (0-255), spread of the chroma, tint in red, green and blue.
_PAINTS = {
    "body": (50, 215, 30, 0, 0, 0),
    "trim": (50, 215, 30, 0, 0, 0),
    "legs": (35, 160, 18, 0, 0, 5),
    "skin": (90, 190, 8, 22, 0, -18),
    "glass": (30, 110, 10, -6, 0, 8),
    "dark": (22, 62, 5, 0, 0, 0),
    "metal": (60, 170, 10, 0, 0, 0),
    "lamp": (130, 235, 20, 10, 0, -10),
    "ground": (70, 165, 7, 0, 0, 0),
    "masonry": (60, 205, 18, 4, 0, -4),
    "plant": (50, 140, 13, -2, 13, -14),
    "sky": (105, 235, 12, -3, 0, 6),
}
_KEYS = {key: row for row, key in enumerate(_PAINTS)}
_PAINT_ROWS = np.array(list(_PAINTS.values()), np.float64)
# Strength of the fine and of the coarse texture by class; the other classes are smooth.
_FINE, _COARSE = np.zeros((2, 256), np.float32)
_FINE[[ROAD, SIDEWALK, BUILDING, WALL, FENCE, VEGETATION, TERRAIN]] = (5, 3, 3, 6, 5, 12, 13)
_COARSE[[ROAD, SIDEWALK, BUILDING, WALL, VEGETATION, TERRAIN, SKY]] = (3, 5, 3, 6, 20, 6, 5)
# Shapes on the end faces of vehicles, 1 x 1 in size: a window, lamps.
_ENDS = {"w": "; glass -.42 .1 .42 .9", "l": "; lamp -.46 .4 -.26 .75; lamp .26 .4 .46 .75"}


def _outlines(text: str) -> list[tuple[int, np.ndarray]]:
    """Parses shapes "paint numbers; ..." to (row of the paint, corners [12, 2] along and up).

    Three numbers are a disc (centre, radius), four a box (two corners), five a bar (two ends,
    width), more of them are corners. The last corner is repeated to make twelve of any shape.
    """
    shapes, angles = [], np.arange(12) * np.pi / 6
    for key, *words in (shape.split() for shape in text.split(";")):
        values = np.array(words, np.float64)
        if len(values) == 3:
            corners = values[:2] + values[2] * np.column_stack([np.cos(angles), np.sin(angles)])
        elif len(values) == 4:
            corners = values[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2)
        elif len(values) == 5:
            ends = values[:4].reshape(2, 2)
            normal = (ends[1] - ends[0])[::-1] * (-1, 1)
            normal *= values[4] / (2 * np.hypot(*normal))
            corners = np.concatenate([ends - normal, ends[::-1] + normal])
        else:
            corners = values.reshape(-1, 2)
        shapes.append((_KEYS[key], np.pad(corners, ((0, 12 - len(corners)), (0, 0)), "edge")))
    return shapes


def _face(label: int, text: str, start=(0, 0, 0), axes=_UPRIGHT, turn=0, shade=1.0) -> list:
    """Returns shapes on a plane as rows; with a `turn` of 1 or -1 they show from one side only."""
    shapes = enumerate(_outlines(text))
    return [(label, key, shade, turn, i, start + ring @ axes) for i, (key, ring) in shapes]


def _body(label: int, width: float, profile: str, ends: str, sides: str) -> list:
    """Returns the faces of a body: its profile (counter-clockwise) extruded across.

    The letters of `ends` are the keys of `_ENDS` for its edges; `sides` are shapes on both sides.
    """
    rows, paint, ring = [], profile.split()[0], np.array(profile.split()[1:], float).reshape(-1, 2)
    for turn in (1, -1):
        rows += _face(label, f"{profile}; {sides}", (0, 0, -turn * width / 2), turn=turn)
    for start, step, end in zip(ring, np.roll(ring, -1, axis=0) - ring, ends, strict=True):
        # The light comes from above: the more a face looks up, the brighter it is.
        shade = 0.82 + 0.33 * max(-step[0] / np.hypot(*step), 0.0)
        axes = np.array([(0, 0, width), (*step, 0)])
        rows += _face(label, f"{paint} -.5 0 .5 1{_ENDS.get(end, '')}", (*start, 0), axes, 1, shade)
    return rows


class _Model:
    """Columns of the rows of all faces of a thing around the origin, with its size in metres."""

    def __init__(self, rows: list):
        self.labels, keys, shades, turns, numbers, points = zip(*rows, strict=True)
        self.keys, self.shades = np.array(keys), np.array(shades)[:, None]
        self.turns, self.points = np.array(turns), np.array(points)  # [n], [n, 12, 3]
        self.leads = np.arange(len(rows)) - numbers  # The first shape of the face of each.
        self.size = np.ptp(self.points, axis=(0, 1))


_CAR = """glass -.3 .98 .9 .98 .35 1.4 -.3 1.4; glass -1.6 .98 -.42 .98 -.42 1.4 -1.2 1.4;
    dark -2 .06 2 .3; dark -1.3 .36 .36; dark 1.3 .36 .36; metal -1.3 .36 .2; metal 1.3 .36 .2"""
_CAR_SHAPE = "body -2.1 .22 2.1 .22 2.1 .85 1.1 .95 .4 1.52 -1.2 1.52 -1.75 .97 -2.1 .92"
_CARGO = """dark -3.7 .5 1.6 1; dark -2.9 .5 .5; dark -1.7 .5 .5; metal -2.9 .5 .25;
    metal -1.7 .5 .25; dark -2.6 1.1 -2.5 3.5; dark -1.1 1.1 -1 3.5; dark .4 1.1 .5 3.5"""
_CAB = "glass 2.4 1.5 3.5 1.5 3.3 2.4 2.4 2.4; dark 2.8 .5 .5; metal 2.8 .5 .25"
_TRUCK = _body(TRUCK, 2.5, "trim -3.8 .9 1.7 .9 1.7 3.6 -3.8 3.6", "----", _CARGO)
_TRUCK += _body(TRUCK, 2.3, "body 1.8 .4 3.7 .4 3.7 1.5 3.4 2.7 1.8 2.7", "-lw--", _CAB)
_BUS = """trim -5 .5 5 .95; dark 3.8 .5 4.8 2.55; dark -3 .5 .5; dark 3.1 .5 .5; metal 3.1 .5 .25;
    metal -3 .5 .25; glass -4.7 1.45 -3.6 2.55; glass -3.3 1.45 -2.2 2.55; glass 2.3 1.45 3.4 2.55;
    glass -1.9 1.45 -.8 2.55; glass -.5 1.45 .6 2.55; glass .9 1.45 2 2.55"""
_TRAIN = """dark -9 .1 9 .45; glass -8.4 1.7 8.4 2.6; trim -6 .35 -4.7 2.7;
    trim -.65 .35 .65 2.7; trim 4.7 .35 6 2.7"""  # No wheels, and one band of glass.
_NOSES = "body -9 .1 9 .1 9 1.3 8.2 3.2 -8.2 3.2 -9 1.3"
_PERSON = """legs -.1 .9 -{0} 0 .24; legs .1 .9 {0} 0 .24; trim -.24 1.4 -{1} .8 .17;
    trim .24 1.4 {1} .8 .17; trim -.24 .8 .24 .8 .31 1.45 -.31 1.45; skin 0 1.64 .17"""
_BICYCLE = """dark -.58 .38 .4; dark .58 .38 .4; metal -.58 .38 .26; metal .58 .38 .26;
    body -.58 .38 -.05 .34 .12; body -.05 .34 .42 .85 .12; body -.2 .85 .42 .85 .12;
    body -.05 .34 -.22 .95 .12; body .58 .38 .4 1.08 .12; dark -.4 .92 -.06 1.03"""
_MOTORCYCLE = """dark -.72 .36 .38; dark .72 .36 .38; metal -.72 .36 .15; metal .72 .36 .15;
    metal -.45 .22 .3 .6; body -1.1 .78 -.4 .5 .4 .5 .62 .95 .1 1.02; lamp .6 .95 .14;
    dark -.95 .86 -.05 .86 .16; metal .72 .36 .42 1.15 .12"""
_RIDER = """legs -.2 .98 .2 .76 .24; legs .2 .82 .02 .3 .2; trim -.22 .9 .1 1.56 .42;
    trim .1 1.46 .42 1.14 .16; {} .2 1.8 .18"""
_LIGHTS = "dark -.36 2.05 .36 3.75; {} 0 2.37 .22; {} 0 2.9 .22; {} 0 3.43 .22"
_LIT = [["lamp" if row == lit else "glass" for row in range(3)] for lit in range(3)]
_SIGNS = ["body 0 2.6 .55; lamp 0 2.6 .34", "body -.5 2.1 .5 3.1; lamp -.3 2.3 .3 2.9"]
_SIGNS += ["body -.65 2.2 .65 2.2 0 3.3; lamp -.35 2.36 .35 2.36 0 2.95"]
_POST = _face(POLE, "metal -.14 0 .14 2.6")
_GANTRY = _face(POLE, "metal -.15 0 .15 5.2; metal 0 4.92 3.2 5.2")
_LAMPS = [
    _face(TRAFFIC_LIGHT, _LIGHTS.format(*lit), (x, x / 2, 0)) for x in (0, 3.2) for lit in _LIT
]
_BIKE, _MOTORBIKE = _face(BICYCLE, _BICYCLE), _face(MOTORCYCLE, _MOTORCYCLE)
_STRIDES = ((0.13, 0.34), (0.3, 0.45), (0.42, 0.55))  # Feet and hands from the middle.
_MODELS = {
    "car": [_Model(_body(CAR, 1.85, _CAR_SHAPE, "-l-w-w-l", _CAR))],
    "truck": [_Model(_TRUCK)],
    "bus": [_Model(_body(BUS, 2.5, "body -5 .3 5 .3 5 1.2 5 3.1 -5 3.1", "-lw-w", _BUS))],
    "train": [_Model(_body(TRAIN, 2.6, _NOSES, "-lw-wl", _TRAIN))],
    "person": [_Model(_face(PERSON, _PERSON.format(*stride))) for stride in _STRIDES],
    "bicycle": [_Model(_BIKE)],
    "cyclist": [_Model(_BIKE + _face(RIDER, _RIDER.format("skin")))],
    "motorcycle": [_Model(_MOTORBIKE)],
    "biker": [_Model(_MOTORBIKE + _face(RIDER, _RIDER.format("body")))],
    "lights": [_Model(_POST + lamps) for lamps in _LAMPS[:3]]
    + [_Model(_GANTRY + lamps) for lamps in _LAMPS[3:]],
    "sign": [_Model(_POST + _face(TRAFFIC_SIGN, text)) for text in _SIGNS],
    "lamp": [_Model(_face(POLE, "metal -.16 0 .16 7.5; metal 0 7.2 2.2 7.5"))],
}

# What stands on the street: kind, largest number and probability of each, place across (0 to 1 from
# the middle of the road to the kerb, 1 to 2 over the pavement), depths in metres, choice of
# directions in degrees (0 is a side view) and largest deviation from them. Things that find no free
# place are left out, so large things come first.
_SPAWNS = (
    ("train", 1, 0.36, (0.3, 0.6), (10, 20), (90, 0, 0), 4),
    ("bus", 1, 0.42, (0.4, 0.5), (8, 18), (90, 270, 0, 180), 6),
    ("truck", 1, 0.48, (0.4, 0.5), (8, 18), (90, 270, 0, 180), 6),
    ("car", 5, 0.5, (0.0, 0.75), (5, 22), (90, 270, 0, 180), 12),
    ("cyclist", 2, 0.38, (0.0, 0.8), (4.5, 11), (0, 180), 35),
    ("biker", 1, 0.4, (0.0, 0.8), (5, 11), (0, 180), 35),
    ("motorcycle", 1, 0.4, (0.7, 0.8), (5, 11), (0, 180), 35),
    ("bicycle", 2, 0.3, (1.3, 1.8), (6, 12), (0, 180), 35),
    ("person", 4, 0.55, (0.5, 1.9), (5, 14), (0, 180), 35),
    ("lights", 3, 0.4, (1.1, 1.2), (5, 12), (0, 180), 12),
    ("sign", 3, 0.5, (1.1, 1.2), (5, 13), (0, 180), 12),
    ("lamp", 1, 0.6, (1.1, 1.2), (6, 20), (0, 180), 12),
)


def _spans(count: int, fraction: float, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Returns `count` even spans [count, 2] over low..high, each filling a fraction of its cell."""
    cell = (high - low) / count
    start = low + cell * (np.arange(count) + (1 - fraction) / 2)
    return np.column_stack([start, start + cell * fraction])


def _noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> np.ndarray:
    """Returns noise float32 of about -1 to 1 in grains of `cell` pixels."""
    grains = rng.integers(0, 256, [max(2, int(np.ceil(n / cell))) for n in shape], np.uint8)
    return (cv2.resize(grains, shape[::-1]).astype(np.float32) - 127.5) / 100


class _Scene:
    """Camera, street and canvas of one scene."""

    def __init__(self, rng: np.random.Generator, height: int, width: int):
        self.rng, self.unit = rng, float(np.sqrt(height * width / 2))
        # Red, green, blue and the label: one fill sets the colour and the class of a pixel.
        self.canvas = np.zeros((height, width, 4), np.uint8)
        self.focal = np.array([1, -1]) * self.unit * rng.uniform(0.9, 1.2)  # Rows count downwards.
        self.viewpoint = np.array([0, rng.uniform(1.7, 2.6)])
        self.vanishing = rng.uniform((0.38, 0.34), (0.62, 0.5)) * (width, height)
        self.bend = rng.uniform(-0.0035, 0.0035)  # Shift of X per squared metre of depth.
        self.half = rng.uniform(3.6, 5.2)  # Half the width of the road, around `middle`.
        self.middle = rng.uniform(-0.45, 0.45) * self.half
        self.walks: list[tuple[float, float]] = []  # Inner and outer edges, left and right.

    def paint(self, rows: str | slice) -> np.ndarray:
        """Returns random colours [..., 3] of one paint (its key) or of several rows."""
        paints = _PAINT_ROWS[_KEYS[rows] if isinstance(rows, str) else rows]
        chroma = paints[..., 2:3] * self.rng.standard_normal((*paints.shape[:-1], 3))
        return self.rng.uniform(paints[..., :1], paints[..., 1:2]) + chroma + paints[..., 3:]

    def project(self, points: np.ndarray) -> np.ndarray:
        """Projects points [..., 3] in metres to pixels int32 [..., 2] (column, row)."""
        depth = np.maximum(points[..., 2:], _NEAR)
        pixels = (points[..., :2] - self.viewpoint) * self.focal / depth + self.vanishing
        pixels[..., :1] += self.bend * self.focal[0] * depth
        return np.rint(pixels).astype(np.int32, order="C")

    def grid(self, start, along, up, columns, rows, label: int, colour: np.ndarray) -> None:
        """Fills rectangles on a plane; columns, rows: spans [n, 2] in units of `along` and `up`."""
        u = np.array(columns)[:, None, [0, 1, 1, 0], None]
        v = np.array(rows)[None, :, [0, 0, 1, 1], None]
        corners = (np.array(start) + u * along + v * up).reshape(-1, 4, 3)
        cv2.fillPoly(self.canvas, list(self.project(corners)), (*colour.tolist(), label))

    def floor(self, columns, rows, label: int, colour: np.ndarray) -> None:
        """Fills rectangles on the ground by spans of X [n, 2] and of Z [m, 2] in metres."""
        self.grid((0, 0, 0), (1, 0, 0), (0, 0, 1), columns, rows, label, colour)

    def crown(self, x: float, z: float, bottom: float, top: float, colour: np.ndarray) -> None:
        """Paints foliage: overlapping discs between two heights in metres."""
        scale = self.focal[0] * (top - bottom) / 2 / max(z, _NEAR)
        centre, size = self.project(np.array([x, (top + bottom) / 2, z])), max(1, int(0.6 * scale))
        centres = (centre + self.rng.uniform(-0.55, 0.55, (7, 2)) * scale).astype(int).tolist()
        for spot, paint in zip(centres, (_SHADES * colour).tolist(), strict=True):
            cv2.circle(self.canvas, spot, size, (*paint, VEGETATION), -1)

    def model(self, model: _Model, x: float, z: float, yaw: float, scale: np.ndarray) -> None:
        """Paints a model at (X, Z), turned by `yaw` radians, in random colours."""
        cos, sin = np.cos(yaw), np.sin(yaw)
        turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        world = (model.points * scale) @ turn + (x, 0, z)
        pixels, colours = self.project(world), self.paint(slice(None))[model.keys] * model.shades
        x, y = np.moveaxis(pixels, -1, 0)
        areas = (x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(1)
        shown = (areas[model.leads] * model.turns < 0) | (model.turns == 0)
        order = np.argsort(-world[..., 2].mean(1)[model.leads], kind="stable")
        for i in order[shown[order]]:
            cv2.fillPoly(self.canvas, [pixels[i]], (*colours[i].tolist(), model.labels[i]))

    def building(self, side: int, x: float, z0: float, z1: float) -> None:
        """Paints the front and the near end of a building with rows of windows."""
        rng, colour = self.rng, self.paint("masonry")
        height, pitch, fraction = rng.uniform(5, 18), rng.uniform(2.0, 3.4), rng.uniform(0.4, 0.65)
        # Windows are darker or brighter than the masonry, whichever is visible.
        glass = colour * (0.5 if colour.mean() > 95 else 1.6) + self.paint("glass") * 0.2
        floors = _spans(max(1, int(height / 3)), 0.5, 0.3, height - 0.3) / height
        for along, shade in (((side * 9.0, 0, 0), 0.78), ((0, 0, z1 - z0), 1.0)):
            plane = (x, 0, z0), along, (0, height, 0)
            columns = _spans(max(2, int(abs(sum(along)) / pitch)), fraction)
            self.grid(*plane, _ALL, _ALL, BUILDING, colour * shade)
            self.grid(*plane, columns, floors, BUILDING, glass * shade)

    def barrier(self, x: float, z0: float, z1: float, label: int) -> None:
        """Paints a wall of large blocks, or a fence of bars and rails before plants."""
        plane = (x, 0, z0), (0, 0, z1 - z0), (0, self.rng.uniform(1.9, 3.0), 0)
        if label == WALL:
            back, columns, rows = self.paint("masonry"), _spans(5, 0.03), _spans(4, 0.12)
            front = back * 0.7
        else:
            back, front = self.paint("plant"), self.paint("metal")
            front += 30 if front.mean() > back.mean() else -30
            columns, rows = _spans(max(3, int((z1 - z0) / 0.6)), 0.3), [(0.1, 0.2), (0.9, 1)]
        self.grid(*plane, _ALL, _ALL, label, back)
        self.grid(*plane, columns, _ALL, label, front)
        self.grid(*plane, _ALL, rows, label, front)

    def trees(self, side: int, x: float, z0: float, z1: float) -> None:
        """Paints a row of trees with a shrub under each, far to near."""
        colour = self.paint("plant")
        for z in np.arange(z1, z0, -4.0):
            stem, top = x + side * self.rng.uniform(0, 1.5), self.rng.uniform(4.5, 9)
            self.crown(stem, z, top * 0.2, top, colour)
            self.crown(stem, z - 1.0, 0, self.rng.uniform(1, 2.5), colour * 0.9)

    def paint_backdrop(self) -> None:
        """Paints the sky, open ground, and a skyline on the horizon."""
        rng, canvas, horizon = self.rng, self.canvas, int(self.vanishing[1])
        zenith, haze = self.paint("sky"), self.paint("sky")
        ramp = np.linspace(0, 0.5, horizon)[:, None, None]
        canvas[:horizon] = (0, 0, 0, SKY)
        canvas[:horizon, :, :3] = np.clip(zenith + ramp * (haze - zenith), 0, 255)
        canvas[horizon:] = (*np.clip(self.paint("plant"), 0, 255), TERRAIN)
        for x in np.arange(-_FAR, _FAR, 15.0) - self.bend * _FAR**2:
            self.crown(x, _FAR, -3, rng.uniform(5, 14), self.paint("plant"))
            if rng.random() < 0.6:
                plane = (x, 0, _FAR), (rng.uniform(5, 12), 0, 0), (0, rng.uniform(5, 18), 0)
                self.grid(*plane, _ALL, _ALL, BUILDING, self.paint("masonry"))

    def paint_ground(self) -> None:
        """Paints the pavements and the road with its marks."""
        rng, middle, half = self.rng, self.middle, self.half
        whole = np.lib.stride_tricks.sliding_window_view(np.geomspace(1.2, _FAR, 18), 2)
        for side in (-1, 1):
            inner = middle + side * (half + (rng.uniform(0.8, 2.0) if rng.random() < 0.35 else 0.0))
            outer, colour = inner + side * rng.uniform(2.0, 4.0), self.paint("ground")
            self.floor([(inner, outer)], whole, SIDEWALK, colour)
            slabs = np.arange(3.0, 22.0, 1.6)  # Joints across and along, then the kerbstone.
            self.floor([(inner, outer)], np.outer(slabs, (1, 1.02)), SIDEWALK, colour * 0.78)
            self.floor(_spans(3, 0.04, inner, outer), whole, SIDEWALK, colour * 0.78)
            self.floor([(inner, inner + side * 0.2)], whole, SIDEWALK, colour * 1.25)
            self.walks.append((inner, outer))
        colour, contrast = self.paint("ground"), rng.uniform(35, 90)
        self.floor([(middle - half, middle + half)], whole, ROAD, colour)
        dashes = np.arange(rng.uniform(2, 5), 45, 5.0)[:, None] + (0, 2.5)
        self.floor([(middle - 0.1, middle + 0.1)], dashes, ROAD, colour + contrast)
        if rng.random() < 0.35:  # A pedestrian crossing.
            stripes, rows = _spans(7, 0.5, middle - half, middle + half), rng.uniform(6, 14, (1, 1))
            self.floor(stripes, np.add(rows, (0, 3)), ROAD, colour + contrast)

    def paint_linings(self) -> None:
        """Paints the rows of buildings, barriers and trees on both sides, far to near."""
        rng = self.rng
        for side, (_, outer) in zip((-1, 1), self.walks, strict=True):
            front, end = outer + side * max(0.1, rng.uniform(-3, 5)), 55.0
            while end > 3.0:
                start = max(1.0, end - rng.uniform(6, 13))
                kind = _LININGS[rng.integers(len(_LININGS))]
                setback = 3.5 * side if kind in (WALL, FENCE) else 0.0
                planted = kind == VEGETATION or (kind != BUILDING and rng.random() < 0.5)
                (self.trees if planted else self.building)(side, front + setback, start, end)
                if setback:
                    self.barrier(front, start, end, kind)
                end = start - (rng.uniform(1, 4) if rng.random() < 0.3 else 0.0)

    def paint_things(self) -> None:
        """Paints the vehicles, people and street furniture, far to near."""
        rng, things, taken = self.rng, [], []
        for kind, trials, chance, across, depths, yaws, jitter in _SPAWNS:
            for _ in range(int(rng.binomial(trials, chance))):
                model = _MODELS[kind][rng.integers(len(_MODELS[kind]))]
                yaw = np.deg2rad(yaws[rng.integers(len(yaws))] + rng.uniform(-jitter, jitter))
                scale, cos, sin = rng.uniform(0.9, 1.12, 3), abs(np.cos(yaw)), abs(np.sin(yaw))
                reach = np.array([[cos, sin], [sin, cos]]) @ (model.size * scale)[[0, 2]] / 2
                for _ in range(4):
                    u, (inner, outer) = rng.uniform(*across), self.walks[rng.integers(2)]
                    x = self.middle + np.sign(inner - self.middle) * u * self.half
                    x = x if u < 1 else inner + (u - 1) * (outer - inner)
                    spot = np.array([x, rng.uniform(*depths) + reach[1]])
                    gaps = (np.abs(spot - other) - reach - size for other, size in taken)
                    if all(gap.max() > 0.1 for gap in gaps):
                        taken.append((spot, reach))
                        things.append((model, *spot, yaw, scale))
                        break
        for thing in sorted(things, key=lambda thing: -thing[2]):
            self.model(*thing)

    def paint_ignored(self) -> None:
        """Paints things without a class: the hood of the own car, or a shapeless thing."""
        height, width = self.canvas.shape[:2]
        x, y, a, b, kind = self.rng.uniform((0.1, 0.4, 0.01, 0.02, 0), (0.9, 0.8, 0.03, 0.04, 1.2))
        x, y, a, b = (0.5, 1.0, 0.45 + 8 * a, 3 * b) if kind < 0.5 else (x, y, a, b)
        if kind < 1:
            spot, axes = (int(width * x), int(height * y)), (int(width * a), int(height * b))
            colour = (*self.paint("body").tolist(), IGNORE)
            cv2.ellipse(self.canvas, spot, axes, 0, 0, 360, colour, -1)

    def expose(self, labels: np.ndarray) -> np.ndarray:
        """Returns the image uint8 [height, width, 3] with texture, light, blur and sensor noise."""
        rng, shape, unit = self.rng, labels.shape, self.unit
        texture = cv2.LUT(labels, _FINE) * _noise(rng, shape, max(1.0, unit / 128))
        texture += cv2.LUT(labels, _COARSE) * _noise(rng, shape, max(2.0, unit / 32))
        light = 1 + 0.22 * _noise(rng, shape, max(shape) / 3)
        contrast, grain = rng.uniform(0.75, 1.15), rng.uniform(3, 9)
        gains = contrast * rng.uniform(0.7, 1.25) * rng.uniform(0.9, 1.1, 3)
        planes = cv2.split(cv2.GaussianBlur(self.canvas, (0, 0), max(0.45, unit / 320)))[:3]
        for plane, gain in zip(planes, gains.tolist(), strict=True):
            value = (plane + texture) * light * gain + 110 * (1 / contrast - 1) * gain
            np.clip(value + grain * _noise(rng, shape, 1.0), 0, 255, out=plane, casting="unsafe")
        return cv2.merge(planes)


def draw_scene(seed: int, height: int = 128, width: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Draws a street scene; the same arguments give the same scene.

    Args:
        seed: Number of the scene, not negative.
        height: Height in pixels, at least 64.
        width: Width in pixels, at least 64.

    Returns:
        The image uint8 [height, width, 3] in RGB and the labels uint8 [height, width]: train ids
        0 to 18, or 255 where a pixel is to be ignored.
    """
    scene = _Scene(np.random.default_rng([seed, height, width]), height, width)
    scene.paint_backdrop()
    scene.paint_ground()
    scene.paint_linings()
    scene.paint_things()
    scene.paint_ignored()
    labels = scene.canvas[..., 3].copy()
    return scene.expose(labels), labels
