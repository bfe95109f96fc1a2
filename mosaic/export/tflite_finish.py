"""What the converter leaves undone in its files: short names, and a signature in every file."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from mosaic.tflite import model_file

INPUT, SIGNATURE = "images", "serving_default"


def finished(content: bytes, output: str) -> bytes:
    """Returns a converted file with names that say what a tensor is, and with a signature.

    The converter names a tensor after everything that was merged into its operator, which is more
    than the rest of a small file's description, and gives int8 files no signature.

    Args:
      content: bytes of a TFLite file with one input and one output.
      output: name of its output, `logits` or `labels`.
    """
    model = model_file.unpack(content)
    graph = model.subgraphs[0]
    for tensor in graph.tensors:
        # The first name is that of the last operation: an activation or batch norm.
        tensor.name = tensor.name.split(b";")[0]
    ends = {INPUT: graph.inputs[0], output: graph.outputs[0]}
    for name, index in ends.items():
        graph.tensors[index].name = name.encode()
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE.encode(), 0
    signature.inputs, signature.outputs = ([_named(*end)] for end in ends.items())
    model.signatureDefs = [signature]
    return model_file.pack(model)


def _named(name: str, index: int) -> schema.TensorMapT:
    """An end of a signature: the name that callers use, and the tensor's index."""
    end = schema.TensorMapT()
    end.name, end.tensorIndex = name.encode(), int(index)
    return end
