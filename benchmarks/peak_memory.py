"""Be `python -m netlab` with the given arguments, then print the peak memory: JSON [of this process, of its tools], in MiB.

Run by its path, so that it imports nothing but the netlab of the working tree in PYTHONPATH.
"""

from __future__ import annotations

import json
import resource
import runpy
import sys

if __name__ == "__main__":
    sys.argv[0] = "netlab"
    code: object = 0
    try:
        runpy.run_module("netlab", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    peaks = [resource.getrusage(who).ru_maxrss >> 10 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print("\n" + json.dumps(peaks), file=sys.stderr)
    sys.exit(code if isinstance(code, int) else bool(code))
