"""reproduce.py FOLDER MODEL...: the same input gives the same bytes, for toy, import and export: with other numbers of threads,
again, from other working folders, under other locales, time zones and file modes, and from a source of another place. Prints
what differs; exit status 1 when something does."""

import json
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True

from faults import same
from mutation_models import MODELS, finish

SETTINGS = [
    {"threads": 1}, {"threads": 2}, {"threads": 3}, {"threads": 8}, {"threads": 2},
    {"threads": 2, "environment": {"LC_ALL": "C", "TZ": "Asia/Tokyo", "LANG": "tr_TR.UTF-8"}},
    {"threads": 3, "environment": {"LC_ALL": "C.UTF-8", "TZ": "America/New_York", "HOME": "/nonexistent", "USER": "other"}},
    {"threads": 2, "umask": 0o077}, {"threads": 2, "elsewhere": True}, {"threads": 2, "moved": True},
]


def run(arguments, setting, folder):
    def before():
        os.umask(setting.get("umask", 0o022))
    done = subprocess.run(["mbc", *arguments, "--threads", str(setting["threads"]), "--quiet"], cwd=folder, preexec_fn=before,
                          capture_output=True, text=True, env={**os.environ, **setting.get("environment", {})})
    if done.returncode != 0:
        sys.exit(f"mbc {' '.join(arguments)}: {done.stderr}")


def main():
    root, wrong = os.path.abspath(sys.argv[1]), 0
    for name in sys.argv[2:]:
        config, toy, layout = MODELS[name]
        first = None
        for number, setting in enumerate(SETTINGS):
            place = os.path.join(root, name, str(number))
            # A folder of the same name elsewhere; the others are given by the same path.
            work = os.path.join(root, name, "work") if not setting.get("moved") else os.path.join(root, name, "moved", "work")
            shutil.rmtree(work, ignore_errors=True)
            os.makedirs(work)
            with open(os.path.join(work, "config.json"), "w") as file:
                json.dump(config, file, indent=2)
            folder = root if setting.get("elsewhere") else work
            prefix = os.path.relpath(work, folder)
            path = lambda what: os.path.normpath(os.path.join(prefix, what))
            run(["toy", path("config.json"), "-o", path("hf"), *toy], setting, folder)
            finish(os.path.join(work, "hf"))
            run(["import", path("hf"), "-o", path("megatron"), *layout], setting, folder)
            run(["export", path("megatron"), "-o", path("back")], setting, folder)
            shutil.rmtree(place, ignore_errors=True)
            os.rename(work, place)
            if not same(os.path.join(place, "hf"), os.path.join(place, "back")):
                wrong += 1
                print(f"{name} {setting}: the export is not the source")
            first = first or place
            for what in ("hf", "megatron", "back"):
                # Where the source is given by another path, that is recorded, and digested.
                but = ("run_config.yaml", "manifest.json") if setting.get("elsewhere") else ()
                if not same(os.path.join(first, what), os.path.join(place, what), but):
                    wrong += 1
                    print(f"{name} {setting}: {what} differs from that of {SETTINGS[0]}")
            if place != first:
                shutil.rmtree(place)
    print(f"{len(sys.argv) - 2} models, {len(SETTINGS)} settings, {wrong} differences")
    sys.exit(bool(wrong))


main()
