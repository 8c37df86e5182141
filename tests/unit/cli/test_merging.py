"""Several watches as one stream: what a look at the alarms that fails means for it."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from controller.cli.connection import Network
from controller.cli.merging import merged
from qinet.northbound.v1.operations_service_pb2 import Alarm, ListAlarmsRequest, ListAlarmsResponse

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOST = grpc.StatusCode.UNAVAILABLE
SLOW = grpc.StatusCode.DEADLINE_EXCEEDED
Look = grpc.StatusCode | list[str]
"""How a look at the alarms fails, or the alarms that it finds."""


class Failed(grpc.RpcError):
    """A call as a stub raises it."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        """Return why."""
        return self._code


def told(looks: list[Look]) -> Iterator[str]:
    """Yield the names of alarms that are told by one stream of looks; the last look is looked at for ever."""
    coming = iter(looks)

    def list_alarms(request: ListAlarmsRequest, timeout: float) -> ListAlarmsResponse:
        look = next(coming, looks[-1])
        if isinstance(look, grpc.StatusCode):
            raise Failed(look)
        return ListAlarmsResponse(alarms=[Alarm(name=f"alarms/{name}") for name in look])

    faults: Any = SimpleNamespace(timeout_s=1.0, operations=SimpleNamespace(ListAlarms=list_alarms))
    network = cast("Network", faults)
    with closing(merged(network, frozenset({"alarms"}), 1, now=lambda: NOW, alarm_interval_s=0.001)) as happenings:
        for one in happenings:
            yield one.name


@pytest.mark.parametrize(
    "looks",
    [
        # The controller was killed between its first answer and the first look.
        [LOST, SLOW, LOST, ["a"], ["a", "b"]],
        [["a"], LOST, SLOW, ["a", "b"]],
    ],
)
def test_the_stream_outlives_a_restart_during_any_look_at_the_alarms(looks: list[Look]) -> None:
    assert next(told(looks)) == "alarms/b"


@pytest.mark.parametrize("before", [list[Look](), [["a"]]])
def test_a_refused_look_at_the_alarms_ends_the_stream(before: list[Look]) -> None:
    with pytest.raises(Failed):
        next(told([*before, grpc.StatusCode.PERMISSION_DENIED]))
