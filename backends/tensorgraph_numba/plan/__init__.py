"""Planning programs on Numba's kernels: tasks, where values lie in memory, tables of calls."""
