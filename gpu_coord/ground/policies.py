"""What the pages that we write may run and load: what we wrote into them, and nothing else.

The one idea: a content security policy names each script by its hash, so that whatever an archive
holds is no script, even where it should get past the escapes.
"""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256


def write_policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """Return the content security policy of a page.

    Parameters
    ----------
    styles, scripts
        The texts of its elements; without a style, styles are free, as those of an SVG are.
    """
    style = _name(styles) if styles else "'unsafe-inline'"
    return (
        f"default-src 'none'; img-src data:; style-src {style}; script-src {_name(scripts)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _name(texts: Sequence[str]) -> str:
    return " ".join(f"'sha256-{_hash(text)}'" for text in texts)


def _hash(text: str) -> str:
    return b64encode(sha256(text.encode()).digest()).decode()
