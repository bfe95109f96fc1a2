"""SavedModels that do more than compute: refused by their operations before they are loaded.

A SavedModel is a program. TensorFlow's own operations can read and write files, open connections
and call Python, and some run while it is loaded.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Collection, Iterable, Iterator

from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef
from tensorflow.python.saved_model import loader_impl

from mosaic.utils.errors import UserError, check_regular

# Operations of TensorFlow by what their names have in common.
_REFUSED = re.compile(
    "|".join(
        (
            r".*File(?!name|spec).*",  # ReadFile, MatchingFiles, InitializeTableFromTextFile, ...
            r".*(Save|Saver|SaveV\d|SaveSlices|Restore|RestoreV\d|RestoreSlice)",
            r"MergeV2Checkpoints|LoadAndRemapMatrix|GenerateVocabRemapping|Skipgram",
            r"FixedUnigramCandidateSampler|RecordInput|Reader[A-Z].*|.*Reader(V\d)?",
            r".*(TextLine|TFRecord|FixedLengthRecord|CSV|LMDB|Sql|Snapshot|Cache).*",
            r".*(Save|Load|DataService|Register).*Dataset.*",
            # Graphs and programs inside of constants, which nothing here would see.
            r"DatasetFromGraph|DeserializeIterator|XlaCustomCall.*|_?XlaHostCompute.*|.*TRT.*",
            r"(Create|Write|Flush|Close).*Summary.*|SummaryWriter|.*SetSummaryWriter|ImportEvent",
            r"Debug(Identity|NanCount|NumericSummary).*|DumpTensor",
            r"DecodeProto.*|EncodeProto.*",  # their descriptors are files
            r".*PyFunc.*|.*LoadLibrary.*|Abort",
            r"Remote.*|(Try)?Rpc.*|.*Rpc[A-Z].*|.*Socket.*|Collective.*|_?(Host)?(Send|Recv)",
            r"WorkerHeartbeat",
        )
    )
)
# What TensorFlow's saver itself writes into a SavedModel, for its variables.
_SAVES, _RESTORES = frozenset(("SaveV2", "MergeV2Checkpoints")), frozenset(("RestoreV2",))


def check(folder: str, path: str) -> None:
    """Checks that the graphs of a SavedModel, with all their functions, only compute.

    Nothing of it is run. TensorFlow's saver and restorer of its variables are allowed, where
    nothing else in it calls them.

    Args:
      folder: folder with saved_model.pb.
      path: path of the model in messages.

    Raises:
      UserError: an operation uses files, connections or Python; or a file is a pipe or a device.
      OSError: there is no SavedModel, or it is damaged.
    """
    for file in (*pathlib.Path(folder).glob("*"), *pathlib.Path(folder).glob("variables/*")):
        check_regular(file)
    for graph in loader_impl.parse_saved_model(folder).meta_graphs:
        for operation, place in _refused(graph):
            raise UserError(
                f"{path}: its graph has the operation {operation} (in {place}), which uses files, "
                "connections or code outside of the model; not loaded; if you trust it, give "
                "--allow_code"
            )


def _refused(graph: MetaGraphDef) -> Iterator[tuple[str, str]]:
    """The operations that a graph may not have, and the function or node where each is."""
    saver = _Saver(graph)
    for node in graph.graph_def.node:
        if _is_refused(node) and not saver.owns(node):
            yield node.op, node.name
    for function in graph.graph_def.library.function:
        for node in function.node_def:
            if _is_refused(node) and not saver.owns_inside(function, node):
                yield node.op, function.signature.name


def _is_refused(node: NodeDef) -> bool:
    if node.op == "PrintV2":
        return node.attr["output_stream"].s.startswith(b"file:")
    return bool(_REFUSED.fullmatch(node.op))


class _Saver:
    """The nodes and functions of a graph that save and restore its variables, and do nothing else.

    `saver_def` names the two nodes that TensorFlow runs for it. What anything else reaches, such as
    a signature or an object's method, does not count.
    """

    def __init__(self, graph: MetaGraphDef):
        definition = graph.graph_def
        self._nodes = {node.name: node for node in definition.node}
        self._functions = {f.signature.name: f for f in definition.library.function}
        self._filename = _node_name(graph.saver_def.filename_tensor_name)
        others = self._before(_entries(graph))
        saving = self._before([graph.saver_def.save_tensor_name]) - others
        restoring = self._before([graph.saver_def.restore_op_name]) - others
        # A node that both run would save while it is loaded.
        self._saving, self._restoring = saving - restoring, restoring - saving
        called = set(graph.object_graph_def.concrete_functions)
        own = saving | restoring
        called |= self._called(node for node in definition.node if node.name not in own)
        first, second = (
            self._closure(self._called(self._nodes[name] for name in names))
            for names in (self._saving, self._restoring)
        )
        owned = self._unshared(first | second, called)
        self._save_functions = (first - second) & owned
        self._restore_functions = (second - first) & owned

    def owns(self, node: NodeDef) -> bool:
        """Whether a node of the graph is the saver's own."""
        if node.op in _SAVES:
            return node.name in self._saving
        is_restore = node.op in _RESTORES and node.name in self._restoring
        return is_restore and _node_name(node.input[0]) == self._filename

    def owns_inside(self, function: FunctionDef, node: NodeDef) -> bool:
        """Whether a node of a function is the saver's own."""
        name = function.signature.name
        if node.op in _SAVES:
            return name in self._save_functions
        # The name of the file comes from the caller.
        given = {argument.name for argument in function.signature.input_arg}
        return node.op in _RESTORES and name in self._restore_functions and node.input[0] in given

    def _before(self, names: Iterable[str]) -> set[str]:
        """The nodes of the graph that run for tensors or nodes, these included."""
        found, todo = set(), [_node_name(name) for name in names]
        while todo:
            name = todo.pop()
            if name in self._nodes and name not in found:
                found.add(name)
                todo += map(_node_name, self._nodes[name].input)
        return found

    def _called(self, nodes: Iterable[NodeDef]) -> set[str]:
        """The functions that nodes call themselves."""
        found = set()
        for node in nodes:
            found.add(node.op)
            todo = list(node.attr.values())
            while todo:
                value = todo.pop()
                functions = [value.func] if value.HasField("func") else list(value.list.func)
                for function in functions:
                    found.add(function.name)
                    todo += function.attr.values()
        return found & self._functions.keys()

    def _closure(self, names: Collection[str]) -> set[str]:
        """Functions and all that they call."""
        found, todo = set(), list(names)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += self._called(self._functions[name].node_def)
        return found

    def _unshared(self, names: set[str], called: Collection[str]) -> set[str]:
        """Those of some functions that only they themselves call, and not `called`."""
        rest = [f for name, f in self._functions.items() if name not in names]
        called = set(called).union(*(self._called(function.node_def) for function in rest))
        return names - self._closure(called & self._functions.keys())


def _entries(graph: MetaGraphDef) -> Iterator[str]:
    """The tensors and nodes of a graph that a user or the loader runs."""
    for signature in graph.signature_def.values():
        yield from (tensor.name for tensor in signature.outputs.values())
    for collection in graph.collection_def.values():
        yield from collection.node_list.value


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]
