"""Work that is done in threads while the next piece of it is fetched."""

import threading

import pytest

from mosaic.utils.ahead import ahead


def test_results_come_in_order_whatever_each_takes():
    second_done = threading.Event()

    def compute(number):
        if number == 0:
            assert second_done.wait(60)
        if number == 1:
            second_done.set()
        return 10 * number

    assert list(ahead(compute, ((i,) for i in range(5)), 2)) == [0, 10, 20, 30, 40]


def test_items_are_drawn_no_further_than_needed():
    drawn = []

    def items():
        for number in range(9):
            drawn.append(number)
            yield (number,)

    results = ahead(lambda number: number, items(), 2)
    assert next(results) == 0
    assert drawn == [0, 1, 2]


def test_an_error_comes_out_where_its_result_would():
    def compute(number):
        if number == 1:
            raise ValueError("the second")
        return number

    results = ahead(compute, ((i,) for i in range(5)), 2)
    assert next(results) == 0
    with pytest.raises(ValueError, match="the second"):
        next(results)


def test_nothing_is_fetched_beside_an_item_that_is_computed_alone():
    drawn, done = [], []

    def items():
        for number in range(4):
            drawn.append((number, len(done)))
            yield (number,)

    list(ahead(done.append, items(), 2, alone=lambda number: number == 1))
    assert drawn[2] == (2, 2)


def test_what_was_read_before_an_error_is_computed():
    def items():
        yield (1,)
        yield (2,)
        raise ValueError("the third")

    results = ahead(lambda number: number, items(), 4)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(results)


def test_an_item_alone_is_computed_in_this_thread_after_those_before_it():
    first_done, threads = threading.Event(), []

    def compute(number):
        if number == 0:
            first_done.set()
        if number == 1:
            assert first_done.is_set()
            threads.append(threading.current_thread())
        return number

    items = ((number,) for number in range(3))
    assert list(ahead(compute, items, 2, alone=lambda number: number == 1)) == [0, 1, 2]
    assert threads == [threading.current_thread()]
