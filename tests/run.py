#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the project's tests and prints one summary line: `N passed, N failed, N skipped`.

usage: tests/run.py [all|quick|fuzz|lab|bench|STAGE...] [--keep-going]

Each stage is a function below; `all` runs every one in order. A stage adds named results; whatever fails inside is
shown at once and again at the end, and every skip is listed with its reason.
"""

import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build-test"
PREFIX = WORK / "prefix"
JOBS = os.cpu_count() or 2
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))


class Results:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def add(self, name, ok, detail=""):
        if ok:
            self.passed += 1
        else:
            self.failed.append((name, detail))
            print(f"FAILED {name}\n{detail}", flush=True)

    def skip(self, name, reason):
        self.skipped.append((name, reason))

    def add_junit(self, path, prefix, reasons=None):
        """Takes over the cases of a JUnit file; False when there is none to read.

        @reasons: why cases were skipped, by name, where the file does not say.
        """
        try:
            root = ET.parse(path).getroot()
        except (OSError, ET.ParseError):
            return False
        for case in root.iter("testcase"):
            name = f"{prefix}/{case.get('classname') or ''}.{case.get('name')}"
            problem = case.find("failure") if case.find("failure") is not None else case.find("error")
            skip = case.find("skipped")
            if problem is not None:
                self.add(name, False, (problem.get("message") or "") + (problem.text or "")[-4000:])
            elif skip is not None:
                known = (reasons or {}).get(case.get("name"))
                self.skip(name, skip.get("message") or skip.text or known or "no reason given")
            else:
                self.passed += 1
        return True


R = Results()


def sh(*argv, env=None, timeout=None, cwd=ROOT):
    """Runs a command; (exit code, combined output). Output is only shown when somebody cares."""
    argv = [str(a) for a in argv]
    full_env = {**os.environ, **{k: str(v) for k, v in (env or {}).items()}}
    try:
        p = subprocess.run(argv, cwd=cwd, env=full_env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=timeout, text=True, errors="replace", check=False)
        return p.returncode, p.stdout
    except subprocess.TimeoutExpired as e:
        out = e.stdout.decode(errors="replace") if isinstance(e.stdout, bytes) else (e.stdout or "")
        return -1, f"{out}\ntimed out after {timeout} s"


def check(name, *argv, env=None, timeout=600):
    """One command is one test."""
    code, out = sh(*argv, env=env, timeout=timeout)
    R.add(name, code == 0, f"$ {shlex.join(str(a) for a in argv)}\n{out[-6000:]}" if code else "")
    return code == 0


def tap(name, out):
    """Takes over the lines of a TAP-like report."""
    count = 0
    for line in out.splitlines():
        words = line.split(None, 2)
        if line.startswith("ok ") and "# SKIP" in line:
            R.skip(f"{name}/{words[2].split('# SKIP')[0].strip()}", line.split("# SKIP", 1)[1].strip())
        elif line.startswith("ok "):
            R.passed += 1
        elif line.startswith("not ok "):
            R.add(f"{name}/{words[2]}", False, out[-6000:])
        else:
            continue
        count += 1
    return count


def packages():
    check("packages", "bash", "-c",
          ". scripts/packages.sh && install_packages $build_packages $run_packages $test_packages", timeout=1200)


def rules():
    check("layers", "build-aux/check-layers.py")
    check("source-rules", "build-aux/check-source.py")
    check("format", "build-aux/check-format.sh")
    scripts = [p for p in subprocess.run(["git", "ls-files", "*.sh", ".ci/run"], cwd=ROOT, capture_output=True, text=True,
                                         check=True).stdout.split() if p]
    check("shellcheck", "shellcheck", "--severity=warning", "--exclude=SC2054", "-x", *scripts)


def meson_build(name, *options, cc="gcc"):
    """Configures once, builds, returns the build directory or None."""
    build = WORK / name
    if not (build / "build.ninja").exists():
        if not check(f"{name}/configure", "meson", "setup", build, "-Dwerror=true", *options, env={"CC": cc}):
            return None
    return build if check(f"{name}/build", "ninja", "-C", build, timeout=1200) else None


def skip_reasons(build):
    """Reasons of skipped TAP cases: meson keeps them only in the output of the programs."""
    reasons = {}
    try:
        for line in (build / "meson-logs" / "testlog.json").read_text().splitlines():
            for m in re.finditer(r"^ok (\d+ \S+) # SKIP (.+)$", json.loads(line).get("stdout", ""), re.M):
                reasons[m[1]] = m[2]
    except (OSError, ValueError):
        pass
    return reasons


def meson_test(build, *args):
    junit = build / "meson-logs" / "testlog.junit.xml"
    junit.unlink(missing_ok=True)
    code, out = sh("meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", *args, timeout=1200,
                   env={"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1", "ASAN_OPTIONS": "detect_stack_use_after_return=1"})
    before = len(R.failed)
    if not R.add_junit(junit, build.name, skip_reasons(build)) or (code != 0 and len(R.failed) == before):
        R.add(f"{build.name}/tests", False, out[-6000:])


def unit():
    build = meson_build("gcc")
    if build:
        meson_test(build)
    build = meson_build("clang-asan", "-Db_sanitize=address,undefined", "-Db_lundef=false", cc="clang-14")
    if build:
        meson_test(build)


def tidy():
    build = WORK / "clang-asan"
    if build.exists():
        check("clang-tidy", "build-aux/check-tidy.sh", build, timeout=1500)
    else:
        R.add("clang-tidy", False, "needs the clang build of stage unit")


def setup():
    """What a newcomer runs, into a prefix of the test's own."""
    start = time.monotonic()
    if not check("setup", "bash", "scripts/setup.sh", "--prefix", PREFIX, "--no-run", env={"MSB_BUILD": WORK / "release"},
                 timeout=2400):
        return
    first = time.monotonic() - start
    start = time.monotonic()
    check("setup-again", "bash", "scripts/setup.sh", "--prefix", PREFIX, "--no-run", env={"MSB_BUILD": WORK / "release"})
    again = time.monotonic() - start
    print(f"setup: {first:.0f} s, again {again:.1f} s", flush=True)
    R.add("setup-again-takes-seconds", again < 20, f"the second run took {again:.1f} s")


def product_env():
    return {"MSB": PREFIX / "bin" / "msb", "MSB_LIB": PREFIX / "lib" / "msb", "MSB_TEST_BUILD": WORK / "gcc",
            "MKEROFS": WORK / "gcc" / "src" / "image" / "mkerofs", "MSB_LAYER": PREFIX / "lib" / "msb" / "msb-layer"}


def pytest(name, path, env=None, timeout=1800):
    junit = WORK / f"{name}.xml"
    junit.unlink(missing_ok=True)
    code, out = sh(sys.executable, "-m", "pytest", "-q", "-rs", f"--junitxml={junit}", path,
                   env={**product_env(), **(env or {})}, timeout=timeout)
    before = len(R.failed)
    if not R.add_junit(junit, name) or (code not in (0, 5) and len(R.failed) == before):
        R.add(name, False, out[-6000:])


def integration():
    pytest("integration", "tests/integration")


def e2e():
    pytest("e2e", "tests/e2e")


def fault():
    pytest("fault", "tests/fault")


def fuzz():
    build = meson_build("fuzz", "-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false", cc="clang-14")
    if not build:
        return
    targets = sorted(p for p in build.rglob("fuzz-*") if p.is_file() and os.access(p, os.X_OK))
    if not targets:
        R.add("fuzz", False, "no fuzz targets were built")

    def one(target):
        corpus = ROOT / "tests" / "corpus" / target.name.removeprefix("fuzz-")
        fresh = WORK / "fuzz-corpus" / target.name
        fresh.mkdir(parents=True, exist_ok=True)
        return target.name, sh(target, f"-max_total_time={FUZZ_SECONDS}", "-timeout=20", "-rss_limit_mb=2048",
                               f"-artifact_prefix={WORK}/{target.name}-", "-print_final_stats=1", fresh,
                               *([corpus] if corpus.is_dir() else []), timeout=FUZZ_SECONDS + 120)

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for name, (code, out) in pool.map(one, targets):
            runs = [line.split()[-1] for line in out.splitlines() if "number_of_executed_units" in line]
            print(f"{name}: {FUZZ_SECONDS} s, {runs[0] if runs else '?'} inputs", flush=True)
            R.add(name, code == 0, out[-6000:])


def lab():
    for name, *argv in (("lab/itself", "tests/lab/test-lab.sh"), ("lab/suite", "tests/lab/suite.sh", PREFIX, WORK / "gcc")):
        code, out = sh(*argv, timeout=2400, env=product_env())
        before = len(R.failed)
        if tap(name, out) == 0 or (code != 0 and len(R.failed) == before):
            R.add(name, False, out[-6000:])


def bench():
    env = product_env()
    check("bench/boot-icount", "bench/boot-icount", "--check", env=env, timeout=900)
    check("bench/run-vs-qemu", "bench/run-vs-qemu", "--check", "--prefix", PREFIX, env=env, timeout=900)
    check("bench/pull", "bench/pull", "--check", "-n", "3", "--prefix", PREFIX, env=env, timeout=1800)
    check("bench/lab-peer", "bench/lab-peer", "--check", "--prefix", PREFIX, env=env, timeout=900)


STAGES = [packages, rules, unit, tidy, setup, integration, e2e, fault, lab, bench, fuzz]
GROUPS = {"all": STAGES, "quick": [rules, unit], "lab": [setup, lab], "bench": [setup, bench]}


def main():
    by_name = {f.__name__: f for f in STAGES}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", nargs="*", default=["all"], choices=[*GROUPS, *by_name], metavar="STAGE")
    args = parser.parse_args()
    WORK.mkdir(exist_ok=True)
    begin = time.monotonic()
    for name in args.stage:
        for stage in GROUPS.get(name) or [by_name[name]]:
            start = time.monotonic()
            print(f"==> {stage.__name__}", flush=True)
            stage()
            print(f"    {stage.__name__}: {time.monotonic() - start:.0f} s, {R.passed} passed so far", flush=True)
            if stage is packages and R.failed:
                break
    for name, reason in R.skipped:
        print(f"skipped {name}: {reason}")
    for name, _ in R.failed:
        print(f"failed {name}")
    print(f"took {time.monotonic() - begin:.0f} s")
    print(f"{R.passed} passed, {len(R.failed)} failed, {len(R.skipped)} skipped", flush=True)
    return 1 if R.failed else 0


if __name__ == "__main__":
    sys.exit(main())
