"""terminal.py [--interrupt] COMMAND...: talks with a command on a pseudo-terminal, and says what it saw."""

import os
import pty
import select
import signal
import sys
import time

command = sys.argv[1:]
interrupt = command[0] == "--interrupt"
if interrupt:
    del command[0]
process, terminal = pty.fork()
if process == 0:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs the tests may ignore it
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvp(command[0], command)
signal.alarm(100)  # it hangs: this ends
seen = b""


def until(text, start=0):
    """Reads until a text comes after `start`; what came until then."""
    global seen
    while text not in seen[start:]:
        if not select.select([terminal], [], [], 60)[0]:
            sys.exit(f"no {text} in {seen[start:]}")
        try:
            seen += os.read(terminal, 4096)
        except OSError:
            sys.exit(f"ended without {text}: {seen}")
    return seen[start : seen.index(text, start)]


def say(line):
    """The answer to a line: what is between its echo and the next prompt."""
    start = len(seen)
    os.write(terminal, line.encode() + b"\n")
    until(b"\n", start)
    echoed = seen.index(b"\n", start) + 1
    return until(b"> ", echoed)


print(until(b"> ").decode())
if interrupt:
    for message in ("Hello", "Again"):
        start = len(seen)
        os.write(terminal, message.encode() + b"\n")
        until(b"\n", start)
        time.sleep(1)
        os.write(terminal, b"\x03")
        answer = until(b"(stopped)", start)
        print("an answer was stopped" if message == "Hello" else "and the next one began")
        until(b"> ", start + len(answer))
else:
    first, second = say("Hello"), say("Hello")
    assert first and second
    print("the second answer", "depends on" if first != second else "forgets", "the first")
    say("/reset")
    print("after /reset", "the first answer again" if say("Hello") == first else "another answer")
    print(say("/help").decode())
os.write(terminal, b"\x04")
try:
    while os.read(terminal, 4096):
        pass
except OSError:
    pass
print("ended with", os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
