"""Writes the events of an Ansible run as the views of rplay read them (see `record`)."""

import json
import os

from ansible import context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: recorder
type: notification
short_description: writes events
description: writes events
"""


# They have events of their own, or none.
UNTOLD = ("include_tasks", "ansible.builtin.include_tasks", "meta")


def data(value):
    """A value in the form of `Data`."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return {"Bool": bool(value)}
    if isinstance(value, int):
        return {"Int": int(value)}
    if isinstance(value, float):
        return {"Float": float(value)}
    if isinstance(value, dict):
        return {"Map": mapping(value)}
    if isinstance(value, (list, tuple)):
        return {"List": [data(item) for item in value]}
    return {"Str": str(value)}


def mapping(value):
    return {str(key): data(entry) for key, entry in value.items()}


def side(diff, name, place):
    if diff.get(place + "_binary"):
        return "Binary"
    if diff.get(place + "_larger"):
        return {"TooLarge": int(diff[place + "_larger"])}
    value = diff.get(name)
    if isinstance(value, dict):
        return {"Attributes": mapping(value)}
    return {"Text": str(value)} if value else "Empty"


def differences(result):
    diffs = result.get("diff") or []
    diffs = diffs if isinstance(diffs, list) else [diffs]
    return [
        {
            "before": side(diff, "before", "dst"),
            "after": side(diff, "after", "src"),
            "before_header": diff.get("before_header"),
            "after_header": diff.get("after_header"),
            "prepared": diff.get("prepared"),
        }
        for diff in diffs
    ]


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "recorder"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.file = open(os.environ["RPLAY_RECORD"], "w", encoding="utf-8")
        self.numbers = {}
        self.started = 0
        args = context.CLIARGS
        options = {"check": args["check"], "diff": args["diff"], "verbosity": self._display.verbosity, "version": ""}
        self.event("run_started", options=options)
        self.listen(self._display)

    def listen(self, display):
        """Messages are made by the run, not by a view: they are taken from where they are shown."""
        original = display.display

        def heard(msg, *args, **kwargs):
            kinds = {"[ERROR]: ": "task_error", "[WARNING]: ": "warning", "[DEPRECATION WARNING]: ": "deprecation"}
            for mark, kind in kinds.items():
                if msg.startswith(mark):
                    self.event("message", kind=kind, text=msg[len(mark):].strip())
            return original(msg, *args, **kwargs)

        display.display = heard

    def event(self, name, /, **fields):
        self.file.write(json.dumps({"event": name, **fields}, ensure_ascii=False) + "\n")
        self.file.flush()

    def number(self, task):
        return self.numbers[task._uuid]

    def done(self, result, status, **fields):
        result_map = dict(result._result)
        delegated = result_map.get("_ansible_delegated_vars", {}).get("ansible_delegated_host")
        diff = differences(result_map)
        for private in ("_ansible_delegated_vars", "diff", "exception"):
            result_map.pop(private, None)
        return {
            "task": self.number(result._task),
            "host": result._host.get_name(),
            "delegated_to": delegated,
            "status": status,
            **fields,
            "result": mapping(result_map),
            "diff": diff,
        }

    def task(self, result, status, ignored=False):
        looped = bool(result._task.loop) and "results" in result._result
        fields = self.done(result, status, ignored=bool(ignored), looped=looped)
        self.event("task_done", **{**fields, "diff": [] if looped else fields["diff"]})

    def item(self, result, status):
        self.event("item_done", **self.done(result, status, label=data(self._get_item_label(result._result))))

    def v2_playbook_on_start(self, playbook):
        self.event("playbook_started", path=playbook._file_name)

    def v2_playbook_on_play_start(self, play):
        self.event("play_started", play=0, name=play.get_name(), hosts=[], check=bool(play.check_mode))

    def v2_playbook_on_no_hosts_matched(self):
        self.event("no_hosts_matched")

    def v2_playbook_on_no_hosts_remaining(self):
        self.event("no_hosts_remaining")

    def start(self, task, handler=False):
        self.started += 1
        self.numbers[task._uuid] = self.started
        info = {
            "id": self.number(task),
            "name": task.get_name().strip(),
            "action": task.action,
            "path": task.get_path(),
            "handler": handler,
            "check": bool(task.check_mode),
            "args": mapping(task.args),
        }
        self.event("task_started", task=info)

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.start(task)

    def v2_playbook_on_handler_task_start(self, task):
        self.start(task, handler=True)

    def v2_runner_on_ok(self, result):
        if result._task.action not in UNTOLD:
            self.task(result, "changed" if result._result.get("changed") else "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.task(result, "failed", ignore_errors)

    def v2_runner_on_skipped(self, result):
        self.task(result, "skipped")

    def v2_runner_on_unreachable(self, result):
        self.task(result, "unreachable", result._task.ignore_unreachable)

    def v2_runner_item_on_ok(self, result):
        if result._task.action not in UNTOLD:
            self.item(result, "changed" if result._result.get("changed") else "ok")

    def v2_runner_item_on_failed(self, result):
        self.item(result, "failed")

    def v2_runner_item_on_skipped(self, result):
        self.item(result, "skipped")

    def v2_runner_retry(self, result):
        left = result._result["retries"] - result._result["attempts"]
        fields = self.done(result, "failed")
        self.event("retrying", task=fields["task"], host=fields["host"], left=left, result=fields["result"])

    def v2_playbook_on_include(self, included_file):
        label = included_file._vars.get("item")
        hosts = [host.name for host in included_file._hosts]
        label = None if label is None else data(label)
        self.event("included", name=included_file._filename, hosts=hosts, label=label)

    def v2_playbook_on_notify(self, handler, host):
        self.event("notified", host=host.get_name(), handler=handler.get_name())

    def v2_playbook_on_stats(self, stats):
        if stats.custom:
            self.event("custom_stats", stats=mapping(stats.custom))
        names = {"unreachable": "dark", "failed": "failures", "skipped": "skipped"}
        recap = []
        for host in sorted(stats.processed):
            counts = ("ok", "changed", "unreachable", "failed", "skipped", "rescued", "ignored")
            recap.append([host, {name: getattr(stats, names.get(name, name)).get(host, 0) for name in counts}])
        self.event("run_ended", recap=recap, exit_code=0)
