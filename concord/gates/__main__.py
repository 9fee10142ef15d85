import sys

from concord.gates.gate import main

if __name__ == "__main__":
    sys.exit(main())
