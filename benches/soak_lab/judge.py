"""The verdicts over a soak, and its report in Markdown."""

import statistics

from lab import MIB

GROWTH_MIB, GROWTH_PART = 8, 0.10
"""What memory may grow by from the second quarter to the last: whichever is more."""
FILES_SLACK, CONNECTIONS_SLACK = 16, 16
"""What medians of a quarter may differ by while the load is the same: a few requests under way."""
THREADS_SLACK = 4
"""Looks at the host, after a failure, have threads of their own for as long as they take."""
IDLE_FILES_SLACK = 2


def verdicts(book, load, faults, monitor, before, after, metrics, causeway_output):
    """Each check: whether it held, its name, its numbers."""
    lost = sum(kind["lost"] for kind in book.kinds.values())
    good = sum(kind["good"] for kind in book.kinds.values())
    hit = sum(kind["hit"] for kind in book.kinds.values())
    count = book.counts
    found = [
        _of(book, "lost", "no request lost",
            f"{count['requests']} requests: {good} as they must be, {hit} hit by a fault that was "
            f"under way, {lost} lost"),
        _of(book, "bodies", "no wrong body",
            f"{sum(kind['wrong'] for kind in book.kinds.values())} wrong; of bodies sent, "
            f"{count['bodies up']} came as they were sent"),
        _of(book, "once", "nothing doubled",
            f"each body that was answered came once; of those that failed "
            f"{count['failed, had come']} had come once, {count['failed, had not come']} not at "
            f"all"),
        _of(book, "causes", "the right causes",
            f"{sum(sum(right.values()) for right in book.right.values())} by their address in "
            f"{len(book.right)} ways, {sum(sum(hits.values()) for hits in book.hits.values())} "
            "in faults"),
        _of(book, "log", "the log agrees",
            f"{count['lines']} lines, each with its request, status, bytes and cause"),
        _of(book, "operations", "reloads, refused reloads, rotations",
            f"{book.fault_times['configuration reloaded']}, "
            f"{book.fault_times['reload of a broken configuration']}, {faults.rotations}"),
    ]
    requests = int(metrics["causeway_http_requests_total"])
    found.append((requests == count["lines"], "the metrics agree",
                  f"{requests} requests in the metrics, {count['lines']} lines in the log"))
    dropped = int(metrics["causeway_access_log_lines_dropped_total"])
    stuck = int(metrics["causeway_workers_stuck"])
    panics = causeway_output.count("panicked")
    found.append((dropped + stuck + panics == 0, "no fault of its own",
                  f"{panics} panics, {stuck} workers stuck, {dropped} lines of the log dropped"))
    found.append((load.late_events == 0, "events at once",
                  f"the latest by {load.worst_event_s * 1000:.0f} ms"))
    silent = [name for name in sorted(expected_rows(load)) if not book.right[name]]
    found.append((not silent, "every way to fail was seen", ", ".join(silent) or "yes"))
    idle_faults = [fault for fault in book.fault_times
                   if fault not in book.hits and not fault.startswith(("config", "reload"))]
    found.append((not idle_faults, "every fault hit something", ", ".join(idle_faults) or "yes"))
    return found + leaks(monitor.samples, before, after)


def expected_rows(load):
    return {row.name for row in load.failing}


def _of(book, check, name, numbers):
    return (book.counts[f"trouble {check}"] == 0, name, numbers)


def quarters(samples):
    """The samples in four parts of equal length."""
    size = max(1, len(samples) // 4)
    return [samples[number * size:(number + 1) * size] or samples[-1:] for number in range(4)]


def median(samples, value):
    return statistics.median(value(sample) for sample in samples)


def leaks(samples, before, after):
    """The last quarter against the second, and the proxy at rest against itself before."""
    _, second, _, last = quarters(samples)
    found = []
    values = {
        "memory under load": (lambda sample: sample.rss, None),
        "descriptors under load": (lambda sample: sample.files, FILES_SLACK),
        "threads under load": (lambda sample: sample.threads, THREADS_SLACK),
        "connections and requests under load": (
            lambda sample: sum(sample.gauges.values()), CONNECTIONS_SLACK),
    }
    for name, (value, slack) in values.items():
        early, late = median(second, value), median(last, value)
        peak = max(map(value, samples))
        if slack is None:
            bound = _memory_bound(early)
            text = (f"{early / MIB:.1f} MiB, then {late / MIB:.1f} (at most {bound / MIB:.1f}); "
                    f"peak {peak / MIB:.1f}")
        else:
            bound = early + slack
            text = f"{early:g}, then {late:g} (at most {bound:g}); peak {peak:g}"
        found.append((late <= bound, f"no leak: {name}", text))
    bound = _memory_bound(before.rss)
    found.append((after.rss <= bound, "at rest: memory",
                  f"{before.rss / MIB:.1f} MiB before the soak, {after.rss / MIB:.1f} after "
                  f"(at most {bound / MIB:.1f})"))
    found.append((after.files <= before.files + IDLE_FILES_SLACK, "at rest: descriptors",
                  f"{before.files}, then {after.files}"))
    found.append((after.threads <= before.threads, "at rest: threads",
                  f"{before.threads}, then {after.threads}"))
    left = {name: value for name, value in after.gauges.items() if value}
    found.append((not left, "at rest: connections and requests", str(left or "none")))
    return found


def _memory_bound(early):
    return early + max(GROWTH_MIB * MIB, early * GROWTH_PART)


def report(found, book, monitor, title, costs):
    """The report, as Markdown."""
    lines = [title, "", "| check | | |", "|---|---|---|"]
    lines += [f"| {name} | {'held' if held else '**FAILED**'} | {text} |"
              for held, name, text in found]
    lines += ["", "| requests | as they must be | hit by a fault | lost | wrong cause "
              "| wrong body |", "|---|---|---|---|---|---|"]
    lines += [f"| {name} | {kind['good']} | {kind['hit']} | {kind['lost']} | "
              f"{kind['causes']} | {kind['wrong']} |"
              for name, kind in book.kinds.items() if name not in book.right]
    lines += ["", "| fault | times | causes named |", "|---|---|---|"]
    for fault, times in sorted(book.fault_times.items()):
        named = ", ".join(f"{cause} {count}" for cause, count in book.hits[fault].most_common())
        lines.append(f"| {fault} | {times} | {named or 'no request was hit'} |")
    lines += ["", "| fails by its address, or its client | causes named | hit by a fault |",
              "|---|---|---|"]
    for name, right in sorted(book.right.items()):
        named = ", ".join(f"{cause} {count}" for cause, count in right.most_common())
        lines.append(f"| {name} | {named} | {book.kinds[name]['hit'] or ''} |")
    lines += ["", "| quarter | memory, MiB | descriptors | threads | client connections |",
              "|---|---|---|---|---|"]
    for number, part in enumerate(quarters(monitor.samples), 1):
        connections = median(part, lambda one: one.gauges["causeway_client_connections"])
        lines.append(
            f"| {number} | {median(part, lambda one: one.rss) / MIB:.1f} | "
            f"{median(part, lambda one: one.files):g} | "
            f"{median(part, lambda one: one.threads):g} | {connections:g} |")
    lines += ["", costs]
    lines.append("Lines of no named request: " + ", ".join(
        f"{cause} {count}" for cause, count in book.nameless.most_common()) + ".")
    lines.append("Roots in the log: " + (", ".join(
        f"{root} {count}" for root, count in book.roots.most_common()) or "none") + ".")
    for check, texts in book.troubles.items():
        lines += ["", f"**{check}**: {book.counts[f'trouble {check}']}, among them"]
        lines += [f"- {times} times: {text}" for times, text in texts.values()]
    return "\n".join(lines)
