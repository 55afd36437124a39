"""What the filesystem is measured beside: each is mounted on a directory of its
own, and can be mounted again.
"""
import os
import resource
import subprocess
import tempfile
import time

FILE_LENGTH = 512  # of the small files


def raise_open_files():
    """passthrough_ll keeps a descriptor of each file that the kernel knows."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def process_cpu_ns(pid):
    """What a process's threads have worked, those that have ended too: its
    clock (clock_getcpuclockid(3))."""
    return time.clock_gettime_ns((~pid << 3) | 2)


class Contender:
    """Something that is mounted on self.point and can be mounted again."""

    def __init__(self, name, build, place, files):
        self.name = name
        self.build = build
        self.point = os.path.join(place, name)
        self.files = files
        self.daemon = None
        os.mkdir(self.point)

    def command(self):
        return None

    def mount(self):
        command = self.command()
        if not command:
            return
        # passthrough_ll prints a remark on its threads at each start
        self.daemon = subprocess.Popen(command, stderr=subprocess.DEVNULL,
                                       preexec_fn=raise_open_files)
        while not os.path.ismount(self.point):
            if self.daemon.poll() is not None:
                raise SystemExit(f"{self.name} ended at its start")
            time.sleep(0.005)

    def unmount(self):
        if self.daemon:
            # busy for a moment, where the kernel still closes a file
            while subprocess.run(["fusermount3", "-q", "-u",
                                  self.point]).returncode:
                time.sleep(0.05)
            self.daemon.wait()
        self.daemon = None

    def cpu_ns(self):
        """What the daemon has worked so far."""
        return process_cpu_ns(self.daemon.pid) if self.daemon else 0


class Plain(Contender):
    pass


class Null(Contender):
    def command(self):
        return [f"{self.build}/bench/nullfs", self.point, str(self.files),
                str(FILE_LENGTH)]


class Passthrough(Contender):
    def __init__(self, *args):
        super().__init__(*args)
        self.source = self.point + ".source"
        os.mkdir(self.source)

    def command(self):
        return [f"{self.build}/bench/passthrough_ll", "-f",
                f"-osource={self.source},cache=always", self.point]


class Bltfs(Contender):
    options = []
    create = []

    def __init__(self, *args):
        super().__init__(*args)
        self.store = self.point + ".blt"

    def command(self):
        return [f"{self.build}/bltfs", "-f", self.store, self.point,
                *self.options]

    def mount(self):
        if not os.path.exists(self.store):
            subprocess.run([f"{self.build}/blt", "create", *self.create,
                            self.store], check=True)
        super().mount()


class BltfsLmdb(Bltfs):
    create = ["--engine", "lmdb"]


def has_lmdb(args):
    """Whether the library was built with that engine."""
    with tempfile.TemporaryDirectory() as place:
        return subprocess.run(
            [f"{args.build}/blt", "create", "--engine", "lmdb",
             os.path.join(place, "try.mdb")],
            stderr=subprocess.DEVNULL, check=False).returncode == 0


def contenders(args, place, null=False):
    """The plain directory, passthrough_ll where it could be built, bltfs with
    each engine; and nullfs, which has nothing but constant files."""
    kinds = [(Null, "nullfs")] if null else []
    if os.path.exists(f"{args.build}/bench/passthrough_ll"):
        kinds.append((Passthrough, "passthrough_ll"))
    else:
        print("passthrough_ll is left out: libfuse's examples were not there "
              "when configure ran")
    kinds += [(Plain, "plain"), (Bltfs, "bltfs")]
    if has_lmdb(args):
        kinds.append((BltfsLmdb, "bltfs-lmdb"))
    return [kind(name, args.build, place, args.files) for kind, name in kinds]
