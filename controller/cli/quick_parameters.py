"""Reading plain parameters without pydantic, which newer typers import for it: as long as importing gRPC itself.

Only what is certainly right is read here. Whatever is not (a number out of range, an unknown choice) goes the way that
typer has for it, and so gets typer's own words. With a typer that does not read parameters so, nothing changes.
"""

from enum import Enum
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from typer.core import TyperCommand, TyperGroup

_ODD: Final = object()  # not for us to read


class _Quick:
    """Reads the values of one parameter, in place of what typer would build for it."""

    def __init__(self, parameter: Any) -> None:
        self._annotation = parameter.type_descriptor.annotation
        self._info = parameter.type_descriptor.parameter_info

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value as the command takes it; called by typer."""
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        read = self._several(value) if several else _read(value, self._annotation, self._info)
        if read is not _ODD:
            return read
        param._runtime_param = None  # from now on typer's own
        return type(param).get_runtime_param(param).coerce(value, param=param, ctx=ctx)

    def _several(self, values: Any) -> Any:
        if get_origin(self._annotation) is not list or isinstance(values, str):
            return _ODD
        (inner,) = get_args(self._annotation)
        read = [_read(value, inner, self._info) for value in values]
        return _ODD if _ODD in read else read


def _read(value: Any, kind: Any, info: Any) -> Any:
    if kind is str and isinstance(value, str):
        return value
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    if kind is bool and isinstance(value, bool):
        return value
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _choice(value, kind)
    if kind in (int, float) and isinstance(value, str | int | float):
        return _number(value, kind, info)
    return _ODD


def _choice(value: Any, kind: type[Enum]) -> Any:
    if isinstance(value, kind):
        return value
    return next((member for member in kind if member.value == value), _ODD)


def _number(value: Any, kind: Any, info: Any) -> Any:
    try:
        number = kind(value)
    except (ValueError, OverflowError):
        return _ODD
    if number != number or (info.min is not None and number < info.min):  # noqa: PLR0124 (NaN)
        return _ODD
    return _ODD if info.max is not None and number > info.max else number


def _plain(parameter: Any) -> bool:
    descriptor = getattr(parameter, "type_descriptor", None)
    info = getattr(descriptor, "parameter_info", None)
    if info is None or getattr(parameter, "_runtime_param", _ODD) is not None:
        return False
    special = ("parser", "exists", "file_okay", "dir_okay", "writable", "resolve_path", "allow_dash", "clamp")
    usual = {"file_okay": True, "dir_okay": True}
    return all(getattr(info, name, None) in (None, usual.get(name, False)) for name in special)


def _quickened(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if _plain(parameter):
            parameter._runtime_param = _Quick(parameter)
    return parameters


class QuickCommand(TyperCommand):
    """A command that reads plain parameters quickly."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters of the command, --help included."""
        return _quickened(super().get_params(ctx))


class QuickGroup(TyperGroup):
    """A group of commands that reads its own plain parameters quickly."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters of the group, --help included."""
        return _quickened(super().get_params(ctx))
