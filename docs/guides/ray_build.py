"""Builds an index in partitions on a Ray cluster whose machines share a folder.

    python ray_build.py vectors.fbin vectors.shore --metric cosine --memory 2GiB

Everything behind the two names goes to `nearshore build` as it is. The command may be given again after any failure: what was done stays.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import ray


def nearshore(*arguments):
    """Runs the command and returns what it printed; its errors go where ours go."""
    done = subprocess.run(["nearshore", *arguments, "--json", "--quiet"], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def bytes_of(size):
    """The bytes of a size as the command takes it: 3000000000, 512MiB, 2GiB."""
    number, unit = re.fullmatch(r"(\d+)\s*([KMGT]iB)?", size.strip()).groups()
    return int(number) << 10 * " KMGT".index((unit or " ")[0])


def memory_of(options):
    """The bytes of `--memory`, which every build in partitions has."""
    for at, option in enumerate(options):
        name, equals, size = option.partition("=")
        if name == "--memory":
            return bytes_of(size if equals else options[at + 1])
    sys.exit("--memory BYTES says how much one machine has for a partition")


# One task a partition. Ray keeps its memory free for it, and starts it anew, perhaps elsewhere, when its machine goes.
@ray.remote(num_cpus=1, max_retries=3)
def link(build, share, shares):
    return nearshore(*build, "--threads", "1", "--partition", f"{share}/{shares}")["linked"]


def main():
    source, output, *options = sys.argv[1:]
    source, output = Path(source).resolve(), Path(output).resolve()
    build = ["build", str(source), "-o", str(output), *options]
    ray.init(ignore_reinit_error=True, log_to_driver=True)
    planned = nearshore(*build, "--partition", "plan")
    shares = planned["partitions"]
    task = link.options(memory=memory_of(options))
    linked = ray.get([task.remote(build, share + 1, shares) for share in range(shares)])
    merged = nearshore("merge", f"{output}.build")
    print(json.dumps({"partitions": shares, "linked": sum(linked), "build_id": merged["build_id"]}))


if __name__ == "__main__":
    main()
