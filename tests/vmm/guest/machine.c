/* SPDX-License-Identifier: Apache-2.0 */
/* The bare machine: accesses of every width, a little of the C library, the start. */
#include "guest.h"

enum { PORT_POWER = 0x5b0, POWER_OFF = 1, INFO_CMDLINE = 24 };

uint32_t mmio_read(uint64_t addr, unsigned int width)
{
	uint32_t v = 0;

	switch (width) {
	case 1:
		return *(volatile uint8_t *)addr;
	case 2:
		return *(volatile uint16_t *)addr;
	case 8:
		return (uint32_t)(*(volatile uint64_t *)addr);
	default:
		__asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(addr) : "memory");
		return v;
	}
}

void mmio_write(uint64_t addr, uint64_t v, unsigned int width)
{
	switch (width) {
	case 1:
		*(volatile uint8_t *)addr = (uint8_t)v;
		break;
	case 2:
		*(volatile uint16_t *)addr = (uint16_t)v;
		break;
	case 8:
		*(volatile uint64_t *)addr = v;
		break;
	default:
		__asm__ volatile("movl %0, (%1)" : : "r"((uint32_t)v), "r"(addr) : "memory");
		break;
	}
}

void port_write(uint16_t port, uint32_t v, unsigned int width)
{
	if (width == 1)
		__asm__ volatile("outb %b0, %w1" : : "a"(v), "Nd"(port));
	else if (width == 2)
		__asm__ volatile("outw %w0, %w1" : : "a"(v), "Nd"(port));
	else
		__asm__ volatile("outl %0, %w1" : : "a"(v), "Nd"(port));
}

uint32_t port_read(uint16_t port, unsigned int width)
{
	uint32_t v = 0;

	if (width == 1)
		__asm__ volatile("inb %w1, %b0" : "+a"(v) : "Nd"(port));
	else if (width == 2)
		__asm__ volatile("inw %w1, %w0" : "+a"(v) : "Nd"(port));
	else
		__asm__ volatile("inl %w1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

void power_off(void)
{
	for (;;)
		port_write(PORT_POWER, POWER_OFF, 1);
}

void *memset(void *p, int c, size_t n)
{
	void *at = p;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(c) : "memory");
	return p;
}

void *memcpy(void *to, const void *from, size_t n)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a;
	const uint8_t *y = b;

	for (; n > 0; n--, x++, y++) {
		if (*x != *y)
			return *x < *y ? -1 : 1;
	}
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

static uint64_t state;

void seed_random(uint64_t seed)
{
	state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

uint64_t random64(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

uint32_t below(uint32_t n)
{
	return (uint32_t)((random64() >> 32) * n >> 32);
}

extern const uint8_t exception_stubs[];

static struct {
	uint16_t low;
	uint16_t selector;
	uint16_t flags;
	uint16_t middle;
	uint32_t high;
	uint32_t zero;
} idt[32];

static void catch_exceptions(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} pointer = {sizeof(idt) - 1, (uint64_t)idt};

	for (unsigned int i = 0; i < 32; i++) {
		uint64_t at = (uint64_t)exception_stubs + 16 * i;

		idt[i].low = (uint16_t)at;
		idt[i].selector = 8;
		idt[i].flags = 0x8e00; /* present, interrupt gate */
		idt[i].middle = (uint16_t)(at >> 16);
		idt[i].high = (uint32_t)(at >> 32);
	}
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

void guest_exception(const uint64_t *stack);

/* Vector, then what the processor pushed: an error code or not, and the place. */
void guest_exception(const uint64_t *stack)
{
	uint64_t cr2;

	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	say("\n# exception:");
	for (unsigned int i = 0; i < 5; i++) {
		say(" ");
		say_number(stack[i]);
	}
	say(", cr2 ");
	say_number(cr2);
	say("\n");
	check(false, "no exception in the guest");
	for (unsigned int i = 0; i < n_devices; i++)
		dev_reset(&devices[i]);
	report_send();
	power_off();
}

/* The number after @name= on the command line, or @otherwise. */
static uint64_t option(const char *cmdline, const char *name, uint64_t otherwise)
{
	size_t n = strlen(name);

	for (const char *s = cmdline; *s; s++) {
		uint64_t v = 0;

		if ((s != cmdline && s[-1] != ' ') || strlen(s) <= n || memcmp(s, name, n) != 0 ||
			s[n] != '=')
			continue;
		for (s += n + 1; *s >= '0' && *s <= '9'; s++)
			v = v * 10 + (uint64_t)(*s - '0');
		return v;
	}
	return otherwise;
}

void guest_main(const uint8_t *info);

void guest_main(const uint8_t *info)
{
	const char *cmdline = (const char *)*(const uint64_t *)(info + INFO_CMDLINE);
	uint32_t rounds = (uint32_t)option(cmdline, "rounds", 0);

	catch_exceptions();
	devices_find(cmdline);
	if (option(cmdline, "fault", 0))
		__asm__ volatile("ud2");
	if (rounds)
		hostile_tests(option(cmdline, "seed", 1), rounds, option(cmdline, "everywhere", 0));
	else
		good_tests();
	report_send();
	if (!rounds)
		good_farewell();
	power_off();
}
