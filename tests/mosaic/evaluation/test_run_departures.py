"""Runs that depart from a published recipe, and faithful ones: by configuration and record."""

import json

import gin
import pytest

import mosaic.training.train_loop  # noqa: F401 - registers what gin files bind
from mosaic import config
from mosaic.checkpoints import run_record
from mosaic.checkpoints.run_record import Entry, Record
from mosaic.evaluation import run_departures
from mosaic.utils import gin_text

GIVEN = ("DATA_DIR = 'here'", "INIT_CHECKPOINT = 'backbone'")
EXPERIMENTS = (
    *("mosaic_cityscapes", "mosaic_cityscapes_paper", "mosaic_cityscapes_qat"),
    *("deeplabv3plus_mnv2_cityscapes", "deeplabv3plus_r101_cityscapes"),
    *("deeplabv3_r101_pascal", "deeplabv3plus_r101_pascal", "deeplabv3_mnv2_pascal"),
)


def configured(experiment, *bindings):
    """The parameters of an experiment that is configured with further bindings."""
    gin.clear_config()
    config.parse([config.find(experiment)], [*GIVEN, *bindings])
    return config.current_parameters()


def departing(experiment, *bindings):
    """The names of the parameters in which such a run departs from the experiment."""
    run = configured(experiment, *bindings)
    return {item["setting"] for item in run_departures.departures(experiment, run)}


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
        "train.recompute = True",
    ],
)
def test_what_decides_no_result_is_faithful(binding):
    assert departing("mosaic_cityscapes", binding) == set()


@pytest.mark.parametrize(
    ("binding", "settings"),
    [
        ("mosaic.synchronized_norm = False", {"mosaic.synchronized_norm"}),
        ("train.accumulation_steps = 2", {"train.accumulation_steps"}),
        ("train.patience = 5", {"train.patience"}),
        ("train.hours = 8", {"train.hours"}),
        ("train.average_decay = 0.999", {"train.average_decay"}),
        ("train.frozen_prefixes = ('backbone_',)", {"train.frozen_prefixes"}),
        ("runtime.precision = 'mixed_bfloat16'", {"runtime.precision"}),
        ("runtime.compile = True", {"runtime.compile"}),
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
    settings = departing("deeplabv3plus_r101_cityscapes", binding)
    assert settings == {binding.partition(" ")[0]}


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
    settings = departing(
        "mosaic_cityscapes", "train.model = @deeplab()", "deeplab.num_classes = 19"
    )
    assert {"train.model", "deeplab.num_classes"} <= settings


def test_what_a_run_did_not_use_departs():
    run = configured("mosaic_cityscapes")
    run = {name: value for name, value in run.items() if not name.startswith("linear_warmup.")}
    differences = run_departures.departures("mosaic_cityscapes", run)
    assert {item["here"] for item in differences} == {run_departures.NOT_USED}


def test_a_parameter_at_its_default_is_faithful():
    run = {**configured("mosaic_cityscapes"), "mosaic.decoder_filters": 64}
    assert run_departures.departures("mosaic_cityscapes", run) == []


def test_an_exported_run_departs_as_its_checkpoint_does(tmp_path):
    """The record's lists and names compare with gin's tuples and references."""
    run = configured("mosaic_cityscapes", "sgd.momentum = 0.5")
    recorded = json.loads(json.dumps({k: gin_text.as_json(v) for k, v in run.items()}))
    differences = run_departures.departures("mosaic_cityscapes", recorded)
    assert [item["setting"] for item in differences] == ["sgd.momentum"]


TRAIN = {"images": 2975, "fingerprint": "f"}
BACKBONE = {"holds": "a backbone", "digest": "d", "classes": None, "run": None}
FLOAT_RUN = {**BACKBONE, "holds": "a network", "run": {"dataset": "cityscapes", "step": 91000}}


def entry(experiment, step=0, bindings=(), train=TRAIN, start=BACKBONE):
    """An entry of the record of such a run."""
    used = run_record.portable(configured(experiment, *bindings))
    data = {"dataset": "cityscapes", "classes": 19, "splits": {"train": train}}
    return Entry(used, step, data, start)


def found(*entries, experiment="mosaic_cityscapes", steps=100000, **record):
    return run_departures.of_run(experiment, Record(entries, **record), steps)


def departing_by(*entries, **settings):
    return [item["setting"] for item in found(*entries, **settings).departures]


def test_a_recorded_run_is_faithful_and_its_start_is_told_as_not_known():
    result = found(entry("mosaic_cityscapes"))
    assert result.departures == []
    assert result.not_known == ["train.init_checkpoint (a backbone, digest d)"]


def test_a_run_that_was_resumed_is_faithful():
    entries = [entry("mosaic_cityscapes", step) for step in (0, 30000, 20000, 70000)]
    assert found(*entries).departures == []


def test_quantization_aware_training_of_an_own_network_is_faithful():
    first = entry("mosaic_cityscapes_qat", start=FLOAT_RUN)
    result = found(first, experiment="mosaic_cityscapes_qat", steps=20000)
    assert result == run_departures.Found([], [])


def test_quantization_aware_training_of_what_had_it_already_departs():
    start = {**BACKBONE, "holds": "a network", "format": "garden_qat"}
    key = "mosaic_cityscapes_qat"
    (departure,) = found(entry(key, start=start), experiment=key, steps=20000).departures
    assert departure["here"] == "a network after quantization-aware training"


def test_settings_of_the_first_steps_depart():
    entries = (
        entry("mosaic_cityscapes", 0, ["sgd.momentum = 0.5"]),
        entry("mosaic_cityscapes", 99000),
    )
    assert departing_by(*entries) == ["sgd.momentum (steps 0 to 99000)"]


def test_settings_of_the_last_steps_depart():
    entries = (
        entry("mosaic_cityscapes"),
        entry("mosaic_cityscapes", 99000, ["sgd.momentum = 0.5"]),
    )
    assert departing_by(*entries) == ["sgd.momentum"]


def test_settings_of_steps_that_were_done_again_are_faithful():
    """The run went back to a checkpoint from before the change."""
    other = entry("mosaic_cityscapes", 50000, ["sgd.momentum = 0.5"])
    entries = (entry("mosaic_cityscapes"), other, entry("mosaic_cityscapes", 40000))
    assert departing_by(*entries) == []


@pytest.mark.parametrize(
    ("start", "here"),
    [
        ({**BACKBONE, "holds": "a network"}, "a network"),
        (
            {**BACKBONE, "run": FLOAT_RUN["run"]},
            "trained by this project on cityscapes, 91000 steps",
        ),
        (FLOAT_RUN, "a network trained by this project"),
    ],
)
def test_a_start_from_a_trained_network_departs(start, here):
    (departure,) = found(entry("mosaic_cityscapes", start=start)).departures
    assert departure["setting"] == "train.init_checkpoint"
    assert here in departure["here"]


@pytest.mark.parametrize(("classes", "departs"), [(21, False), (None, False), (19, True)])
def test_a_start_from_a_network_of_the_same_classes_departs(classes, departs):
    """One that was trained on COCO has others."""
    key = "deeplabv3plus_mnv2_cityscapes"
    start = {**BACKBONE, "holds": "a network", "classes": classes}
    assert bool(departing_by(entry(key, start=start), experiment=key)) == departs


def test_a_third_of_the_training_images_departs():
    first = entry("mosaic_cityscapes", train={**TRAIN, "images": 991})
    assert departing_by(first) == ["training images"]


def test_other_training_images_on_the_way_depart():
    entries = (
        entry("mosaic_cityscapes"),
        entry("mosaic_cityscapes", 500, train={**TRAIN, "images": 3}),
    )
    assert departing_by(*entries) == ["training images (from step 500)"]
    entries = (
        entry("mosaic_cityscapes"),
        entry("mosaic_cityscapes", 500, train={**TRAIN, "fingerprint": "g"}),
    )
    assert departing_by(*entries) == ["training images"]


@pytest.mark.parametrize(("is_best", "expected"), [(True, ["checkpoint"]), (False, []), (None, [])])
def test_the_best_of_a_run_departs_where_the_last_is_published(is_best, expected):
    key = "deeplabv3plus_r101_cityscapes"
    assert departing_by(entry(key), experiment=key, is_best=is_best) == expected


def test_what_ran_before_the_record_is_not_known():
    assert "the run's record before step 500" in found(entry("mosaic_cityscapes", 500)).not_known


@pytest.mark.parametrize("entries", [(), (Entry({"train.init_checkpoint": "given"}),)])
def test_a_run_without_a_record_is_told(entries):
    configured("mosaic_cityscapes")
    assert found(*entries).not_known == ["the run's record", "train.init_checkpoint"]


def test_the_last_steps_configuration_counts():
    entries = [Entry({"a.b": value}, step) for value, step in ((1, 0), (2, 50), (3, 200))]
    assert run_departures.configuration(Record(entries), 100) == {"a.b": 2}
    assert run_departures.configuration(Record(entries), None) == {"a.b": 3}


def test_without_a_record_what_is_configured_counts():
    configured("mosaic_cityscapes", "sgd.momentum = 0.5")
    assert run_departures.configuration(Record(), None)["sgd.momentum"] == 0.5


def test_runs_that_differ_in_seeds_alone_have_one_identity():
    def identity(*bindings, steps=100000, more=()):
        entries = (entry("mosaic_cityscapes", 0, bindings), *more)
        return run_departures.identity(Record(entries), steps)

    plain, other = identity(), identity("SEED = 7")
    assert plain["experiment"] == other["experiment"]
    assert (plain["seed"], other["seed"], plain["steps"]) == (0, 7, 100000)
    resumed = identity(more=[entry("mosaic_cityscapes", 500)])
    assert resumed["experiment"] == plain["experiment"]
    changed = entry("mosaic_cityscapes", 500, ["sgd.momentum = 0.5"])
    others = [identity("sgd.momentum = 0.5"), identity(more=[changed]), identity(steps=90000)]
    assert len({plain["experiment"], *(one["experiment"] for one in others)}) == 4
