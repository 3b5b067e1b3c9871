"""mbc's chat templates against jinja2 as transformers sets it up."""

import re
import sys
from pathlib import Path

import pytest

from conversations import PLAIN, Conversations
from random_templates import compare
from template_peers import ROOT, Probe, peer_render

HERE = Path(__file__).parent


def llama_cpp_templates():
    """Templates of models that llama-cpp-python carries as package data."""
    for path in ROOT.glob("build/peers/llama/lib/python3*/site-packages/llama_cpp/llama_chat_format.py"):
        for name, text in re.findall(r'^(\w+_CHAT_TEMPLATE) = (".*")$', path.read_text(), re.M):
            yield name, eval(text)


def templates():
    found = {path.name: path.read_text() for path in sorted((HERE / "chat_templates").glob("*.jinja"))}
    found.update(llama_cpp_templates())
    for path in ROOT.glob("build/models/*/chat_template.jinja"):
        found[path.parent.name] = path.read_text()
    return found


@pytest.mark.parametrize("name", templates())
def test_conversations_render_as_with_jinja2(name):
    source, maker = templates()[name], Conversations(name)
    requests = [{"template": source, "variables": maker.variables()} for _ in range(1000)]
    rendered = 0
    for request, got in zip(requests, Probe().render(requests)):
        want, why = peer_render(source, request["variables"])
        if want is None:
            assert isinstance(got, dict), (why, got, request)
        else:
            assert got == want, request
            rendered += 1
    print(f"{name}: {rendered} of 1000 rendered, the others refused by both")
    assert rendered > 100


def test_random_templates_render_as_with_jinja2():
    equal, failed, refused, differences = compare(800, 77, Probe())
    assert not differences
    assert equal > 300 and refused < 40


def test_case_and_classes_of_all_characters():
    """Of those that Python's Unicode knows: utf8proc's may be newer."""
    import unicodedata

    known = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    source = "{% for c in cs %}{{ c.upper() }}|{{ c.lower() }}|{{ c.title() }}|{{ [c] }}|{{ c.isalpha() }}{{ c.isspace() }}{{ c.isdecimal() }}{{ c.isdigit() }}{{ c.isupper() }}{{ c.islower() }}{{ c.isalnum() }}\n{% endfor %}"
    wrong = set()
    for start in range(0, len(known), 5000):
        variables = {"cs": known[start : start + 5000]}
        want = peer_render(source, variables)[0].split("\n")
        got = Probe().render([{"template": source, "variables": variables}])[0].split("\n")
        wrong |= {f"U+{ord(c):04X} {a} {b}" for c, a, b in zip(variables["cs"], want, got) if a != b}
    assert not wrong, (len(wrong), sorted(wrong)[:20])
