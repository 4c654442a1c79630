/* SPDX-License-Identifier: Apache-2.0 */
/* Describes processors and interrupt lines to the guest: see mptable.h. */
#include "vmm/arch/x86_64/mptable.h"

#include "vmm/arch/x86_64/layout.h"

/* Chapter 4 of the specification. All fields are naturally aligned except within strings. */
struct mp_pointer {
	char signature[4];
	uint32_t table;
	uint8_t length; /* in units of 16 bytes */
	uint8_t revision;
	uint8_t checksum;
	uint8_t features[5];
};

struct mp_header {
	char signature[4];
	uint16_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem[8];
	char product[12];
	uint32_t oem_table;
	uint16_t oem_size;
	uint16_t entries;
	uint32_t lapic;
	uint32_t reserved;
};

struct mp_cpu {
	uint8_t type;
	uint8_t apic_id;
	uint8_t apic_version;
	uint8_t flags;
	uint32_t signature;
	uint32_t features;
	uint32_t reserved[2];
};

struct mp_bus {
	uint8_t type;
	uint8_t id;
	char name[6];
};

struct mp_ioapic {
	uint8_t type;
	uint8_t id;
	uint8_t version;
	uint8_t flags;
	uint32_t address;
};

/* Wiring of one interrupt, of the I/O APIC or of the local ones. */
struct mp_interrupt {
	uint8_t type;
	uint8_t kind;
	uint16_t
		flags; /* 0: polarity and trigger mode as usual on the bus, for ISA high and edge */
	uint8_t bus;
	uint8_t bus_irq;
	uint8_t apic;
	uint8_t pin;
};

_Static_assert(sizeof(struct mp_pointer) == MPTABLE_POINTER_SIZE, "layout of the specification");
_Static_assert(sizeof(struct mp_header) == 44, "layout of the specification");
_Static_assert(sizeof(struct mp_cpu) == 20, "layout of the specification");
_Static_assert(sizeof(struct mp_bus) == 8, "layout of the specification");
_Static_assert(sizeof(struct mp_ioapic) == 8, "layout of the specification");
_Static_assert(sizeof(struct mp_interrupt) == 8, "layout of the specification");
_Static_assert(sizeof(struct mp_header) + LIMIT_VCPUS * sizeof(struct mp_cpu) +
			       sizeof(struct mp_bus) + sizeof(struct mp_ioapic) +
			       (IOAPIC_PINS + 2) * sizeof(struct mp_interrupt) <=
		       MPTABLE_SIZE_MAX,
	"the largest table fits");

enum { MP_CPU, MP_BUS, MP_IOAPIC, MP_IO_INTERRUPT, MP_LOCAL_INTERRUPT };
enum { MP_KIND_INT = 0, MP_KIND_NMI = 1, MP_KIND_EXTINT = 3 };
enum { MP_CPU_ENABLED = 1, MP_CPU_BOOT = 2 };
enum { MP_REVISION = 4, MP_ALL_APICS = 0xff, LAPIC_VERSION = 0x14, IOAPIC_VERSION = 0x11 };

/* All bytes of a structure, its checksum included, add up to zero. */
static uint8_t checksum(const void *p, size_t n)
{
	const uint8_t *at = p;
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *at++);
	return (uint8_t)-sum;
}

static void append(uint8_t *to, size_t *len, const void *entry, size_t n)
{
	memcpy(to + *len, entry, n);
	*len += n;
}

static void append_cpus(uint8_t *to, size_t *len, unsigned int vcpus)
{
	for (unsigned int i = 0; i < vcpus; i++) {
		struct mp_cpu cpu = {.type = MP_CPU,
			.apic_id = (uint8_t)i,
			.apic_version = LAPIC_VERSION,
			.flags = i == 0 ? MP_CPU_ENABLED | MP_CPU_BOOT : MP_CPU_ENABLED};

		append(to, len, &cpu, sizeof(cpu));
	}
}

static void append_interrupts(uint8_t *to, size_t *len, uint8_t ioapic_id)
{
	static const struct mp_interrupt local[] = {
		{.type = MP_LOCAL_INTERRUPT, .kind = MP_KIND_EXTINT, .apic = 0, .pin = 0},
		{.type = MP_LOCAL_INTERRUPT, .kind = MP_KIND_NMI, .apic = MP_ALL_APICS, .pin = 1},
	};

	for (unsigned int i = 0; i < IOAPIC_PINS; i++) {
		struct mp_interrupt wire = {.type = MP_IO_INTERRUPT,
			.kind = MP_KIND_INT,
			.bus_irq = (uint8_t)i,
			.apic = ioapic_id,
			.pin = (uint8_t)i};

		append(to, len, &wire, sizeof(wire));
	}
	append(to, len, local, sizeof(local));
}

size_t mptable_build(uint8_t *to, unsigned int vcpus)
{
	struct mp_header header = {.signature = {'P', 'C', 'M', 'P'},
		.revision = MP_REVISION,
		.oem = {'M', 'S', 'B', ' ', ' ', ' ', ' ', ' '},
		.product = {'M', 'I', 'C', 'R', 'O', 'V', 'M', ' ', ' ', ' ', ' ', ' '},
		.lapic = LAPIC_GPA};
	struct mp_bus isa = {.type = MP_BUS, .id = 0, .name = {'I', 'S', 'A', ' ', ' ', ' '}};
	struct mp_ioapic ioapic = {.type = MP_IOAPIC,
		.id = (uint8_t)vcpus,
		.version = IOAPIC_VERSION,
		.flags = 1,
		.address = IOAPIC_GPA};
	size_t len = sizeof(header);

	assert(vcpus >= 1 && vcpus <= LIMIT_VCPUS);
	append_cpus(to, &len, vcpus);
	append(to, &len, &isa, sizeof(isa));
	append(to, &len, &ioapic, sizeof(ioapic));
	append_interrupts(to, &len, ioapic.id);

	header.length = (uint16_t)len;
	header.entries = (uint16_t)(vcpus + 1 + 1 + IOAPIC_PINS + 2);
	memcpy(to, &header, sizeof(header));
	to[offsetof(struct mp_header, checksum)] = checksum(to, len);
	return len;
}

void mptable_build_pointer(uint8_t to[MPTABLE_POINTER_SIZE], uint32_t gpa)
{
	struct mp_pointer pointer = {.signature = {'_', 'M', 'P', '_'},
		.table = gpa,
		.length = 1,
		.revision = MP_REVISION};

	pointer.checksum = checksum(&pointer, sizeof(pointer));
	memcpy(to, &pointer, sizeof(pointer));
}
