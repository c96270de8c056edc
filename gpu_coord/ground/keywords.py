"""The choices of a settings class as keywords of a function: explicit, documented, checked."""

import inspect
import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from textwrap import wrap
from typing import Any, TypeVar, cast

from gpu_coord.ground.choices import Choices, Declared, list_choices

Function = TypeVar("Function", bound=Callable[..., Any])

_WIDTH = 88


def takes(settings: type[Choices]) -> Callable[[Function], Function]:
    """Show the ``**choices`` of a function as the keywords that they are.

    Its signature and the section Parameters of its docstring name each choice; a keyword that is
    none is refused with those that are near.

    Parameters
    ----------
    settings
        The class whose choices the function takes.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        added = [
            _show_choice(each)
            for each in list_choices(settings)
            if each.name not in signature.parameters
        ]
        known = [p.name for p in (*own, *added)]

        @wraps(function)
        def run(*values: Any, **keywords: Any) -> Any:
            _check_names(function.__name__, keywords, known)
            return function(*values, **keywords)

        run.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
        run.__doc__ = _document(inspect.getdoc(function) or "", settings, own)
        return cast("Function", run)

    return decorate


def _show_choice(declared: Declared) -> inspect.Parameter:
    type = declared.type | None if declared.is_optional else declared.type
    default = inspect.Parameter.empty if declared.is_required else declared.default
    return inspect.Parameter(
        declared.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=type
    )


def _check_names(function: str, keywords: dict[str, Any], known: list[str]) -> None:
    if unknown := [name for name in keywords if name not in known]:
        near = get_close_matches(unknown[0], known, n=3) or known
        raise TypeError(f"{function}() has no option {unknown[0]!r}; it has {', '.join(near)}.")


def _document(text: str, settings: type[Choices], own: list[inspect.Parameter]) -> str:
    """Put what the choices are in the place of the entry ``**choices``."""
    names = {parameter.name for parameter in own}
    entries = [
        f"{each.name}\n"
        + "\n".join(
            f"    {line}" for line in wrap(f"{each.choice.help} {each.choice.detail}", _WIDTH)
        )
        for each in list_choices(settings)
        if each.name not in names
    ]
    described = "\n".join(entries).replace("\\", "\\\\")
    return re.sub(r"^\*\*choices\n(?:    .*\n?)+", described + "\n", text, flags=re.MULTILINE)
