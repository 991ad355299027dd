"""Creates requests from the arguments of methods. Errors name the invalid argument."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from afterimage.client.checks import checked_text
from afterimage.client.errors import InvalidArgument, invalid

if TYPE_CHECKING:  # not in Python 3.9
    from typing import ParamSpec

    P = ParamSpec("P")
T = TypeVar("T")
_LARGEST = 2**31 - 1
_SHOWN = 40


def made(make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Returns the result of `make` with the arguments.

    Raises InvalidArgument if an argument has an invalid type or size, and TypeError for an unknown argument.
    """
    try:
        return make(*args, **kwargs)
    except (TypeError, ValueError) as error:
        signature = inspect.signature(make)
        given = signature.bind(*args, **kwargs).arguments
        for name, value in given.items():
            _check(name, str(signature.parameters[name].annotation), value)
        raise _unknown(error, given) from error


def _check(name: str, annotation: str, value: object) -> None:
    """Raises InvalidArgument unless the value has the annotated type."""
    if value is None and annotation.endswith("| None"):
        return
    kind = annotation.removesuffix(" | None")
    if kind == "int":
        _check_whole(name, value)
    elif kind == "float":
        _check_number(name, value)
    elif kind == "str":
        checked_text(name, value)
    elif kind == "bool" and not isinstance(value, bool):
        raise invalid(name, f"{name} is {_shown(value)}; use True or False")
    elif kind == "Mapping[str, float]":
        if not isinstance(value, Mapping):
            raise invalid(name, f"{name} is {_shown(value)}; use a mapping of names to numbers")
        for key, number in value.items():
            _check_number(f"{name}.{checked_text(name, key)}", number)


def _check_whole(name: str, value: object) -> None:
    if not isinstance(value, numbers.Integral):
        raise invalid(name, f"{name} is {_shown(value)}; use an integer")
    if abs(int(value)) > _LARGEST:
        raise invalid(name, f"{name} is {_shown(value)}, beyond {_LARGEST}; use a smaller number")


def _check_number(name: str, value: object) -> None:
    if not isinstance(value, numbers.Real):
        raise invalid(name, f"{name} is {_shown(value)}; use a number")


def _unknown(error: Exception, given: Mapping[str, Any]) -> InvalidArgument:
    """Returns the error of a value inside an argument, such as the weight of a term."""
    return invalid("", f"one of {', '.join(given)} holds a value that cannot be sent: {error}")


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= _SHOWN else text[:_SHOWN] + '...'} ({type(value).__name__})"
