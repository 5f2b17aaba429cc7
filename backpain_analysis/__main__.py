"""``python -m backpain_analysis`` is the command ``backpain``."""

from backpain_analysis.cli import main

if __name__ == "__main__":
    main()
