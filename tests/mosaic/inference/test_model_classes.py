"""Where the names of classes are found: in a file, or beside it."""

import pytest

from mosaic.inference import model_classes
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite.model_file import TFLiteModel, opened
from mosaic.utils import class_names
from tflite_files import convert, tiny_network


@pytest.fixture(scope="module")
def network():
    return tiny_network()


@pytest.fixture(scope="module")
def content(network):
    return convert(network)


def test_files_without_names_are_searched_for_beside(network, content, drawn, tmp_path):
    path = tmp_path / "network.tflite"
    for bare in (content, tflite_metadata.add(content, network)):
        path.write_bytes(bare)
        assert tflite_metadata.read(TFLiteModel.open(path)).classes is None
        assert model_classes.find(opened(str(path))) is None
    class_names.save(str(tmp_path), drawn)
    assert model_classes.find(opened(str(path))).class_names == drawn.class_names


def test_classes_lie_beside_a_run(tmp_path, drawn):
    (tmp_path / "best_ckpt").mkdir()
    assert model_classes.find(opened(str(tmp_path))) is None
    class_names.save(str(tmp_path), drawn)
    for path in (tmp_path, tmp_path / "best_ckpt", tmp_path / "best_ckpt" / "ckpt-7"):
        found = model_classes.find(opened(str(path)))
        assert found.class_names == drawn.class_names
        assert found.colors == drawn.colors
