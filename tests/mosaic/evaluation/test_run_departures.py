"""Runs that depart from a published recipe, and faithful ones: by their whole configuration."""

import json

import pytest

import mosaic.training.train_loop  # noqa: F401 - registers what gin files bind
from mosaic import config
from mosaic.evaluation import run_departures
from mosaic.export import tflite
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils import gin_text
from mosaic.utils.errors import UserError
from mosaic.utils.run_layout import CONFIG, RECORD

GIVEN = ("DATA_DIR = 'here'", "INIT_CHECKPOINT = 'backbone'")
EXPERIMENTS = (
    *("mosaic_cityscapes", "mosaic_cityscapes_paper", "mosaic_cityscapes_qat"),
    *("deeplabv3plus_mnv2_cityscapes", "deeplabv3plus_r101_cityscapes"),
    *("deeplabv3_r101_pascal", "deeplabv3plus_r101_pascal", "deeplabv3_mnv2_pascal"),
)


def configured(experiment, *bindings):
    """The parameters of an experiment that is configured with further bindings."""
    config.parse([config.find(experiment)], [*GIVEN, *bindings])
    return config.current_parameters()


def departing(experiment, *bindings):
    """The names of the parameters in which such a run departs from the experiment."""
    run = configured(experiment, *bindings)
    return {entry["setting"] for entry in run_departures.departures(experiment, run)}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_as_it_stands_is_faithful(experiment):
    assert departing(experiment) == set()


@pytest.mark.parametrize(
    "binding",
    [
        "SEED = 7",
        "DETERMINISTIC = True",
        "runtime.devices = ('GPU:0', 'GPU:1')",
        "train.steps_per_log = 50",
        "train.max_to_keep = 9",
        "Evaluation.num_pictures = 0",
    ],
)
def test_what_decides_no_result_is_faithful(binding):
    assert departing("mosaic_cityscapes", binding) == set()


@pytest.mark.parametrize(
    ("binding", "settings"),
    [
        ("mosaic.synchronized_norm = False", {"mosaic.synchronized_norm"}),
        ("mosaic.norm_momentum = 0.9", {"mosaic.norm_momentum"}),
        ("mosaic.norm_epsilon = 0.1", {"mosaic.norm_epsilon"}),
        ("mosaic.backbone = 'MobileNetV2'", {"mosaic.backbone"}),
        ("mosaic.decoder_filters = 32", {"mosaic.decoder_filters"}),
        ("mosaic.kernel_sizes = (3, 3)", {"mosaic.kernel_sizes"}),
        ("mosaic.shared_group_convs = False", {"mosaic.shared_group_convs"}),
        ("sgd.nesterov = True", {"sgd.nesterov"}),
        ("sgd.clipnorm = 1.0", {"sgd.clipnorm"}),
        ("polynomial_decay.steps = 50000", {"polynomial_decay.steps"}),
        ("polynomial_decay.end_learning_rate = 0.01", {"polynomial_decay.end_learning_rate"}),
        ("polynomial_decay.power = 2.0", {"polynomial_decay.power"}),
        ("linear_warmup.learning_rate = 0.05", {"linear_warmup.learning_rate"}),
        ("EVAL_INTERVAL = 9", {"train.eval_interval"}),
        ("EVAL_INTERVAL = 100000", {"train.eval_interval"}),
        ("train.init_prefixes = ('',)", {"train.init_prefixes"}),
        ("Augment.pad_color = (0, 0, 0)", {"Augment.pad_color"}),
        ("Evaluation.split = 'test'", {"Evaluation.split"}),
        ("CrossEntropy.normalization = 'replica'", {"CrossEntropy.normalization"}),
        ("sgd.learning_rate = @polynomial_decay()", {"sgd.learning_rate"}),
    ],
)
def test_a_run_of_other_settings_departs(binding, settings):
    assert departing("mosaic_cityscapes", binding) == settings


@pytest.mark.parametrize(
    "binding",
    [
        "deeplab.backbone = 'DilatedResNet50'",
        "dilated_resnet.se_ratio = 0.0",
        "dilated_resnet.stochastic_depth = 0.0",
        "deeplab.image_pooling = False",
    ],
)
def test_a_resnet_of_other_parts_departs(binding):
    found = departing("deeplabv3plus_r101_cityscapes", binding)
    assert found == {binding.partition(" ")[0]}


@pytest.mark.parametrize(
    "binding",
    [
        "BATCH_SIZE = 4",
        "polynomial_decay.power = 2.0",
        "sgd.momentum = 0.0",
        "mosaic.dropout = 0.5",
    ],
)
def test_quantization_aware_training_of_another_recipe_departs(binding):
    assert len(departing("mosaic_cityscapes_qat", binding)) == 1


def test_another_network_departs():
    found = departing("mosaic_cityscapes", "train.model = @deeplab()", "deeplab.num_classes = 19")
    assert {"train.model", "deeplab.num_classes"} <= found


def test_what_a_run_did_not_use_departs():
    run = configured("mosaic_cityscapes")
    run = {name: value for name, value in run.items() if not name.startswith("linear_warmup.")}
    found = run_departures.departures("mosaic_cityscapes", run)
    assert {entry["here"] for entry in found} == {run_departures.NOT_USED}


def test_a_parameter_at_its_default_is_faithful():
    run = {**configured("mosaic_cityscapes"), "mosaic.decoder_filters": 64}
    assert run_departures.departures("mosaic_cityscapes", run) == []


@pytest.mark.parametrize("place", ["", "ckpt-5", "best_ckpt", "best_ckpt/ckpt-5"])
def test_the_runs_record_counts_not_the_command_line(tmp_path, place):
    (tmp_path / "best_ckpt").mkdir()
    (tmp_path / CONFIG).write_text("RATE = 0.5\npolynomial_decay.learning_rate = %RATE\n")
    configured("mosaic_cityscapes")
    found = run_departures.configuration_of(str(tmp_path / place))
    assert found == {"polynomial_decay.learning_rate": 0.5}


def test_a_copied_best_checkpoint_has_its_own_record(tmp_path):
    (tmp_path / CONFIG).write_text("train.seed = 3\n")
    assert run_departures.configuration_of(str(tmp_path)) == {"train.seed": 3}


def test_without_a_record_what_is_configured_counts(tmp_path):
    configured("mosaic_cityscapes", "sgd.momentum = 0.5")
    assert run_departures.configuration_of(str(tmp_path / "x.tflite"))["sgd.momentum"] == 0.5


def test_a_run_of_older_modules_is_read(shared):
    found = run_departures.configuration_of(str(shared("runs/quickstart_2026_11/best_ckpt")))
    assert found["mosaic.norm_momentum"] == 0.97
    assert found["polynomial_decay.steps"] == 1000


RUN = """
RATE = 0.5
train.model = @networks.mosaic()
train.init_checkpoint = '/a/backbone'
cityscapes.data_dir = '/a/data'
polynomial_decay.learning_rate = %RATE
mosaic.bins = (1, 4)
"""


def test_a_record_for_exports_has_values_and_no_paths(tmp_path):
    (tmp_path / CONFIG).write_text(RUN)
    assert json.loads(run_departures.record_of(str(tmp_path))) == {
        "train.model": "mosaic",
        "train.init_checkpoint": "given",
        "polynomial_decay.learning_rate": 0.5,
        "mosaic.bins": [1, 4],
    }


def test_weights_that_others_published_have_no_record(tmp_path):
    configured("mosaic_cityscapes")
    assert run_departures.record_of(str(tmp_path)) is None


def test_a_saved_model_keeps_the_record(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / RECORD).write_text('{"mosaic.bins": [1, 4]}')
    assert run_departures.configuration_of(str(tmp_path)) == {"mosaic.bins": [1, 4]}


def test_a_tflite_file_keeps_the_record(small_network, drawn, tmp_path):
    path = str(tmp_path / "x.tflite")
    options = tflite.TFLiteOptions((64, 96), output="labels")
    tflite.write(small_network, [drawn.images[0]], path, options, record='{"a.b": 1}')
    assert run_departures.configuration_of(TFLiteModel.open(path)) == {"a.b": 1}


def test_an_exported_run_departs_as_its_checkpoint_does(tmp_path):
    """The record's lists and names compare with gin's tuples and references."""
    run = configured("mosaic_cityscapes", "sgd.momentum = 0.5")
    recorded = json.loads(json.dumps({k: gin_text.as_json(v) for k, v in run.items()}))
    found = run_departures.departures("mosaic_cityscapes", recorded)
    assert [entry["setting"] for entry in found] == ["sgd.momentum"]


@pytest.mark.parametrize("text", ["", "[1]", "[" * 9999, "{"])
def test_a_damaged_record_is_told(tmp_path, text):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / RECORD).write_text(text)
    with pytest.raises(UserError, match=r"its configuration\.json is damaged"):
        run_departures.configuration_of(str(tmp_path))
