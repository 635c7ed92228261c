"""What an Arrow stream would unpack to, looked at before it is unpacked: a small body can hold a very large table.

Compressed buffers grow a thousandfold and more, and a dictionary or a view can say one long text ten thousand times.
"""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from parivision.api.problems import invalid, malformed

LONGEST = 400  # bytes of a text: 100 characters, of which the longest take four
# Of format/Message.fbs: kinds of a message's header, and where tables keep what.
_DICTIONARY = 2
_HEADER_KIND, _HEADER = 1, 2  # of Message
_DATA = 1  # of DictionaryBatch
_COMPRESSION = 3  # of RecordBatch


def check_plain(body: bytes) -> None:
    """Whether the buffers of an Arrow IPC stream are as they are, without unpacking one.

    Raises
    ------
    Problem
        400 where one is compressed.
    pa.ArrowException, ValueError
        It is no such stream.
    """
    for message in pa.ipc.MessageReader.open_stream(pa.BufferReader(body)):
        if message.type in ("record batch", "dictionary") and _is_compressed(message.metadata.to_pybytes()):
            raise malformed("the Arrow stream is compressed: write it without compression")


def check_lengths(column: pa.ChunkedArray, name: str) -> None:
    """Whether every text of a column is short, as it stands in a dictionary or a view too.

    Raises
    ------
    Problem
        422 naming the column.
    """
    for chunk in column.chunks:
        values = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        if len(values) and _longest(values) > LONGEST:
            raise invalid([(f"shots.{name}", f"it has a text of over {LONGEST} bytes")])


def _longest(values: pa.Array) -> int:
    """Bytes of the longest text; 0 where they are no texts."""
    if pa.types.is_string_view(values.type):  # views of 16 bytes, which begin with the length
        lengths = np.frombuffer(values.buffers()[1], np.int32)[::4][values.offset : values.offset + len(values)]
        return int(np.max(lengths, initial=0, where=values.is_valid().to_numpy(zero_copy_only=False)))
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return int(pc.max(pc.binary_length(values)).as_py() or 0)
    return 0


def _is_compressed(metadata: bytes) -> bool:
    """Whether a message says that its buffers are compressed; `metadata` is its flatbuffer."""
    try:
        message = _target(metadata, 0)
        batch = _target(metadata, _place(metadata, message, _HEADER))
        if metadata[_place(metadata, message, _HEADER_KIND)] == _DICTIONARY:
            batch = _target(metadata, _place(metadata, batch, _DATA))
        return _place(metadata, batch, _COMPRESSION) > 0
    except (struct.error, IndexError):
        raise ValueError("a message cannot be read") from None


def _target(data: bytes, at: int) -> int:
    """Where an offset points to (flatbuffers' binary format: counted from itself)."""
    return int(at + struct.unpack_from("<I", data, at)[0])


def _place(data: bytes, table: int, field: int) -> int:
    """Where a table keeps a field; 0 where it has none."""
    slots = table - struct.unpack_from("<i", data, table)[0]
    slot = 4 + 2 * field
    if slots < 0 or slot >= struct.unpack_from("<H", data, slots)[0]:
        return 0
    within = struct.unpack_from("<H", data, slots + slot)[0]
    return int(table + within) if within else 0
