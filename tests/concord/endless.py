"""A process of `concord.apart` whose work does not end."""

import sys
from itertools import repeat

from concord.apart import work_apart

if __name__ == "__main__":
    work_apart(int(sys.argv[1]), int(sys.argv[2]), lambda _: b"" if any(repeat(False)) else b"never")
