/* SPDX-License-Identifier: MIT */
/*
 * Taken from KVM: the processor's features. Not taken: any topology (KVM gives
 * that of the CPU it happens to run on, or none), KVM's own leaves (a guest
 * that finds two hypervisors takes the one with the higher base, which would
 * be KVM: no VMBus then), and nested virtualisation, which Hyper-V does not
 * give either unless asked.
 */
#include "hyperv_cpuid.h"

#include <string.h>

#include "err.h"

#define BIT(n) (UINT32_C(1) << (n))

struct build {
	const struct hyperv_cpuid *in;
	struct kvm_cpuid_entry2 *out;
	unsigned cnt;
	unsigned id_bits; /* of an APIC id */
	bool full;
};

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid_entry2 *in,
					   unsigned cnt, uint32_t leaf)
{
	for (unsigned i = 0; i < cnt; i++)
		if (in[i].function == leaf && in[i].index == 0)
			return &in[i];
	return NULL;
}

static struct kvm_cpuid_entry2 *leaf_of(struct build *b, uint32_t leaf)
{
	return (struct kvm_cpuid_entry2 *)find(b->out, b->cnt, leaf);
}

static void put(struct build *b, struct kvm_cpuid_entry2 c)
{
	if (b->cnt == HYPERV_CPUID_MAX)
		b->full = true;
	else
		b->out[b->cnt++] = c;
}

/* ---- the processor ------------------------------------------------------ */

enum {
	ECX1_VMX = 5,
	ECX1_TSC_DEADLINE = 24,
	ECX1_HYPERVISOR = 31,
	EDX1_HTT = 28,
	EDX7_SPEC_CTRL = 26,
	ECX81_CMP_LEGACY = 1,
	ECX81_SVM = 2,
	ECX81_TOPOEXT = 22,
	EDX87_INVARIANT_TSC = 8,
	EBX88_IBRS = 14,
	EBX88_STIBP = 15,
	EBX88_SSBD = 24,
	EBX88_PSFD = 28,
};

static bool wanted(uint32_t leaf)
{
	switch (leaf) {
	case 0xB: /* made anew */
	case 0x1F:
	case 0x8000000A: /* SVM's details */
	case 0x8000001E:
		return false;
	default:
		return leaf < 0x40000000 || leaf > 0x4FFFFFFF;
	}
}

static bool is_amd(const struct build *b)
{
	const struct kvm_cpuid_entry2 *c = find(b->out, b->cnt, 0);
	if (!c)
		return false;
	uint32_t text[3] = { c->ebx, c->edx, c->ecx };
	return !memcmp(text, "AuthenticAMD", 12) ||
	       !memcmp(text, "HygonGenuine", 12);
}

static void basic(struct build *b)
{
	struct kvm_cpuid_entry2 *c = leaf_of(b, 1);
	if (!c)
		return;
	c->ebx = (c->ebx & 0xFFFF) | 1u << b->id_bits << 16 | b->in->vp << 24;
	c->ecx |= BIT(ECX1_HYPERVISOR);
	c->ecx &= ~BIT(ECX1_VMX);
	if (b->in->tsc_deadline)
		c->ecx |= BIT(ECX1_TSC_DEADLINE);
	if (b->in->cpu_cnt > 1)
		c->edx |= BIT(EDX1_HTT);
	else
		c->edx &= ~BIT(EDX1_HTT);
}

/* Leaf 4 and 0x8000001D: the last level is everybody's, the others a core's. */
static void caches(struct build *b)
{
	uint32_t last = (1u << b->id_bits) - 1;
	for (unsigned i = 0; i < b->cnt; i++) {
		struct kvm_cpuid_entry2 *c = &b->out[i];
		if ((c->function != 4 && c->function != 0x8000001D) ||
		    (c->eax & 31) == 0)
			continue;
		uint32_t level = c->eax >> 5 & 7;
		c->eax &= 0x3FFF;
		if (level >= 3)
			c->eax |= last << 14;
		if (c->function == 4)
			c->eax |= last << 26;
	}
}

/* Level 0: one thread a core; level 1: the cores; level 2: the end. */
static void topology(struct build *b, uint32_t leaf)
{
	const struct kvm_cpuid_entry2 *c = leaf_of(b, 0);
	if (!c || c->eax < leaf)
		return;
	for (uint32_t i = 0; i < 3; i++)
		put(b, (struct kvm_cpuid_entry2){
			.function = leaf,
			.index = i,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			.eax = i == 1 ? b->id_bits : 0,
			.ebx = i == 0 ? 1 : i == 1 ? b->in->cpu_cnt : 0,
			.ecx = i | (i < 2 ? (i + 1) << 8 : 0),
			.edx = b->in->vp,
		});
}

static void amd_topology(struct build *b)
{
	struct kvm_cpuid_entry2 *f = leaf_of(b, 0x80000001);
	struct kvm_cpuid_entry2 *c = leaf_of(b, 0x80000008);
	if (c)
		c->ecx = b->id_bits << 12 | (b->in->cpu_cnt - 1);
	if (f && b->in->cpu_cnt > 1)
		f->ecx |= BIT(ECX81_CMP_LEGACY);
	if (f && f->ecx & BIT(ECX81_TOPOEXT))
		put(b, (struct kvm_cpuid_entry2){
			.function = 0x8000001E,
			.eax = b->in->vp,
			.ebx = b->in->vp,
		});
}

static void extended(struct build *b)
{
	struct kvm_cpuid_entry2 *c = leaf_of(b, 0x80000001);
	if (c)
		c->ecx &= ~BIT(ECX81_SVM);
	/* KVM lists PSFD by itself; without an MSR to set it in, a guest that
	 * believes it dies of the write. */
	c = leaf_of(b, 0x80000008);
	const struct kvm_cpuid_entry2 *s = leaf_of(b, 7);
	uint32_t msr = BIT(EBX88_IBRS) | BIT(EBX88_STIBP) | BIT(EBX88_SSBD);
	if (c && !(c->ebx & msr) && !(s && s->edx & BIT(EDX7_SPEC_CTRL)))
		c->ebx &= ~BIT(EBX88_PSFD);
}

/* ---- Hyper-V ------------------------------------------------------------ */

enum {
	EAX3_VP_RUNTIME = 0,
	EAX3_TIME = 1,
	EAX3_SYNIC = 2,
	EAX3_APIC = 4,
	EAX3_HYPERCALL = 5,
	EAX3_VP_INDEX = 6,
	EAX3_RESET = 7,
	EAX3_TSC_PAGE = 9,
	EAX3_FREQUENCY = 11,
	EAX3_INVARIANT_TSC = 15,
	EBX3_POST = 4,
	EBX3_SIGNAL = 5,
	EDX3_FREQUENCY = 8,
	EDX3_CRASH = 10,
	EAX4_APIC = 3,
	EAX4_RESET = 4,
	EAX4_RELAXED_TIMING = 5,
	EAX4_NO_AUTO_EOI = 9,
};

#define NO_SPIN_NOTIFY UINT32_MAX
#define HV_VERSION 10u /* as Windows Server 2022 */
#define HV_BUILD 20348u
#define HV_LEAF_MAX 0x40000006u
#define HV_VPS 64u /* at most, of any guest */

/* Without these there is no VMBus, or no usable clock. */
static const struct need {
	bool ebx;
	unsigned bit;
	const char *name;
} needs[] = {
	{ false, EAX3_HYPERCALL, "hypercalls" },
	{ false, EAX3_VP_INDEX, "VP index" },
	{ false, EAX3_SYNIC, "SynIC" },
	{ false, EAX3_TIME, "the time counter" },
	{ false, EAX3_TSC_PAGE, "the reference TSC page" },
	{ true, EBX3_POST, "posting messages" },
	{ true, EBX3_SIGNAL, "signalling events" },
};

static int check_needs(const struct kvm_cpuid_entry2 *c, struct vhdx_err *e)
{
	for (unsigned i = 0; i < ARRAY_LEN(needs); i++) {
		uint32_t has = !c ? 0 : needs[i].ebx ? c->ebx : c->eax;
		if (!(has & BIT(needs[i].bit)))
			return err_set(e, VHDX_E_UNSUPPORTED, "KVM's Hyper-V "
				       "leaf 0x40000003 is without %s (bit %u "
				       "of %s): a newer kernel is needed",
				       needs[i].name, needs[i].bit,
				       needs[i].ebx ? "EBX" : "EAX");
	}
	return 0;
}

static void features(struct build *b, const struct kvm_cpuid_entry2 *kvm)
{
	const struct kvm_cpuid_entry2 *t = leaf_of(b, 0x80000007);
	uint32_t eax = BIT(EAX3_VP_RUNTIME) | BIT(EAX3_TIME) |
		       BIT(EAX3_SYNIC) | BIT(EAX3_APIC) |
		       BIT(EAX3_HYPERCALL) | BIT(EAX3_VP_INDEX) |
		       BIT(EAX3_RESET) | BIT(EAX3_TSC_PAGE) |
		       BIT(EAX3_FREQUENCY);
	uint32_t edx = BIT(EDX3_FREQUENCY) | BIT(EDX3_CRASH);
	if (t && t->edx & BIT(EDX87_INVARIANT_TSC))
		eax |= BIT(EAX3_INVARIANT_TSC);
	put(b, (struct kvm_cpuid_entry2){
		.function = 0x40000003,
		.eax = kvm->eax & eax,
		.ebx = BIT(EBX3_POST) | BIT(EBX3_SIGNAL),
		.edx = kvm->edx & edx,
	});
}

/*
 * By the MSRs for the APIC a guest leaves out most EOIs: the assist page says
 * which, and each would be an exit. Where the processor does EOIs by itself,
 * the MSR is what would exit.
 * SINTs that end by themselves would cost that virtualisation.
 */
static uint32_t hints(const struct build *b, const struct kvm_cpuid_entry2 *kvm)
{
	uint32_t hint = BIT(EAX4_RESET) | BIT(EAX4_RELAXED_TIMING) |
			BIT(EAX4_NO_AUTO_EOI);
	if (!b->in->apicv && kvm->eax & BIT(EAX3_APIC))
		hint |= BIT(EAX4_APIC);
	return hint;
}

static int hypervisor(struct build *b, struct vhdx_err *e)
{
	const struct kvm_cpuid_entry2 *kvm =
		find(b->in->hv, b->in->hv_cnt, 0x40000003);
	int rc = check_needs(kvm, e);
	if (rc)
		return rc;
	put(b, (struct kvm_cpuid_entry2){
		.function = 0x40000000,
		.eax = HV_LEAF_MAX,
		.ebx = 0x7263694D, /* "Microsoft Hv" */
		.ecx = 0x666F736F,
		.edx = 0x76482074,
	});
	put(b, (struct kvm_cpuid_entry2){
		.function = 0x40000001,
		.eax = 0x31237648, /* "Hv#1": KVM goes by this */
	});
	put(b, (struct kvm_cpuid_entry2){
		.function = 0x40000002,
		.eax = HV_BUILD,
		.ebx = HV_VERSION << 16,
	});
	features(b, kvm);
	put(b, (struct kvm_cpuid_entry2){
		.function = 0x40000004,
		.eax = hints(b, kvm),
		.ebx = NO_SPIN_NOTIFY,
	});
	put(b, (struct kvm_cpuid_entry2){
		.function = 0x40000005,
		.eax = HV_VPS,
		.ebx = HV_VPS,
	});
	put(b, (struct kvm_cpuid_entry2){ .function = 0x40000006 });
	return 0;
}

/* ---- all of it ---------------------------------------------------------- */

int hyperv_cpuid(const struct hyperv_cpuid *in,
		 struct kvm_cpuid_entry2 out[HYPERV_CPUID_MAX], unsigned *cnt,
		 struct vhdx_err *e)
{
	struct build b = { .in = in, .out = out };
	ASSERT(in->vp < in->cpu_cnt && in->cpu_cnt <= HV_VPS);
	while (1u << b.id_bits < in->cpu_cnt)
		b.id_bits++;
	for (unsigned i = 0; i < in->kvm_cnt; i++)
		if (wanted(in->kvm[i].function))
			put(&b, in->kvm[i]);
	basic(&b);
	caches(&b);
	topology(&b, 0xB);
	topology(&b, 0x1F);
	if (is_amd(&b))
		amd_topology(&b);
	extended(&b);
	int rc = hypervisor(&b, e);
	if (rc)
		return rc;
	if (b.full)
		return err_set(e, VHDX_E_UNSUPPORTED, "KVM lists %u CPUID "
			       "entries, more than the %u that can be handled",
			       in->kvm_cnt, HYPERV_CPUID_MAX);
	*cnt = b.cnt;
	return 0;
}
