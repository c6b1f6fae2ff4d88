"""A module per source: ``accepts(path)`` and ``load(path, **options)``."""
