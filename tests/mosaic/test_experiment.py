"""An experiment's network: settings that differ from the run's, and the size of its images."""

import gin
import numpy as np
import tensorflow as tf

from mosaic import experiment
from mosaic.evaluation.protocols import Evaluation
from mosaic.inference.predictors import Predictor
from mosaic.training.train_loop import train  # noqa: F401 - which configurations bind


def test_other_settings_than_the_runs_are_told(tmp_path, capsys, monkeypatch):
    """No variable shows them."""
    for folder in (tmp_path, tmp_path / "best_ckpt"):
        folder.mkdir(exist_ok=True)
    (tmp_path / "config.gin").write_text(
        "DROPOUT = 0.5\nBINS = (1, 4)\nmosaic.normalization = 'imagenet'\n"
        "mosaic.bins = %BINS\nmosaic.dropout = %DROPOUT\nmosaic.num_classes = 3\n"
    )
    (tmp_path / "down.tar.gz").touch()
    text = ["train.model = @mosaic()", "mosaic.num_classes = 3", "mosaic.bins = [1, 4]"]
    gin.clear_config()
    gin.parse_config([*text, "mosaic.normalization = 'symmetric'"])
    for place in ("", "ckpt-7", "best_ckpt", "best_ckpt/ckpt-7"):
        experiment._tell_other_settings(str(tmp_path / place))
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith(
            "trained with mosaic.normalization = imagenet, and is loaded with symmetric"
        )
    experiment._tell_other_settings(str(tmp_path / "down.tar.gz"))
    gin.clear_config()
    gin.parse_config([*text, "mosaic.normalization = 'imagenet'"])
    experiment._tell_other_settings(str(tmp_path))
    gin.clear_config()
    assert capsys.readouterr().err == ""


def test_predictions_get_the_size_of_the_experiment(monkeypatch):
    seen = []

    def run(images):
        seen.append(tuple(images.shape[1:3]))
        return tf.zeros([1, 4, 4, 3])

    image = np.zeros((1, 20, 30, 3), np.uint8)
    for evaluation, expected in (
        (Evaluation(), (20, 30)),
        (Evaluation(input_size=[8, 16]), (8, 16)),
        (Evaluation(padded_size=(16, 16)), (16, 16)),
    ):
        monkeypatch.setattr(experiment.config, "build", lambda name, found=evaluation: found)
        predictor, size = experiment.as_configured(Predictor(run, "network", 3, traceable=False))
        assert predictor(image, None, size).shape == (1, 20, 30)
        assert seen.pop() == expected
