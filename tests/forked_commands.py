"""Runs Python programs, each in a fork of this process: it has imported TensorFlow, which takes seconds.

A line of stdin is one program as JSON: its words as behind `python` (a script, "-m" and a module, or "-c" and code;
then arguments), folder, environment, the files for its output and errors, the seconds that it may take, and whether
TensorFlow's functions run without graphs. A line of stdout is its exit code, negative for a signal as in `subprocess`.
"""

import gc
import json
import os
import runpy
import signal
import sys

import tensorflow as tf


def next_program():
    """The next program; returns in forks alone."""
    gc.freeze()  # so that the garbage collector of a fork does not copy its pages
    for line in sys.stdin:
        process = os.fork()
        if not process:
            return json.loads(line)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
    sys.exit()


def begin(words, files, folder, environment, timeout, eagerly):
    """Makes this process what Python's start would; returns what is to run."""
    signal.alarm(timeout)
    for number, name in enumerate((os.devnull, *files)):
        os.dup2(os.open(name, os.O_RDWR), number)
    os.environ.update(environment)
    os.chdir(folder)
    tf.config.run_functions_eagerly(eagerly)
    inline = words[0] in ("-m", "-c")
    sys.argv = words[inline:]
    folders = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = ["" if inline else os.path.dirname(words[0]), *filter(None, folders)]
    return (*words, "")[:2]


if __name__ == "__main__":
    first, second = begin(**next_program())
    if first == "-m":
        runpy.run_module(second, run_name="__main__", alter_sys=True)
    elif first == "-c":
        exec(second, {"__name__": "__main__"})
    else:
        runpy.run_path(first, run_name="__main__")
