"""Let this environment look up in another what it has not itself.

``python tests/gpu/borrow.py .venv``: a file of site-packages, read whenever Python starts.
"""

import sys
import sysconfig
from pathlib import Path

here = Path(sysconfig.get_path("purelib"))
lender = Path(sys.argv[1]).absolute() / here.relative_to(sys.prefix)
(here / "borrowed.pth").write_text(f"import site; site.addsitedir({str(lender)!r})\n")
