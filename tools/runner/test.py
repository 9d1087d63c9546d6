#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The runner behind tools/test; see docs/testing.md."""

import argparse
import concurrent.futures
import ctypes
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIERS = {
    'unit': 'one library each, cmocka',
    'sim': 'whole engines in one thread, random interleavings from a seed',
    'model': 'protocols between workers, checked exhaustively by spin',
    'fuzz': 'parsers fed with damaged input',
    'bpf': 'the XDP program, run by the kernel on single packets',
    'net': 'the daemon as a black box, in network namespaces',
    'fault': 'kill -9, full disk, lost peers',
    'release': 'packages and the other Debian release in fresh roots, the kernels of both, the disk image',
}
SCRIPT_TIERS = ('net', 'fault', 'release')
PARALLEL_TIERS = ('unit', 'sim', 'model', 'fuzz', 'release')  # one thread a program, nothing shared: one for each CPU
LIGHT = '# light: runs beside other light ones'  # this line in a script of `net` or `fault`: one for each CPU, before the rest
LIVE_TIERS = ('release',)  # their programs take minutes: what they say on standard error is shown at once
SANITIZE_TIERS = ('unit', 'sim')
PLAIN_TIERS = ('unit', 'sim', 'fuzz')  # need no package beyond those of the purpose `unit`
SCRIPT_SECONDS = 900  # longest time of one script
RELEASE_SECONDS = 1800  # of one that sets up a system of its own
SKIP_CODE = 77
REASON_LINES, REASON_CHARS = 6, 240  # of a failed case, in the list at the end
SHOWN_LINES = 60      # of a failed case's output
PR_SET_CHILD_SUBREAPER = 36
MARK_PLACES = ('/run/netns', '/sys/fs/bpf', '/dev/hugepages', '/tmp')  # DPDK itself leaves its folders in /run/dpdk
MARK_SECONDS = 5      # somebody else on the machine may be just about to clean up


# ---- results ---------------------------------------------------------------------------------------------


class Results:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []
        self.late = []  # passed in a second attempt, because the first was too slow

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.late += other.late

    def counts(self):
        return f'{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped'


def parse_tap(text, program):
    """Results of the cases in TAP output; None when it is no TAP."""
    results, planned, seen, tap, said = Results(), 0, 0, False, []
    for line in text.splitlines():
        plan = re.match(r'1\.\.(\d+)(?:\s*#\s*SKIP\S*\s*(.*))?$', line, re.I)
        case = re.match(r'(not )?ok (\d+)\b\s*(?:-\s*)?(.*)$', line)
        if plan:
            tap = True
            planned += int(plan[1])
            if plan[1] == '0':
                results.skipped.append((program, plan[2] or 'no reason given'))
        elif case:
            tap = True
            seen += 1
            name, skip, reason = re.match(r'(.*?)\s*(#\s*SKIP\S*)?(?(2)\s*(.*)|$)', case[3], re.I).groups()
            if skip:
                results.skipped.append((f'{program}: {name or case[2]}', reason or 'no reason given'))
            elif case[1]:
                results.failed.append('\n    | '.join([f'{program}: {name or case[2]}', *said[-REASON_LINES:]]))
            else:
                results.passed += 1
                if name.endswith('(second attempt)'):
                    results.late.append(f'{program}: {name}')
            said = []
        elif line.startswith('#'):
            said.append(line[:REASON_CHARS])
        elif line.startswith('Bail out!'):
            results.failed.append(f'{program}: {line}')
    if planned and seen < planned:
        results.failed.append(f'{program}: {planned} cases planned, {seen} run')
    return results if tap else None


def judge(program, code, out, err):
    """Results of one program that ended with this code."""
    results = parse_tap(out, program)
    if results is None:
        results = Results()
        if code == 0:
            results.passed = 1
        elif code == SKIP_CODE:
            lines = (out + err).strip().splitlines()
            results.skipped.append((program, lines[-1] if lines else 'no reason given'))
    if code not in (0, SKIP_CODE) and not results.failed:
        results.failed.append(f'{program}: ' + (f'exit code {code}' if code > 0 else f'ended by signal {-code}'))
    return results


# ---- processes -------------------------------------------------------------------------------------------


def children(pid):
    pids = []
    for path in glob.glob(f'/proc/{pid}/task/*/children'):
        try:
            with open(path) as f:
                pids += [int(p) for p in f.read().split()]
        except OSError:
            pass
    return pids


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child] + descendants(child)
    return found


def command_line(pid):
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as f:
            return f.read().replace(b'\0', b' ').decode(errors='replace').strip()
    except OSError:
        return ''


def kill_all(pids, number=signal.SIGKILL):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def reap_strays():
    """Ends what a program left running (it became our child, see PR_SET_CHILD_SUBREAPER); their command lines."""
    time.sleep(0.05)
    strays = [(pid, command_line(pid)) for pid in descendants(os.getpid())]
    kill_all(pid for pid, _ in strays)
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return [line for _, line in strays if line]  # those without one had ended already


def run(argv, seconds, env, folder, live=False):
    """(code, standard output, standard error) of a program; on timeout it is ended with all its children.

    live: its standard error is shown while it runs, and not returned.
    """
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=None if live else subprocess.PIPE,
                             text=True, errors='replace', cwd=folder, env={**os.environ, **env})
    try:
        out, err = child.communicate(timeout=seconds)
        return child.returncode, out, err or ''
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGTERM)  # scripts clean up
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            pass
        kill_all([child.pid, *descendants(child.pid)])
        out, err = child.communicate()
        return -signal.SIGKILL, out, (err or '') + f'\nended after {seconds} s: took too long\n'


# ---- what may be left behind -----------------------------------------------------------------------------


def belongs_to_live(name):
    """By the process that is named first: further numbers count, or are chance."""
    pid = re.search(r'\d+', name)
    return bool(pid) and os.path.exists(f'/proc/{pid[0]}')


def marks():
    """Namespaces, pins, hugepage files and temporary files with names of ours."""
    found = set()
    for place in MARK_PLACES:
        try:
            names = os.listdir(place)
        except OSError:
            continue
        found |= {os.path.join(place, n) for n in names
                  if re.match(r'fg[-\d]|floodgate', n) and not belongs_to_live(n)}
    return found


def left_behind(before):
    end = time.monotonic() + MARK_SECONDS
    while (left := marks() - before) and time.monotonic() < end:
        time.sleep(0.2)
    return sorted(left)


# ---- tiers -----------------------------------------------------------------------------------------------


def meson_tests(build, tier):
    """[(name, argv, env, seconds, folder)] of the tests that meson knows of this tier."""
    listed = subprocess.run(['meson', 'introspect', '--tests', build], check=True, capture_output=True, text=True)
    return [(t['name'], t['cmd'], t['env'], t['timeout'], t['workdir'] or build) for t in json.loads(listed.stdout)
            if tier in (s.split(':')[-1] for s in t['suite'])]


def script_tests(tier):
    paths = sorted(glob.glob(os.path.join(ROOT, 'tests', tier, 'test_*.py')))
    seconds = RELEASE_SECONDS if tier == 'release' else SCRIPT_SECONDS
    return [(f'{tier}/{os.path.basename(p)}', [p], {}, seconds, ROOT) for p in paths]


def tests_of(build, tier):
    return script_tests(tier) if tier in SCRIPT_TIERS else meson_tests(build, tier)


def is_light(argv):
    if not argv[0].endswith('.py'):
        return False
    with open(argv[0], encoding='utf-8') as f:
        return any(line.rstrip() == LIGHT for line in f)


def groups_of(tier, tests):
    """[(name, programs at once, [test])]: a group ends before the next one begins."""
    cpus = os.cpu_count() or 1
    if tier in PARALLEL_TIERS:
        return [(tier, cpus, tests)]
    light = [t for t in tests if is_light(t[1])]
    rest = [(t[0], 1, [t]) for t in tests if t not in light]
    return [(f'{tier}, light', cpus, light), *rest] if light else rest


def say(text=''):
    print(text, flush=True)


def what_failed(out, err):
    """The lines to show of a failed program: the last ones of each failed case, where its assertion is, and of the rest."""
    shown, case = [], []
    for line in out.splitlines():
        case.append(line)
        ended = re.match(r'(not )?ok \d', line)
        if ended:
            shown += case[-SHOWN_LINES:] if ended[1] else []
            case = []
    return shown + (case + err.splitlines())[-SHOWN_LINES:]


def run_program(name, argv, env, seconds, folder, live=False):
    began = time.monotonic()
    code, out, err = run(argv, seconds, env, folder, live)
    results = judge(name, code, out, err)
    took = time.monotonic() - began
    lines = [f'  {"FAILED" if results.failed else "ok":6} {name}: {results.counts()} ({took:.1f} s)']
    lines += [f'    | {line}' for line in (what_failed(out, err) if results.failed else [])]
    lines += [f'         skipped {what}: {reason}' for what, reason in results.skipped]
    say('\n'.join(lines))  # at once: others may end at the same moment
    return results


def run_tier(build, tier):
    began, results = time.monotonic(), Results()
    say(f'== {tier}: {TIERS[tier]}')
    if tier == 'fuzz':
        results.add(step('building the fuzzers', ['ninja', '-C', build, '--quiet', 'fuzzers']))
    tests = tests_of(build, tier)
    if not tests:
        results.skipped.append((tier, 'has no tests'))
        say(f'         skipped {tier}: has no tests')
    env = {'CMOCKA_MESSAGE_OUTPUT': 'TAP', 'PYTHONDONTWRITEBYTECODE': '1', 'FG_BUILD': build, 'FG_SOURCE': ROOT}
    for name, at_once, group in groups_of(tier, tests):
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            for result in pool.map(lambda t: run_program(t[0], t[1], {**env, **t[2]}, *t[3:], tier in LIVE_TIERS), group):
                results.add(result)
        for line in reap_strays():
            results.failed.append(f'{name}: left running: {line}')
    say(f'== {tier}: {results.counts()} ({time.monotonic() - began:.1f} s)\n')
    return results


# ---- the whole -------------------------------------------------------------------------------------------


def step(name, argv, env=None):
    """A step before the tests; its output goes straight through."""
    results = Results()
    code = subprocess.run(argv, cwd=ROOT, env={**os.environ, **(env or {})}).returncode
    if code:
        results.failed.append(f'{name}: exit code {code}')
    return results


def run_all(options, build):
    results = Results()
    if os.environ.get('CI') and not options.sanitize:
        # lint installs its packages itself, and needs no build
        lint = step('tools/lint', [os.path.join(ROOT, 'tools/lint')])
        lint.passed = not lint.failed
        results.add(lint)
    # the sanitizers make gcc warn of what cannot be
    sanitizers = ['--', '-Db_sanitize=address,undefined', '-Db_lundef=false', '-Dwerror=false']
    meson_options = sanitizers if options.sanitize else []
    purpose = 'unit' if set(options.tiers) <= set(PLAIN_TIERS) else 'test'
    setup = step('tools/setup', [os.path.join(ROOT, 'tools/setup'), '--for', purpose, *meson_options], {'FG_BUILD': build})
    results.add(setup)
    if setup.failed:
        return results
    before = marks()
    for tier in TIERS:
        if tier in options.tiers:
            results.add(run_tier(build, tier))
    results.failed += [f'left behind: {path}' for path in left_behind(before)]
    return results


def parse_options():
    parser = argparse.ArgumentParser(
        prog='tools/test', description='Builds Floodgate and runs the named tiers of its tests (default: all).',
        epilog='tiers: ' + '; '.join(f'{name} ({text})' for name, text in TIERS.items()) +
        '. The last line is `N passed, N failed, N skipped`; exit 0 when none failed and at least one passed.')
    parser.add_argument('tiers', nargs='*', metavar='TIER', help=' '.join(TIERS))
    parser.add_argument('--list', action='store_true', help='show the test programs of the tiers, run nothing')
    parser.add_argument('--long', action='store_true', help='also the tests that take many minutes')
    parser.add_argument('--sanitize', action='store_true',
                        help='tiers unit and sim under address and undefined-behaviour sanitizers, in build-sanitize/')
    options = parser.parse_args()
    unknown = [t for t in options.tiers if t not in TIERS]
    if unknown:
        parser.error(f'unknown tier: {", ".join(unknown)}; there are: {" ".join(TIERS)}')
    allowed = SANITIZE_TIERS if options.sanitize else tuple(TIERS)
    refused = [t for t in options.tiers if t not in allowed]
    if refused:
        parser.error(f'--sanitize runs {" ".join(allowed)} only, not {" ".join(refused)}')
    options.tiers = options.tiers or list(allowed)
    if options.long:
        os.environ['FG_LONG'] = '1'
    return options


def show_list(options, build):
    for tier in TIERS:
        if tier not in options.tiers:
            continue
        built = tier in SCRIPT_TIERS or os.path.exists(os.path.join(build, 'build.ninja'))
        say(f'{tier}: {TIERS[tier]}' + ('' if built else ' (not built yet: run tools/setup)'))
        for name, *_ in tests_of(build, tier) if built else []:
            say(f'  {name}')


def on_signal(number, _frame):
    # children of this session end with it; scripts are asked first, so that they clean up
    kill_all(children(os.getpid()), signal.SIGTERM)
    time.sleep(2)
    kill_all(descendants(os.getpid()))
    os._exit(128 + number)


def main():
    options = parse_options()
    build = os.path.join(ROOT, 'build-sanitize') if options.sanitize else \
        os.path.abspath(os.environ.get('FG_BUILD', os.path.join(ROOT, 'build')))
    if options.list:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # tools/test --list | head
        show_list(options, build)
        return 0
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    began = time.monotonic()
    results = run_all(options, build)
    say(f'took {time.monotonic() - began:.0f} s')
    for what, reason in results.skipped:
        say(f'skipped: {what}: {reason}')
    for what in results.late:
        say(f'late: {what}')
    for what in results.failed:
        say(f'FAILED: {what}')
    say(results.counts())
    return 0 if results.passed and not results.failed else 1


if __name__ == '__main__':
    sys.exit(main())
