# SPDX-License-Identifier: BSD-3-Clause
"""Harness: the functions test_* of a program that needs no Lab, as TAP."""


def run(functions):
    """functions: globals() of the program. Its exit code."""
    tests = [(name, test) for name, test in functions.items() if name.startswith('test_')]
    failed = 0
    print(f'1..{len(tests)}')
    for number, (name, test) in enumerate(tests, 1):
        try:
            test()
            print(f'ok {number} - {test.__doc__}')
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print(f'not ok {number} - {test.__doc__}')
            print('\n'.join(f'# {name}: {line}' for line in repr(error)[:3000].splitlines()))
    return 1 if failed else 0
