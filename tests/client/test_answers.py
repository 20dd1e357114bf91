"""The client's answers are what the backend answers: compared field by field, without a server."""

from __future__ import annotations

from typing import Any, Literal, Union, get_args, get_origin

import msgspec
import pytest

from gridtokenx_backend.api import reading_views, views
from gridtokenx_client import answers

PAIRS: list[tuple[type[msgspec.Struct], type[msgspec.Struct]]] = [
    (answers.Health, views.HealthView),
    (answers.Summary, views.SummaryView),
    (answers.Balance, views.BalanceView),
    (answers.Trade, views.TradeView),
    (answers.Trades, views.TradesView),
    (answers.Level, views.LevelView),
    (answers.Book, views.BookView),
    (answers.Placed, views.OrderView),
    (answers.Cancelled, views.CancelView),
    (answers.StandingSet, views.StandingView),
    (answers.OpenOrder, views.OpenOrderView),
    (answers.StandingOrder, views.StandingOrderView),
    (answers.Orders, views.OrdersView),
    (answers.Device, views.DeviceView),
    (answers.MeterReading, reading_views.ReadingView),
    (answers.RefusedFrame, reading_views.RefusedFrameView),
    (answers.MeterReadings, reading_views.ReadingsView),
]


def without_choices(kind: Any) -> Any:
    """Return the type of a Literal's values: a client takes values that a later API adds."""
    if get_origin(kind) is Union:  # of two Literals
        (found,) = {without_choices(each) for each in get_args(kind)}
        return found
    if get_origin(kind) is not Literal:
        return kind
    (found,) = {type(value) for value in get_args(kind)}
    return found


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__name__)
def test_every_member_that_we_read_is_answered_with_our_type(
    ours: type[msgspec.Struct], theirs: type[msgspec.Struct]
) -> None:
    answered = {field.encode_name: field.type for field in msgspec.structs.fields(theirs)}
    for field in msgspec.structs.fields(ours):
        assert field.encode_name in answered
        if field.type in {int, str, bool, int | None}:
            assert without_choices(answered[field.encode_name]) == field.type
