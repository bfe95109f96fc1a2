"""What is wrong with a data set, for tests that put it there."""

from data.check import layout_of, survey


def problems(dataset, data_dir, **settings):
    """All that is wrong with a data set."""
    return survey(layout_of(dataset, data_dir, settings)).problems
