#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the project's tests and prints one summary line: `N passed, N failed, N skipped`.

usage: tests/run.py [all|quick|fuzz|lab|bench|heavy|STAGE...]

Each stage is a function below. A stage adds named results; whatever fails inside is shown at once and again at the end,
and every skip is listed with its reason. A test that is skipped in one place (a build, an engine, a host) and passes in
another place of the same run is no skip.

`all` first builds with all processors, then runs lanes side by side, as many as there are processors: the tests that start
machines, two labs, and the checks that need nothing but processors. The benchmarks come last and have the machine to
themselves.
"""

import argparse
import concurrent.futures
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import traceback
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build-test"
PREFIX = WORK / "prefix"
JOBS = os.cpu_count() or 2
# Each lane of run_all() that keeps one processor busy holds one; fuzzing takes what is left.
PROCESSORS = threading.Semaphore(JOBS)
LIVE = set()
# Half of it on machines where everything takes twice as long.
FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "60" if JOBS >= 4 else "30"))


class Results:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []
        self.passed_keys = set()

    def add(self, name, ok, detail="", key=None):
        if ok:
            self.passed += 1
            self.passed_keys.add(key)
        else:
            self.failed.append((name, detail))
            print(f"FAILED {name}\n{detail}", flush=True)

    def skip(self, name, reason, key=None):
        self.skipped.append((name, reason, key))

    def real_skips(self):
        return [(name, reason) for name, reason, key in self.skipped if key is None or key not in self.passed_keys]

    def add_junit(self, path, prefix, reasons=None):
        """Takes over the cases of a JUnit file; how many of them failed, or None when there is no file to read.

        @reasons: why cases were skipped or failed, by name, where the file does not say.
        """
        try:
            root = ET.parse(path).getroot()
        except (OSError, ET.ParseError):
            return None
        failures = 0
        for case in root.iter("testcase"):
            where = case.get("classname") or ""
            name = f"{prefix}/{where}.{case.get('name')}"
            key = case_key(where, case.get("name"))
            problem = case.find("failure") if case.find("failure") is not None else case.find("error")
            skip = case.find("skipped")
            known = (reasons or {}).get(case.get("name"))
            if problem is not None:
                failures += 1
                self.add(name, False, ((problem.get("message") or "") + (problem.text or "")[-4000:]) or known)
            elif skip is not None:
                self.skip(name, skip.get("message") or skip.text or known or "no reason given", key)
            else:
                self.add(name, True, key=key)
        return failures


R = Results()


def case_key(program, case):
    """The same for one test case wherever it runs: meson, pytest or the lab report it."""
    program = program.split(" / ")[-1].removeprefix("test-").removesuffix("-kvm")
    return f"{program}.{re.sub(r'^[0-9]+ ', '', case)}"


def sh(*argv, env=None, timeout=None, cwd=ROOT):
    """Runs a command; (exit code, combined output). Output is only shown when somebody cares."""
    argv = [str(a) for a in argv]
    full_env = {**os.environ, **{k: str(v) for k, v in (env or {}).items()}}
    with subprocess.Popen(argv, cwd=cwd, env=full_env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True) as p:
        LIVE.add(p.pid)
        try:
            out = p.communicate(timeout=timeout)[0]
            return p.returncode, out
        except subprocess.TimeoutExpired:
            end(p.pid)
            return -1, f"{p.communicate()[0]}\ntimed out after {timeout} s"
        finally:
            LIVE.discard(p.pid)


def end(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def check(name, *argv, env=None, timeout=600):
    """One command is one test."""
    code, out = sh(*argv, env=env, timeout=timeout)
    R.add(name, code == 0, f"$ {shlex.join(str(a) for a in argv)}\n{out[-6000:]}" if code else "")
    return code == 0


def measure(name, *argv, env=None, timeout=900):
    """A measurement that another load on the machine may spoil: a second look when the first is bad. Shows its figures."""
    code, out = sh(*argv, env=env, timeout=timeout)
    if code != 0:
        print(f"{name}: exit code {code}, measuring once more\n{out[-2000:]}", flush=True)
        code, out = sh(*argv, env=env, timeout=timeout)
        if code == 0:
            print(f"{name}: good the second time", flush=True)
    if code == 0:
        print(f"{name}:\n{out[-2000:].rstrip()}", flush=True)
    R.add(name, code == 0, f"$ {shlex.join(str(a) for a in argv)}\n{out[-6000:]}" if code else "")


def tap(name, out):
    """Takes over the lines of TAP-like reports, one after the other; `run PROGRAM` says whose report follows.

    Returns the number of results and that of the failures among them.
    """
    count = failures = 0
    program = ""
    lines = [line.strip() for line in out.splitlines()]
    for at, line in enumerate(lines):
        m = re.match(r"(ok|not ok)\b *(?:\d+)? *(?:- )?(.*?)(?: # (?:SKIP (.*)|.*))?$", line)
        if line.startswith("run "):
            program = line.removeprefix("run ")
        elif m:
            # Of pytest's cases the report has the whole name.
            key = m[2] if m[2].startswith("tests.") else case_key(program, m[2])
            full = "/".join(filter(None, (name, program, m[2])))
            if m[3]:
                R.skip(full, m[3], key)
            else:
                said = itertools.takewhile(lambda text: text.startswith("#"), lines[at + 1:])
                R.add(full, m[1] == "ok", "\n".join(said)[-6000:] or out[-6000:], key)
                failures += m[1] != "ok"
            count += 1
    return count, failures


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


def reasons_of(build):
    """Why TAP cases were skipped or failed, by name: meson keeps that only in the output of the programs."""
    reasons = {}
    try:
        for line in (build / "meson-logs" / "testlog.json").read_text().splitlines():
            for m in re.finditer(r"^((?:#.*\n)*)(?:not )?ok (\d+ \S+)(?: # SKIP (.+))?$", json.loads(line).get("stdout", ""), re.M):
                if m[3] or m[1]:
                    reasons[m[2]] = m[3] or m[1]
    except (OSError, ValueError):
        pass
    return reasons


def meson_test(build, *args):
    junit = build / "meson-logs" / "testlog.junit.xml"
    junit.unlink(missing_ok=True)
    # Only for builds with sanitizers: the tests take these for the sign of one.
    env = {"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1", "ASAN_OPTIONS": "detect_stack_use_after_return=1"}
    code, out = sh("meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", *args, timeout=1200,
                   env=env if build.name.endswith("asan") else None)
    failures = R.add_junit(junit, build.name, reasons_of(build))
    if failures is None or (code != 0 and not failures):
        R.add(f"{build.name}/tests", False, out[-6000:])


def unit():
    build = meson_build("gcc")
    if build:
        meson_test(build)
    build = meson_build("clang-asan", "-Db_sanitize=address,undefined", "-Db_lundef=false", cc="clang-14")
    if build:
        meson_test(build)


def tidy(jobs=JOBS):
    build = WORK / "clang-asan"
    if build.exists():
        check("clang-tidy", "build-aux/check-tidy.sh", build, jobs, timeout=1800)
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
    places = ("bin/*", "lib/msb/msb-*", "lib/libmsb.so.*.*")
    programs = [p for place in places for p in PREFIX.glob(place) if p.read_bytes()[:4] == b"\x7fELF"]
    print("installed: " + ", ".join(f"{p.name} {p.stat().st_size // 1024} KiB" for p in sorted(programs)), flush=True)
    for p in programs:
        code, out = sh("readelf", "-SW", p)
        R.add(f"setup/{p.name}-is-stripped", code == 0 and ".symtab" not in out and ".debug" not in out, out)


def product_env():
    return {"MSB": PREFIX / "bin" / "msb", "MSB_LIB": PREFIX / "lib" / "msb", "MSB_TEST_BUILD": WORK / "gcc",
            "MKEROFS": WORK / "gcc" / "src" / "image" / "mkerofs", "MSB_LAYER": PREFIX / "lib" / "msb" / "msb-layer",
            "MSB_FS": PREFIX / "lib" / "msb" / "msb-fs"}


def pytest(name, path, env=None, timeout=1800):
    junit = WORK / f"{name}.xml"
    junit.unlink(missing_ok=True)
    code, out = sh(sys.executable, "-m", "pytest", "-q", "-rs", f"--junitxml={junit}", path,
                   env={**product_env(), **(env or {})}, timeout=timeout)
    failures = R.add_junit(junit, name)
    if failures is None or (code not in (0, 5) and not failures):
        R.add(name, False, out[-6000:])


def integration():
    check("kernel-for-tests", "kernel/build.sh", "--out", WORK / "gcc" / "vmlinux", timeout=2400)
    pytest("integration", "tests/integration")


def e2e():
    pytest("e2e", "tests/e2e")


def heavy():
    """What takes minutes under emulation and is no part of `all`: `make test-heavy`."""
    if not meson_build("gcc"):
        return
    pytest("heavy", "tests/heavy", timeout=7200)
    for path, scale in (("tests/e2e/test_volume_work.py", {"MSB_TREE_FILES": "30000"}),
                        ("tests/e2e/test_volumes.py::test_races_lead_nowhere", {"MSB_RACE_ROUNDS": "3000"})):
        pytest(f"heavy-{Path(path).stem}", path, env={k: os.environ.get(k, v) for k, v in scale.items()}, timeout=7200)


def fault():
    # Enough of each kind to notice; a hundred when asked for: MSB_KILLS=100.
    pytest("fault", "tests/fault", env={"MSB_KILLS": os.environ.get("MSB_KILLS", "40")})
    # `make soak` is the long one. A seed chooses operations and victims, the host what they hit.
    for machine, ops, kill in (("fake", 3000, 0.1), ("qemu", 80, 0.25)):
        check(f"fault/soak-{machine}", "tests/soak/soak.py", "--machine", machine, "--ops", ops, "--kill", kill, env=product_env(),
              timeout=900)
    check("fault/soak-net", "tests/soak/net.py", "--seconds", 20, env=product_env(), timeout=600)


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
                               *([corpus] if corpus.is_dir() else []), timeout=FUZZ_SECONDS + 120,
                               env={"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"})

    def one_in_turn(target):
        with PROCESSORS:
            return one(target)

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for name, (code, out) in pool.map(one_in_turn, targets):
            runs = [line.split()[-1] for line in out.splitlines() if "number_of_executed_units" in line]
            print(f"{name}: {FUZZ_SECONDS} s, {runs[0] if runs else '?'} inputs", flush=True)
            R.add(name, code == 0, out[-6000:])


def lab_run(name, *argv):
    code, out = sh(*argv, timeout=3600, env=product_env())
    count, failures = tap(name, out)
    times = re.findall(r"^ *(?:done|FAIL) (.* \(.* s\))$", out, re.M)
    if times:
        print(f"{name}: {', '.join(times)}", flush=True)
    if count == 0 or (code != 0 and not failures):
        R.add(name, False, out[-6000:])


# A lab has one processor, whatever the host has: its tests in two halves of about the same length.
LAB_HALVES = {"lab/network": ("e2e-net-kvm", "e2e-images-kvm", "fault*-kvm"), "lab/suite": ("!e2e-net-kvm", "!e2e-images-kvm", "!fault*-kvm")}


def lab_half(name):
    with PROCESSORS:
        lab_run(name, "tests/lab/suite.sh", PREFIX, WORK / "gcc", *LAB_HALVES[name])


def lab():
    with PROCESSORS:
        lab_run("lab/itself", "tests/lab/test-lab.sh")
    with concurrent.futures.ThreadPoolExecutor(len(LAB_HALVES)) as pool:
        list(pool.map(lab_half, LAB_HALVES))


def bench():
    env = product_env()
    measure("bench/boot-icount", "bench/boot-icount", "--check", env=env)
    measure("bench/ls", "bench/ls", "--check", "--runs", "40", env=env, timeout=600)
    measure("bench/run-vs-qemu", "bench/run-vs-qemu", "--check", "--prefix", PREFIX, env=env)
    measure("bench/pull", "bench/pull", "--check", "-n", "3", "--prefix", PREFIX, env=env, timeout=1800)
    measure("bench/unpack", "bench/unpack", "--check", "--prefix", PREFIX, env=env)
    measure("bench/volumes", "bench/volumes", "--check", "--files", "2000", "-n", "3", "--prefix", PREFIX, env=env)
    # With little time and few processors chance may favour another network by some per cent.
    measure("bench/net", "bench/net", "--check", "--slack", "25", "-n", "2", "--seconds", "2", env=env)
    measure("bench/net --lab", "bench/net", "--lab", "--check", "-n", "1", "--seconds", "1", env=env)
    measure("bench/running", "bench/running", "--check", "--rounds", "3", "--prefix", PREFIX, env=env)
    measure("bench/lab-net", "bench/lab-net", "--check", "--rounds", "1", "--megabytes", "8", "--prefix", PREFIX, env=env, timeout=400)
    measure("bench/lab-peer", "bench/lab-peer", "--check", "--prefix", PREFIX, env=env)


STAGES = [packages, rules, unit, setup, integration, e2e, fault, lab, tidy, fuzz, bench]
GROUPS = {"all": STAGES, "quick": [rules, unit], "lab": [setup, lab], "bench": [setup, bench],
          "heavy": [setup, heavy]}


def run_stage(stage, **kwargs):
    start = time.monotonic()
    print(f"==> {stage.__name__}", flush=True)
    try:
        stage(**kwargs)
    except Exception as e:  # pylint: disable=broad-except # one stage must not hide the results of the others
        R.add(stage.__name__, False, f"{type(e).__name__}: {e}")
    print(f"    {stage.__name__}: {time.monotonic() - start:.0f} s, {R.passed} passed so far", flush=True)


def machines():
    with PROCESSORS:
        for stage in (integration, e2e, fault):
            run_stage(stage)


def processors():
    with PROCESSORS:
        run_stage(tidy, jobs=1)
    run_stage(fuzz)


def run_all():
    run_stage(packages)
    if R.failed:
        return
    for stage in (rules, unit, setup):
        run_stage(stage)
    lanes = [threading.Thread(target=lane, daemon=True) for lane in (machines, lambda: run_stage(lab), processors)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    run_stage(bench)


def main():
    by_name = {f.__name__: f for f in STAGES}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", nargs="*", default=["all"], choices=[*GROUPS, *by_name], metavar="STAGE")
    args = parser.parse_args()
    WORK.mkdir(exist_ok=True)
    begin = time.monotonic()
    for name in args.stage:
        if name == "all":
            run_all()
            continue
        for stage in GROUPS.get(name) or [by_name[name]]:
            run_stage(stage)
    skips = R.real_skips()
    for name, reason in skips:
        print(f"skipped {name}: {reason}")
    if len(R.skipped) > len(skips):
        print(f"{len(R.skipped) - len(skips)} tests were skipped in one place and passed in another")
    for name, _ in R.failed:
        print(f"failed {name}")
    print(f"took {time.monotonic() - begin:.0f} s")
    print(f"{R.passed} passed, {len(R.failed)} failed, {len(skips)} skipped", flush=True)
    return 1 if R.failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell that runs us in the background has these ignored, and programs under test would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        code = main()
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 1
    except BaseException:  # pylint: disable=broad-except
        traceback.print_exc()
        code = 1
    for pid in list(LIVE):
        end(pid)
    sys.stdout.flush()
    # Not sys.exit(): it would wait for the threads, which would start the next tests.
    os._exit(code)
