"""What all tests share: the order of files, the reference data, and where records go."""

import json
import os
import pathlib

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The order of sums hangs on it, and the losses of training steps that others computed with two.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")

import pytest

from mosaic.utils.provenance import machine

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What takes longest goes first, so that no worker is left alone with it at the end.
_LONGEST = (
    *(
        "test_train_loop.py",
        "test_replicas.py",
    ),
    *("test_tflite.py", "test_weights.py", "test_export_checkpoint.py"),
    *("test_quantization_aware.py", "test_deeplab.py", "test_int8_rewrite.py"),
    *("test_score_checkpoint.py", "test_measure.py", "test_report.py", "test_operator_profile.py"),
    *("test_file_cost.py", "test_latency.py", "test_android.py", "test_predictors.py"),
    *("test_commands.py", "test_model_garden.py", "test_loading.py", "test_mosaic.py"),
    *("test_check.py", "test_saved_model.py"),
)


def pytest_collection_modifyitems(items):
    order = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def shared():
    """Finds a part of the real data and reference outputs by its path; skips where it is not."""

    def find(part):
        path = pathlib.Path(os.environ.get("MOSAIC_SHARED") or ROOT.parent / "shared") / part
        if not path.exists():
            pytest.skip(f"{path} is not there; MOSAIC_SHARED names the folder of reference data")
        return path

    return find


@pytest.fixture(scope="session", autouse=True)
def provenance(record_testsuite_property):
    """Where figures come from that tests record for docs/RESULTS.md (`benchmarks/`)."""
    record_testsuite_property("machine", json.dumps(machine()))


@pytest.fixture(scope="session", autouse=True)
def records(tmp_path_factory):
    """Prepared records go to a folder of this session, not to the home directory."""
    before = os.environ.get("TFDS_DATA_DIR")
    folder = tmp_path_factory.mktemp("tfds")
    os.environ["TFDS_DATA_DIR"] = str(folder)
    yield folder
    if before is None:
        del os.environ["TFDS_DATA_DIR"]
    else:
        os.environ["TFDS_DATA_DIR"] = before
