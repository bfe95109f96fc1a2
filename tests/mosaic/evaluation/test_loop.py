"""The loop over a split: what its observers see."""

import numpy as np
import pytest

from mosaic.evaluation import loop, metrics


class Seen:
    """Observer that keeps the images."""

    def __init__(self):
        self.images = []

    def see(self, image):
        self.images.append(image)


def seen(drawn, segment, **settings):
    observer = Seen()
    assert loop.run(segment, drawn, "val", [observer], **settings) == 5
    return observer.images


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (2, 2), (5, 1)])
def test_every_image_is_seen_once_in_order(drawn, batch_size, threads):
    images = seen(drawn, lambda images, labels: labels, batch_size=batch_size, threads=threads)
    assert [image.index for image in images] == [0, 1, 2, 3, 4]
    assert [image.name for image in images] == [f"val_{index}" for index in range(5)]


def test_an_image_has_its_pixels_truth_and_prediction(drawn):
    image = seen(drawn, lambda images, labels: labels + 1, batch_size=2)[3]
    np.testing.assert_array_equal(image.image, drawn.images[3])
    np.testing.assert_array_equal(image.truth, drawn.labels[3])
    np.testing.assert_array_equal(image.predicted, drawn.labels[3] + 1)


def test_an_image_has_its_own_counts(drawn):
    for image in seen(drawn, lambda images, labels: labels * 0, batch_size=2):
        expected = metrics.count_pixels(image.truth, 0 * image.truth, 3, 255, True)
        np.testing.assert_array_equal(image.counts, expected)


def test_ignored_classes_have_no_part_in_an_images_mean_iou(drawn):
    image = seen(drawn, lambda images, labels: labels * 0, ignored_classes=(1,))[0]
    assert image.mean_iou == 1.0


def test_a_confusion_matrix_adds_up_all_images(drawn):
    matrix, observer = loop.ConfusionMatrix(3), Seen()
    loop.run(lambda images, labels: labels * 0, drawn, "val", [matrix, observer], 2)
    np.testing.assert_array_equal(matrix.matrix, sum(image.counts for image in observer.images))


def test_predictions_of_no_class_have_a_column(drawn):
    matrix = loop.ConfusionMatrix(3)
    loop.run(lambda images, labels: labels * 0 + 3, drawn, "val", [matrix])
    assert matrix.matrix[:, 3].sum() == matrix.matrix.sum() > 0
