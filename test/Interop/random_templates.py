"""Random templates of the constructs that mbc supports, rendered by jinja2 as transformers sets it up and by mbc: the
texts are equal, or both fail. By hand, for N templates from a seed:

    .venv/bin/python test/Interop/random_templates.py 20000 [SEED]
"""

import json
import random
import re
import sys

from template_peers import Probe, peer_render

VARIABLES = {
    "s": "Hello, World",
    "u": "ß ǅ é中\U0001f600 ΑΣ\u0301 x\u2028y",
    "sp": "  \t a b\n\nc \x0b d  ",
    "empty": "",
    "n": 7,
    "m": -3,
    "z": 0,
    "f": 2.5,
    "g": -1e22,
    "t": True,
    "no": False,
    "nul": None,
    "xs": [3, 1, 2, 1],
    "ws": ["b", "A", "c", "a"],
    "mix": [1, "a", None, 2.0, True, [1, 2], {"k": 1}],
    "d": {"b": 1, "a": [1, 2], "items": "shadow", "C": None, "name": "it's"},
    "big": 123456789012345678901234567890,
    "messages": [
        {"role": "system", "content": " Be brief. "},
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"x": [1, {"y": "é"}]}}}]},
        {"role": "tool", "content": "{\"a\": 1}"},
    ],
}
NAMES = [*VARIABLES, "undef", "i", "x", "y", "ns", "mac", "loop", "caller", "varargs", "kwargs"]
STRINGS = ["a", "", " ", "ab", "l", "Hello", "\n", "é", "</think>", "{}", "%s", "a,b,,c", "x y  z", "It's", 'q"', "12", "-3.5", "1e3", "0x1f", "\t", "key", "role", "\\"]
FILTERS = [
    "trim", "upper", "lower", "title", "capitalize", "length", "count", "list", "first", "last", "string", "int", "float", "abs", "reverse", "sort",
    "unique", "join", "items", "dictsort", "tojson", "safe", "escape", "e", "default('q')", "d(1, true)", "default", "join(', ')", "join(s)", "replace('l', 'L')",
    "replace('', '-')", "replace('a', 'bb', 1)", "trim('abc ')", "int(5)", "int(0, 16)", "float(1.5)", "round", "round(1)", "round(1, 'ceil')", "round(0, 'floor')",
    "sort(reverse=true)", "sort(attribute='role')", "map('upper')", "map(attribute='role')", "map(attribute='content', default='-')", "select('string')", "select",
    "reject('none')", "selectattr('role', 'equalto', 'user')", "selectattr('role')", "rejectattr('tool_calls', 'defined')", "rejectattr('content')", "map('int')|list",
    "tojson(indent=2)", "tojson(sort_keys=true)", "tojson(ensure_ascii=true)", "tojson(separators=(',', ':'))", "tojson(indent=1, separators=(';', '='))", "indent", "indent(2, true)",
    "indent('>', blank=true)", "batch(2)|list", "batch(3, 'x')|list", "slice(2)|list", "slice(3, 0)|list", "sum", "sum(start=3)", "min", "max", "center(9)", "wordcount",
    "groupby('role')", "truncate(5)", "truncate(6, true, '')", "format(1)", "format('a', 'b')", "attr('role')", "map('length')|list", "unique|list", "reverse|list", "map('string')|join('|')",
    "dictsort(by='value')", "dictsort(true, reverse=true)", "list|length", "map(attribute=0)|list", "sort(case_sensitive=true)", "forceescape", "unknown_filter", "map('nope')|list", "join('.', attribute='role')",
]
TESTS = [
    "defined", "undefined", "none", "string", "mapping", "sequence", "iterable", "number", "integer", "float", "boolean", "true", "false", "odd", "even", "divisibleby(3)", "divisibleby 2",
    "equalto(1)", "eq 'a'", "ne(none)", "lt(3)", "gt 2", "ge(1)", "le(2)", "in [1, 2]", "in('abc')", "sameas(none)", "sameas true", "lower", "upper", "escaped", "callable", "filter", "test",
    "not defined", "not none", "not string", "unknown_test", "greaterthan(0)", "lessthan 9",
]
METHODS = [
    "upper()", "lower()", "title()", "capitalize()", "strip()", "lstrip()", "rstrip()", "strip('Hd ')", "rstrip('\\n')", "lstrip(none)", "split()", "split(',')", "split('l', 1)", "split(none, 1)",
    "rsplit(' ', 1)", "rsplit(maxsplit=1)", "split('')", "split(sep='o', maxsplit=1)", "splitlines()", "splitlines(true)", "startswith('H')", "endswith(('d', 'z'))", "startswith(['a'])",
    "replace('l', '')", "replace('o', '00', 1)", "replace('', '.')", "find('o')", "find('o', 5)", "rfind('l', -8, 11)", "index('z')", "count('l')", "count('')", "join(ws)", "join(xs)", "partition(', ')",
    "rpartition('l')", "isdigit()", "isalpha()", "isalnum()", "isspace()", "islower()", "isupper()", "istitle()", "isdecimal()", "isascii()", "zfill(5)", "zfill(15)", "center(15)", "center(16, '*')",
    "ljust(14, '-')", "rjust(14)", "swapcase()", "removeprefix('He')", "removesuffix('ld')", "format(1, 2)", "format(n=1)", "items()", "keys()", "values()", "get('a')", "get('zz', 5)", "get('b')|string",
    "items()|list", "copy()", "append(1)", "pop()", "update({})", "index(1)", "count(1)", "real", "role", "content", "tool_calls", "items", "b", "name", "missing", "missing.deeper", "__class__", "_x", "0", "1.x",
    "casefold", "setdefault('a', 1)", "is_integer()", "foo()", "grouper", "index0", "first", "last", "length", "previtem", "nextitem", "revindex", "depth", "cycle('a', 'b')", "changed(i)",
]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def pick(self, items):
        return self.r.choice(items)

    def literal(self):
        r = self.r.random()
        if r < 0.4:
            text = self.pick(STRINGS)
            q = self.pick("'\"")
            return q + text.replace("\\", "\\\\").replace(q, "\\" + q).replace("\n", self.pick(["\n", "\\n"])) + q
        if r < 0.7:
            return self.pick(["0", "1", "2", "3", "10", "-1", "-2", "1_000", "0x1F", "0b11", "0o7"])
        if r < 0.8:
            return self.pick(["1.5", "0.1", "2.0", "1e3", "1.5e-7", "-0.0", "1e16", "123456789.123"])
        return self.pick(["true", "false", "none", "True", "False", "None", "[]", "{}", "()", "'a' 'b'"])

    def expr(self, depth=3):
        """Mostly one that can be evaluated by itself: a template ends at its first error."""
        for _ in range(5):
            made = self.any_expr(depth)
            if self.r.random() < 0.05 or peer_render("{{ " + made + " }}", VARIABLES)[0] is not None:
                return made
        return self.pick(NAMES)

    def any_expr(self, depth):
        r = self.r.random()
        if depth <= 0 or r < 0.22:
            return self.literal() if self.r.random() < 0.35 else self.pick(NAMES)
        sub = lambda: self.any_expr(depth - 1)
        if r < 0.38:
            return f"{sub()}|{self.pick(FILTERS)}"
        if r < 0.52:
            base = self.pick(NAMES) if self.r.random() < 0.7 else f"({sub()})"
            return f"{base}.{self.pick(METHODS)}"
        if r < 0.60:
            left, right, op = sub(), sub(), self.pick(BINARY)
            if op == "**":  # Python would compute integers of any size
                left, right = self.pick(["n", "m", "f", "z", "2", "t", "s"]), self.pick(["0", "1", "3", "-1", "0.5", "m", "f"])
            return f"({left}) {op} ({right})" if self.r.random() < 0.6 else f"{left} {op} {right}"
        if r < 0.66:
            return f"{sub()} is {self.pick(TESTS)}"
        if r < 0.74:
            return f"({sub()})[{self.pick([sub(), self.slice(), self.pick(['0', '-1', '1', repr('role'), repr('b')])])}]"
        if r < 0.78:
            return f"({sub()} if {sub()}" + (f" else {sub()})" if self.r.random() < 0.7 else ")")
        if r < 0.82:
            return self.pick(["[{}, {}]", "({}, {})", "[{}, {},]", "{{'k': {}, 'b': {}}}", "{{{}: {}}}"]).format(sub(), sub())
        if r < 0.85:
            return self.pick(["not {}", "-{}", "+{}", "not ({})"]).format(sub())
        if r < 0.89:
            return self.pick(["range({})", "range({}, 5)", "range(5, {}, -2)", "dict(a={})", "namespace(a={}).a", "dict(d, z={})", "namespace({})", "cycler('a', {}).next()"]).format(sub())
        if r < 0.93:
            return self.pick(["mac({})", "mac({}, b=1)", "mac(*[{}])", "mac(**{{'a': {}}})", "mac({}, 1, 2, 3)", "caller({})", "loop({})"]).format(sub())
        if r < 0.96:
            op = lambda: self.pick(["<", "==", "!=", ">=", "in"])
            return f"{sub()} {op()} {sub()} {op()} {sub()}"
        return f"{self.pick(['s', 'u', 'sp', repr('%s-%5.1f|%(b)s'), repr('%-5s|'), repr('%05d'), repr('%x'), repr('{:>5}|{!r}')])} % {sub()}" if self.r.random() < 0.5 else f"'{{}} {{}}'.format({sub()}, {sub()})"

    def slice(self):
        part = lambda: self.pick(["", "", "0", "1", "-1", "2", "-3", "100", "none", "n"])
        return f"{part()}:{part()}" + (f":{self.pick(['', '1', '-1', '2', '-2'])}" if self.r.random() < 0.5 else "")

    def text(self):
        return self.pick(["a", " ", "\n", "  \n  ", "x\n", " y ", "\t", "é\n", "<b>", "{", "}", "#", "\r\n", "%", "\n\n "])

    def tag(self, body):
        return f"{{%{self.pick(['', '', '-', '+'])} {body} {self.pick(['', '', '-', '+'])}%}}"

    def target(self):
        return self.pick(["x", "y", "i", "x, y", "ns.a", "(x, y)", "s", "n", "ns.b", "a, (x, y)", "loop", "x,"])

    def block(self, depth):
        return "".join(self.stmt(depth) for _ in range(self.r.randint(1, 3)))

    def stmt(self, depth):
        r = self.r.random()
        if r < 0.22 or depth <= 0:
            return self.text()
        if r < 0.48:
            return f"{{{{{self.pick(['', '', '-', '+'])} {self.expr()} {self.pick(['', '', '-'])}}}}}"
        sub = lambda: self.block(depth - 1)
        if r < 0.60:
            return self.tag(f"set {self.target()} = {self.expr()}")
        if r < 0.68:
            out = self.tag(f"if {self.expr()}") + sub()
            while self.r.random() < 0.3:
                out += self.tag(f"elif {self.expr(2)}") + sub()
            if self.r.random() < 0.5:
                out += self.tag("else") + sub()
            return out + self.tag("endif")
        if r < 0.83:
            over = self.pick(["xs", "ws", "messages", "d", "d.items()", "s", "mix", "range(3)", "messages[::-1]", "d|dictsort", "undef", "xs|map('string')", self.expr(2)])
            target = self.pick(["i", "i", "i", "x", "x, y", "m"])
            head = f"for {target} in {over}"
            if self.r.random() < 0.25:
                head += f" if {self.pick([target.split(',')[0], self.expr(1), target.split(',')[0] + ' != 1', 'ns.a', 'loop'])}"
            if self.r.random() < 0.1:
                head += " recursive"
            out = self.tag(head) + sub()
            if self.r.random() < 0.5:
                out += self.pick(["{{ loop.index }}", "{{ loop.last }}", "{{ loop.length }}{{ loop.revindex }}", "{{ loop.nextitem }}", "{{ loop.previtem is defined }}", "{% set ns.a = i %}", "{{ i }}", "{{ x }}",
                                  "{% if loop.index0 == 1 %}{% continue %}{% endif %}", "{% if loop.index == 2 %}{% break %}{% endif %}", "{{ loop.changed(x) }}", "{{ loop.cycle(1, 2, 3) }}", "{{ loop }}"])
            if self.r.random() < 0.2:
                out += self.tag("else") + sub()
            return out + self.tag("endfor")
        if r < 0.88:
            params = self.pick(["", "a", "a, b=2", "a, b=n, c=a", "x", "caller=none", "a='q', *b"]) if self.r.random() < 0.97 else "a, a"
            body = sub() + self.pick(["{{ a }}{{ b }}", "{{ caller() }}", "{{ varargs }}{{ kwargs }}", "{{ x }}", "{% if caller %}{{ caller(1) }}{% endif %}", ""])
            return self.tag(f"macro mac({params})") + body + self.tag("endmacro")
        if r < 0.90:
            return self.tag(self.pick(["call mac(1)", "call(q) mac(2, b=3)", "call mac()", "call(x=1) mac"])) + sub() + self.tag("endcall")
        if r < 0.92:
            return self.tag(self.pick(["filter upper", "filter trim|upper", "filter replace('a', s)", "filter indent(2)"])) + sub() + self.tag("endfilter")
        if r < 0.94:
            return self.tag(self.pick(["set x", "set x | trim", "set ns.a", "set y | upper | trim", "set x, y"])) + sub() + self.tag("endset")
        if r < 0.955:
            return self.tag(self.pick([f"with x = {self.expr(1)}", f"with x = 1, y = {self.expr(1)}", "with"])) + sub() + self.tag("endwith")
        if r < 0.965:
            return self.tag("generation") + sub() + self.tag("endgeneration")
        if r < 0.975:
            return self.pick(["{# c #}", "{#- c -#}", "{#+ c +#}", "{# c #}\n"])
        if r < 0.985:
            return self.pick(["{% raw %}{{ x }} {% endraw %}", " {%- raw -%} {% if %} {%- endraw -%} ", "{% raw %}\n a {%+ endraw +%}\n"])
        if r < 0.99:
            return self.tag(f"print {self.expr(1)}, {self.expr(1)}")
        return self.pick(["{% break %}", "{% continue %}", "{% endif %}", "{% foo %}", "{{ }}", "{{ a b }}", "{% if %}", "{{ 'a }}", "{{ raise_exception('no ' ~ n) }}", "{% set x %}"])

    def template(self):
        head = self.pick(["", "", "{% set ns = namespace(a=1, b='q') %}", "{% set ns = namespace(a=none) %}{% macro mac(a, b=2) %}[{{ a }}{{ b }}{{ caller(3) if caller }}]{% endmacro %}"])
        return head + self.block(3)


# What mbc refuses by design: what Python prints with an address or tells by identity, integers beyond 64 bits, going through
# `loop` itself; and slices of constants that have none, which jinja2 takes for undefined where it folds constants.
REFUSED = re.compile(
    r"a loop cannot be iterated|cannot be sliced|cannot be printed: its text|'sameas' of a|beyond 64 bits|is not supported|is an integer beyond|and cannot be compared|sum does not add|supports the conversions|with and without"
)


def compare(count, seed, probe, show=5):
    """Returns (equal, both fail, refused by design, differences)."""
    requests, expected = [], []
    for i in range(count):
        source = Maker(seed * 1_000_003 + i).template()
        requests.append({"template": source, "variables": VARIABLES})
        expected.append(peer_render(source, VARIABLES))
    equal = failed = refused = 0
    differences = []
    for request, want, got in zip(requests, expected, probe.render(requests)):
        error = got.get("error") if isinstance(got, dict) else None
        if error is None and want[0] == got:
            equal += 1
        elif error is not None and want[0] is None:
            failed += 1
        elif error is not None and REFUSED.search(error):
            refused += 1
        else:
            differences.append((request["template"], want, got))
    for template, want, got in differences[:show]:
        print(f"--- {template!r}\n  jinja2: {want!r}\n  mbc:    {got!r}")
    return equal, failed, refused, differences


if __name__ == "__main__":
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    equal, failed, refused, differences = compare(count, seed, Probe(), show=int(sys.argv[3]) if len(sys.argv) > 3 else 12)
    print(f"{count} templates: {equal} equal, {failed} fail on both sides, {refused} refused by design, {len(differences)} differ")
    sys.exit(bool(differences))
