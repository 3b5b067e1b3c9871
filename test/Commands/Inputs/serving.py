"""serving.py COMMAND...: starts a server on a free port, asks it and a second one for the same port, ends it, and says what
came of each."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

command = sys.argv[1:]
server = subprocess.Popen(
    [*command, "--port", "0"], stderr=subprocess.PIPE, text=True, stdout=subprocess.PIPE,
    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
)
try:
    address = None
    for line in server.stderr:
        if found := re.search(r"serving '(.*)' at (http://127.0.0.1:(\d+))/v1: (.*?),", line):
            name, address, port, what = found.groups()
            print("serving", name, "with", what)
            break
    assert address, server.wait()

    def ask(path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    print("health", *ask("/health"))
    status, answer = ask("/v1/completions", {"prompt": "a", "max_tokens": 3, "seed": 1})
    print("completion", status, answer["usage"]["completion_tokens"])
    status, answer = ask("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}], "max_tokens": 3, "seed": 1})
    print("chat", status, answer["usage"]["completion_tokens"] if status == 200 else answer["error"]["message"])
    second = subprocess.run([*command, "--port", port], capture_output=True, text=True, timeout=60)
    print("same port:", second.stderr.strip().splitlines()[-1].replace(port, "PORT"))
    print("status", second.returncode)
    server.send_signal(signal.SIGINT)
    print("interrupted: status", server.wait(20))
    print(server.stdout.read())
finally:
    server.kill()
    server.wait()
