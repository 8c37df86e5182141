"""The generated part of docs/api.md: services, messages and enums, from the comments of the protos."""

import re
from collections.abc import Iterable

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)

from tests.golden.protos import Comments, messages, oneof_name, type_name

_PACKAGE = "qinet.northbound.v1"
_ENVELOPE = re.compile(r"\.\w+(Request|Response)$")


def services(files: Iterable[FileDescriptorProto]) -> str:
    """Return every service with its RPCs and what each is asked and answers."""
    parts: list[str] = []
    for file in files:
        if file.package != _PACKAGE:
            continue
        comments = Comments.of(file)
        told = {name: (message, path) for name, message, path in messages(file)}
        for number, service in enumerate(file.service):
            parts += _service(service, number, comments, told)
    return "\n".join(parts)


def _service(
    service: ServiceDescriptorProto,
    number: int,
    comments: Comments,
    told: dict[str, tuple[DescriptorProto | EnumDescriptorProto, tuple[int, ...]]],
) -> list[str]:
    parts = [f"### {service.name}", "", comments.at(6, number), ""]
    for place, rpc in enumerate(service.method):
        parts += [f"#### {service.name}.{rpc.name}", "", comments.at(6, number, 2, place), ""]
        for label, full, streamed in (
            ("Request", rpc.input_type, rpc.client_streaming),
            ("Response", rpc.output_type, rpc.server_streaming),
        ):
            message, path = told[full.removeprefix(".")]
            assert isinstance(message, DescriptorProto)
            parts += _fields(f"{label}{', a stream of' if streamed else ''}", message, path, comments)
    return parts


def values(files: Iterable[FileDescriptorProto], packages: tuple[str, ...] = (_PACKAGE, "qinet.types.v1")) -> str:
    """Return every message and enum that is not the request or response of an RPC."""
    parts: list[str] = []
    for file in files:
        if file.package not in packages:
            continue
        comments = Comments.of(file)
        for name, element, path in messages(file):
            if _ENVELOPE.search(name):
                continue
            parts += [f"### {_short(name)}", "", comments.at(*path), ""]
            if isinstance(element, DescriptorProto):
                parts += _fields("", element, path, comments)
            else:
                parts += ["| value | meaning |", "|---|---|"]
                parts += [
                    f"| `{value.name}` = {value.number} | {_cell(comments.at(*path, 2, number))} |"
                    for number, value in enumerate(element.value)
                ]
                parts.append("")
    return "\n".join(parts)


def _fields(title: str, message: DescriptorProto, path: tuple[int, ...], comments: Comments) -> list[str]:
    if not message.field:
        return [f"{title}: no fields.", ""] if title else []
    parts = [f"{title}:", ""] if title else []
    parts += ["| field | type | meaning |", "|---|---|---|"]
    for number, field in enumerate(message.field):
        choice = oneof_name(message, field)
        meaning = comments.at(*path, 2, number)
        if choice:
            shared = comments.at(*path, 8, field.oneof_index)
            first = next(one for one in message.field if oneof_name(message, one) == choice)
            meaning = f"One of `{choice}`" + (f" ({shared.rstrip('.')})" if field is first else "") + f". {meaning}"
        parts.append(f"| `{field.name}` = {field.number} | {_linked(type_name(field))} | {_cell(meaning)} |")
    return [*parts, ""]


def _short(name: str) -> str:
    return re.sub(r"^qinet\.\w+\.v1\.", "", name)


def _linked(type_text: str) -> str:
    *before, name = type_text.split()
    words = " ".join(before)
    if not name.startswith("qinet."):
        return type_text
    short = _short(name)
    shown = f"`{short}`" if _ENVELOPE.search(name) else f"[{short}](#{short.lower().replace('.', '')})"
    return f"{words} {shown}".strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
