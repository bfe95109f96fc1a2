"""FlatBuffers written and read by the names that a schema gives its fields.

For small schemas of which there is no generated code at hand. A schema is, for each kind of table,
the names of its fields in their order; fields keep that order for ever, and readers skip what they
do not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import flatbuffers.table
import numpy as np
from flatbuffers import encode, packer
from flatbuffers.number_types import Float32Flags, Int8Flags, Int32Flags, UOffsetTFlags

Schema = Mapping[str, Sequence[str]]


class Byte(int):
    """An enumeration's value, or a union's type, which take one byte."""


class Table(dict):
    """A table to be written: its kind, and the fields that it has.

    A field is a string, `Byte`, int (32 bits), bytes, a list of floats, a table, or a list of
    tables.
    """

    def __init__(self, kind: str, **fields: Any):
        super().__init__(fields)
        self.kind = kind


def pack(schema: Schema, root: Table, identifier: bytes) -> bytes:
    """Returns a table as a buffer with a file identifier of four characters."""
    builder = flatbuffers.Builder(0)
    builder.Finish(_write(builder, schema, root), file_identifier=identifier)
    return bytes(builder.Output())


def _write(builder, schema: Schema, table: Table) -> int:
    # What a table refers to is written before it.
    fields = {name: _content(builder, schema, value) for name, value in table.items()}
    names = schema[table.kind]
    builder.StartObject(len(names))
    for slot, name in enumerate(names):
        value = fields.pop(name, None)
        if value is None:
            continue
        if isinstance(table[name], Byte):
            builder.PrependInt8Slot(slot, value, 0)
        elif isinstance(table[name], int):
            builder.PrependInt32Slot(slot, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    if fields:
        raise KeyError(f"{table.kind} has no field {', '.join(fields)}")
    return builder.EndObject()


def _content(builder, schema: Schema, value: Any) -> int:
    """The number itself, or where its content begins."""
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, bytes):
        builder.StartVector(1, len(value), 16)  # itself a buffer, which wants to be aligned
        builder.head -= len(value)
        builder.Bytes[builder.head : builder.head + len(value)] = value
        return builder.EndVector()
    if isinstance(value, Table):
        return _write(builder, schema, value)
    if not isinstance(value[0], Table):
        return builder.CreateNumpyVector(np.array(value, np.float32))
    places = [_write(builder, schema, item) for item in value]
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return builder.EndVector()


class View:
    """A table that is read; fields that it has not are empty."""

    def __init__(self, schema: Schema, kind: str, table: flatbuffers.table.Table):
        self._schema = schema
        self._names = schema[kind]
        self._table = table

    @classmethod
    def root(cls, schema: Schema, kind: str, buffer: bytes) -> View:
        """The table that a buffer holds."""
        place = encode.Get(packer.uoffset, buffer, 0)
        return cls(schema, kind, flatbuffers.table.Table(buffer, place))

    def _place(self, name: str) -> int | None:
        offset = self._table.Offset(4 + 2 * self._names.index(name))
        return offset + self._table.Pos if offset else None

    def text(self, name: str) -> str:
        """A string."""
        place = self._place(name)
        return "" if place is None else self._table.String(place).decode(errors="replace")

    def byte(self, name: str) -> int:
        """An enumeration's value or a union's type."""
        place = self._place(name)
        return 0 if place is None else self._table.Get(Int8Flags, place)

    def number(self, name: str) -> int:
        """An int of 32 bits."""
        place = self._place(name)
        return 0 if place is None else self._table.Get(Int32Flags, place)

    def floats(self, name: str) -> list[float]:
        """A list of floats."""
        return [self._table.Get(Float32Flags, place) for place in self._items(name, 4)]

    def bytes(self, name: str) -> bytes:
        """A buffer."""
        return bytes(self._table.Get(Int8Flags, place) & 255 for place in self._items(name, 1))

    def table(self, name: str, kind: str) -> View | None:
        """A table, or what a union holds."""
        place = self._place(name)
        return None if place is None else self._at(place, kind)

    def tables(self, name: str, kind: str) -> list[View]:
        """A list of tables."""
        return [self._at(place, kind) for place in self._items(name, 4)]

    def _items(self, name: str, size: int) -> list[int]:
        place = self._place(name)
        if place is None:
            return []
        offset = place - self._table.Pos
        start, count = self._table.Vector(offset), self._table.VectorLen(offset)
        return [start + size * index for index in range(count)]

    def _at(self, place: int, kind: str) -> View:
        place += self._table.Get(UOffsetTFlags, place)
        return View(self._schema, kind, flatbuffers.table.Table(self._table.Bytes, place))
