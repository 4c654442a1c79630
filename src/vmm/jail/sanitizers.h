/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runtimes of the sanitizers call besides, to allocate, to report and when threads end.
 * Only builds with sanitizers read this; nobody includes it.
 *
 * #syscalls(vmm:loop): mmap munmap mprotect madvise sigaltstack sched_yield getpid gettid openat
 * readlink close fstat newfstatat prctl clone ioctl rt_sigaction rt_sigprocmask exit wait4
 * clock_nanosleep #syscalls(vmm:vcpu): mmap munmap mprotect madvise sigaltstack sched_yield getpid
 * gettid openat readlink close fstat newfstatat prctl clone rt_sigaction wait4 clock_nanosleep
 * exit_group
 */
#pragma once
