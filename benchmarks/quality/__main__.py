import sys

from benchmarks.quality.measure import main

if __name__ == "__main__":
    sys.exit(main())
