"""Gin: files and bindings are found, checked, read, saved and compared."""

import pathlib
import re

import gin
import pytest
import tf_keras

import mosaic.training.train_loop  # noqa: F401 - registers what gin files bind
from mosaic import cli, config
from mosaic.evaluation import published, score_checkpoint
from mosaic.training import losses
from mosaic.utils import gin_text, run_layout
from mosaic.utils.errors import UserError

EXPERIMENTS = sorted(path.stem for path in config.CONFIGS.glob("*.gin"))
# The others only score networks that were trained elsewhere.
TRAINED = [name for name in EXPERIMENTS if not name.startswith("ade20k_on_")]

# Values of the macros that some experiments require.
GIVEN = {
    "DATA_DIR": "nowhere",
    "INIT_CHECKPOINT": "nowhere",
    "LABEL_MAP": "camvid",
    "NUM_CLASSES": 11,
    "CROP_SIZE": (64, 64),
}

SMALL = """
import mosaic.training.losses
import mosaic.training.optimizers

LEARNING_RATE = 0.25
STEPS = %gin.REQUIRED

probe.loss = @CrossEntropy()
probe.optimizer = @sgd()
CrossEntropy.ignore_label = 11
CrossEntropy.class_weights = (1.0, 2.0)
sgd.learning_rate = @linear_warmup()
sgd.momentum = 0.8
linear_warmup.schedule = @polynomial_decay()
linear_warmup.steps = 4
polynomial_decay.learning_rate = %LEARNING_RATE
polynomial_decay.steps = %STEPS
"""


@gin.configurable(module="tests")
def probe(model_dir, loss=gin.REQUIRED, optimizer=gin.REQUIRED, name="probe"):
    """Keeps its own configuration, as training does, and returns what it was given."""
    config.save(model_dir)
    return loss, optimizer, name


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.gin"
    path.write_text(SMALL)
    return str(path)


def _fails(function, *arguments):
    """Calls what cannot be done; returns the message, which is one line."""
    with pytest.raises(UserError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _load(files, *bindings):
    config.check_macros(files, bindings)
    config.parse(files, bindings)


def _given(path):
    """Values of the macros that an experiment lacks."""
    return [f"{name} = {GIVEN[name]!r}" for name in config.missing([path], [], list(GIVEN))]


@pytest.mark.parametrize(
    "name", ["quickstart", "quickstart.gin", "models/mosaic", "models/mosaic.gin"]
)
def test_find_in_configs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = config.CONFIGS / name
    assert pathlib.Path(config.find(name)) == expected.with_suffix(".gin")


@pytest.mark.parametrize("name", ["small.gin", "small", "./small.gin"])
def test_find_by_path(small, name, monkeypatch):
    folder = pathlib.Path(small).parent
    monkeypatch.chdir(folder)
    assert pathlib.Path(config.find(name)).samefile(small)
    assert pathlib.Path(config.find(str(folder / name))).samefile(small)


def test_a_file_here_comes_before_one_in_configs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart.gin").write_text("")
    assert pathlib.Path(config.find("quickstart")).samefile("quickstart.gin")


@pytest.mark.parametrize("name", ["quikstart", "quikstart.gin", "runs/quikstart.gin"])
def test_unknown_file(name):
    message = _fails(config.find, name)
    assert message.startswith(f"--gin_file={name}: no such file")
    assert message.endswith("did you mean 'quickstart'?")


@pytest.mark.parametrize("experiment", TRAINED)
def test_experiment(experiment):
    """Every experiment parses, and all that training needs is bound."""
    path = config.find(experiment)
    _load(
        [path], *(f"{name} = {GIVEN[name]!r}" for name in config.missing([path], [], list(GIVEN)))
    )
    for parameter in ("model", "dataset", "loss", "optimizer", "evaluation"):
        assert isinstance(
            gin.query_parameter(f"train.{parameter}"), gin.config.ConfigurableReference
        )
    schedule = config.resolve(gin.query_parameter("sgd.learning_rate"))
    steps = gin.query_parameter("%TRAIN_STEPS")
    assert float(schedule(gin.query_parameter("%WARMUP_STEPS"))) > float(schedule(steps)) == 0
    assert callable(config.build("train.loss"))


@pytest.mark.parametrize("experiment", sorted(set(EXPERIMENTS) - set(TRAINED)))
def test_experiment_without_training(experiment):
    path = config.find(experiment)
    _load([path], "DATA_DIR = 'nowhere'")
    evaluation = config.build("train.evaluation")
    assert len(evaluation.class_map) == config.build("train.model").output_shape[-1]


def test_arguments_of_what_is_bound():
    paths = [config.find("mosaic_cityscapes_paper")]
    _load(paths, "DATA_DIR = 'nowhere'", "INIT_CHECKPOINT = 'nowhere'")
    arguments = config.arguments("train.model")
    assert arguments["bins"] == (4, 8, 16)
    assert arguments["num_classes"] == 19
    assert arguments["normalization"] == "imagenet"
    assert config.value("Augment.crop_size") == (1024, 2048)
    assert config.value("mosaic.nothing") is None


@pytest.mark.parametrize(
    ("experiment", "binding"),
    [("mosaic_cityscapes", "train.model"), ("mosaic_cityscapes_qat", "quantize_aware.model")],
)
def test_the_network_itself(experiment, binding):
    _load([config.find(experiment)], "DATA_DIR = 'nowhere'", "INIT_CHECKPOINT = 'nowhere'")
    assert config.network().endswith(binding)
    assert config.arguments(config.network())["num_classes"] == 19


@pytest.mark.parametrize("experiment", TRAINED)
def test_published_recipes_are_those_of_the_experiments(experiment):
    """An experiment as it stands departs in nothing from what it reproduces."""
    path = config.find(experiment)
    _load(
        [path], *(f"{name} = {GIVEN[name]!r}" for name in config.missing([path], [], list(GIVEN)))
    )
    evaluation = config.build("train.evaluation")
    if evaluation.published is None:
        pytest.skip("it reproduces no published figure")
    row = published.result(evaluation.published)
    run, steps = config.current_parameters(), config.value("train.steps")
    recipe = score_checkpoint._recipe(evaluation.published, run, steps)
    assert published.departures(row.get("recipe", {}), recipe) == []
    if "recipe" in row:
        assert "INIT_CHECKPOINT" in config.missing([path], [])
    assert evaluation.protocol == row["settings"]["protocol"]
    arguments = config.arguments("train.model")
    for name in ("normalization", "output_stride"):
        if name in row["settings"]:
            assert arguments.get(name, 16) == row["settings"][name]


def test_networks_are_compared_by_one_recipe():
    recipes = []
    for file, network in (("mosaic", "mosaic"), ("deeplabv3", "deeplab")):
        path = config.find(f"{file}_camvid_finetune")
        _load([path], "DATA_DIR = 'nowhere'", "INIT_CHECKPOINT = 'nowhere'")
        own = re.compile(rf"#|import |{network}\.|train\.(model|init_prefixes) =")
        recipes.append({line for line in gin.config_str().splitlines() if not own.match(line)})
        assert "train.optimizer = @sgd()" in recipes[-1]
        gin.clear_config()
    assert recipes[0] == recipes[1]


@pytest.mark.parametrize(
    "experiment", ["zoo_xception65_ade20k_multiscale", "deeplabv3_mnv2_pascal", "mosaic_folders"]
)
def test_any_experiment_takes_own_folders(experiment):
    files = [config.find(experiment), config.find("datasets/own_folders")]
    given = {**GIVEN, "NUM_CLASSES": None}
    _load(files, *(f"{name} = {value!r}" for name, value in given.items() if value))
    assert gin.query_parameter("train.dataset").selector.endswith("folders")
    network = gin.query_parameter("train.model").selector.rpartition(".")[2]
    assert config.value(f"{network}.num_classes") == 11  # those of the label map
    assert config.value("train.init_prefixes") == ("",)
    assert callable(config.build("train.loss"))
    evaluation = config.build("train.evaluation")
    assert (evaluation.protocol, evaluation.published) == ("plain", None)
    assert (evaluation.scales, evaluation.flip) == ((1.0,), False)
    assert (evaluation.padded_size, evaluation.input_size) == (None, None)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_head_of_an_experiment_tells_the_command(experiment):
    text = pathlib.Path(config.find(experiment)).read_text()
    head = text.partition("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    # Whoever names one of DeepLab's zoo first wants to score the published checkpoint.
    command = "train" if experiment in TRAINED and not experiment.startswith("zoo_") else "eval"
    assert f"python {command}.py --gin_file={experiment} " in head


def test_unknown_macro():
    message = _fails(config.check_macros, [config.find("quickstart")], ["TRAIN_STEP = 5"])
    assert message.startswith("--gin.TRAIN_STEP: no such macro")
    assert message.endswith("did you mean 'TRAIN_STEPS'?")


def test_macro_that_only_an_included_file_has():
    config.check_macros([config.find("quickstart")], ["SEED = 5"])
    _load([config.find("quickstart")], "SEED = 5")
    assert gin.query_parameter("%SEED") == 5


def test_missing_data_dir_names_the_flag():
    message = _fails(config.check_macros, [config.find("mosaic_camvid")], [])
    assert "DATA_DIR" in message
    assert message.endswith("give --data_dir=DIR")


def test_missing_macro_names_the_flag(small):
    message = _fails(config.check_macros, [small], [])
    assert message == f"{small} needs a value for STEPS; give --gin.STEPS=VALUE"


def test_all_missing_macros_are_named_at_once():
    message = _fails(config.check_macros, [config.find("mosaic_camvid_qat")], [])
    assert message.endswith(
        "needs values for DATA_DIR and INIT_CHECKPOINT; give --data_dir=DIR "
        "--gin.INIT_CHECKPOINT=VALUE"
    )


def test_what_the_data_tells_is_named_beside_what_is_missing():
    files = [config.find("mosaic_folders")]
    message = _fails(config.check_macros, files, ["DATA_DIR = 'x'", "NUM_CLASSES = 3"])
    assert message.endswith(
        "needs a value for LABEL_MAP; give --gin.LABEL_MAP=VALUE; "
        "CROP_SIZE comes from the data: set what it does not tell"
    )


def test_a_macro_in_small_letters_is_told(small):
    message = _fails(config.check_macros, [small], ["STEPS = 3", "learning_rate = 0.1"])
    assert message.startswith("--gin.learning_rate: no such macro")
    assert message.endswith("did you mean 'LEARNING_RATE'?")


@pytest.mark.parametrize(
    "name, told",
    [
        ("LR", "--gin.LEARNING_RATE=VALUE"),
        ("epochs", "--gin.TRAIN_STEPS=VALUE, in steps of BATCH_SIZE images"),
        ("freeze", "--gin.train.frozen_prefixes=VALUE"),
        ("Epochs", "--gin.TRAIN_STEPS=VALUE, in steps of BATCH_SIZE images"),
    ],
)
def test_a_macro_of_another_program_is_told_as_it_is_called_here(name, told):
    message = _fails(config.check_macros, [config.find("quickstart")], [f"{name} = 3"])
    assert message.startswith(f"--gin.{name}: no such macro")
    assert message.endswith(f"; it is called otherwise: write {told}")


def test_brackets_without_end_are_told(small, tmp_path):
    path = tmp_path / "deep.gin"
    path.write_text("A = " + "[" * 3000)
    message = _fails(config.statements, [str(path)])
    assert message == f"gin: {path}: brackets nested too deep"


def test_a_parameter_without_its_configurable_is_told(small):
    message = _fails(config.check_macros, [small], ["patience = 3"])
    assert message.endswith("it is a setting: write --gin.train.patience=VALUE")


def test_a_parameters_own_name_goes_before_another_programs(small):
    message = _fails(config.check_macros, [small], ["input_size = 3"])
    assert message.endswith("it is a setting: write --gin.Evaluation.input_size=VALUE")
    assert config.settings_meant("input_size") == ["Evaluation.input_size"]
    assert config.settings_meant("classes") == ["NUM_CLASSES"]  # not ade20k's
    assert config.settings_meant("classes", ["STEPS"]) == ["ade20k.classes"]
    assert config.settings_meant("model_dir") == []


def test_every_parameter_that_gin_configures_is_found_in_the_source():
    gin.get_configurable("train")
    for selector, found in gin.config._REGISTRY.items():
        if found.wrapped.__module__.split(".")[0] in ("mosaic", "data"):
            name = selector.rpartition(".")[2]
            for parameter in config.parameters(name):
                assert f"{name}.{parameter}" in config.settings_called(parameter)


@pytest.mark.parametrize("where", ["binding", "later file", "including file"])
def test_required_macro_that_is_given(small, tmp_path, where):
    files, bindings = [small], []
    if where == "binding":
        bindings = ["STEPS = 9"]
    elif where == "later file":
        (tmp_path / "later.gin").write_text("STEPS = 9\n")
        files = [small, str(tmp_path / "later.gin")]
    else:
        (tmp_path / "outer.gin").write_text(f"include '{small}'\nSTEPS = 9\n")
        files = [str(tmp_path / "outer.gin")]
    _load(files, *bindings)
    assert gin.query_parameter("%STEPS") == 9


def test_later_bindings_win(small, tmp_path):
    later = tmp_path / "later.gin"
    later.write_text("STEPS = 5\nsgd.momentum = 0.7\nCrossEntropy.top_k = 0.5\n")
    bindings = ["STEPS = 6", "sgd.momentum = 0.6", "STEPS = 7"]
    _load([small, str(later)], *bindings)
    assert gin.query_parameter("%STEPS") == 7
    assert gin.query_parameter("sgd.momentum") == 0.6
    assert gin.query_parameter("CrossEntropy.top_k") == 0.5
    assert gin.query_parameter("CrossEntropy.ignore_label") == 11


@pytest.mark.parametrize(
    "binding, parts",
    [
        ("CrossEntrpy.top_k = 0.5", ["CrossEntrpy", "did you mean 'CrossEntropy'?"]),
        ("probe.loss = @CrossEntrpy()", ["CrossEntrpy", "did you mean 'CrossEntropy'?"]),
        ("CrossEntropy.top_q = 0.5", ["'top_q'", "CrossEntropy", "did you mean 'top_k'?"]),
        ("CrossEntropy.top_k = (1", ["gin: "]),
        ("CrossEntropy.top_k = %NOWHERE", ["NOWHERE"]),
    ],
)
@pytest.mark.parametrize("where", ["binding", "file"])
def test_unknown_name(small, binding, parts, where):
    bindings = ["STEPS = 9"]
    if where == "file":
        pathlib.Path(small).write_text(f"{SMALL}\n{binding}\n")
    else:
        bindings.append(binding)
    with pytest.raises(UserError) as caught:
        _load([small], *bindings)
        probe(str(pathlib.Path(small).parent))
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_file_included_from_beside_the_including_one(small, tmp_path):
    (tmp_path / "inner.gin").write_text("STEPS = 3\n")
    (tmp_path / "outer.gin").write_text(f"include '{small}'\ninclude 'inner.gin'\n")
    _load([str(tmp_path / "outer.gin")])
    assert gin.query_parameter("%STEPS") == 3


def test_a_missing_included_file_is_told_with_the_including_one(small):
    pathlib.Path(small).write_text("include 'models/mosiac.gin'\n")
    message = _fails(config.check_macros, [small], [])
    assert message.startswith(f"{small}: include 'models/mosiac.gin': no such file")


@pytest.mark.parametrize("content", [b"\x93\xff\x00\x81", "X = 1".encode("utf-16"), b"a\0b"])
def test_a_file_that_is_no_text_is_named_with_the_including_one(tmp_path, content):
    (tmp_path / "inner.gin").write_bytes(content)
    (tmp_path / "outer.gin").write_text("include 'inner.gin'\n")
    message = _fails(_load, [str(tmp_path / "outer.gin")])
    assert message.startswith(f"{tmp_path / 'inner.gin'}: not a gin file")
    assert message.endswith(f"(included by {tmp_path / 'outer.gin'})")


@pytest.mark.parametrize("names", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_files_that_include_each_other_are_named(tmp_path, names):
    for name, included in zip(names, [*names[1:], names[0]]):
        (tmp_path / f"{name}.gin").write_text(f"include '{included}.gin'\n")
    for function, more in ((config.check_macros, ([],)), (config.parse, ([],))):
        message = _fails(function, [str(tmp_path / "a.gin")], *more)
        assert message.startswith(f"{tmp_path / names[-1]}.gin: include '")
        assert "a.gin' never ends" in message


def test_a_file_may_be_included_twice(small, tmp_path):
    (tmp_path / "a.gin").write_text(f"include '{small}'\nSTEPS = 3\n")
    (tmp_path / "outer.gin").write_text("include 'a.gin'\ninclude 'a.gin'\n")
    _load([str(tmp_path / "outer.gin")])
    assert gin.query_parameter("%STEPS") == 3


def test_a_byte_order_mark_is_read_over(small, tmp_path):
    text = f"include '{small}'\r\nSTEPS = 3\r\n"
    (tmp_path / "inner.gin").write_text(text, encoding="utf-8-sig", newline="")
    (tmp_path / "outer.gin").write_text("include 'inner.gin'\n", encoding="utf-8-sig")
    _load([str(tmp_path / "outer.gin")])
    assert gin.query_parameter("%STEPS") == 3


def test_text_without_quotes_is_told_with_file_and_line(small):
    with open(small, "a") as file:
        file.write("LABELS = cases/labels.json\n")
    line = len(SMALL.splitlines()) + 1
    message = _fails(config.check_macros, [small], [])
    assert message.startswith(f"gin: {small}, line {line}: LABELS = cases/labels.json")


def test_a_bracket_that_nothing_closes_is_told_with_both_files(small, tmp_path):
    pathlib.Path(small).write_text("STEPS = (1\n")
    (tmp_path / "outer.gin").write_text(f"include '{small}'\n")
    message = _fails(_load, [str(tmp_path / "outer.gin")])
    assert message.startswith(f"gin: {small}: ")
    assert message.endswith(f"(included by {tmp_path / 'outer.gin'})")


def test_an_unknown_name_is_told_with_file_and_line(small):
    with open(small, "a") as file:
        file.write("STEPS = 3\nsgd.momentun = 0.5\n")
    line = len(SMALL.splitlines()) + 2
    assert f"{small}, line {line}: 'sgd' has no parameter 'momentun'" in _fails(_load, [small])


def test_a_run_of_older_modules_is_configured(shared, tmp_path):
    """A run's config.gin imports modules by the names that they had when it was made."""
    saved = str(shared("runs/quickstart_2026_11") / run_layout.CONFIG)
    assert "import mosaic.network as mosaic2" in pathlib.Path(saved).read_text()
    _load([saved])
    assert config.arguments("train.model")["bins"] == (1, 4, 8)
    assert config.literals(saved, "mosaic")["norm_momentum"] == 0.97


def test_missing_included_file(small):
    pathlib.Path(small).write_text("include 'models/mosiac.gin'\n")
    assert "models/mosiac.gin" in _fails(_load, [small])


def test_missing_imported_module(small):
    pathlib.Path(small).write_text("import mosaic.nothing\n")
    assert "mosaic.nothing" in _fails(_load, [small])


def test_required_parameter_is_one_line(small, tmp_path):
    """What gin raises only when it calls, as the command line shows it."""
    pathlib.Path(small).write_text("probe.loss = @CrossEntropy()\n")
    _load([small])
    with pytest.raises(RuntimeError) as caught:
        probe(str(tmp_path))
    code, line = cli.explain(caught.value)
    assert code == 2
    assert "\n" not in line
    assert "probe" in line
    assert "optimizer" in line


def test_build(small):
    _load([small], "STEPS = 9")
    loss = config.build("probe.loss")
    assert isinstance(loss, losses.CrossEntropy)
    assert loss.ignore_label == 11
    assert "probe.name" in _fails(config.build, "probe.name")


def test_resolve(small):
    _load([small], "STEPS = 9", "probe.name = @CrossEntropy")
    assert config.resolve(3) == 3
    made = config.resolve(gin.query_parameter("probe.name"))
    assert not isinstance(made, losses.CrossEntropy)
    assert isinstance(made(), losses.CrossEntropy)


def test_saved_configuration_alone_builds_the_same(small, tmp_path):
    _load([small], "STEPS = 9", "LEARNING_RATE = 0.5")
    loss, optimizer, name = probe(str(tmp_path / "first"))
    saved = tmp_path / "first" / run_layout.CONFIG
    pathlib.Path(small).unlink()

    gin.clear_config()
    _load([str(saved)])
    again_loss, again_optimizer, again_name = probe(str(tmp_path / "second"))
    assert (tmp_path / "second" / run_layout.CONFIG).read_text() == saved.read_text()
    assert vars(again_loss) == vars(loss)
    assert loss.class_weights == (1.0, 2.0)
    assert again_name == name == "probe"
    assert isinstance(again_optimizer, tf_keras.optimizers.legacy.SGD)
    assert again_optimizer.get_config()["momentum"] == 0.8
    for step in (0, 2, 4, 8):
        expected = float(optimizer.learning_rate(step))
        assert float(again_optimizer.learning_rate(step)) == expected
    assert float(optimizer.learning_rate(4)) == pytest.approx(0.5 * (1 - 4 / 9) ** 0.9)


def test_changes_since_a_run_was_configured(small, tmp_path):
    _load([small], "STEPS = 9")
    assert config.changes(str(tmp_path)) == []
    probe(str(tmp_path))
    assert config.changes(str(tmp_path)) == []
    gin.clear_config()
    _load([small], "STEPS = 10", "sgd.momentum = 0.5")
    probe(str(tmp_path / "other"))
    expected = [("STEPS", "9", "10"), ("sgd.momentum", "0.8", "0.5")]
    assert config.changes(str(tmp_path)) == expected


def test_references_are_spoken_of_by_their_names(small):
    _load([small], "STEPS = 9")
    run = {k: gin_text.as_json(v) for k, v in config.current_parameters().items()}
    assert run["linear_warmup.schedule"] == "polynomial_decay"
    assert run["polynomial_decay.steps"] == 9
    assert config.default("sgd.nesterov") is False


def test_literals_of_a_saved_configuration(small, tmp_path):
    _load([small], "STEPS = 9", f"probe.name = {'x' * 90!r}")
    probe(str(tmp_path))
    saved = str(tmp_path / run_layout.CONFIG)
    assert "\\\n" in pathlib.Path(saved).read_text()
    assert config.literals(saved, "probe") == {"name": "x" * 90}
    assert config.literals(saved, "polynomial_decay")["steps"] == 9
    assert config.literals(saved, "CrossEntropy")["class_weights"] == (1.0, 2.0)
    assert config.literals(saved, "nothing") == {}


def test_saved_configuration_takes_new_bindings(small, tmp_path):
    _load([small], "STEPS = 9")
    probe(str(tmp_path))
    gin.clear_config()
    _load([str(tmp_path / run_layout.CONFIG)], "LEARNING_RATE = 0.125")
    _, optimizer, _ = probe(str(tmp_path))
    assert float(optimizer.learning_rate(0)) == 0
    assert float(optimizer.learning_rate(4)) == pytest.approx(0.125 * (1 - 4 / 9) ** 0.9)


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3),
        ("1e-4", 1e-4),
        ("-0.5", -0.5),
        ("None", None),
        ("(0.5, 2.0)", (0.5, 2.0)),
        ("{'a': [1]}", {"a": [1]}),
        ("runs/a/ckpt-1", "runs/a/ckpt-1"),
        ("'it''s'", "its"),
        ("a # b", "a # b"),
        ("010", "010"),
        ("0.5,2.0", (0.5, 2.0)),
    ],
)
def test_value_on_the_command_line(small, text, value):
    """Whatever `split_bindings` makes of a value, gin can read."""
    _, bindings = cli.split_bindings(["--gin.STEPS=9", f"--gin.probe.name={text}"])
    _load([small], *bindings)
    assert gin.query_parameter("probe.name") == value


def test_reference_inside_a_value_on_the_command_line(small):
    _, bindings = cli.split_bindings(["--gin.STEPS=9", "--gin.probe.name=(1, %LEARNING_RATE)"])
    _load([small], *bindings)
    value = gin.query_parameter("probe.name")
    assert isinstance(value, tuple)
    assert isinstance(value[1], gin.config.ConfigurableReference)


def test_an_optimizer_without_its_rate_is_told_with_the_binding():
    config.parse([config.find("quickstart")], ["train.optimizer = @adamw()"])
    with pytest.raises(TypeError) as caught:
        config.build("train.optimizer")
    code, line = cli.explain(caught.value)
    assert code == 2
    assert line == (
        "gin: adamw needs values for ['learning_rate']; set them: --gin.adamw.learning_rate=VALUE"
    )


def test_the_folder_of_a_run_is_no_setting():
    with pytest.raises(UserError, match=r"train\.model_dir: .* give --model_dir=DIR"):
        config.parse([config.find("quickstart")], ["train.model_dir = 'runs/x'"])
