"""The Open Inference Protocol, version 2, with its binary extension: texts in, the family's outputs out.

A unit is a model of that protocol, a release its version. Only the release that serves is known; any other is
404, as is a unit whose fallback answers.

Source: https://github.com/kserve/open-inference-protocol, and the binary tensor data extension of Triton.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from starlette.responses import Response

from mangaops.errors import InputError
from mangaops.gateway.bodies import Inference, Inferred, Tensor
from mangaops.gateway.refusals import NotServed, json_response, parsed
from mangaops.gateway.service import Caller, Reply, Service
from mangaops.gateway.slots import Served
from mangaops.gateway.units import Unit
from mangaops.inference.families import Output

MOST_TEXTS: Final = 64
_HEADER: Final = "inference-header-content-length"
_NUMBER: Final = re.compile("[0-9]{1,15}")


def metadata(unit: Unit, release: str) -> dict[str, Any]:
    """What the protocol tells of a model."""
    return {
        "name": unit.name,
        "versions": [release],
        "platform": f"mangaops_{unit.serving.path}",
        "inputs": [{"name": unit.serving.asking.words_in, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": each.name, "datatype": each.datatype, "shape": _shape([-1], each)}
            for each in unit.serving.outputs
        ],
    }


def _shape(of_input: Sequence[int], output: Output) -> list[int]:
    """The shape of an output: that of the input where a row is one value."""
    return list(of_input) if output.width is None else [of_input[0], output.width]


def served_as(service: Service, name: str, version: str | None) -> tuple[Unit, Served]:
    """The unit of that name and what serves it.

    Raises:
        NotServed: there is no such unit, its fallback answers, or another release serves.
    """
    unit = service.units.get(name)
    if unit is None:
        raise NotServed(
            f"model {name[:40]!r} was refused: no such unit is served here",
            found="a name that no unit of this gateway has",
            accepted=", ".join(service.units),
            next_step=f"GET /v2/models/{next(iter(service.units))}",
        )
    served = service.slots[name].served
    if served.slot is None:
        raise NotServed(
            f"model {name} was refused: no release of it serves",
            found=f"{served.release} answers",
            accepted="a unit with a release that serves",
            next_step=f"POST /v1/{unit.serving.path}, which answers as the fallback does",
        )
    if version not in (None, "", served.release):
        raise NotServed(
            f"version {version!r} of {name} was refused: it does not serve",
            found=f"{served.release} answers",
            accepted=served.release,
            next_step=f"GET /v2/models/{name}, or POST /v1/{unit.serving.path}",
        )
    return unit, served


async def infer(
    service: Service, name: str, version: str | None, raw: bytes, header: str | None, text_limit: int
) -> Response:
    """The outputs for the texts of the request, as JSON or as bytes, whichever the client wants.

    Raises:
        NotServed: no such unit or release serves.
        InputError: the request is not of the protocol.
        Unavailable: no answer now.
    """
    unit, served = served_as(service, name, version)
    cut = _header_length(header, len(raw))
    request = parsed(Inference, raw[:cut])
    texts = _texts(unit, request.inputs[0], raw[cut:], text_limit)
    _known_outputs(request, unit)
    if len(texts) > service.lane.capacity:
        raise _refused(f"{len(texts)} texts", f"at most {service.lane.capacity}")
    caller = Caller(request.parameters.get("conversation_id"), request.parameters.get("user_id"))
    named = served if version else None  # without a version a pinned conversation keeps its release
    replies = await service.answer(unit, texts, _plain(caller), served=named)
    return _answered(request, unit, replies)


def _plain(caller: Caller) -> Caller:
    def text(value: Any) -> str | None:
        return value[:200] if isinstance(value, str) else None

    return Caller(text(caller.conversation), text(caller.user))


def _header_length(header: str | None, size: int) -> int:
    if header is None:
        return size
    if _NUMBER.fullmatch(header) is None or int(header) > size:
        raise _refused(f"{_HEADER}: {header[:40]}", f"a number of bytes, at most {size}")
    return int(header)


def _texts(unit: Unit, tensor: Tensor, binary: bytes, limit: int) -> list[str]:
    """The texts of the one input tensor, of shape (texts,) or (texts, 1)."""
    wanted_name = unit.serving.asking.words_in
    if tensor.name != wanted_name or tensor.datatype != "BYTES":
        raise _refused(f"{tensor.name[:40]!r} of {tensor.datatype[:20]!r}", f"{wanted_name!r} of 'BYTES'")
    size = tensor.parameters.get("binary_data_size")
    texts = _flat(tensor.data) if size is None else _unpacked(binary, size)
    wanted = 1
    for side in tensor.shape:
        wanted *= side
    if len(texts) != wanted or not 1 <= wanted <= MOST_TEXTS or tensor.shape not in ([wanted], [wanted, 1]):
        accepted = f"shape [n] or [n, 1] with n texts, n from 1 to {MOST_TEXTS}"
        raise _refused(f"shape {tensor.shape} and {len(texts)} texts", accepted)
    if any(len(text) > limit for text in texts):
        raise _refused(f"a text of {max(map(len, texts))} characters", f"at most {limit} characters")
    return texts


def _flat(data: Any) -> list[str]:
    rows = data if isinstance(data, list) else []
    found = [each[0] if isinstance(each, list) and len(each) == 1 else each for each in rows]
    if not all(isinstance(each, str) for each in found):
        raise _refused("data that is no list of texts", "a list of JSON strings")
    return found


def _unpacked(binary: bytes, size: Any) -> list[str]:
    """Texts that each stand behind their length in four bytes, little-endian."""
    if not isinstance(size, int) or size != len(binary):
        raise _refused(f"binary_data_size {size!r} and {len(binary)} bytes", "as many bytes as it says")
    texts, at = [], 0
    while at < len(binary):
        if at + 4 > len(binary):
            raise _refused("a length that is cut off", "four bytes of length before each text")
        (length,) = struct.unpack_from("<I", binary, at)
        if at + 4 + length > len(binary):
            raise _refused("a text that is cut off", "as many bytes as its length says")
        texts.append(binary[at + 4 : at + 4 + length].decode("utf-8", "replace"))
        at += 4 + length
    return texts


def _known_outputs(request: Inference, unit: Unit) -> None:
    known = [each.name for each in unit.serving.outputs]
    wrong = [each.name for each in request.outputs or [] if each.name not in known]
    if wrong:
        raise _refused(f"output {wrong[0][:40]!r}", ", ".join(known))


def _answered(request: Inference, unit: Unit, replies: Sequence[Reply]) -> Response:
    wanted = {each.name: each.parameters for each in request.outputs or []}
    as_bytes = request.parameters.get("binary_data_output") is True
    tensors, tail = [], b""
    for output in unit.serving.outputs:
        if wanted and output.name not in wanted:
            continue
        shape = _shape(request.inputs[0].shape, output)
        tensor = Tensor(name=output.name, shape=shape, datatype=output.datatype)
        rows = [output.of(reply.answer) for reply in replies]
        values = rows if output.width is None else list(chain.from_iterable(rows))
        if wanted.get(output.name, {}).get("binary_data", as_bytes) is True:
            packed = _packed(output, values)
            tensor.parameters = {"binary_data_size": len(packed)}
            tail += packed
        else:
            tensor.data = values
        tensors.append(tensor)
    told = {"request_id": replies[0].request_id, "generation": replies[0].generation}
    body = Inferred(
        model_name=unit.name,
        model_version=replies[0].release,
        id=request.id,
        parameters=told,
        outputs=tensors,
    ).model_dump(exclude_defaults=True)
    if not tail:
        return json_response(body)
    head = json.dumps(body, separators=(",", ":")).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return Response(head + tail, headers=headers, media_type="application/octet-stream")


def _packed(output: Output, values: Sequence[Any]) -> bytes:
    if output.datatype != "BYTES":
        return struct.pack(f"<{len(values)}{'d' if output.datatype == 'FP64' else 'q'}", *values)
    encoded = [str(value).encode("utf-8", "replace") for value in values]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)


def _refused(found: str, accepted: str) -> InputError:
    return InputError(
        "the inference request was refused",
        found=found,
        accepted=accepted,
        next_step="GET /v2/models/UNIT shows inputs and outputs",
    )
