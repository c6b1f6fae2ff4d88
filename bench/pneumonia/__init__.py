"""PneumoniaMNIST by five models, as run files: ``python -m bench.pneumonia --help``."""
