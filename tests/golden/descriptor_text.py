"""The APIs as one line per element, in an order that tells additions from changes."""

from collections.abc import Iterable

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from tests.golden.protos import messages, oneof_name, type_name


def rendered(files: Iterable[FileDescriptorProto]) -> str:
    """Return every service, message and enum with its numbers: what clients and stores rely on, without comments."""
    lines: list[str] = []
    for file in files:
        lines.append(f"file {file.name} package {file.package}")
        for service in file.service:
            for rpc in service.method:
                asked = ("stream " if rpc.client_streaming else "") + rpc.input_type.removeprefix(".")
                told = ("stream " if rpc.server_streaming else "") + rpc.output_type.removeprefix(".")
                lines.append(f"rpc {file.package}.{service.name}/{rpc.name} ({asked}) -> ({told})")
        for name, element, _ in messages(file):
            if isinstance(element, DescriptorProto):
                lines.append(f"message {name}")
                for field in element.field:
                    choice = oneof_name(element, field)
                    lines.append(
                        f"  {field.number} {field.name} {type_name(field)}" + (f" of {choice}" if choice else "")
                    )
                lines += [f"  reserved {span.start}..{span.end - 1}" for span in element.reserved_range]
            else:
                lines.append(f"enum {name}")
                lines += [f"  {value.number} {value.name}" for value in element.value]
        lines.append("")
    return "\n".join(lines)
