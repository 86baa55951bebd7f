"""Runs a command and prints what it took: CPU seconds (user + system, children included), seconds on
the clock, peak memory in KiB.

usage: measure.py STDOUT_FILE COMMAND ARGUMENTS...
"""
import json
import os
import sys
import time

out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
one_thread = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS")}
start = time.perf_counter()
pid = os.posix_spawnp(
    sys.argv[2],
    sys.argv[2:],
    dict(os.environ, DO_NOT_TRACK="1", **one_thread),
    file_actions=[(os.POSIX_SPAWN_DUP2, out, 1)],
)
_, status, usage = os.wait4(pid, 0)
wall = time.perf_counter() - start
cpu = usage.ru_utime + usage.ru_stime
code = os.waitstatus_to_exitcode(status)
print(json.dumps({"cpu": cpu, "wall": wall, "rss_kib": usage.ru_maxrss, "code": code}))
