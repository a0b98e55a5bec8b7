/*
 * ptrace for a User-Mode Linux that is older than the processor.
 *
 * Kernels before 6.13 write a fixed number of bytes of a process' extended
 * registers. A host whose processor has more of them (AMX) takes only the whole:
 * EFAULT, and the guest dies as it starts. So what such a kernel writes is
 * extended with zeros, the state of registers that were never used.
 *
 * Loaded with LD_PRELOAD; built without a header or a library.
 */
#define SYS_PTRACE      101
#define PTRACE_PEEK     3 /* and below, from 1: the word read is the result */
#define PTRACE_GETREGSET 0x4204
#define PTRACE_SETREGSET 0x4205
#define NT_X86_XSTATE   0x202

extern long syscall(long number, ...);

struct piece {
	char *base;
	unsigned long size;
};

/* The kernel is one thread of the host. */
static char whole[65536];
static unsigned long whole_size;

static long set_xstate(long pid, struct piece *part)
{
	struct piece all = { whole, sizeof whole };
	unsigned long i;

	if (!whole_size) {
		if (syscall(SYS_PTRACE, PTRACE_GETREGSET, pid, NT_X86_XSTATE, &all) < 0)
			return -1;
		whole_size = all.size;
	}
	if (part->size >= whole_size)
		return syscall(SYS_PTRACE, PTRACE_SETREGSET, pid, NT_X86_XSTATE, part);
	for (i = 0; i < whole_size; i++)
		whole[i] = i < part->size ? part->base[i] : 0;
	all.size = whole_size;
	return syscall(SYS_PTRACE, PTRACE_SETREGSET, pid, NT_X86_XSTATE, &all);
}

long ptrace(long request, long pid, void *addr, void *data)
{
	long word, result;

	if (request == PTRACE_SETREGSET && (long)addr == NT_X86_XSTATE)
		return set_xstate(pid, data);
	if (request < 1 || request > PTRACE_PEEK)
		return syscall(SYS_PTRACE, request, pid, addr, data);
	result = syscall(SYS_PTRACE, request, pid, addr, &word);
	return result < 0 ? result : word;
}
