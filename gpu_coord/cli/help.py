"""The help of the program and of its commands: options in groups, examples, plain text.

Nothing but the standard library and Typer is loaded for it, and nothing is drawn.
"""

import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from gpu_coord.cli.examples import EXAMPLES
from gpu_coord.cli.options import MACHINE
from gpu_coord.ground.choices import ANALYSED, CHANCE, METHOD, OUTPUT

PANELS = (ANALYSED, METHOD, CHANCE, OUTPUT, MACHINE)
_LONGEST_FIRST = 24  # characters of a name beside which its help stands
_GAP = 2
_UsageError: Any = typer.BadParameter.__bases__[0]  # Typer has no other name for it

Row = tuple[str, str]


class GroupedCommand(TyperCommand):
    """A command whose help has its options in groups, and examples at its end."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what stands behind the name of the command."""
        named = [p for p in self.params if p.param_type_name == "argument"]
        return ["[OPTIONS]", *map(_place_argument, named)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the groups, those without options left out."""
        shown = [param for param in self.get_params(ctx) if not getattr(param, "hidden", False)]
        shown.sort(key=_rank)
        rows = {panel: [_describe(p) for p in shown if _find_panel(p) == panel] for panel in PANELS}
        width = _measure(row for part in rows.values() for row in part)
        for panel, part in rows.items():
            _write_section(formatter, panel, part, width)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        lines = EXAMPLES[self.name or ""]
        formatter.write("\nExamples:\n" + "".join(f"  {line}\n" for line in lines))


class Program(TyperGroup):
    """The program, whose help lists the commands in whole sentences."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options before the command."""
        with _clean_refusals():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Read the options of the command, and call it."""
        with _clean_refusals():
            return super().invoke(ctx)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command with what it does."""
        rows = [(name, command.help or "") for name, command in self.commands.items()]
        _write_section(formatter, "Commands", rows, _measure(rows))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options of the program."""
        self.format_commands(ctx, formatter)
        rows = [_describe(param) for param in self.get_params(ctx)]
        _write_section(formatter, "Options", rows, _measure(rows))


@contextmanager
def _clean_refusals() -> Iterator[None]:
    """Clean what Typer says of options that there are not: a shell may take them from names."""
    try:
        yield
    except _UsageError as error:
        from gpu_coord.ground.terminal import clean_line

        error.message = clean_line(error.message)
        raise


def _place_argument(argument: Any) -> str:
    name = argument.metavar if argument.required else f"[{argument.metavar}]"
    return f"{name}..." if argument.nargs == -1 else name


def _rank(param: Any) -> tuple[bool, bool]:
    """Return what arguments, then what must be given, come first by."""
    return param.param_type_name != "argument", not param.required


def _find_panel(param: Any) -> str:
    return getattr(param, "rich_help_panel", None) or MACHINE  # --help is of Typer's own making


def _describe(param: Any) -> Row:
    """Return how an option is written, and what it does, with its words and its default."""
    values = param.metavar or ""
    is_word = "|" in values
    flags = ", ".join(sorted([*param.opts, *param.secondary_opts], key=len))
    is_bare = param.param_type_name == "argument" or getattr(param, "is_flag", False)
    first = values if param.param_type_name == "argument" else flags
    first = first if is_bare else f"{first} {'WORD' if is_word else values}".rstrip()
    return first, " ".join([param.help or "", *_add_facts(param, values if is_word else "")])


def _add_facts(param: Any, values: str) -> Iterator[str]:
    """Yield the words that an option takes, its default, and that it must be given."""
    if values:
        yield f"({values.replace('|', ', ')})"
    if param.required:
        yield "[required]"
    elif param.default not in (None, "") and not isinstance(param.default, bool):
        yield f"[{_write_default(param.default)}]"


def _write_default(default: Any) -> str:
    return f"{default:g}" if isinstance(default, float) else str(default)


def _measure(rows: Iterable[Row]) -> int:
    lengths = [len(first) for first, _ in rows]
    return max((length for length in lengths if length <= _LONGEST_FIRST), default=0)


def _write_section(formatter: Any, head: str, rows: list[Row], width: int) -> None:
    """Write what stands in two columns; what is too long for the first has a line of its own."""
    if not rows:
        return
    formatter.write(f"\n{head}:\n")
    indent = " " * (2 + width + _GAP)
    for first, second in rows:
        lines = _wrap(second, formatter.width - len(indent)) or [""]
        if len(first) > width:
            formatter.write(f"  {first}\n")
            first = ""
        written = [f"  {first:<{width}}{' ' * _GAP}{lines[0]}", *(indent + ln for ln in lines[1:])]
        formatter.write("".join(f"{line.rstrip()}\n" for line in written))


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 20), break_on_hyphens=False)
