"""The libraries that are compared: each module has ``check(option)`` and ``prepare(request)``."""
