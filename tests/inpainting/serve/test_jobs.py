"""The queues of the workers."""

from __future__ import annotations

import threading

import pytest

from inpainting.serve import jobs


class Work:
    """A job that says when it runs and waits until it may end."""

    def __init__(self):
        self.started, self.go = threading.Event(), threading.Event()

    def __call__(self, tool, job):
        self.started.set()
        assert self.go.wait(30)
        return tool


def test_one_at_a_time_in_order_and_the_tool_is_loaded_once():
    loaded = []
    workers = jobs.Workers(lambda name: loaded.append(name) or name.upper(), 5)
    works = [Work() for _ in range(3)]
    made = [workers.submit("a", work, "me") for work in works]
    assert works[0].started.wait(30)
    other = Work()
    beside = workers.submit("b", other)
    assert other.started.wait(30)  # another model does not wait
    assert [workers.ahead(job) for job in made] == [0, 1, 2]
    assert not works[1].started.is_set() and made[0].state == jobs.RUNNING
    for work in (*works, other):
        work.go.set()
    for job in (*made, beside):
        assert job.ended.wait(30) and job.state == jobs.DONE
    assert [job.result for job in made] == ["A"] * 3 and sorted(loaded) == ["a", "b"]
    assert workers.find(made[0].id, "me") is made[0]
    assert workers.find(made[0].id, "you") is None


def test_waiting_jobs_are_cancelled_at_once_and_a_running_ones_result_is_thrown_away():
    workers, first, second = jobs.Workers(str, 5), Work(), Work()
    running, waiting = workers.submit("a", first, "x"), workers.submit("a", second, "y")
    assert first.started.wait(30)
    workers.cancel_all_of("y")
    assert waiting.state == jobs.CANCELLED and waiting.ended.is_set()
    workers.cancel(running)
    assert running.state == jobs.CANCELLED and running.cancelled
    first.go.set()
    last = workers.submit("a", lambda tool, job: 7)
    assert last.ended.wait(30) and last.result == 7
    assert running.state == jobs.CANCELLED and running.result is None
    assert not second.started.is_set()
    workers.cancel(last)
    assert last.state == jobs.DONE  # what is done stays so


def test_the_queue_has_a_limit_and_failures_do_not_stop_it():
    workers, first = jobs.Workers(str, 1), Work()
    workers.submit("a", first)
    assert first.started.wait(30)
    second = workers.submit("a", lambda tool, job: 1 // 0)
    with pytest.raises(jobs.FullError, match="1 photographs wait"):
        workers.submit("a", first)
    first.go.set()
    assert second.ended.wait(30)
    assert second.state == jobs.FAILED and "server" in second.error


def test_a_tool_that_cannot_be_loaded_fails_the_job_and_is_tried_again():
    tries = []

    def load(name):
        tries.append(name)
        raise jobs.UserError("no weights")

    workers = jobs.Workers(load, 5)
    for _ in range(2):
        job = workers.submit("a", lambda tool, job: 1)
        assert job.ended.wait(30) and (job.state, job.error) == (jobs.FAILED, "no weights")
    assert len(tries) == 2
