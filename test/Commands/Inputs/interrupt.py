"""interrupt.py FOLDER SIGNAL COMMAND...: starts the command, waits until it has a staged folder in FOLDER, sends the
signal, and says how the command ended and what is left in FOLDER."""

import os
import signal
import subprocess
import sys
import time

folder, name, command = sys.argv[1], sys.argv[2], sys.argv[3:]
number = getattr(signal, name)
process = subprocess.Popen(command, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
while process.poll() is None and not any(".mbc-" in entry for entry in os.listdir(folder)):
    time.sleep(0.01)
process.send_signal(number)
print("ended by", signal.Signals(-process.wait()).name if process.wait() < 0 else process.wait())
print("left:", sorted(os.listdir(folder)))
