"""The protos as descriptors with their comments, by the compiler that `make proto` uses."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google.rpc
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from tests.support.pages import ROOT

Field = FieldDescriptorProto
_PROTO = ROOT / "proto"


def compiled(folder: Path) -> list[FileDescriptorProto]:
    """Return the project's files by name, compiled by way of a file in the folder."""
    out = folder / "descriptors.bin"
    sources = sorted(path.relative_to(_PROTO).as_posix() for path in (_PROTO / "qinet").rglob("*.proto"))
    includes = [_PROTO, Path(next(iter(google.rpc.__path__))).parents[1]]
    options = [*(f"-I{path}" for path in includes), "--include_source_info", f"--descriptor_set_out={out}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *options, *sources], check=True, timeout=60)
    return sorted(FileDescriptorSet.FromString(out.read_bytes()).file, key=lambda file: file.name)


@dataclass(frozen=True, slots=True)
class Comments:
    """The comments of a file, by the path of the element as descriptor.proto counts it."""

    by_path: dict[tuple[int, ...], str]

    @classmethod
    def of(cls, file: FileDescriptorProto) -> "Comments":
        """Read them off the source information."""
        return cls({tuple(place.path): _unwrapped(place.leading_comments) for place in file.source_code_info.location})

    def at(self, *path: int) -> str:
        """Return the comment in front of an element; "" if it has none."""
        return self.by_path.get(path, "")


def _unwrapped(comment: str) -> str:
    paragraphs = comment.strip().split("\n\n")
    return "\n\n".join(" ".join(line.strip() for line in text.splitlines()) for text in paragraphs)


def type_name(field: Field) -> str:
    """Return a field's type as a proto file has it, with `optional`, `repeated` in front."""
    if field.type in (Field.TYPE_MESSAGE, Field.TYPE_ENUM):
        name = field.type_name.removeprefix(".")
    else:
        name = Field.Type.Name(field.type).removeprefix("TYPE_").lower()
    if field.label == Field.LABEL_REPEATED:
        return f"repeated {name}"
    return f"optional {name}" if field.proto3_optional else name


def oneof_name(message: DescriptorProto, field: Field) -> str:
    """Return the oneof that a field belongs to, "" if none."""
    if field.HasField("oneof_index") and not field.proto3_optional:
        return message.oneof_decl[field.oneof_index].name
    return ""


def messages(
    file: FileDescriptorProto,
) -> Iterator[tuple[str, DescriptorProto | EnumDescriptorProto, tuple[int, ...]]]:
    """Yield every message and enum: full name, descriptor, path; what is nested follows what it is nested in."""
    for number, enum in enumerate(file.enum_type):
        yield f"{file.package}.{enum.name}", enum, (5, number)
    for number, message in enumerate(file.message_type):
        yield from _nested(f"{file.package}.{message.name}", message, (4, number))


def _nested(
    name: str, message: DescriptorProto, path: tuple[int, ...]
) -> Iterator[tuple[str, DescriptorProto | EnumDescriptorProto, tuple[int, ...]]]:
    yield name, message, path
    for number, enum in enumerate(message.enum_type):
        yield f"{name}.{enum.name}", enum, (*path, 4, number)
    for number, inner in enumerate(message.nested_type):
        yield from _nested(f"{name}.{inner.name}", inner, (*path, 3, number))
