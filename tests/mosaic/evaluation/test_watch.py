"""A second process that scores a run's checkpoints while they appear."""

import json
import subprocess
import sys

import pytest

from mosaic.checkpoints import origin, run_record
from mosaic.checkpoints.run_record import Entry
from mosaic.evaluation import watch as watching
from mosaic.evaluation.watch import watch
from mosaic.utils.errors import UserError


class Run:
    """A run's folder whose checkpoints are files without content."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        run_record.append(str(folder), Entry({"sgd.momentum": 0.5}, 0))
        self.steps = []
        self.save(0)

    def save(self, step, keep=3):
        for end in ("index", "data-00000-of-00001"):
            (self.folder / f"ckpt-{step}.{end}").write_text(str(step))
        self.steps.append(step)
        for old in self.steps[:-keep]:
            (self.folder / f"ckpt-{old}.index").unlink(missing_ok=True)
        paths = [f'all_model_checkpoint_paths: "ckpt-{s}"' for s in self.steps[-keep:]]
        lines = [f'model_checkpoint_path: "ckpt-{step}"', *paths]
        (self.folder / "checkpoint").write_text("\n".join(lines))

    def end(self):
        run_record.end(str(self.folder), self.steps[-1])


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


def scored_with(scores, seen):
    def score(path, folder):
        step = int(path.rpartition("-")[2])
        seen.append((step, folder))
        return {"mean_iou": scores[step]}

    return score


def test_checkpoints_are_scored_as_they_appear_and_the_best_is_kept(
    run, tmp_path, monkeypatch, capsys
):
    later = iter([lambda: run.save(20), lambda: (run.save(30), run.end())])
    monkeypatch.setattr(watching.time, "sleep", lambda seconds: next(later)())
    run.save(10)
    seen, out = [], tmp_path / "out"
    watch(str(run.folder), str(out), scored_with({10: 0.3, 20: 0.5, 30: 0.4}, seen))
    assert seen == [(step, str(out / f"step_{step}")) for step in (10, 20, 30)]
    lines = [json.loads(line) for line in (out / "watch.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": step, "mean_iou": value} for step, value in ((10, 0.3), (20, 0.5), (30, 0.4))
    ]
    assert (out / "best_ckpt" / "ckpt-20.index").read_text() == "20"
    record = origin.read(str(out / "best_ckpt"))
    assert record.is_best and record.entries[0].configuration == {"sgd.momentum": 0.5}
    assert "step 30: mIoU 0.4000, best 0.5000 at step 20" in capsys.readouterr().out


def test_a_run_may_begin_later(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"

    def begin(seconds):
        folder.mkdir()
        (folder / "config.gin").touch()

    monkeypatch.setattr(watching.time, "sleep", begin)
    watching.wait_for_start(str(folder))
    watching.wait_for_start(str(folder))
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"{folder}: waiting for a run to begin there; Ctrl-C stops"
    with pytest.raises(UserError, match=r"there is no folder .*absent"):
        watching.wait_for_start(str(tmp_path / "absent" / "run"))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^--model_dir=.*file: a file, and no folder of a run"):
        watching.wait_for_start(str(tmp_path / "file"))


def test_a_run_without_news_is_told_once_and_its_end_too(run, tmp_path, monkeypatch, capsys):
    """As one that was killed leaves no word."""
    clock = [0.0]
    monkeypatch.setattr(watching.time, "monotonic", lambda: clock[0])

    def sleep(seconds):
        clock[0] += 400
        if clock[0] > 2000:
            run.end()

    monkeypatch.setattr(watching.time, "sleep", sleep)
    run.save(10)
    watch(str(run.folder), str(tmp_path / "out"), scored_with({10: 0.3}, []))
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "no new checkpoint for 13 minutes" in line] == lines[1:2]
    assert lines[2:] == [f"{run.folder}: training has ended at step 10"]


def test_what_was_scored_before_is_not_scored_again(run, tmp_path):
    run.save(10)
    run.end()
    seen = []
    for _ in range(2):
        watch(str(run.folder), str(tmp_path / "out"), scored_with({10: 0.3}, seen))
    assert len(seen) == 1


def test_a_checkpoint_that_training_removes_is_left_out(run, tmp_path, capsys):
    run.save(10)
    run.end()

    def score(path, folder):
        (run.folder / "ckpt-10.index").unlink()
        raise UserError("no checkpoint here")

    watch(str(run.folder), str(tmp_path / "out"), score)
    assert "ckpt-10 was removed before it was scored" in capsys.readouterr().err


def test_a_checkpoint_that_cannot_be_scored_ends_it(run, tmp_path):
    run.save(10)

    def score(path, folder):
        raise UserError("another network")

    with pytest.raises(UserError, match="another network"):
        watch(str(run.folder), str(tmp_path / "out"), score)


def test_damaged_scores_and_missing_folders_are_told(run, tmp_path):
    (tmp_path / "watch.jsonl").write_text("x")
    with pytest.raises(UserError, match=r"watch\.jsonl: not what was scored before"):
        watch(str(run.folder), str(tmp_path), None)
    with pytest.raises(UserError, match="no such folder to watch"):
        watch(str(tmp_path / "nothing"), str(tmp_path), None)


def test_flags_that_contradict_it_are_told(root, tmp_path):
    arguments = ["--watch", f"--checkpoint={tmp_path}"]
    done = subprocess.run(
        [sys.executable, str(root / "eval.py"), *arguments], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "give --model_dir=RUN, and leave out --checkpoint" in done.stderr
