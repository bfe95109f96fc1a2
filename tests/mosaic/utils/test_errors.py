"""Errors that a user can mend: how they end a command, and the name that was meant."""

import pytest
import tensorflow as tf

from mosaic.utils.errors import RunError, UserError, nearest


def test_users_errors_and_failed_runs_end_with_their_own_codes():
    assert UserError.exit_code == 2
    assert RunError.exit_code == 1


def test_the_nearest_name_is_told():
    assert nearest("quikstart", ["mosaic", "quickstart"]) == "; did you mean 'quickstart'?"


def test_nothing_is_told_where_no_name_is_near():
    assert nearest("mars", ["quickstart", "cityscapes"]) == ""


def test_an_error_passes_through_a_traced_function_as_it_is():
    @tf.function
    def traced(x):
        raise UserError("x: too small")

    with pytest.raises(UserError, match=r"^x: too small$"):
        traced(tf.zeros([1]))
