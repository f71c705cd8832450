"""What requests cost each part of the service, on one host and on several with an object store.

    python -m benchmarks.fleet [--quick] [--folder DIR]

`make stack` and `make fleet` run side by side and take turns; CPU times are those of proc(5), so what else the machine
does hardly matters. Needs root, for the network namespaces of the fleet. Writes fleet.md into benchmarks/results, or
quick-fleet.md when quick.
"""
