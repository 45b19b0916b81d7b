"""Hostile cells, each with its required result. `{...}` is filled in with data from outside.

`ends`: statuses with which it may end. `says`: a pattern that the text must match.
`never`: a pattern that the text must not match.
"""

from __future__ import annotations

from typing import NamedTuple


class Attack(NamedTuple):
    name: str
    code: str
    says: str = ""
    ends: str = "ok error"
    never: str = "{secret}"
    timeout: float = 30.0  # shorter for a cell that is meant to time out


SYSCALL = (
    "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "def call(*a):\n  r = libc.syscall(*a); return r if r >= 0 else os.strerror(ctypes.get_errno())\n"
)
SEND = (
    "import json, zmq\nfrom jupyter_client.session import Session\nkernel = get_ipython().kernel\n"
    "def pack(o): return o if isinstance(o, bytes) else json.dumps(o, default=str).encode()\n"
    "session = Session(key=kernel.session.key, pack=pack)\n"
    "def send(kind, content, channel=kernel.iopub_socket, **more): session.send(channel, kind, content, parent=kernel.get_parent(), **more)\n"
)
"""Lets a cell send messages in the name of its kernel, signed with its key."""
REFUSED = (
    SYSCALL
    + "def accepted(**calls):\n  worked = {{name: call(*args) for name, args in calls.items()}}\n"
    "  return [name for name, said in worked.items() if not isinstance(said, str)]\n"
)
"""Defines `accepted`, which returns the names of the system calls that do not fail."""
LOOP = "while True:\n  try:\n    time.sleep(1)\n  except BaseException:\n    pass"

READING = [
    Attack("read shadow", "open('/etc/shadow').read()", "FileNotFoundError", "error"),
    Attack("read a file of the host", "open('{file}').read()", "FileNotFoundError", "error"),
    Attack("list home", "import os\nos.listdir('/home')", "FileNotFoundError", "error"),
    Attack("walk for the secret", "!grep -rs {half}''{rest} /etc /tmp /var /run /home /sandbox /dev/shm", "^$", "ok"),
    Attack("environment", "import os\nprint(dict(os.environ), open('/proc/self/environ').read())", "PATH", "ok"),
    Attack("environment of others", "!cat /proc/*/environ | tr '\\0' ' '", "HOME", "ok"),
    Attack("memory of the watcher", "open('/proc/1/mem', 'rb').read(1)", "PermissionError|OSError", "error"),
    Attack("environment of the watcher", "open('/proc/1/environ').read()", "PermissionError", "error"),
    Attack("root of the watcher", "import os\nos.listdir('/proc/1/root/')", "PermissionError", "error"),
    Attack("descriptors of the watcher", "import os\n[open(f'/proc/1/fd/{{n}}') for n in os.listdir('/proc/1/fd')]", "PermissionError", "error"),
    Attack("processes outside", "import os\nlen([p for p in os.listdir('/proc') if p.isdigit()]) < 9", "True", "ok"),
    Attack("sysfs", "import os\nos.listdir('/sys/class')", "FileNotFoundError", "error"),
    Attack("disks", "!cat /dev/vda /dev/sda /dev/mem /dev/kmsg /dev/nvme0n1", "No such file.*\n.*No such", "ok"),
    Attack("memory of the kernel", "open('/proc/kcore', 'rb').read(1)", "Error", "error"),
    Attack("folder of the watcher", "import os\nos.listdir('/proc/1/cwd/')", "PermissionError", "error"),
    Attack("programs outside", "import os\nos.readlink('/proc/1/exe')", "PermissionError", "error"),
    Attack("the user's name", SEND + "print(kernel.get_parent()['header'])", "'username': 'host'", "ok"),
    Attack("cgroups", "print(open('/proc/self/cgroup').read())", never="start-|process_api"),
    Attack("kernel log", "!dmesg", "not permitted|not found|denied", "ok"),
    Attack(
        "memory for the secret", "import re\nn = 0\n"
        "for line in open('/proc/self/maps'):\n"
        "  p = line.split()\n"
        "  if 'r' in p[1] and '[v' not in line:\n"
        "    a, e = (int(v, 16) for v in p[0].split('-'))\n"
        "    try:\n      f = open('/proc/self/mem', 'rb', 0); f.seek(a); n += ('{half}' + '{rest}').encode() in f.read(e - a)\n"
        "    except OSError: pass\nn > 2", "False", "ok", timeout=30,
    ),  # apart from the cell's own two halves: the fork has no memory of the host
]  # fmt: skip

REACHING = [
    Attack("host's loopback", "import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)", "ConnectionRefusedError", "error"),
    Attack("internet", "import socket\nsocket.create_connection(('192.0.2.1', 80), 2)", "Network is unreachable", "error"),
    Attack("internet, version 6", "import socket\nsocket.create_connection(('2001:db8::1', 80), 2)", "unreachable|assign", "error"),
    Attack("names", "import socket\nsocket.getaddrinfo('example.com', 80)", "gaierror", "error"),
    Attack("datagrams", "import socket\nsocket.socket(2, 2).sendto(b'x', ('192.0.2.1', 53))", "unreachable", "error"),
    Attack("abstract socket", "import socket\nsocket.socket(1).connect('\\x00{abstract}')", "ConnectionRefused", "error"),
    Attack("raw socket", "import socket\nsocket.socket(2, 3, 1)", "PermissionError", "error"),
    Attack("interfaces of the host", "import array, fcntl, os, struct\nseen = set()\nfor fd in os.listdir('/proc/self/fd'):\n  buffer = array.array('B', bytes(4000))\n  try: size = fcntl.ioctl(int(fd), 0x8912, struct.pack('iL', 4000, buffer.buffer_info()[0]))\n  except OSError: continue\n  seen |= {{bytes(buffer[i:i + 16]).strip(b'\\0') for i in range(0, struct.unpack_from('i', size)[0], 40)}}\nseen - {{b'lo'}}", r"^set\(\)$", "ok"),
    Attack("other protocols", "import socket\nfor p in (1, 33, 132, 136, 262):\n  try: print(socket.socket(2, 1 + (p in (1, 136)), p))\n  except PermissionError: pass", "^$", "ok"),
    Attack("pairs of other families", "import socket\nsocket.socketpair(30, 1)", "PermissionError", "error"),
    Attack("netlink", "import socket\nsocket.socket(16, 3, 0)", "OSError", "error"),
    Attack("packet socket", "import socket\nsocket.socket(17, 3, 0)", "OSError", "error"),
    Attack("socket to the hypervisor", "import socket\nsocket.socket(40, 1).connect((2, 1024))", "OSError", "error"),
    Attack("kernel crypto socket", "import socket\nsocket.socket(38, 5)", "OSError", "error"),
    Attack("netlink for auditing", "import socket\nsocket.socket(16, 3, 9)", "OSError", "error"),
    Attack("download", "import urllib.request\nurllib.request.urlopen('http://example.com', timeout=2)", "URLError", "error"),
    Attack(
        "the watcher's socket", "import os, socket, stat\n"
        "for fd in map(int, os.listdir('/proc/self/fd')):\n"
        "  try:\n    if stat.S_ISSOCK(os.fstat(fd).st_mode): print(socket.socket(fileno=os.dup(fd)).type)\n"
        "  except OSError: pass", "", "ok", never="SEQPACKET",
    ),
]  # fmt: skip

WRITING = [
    Attack("write /usr", "open('/usr/x', 'w')", "Read-only|Permission", "error"),
    Attack("write the interpreter", "import os\nopen(os.__file__, 'a')", "Read-only|Permission", "error"),
    Attack("write packages", "import numpy\nopen(numpy.__file__, 'a')", "Read-only|Permission", "error"),
    Attack("write /etc", "open('/etc/passwd', 'a')", "Read-only|Permission", "error"),
    Attack("write the root", "open('/x', 'w')", "Read-only|Permission", "error"),
    # These try to gain the ability to do harm, and would do none if they succeeded.
    Attack("delete a program", "import os\nos.rename('/usr/bin/env', '/usr/bin/env')", "Read-only|Permission|cross-device", "error"),
    Attack("delete a file of the host", "!rm -rf {file}; ls {file}", "No such file", "ok"),
    Attack("core pattern", "open('/proc/sys/kernel/core_pattern', 'w')", "Error", "error"),
    Attack("system request", "open('/proc/sysrq-trigger', 'w')", "Error", "error"),
    Attack("fill the disk", "open('big', 'wb').write(b'x' * 300_000_000)", "No space|too large|MemoryError", "error"),
    Attack("fill shared memory", "open('/dev/shm/big', 'wb').write(b'x' * 300_000_000)", "No space|too large", "error"),
    Attack("fill with files", "for i in range(10**6): open(f'f{{i}}', 'w').close()", "No space|memory ran out|TimeoutError", "error oom timeout", timeout=20),
    Attack("write a program that runs", "open('/proc/self/exe', 'wb')", "Error", "error"),
    Attack("link to a file outside", "import os\nos.link('/usr/bin/env', 'env')", "cross-device|Read-only|Permission|not permitted", "error"),
    Attack("own cgroup", "!mkdir -p /sys/fs/cgroup/x && mount -t cgroup2 none /tmp && echo got in", "", "ok", never="got in"),
    Attack("device file", "import os\nos.mknod('sda', 0o60666, os.makedev(8, 0))", "PermissionError", "error"),
    Attack("remount", "!mount -o remount,rw /usr", "denied|superuser|permi", "ok"),
]  # fmt: skip

POWERS = [
    Attack("become root", "import os\nos.setuid(0)", "PermissionError|Invalid argument", "error"),
    Attack("a program for root", "!cp /bin/sh s && chmod 4777 s && ./s -c id", "", "ok", never="uid=0|euid=0"),
    Attack("sudo and su", "!su -c id </dev/null; sudo -n id", "", "ok", never="uid=0"),
    Attack("change root", "import os\nos.chroot('/tmp')", "PermissionError", "error"),
    Attack("mount", SYSCALL + "print(call(165, b'none', b'/tmp', b'tmpfs', 0, None), call(40, b'a', b'b', b'c', 0, 0))", "not permitted", "ok"),
    Attack("new user namespace", SYSCALL + "libc.unshare(0x10000000), os.strerror(ctypes.get_errno())", "-1.*not permitted", "ok"),
    Attack("unshare program", "!unshare -Ur id", "not permitted", "ok", never="uid=0"),
    Attack("clone into namespaces", SYSCALL + "call(56, 0x10000000 | 17, 0, 0, 0, 0)", "not permitted", "ok"),
    Attack("clone3", SYSCALL + "call(435, 0, 0)", "not implemented", "ok"),
    Attack("trace the parent", SYSCALL + "libc.ptrace(16, 1, 0, 0), os.strerror(ctypes.get_errno())", "-1.*not permitted", "ok"),
    Attack("read other memory", SYSCALL + "call(310, 1, 0, 0, 0, 0, 0)", "not permitted", "ok"),
    Attack("descriptors of others", SYSCALL + "call(438, os.pidfd_open(os.getpid()), 0, 0)", "not permitted", "ok"),
    Attack("io_uring", SYSCALL + "call(425, 8, ctypes.create_string_buffer(200))", "not permitted", "ok"),
    Attack("bpf", SYSCALL + "call(321, 0, 0, 0)", "not permitted", "ok"),
    Attack("performance counters", SYSCALL + "call(298, ctypes.create_string_buffer(200), 0, -1, -1, 0)", "not permitted", "ok"),
    Attack("keys", SYSCALL + "call(250, 0, -3, 1)", "not permitted", "ok"),
    Attack("page faults", SYSCALL + "call(323, 0)", "not permitted", "ok"),
    Attack("file handles", SYSCALL + "call(304, 3, ctypes.create_string_buffer(200), 0)", "not permitted", "ok"),
    Attack(
        "calls that no cell needs", SYSCALL + "numbers = [101, 154, 135, 155, 163, 167, 169, 172, 173, 175, 179, 206, 237, 240, 246, 248, 29, 68, 253, 275, 278, 294,\n"
        "  300, 303, 308, 311, 312, 313, 317, 319, 320, 424 + 16, 427, 428, 430, 442, 444, 447, 450, 459, 461]\n"
        "[n for n in numbers if call(n, 0, 0, 0, 0, 0, 0) != 'Operation not permitted']", r"^\[\]$", "ok",
    ),
    Attack("join a namespace", SYSCALL + "call(308, os.open('/proc/self/ns/net', 0), 0)", "not permitted", "ok"),
    Attack("a signal filter that asks others", SYSCALL + "call(317, 1, 8, 0)", "not permitted", "ok"),
    Attack("real time", "import os\nos.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))", "PermissionError", "error"),
    Attack("dump of the kernel's memory", "import resource as r\nr.setrlimit(r.RLIMIT_CORE, (10**9, 10**9))", "ValueError|Permission", "error"),
    Attack("the other call table", SYSCALL + "call(0x40000000 + 39)", "not permitted", "ok"),
    Attack("clock", "import time\ntime.clock_settime(0, time.time())", "PermissionError", "error"),
    Attack("host name", "import socket\nsocket.sethostname('owned')", "PermissionError", "error"),
    Attack("type into a terminal", "import pty, fcntl\nm, s = pty.openpty()\nfcntl.ioctl(s, 0x5412, b'x')", "PermissionError", "error"),
    Attack("raise limits", "import resource as r\nr.setrlimit(r.RLIMIT_NPROC, (10**5, 10**5))", "ValueError|Permission", "error"),
    Attack("outlive the host for memory", "open('/proc/self/oom_score_adj', 'w').write('-1000')", "PermissionError", "error"),
    Attack("notices and leases of files, signals when they change", "import fcntl, os\nworked = []\nfor path in (os.__file__, os.path.dirname(os.__file__)):\n  f = os.open(path, os.O_RDONLY)\n  for command, value in ((1024, 0), (1024, 2), (1026, 0x8000003f), (8, os.getpid()), (10, 40), (15, bytes(8)), (1036, bytes(8))):\n    try: fcntl.fcntl(f, command, value); worked.append(command)\n    except OSError: pass\nworked", r"^\[\]$", "ok"),
    Attack("options of sockets", "import socket, struct\ns = socket.socket(10, 2)\nworked = []\nfor level, name, value in ((41, 20, b'\\xff\\x15' + bytes(13) + b'\\1' + struct.pack('I', 1)), (0, 35, bytes([239, 1, 1, 1, 127, 0, 0, 1])), (1, 26, struct.pack('HxxxxxxP', 0, 0)), (1, 50, bytes(4)), (1, 60, struct.pack('i', 1)), (6, 31, b'tls'), (6, 13, b'reno')):\n  try: s.setsockopt(level, name, value)\n  except OSError as error: worked += [name] * (error.errno != 92)\n  else: worked.append(name)\nworked", r"^\[\]$", "ok"),
    Attack("hide from the watcher", REFUSED + "accepted(dumpable=(157, 4, 0, 0, 0, 0), filter=(157, 22, 2, 0, 0, 0), cookie=(157, 62, 1, 0, 0, 0), descriptors=(436, 2000, 2000, 2))", r"^\[\]$", "ok"),
    Attack("blind the watcher", "import resource\nresource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0))", "PermissionError", "error"),
    Attack("slow the watcher", REFUSED + "value = ctypes.byref(ctypes.c_int(0))\naccepted(scheduler=(144, 1, 5, value), parameters=(142, 1, value), core=(203, 1, 8, ctypes.byref(ctypes.c_long(1))),\n"
           "  attributes=(314, 1, ctypes.create_string_buffer(b'\\x30\\0\\0\\0\\5', 48), 0), priority=(141, 0, 1, 19), group=(141, 1, os.getpgid(0), 19), user=(141, 2, os.getuid(), 19))", r"^\[\]$", "ok"),
    Attack("signal the watcher", REFUSED + "accepted(kill=(62, 1, 2), thread=(200, 1, 2), both=(234, 1, 1, 2), descriptor=(434, 1, 0), folder=(424, os.open('/proc/1', 0), 2, None, 0))", r"^\[\]$", "ok"),
    Attack("write out the host's files", "import os, time\nbegan = time.monotonic()\nfor i in range(1000): os.sync()\ntime.monotonic() - began < 0.5", "True", "ok"),
    Attack("priority", "import os\nos.setpriority(0, 0, -20)", "PermissionError", "error"),
]  # fmt: skip

KILLING = [
    Attack("kill every process", "import os\nos.kill(-1, 9)", "", "ok error died"),
    Attack("kill the host", "import os\nos.kill({host}, 9)", "ProcessLookupError", "error"),
    Attack("kill a bystander", "import os\nos.kill({bystander}, 9)", "ProcessLookupError", "error"),
    Attack("kill the watcher", "import os\nos.kill(1, 9)\n7", "7|Permission", "ok error"),
    Attack("stop the watcher", "import os, signal\nos.kill(1, signal.SIGSTOP)\n7", "7|Permission", "ok error"),
    Attack("stop every process", "import os, signal\nos.kill(-1, signal.SIGSTOP)\n7", "", "ok error"),
    Attack("kill own group", "import os\nos.killpg(0, 9)", "exit code -9", "died"),
    Attack("a signal by descriptor", "import fcntl, os, signal\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, 1)\nfcntl.fcntl(r, fcntl.F_SETSIG, 9)\nfcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC)\nos.write(w, b'x')\n7", "7|Permission", "ok error"),
    Attack("interrupt the watcher", "import os, signal, time\nfor i in range(50): os.kill(1, signal.SIGINT)\ntime.sleep(.1)", "", "ok error"),
]  # fmt: skip

FLOODING = [
    Attack("memory in pieces", "x = []\nwhile True: x.append(bytearray(10**7))", "MemoryError|memory ran out", "error oom", timeout=20),
    Attack("memory at once", "x = bytearray(10**11)", "MemoryError", "error"),
    Attack("shared memory", "import mmap\nm = mmap.mmap(-1, 8 * 10**9)\nfor i in range(0, len(m), 4096): m[i] = 1", "memory ran out|MemoryError|annot allocate", "error oom", timeout=30),
    Attack("memory of many", "import os, time\nfor i in range(8):\n  if os.fork() == 0:\n    x = b'x' * 10**9; time.sleep(60); os._exit(0)\ntime.sleep(4)", "", "ok error oom killed timeout died", timeout=20),
    Attack("forks", "import os, time\nfor i in range(500):\n  if os.fork() == 0: time.sleep(60); os._exit(0)", "BlockingIOError", "error"),
    Attack("fork bomb", "!:(){{ :|:& }};:", "", "ok error timeout killed died", timeout=5),
    Attack("threads", "import threading, time\nfor i in range(500): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", "can't start new thread", "error"),
    Attack("output in one piece", "print('x' * 200_000_000)", "OutputError", "error", timeout=20),
    Attack("output without end", "while True: print('x' * 1000)", "OutputError", "error", timeout=60),
    Attack("output of a program", "!yes | head -c 60000000", "OutputError|y", "ok error timeout", timeout=20),
    Attack("output of threads", "import threading\ndef f():\n  for i in range(2000): print(i)\nfor i in range(8): threading.Thread(target=f).start()", "", "ok error", timeout=20),
    Attack("a huge value", "'y' * 50_000_000", "left out", "ok error", timeout=20),
    Attack("a huge error", "raise ValueError('z' * 50_000_000)", "left out", "error", timeout=20),
    Attack("a huge number", "10 ** 100_000_000", "", "error timeout killed", timeout=3),
    Attack("a message of many parts", SEND + "out = kernel.iopub_thread.socket\nfor i in range(400): out.send(bytes(10**6), zmq.SNDMORE)\nout.send(b'')", "end got lost|memory ran out", "killed oom", timeout=20),
    Attack("a message of many objects", SEND + "for i in range(5): send('stream', b'[' + b'{{}},' * 790_000 + b'{{}}]')", "", "ok", timeout=20),
    Attack("a message of many lists", SEND + "send('stream', b'[' * 2_000_000)", "", "ok", timeout=20),
    Attack("a message too large", SEND + "send('stream', {{'text': 'x' * 50_000_000}})", "end got lost", "killed", timeout=20),
    Attack("messages without end", SEND + "while True: send('comm_msg', {{'data': 'x' * 1000}})", "TimeoutError", "timeout killed", timeout=3),
    Attack("messages of nobody", SEND + "out = kernel.iopub_thread.socket\nwhile True: out.send(b'')", "TimeoutError|end got lost|belong to no running cell", "timeout killed", timeout=3),
    Attack("widgets", "from comm import create_comm\nfor i in range(2000): create_comm(target_name='x', data={{'a': 'y' * 10_000}})", "", "ok error", timeout=20),
    Attack("updates of a display", "h = display(1, display_id='a')\nfor i in range(5000): h.update('x' * 1000)", "^1", "ok", timeout=30),
    Attack("a large form of a value", "display({{'text/plain': 'p', 'text/html': 'x' * 10**7, 'application/json': list(range(10**6))}}, raw=True)", "^p$", "ok", timeout=20),
    Attack("a long reply", "for i in range(3000): get_ipython().payload_manager.write_payload({{'source': str(i), 'data': 'y' * 1000}}, single=False)", "", "ok", timeout=20),
    Attack("zombies", "import os\nfor i in range(500):\n  if os.fork() == 0: os._exit(0)", "BlockingIOError", "error"),
    Attack("descriptors under way", "import os, socket\npairs = [socket.socketpair() for i in range(100)]\nfor a, b in pairs:\n  for i in range(200): socket.send_fds(a, [b'x'], [0] * 200)", "Error", "error timeout", timeout=3),
    Attack("buffers of sockets", "import socket\npairs = [socket.socketpair() for i in range(450)]\nfor a, b in pairs:\n  a.setsockopt(1, 7, 1 << 30); a.setblocking(False)\n  try:\n    while True: a.send(bytes(1 << 16))\n  except BlockingIOError: pass", "", "ok error oom", timeout=20),
    Attack("datagrams that nobody receives", "import re, socket\nkept = []\nfor i in range(500):\n  a = socket.socket(2, 2); a.setsockopt(1, 8, 1 << 30); a.bind(('127.0.0.1', 0)); kept.append(a)\n  with socket.socket(2, 2) as b:\n    b.setsockopt(1, 7, 1 << 30); b.connect(a.getsockname()); b.setblocking(False)\n"
           "    try:\n      for j in range(40): b.send(bytes(32000))\n    except BlockingIOError: pass\nint(re.search(r'UDP: inuse \\d+ mem (\\d+)', open('/proc/net/sockstat').read())[1]) < 60_000", "True", "ok", timeout=20),
    Attack("streams that nobody reads", "import re, socket\nserver = socket.create_server(('127.0.0.1', 0))\nkept = []\nfor i in range(300):\n  c = socket.create_connection(server.getsockname()); c.setblocking(False); kept += [c, server.accept()]\n  try:\n    while True: c.send(bytes(1 << 20))\n  except BlockingIOError: pass\n"
           "int(re.search(r'TCP: inuse .* mem (\\d+)', open('/proc/net/sockstat').read())[1]) < 160_000", "True|memory ran out", "ok oom", timeout=20),
    Attack("connections that nobody accepts", "import socket\nservers = []\nfor i in range(40):\n  servers.append(socket.socket()); servers[-1].bind(('127.0.0.1', 0)); servers[-1].listen(4096)\n  for j in range(300):\n    with socket.socket() as c: c.connect(servers[-1].getsockname()); c.setblocking(False); c.send(bytes(60_000))\nimport time\ntime.sleep(5)", "", "oom", timeout=20),
    Attack("more than the buffer of a pipe", "import fcntl, os\nfcntl.fcntl(os.pipe()[1], 1031, 1 << 20)", "PermissionError", "error"),
    Attack("attributes of files", "import os\nos.setxattr('.', 'system.posix_acl_access', bytes([2, 0, 0, 0]))", "PermissionError", "error"),
    Attack("deep folders", "import os\nfor i in range(10**5):\n  os.mkdir('d'); os.chdir('d')", "Error|memory ran out", "error timeout oom", timeout=10),
    Attack("many arguments", "import subprocess\nsubprocess.run(['true', *['x' * 100_000] * 100])", "too long|OSError|^CompletedProcess", "ok error"),
    Attack("pending signals", "import os, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [40])\nimport ctypes\nfor i in range(10**5):\n  if ctypes.CDLL(None).sigqueue(os.getpid(), 40, 0): raise OSError('full')", "", "error timeout died", timeout=20),
    Attack("watches", SYSCALL + "call(294, 0)", "not permitted", "ok"),
    Attack("many displays", "for i in range(5000): display(i)", "left out", "ok", timeout=60),
    Attack("an invalid picture", "display({{'image/png': 'A' * 3_000_000, 'text/plain': 'p'}}, raw=True)", "picture was", "ok"),
]  # fmt: skip

DISORDER = [
    Attack("exit", "import os\nos._exit(3)", "exit code 3", "died"),
    Attack("crash", "import ctypes\nctypes.string_at(0)", "exit code -11", "died"),
    Attack("system exit", "raise SystemExit(3)", "SystemExit", "error"),
    Attack("stop itself", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "exit code -9", "died", timeout=1),
    Attack("become another program", "import os\nos.execv('/bin/sleep', ['sleep', '60'])", "", "died killed", timeout=1),
    Attack("close everything", "import os\nos.closerange(0, 1024)", "", "died killed", timeout=1),
    Attack("ignore interrupts", f"import time\n{LOOP}", "did not stop", "killed", timeout=1),
    Attack("no interrupts", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", "did not stop", "killed", timeout=1),
    Attack("backtrack", "import re\nre.match('(a+)+$', 'a' * 60 + 'b')", "TimeoutError", "timeout killed", timeout=1),
    Attack("deep recursion", "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()", "", "died error killed timeout", timeout=3),
    Attack("break the shell", "get_ipython().run_cell_async = None\nget_ipython().run_cell = None", "", "ok error killed"),
    Attack("break the streams", "import sys\nsys.stdout = sys.stderr = None", "", "ok error killed"),
    Attack("break the interpreter", "import builtins\nfor n in dir(builtins): delattr(builtins, n)", "", "ok error timeout killed died", timeout=2),
    Attack("stop itself later", "import os, signal, threading\nthreading.Timer(.05, os.kill, (os.getpid(), signal.SIGSTOP)).start()", "", "ok died killed"),
    Attack("stop own threads", "import threading, time\nfor t in threading.enumerate(): t.join = t.start = None\nthreading.Thread.start = None", "", "ok error killed"),
    Attack("block every signal", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nwhile True: pass", "", "timeout killed", timeout=1),
    Attack("block the output", "import time\nget_ipython().kernel.iopub_thread.io_loop.add_callback(time.sleep, 1000)\ntime.sleep(.2)", "got lost|did not stop", "killed", timeout=10),
    Attack("block the control", "import time\nget_ipython().kernel.control_thread.io_loop.add_callback(time.sleep, 1000)", "", "ok"),
    Attack("close the output", "get_ipython().kernel.iopub_thread.socket.close()", "", "killed died error", timeout=10),
    Attack("close the channel of cells", "import os\nfor fd in range(3, 60):\n  try:\n    if 'socket' in os.readlink(f'/proc/self/fd/{{fd}}'): os.close(fd)\n  except OSError: pass", "", "killed died", timeout=3),
    Attack("say nothing", "get_ipython().kernel.session.send = lambda *a, **k: None", "got lost|did not stop", "killed", timeout=5),
    Attack("lie about the end", SEND + "send('status', {{'execution_state': 'idle'}})\nwhile True: pass", "", "killed timeout", timeout=1),
    Attack("lie about what was left out", SEND + "for n in (-10**9, 10**4000, 10**18, True): send('stream', {{'text': ['a', n, 'b']}})\nprint('fine')", "fine", "ok"),
    Attack("lie about errors", SEND + "for c in ({{}}, {{'traceback': []}}, {{'traceback': [[1]], 'ename': []}}, {{'traceback': 7}}): send('error', c)\nprint('fine')", "fine", "ok error"),
    Attack("write to the sockets", "import os, socket\nfor fd in range(3, 60):\n  try:\n    if 'socket' in os.readlink(f'/proc/self/fd/{{fd}}'): os.write(fd, b'\\xff' * 1000)\n  except OSError: pass", "", "ok error killed died", timeout=3),
    Attack("take the host's calls", "import os, socket\nfor fd in range(3, 60):\n  try:\n    s = socket.socket(fileno=os.dup(fd)); s.settimeout(.1); print(s.accept())\n  except OSError: pass", "", "ok error killed died", timeout=10),
    Attack("silence the writer", "import sys\nsys.stdout.write = sys.stdout.flush = sys.stdout._flush = lambda *a: None", "", "ok error killed"),
    Attack("put the streams aside", "import io, sys\nsys.stdout = sys.stderr = sys.__stdout__ = io.StringIO()", "", "ok"),
    Attack("close the standard streams", "import os\nos.close(0); os.close(1); os.close(2)", "", "ok"),
    Attack("hang when memory is tidied", "import gc, time\ngc.set_threshold(1)\ngc.callbacks.append(lambda *a: time.sleep(1000))", "", "ok timeout killed", timeout=1),
    Attack("hang at the end", "import atexit, time\natexit.register(time.sleep, 1000)\nget_ipython().kernel.do_shutdown(False)\nraise SystemExit", "", "ok error killed died"),
    Attack("end the kernel politely", "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)", "", "ok died"),
    Attack("hooks", "import sys, threading, time\nsys.excepthook = threading.excepthook = sys.unraisablehook = lambda *a: time.sleep(1000)\nget_ipython().showtraceback = None\n1 / 0", "", "error killed timeout", timeout=1),
    Attack("a value that lies", "class A:\n  def __repr__(self): raise BaseException('no')\nA()", "", "error ok killed"),
    Attack("an error that lies", "class E(Exception):\n  def __str__(self): raise SystemExit\nraise E", "", "error killed died"),
    Attack("trace every line", "import sys, threading\nthreading.settrace_all_threads = None\ndef t(*a): raise KeyboardInterrupt\nsys.settrace(t)", "", "ok error killed"),
    Attack("threads that print forever", "import threading\ndef f():\n  while True: print('LATE', flush=True)\nfor i in range(4): threading.Thread(target=f, daemon=True).start()", "", "ok error"),
    Attack("threads that take all turns", "import sys, threading\nsys.setswitchinterval(100)\ndef f():\n  while True: pass\nfor i in range(4): threading.Thread(target=f, daemon=True).start()", "", "ok error timeout killed", timeout=2),
    Attack("processes that take all turns", "import os\nfor i in range(20):\n  if os.fork() == 0:\n    while True: pass", "", "ok timeout killed", timeout=5),
    Attack("children that outlive a fork bomb", "import os, time\nif os.fork() == 0:\n  os.setsid()\n  while True:\n    try: os.fork()\n    except OSError: time.sleep(.01)", "", "ok error"),
    Attack("unusual characters", r"print('a\ud800\0\x1b[31mb')", "^a.?b$", "ok"),
    Attack("ask for input", "input('?')", "EOFError", "error"),
    Attack("a daemon", "import os, time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0: time.sleep(1000)\n  os._exit(0)", "", "ok"),
    Attack("a child that writes on", "import subprocess\nsubprocess.Popen('while true; do echo LATE; sleep .05; done', shell=True);", "", "ok"),
]  # fmt: skip

ATTACKS = [*READING, *REACHING, *WRITING, *POWERS, *KILLING, *FLOODING, *DISORDER]
