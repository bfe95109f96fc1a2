"""TensorFlow Lite's interpreter, without its log, and with plain kernels where XNNPACK refuses."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from mosaic.utils.errors import UserError
from mosaic.utils.quiet import quiet

PLAIN = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
# What the interpreter raises where it cannot load, prepare or run a file.
_FAILURES = (ValueError, RuntimeError)


class TFLiteInterpreter:
    """Runs a TFLite file of one input and one output.

    Args:
      path: path of the file.
      threads: number of threads.

    Attributes:
      has_delegate: whether the default delegate, XNNPACK, runs what it can of the file. If it
        refuses the file, TensorFlow Lite's own kernels run all of it, which is slower.
      inputs: details of the inputs, as `Interpreter.get_input_details` has them.
      outputs: details of the outputs.

    Raises:
      UserError: the file cannot be run.
    """

    def __init__(self, path: str, threads: int | None):
        self._path, self._threads = path, threads
        self.has_delegate = True
        self._shape: tuple[int, ...] | None = None
        self._load()

    def _load(self) -> None:
        """Loads the file; one that takes images of any size is prepared for the first of them."""
        settings = {} if self.has_delegate else {"experimental_op_resolver_type": PLAIN}
        try:
            with quiet():
                self._interpreter = Interpreter(
                    model_path=self._path, num_threads=self._threads, **settings
                )
                self.inputs = self._interpreter.get_input_details()
                self.outputs = self._interpreter.get_output_details()
                if self._shape is not None:
                    self._interpreter.resize_tensor_input(self.inputs[0]["index"], self._shape)
                if self._shape is not None or not self._takes_any_size():
                    self._interpreter.allocate_tensors()
        except _FAILURES as error:
            if not self.has_delegate:
                raise self._failure(error) from None
            self._without_delegate(error)

    def _takes_any_size(self) -> bool:
        return any(-1 in source["shape_signature"][1:] for source in self.inputs)

    def _without_delegate(self, error: Exception) -> None:
        self.has_delegate = False
        self._load()
        print(
            f"warning: {self._path}: XNNPACK refuses this file ({_line(error)}); it runs on "
            "TensorFlow Lite's plain kernels, which are slower",
            file=sys.stderr,
        )

    def feed(self, values: np.ndarray) -> None:
        """Gives the file its input, of the type and rank that it takes.

        Raises:
          UserError: it cannot take this size.
        """
        index = self.inputs[0]["index"]
        try:
            if self._takes_any_size() and self._shape != values.shape:
                self._resize(values.shape)
            self._interpreter.set_tensor(index, values)
        except _FAILURES as error:
            raise self._failure(error) from None

    def _resize(self, shape: Sequence[int]) -> None:
        self._shape = tuple(shape)
        try:
            with quiet():
                self._interpreter.resize_tensor_input(self.inputs[0]["index"], self._shape)
                self._interpreter.allocate_tensors()
        except _FAILURES as error:
            if not self.has_delegate:
                raise
            self._without_delegate(error)

    def invoke(self) -> None:
        """Computes the output.

        Raises:
          UserError: the file fails.
        """
        try:
            self._interpreter.invoke()
        except _FAILURES as error:
            raise self._failure(error) from None

    def output(self) -> np.ndarray:
        """The output that was computed."""
        return self._interpreter.get_tensor(self.outputs[0]["index"])

    def _failure(self, error: Exception) -> UserError:
        return UserError(f"{self._path}: the TFLite file cannot be run ({_line(error)})")


def prepared(
    threads: int, size: tuple[int, int] | None = None, **source: str | bytes
) -> Interpreter:
    """Returns TensorFlow Lite's own interpreter, on plain kernels where XNNPACK refuses a file.

    Args:
      threads: number of threads.
      size: (height, width) of the image, in pixels, for a file that takes any.
      **source: `model_path` or `model_content`.

    Raises:
      ValueError, RuntimeError: the file cannot be run.
    """
    with quiet():
        try:
            return _prepared(size, num_threads=threads, **source)
        except _FAILURES:
            settings = {"num_threads": threads, "experimental_op_resolver_type": PLAIN}
            return _prepared(size, **settings, **source)


def _prepared(size: tuple[int, int] | None, **settings) -> Interpreter:
    interpreter = Interpreter(**settings)
    for details in interpreter.get_input_details() if size else ():
        sides, signature = iter(size), details["shape_signature"]
        if -1 in signature[1:]:
            shape = [1, *(next(sides) if side == -1 else side for side in signature[1:])]
            interpreter.resize_tensor_input(details["index"], shape)
    interpreter.allocate_tensors()
    return interpreter


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
