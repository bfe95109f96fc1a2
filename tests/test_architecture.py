"""The house's rules: which room may know which, and that no file hides what it needs."""

import ast
import graphlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# From the top floor down. A room knows those on floors below its own, and none beside it.
FLOORS = (
    ("doors", "benchmarks"),
    ("mosaic.api", "mosaic.console"),
    ("mosaic.cli",),
    ("mosaic.training",),
    ("mosaic.export",),
    ("mosaic.evaluation",),
    ("mosaic.benchmark", "mosaic.experiment"),
    ("mosaic.inference", "mosaic.checkpoints"),
    ("mosaic.tflite",),
    ("mosaic.models", "mosaic.config", "mosaic.distribution", "mosaic.storage"),
    ("mosaic.utils", "data"),
)
DOORS = ("train", "eval", "export", "predict", "benchmark", "check_data")
LIGHT = ("mosaic.utils", "mosaic.cli", "mosaic.config")
HEAVY = {"tensorflow", "tf_keras", "official", "tensorflow_model_optimization", "orbit"}


def sources():
    """The source of every module of this project but the tests, by its dotted name."""
    paths = [ROOT / f"{door}.py" for door in DOORS]
    paths += [
        p for folder in ("mosaic", "data", "benchmarks") for p in (ROOT / folder).rglob("*.py")
    ]
    names = (path.relative_to(ROOT).with_suffix("").parts for path in paths)
    return {
        ".".join(parts).removesuffix(".__init__"): path.read_text(encoding="utf-8")
        for parts, path in zip(names, paths)
    }


def room(module):
    """The room that a module is in."""
    if module in DOORS:
        return "doors"
    top, _, rest = module.partition(".")
    return f"mosaic.{rest.partition('.')[0]}" if top == "mosaic" and rest else top


def imports(source, modules):
    """What a module imports of others: (module, whether inside a function), each once."""
    tree = ast.parse(source)
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    found = {}
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            whole = (f"{node.module}.{alias.name}" for alias in node.names)
            names = [name if name in modules else node.module for name in whole]
        found.update(((name, id(node) in inside), None) for name in names)
    return list(found)


def faults(modules):
    """Every breach of the house's rules, one line each; `modules` are sources by dotted name."""
    floors = {name: number for number, floor in enumerate(FLOORS) for name in floor}
    lines, graph = [], {}
    for module, source in modules.items():
        here = room(module)
        graph[module] = set()
        if here != "mosaic" and here not in floors:
            lines.append(f"{module} is in no room")
        for name, is_hidden in imports(source, modules):
            if here in LIGHT and not is_hidden and name.partition(".")[0] in HEAVY:
                lines.append(f"{module} imports {name}: it must stay light")
            if name not in modules:
                continue
            if not is_hidden or here not in ("doors", "mosaic.cli"):
                graph[module].add(name)
            if is_hidden and here not in ("doors", "mosaic.cli"):
                lines.append(f"{module} hides its import of {name} in a function")
            there = room(name)
            if {here.partition(".")[0], there.partition(".")[0]} == {"mosaic", "data"}:
                lines.append(f"{module} imports {name}: mosaic and data are apart")
            elif (
                there in floors
                and here in floors
                and here != there
                and floors[there] <= floors[here]
            ):
                lines.append(f"{module} imports {name}: {there} is not below {here}")
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        lines.append(f"a circle: {' -> '.join(error.args[1])}")
    return lines


def test_the_rules_are_kept():
    assert faults(sources()) == []


def test_every_module_has_a_room():
    known = {name for floor in FLOORS for name in floor} | {"mosaic"}
    assert {room(module) for module in sources()} <= known


@pytest.mark.parametrize(
    ("modules", "fault"),
    [
        (
            {"mosaic.models.a": "from mosaic.tflite import b", "mosaic.tflite.b": ""},
            "mosaic.models.a imports mosaic.tflite.b: mosaic.tflite is not below mosaic.models",
        ),
        (
            {"mosaic.inference.a": "import mosaic.checkpoints.b", "mosaic.checkpoints.b": ""},
            "mosaic.inference.a imports mosaic.checkpoints.b: mosaic.checkpoints is not below "
            "mosaic.inference",
        ),
        (
            {"mosaic.models.a": "from mosaic import cli", "mosaic.cli": ""},
            "mosaic.models.a imports mosaic.cli: mosaic.cli is not below mosaic.models",
        ),
        (
            {
                "mosaic.models.a": "from mosaic.models.b import x",
                "mosaic.models.b": "import mosaic.models.a",
            },
            "a circle: mosaic.models.a -> mosaic.models.b -> mosaic.models.a",
        ),
        (
            {"mosaic.tflite.a": "def f():\n    from mosaic.models import b", "mosaic.models.b": ""},
            "mosaic.tflite.a hides its import of mosaic.models.b in a function",
        ),
        (
            {"mosaic.utils.a": "import tensorflow as tf"},
            "mosaic.utils.a imports tensorflow: it must stay light",
        ),
        (
            {"mosaic.config": "from official.core import x"},
            "mosaic.config imports official.core: it must stay light",
        ),
        (
            {"mosaic.models.a": "from data.b import x", "data.b": ""},
            "mosaic.models.a imports data.b: mosaic and data are apart",
        ),
        (
            {"data.a": "from mosaic.utils import b", "mosaic.utils.b": ""},
            "data.a imports mosaic.utils.b: mosaic and data are apart",
        ),
        ({"mosaic.helpers": ""}, "mosaic.helpers is in no room"),
        ({"mosaic.misc.a": ""}, "mosaic.misc.a is in no room"),
    ],
)
def test_a_breach_is_told(modules, fault):
    assert fault in faults(modules)


def test_what_the_rules_allow_is_not_told():
    modules = {
        "train": "def main():\n    from mosaic.training import loop",
        "mosaic.training.loop": "from mosaic.training import trainer\nfrom mosaic.models import a",
        "mosaic.training.trainer": "import tensorflow as tf",
        "mosaic.models.a": "from mosaic.utils.errors import UserError",
        "mosaic.utils.errors": "def heavy():\n    import tensorflow",
        "mosaic.cli": "def configure():\n    from mosaic import config",
        "mosaic.config": "",
    }
    assert faults(modules) == []


def test_light_modules_load_nothing_heavy():
    code = "import sys, mosaic.cli, mosaic.config; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(run.stdout.split())
