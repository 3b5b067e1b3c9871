#!/usr/bin/env python3
"""Prints "PASSED FAILED SKIPPED" for one result file: GoogleTest JSON, lit JSON or JUnit XML (pytest).
Prints nothing, and fails, when the file is not there: the runner did not get that far."""

import json
import os
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter


def googletest(report):
    for suite in report["testsuites"]:
        for test in suite["testsuite"]:
            if test.get("failures"):
                yield "failed"
            else:
                yield "passed" if test["result"] == "COMPLETED" else "skipped"


def lit(report):
    outcome = {"PASS": "passed", "FLAKYPASS": "passed", "XFAIL": "passed"}
    outcome |= {"UNSUPPORTED": "skipped", "EXCLUDED": "skipped", "SKIPPED": "skipped"}
    return (outcome.get(test["code"], "failed") for test in report["tests"])


def junit(root):
    for case in root.iter("testcase"):
        kinds = {child.tag for child in case}
        yield "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"


def main():
    path = sys.argv[1]
    if not os.path.exists(path):
        sys.exit(1)
    if path.endswith(".xml"):
        results = junit(ElementTree.parse(path).getroot())
    else:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        results = googletest(report) if "testsuites" in report else lit(report)
    counts = Counter(results)
    print(counts["passed"], counts["failed"], counts["skipped"])


if __name__ == "__main__":
    main()
