"""Record what the installed wheels offer: names and signatures of CuPy, cuDF and cuGraph.

    python tests/gpu/doubles/record.py            writes signatures.json beside this file
    python tests/gpu/doubles/record.py --print    prints it

CuPy is imported (that needs no device); cuDF and cuGraph are read as source text, since importing
them needs libraries of some gigabytes. Defaults are left out: a call binds without their values.
"""

import ast
import importlib.util
import inspect
import json
import re
import sys
from importlib.metadata import version
from pathlib import Path

TABLE = Path(__file__).with_name("signatures.json")
WHEELS = {"cupy": "cupy-cuda12x", "cudf": "cudf-cu12", "cugraph": "cugraph-cu12"}
CUDF_CLASSES = {  # class -> where it and its bases are written, nearest first
    "DataFrame": [
        ("core/dataframe.py", "DataFrame"),
        ("core/indexed_frame.py", "IndexedFrame"),
        ("core/frame.py", "Frame"),
    ],
    "Series": [
        ("core/series.py", "Series"),
        ("core/single_column_frame.py", "SingleColumnFrame"),
        ("core/indexed_frame.py", "IndexedFrame"),
        ("core/frame.py", "Frame"),
    ],
    "Index": [
        ("core/index.py", "Index"),
        ("core/single_column_frame.py", "SingleColumnFrame"),
        ("core/frame.py", "Frame"),
    ],
    "DataFrameGroupBy": [
        ("core/groupby/groupby.py", "DataFrameGroupBy"),
        ("core/groupby/groupby.py", "GroupBy"),
    ],
    "SeriesGroupBy": [
        ("core/groupby/groupby.py", "SeriesGroupBy"),
        ("core/groupby/groupby.py", "GroupBy"),
    ],
}
CUDF_OPERATORS = "core/mixins/binops.py"
CUDF_FUNCTIONS = {
    "concat": "core/reshape.py",
    "merge": "core/dataframe.py",
    "from_pandas": "core/dataframe.py",
    "read_parquet": "io/parquet.py",
    "factorize": "core/algorithms.py",
}
CUGRAPH_FUNCTIONS = {
    "connected_components": "components/connectivity.py",
    "weakly_connected_components": "components/connectivity.py",
    "strongly_connected_components": "components/connectivity.py",
    "leiden": "community/leiden.py",
    "louvain": "community/louvain.py",
    "pagerank": "link_analysis/pagerank.py",
    "core_number": "cores/core_number.py",
}


def main() -> None:
    text = json.dumps(record(), indent=1, sort_keys=True) + "\n"
    if sys.argv[1:] == ["--print"]:
        print(text, end="")
    else:
        TABLE.write_text(text)
        print(f"{TABLE}: {len(text):,} bytes, {record_versions()}")


def record() -> dict:
    """Return the table that the installed wheels give."""
    return {
        "versions": record_versions(),
        "cupy": record_cupy(),
        "cudf": record_cudf(find_package("cudf")),
        "cugraph": record_cugraph(find_package("cugraph")),
    }


def record_versions() -> dict[str, str]:
    return {name: version(wheel) for name, wheel in WHEELS.items()}


def find_package(name: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    here = Path(__file__).resolve().parent
    for folder in map(Path, sys.path):
        found = folder / name / "__init__.py"
        if folder.resolve() != here and found.exists():
            return found.parent
    raise ModuleNotFoundError(f"{name} is not installed; it is read from {WHEELS[name]}.")


# --- CuPy: imported --------------------------------------------------------------------------


def import_cupy():
    """Import the real CuPy, whatever stands in its place on the path."""
    spec = importlib.util.spec_from_file_location(
        "cupy",
        find_package("cupy") / "__init__.py",
        submodule_search_locations=[str(find_package("cupy"))],
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["cupy"] = module
    spec.loader.exec_module(module)
    return module


def record_cupy() -> dict:
    cupy = import_cupy()
    names = [name for name in dir(cupy) if not name.startswith("_")]
    found = {name: getattr(cupy, name) for name in names}
    ufuncs = {name: value for name, value in found.items() if isinstance(value, cupy.ufunc)}
    return {
        "names": names,
        "functions": {
            name: text
            for name, value in found.items()
            if name not in ufuncs and (text := describe(value)) is not None
        },
        "ufuncs": {
            name: {"nin": value.nin, "nout": value.nout, "types": value.types}
            for name, value in ufuncs.items()
        },
        "ndarray": {
            name: describe_method(getattr(cupy.ndarray, name))
            for name in dir(cupy.ndarray)
            if is_public(name)
        },
        "cuda": [name for name in dir(cupy.cuda) if not name.startswith("_")],
        "runtime": [name for name in dir(cupy.cuda.runtime) if not name.startswith(("_", "cuda"))],
        "RawModule": [name for name in dir(cupy.RawModule) if not name.startswith("_")],
        "RawKernel": [name for name in dir(cupy.RawKernel) if not name.startswith("_")],
    }


def is_public(name: str) -> bool:
    return not name.startswith("_") or re.fullmatch(r"__\w+__", name) is not None


def describe(function) -> str | None:
    if isinstance(function, type) or inspect.ismodule(function) or not callable(function):
        return None
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    return write_parameters(signature.parameters.values())


def write_parameters(parameters) -> str:
    """Write parameters so that ``def f(...)`` takes them; a default is ``...``."""
    kept = [
        parameter.replace(
            annotation=inspect.Parameter.empty,
            default=(
                parameter.default if parameter.default is inspect.Parameter.empty else Ellipsis
            ),
        )
        for parameter in parameters
    ]
    return str(inspect.Signature(kept)).replace("Ellipsis", "...")[1:-1]


def describe_method(method) -> str | None:
    """Return the parameters of a compiled method, from the first line of its docstring."""
    if not callable(method):
        return None
    first_line = (method.__doc__ or "").strip().split("\n")[0]
    match = re.match(r"[\w.]+\.\w+\(self(?:, )?(.*)\)(?: ->.*)?$", first_line)
    if match is None:
        return None
    parameters = re.sub(r"=(?:'[^']*'|[^,]+)", "=...", strip_types(match[1]))
    return parameters if is_valid(parameters) else None


def is_valid(parameters: str) -> bool:
    try:
        ast.parse(f"def f({parameters}): ...")
    except SyntaxError:
        return False
    return True


def strip_types(parameters: str) -> str:
    return re.sub(r"\b(?:int|bool|str|bint|Py_ssize_t|size_t|_ndarray_base) (?=\w)", "", parameters)


# --- cuDF and cuGraph: read as text ----------------------------------------------------------


def record_cudf(folder: Path) -> dict:
    functions = {name: find_function(folder / path, name) for name, path in CUDF_FUNCTIONS.items()}
    return {
        "names": list_names(folder / "__init__.py"),
        "functions": functions,
        **{
            name: {
                attribute: parameters
                for path, base in reversed(places)
                for attribute, parameters in list_members(folder / path, base).items()
            }
            | dict.fromkeys([] if "GroupBy" in name else list_operators(folder / CUDF_OPERATORS))
            for name, places in CUDF_CLASSES.items()
        },
    }


def record_cugraph(folder: Path) -> dict:
    graph = folder / "structure" / "graph_classes.py"
    implementation = folder / "structure" / "graph_implementation" / "simpleGraph.py"
    return {
        "names": list_names(folder / "__init__.py"),
        "functions": {
            name: find_function(folder / path, name) for name, path in CUGRAPH_FUNCTIONS.items()
        },
        # Attributes that Graph lacks are looked up in its implementation.
        "Graph": list_members(implementation, "simpleGraphImpl") | list_members(graph, "Graph"),
    }


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def list_names(path: Path) -> list[str]:
    """Return the public names that a package's ``__init__`` binds."""
    names = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Delete):
            names -= {target.id for target in node.targets if isinstance(target, ast.Name)}
    names |= {path.stem for path in path.parent.glob("*.py")}
    names |= {path.parent.name for path in path.parent.glob("*/__init__.py")}
    return [*sorted(name for name in names if not name.startswith("_")), "__version__"]


def find_function(path: Path, name: str) -> str:
    functions = [
        node for node in parse(path).body if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    return write_arguments(functions[-1].args)


def list_members(path: Path, name: str) -> dict[str, str | None]:
    """Return a class's methods with their parameters, and its other attributes with None."""
    [body] = [
        node.body
        for node in parse(path).body
        if isinstance(node, ast.ClassDef) and node.name == name
    ]
    members: dict[str, str | None] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
            hidden = any("property" in text or text.endswith(".setter") for text in decorators)
            is_bound = "staticmethod" not in decorators
            members[node.name] = None if hidden else write_arguments(node.args, drop_self=is_bound)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = [target.id for target in targets if isinstance(target, ast.Name)]
            members |= dict.fromkeys(named)
            if named and named[0].startswith("_VALID_"):  # made into methods by a mixin
                members |= dict.fromkeys(list_strings(node.value))
    return {name: parameters for name, parameters in members.items() if is_public(name)}


def list_operators(path: Path) -> list[str]:
    return [name for name in list_strings(parse(path)) if re.fullmatch(r"__\w+__", name)]


def list_strings(node: ast.AST) -> list[str]:
    return [
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]


def write_arguments(arguments: ast.arguments, *, drop_self: bool = False) -> str:
    """Write arguments without types, each default as ``...``."""
    for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
        argument.annotation = None
    for argument in (arguments.vararg, arguments.kwarg):
        if argument is not None:
            argument.annotation = None
    if drop_self:
        first = arguments.posonlyargs or arguments.args
        del first[0]
    arguments.defaults = [ast.Constant(...) for _ in arguments.defaults]
    arguments.kw_defaults = [node and ast.Constant(...) for node in arguments.kw_defaults]
    return ast.unparse(arguments)


if __name__ == "__main__":
    main()
