"""The choices of a settings class as keywords of a function: explicit, documented, checked."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
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
        own = list_parameters(function)
        return cast("Function", expose(function, function, own, settings, {}))

    return decorate


def list_parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters of a function, but for its ``**choices``."""
    parameters = inspect.signature(function).parameters.values()
    return [parameter for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]


def expose(
    named: Callable[..., Any],
    call: Callable[..., Any],
    own: Sequence[inspect.Parameter],
    settings: type[Choices],
    described: Mapping[str, str],
) -> Callable[..., Any]:
    """Return a function with the name of another, and with choices among its keywords.

    Parameters
    ----------
    named
        The function whose name and docstring it has.
    call
        What it calls.
    own
        Its parameters beside the choices; those that a choice is named like take its place.
    settings
        The class of the choices.
    described
        What the docstring says of parameters that it does not describe yet, by name.
    """
    names = {parameter.name for parameter in own}
    chosen = [each for each in list_choices(settings) if each.name not in names]
    known = [*names, *(each.name for each in chosen)]

    parameters = [*own, *map(_show_choice, chosen)]
    returned = inspect.signature(call).return_annotation
    signature = inspect.Signature(parameters, return_annotation=returned)

    @wraps(named)
    def run(*values: Any, **keywords: Any) -> Any:
        _check_names(named.__name__, keywords, known)
        return call(**signature.bind(*values, **keywords).arguments)

    run.__signature__ = signature  # type: ignore[attr-defined]
    told = {each.name: f"{each.choice.help} {each.choice.detail}" for each in chosen}
    text = inspect.getdoc(named) or ""
    run.__doc__ = document(text, [p.name for p in parameters], {**described, **told})
    return run


def _show_choice(declared: Declared) -> inspect.Parameter:
    type = declared.type | None if declared.is_optional else declared.type
    default = inspect.Parameter.empty if declared.is_required else declared.default
    return inspect.Parameter(
        declared.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=type
    )


def _check_names(function: str, keywords: Mapping[str, Any], known: list[str]) -> None:
    if unknown := [name for name in keywords if name not in known]:
        near = get_close_matches(unknown[0], known, n=3) or known
        raise TypeError(f"{function}() has no option {unknown[0]!r}; it has {', '.join(near)}.")


def document(text: str, names: Sequence[str], described: Mapping[str, str]) -> str:
    """Describe parameters in the section Parameters of a docstring.

    Parameters
    ----------
    text
        The docstring, without indentation; entries of its own stay as they are.
    names
        All parameters, in their order.
    described
        What to say of those without an entry.
    """
    head, tail = _split_section(text)
    entries = _read_entries(tail[0])
    for name in names:
        if name in described and name not in entries:
            lines = wrap(described[name], _WIDTH)
            entries[name] = "".join(f"    {line}\n" for line in lines)
    order = sorted(entries, key=lambda entry: min(map(list(names).index, entry.split(", "))))
    section = "".join(f"{entry}\n{entries[entry]}" for entry in order)
    return f"{head}Parameters\n----------\n{section}\n{tail[1]}"


def _split_section(text: str) -> tuple[str, tuple[str, str]]:
    """Return what stands before the section Parameters, the section, and what follows it."""
    head, _, rest = text.partition("Parameters\n----------\n")
    if rest:
        section, tail = re.split(r"\n(?=\S[^\n]*\n-+\n)|\Z", f"{rest}\n", maxsplit=1)[:2]
        return head, (section, tail)
    start = re.search(r"^\S[^\n]*\n-+\n", text, re.MULTILINE)
    place = start.start() if start else len(text)
    return f"{text[:place].rstrip()}\n\n", ("", text[place:])


def _read_entries(section: str) -> dict[str, str]:
    """Return the entries of a section by the names in their first line, but ``**choices``."""
    found = re.findall(r"^(\w[\w, ]*)\n((?:    [^\n]*\n|\n)+)", section, re.MULTILINE)
    return {names: f"{told.rstrip()}\n" for names, told in found}
