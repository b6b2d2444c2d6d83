"""Becomes a program under a seccomp filter: python3 seccomp.py PROGRAM ARGUMENTS...

Whoever calls what no service has any business with is killed (SIGSYS): the calls that container runtimes withhold from
containers, for mounts, namespaces, kernel modules, keys, tracing, other processes' memory, and the machine as a whole.
x86-64 only: calls have other numbers elsewhere, and a filter must know which it sees.
"""

import ctypes
import os
import struct
import sys

ARCHITECTURE = 0xC000003E  # AUDIT_ARCH_X86_64
WITHHELD = {
    101: "ptrace", 155: "pivot_root", 163: "acct", 165: "mount", 166: "umount2", 167: "swapon", 168: "swapoff",
    169: "reboot", 172: "iopl", 173: "ioperm", 175: "init_module", 176: "delete_module", 179: "quotactl",
    246: "kexec_load", 248: "add_key", 249: "request_key", 250: "keyctl", 272: "unshare", 298: "perf_event_open",
    304: "open_by_handle_at", 308: "setns", 310: "process_vm_readv", 311: "process_vm_writev", 313: "finit_module",
    321: "bpf", 323: "userfaultfd", 428: "open_tree", 429: "move_mount", 430: "fsopen", 432: "fsmount",
}
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
KILL_PROCESS, ALLOW = 0x80000000, 0x7FFF0000


def instruction(code, constant, if_true=0, if_false=0):
    return struct.pack("HBBI", code, if_true, if_false, constant)


def program():
    """Offsets are those of struct seccomp_data: the call's number at 0, the architecture at 4."""
    code = [instruction(LOAD, 4), instruction(JUMP_IF_EQUAL, ARCHITECTURE, 1), instruction(RETURN, KILL_PROCESS)]
    code.append(instruction(LOAD, 0))
    for number in sorted(WITHHELD):
        code += [instruction(JUMP_IF_EQUAL, number, 0, 1), instruction(RETURN, KILL_PROCESS)]
    code.append(instruction(RETURN, ALLOW))
    return code


def install(code):
    libc = ctypes.CDLL(None, use_errno=True)
    text = ctypes.create_string_buffer(b"".join(code))
    filter_program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(text))
    no_new_privileges, set_seccomp, by_filter = 38, 22, 2
    for arguments in [(no_new_privileges, 1, 0, 0, 0), (set_seccomp, by_filter, filter_program, 0, 0)]:
        if libc.prctl(*arguments) != 0:
            sys.exit(f"seccomp.py: prctl({arguments[0]}): {os.strerror(ctypes.get_errno())}")


install(program())
os.execvp(sys.argv[1], sys.argv[1:])
