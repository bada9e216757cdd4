#!/usr/bin/env python3
"""Runs one command under a memory cap and says what became of it, as one JSON object.

  capped.py --limit-mb 1024 --timeout 360 --evict index.bin -- python engines.py search faiss-hnsw ...

Linux, cgroup v1 memory controller, root; no swap is assumed. The cap counts the page cache of the files that the command
reads and writes. Pages that are already cached are charged to whoever read them first, so name every file or folder the
command reads with --evict: their clean pages are dropped before the start.
"""
import argparse, json, os, resource, signal, subprocess, sys, tempfile, time

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--limit-mb", type=float, default=0, help="cap in 10^6 bytes; 0: none, only accounting")
ap.add_argument("--timeout", type=float, default=360, help="seconds of wall time")
ap.add_argument("--cpu", type=float, default=0, help="seconds of processor time; 0: no limit")
ap.add_argument("--disk", default="", help="FOLDER:MB: stop when the folder holds more")
ap.add_argument("--evict", action="append", default=[], help="file or folder to drop from the page cache first")
ap.add_argument("--cgroup", default="/sys/fs/cgroup/memory")
ap.add_argument("--name", default="", help="label in the output")
ap.add_argument("--out", default="", help="append the JSON line to this file")
ap.add_argument("command", nargs=argparse.REMAINDER)
a = ap.parse_args()
command = a.command[1:] if a.command[:1] == ["--"] else a.command


def files(path):
    return [path] if os.path.isfile(path) else [os.path.join(r, f) for r, _, fs in os.walk(path) for f in fs]


for f in (f for p in a.evict for f in files(p)):
    fd = os.open(f, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)

group = os.path.join(a.cgroup, f"capped-{os.getpid()}")
os.mkdir(group)


def put(name, value):
    open(os.path.join(group, name), "w").write(str(value))


def get(name):
    return open(os.path.join(group, name)).read()


def table(text):
    return {k.rstrip(":"): int(v) for k, v in (l.split()[:2] for l in text.splitlines() if len(l.split()) >= 2 and l.split()[1].isdigit())}


if a.limit_mb:
    put("memory.limit_in_bytes", int(a.limit_mb * 1e6))
out, err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
start = time.time()
child = subprocess.Popen(command, stdout=out, stderr=err, preexec_fn=lambda: put("cgroup.procs", os.getpid()))
peak, stopped, stat, tick, looked = {}, "", None, os.sysconf("SC_CLK_TCK"), 0
folder, _, folder_mb = a.disk.rpartition(":")
while True:
    pid, status, usage = os.wait4(child.pid, os.WNOHANG)
    if pid:
        break
    try:
        now = table(open(f"/proc/{child.pid}/status").read())
        for k in ("RssAnon", "RssFile", "RssShmem", "VmHWM"):
            peak[k] = max(peak.get(k, 0), now.get(k, 0))
        io = table(open(f"/proc/{child.pid}/io").read())
        peak["read_bytes"], peak["write_bytes"] = io.get("read_bytes", 0), io.get("write_bytes", 0)
        cpu = sum(map(int, open(f"/proc/{child.pid}/stat").read().rpartition(")")[2].split()[11:13])) / tick
        if time.time() - start > a.timeout and not stopped:
            stopped = "the time limit"
        elif a.cpu and cpu > a.cpu and not stopped:
            stopped = "the limit of processor time"
        elif a.disk and time.time() - looked > 1 and not stopped:
            looked = time.time()
            used = sum(os.stat(f).st_blocks * 512 for f in files(folder)) / 1e6
            peak["disk"] = max(peak.get("disk", 0), used)
            stopped = "the limit of the disk" if used > float(folder_mb) else ""
        if stopped:
            child.send_signal(signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        pass
    time.sleep(0.02)

stat, oom = table(get("memory.stat")), table(get("memory.oom_control"))
out.seek(0), err.seek(0)
text, errors = out.read(), err.read()
lines = [l[5:] for l in text.splitlines() if l.startswith("JSON ")]
phases = [l[6:] for l in text.splitlines() if l.startswith("PHASE ")]
try:
    result = json.loads(lines[-1] if lines else text)
except ValueError:
    result = None
mb = lambda b: round(b / 1e6, 1)
code = os.waitstatus_to_exitcode(status)
doc = {"name": a.name, "limit_mb": a.limit_mb or None,
       "end": f"stopped by {stopped}" if stopped else "OOM kill" if oom.get("oom_kill") else
              "done" if code == 0 else f"exit {code}" if code > 0 else f"signal {signal.Signals(-code).name}",
       "phase": phases[-1] if phases else "", "phases": phases, "wall_s": round(time.time() - start, 1),
       "cpu_user_s": round(usage.ru_utime, 1), "cpu_system_s": round(usage.ru_stime, 1), "major_faults": usage.ru_majflt,
       "peak_rss_mb": mb(usage.ru_maxrss * 1024), "peak_anon_mb": mb(peak.get("RssAnon", 0) * 1024),
       "peak_file_mb": mb(peak.get("RssFile", 0) * 1024), "read_mb": mb(peak.get("read_bytes", 0)),
       "write_mb": mb(peak.get("write_bytes", 0)), "cgroup_peak_mb": mb(int(get("memory.max_usage_in_bytes"))),
       "cgroup_at_limit": int(get("memory.failcnt")), "disk_mb": round(peak.get("disk", 0), 1), "result": result, "stderr": errors[-600:] if code else ""}
print(json.dumps(doc))
if a.out:
    open(a.out, "a").write(json.dumps(doc) + "\n")
for _ in range(50):
    try:
        os.rmdir(group)
        break
    except OSError:
        time.sleep(0.1)
