"""A run's folder: what stays, what goes, and which step counts when a run goes on."""

import pytest
import tensorflow as tf
import tf_keras

from mosaic.checkpoints import run_folder
from mosaic.checkpoints.run_folder import (
    announce_first,
    check_best,
    check_start,
    forget_start,
    prepare,
    set_aside_later,
    tidy,
)
from mosaic.models.variables import Variables
from mosaic.utils.errors import UserError

# What a folder may hold as `checkpoint` that lists none of its checkpoints.
STATES = {
    "missing": None,
    "empty": b"",
    "damaged": b'model_checkpoint_path: "ckpt-',
    "no text": b"\xff\xfe\x00",
    "of others": b'model_checkpoint_path: "ckpt-99"\n',
}


def _put(folder, *names, state=None):
    """Whole checkpoints, as far as their files' names tell, and a state file."""
    for name in names:
        for suffix in ("index", "data-00000-of-00001"):
            (folder / f"{name}.{suffix}").write_text(name)
    if state is not None:
        (folder / "checkpoint").write_bytes(state)


def _names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_checkpoints_that_nothing_lists_stay_and_are_named(tmp_path, state):
    _put(tmp_path, "ckpt-5", "ckpt-12", state=state)
    before = _names(tmp_path)
    with pytest.raises(UserError, match="ckpt-5, ckpt-12 in it, but no state") as caught:
        tidy(str(tmp_path))
    assert "\n" not in str(caught.value)
    assert _names(tmp_path) == before
    # The mend that the message tells.
    line, _, file = str(caught.value).partition(", write ")[2].partition(" into ")
    assert file == str(tmp_path / "checkpoint")
    (tmp_path / "checkpoint").write_text(line)
    tidy(str(tmp_path))
    assert _names(tmp_path) == before | {"checkpoint"}
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-12")


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_what_was_left_half_written_goes(tmp_path, state):
    _put(tmp_path, state=state)
    (tmp_path / "ckpt-7_temp").mkdir()
    for name in ("ckpt-7.data-00000-of-00001", "mean_iou-7.json", "checkpoint.tmp1"):
        (tmp_path / name).touch()
    (tmp_path / "config.gin").touch()
    tidy(str(tmp_path))
    assert _names(tmp_path) == {"config.gin"}


def test_a_whole_checkpoint_stays_beside_those_listed(tmp_path):
    _put(tmp_path, "ckpt-5", "ckpt-12", state=b'model_checkpoint_path: "ckpt-5"\n')
    before = _names(tmp_path)
    tidy(str(tmp_path))
    assert _names(tmp_path) == before
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-5")


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_the_best_is_found_by_its_score(tmp_path, state):
    """A process may be killed between the checkpoint's last byte and its entry in the state."""
    _put(tmp_path, "ckpt-8", "ckpt-16", "ckpt-24", state=state)
    for step in (8, 16):
        (tmp_path / f"mean_iou-{step}.json").touch()
    tidy(str(tmp_path))
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-16")
    assert (tmp_path / "ckpt-24.index").exists()


def test_a_run_killed_at_its_first_checkpoint_goes_on(tmp_path):
    folder = tmp_path / "new"
    announce_first(str(folder))
    tidy(str(folder))
    assert _names(folder) == set()
    announce_first(str(folder))
    _put(folder, "ckpt-0")
    tidy(str(folder))
    assert tf.train.latest_checkpoint(str(folder)) == str(folder / "ckpt-0")


def test_what_a_run_starts_from(tmp_path):
    _put(tmp_path, "ckpt-3")
    for there in (None, "", str(tmp_path), str(tmp_path / "ckpt-3")):
        check_start(str(tmp_path), there)
    with pytest.raises(UserError, match="INIT_CHECKPOINT=ckpt-4: no such file or folder"):
        check_start(str(tmp_path), "ckpt-4")
    # A run that goes on reads its own.
    (tmp_path / "checkpoint").touch()
    check_start(str(tmp_path), "ckpt-4")


def test_files_of_the_users_stay(tmp_path):
    _put(tmp_path, "ckpt-5", state=b'model_checkpoint_path: "ckpt-5"\n')
    (tmp_path / "ckpt-3.bak").mkdir()
    for name in ("ckpt-3.tar.gz", "ckpt-4.txt"):
        (tmp_path / name).touch()
    before = _names(tmp_path)
    (tmp_path / "ckpt-4.data-00000-of-00001").touch()
    (tmp_path / "ckpt-4.index.tempstate123").touch()
    tidy(str(tmp_path))
    assert _names(tmp_path) == before


@pytest.mark.parametrize("step", [0, 10])
def test_a_run_that_got_nowhere_starts_anew(tmp_path, step):
    """From the checkpoint that it is told now, not from what it was told first."""
    _put(tmp_path, f"ckpt-{step}", state=f'model_checkpoint_path: "ckpt-{step}"\n'.encode())
    before = _names(tmp_path)
    forget_start(str(tmp_path))
    assert _names(tmp_path) == (before if step else set())
    forget_start(str(tmp_path / "missing"))


def test_a_best_checkpoint_that_is_not_there_yet_is_set_aside(tmp_path, capsys):
    best = tmp_path / "best_ckpt"
    best.mkdir()
    _put(best, "ckpt-20", state=b'model_checkpoint_path: "ckpt-20"\n')
    _put(tmp_path, "ckpt-20", "ckpt-10", state=b'model_checkpoint_path: "ckpt-20"\n')
    set_aside_later(str(tmp_path))
    assert best.is_dir()
    assert capsys.readouterr().err == ""
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt-10"\n')
    (tmp_path / "best_ckpt.before1").mkdir()
    set_aside_later(str(tmp_path))
    assert not best.exists()
    assert (tmp_path / "best_ckpt.before2" / "ckpt-20.index").is_file()
    assert "is of step 20, and training goes on at 10" in capsys.readouterr().err
    set_aside_later(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "step", "steps"),
    [
        ("best_ckpt", 80, 100),
        ("best_ckpt/ckpt-80", 80, 100),
        ("ckpt-90", 90, 90),
        ("", 100, 100),
        ("best_ckpt", None, 100),
    ],
)
def test_the_best_checkpoint_counts_as_its_whole_run(run, name, step, steps):
    loaded = Variables("x", "mosaic", step, {})
    assert run_folder.steps_of(str(run / name), loaded) == steps
    assert run_folder.steps_of(str(run / name), Variables("x", "garden", step, {})) is None


def _network(width=4):
    images = tf_keras.Input([8, 8, 3])
    maps = tf_keras.layers.Conv2D(width, 3, name="conv")(images)
    return tf_keras.Model(images, tf_keras.layers.Conv2D(2, 1, name="logits")(maps))


def _trained(folder, model, steps=(5, 9), **objects):
    """Checkpoints as a run leaves them."""
    step = tf.Variable(0, dtype=tf.int64)
    objects = objects or {"model": model, "global_step": step}
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(**objects), str(folder), 3, checkpoint_name="ckpt"
    )
    for number in steps:
        step.assign(number)
        manager.save(number)
    return folder


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _told(check, folder, model):
    """The line that a check ends with; nothing in the folder has changed."""
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(UserError) as raised:
        check(str(folder), model)
    assert before == {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
def test_a_damaged_latest_checkpoint_is_told_with_the_one_before(tmp_path, part):
    model = _network()
    _flip(_trained(tmp_path, model) / f"ckpt-9.{part}")
    line = _told(prepare, tmp_path, model)
    assert f"ckpt-9: cannot be restored (bytes of its {part[:4]}" in line
    assert line.endswith(f"to go on from the checkpoint before, {tmp_path}/ckpt-5")
    for path in tmp_path.glob("ckpt-9.*"):
        path.rename(tmp_path / f"aside-{path.name}")
    prepare(str(tmp_path), model)
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-5")


def test_the_only_checkpoint_is_never_to_be_removed(tmp_path):
    model = _network()
    _flip(_trained(tmp_path, model, steps=[9]) / "ckpt-9.data-00000-of-00001")
    assert "no checkpoint is before it: put an intact copy back" in _told(prepare, tmp_path, model)


def test_another_networks_checkpoint_is_refused(tmp_path):
    line = _told(prepare, _trained(tmp_path, _network(6)), _network())
    assert "its checkpoints are from another network: they differ in conv/bias" in line
    assert "take another --model_dir" in line


@pytest.mark.parametrize("step", [0, 5])
def test_a_checkpoint_of_something_else_is_refused(tmp_path, step):
    folder = _trained(tmp_path, None, [step], weights=tf.Variable([1.0, 2.0]))
    assert f"ckpt-{step}: no checkpoint of" in _told(prepare, folder, _network())


def test_a_runs_own_checkpoint_serves(tmp_path):
    model = _network()
    _trained(tmp_path, model)
    _trained(tmp_path / "best_ckpt", model)
    before = _names(tmp_path)
    prepare(str(tmp_path), model)
    check_best(str(tmp_path), model)
    assert _names(tmp_path) == before


@pytest.mark.parametrize("kind", ["damaged", "missing data", "foreign"])
def test_a_best_checkpoint_that_cannot_be_exported_is_told(tmp_path, kind):
    model = _network()
    best = _trained(tmp_path / "best_ckpt", _network(6) if kind == "foreign" else model)
    if kind == "damaged":
        _flip(best / "ckpt-9.data-00000-of-00001")
    if kind == "missing data":
        (best / "ckpt-9.data-00000-of-00001").unlink()
    line = _told(check_best, tmp_path, model)
    assert f"{best}/ckpt-9" in line
    assert f"or move {best} away and run again" in line


def test_a_run_without_a_best_checkpoint_has_nothing_to_check(tmp_path):
    check_best(str(tmp_path), _network())
