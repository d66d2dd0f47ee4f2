"""`python -m dnc_inspector trace.npz`: see `page`."""

import sys

from dnc_inspector import page

sys.exit(page.main())
