#!/usr/bin/env python3
"""Runs a WASI command under wasmtime, through its Python package (a tool of the tests, not a test):

    wasmtime_run.py [--dir HOST[::GUEST]]... MODULE [arguments...]

Arguments, environment, standard streams and the exit status are passed on, as the wasmtime command does it. Compiled
modules are kept in wasmtime's own cache, so that a second start is quick.
"""
import os
import sys

try:
    import wasmtime
except ImportError:
    python = os.environ.get("WASMFORMER_PYTHON")
    if python and python != sys.executable:
        os.execv(python, [python, *sys.argv])
    sys.exit("wasmtime_run.py: this Python has no wasmtime package: . ./emsdk_env.sh installs one")


def main(argv):
    preopens = []
    while argv and argv[0] == "--dir":
        host, _, guest = argv[1].partition("::")
        preopens.append((host, guest or host))
        argv = argv[2:]
    if not argv:
        sys.exit("usage: wasmtime_run.py [--dir HOST[::GUEST]]... MODULE [arguments...]")

    config = wasmtime.Config()
    config.cache = True
    config.wasm_simd = True
    config.wasm_relaxed_simd = True
    engine = wasmtime.Engine(config)
    module = wasmtime.Module.from_file(engine, argv[0])
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    store = wasmtime.Store(engine)
    wasi = wasmtime.WasiConfig()
    wasi.argv = argv
    wasi.inherit_env()
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    for host, guest in preopens:
        wasi.preopen_dir(host, guest)
    store.set_wasi(wasi)
    try:
        linker.instantiate(store, module).exports(store)["_start"](store)
    except wasmtime.ExitTrap as end:
        return end.code
    return 0


sys.exit(main(sys.argv[1:]))
