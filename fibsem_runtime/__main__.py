"""Start the command line with ``python -m fibsem_runtime``."""

from fibsem_runtime.cli import main

if __name__ == "__main__":
    main()
