#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""tools/test, tools/lint and tools/setup: they must be able to fail."""

import importlib.machinery
import importlib.util
import os
import pty
import re
import select
import shutil
import subprocess
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402

TOOLS = os.path.join(fgtest.ROOT, 'tools')
SPDX = '/* SPDX-License-Identifier: BSD-3-Clause */\n'


def load(name):
    """A program of tools/ as a module, although it has no ending."""
    loader = importlib.machinery.SourceFileLoader('fg_' + os.path.basename(name), os.path.join(TOOLS, name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


RUNNER = load('runner/test.py')


def setup_function(shell):
    """Runs lines of bash with the functions of tools/setup; what they print."""
    done = subprocess.run(['bash', '-c', f'source <(sed "/^read_options /,\\$d" {TOOLS}/setup); {shell}'], check=True,
                          capture_output=True, text=True, timeout=30)
    return done.stdout


# description, exit code, standard output, passed, failed, skipped
CASES = [
    ('all well', 0, '1..2\nok 1 - a\nok 2 - b\n', 2, 0, 0),
    ('one fails', 1, '1..2\nok 1 - a\nnot ok 2 - b\n', 1, 1, 0),
    ('skipped, as Python writes it', 0, '1..1\nok 1 - a # SKIP no kernel\n', 0, 0, 1),
    ('skipped, as cmocka writes it', 0, '1..2\nok 1 - a\nnot ok 2 # SKIP b\n', 1, 0, 1),
    ('all skipped', 0, '1..0 # SKIP not root\n', 0, 0, 1),
    ('fewer than planned', 0, '1..3\nok 1 - a\n', 1, 1, 0),
    ('passed, but then crashed', -11, '1..1\nok 1 - a\n', 1, 1, 0),
    ('passed, but exit code 1', 1, '1..1\nok 1 - a\n', 1, 1, 0),
    ('gave up', 1, '1..2\nok 1 - a\nBail out! no memory\n', 1, 2, 0),
    ('two groups', 0, '1..1\nok 1 - a\n# ok - x\n1..1\nok 1 - b\n', 2, 0, 0),
    ('no TAP, well', 0, 'all good\n', 1, 0, 0),
    ('no TAP, failed', 3, 'ok?\nbad\n', 0, 1, 0),
    ('no TAP, skipped', 77, 'no BPF here\n', 0, 0, 1),
    ('no output, killed', -9, '', 0, 1, 0),
]


def test_results_are_counted():
    """every way in which a test program can end is counted rightly"""
    for text, code, out, passed, failed, skipped in CASES:
        r = RUNNER.judge('program', code, out, '')
        assert (r.passed, len(r.failed), len(r.skipped)) == (passed, failed, skipped), (text, r.__dict__)
    assert RUNNER.judge('p', 0, '1..1\nok 1 - a # SKIP why not\n', '').skipped == [('p: a', 'why not')]
    out = '1..2\n# of a\nok 1 - a\n' + '# line\n' * 9 + '# the reason\nnot ok 2 - b\n'
    assert RUNNER.judge('p', 1, out, '').failed == ['p: b' + '\n    | # line' * (RUNNER.REASON_LINES - 1) + '\n    | # the reason']
    assert RUNNER.judge('p', 77, 'x\nno BPF here\n', '').skipped == [('p', 'no BPF here')]


def test_usage_errors():
    """unknown tiers, checks and options are refused, and what there is is listed"""
    for argv, expected in ((['test', 'nets'], 'unit sim model fuzz bpf net fault release'),
                           (['test', '--sanitize', 'net'], '--sanitize runs unit sim only'),
                           (['lint', 'nothing'], 'format'),
                           (['setup', '--nothing'], 'usage: tools/setup'),
                           (['setup', '--for', 'fun'], 'not one of build, demo, unit, test, bench, package, image, lint, all')):
        done = subprocess.run([os.path.join(TOOLS, argv[0]), *argv[1:]], capture_output=True, text=True, timeout=60)
        assert done.returncode != 0 and expected in done.stdout + done.stderr, (argv, done)


def copy_tree(lab, programs):
    """A folder that looks like the project: tools/ with these programs."""
    root = lab.unique('tree')
    os.makedirs(os.path.join(root, 'tools', 'runner'))
    for name in programs:
        shutil.copy(os.path.join(TOOLS, name), os.path.join(root, 'tools', name))
    return root


def put(root, path, text, mode=0o644):
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as f:
        f.write(text)
    os.chmod(path, mode)


def run_tests(root, *tiers, env=None):
    """tools/test of a copied tree: (exit code, output lines)."""
    done = subprocess.run([os.path.join(root, 'tools/test'), *tiers], capture_output=True, text=True, timeout=100,
                          env={**os.environ, 'CI': '', **(env or {})})
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_whole_runs(lab):
    """tools/test ends with its summary, and fails for failures, for leftovers and for nothing passed"""
    root = copy_tree(lab, ['test', 'runner/test.py'])
    put(root, 'tools/setup', '#!/bin/sh\nexit 0\n', 0o755)
    put(root, 'tests/net/test_good.py', '#!/bin/sh\necho 1..1; echo ok 1 - good\n', 0o755)
    code, out = run_tests(root, 'net')
    assert code == 0 and out[-1] == '1 passed, 0 failed, 0 skipped', out

    put(root, 'tests/net/test_skip.py', '#!/bin/sh\necho needs a moon; exit 77\n', 0o755)
    code, out = run_tests(root, 'fault', 'net')
    assert code == 0 and out[-1] == '1 passed, 0 failed, 2 skipped', out  # the empty fault tier is one of them
    assert 'skipped: net/test_skip.py: needs a moon' in out, out

    left = f'/tmp/fg9999{os.getpid()}-1-left-{os.getpid()}'  # of no process that lives: the first number counts
    put(root, 'tests/net/test_leak.py', f'#!/bin/sh\nsleep 77 >/dev/null 2>&1 &\ntouch {left}\necho ok 1 - leak\n', 0o755)
    try:
        code, out = run_tests(root, 'net')
    finally:
        os.unlink(left)
    assert code == 1 and out[-1] == '2 passed, 2 failed, 1 skipped', out
    assert 'FAILED: net/test_leak.py: left running: sleep 77' in out and f'FAILED: left behind: {left}' in out, out

    os.unlink(os.path.join(root, 'tests/net/test_leak.py'))
    os.unlink(os.path.join(root, 'tests/net/test_good.py'))
    code, out = run_tests(root, 'net')
    assert code == 1 and out[-1] == '0 passed, 0 failed, 1 skipped', out

    put(root, 'tools/setup', '#!/bin/sh\necho no disk; exit 5\n', 0o755)
    code, out = run_tests(root, 'net')
    assert code == 1 and out[-1] == '0 passed, 1 failed, 0 skipped' and 'no disk' in out, out


def test_light_programs(lab):
    """programs that say that they are light run two at once, before the others, which run alone"""
    if os.cpu_count() < 2:
        raise fgtest.Skip('one CPU')
    root = copy_tree(lab, ['test', 'runner/test.py'])
    put(root, 'tools/setup', '#!/bin/sh\nexit 0\n', 0o755)
    light = f'#!/usr/bin/python3\n{RUNNER.LIGHT}\nimport os, sys, time\n' + """
own, other, end = sys.argv[0] + '.runs', sys.argv[0].replace(*OTHER) + '.runs', time.monotonic() + 20
open(own, 'w').close()
while not os.path.exists(other) and not os.path.exists(other + '.ended'):
    if time.monotonic() > end:
        sys.exit(f'{other} does not run beside it')
    time.sleep(0.02)
time.sleep(0.5)
os.rename(own, own + '.ended')
print('1..1\\nok 1 - light')
"""
    put(root, 'tests/net/test_b.py', light.replace('*OTHER', "'test_b', 'test_c'"), 0o755)
    put(root, 'tests/net/test_c.py', light.replace('*OTHER', "'test_c', 'test_b'"), 0o755)
    put(root, 'tests/net/test_a.py', '#!/bin/sh\nls "$(dirname "$0")"/*.runs && exit 1\necho 1..1; echo ok 1 - alone\n', 0o755)
    code, out = run_tests(root, 'net')
    assert code == 0 and out[-1] == '3 passed, 0 failed, 0 skipped', out
    assert [line.split()[1] for line in out if line.startswith('  ok ')][-1] == 'net/test_a.py:', out


def test_the_assertion_is_always_shown():
    """of a failed program the end of each failed case is shown, whatever came before and afterwards"""
    many = [f'# line {i}' for i in range(500)]
    out = ['1..4', *many, 'ok 1 - good', *many, '# AssertionError: first', 'not ok 2 - bad', *many, '# AssertionError: second',
           'not ok 3 - bad', *many, 'ok 4 - good', '# the end']
    shown = RUNNER.what_failed('\n'.join(out), 'a crash')
    for line in ('# AssertionError: first', 'not ok 2 - bad', '# AssertionError: second', 'not ok 3 - bad', '# the end', 'a crash'):
        assert line in shown, line
    assert 'ok 1 - good' not in shown and 'ok 4 - good' not in shown and len(shown) < 4 * RUNNER.SHOWN_LINES
    assert RUNNER.what_failed('\n'.join(many), '') == many[-RUNNER.SHOWN_LINES:]  # it ended without a case


# check, file, text, what is said; each text is wrong in this one way
WRONG = [
    ('format', 'lib/a.c', SPDX + 'int  a;\n', 'clang-formatted'),
    ('cppcheck', 'lib/a.c', SPDX + 'int f(void)\n{\n    int a[2] = {0};\n    return a[2];\n}\n', 'arrayIndexOutOfBounds'),
    ('shell', 'tools/a', '#!/bin/bash\nif true; then\n', 'syntax error'),
    ('python', 'tools/a.py', 'def f(:\n', 'invalid syntax'),
    ('calls', 'tools/a.py', 'class A:\n    def __init__(self, b):\n        pass\n\n\nA(1)\nA()\n', 'a.py:7: A() lacks the argument b'),
    ('calls', 'tools/a.py', 'def f(a, *, b=1):\n    pass\n\n\nf(1, b=2)\nf(1, 2)\n', 'a.py:6: f() takes 1 arguments, not 2'),
    ('calls', 'tools/a.py', 'def f(a):\n    pass\n\n\nf(a=1)\nf(1, c=2)\n', 'a.py:6: f() has no argument c'),
    ('python', 'tools/a', '#!/usr/bin/env python3\n', 'start with #!/usr/bin/python3'),
    ('tests', 'tests/net/test_a.py', 'from test_b import SMALL\n', 'imports test_b'),
    ('tests', 'tests/fault/test_a.py', 'import time\ntime.sleep(1)\n', 'time.sleep: use'),
    ('tests', 'tests/fault/test_a.py', 'from time import sleep\n', 'imports sleep'),
    ('spdx', 'lib/a.h', 'int a;\n', 'no SPDX'),
    ('paths', 'README.md', 'see /ro' 'ot/notes\n', 'names one machine'),
    ('links', 'README.md', 'see [it](docs' '/none.md)\n', 'no such file'),
    ('links', 'README.md', '# A b\n[x](#a-c)\n', 'no such heading'),
    ('links', 'README.md', '`lib/none/none.h`\n', 'lib/none/none.h does not exist'),
    ('links', 'lib/a.c', SPDX + '/* docs' '/none.md */\n', '/none.md does not exist'),
    ('columns', 'README.md', 'word ' * 20 + 'w\n', '101 columns'),
    ('headings', 'lib/a.c', SPDX + '/* ---- what it does ----' + '\n */\n', 'does not end in its line'),
    ('names', 'lib/a.c', SPDX + 'static int free_place;\n', 'free_place: docs/glossary.md says'),
    ('names', 'lib/a.c', SPDX + 'static int look(void);\n', 'look: docs/glossary.md says'),
    ('names', 'lib/a.c', SPDX + 'static int guide_mask;\n', 'guide_mask: docs/glossary.md says'),
    ('worker', 'lib/stock/bank.c', SPDX + 'static void f(void)\n{\n    free(0);\n}\n', 'f: free() in worker code'),
    ('alarms', 'lib/health/conditions.c', SPDX + 'struct condition list[] = {\n    {.name = "log"},\n};\n',
     "no test has alarm_fires('log'"),
    ('sizes', 'lib/a.c', SPDX + 'void f(void)\n{\n' + '    g();\n' * 101 + '}\n', 'f has 102 lines'),
]


def lint(root, check):
    subprocess.run(['git', 'add', '-A'], cwd=root, check=True)
    done = subprocess.run([os.path.join(root, 'tools/lint'), check], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_lint_finds(lab):
    """every check of tools/lint finds what it is for, and nothing in a good file"""
    for check, path, text, said in WRONG:
        root = copy_tree(lab, ['lint', 'cppcheck.txt'])
        shutil.copy(os.path.join(fgtest.ROOT, '.clang-format'), root)
        subprocess.run(['git', 'init', '-q', root], check=True)
        if check not in ('worker', 'alarms'):  # which complain about files that are not there
            code, out = lint(root, check)
            assert code == 0, (check, out)
        put(root, path, text)
        code, out = lint(root, check)
        assert code == 1 and said in out, (check, path, out)


def test_lint_ignores_comments_and_strings(lab):
    """words in comments and strings are no calls"""
    root = copy_tree(lab, ['lint'])
    subprocess.run(['git', 'init', '-q', root], check=True)
    put(root, 'lib/stock/bank.c', SPDX + 'const char *f(void)\n{\n    /* free(x) */\n    return "malloc(1)";\n}\n')
    _, out = lint(root, 'worker')
    assert 'in worker code' not in out, out


def test_lint_sees_the_order_of_arguments(lab):
    """tools/lint refuses arguments of one call that depend on each other's side effects, and nothing else"""
    root = copy_tree(lab, ['lint'])
    subprocess.run(['git', 'init', '-q', root], check=True)
    for wrong in ('memcpy(to, next(flat, &bytes), bytes);', 'assert_equal(answer(&f), f.len);',
                  'draw(d, below(&d->rng, 3), 1 + below(&d->rng, 4));', 'ok(find(&e) && e.hits == 1, "hits: %u", e.hits);'):
        put(root, 'lib/x.c', f'{SPDX}void f(void)\n{{\n    {wrong}\n}}\n')
        code, out = lint(root, 'order')
        assert code == 1 and 'lib/x.c:4:' in out, (wrong, out)
    for right in ('from = next(flat, &bytes);\n    memcpy(to, from, bytes);', 'ok(find(&e, &err), "%s", err.text);',
                  'f(&x, x.size, g(x));', 'memset(h(&x), 0, sizeof(x));', 'f(g("&x)"), x); /* f(g(&x), x) */', 'f(reads(&x), x);'):
        put(root, 'lib/x.c', f'{SPDX}void f(void)\n{{\n    {right}\n}}\nint reads(const int *x);\n')
        code, out = lint(root, 'order')
        assert code == 0, (right, out)


def test_setup_names_what_is_missing(lab):
    """tools/setup finds the missing packages of its list, and only those"""
    root = copy_tree(lab, ['setup'])
    put(root, 'tools/packages.txt', '# none\n\n[build]\nbash  # there\nfg-none-b # not there\n[demo]\nfg-none-d\n'
        '[unit]\nfg-none-u\n[test]\nfg-none-t\nfg-none-b\n[bench]\nfg-none-x\nfg-none-t\n[package]\nfg-none-p\n[image]\nfg-none-i\n[lint]\nfg-none-l\n')
    for purpose, letters in {'build': 'b', 'demo': 'bd', 'unit': 'bu', 'test': 'bdtu', 'bench': 'bdtx', 'package': 'bp', 'image': 'bip',
                             'lint': 'l', 'all': 'bdilptux'}.items():
        out = setup_function(f'root={root}; choose_purposes {purpose}; missing_packages')
        assert out.split() == [f'fg-none-{letter}' for letter in letters], (purpose, out)


def test_packages_are_well_formed():
    """tools/packages.txt has the sections that tools/setup knows, and no package twice in one"""
    sections, section = {}, None
    with open(os.path.join(TOOLS, 'packages.txt')) as f:
        for words in (line.split('#')[0].split() for line in f):
            if words and words[0].startswith('['):
                section = sections.setdefault(words[0][1:-1], [])
            elif words:
                assert len(words) == 1 and words[0] not in section, (words, section)
                section += words
    assert list(sections) == ['build', 'demo', 'unit', 'test', 'package', 'image', 'bench', 'lint'] and all(sections.values()), sections


def test_image_says_what_is_wrong(lab):
    """tools/image refuses wrong options, and names what has to be installed"""
    few = lab.unique('few')  # programs that are there
    os.mkdir(few)
    for name in ('dirname', 'id', 'cat', 'realpath'):
        os.symlink(shutil.which(name), f'{few}/{name}')
    for words, code, wanted in ((['--help'], 0, 'usage: tools/image'), (['--disk'], 1, '--disk: unknown option'),
                                (['--out'], 1, '--out: a value is missing'), (['--var', '255'], 1, 'accepted: 256..999999'),
                                (['--kernel', 'bash'], 1, 'no package of a kernel'),
                                (['--release', 'sid'], 1, '--release sid: accepted: bookworm or trixie'), ([], 1, 'tools/setup --for image')):
        done = subprocess.run([f'{TOOLS}/image', *words], env={'PATH': few}, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == code and wanted in done.stdout + done.stderr, (words, done)


def manual(name):
    path = os.path.join(fgtest.BUILD, 'tools', name)
    if not os.path.exists(path):
        raise fgtest.Skip(f'{path} is not built')
    with open(path, encoding='utf-8') as f:
        return f.read().replace('\\-', '-')


def test_manual_of_the_configuration():
    """floodgate.conf(5) has each setting of the table, in its section"""
    with open(os.path.join(fgtest.ROOT, 'lib', 'config', 'settings.c'), encoding='utf-8') as f:
        table = re.findall(r'^    \{"(\w+)", "(\w+)", ', f.read(), re.M)
    shown, section = [], None
    for title, setting in re.findall(r'^(?:\.SH \[(\w+)[^]]*\]|\.TP\n\.B (\w+))$', manual('floodgate.conf.5'), re.M):
        section = title or section
        shown += [(section, setting)] if setting else []
    assert len(table) > 100 and sorted(shown) == sorted(table), set(shown) ^ set(table)


def test_manual_of_fgctl():
    """fgctl(1) has each command that the completion offers, in the overview and by itself, with each of its options"""
    script, page = fgtest.command(fgtest.program('fgctl'), 'completion'), manual('fgctl.1')
    verbs = dict(re.findall(r'^ +(\w+)\) verbs="([^"]+)"', script, re.M))
    nouns = re.search(r'local nouns="([^"]+)"', script)[1].split()
    options = dict(re.findall(r'^ +"([^"]+)"\) options\+="([^"]+)"', script, re.M))
    overview, *details = re.split(r'^\.SS fgctl ', page, flags=re.M)
    assert len(nouns) > 20 and len(verbs) > 10 and len(options) > 40
    commands = [f'{noun} {verb}'.strip() for noun in nouns for verb in verbs.get(noun, '').split() or ['']]
    for command in commands:
        begins = re.compile(rf'{command}(?! [a-z])\b')
        assert re.search(rf'^\.B {begins.pattern}', overview, re.M), command
        own = [text for text in details if begins.match(text)]
        assert len(own) == 1, (command, own)
        missing = [option for option in options.get(command, '').split() if not re.search(rf'^\.B {option}\b', own[0], re.M)]
        assert not missing, (command, missing)


def test_setup_shows_progress_in_a_log():
    """status lines of apt and ninja are not copied to a log, all other lines are, also a last one without its end"""
    out = setup_function("printf '[1/2] cc\\ndlstatus:1:20.5:Retrieving x\\nsome.c:1: warning: bad\\n[2/2] ld\\nFAILED' | progress x")
    assert out == 'some.c:1: warning: bad\nFAILED\n', out


def test_setup_shows_progress_on_a_terminal(lab):
    """on a terminal the line changes every second, also while the command says nothing"""
    main, terminal = pty.openpty()
    source, sink = os.pipe()
    shell = f'source <(sed "/^read_options /,\\$d" {TOOLS}/setup); progress building'
    child = lab.start('bash', '-c', f'exec >{os.ttyname(terminal)}; {shell}', stdin=source)
    os.close(source)
    shown = b''

    def until(text):
        nonlocal shown
        while text not in shown:
            assert select.select([main], [], [], 20)[0], (text, shown)
            shown += os.read(main, 4096)

    os.write(sink, b'[3/40] Compiling a.c\n')
    until(b'building, 0 s: 3 of 40, Compiling a.c')
    until(b'building, 1 s: 3 of 40, Compiling a.c')
    until(b'building, 2 s: 3 of 40, Compiling a.c')
    os.write(sink, b'pmstatus:libx:66.6:Unpacking libx\n')
    until(b'66 %, Unpacking libx')
    os.close(sink)
    assert child.wait(20) == 0, child.output()
    os.close(main)
    os.close(terminal)


def test_setup_refuses_strangers(lab):
    """tools/setup says so when it is not root"""
    root = copy_tree(lab, ['setup'])
    os.chmod(lab.dir, 0o755)
    done = subprocess.run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', os.path.join(root, 'tools/setup')],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and 'must run as root' in done.stderr, done


def test_services_are_held_and_released(lab):
    """while packages are installed no service may start; afterwards the machine's own rule is back"""
    policy = lab.unique('policy-rc.d')
    shell = (f'source <(sed "/^read_options /,\\$d" {TOOLS}/setup); policy={policy}; '
             'hold_services; cat $policy; release_services')
    for before in (None, '#!/bin/sh\nexit 0\n'):
        if before:
            put('/', policy, before, 0o755)
        done = subprocess.run(['bash', '-c', shell], capture_output=True, text=True, timeout=30)
        assert 'exit 101' in done.stdout, done
        if before:
            with open(policy) as f:
                assert f.read() == before
            assert os.stat(policy).st_mode & 0o777 == 0o755
        assert os.path.exists(policy) == bool(before)
        assert [n for n in os.listdir(lab.dir) if n.startswith('policy-rc.d.')] == []


if __name__ == '__main__':
    fgtest.main()
