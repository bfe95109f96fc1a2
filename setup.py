"""What a wheel holds: names that collide with nobody's, where the repository's top level is short.

`train.py` and the other commands become `mosaic_commands`, and `configs/` becomes `mosaic_configs`.
`data/` keeps its name: gin files and the saved configurations of runs import `data.camvid` and the
like, also those of others.
"""

from setuptools import find_namespace_packages, setup

COMMANDS = ("train", "eval", "export", "predict", "benchmark", "check_data")

setup(
    packages=[*find_namespace_packages(include=["mosaic*", "data*"]), "mosaic_configs"],
    py_modules=[f"mosaic_commands.{name}" for name in COMMANDS],
    package_dir={"mosaic_commands": ".", "mosaic_configs": "configs"},
)
