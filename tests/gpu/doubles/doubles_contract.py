"""What the doubles share: the recorded table, calls bound to it, and a seeded disorder.

Three answers to a name: the real library lacks it -> AttributeError; the double knows it; the
real library has it and the double does not -> NotImplementedError, so that it is added on purpose.
"""

import inspect
import json
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

TABLE = json.loads(Path(__file__).with_name("signatures.json").read_text())

_generator = np.random.default_rng(20_261_100)
_lock = threading.Lock()


def draw_order(n_rows: int) -> np.ndarray:
    """Return a seeded order of the rows that is never the present one, if there are two."""
    with _lock:
        order = _generator.permutation(n_rows)
    return np.roll(order, 1) if n_rows > 1 and (order == np.arange(n_rows)).all() else order


@cache
def make_signature(parameters: str) -> inspect.Signature:
    """Return the signature of ``def f(<parameters>)``."""
    scope: dict[str, Any] = {}
    exec(f"def f({parameters}): ...", scope)
    return inspect.signature(scope["f"])


def bind(name: str, parameters: str | None, args: tuple, kwargs: dict) -> inspect.BoundArguments:
    """Bind a call to the real signature; a call that does not fit is a TypeError."""
    try:
        return make_signature("*args, **kwargs" if parameters is None else parameters).bind(
            *args, **kwargs
        )
    except TypeError as error:
        raise TypeError(f"{name}() {error} (real signature: {name}({parameters}))") from None


def refuse_name(owner: str, name: str, real_names: Any) -> Exception:
    """Return the error for a name that the double does not have."""
    if name in real_names:
        return NotImplementedError(
            f"the real {owner} has {name!r}, the double does not: add it to tests/gpu/doubles."
        )
    return AttributeError(f"the real {owner} has no attribute {name!r}")
