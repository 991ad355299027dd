"""Boosts of a search."""

from __future__ import annotations

import math
from collections.abc import Sequence

from afterimage.v1 import search_service_pb2 as pb
from index import Boost, Decay, InvalidInput, NumberFactor, Side, check_attribute_name
from service.handlers.conversion.values import check_most, invalid, number_within
from service.handlers.request_limits import MAX_BOOST, MAX_BOOST_CAP, MAX_BOOSTS

_DECAYS = {
    pb.DECAY_UNSPECIFIED: Decay.GAUSS, pb.DECAY_LINEAR: Decay.LINEAR, pb.DECAY_EXPONENTIAL: Decay.EXPONENTIAL,
    pb.DECAY_GAUSS: Decay.GAUSS,
}  # fmt: skip
_SIDES = {
    pb.BOOST_SIDE_UNSPECIFIED: Side.BOTH, pb.BOOST_SIDE_BOTH: Side.BOTH, pb.BOOST_SIDE_MORE: Side.MORE,
    pb.BOOST_SIDE_LESS: Side.LESS,
}  # fmt: skip


def to_boosts(messages: Sequence[pb.Boost]) -> tuple[Boost, ...]:
    """Returns the boosts of a search. Raises ServiceError (ARGUMENT_INVALID)."""
    check_most("boosts", len(messages), MAX_BOOSTS)
    return tuple(_to_boost(message) for message in messages)


def boost_cap_of(request: pb.SearchRequest) -> float | None:
    """Returns the cap of all boosts; None without one. Raises ServiceError (ARGUMENT_INVALID)."""
    if not request.HasField("boost_cap"):
        return None
    if not number_within("boost_cap", request.boost_cap, 0.0, MAX_BOOST_CAP):
        raise invalid("boost_cap", "boost_cap must be above 0")
    return request.boost_cap


def _to_boost(message: pb.Boost) -> Boost:
    if not number_within("boosts.weight", message.weight, -MAX_BOOST, MAX_BOOST):
        raise invalid("boosts.weight", "the weight of a boost must not be 0")
    if message.WhichOneof("factor") == "number":
        return Boost(message.weight, number=_to_factor(message.number))
    if not message.filter.strip():
        raise invalid("boosts", "a boost needs a filter or a number")
    return Boost(message.weight, message.filter)


def _to_factor(message: pb.NumberFactor) -> NumberFactor:
    try:
        check_attribute_name(message.attribute)
    except InvalidInput as error:
        raise invalid("boosts.number.attribute", str(error)) from None
    for name in ("origin", "scale", "offset"):
        if not math.isfinite(getattr(message, name)):
            raise invalid(f"boosts.number.{name}", f"{name} must be a finite number")
    if message.scale <= 0:
        raise invalid("boosts.number.scale", "scale must be above 0")
    if message.offset < 0:
        raise invalid("boosts.number.offset", "offset must not be below 0")
    if message.decay not in _DECAYS:
        raise invalid("boosts.number.decay", "unknown decay")
    if message.side not in _SIDES:
        raise invalid("boosts.number.side", "unknown side")
    return NumberFactor(
        message.attribute, message.origin, message.scale, message.offset, _DECAYS[message.decay], _SIDES[message.side]
    )
