"""device_faults.py PROGRAM WEIGHTS: generates with an emulated driver of which one call fails, each function of the driver
in turn, at its first call and at later ones. A run ends with status 3 and one line that says what failed, or it is not
touched and says what it says without faults. Anything else ends this with a list."""

import os
import re
import subprocess
import sys

program, weights = sys.argv[1:]
RUN = ["mbc-run", "generate", program, "--weights", weights, "--prompt", "abc", "--max-new-tokens", "6", "--device", "cuda", "--quiet"]
FUNCTIONS = {
    "cuInit": "", "cuDeviceGetCount": "", "cuDeviceGet": "", "cuDeviceGetName": "", "cuDeviceGetAttribute": "", "cuDevicePrimaryCtxRetain": "", "cuCtxSetCurrent": "",
    "cuMemGetInfo": "", "cuMemAlloc": "", "cuMemAllocHost": "", "cuMemcpyHtoDAsync": "later", "cuMemcpyDtoHAsync": "later", "cuMemcpyDtoDAsync": "", "cuStreamCreate": "",
    "cuStreamSynchronize": "later", "cuStreamIsCapturing": "", "cuStreamBeginCapture": "", "cuStreamEndCapture": "", "cuEventCreate": "", "cuEventRecord": "",
    "cuEventSynchronize": "", "cuModuleLoadData": "", "cuModuleGetFunctionCount": "", "cuModuleEnumerateFunctions": "", "cuFuncGetName": "", "cuFuncGetAttribute": "",
    "cuFuncSetAttribute": "", "cuLaunchKernelEx": "later", "cuGraphInstantiate": "", "cuGraphLaunch": "later", "cuGraphExecDestroy": "", "cuGraphDestroy": "", "cuMemFree": "",
}


def run(fault=None, **environment):
    done = subprocess.run(RUN, capture_output=True, text=True, timeout=60,
                          env={**os.environ, **environment, **({"MBC_EMULATOR_FAULT": fault} if fault else {})})
    return done.returncode, done.stdout, done.stderr


whole = run()
assert whole[0] == 0, whole
wrong, failed, words = [], 0, set()
for function, kinds in FUNCTIONS.items():
    for later in ("", ":later") if kinds else ("",):
        for call in (1, 2, 3, 7, 20, 60):
            fault = f"{function}:{call}{later}"
            status, out, error = run(fault)
            lines = error.splitlines()
            if status == 3 and len(lines) == 1 and lines[0].startswith("error: "):
                failed += 1
                words.add(re.sub(r"\d+", "N", lines[0]))
            elif (status, out, error) != whole:
                wrong.append((fault, status, out, error))
            else:
                break  # it is not called so often
for item in wrong:
    print("wrong:", *item)
for line in sorted(words):
    print(line)
print(f"{failed} failures were said, {len(wrong)} were not")
sys.exit(bool(wrong) or failed < 40)
