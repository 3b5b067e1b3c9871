"""The two sides of the template tests: jinja2 as transformers sets it up, and mbc's template_probe."""

import copy
import json
import os
import re
import subprocess
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
from transformers.utils.chat_template_utils import _compile_jinja_template  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("MBC") or ROOT / "build/release/bin/mbc").parent


def peer_render(source, variables):
    """(text, None), or (None, why not). A copy of the variables: `list | indent` changes its list."""
    try:
        text = _compile_jinja_template(source).render(**copy.deepcopy(variables))
        text.encode()
        if re.search(r" at 0x[0-9a-f]{6,}>", text, re.I):
            return None, "prints an address"
        return text, None
    except Exception as error:  # whatever Python raises
        return None, f"{type(error).__name__}: {error}"


class Probe:
    def render(self, requests, repeat=None):
        """A text, or {"error": message}, for each {"template", "variables"}."""
        lines = "".join(json.dumps(request) + "\n" for request in requests)
        command = [BIN / "template_probe", *(["--repeat", str(repeat)] if repeat else [])]
        done = subprocess.run(command, input=lines.encode(), stdout=subprocess.PIPE, check=True, timeout=600)
        return [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]
