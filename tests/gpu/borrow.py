"""Let this environment look up in another what it has not itself.

``python tests/gpu/borrow.py .venv``: a file of site-packages, read whenever Python starts.
"""

import sys
import sysconfig
from pathlib import Path


def borrow(lender: Path) -> Path:
    """Write the file that adds the site-packages of the environment ``lender``."""
    here = Path(sysconfig.get_path("purelib"))
    there = lender.absolute() / here.relative_to(sys.prefix)
    added = here / "borrowed.pth"
    added.write_text(f"import site; site.addsitedir({str(there)!r})\n")
    return added


if __name__ == "__main__":
    borrow(Path(sys.argv[1]))
