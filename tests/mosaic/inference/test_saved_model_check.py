"""SavedModels that use files or run code are refused before anything of them runs."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf
import tf_keras
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from mosaic.inference import saved_model_check
from mosaic.inference.file_predictors import SavedModelPredictor
from mosaic.utils.errors import UserError

IMAGES = [tf.TensorSpec([None, None, None, 3], tf.float32)]


class _Network(tf.Module):
    """One variable, and an operation that is `extra`."""

    def __init__(self, extra=None):
        super().__init__()
        self.scale = tf.Variable([1.0, 2.0, 3.0])
        self._extra = extra or (lambda: None)

    @tf.function(input_signature=IMAGES)
    def __call__(self, images):
        self._extra()
        return images * self.scale


def _save(folder, extra=None):
    module = _Network(extra)
    tf.saved_model.save(module, str(folder), signatures=module.__call__)
    return str(folder)


def _edit(folder, change):
    """Rewrites saved_model.pb by `change`, a function of its only graph."""
    file = os.path.join(folder, "saved_model.pb")
    with open(file, "rb") as content:
        model = SavedModel.FromString(content.read())
    change(model.meta_graphs[0])
    with open(file, "wb") as content:
        content.write(model.SerializeToString())


def _refused(folder):
    with pytest.raises(UserError, match=r"has the operation \w+ .*--allow_code") as error:
        saved_model_check.check(folder, "x")
    return str(error.value).split("the operation ")[1].split()[0]


@pytest.mark.parametrize(
    "name, extra",
    [
        ("WriteFile", lambda p: tf.io.write_file(p, "x")),
        ("ReadFile", lambda p: tf.print(tf.io.read_file(p))),
        ("MatchingFiles", lambda p: tf.print(tf.io.matching_files(p))),
        ("PrintV2", lambda p: tf.print("x", output_stream=f"file://{p}")),
        ("EagerPyFunc", lambda p: tf.py_function(lambda: 0, [], tf.int32)),
        ("PyFunc", lambda p: tf.numpy_function(lambda: 0, [], tf.int64)),
        (
            "SaveV2",
            lambda p: tf.raw_ops.SaveV2(
                prefix=p, tensor_names=["a"], shape_and_slices=[""], tensors=[tf.zeros(2)]
            ),
        ),
        (
            "SaveSlices",
            lambda p: tf.raw_ops.SaveSlices(
                filename=p, tensor_names=["a"], shapes_and_slices=[""], data=[tf.zeros(2)]
            ),
        ),
        (
            "RestoreV2",
            lambda p: tf.raw_ops.RestoreV2(
                prefix=p, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
            ),
        ),
        (
            "MergeV2Checkpoints",
            lambda p: tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=[p], destination_prefix=p),
        ),
        ("TextLineDataset", lambda p: tf.data.TextLineDataset(p).reduce(0, lambda n, _: n)),
        ("TFRecordDataset", lambda p: tf.data.TFRecordDataset(p).reduce(0, lambda n, _: n)),
        ("WholeFileReaderV2", lambda p: tf.raw_ops.WholeFileReaderV2()),
        ("DumpTensor", None),
        ("Abort", None),
        ("RemoteCall", None),
        ("DatasetFromGraph", None),
    ],
)
def test_operations_that_do_more_than_compute_are_named(tmp_path, name, extra):
    folder = _save(tmp_path / "model", extra and (lambda: extra(str(tmp_path / "made"))))
    if extra is None:
        _edit(folder, lambda g: g.graph_def.library.function[0].node_def.add(name="x", op=name))
    assert _refused(folder) == name
    assert not (tmp_path / "made").exists()


def test_nothing_of_a_refused_model_runs(tmp_path):
    made = tmp_path / "made"
    folder = _save(tmp_path / "model", lambda: tf.io.write_file(str(made), "x"))
    with pytest.raises(UserError, match="WriteFile"):
        SavedModelPredictor(folder)
    assert not made.exists()
    SavedModelPredictor(folder, allow_code=True).run(tf.zeros([1, 8, 8, 3], tf.uint8))
    assert made.exists()


def test_functions_of_functions_count(tmp_path):
    @tf.function
    def inner():
        tf.io.write_file(str(tmp_path / "made"), "x")
        return 1

    folder = _save(tmp_path / "model", lambda: tf.cond(tf.random.uniform([]) < 1, inner, inner))
    assert _refused(folder) == "WriteFile"


def test_what_runs_while_it_is_loaded_counts(tmp_path):
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(_words(tmp_path), tf.string, 0, tf.int64, 1, delimiter=" "), 0
    )
    module = _Network()
    module.table = table
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.__call__)
    assert _refused(str(tmp_path / "model")) == "InitializeTableFromTextFileV2"


def _words(folder):
    (folder / "words").write_text("a 1\n")
    return str(folder / "words")


def test_gradients_count(tmp_path):
    def change(graph):
        function = graph.graph_def.library.function.add()
        function.signature.name = "gradient"
        function.node_def.add(name="x", op="WriteFile")
        name = graph.graph_def.library.function[0].signature.name
        graph.graph_def.library.gradient.add(function_name=name, gradient_func="gradient")

    folder = _save(tmp_path / "model")
    _edit(folder, change)
    assert _refused(folder) == "WriteFile"


@pytest.mark.parametrize("by", ["signature", "method", "name", "gradient"])
def test_the_savers_functions_are_for_the_saver_alone(tmp_path, by):
    def change(graph):
        functions = graph.graph_def.library.function
        saver = next(f.signature.name for f in functions if "traced_save" in f.signature.name)
        if by == "method":
            graph.object_graph_def.concrete_functions[saver].bound_inputs.append(0)
            return
        other = next(f for f in functions if "traced" not in f.signature.name)
        node = other.node_def.add(name="x", op=saver if by == "name" else "PartitionedCall")
        if by == "gradient":
            node.op = "SymbolicGradient"
        if by != "name":
            node.attr["f"].func.name = saver

    folder = _save(tmp_path / "model")
    _edit(folder, change)
    assert _refused(folder) in ("SaveV2", "MergeV2Checkpoints")


def test_a_saver_that_saves_while_it_restores_is_refused(tmp_path):
    def change(graph):
        graph.saver_def.restore_op_name = graph.saver_def.save_tensor_name.partition(":")[0]

    folder = _save(tmp_path / "model")
    _edit(folder, change)
    assert _refused(folder) in ("SaveV2", "MergeV2Checkpoints", "RestoreV2")


def test_a_saver_that_writes_other_files_is_refused(tmp_path):
    def change(graph):
        functions = graph.graph_def.library.function
        saver = next(f for f in functions if "traced_save" in f.signature.name)
        saver.node_def.add(name="x", op="WriteFile")

    folder = _save(tmp_path / "model")
    _edit(folder, change)
    assert _refused(folder) == "WriteFile"


def _of_version_1(folder, extra=None):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        images = v1.placeholder(tf.float32, [None, None, None, 3])
        logits = images * v1.get_variable("scale", [3])
        session.run(v1.global_variables_initializer())
        op = extra() if extra else None
        builder = v1.saved_model.Builder(str(folder))
        signature = v1.saved_model.predict_signature_def({"images": images}, {"logits": logits})
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=op
        )
        builder.save()
    return str(folder)


def test_what_a_model_of_version_1_runs_while_it_is_loaded_counts(tmp_path):
    made = str(tmp_path / "made")
    folder = _of_version_1(tmp_path / "model", lambda: tf.io.write_file(made, "x"))
    assert _refused(folder) == "WriteFile"


@pytest.mark.parametrize("kind", ["plain", "keras", "compiled", "version 1", "printing"])
def test_usual_models_are_loaded(tmp_path, kind):
    folder = str(tmp_path / "model")
    if kind == "version 1":
        _of_version_1(folder)
    elif kind in ("keras", "compiled"):
        model = tf_keras.Sequential([tf_keras.Input([8, 8, 3]), tf_keras.layers.Conv2D(3, 1)])
        if kind == "compiled":
            model.compile("adam", "mse")
            model.fit(tf.zeros([1, 8, 8, 3]), tf.zeros([1, 8, 8, 3]), verbose=0)
        model.save(folder)
    else:
        _save(folder, (lambda: tf.print("x")) if kind == "printing" else None)
    assert SavedModelPredictor(folder).format == "saved_model"


def test_a_text_form_is_checked_too(tmp_path):
    folder = _save(tmp_path / "model", lambda: tf.io.write_file(str(tmp_path / "made"), "x"))
    with open(os.path.join(folder, "saved_model.pb"), "rb") as content:
        text = str(SavedModel.FromString(content.read()))
    os.remove(os.path.join(folder, "saved_model.pb"))
    (tmp_path / "model" / "saved_model.pbtxt").write_text(text)
    assert _refused(folder) == "WriteFile"


def test_a_command_tells_it_in_one_line(root, tmp_path):
    made = tmp_path / "made"
    folder = _save(tmp_path / "model", lambda: tf.io.write_file(str(made), "x"))
    arguments = [f"--model={folder}", f"--images={root}/docs/quickstart.png", "--output_dir=out"]
    result = subprocess.run(
        [sys.executable, str(root / "predict.py"), *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "WriteFile" in result.stderr
    assert not made.exists()
